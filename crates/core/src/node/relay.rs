//! Rows of a region that cannot be reached, from the regions that have them.
//!
//! State: per reachable peer and origin, how far that peer's rows of the origin are here. The index
//! of every origin is kept everywhere, so a peer whose acknowledgements say that it has more of an
//! origin than this region is asked for the rest, until nobody reachable has more.
//!
//! What is here of an origin counts as applied only when nothing can be missing: the peer holds
//! whole every table of this region in which the origin may have written, and this region has all
//! that the peer's state rested on ([`crate::replica::Relayed::needs`]). Until then the rows are
//! merged, so that readers see them, and the place in the origin's own feed stays where it is: the
//! origin, if it comes back, sends them again.
//!
//! Always true: a relayed frame acknowledges nothing. Only a frame behind the peer's own rows may,
//! because whoever collects a tombstone on its word must have received all that was written before.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::apply::check_span;
use super::{Effect, Node, Trace, Txn};
use crate::id::{Origin, RegionSlot, TableId};
use crate::limits::{RELAY_TIMEOUT_MS, RESUBSCRIBE_INTERVAL_MS};
use crate::membership::Claim;
use crate::replica::{Applied, Distrust, Relayed, Request, Snapshot};
use crate::time::{Hlc, Now};

/// What one peer has passed on of one origin.
#[derive(Debug, Default)]
pub(super) struct Relay {
    /// All that the peer has up to here was merged here, but for what was applied before.
    collected: Hlc,
    /// As far, and nothing can be missing but what the peer's state rested on.
    covered: Hlc,
    /// What that was, at the last frame.
    needs: Applied,
    /// Of a life that is over: which revision of what the peer has of it is here, all of it.
    revision: Option<u32>,
    /// The request that is being answered.
    ask: u32,
    /// How far its answer has come, without gaps.
    answered: Hlc,
    /// It was asked for on the link that is open.
    asked: bool,
    /// Not asked for again before this, monotonic microseconds.
    ask_at_us: u64,
}

/// By peer and origin.
pub(super) type Relays = BTreeMap<(RegionSlot, Origin), Relay>;

impl Node {
    /// The peer's feed is new or gone: what was asked of it is forgotten there.
    pub(super) fn forget_relays(&mut self, peer: RegionSlot) {
        let of_peer = self.relays.iter_mut().filter(|((of, _), _)| *of == peer);
        of_peer.for_each(|(_, relay)| (relay.asked, relay.ask_at_us) = (false, 0));
    }

    /// The peer lives anew: what its earlier life had, and what that rested on, went with it.
    pub(super) fn forget_relayed(&mut self, peer: RegionSlot) {
        if planted!(self, RelayOutlivesLife) {
            return;
        }
        let of_peer = self.relays.iter_mut().filter(|((of, _), _)| *of == peer);
        of_peer.for_each(|(_, relay)| *relay = Relay::default());
    }

    /// Asks for what others have of regions that cannot be reached: one peer an origin at a time.
    pub(super) fn drive_relays(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for origin in self.unreachable(now) {
            let mut of_origin = self.relays.iter().filter(|((_, of), _)| *of == origin);
            if of_origin.any(|(_, relay)| relay.ask_at_us > now.mono_us) {
                continue;
            }
            let Some(peer) = self.best_relay(origin) else { continue };
            self.asks = self.asks.wrapping_add(1);
            if !self.catalog.membership().admits(origin) {
                self.collect_anew(peer, origin);
            }
            let (ask, after) = (self.asks, self.reached(peer, origin));
            let relay = self.relay(peer, origin);
            (relay.ask, relay.asked, relay.answered) = (ask, true, after);
            relay.ask_at_us = now.mono_us + RELAY_TIMEOUT_MS * 1000;
            let request = Request::Relay { origin, after, ask };
            effects.push(Effect::Send { to: peer, request });
        }
    }

    /// Of a life that is over rows older than those that were collected may have come to the peer
    /// since: all of it is asked for. What was known to be here counts no more until the answer
    /// has come, which a link that is lost takes with it.
    fn collect_anew(&mut self, peer: RegionSlot, origin: Origin) {
        let place = self.place_of(origin);
        let forgets = !planted!(self, AnswerPresumed);
        let relay = self.relay(peer, origin);
        relay.collected = place;
        relay.revision = relay.revision.filter(|_| !forgets);
    }

    /// The origins that this region or a peer has heard of and that are out of reach.
    fn unreachable(&self, now: Now) -> BTreeSet<Origin> {
        if self.is_out() {
            return BTreeSet::new();
        }
        let up = self.links.values().filter(|link| link.up);
        let told = up.flat_map(|link| link.applied.keys()).chain(self.had.keys());
        // Most are named by every link.
        let mut known: Vec<Origin> = Vec::new();
        for origin in told.chain(self.places.cuts().keys()) {
            if !known.contains(origin) {
                known.push(*origin);
            }
        }
        known.into_iter().filter(|&origin| self.is_unreachable(now, origin)).collect()
    }

    /// Who has most of the origin that is not here. Everyone is asked once, even one that says that
    /// it has no more: a table's copy may have brought it rows before their time.
    fn best_relay(&self, origin: Origin) -> Option<RegionSlot> {
        let mut best = None;
        let membership = self.catalog.membership();
        for (&peer, link) in self.links.iter().filter(|(_, link)| link.up) {
            let theirs = link.applied.get(&origin).copied().unwrap_or_default();
            let more = !membership.is_gone(peer) && self.has_more(peer, origin, theirs);
            let more = more && !self.is_unfenced(peer, origin);
            // Of equals the first stays: links are in the order of their slots.
            if more && best.is_none_or(|(most, _)| theirs > most) {
                best = Some((theirs, peer));
            }
        }
        best.map(|(_, peer)| peer)
    }

    fn has_more(&self, peer: RegionSlot, origin: Origin, theirs: Hlc) -> bool {
        let relay = self.relays.get(&(peer, origin));
        match self.claim_of(peer, origin) {
            Some(claim) => {
                relay.and_then(|relay| relay.revision).is_none_or(|known| known < claim.revision)
            }
            None => theirs > self.reached(peer, origin) || !relay.is_some_and(|relay| relay.asked),
        }
    }

    /// What the peer says that it has of a life that is over.
    fn claim_of(&self, peer: RegionSlot, origin: Origin) -> Option<Claim> {
        let voice = self.catalog.voices().get(&peer)?;
        voice.claims.get(&origin).copied().filter(|_| !self.catalog.membership().admits(origin))
    }

    /// Whether rows of `origin` do not come from where they were written, and did not for a while,
    /// to a region that is a member.
    fn is_unreachable(&self, now: Now, origin: Origin) -> bool {
        if origin == self.me {
            return false;
        }
        if !self.catalog.membership().admits(origin) {
            return !planted!(self, LevellingForgotten);
        }
        // What an earlier life of this region wrote is missing here: its log was lost.
        if origin.slot() == self.config.slot {
            return false;
        }
        let link = self.links.get(&origin.slot());
        // A peer in another life does not have what it wrote in this one.
        if link.is_some_and(|link| link.up && link.speaks.is_none_or(|life| life == origin)) {
            return false;
        }
        let since_us = link.and_then(|link| link.down_us).or(self.began_us);
        let silent_us = now.mono_us.saturating_sub(since_us.unwrap_or(now.mono_us));
        silent_us >= self.config.relay_after_ms * 1000
    }

    pub(super) fn place_of(&self, origin: Origin) -> Hlc {
        self.places.cut(origin)
    }

    /// How far what the peer has of the origin is here.
    pub(super) fn reached(&self, peer: RegionSlot, origin: Origin) -> Hlc {
        let collected = self.relays.get(&(peer, origin)).map(|relay| relay.collected);
        self.place_of(origin).max(collected.unwrap_or_default())
    }

    /// Whether all that the peer has of a life that is over is here, and all that it rested on, or
    /// is about to be (`soon`).
    pub(super) fn has_all_of(&self, peer: RegionSlot, origin: Origin, soon: &Applied) -> bool {
        let Some(claim) = self.claim_of(peer, origin) else { return true };
        let relay = self.relays.get(&(peer, origin));
        relay.is_some_and(|relay| {
            relay.revision.is_some_and(|known| known >= claim.revision)
                && self.has_needs(peer, &relay.needs, soon)
        })
    }

    pub(super) fn receive_relayed(
        &mut self,
        now: Now,
        from: RegionSlot,
        frame: Relayed,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let (origin, through) = (frame.origin, frame.through);
        let (place, reached) = (self.place_of(origin), self.reached(from, origin));
        if frame.after > reached.max(self.answered(from, &frame)) {
            self.relay(from, origin).ask_at_us = 0;
            return effects.push(Effect::Trace(Trace::Gap { peer: from }));
        }
        let mut txn = Txn::new(store);
        // Rows of one stamp, which one transaction wrote, are applied together or not yet.
        let early = frame.rows.iter().find(|row| !self.may_apply(row));
        let end = early.map_or(through, |row| row.version.stamp.hlc.before());
        let end = self.cut(from, origin).map_or(end, |cut| end.min(cut));
        if early.is_some() {
            self.wait_for_catalog(from, effects);
        }
        if !frame.rows.is_empty() {
            self.note_life(&mut txn, origin);
        }
        for row in frame.rows {
            let stamp = row.version.stamp;
            if place < stamp.hlc && stamp.hlc <= end {
                if self.is_staged(&row) {
                    self.stage_passed(from, origin, row);
                } else {
                    self.merge_row(now, &mut txn, row, effects);
                }
            }
        }
        // What is not settled may lack rows, of whatever table.
        let settled = frame.settled || !self.catalog.membership().admits(origin);
        let covered = self.covers_mine(from, origin, &frame.covers);
        let outlives = planted!(self, RelayOutlivesLife);
        let relay = self.relay(from, origin);
        // What an earlier request is answered late says nothing of what the peer has by now.
        let is_asked = frame.ask == relay.ask;
        if is_asked {
            relay.answered = relay.answered.max(end);
        }
        if is_asked || outlives {
            relay.needs = frame.needs.into_iter().collect();
        }
        if is_asked && settled {
            relay.collected = relay.collected.max(end);
            relay.revision = relay.revision.max(frame.revision.filter(|_| end == through));
        }
        if is_asked && settled && covered && frame.after <= place.max(relay.covered) {
            relay.covered = relay.covered.max(end);
        }
        relay.ask_at_us = match end == through {
            // The rest of what was asked for is on its way, or was all.
            true if frame.settled && frame.revision.is_none() => soon(now, RELAY_TIMEOUT_MS),
            true => 0,
            false => soon(now, RESUBSCRIBE_INTERVAL_MS),
        };
        self.planted_acknowledgement(from);
        if self.shows_groups() {
            self.expose(now, &mut txn, effects);
        } else {
            self.settle_relays(from, &mut txn);
        }
        self.persist(txn, Vec::new(), effects);
        self.tell_exposed(effects);
    }

    /// Whether the peer may have rows of a life that is over from who lived it, later than anyone
    /// who has heard of the end: its log is lost, so that it did not hear, and says nothing of what
    /// it had. What it alone has, it sets aside when it is taken back.
    pub(super) fn is_unfenced(&self, peer: RegionSlot, origin: Origin) -> bool {
        if planted!(self, LostLogUnfenced) {
            return false;
        }
        !self.catalog.membership().admits(origin) && self.has_two_lives(peer)
    }

    /// How far the answer that the frame is part of has come. What a peer has behind its own place
    /// counts for nothing that was collected, because others may follow between it: but the frames
    /// of one answer follow on each other there as well.
    fn answered(&self, from: RegionSlot, frame: &Relayed) -> Hlc {
        if planted!(self, AnswerCutShort) {
            return Hlc::ZERO;
        }
        let relay = self.relays.get(&(from, frame.origin));
        relay.filter(|relay| relay.ask == frame.ask).map_or(Hlc::ZERO, |relay| relay.answered)
    }

    /// A peer may pass on only what it was asked for; a late frame may find nobody who asked.
    pub(super) fn check_relayed(&self, from: RegionSlot, frame: &Relayed) -> Result<(), Distrust> {
        if !self.relays.contains_key(&(from, frame.origin)) {
            return Err(Distrust::ForeignOrigin(frame.origin));
        }
        check_span(frame.origin, (frame.after, frame.through), &frame.rows)
    }

    /// Stamps from the future wait, as in a region's own feed: asked for again when time has come,
    /// and sooner, because a clock that is set right does not show in what has passed.
    pub(super) fn hold_relay(&mut self, now: Now, from: RegionSlot, origin: Origin, ahead_ms: u64) {
        let wait_ms = ahead_ms.saturating_sub(self.config.skew_ms_max).min(RELAY_TIMEOUT_MS);
        self.relay(from, origin).ask_at_us = now.mono_us + wait_ms * 1000;
    }

    fn relay(&mut self, from: RegionSlot, origin: Origin) -> &mut Relay {
        self.relays.entry((from, origin)).or_default()
    }

    fn planted_acknowledgement(&mut self, from: RegionSlot) {
        if !planted!(self, RelayAcknowledges) {
            return;
        }
        let of_peer = self.relays.range((from, Origin::MIN)..=(from, Origin::MAX));
        let told: Vec<(Origin, Hlc)> = of_peer
            .flat_map(|(_, relay)| relay.needs.iter().map(|(&origin, &hlc)| (origin, hlc)))
            .filter(|(origin, _)| origin.slot() != from)
            .collect();
        let link = self.links.entry(from).or_default();
        for (origin, hlc) in told {
            super::advance_shared(&mut link.applied, origin, hlc);
        }
    }

    /// Whether every table of this region in which the origin may have written is among `covers`.
    fn covers_mine(&self, from: RegionSlot, origin: Origin, covers: &[TableId]) -> bool {
        if planted!(self, RelayTrusted) {
            return true;
        }
        // One whose log was lost has what its present life was sent, and kept none of it.
        if self.has_two_lives(from) && !planted!(self, LostLogPassesOn) {
            return false;
        }
        let me = self.config.slot;
        let mut mine = self.catalog.tables().filter(|entry| entry.is_held_by(me));
        mine.all(|entry| {
            let covered = covers.contains(&entry.id) && self.catalog.is_whole(entry, from);
            covered || !self.catalog.may_have_rows_of(entry, origin)
        })
    }

    /// Counts as applied what was collected of `peer` and rests on nothing that is missing here.
    ///
    /// What its state rested on may itself be collected of the same peer, and rest on the first in
    /// turn: all of it is taken together.
    fn settle_relays<S: Snapshot>(&mut self, peer: RegionSlot, txn: &mut Txn<'_, S>) {
        let of_peer = self.relays.range((peer, Origin::MIN)..=(peer, Origin::MAX));
        let waiting: Vec<(Origin, Hlc)> = of_peer
            .filter(|((_, origin), relay)| relay.covered > self.place_of(*origin))
            .filter(|(_, relay)| self.has_needs(peer, &relay.needs, &Applied::new()))
            .map(|((_, origin), relay)| (*origin, relay.covered))
            .collect();
        for (origin, hlc) in waiting {
            self.places.account(origin, hlc);
            txn.batch.applied.insert(origin, hlc);
        }
    }

    fn has_needs(&self, peer: RegionSlot, needs: &Applied, soon: &Applied) -> bool {
        let mut others = needs.iter().filter(|(origin, _)| **origin != self.me);
        others.all(|(&origin, &hlc)| {
            let soon = soon.get(&origin).copied().unwrap_or_default();
            self.reached(peer, origin).max(soon) >= hlc || self.has_rows_of(origin)
        })
    }

    /// Whether a life is over, all have said what they have of it, and that is here. What a peer
    /// had of it beyond that, when it answered, something took the place of, which comes from
    /// where that was written; and of two lives that are over, either may rest on the other.
    fn has_rows_of(&self, origin: Origin) -> bool {
        if planted!(self, NeededForEver) {
            return false;
        }
        let membership = self.catalog.membership();
        let mut others = membership.members().filter(|&slot| slot != self.config.slot);
        !membership.admits(origin)
            && others.all(|slot| {
                let voice = self.catalog.voices().get(&slot);
                let heard = voice.is_some_and(|voice| !voice.membership.admits(origin));
                let relay = self.relays.get(&(slot, origin));
                let here = |claim: Claim| {
                    let known = relay.and_then(|relay| relay.revision);
                    known.is_some_and(|known| known >= claim.revision)
                };
                (heard || !membership.votes(slot)) && self.claim_of(slot, origin).is_none_or(here)
            })
    }

    /// How far others have passed on, without gaps, what comes from nowhere else, and what each
    /// rests on: by who did and of whom.
    pub(super) fn covered_by_relays(&self) -> Vec<((RegionSlot, Origin), Hlc, &Applied)> {
        let covered = self.relays.iter().map(|(&key, relay)| (key, relay.covered, &relay.needs));
        covered.filter(|((_, origin), through, _)| *through > self.place_of(*origin)).collect()
    }

    /// Looks again whether what relayed rows rested on is here by now.
    pub(super) fn conclude_relays(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if self.relays.is_empty() && self.had.is_empty() {
            return;
        }
        let mut peers: Vec<RegionSlot> = self.relays.keys().map(|&(peer, _)| peer).collect();
        peers.dedup();
        let mut txn = Txn::new(store);
        if self.shows_groups() {
            self.expose(now, &mut txn, effects);
        } else {
            peers.into_iter().for_each(|peer| self.settle_relays(peer, &mut txn));
            self.level(&mut txn);
        }
        self.persist(txn, Vec::new(), effects);
        self.tell_exposed(effects);
    }
}

/// So many milliseconds from now, monotonic microseconds.
const fn soon(now: Now, ms: u64) -> u64 {
    now.mono_us + ms * 1000
}
