//! Local writes: a client's items, and the region's own rows.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Effect, Elsewhere, Node, Outcome, Txn};
use crate::catalog::{Crdt, NOWHERE, Policy, TableEntry};
use crate::crdt::State;
use crate::fingerprint;
use crate::id::{Place, RegionSlot, RequestId, TableId};
use crate::index::{Index, IndexUnits, billed_size, check_each};
use crate::item::{Attributes, ItemKey, PrimaryKey};
use crate::limits::TRANSACTION_BYTES_MAX;
use crate::merge::{Body, Origins, Stored, VersionVector, Write, overwrite};
use crate::replica::{Entries, Outline, Snapshot};
use crate::table::{self, Action, Refusal, ReturnValues, WriteOp};
use crate::time::{Hlc, Now, Stamp};
use crate::view::{joined, view};

/// A client's write of one item that may be done.
pub(super) struct Planned {
    key: ItemKey,
    /// The item before; without its attributes, where what it adds to its fingerprint is known.
    stored: Option<Stored>,
    fingerprint: Option<u128>,
    /// `None` if there is nothing to write.
    body: Option<Draft>,
    origins: Origins,
    context: Option<VersionVector>,
    returned: Option<Attributes>,
    /// Size of the item before or after, whichever is larger, as writes are charged.
    bytes: usize,
    indexed: IndexUnits,
}

impl Planned {
    /// Whether there is anything to write.
    pub(super) fn writes(&self) -> bool {
        self.body.is_some()
    }

    /// The whole item that it writes.
    fn item(&self) -> Option<Arc<Attributes>> {
        match &self.body {
            Some(Draft::Whole(Body::Live(item))) => Some(Arc::clone(item)),
            _ => None,
        }
    }

    /// The write is the end of an item that has expired.
    pub(super) fn expires(&mut self) {
        self.origins.expired = true;
    }
}

/// What a write makes of its item.
enum Draft {
    /// A whole item.
    Whole(Body),
    /// A change of what is known of the item; its stamp becomes part of it.
    Merging(Arc<Crdt>, Action),
}

/// Why a write of one item is not done.
pub(super) enum Unplanned {
    NotServing,
    Refused(Refusal),
    Elsewhere(Vec<RegionSlot>, Elsewhere),
}

impl Node {
    pub(super) fn write(
        &mut self,
        now: Now,
        request: RequestId,
        table: TableId,
        op: WriteOp,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(closed) = self.closed() {
            return self.reply_when_settled(vec![(request, Outcome::Closed(closed))], effects);
        }
        let mut txn = Txn::new(store);
        let outcome = match self.plan(&txn, table, op) {
            Err(Unplanned::NotServing) => Outcome::NotServing,
            Err(Unplanned::Refused(refusal)) => Outcome::Refused(refusal),
            Err(Unplanned::Elsewhere(regions, why)) => Outcome::Elsewhere { regions, why },
            Ok(mut planned) => {
                let floor = self.floor(&planned);
                let (returned, bytes) = (planned.returned.take(), planned.bytes);
                let indexed = core::mem::take(&mut planned.indexed);
                let item = planned.item();
                let stamp = planned.body.is_some().then(|| self.issue(now, floor));
                if let Some(stamp) = stamp {
                    self.execute(now, &mut txn, planned, stamp, effects);
                }
                Outcome::Written { returned, stamp, bytes, indexed, item }
            }
        };
        self.persist(txn, vec![(request, outcome)], effects);
    }

    /// All writes or none, under one stamp: whoever merges them decides the same for every item.
    pub(super) fn transact(
        &mut self,
        now: Now,
        request: RequestId,
        ops: Vec<(TableId, WriteOp)>,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(closed) = self.closed() {
            return self.reply_when_settled(vec![(request, Outcome::Closed(closed))], effects);
        }
        let mut txn = Txn::new(store);
        let planned: Vec<Result<Planned, Unplanned>> =
            ops.into_iter().map(|(table, op)| self.plan(&txn, table, op)).collect();
        if let Some(outcome) = undone(&planned) {
            return self.reply_when_settled(vec![(request, outcome)], effects);
        }
        if planned.iter().any(Result::is_err) {
            let reason = |planned: Result<Planned, Unplanned>| match planned {
                Err(Unplanned::Refused(refusal)) => Some(refusal),
                Err(Unplanned::NotServing | Unplanned::Elsewhere(..)) | Ok(_) => None,
            };
            let reasons = planned.into_iter().map(reason).collect();
            return self.reply_when_settled(vec![(request, Outcome::Cancelled(reasons))], effects);
        }
        let mut planned: Vec<Planned> = planned.into_iter().filter_map(Result::ok).collect();
        let bytes: Vec<usize> = planned.iter().map(|it| it.bytes).collect();
        let indexed = planned.iter_mut().map(|it| core::mem::take(&mut it.indexed)).collect();
        // What was told of any condition rests on every row.
        let conditional = planned.iter().any(|it| it.origins.conditional);
        planned.retain(|it| it.body.is_some());
        txn.order = planned.iter().map(|it| it.key.clone()).collect();
        let floor = planned.iter().map(|it| self.floor(it)).max().unwrap_or_default();
        let stamp = (!planned.is_empty()).then(|| self.issue(now, floor));
        if let Some(stamp) = stamp {
            let rows = u8::try_from(planned.len()).unwrap_or(u8::MAX);
            for mut write in planned {
                write.origins.rows = rows;
                write.origins.conditional = conditional;
                self.execute(now, &mut txn, write, stamp, effects);
            }
        }
        let outcome = Outcome::Transacted { stamp, bytes, indexed };
        self.persist(txn, vec![(request, outcome)], effects);
    }

    /// What a client's write comes to, against what the transaction sees.
    pub(super) fn plan<S: Snapshot>(
        &self,
        txn: &Txn<'_, S>,
        table: TableId,
        op: WriteOp,
    ) -> Result<Planned, Unplanned> {
        self.check_owner(self.served(table)?, &op.key)?;
        self.plan_here(txn, table, op)
    }

    fn served(&self, table: TableId) -> Result<&TableEntry, Unplanned> {
        let serving = self.catalog.get(table);
        let serving = serving.filter(|entry| self.catalog.is_serving(entry, self.config.slot));
        serving.ok_or(Unplanned::NotServing)
    }

    /// The same of a write that this region does, whoever else does those of clients.
    pub(super) fn plan_here<S: Snapshot>(
        &self,
        txn: &Txn<'_, S>,
        table: TableId,
        op: WriteOp,
    ) -> Result<Planned, Unplanned> {
        let entry = self.served(table)?;
        let key = ItemKey { table, primary: op.key.clone() };
        let outline = self.replaces_unseen(entry, &op).then(|| txn.outline(&key));
        let (stored, known) = match outline {
            Some(outline) => outline.map_or((None, Some((0, 0))), |outline| {
                let Outline { stored, bytes, fingerprint } = outline;
                (Some(stored), Some((bytes, fingerprint)))
            }),
            None => (txn.item(&key), None),
        };
        let shown = stored.as_ref().and_then(|stored| view(&entry.settings.policy, stored));
        if shown.is_none() {
            self.check_hidden(entry, &op)?;
        }
        let billed =
            |item: Option<&Attributes>| item.map_or(0, |it| billed_size(&entry.indexes, it));
        let before = known.map_or_else(|| billed(shown.as_deref()), |(bytes, _)| bytes);
        // What the request alone shows to be wrong is told before what is there is looked at.
        let wrong = match &op.action {
            Action::Put(_) if op.restores => Ok(()),
            Action::Put(item) => check_each(&entry.indexes, |index| index.check(item)),
            Action::Update(update) => table::check_update(update, &entry.schema, &entry.indexes),
            Action::Delete | Action::Check => Ok(()),
        };
        wrong.map_err(Unplanned::Refused)?;
        let applied =
            table::apply(&op, &entry.schema, shown.as_deref()).map_err(Unplanned::Refused)?;
        if let (Action::Update(_), Some(next)) = (&op.action, &applied.next) {
            let check = |index: &Index| index.check_change(shown.as_deref(), next);
            check_each(&entry.indexes, check).map_err(Unplanned::Refused)?;
        }
        let indexed = index_units(entry, shown.as_deref(), &applied);
        let next = applied.next.as_deref();
        let was = stored.as_ref().map(|stored| (stored, shown.as_deref()));
        let place = self.place(entry, &key.primary, was, next)?;
        let bytes = before.max(billed(next));
        let (returned, changed) = (applied.returned, applied.changed);
        let updated = match applied.next {
            Some(Cow::Owned(next)) => Some(next),
            Some(Cow::Borrowed(_)) | None => None,
        };
        drop(shown);
        let origins = origins(entry, &op, place);
        let WriteOp { action, context, .. } = op;
        // Elsewhere one version takes the place of all, whatever its client has seen.
        let context = context.filter(|_| entry.settings.policy == Policy::Siblings);
        let draft = match (&entry.settings.policy, action) {
            (Policy::Crdt(crdt), action) => Draft::Merging(Arc::clone(crdt), action),
            (_, Action::Put(item)) => Draft::Whole(Body::live(item)),
            (_, Action::Update(_) | Action::Delete | Action::Check) => {
                Draft::Whole(updated.map_or(Body::Tombstone, Body::live))
            }
        };
        let (body, fingerprint) = (changed.then_some(draft), known.map(|(_, sum)| sum));
        Ok(Planned { key, stored, fingerprint, body, origins, context, returned, bytes, indexed })
    }

    /// Whether the write takes the place of the item whatever that says.
    fn replaces_unseen(&self, entry: &TableEntry, op: &WriteOp) -> bool {
        let looks = op.condition.is_some()
            || op.return_values != ReturnValues::None
            || op.context.is_some()
            || !entry.indexes.is_empty()
            // Where the item may be is a matter of what it has.
            || !entry.settings.placement.0.is_empty()
            || entry.is_journaled();
        let whole = matches!(op.action, Action::Put(_) | Action::Delete)
            && matches!(entry.settings.policy, Policy::Lww | Policy::Owner);
        whole && !looks && fingerprint::covers(entry.id) && !planted!(self, FingerprintOfTombstones)
    }

    /// Refuses what another region writes.
    fn check_owner(&self, entry: &TableEntry, key: &PrimaryKey) -> Result<(), Unplanned> {
        if entry.settings.policy != Policy::Owner {
            return Ok(());
        }
        let owner = entry.settings.ownership.owner(&self.config.directory, key, entry.home);
        if owner == self.config.slot {
            return Ok(());
        }
        Err(Unplanned::Elsewhere(Vec::from([owner]), Elsewhere::Owned))
    }

    /// Leaves a write that goes by an item which is not here, but may be where this region does
    /// not see it, to a region that sees all. A new item that is put unseen is put here: most are
    /// new, and one that is not meets the other in the ledger.
    fn check_hidden(&self, entry: &TableEntry, op: &WriteOp) -> Result<(), Unplanned> {
        let placement = &entry.settings.placement;
        let blind = matches!(op.action, Action::Put(_)) && (op.restores || !op.had_condition());
        let hides = |slot| placement.hides(&self.config.directory, &op.key, slot);
        if blind || placement.0.is_empty() || !hides(self.config.slot) {
            return Ok(());
        }
        let seeing: Vec<RegionSlot> = entry.holders().filter(|&slot| !hides(slot)).collect();
        if seeing.is_empty() {
            Ok(())
        } else {
            Err(Unplanned::Elsewhere(seeing, Elsewhere::Placed))
        }
    }

    /// The placement rule of the item that the write leaves; refuses what may not be here, and an
    /// item that would go elsewhere.
    fn place(
        &self,
        entry: &TableEntry,
        key: &PrimaryKey,
        known: Option<(&Stored, Option<&Attributes>)>,
        next: Option<&Attributes>,
    ) -> Result<Place, Unplanned> {
        let placement = &entry.settings.placement;
        let refused = |text: &str| Unplanned::Refused(Refusal::Validation(text.into()));
        let place = placement.place_after(key, known, next).map_err(refused)?;
        let allows = |slot| placement.allows(&self.config.directory, place, slot);
        if allows(self.config.slot) {
            return Ok(place);
        }
        let regions: Vec<RegionSlot> = entry.holders().filter(|&slot| allows(slot)).collect();
        if regions.is_empty() {
            return Err(refused(NOWHERE));
        }
        Err(Unplanned::Elsewhere(regions, Elsewhere::Placed))
    }

    /// What the stamp of the write must exceed.
    pub(super) fn floor(&self, planned: &Planned) -> Hlc {
        self.past(planned.key.table, planned.stored.as_ref()).newest()
    }

    /// What the region has seen of an item: of one that has no row, what was collected.
    fn past<'a>(&'a self, table: TableId, stored: Option<&'a Stored>) -> &'a VersionVector {
        stored.map_or_else(|| self.seen_of_collected(table), |stored| &stored.seen)
    }

    pub(super) fn execute<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        planned: Planned,
        stamp: Stamp,
        effects: &mut Vec<Effect>,
    ) {
        let Planned { key, stored, fingerprint, body, origins, context, .. } = planned;
        let was = fingerprint.unwrap_or_else(|| self.fingerprint(&key, stored.as_ref()));
        let body = match body {
            None => return,
            Some(Draft::Whole(body)) => body,
            Some(Draft::Merging(crdt, action)) => {
                let key = &key.primary;
                Body::Crdt(Arc::new(self.change(&crdt, stored.as_ref(), key, &action, stamp)))
            }
        };
        let unseen = self.unseen(key.table, stored.as_ref(), context.as_ref());
        let item = (!unseen.is_empty()).then(|| key.clone());
        self.put(txn, key, (stored, was), Write { stamp, body, origins, context });
        if let Some(item) = item {
            self.record_unseen(now, txn, &item, unseen, effects);
        }
    }

    /// What is known of the item after the change.
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    fn change(
        &self,
        crdt: &Crdt,
        stored: Option<&Stored>,
        key: &PrimaryKey,
        action: &Action,
        stamp: Stamp,
    ) -> State {
        let mut state = stored.map(|stored| joined(crdt, stored)).unwrap_or_default();
        match action {
            Action::Put(item) => state.put(stamp, &crdt.keys(), item, &crdt.options),
            Action::Delete => state.delete(stamp, &crdt.options),
            Action::Check => {}
            Action::Update(update) => {
                let key = key_attributes(crdt, key);
                let updated = state.update(stamp, &key, update, &crdt.options);
                assert!(
                    updated.is_ok(),
                    "an update was checked against what is shown: {updated:?}"
                );
            }
        }
        state
    }

    /// Writes one of the region's own rows: catalog or ledger.
    pub(super) fn put_system<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        row: Attributes,
    ) -> Stamp {
        if key.table == TableId::CATALOG {
            self.catalog_changed |= self.catalog.observe(&key.primary, Some(&row));
        }
        self.put_row(now, txn, key, row, Place::ANYWHERE)
    }

    /// Writes a row of the ledger, which may be where its conflict's item may be.
    pub(super) fn put_ledger<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        row: Attributes,
        place: Place,
    ) -> Stamp {
        let place = if planted!(self, LedgerUnplaced) { Place::ANYWHERE } else { place };
        self.put_row(now, txn, key, row, place)
    }

    /// Writes a row of one of Pangea's own tables.
    pub(super) fn put_row<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        row: Attributes,
        place: Place,
    ) -> Stamp {
        let stored = txn.item(&key);
        let floor = self.past(key.table, stored.as_ref()).newest();
        let stamp = self.issue(now, floor);
        let (body, origins) = (Body::live(row), Origins { place, ..Origins::PLAIN });
        let was = self.fingerprint(&key, stored.as_ref());
        self.put(txn, key, (stored, was), Write { stamp, body, origins, context: None });
        stamp
    }

    /// Writes a new version that has seen all that this region has seen of the item, which `was`
    /// that to its fingerprint.
    pub(super) fn put<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        (stored, was): (Option<Stored>, u128),
        write: Write,
    ) {
        let stamp = write.stamp;
        let buried = stored.as_ref().map(Stored::buried).unwrap_or_default();
        let own_before = stored.as_ref().map_or(Hlc::ZERO, |stored| stored.seen.get(self.me));
        let (next, replaced) = self.overwriting(key.table, stored, write);
        self.note_changed(txn, &key, was, Some(&next));
        self.note_put(&key, &next);
        txn.batch.unbury(&key, buried);
        let added = Some(stamp);
        txn.batch.put(key, next, Entries { me: self.me, own_before, added, replaced });
    }

    fn overwriting(
        &self,
        table: TableId,
        stored: Option<Stored>,
        write: Write,
    ) -> (Stored, Vec<Stamp>) {
        let stamp = write.stamp;
        let (mut next, replaced) = overwrite(stored, self.seen_of_collected(table), write);
        if planted!(self, ContextForgotten) {
            next.versions[0].context = VersionVector::default();
            next.versions[0].context.record(stamp);
        }
        (next, replaced)
    }
}

/// Why a transaction is not even looked at as a whole, if it is not: its items are not here, or are
/// too large together.
pub(super) fn undone(planned: &[Result<Planned, Unplanned>]) -> Option<Outcome> {
    if planned.iter().any(|it| matches!(it, Err(Unplanned::NotServing))) {
        return Some(Outcome::NotServing);
    }
    let mut elsewhere = planned.iter().filter_map(|it| match it {
        Err(Unplanned::Elsewhere(regions, why)) => Some((regions, *why)),
        _ => None,
    });
    if let Some((regions, why)) = elsewhere.next() {
        // One region may do all of it, or whichever is named refuses it.
        let others: Vec<_> = elsewhere.collect();
        let common = |slot: &RegionSlot| others.iter().all(|(regions, _)| regions.contains(slot));
        let common: Vec<RegionSlot> = regions.iter().copied().filter(common).collect();
        let regions = if common.is_empty() { regions.clone() } else { common };
        return Some(Outcome::Elsewhere { regions, why });
    }
    let bytes: usize = planned.iter().flatten().map(|it| it.bytes).sum();
    let text = "The aggregate size of the items in the transaction cannot exceed 4 MB";
    let large = bytes > TRANSACTION_BYTES_MAX;
    large.then(|| Outcome::Refused(Refusal::Validation(text.into())))
}

fn key_attributes(crdt: &Crdt, key: &PrimaryKey) -> Attributes {
    let values = [Some(key.partition.clone()), key.sort.clone()].into_iter().flatten();
    crdt.key_names.iter().cloned().zip(values.map(Into::into)).collect()
}

/// What the write costs the indexes.
fn index_units(
    entry: &TableEntry,
    before: Option<&Attributes>,
    applied: &table::Applied<'_>,
) -> IndexUnits {
    let after = if applied.changed { applied.next.as_deref() } else { before };
    let units = |index: &Index| (index.id, index.write_units(&entry.schema, before, after));
    entry.indexes.iter().map(units).filter(|(_, units)| *units > 0).collect()
}

fn origins(entry: &TableEntry, op: &WriteOp, place: Place) -> Origins {
    let (conditional, epoch) = (op.had_condition(), entry.settings.epoch);
    Origins { conditional, epoch, place, ..Origins::PLAIN }
}
