//! Another table of the same name, where a replica shall be.

use super::copy::has_rows;
use super::{Node, Txn};
use crate::catalog::{StreamView, TableEntry, entry_key};
use crate::id::TableId;
use crate::replica::Snapshot;
use crate::time::Now;

impl Node {
    /// Another table of the same name that this region already knows.
    pub(super) fn stranger(&self, entry: &TableEntry) -> Option<TableId> {
        let mut held = self.catalog.held_by(self.config.slot);
        held.find(|other| other.id != entry.id && other.name == entry.name).map(|other| other.id)
    }

    /// Deletes such a table, if the other one adopts its namesakes and nothing goes with it: it is
    /// of this region alone, has the same key and the stream that replicas have, is not protected,
    /// and has no row. (What a table of one region has of deleted items is soon collected.)
    ///
    /// It is decided in the batch in which the replica is begun, so that no write comes between.
    pub(super) fn gives_way<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        entry: &TableEntry,
        other: TableId,
    ) -> bool {
        let me = self.config.slot;
        let is_own = self.catalog.written(other).is_some_and(|own| own.home == me);
        let is_shared = |own: &TableEntry| self.catalog.members(own).any(|slot| slot != me);
        if !entry.adopts || !is_own || self.catalog.get(other).is_none_or(is_shared) {
            return false;
        }
        let Some(mut own) = self.taken_over(now, other) else { return false };
        let is_alike =
            own.schema == entry.schema && own.stream == Some(StreamView::NewAndOldImages);
        if !is_alike || own.deletion_protection || has_rows(txn.store, &own) {
            return false;
        }
        own.end_stream(now.wall_ms);
        own.deleted = true;
        self.put_system(now, txn, entry_key(other), own.to_attributes());
        self.reconciled = false;
        true
    }
}
