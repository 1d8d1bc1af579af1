//! The only place that reads clocks for machines.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pangea_core::clock::Sample;
use pangea_core::time::Now;

/// Wall and monotonic time of this process, with an offset to wall time for experiments.
///
/// Clones share the offset: a process has one wall clock, however wrong.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// A clock whose wall time is off by `offset_ms`; zero outside experiments.
    #[must_use]
    pub fn new(offset_ms: i64) -> Self {
        Self { started: Instant::now(), offset_ms: Arc::new(AtomicI64::new(offset_ms)) }
    }

    /// Both readings, taken together.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        let mono_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { wall_ms: wall_ms.saturating_add_signed(self.offset_ms()), mono_us }
    }

    /// What a peer's heartbeat shows of its clock, in this one's monotonic time.
    ///
    /// `wall_ms` was shown within the `round_trip` that ended when it was `heard`.
    #[must_use]
    pub fn sample(&self, wall_ms: u64, round_trip: Duration, heard: Instant) -> Sample {
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let heard_us = us(heard.saturating_duration_since(self.started));
        let round_trip_us = us(round_trip);
        let mono_us = heard_us.saturating_sub(round_trip_us / 2);
        // The milliseconds were cut off: the middle of what they may mean.
        let peer_wall_us = wall_ms.saturating_mul(1000).saturating_add(500);
        Sample { peer_wall_us, mono_us, round_trip_us }
    }

    /// By how much wall time is off, ms.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Relaxed)
    }

    /// Steps wall time; monotonic time goes on as it did.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_moves_wall_time_of_every_clone_and_leaves_monotonic_time_alone() {
        let clock = Clock::new(0);
        let (other, before) = (clock.clone(), clock.now());
        clock.set_offset_ms(-3_600_000);
        let after = other.now();
        assert!(after.wall_ms < before.wall_ms - 3_500_000, "{before:?} {after:?}");
        assert!(after.mono_us >= before.mono_us && after.mono_us < before.mono_us + 60_000_000);
        clock.set_offset_ms(i64::MIN);
        assert_eq!(other.now().wall_ms, 0, "a clock does not wrap");
    }
}
