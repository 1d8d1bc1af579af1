//! File descriptors: all that the system gives, and some kept for what is no client's.
//!
//! A process that is out of them cannot accept, but neither can it connect to a peer or probe a
//! region, so that idle clients would look like a lost region. Therefore the listeners of a process
//! share what is left after files, peers and probes; a connection beyond its share is refused or
//! waits in the kernel's queue, as beyond any other bound.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::http::CROWDED_MAX;

/// However few there are, a listener has so many connections.
const SHARE_MIN: u64 = 8;

/// What the listeners of a process have not shared out yet.
#[derive(Debug)]
pub struct Descriptors {
    left: u64,
}

impl Descriptors {
    /// Lets the process open as many files as it may, and keeps `kept` of them, or three quarters
    /// if there are so few.
    ///
    /// Shells and service managers start processes with a soft limit of 1024 for the sake of
    /// programs that call `select`, and leave it to others to raise it.
    #[must_use]
    pub fn claim(kept: u64) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // A system may have a bound of its own below the hard limit: then the limit stays.
        let now = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        Self::of(now.unwrap_or(u64::MAX), kept)
    }

    fn of(limit: u64, kept: u64) -> Self {
        Self { left: limit - kept.min(limit / 4 * 3) }
    }

    /// How many connections of `each` descriptors a listener may have: as `wanted`, unless that is
    /// more than `numerator` of `denominator` parts of what is left.
    pub fn share(&mut self, wanted: u64, each: u64, parts: (u64, u64)) -> u64 {
        self.take(wanted, (each, 0), parts)
    }

    /// The same for a listener of HTTP, which refuses the requests of some more connections.
    pub fn share_http(&mut self, wanted: u64, parts: (u64, u64)) -> u64 {
        self.take(wanted, (1, CROWDED_MAX as u64), parts)
    }

    fn take(
        &mut self,
        wanted: u64,
        (each, beyond): (u64, u64),
        (numerator, denominator): (u64, u64),
    ) -> u64 {
        let room = (self.left / denominator * numerator / each).saturating_sub(beyond);
        let share = wanted.min(room.max(SHARE_MIN));
        self.left = self.left.saturating_sub((share + beyond).saturating_mul(each));
        share
    }
}

/// A listener's share as permits of a semaphore.
pub(crate) fn permits(share: u64) -> usize {
    usize::try_from(share).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_what_is_left() {
        let mut plenty = Descriptors::of(u64::MAX, 200);
        assert_eq!(plenty.share(10_000, 2, (3, 4)), 10_000);
        assert_eq!(plenty.share(10_000, 1, (1, 1)), 10_000);
        let mut few = Descriptors::of(1024, 124);
        assert_eq!([few.share(10_000, 2, (3, 4)), few.share(10_000, 1, (1, 1))], [337, 226]);
        // What one does not want is the next one's.
        let mut few = Descriptors::of(1024, 124);
        assert_eq!([few.share(8, 1, (4, 5)), few.share(10_000, 1, (1, 1))], [8, 892]);
        let mut few = Descriptors::of(1024, 124);
        let shares = [few.share_http(10_000, (4, 5)), few.share_http(10_000, (1, 1))];
        assert_eq!(shares.iter().sum::<u64>() + 2 * CROWDED_MAX as u64, 900);
        // So few that nothing works well: none is locked out.
        let mut none = Descriptors::of(64, 500);
        assert_eq!([none.share(100, 2, (1, 2)), none.share(100, 1, (1, 1))], [8, 8]);
    }

    #[test]
    fn the_soft_limit_is_raised() {
        let _all = Descriptors::claim(0);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
