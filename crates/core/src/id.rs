//! Identities: regions, their lives, and tables.
//!
//! No bare integer crosses a function: each identity is a type of its own.

use core::fmt;

use crate::time::{Hlc, Stamp};

/// A region's place in the topology: stable for the life of the cluster, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionSlot(u8);

impl RegionSlot {
    /// Slots that an [`Origin`] can carry beside its incarnation.
    pub const COUNT: u8 = 64;
    /// Before every other.
    pub const MIN: Self = Self(0);
    /// After every other.
    pub const MAX: Self = Self(Self::COUNT - 1);

    /// A slot, or `None` if it is not below [`RegionSlot::COUNT`].
    #[must_use]
    pub const fn new(slot: u8) -> Option<Self> {
        if slot < Self::COUNT { Some(Self(slot)) } else { None }
    }

    /// The slot as an index into the topology's list of regions.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The slot as its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for RegionSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// One life of a region: its slot and its incarnation, 6 and 10 bits.
///
/// A region takes a new incarnation whenever its log may have been lost, so that the identity of a
/// version is never issued twice (`data-plane` rules, section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(u16);

impl Origin {
    const INCARNATION_BITS: u32 = 10;
    /// Incarnations of one region, 0 among them.
    pub const LIVES: u16 = 1 << Self::INCARNATION_BITS;
    /// Before every other.
    pub const MIN: Self = Self(0);
    /// After every other.
    pub const MAX: Self = Self(u16::MAX);

    /// The life `incarnation` (taken modulo 1024) of the region at `slot`.
    #[must_use]
    pub const fn new(slot: RegionSlot, incarnation: u16) -> Self {
        let mask = (1 << Self::INCARNATION_BITS) - 1;
        Self(((slot.0 as u16) << Self::INCARNATION_BITS) | (incarnation & mask))
    }

    /// An incarnation that a region takes by itself, because it finds no log: an odd one, by
    /// `random`. Those that are decided on ([`crate::membership::What::Rejoin`]) are even: nobody
    /// may have heard of one that was taken, and it must not be given to the region as new.
    #[must_use]
    pub const fn drawn(random: u16) -> u16 {
        (random % Self::LIVES) | 1
    }

    /// The region that lives this life.
    #[must_use]
    pub const fn slot(self) -> RegionSlot {
        RegionSlot((self.0 >> Self::INCARNATION_BITS) as u8)
    }

    /// Which life of the region this is.
    #[must_use]
    pub const fn incarnation(self) -> u16 {
        self.0 & ((1 << Self::INCARNATION_BITS) - 1)
    }

    /// The packed form, for codecs.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// From the packed form: every `u16` is an origin.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot(), self.incarnation())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A table's identity: the stamp at which its home region created it.
///
/// Two regions can each create a table of the same name; their identities differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub Stamp);

impl TableId {
    /// The system table that carries every table's schema and replica list.
    pub const CATALOG: Self = Self::system(1);
    /// The system table that keeps the losing side of every conflict.
    pub const LEDGER: Self = Self::system(2);
    /// The system table of what a region that comes back may alone have had: it goes to no other
    /// region.
    pub const ASIDE: Self = Self::system(3);

    /// After every other.
    pub const LAST: Self = Self(Stamp { hlc: Hlc::MAX, origin: Origin::MAX });

    const fn system(number: u64) -> Self {
        Self(Stamp { hlc: Hlc::from_bits(number), origin: Origin(0) })
    }

    /// Whether this is one of Pangea's own tables.
    #[must_use]
    pub fn is_system(self) -> bool {
        self == Self::CATALOG || self == Self::LEDGER || self == Self::ASIDE
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CATALOG => f.write_str("catalog"),
            Self::LEDGER => f.write_str("ledger"),
            Self::ASIDE => f.write_str("aside"),
            Self(stamp) => write!(f, "{stamp}"),
        }
    }
}

/// Which placement rule of its table holds for an item.
///
/// Every version carries it, tombstones included, so that whoever sends a row can tell where it may
/// go without looking into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u8);

impl Place {
    /// No rule: wherever the table is.
    pub const ANYWHERE: Self = Self(0);

    /// The other one, where this one is anywhere.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::ANYWHERE { other } else { self }
    }
}

/// A client request inside one process, so that a reply finds its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);
