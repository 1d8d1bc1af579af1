//! Disk rows: how a region's state is spelled in its storage engine.
//!
//! | space     | key                                       | value                                  |
//! |-----------|-------------------------------------------|----------------------------------------|
//! | items     | table 10, partition hash 16, ordered sort | sealed item row ([`encode_item`])       |
//! | changelog | origin 2, reading 8                       | the item's row key, bare               |
//! | meta      | name ([`meta`])                           | sealed record                          |
//!
//! All integers of keys are big-endian, so that byte order is the order of stamps. A sealed value is
//! `marker 1, crc32 4, payload`: the marker names the format and its version, the checksum covers
//! marker and payload. A value is decoded only after its checksum held, but no decoder trusts that:
//! any bytes give a value or [`Corrupt`], never a panic, and no allocation beyond their length.

mod bytes;
mod key;
pub mod meta;
mod row;
mod value;

pub use key::{
    PARTITION_BYTES, ROW_KEY_PREFIX_BYTES, TABLE_BYTES, changelog_key, partition_prefix,
    read_changelog_key, read_table, row_key, segment_start, sort_bytes, table_prefix,
};
pub use row::{Item, decode_item, decode_key, decode_stored, encode_item};
pub use value::{DEPTH_MAX, TooDeep, decode_attributes, encode_attributes};

/// Bytes that are not what their place says; the text is the reason, without the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Corrupt(pub &'static str);

/// Bytes of marker and checksum in front of a sealed payload.
pub const SEAL_BYTES: usize = 5;

/// Starts a value of the format `marker`; the checksum is left open until [`seal`].
fn unsealed(marker: u8, capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity + SEAL_BYTES);
    out.push(marker);
    out.extend_from_slice(&[0; 4]);
    out
}

/// Fills in the checksum of a value that [`unsealed`] started.
fn seal(mut value: Vec<u8>) -> Vec<u8> {
    let crc = checksum(value[0], &value[SEAL_BYTES..]);
    value[1..SEAL_BYTES].copy_from_slice(&crc.to_be_bytes());
    value
}

/// The payload of a sealed value of the format `marker`.
fn unseal(marker: u8, value: &[u8]) -> Result<&[u8], Corrupt> {
    let (head, payload) = value.split_at_checked(SEAL_BYTES).ok_or(Corrupt("truncated"))?;
    let crc = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if checksum(head[0], payload) != crc {
        return Err(Corrupt("checksum does not match"));
    }
    if head[0] != marker {
        return Err(Corrupt("unknown format marker"));
    }
    Ok(payload)
}

fn checksum(marker: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[marker]);
    hasher.update(payload);
    hasher.finalize()
}
