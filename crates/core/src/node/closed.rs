//! Why a region takes no writes.

use super::Node;
use crate::id::{Origin, RegionSlot};
use crate::membership::{Membership, RegionState};
use crate::time::Hlc;

/// Why a region takes no writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It was given up.
    #[error("was evicted in generation {generation} of the membership; `pangea region rejoin`")]
    Evicted {
        /// Since when.
        generation: u32,
    },
    /// It left.
    #[error("was removed")]
    Removed,
    /// An operator suspended it.
    #[error("is suspended; `pangea region resume`")]
    Suspended,
    /// It has not copied everything yet.
    #[error("is joining, and takes writes when it has copied what it shall hold")]
    Joining,
    /// It is about to leave.
    #[error("is leaving, and takes no more writes")]
    Leaving,
    /// Peers know writes of it that it does not know.
    #[error("has lost its log: peer {peer} knows its writes up to {known}")]
    LogLost {
        /// Who knows more.
        peer: RegionSlot,
        /// How much.
        known: Hlc,
    },
}

impl Closed {
    /// What the regions have decided of the life `me` of a region, if that is to take no writes.
    /// A function of the membership alone: who reads tables and membership from one catalog never
    /// sees an evicted region's tables go before the reason.
    #[must_use]
    pub fn decided(membership: &Membership, me: Origin) -> Option<Self> {
        let slot = me.slot();
        match membership.state(slot) {
            Some(RegionState::Removed) => Some(Self::Removed),
            Some(RegionState::Evicted) => Some(Self::Evicted { generation: membership.generation }),
            Some(_) if !membership.admits(me) => {
                Some(Self::Evicted { generation: membership.since(slot) })
            }
            Some(RegionState::Joining) => Some(Self::Joining),
            // It is not a member yet.
            None if !membership.regions.is_empty() => Some(Self::Joining),
            Some(RegionState::Leaving) => Some(Self::Leaving),
            Some(RegionState::Suspended) => Some(Self::Suspended),
            Some(RegionState::Active) | None => None,
        }
    }
}

impl Node {
    /// Whether that is that it has lost its log.
    #[must_use]
    pub fn has_lost_log(&self) -> bool {
        self.lost.is_some() && matches!(self.closed(), Some(Closed::LogLost { .. }))
    }

    /// Why this region takes no writes, if it does not.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        let membership = self.catalog.membership();
        let lost = self.lost.map(|(peer, known)| Closed::LogLost { peer, known });
        // It is taken for a life that it has begun before, and lost.
        let taken = !membership.is_gone(self.config.slot) && self.is_out();
        let taken = taken && self.called_to().is_none();
        let decided = Closed::decided(membership, self.me);
        lost.filter(|_| taken).or(decided).or(lost)
    }
}
