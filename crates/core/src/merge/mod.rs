//! Merge: which versions of an item a region keeps, and what it owes to those it does not show.
//!
//! State: a [`Stored`] item is a set of versions, none of which had seen another, and the vector of
//! everything this region has seen of the item. Under [`Rule::Greatest`] one version stays: a stamp
//! is greater than everything its writer had seen, so the maximum over all versions is the maximum
//! over the maximal ones, whatever was dropped in between. Under [`Rule::Maximal`] all maximal
//! versions stay, at most one a region, because a region's write has seen its own earlier ones;
//! what readers see is then a function of that set. Either way merging is idempotent, commutative
//! and associative on states actually reached.
//!
//! Deliberately absent: time, tables, storage. A merge looks at versions and nothing else.

mod vector;

pub use vector::VersionVector;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::crdt::State;
use crate::id::{Origin, Place};
use crate::item::{Attributes, item_size};
use crate::time::{Hlc, Stamp};

/// What a version says of the item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// The item exists with these attributes; shared, because a version is copied on its way from
    /// writer to disk and to every peer, and never changed.
    Live(Arc<Attributes>),
    /// The item was deleted; a value like any other, because an older write may still arrive.
    Tombstone,
    /// Everything that the writer knew of an item whose table merges attribute by attribute; it may
    /// say that the item does not exist.
    Crdt(Arc<State>),
}

impl Body {
    /// The item exists with these attributes.
    #[must_use]
    pub fn live(attributes: Attributes) -> Self {
        Self::Live(Arc::new(attributes))
    }

    /// The attributes of a whole item; none of a deletion, or of a state that has to be read by
    /// [`crate::view`].
    #[must_use]
    pub fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Live(attributes) => Some(attributes),
            Self::Tombstone | Self::Crdt(_) => None,
        }
    }

    /// About how many bytes it takes, names and values together.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Live(attributes) => item_size(attributes),
            Self::Tombstone => 0,
            Self::Crdt(state) => state.size(),
        }
    }

    /// Whether the version says that the item does not exist.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        match self {
            Self::Live(_) => false,
            Self::Tombstone => true,
            Self::Crdt(state) => !state.exists(),
        }
    }
}

/// How a write came about: what a version says of itself beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origins {
    /// Whether the write carried a condition: losing such a write is severe.
    pub conditional: bool,
    /// Rows that were written in one transaction under this stamp; 1 outside of transactions.
    pub rows: u8,
    /// The table's settings under which it was written ([`crate::catalog::Settings::epoch`]).
    pub epoch: u16,
    /// The placement rule that holds for the item.
    pub place: Place,
    /// The item had expired, and this deletes it.
    pub expired: bool,
}

impl Origins {
    /// A plain write: no condition, no transaction, a table as it was made.
    pub const PLAIN: Self =
        Self { conditional: false, rows: 1, epoch: 0, place: Place::ANYWHERE, expired: false };
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
    /// How it came about.
    pub origins: Origins,
}

impl Version {
    /// A plain write of an item of which nothing was there before.
    #[must_use]
    pub fn first(stamp: Stamp, body: Body) -> Self {
        let context = VersionVector::from_entries([(stamp.origin, stamp.hlc)]);
        Self { stamp, context, body, origins: Origins::PLAIN }
    }
}

/// An item as a region keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Join of the contexts of every version that this region has seen.
    pub seen: VersionVector,
    /// Versions that have not seen each other, the greatest stamp first; never empty.
    pub versions: Vec<Version>,
}

impl Stored {
    /// One version and nothing else.
    #[must_use]
    pub fn single(version: Version) -> Self {
        Self { seen: version.context.clone(), versions: Vec::from([version]) }
    }

    /// The version of the greatest stamp.
    #[must_use]
    pub fn greatest(&self) -> &Version {
        &self.versions[0]
    }

    /// The version of this stamp, if it is kept.
    #[must_use]
    pub fn version(&self, stamp: Stamp) -> Option<&Version> {
        self.versions.iter().find(|version| version.stamp == stamp)
    }

    /// The stamps of an item that is not there in any of its versions: what the index of tombstones
    /// names. Empty if a version has something to show.
    #[must_use]
    pub fn buried(&self) -> Vec<Stamp> {
        let gone = self.versions.iter().all(|version| version.body.is_deletion());
        if gone { self.stamps().collect() } else { Vec::new() }
    }

    /// The stamps of all versions kept.
    pub fn stamps(&self) -> impl Iterator<Item = Stamp> + '_ {
        self.versions.iter().map(|version| version.stamp)
    }

    /// The item's entries in the changelog index of the region that lives `me`: every version kept,
    /// and the region's own newest even if another took its place, because others may not have it.
    pub fn entries(&self, me: Origin) -> impl Iterator<Item = Stamp> + '_ {
        let own = Stamp { hlc: self.seen.get(me), origin: me };
        let displaced = own.hlc > Hlc::ZERO && self.version(own).is_none();
        self.stamps().chain(displaced.then_some(own))
    }

    /// The version of this stamp or, if it is not kept any more, one that stands for it: one that
    /// has seen it or, where it lost to a concurrent one, the one that is shown.
    #[must_use]
    pub fn standing_for(&self, stamp: Stamp) -> &Version {
        let mut heirs = self.versions.iter().filter(|version| version.context.covers(stamp));
        self.version(stamp).or_else(|| heirs.next()).unwrap_or_else(|| self.greatest())
    }
}

/// Which concurrent versions stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The greatest stamp; every concurrent loser is owed a ledger entry.
    Greatest,
    /// The greatest stamp, and nothing is owed: versions of one key are equal by construction (the
    /// ledger, merge modules).
    InsertOnly,
    /// All maximal versions that were written under settings of `since` or later. One from before
    /// stays only while no concurrent version has a greater stamp: so the regions that heard of the
    /// switch late, and dropped it, end in the same state.
    Maximal {
        /// The first epoch whose versions are all kept.
        since: u16,
    },
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
        /// Stamps that were kept before and are not any more.
        replaced: Vec<Stamp>,
        /// Concurrent pairs, one of which had to go: the loser is owed a ledger entry.
        conflicts: Vec<Conflict>,
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

impl Conflict {
    /// Where an entry that has both images may be: of versions of one item only one rule is known
    /// to a region that the other keeps from seeing what it is about.
    #[must_use]
    pub fn place(&self) -> Place {
        self.loser.origins.place.or(self.winner.origins.place)
    }

    /// Whether that is only so without the winning image.
    #[must_use]
    pub fn parts(&self) -> bool {
        let (loser, winner) = (self.loser.origins.place, self.winner.origins.place);
        loser.or(winner) != winner.or(loser)
    }
}

/// Merges `incoming` into what a region has stored of the item.
#[must_use]
pub fn merge(stored: Option<Stored>, incoming: Version, rule: Rule, order: Order) -> Merged {
    let Some(stored) = stored else {
        let stored = Stored::single(incoming);
        return Merged::Changed { stored, replaced: Vec::new(), conflicts: Vec::new() };
    };
    let known = stored.seen.covers(incoming.stamp);
    let overwritten = |version: &Version| {
        version.stamp != incoming.stamp && incoming.context.covers(version.stamp)
    };
    let tells = !stored.seen.includes(&incoming.context) || stored.versions.iter().any(overwritten);
    if known && !tells {
        return Merged::Known;
    }
    let Stored { mut seen, mut versions } = stored;
    seen.join(&incoming.context);
    let mut replaced = Vec::new();
    versions.retain(|version| {
        let gone = overwritten(version);
        if gone {
            replaced.push(version.stamp);
        }
        !gone
    });
    if known {
        // Whoever named it did not tell what it had seen: contexts may have been shortened.
        let stored = Stored { seen, versions };
        return Merged::Changed { stored, replaced, conflicts: Vec::new() };
    }
    let arrived = incoming.stamp;
    insert(&mut versions, incoming, order);
    let lost = losers(&mut versions, rule);
    replaced.extend(lost.iter().map(|version| version.stamp).filter(|stamp| *stamp != arrived));
    let conflicts = match rule {
        Rule::InsertOnly => Vec::new(),
        Rule::Greatest | Rule::Maximal { .. } => {
            lost.into_iter().map(|loser| Conflict { loser, winner: versions[0].clone() }).collect()
        }
    };
    Merged::Changed { stored: Stored { seen, versions }, replaced, conflicts }
}

/// Keeps the greatest stamp first.
fn insert(versions: &mut Vec<Version>, incoming: Version, order: Order) {
    let before = |version: &Version| match order {
        Order::Total => version.stamp > incoming.stamp,
        #[cfg(feature = "planted-bugs")]
        Order::WithoutOrigin => version.stamp.hlc >= incoming.stamp.hlc,
    };
    let at = versions.partition_point(before);
    versions.insert(at, incoming);
}

/// Takes out the versions that the rule does not keep beside the first.
fn losers(versions: &mut Vec<Version>, rule: Rule) -> Vec<Version> {
    match rule {
        Rule::Greatest | Rule::InsertOnly => versions.split_off(1),
        Rule::Maximal { since } => {
            let rest = versions.split_off(1);
            let (kept, lost) = rest.into_iter().partition(|it| it.origins.epoch >= since);
            versions.extend::<Vec<Version>>(kept);
            lost
        }
    }
}

/// What a region writes itself.
#[derive(Clone, Debug)]
pub struct Write {
    /// Greater than everything the region has seen; the clock sees to that.
    pub stamp: Stamp,
    /// The whole item.
    pub body: Body,
    /// How it came about.
    pub origins: Origins,
    /// What the client had seen, if it says so: versions that it had not seen stay beside the new
    /// one. `None` for all that the region has seen.
    pub context: Option<VersionVector>,
}

/// A region's own write: it has seen everything that the region has seen, or what it says.
///
/// `past` is what the region has seen of an item that has no row any more.
#[must_use]
pub fn overwrite(
    stored: Option<Stored>,
    past: &VersionVector,
    write: Write,
) -> (Stored, Vec<Stamp>) {
    let (mut seen, mut versions) = match stored {
        Some(stored) => (stored.seen, stored.versions),
        None => (past.clone(), Vec::new()),
    };
    assert!(seen.newest() < write.stamp.hlc, "a stamp must exceed all that its writer has seen");
    let mut context = match write.context {
        Some(told) => told.meet(&seen),
        None => seen.clone(),
    };
    context.record(write.stamp);
    seen.record(write.stamp);
    let mut replaced = Vec::new();
    versions.retain(|version| {
        let known = context.covers(version.stamp);
        if known {
            replaced.push(version.stamp);
        }
        !known
    });
    let Write { stamp, body, origins, .. } = write;
    versions.insert(0, Version { stamp, context, body, origins });
    (Stored { seen, versions }, replaced)
}

#[cfg(test)]
mod tests;
