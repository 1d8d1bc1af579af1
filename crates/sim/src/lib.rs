//! What could happen: the deterministic simulator of Pangea.
//!
//! A seed decides everything: how many regions, which faults, who writes what when. The same node,
//! merge and replication that the binary ships run here over a simulated network, disk and clock,
//! hundreds of schedules a second, and every step is held against the design's invariants by an
//! oracle that knows the true causal history. A run has two phases: things break, then everything
//! is healed and must come to rest in the one state that the history allows.
//!
//! Deliberately absent: IO, wall clocks, threads, hash-map order. Equal seeds give equal digests.

mod bits;
mod clock;
mod deed;
mod digest;
mod disk;
mod function;
mod invariants;
mod net;
mod options;
mod oracle;
#[cfg(feature = "planted-bugs")]
mod planted;
mod report;
mod rng;
mod scenario;
mod shrink;
mod ttl;
mod workload;
mod world;

pub use invariants::Invariant;
pub use options::{Focus, Length, Options};
#[cfg(feature = "planted-bugs")]
pub use planted::{PLANTED, fitting};
pub use report::{Counts, Report, Summary, Violation, run, run_many, timeline};
pub use scenario::{Scenario, Unread};
pub use shrink::{Knob, Shrunk, Trim, parse_spans, shrink};
