//! Version vectors.

use alloc::vec::Vec;

use crate::id::Origin;
use crate::time::{Hlc, Stamp};

/// The newest reading seen of each origin, ordered by origin; an absent origin was never seen.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VersionVector(Vec<(Origin, Hlc)>);

impl VersionVector {
    /// From pairs in any order; of equal origins the newest counts.
    pub fn from_entries(entries: impl IntoIterator<Item = (Origin, Hlc)>) -> Self {
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
        match self.0.binary_search_by_key(&origin, |entry| entry.0) {
            Ok(at) => self.0[at].1,
            Err(_) => Hlc::ZERO,
        }
    }

    /// Notes that `stamp` was seen; never goes backwards.
    pub fn record(&mut self, stamp: Stamp) {
        match self.0.binary_search_by_key(&stamp.origin, |entry| entry.0) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(stamp.hlc),
            Err(at) => self.0.insert(at, (stamp.origin, stamp.hlc)),
        }
    }

    /// Element-wise maximum.
    pub fn join(&mut self, other: &Self) {
        for &(origin, hlc) in &other.0 {
            self.record(Stamp { hlc, origin });
        }
    }

    /// Element-wise minimum: what both have seen.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let both = self.0.iter().map(|&(origin, hlc)| (origin, hlc.min(other.get(origin))));
        Self(both.filter(|entry| entry.1 > Hlc::ZERO).collect())
    }

    /// The newest reading of any origin; zero if empty.
    #[must_use]
    pub fn newest(&self) -> Hlc {
        self.0.iter().map(|entry| entry.1).max().unwrap_or(Hlc::ZERO)
    }

    /// The entries in the order of their origins.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Origin, Hlc)> + '_ {
        self.0.iter().copied()
    }
}
