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

/// Records begin at multiples of this, bytes: writing one touches no page of the one before.
pub const ALIGN: usize = 4096;
/// Bytes of a record before its changes.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a change before its key.
const CHANGE_BYTES: usize = 10;
const MAGIC: [u8; 8] = *b"pangeawl";

/// A record being made; used again for the next one.
#[derive(Debug)]
pub struct Builder(Vec<u8>);

impl Default for Builder {
    fn default() -> Self {
        Self(vec![0; HEADER_BYTES])
    }
}

impl Builder {
    /// Adds a row that is put, or removed if it has no value.
    ///
    /// # Panics
    /// A key or a value is 4 GB or longer.
    pub fn push(&mut self, space: u8, key: &[u8], value: Option<&[u8]>) {
        let len =
            |bytes: &[u8]| u32::try_from(bytes.len()).expect("rows are shorter").to_le_bytes();
        let bytes = value.unwrap_or_default();
        self.0.extend_from_slice(&[space, u8::from(value.is_some())]);
        self.0.extend_from_slice(&len(key));
        self.0.extend_from_slice(&len(bytes));
        self.0.extend_from_slice(key);
        self.0.extend_from_slice(bytes);
    }

    /// The record of a commit, up to where the next one begins.
    ///
    /// # Panics
    /// The changes are 4 GB or longer.
    pub fn finish(&mut self, salt: u64, number: u64) -> &[u8] {
        let (header, changes) = self.0.split_at_mut(HEADER_BYTES);
        let len = u32::try_from(changes.len()).expect("commits are shorter");
        header[..8].copy_from_slice(&MAGIC);
        header[8..16].copy_from_slice(&salt.to_le_bytes());
        header[16..24].copy_from_slice(&number.to_le_bytes());
        header[24..28].copy_from_slice(&len.to_le_bytes());
        header[28..32].copy_from_slice(&crc32fast::hash(changes).to_le_bytes());
        let sum = crc32fast::hash(&header[..36]);
        header[36..].copy_from_slice(&sum.to_le_bytes());
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        &self.0
    }

    /// Begins the next record, keeping the memory.
    pub fn clear(&mut self) {
        self.0.truncate(HEADER_BYTES);
    }
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
        let mut rest = self.changes;
        std::iter::from_fn(move || {
            let (&[space, puts], after) = rest.split_first_chunk::<2>()?;
            let (key_len, after) = after.split_first_chunk::<4>()?;
            let (value_len, after) = after.split_first_chunk::<4>()?;
            let len = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
            let (key, after) = after.split_at_checked(len(key_len)?)?;
            let (value, after) = after.split_at_checked(len(value_len)?)?;
            rest = after;
            (puts <= 1).then_some((space, key, (puts == 1).then_some(value)))
        })
    }
}

fn size((_, key, value): &Change<'_>) -> usize {
    CHANGE_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 7;

    fn record() -> Vec<u8> {
        let mut builder = Builder::default();
        builder.push(0, b"key", Some(b"value"));
        builder.push(1, b"gone", None);
        builder.push(2, b"", Some(&[9; 5000]));
        builder.finish(SALT, 5).to_vec()
    }

    #[test]
    fn a_record_says_what_was_committed() {
        let bytes = record();
        let parsed = Record::parse(&bytes, SALT).expect("whole");
        assert_eq!((parsed.number, parsed.bytes()), (5, bytes.len()));
        assert_eq!(bytes.len(), 8192);
        let changes: Vec<_> = parsed.changes().collect();
        let expected: [Change<'_>; 3] =
            [(0, b"key", Some(b"value")), (1, b"gone", None), (2, b"", Some(&[9; 5000]))];
        assert_eq!(changes, expected);
        assert_eq!(Record::parse(&bytes, SALT + 1), None, "of another database");
        let mut builder = Builder::default();
        builder.push(1, b"x", None);
        builder.finish(SALT, 1);
        builder.clear();
        let empty = Record::parse(builder.finish(SALT, 2), SALT).expect("whole");
        assert_eq!((empty.number, empty.changes().count()), (2, 0));
    }

    /// The format is on users' disks.
    #[test]
    fn the_bytes_of_a_record_are_these() {
        let mut builder = Builder::default();
        builder.push(1, b"k", Some(b"ab"));
        let hex: String =
            builder.finish(SALT, 0x0102)[..54].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "70616e676561776c070000000000000002010000000000000d000000d2638e84000000001eb9cf600101010000\
             00020000006b616200"
        );
    }

    #[test]
    fn a_record_with_any_bit_flipped_is_none() {
        let bytes = record();
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
