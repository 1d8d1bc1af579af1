//! What was written in the event under way, over the snapshot that it began with.
//!
//! A frame is preceded by what this region has to say first: what it had of a life that is over,
//! and which tables it does not hold any more. Those rows of the catalog are not in the snapshot
//! yet, and rows of the frame may be about the same items: what an earlier life of this region said
//! comes back to it from others. To merge them into the older row would undo what was just said.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Effect;
use crate::id::{Origin, TableId};
use crate::index::IndexId;
use crate::item::{ItemKey, PrimaryKey};
use crate::merge::Stored;
use crate::replica::{Applied, Entry, Snapshot};
use crate::time::{Hlc, Stamp};

/// See the module. Scans do not see what is fresh: it is in the catalog, which is not scanned where
/// frames are taken in.
pub(super) struct Fresh<'a> {
    store: &'a dyn Snapshot,
    items: BTreeMap<ItemKey, Option<Stored>>,
}

impl<'a> Fresh<'a> {
    /// The store as it is with the batches among these effects.
    pub(super) fn new(store: &'a dyn Snapshot, effects: &[Effect]) -> Self {
        let batches = effects.iter().filter_map(|effect| match effect {
            Effect::Persist { batch, .. } => Some(batch),
            _ => None,
        });
        let items = batches.flat_map(|batch| &batch.items);
        Self { store, items: items.map(|(key, item)| (key.clone(), item.clone())).collect() }
    }
}

impl Snapshot for Fresh<'_> {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.items.get(key).map_or_else(|| self.store.item(key), Clone::clone)
    }

    fn changes(&self, origin: Origin, after: Hlc, through: Hlc, limit: usize) -> Vec<Entry> {
        self.store.changes(origin, after, through, limit)
    }

    fn applied(&self) -> Option<Applied> {
        self.store.applied()
    }

    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        self.store.tombstones(table, after, limit)
    }

    fn newest(&self, origin: Origin) -> Hlc {
        self.store.newest(origin)
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        self.store.rows(table, after, limit)
    }

    fn has_entries(&self, table: TableId, index: IndexId) -> bool {
        self.store.has_entries(table, index)
    }

    fn first_record(&self, table: TableId) -> Option<u64> {
        self.store.first_record(table)
    }

    fn bucket(&self, key: &ItemKey) -> u8 {
        self.store.bucket(key)
    }

    fn place(&self, key: &ItemKey) -> Vec<u8> {
        self.store.place(key)
    }

    fn bucket_rows(
        &self,
        bucket: (TableId, u8),
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        self.store.bucket_rows(bucket, after, limit)
    }

    fn damaged(&self, me: Origin, bucket: (TableId, u8)) -> Vec<Vec<u8>> {
        self.store.damaged(me, bucket)
    }

    fn fingerprints(&self, table: TableId) -> Vec<u128> {
        self.store.fingerprints(table)
    }
}
