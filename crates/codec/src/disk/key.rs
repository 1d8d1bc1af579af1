//! Keys whose byte order is the order that reads need.

use std::ops::Bound;

use pangea_core::expr::SortRange;
use pangea_core::id::{Origin, TableId};
use pangea_core::index::{IndexEntry, IndexId};
use pangea_core::item::{ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::time::{Hlc, Stamp};

use super::RowError;
use crate::binary::Reader;

/// Bytes of the hash of a partition key.
const HASH_BYTES: usize = 16;
/// Bytes of a stamp; a table is named by one.
const STAMP_BYTES: usize = 10;
/// Bytes of a table's identity, which is a stamp.
const TABLE_BYTES: usize = STAMP_BYTES;
/// What the entries of the index of tombstones begin with, in the meta space.
const TOMBSTONE: &[u8] = b"tombstone/";
/// What the entries of secondary indexes begin with, in the meta space.
const INDEX: &[u8] = b"index/";
/// Decimal exponents run from -130 - 37 to 125; this makes them positive.
const EXPONENT_BIAS: i32 = 1 << 14;

/// The row key of an item.
#[must_use]
pub fn row(key: &ItemKey) -> Vec<u8> {
    row_in(key.table, &key.primary)
}

/// The row key of an item of `table`.
#[must_use]
pub fn row_in(table: TableId, key: &PrimaryKey) -> Vec<u8> {
    let mut bytes = partition(table, &key.partition);
    if let Some(sort) = &key.sort {
        push_sort(&mut bytes, sort);
    }
    bytes
}

/// What every row key of `table` begins with.
#[must_use]
pub fn table(table: TableId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&table.0.hlc.to_bits().to_be_bytes());
    bytes.extend_from_slice(&table.0.origin.to_bits().to_be_bytes());
    bytes
}

/// The table of a row key.
///
/// # Errors
/// [`RowError`] if it is none.
pub fn table_of(row_key: &[u8]) -> Result<TableId, RowError> {
    Ok(Reader::new(row_key).stamp().map(TableId)?)
}

/// What every row key of a partition begins with.
#[must_use]
pub fn partition(of: TableId, key: &KeyValue) -> Vec<u8> {
    let mut bytes = table(of);
    let mut canonical = Vec::with_capacity(32);
    key.write_canonical(&mut canonical);
    bytes.extend_from_slice(&blake3::hash(&canonical).as_bytes()[..HASH_BYTES]);
    bytes
}

/// The part of an item's row key that names its partition; all of a key that is shorter.
#[must_use]
pub fn partition_of(row_key: &[u8]) -> &[u8] {
    row_key.get(..STAMP_BYTES + HASH_BYTES).unwrap_or(row_key)
}

/// The least key above every key that begins with `prefix`; `None` if there is none.
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return Some(bytes);
        }
    }
    None
}

/// The rows of one partition whose sort keys are within bounds.
#[must_use]
pub fn sort_range(
    partition: &[u8],
    lower: Bound<&KeyValue>,
    upper: Bound<&KeyValue>,
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let at = |sort: &KeyValue| {
        let mut bytes = partition.to_vec();
        push_sort(&mut bytes, sort);
        bytes
    };
    let lower = match lower {
        Bound::Included(sort) => Bound::Included(at(sort)),
        Bound::Excluded(sort) => Bound::Excluded(at(sort)),
        Bound::Unbounded => Bound::Included(partition.to_vec()),
    };
    let upper = match upper {
        Bound::Included(sort) => Bound::Included(at(sort)),
        Bound::Excluded(sort) => Bound::Excluded(at(sort)),
        Bound::Unbounded => after_prefix(partition).map_or(Bound::Unbounded, Bound::Excluded),
    };
    (lower, upper)
}

/// Where segment `index` of `total` equal parts of a table begins; `index == total` is its end.
#[must_use]
pub fn segment(of: TableId, index: u32, total: u32) -> Option<Vec<u8>> {
    part(table(of), index, total)
}

/// Whether a segment of a table has the row of an item.
#[must_use]
pub fn segment_has(of: TableId, (index, total): (u32, u32), item: &PrimaryKey) -> bool {
    let row = row_in(of, item);
    segment(of, index, total).is_none_or(|from| from <= row)
        && segment(of, index + 1, total).is_none_or(|until| row < until)
}

/// Whether a segment of an index has an entry.
#[must_use]
pub fn index_segment_has((index, total): (u32, u32), entry: &IndexEntry) -> bool {
    let (name, _) = index_entry(entry);
    let bound = |part| index_segment(entry.table, entry.index, part, total);
    bound(index).is_none_or(|from| from <= name) && bound(index + 1).is_none_or(|end| name < end)
}

fn part(prefix: Vec<u8>, index: u32, total: u32) -> Option<Vec<u8>> {
    if index >= total {
        return after_prefix(&prefix);
    }
    // The hash is uniform: equal parts of its first 64 bits hold equal shares of the partitions.
    let start = (u128::from(index) << 64).div_ceil(u128::from(total.max(1)));
    let start = u64::try_from(start).unwrap_or(u64::MAX);
    let mut bytes = prefix;
    bytes.extend_from_slice(&start.to_be_bytes());
    Some(bytes)
}

/// The bucket of a row: the first byte of the hash of its partition key, so that a bucket's rows
/// stand together. A key that is too short to be one is of the first.
#[must_use]
pub fn bucket_of(row_key: &[u8]) -> u8 {
    row_key.get(TABLE_BYTES).copied().unwrap_or_default()
}

/// What every row key of a bucket begins with.
#[must_use]
pub fn bucket(of: TableId, bucket: u8) -> Vec<u8> {
    let mut bytes = table(of);
    bytes.push(bucket);
    bytes
}

/// Where the changelog has the versions of one stamp: their keys begin with it.
#[must_use]
pub fn stamp(stamp: Stamp) -> [u8; STAMP_BYTES] {
    let mut bytes = [0; STAMP_BYTES];
    bytes[..2].copy_from_slice(&stamp.origin.to_bits().to_be_bytes());
    bytes[2..].copy_from_slice(&stamp.hlc.to_bits().to_be_bytes());
    bytes
}

/// The changelog key of a version of the item with this row key; the rows of one transaction share
/// their stamp.
#[must_use]
pub fn changelog(of: Stamp, row_key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(STAMP_BYTES + row_key.len());
    bytes.extend_from_slice(&stamp(of));
    bytes.extend_from_slice(row_key);
    bytes
}

/// The inverse of [`changelog`].
#[must_use]
pub fn parse_changelog(bytes: &[u8]) -> Option<(Stamp, &[u8])> {
    let (stamp, row_key) = bytes.split_at_checked(STAMP_BYTES)?;
    let origin = Origin::from_bits(u16::from_be_bytes(stamp.get(..2)?.try_into().ok()?));
    let hlc = Hlc::from_bits(u64::from_be_bytes(stamp.get(2..)?.try_into().ok()?));
    Some((Stamp { hlc, origin }, row_key))
}

/// What every entry of a table in the index of tombstones begins with.
#[must_use]
pub fn tombstones(of: TableId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(TOMBSTONE);
    bytes.extend_from_slice(&table(of));
    bytes
}

/// Where the index of tombstones has the versions of one stamp: their entries begin with it.
#[must_use]
pub fn tombstones_of(table: TableId, of: Stamp) -> Vec<u8> {
    let mut bytes = tombstones(table);
    bytes.extend_from_slice(&stamp(of));
    bytes
}

/// The entry of a version of the item with this row key.
#[must_use]
pub fn tombstone(table: TableId, of: Stamp, row_key: &[u8]) -> Vec<u8> {
    let mut bytes = tombstones_of(table, of);
    // Every row key begins with its table.
    bytes.extend_from_slice(row_key.get(TABLE_BYTES..).unwrap_or_default());
    bytes
}

/// The inverse of [`tombstone`]: the stamp and the row key.
#[must_use]
pub fn parse_tombstone(name: &[u8]) -> Option<(Stamp, Vec<u8>)> {
    let (table, rest) = name.strip_prefix(TOMBSTONE)?.split_at_checked(TABLE_BYTES)?;
    let (stamp, rest) = parse_changelog(rest)?;
    Some((stamp, [table, rest].concat()))
}

/// What every entry of an index begins with.
#[must_use]
pub fn index(of: TableId, index: IndexId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(INDEX);
    bytes.extend_from_slice(&table(of));
    bytes.extend_from_slice(&index.0.to_be_bytes());
    bytes
}

/// What every entry of a partition of an index begins with: the values of its partition key.
#[must_use]
pub fn index_partition(of: TableId, id: IndexId, partition: &[KeyValue]) -> Vec<u8> {
    let mut bytes = index(of, id);
    let mut canonical = Vec::with_capacity(64);
    for value in partition {
        value.write_canonical(&mut canonical);
    }
    bytes.extend_from_slice(&blake3::hash(&canonical).as_bytes()[..HASH_BYTES]);
    bytes
}

/// Where segment `index` of `total` equal parts of an index begins; `index == total` is its end.
#[must_use]
pub fn index_segment(of: TableId, id: IndexId, segment: u32, total: u32) -> Option<Vec<u8>> {
    part(index(of, id), segment, total)
}

/// The name and the value of an entry: the item's row key is what stands behind the table in it.
///
/// Values of a sort key are delimited, so that entries are in the order of the first one, then of
/// the second, and so on, and then in that of the items.
#[must_use]
pub fn index_entry(entry: &IndexEntry) -> (Vec<u8>, Vec<u8>) {
    let mut name = index_partition(entry.table, entry.index, &entry.key.partition);
    entry.key.sort.iter().for_each(|value| push_delimited(&mut name, value));
    let at = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let row_key = row_in(entry.table, &entry.primary);
    name.extend_from_slice(row_key.get(TABLE_BYTES..).unwrap_or_default());
    (name, at.to_be_bytes().into())
}

/// The row key of an entry's item, given the entry's name and value.
#[must_use]
pub fn indexed_row(name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let at = usize::try_from(u32::from_be_bytes(value.try_into().ok()?)).ok()?;
    let table = name.strip_prefix(INDEX)?.get(..TABLE_BYTES)?;
    Some([table, name.get(at..)?].concat())
}

/// The entries of a partition whose first sort values are `exact` and whose next one is within
/// bounds, as [`sort_range`].
#[must_use]
pub fn index_range(
    partition: &[u8],
    exact: &[KeyValue],
    range: &SortRange,
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut prefix = partition.to_vec();
    exact.iter().for_each(|value| push_delimited(&mut prefix, value));
    let at = |value: &KeyValue| {
        let mut bytes = prefix.clone();
        push_delimited(&mut bytes, value);
        bytes
    };
    let behind = |bytes: Vec<u8>| after_prefix(&bytes);
    let upper_of = |bytes: Vec<u8>| behind(bytes).map_or(Bound::Unbounded, Bound::Excluded);
    let lower = match range.lower() {
        Bound::Included(value) if matches!(range, SortRange::BeginsWith(_)) => {
            let mut bytes = prefix.clone();
            push_escaped(&mut bytes, &value);
            Bound::Included(bytes)
        }
        Bound::Included(value) => Bound::Included(at(&value)),
        Bound::Excluded(value) => behind(at(&value)).map_or(Bound::Unbounded, Bound::Included),
        Bound::Unbounded => Bound::Included(prefix.clone()),
    };
    let upper = match range.upper() {
        Bound::Included(value) => upper_of(at(&value)),
        // What begins with a prefix ends before everything that begins with the next one.
        Bound::Excluded(value) if matches!(range, SortRange::BeginsWith(_)) => {
            let mut bytes = prefix.clone();
            push_escaped(&mut bytes, &value);
            Bound::Excluded(bytes)
        }
        Bound::Excluded(value) => Bound::Excluded(at(&value)),
        Bound::Unbounded => upper_of(prefix.clone()),
    };
    (lower, upper)
}

/// The bytes of a value of a sort key, and a mark of their end that is less than any byte that
/// could stand in its place.
fn push_delimited(bytes: &mut Vec<u8>, value: &KeyValue) {
    push_escaped(bytes, value);
    match value {
        KeyValue::S(_) | KeyValue::B(_) => bytes.extend_from_slice(&[0, 1]),
        // Those below zero have an end of their own.
        KeyValue::N(number) if number.mantissa() >= 0 => bytes.push(0),
        KeyValue::N(_) => {}
    }
}

/// A zero in texts and binaries is no end of them.
fn push_escaped(bytes: &mut Vec<u8>, value: &KeyValue) {
    let raw: &[u8] = match value {
        KeyValue::S(text) => text.as_bytes(),
        KeyValue::B(binary) => binary,
        KeyValue::N(number) => return push_number(bytes, *number),
    };
    for &byte in raw {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(u8::MAX);
        }
    }
}

fn push_sort(bytes: &mut Vec<u8>, sort: &KeyValue) {
    match sort {
        KeyValue::S(text) => bytes.extend_from_slice(text.as_bytes()),
        KeyValue::B(binary) => bytes.extend_from_slice(binary),
        KeyValue::N(number) => push_number(bytes, *number),
    }
}

/// Sign, then magnitude, then digits; all inverted for negative numbers. Trailing zeros are never
/// there, so of two numbers with a common beginning the longer one is the greater in magnitude.
fn push_number(bytes: &mut Vec<u8>, number: Number) {
    let mantissa = number.mantissa();
    if mantissa == 0 {
        return bytes.push(1);
    }
    let digits = mantissa.unsigned_abs().to_string();
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let exponent = i32::from(number.exponent()) + length + EXPONENT_BIAS;
    let exponent = u16::try_from(exponent).unwrap_or(u16::MAX);
    let magnitude = exponent.to_be_bytes().into_iter().chain(digits.bytes());
    if mantissa > 0 {
        bytes.push(2);
        bytes.extend(magnitude);
    } else {
        bytes.push(0);
        bytes.extend(magnitude.map(|byte| !byte));
        bytes.push(u8::MAX);
    }
}
