//! Which regions take part: one numbered generation after the other, each decided once.
//!
//! A [`Membership`] is the whole state of one generation. Generation 0 is the founders, all of them
//! active; each next one is the one before and one [`Change`]. A change is *decided* when a strict
//! majority of the generation's voters has accepted it; an eviction's victim counts among the
//! voters, but its own acceptance does not.
//!
//! How they agree: every region tells all others, in a row of the catalog that it alone writes
//! ([`Voice`]), what it has promised and accepted, and what it proposes. The rows are the messages
//! of single-decree Paxos (Lamport, The Part-Time Parliament, 1998), one instance a generation, and
//! replication carries them: durable before they are told, in order, again after any interruption.
//! So of two changes that are proposed at once, two opposed evictions say, one is decided and the
//! other is proposed again on what it made of the regions, or refused. The argument: any two
//! majorities of one generation share a voter. If an eviction of A is decided at some ballot, every
//! proposer of a higher one learns of it from that voter and can only propose the same. An
//! eviction of B would need a majority of the same voters that accepted it instead: there is none.
//! Once a generation is decided it is told with every voice, and whoever hears of it goes on from
//! there: so there is no second decision of the same generation by regions that have not heard.
//!
//! One thing is lost with a victim whose acceptance does not count: if a third of three regions
//! dies when it may have accepted the eviction of the second, nothing is decided until it is back.
//!
//! A vote that cannot be taken back, one a generation and without ballots, would be simpler and
//! would agree as well; but two proposals that part the votes, with a third region dead, would then
//! block every later change.
//!
//! Deliberately absent: clocks, links, rows of tables. [`Voice::turn`] is a function of voices.

mod row;
mod voice;

#[cfg(test)]
mod tests;

pub use row::{decode, key, slot_of};
pub use voice::{Ballot, Claim, Voice, Voices};

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use crate::id::{Origin, RegionSlot};

/// Where a region stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegionState {
    /// It copies what it shall hold; it does not vote, and takes no writes.
    Joining,
    /// It takes part in everything.
    Active,
    /// It was out of reach for long, and is shown so; everything still waits for it.
    Suspended,
    /// It takes no writes any more, and goes when all others have what it wrote.
    Leaving,
    /// It was given up: nothing that it writes in this life is taken any more.
    Evicted,
    /// It left in an orderly way.
    Removed,
}

impl RegionState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Joining, Self::Active, Self::Suspended, Self::Leaving, Self::Evicted, Self::Removed];

    /// The word in rows and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "JOINING",
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Leaving => "LEAVING",
            Self::Evicted => "EVICTED",
            Self::Removed => "REMOVED",
        }
    }

    /// From the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing waits for the region any more.
    #[must_use]
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Evicted | Self::Removed)
    }

    /// Whether it votes.
    #[must_use]
    pub const fn votes(self) -> bool {
        matches!(self, Self::Active | Self::Suspended)
    }
}

impl fmt::Display for RegionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One region of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it stands.
    pub state: RegionState,
    /// The only life that may speak for it; `None` for a founder or an added region that was never
    /// evicted, which speaks in whatever life it has.
    pub life: Option<u16>,
    /// Lives that it may not take again.
    pub used: Vec<u16>,
    /// The generation in which its present life joined; 0 for founders.
    pub since: u32,
}

impl Region {
    const FOUNDER: Self =
        Self { state: RegionState::Active, life: None, used: Vec::new(), since: 0 };
}

/// What changes from one generation to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Which region.
    pub slot: RegionSlot,
    /// What becomes of it.
    pub what: What,
}

/// See [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A region that was never there joins.
    Add,
    /// A joining region has what it shall hold.
    Activate,
    /// It has been out of reach for long.
    Suspend {
        /// Nobody asked for it: only while the voter cannot reach the region either.
        automatic: bool,
    },
    /// It is back.
    Resume,
    /// It is given up.
    Evict {
        /// As in [`What::Suspend`].
        automatic: bool,
    },
    /// It takes no more writes, and goes when all have what it wrote.
    Leave,
    /// All have what it wrote.
    Remove,
    /// It comes back after it was evicted or removed.
    Rejoin {
        /// The life that it takes, never used before.
        life: u16,
    },
}

impl What {
    /// The word in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Activate => "activate",
            Self::Suspend { .. } => "suspend",
            Self::Resume => "resume",
            Self::Evict { .. } => "evict",
            Self::Leave => "leave",
            Self::Remove => "remove",
            Self::Rejoin { .. } => "rejoin",
        }
    }
}

/// Why a change does not apply to a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inapplicable {
    /// No such region.
    #[error("region {0} is not a member")]
    Unknown(RegionSlot),
    /// The region is not in a state that the change is for.
    #[error("region {0} is {1}")]
    State(RegionSlot, RegionState),
    /// Nobody would be left to vote.
    #[error("region {0} is the last one that votes")]
    Last(RegionSlot),
    /// Nobody would be left to serve.
    #[error("region {0} is the last one that is ACTIVE")]
    LastActive(RegionSlot),
    /// The life was used before.
    #[error("region {0} had the incarnation {1} before")]
    Life(RegionSlot, u16),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Which one; only ever grows. In generation 0 every region is a founder, as it was.
    pub generation: u32,
    /// The change that made it.
    pub last: Option<Change>,
    /// Every region that ever was a member.
    pub regions: BTreeMap<RegionSlot, Region>,
}

impl Membership {
    /// Generation 0.
    pub fn founders(slots: impl IntoIterator<Item = RegionSlot>) -> Self {
        let regions = slots.into_iter().map(|slot| (slot, Region::FOUNDER)).collect();
        Self { generation: 0, last: None, regions }
    }

    /// The state of a region; `None` if it was never made a member.
    #[must_use]
    pub fn state(&self, slot: RegionSlot) -> Option<RegionState> {
        self.regions.get(&slot).map(|region| region.state)
    }

    /// Whether nothing waits for the region any more.
    #[must_use]
    pub fn is_gone(&self, slot: RegionSlot) -> bool {
        self.generation > 0 && self.state(slot).is_some_and(RegionState::is_gone)
    }

    /// Whether what this life of a region writes is taken.
    #[must_use]
    pub fn admits(&self, origin: Origin) -> bool {
        if self.generation == 0 {
            return true;
        }
        let Some(region) = self.regions.get(&origin.slot()) else { return true };
        let life = region.life.is_none_or(|life| life == origin.incarnation());
        life && !region.state.is_gone()
    }

    /// The generation in which the region's present life joined.
    #[must_use]
    pub fn since(&self, slot: RegionSlot) -> u32 {
        match self.generation {
            0 => 0,
            _ => self.regions.get(&slot).map_or(0, |region| region.since),
        }
    }

    /// Who votes on what comes next.
    pub fn voters(&self) -> impl Iterator<Item = RegionSlot> + '_ {
        self.in_state(RegionState::votes)
    }

    /// Everyone who is not gone.
    pub fn members(&self) -> impl Iterator<Item = RegionSlot> + '_ {
        self.in_state(|state| !state.is_gone())
    }

    fn in_state<'a>(
        &'a self,
        wanted: impl Fn(RegionState) -> bool + 'a,
    ) -> impl Iterator<Item = RegionSlot> + 'a {
        let found = self.regions.iter().filter(move |(_, region)| wanted(region.state));
        found.map(|(&slot, _)| slot)
    }

    /// Acceptances that decide.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// Whether the region votes.
    #[must_use]
    pub fn votes(&self, slot: RegionSlot) -> bool {
        self.state(slot).is_some_and(RegionState::votes)
    }

    /// Whether the acceptance of `voter` counts for the change.
    #[must_use]
    pub fn counts(&self, voter: RegionSlot, change: Change) -> bool {
        let victim = matches!(change.what, What::Evict { .. }) && change.slot == voter;
        self.votes(voter) && !victim
    }

    /// Whether the region is where the change would bring it.
    #[must_use]
    pub fn has(&self, change: Change) -> bool {
        use RegionState::{Active, Evicted, Leaving, Removed, Suspended};
        let Some(region) = self.regions.get(&change.slot) else { return false };
        match change.what {
            What::Add => true,
            What::Activate | What::Resume => region.state == Active,
            What::Suspend { .. } => region.state == Suspended,
            What::Evict { .. } => region.state == Evicted,
            What::Leave => matches!(region.state, Leaving | Removed),
            What::Remove => region.state == Removed,
            What::Rejoin { life } => region.life == Some(life) && !region.state.is_gone(),
        }
    }

    /// The next generation.
    ///
    /// # Errors
    /// [`Inapplicable`] if the change does not apply to this one.
    pub fn after(&self, change: Change) -> Result<Self, Inapplicable> {
        let Change { slot, what } = change;
        let generation = self.generation + 1;
        let mut next = Self { generation, last: Some(change), regions: self.regions.clone() };
        if what == What::Add {
            if let Some(state) = self.state(slot) {
                return Err(Inapplicable::State(slot, state));
            }
            let state = RegionState::Joining;
            next.regions.insert(slot, Region { state, since: generation, ..Region::FOUNDER });
            return Ok(next);
        }
        let region = next.regions.get_mut(&slot).ok_or(Inapplicable::Unknown(slot))?;
        region.state = follow(region, what).ok_or(Inapplicable::State(slot, region.state))?;
        match what {
            What::Rejoin { life } if region.used.contains(&life) => {
                return Err(Inapplicable::Life(slot, life));
            }
            What::Rejoin { life } => {
                (region.life, region.since) = (Some(life), generation);
                region.used.push(life);
            }
            _ if next.voters().next().is_none() => return Err(Inapplicable::Last(slot)),
            // Of all that can be undone at once, the one that takes everything down.
            What::Suspend { .. }
                if next.regions.values().all(|it| it.state != RegionState::Active) =>
            {
                return Err(Inapplicable::LastActive(slot));
            }
            _ => {}
        }
        Ok(next)
    }
}

/// The state that a region comes to, if the change is for the state that it is in.
fn follow(region: &Region, what: What) -> Option<RegionState> {
    use RegionState::{Active, Joining, Leaving, Suspended};
    match (what, region.state) {
        (What::Activate, Joining) | (What::Resume, Suspended) => Some(Active),
        (What::Suspend { .. }, Active) => Some(Suspended),
        (What::Evict { .. }, state) if !state.is_gone() => Some(RegionState::Evicted),
        (What::Leave, Active | Suspended | Joining) => Some(Leaving),
        (What::Remove, Leaving) => Some(RegionState::Removed),
        (What::Rejoin { .. }, state) if state.is_gone() => Some(Joining),
        _ => None,
    }
}
