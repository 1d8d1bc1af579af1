//! Fingerprints: what a region has of a table, in a few numbers that are equal where the rows are.
//!
//! A table's items fall into [`BUCKETS`] by a hash of their partition keys. The fingerprint of a
//! bucket is the sum, modulo 2^128, of one number to every version that its rows keep, so that a
//! write costs a subtraction and an addition in the batch that it makes anyway, and order does not
//! matter. What is hashed is what replicas have in common once they have applied the same: key,
//! stamp, content. What a version had seen is left out, because cold rows forget it at different
//! times; an item that is deleted in all its versions counts as absent, because regions collect
//! tombstones at different times.
//!
//! Deliberately absent: cryptography. Fingerprints find damage and bugs, not forgeries; whoever can
//! choose what regions store need not forge it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::mem::discriminant;

use crate::id::TableId;
use crate::item::{AttributeValue, PrimaryKey};
use crate::merge::{Body, Origins, Stored, Version};
use crate::time::Stamp;

/// Buckets of a table: of a million items each has four thousand.
pub const BUCKETS: usize = 256;

/// What the numbers below mean; a change of any of them needs another one, and stores rebuild
/// theirs.
pub const FORMAT: u8 = 2;

/// The fingerprints of buckets; one that is not there is zero, that of no rows.
pub type Fingerprints = BTreeMap<(TableId, u8), u128>;

/// Whether a table has fingerprints. The ledger has none: each region trims its own. Nor has what
/// is set aside, which is in one region alone.
#[must_use]
pub fn covers(table: TableId) -> bool {
    table != TableId::LEDGER && table != TableId::ASIDE
}

/// What an item's row adds to its bucket; nothing if readers cannot see it in any version.
#[must_use]
pub fn of_item(key: &PrimaryKey, stored: &Stored) -> u128 {
    if stored.versions.iter().all(|version| version.body.is_deletion()) {
        return 0;
    }
    let versions = stored.versions.iter().map(|version| of_version(key, version));
    versions.fold(0, u128::wrapping_add)
}

/// The number of one version.
#[must_use]
pub fn of_version(key: &PrimaryKey, version: &Version) -> u128 {
    let mut mixer = begun(key, version.stamp, version.origins);
    version.body.hash(&mut mixer);
    mixer.sum()
}

/// What stands before the body.
fn begun(key: &PrimaryKey, stamp: Stamp, origins: Origins) -> Mixer {
    let mut mixer = Mixer::new();
    key.hash(&mut mixer);
    stamp.hash(&mut mixer);
    let Origins { conditional, rows, epoch, place, expired } = origins;
    (conditional, rows, epoch, place).hash(&mut mixer);
    // Where it says nothing, the numbers are those from before there was such a flag.
    if expired {
        expired.hash(&mut mixer);
    }
    mixer
}

/// The number of a version that is attributes, told one by one: what [`of_version`] says of them
/// together.
#[derive(Debug)]
pub struct Teller(Mixer);

impl Teller {
    /// Of a version that has so many attributes.
    #[must_use]
    pub fn new(key: &PrimaryKey, stamp: Stamp, origins: Origins, attributes: usize) -> Self {
        let mut mixer = begun(key, stamp, origins);
        // As the derived code does: the variant, and how many entries a map has.
        discriminant(&Body::Live(Arc::default())).hash(&mut mixer);
        mixer.write_usize(attributes);
        Self(mixer)
    }

    /// The next attribute's name, as UTF-8.
    pub fn name(&mut self, name: &[u8]) {
        self.0.write_text(name);
    }

    /// Its value, if it is a text, as UTF-8.
    pub fn text(&mut self, text: &[u8]) {
        discriminant(&AttributeValue::S(String::new())).hash(&mut self.0);
        self.0.write_text(text);
    }

    /// Its value, if it is bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        discriminant(&AttributeValue::B(Vec::new())).hash(&mut self.0);
        bytes.hash(&mut self.0);
    }

    /// Its value, whatever it is.
    pub fn value(&mut self, value: &AttributeValue) {
        value.hash(&mut self.0);
    }

    /// The number.
    #[must_use]
    pub fn sum(self) -> u128 {
        self.0.sum()
    }
}

/// A bucket for stores that keep rows in the order of their keys; others have their own.
#[must_use]
pub fn bucket(key: &PrimaryKey) -> u8 {
    let mut mixer = Mixer::new();
    key.partition.hash(&mut mixer);
    mixer.sum().to_be_bytes()[0]
}

/// What tells a place in a store from others, see [`crate::replica::Snapshot::place`], and nobody
/// which item is there.
#[must_use]
pub fn of_place(place: &[u8]) -> u128 {
    let mut mixer = Mixer::new();
    place.hash(&mut mixer);
    mixer.sum()
}

/// Two lanes of multiplications to 128 bits, folded, of two words of input at a time: the
/// construction of wyhash. What goes in is the same on every machine: integers in little-endian
/// order, lengths as 64 bits.
#[derive(Debug)]
struct Mixer {
    lanes: [u64; 2],
    words: u64,
}

/// Odd, with as many ones as zeros: the fractions of the square roots of 2, 3, 5 and 7.
const SECRET: [u64; 4] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

impl Mixer {
    const fn new() -> Self {
        Self { lanes: [SECRET[0], SECRET[1]], words: 0 }
    }

    fn word(&mut self, word: u64) {
        self.pair(word, word.rotate_left(32));
    }

    fn pair(&mut self, a: u64, b: u64) {
        self.words = self.words.wrapping_add(1);
        let [one, other] = self.lanes;
        self.lanes = [
            folded(one ^ a, SECRET[2]) ^ other.rotate_left(23),
            folded(other ^ b, SECRET[3]).wrapping_add(one),
        ];
    }

    /// As `str` does.
    fn write_text(&mut self, text: &[u8]) {
        self.write(text);
        self.write_u8(u8::MAX);
    }

    /// One lane's bits depend on the other's only after two more rounds.
    fn sum(mut self) -> u128 {
        self.word(self.words);
        self.word(SECRET[0]);
        self.word(SECRET[1]);
        (u128::from(self.lanes[0]) << 64) | u128::from(self.lanes[1])
    }
}

#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are used")]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ ((product >> 64) as u64)
}

fn halves(bytes: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*bytes);
    (low(both), low(both >> 64))
}

#[expect(clippy::cast_possible_truncation, reason = "the other half is taken by itself")]
fn low(both: u128) -> u64 {
    both as u64
}

/// Fewer than 8 bytes as the low ones of a word. Most of what is hashed is short names, for which
/// a copy into a buffer would be a call.
fn short(bytes: &[u8]) -> u64 {
    let at = |at: usize| u64::from(bytes[at]) << (8 * at);
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | (u64::from(last) << (8 * (bytes.len() - 4)))
        }
        _ if bytes.is_empty() => 0,
        _ => at(0) | at(bytes.len() / 2) | at(bytes.len() - 1),
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.lanes[0]
    }

    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<16>();
        chunks.iter().map(halves).for_each(|(a, b)| self.pair(a, b));
        let a = match rest.split_first_chunk::<8>() {
            Some((first, more)) => {
                if !more.is_empty() {
                    self.word(short(more));
                }
                u64::from_le_bytes(*first)
            }
            None => short(rest),
        };
        self.pair(a, bytes.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.word(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    fn write_u128(&mut self, value: u128) {
        self.write(&value.to_le_bytes());
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    fn write_i8(&mut self, value: i8) {
        self.write_u8(value.cast_unsigned());
    }

    fn write_i16(&mut self, value: i16) {
        self.write_u16(value.cast_unsigned());
    }

    fn write_i32(&mut self, value: i32) {
        self.write_u32(value.cast_unsigned());
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value.cast_unsigned());
    }

    fn write_i128(&mut self, value: i128) {
        self.write_u128(value.cast_unsigned());
    }

    fn write_isize(&mut self, value: isize) {
        self.word(value.cast_unsigned() as u64);
    }
}

#[cfg(test)]
mod tests;
