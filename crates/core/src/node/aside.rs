//! What a region that comes back may alone have had, until it knows what has become of the table.
//!
//! Its rows go when it comes back ([`super::rejoin`]). Of what it wrote itself it can tell by then
//! what no holder had. Of the rest it cannot: it was given up before they had levelled what it had
//! of a life that is over, or they have copied the table since from regions that never had it, or
//! have lost their logs, and with them what they wrote. What a region claims of a life is one stamp
//! for all tables, and what it had of it when it heard of the end, it forgets when it lives anew.
//! So nothing that is said of a life tells it; the rows do. And perhaps nobody else knows the table
//! any more, so that it cannot be told who may have any of this. So all of it goes into a table of
//! its own, which nobody is sent:
//!
//! * what it alone had goes to the ledger once it has heard of the table again, and of all who have
//!   it;
//! * what is in *doubt* waits until it has copied the table from all who hold it: where what is
//!   there had seen the write, others have it, or knew it when they overwrote it, and it goes;
//!   where not, it goes to the ledger as well;
//! * a change of a table waits until all have told what they know of the table: where what is there
//!   had seen it, others have it;
//! * of a table of which the region has not heard when it has caught up with all that it can reach,
//!   it goes to the ledger of this region alone, where an operator sees it, and the ledger's own
//!   bounds hold. What stays aside is a mark: if somebody comes back who knows the table, then it
//!   is told to those who may have it.
//!
//! Who has it: this region's feed leaves out whoever it does not know to hold the table, and comes
//! back to nothing. A replica asks all who hold the table, and who has come back and held it; but
//! one that began to copy before it heard of the return does not ask this region. It said that it
//! began, in the status of its replica, before it said that it knows of the return. So what goes to
//! the ledger waits until every other region has said that it knows, and all that it had said
//! before is here; then every replica is known, or will ask. A region out of reach is waited for
//! until it is given up.
//!
//! Whoever has said, since this region was called back, what it had, has not lost its log before.
//! So the region begins its life when all have said so whom it can reach, or after a while.
//!
//! State: a cursor that goes round over these rows, a bounded number at a time, while there are any
//! but marks. Always true: a write that was set aside stays so until the batch that puts it into
//! the ledger, or finds it in what was copied. In doubt it goes to the ledger: where the item's
//! delete was collected, or what had seen the write was shortened.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Effect, Node, Txn};
use crate::catalog::{ReplicaState, TableEntry};
use crate::id::{Origin, Place, RegionSlot, TableId};
use crate::item::{AttributeValue, Attributes, ItemKey, PrimaryKey};
use crate::ledger;
use crate::membership::{self, RegionState};
use crate::merge::{Stored, Version};
use crate::replica::Snapshot;
use crate::time::{Hlc, Now, Stamp};

/// Rows of one step.
const ROWS_MAX: usize = 128;
/// Time between rounds while a table is still to be copied, microseconds.
const ROUND_US: u64 = 100_000;

/// In a row that is aside and says nothing else: the ledger of this region has it, and nobody's
/// beside.
const MARK: &str = "mark";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Aside {
    after: Option<PrimaryKey>,
    next_us: u64,
    /// A row of this round waits for its table.
    waits: bool,
    /// A mark of this round waits to be told to others.
    marks: bool,
    /// How many tables were known when only marks were left, or nothing (zero).
    settled: Option<usize>,
}

/// What becomes of a row that was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is not known yet.
    Waits,
    /// Others have it, or had seen it; or its table was deleted.
    Known,
    /// Nobody had it.
    Orphaned,
    /// Nobody has told of its table.
    Unheard,
}

impl Node {
    /// Sets aside the versions of a row that others may not have, `orphans` among them: those that
    /// nobody else had.
    pub(super) fn set_aside<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        (entry, key): (&TableEntry, &ItemKey),
        stored: &Stored,
        orphans: &[Version],
    ) {
        for version in stored.versions.iter().filter(|_| !entry.deleted) {
            let (stamp, place) = (version.stamp, version.origins.place);
            let is_orphan = orphans.iter().any(|orphan| orphan.stamp == stamp);
            if !is_orphan && !self.is_doubtful(txn.store, entry, stamp, place) {
                continue;
            }
            let mut row = ledger::orphan_entry(key, version, &entry.settings.policy);
            row.insert(ledger::TABLE_NAME.to_string(), AttributeValue::S(entry.name.clone()));
            if !is_orphan {
                row.insert(ledger::DOUBT.to_string(), AttributeValue::Bool(true));
            }
            let at = self.issue(now, Hlc::ZERO);
            let primary = ledger::orphan_key(key, stamp, at).primary;
            self.put_aside(now, txn, primary, row, place);
        }
    }

    /// A row of the ledger, to be there once it is known who may have it.
    pub(super) fn put_aside<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        primary: PrimaryKey,
        row: Attributes,
        place: Place,
    ) {
        self.put_row(now, txn, ItemKey { table: TableId::ASIDE, primary }, row, place);
        self.aside.settled = None;
    }

    /// Whether a version may be here alone, although others shall have the table.
    pub(super) fn is_doubtful(
        &self,
        store: &impl Snapshot,
        entry: &TableEntry,
        stamp: Stamp,
        place: Place,
    ) -> bool {
        if planted!(self, BereftDropped) {
            return false;
        }
        let shared = !entry.deleted && self.others_with(entry, place).next().is_some();
        shared && stamp.origin != self.me && !self.is_known(store, entry, stamp, place)
    }

    /// Whether another region is known to have a version: who wrote it, if it has all of the table
    /// still, or a holder that had it when it heard that its life is over. Each has said so since
    /// this region was called back, so that its log was not lost before.
    fn is_known(
        &self,
        store: &impl Snapshot,
        entry: &TableEntry,
        stamp: Stamp,
        place: Place,
    ) -> bool {
        let (origin, voices) = (stamp.origin, self.catalog.voices());
        if self.catalog.membership().admits(origin) {
            let writer = origin.slot();
            let has_table = self.others_with(entry, place).any(|slot| slot == writer)
                && self.catalog.is_whole(entry, writer)
                && !self.has_dropped(entry, stamp);
            let has_all = has_table && self.has_spoken_in(store, origin);
            let trusted = planted!(self, WriterTrusted | SilenceTrusted);
            return self.has_spoken(writer) && (has_all || trusted);
        }
        let mut holders = self.others_with(entry, place);
        holders.any(|slot| {
            let Some(voice) = voices.get(&slot).filter(|_| self.has_spoken(slot)) else {
                return false;
            };
            let held = voice.held.get(&origin).is_some_and(|it| it.contains(&entry.id));
            let had = voice.had.get(&origin).filter(|_| held);
            had.is_some_and(|had| *had >= stamp.hlc) || self.planted_claim(entry, slot, stamp)
        })
    }

    /// Whether the region has said, in the life that it is taken for, that this one was called
    /// back: one that has lost its log says nothing.
    pub(super) fn has_spoken(&self, slot: RegionSlot) -> bool {
        let since = self.catalog.membership().since(self.config.slot);
        let voice = self.catalog.voices().get(&slot);
        voice.is_some_and(|voice| voice.membership.generation >= since)
            || planted!(self, SilenceTrusted)
    }

    /// Whether what a region has said last it has said in this life: in another one it may have
    /// lost its log without having noticed, where nobody is left who could tell it.
    fn has_spoken_in(&self, store: &impl Snapshot, life: Origin) -> bool {
        let said = store.item(&membership::key(life.slot()));
        said.is_some_and(|said| said.greatest().stamp.origin == life)
    }

    /// Whether whoever wrote this has left the table since, and holds it again: what it wrote
    /// before it has only if it copied that, and nobody who had it may have been within reach.
    fn has_dropped(&self, entry: &TableEntry, stamp: Stamp) -> bool {
        let status = self.catalog.status(entry.id, stamp.origin.slot());
        status.is_some_and(|status| stamp.hlc < status.since) && !planted!(self, DropForgotten)
    }

    /// Whether what is here of the item had seen the write. A vector names no gaps: what its writer
    /// wrote of it after it had left the table, and come to hold it again, says nothing.
    fn has_seen(&self, entry: &TableEntry, stored: &Stored, stamp: Stamp) -> bool {
        let status = self.catalog.status(entry.id, stamp.origin.slot());
        let again = status.map(|status| status.since).filter(|_| self.has_dropped(entry, stamp));
        let newest = stored.seen.get(stamp.origin);
        stored.seen.covers(stamp) && again.is_none_or(|since| newest < since)
    }

    fn planted_claim(&self, entry: &TableEntry, slot: RegionSlot, stamp: Stamp) -> bool {
        let claims = self.catalog.voices().get(&slot).map(|voice| &voice.claims);
        let claim = claims.and_then(|claims| claims.get(&stamp.origin));
        planted!(self, ClaimTrusted)
            && self.catalog.is_whole(entry, slot)
            && claim.is_some_and(|claim| claim.newest >= stamp.hlc)
    }

    /// Looks at what was set aside, while there is any.
    pub(super) fn drive_aside(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        // Marks wait for a table that is not known.
        let known = self.catalog.table_count();
        let idle = self.aside.settled.is_some_and(|tables| tables == 0 || tables == known);
        let idle = idle || now.mono_us < self.aside.next_us;
        if idle || !self.past || self.is_out() || self.lost.is_some() {
            return;
        }
        let rows = store.rows(TableId::ASIDE, self.aside.after.as_ref(), ROWS_MAX);
        let last = rows.len() < ROWS_MAX;
        self.aside.after = rows.last().map(|(key, _)| key.primary.clone());
        let mut txn = Txn::new(store);
        for (key, stored) in rows {
            self.look_at(now, &mut txn, key, &stored);
        }
        if last {
            let Aside { waits, marks, .. } = self.aside;
            let settled = (!waits).then_some(if marks { known } else { 0 });
            self.aside = Aside { settled, next_us: now.mono_us + ROUND_US, ..Aside::default() };
        }
        self.persist(txn, Vec::new(), effects);
    }

    /// Looks at one row that was set aside.
    fn look_at<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        stored: &Stored,
    ) {
        let empty = Attributes::new();
        let said = stored.greatest().body.attributes().unwrap_or(&empty);
        let (place, is_mark) = (stored.greatest().origins.place, said.contains_key(MARK));
        let in_doubt = said.contains_key(ledger::DOUBT);
        let ledger_key = ItemKey { table: TableId::LEDGER, primary: key.primary.clone() };
        let kept = txn.item(&ledger_key);
        let row = match &kept {
            Some(kept) if is_mark => kept.greatest().body.attributes().cloned(),
            // It has gone for the ledger's bounds.
            None if is_mark => None,
            _ => Some(said.clone()),
        };
        let Some(mut row) = row else { return txn.batch.remove(key, stored, self.me) };
        row.remove(ledger::DOUBT);
        match self.judge(txn, &ledger_key, (&row, in_doubt), place) {
            Verdict::Waits => self.aside.waits = true,
            Verdict::Unheard if is_mark => self.aside.marks = true,
            Verdict::Unheard => {
                if kept.is_none() {
                    self.put_ledger(now, txn, ledger_key, row, place);
                }
                let words = [(MARK, true), (ledger::DOUBT, in_doubt)].into_iter().filter(|it| it.1);
                let mark = words.map(|(word, is)| (word.to_string(), AttributeValue::Bool(is)));
                self.put_row(now, txn, key, mark.collect(), place);
                self.aside.marks = true;
            }
            Verdict::Known => txn.batch.remove(key, stored, self.me),
            Verdict::Orphaned => {
                self.put_ledger(now, txn, ledger_key, row, place);
                txn.batch.remove(key, stored, self.me);
            }
        }
    }

    fn judge<S: Snapshot>(
        &self,
        txn: &Txn<'_, S>,
        key: &ItemKey,
        (row, in_doubt): (&Attributes, bool),
        place: Place,
    ) -> Verdict {
        let Some(table) = ledger::table_of(&key.primary) else { return Verdict::Known };
        let me = self.config.slot;
        // It may yet be told of the table, or given it back.
        let joins = self.catalog.membership().state(me) == Some(RegionState::Joining);
        if table == TableId::CATALOG {
            return if joins { Verdict::Waits } else { self.judge_change(txn, key, row) };
        }
        let Some(entry) = self.catalog.get(table) else {
            return match joins {
                true => Verdict::Waits,
                false if planted!(self, UnheardDropped) => Verdict::Known,
                false => Verdict::Unheard,
            };
        };
        if entry.deleted {
            return Verdict::Known;
        }
        if !in_doubt {
            return self.orphaned(txn.store, entry);
        }
        let (item, stamps) = (ledger::item_of(&key.primary, row), ledger::stamps_of(&key.primary));
        let (Some(item), Some((stamp, _))) = (item, stamps) else { return Verdict::Known };
        if self.is_known(txn.store, entry, stamp, place) {
            return Verdict::Known;
        }
        if entry.is_held_by(me) && !self.is_failed(entry, me) {
            if !self.catalog.is_whole(entry, me) || self.has_copies(entry.id) {
                return Verdict::Waits;
            }
        } else if joins {
            return Verdict::Waits;
        }
        let seen = txn.item(&item).is_some_and(|stored| self.has_seen(entry, &stored, stamp));
        let known = seen || is_in_ledger(txn, (&item, stamp), key);
        if known { Verdict::Known } else { self.orphaned(txn.store, entry) }
    }

    /// Of a change of a table: whether what there is of the table by now had seen it. All others
    /// have said what they know of it when they have said that they know of the return.
    fn judge_change<S: Snapshot>(
        &self,
        txn: &Txn<'_, S>,
        key: &ItemKey,
        row: &Attributes,
    ) -> Verdict {
        let (item, stamps) = (ledger::item_of(&key.primary, row), ledger::stamps_of(&key.primary));
        let (Some(item), Some((stamp, _))) = (item, stamps) else { return Verdict::Known };
        if txn.item(&item).is_some_and(|stored| stored.seen.covers(stamp)) {
            return Verdict::Known;
        }
        let mut others = self.catalog.membership().members().filter(|it| *it != self.config.slot);
        let all_said = others.all(|slot| self.has_heard_out(txn.store, slot));
        if all_said { Verdict::Orphaned } else { Verdict::Waits }
    }

    /// It goes to the ledger once this region's feed leaves nobody out who will not ask for it: all
    /// others have said that they know of the return, all that each had said before that is here,
    /// and whoever has a replica by that is known to hold the table.
    fn orphaned(&self, store: &impl Snapshot, entry: &TableEntry) -> Verdict {
        if planted!(self, ReturnUnheard) {
            return Verdict::Orphaned;
        }
        let mut others = self.catalog.membership().members().filter(|it| *it != self.config.slot);
        let all_known = others.all(|slot| {
            let status = self.catalog.status(entry.id, slot).map(|status| &status.state);
            let has = matches!(
                status,
                Some(ReplicaState::Creating | ReplicaState::Active { .. } | ReplicaState::Behind)
            );
            self.has_heard_out(store, slot) && (!has || entry.is_held_by(slot))
        });
        if all_known { Verdict::Orphaned } else { Verdict::Waits }
    }

    /// Whether the region has said that it knows of this one's return, and all that it wrote before
    /// is here.
    fn has_heard_out(&self, store: &impl Snapshot, slot: RegionSlot) -> bool {
        let said = store.item(&membership::key(slot)).map(|said| said.greatest().stamp);
        let here = said.is_some_and(|said| self.place_of(said.origin) >= said.hlc);
        here && self.has_spoken(slot)
    }
}

/// Whether the ledger has the write as the loser of a conflict, or as an orphan, beside the row
/// that is looked at.
fn is_in_ledger<S: Snapshot>(
    txn: &Txn<'_, S>,
    (item, loser): (&ItemKey, Stamp),
    row: &ItemKey,
) -> bool {
    let first = ledger::key(item, loser, Stamp { hlc: Hlc::ZERO, ..loser }).primary;
    let next = txn.store.rows(TableId::LEDGER, Some(&first), 2);
    next.iter().filter(|(key, _)| key != row).any(|(key, _)| {
        let loses = ledger::stamps_of(&key.primary).is_some_and(|(it, _)| it == loser);
        loses && key.primary.partition == first.partition
    })
}
