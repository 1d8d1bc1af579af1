//! Time: what a machine is told of it, and the hybrid logical clock that orders versions.
//!
//! A stamp is a hybrid logical clock reading (48 bits of milliseconds, 16 bits of counter) and the
//! origin that issued it. Stamps are totally ordered by `(hlc, origin)`, which is content-free, and
//! a stamp is greater than all its writer had seen: so "happened before" implies "smaller stamp".
//! Source: Kulkarni et al., Logical Physical Clocks (OPODIS 2014).

use core::fmt;

use crate::id::Origin;

/// What a machine is told of time with every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, milliseconds since 1970; may be wrong and may step.
    pub wall_ms: u64,
    /// Monotonic clock of this process, microseconds; comparable only within one life.
    pub mono_us: u64,
}

impl Now {
    /// The wall clock as a reading without counter.
    #[must_use]
    pub const fn hlc(self) -> Hlc {
        Hlc::from_parts(self.wall_ms, 0)
    }
}

/// A hybrid logical clock reading: 48 bits of milliseconds since 1970, 16 bits of counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(u64);

impl Hlc {
    /// Before everything.
    pub const ZERO: Self = Self(0);
    /// After everything.
    pub const MAX: Self = Self(u64::MAX);

    /// From milliseconds since 1970 (the lower 48 bits count) and a counter.
    #[must_use]
    pub const fn from_parts(wall_ms: u64, counter: u16) -> Self {
        Self((wall_ms << 16) | counter as u64)
    }

    /// From the packed form.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The packed form, for codecs; its order is the order of readings.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The physical part, milliseconds since 1970.
    #[must_use]
    pub const fn wall_ms(self) -> u64 {
        self.0 >> 16
    }

    /// The smallest reading after this one; the counter carries into the milliseconds.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The greatest reading before this one.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall_ms(), self.0 & 0xffff)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The identity and place in order of one version of an item. The dot of the CRDT literature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// When, by the issuing region's hybrid logical clock.
    pub hlc: Hlc,
    /// Who; breaks ties without looking at content.
    pub origin: Origin,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hlc, self.origin)
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
