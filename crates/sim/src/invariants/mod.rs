//! What must always be true, one file each, with where it is demanded.

pub(crate) mod applied;
pub(crate) mod changes;
pub(crate) mod clock;
pub(crate) mod collection;
pub(crate) mod convergence;
pub(crate) mod durability;
pub(crate) mod durable_ack;
pub(crate) mod expiry;
pub(crate) mod fencing;
pub(crate) mod group;
pub(crate) mod identity;
pub(crate) mod in_band;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod liveness;
pub(crate) mod membership;
pub(crate) mod merge_laws;
pub(crate) mod merged;
pub(crate) mod nothing_vanishes;
pub(crate) mod repair;
pub(crate) mod residency;
pub(crate) mod session;
pub(crate) mod single_writer;

use std::fmt;

/// Which invariant; the numbers are those of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// 1: a version's identity is never issued twice, and stamps grow.
    Identity,
    /// 2: only the current incarnation of a region writes that region's versions.
    SingleWriter,
    /// 3: `applied` is gap-free, monotone, and advances with the rows.
    Applied,
    /// 4: merging is idempotent, commutative and associative.
    MergeLaws,
    /// 5: nothing is told to anyone before it is durable.
    DurableAck,
    /// 6: nothing acknowledged vanishes, and the ledger holds only truly concurrent pairs.
    NothingVanishes,
    /// 7: after healing all regions have the state that the history demands.
    Convergence,
    /// 7, of merging tables: readers see what the history demands, counters conserve additions.
    Merged,
    /// 8 of the data plane's: a session reads its own writes and never goes back.
    Session,
    /// 8 and 9 of the data plane's: of tables in groups, nobody sees an effect without what it
    /// rests on, or a part of a transaction.
    Group,
    /// A write is in as many regions as its client was told.
    Durability,
    /// 9: the changelog index is a function of the rows, at every commit.
    Index,
    /// The journal tells every change that readers see, once and in order.
    Journal,
    /// 10: a restricted item's bytes never reach a region that its placement forbids.
    Residency,
    /// 12 and 19 of the data plane: what is collected is not missed, and all of it is in the end.
    Collection,
    /// 2 of the data plane: a region that hears its peers issues no stamps far ahead of theirs.
    Clock,
    /// 20 of the data plane: anti-entropy finds what rotted, repairs it, and finds nothing else.
    Repair,
    /// 13: nothing that a given-up life wrote beyond what the others had is applied.
    Fencing,
    /// 22: each generation of the membership is decided once.
    Membership,
    /// Items that expire are deleted when they have, by who shall, and journals tell so.
    Expiry,
    /// After healing the regions come to rest within bounded time.
    Liveness,
    /// Not of the regions: what a scenario says can be done when it says so.
    Scenario,
}

impl Invariant {
    /// The word in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "1-identity",
            Self::SingleWriter => "2-single-writer",
            Self::Applied => "3-applied",
            Self::MergeLaws => "4-merge-laws",
            Self::DurableAck => "5-durable-ack",
            Self::NothingVanishes => "6-nothing-vanishes",
            Self::Convergence => "7-convergence",
            Self::Merged => "7-merged",
            Self::Session => "8-session",
            Self::Group => "8-9-group",
            Self::Durability => "durability",
            Self::Index => "9-index",
            Self::Journal => "journal",
            Self::Residency => "10-residency",
            Self::Collection => "collection",
            Self::Clock => "clock",
            Self::Repair => "repair",
            Self::Fencing => "13-fencing",
            Self::Membership => "22-membership",
            Self::Expiry => "expiry",
            Self::Liveness => "liveness",
            Self::Scenario => "scenario",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: Invariant,
    pub(crate) text: String,
}

impl Broken {
    pub(crate) fn new(invariant: Invariant, text: String) -> Self {
        Self { invariant, text }
    }
}

pub(crate) type Checked<T = ()> = Result<T, Broken>;

/// Why something is not at rest: in words only if they are `told`, because it is looked often.
pub(crate) fn because(told: bool, text: impl FnOnce() -> String) -> Option<String> {
    Some(if told { text() } else { String::new() })
}

/// `Ok` if `holds`; `text` is only made if not.
pub(crate) fn demand(invariant: Invariant, holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Broken::new(invariant, text())) }
}
