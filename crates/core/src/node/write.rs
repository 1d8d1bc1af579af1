//! Local writes: a client's item, and the region's own rows.

use alloc::vec;
use alloc::vec::Vec;

use super::{Effect, Node, Outcome, Txn};
use crate::id::{RequestId, TableId};
use crate::item::{Attributes, ItemKey, item_size};
use crate::merge::{Body, Stored, overwrite};
use crate::replica::Snapshot;
use crate::table::{self, WriteOp};
use crate::time::{Now, Stamp};

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
        let serving = self.catalog.get(table);
        let serving = serving.filter(|entry| self.catalog.is_serving(entry, self.config.slot));
        let Some(entry) = serving else {
            return self.reply_when_settled(vec![(request, Outcome::NotServing)], effects);
        };
        let key = ItemKey { table, primary: op.key.clone() };
        let mut txn = Txn::new(store);
        let stored = txn.item(&key);
        let current = stored.as_ref().and_then(|stored| stored.version.body.attributes());
        let before = current.map_or(0, item_size);
        let outcome = match table::apply(op, &entry.schema, current) {
            Err(refusal) => Outcome::Refused(refusal),
            Ok(applied) if !applied.changed => {
                Outcome::Written { returned: applied.returned, stamp: None, bytes: before }
            }
            Ok(applied) => {
                let bytes = before.max(applied.next.as_ref().map_or(0, item_size));
                let body = applied.next.map_or(Body::Tombstone, Body::Live);
                let stamp = self.put(now, &mut txn, key, stored, body, op.had_condition());
                Outcome::Written { returned: applied.returned, stamp: Some(stamp), bytes }
            }
        };
        self.persist(txn.batch, vec![(request, outcome)], effects);
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
        self.put(now, txn, key, stored, Body::Live(row), false)
    }

    /// Writes a new version that has seen all that this region has seen of the item.
    fn put<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        stored: Option<Stored>,
        body: Body,
        conditional: bool,
    ) -> Stamp {
        let floor = stored.as_ref().map(|stored| stored.seen.newest()).unwrap_or_default();
        let stamp = self.issue(now, floor);
        let next = self.overwriting(stored.as_ref(), stamp, body, conditional);
        txn.batch.put(key, next, stored.map(|stored| stored.version.stamp));
        stamp
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    fn overwriting(
        &self,
        stored: Option<&Stored>,
        stamp: Stamp,
        body: Body,
        conditional: bool,
    ) -> Stored {
        overwrite(stored, stamp, body, conditional)
    }

    #[cfg(feature = "planted-bugs")]
    fn overwriting(
        &self,
        stored: Option<&Stored>,
        stamp: Stamp,
        body: Body,
        conditional: bool,
    ) -> Stored {
        let forgetful = self.has_bug(super::Bug::ContextForgotten);
        let mut next = overwrite(stored, stamp, body, conditional);
        if forgetful {
            next.version.context = crate::merge::VersionVector::default();
            next.version.context.record(stamp);
        }
        next
    }
}
