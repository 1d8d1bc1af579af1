//! Rows of a region's store.
//!
//! | space | key | value |
//! |---|---|---|
//! | items | table (10 B), BLAKE3 of the partition key (16 B), sort key | marker, CRC-32, primary
//! key, seen, version |
//! | changelog | origin (2 B), reading (8 B) | the item's row key |
//! | meta | a name | see [`meta`] |
//!
//! The hash bounds keys, needs no escaping and gives DynamoDB-like scan order and even segments;
//! the whole key stands in the row. Every row carries its own checksum.

pub mod key;
pub mod meta;

#[cfg(test)]
mod tests;

use pangea_core::id::TableId;
use pangea_core::item::{Attributes, ItemKey, PrimaryKey, item_size};
use pangea_core::merge::{Body, Stored};

use crate::binary::{DecodeError, Reader, Writer};

/// The format of rows; a change of a byte below needs another one.
const MARKER: u8 = 1;
const HEAD_BYTES: usize = 5;

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by another version.
    #[error("row format {0} is not known")]
    Format(u8),
    /// Damaged on its way to or on the disk.
    #[error("row checksum is {found:08x}, should be {expected:08x}")]
    Checksum {
        /// What the row says.
        expected: u32,
        /// What its bytes give.
        found: u32,
    },
    /// Whole, but not a row: a bug.
    #[error("row cannot be decoded: {0}")]
    Malformed(#[from] DecodeError),
}

/// An item's row.
#[must_use]
pub fn encode_row(key: &PrimaryKey, stored: &Stored) -> Vec<u8> {
    let attributes = stored.version.body.attributes();
    // Beside the item: its key once more, stamps, and a tag and two lengths to each attribute.
    let capacity = attributes.map_or(0, |item| item_size(item) + 8 * item.len()) + 128;
    let mut bytes = Vec::with_capacity(capacity);
    bytes.extend_from_slice(&[MARKER, 0, 0, 0, 0]);
    let mut writer = Writer::from(bytes);
    writer.primary_key(key);
    let same = stored.seen == stored.version.context;
    writer.flag(same);
    if !same {
        writer.version_vector(&stored.seen);
    }
    writer.version(&stored.version);
    sealed(writer)
}

/// The inverse of [`encode_row`].
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn decode_row(bytes: &[u8]) -> Result<(PrimaryKey, Stored), RowError> {
    let mut reader = Reader::new(checked(bytes)?);
    let key = reader.primary_key()?;
    let seen = if reader.flag()? { None } else { Some(reader.version_vector()?) };
    let version = reader.version()?;
    reader.finish()?;
    let seen = seen.unwrap_or_else(|| version.context.clone());
    Ok((key, Stored { seen, version }))
}

/// The part of a row that readers want: its key, and its attributes unless it is a tombstone.
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn decode_item(bytes: &[u8]) -> Result<(PrimaryKey, Option<Attributes>), RowError> {
    let (key, stored) = decode_row(bytes)?;
    match stored.version.body {
        Body::Live(attributes) => Ok((key, Some(attributes))),
        Body::Tombstone => Ok((key, None)),
    }
}

/// The primary key of a row alone.
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn decode_key(bytes: &[u8]) -> Result<PrimaryKey, RowError> {
    Ok(Reader::new(checked(bytes)?).primary_key()?)
}

/// The item key of a row, given its row key.
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn item_key(row_key: &[u8], row: &[u8]) -> Result<ItemKey, RowError> {
    let table = Reader::new(row_key).stamp().map(TableId)?;
    Ok(ItemKey { table, primary: decode_key(row)? })
}

/// The bytes of a writer that began with a marker and room for a checksum, which is filled in.
fn sealed(writer: Writer) -> Vec<u8> {
    let mut bytes = writer.into_bytes();
    let sum = crc32fast::hash(&bytes[HEAD_BYTES..]);
    bytes[1..HEAD_BYTES].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn checked(bytes: &[u8]) -> Result<&[u8], RowError> {
    let (head, body) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(DecodeError::Truncated { wanted: HEAD_BYTES as u64, left: bytes.len() })?;
    if head[0] != MARKER {
        return Err(RowError::Format(head[0]));
    }
    let expected = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let found = crc32fast::hash(body);
    if expected != found {
        return Err(RowError::Checksum { expected, found });
    }
    Ok(body)
}
