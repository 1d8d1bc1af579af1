//! Stamps against the time in which they were issued, as clients saw it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::RegionSlot;
use crate::time::Stamp;

/// An acknowledged write, with the times that its client noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The version that it became.
    pub stamp: Stamp,
    /// When it was sent, microseconds of the experiment's monotonic clock.
    pub started_us: u64,
    /// When it was acknowledged, likewise.
    pub ended_us: u64,
    /// When it was acknowledged, ms of a wall clock that is right.
    pub ended_wall_ms: u64,
}

/// Writes that were sent to a region after it had acknowledged one of a stamp as great or greater:
/// an identity issued twice, or a clock that ran backwards.
#[must_use]
pub fn regressions(issued: &[Issued]) -> u64 {
    let mut regions: BTreeMap<RegionSlot, Vec<Issued>> = BTreeMap::new();
    for write in issued {
        regions.entry(write.stamp.origin.slot()).or_default().push(*write);
    }
    regions.into_values().map(|writes| regressions_of_one(&writes)).sum()
}

fn regressions_of_one(issued: &[Issued]) -> u64 {
    let mut by_start = Vec::from(issued);
    by_start.sort_unstable_by_key(|write| write.started_us);
    let mut by_end = Vec::from(issued);
    by_end.sort_unstable_by_key(|write| write.ended_us);
    let mut ended = by_end.into_iter().peekable();
    let (mut newest, mut count) = (None, 0);
    for write in by_start {
        while let Some(before) = ended.next_if(|before| before.ended_us < write.started_us) {
            newest = newest.max(Some(before.stamp.hlc));
        }
        count += u64::from(newest >= Some(write.stamp.hlc));
    }
    count
}

/// How far ahead of real time a stamp was at most when its write was acknowledged, ms.
#[must_use]
pub fn ahead_ms<'a>(issued: impl IntoIterator<Item = &'a Issued>) -> u64 {
    let ahead = |write: &Issued| write.stamp.hlc.wall_ms().saturating_sub(write.ended_wall_ms);
    issued.into_iter().map(ahead).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Origin;
    use crate::time::Hlc;

    fn issued(slot: u8, ms: u64, started_us: u64, ended_us: u64) -> Issued {
        let slot = RegionSlot::new(slot).expect("small slot");
        let stamp = Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::new(slot, 1) };
        Issued { stamp, started_us, ended_us, ended_wall_ms: 100 }
    }

    #[test]
    fn stamps_that_grow_are_no_regressions() {
        assert_eq!(regressions(&[]), 0);
        assert_eq!(regressions(&[issued(0, 2, 20, 30), issued(0, 1, 0, 10)]), 0);
        // While two requests are under way, either may come first.
        assert_eq!(regressions(&[issued(0, 2, 0, 10), issued(0, 1, 10, 20)]), 0);
        // Regions have clocks of their own.
        assert_eq!(regressions(&[issued(0, 9, 0, 10), issued(1, 1, 20, 30)]), 0);
    }

    #[test]
    fn a_stamp_that_does_not_exceed_what_was_acknowledged_is_one() {
        assert_eq!(regressions(&[issued(0, 5, 0, 10), issued(0, 5, 11, 20)]), 1);
        let late = [issued(0, 9, 0, 10), issued(0, 3, 11, 20), issued(0, 4, 30, 40)];
        assert_eq!(regressions(&late), 2);
    }

    #[test]
    fn ahead_is_measured_against_real_time() {
        assert_eq!(ahead_ms(&[]), 0);
        assert_eq!(ahead_ms(&[issued(0, 90, 0, 1), issued(0, 160, 2, 3)]), 60);
        assert_eq!(ahead_ms(&[issued(0, 90, 0, 1)]), 0);
    }
}
