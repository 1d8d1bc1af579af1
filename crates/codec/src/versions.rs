//! What one region asks another about single items, and is told: all of their versions.
//!
//! | bytes | what |
//! |---|---|
//! | question | [`FORMAT`], slot of the asker (1 B), count, item keys |
//! | answer | [`FORMAT`], all that the region had applied, count, rows in the order of the keys |
//!
//! A row is whether there is one, then the row as on disk.
//!
//! A row carries its own checksum and format ([`crate::disk`]).

use pangea_core::id::RegionSlot;
use pangea_core::item::{ItemKey, PrimaryKey};
use pangea_core::limits::BATCH_GET_KEYS_MAX;
use pangea_core::merge::{Stored, VersionVector};

use crate::binary::{DecodeError, Reader, Writer};
use crate::disk::{RowError, decode_row, encode_row};

/// The format of both.
pub const FORMAT: u8 = 1;

/// Why bytes are no question or answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionsError {
    /// Of another release.
    #[error("format {0}, this is {FORMAT}")]
    Format(u8),
    /// More keys than one request may have.
    #[error("{0} keys, {BATCH_GET_KEYS_MAX} are allowed")]
    TooMany(usize),
    /// Not decodable.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A row that is damaged, or not of the key that was asked for.
    #[error("damaged row: {0}")]
    Row(#[from] RowError),
    /// Not of the question.
    #[error("the answer is to another question")]
    Misplaced,
}

/// Asks for the versions of `keys`, on behalf of the region at `asker`.
#[must_use]
pub fn encode_question(asker: RegionSlot, keys: &[ItemKey]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u8(FORMAT);
    out.u8(asker.get());
    out.length(keys.len());
    keys.iter().for_each(|key| out.item_key(key));
    out.into_bytes()
}

/// The inverse of [`encode_question`].
///
/// # Errors
/// Whatever the bytes are, an error and no panic.
pub fn decode_question(bytes: &[u8]) -> Result<(RegionSlot, Vec<ItemKey>), VersionsError> {
    let mut reader = opened(bytes)?;
    let tag = reader.u8()?;
    let asker = RegionSlot::new(tag).ok_or(DecodeError::Tag { what: "region", tag })?;
    let count = reader.length()?;
    if count > BATCH_GET_KEYS_MAX {
        return Err(VersionsError::TooMany(count));
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(reader.item_key()?);
    }
    reader.finish()?;
    Ok((asker, keys))
}

/// Answers with what the region has of each key, in the order of the question, and with what it had
/// applied before it looked.
#[must_use]
pub fn encode_answer<'a>(
    applied: &VersionVector,
    rows: impl ExactSizeIterator<Item = (&'a PrimaryKey, Option<&'a Stored>)>,
) -> Vec<u8> {
    let mut out = Writer::new();
    out.u8(FORMAT);
    out.version_vector(applied);
    out.length(rows.len());
    for (key, stored) in rows {
        out.flag(stored.is_some());
        if let Some(stored) = stored {
            out.bytes(&encode_row(key, stored));
        }
    }
    out.into_bytes()
}

/// The inverse of [`encode_answer`], given the keys of the question.
///
/// # Errors
/// Whatever the bytes are, an error and no panic.
pub fn decode_answer(
    bytes: &[u8],
    keys: &[ItemKey],
) -> Result<(VersionVector, Vec<Option<Stored>>), VersionsError> {
    let mut reader = opened(bytes)?;
    let applied = reader.version_vector()?;
    if reader.length()? != keys.len() {
        return Err(VersionsError::Misplaced);
    }
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        if !reader.flag()? {
            rows.push(None);
            continue;
        }
        let (found, stored) = decode_row(reader.bytes()?)?;
        if found != key.primary {
            return Err(VersionsError::Misplaced);
        }
        rows.push(Some(stored));
    }
    reader.finish()?;
    Ok((applied, rows))
}

fn opened(bytes: &[u8]) -> Result<Reader<'_>, VersionsError> {
    let mut reader = Reader::new(bytes);
    match reader.u8()? {
        FORMAT => Ok(reader),
        other => Err(VersionsError::Format(other)),
    }
}
