//! What an experiment concludes from what it saw: pure judgements over recorded facts.
//!
//! The recording is done by clients that know nothing of the system's inside; what is judged here
//! is only what they were told (acknowledged or not, when, by whom) and what can be read back.

mod order;

pub use order::{Issued, ahead_ms, regressions};

use alloc::vec::Vec;

use crate::merge::VersionVector;
use crate::time::Stamp;

/// One client request, by the experiment's own monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it was sent, microseconds.
    pub started_us: u64,
    /// When it was answered or given up, microseconds.
    pub ended_us: u64,
    /// Whether it was answered as it should be.
    pub succeeded: bool,
}

/// How clients lived through a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Requests sent after the fault, or under way at it, that failed.
    pub failed: u64,
    /// From the fault until the answer to the first request that was sent after it and after
    /// which none fails, microseconds; `None` if there is no such request.
    pub rto_us: Option<u64>,
}

/// Recovery time as clients see it: the fault is over with the first request, sent after the last
/// failing one had been sent, that is answered.
#[must_use]
pub fn recovery(attempts: &[Attempt], fault_us: u64) -> Recovery {
    let after = || attempts.iter().filter(|attempt| attempt.ended_us >= fault_us);
    let failures = || after().filter(|attempt| !attempt.succeeded);
    let last_failure = failures().map(|attempt| attempt.started_us).max();
    let from = last_failure.map_or(fault_us, |last| last.max(fault_us));
    let is_good = |attempt: &&Attempt| attempt.succeeded && attempt.started_us >= from;
    let first_good = after().filter(is_good).map(|attempt| attempt.ended_us).min();
    let failed = u64::try_from(failures().count()).unwrap_or(u64::MAX);
    Recovery { failed, rto_us: first_good.map(|ended| ended.saturating_sub(fault_us)) }
}

/// Where an acknowledged write is, seen from one region; the later, the less of it is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is what a reader sees.
    Present,
    /// What a reader sees was written by someone who had seen it.
    Overwritten,
    /// The region keeps it beside the version that a reader sees first: merged, or a sibling.
    Merged,
    /// It lost a conflict, and the ledger has it, or has a losing version that had overwritten it.
    InLedger,
    /// None of these: the promise is broken.
    Lost,
}

/// A version's identity and what its writer had seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The version.
    pub stamp: Stamp,
    /// Its context.
    pub context: VersionVector,
}

/// Where the acknowledged write `stamp` of an item is, given the versions that a region keeps of
/// the item and the losing sides of the item's ledger entries, from whichever regions.
///
/// Of several versions kept, a reader sees the one of the greatest stamp first.
#[must_use]
pub fn fate(stamp: Stamp, kept: &[Seen], losers: &[Seen]) -> Fate {
    let shown = kept.iter().map(|seen| seen.stamp).max();
    let among = |versions: &[Seen]| versions.iter().any(|seen| seen.stamp == stamp);
    let covered = |versions: &[Seen]| versions.iter().any(|seen| seen.context.covers(stamp));
    if shown == Some(stamp) {
        Fate::Present
    } else if among(kept) {
        Fate::Merged
    } else if among(losers) {
        // Also where a later write has seen the outcome: what a client lost is in the ledger.
        Fate::InLedger
    } else if covered(kept) {
        Fate::Overwritten
    } else if covered(losers) {
        Fate::InLedger
    } else {
        Fate::Lost
    }
}

/// Whether two versions are concurrent: only such a pair may be in the ledger.
#[must_use]
pub fn concurrent(one: &Seen, other: &Seen) -> bool {
    !one.context.covers(other.stamp) && !other.context.covers(one.stamp)
}

/// What was measured against what was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The objective's key in the topology.
    pub objective: &'static str,
    /// The bound; `None` where the topology sets none.
    pub bound: Option<u64>,
    /// What was measured; `None` if it never happened.
    pub measured: Option<u64>,
}

impl Check {
    /// Whether the objective is met; what never happened misses every bound.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match (self.bound, self.measured) {
            (None, _) => true,
            (Some(bound), Some(measured)) => measured <= bound,
            (Some(_), None) => false,
        }
    }
}

/// The objectives that were missed.
#[must_use]
pub fn missed(checks: &[Check]) -> Vec<&Check> {
    checks.iter().filter(|check| !check.is_met()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Origin, RegionSlot};
    use crate::time::Hlc;

    fn attempt(started_us: u64, ended_us: u64, succeeded: bool) -> Attempt {
        Attempt { started_us, ended_us, succeeded }
    }

    fn stamp(slot: u8, ms: u64) -> Stamp {
        let slot = RegionSlot::new(slot).expect("small slot");
        Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::new(slot, 1) }
    }

    fn seen(own: Stamp, others: &[Stamp]) -> Seen {
        let all = others.iter().chain([&own]);
        let context = VersionVector::from_entries(all.map(|stamp| (stamp.origin, stamp.hlc)));
        Seen { stamp: own, context }
    }

    #[test]
    fn recovery_without_failures_is_the_first_answer_after_the_fault() {
        let attempts = [attempt(0, 90, true), attempt(95, 101, true), attempt(110, 140, true)];
        assert_eq!(recovery(&attempts, 100), Recovery { failed: 0, rto_us: Some(40) });
    }

    #[test]
    fn recovery_counts_from_the_fault_to_the_first_answer_after_the_last_failure() {
        let attempts = [
            attempt(90, 120, false),
            attempt(125, 130, true),
            attempt(131, 200, false),
            attempt(205, 230, true),
            attempt(240, 250, true),
        ];
        assert_eq!(recovery(&attempts, 100), Recovery { failed: 2, rto_us: Some(130) });
    }

    #[test]
    fn a_fault_that_never_ends_has_no_recovery() {
        let attempts = [attempt(90, 95, true), attempt(110, 300, false)];
        assert_eq!(recovery(&attempts, 100), Recovery { failed: 1, rto_us: None });
    }

    #[test]
    fn each_fate_is_told_apart() {
        let (a, b, c) = (stamp(0, 1), stamp(1, 2), stamp(2, 3));
        assert_eq!(fate(a, &[seen(a, &[])], &[]), Fate::Present);
        assert_eq!(fate(a, &[seen(b, &[a])], &[]), Fate::Overwritten);
        assert_eq!(fate(a, &[seen(b, &[])], &[seen(a, &[])]), Fate::InLedger);
        assert_eq!(fate(a, &[seen(c, &[])], &[seen(b, &[a])]), Fate::InLedger);
        assert_eq!(fate(a, &[seen(c, &[a])], &[seen(a, &[])]), Fate::InLedger);
        assert_eq!(fate(a, &[seen(c, &[])], &[seen(b, &[])]), Fate::Lost);
        assert_eq!(fate(a, &[], &[]), Fate::Lost);
    }

    #[test]
    fn what_is_kept_beside_the_greatest_stamp_is_merged() {
        let (a, b, c) = (stamp(0, 1), stamp(1, 2), stamp(2, 3));
        let kept = [seen(b, &[]), seen(c, &[a])];
        assert_eq!(fate(c, &kept, &[]), Fate::Present);
        assert_eq!(fate(b, &kept, &[]), Fate::Merged);
        assert_eq!(fate(b, &kept, &[seen(b, &[])]), Fate::Merged);
        assert_eq!(fate(a, &kept, &[]), Fate::Overwritten);
    }

    #[test]
    fn only_versions_that_had_not_seen_each_other_are_concurrent() {
        let (a, b) = (stamp(0, 1), stamp(1, 2));
        assert!(concurrent(&seen(a, &[]), &seen(b, &[])));
        assert!(!concurrent(&seen(a, &[]), &seen(b, &[a])));
        assert!(!concurrent(&seen(b, &[a]), &seen(a, &[])));
    }

    #[test]
    fn an_objective_that_was_never_reached_is_missed() {
        let check = |bound, measured| Check { objective: "rto_ms", bound, measured };
        assert!(check(Some(5), Some(5)).is_met());
        assert!(!check(Some(5), Some(6)).is_met());
        assert!(!check(Some(5), None).is_met());
        assert!(check(None, None).is_met());
    }
}
