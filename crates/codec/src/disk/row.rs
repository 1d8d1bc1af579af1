//! Item rows: the full key, the version shown, and what the region has seen.
//!
//! Payload: flags 1, partition key, sort key, stamp (reading 8, origin 2), attributes if live, the
//! context, and `seen` unless it equals the context. What reads need stands in front, so that they
//! stop there.

use pangea_core::id::Origin;
use pangea_core::item::{Attributes, PrimaryKey};
use pangea_core::merge::{Body, Stored, Version, VersionVector};
use pangea_core::time::{Hlc, Stamp};

use super::bytes::{Reader, put_varint, put_zigzag};
use super::value::{TooDeep, encode_attributes, put_key, read_attributes, read_key};
use super::{Corrupt, seal, unseal, unsealed};

/// Item row, version 1.
const MARKER: u8 = 0x11;

const LIVE: u8 = 1;
const CONDITIONAL: u8 = 2;
/// `seen` follows, because it differs from the context.
const SEEN: u8 = 4;

/// What a read needs of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The full key.
    pub key: PrimaryKey,
    /// The version shown.
    pub stamp: Stamp,
    /// Its attributes; `None` if the item is deleted.
    pub attributes: Option<Attributes>,
}

/// The sealed row of an item.
///
/// # Errors
///
/// [`TooDeep`] if the attributes nest deeper than a row may.
pub fn encode_item(key: &PrimaryKey, stored: &Stored) -> Result<Vec<u8>, TooDeep> {
    let Stored { seen, version } = stored;
    let mut out = unsealed(MARKER, 256);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let attributes = version.body.attributes();
    let flags = flag(attributes.is_some(), LIVE)
        | flag(version.conditional, CONDITIONAL)
        | flag(*seen != version.context, SEEN);
    out.push(flags);
    put_key(&mut out, Some(&key.partition));
    put_key(&mut out, key.sort.as_ref());
    out.extend_from_slice(&version.stamp.hlc.to_bits().to_be_bytes());
    out.extend_from_slice(&version.stamp.origin.to_bits().to_be_bytes());
    if let Some(attributes) = attributes {
        encode_attributes(&mut out, attributes)?;
    }
    put_vector(&mut out, &version.context, version.stamp.hlc);
    if flags & SEEN != 0 {
        put_vector(&mut out, seen, version.stamp.hlc);
    }
    Ok(seal(out))
}

/// The whole row.
///
/// # Errors
///
/// The checksum does not match, or the bytes are no item row.
pub fn decode_stored(value: &[u8]) -> Result<(PrimaryKey, Stored), Corrupt> {
    let mut reader = Reader(unseal(MARKER, value)?);
    let (flags, item) = read_item(&mut reader)?;
    let stamp = item.stamp;
    let context = read_vector(&mut reader, stamp.hlc)?;
    let seen = match flags & SEEN {
        0 => context.clone(),
        _ => read_vector(&mut reader, stamp.hlc)?,
    };
    if flags & SEEN != 0 && seen == context {
        return Err(Corrupt("seen is spelled though it equals the context"));
    }
    reader.end()?;
    let body = item.attributes.map_or(Body::Tombstone, Body::Live);
    let version = Version { stamp, context, body, conditional: flags & CONDITIONAL != 0 };
    Ok((item.key, Stored { seen, version }))
}

/// What a read needs, without building vectors.
///
/// # Errors
///
/// The checksum does not match, or the bytes are no item row as far as they were looked at.
pub fn decode_item(value: &[u8]) -> Result<Item, Corrupt> {
    let mut reader = Reader(unseal(MARKER, value)?);
    read_item(&mut reader).map(|(_, item)| item)
}

/// The full key alone: what an index entry needs of the row that it points at.
///
/// # Errors
///
/// The checksum does not match, or the bytes are no item row as far as they were looked at.
pub fn decode_key(value: &[u8]) -> Result<PrimaryKey, Corrupt> {
    let mut reader = Reader(unseal(MARKER, value)?);
    read_head(&mut reader).map(|(_, key)| key)
}

fn read_head(reader: &mut Reader<'_>) -> Result<(u8, PrimaryKey), Corrupt> {
    let flags = reader.byte()?;
    if flags & !(LIVE | CONDITIONAL | SEEN) != 0 {
        return Err(Corrupt("unknown flags"));
    }
    let partition = read_key(reader)?.ok_or(Corrupt("no partition key"))?;
    Ok((flags, PrimaryKey { partition, sort: read_key(reader)? }))
}

fn read_item(reader: &mut Reader<'_>) -> Result<(u8, Item), Corrupt> {
    let (flags, key) = read_head(reader)?;
    let hlc = Hlc::from_bits(u64::from_be_bytes(reader.array()?));
    let origin = Origin::from_bits(u16::from_be_bytes(reader.array()?));
    let attributes = match flags & LIVE {
        0 => None,
        _ => Some(read_attributes(reader)?),
    };
    Ok((flags, Item { key, stamp: Stamp { hlc, origin }, attributes }))
}

/// A count, then of each entry the origin and the distance to the version's own reading, which is
/// short where writes are close in time and zero for the version itself.
fn put_vector(out: &mut Vec<u8>, vector: &VersionVector, base: Hlc) {
    let entries = vector.iter();
    put_varint(out, entries.len() as u128);
    for (origin, hlc) in entries {
        out.extend_from_slice(&origin.to_bits().to_be_bytes());
        put_zigzag(out, i128::from(base.to_bits()) - i128::from(hlc.to_bits()));
    }
}

fn read_vector(reader: &mut Reader<'_>, base: Hlc) -> Result<VersionVector, Corrupt> {
    let count = reader.count()?;
    let mut entries: Vec<(Origin, Hlc)> = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let origin = Origin::from_bits(u16::from_be_bytes(reader.array()?));
        let bits = i128::from(base.to_bits()).checked_sub(reader.zigzag()?);
        let bits = bits.and_then(|bits| u64::try_from(bits).ok());
        let hlc = Hlc::from_bits(bits.ok_or(Corrupt("reading out of range"))?);
        if entries.last().is_some_and(|(last, _)| *last >= origin) {
            return Err(Corrupt("vector out of order"));
        }
        entries.push((origin, hlc));
    }
    Ok(VersionVector::from_entries(entries))
}
