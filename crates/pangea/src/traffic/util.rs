//! Dice for choices and a throttle for logs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// A line of one kind is logged at most this often, s.
const LOG_INTERVAL_S: u64 = 10;

/// Numbers for shares and ties: fast, not secret (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice with a seed from the system; from the clock if the system has none.
    #[must_use]
    pub fn new() -> Self {
        Self(getrandom::u64().unwrap_or_else(|_| wall_ms()))
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}

/// Lets one kind of log line through at most every 10 s: the network decides how often it happens.
#[derive(Debug)]
pub struct Throttle {
    next_s: AtomicU64,
}

impl Throttle {
    /// A throttle that lets the first line through.
    #[must_use]
    pub const fn new() -> Self {
        Self { next_s: AtomicU64::new(0) }
    }

    /// Runs `log` unless it ran within the last 10 s.
    pub fn warn(&self, log: impl FnOnce()) {
        let now_s = wall_ms() / 1000;
        let next_s = self.next_s.load(Relaxed);
        let later_s = now_s + LOG_INTERVAL_S;
        if now_s >= next_s
            && self.next_s.compare_exchange(next_s, later_s, Relaxed, Relaxed).is_ok()
        {
            log();
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// The wall clock, ms since 1970; 0 before that.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
