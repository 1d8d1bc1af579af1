//! Version vectors.

use core::fmt;

use alloc::vec::Vec;

use crate::id::Origin;
use crate::time::{Hlc, Stamp};

type Entry = (Origin, Hlc);

/// Entries that need no allocation: as many as most clusters have regions.
const INLINE_MAX: usize = 4;
const NOTHING: Entry = (Origin::from_bits(0), Hlc::ZERO);

/// The newest reading seen of each origin, ordered by origin; an absent origin was never seen.
#[derive(Clone)]
pub struct VersionVector {
    /// The first entries; how many of them count.
    inline: [Entry; INLINE_MAX],
    count: u8,
    /// All entries, where there are more than fit inline.
    spilled: Vec<Entry>,
}

impl Default for VersionVector {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for VersionVector {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl Eq for VersionVector {}

impl fmt::Debug for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl VersionVector {
    /// Nothing was seen.
    pub const EMPTY: Self = Self { inline: [NOTHING; INLINE_MAX], count: 0, spilled: Vec::new() };

    /// How many origins were seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// From pairs in any order; of equal origins the newest counts.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut vector = Self::default();
        for (origin, hlc) in entries {
            vector.record(Stamp { hlc, origin });
        }
        vector
    }

    /// Whether the version `stamp`, or a later one of its origin, was seen.
    #[must_use]
    pub fn covers(&self, stamp: Stamp) -> bool {
        self.get(stamp.origin) >= stamp.hlc
    }

    /// The newest reading seen of `origin`; zero if none.
    #[must_use]
    pub fn get(&self, origin: Origin) -> Hlc {
        self.entries().iter().find(|entry| entry.0 == origin).map_or(Hlc::ZERO, |entry| entry.1)
    }

    /// Notes that `stamp` was seen; never goes backwards.
    pub fn record(&mut self, stamp: Stamp) {
        match self.entries().binary_search_by_key(&stamp.origin, |entry| entry.0) {
            Ok(at) => {
                let entry = &mut self.entries_mut()[at];
                entry.1 = entry.1.max(stamp.hlc);
            }
            Err(at) => self.insert(at, (stamp.origin, stamp.hlc)),
        }
    }

    /// Element-wise maximum.
    pub fn join(&mut self, other: &Self) {
        for (origin, hlc) in other.iter() {
            self.record(Stamp { hlc, origin });
        }
    }

    /// Whether all that `other` has seen was seen.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        other.iter().all(|(origin, hlc)| self.get(origin) >= hlc)
    }

    /// Element-wise minimum: what both have seen.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        self.meet_with(|origin| other.get(origin))
    }

    /// The same with what is not a vector.
    #[must_use]
    pub fn meet_with(&self, other: impl Fn(Origin) -> Hlc) -> Self {
        let both = self.iter().map(|(origin, hlc)| (origin, hlc.min(other(origin))));
        Self::from_entries(both.filter(|entry| entry.1 > Hlc::ZERO))
    }

    /// The newest reading of any origin; zero if empty.
    #[must_use]
    pub fn newest(&self) -> Hlc {
        self.entries().iter().map(|entry| entry.1).max().unwrap_or(Hlc::ZERO)
    }

    /// The entries in the order of their origins.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry> + '_ {
        self.entries().iter().copied()
    }

    fn entries(&self) -> &[Entry] {
        if self.spilled.is_empty() {
            return &self.inline[..usize::from(self.count)];
        }
        &self.spilled
    }

    fn entries_mut(&mut self) -> &mut [Entry] {
        if self.spilled.is_empty() {
            return &mut self.inline[..usize::from(self.count)];
        }
        &mut self.spilled
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        let count = usize::from(self.count);
        if self.spilled.is_empty() && count < INLINE_MAX {
            self.inline.copy_within(at..count, at + 1);
            self.inline[at] = entry;
            self.count += 1;
            return;
        }
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline);
        }
        self.spilled.insert(at, entry);
    }
}
