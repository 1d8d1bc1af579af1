//! Items that expire: what a seed decides about them, and the moments that clients write.

use crate::rng::Rng;

/// The attribute that says when an item expires.
pub(crate) const ATTRIBUTE: &str = "t";

/// About how long the warm-up takes, on clocks that are right.
const BEGIN_US: u64 = 195_000;
const SECOND_US: u64 = 1_000_000;
/// Where in a second what expired in it may be deleted: it has expired by every right clock then.
const DUE_US: u64 = pangea_core::limits::CLOCK_SKEW_MS_MAX * 1000;
/// Clients write moments that are so many seconds from now, or a counter that is none.
const MOMENTS_S: [i64; 8] = [-3, -1, 0, 0, 0, 1, 2, 6_000];
const NO_MOMENT: i64 = 5;
/// By then everything that clients said to expire soon has.
pub(crate) const SOON_US: i64 = 3_000_000 + DUE_US as i64;

/// What a seed decides of items that expire.
#[derive(Clone, Debug)]
pub(crate) struct Ttl {
    /// Per mille of writes of whole items that say when these expire, and of updates that change
    /// when, or end it.
    pub(crate) moments: u64,
    /// Per mille of operations that end the expiry of a table's items, or begin it.
    pub(crate) switches: u64,
    /// Mean time between a region's looks at its tables while things break.
    pub(crate) pass_us: u64,
    /// How long the region that wrote an item last has to delete it, and then each holder.
    pub(crate) grace_ms: u64,
    /// How far all clocks are ahead, so that a moment comes while things break: moments are whole
    /// seconds, and schedules are shorter.
    pub(crate) phase_us: i64,
    /// Whether operators suspend a region, and perhaps let it serve again: others delete then what
    /// it wrote.
    pub(crate) suspends: bool,
}

impl Ttl {
    pub(crate) fn draw(rng: &mut Rng, busy_us: u64) -> Self {
        let due_us = BEGIN_US + rng.range(0, busy_us);
        let phase_us = (DUE_US + SECOND_US - due_us % SECOND_US) % SECOND_US;
        Self {
            moments: rng.pick(&[300, 600, 900]),
            switches: rng.pick(&[0, 0, 60]),
            pass_us: (busy_us / rng.range(3, 9)).max(2_000),
            grace_ms: rng.pick(&[200, 1_000, 1_000, 60_000]),
            phase_us: phase_us as i64,
            suspends: false,
        }
    }
}

impl Ttl {
    /// Where only what is said to expire does.
    pub(crate) fn directed(grace_ms: u64) -> Self {
        let (moments, switches, pass_us, phase_us) = (0, 0, 20_000, 0);
        Self { moments, switches, pass_us, grace_ms, phase_us, suspends: false }
    }
}

/// A moment, where it is `now_s` by right clocks; seconds since 1970.
pub(crate) fn moment(rng: &mut Rng, now_s: i64) -> i64 {
    if rng.chance(40) { NO_MOMENT } else { now_s + rng.pick(&MOMENTS_S) }
}
