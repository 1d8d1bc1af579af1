//! What one region says of the membership, and how it answers what the others say.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Change, Membership};
use crate::id::{Origin, RegionSlot, TableId};
use crate::time::Hlc;

/// A proposal's rank: later rounds first, then slots, so that no two proposers share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ballot {
    /// Counts up with every attempt in a generation.
    pub round: u32,
    /// Who proposes.
    pub slot: RegionSlot,
}

/// A region's own row: what it knows, promised, accepted and proposes. The newest replaces all
/// before it, and nothing of it is lost with a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    /// The newest generation that the region knows to be decided. The rest is about the next one.
    pub membership: Membership,
    /// Nothing of a lower ballot will be accepted.
    pub promised: Option<Ballot>,
    /// What was accepted, and under which ballot.
    pub accepted: Option<(Ballot, Change)>,
    /// What the region asks of the others: to promise (`None`), or to accept.
    pub proposed: Option<(Ballot, Option<Change>)>,
    /// Of each life that is not taken any more: what this region had applied of it, nothing
    /// missing, when it heard so.
    pub had: BTreeMap<Origin, Hlc>,
    /// Of each such life: the tables of which this region had all of its rows up to there. It may
    /// not have held others yet, or have been copying them.
    pub held: BTreeMap<Origin, Vec<TableId>>,
    /// Of each such life: what this region has of it now.
    pub claims: BTreeMap<Origin, Claim>,
}

/// What a region has of a life that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The newest row of it.
    pub newest: Hlc,
    /// Counts up when rows of it come from others, older ones too.
    pub revision: u32,
}

/// What every region says, one's own voice included.
pub type Voices = BTreeMap<RegionSlot, Voice>;

impl Voice {
    /// What `me` says next, having heard `voices`; `None` if there is nothing new to say.
    ///
    /// `wanted` is the change that this region wants, and `may` whether it accepts a change. Called
    /// again until it returns `None`: each answer is one step.
    #[must_use]
    pub fn turn(
        me: RegionSlot,
        voices: &Voices,
        wanted: Option<Change>,
        may: impl Fn(Change) -> bool,
    ) -> Option<Self> {
        let own = voices.get(&me)?;
        if let Some(newest) = newest(voices).filter(|it| it.generation > own.membership.generation)
        {
            return Some(own.begin(newest.clone()));
        }
        if let Some(next) = decided(&own.membership, voices) {
            return Some(own.begin(next));
        }
        own.answer(me, voices, may).or_else(|| own.advance(voices, wanted))
    }

    /// The same voice at the beginning of a generation.
    fn begin(&self, membership: Membership) -> Self {
        let (had, held) = (self.had.clone(), self.held.clone());
        Self { membership, had, held, claims: self.claims.clone(), ..Self::default() }
    }

    /// Asks the others to promise, above every ballot that was heard of.
    #[must_use]
    pub fn propose(&self, me: RegionSlot, voices: &Voices) -> Self {
        let rounds = voices.values().filter(|voice| voice.membership == self.membership);
        let heard = rounds.flat_map(|voice| [voice.promised, voice.proposed.map(|it| it.0)]);
        let round = heard.flatten().map(|ballot| ballot.round).max().unwrap_or_default();
        let ballot = Ballot { round: round + 1, slot: me };
        Self { proposed: Some((ballot, None)), ..self.clone() }
    }

    /// As a voter: promises, or accepts, the highest ballot that is proposed.
    fn answer(
        &self,
        me: RegionSlot,
        voices: &Voices,
        may: impl Fn(Change) -> bool,
    ) -> Option<Self> {
        if !self.membership.votes(me) {
            return None;
        }
        let (ballot, change) =
            peers(&self.membership, voices).filter_map(|it| it.1.proposed).max()?;
        if self.promised.is_some_and(|promised| promised > ballot) {
            return None;
        }
        let mut next = Self { promised: Some(ballot), ..self.clone() };
        if let Some(change) = change {
            if !may(change) || self.membership.after(change).is_err() {
                return None;
            }
            next.accepted = Some((ballot, change));
        }
        (next != *self).then_some(next)
    }

    /// As a proposer whom a majority has promised: asks to accept what may have been decided, or
    /// else what this region wants.
    fn advance(&self, voices: &Voices, wanted: Option<Change>) -> Option<Self> {
        let Some((ballot, None)) = self.proposed else { return None };
        let membership = &self.membership;
        let promised: Voices = peers(membership, voices)
            .filter(|(slot, voice)| membership.votes(*slot) && voice.promised == Some(ballot))
            .map(|(slot, voice)| (slot, voice.clone()))
            .collect();
        if promised.len() < membership.majority() {
            return None;
        }
        let accepted = promised.values().filter_map(|voice| voice.accepted);
        let earlier = accepted.filter(|(_, change)| may_be_decided(membership, &promised, *change));
        let change = earlier.max().map(|(_, change)| change).or(wanted);
        let proposed = change.map(|change| (ballot, Some(change)));
        Some(Self { proposed, ..self.clone() })
    }
}

/// Whether voters whose acceptance counts may have decided the change, for all that those know who
/// have promised: all others may have accepted it.
///
/// Without this, an eviction that only its victim and too few others accepted would have to be
/// proposed for ever, and could never be decided.
fn may_be_decided(membership: &Membership, promised: &Voices, change: Change) -> bool {
    let may_have = |slot: &RegionSlot| match promised.get(slot) {
        Some(voice) => voice.accepted.is_some_and(|(_, accepted)| accepted == change),
        None => true,
    };
    let counting = membership.voters().filter(|&slot| membership.counts(slot, change));
    counting.filter(may_have).count() >= membership.majority()
}

/// The voices that are about the same generation; those of regions that are gone do not count.
fn peers<'a>(
    membership: &'a Membership,
    voices: &'a Voices,
) -> impl Iterator<Item = (RegionSlot, &'a Voice)> {
    let speaks = |(slot, voice): &(&RegionSlot, &Voice)| {
        voice.membership == *membership && !membership.is_gone(**slot)
    };
    voices.iter().filter(speaks).map(|(&slot, voice)| (slot, voice))
}

/// The newest generation that anyone knows.
pub(super) fn newest(voices: &Voices) -> Option<&Membership> {
    voices.values().map(|voice| &voice.membership).max_by_key(|it| it.generation)
}

/// The generation that follows, if a majority has accepted the same change under the same ballot.
fn decided(membership: &Membership, voices: &Voices) -> Option<Membership> {
    let mut votes: BTreeMap<(Ballot, Change), usize> = BTreeMap::new();
    for (slot, voice) in peers(membership, voices) {
        if let Some(accepted) = voice.accepted.filter(|it| membership.counts(slot, it.1)) {
            *votes.entry(accepted).or_default() += 1;
        }
    }
    let mut decided = votes.into_iter().filter(|(_, count)| *count >= membership.majority());
    decided.find_map(|((_, change), _)| membership.after(change).ok())
}
