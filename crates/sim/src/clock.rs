//! A region's clocks: a wall clock that is wrong, drifts and steps, and a monotonic one that does
//! not, but starts anew with every life of the process.

use pangea_core::time::Now;

/// Where true time starts, microseconds since 1970.
pub(crate) const EPOCH_US: i64 = 1_700_000_000_000_000;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    offset_us: i64,
    drift_ppm: i64,
    set_us: u64,
    born_us: u64,
    mono_base_us: u64,
}

impl Clock {
    pub(crate) fn new(offset_us: i64, drift_ppm: i64) -> Self {
        Self { offset_us, drift_ppm, set_us: 0, born_us: 0, mono_base_us: 0 }
    }

    /// What a machine is told at true time `true_us`.
    pub(crate) fn now(&self, true_us: u64) -> Now {
        let wall_us = EPOCH_US + true_us as i64 + self.offset_us(true_us);
        Now { wall_ms: (wall_us / 1000) as u64, mono_us: self.mono_us(true_us) }
    }

    /// How far the wall clock is ahead of true time.
    pub(crate) fn offset_us(&self, true_us: u64) -> i64 {
        let since = (true_us - self.set_us) as i64;
        self.offset_us + since * self.drift_ppm / 1_000_000
    }

    /// What a heartbeat would show of it at true time `true_us`, µs since 1970.
    pub(crate) fn wall_us(&self, true_us: u64) -> u64 {
        (EPOCH_US + true_us as i64 + self.offset_us(true_us)) as u64
    }

    /// Steps the wall clock; the monotonic clock does not notice.
    pub(crate) fn step(&mut self, true_us: u64, offset_us: i64, drift_ppm: i64) {
        (self.set_us, self.offset_us, self.drift_ppm) = (true_us, offset_us, drift_ppm);
    }

    /// The process starts: its monotonic clock begins somewhere.
    pub(crate) fn restart(&mut self, true_us: u64, mono_base_us: u64) {
        (self.born_us, self.mono_base_us) = (true_us, mono_base_us);
    }

    pub(crate) fn mono_us(&self, true_us: u64) -> u64 {
        self.mono_base_us + (true_us - self.born_us)
    }

    /// The true time at which the monotonic clock shows `mono_us`, not before `true_us`.
    pub(crate) fn when(&self, true_us: u64, mono_us: u64) -> u64 {
        true_us + mono_us.saturating_sub(self.mono_us(true_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_moves_the_wall_clock_only() {
        let mut clock = Clock::new(0, 0);
        let before = clock.now(5_000);
        clock.step(5_000, -60_000_000, 0);
        let after = clock.now(5_000);
        assert_eq!(before.wall_ms - after.wall_ms, 60_000);
        assert_eq!(before.mono_us, after.mono_us);
        assert_eq!(clock.when(5_000, after.mono_us + 7), 5_007);
    }
}
