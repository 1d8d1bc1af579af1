//! A region's storage: sorted rows in atomic, durable commits, behind one trait.
//!
//! An [`Engine`] keeps bytes; [`Store`] gives them the types of `pangea-core`. Always true: a commit
//! that returned `Ok` is on disk whole, one that did not is there whole or not at all, and a
//! [`View`] never changes. After a commit that failed, an engine refuses every other, because what
//! is on disk is unknown until the process begins anew; reads go on from the last durable state.
//!
//! The trait asks for order and atomicity within a partition only; that an embedded engine has both
//! for the whole node is a capability.

pub mod conformance;
mod fault;
pub mod memory;
pub mod overlay;
pub mod redb;
mod typed;

pub use fault::{Fault, Retry};
pub use typed::{GroupView, Identity, Query, Scan, Sort, Store, StoreView, VisitItem};

use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// Which kind of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Items, system tables included, by row key.
    Items,
    /// Row keys by origin and stamp.
    Changelog,
    /// Named records.
    Meta,
}

impl Space {
    /// Every space, in order.
    pub const ALL: [Self; 3] = [Self::Items, Self::Changelog, Self::Meta];
}

/// One row's change in a commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Op {
    /// Where.
    pub space: Space,
    /// Which row.
    pub key: Vec<u8>,
    /// What it shall be; `None` removes it, if it is there.
    pub value: Option<Vec<u8>>,
}

/// What an engine can do beyond rows that are sorted and atomic within a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A commit of any rows of the node is atomic.
    pub node_batches: bool,
    /// Rows of different partitions are sorted too: a scan may span them.
    pub global_order: bool,
    /// What was committed outlives the process.
    pub durable: bool,
}

/// Whether an engine takes commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Writable,
    /// It serves reads only, and this is why.
    ReadOnly(String),
}

/// The ends of a scan.
pub type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Whether a visitor wants the next row.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A place for rows. One thread commits, any number read.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// The rows as of the newest commit that returned.
    ///
    /// # Errors
    ///
    /// [`Fault`] if not even reads can be served.
    fn view(&self) -> Result<Arc<dyn View>, Fault>;

    /// Applies all of `ops`, or none; on disk when it returns.
    ///
    /// `ops` are in strictly ascending order of space and key.
    ///
    /// # Errors
    ///
    /// [`Fault`]; see [`Fault::nothing_written`] for what it says of the disk.
    fn commit(&self, ops: &[Op]) -> Result<(), Fault>;

    /// What this engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether commits are taken, the disk's free space aside.
    fn health(&self) -> Health;
}

/// Rows as of one moment.
pub trait View: fmt::Debug + Send + Sync {
    /// A row's value.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the row cannot be read; with [`Retry::Same`], a newer view may read it.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Visits the rows of a range, in order or in reverse, until the visitor breaks.
    ///
    /// # Errors
    ///
    /// As [`View::get`]; the visitor may have seen rows before.
    fn scan(
        &self,
        space: Space,
        range: KeyRange<'_>,
        reverse: bool,
        visit: Visit<'_>,
    ) -> Result<(), Fault>;
}

/// Asserts the order that [`Engine::commit`] asks for.
fn assert_sorted(ops: &[Op]) {
    let ascends = |pair: &[Op]| (pair[0].space, &pair[0].key) < (pair[1].space, &pair[1].key);
    assert!(ops.windows(2).all(ascends), "a commit's rows ascend, each once");
}

/// Whether a range can hold no key: its ends have crossed, which a B-tree may not be asked.
fn is_empty_range(range: KeyRange<'_>) -> bool {
    match range {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

#[cfg(test)]
mod tests;
