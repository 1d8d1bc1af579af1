//! Collecting as it must not be: each bug with the twin that ships.

use super::super::Node;
use crate::merge::VersionVector;
use crate::time::Now;

impl Node {
    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_by_age(&self, now: Now) -> Option<VersionVector> {
        /// Long in simulated time: a few round trips of most networks.
        const GRACE_MS: u64 = 30;
        let old = crate::time::Hlc::from_parts(now.wall_ms.saturating_sub(GRACE_MS), 0);
        let places = self.places();
        let old = places.iter().map(|(origin, hlc)| (origin, hlc.min(old)));
        self.has_bug(super::super::Bug::CollectedByAge).then(|| VersionVector::from_entries(old))
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_by_age(&self, _now: Now) -> Option<VersionVector> {
        None
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_collecting(&self) -> bool {
        self.has_bug(super::super::Bug::LostLogShortens)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_collecting(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_during_copy(&self) -> bool {
        self.has_bug(super::super::Bug::CollectedDuringCopy)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_during_copy(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_without_leaving(&self) -> bool {
        self.has_bug(super::super::Bug::CollectedWithoutLeaving)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_without_leaving(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_shortened_early(&self) -> bool {
        self.has_bug(super::super::Bug::ShortenedEarly)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_shortened_early(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_before_levelling(&self) -> bool {
        self.has_bug(super::super::Bug::CollectedBeforeLevelling)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_before_levelling(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_unclaimed(&self) -> bool {
        self.has_bug(super::super::Bug::UnclaimedWaitsForEver)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_unclaimed(&self) -> bool {
        false
    }
}
