//! Clock discipline: which time a region issues stamps by when its wall clock cannot be trusted.
//!
//! State: how far the wall clock was from the monotonic one while it was believed, and how far each
//! peer's was when last heard. Readings and heartbeats change it. Always true: the time it gives is
//! at most the bound ahead of what most peers show, as long as any is heard; a step of the wall
//! clock is followed only once peers show that it was a correction.
//!
//! Deliberately absent: any influence on order. Stamps grow and exceed what they have seen whatever
//! time this gives (see [`crate::time`]); discipline keeps a wrong clock from winning races for as
//! long as it is wrong, and from being held by every peer.
//!
//! Sources: data-plane.md 2.9; Mills, RFC 5905 (offset and half the round trip as its error);
//! Kulkarni et al. (OPODIS 2014) for the bound on what a reading may pull along.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::RegionSlot;
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::time::Now;

/// A change of wall against monotonic time by more than this between two readings is a step, µs:
/// slewing clocks change by 0.5 ms a second.
const STEP_US: i64 = 250_000;
/// Heartbeats older than this say nothing any more, µs.
const SAMPLE_AGE_US_MAX: u64 = 15_000_000;

/// What a node is told about clocks at birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How far ahead of most peers, or behind, the time of stamps may be, ms.
    pub skew_ms_max: u64,
    /// A wall clock that is further than this ahead of most peers, of at least two, refuses writes,
    /// ms; `None` for never. One that is behind loses races, and no more.
    pub refuse_ms: Option<u64>,
    /// Whether there are peers at all: without any, the wall clock is what it says.
    pub has_peers: bool,
    /// A planted bug: of two peers the one that is ahead is believed.
    #[cfg(feature = "planted-bugs")]
    pub believes_the_foremost: bool,
}

impl Config {
    /// The bound and the fence of a region with peers.
    pub const DEFAULT: Self = Self {
        skew_ms_max: CLOCK_SKEW_MS_MAX,
        refuse_ms: Some(10_000),
        has_peers: true,
        #[cfg(feature = "planted-bugs")]
        believes_the_foremost: false,
    };
}

/// A peer's wall clock as one heartbeat showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What the peer's wall clock showed, µs since 1970.
    pub peer_wall_us: u64,
    /// Own monotonic time halfway between asking and hearing, µs.
    pub mono_us: u64,
    /// Time between asking and hearing, µs: half of it is the error.
    pub round_trip_us: u64,
}

/// How far a peer's wall clock is from this region's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The peer's minus this region's, ms.
    pub ms: i64,
    /// How wrong that may be, ms.
    pub error_ms: u64,
}

/// What is thought of this region's wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Within the bound of most peers, or nobody is heard.
    #[default]
    Good,
    /// It stepped, and no peer has shown that this was right: time goes on as before the step.
    Stepped {
        /// By how much, ms.
        ms: i64,
    },
    /// Too far from most peers: stamps stay within the bound of theirs.
    Off {
        /// Ahead of them if positive, ms.
        ms: i64,
        /// At least two peers say so.
        sure: bool,
        /// Too far to take writes.
        refuses: bool,
    },
}

impl Verdict {
    /// Whether the region should take no writes.
    #[must_use]
    pub const fn refuses(self) -> bool {
        matches!(self, Self::Off { refuses: true, .. })
    }

    /// Whether the kinds are the same, whatever the milliseconds.
    const fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Good, Self::Good) | (Self::Stepped { .. }, Self::Stepped { .. }) => true,
            (Self::Off { refuses, .. }, Self::Off { refuses: as_well, .. }) => refuses == as_well,
            _ => false,
        }
    }
}

/// A peer's wall clock minus own monotonic time.
#[derive(Clone, Copy, Debug)]
struct Heard {
    shift_us: i64,
    error_us: i64,
    mono_us: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Discipline {
    config: Config,
    /// Wall minus monotonic time, while it was believed, µs.
    base_us: Option<i64>,
    /// The same as the wall clock has it now.
    shift_us: i64,
    heard: BTreeMap<RegionSlot, Heard>,
    verdict: Verdict,
}

impl Discipline {
    pub(crate) fn new(config: Config) -> Self {
        let (heard, verdict) = (BTreeMap::new(), Verdict::Good);
        Self { config, base_us: None, shift_us: 0, heard, verdict }
    }

    /// A heartbeat showed a peer's clock.
    pub(crate) fn hear(&mut self, peer: RegionSlot, sample: Sample) {
        let shift_us = signed(sample.peer_wall_us) - signed(sample.mono_us);
        let error_us = signed(sample.round_trip_us / 2);
        self.heard.insert(peer, Heard { shift_us, error_us, mono_us: sample.mono_us });
    }

    /// The time to go by, and whether what is thought of the wall clock has changed.
    pub(crate) fn read(&mut self, now: Now) -> (Now, Option<Verdict>) {
        let mono_us = signed(now.mono_us);
        self.shift_us = signed(now.wall_ms.saturating_mul(1000)) - mono_us;
        let base_us = *self.base_us.get_or_insert(self.shift_us);
        let fresh = self.fresh(now.mono_us);
        let median = self.median(&fresh);
        let stepped = (self.shift_us - base_us).abs() > STEP_US;
        let base_us =
            if !stepped || self.is_confirmed(median, base_us) { self.shift_us } else { base_us };
        self.base_us = Some(base_us);
        let given_us = self.clamp(base_us, median, fresh.len());
        let verdict = self.judge(base_us, given_us, median, fresh.len());
        let changed = (!verdict.is_like(self.verdict)).then_some(verdict);
        self.verdict = verdict;
        let wall_us = u64::try_from(mono_us + given_us).unwrap_or(0);
        (Now { wall_ms: wall_us / 1000, mono_us: now.mono_us }, changed)
    }

    pub(crate) const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How far each peer that was heard lately is from this region's wall clock.
    pub(crate) fn offsets(&self, mono_us: u64) -> BTreeMap<RegionSlot, Offset> {
        let fresh = self.heard.iter().filter(|(_, heard)| is_fresh(heard, mono_us));
        let offset = |heard: &Heard| Offset {
            ms: (heard.shift_us - self.shift_us) / 1000,
            error_ms: heard.error_us.unsigned_abs().div_ceil(1000),
        };
        fresh.map(|(&peer, heard)| (peer, offset(heard))).collect()
    }

    /// Shifts of the peers heard lately, and their errors, sorted.
    fn fresh(&self, mono_us: u64) -> Vec<(i64, i64)> {
        let fresh = self.heard.values().filter(|heard| is_fresh(heard, mono_us));
        let mut fresh: Vec<_> = fresh.map(|heard| (heard.shift_us, heard.error_us)).collect();
        fresh.sort_unstable();
        fresh
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    fn median(&self, sorted: &[(i64, i64)]) -> Option<Median> {
        Median::of(sorted)
    }

    #[cfg(feature = "planted-bugs")]
    fn median(&self, sorted: &[(i64, i64)]) -> Option<Median> {
        let median = Median::of(sorted)?;
        let lower_us =
            if self.config.believes_the_foremost { median.upper_us } else { median.lower_us };
        Some(Median { lower_us, ..median })
    }

    /// Whether a step brought the wall clock nearer to the peers' than it was.
    fn is_confirmed(&self, median: Option<Median>, base_us: i64) -> bool {
        match median {
            None => !self.config.has_peers,
            Some(median) => median.beyond(self.shift_us).abs() < median.beyond(base_us).abs(),
        }
    }

    /// Beyond the bound, time is that of the peers and half of the bound: so that no peer takes it
    /// for a time to come because of what hearing adds.
    ///
    /// One peer may itself be behind: it bounds stamps from above only, where being wrong costs
    /// races but neither writes nor reads.
    fn clamp(&self, base_us: i64, median: Option<Median>, peers: usize) -> i64 {
        let Some(median) = median else { return base_us };
        let bound_us = signed(self.config.skew_ms_max.saturating_mul(1000)).max(median.error_us);
        let beyond_us = median.beyond(base_us);
        if beyond_us > bound_us {
            return median.upper_us + bound_us / 2;
        }
        if peers > 1 && beyond_us < -bound_us {
            return median.lower_us - bound_us / 2;
        }
        base_us
    }

    fn judge(&self, base_us: i64, given_us: i64, median: Option<Median>, peers: usize) -> Verdict {
        if let (Some(median), true) = (median, given_us != base_us) {
            let off_us = median.beyond(base_us);
            let beyond = |ms: u64| off_us > signed(ms.saturating_mul(1000)) + median.error_us;
            let sure = peers > 1;
            let refuses = sure && self.config.refuse_ms.is_some_and(beyond);
            return Verdict::Off { ms: off_us / 1000, sure, refuses };
        }
        if base_us == self.shift_us {
            return Verdict::Good;
        }
        Verdict::Stepped { ms: (self.shift_us - base_us) / 1000 }
    }
}

fn is_fresh(heard: &Heard, mono_us: u64) -> bool {
    mono_us.saturating_sub(heard.mono_us) <= SAMPLE_AGE_US_MAX
}

/// Between which shifts half of the peers are at or before, and half at or after: who is between
/// them is ahead of some and behind others, and may well be right.
#[derive(Clone, Copy, Debug)]
struct Median {
    lower_us: i64,
    upper_us: i64,
    error_us: i64,
}

impl Median {
    fn of(sorted: &[(i64, i64)]) -> Option<Self> {
        let &(upper_us, error_us) = sorted.get(sorted.len() / 2)?;
        let &(lower_us, error_too_us) = sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { lower_us, upper_us, error_us: error_us.max(error_too_us) })
    }

    /// How far a shift is ahead of the upper, or, negative, behind the lower.
    fn beyond(self, shift_us: i64) -> i64 {
        if shift_us < self.lower_us {
            return shift_us - self.lower_us;
        }
        shift_us.saturating_sub(self.upper_us).max(0)
    }
}

/// Microseconds of some hundred thousand years fit.
fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
