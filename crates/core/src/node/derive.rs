//! What follows from items: entries of secondary indexes, and records of the journal.
//!
//! Both are functions of what readers saw before and see after a batch, and are in that batch:
//! whatever changes an item comes through [`Node::persist`], where they are made. An index that
//! came after the table is filled by [`Node::fill_indexes`], some rows at a time, while writes
//! already keep it; that of an index which is gone is emptied.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Effect, Node, Txn};
use crate::catalog::TableEntry;
use crate::id::TableId;
use crate::index::{self, Fill, Fills, Index, IndexEntry, IndexId};
use crate::item::{Attributes, ItemKey, PrimaryKey};
use crate::journal::{Record, sequence_at};
use crate::merge::{Stored, Version};
use crate::replica::{Batch, Snapshot};
use crate::time::Stamp;
use crate::view::view;

/// Rows of one step of filling an index.
const FILL_ROWS_MAX: usize = 256;

/// Where the filling of an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filling {
    index: (TableId, IndexId),
    after: Option<PrimaryKey>,
}

/// What follows from the items of one batch.
#[derive(Default)]
struct Derived {
    index: BTreeMap<IndexEntry, bool>,
    journal: Vec<Record>,
}

/// How far indexes are, and which is being filled.
#[derive(Clone, Debug, Default)]
pub(super) struct Indexes {
    fills: Fills,
    filling: Option<Filling>,
    /// There may be something to fill or to empty.
    pub(super) due: bool,
}

impl Indexes {
    pub(super) fn new(fills: Fills) -> Self {
        Self { fills, filling: None, due: true }
    }
}

impl Node {
    /// Adds to a batch what follows from the items in it.
    pub(super) fn derive<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>) {
        let mut derived = Derived::default();
        let mut items: Vec<_> = txn.batch.items.iter().collect();
        // A stream has a transaction's changes in the order of the request (as the service does,
        // recorded in localstack's `test_transact_write_items_streaming`).
        if txn.order.len() > 1 {
            items.sort_by_key(|(key, _)| txn.order.iter().position(|other| other == *key));
        }
        for (key, stored) in items {
            let entry = self.catalog.get(key.table);
            let Some(entry) = entry.filter(|it| !it.indexes.is_empty() || it.is_journaled()) else {
                continue;
            };
            let was = if is_erased(txn, key) { None } else { txn.store.item(key) };
            let (before, after) = (shown(entry, was.as_ref()), shown(entry, stored.as_ref()));
            if before == after {
                continue;
            }
            if !self.planted_index_forgotten(stored.as_ref()) {
                derive_index(&mut derived, entry, key, before.as_deref(), after.as_deref());
            }
            let newest = stored.as_ref().map(|it| it.greatest().stamp);
            // What a replica copies or drops is no change that its readers see.
            if let Some(stamp) = newest
                && entry.is_journaled()
                && self.catalog.is_serving(entry, self.config.slot)
                && !(planted!(self, JournalNotOnApply) && stamp.origin != self.me)
            {
                let images = (before.map(Cow::into_owned), after.map(Cow::into_owned));
                let gone = images.1.is_none();
                let expired = gone && self.has_expired(was.as_ref(), stored.as_ref());
                let record = self.change_of(entry, key, (stamp, expired), images);
                self.journaled = record.sequence;
                derived.journal.push(record);
            }
        }
        // So that whatever has entries is known to have them, also if it is gone before it is full.
        for entry in derived.index.keys() {
            let index = (entry.table, entry.index);
            if !self.indexes.fills.contains_key(&index) {
                self.note_fill(&mut txn.batch, index, Some(Fill::Filling));
            }
        }
        if txn.batch.index.is_empty() {
            txn.batch.index = derived.index;
        } else {
            txn.batch.index.extend(derived.index);
        }
        txn.batch.journal.extend(derived.journal);
    }

    /// The next record of the journal.
    fn change_of(
        &self,
        entry: &TableEntry,
        key: &ItemKey,
        (stamp, expired): (Stamp, bool),
        (before, after): (Option<Attributes>, Option<Attributes>),
    ) -> Record {
        let stream_ms = entry.open_stream().map_or(0, |stream| stream.since_ms);
        let wall_ms = self.wall_ms;
        // A region whose clock is behind that of the home is not before the stream, and one whose
        // clock went back not before what readers were told to be over.
        let newest_ms = if planted!(self, JournalGoesBack) { wall_ms } else { self.newest_ms };
        let moment = newest_ms.max(stream_ms);
        let sequence = sequence_at(moment).max(self.journaled + 1);
        let key = key.clone();
        Record { sequence, wall_ms, stream_ms, expired, key, stamp, before, after }
    }

    /// The indexes of a table that is new have nothing to be filled with.
    pub(super) fn begin_indexes<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>, entry: &TableEntry) {
        for index in &entry.indexes {
            self.note_fill(&mut txn.batch, (entry.id, index.id), Some(Fill::Ready));
        }
    }

    /// Takes the next step of filling or emptying an index, if there is any.
    pub(super) fn fill_indexes(&mut self, store: &impl Snapshot, effects: &mut Vec<Effect>) {
        if !core::mem::take(&mut self.indexes.due) {
            return;
        }
        let (gone, unfilled) = (self.gone_index(), self.unfilled_index());
        if gone.is_none() && unfilled.is_none() {
            return;
        }
        let mut txn = Txn::new(store);
        if let Some(gone) = gone {
            if store.has_entries(gone.0, gone.1) {
                txn.batch.unindexed.insert(gone);
                // It may be wanted again before it is empty.
                self.indexes.filling.take_if(|filling| filling.index == gone);
                if !planted!(self, EmptyingIndexReady) {
                    self.note_fill(&mut txn.batch, gone, Some(Fill::Filling));
                }
            } else {
                self.note_fill(&mut txn.batch, gone, None);
            }
            self.indexes.due = true;
        } else if let Some((entry, index)) = unfilled {
            self.fill(&mut txn, &entry, &index);
            self.indexes.due = true;
        }
        self.persist(txn, Vec::new(), effects);
    }

    fn fill<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>, entry: &TableEntry, index: &Index) {
        let id = (entry.id, index.id);
        if !self.indexes.fills.contains_key(&id) {
            self.note_fill(&mut txn.batch, id, Some(Fill::Filling));
        }
        let filling = self.indexes.filling.take().filter(|filling| filling.index == id);
        let after = filling.and_then(|filling| filling.after);
        let rows = txn.store.rows(entry.id, after.as_ref(), FILL_ROWS_MAX);
        let last = rows.last().map(|(key, _)| key.primary.clone());
        let more = rows.len() >= FILL_ROWS_MAX;
        for (key, stored) in rows {
            let item = shown(entry, Some(&stored));
            if let Some(at) = item.and_then(|item| index.key_of(&item)) {
                let primary = key.primary;
                let entry = IndexEntry { table: entry.id, index: index.id, key: at, primary };
                txn.batch.index.insert(entry, true);
            }
        }
        if more {
            self.indexes.filling = Some(Filling { index: id, after: last });
        } else {
            self.note_fill(&mut txn.batch, id, Some(Fill::Ready));
        }
    }

    fn note_fill(&mut self, batch: &mut Batch, index: (TableId, IndexId), fill: Option<Fill>) {
        match fill {
            Some(fill) => self.indexes.fills.insert(index, fill),
            None => self.indexes.fills.remove(&index),
        };
        batch.fills.insert(index, fill);
    }

    /// An index that has entries here and is not wanted any more.
    fn gone_index(&self) -> Option<(TableId, IndexId)> {
        let wanted = |&(table, id): &(TableId, IndexId)| {
            let entry = self.catalog.held(self.config.slot, table);
            entry.is_some_and(|entry| entry.indexes.iter().any(|index| index.id == id))
        };
        self.indexes.fills.keys().find(|index| !wanted(index)).copied()
    }

    fn unfilled_index(&self) -> Option<(Arc<TableEntry>, Index)> {
        let held = self.catalog.held_by(self.config.slot);
        let mut indexes = held.flat_map(|it| it.indexes.iter().map(move |index| (it, index)));
        let is_ready = |table, id| self.indexes.fills.get(&(table, id)) == Some(&Fill::Ready);
        let (entry, index) = indexes.find(|(entry, index)| !is_ready(entry.id, index.id))?;
        Some((Arc::clone(self.catalog.shared(entry.id)?), index.clone()))
    }

    /// Whether an item that readers see no more was deleted for its age.
    fn has_expired(&self, was: Option<&Stored>, stored: Option<&Stored>) -> bool {
        let told = |it: &&Version| !planted!(self, ExpiryUntold) || it.stamp.origin == self.me;
        let greatest = planted!(self, ExpiryOfGreatest);
        let end = if greatest { stored.map(Stored::greatest) } else { end(was, stored) };
        end.filter(told).is_some_and(|version| version.origins.expired)
    }

    /// Rows of peers do not come to the indexes.
    fn planted_index_forgotten(&self, stored: Option<&Stored>) -> bool {
        planted!(self, IndexNotOnApply)
            && stored.is_some_and(|stored| stored.greatest().stamp.origin != self.me)
    }
}

/// Whether what is in the item's place is damage: nothing can be read there, and asking the store
/// would fail the batch that puts it right.
fn is_erased<S: Snapshot>(txn: &Txn<'_, S>, key: &ItemKey) -> bool {
    let erased = &txn.batch.erased;
    !erased.is_empty() && erased.contains_key(&(key.table, txn.store.place(key)))
}

/// What readers see of an item.
fn shown<'a>(entry: &TableEntry, stored: Option<&'a Stored>) -> Option<Cow<'a, Attributes>> {
    view(&entry.settings.policy, stored?)
}

/// The version that deleted an item which readers see no more: of those that are new the greatest,
/// or of all if none is. Where versions are kept side by side, the greatest need not be a delete.
fn end<'a>(was: Option<&Stored>, stored: Option<&'a Stored>) -> Option<&'a Version> {
    let is_new = |version: &Version| was.is_none_or(|was| was.version(version.stamp).is_none());
    let mut deletes = stored?.versions.iter().filter(|it| it.body.is_deletion());
    deletes.clone().find(|it| is_new(it)).or_else(|| deletes.next())
}

fn derive_index(
    derived: &mut Derived,
    entry: &TableEntry,
    key: &ItemKey,
    before: Option<&Attributes>,
    after: Option<&Attributes>,
) {
    for index in &entry.indexes {
        let (before, after) = index::changed(index, before, after);
        for (at, put) in [(before, false), (after, true)] {
            let Some(at) = at else { continue };
            let primary = key.primary.clone();
            let entry = IndexEntry { table: entry.id, index: index.id, key: at, primary };
            derived.index.insert(entry, put);
        }
    }
}
