//! Losers into the ledger, in the batch that decided so.

use alloc::vec::Vec;

use super::{Effect, Node, Trace, Txn};
use crate::catalog::Policy;
use crate::crdt::Loser;
use crate::id::{Place, RegionSlot, TableId};
use crate::item::ItemKey;
use crate::ledger;
use crate::ledger::flood::{self, Appended};
use crate::merge::{Conflict, Stored, Version, VersionVector};
use crate::replica::Snapshot;
use crate::time::{Hlc, Now};
use crate::view::merges;

impl Node {
    pub(super) fn record<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        item: &ItemKey,
        conflict: &Conflict,
        policy: &Policy,
        effects: &mut Vec<Effect>,
    ) {
        if planted!(self, LedgerSkipped) {
            return;
        }
        if item.table == TableId::CATALOG {
            return self.record_change(now, txn, item, conflict);
        }
        let (loser, winner) = (conflict.loser.stamp, conflict.winner.stamp);
        effects.push(Effect::Trace(Trace::Conflict { table: item.table, loser, winner }));
        let key = ledger::key(item, loser, winner);
        let is_told = |row: Stored| row.seen.get(self.me) > Hlc::ZERO;
        if txn.item(&key).is_some_and(|row| !self.has_to_tell(&conflict.loser) || is_told(row)) {
            return;
        }
        // Stamps never go back, clocks do.
        let wall_ms = now.wall_ms.max(self.last.wall_ms());
        match self.flood.note(wall_ms, item, self.config.ledger_per_minute) {
            None => {
                let place = conflict.place();
                self.put_ledger(now, txn, key, ledger::entry(item, conflict, policy), place);
            }
            Some(minute) => self.share(now, txn, item, conflict, policy, minute),
        }
    }

    /// What a write replaces that its client need not have seen: the versions that readers are not
    /// shown, where it says nothing; where it says what it has seen, the region's own, because a
    /// region keeps one version of an item. Each with what hides it: the write itself, if nothing.
    pub(super) fn unseen(
        &self,
        table: TableId,
        stored: Option<&Stored>,
        told: Option<&VersionVector>,
    ) -> Vec<(Version, Option<Version>)> {
        let Some(stored) = stored.filter(|it| told.is_some() || it.versions.len() > 1) else {
            return Vec::new();
        };
        let shown = stored.greatest();
        let versions = stored.versions.iter();
        if let Some(told) = told {
            let own = versions.filter(|it| it.stamp.origin == self.me && !told.covers(it.stamp));
            return own.map(|it| (it.clone(), None)).collect();
        }
        let entry = self.catalog.get(table);
        if entry.is_none_or(|entry| entry.settings.policy != Policy::Siblings) {
            return Vec::new();
        }
        let hidden = |it: &&Version| it.stamp != shown.stamp && !(merges(it) && merges(shown));
        versions.filter(hidden).map(|it| (it.clone(), Some(shown.clone()))).collect()
    }

    /// Keeps what was replaced unseen. Most of it is in the ledger: it was put there when it was
    /// hidden, but not where another policy showed it then.
    pub(super) fn record_unseen<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        item: &ItemKey,
        unseen: Vec<(Version, Option<Version>)>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(written) = txn.item(item).map(|stored| stored.greatest().clone()) else { return };
        for (loser, winner) in unseen {
            let winner = winner.unwrap_or_else(|| written.clone());
            // One that is known is counted once.
            if txn.item(&ledger::key(item, loser.stamp, winner.stamp)).is_some() {
                continue;
            }
            let conflict = Conflict { loser, winner };
            self.record(now, txn, item, &conflict, &Policy::Siblings, effects);
        }
    }

    /// Whether this region's own feed has to tell of a loser, and be it once more: what the region
    /// wrote, or what had overwritten that, unless every other member has said that it has the
    /// write. A peer that acknowledges the feed up to there has then neither, and may not have
    /// heard of whoever recorded the loser first.
    fn has_to_tell(&self, loser: &Version) -> bool {
        if planted!(self, LostHeirUntold) {
            return loser.stamp.origin == self.me;
        }
        let own = loser.context.get(self.me);
        let has = |slot: RegionSlot| {
            let applied = self.links.get(&slot).and_then(|link| link.applied.get(&self.me));
            applied.is_some_and(|applied| *applied >= own)
        };
        let mut others = self.catalog.membership().members().filter(|it| *it != self.config.slot);
        own > Hlc::ZERO && !others.all(has)
    }

    /// What an attribute had in a write that is not shown there any more.
    pub(super) fn record_attribute<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        item: &ItemKey,
        (loser, conditional, place): (&Loser, bool, Place),
        effects: &mut Vec<Effect>,
    ) {
        if planted!(self, LedgerSkipped) {
            return;
        }
        let trace = Trace::Conflict { table: item.table, loser: loser.loser, winner: loser.winner };
        effects.push(Effect::Trace(trace));
        let key = ledger::attribute_key(item, loser);
        if txn.item(&key).is_none() {
            let entry = ledger::attribute_entry(item, loser, conditional);
            self.put_ledger(now, txn, key, entry, place);
        }
    }

    /// A change of a table that nobody had heard of when the region was given up that made it.
    ///
    /// In that region, which hears of what came after and is given up still, it waits: once the
    /// region is back it is known what has become of it.
    fn record_change<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        row: &ItemKey,
        conflict: &Conflict,
    ) {
        if planted!(self, ChangeUndone) {
            return;
        }
        if self.is_over() || self.is_mute() {
            return self.set_change_aside(now, txn, row, &conflict.loser);
        }
        let key = ledger::key(row, conflict.loser.stamp, conflict.winner.stamp);
        if txn.item(&key).is_none() {
            let entry = ledger::change_conflict(row, conflict);
            self.put_ledger(now, txn, key, entry, Place::ANYWHERE);
        }
    }

    /// A change of a table, to be in the ledger if it turns out that nobody else has it.
    pub(super) fn set_change_aside<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        row: &ItemKey,
        lost: &Version,
    ) {
        let at = self.issue(now, Hlc::ZERO);
        let primary = ledger::orphan_key(row, lost.stamp, at).primary;
        self.put_aside(now, txn, primary, ledger::change_orphan(row, lost), Place::ANYWHERE);
    }

    /// Appends to the first row of the minute that has room.
    fn share<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        item: &ItemKey,
        conflict: &Conflict,
        policy: &Policy,
        minute: u64,
    ) {
        if planted!(self, FloodDropped) {
            return;
        }
        let place = conflict.place();
        for nth in 0..=u8::MAX {
            let key = flood::key(item, minute, self.me, nth);
            let stored = txn.item(&key);
            let row = stored.as_ref().and_then(|stored| stored.greatest().body.attributes());
            // A row may be where all of its conflicts may be; those of two rules share none.
            let shared = stored.as_ref().map_or(place, |row| row.greatest().origins.place);
            if shared.or(place) != place.or(shared) {
                continue;
            }
            match flood::append(row, item, conflict, policy) {
                Appended::Known => return,
                Appended::Full => {}
                Appended::Row(row) => {
                    self.put_ledger(now, txn, key, row, place.or(shared));
                    return;
                }
            }
        }
        // 256 full rows in one minute: back to rows of their own, rather than losing one.
        let key = ledger::key(item, conflict.loser.stamp, conflict.winner.stamp);
        self.put_ledger(now, txn, key, ledger::entry(item, conflict, policy), place);
    }
}
