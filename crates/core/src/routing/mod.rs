//! Routing: from configuration and health to answers, for DNS and for the accelerator.
//!
//! [`compile()`] checks a [`RoutingConfig`] and turns it into [`Tables`], once per configuration.
//! [`Tables::snapshot`] joins them with the health view, once per change of health; it is cheap.
//! [`RoutingSnapshot::answer`] and [`RoutingSnapshot::pick`] are pure look-ups in that snapshot.
//!
//! Always true:
//! * a snapshot's [`Generation`] never goes backwards in either part: making it is refused
//!   (invariant 11), and nothing here needs a reachable control plane;
//! * DNS and the accelerator rank regions by the same table, so they never disagree at one
//!   generation;
//! * there is always an answer where there is a record: fail open is the last tier, not an error.
//!
//! Deliberately not here: geolocation, geoproximity and multivalue policies, aliases, delegation,
//! zone transfer, DNSSEC.

mod answer;
mod compile;
mod config;
mod name;
mod network;
mod pick;
mod rank;

pub use answer::{Answer, Authority, Client, Question, Rcode, Record, RecordData, Subnet, Why};
pub use compile::{Refusal, Tables, compile};
pub use config::{
    Branch, Data, Endpoint, Link, Listener, Policy, RecordSet, RecordType, Region, RegionRecords,
    RoutingConfig, RoutingControl, Soa, WeightedRecords, Zone,
};
pub use name::{Key, LABEL_BYTES_MAX, NAME_BYTES_MAX, Name, NameError};
pub use network::{Cidr, CidrError, Network};
pub use pick::Pick;
pub use rank::{Generation, RoutingSnapshot, Tier};

#[cfg(test)]
mod tests;
