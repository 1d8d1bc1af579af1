//! The regions that take part, as the admin API and the command line show and change them.

use serde::{Deserialize, Serialize};

/// Where a region's admin API shows the regions that take part; below it is what can be asked.
pub const PATH: &str = "/v1/regions";

/// What can be asked of the regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Link with a region that is to be added; nothing is decided.
    Meet,
    /// Take in a region that was never there.
    Add,
    /// Let a region serve nothing for a while.
    Suspend,
    /// Let it serve again.
    Resume,
    /// Give a region up.
    Evict,
    /// Let a region go in an orderly way.
    Remove,
    /// Take a region back that was given up or has left.
    Rejoin,
}

impl Verb {
    /// The word in paths and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Meet => "meet",
            Self::Add => "add",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Evict => "evict",
            Self::Remove => "remove",
            Self::Rejoin => "rejoin",
        }
    }
}

/// One change, as `POST /v1/regions` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// What to do.
    pub action: Verb,
    /// With which region.
    pub region: String,
    /// Where it is, of one that is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newcomer: Option<Newcomer>,
}

/// A region that the regions which run do not have in their topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newcomer {
    /// Its slot in version stamps, never used before.
    pub id: u8,
    /// Its replication listener, IP:port.
    pub peer: String,
    /// Simulated round trip to the region that is told, ms.
    #[serde(default)]
    pub rtt_ms: u64,
}

/// What one region knows of who takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The newest generation of the membership that it knows; only ever grows.
    pub generation: u32,
    /// The region that says so.
    pub told_by: String,
    /// Every region that ever took part, in the order of their slots.
    pub regions: Vec<Member>,
}

/// One region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its slot in version stamps.
    pub id: u8,
    /// `JOINING`, `ACTIVE`, `SUSPENDED`, `LEAVING`, `EVICTED` or `REMOVED`.
    pub state: String,
    /// The generation in which its present life joined.
    pub since: u32,
    /// The only life that may speak for it; none if it was never evicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub life: Option<u16>,
    /// Lives of it that are over, and what this region has of their writes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Over>,
}

/// A life that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Over {
    /// Which.
    pub life: u16,
    /// This region has all of it up to here, as others of the regions may not yet.
    pub through: String,
    /// Nobody who takes part has more.
    pub levelled: bool,
}
