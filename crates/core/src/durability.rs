//! Durability: in how many regions a write must be on disk before its caller is answered, and in
//! how many a read must look.
//!
//! A write is always durable in its own region first. What more is asked for is waited for: other
//! regions that hold the table say in band what they have on disk ([`crate::replica::Acked`]), and
//! an acknowledgement is a cut, so it speaks for every write up to it. A region counts while it
//! serves the table by this region's catalog, which is never older than its acknowledgements (one
//! that stops taking rows in has said so before), and if the item's placement lets it be there.
//!
//! Deliberately absent: waiting itself. The driver looks again whenever acknowledgements change.

use core::fmt;

use alloc::vec::Vec;

use crate::catalog::{Catalog, ReplicaState, TableEntry};
use crate::id::{Place, RegionSlot, TableId};
use crate::limits::DURABILITY_WAIT_MS_MAX;
use crate::replica::Acked;
use crate::time::Hlc;

/// How many regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// This one.
    #[default]
    Local,
    /// One more: nothing is lost with any one region.
    PlusOne,
    /// More than half of those that hold the table.
    Majority,
    /// All that hold the table.
    All,
}

impl Level {
    /// Every level, with its word in headers and tags.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("local", Self::Local),
        ("+1", Self::PlusOne),
        ("majority", Self::Majority),
        ("all", Self::All),
    ];

    /// From its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|known| known.0 == word).map(|known| known.1)
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// How many regions beside this one, of a table that so many hold.
    #[must_use]
    pub fn others(self, holders: usize) -> usize {
        match self {
            Self::Local => 0,
            Self::PlusOne => 1,
            Self::Majority => holders / 2,
            Self::All => holders.saturating_sub(1),
        }
    }
}

/// What to do where too few regions can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortfall {
    /// Go on with those that there are, and say so.
    Degrade,
    /// Refuse; a write before anything is written, if that was to be seen.
    #[default]
    Refuse,
}

impl Shortfall {
    /// From its word, `refuse` or `degrade`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "refuse" => Some(Self::Refuse),
            "degrade" => Some(Self::Degrade),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Degrade => "degrade",
        }
    }
}

/// What a table or a request asks for; what it leaves open is up to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// How many regions.
    pub level: Level,
    /// What to do where they cannot be had.
    pub shortfall: Option<Shortfall>,
    /// How long to wait for them, ms.
    pub wait_ms: Option<u32>,
}

impl Choice {
    /// What the text of a tag may be.
    pub const WANTED: &'static str = "durability is one of local, +1, majority and all, with refuse or degrade behind it if need \
         be, and milliseconds to wait behind that";

    /// From words: a level, then perhaps a [`Shortfall`], then perhaps milliseconds to wait.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace().peekable();
        let level = Level::parse(words.next()?)?;
        let shortfall = words.peek().and_then(|word| Shortfall::parse(word));
        if shortfall.is_some() {
            words.next();
        }
        let wait_ms = match words.next() {
            Some(word) => Some(parse_wait_ms(word)?),
            None => None,
        };
        words.next().is_none().then_some(Self { level, shortfall, wait_ms })
    }

    /// What holds for a request to a table that so many regions hold: the stronger of both, so that
    /// a table's owner can rely on what was set there. The request may choose how long to wait.
    #[must_use]
    pub fn over(self, table: Self, holders: usize) -> Self {
        // One region is a majority of one, and not one more.
        let strength = |level: Level| (level.others(holders), level);
        let ours = strength(self.level) >= strength(table.level);
        Self {
            level: if ours { self.level } else { table.level },
            shortfall: self.shortfall.max(table.shortfall),
            wait_ms: self.wait_ms.or(table.wait_ms),
        }
    }

    /// What to do where the regions cannot be had.
    #[must_use]
    pub fn shortfall(self) -> Shortfall {
        self.shortfall.unwrap_or_default()
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.level.as_str())?;
        self.shortfall.map_or(Ok(()), |shortfall| write!(f, " {}", shortfall.as_str()))?;
        self.wait_ms.map_or(Ok(()), |ms| write!(f, " {ms}"))
    }
}

/// Milliseconds to wait, if the text is a number within the limit.
#[must_use]
pub fn parse_wait_ms(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|ms| digits && *ms <= DURABILITY_WAIT_MS_MAX)
}

/// Where one write stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Other regions that hold the table and have the write on disk.
    pub have: Vec<RegionSlot>,
    /// Other regions that hold the table, from which no acknowledgement came, and that are reached.
    pub may: Vec<RegionSlot>,
    /// Those that are not reached.
    pub cannot: Vec<RegionSlot>,
}

impl Standing {
    /// Of the write `stamp`, in the region at `me`, to an item of `table` that may be where `place`
    /// says. Before the write, give [`Hlc::MAX`].
    #[must_use]
    pub fn of(
        catalog: &Catalog,
        (table, place): (TableId, Place),
        me: RegionSlot,
        acked: &Acked,
        stamp: Hlc,
    ) -> Self {
        let mut standing = Self::default();
        let Some(entry) = catalog.get(table) else { return standing };
        let placement = &entry.settings.placement;
        let holders = entry.holders().filter(|&slot| {
            slot != me
                && catalog.is_serving(entry, slot)
                && placement.allows(&catalog.directory, place, slot)
        });
        for slot in holders {
            let list = if acked.by(slot) >= stamp && is_whole(catalog, entry, slot, me) {
                &mut standing.have
            } else if acked.reaches(slot) {
                &mut standing.may
            } else {
                &mut standing.cannot
            };
            list.push(slot);
        }
        standing
    }

    /// Regions that hold the table, this one included.
    #[must_use]
    pub fn holders(&self) -> usize {
        1 + self.have.len() + self.may.len() + self.cannot.len()
    }

    /// Whether enough have it.
    #[must_use]
    pub fn reaches(&self, level: Level) -> bool {
        self.have.len() >= level.others(self.holders())
    }

    /// Whether enough may come to have it, as far as can be seen.
    #[must_use]
    pub fn may_reach(&self, level: Level) -> bool {
        self.have.len() + self.may.len() >= level.others(self.holders())
    }

    /// The greatest level that is reached.
    #[must_use]
    pub fn level(&self) -> Level {
        let reached = |(_, level): &(&str, Level)| self.reaches(*level);
        // Of a table that one region holds, all do, and one more does not.
        let enough = |level: Level| level <= Level::PlusOne || self.reaches(Level::PlusOne);
        let levels = Level::WORDS.into_iter().filter(|it| reached(it) && enough(it.1));
        levels.map(|(_, level)| level).max().unwrap_or_default()
    }
}

/// Whether what the region at `slot` acknowledges of the region at `of` speaks for all rows: not
/// where its replica serves and still copies rows of that region.
fn is_whole(catalog: &Catalog, entry: &TableEntry, slot: RegionSlot, of: RegionSlot) -> bool {
    !matches!(
        catalog.state(entry, slot),
        Some(ReplicaState::Active { pending }) if pending.contains(&of)
    )
}

/// What becomes of a write that is about to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Do it, and wait for the level.
    Write(Level),
    /// Do it, wait for those that are reached, and say that the level is not.
    Degrade(Standing),
    /// Do not do it: too few regions are reached.
    Refuse(Standing),
}

/// Decides before anything is written.
#[must_use]
pub fn start(choice: Choice, standing: Standing) -> Start {
    match (standing.may_reach(choice.level), choice.shortfall()) {
        (true, _) => Start::Write(choice.level),
        (false, Shortfall::Degrade) => Start::Degrade(standing),
        (false, Shortfall::Refuse) => Start::Refuse(standing),
    }
}

#[cfg(test)]
mod tests;
