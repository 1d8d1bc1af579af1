//! A region's storage: engines behind one trait, and typed rows on top.
//!
//! An engine keeps three sorted spaces of bytes. A commit is atomic over all of them and durable
//! when it returns; a view never changes. An engine that cannot say what is on its disk any more
//! refuses further commits and goes on serving the last durable state.

pub mod conformance;
pub mod memory;
mod overlay;
pub mod redb;
mod store;
mod view;

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use pangea_codec::disk::RowError;

pub use overlay::Overlay;
pub use store::{OpenError, Store};
pub use view::{GroupView, LedgerRow, StoreView};

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

/// One change of a commit: a value, or `None` to remove the key.
pub type Change = (Space, Vec<u8>, Option<Vec<u8>>);

/// The ends of a scan.
pub type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// What the caller of a scan is given, key and value, and says whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Why the store did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Too little room on the disk: nothing was written; try again when there is room.
    #[error("the disk is full: {available} bytes are left, {reserve} are kept in reserve")]
    DiskFull {
        /// Bytes left.
        available: u64,
        /// Bytes that no write may touch.
        reserve: u64,
    },
    /// The engine refuses commits since an earlier fault: nothing was written. Reads go on.
    #[error("the store is read-only since: {0}")]
    ReadOnly(String),
    /// A commit failed: it may or may not be durable. Reads go on from the last durable state.
    #[error("the store failed to write: {0}")]
    Write(String),
    /// A read failed.
    #[error("the store failed to read: {0}")]
    Read(String),
    /// A row is damaged.
    #[error("damaged row {key}: {error}")]
    Corrupt {
        /// Its row key, in hexadecimal digits.
        key: String,
        /// How it is damaged.
        error: RowError,
    },
}

impl Fault {
    /// Whether it is certain that the commit left no trace.
    #[must_use]
    pub const fn nothing_written(&self) -> bool {
        // Reads come before the commit: where one fails, there is none.
        !matches!(self, Self::Write(_))
    }

    /// Whether the same commit may succeed later in this process.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
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
    /// A view of the newest durable state: never of a commit that has not returned `Ok`.
    ///
    /// # Errors
    /// [`Fault::Read`].
    fn view(&self) -> Result<Arc<dyn View>, Fault>;

    /// Applies `changes`, sorted by space and key and each once, all or none; durable when it
    /// returns. After a [`Fault::Write`] every other is refused, because what is on the disk is
    /// unknown until the process begins anew.
    ///
    /// # Errors
    /// [`Fault::DiskFull`], [`Fault::ReadOnly`] if nothing was written, else [`Fault::Write`].
    fn commit(&self, changes: &[Change]) -> Result<(), Fault>;

    /// Why commits are refused, if they are.
    fn health(&self) -> Result<(), Fault>;

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

/// Asserts the order that [`Engine::commit`] asks for.
fn assert_sorted(changes: &[Change]) {
    let ascends = |pair: &[Change]| (pair[0].0, &pair[0].1) < (pair[1].0, &pair[1].1);
    assert!(changes.windows(2).all(ascends), "the keys of a commit ascend, each once");
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
