//! Game days against a running topology.
//!
//! `region-loss`: clients write through the accelerator, through DNS and straight at the stores;
//! one region is killed with SIGKILL, brought back, and every acknowledged write is read
//! back in every region. The clock of all figures is the clients' own.

mod audit;
mod dns;
mod region_loss;
mod report;
mod store;
mod workload;

pub use region_loss::{Error, Options, run};
pub use report::{ObjectiveReport, Report, TimelineEvent};
