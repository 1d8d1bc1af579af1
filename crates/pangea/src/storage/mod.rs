//! A region's storage: engines behind one trait, and typed rows on top.
//!
//! An engine keeps three sorted spaces of bytes. A commit is atomic and durable when it returns,
//! and may rest on conditions; a view never changes. An engine that cannot say what is on its disk
//! any more refuses further commits and goes on serving the last durable state. Damage is never
//! passed over: what is damaged is named, a row by its key, else the file.

mod backup;
mod checkpoint;
pub mod conformance;
mod directory;
mod engine;
mod fault;
mod fillable;
mod layers;
pub mod memory;
mod memtable;
mod overlay;
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
mod rot;
mod scrub;
mod store;
mod view;
mod wal;

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use pangea_codec::disk::key;

pub use directory::Directory;
pub use engine::{EngineKind, EngineOptions};
pub use fault::{Fault, Place};
pub use fillable::{DiskSwitch, Fillable};
pub use overlay::Overlay;
pub use scrub::{KeyRange, OnDamage, ScannedRow, ScannedRows, Scrubbed, scrub};
pub use store::{OpenError, Store};
pub use view::{GroupView, IndexCheck, LedgerRow, RowKeys, StoreView};

/// What a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Items by row key.
    Items,
    /// Row keys by origin and reading.
    Changelog,
    /// The region's own facts by name.
    Meta,
}

impl Space {
    /// Every space.
    pub const ALL: [Self; 3] = [Self::Items, Self::Changelog, Self::Meta];
}

/// Why an engine that was closed refuses commits.
const CLOSED: &str = "the store is closed";

/// One change of a commit: a value, or `None` to remove the key.
pub type Change = (Space, Vec<u8>, Option<Vec<u8>>);

/// The ends of a scan.
pub type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// What the caller of a scan is given, key and value, and says whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// What is shown a value.
pub type See<'s> = dyn FnMut(&[u8]) + 's;

/// What a commit rests on: the value of a key when it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The key.
    pub place: Place,
    /// Its value; `None` if it must not be there.
    pub expected: Option<Vec<u8>>,
}

/// What became of a commit that rests on conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is durable.
    Committed,
    /// The key named does not have its expected value: nothing was changed.
    Refused(Place),
}

/// What an engine can do beyond the minimum; nothing may be assumed of one that cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A commit is atomic over the whole node, not inside one partition alone.
    pub whole_node_batches: bool,
    /// Keys of a space are in one order, so that a feed can be read by range.
    pub ordered_feed: bool,
}

/// An engine.
pub trait Engine: std::fmt::Debug + Send + Sync + 'static {
    /// A view of the newest durable state: never of anything that may still be lost.
    ///
    /// # Errors
    /// [`Fault::Read`].
    fn view(&self) -> Result<Arc<dyn View>, Fault>;

    /// Applies `changes`, sorted by space and key and each once, all or none, if every condition
    /// holds; durable when it returns [`Outcome::Committed`]. Conditions are checked in order, and
    /// nothing comes between them and the changes. After a [`Fault::Write`] every other commit is
    /// refused, because what is on the disk is unknown until the process begins anew.
    ///
    /// All conditions are in one partition, see [`partition_of`]. So are all changes, unless
    /// [`Capabilities::whole_node_batches`] says otherwise.
    ///
    /// # Errors
    /// [`Fault::DiskFull`], [`Fault::ReadOnly`], [`Fault::Read`] or [`Fault::Damaged`] if nothing
    /// was written, else [`Fault::Write`].
    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault>;

    /// Applies `changes` whatever was there.
    ///
    /// # Errors
    /// See [`Engine::commit_if`].
    fn commit(&self, changes: &[Change]) -> Result<(), Fault> {
        self.commit_if(&[], changes).map(|outcome| {
            assert_eq!(outcome, Outcome::Committed, "there was no condition to refuse for");
        })
    }

    /// Why commits are refused, if they are.
    fn health(&self) -> Result<(), Fault>;

    /// Ends in order: leaves the directory so that the next start has nothing to repair. Commits
    /// are refused from now on; reads may fail. Dropping an engine does the same.
    fn close(&self);

    /// What it can do.
    fn capabilities(&self) -> Capabilities;
}

/// An unchanging state of an engine.
pub trait View: std::fmt::Debug + Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`Fault::Read`].
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Shows the value of a key where it stands, if it is there.
    ///
    /// # Errors
    /// [`Fault::Read`].
    fn show(&self, space: Space, key: &[u8], see: &mut See<'_>) -> Result<(), Fault> {
        self.get(space, key).map(|value| value.iter().for_each(|value| see(value)))
    }

    /// Visits the keys within bounds in order, or in reverse.
    ///
    /// # Errors
    /// [`Fault::Read`].
    fn scan(
        &self,
        space: Space,
        bounds: Bounds<'_>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault>;
}

/// The partition that a key is in: the unit inside which every engine is atomic.
///
/// That of an item is its table and the hash of its partition key; see [`key::partition_of`]. The
/// changelog and the meta space are one partition each.
#[must_use]
pub fn partition_of(space: Space, key: &[u8]) -> (Space, &[u8]) {
    match space {
        Space::Items => (space, key::partition_of(key)),
        Space::Changelog | Space::Meta => (space, &[]),
    }
}

/// Asserts what [`Engine::commit_if`] asks of its caller.
fn assert_well_formed(conditions: &[Condition], changes: &[Change], capabilities: Capabilities) {
    let ascends = |pair: &[Change]| (pair[0].0, &pair[0].1) < (pair[1].0, &pair[1].1);
    assert!(changes.windows(2).all(ascends), "the keys of a commit ascend, each once");
    let places = conditions.iter().map(|condition| (condition.place.space, &condition.place.key));
    assert!(one_partition(places.clone()), "the conditions of a commit are in one partition");
    if !capabilities.whole_node_batches {
        let all = places.chain(changes.iter().map(|change| (change.0, &change.1)));
        assert!(one_partition(all), "this engine commits inside one partition alone");
    }
}

fn one_partition<'k>(mut places: impl Iterator<Item = (Space, &'k Vec<u8>)>) -> bool {
    let Some((space, key)) = places.next() else { return true };
    places.all(|place| partition_of(place.0, place.1) == partition_of(space, key))
}

/// The first condition that does not hold, by what `get` finds.
fn first_refused(
    conditions: &[Condition],
    mut get: impl FnMut(&Place) -> Result<Option<Vec<u8>>, Fault>,
) -> Result<Option<Place>, Fault> {
    for condition in conditions {
        if get(&condition.place)? != condition.expected {
            return Ok(Some(condition.place.clone()));
        }
    }
    Ok(None)
}

/// Whether no key can be within the bounds; engines may not like such ranges.
fn is_empty(bounds: Bounds<'_>) -> bool {
    match bounds {
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Excluded(upper))
        | (Bound::Excluded(lower), Bound::Included(upper)) => lower >= upper,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

#[cfg(test)]
mod tests;
