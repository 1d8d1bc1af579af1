//! Local writes: a client's items, and the region's own rows.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Effect, Node, Outcome, Txn};
use crate::catalog::{Crdt, Policy, TableEntry};
use crate::crdt::State;
use crate::id::{Place, RequestId, TableId};
use crate::item::{Attributes, ItemKey, PrimaryKey, item_size};
use crate::merge::{Body, Origins, Stored, VersionVector, Write, overwrite};
use crate::replica::Snapshot;
use crate::table::{self, Action, Refusal, WriteOp};
use crate::time::{Hlc, Now, Stamp};
use crate::view::{joined, view};

/// A client's write of one item that may be done.
pub(super) struct Planned {
    key: ItemKey,
    stored: Option<Stored>,
    /// `None` if there is nothing to write.
    body: Option<Draft>,
    origins: Origins,
    context: Option<VersionVector>,
    returned: Option<Attributes>,
    /// Size of the item before or after, whichever is larger.
    bytes: usize,
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
}

impl Node {
    pub(super) fn write(
        &mut self,
        now: Now,
        request: RequestId,
        table: TableId,
        op: &WriteOp,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let mut txn = Txn::new(store);
        let outcome = match self.plan(&txn, table, op) {
            Err(Unplanned::NotServing) => Outcome::NotServing,
            Err(Unplanned::Refused(refusal)) => Outcome::Refused(refusal),
            Ok(mut planned) => {
                let floor = self.floor(&planned);
                let (returned, bytes) = (planned.returned.take(), planned.bytes);
                let stamp = planned.body.is_some().then(|| self.issue(now, floor));
                if let Some(stamp) = stamp {
                    self.execute(&mut txn, planned, stamp);
                }
                Outcome::Written { returned, stamp, bytes }
            }
        };
        self.persist(txn.batch, vec![(request, outcome)], effects);
    }

    /// All writes or none, under one stamp: whoever merges them decides the same for every item.
    pub(super) fn transact(
        &mut self,
        now: Now,
        request: RequestId,
        ops: &[(TableId, WriteOp)],
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let mut txn = Txn::new(store);
        let planned: Vec<Result<Planned, Unplanned>> =
            ops.iter().map(|(table, op)| self.plan(&txn, *table, op)).collect();
        if planned.iter().any(|it| matches!(it, Err(Unplanned::NotServing))) {
            return self.reply_when_settled(vec![(request, Outcome::NotServing)], effects);
        }
        if planned.iter().any(Result::is_err) {
            let reason = |planned: Result<Planned, Unplanned>| match planned {
                Err(Unplanned::Refused(refusal)) => Some(refusal),
                Err(Unplanned::NotServing) | Ok(_) => None,
            };
            let reasons = planned.into_iter().map(reason).collect();
            return self.reply_when_settled(vec![(request, Outcome::Cancelled(reasons))], effects);
        }
        let mut planned: Vec<Planned> = planned.into_iter().filter_map(Result::ok).collect();
        let bytes = planned.iter().map(|it| it.bytes).collect();
        planned.retain(|it| it.body.is_some());
        let floor = planned.iter().map(|it| self.floor(it)).max().unwrap_or_default();
        let stamp = (!planned.is_empty()).then(|| self.issue(now, floor));
        if let Some(stamp) = stamp {
            let rows = u8::try_from(planned.len()).unwrap_or(u8::MAX);
            for mut write in planned {
                write.origins.rows = rows;
                self.execute(&mut txn, write, stamp);
            }
        }
        let outcome = Outcome::Transacted { stamp, bytes };
        self.persist(txn.batch, vec![(request, outcome)], effects);
    }

    /// What a client's write comes to, against what the transaction sees.
    pub(super) fn plan<S: Snapshot>(
        &self,
        txn: &Txn<'_, S>,
        table: TableId,
        op: &WriteOp,
    ) -> Result<Planned, Unplanned> {
        let serving = self.catalog.get(table);
        let serving = serving.filter(|entry| self.catalog.is_serving(entry, self.config.slot));
        let entry = serving.ok_or(Unplanned::NotServing)?;
        let key = ItemKey { table, primary: op.key.clone() };
        let stored = txn.item(&key);
        let shown = stored.as_ref().and_then(|stored| view(&entry.settings.policy, stored));
        let before = shown.as_deref().map_or(0, item_size);
        let applied =
            table::apply(op, &entry.schema, shown.as_deref()).map_err(Unplanned::Refused)?;
        drop(shown);
        let bytes = before.max(applied.next.as_ref().map_or(0, item_size));
        let draft = match &entry.settings.policy {
            Policy::Crdt(crdt) => Draft::Merging(Arc::clone(crdt), op.action.clone()),
            Policy::Lww | Policy::Siblings => {
                Draft::Whole(applied.next.map_or(Body::Tombstone, Body::live))
            }
        };
        Ok(Planned {
            origins: origins(entry, op),
            context: op.context.clone(),
            returned: applied.returned,
            body: applied.changed.then_some(draft),
            bytes,
            key,
            stored,
        })
    }

    /// What the stamp of the write must exceed.
    #[expect(clippy::unused_self, reason = "collected tombstones will be asked here")]
    pub(super) fn floor(&self, planned: &Planned) -> Hlc {
        planned.stored.as_ref().map(|stored| stored.seen.newest()).unwrap_or_default()
    }

    pub(super) fn execute<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        planned: Planned,
        stamp: Stamp,
    ) {
        let Planned { key, stored, body, origins, context, .. } = planned;
        let body = match body {
            None => return,
            Some(Draft::Whole(body)) => body,
            Some(Draft::Merging(crdt, action)) => {
                let key = &key.primary;
                Body::Crdt(Arc::new(self.change(&crdt, stored.as_ref(), key, &action, stamp)))
            }
        };
        self.put(txn, key, stored, Write { stamp, body, origins, context });
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
        let stored = txn.item(&key);
        let floor = stored.as_ref().map(|stored| stored.seen.newest()).unwrap_or_default();
        let stamp = self.issue(now, floor);
        let (body, origins) = (Body::live(row), Origins::PLAIN);
        self.put(txn, key, stored, Write { stamp, body, origins, context: None });
        stamp
    }

    /// Writes a new version that has seen all that this region has seen of the item.
    fn put<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        stored: Option<Stored>,
        write: Write,
    ) {
        let stamp = write.stamp;
        let (next, replaced) = self.overwriting(stored, write);
        txn.batch.put(key, next, Some(stamp), replaced);
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    fn overwriting(&self, stored: Option<Stored>, write: Write) -> (Stored, Vec<Stamp>) {
        overwrite(stored, &VersionVector::default(), write)
    }

    #[cfg(feature = "planted-bugs")]
    fn overwriting(&self, stored: Option<Stored>, write: Write) -> (Stored, Vec<Stamp>) {
        let stamp = write.stamp;
        let (mut next, replaced) = overwrite(stored, &VersionVector::default(), write);
        if self.has_bug(super::Bug::ContextForgotten) {
            next.versions[0].context = VersionVector::default();
            next.versions[0].context.record(stamp);
        }
        (next, replaced)
    }
}

fn key_attributes(crdt: &Crdt, key: &PrimaryKey) -> Attributes {
    let values = [Some(key.partition.clone()), key.sort.clone()].into_iter().flatten();
    crdt.key_names.iter().cloned().zip(values.map(Into::into)).collect()
}

fn origins(entry: &TableEntry, op: &WriteOp) -> Origins {
    Origins {
        conditional: op.had_condition(),
        rows: 1,
        epoch: entry.settings.epoch,
        place: Place::ANYWHERE,
    }
}
