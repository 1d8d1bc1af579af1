//! The binary form of items: what peers send each other and what a row on disk is made of.
//!
//! Canonical: equal values have equal bytes, and bytes that no [`Writer`] makes are refused
//! (overlong integers, sets and maps out of order, numbers that are not normalised). Integers are
//! LEB128 varints unless fixed width matters; stamps are big-endian, so that their bytes sort as
//! they do. A decoder never allocates more than a constant multiple of the bytes it was given.

mod crdt;
mod lean;
mod reader;
mod writer;

pub use reader::{Reader, ValueRef};
pub use writer::Writer;

use pangea_core::limits::NESTING_DEPTH_MAX;

/// Deepest nesting that is decoded: an item's own depth, and what the ledger wraps around it.
pub const DEPTH_MAX: usize = NESTING_DEPTH_MAX + 4;

/// Why bytes are not the form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value, or a length says more than there is.
    #[error("{wanted} bytes wanted, {left} left")]
    Truncated {
        /// What the value needs, at least.
        wanted: u64,
        /// What there is.
        left: usize,
    },
    /// Bytes follow the value.
    #[error("{0} bytes after the end")]
    Trailing(usize),
    /// An integer is too great or not in its shortest form.
    #[error("malformed integer")]
    Integer,
    /// A tag that says nothing.
    #[error("unknown {what} {tag}")]
    Tag {
        /// The tag's meaning.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A text is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// Lists and maps nest deeper than [`DEPTH_MAX`].
    #[error("nested too deeply")]
    Depth,
    /// The members of a set, map or vector are not strictly ascending.
    #[error("members out of order")]
    Order,
    /// Not a number in its normal form.
    #[error("malformed number")]
    Number,
    /// Parts of a CRDT state that do not belong together.
    #[error("malformed state")]
    State,
}

mod tag {
    pub(super) const NONE: u8 = 0;
    pub(super) const S: u8 = 1;
    pub(super) const N: u8 = 2;
    pub(super) const B: u8 = 3;
    pub(super) const FALSE: u8 = 4;
    pub(super) const TRUE: u8 = 5;
    pub(super) const NULL: u8 = 6;
    pub(super) const SS: u8 = 7;
    pub(super) const NS: u8 = 8;
    pub(super) const BS: u8 = 9;
    pub(super) const L: u8 = 10;
    pub(super) const M: u8 = 11;

    /// What a version's first byte says: which body it has, and what else follows.
    pub(super) const BODY: u8 = 0b11;
    pub(super) const TOMBSTONE: u8 = 0;
    pub(super) const LIVE: u8 = 1;
    pub(super) const CRDT: u8 = 2;
    /// The write carried a condition.
    pub(super) const CONDITIONAL: u8 = 1 << 2;
    /// The context has entries beside the version itself.
    pub(super) const CONTEXT: u8 = 1 << 3;
    /// A number of rows: the write was one of a transaction.
    pub(super) const ROWS: u8 = 1 << 4;
    /// An epoch.
    pub(super) const EPOCH: u8 = 1 << 5;
    /// A placement rule.
    pub(super) const PLACE: u8 = 1 << 6;
    /// The item had expired.
    pub(super) const EXPIRED: u8 = 1 << 7;
}

#[cfg(test)]
mod tests;
