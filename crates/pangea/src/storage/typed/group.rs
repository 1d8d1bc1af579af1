//! What the writer reads: durable state and, on top of it, the batches of the group in the making.

use std::collections::BTreeMap;

use pangea_codec::disk;
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{ItemKey, KeyValue, PrimaryKey};
use pangea_core::merge::Stored;
use pangea_core::replica::{Batch, Snapshot};
use pangea_core::time::{Hlc, Stamp};

use super::{StoreView, absorb};
use crate::storage::Fault;

/// See the module.
#[derive(Debug)]
pub struct GroupView {
    view: StoreView,
    pending: Batch,
}

impl GroupView {
    /// A group on top of `view`, with nothing in it yet.
    #[must_use]
    pub fn new(view: StoreView) -> Self {
        Self { view, pending: Batch::default() }
    }

    /// Adds a batch: every read from now on sees it.
    pub fn push(&mut self, batch: Batch) {
        absorb(&mut self.pending, batch);
    }

    /// Whether every read so far could be trusted; to be asked before anything comes of the group.
    ///
    /// # Errors
    ///
    /// The first fault met.
    pub fn check(&self) -> Result<(), Fault> {
        self.view.check()
    }

    /// What [`super::Store::write`] shall make durable: the group's batches, as one.
    #[must_use]
    pub fn into_batches(self) -> Vec<Batch> {
        if self.pending.is_empty() { Vec::new() } else { Vec::from([self.pending]) }
    }

    /// The group's rows of a table, after a row key, in the store's order; `None` is a removal.
    fn pending_rows(
        &self,
        table: TableId,
        after: Option<&[u8]>,
    ) -> BTreeMap<Vec<u8>, (&ItemKey, Option<&Stored>)> {
        // Strings sort before other keys, and no sort key before any: this is a table's first key.
        let least = PrimaryKey { partition: KeyValue::S(String::new()), sort: None };
        let first = ItemKey { table, primary: least };
        let of_table = self.pending.items.range(first..).take_while(|(key, _)| key.table == table);
        of_table
            .map(|(key, stored)| (disk::row_key(key), (key, stored.as_ref())))
            .filter(|(row_key, _)| after.is_none_or(|after| row_key.as_slice() > after))
            .collect()
    }
}

impl Snapshot for GroupView {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        match self.pending.items.get(key) {
            Some(stored) => stored.clone(),
            None => self.view.item(key),
        }
    }

    fn changes(
        &self,
        origin: Origin,
        after: Hlc,
        through: Hlc,
        limit: usize,
    ) -> Vec<(Hlc, ItemKey)> {
        if after >= through {
            return Vec::new();
        }
        let range = Stamp { hlc: after.next(), origin }..=Stamp { hlc: through, origin };
        let of_origin = self.pending.changelog.range(range);
        let pending: BTreeMap<Hlc, &Option<ItemKey>> = of_origin
            .filter(|(stamp, _)| stamp.origin == origin && stamp.hlc > after)
            .map(|(stamp, key)| (stamp.hlc, key))
            .collect();
        // Each pending entry hides at most one durable one.
        let durable = self.view.changes(origin, after, through, limit + pending.len());
        let mut merged: BTreeMap<Hlc, ItemKey> = durable.into_iter().collect();
        for (hlc, key) in pending {
            match key {
                Some(key) => merged.insert(hlc, key.clone()),
                None => merged.remove(&hlc),
            };
        }
        merged.into_iter().take(limit).collect()
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let after_row =
            after.map(|after| disk::row_key(&ItemKey { table, primary: after.clone() }));
        let pending = self.pending_rows(table, after_row.as_deref());
        let durable = self.view.rows(table, after, limit + pending.len());
        if pending.is_empty() {
            return durable;
        }
        let mut merged: BTreeMap<Vec<u8>, (ItemKey, Stored)> =
            durable.into_iter().map(|(key, stored)| (disk::row_key(&key), (key, stored))).collect();
        for (row_key, (key, stored)) in pending {
            match stored {
                Some(stored) => merged.insert(row_key, (key.clone(), stored.clone())),
                None => merged.remove(&row_key),
            };
        }
        merged.into_values().take(limit).collect()
    }
}
