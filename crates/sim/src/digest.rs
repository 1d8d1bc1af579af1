//! What a run amounts to, in one number: equal seeds must give equal digests.

use std::hash::Hasher;

/// FNV-1a over words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub(crate) fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        // Words differ in their high bits too, which a multiplication alone never moves down.
        self.0 ^= self.0 >> 32;
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

/// For names that live no longer than a run.
impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        let tail = rest.iter().fold(0, |tail, &byte| tail << 8 | u64::from(byte));
        self.add(tail);
    }
}
