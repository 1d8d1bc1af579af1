//! Row keys: ordered bytes from typed keys.
//!
//! Items of a partition stand together, in the order of their sort keys; partitions stand in the
//! order of a hash, so that parallel segments are even and a key's length is bounded whatever the
//! partition key. The hash cannot be inverted: the full key stands in the row.

use pangea_core::id::{Origin, TableId};
use pangea_core::item::{ItemKey, KeyValue, Number};
use pangea_core::time::{Hlc, Stamp};

use super::Corrupt;

/// Bytes of a table's identity in a row key: reading 8, origin 2.
pub const TABLE_BYTES: usize = 10;
/// Bytes of the partition key's hash: 128 bits, so that a collision among 10^12 partitions of a
/// table has a chance of 10^-15. A read compares the full key nevertheless.
pub const PARTITION_BYTES: usize = 16;
/// Bytes in front of the ordered sort key.
pub const ROW_KEY_PREFIX_BYTES: usize = TABLE_BYTES + PARTITION_BYTES;

/// Digits of a number, two to a byte.
const DIGIT_PAIRS: usize = 19;
/// Added to the power of ten of the leading digit (-130 to 125), so that it fits a byte.
const MAGNITUDE_BIAS: i32 = 130;

/// The row key of an item.
#[must_use]
pub fn row_key(key: &ItemKey) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROW_KEY_PREFIX_BYTES + 32);
    out.extend_from_slice(&partition_prefix(key.table, &key.primary.partition));
    if let Some(sort) = &key.primary.sort {
        write_sort(&mut out, sort);
    }
    out
}

/// What the row keys of all items of a table start with.
#[must_use]
pub fn table_prefix(table: TableId) -> [u8; TABLE_BYTES] {
    write_stamp(table.0.hlc, table.0.origin)
}

/// What the row keys of all items of a partition start with.
#[must_use]
pub fn partition_prefix(table: TableId, partition: &KeyValue) -> [u8; ROW_KEY_PREFIX_BYTES] {
    let mut prefix = [0; ROW_KEY_PREFIX_BYTES];
    prefix[..TABLE_BYTES].copy_from_slice(&table_prefix(table));
    prefix[TABLE_BYTES..].copy_from_slice(&partition_hash(partition));
    prefix
}

/// Where segment `segment` of `total` of a parallel scan begins: the hash space, cut evenly.
///
/// `segment` may equal `total`, which is past the last segment; then there is no such key.
#[must_use]
pub fn segment_start(table: TableId, segment: u32, total: u32) -> Option<Vec<u8>> {
    assert!(segment <= total && total > 0, "a segment lies within its scan");
    let cut = (u128::from(segment) << 64).div_ceil(u128::from(total));
    let cut = u64::try_from(cut).ok()?;
    let mut start = Vec::from(table_prefix(table));
    start.extend_from_slice(&cut.to_be_bytes());
    Some(start)
}

/// Bytes in the order of sort keys: of strings and binaries their bytes, of numbers a form whose
/// byte order is numeric.
#[must_use]
pub fn sort_bytes(sort: &KeyValue) -> Vec<u8> {
    let mut out = Vec::new();
    write_sort(&mut out, sort);
    out
}

/// The changelog key of a stamp: an origin's stamps stand together, in order.
#[must_use]
pub fn changelog_key(stamp: Stamp) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&stamp.origin.to_bits().to_be_bytes());
    key[2..].copy_from_slice(&stamp.hlc.to_bits().to_be_bytes());
    key
}

/// The stamp of a changelog key.
///
/// # Errors
///
/// The key has not the length of one.
pub fn read_changelog_key(key: &[u8]) -> Result<Stamp, Corrupt> {
    let key: [u8; 10] = key.try_into().map_err(|_| Corrupt("changelog key has a wrong length"))?;
    let [o0, o1, hlc @ ..] = key;
    let origin = Origin::from_bits(u16::from_be_bytes([o0, o1]));
    Ok(Stamp { hlc: Hlc::from_bits(u64::from_be_bytes(hlc)), origin })
}

/// The table of a row key.
///
/// # Errors
///
/// The key is shorter than any row key.
pub fn read_table(row_key: &[u8]) -> Result<TableId, Corrupt> {
    if row_key.len() < ROW_KEY_PREFIX_BYTES {
        return Err(Corrupt("row key is too short"));
    }
    let (&hlc, rest) = row_key.split_first_chunk().ok_or(Corrupt("row key is too short"))?;
    let (&origin, _) = rest.split_first_chunk().ok_or(Corrupt("row key is too short"))?;
    let origin = Origin::from_bits(u16::from_be_bytes(origin));
    Ok(TableId(Stamp { hlc: Hlc::from_bits(u64::from_be_bytes(hlc)), origin }))
}

fn write_stamp(hlc: Hlc, origin: Origin) -> [u8; TABLE_BYTES] {
    let mut out = [0; TABLE_BYTES];
    out[..8].copy_from_slice(&hlc.to_bits().to_be_bytes());
    out[8..].copy_from_slice(&origin.to_bits().to_be_bytes());
    out
}

/// The kind, then the ordered bytes: injective, because the value is the last thing hashed.
fn partition_hash(partition: &KeyValue) -> [u8; PARTITION_BYTES] {
    let mut canonical = Vec::with_capacity(64);
    canonical.push(match partition {
        KeyValue::S(_) => b'S',
        KeyValue::N(_) => b'N',
        KeyValue::B(_) => b'B',
    });
    write_sort(&mut canonical, partition);
    let mut hash = [0; PARTITION_BYTES];
    hash.copy_from_slice(&blake3::hash(&canonical).as_bytes()[..PARTITION_BYTES]);
    hash
}

fn write_sort(out: &mut Vec<u8>, sort: &KeyValue) {
    match sort {
        KeyValue::S(text) => out.extend_from_slice(text.as_bytes()),
        KeyValue::B(bytes) => out.extend_from_slice(bytes),
        KeyValue::N(number) => write_ordered(out, *number),
    }
}

/// Sign, power of ten of the leading digit, digits in pairs without trailing zeros.
///
/// A negative number is the complement of its magnitude, and ends in a byte greater than any pair,
/// because of two that begin alike the longer is the smaller. A pair is kept as 1 to 100, so that
/// its complement cannot be that byte.
fn write_ordered(out: &mut Vec<u8>, number: Number) {
    let mantissa = number.mantissa();
    if mantissa == 0 {
        return out.push(1);
    }
    let magnitude = mantissa.unsigned_abs();
    let digits = magnitude.ilog10() + 1;
    let leading = i32::from(number.exponent()) + digits.cast_signed() - 1 + MAGNITUDE_BIAS;
    let leading = u8::try_from(leading).expect("a number's range is 256 powers of ten");
    let mut rest = magnitude * 10u128.pow(38 - digits);
    let mut pairs = [0u8; DIGIT_PAIRS];
    for pair in pairs.iter_mut().rev() {
        *pair = u8::try_from(rest % 100).expect("a remainder by 100 fits a byte") + 1;
        rest /= 100;
    }
    let used = pairs.iter().rposition(|&pair| pair != 1).map_or(0, |last| last + 1);
    if mantissa > 0 {
        out.extend_from_slice(&[2, leading]);
        out.extend_from_slice(&pairs[..used]);
    } else {
        out.extend_from_slice(&[0, !leading]);
        out.extend(pairs[..used].iter().map(|pair| !pair));
        out.push(0xff);
    }
}

#[cfg(test)]
mod tests;
