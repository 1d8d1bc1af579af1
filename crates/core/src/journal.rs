//! The journal: what readers of one region saw change, item by item, in the order in which its
//! store did.
//!
//! It is what change streams are read from, and what a table's past is restored from. A record is
//! in the batch that changed the item, for a client's write as for a peer's row, and only if what
//! readers see did change. It is this region's own: other regions apply the same versions in other
//! batches, and have journals of their own.

use crate::item::{Attributes, ItemKey};
use crate::time::Stamp;

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place: greater than that of every earlier record of the region, of whatever table.
    pub sequence: u64,
    /// The region's wall clock, ms since 1970.
    pub wall_ms: u64,
    /// The item.
    pub key: ItemKey,
    /// The version that brought the change: the greatest of those that the item has now.
    pub stamp: Stamp,
    /// What readers saw before.
    pub before: Option<Attributes>,
    /// What they see now.
    pub after: Option<Attributes>,
}
