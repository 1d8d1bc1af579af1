//! Rows of a region's store.
//!
//! | space | key | value |
//! |---|---|---|
//! | items | table (10 B), BLAKE3 of the partition key (16 B), sort key | marker, CRC-32, primary
//! key, seen if it is more than the versions say, versions |
//! | changelog | origin (2 B), reading (8 B), the item's row key | nothing |
//! | meta | a name | see [`meta`] |
//! | meta | `tombstone/`, table, origin, reading, the rest of the row key | nothing |
//! | meta | `index/`, table, index (4 B), BLAKE3 of its partition key (16 B), its sort key, the
//! rest of the row key | where that rest begins (4 B) |
//! | meta | `journal/`, table, sequence (8 B) | see [`journal`] |
//! | meta | `backup/head/`, `backup/items/` and an identity | see [`backup`] |
//!
//! The hash bounds keys, needs no escaping and gives DynamoDB-like scan order and even segments;
//! the whole key stands in the row. Every row carries its own checksum.

pub mod backup;
pub mod journal;
pub mod key;
pub mod meta;
pub mod wal;

#[cfg(test)]
mod tests;

#[cfg(test)]
use pangea_core::id::TableId;
use pangea_core::item::{Attributes, ItemKey, PrimaryKey, item_size};
use pangea_core::merge::{Stored, Version, VersionVector};
use pangea_core::replica::Outline;

use crate::binary::{DecodeError, Reader, Writer};

/// The format of rows, in the upper half of their first byte; a change of a byte below needs
/// another one.
const MARKER: u8 = 2 << 4;
/// In the lower half: `seen` stands before the versions.
const SEEN: u8 = 1 << 3;
/// In the lower half: versions beside the first; at `MANY` their number follows.
const MANY: u8 = SEEN - 1;
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
    /// Whole, but under the key of another row: the key is damaged.
    #[error("row belongs under another key")]
    Misplaced,
    /// Whole, but not a row: a bug.
    #[error("row cannot be decoded: {0}")]
    Malformed(#[from] DecodeError),
}

/// An item's row.
#[must_use]
pub fn encode_row(key: &PrimaryKey, stored: &Stored) -> Vec<u8> {
    let attributes = stored.versions.iter().filter_map(|it| it.body.attributes());
    // Beside the item: its key once more, stamps, and a tag and two lengths to each attribute.
    let capacity = attributes.map(|item| item_size(item) + 8 * item.len()).sum::<usize>() + 128;
    let known = stored.seen == said(&stored.versions);
    let others = u8::try_from(stored.versions.len() - 1).unwrap_or(MANY).min(MANY);
    let mut bytes = Vec::with_capacity(capacity);
    bytes.extend_from_slice(&[MARKER | if known { 0 } else { SEEN } | others, 0, 0, 0, 0]);
    let mut writer = Writer::from(bytes);
    writer.primary_key(key);
    if others == MANY {
        writer.length(stored.versions.len());
    }
    if !known {
        writer.version_vector(&stored.seen);
    }
    for version in &stored.versions {
        writer.version(version);
    }
    sealed(writer)
}

/// What the versions say was seen.
fn said(versions: &[Version]) -> VersionVector {
    let mut seen = VersionVector::default();
    versions.iter().for_each(|version| seen.join(&version.context));
    seen
}

/// The inverse of [`encode_row`].
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn decode_row(bytes: &[u8]) -> Result<(PrimaryKey, Stored), RowError> {
    let (lower, body) = checked(bytes)?;
    let mut reader = Reader::new(body);
    let key = reader.primary_key()?;
    let mut count = usize::from(lower & MANY) + 1;
    if lower & MANY == MANY {
        count = reader.length()?;
        if count <= usize::from(MANY) {
            return Err(DecodeError::Order.into());
        }
    }
    let told = if lower & SEEN != 0 { Some(reader.version_vector()?) } else { None };
    let mut versions: Vec<Version> = Vec::new();
    for _ in 0..count {
        let version = reader.version()?;
        if versions.last().is_some_and(|before| before.stamp <= version.stamp) {
            return Err(DecodeError::Order.into());
        }
        versions.push(version);
    }
    reader.finish()?;
    let said = said(&versions);
    if told.as_ref() == Some(&said) {
        return Err(DecodeError::Order.into());
    }
    Ok((key, Stored { seen: told.unwrap_or(said), versions }))
}

/// A row of one version that is attributes or nothing, as most are, not decoded further than that.
#[derive(Clone, Debug)]
pub struct Plain<'a> {
    /// What the row belongs to.
    pub key: PrimaryKey,
    /// What was seen of the item.
    pub seen: VersionVector,
    /// The attributes; `None` of a tombstone.
    pub attributes: Option<Reader<'a>>,
}

/// A row as far as its attributes; `None` if it is none of the plain ones.
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn plain_row(bytes: &[u8]) -> Result<Option<Plain<'_>>, RowError> {
    let (lower, body) = checked(bytes)?;
    if lower != 0 {
        return Ok(None);
    }
    let mut reader = Reader::new(body);
    let key = reader.primary_key()?;
    let Some((seen, live)) = reader.plain_version()? else { return Ok(None) };
    Ok(Some(Plain { key, seen, attributes: live.then_some(reader) }))
}

/// The key of a row, and its item without attributes: those of the plain rows are told to the
/// fingerprint and measured where they stand.
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn outline(bytes: &[u8]) -> Result<(PrimaryKey, Outline), RowError> {
    let (lower, body) = checked(bytes)?;
    if lower == 0 {
        let mut reader = Reader::new(body);
        let key = reader.primary_key()?;
        if let Some(outline) = reader.outline(&key)? {
            reader.finish()?;
            return Ok((key, outline));
        }
    }
    let (key, stored) = decode_row(bytes)?;
    let outline = Outline::of(&key, stored);
    Ok((key, outline))
}

/// What plain readers see of an item: still in its row, or not.
#[derive(Debug)]
pub enum Image<'a> {
    /// Attributes that [`Reader::each_attribute`] reads.
    Row(Reader<'a>),
    /// Attributes that were made of more.
    Item(Attributes),
}

/// The primary key of a row alone.
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn decode_key(bytes: &[u8]) -> Result<PrimaryKey, RowError> {
    Ok(Reader::new(checked(bytes)?.1).primary_key()?)
}

/// The item key of a row, given its row key.
///
/// # Errors
/// [`RowError`] if the row is damaged or of another format.
pub fn item_key(row_key: &[u8], row: &[u8]) -> Result<ItemKey, RowError> {
    Ok(ItemKey { table: key::table_of(row_key)?, primary: decode_key(row)? })
}

/// An item's row, given its row key, unless one of the two is damaged.
///
/// # Errors
/// [`RowError`], [`RowError::Misplaced`] if the row says that it belongs elsewhere.
pub fn decode_at(row_key: &[u8], row: &[u8]) -> Result<(ItemKey, Stored), RowError> {
    let (primary, stored) = decode_row(row)?;
    let key = ItemKey { table: key::table_of(row_key)?, primary };
    if key::row(&key) == row_key { Ok((key, stored)) } else { Err(RowError::Misplaced) }
}

/// The key of a damaged row, if its bytes still say it: it must fit the row key, which has a hash
/// of the one half and the other.
#[must_use]
pub fn salvaged_key(row_key: &[u8], row: &[u8]) -> Option<PrimaryKey> {
    let primary = Reader::new(row.get(HEAD_BYTES..)?).primary_key().ok()?;
    let key = ItemKey { table: key::table_of(row_key).ok()?, primary };
    (key::row(&key) == row_key).then_some(key.primary)
}

/// The bytes of a writer that began with a marker and room for a checksum, which is filled in.
fn sealed(writer: Writer) -> Vec<u8> {
    let mut bytes = writer.into_bytes();
    let sum = checksum(&bytes);
    bytes[1..HEAD_BYTES].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Of the marker and everything behind the checksum.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..1]);
    hasher.update(&bytes[HEAD_BYTES..]);
    hasher.finalize()
}

/// The lower half of the marker, and what is behind the checksum.
fn checked(bytes: &[u8]) -> Result<(u8, &[u8]), RowError> {
    let (head, body) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(DecodeError::Truncated { wanted: HEAD_BYTES as u64, left: bytes.len() })?;
    let (format, lower) = (head[0] & 0xf0, head[0] & 0x0f);
    if format != MARKER {
        return Err(RowError::Format(head[0]));
    }
    let expected = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let found = checksum(bytes);
    if expected != found {
        return Err(RowError::Checksum { expected, found });
    }
    Ok((lower, body))
}
