//! Replicas come and go: copying a table's rows in, levelling and dropping them.
//!
//! A new replica copies from every region that holds the table: from the home region everything,
//! from the others their own rows, which a feed filtered by an older catalog may have withheld.
//! It serves once the home's rows are here, those of every reachable region, and those that
//! placement keeps from the home; the rest is remembered in its status and follows. While another
//! replica is leaving, it waits: the last rows of that one reach those that hold the table, who may
//! have been copied from before. Behind the rows of each region come the conflicts that its ledger
//! has of the table, which the feed had withheld just so. A leaving replica first waits until every
//! holder has applied its writes, in band, so that nothing acknowledged leaves with it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Effect, Node, Trace, Txn};
use crate::catalog::{ReplicaState, ReplicaStatus, TableEntry, entry_key, status_key};
use crate::id::{Origin, RegionSlot, TableId};
use crate::item::PrimaryKey;
use crate::limits::DROP_ROWS_MAX;
use crate::replica::{Applied, Copied, Request, Snapshot};
use crate::time::{Hlc, Now};

/// A chunk that was asked for and did not come is asked for again after this, microseconds.
const COPY_TIMEOUT_US: u64 = 2_000_000;
/// A feeder that does not know the replica yet is asked again after this, microseconds.
const COPY_NOT_READY_US: u64 = 100_000;

/// The copy of one table from one region.
#[derive(Debug, Default)]
pub(super) struct Copy {
    /// The rows are here; the table's conflicts are next.
    ledger: bool,
    after: Option<PrimaryKey>,
    done: bool,
    ask_at_us: u64,
}

/// A table whose rows this region is about to drop.
#[derive(Debug)]
pub(super) struct Leaving {
    /// What the holders must have applied first: all that this region had of anyone's rows when it
    /// said that it leaves, because another that wrote some may be gone.
    cut: Applied,
}

impl Node {
    /// Compares what the catalog asks of this region with what is under way.
    pub(super) fn reconcile(&mut self, now: Now, store: &impl Snapshot, effects: &mut Vec<Effect>) {
        self.reconciled = true;
        if self.is_out() || self.lost.is_some() || !self.past {
            return;
        }
        let mut txn = Txn::new(store);
        let entries: Vec<Arc<TableEntry>> = self.catalog.shared_tables().map(Arc::clone).collect();
        for entry in &entries {
            self.reconcile_table(now, &mut txn, entry, effects);
        }
        self.persist(txn, Vec::new(), effects);
    }

    fn reconcile_table<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        entry: &TableEntry,
        effects: &mut Vec<Effect>,
    ) {
        let me = self.config.slot;
        let status = self.catalog.status(entry.id, me).cloned();
        let former = entry.former.iter().copied().find(|former| former.slot == me);
        let state = status.as_ref().map(|status| &status.state);
        let (removed, dropping) =
            (state == Some(&ReplicaState::Removed), state == Some(&ReplicaState::Dropping));
        let failed = matches!(state, Some(ReplicaState::Failed { .. }));
        if entry.is_held_by(me) && !dropping {
            self.leaving.remove(&entry.id);
            self.take_over(now, txn, entry);
            if let Some(spec) = entry.replica(me) {
                self.reconcile_replica(now, txn, entry, spec.since, status, effects);
            }
        } else if !removed
            && (status.is_some() || entry.home == me || self.keeps_unsaid(txn.store, entry))
        {
            self.copies.retain(|(table, _), _| *table != entry.id);
            // Nobody counts on one that could not be made. If it said that it leaves, it might be
            // needed, fail again, and so on.
            if !failed || planted!(self, FailedLeaves) {
                self.say_leaving(now, txn, entry, status);
            }
            let cut = self.leaving_cut(entry);
            self.leaving.entry(entry.id).or_insert(Leaving { cut });
        } else if let (Some(former), None) = (former, status) {
            // Its rows went with an earlier life of this region.
            self.put_status(now, txn, entry.id, former.since, ReplicaState::Removed);
        }
    }

    /// Whether rows are here of a table that this region neither holds nor has said anything of. It
    /// has come back, and kept them because nobody else knew the table, like another that came back
    /// as well: of the two entries that they wrote of it, the other one's stands.
    fn keeps_unsaid(&self, store: &impl Snapshot, entry: &TableEntry) -> bool {
        !planted!(self, RowsKeptBeside) && has_rows(store, entry)
    }

    fn leaving_cut(&self, entry: &TableEntry) -> Applied {
        let others = self.places.cuts().iter().map(|(&origin, &hlc)| {
            let claim = self.claims.get(&origin).map(|claim| claim.newest);
            (origin, hlc.max(claim.unwrap_or_default()))
        });
        let mut cut: Applied =
            others.filter(|(origin, _)| self.catalog.may_have_rows_of(entry, *origin)).collect();
        cut.insert(self.me, self.last);
        cut
    }

    fn reconcile_replica<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        entry: &TableEntry,
        since: Hlc,
        status: Option<ReplicaStatus>,
        effects: &mut Vec<Effect>,
    ) {
        // It copies anew when the other has handed over.
        let waits =
            self.catalog.hands_over(entry).is_some() && !planted!(self, CopiedWhileOthersLeave);
        if waits {
            self.copies.retain(|(table, _), _| *table != entry.id);
        }
        let donors = if waits { Vec::new() } else { self.donors(entry) };
        let alone = donors.is_empty() && !waits;
        match status.filter(|status| status.since == since).map(|status| status.state) {
            Some(ReplicaState::Creating) => self.copy_from(entry.id, donors),
            Some(ReplicaState::Active { pending }) => {
                // Rows of a region that is gone are with the others, each of whom may have some.
                let all_there = pending.iter().all(|donor| donors.contains(donor));
                self.copy_from(entry.id, if all_there { pending } else { donors });
            }
            Some(ReplicaState::Failed { .. } | ReplicaState::Behind) => {}
            // What it has, nobody else may have: it keeps that for those who will ask.
            Some(ReplicaState::Leaving)
                if self.stranger(entry).is_some()
                    && has_rows(txn.store, entry)
                    && !planted!(self, KeptFails) => {}
            // What others wrote since it began to leave was not all meant for it.
            None | Some(ReplicaState::Leaving | ReplicaState::Dropping | ReplicaState::Removed) => {
                let state = match self.stranger(entry) {
                    Some(id) if !self.gives_way(now, txn, entry, id) => {
                        effects.push(Effect::Trace(Trace::ReplicaFailed(entry.id)));
                        let reason = format!("another table of this name exists here ({id})");
                        ReplicaState::Failed { reason }
                    }
                    _ => {
                        self.copy_from(entry.id, donors);
                        ReplicaState::Creating
                    }
                };
                self.put_status(now, txn, entry.id, since, state);
                // Rows that stayed when an earlier life ended may be deletes.
                self.collector.expect(entry.id);
            }
        }
        if alone {
            self.conclude_copies(now, txn, entry.id, effects);
        }
    }

    /// Writes its own name into the entry of a table whose home is gone, once it has all of it.
    fn take_over<S: Snapshot>(&mut self, now: Now, txn: &mut Txn<'_, S>, entry: &TableEntry) {
        if !self.is_heir(entry) {
            return;
        }
        if let Some(entry) = self.taken_over(now, entry.id) {
            self.put_system(now, txn, entry_key(entry.id), entry.to_attributes());
        }
    }

    fn is_heir(&self, entry: &TableEntry) -> bool {
        let me = self.config.slot;
        let written = self.catalog.written(entry.id).is_some_and(|it| it.home == me);
        entry.home == me && !entry.deleted && !(written && entry.replica(me).is_none())
    }

    /// Whether a table waits for this region to write its name into it, and nothing is in the way.
    pub(super) fn may_take_over(&self) -> bool {
        let mut inherited = self.catalog.tables().filter(|entry| self.is_heir(entry));
        inherited.any(|entry| self.catalog.is_whole(entry, self.config.slot)) && self.has_levelled()
    }

    /// In the batch after the one by which this region heard of it: in band, so that others count
    /// on no more than what the cut has.
    fn say_leaving<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        entry: &TableEntry,
        status: Option<ReplicaStatus>,
    ) {
        let said = |status: &ReplicaStatus| {
            matches!(status.state, ReplicaState::Leaving | ReplicaState::Dropping)
        };
        if entry.deleted || status.as_ref().is_some_and(said) {
            return;
        }
        let since = status.map_or(Hlc::ZERO, |status| status.since);
        self.put_status(now, txn, entry.id, since, ReplicaState::Leaving);
    }

    pub(super) fn put_status<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        table: TableId,
        since: Hlc,
        state: ReplicaState,
    ) {
        let joined = self.catalog.membership().since(self.config.slot);
        let row = ReplicaStatus { since, joined, state }.to_attributes();
        self.put_system(now, txn, status_key(table, self.config.slot), row);
    }

    /// Who is asked for rows of the table: every other holder, but for one whose replica could not
    /// be made, which never has any. And who has come back, and held the table before: what it
    /// alone had is in its ledger, and its feed has gone by a region that did not hold the table.
    fn donors(&self, entry: &TableEntry) -> Vec<RegionSlot> {
        let others = entry.holders().filter(|&slot| slot != self.config.slot);
        let mut donors: Vec<_> = others.filter(|&slot| !self.is_failed(entry, slot)).collect();
        let came_back = |slot: &RegionSlot| {
            let membership = self.catalog.membership();
            let life = membership.regions.get(slot).and_then(|region| region.life);
            let life = life.map(|life| Origin::new(*slot, life));
            let held = life.is_some_and(|life| self.catalog.may_have_rows_of(entry, life));
            held && *slot != self.config.slot && !entry.is_held_by(*slot)
        };
        if !planted!(self, ReturnedUnasked) {
            donors.extend(self.catalog.membership().members().filter(came_back));
        }
        donors
    }

    pub(super) fn is_failed(&self, entry: &TableEntry, slot: RegionSlot) -> bool {
        matches!(self.catalog.state(entry, slot), Some(ReplicaState::Failed { .. }))
    }

    /// Begins copies, and anew those of a table that was being copied from a region which is gone.
    fn copy_from(&mut self, table: TableId, donors: Vec<RegionSlot>) {
        let of_table = self.copies.range((table, RegionSlot::MIN)..=(table, RegionSlot::MAX));
        if of_table.into_iter().any(|((_, donor), _)| self.catalog.membership().is_gone(*donor)) {
            self.copies.retain(|(of, _), _| *of != table);
        }
        for donor in donors {
            self.copies.entry((table, donor)).or_default();
        }
    }

    pub(super) fn forget_asked(&mut self, peer: RegionSlot) {
        let of_peer = self.copies.iter_mut().filter(|((_, donor), _)| *donor == peer);
        of_peer.for_each(|(_, copy)| copy.ask_at_us = 0);
    }

    /// Asks for the chunks that are due.
    pub(super) fn drive_copies(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_mute() {
            return;
        }
        // One table's copy of the ledger at a time, so that an answer is not taken for another's.
        let mut ledgers = BTreeSet::new();
        for (&(table, donor), copy) in &mut self.copies {
            let up = self.links.get(&donor).is_some_and(|link| link.up);
            let turn = copy.done || !copy.ledger || ledgers.insert(donor);
            if up && turn && !copy.done && copy.ask_at_us <= now.mono_us {
                copy.ask_at_us = now.mono_us + COPY_TIMEOUT_US;
                let table = if copy.ledger { TableId::LEDGER } else { table };
                let request = Request::Copy { table, after: copy.after.clone() };
                effects.push(Effect::Send { to: donor, request });
            }
        }
    }

    pub(super) fn receive_copied(
        &mut self,
        now: Now,
        from: RegionSlot,
        frame: Copied,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_mute() {
            return;
        }
        let early = frame.rows.iter().any(|row| !self.may_apply(row));
        // What a region that is gone wrote comes from the others now: from those who know so.
        let ready = frame.ready && frame.generation >= self.catalog.membership().generation;
        // One whose log was lost has nothing of what it had: others may, once it is given up.
        let ready = ready && (!self.has_two_lives(from) || planted!(self, LostLogCopied));
        let Some((table, copy)) = self.copy_of(frame.table, from) else { return };
        if copy.after != frame.after {
            return;
        }
        if early {
            copy.ask_at_us = now.mono_us + COPY_NOT_READY_US;
            return self.wait_for_catalog(from, effects);
        }
        if !ready {
            copy.ask_at_us = now.mono_us + COPY_NOT_READY_US;
            return;
        }
        if frame.next.is_none() {
            copy.done = copy.ledger;
            copy.ledger = true;
        }
        copy.after = frame.next;
        copy.ask_at_us = 0;
        let mut txn = Txn::new(store);
        for row in frame.rows {
            let unfenced = self.is_unfenced(from, row.version.stamp.origin);
            if !unfenced && !self.is_beyond_cut(from, row.version.stamp) {
                self.note_ahead(&row);
                self.note_life(&mut txn, row.version.stamp.origin);
                self.merge_row(now, &mut txn, row, effects);
            }
        }
        self.adopt_collected(&mut txn, table, &frame.collected);
        self.conclude_copies(now, &mut txn, table, effects);
        self.persist(txn, Vec::new(), effects);
        self.drive_copies(now, effects);
    }

    /// A region became unreachable: replicas that only waited for it serve without.
    pub(super) fn wait_no_more(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_mute() {
            return;
        }
        let tables: BTreeSet<TableId> = self.copies.keys().map(|&(table, _)| table).collect();
        let mut txn = Txn::new(store);
        for table in tables {
            self.conclude_copies(now, &mut txn, table, effects);
        }
        self.persist(txn, Vec::new(), effects);
    }

    /// The copy under way that a chunk of `table` from `donor` belongs to.
    fn copy_of(&mut self, table: TableId, donor: RegionSlot) -> Option<(TableId, &mut Copy)> {
        let mut open = self.copies.iter_mut().filter(|((_, of), copy)| *of == donor && !copy.done);
        let found = open.find(|((of, _), copy)| match table {
            TableId::LEDGER => copy.ledger,
            _ => *of == table && !copy.ledger,
        });
        found.map(|(&(of, _), copy)| (of, copy))
    }

    /// Whether copies of the table are under way, or wait to be counted.
    pub(super) fn has_copies(&self, table: TableId) -> bool {
        self.copies.keys().any(|(of, _)| *of == table)
    }

    /// Starts serving when everything reachable is here; shortens the list of what is not.
    pub(super) fn conclude_copies<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        table: TableId,
        effects: &mut Vec<Effect>,
    ) {
        let me = self.config.slot;
        let Some(entry) = self.catalog.shared(table).map(Arc::clone) else { return };
        // What is here when the next life begins may go.
        let over = self.is_out() && !planted!(self, ServedWhenOver);
        let Some(spec) = entry.replica(me).filter(|_| !over) else { return };
        let (mut waits, mut pending) = (false, Vec::new());
        let open = self.copies.iter().filter(|((of, _), copy)| *of == table && !copy.done);
        for (&(_, donor), _) in open.filter(|((_, donor), _)| !self.is_failed(&entry, *donor)) {
            let up = self.links.get(&donor).is_some_and(|link| link.up);
            waits |= up || donor == entry.home || entry.settings.group.is_some();
            waits |= self.stands_for_home(&entry, donor);
            pending.push(donor);
        }
        waits |= entry.settings.group.is_some() && !self.is_clear(txn.store);
        let state = self.catalog.state(&entry, me).cloned();
        let next = ReplicaState::Active { pending };
        let serving = matches!(state, Some(ReplicaState::Active { .. }));
        let failed = matches!(state, Some(ReplicaState::Failed { .. } | ReplicaState::Behind));
        if failed || (waits && !serving) || state.as_ref() == Some(&next) {
            return;
        }
        if !serving {
            effects.push(Effect::Trace(Trace::ReplicaActive(table)));
        }
        if next == (ReplicaState::Active { pending: Vec::new() }) {
            self.copies.retain(|(of, _), _| *of != table);
        }
        self.put_status(now, txn, table, spec.since, next);
    }

    /// Whether nobody is known to have what this holder has: items that the home may not have, or
    /// all of them where this region is the home and has yet to copy the table.
    ///
    /// What this region itself wrote before it left the table may be among it. A write that it
    /// takes meanwhile would count as having seen that: a vector names no gaps of one's own.
    fn stands_for_home(&self, entry: &TableEntry, donor: RegionSlot) -> bool {
        if planted!(self, PlacedUnawaited) {
            return false;
        }
        let (me, home) = (self.config.slot, entry.home);
        let placement = &entry.settings.placement;
        entry.is_held_by(donor)
            && (home == me || placement.share_beside(&self.catalog.directory, (me, donor), home))
    }

    /// Drops rows of leaving tables, a bounded batch at a time.
    pub(super) fn drive_leaving(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        // What others say of a life that is over is no word that they have its rows.
        if self.is_silent() || (self.is_out() && !planted!(self, LevelledCounted)) {
            return;
        }
        let ready = self.leaving.iter().find(|(table, leaving)| {
            self.is_dropping(**table) || self.is_level(**table, &leaving.cut)
        });
        let Some((&table, _)) = ready else { return };
        let mut txn = Txn::new(store);
        let since = self.catalog.status(table, self.config.slot).map(|status| status.since);
        let since = since.unwrap_or_default();
        if !self.is_dropping(table) {
            self.put_status(now, &mut txn, table, since, ReplicaState::Dropping);
            return self.persist(txn, Vec::new(), effects);
        }
        let rows = store.rows(table, None, DROP_ROWS_MAX);
        if rows.is_empty() {
            self.leaving.remove(&table);
            self.reconciled = false;
            self.put_status(now, &mut txn, table, since, ReplicaState::Removed);
            self.forget_collected(&mut txn, table);
            effects.push(Effect::Trace(Trace::ReplicaRemoved(table)));
        }
        for (key, stored) in rows {
            let was = self.fingerprint(&key, Some(&stored));
            self.note_changed(&mut txn, &key, was, None);
            txn.batch.remove(key, &stored, self.me);
        }
        self.persist(txn, Vec::new(), effects);
    }

    /// Whether this region has lost its log, and so says nothing of what it had: nor that it has
    /// handed over a table. What it is, and what it shall hold, is decided when it is taken back.
    pub(super) fn is_silent(&self) -> bool {
        if planted!(self, LostLogLeaves) {
            return false;
        }
        self.lost.is_some()
    }

    /// Whether the rows of the table are going for good; those of a deleted one always do.
    fn is_dropping(&self, table: TableId) -> bool {
        let status = self.catalog.status(table, self.config.slot);
        let deleted = self.catalog.get(table).is_some_and(|entry| entry.deleted);
        deleted || status.is_some_and(|status| status.state == ReplicaState::Dropping)
    }

    /// Whether every remaining holder has applied what this region had of the table at `cut`.
    fn is_level(&self, table: TableId, cut: &Applied) -> bool {
        let Some(entry) = self.catalog.get(table) else { return true };
        let membership = self.catalog.membership();
        let has = |slot: RegionSlot, origin: Origin, hlc: Hlc| {
            let own = origin.slot() == slot && membership.admits(origin);
            let applied = self.links.get(&slot).and_then(|link| link.applied.get(&origin));
            own || applied.copied().unwrap_or_default() >= hlc
        };
        // One whose log was lost acknowledges what its present life was sent, and has dropped.
        let level = |slot| {
            let speaks = !self.has_two_lives(slot) || planted!(self, LevelWithLostLog);
            let claims = self.claims.iter().map(|(origin, claim)| (origin, &claim.newest));
            // Rows of a life that is over come from this region now, whenever they came to it.
            let over = claims.filter(|(of, _)| self.catalog.may_have_rows_of(entry, **of));
            speaks && cut.iter().chain(over).all(|(&origin, &hlc)| has(slot, origin, hlc))
        };
        entry.deleted || entry.holders().all(level)
    }
}

pub(super) fn has_rows(store: &impl Snapshot, entry: &TableEntry) -> bool {
    !store.rows(entry.id, None, 1).is_empty()
}
