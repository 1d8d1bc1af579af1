//! Merge: which version of an item a region shows, and what it owes to the losers.
//!
//! State: a [`Stored`] item is the version that wins plus the vector of everything this region has
//! seen of the item. Merging is idempotent, commutative and associative on states actually reached,
//! because a stamp is greater than everything its writer had seen: the maximum over all versions is
//! then the maximum over the maximal ones, whatever was dropped in between.
//!
//! Deliberately absent: time, tables, storage. A merge looks at two versions and nothing else.

mod vector;

pub use vector::VersionVector;

use crate::item::Attributes;
use crate::time::Stamp;

/// What a version says of the item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The item exists with these attributes.
    Live(Attributes),
    /// The item was deleted; a value like any other, because an older write may still arrive.
    Tombstone,
}

impl Body {
    /// The attributes, unless deleted.
    #[must_use]
    pub fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Live(attributes) => Some(attributes),
            Self::Tombstone => None,
        }
    }
}

/// One region's write of one item: immutable once issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Identity and place in order.
    pub stamp: Stamp,
    /// Everything the writer had seen of the item, this version included.
    pub context: VersionVector,
    /// The whole item; replication never ships differences.
    pub body: Body,
    /// Whether the write carried a condition: losing such a write is severe.
    pub conditional: bool,
}

/// An item as a region keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Join of the contexts of every version that this region has seen.
    pub seen: VersionVector,
    /// The version that wins here.
    pub version: Version,
}

/// How concurrent versions are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The greatest stamp wins; every concurrent loser is owed a ledger entry.
    Lww,
    /// Versions of one key are equal by construction (the ledger): the greatest stamp stays and
    /// nothing is owed.
    InsertOnly,
}

/// How stamps of concurrent versions are compared; anything but [`Order::Total`] is a planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By `(hlc, origin)`.
    Total,
    /// By `hlc` alone, the version already here winning ties.
    #[cfg(feature = "planted-bugs")]
    WithoutOrigin,
}

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The incoming version was already seen or overwritten: nothing to write.
    Known,
    /// The item is now `stored`.
    Changed {
        /// The state to keep.
        stored: Stored,
        /// The version that was shown before and is not any more, if any.
        replaced: Option<Version>,
        /// The concurrent pair, where the policy owes the loser a ledger entry.
        conflict: Option<Conflict>,
    },
}

/// Two concurrent versions, one of which had to lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The version that is not shown.
    pub loser: Version,
    /// The version that is shown instead.
    pub winner: Version,
}

/// Merges `incoming` into what a region has stored of the item.
#[must_use]
pub fn merge(stored: Option<Stored>, incoming: Version, policy: Policy, order: Order) -> Merged {
    let Some(stored) = stored else {
        let seen = incoming.context.clone();
        let stored = Stored { seen, version: incoming };
        return Merged::Changed { stored, replaced: None, conflict: None };
    };
    if stored.seen.covers(incoming.stamp) {
        return Merged::Known;
    }
    let Stored { mut seen, version: current } = stored;
    seen.join(&incoming.context);
    if incoming.context.covers(current.stamp) {
        let stored = Stored { seen, version: incoming };
        return Merged::Changed { stored, replaced: Some(current), conflict: None };
    }
    concurrent(seen, current, incoming, policy, order)
}

/// Neither version had seen the other.
fn concurrent(
    seen: VersionVector,
    current: Version,
    incoming: Version,
    policy: Policy,
    order: Order,
) -> Merged {
    let incoming_wins = match order {
        Order::Total => incoming.stamp > current.stamp,
        #[cfg(feature = "planted-bugs")]
        Order::WithoutOrigin => incoming.stamp.hlc > current.stamp.hlc,
    };
    let (winner, loser) = if incoming_wins { (incoming, current) } else { (current, incoming) };
    let conflict = match policy {
        Policy::Lww => Some(Conflict { loser: loser.clone(), winner: winner.clone() }),
        Policy::InsertOnly => None,
    };
    let replaced = incoming_wins.then_some(loser);
    Merged::Changed { stored: Stored { seen, version: winner }, replaced, conflict }
}

/// A region's own write: it has seen everything that the region has seen.
///
/// `stamp` must be greater than every stamp in `stored.seen`; the clock sees to that.
#[must_use]
pub fn overwrite(stored: Option<&Stored>, stamp: Stamp, body: Body, conditional: bool) -> Stored {
    let mut context = stored.map(|stored| stored.seen.clone()).unwrap_or_default();
    assert!(context.newest() < stamp.hlc, "a stamp must exceed all that its writer has seen");
    context.record(stamp);
    let seen = context.clone();
    Stored { seen, version: Version { stamp, context, body, conditional } }
}

#[cfg(test)]
mod tests;
