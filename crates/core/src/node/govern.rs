//! Regions come and go: this region's part in deciding it, and what follows for this region.
//!
//! State: the change that this region wants decided, and whoever asked for it. What is decided, and
//! what this region has said towards it, is in its own row of the catalog ([`Voice`]) and survives
//! everything that the row survives.
//!
//! A region that is given up is *fenced* by whoever hears that it is decided: nothing that its old
//! life writes is taken any more, from the region itself or from anyone who was not fenced yet.
//! Acceptance alone does not fence: a proposal that is not decided must not cut off a region that
//! may yet stay. What each region had of the fenced life when it heard is in its voice, and so is
//! what it may have beyond that; the regions level it among themselves ([`super::relay`]).

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Closed, Effect, Node, Outcome, Trace, Txn};
use crate::id::{Origin, RegionSlot, RequestId, TableId};
use crate::limits::{PROPOSAL_PATIENCE_MS, PROPOSAL_RETRY_MS, PROPOSAL_TURN_MS};
use crate::membership::{self, Change, Claim, Inapplicable, Membership, Voice, Voices, What};
use crate::replica::{Applied, Snapshot};
use crate::time::{Hlc, Now};

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Take in a region that was never there.
    Add(RegionSlot),
    /// Let a region serve nothing for a while; it keeps taking and passing on what is written.
    Suspend(RegionSlot),
    /// Let a suspended region serve again.
    Resume(RegionSlot),
    /// Give up a region.
    Evict(RegionSlot),
    /// Let a region go in an orderly way.
    Remove(RegionSlot),
    /// Take back a region that was given up or let go, in a new life.
    Rejoin(RegionSlot),
}

/// Why a directive is not followed; nothing changed, unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveRefusal {
    /// This region may not propose anything.
    #[error("this region {0}; ask another")]
    Closed(Closed),
    /// Nobody hears what this region proposes.
    #[error("this region is not a member; ask one that is")]
    Stranger,
    /// The region is not in a state that the directive is for.
    #[error(transparent)]
    Inapplicable(#[from] Inapplicable),
    /// Too few regions can be reached to decide.
    #[error("{reached} regions that vote can be reached and {needed} are needed")]
    NoMajority {
        /// Reachable voters whose acceptance counts, this region among them.
        reached: usize,
        /// A strict majority of all voters.
        needed: usize,
        /// Voters that are out of reach.
        lacking: Vec<RegionSlot>,
    },
    /// Another directive is under way here.
    #[error("another change of the membership is under way here; wait for it")]
    Busy,
    /// Tables are in that region alone.
    #[error("tables are nowhere else: add a replica of each, or delete it")]
    Private(Vec<TableId>),
    /// No incarnation is left for the region.
    #[error("every incarnation of region {0} was used")]
    NoLife(RegionSlot),
    /// It was not decided in time. It may be decided yet, when more regions can be reached.
    #[error("not decided in time: regions that had been reached did not answer; it may still be")]
    Undecided,
    /// Another change was decided instead.
    #[error("another change was decided first: look, and ask again")]
    Superseded,
}

/// A change that this region wants decided.
#[derive(Debug)]
pub(super) struct Wanted {
    change: Change,
    /// Whom to tell; nobody where the region itself wants it.
    request: Option<RequestId>,
    /// Given up at this time, monotonic microseconds.
    until_us: u64,
    /// Proposed anew, under a higher ballot, at this time.
    retry_us: u64,
}

impl Node {
    /// Whether this region, in this life, does not take part any more.
    pub(super) fn is_out(&self) -> bool {
        !self.catalog.membership().admits(self.me)
    }

    pub(super) fn govern(
        &mut self,
        now: Now,
        request: RequestId,
        directive: Directive,
        effects: &mut Vec<Effect>,
    ) {
        match self.plan_directive(directive) {
            Ok(change) => self.want(now, change, Some(request)),
            Err(refusal) => {
                let refused = (request, Outcome::Ungoverned(refusal));
                self.reply_when_settled(vec![refused], effects);
            }
        }
    }

    fn want(&mut self, now: Now, change: Change, request: Option<RequestId>) {
        let until_us = now.mono_us + PROPOSAL_PATIENCE_MS * 1000;
        self.wanted = Some(Wanted { change, request, until_us, retry_us: now.mono_us });
        self.heard = true;
    }

    fn plan_directive(&self, directive: Directive) -> Result<Change, DirectiveRefusal> {
        match self.closed() {
            None | Some(Closed::Leaving | Closed::Joining | Closed::Suspended) => {}
            Some(closed) => return Err(DirectiveRefusal::Closed(closed)),
        }
        if self.wanted.is_some() {
            return Err(DirectiveRefusal::Busy);
        }
        let membership = self.catalog.membership();
        if membership.state(self.config.slot).is_none() {
            return Err(DirectiveRefusal::Stranger);
        }
        let (slot, what) = match directive {
            Directive::Add(slot) => (slot, What::Add),
            Directive::Suspend(slot) => (slot, What::Suspend { automatic: false }),
            Directive::Resume(slot) => (slot, What::Resume),
            Directive::Evict(slot) => (slot, What::Evict { automatic: false }),
            Directive::Remove(slot) => (slot, What::Leave),
            Directive::Rejoin(slot) => {
                let life = self.fresh_life(slot).ok_or(DirectiveRefusal::NoLife(slot))?;
                (slot, What::Rejoin { life })
            }
        };
        let change = Change { slot, what };
        membership.after(change)?;
        if what == What::Leave {
            let private = self.held_alone(slot);
            if !private.is_empty() {
                return Err(DirectiveRefusal::Private(private));
            }
        }
        self.reach_majority(change)?;
        Ok(change)
    }

    fn reach_majority(&self, change: Change) -> Result<(), DirectiveRefusal> {
        let membership = self.catalog.membership();
        let reachable = |slot: RegionSlot| slot == self.config.slot || self.is_up(slot);
        let mut lacking: Vec<RegionSlot> = membership.voters().collect();
        lacking.retain(|&slot| !reachable(slot));
        let counting = membership.voters().filter(|&slot| membership.counts(slot, change));
        let reached = counting.filter(|&slot| reachable(slot)).count();
        let needed = membership.majority();
        if reached >= needed {
            return Ok(());
        }
        Err(DirectiveRefusal::NoMajority { reached, needed, lacking })
    }

    fn is_up(&self, slot: RegionSlot) -> bool {
        self.links.get(&slot).is_some_and(|link| link.up)
    }

    /// A life that the region is not known to have had.
    pub(super) fn fresh_life(&self, slot: RegionSlot) -> Option<u16> {
        if planted!(self, LifeReused) {
            return self.known_lives(slot).first().copied();
        }
        let known = self.known_lives(slot);
        let last = known.iter().copied().max().unwrap_or_default();
        let next = (1..Origin::LIVES).map(|step| (last + step) % Origin::LIVES);
        // Those that regions take by themselves are odd: see [`Origin::drawn`].
        let mut fresh = next.filter(|life| *life > 0 && life % 2 == 0 && !known.contains(life));
        fresh.next()
    }

    fn known_lives(&self, slot: RegionSlot) -> Vec<u16> {
        let applied = self.links.values().flat_map(|link| link.applied.keys());
        let told = self.catalog.voices().values();
        let told = told.flat_map(|voice| voice.had.keys().chain(voice.claims.keys()));
        let known = applied.chain(self.places.cuts().keys()).chain(told);
        let known = known.filter(|origin| origin.slot() == slot);
        let mut lives: Vec<u16> = known.map(|origin| origin.incarnation()).collect();
        let region = self.catalog.membership().regions.get(&slot);
        lives.extend(region.iter().flat_map(|region| region.used.iter().copied()));
        lives
    }

    /// The tables that no other region would hold without `slot`.
    fn held_alone(&self, slot: RegionSlot) -> Vec<TableId> {
        let mut alone = Vec::new();
        for entry in self.catalog.tables().filter(|entry| entry.is_held_by(slot)) {
            let mut others = entry.holders().filter(|&holder| holder != slot);
            if !others.any(|other| self.catalog.is_whole(entry, other)) {
                alone.push(entry.id);
            }
        }
        alone
    }

    /// Takes part in what is being decided, and in what was.
    pub(super) fn drive_membership(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if !core::mem::take(&mut self.heard) && self.wanted.is_none() {
            return;
        }
        if self.is_out() {
            self.begin_life(now, store, effects);
        }
        let me = self.config.slot;
        let own = self.own_voice();
        let mut next = own.clone();
        if !self.is_out() && self.lost.is_none() {
            let known = self.catalog.membership().clone();
            self.fence(&known, store);
        }
        // A life that is over only hears.
        if !self.is_out() && self.lost.is_none() && self.past {
            let mut voices = self.counted_voices();
            voices.insert(me, own.clone());
            self.press(now, &mut voices);
            while let Some(said) = self.turn(&voices) {
                voices.insert(me, said);
            }
            next = voices.remove(&me).unwrap_or_default();
            self.fence(&next.membership, store);
            (next.had, next.held) = (self.had.clone(), self.held.clone());
            next.claims = self.claims.clone();
        }
        let newest = self.catalog.membership().generation.max(next.membership.generation);
        if core::mem::replace(&mut self.generation, newest) < newest {
            self.reconciled = false;
            // What this region itself has just found decided, the catalog does not tell yet.
            let known = self.catalog.membership();
            let known = if known.generation < newest { &next.membership } else { known }.clone();
            self.forget_earlier_lives(&known);
            self.left = self.last;
            effects.push(Effect::Trace(Trace::Generation(newest)));
        }
        let replies = self.answer_directive(now, &next);
        let mut txn = Txn::new(store);
        if next != own {
            self.put_system(now, &mut txn, membership::key(me), next.to_attributes());
        }
        self.persist(txn, replies, effects);
    }

    /// What the regions say, votes only of those that have said what they have of this region's log
    /// since this process began, and of those out of reach once all who can be reached have. It may
    /// have lost that log, and a vote with it: it must not vote on what they ask before it knows.
    fn counted_voices(&self) -> Voices {
        let mut voices = self.catalog.voices().clone();
        let mut up = self.links.values().filter(|link| link.up).peekable();
        let all_told = up.peek().is_some() && up.all(|link| link.told);
        for (slot, voice) in &mut voices {
            let link = self.links.get(slot);
            let told = link.is_some_and(|link| link.told);
            let away = link.is_none_or(|link| !link.up);
            if !(told || away && all_told) {
                (voice.promised, voice.accepted, voice.proposed) = (None, None, None);
            }
        }
        voices
    }

    /// What peers had applied in lives that are over says nothing of what they have.
    fn forget_earlier_lives(&mut self, membership: &Membership) {
        if !planted!(self, StageOutlivesLife) {
            self.stage.forget(|origin| membership.admits(origin));
        }
        let mut earlier = Vec::new();
        for (&slot, link) in &mut self.links {
            let joined = membership.since(slot);
            if link.joined != joined {
                (link.joined, link.level, link.fenced) = (joined, false, false);
                link.applied = Arc::default();
                self.collector.forget(slot);
                earlier.push(slot);
            }
        }
        earlier.into_iter().for_each(|slot| self.forget_relayed(slot));
    }

    /// What this region said last; of a generation that it has not spoken in, nothing.
    fn own_voice(&self) -> Voice {
        let said = self.catalog.voices().get(&self.config.slot).cloned();
        said.unwrap_or_else(|| match self.catalog.membership() {
            founders if founders.generation == 0 => {
                Voice { membership: founders.clone(), ..Voice::default() }
            }
            _ => Voice::default(),
        })
    }

    fn turn(&self, voices: &Voices) -> Option<Voice> {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.change);
        let may = |change: Change| match change.what {
            What::Suspend { automatic: true } | What::Evict { automatic: true } => {
                !self.is_up(change.slot)
            }
            _ => true,
        };
        if planted!(self, VotesTwice) {
            let mut forgetful = voices.clone();
            let own = forgetful.entry(self.config.slot).or_default();
            own.promised = None;
            let said = Voice::turn(self.config.slot, &forgetful, wanted, may);
            return said.filter(|said| voices.get(&self.config.slot) != Some(said));
        }
        Voice::turn(self.config.slot, voices, wanted, may)
    }

    /// Proposes what is wanted, again after a while, and withdraws what is not wanted any more.
    fn press(&mut self, now: Now, voices: &mut Voices) {
        let me = self.config.slot;
        let Some(own) = voices.get(&me) else { return };
        let next = match self.wanted.as_mut().filter(|wanted| now.mono_us < wanted.until_us) {
            Some(wanted) if own.membership.after(wanted.change).is_err() => return,
            Some(wanted) if now.mono_us < wanted.retry_us => return,
            Some(wanted) => {
                // In turn: of two that want something at once, one comes first.
                let turn_ms = PROPOSAL_TURN_MS * u64::from(me.get());
                wanted.retry_us = now.mono_us + (PROPOSAL_RETRY_MS + turn_ms) * 1000;
                own.propose(me, voices)
            }
            None => Voice { proposed: None, ..own.clone() },
        };
        voices.insert(me, next);
    }

    /// Tells whoever directed what came of it, once it is durable.
    fn answer_directive(&mut self, now: Now, next: &Voice) -> Vec<(RequestId, Outcome)> {
        let Some(wanted) = &self.wanted else { return Vec::new() };
        let membership = &next.membership;
        let outcome = if membership.has(wanted.change) {
            Outcome::Governed { generation: membership.generation }
        } else if self.is_out() || membership.after(wanted.change).is_err() {
            Outcome::Ungoverned(DirectiveRefusal::Superseded)
        } else if now.mono_us >= wanted.until_us {
            Outcome::Ungoverned(DirectiveRefusal::Undecided)
        } else {
            return Vec::new();
        };
        let request = self.wanted.take().and_then(|wanted| wanted.request);
        request.map(|request| (request, outcome)).into_iter().collect()
    }

    /// Notes of every life that is over what this region had of it when it heard so, and what it
    /// has by now.
    fn fence(&mut self, membership: &Membership, store: &impl Snapshot) {
        for origin in self.over(membership) {
            let place = self.place_of(origin);
            let known = self.had.insert(origin, self.had.get(&origin).copied().unwrap_or(place));
            if known.is_none() {
                let mut held = self.catalog.whole_of(self.config.slot, origin.slot());
                held.retain(|table| self.is_home_still(*table));
                self.held.insert(origin, held);
            }
            let revised = self.revised.remove(&origin);
            let known = self.claims.get(&origin).copied();
            if let Some(claim) = known.filter(|claim| !revised && claim.newest >= place) {
                self.claims.insert(origin, claim);
                continue;
            }
            let Claim { newest: before, revision } = known.unwrap_or_default();
            let newest = store.newest(origin).max(place).max(before);
            self.claims.insert(origin, Claim { newest, revision: revision + u32::from(revised) });
        }
        self.revised.clear();
    }

    /// Whether this region is not home of the table by name alone, because nobody else is left: it
    /// has come back since it became that, and then its rows went.
    fn is_home_still(&self, table: TableId) -> bool {
        let (me, membership) = (self.config.slot, self.catalog.membership());
        let entry = self.catalog.get(table).filter(|entry| entry.home == me);
        let entry = entry.filter(|entry| entry.replica(me).is_none());
        entry.is_none_or(|entry| entry.home_since == membership.since(me))
            || planted!(self, HeldByName)
    }

    /// The lives that this region has heard of and that are over.
    pub(super) fn over(&self, membership: &Membership) -> BTreeSet<Origin> {
        if membership.generation == 0 {
            return BTreeSet::new();
        }
        let told = self.links.values().flat_map(|link| link.applied.keys());
        let claimed = self.catalog.voices().values().flat_map(|voice| voice.claims.keys());
        let known = self.places.cuts().keys().chain(told).chain(claimed);
        let known = known.chain(self.had.keys()).copied();
        known.filter(|&origin| origin != self.me && !membership.admits(origin)).collect()
    }

    /// Looks for lives that were not heard of when they ended, and for more of their rows.
    pub(super) fn watch_membership(&mut self, now: Now) {
        if self.wanted.is_none()
            && let Some(change) = self.wants_for_itself()
        {
            self.want(now, change, None);
        }
        self.reconciled &= !self.may_take_over();
        let over = self.over(self.catalog.membership());
        self.heard |= self.is_called() || !self.revised.is_empty();
        self.heard |= over.iter().any(|it| !self.had.contains_key(it));
    }

    /// Counts all of a life that is over as applied when nobody has more of it: every voter has
    /// heard that it is over, and what any of them may have of it is here.
    pub(super) fn level<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>) {
        for (origin, all) in self.unlevelled() {
            if self.is_levelled(origin, &Applied::new()) {
                self.places.account(origin, all);
                txn.batch.applied.insert(origin, all);
            }
        }
    }

    /// The lives that are over and of which someone has more, and how much.
    pub(super) fn unlevelled(&self) -> Applied {
        let all = self.had.keys().map(|&origin| (origin, self.all_claims(origin)));
        all.filter(|(origin, all)| *all > self.place_of(*origin)).collect()
    }

    /// Whether nobody has more than this region of any life that is over, durably.
    pub(super) fn has_levelled(&self) -> bool {
        let mut over = self.over(self.catalog.membership()).into_iter();
        over.all(|origin| {
            let place = self.applied_durable.get(&origin).copied().unwrap_or_default();
            self.had.contains_key(&origin)
                && self.is_levelled(origin, &Applied::new())
                && place >= self.all_claims(origin)
        })
    }

    /// The newest row that anyone who takes part has of a life that is over.
    pub(super) fn all_claims(&self, origin: Origin) -> Hlc {
        let membership = self.catalog.membership();
        let voices = self.catalog.voices().iter().filter(|(slot, _)| !membership.is_gone(**slot));
        let claims = voices.filter_map(|(_, voice)| voice.claims.get(&origin));
        let own = self.claims.get(&origin);
        claims.chain(own).map(|claim| claim.newest).max().unwrap_or_default()
    }

    pub(super) fn is_levelled(&self, origin: Origin, soon: &Applied) -> bool {
        let membership = self.catalog.membership();
        let mut others = membership.members().filter(|&slot| slot != self.config.slot);
        others.all(|slot| {
            let voice = self.catalog.voices().get(&slot);
            let heard = voice.is_some_and(|voice| !voice.membership.admits(origin));
            // One that does not vote may have some of it all the same.
            let joining = !membership.votes(slot);
            (joining && planted!(self, JoiningUnasked))
                || ((heard || self.came_later(slot, origin)) && self.has_all_of(slot, origin, soon))
        })
    }

    /// Whether a region that does not vote need not have said that a life is over: it joined when
    /// that was so, and has of it what others gave it. Else the life itself may have told it alone
    /// what nobody else was told. Of two that join, the later one's earlier lives wait for the
    /// first, and not the other way round: neither speaks before it knows what it did itself.
    fn came_later(&self, slot: RegionSlot, origin: Origin) -> bool {
        if planted!(self, JoiningUnheard) {
            return !self.catalog.membership().votes(slot);
        }
        let (membership, of) = (self.catalog.membership(), origin.slot());
        let over_before = !membership.is_gone(of) && membership.since(slot) >= membership.since(of);
        !membership.votes(slot) && over_before
    }
}
