//! A region comes back after it was given up or let go: in a new life, with its data directory or
//! an empty one.
//!
//! The others decide on the life ([`crate::membership::What::Rejoin`]); the region hears of it in
//! the feeds of the catalog, which it is still given, and begins it: the life is durable before
//! anything is done in it. Then it puts its past in order, in batches that can be done again:
//!
//! * of tables that others hold, its writes that none of them had are set aside for the ledger
//!   ([`super::aside`]), and all rows go: the others may have deleted items meanwhile, and
//!   collected the tombstones. So are writes of other lives that are over, which it alone may have
//!   been given: it was given up before the others had levelled them;
//! * of tables that nobody else holds, and of items that no other holder may have, the rows stay;
//!   those that were written after the others had stopped listening are written anew, in the new
//!   life;
//! * ledger entries that none of the others had are set aside, too, to be written anew, and go:
//!   under their old stamps they would count among what is here of the life that is over, and
//!   nobody else would ever have that;
//! * changes of tables that none of the others had heard of are set aside for the ledger as well;
//! * the catalog goes, and every place in the others' feeds; of tables of which rows stay, the
//!   region says that it has some.
//!
//! From there it is like a region that was never there: it takes part from the beginning of every
//! feed, learns what others have of its earlier lives before it speaks for itself, copies the
//! tables that it shall hold, and asks to be active.

use alloc::vec::Vec;

use super::{Effect, Node, Txn};
use crate::catalog::{ReplicaState, ReplicaStatus, TableEntry, entry_key, status_key};
use crate::id::{Origin, Place, RegionSlot, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::ledger;
use crate::limits::DROP_ROWS_MAX;
use crate::membership::{self, Change, RegionState, Voice, What};
use crate::merge::{Stored, Version, VersionVector, Write};
use crate::replica::{Rebirth, Snapshot};
use crate::time::{Hlc, Now, Stamp};

/// How long a region that is called back waits to hear that the others know, microseconds: what
/// those have that say nothing is in doubt, and what is in doubt is written once more.
const CALL_PATIENCE_US: u64 = 1_000_000;

/// How far the past is in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Cleaning {
    /// Tables that are done, in the order of their identities; then the ledger, then the catalog.
    done: Option<TableId>,
    after: Option<PrimaryKey>,
}

impl Node {
    /// The life to which this region was called back, if it was: one that it has not begun before.
    pub(super) fn called_to(&self) -> Option<u16> {
        let region = self.catalog.membership().regions.get(&self.config.slot);
        let region = region.filter(|region| !region.state.is_gone())?;
        let life = region.life.filter(|life| *life != self.me.incarnation())?;
        let begun = self.was_lived(Origin::new(self.config.slot, life), region.state);
        (!begun || planted!(self, LifeBegunTwice)).then_some(life)
    }

    /// Whether a life of this region was lived, and its log is lost: it has asked to be active, or
    /// a peer has what it wrote. To begin it again would be to write in its name without its rows.
    fn was_lived(&self, life: Origin, state: RegionState) -> bool {
        let mut told = self.links.values().filter_map(|link| link.applied.get(&life));
        let is_known = told.any(|hlc| *hlc > Hlc::ZERO);
        is_known || matches!(state, RegionState::Active | RegionState::Suspended)
    }

    /// Whether this region is called back and waits for the others to say that they know.
    pub(super) fn is_called(&self) -> bool {
        self.called_us.is_some()
    }

    /// Begins the life to which this region was called back, if it was.
    pub(super) fn begin_life(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let Some(incarnation) = self.called_to() else {
            self.called_us = None;
            return;
        };
        let called_us = *self.called_us.get_or_insert(now.mono_us);
        let membership = self.catalog.membership();
        let others = membership.members().filter(|slot| *slot != self.config.slot);
        let up: Vec<_> =
            others.filter(|slot| self.links.get(slot).is_some_and(|it| it.up)).collect();
        // Who has sent all that it had says by it what it has of the life, too.
        let said = |slot: &RegionSlot| {
            self.has_spoken(*slot) && self.links.get(slot).is_some_and(|link| link.level)
        };
        let all_said = !up.is_empty() && up.iter().all(said);
        if !all_said && now.mono_us < called_us + CALL_PATIENCE_US {
            return;
        }
        let mut txn = Txn::new(store);
        txn.batch.rebirth = Some(Rebirth { incarnation, done: false });
        self.persist(txn, Vec::new(), effects);
    }

    /// Puts one page of the past in order.
    pub(super) fn clean(&mut self, now: Now, store: &impl Snapshot, effects: &mut Vec<Effect>) {
        let Some(mut cleaning) = self.cleaning.take() else { return };
        let mut txn = Txn::new(store);
        let next = self.catalog.tables().find(|it| cleaning.done.is_none_or(|done| it.id > done));
        match next.cloned() {
            Some(entry) => {
                let page = store.rows(entry.id, cleaning.after.as_ref(), DROP_ROWS_MAX);
                turn_page(&mut cleaning, entry.id, &page);
                self.clean_table(now, &mut txn, &entry, page);
            }
            None if cleaning.done != Some(TableId::LAST) => {
                let page = store.rows(TableId::LEDGER, cleaning.after.as_ref(), DROP_ROWS_MAX);
                turn_page(&mut cleaning, TableId::LAST, &page);
                self.clean_ledger(now, &mut txn, page);
            }
            None => {
                self.clean_catalog(now, &mut txn);
                let incarnation = self.me.incarnation();
                txn.batch.rebirth = Some(Rebirth { incarnation, done: true });
            }
        }
        self.cleaning = Some(cleaning);
        self.persist(txn, Vec::new(), effects);
    }

    fn clean_table<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        entry: &TableEntry,
        page: Vec<(ItemKey, Stored)>,
    ) {
        let private = self.is_private(entry);
        if !private {
            self.forget_collected(txn, entry.id);
        }
        for (key, stored) in page {
            self.forget_displaced(txn, &key, &stored);
            // What no other holder may have, nobody else has, whatever they have heard of.
            let alone = |it: &&Version| !entry.deleted && !self.is_shared(entry, it.origins.place);
            let shared = !private && !stored.versions.iter().all(|it| alone(&it));
            let is_orphan = |it: &&Version| match shared && alone(it) {
                true => true,
                false => self.is_orphan(entry, it.stamp, it.origins.place),
            };
            // Where no holder has spoken, what they are taken to have had may be lost.
            let told = |it: &&Version| {
                let mut others = self.others_with(entry, it.origins.place);
                !shared || alone(it) || others.any(|slot| self.has_spoken(slot))
            };
            let orphans = stored.versions.iter().filter(|it| is_orphan(it) && told(it));
            let orphans: Vec<_> = orphans.cloned().collect();
            if shared {
                self.set_aside(now, txn, (entry, &key), &stored, &orphans);
                let was = self.fingerprint(&key, Some(&stored));
                self.note_changed(txn, &key, was, None);
                txn.batch.remove(key, &stored, self.me);
                continue;
            }
            for orphan in orphans.iter().filter(|_| !entry.deleted) {
                let stored = txn.item(&key).unwrap_or_else(|| stored.clone());
                let stamp = self.issue(now, stored.seen.newest());
                let (body, origins) = (orphan.body.clone(), orphan.origins);
                let context = Some(orphan.context.clone());
                let write = Write { stamp, body, origins, context };
                let was = self.fingerprint(&key, Some(&stored));
                self.put(txn, key.clone(), (Some(stored), was), write);
            }
            self.forget_unheard(txn, &key);
        }
    }

    /// Of a row that stays: takes what nobody else ever heard of out of what it has seen. No place
    /// in a feed will ever cover it, so deletes that had seen it would be kept for ever.
    fn forget_unheard<S: Snapshot>(&self, txn: &mut Txn<'_, S>, key: &ItemKey) {
        let Some(mut stored) = txn.item(key) else { return };
        let heard = |origin: Origin| {
            let had = self.catalog.voices().values().filter_map(|voice| voice.had.get(&origin));
            had.copied().max().unwrap_or_default()
        };
        let earlier = |origin: Origin| origin.slot() == self.config.slot && origin != self.me;
        let known = |vector: &VersionVector| {
            let cut = |(origin, hlc): (Origin, Hlc)| match earlier(origin) {
                true => (origin, hlc.min(heard(origin))),
                false => (origin, hlc),
            };
            let entries = vector.iter().map(cut).filter(|(_, hlc)| *hlc > Hlc::ZERO);
            VersionVector::from_entries(entries)
        };
        let seen = known(&stored.seen);
        if seen == stored.seen {
            return;
        }
        stored.seen = seen;
        for version in &mut stored.versions {
            version.context = known(&version.context);
        }
        txn.batch.items.insert(key.clone(), Some(stored));
    }

    fn clean_ledger<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        page: Vec<(ItemKey, Stored)>,
    ) {
        for (key, stored) in page {
            self.forget_displaced(txn, &key, &stored);
            let table = ledger::table_of(&key.primary).and_then(|table| self.catalog.get(table));
            let greatest = stored.greatest();
            let (stamp, place) = (greatest.stamp, greatest.origins.place);
            let alone = match table {
                Some(entry) => {
                    self.is_orphan(entry, stamp, place)
                        || self.is_doubtful(txn.store, entry, stamp, place)
                }
                None => ledger::is_about_table(&key.primary) && self.is_unheard(stamp),
            };
            if let (true, Some(row)) = (alone, greatest.body.attributes()) {
                self.put_aside(now, txn, key.primary.clone(), row.clone(), place);
                if planted!(self, ClaimedByLedger) {
                    continue;
                }
                // Under its old stamp it would count among what is here of the life that is over.
                let was = self.fingerprint(&key, Some(&stored));
                self.note_changed(txn, &key, was, None);
                txn.batch.remove(key, &stored, self.me);
            } else {
                self.forget_unheard(txn, &key);
            }
        }
    }

    /// What stays is this region's voice, and the tables that nobody else knows how to tell of.
    fn clean_catalog<S: Snapshot>(&mut self, now: Now, txn: &mut Txn<'_, S>) {
        let me = self.config.slot;
        let membership = self.catalog.membership().clone();
        let since = membership.since(me);
        let mut alone: Vec<TableEntry> = self.catalog.tables().cloned().collect();
        alone.retain(|entry| self.is_private(entry));
        self.set_changes_aside(now, txn, &alone);
        for (key, stored) in txn.store.rows(TableId::CATALOG, None, usize::MAX) {
            self.forget_displaced(txn, &key, &stored);
            let was = self.fingerprint(&key, Some(&stored));
            self.note_changed(txn, &key, was, None);
            txn.batch.remove(key, &stored, self.me);
        }
        for entry in alone {
            let Some(mut entry) = self.catalog.written(entry.id).cloned() else { continue };
            (entry.home, entry.home_since) = (me, since);
            entry.replicas.clear();
            entry.former.clear();
            let key = entry_key(entry.id);
            self.put_again(now, txn, key, entry.to_attributes());
        }
        if !planted!(self, RowsKeptUntold) {
            self.tell_of_rows_kept(now, txn, since);
        }
        let voice = Voice { membership, ..Voice::default() };
        self.put_again(now, txn, membership::key(me), voice.to_attributes());
    }

    /// Sets aside what clients have changed of tables, in a life that is over, and nobody has heard
    /// of: once the catalog is here again, what became of it is known.
    fn set_changes_aside<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        kept: &[TableEntry],
    ) {
        if planted!(self, ChangeUndone) {
            return;
        }
        let mut tables: Vec<TableEntry> = self.catalog.tables().cloned().collect();
        tables.retain(|entry| kept.iter().all(|kept| kept.id != entry.id));
        for entry in tables {
            let row = entry_key(entry.id);
            let Some(stored) = txn.store.item(&row) else { continue };
            if self.is_unheard(stored.greatest().stamp) {
                self.set_change_aside(now, txn, &row, stored.greatest());
            }
        }
    }

    /// Whether a row that goes to everybody is of a life that is over, and nobody who knows of this
    /// region's return had it when that ended.
    fn is_unheard(&self, stamp: Stamp) -> bool {
        let (me, origin) = (self.config.slot, stamp.origin);
        let over = origin != self.me && !self.catalog.membership().admits(origin);
        let voices = self.catalog.voices().iter();
        let mut others = voices.filter(|(slot, _)| **slot != me && self.has_spoken(**slot));
        let had = |voice: &Voice| voice.had.get(&origin).is_some_and(|had| *had >= stamp.hlc);
        over && !others.any(|(_, voice)| had(voice))
    }

    /// Says of each table that others hold, and of which rows stay because none of them may have
    /// those, that this region has rows: all that anyone can know of it, who inherited the table
    /// may be given up, or come back, before this region has copied it.
    fn tell_of_rows_kept<S: Snapshot>(&mut self, now: Now, txn: &mut Txn<'_, S>, since: u32) {
        let me = self.config.slot;
        let mut kept: Vec<TableEntry> = self.catalog.tables().cloned().collect();
        kept.retain(|entry| !entry.deleted && !self.is_private(entry));
        kept.retain(|entry| !txn.store.rows(entry.id, None, 1).is_empty());
        for entry in kept {
            let replica = entry.former.iter().find(|former| former.slot == me);
            let status = ReplicaStatus {
                since: replica.map_or(Hlc::ZERO, |former| former.since),
                joined: since,
                state: ReplicaState::Leaving,
            };
            self.put_again(now, txn, status_key(entry.id, me), status.to_attributes());
        }
    }

    /// Takes out of the index what stood in it for own versions of earlier lives that others' took
    /// the place of: it belongs to nobody's feed any more.
    fn forget_displaced<S: Snapshot>(&self, txn: &mut Txn<'_, S>, key: &ItemKey, stored: &Stored) {
        let earlier = stored
            .seen
            .iter()
            .filter(|(origin, _)| origin.slot() == self.config.slot && *origin != self.me);
        for stamp in earlier.map(|(origin, hlc)| Stamp { hlc, origin }) {
            if stored.version(stamp).is_none() {
                txn.batch.changelog.insert((stamp, key.clone()), false);
            }
        }
    }

    /// Puts a system row whose removal is in the batch already.
    fn put_again<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        row: crate::item::Attributes,
    ) {
        let (before, me) = (txn.batch.items.remove(&key), self.me);
        let stamps = txn.store.item(&key).filter(|_| before.is_some());
        for stamp in stamps.iter().flat_map(|stored| stored.entries(me)) {
            txn.batch.changelog.remove(&(stamp, key.clone()));
        }
        if let Some(stored) = stamps.filter(|_| before.is_some()) {
            self.note_changed(txn, &key, 0, Some(&stored));
        }
        self.put_system(now, txn, key, row);
    }

    /// Whether the table's rows are in this region alone: no other shall hold it, or none has heard
    /// of it. Who lives anew has forgotten what it had of a life that was over before, so that what
    /// regions had says nothing of a table of which others speak.
    fn is_private(&self, entry: &TableEntry) -> bool {
        let me = self.config.slot;
        let made = entry.id.0;
        let heard = self.catalog.voices().values().filter_map(|voice| voice.had.get(&made.origin));
        let unheard = made.origin.slot() == me
            && made.origin != self.me
            && heard.max().is_none_or(|heard| made.hlc > *heard)
            && (!self.is_told_of(entry) || planted!(self, EarlierLivesUnheard));
        let mut others = entry.holders().filter(|&slot| slot != me);
        // Whoever shall have inherited it from this region, never has any of it.
        let mine = self.catalog.written(entry.id).is_some_and(|written| written.home == me);
        let alone = others.all(|slot| self.is_failed(entry, slot));
        !entry.deleted && (unheard || (alone && (mine || entry.is_held_by(me))))
    }

    /// Whether another region says in its present life what becomes of the table there.
    fn is_told_of(&self, entry: &TableEntry) -> bool {
        let mut others = self.catalog.membership().regions.keys();
        others.any(|&it| it != self.config.slot && self.catalog.status(entry.id, it).is_some())
    }

    /// Whether a version is one of this region's earlier lives that no other holder had when it
    /// stopped listening to that life.
    fn is_orphan(&self, entry: &TableEntry, stamp: Stamp, place: Place) -> bool {
        let me = self.config.slot;
        if stamp.origin.slot() != me || stamp.origin == self.me {
            return false;
        }
        // Of a life before the last one everything had gone when that began, and what is here was
        // given back by those who had it.
        let mut holders = self.others_with(entry, place);
        if self.had.contains_key(&stamp.origin)
            && holders.any(|slot| self.catalog.is_whole(entry, slot))
            && !planted!(self, EarlierLivesUnheard)
        {
            return false;
        }
        let voices = self.catalog.voices();
        let had = |slot| voices.get(&slot).and_then(|voice| voice.had.get(&stamp.origin)).copied();
        // What a region had heard while it did not hold the table, or was copying it, it dropped.
        let held = |slot: &RegionSlot| {
            let held = voices.get(slot).and_then(|voice| voice.held.get(&stamp.origin));
            held.is_some_and(|held| held.contains(&entry.id))
        };
        let mut others = self.others_with(entry, place).peekable();
        let known = match others.peek() {
            Some(_) => others.filter(held).filter_map(had).max(),
            // Nobody else may have it: what was written after the last that anyone heard.
            None => voices.keys().filter_map(|&slot| had(slot)).max(),
        };
        stamp.hlc > known.unwrap_or(Hlc::ZERO)
    }

    /// The other holders of the table that may have what lies at `place`; one whose replica could
    /// not be made never has any.
    pub(super) fn others_with<'a>(
        &'a self,
        entry: &'a TableEntry,
        place: Place,
    ) -> impl Iterator<Item = RegionSlot> + 'a {
        let (me, placement) = (self.config.slot, &entry.settings.placement);
        let allowed = move |slot| placement.allows(&self.catalog.directory, place, slot);
        let holders = entry.holders().filter(move |&slot| slot != me && allowed(slot));
        holders.filter(move |&slot| !self.is_failed(entry, slot))
    }

    fn is_shared(&self, entry: &TableEntry, place: Place) -> bool {
        self.others_with(entry, place).next().is_some()
    }

    /// Whether this region knows all that others have of its earlier lives: before that, it says
    /// nothing that those may have said otherwise.
    pub(super) fn knows_its_past(&self) -> bool {
        let (me, membership) = (self.config.slot, self.catalog.membership());
        if membership.state(me) != Some(RegionState::Joining) {
            return true;
        }
        // What only a region that is gone has of them, nobody will ever level.
        let speaks = |slot: RegionSlot| !membership.is_gone(slot);
        let heard =
            self.links.iter().filter(|(slot, link)| speaks(**slot) && link.up && link.level);
        let heard: Vec<_> = heard.collect();
        let voters = heard.iter().filter(|(slot, _)| membership.votes(**slot)).count();
        let told = heard.iter().flat_map(|(_, link)| link.applied.iter());
        let mut own = told.filter(|(origin, _)| origin.slot() == me && **origin != self.me);
        voters >= membership.majority() && own.all(|(&origin, &hlc)| self.place_of(origin) >= hlc)
    }

    /// The change that this region wants for itself: to be active once it has what it shall hold.
    pub(super) fn wants_for_itself(&self) -> Option<Change> {
        let slot = self.config.slot;
        let what = match self.catalog.membership().state(slot)? {
            RegionState::Joining if self.has_copied() => What::Activate,
            RegionState::Leaving if self.has_handed_over() => What::Remove,
            _ => return None,
        };
        Some(Change { slot, what })
    }

    /// Whether all others have said, in band, that they have everything of this region.
    fn has_handed_over(&self) -> bool {
        let others = self.catalog.membership().members().filter(|&slot| slot != self.config.slot);
        let has = |slot: RegionSlot| {
            let applied = self.links.get(&slot).and_then(|link| link.applied.get(&self.me));
            applied.is_some_and(|applied| *applied >= self.left)
        };
        self.closed >= self.left && others.into_iter().all(has)
    }

    fn has_copied(&self) -> bool {
        let (me, membership) = (self.config.slot, self.catalog.membership());
        let mut up =
            self.links.iter().filter(|(slot, link)| link.up && !membership.is_gone(**slot));
        self.past
            && up.all(|(_, link)| link.level)
            && self.catalog.held_by(me).all(|entry| self.catalog.is_serving(entry, me))
    }
}

/// Goes on behind the page, or to the next table if it was the last.
fn turn_page(cleaning: &mut Cleaning, table: TableId, page: &[(ItemKey, Stored)]) {
    cleaning.after = page.last().map(|(key, _)| key.primary.clone());
    if page.len() < DROP_ROWS_MAX {
        (cleaning.done, cleaning.after) = (Some(table), None);
    }
}
