//! Records of a write-ahead log: each is one commit, the rows that it puts and removes.
//!
//! A record begins at a multiple of [`ALIGN`] bytes of its file, all integers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `pangeawl` |
//! | 8 | salt: that of the database, so that no bytes that users store can pass for a record |
//! | 8 | number of the commit: every commit before that one was durable when this one was written |
//! | 4 | bytes of changes that follow the header |
//! | 4 | CRC-32 of these |
//! | 4 | zero |
//! | 4 | CRC-32 of the header before this field |
//!
//! Each change is its space (1), 1 if a row is put and 0 if it is removed (1), the lengths of key
//! (4) and value (4), key and value. Zeros follow up to the next record.

use std::ops::Range;

/// Records begin at multiples of this, bytes: writing one touches no page of the one before.
pub const ALIGN: usize = 4096;
/// Bytes of a record before its changes.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a change before its key.
const CHANGE_BYTES: usize = 10;
const MAGIC: [u8; 8] = *b"pangeawl";

/// The record of a commit, up to where the next one begins.
///
/// # Panics
/// The changes are 4 GB or longer.
pub fn record<'c>(
    salt: u64,
    number: u64,
    changes: impl Iterator<Item = Change<'c>> + Clone,
) -> Vec<u8> {
    let bytes = HEADER_BYTES + changes.clone().map(|change| size(&change)).sum::<usize>();
    let mut record = Vec::with_capacity(bytes.next_multiple_of(ALIGN));
    record.extend_from_slice(&[0; HEADER_BYTES]);
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("rows are shorter").to_le_bytes();
    for (space, key, value) in changes {
        let bytes = value.unwrap_or_default();
        record.extend_from_slice(&[space, u8::from(value.is_some())]);
        record.extend_from_slice(&len(key));
        record.extend_from_slice(&len(bytes));
        record.extend_from_slice(key);
        record.extend_from_slice(bytes);
    }
    let (header, changes) = record.split_at_mut(HEADER_BYTES);
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&salt.to_le_bytes());
    header[16..24].copy_from_slice(&number.to_le_bytes());
    header[24..28].copy_from_slice(&len(changes));
    header[28..32].copy_from_slice(&crc32fast::hash(changes).to_le_bytes());
    let sum = crc32fast::hash(&header[..36]);
    header[36..].copy_from_slice(&sum.to_le_bytes());
    record.resize(record.len().next_multiple_of(ALIGN), 0);
    record
}

/// A record that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The number of the commit.
    pub number: u64,
    changes: &'a [u8],
}

/// A row that is put, or removed if it has no value: its space, key and value.
pub type Change<'a> = (u8, &'a [u8], Option<&'a [u8]>);

/// A change by where in its record its key and its value stand.
pub type Place = (u8, Range<usize>, Option<Range<usize>>);

impl<'a> Record<'a> {
    /// The record that begins at the first of some bytes, if one of this `salt` does and is whole.
    #[must_use]
    pub fn parse(bytes: &'a [u8], salt: u64) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight"));
        let half = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four"));
        let is_ours = header[..8] == MAGIC && word(8) == salt;
        if !is_ours || half(36) != crc32fast::hash(&header[..36]) {
            return None;
        }
        let changes = rest.get(..usize::try_from(half(24)).ok()?)?;
        let record = Self { number: word(16), changes };
        let is_whole = half(28) == crc32fast::hash(changes)
            && record.changes().map(|change| size(&change)).sum::<usize>() == changes.len();
        is_whole.then_some(record)
    }

    /// Bytes from its beginning to where the next one may begin.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (HEADER_BYTES + self.changes.len()).next_multiple_of(ALIGN)
    }

    /// Its changes in their order.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        let changes = self.changes;
        places_in(changes, 0).map(move |(space, key, value)| {
            (space, &changes[key], value.map(|value| &changes[value]))
        })
    }
}

/// The number of the commit of a record that is whole, and where its changes stand in its bytes.
#[must_use]
pub fn places(record: &[u8]) -> Option<(u64, impl Iterator<Item = Place>)> {
    let number = u64::from_le_bytes(*record.get(16..)?.first_chunk()?);
    let len = u32::from_le_bytes(*record.get(24..)?.first_chunk()?);
    let changes = record.get(HEADER_BYTES..)?.get(..usize::try_from(len).ok()?)?;
    Some((number, places_in(changes, HEADER_BYTES)))
}

/// Where changes stand, and what is said of them, if `base` bytes come before; to the first that is
/// none.
fn places_in(changes: &[u8], base: usize) -> impl Iterator<Item = Place> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let (&[space, puts], after) = rest.split_first_chunk::<2>()?;
        let (key_len, after) = after.split_first_chunk::<4>()?;
        let (value_len, after) = after.split_first_chunk::<4>()?;
        let len = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
        let begin = base + changes.len() - after.len();
        let (_, behind_key) = after.split_at_checked(len(key_len)?)?;
        let (_, behind) = behind_key.split_at_checked(len(value_len)?)?;
        rest = behind;
        let (middle, end) = (begin + len(key_len)?, base + changes.len() - behind.len());
        (puts <= 1).then_some((space, begin..middle, (puts == 1).then_some(middle..end)))
    })
}

fn size((_, key, value): &Change<'_>) -> usize {
    CHANGE_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 7;

    const CHANGES: [Change<'_>; 3] =
        [(0, b"key", Some(b"value")), (1, b"gone", None), (2, b"", Some(&[9; 5000]))];

    fn some_record() -> Vec<u8> {
        record(SALT, 5, CHANGES.into_iter())
    }

    #[test]
    fn a_record_says_what_was_committed() {
        let bytes = some_record();
        let parsed = Record::parse(&bytes, SALT).expect("whole");
        assert_eq!((parsed.number, parsed.bytes()), (5, bytes.len()));
        assert_eq!(bytes.len(), 8192);
        let changes: Vec<_> = parsed.changes().collect();
        assert_eq!(changes, CHANGES);
        let (number, placed) = places(&bytes).expect("whole");
        let placed = placed.map(|(_, key, value)| (&bytes[key], value.map(|it| &bytes[it])));
        assert_eq!(number, 5);
        assert!(placed.eq(CHANGES.into_iter().map(|(_, key, value)| (key, value))));
        assert_eq!(Record::parse(&bytes, SALT + 1), None, "of another database");
        let bytes = record(SALT, 2, std::iter::empty());
        let empty = Record::parse(&bytes, SALT).expect("whole");
        assert_eq!((empty.number, empty.changes().count()), (2, 0));
    }

    /// The format is on users' disks.
    #[test]
    fn the_bytes_of_a_record_are_these() {
        let bytes = record(SALT, 0x0102, [(1, &b"k"[..], Some(&b"ab"[..]))].into_iter());
        let hex: String = bytes[..54].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "70616e676561776c070000000000000002010000000000000d000000d2638e84000000001eb9cf600101010000\
             00020000006b616200"
        );
    }

    #[test]
    fn a_record_with_any_bit_flipped_is_none() {
        let bytes = some_record();
        let used = HEADER_BYTES + 3 * CHANGE_BYTES + 3 + 5 + 4 + 5000;
        for bit in (0..used * 8).filter(|bit| bit % 7 == 0 || *bit < HEADER_BYTES * 8) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::parse(&flipped, SALT).is_none(), "bit {bit}");
        }
        for len in [0, 8, HEADER_BYTES, used - 1] {
            assert!(Record::parse(&bytes[..len], SALT).is_none(), "{len} bytes");
        }
    }
}
