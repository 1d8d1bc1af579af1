//! The only place that reads clocks for machines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pangea_core::time::Now;

/// Wall and monotonic time of this process, with an offset to wall time for experiments.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    offset_ms: i64,
}

impl Clock {
    /// A clock whose wall time is off by `offset_ms`; zero outside experiments.
    #[must_use]
    pub fn new(offset_ms: i64) -> Self {
        Self { started: Instant::now(), offset_ms }
    }

    /// Both readings, taken together.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        let mono_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { wall_ms: wall_ms.saturating_add_signed(self.offset_ms), mono_us }
    }
}
