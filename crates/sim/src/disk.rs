//! A region's disk: typed rows, batches that become visible at once and durable later.
//!
//! State: the visible image (what the node's snapshot shows), the durable image (what a feed reads
//! and a restart finds), and the batches between them, in order. A batch is atomic; a crash keeps
//! some prefix of the unsynced batches. Every row carries the set of versions that the region's
//! state has absorbed in truth: the disk is the only thing that survives, so the oracle's knowledge
//! of a region has to survive or be lost with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::rc::Rc;

use pangea_core::fingerprint::{BUCKETS, Fingerprints};
use pangea_core::id::{Origin, TableId};
use pangea_core::index::{Fill, Fills, IndexEntry, IndexId};
use pangea_core::item::{ItemKey, KeyValue, PrimaryKey};
use pangea_core::journal::Record;
use pangea_core::merge::Stored;
use pangea_core::node::Token;
use pangea_core::replica::{Applied, Collected, Entry, Rebirth, Snapshot};
use pangea_core::time::{Hlc, Stamp};

use crate::bits::Bits;
use crate::oracle::VersionId;

/// A row and what it stands for in truth.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) stored: Stored,
    pub(crate) absorbed: Bits,
}

/// One state of a store.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// Whose it is, in the life that the region lives.
    pub(crate) me: Origin,
    /// Not after any key: where a range of any index begins.
    least: Rc<ItemKey>,
    pub(crate) rows: BTreeMap<Rc<ItemKey>, Rc<Held>>,
    pub(crate) changelog: BTreeSet<(Origin, Hlc, Rc<ItemKey>)>,
    /// Index entries that all rows shall have.
    pub(crate) entries: usize,
    pub(crate) last: Hlc,
    pub(crate) applied: Applied,
    pub(crate) tombstones: BTreeSet<(TableId, Origin, Hlc, Rc<ItemKey>)>,
    /// Versions of all rows that the index of tombstones has to name.
    pub(crate) buried: usize,
    pub(crate) collected: Collected,
    /// What rows that were collected stood for in truth.
    pub(crate) forgotten: BTreeMap<Rc<ItemKey>, Bits>,
    /// What the region was told, with a copy of a table, that others had forgotten.
    pub(crate) inherited: BTreeMap<Rc<ItemKey>, Bits>,
    pub(crate) fingerprints: Fingerprints,
    /// Rows that rotted, and whether something unreadable is left of them: see [`Image::rot`].
    pub(crate) rotten: BTreeMap<Rc<ItemKey>, bool>,
    /// The past of that life is still to be put in order.
    pub(crate) reborn: bool,
    pub(crate) index: BTreeSet<IndexEntry>,
    /// Items that ever rotted: what indexes had of them cannot be told any more, and may stay.
    pub(crate) scarred: BTreeSet<Rc<ItemKey>>,
    pub(crate) fills: Fills,
    /// The place of the newest record of the journal.
    pub(crate) journaled: u64,
    /// Its records, without what they say.
    pub(crate) records: BTreeSet<(TableId, u64)>,
}

/// A batch on its way to being durable; what the images of one disk share is shared.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) token: Token,
    /// In the order of their keys.
    pub(crate) items: Vec<(Rc<ItemKey>, Option<Rc<Held>>)>,
    pub(crate) changelog: Vec<(Stamp, Rc<ItemKey>, bool)>,
    pub(crate) last: Option<Hlc>,
    pub(crate) applied: Applied,
    pub(crate) tombstones: Vec<(Stamp, Rc<ItemKey>, bool)>,
    pub(crate) collected: Collected,
    /// See [`Image::forgotten`].
    pub(crate) forgotten: Vec<(Rc<ItemKey>, Bits)>,
    pub(crate) inherited: Vec<(Rc<ItemKey>, Bits)>,
    pub(crate) rebirth: Option<Rebirth>,
    /// User versions that the batch issues.
    pub(crate) issued: Vec<VersionId>,
    /// Every stamp that the batch issues, system rows included.
    pub(crate) stamps: Vec<Stamp>,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) index: BTreeMap<IndexEntry, bool>,
    pub(crate) fills: BTreeMap<(TableId, IndexId), Option<Fill>>,
    pub(crate) unindexed: BTreeSet<(TableId, IndexId)>,
    pub(crate) journal: Vec<Record>,
    pub(crate) trimmed: BTreeMap<TableId, u64>,
    /// Index entries of rotten rows.
    pub(crate) erased: Vec<(Rc<ItemKey>, Vec<Stamp>)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// Shared with whoever keeps it as it is: a write then goes to a copy.
    pub(crate) visible: Rc<Image>,
    pub(crate) durable: Rc<Image>,
    pub(crate) queue: VecDeque<Write>,
    /// Up to where the sync under way reaches.
    pub(crate) syncing: Option<Token>,
}

impl Disk {
    /// An empty disk of the region that lives `me`.
    pub(crate) fn new(me: Origin) -> Self {
        let durable = Rc::new(Image::new(me));
        let visible = Rc::clone(&durable);
        Self { visible, durable, queue: VecDeque::new(), syncing: None }
    }

    /// The node's batch: visible from now on.
    pub(crate) fn write(&mut self, write: Write) {
        Rc::make_mut(&mut self.visible).apply(&write);
        self.queue.push_back(write);
    }

    /// The next batch that `token` covers, if any; the caller commits it to the durable image.
    pub(crate) fn next_synced(&mut self, token: Token) -> Option<Write> {
        let due = self.queue.front().is_some_and(|write| write.token <= token);
        if due { self.queue.pop_front() } else { None }
    }

    /// The process died: what was not synced is gone, and is returned.
    pub(crate) fn crash(&mut self) -> VecDeque<Write> {
        self.syncing = None;
        self.visible = Rc::clone(&self.durable);
        std::mem::take(&mut self.queue)
    }
}

impl Image {
    fn new(me: Origin) -> Self {
        Self {
            me,
            least: Rc::new(first_key(TableId::CATALOG)),
            rows: BTreeMap::new(),
            changelog: BTreeSet::new(),
            entries: 0,
            last: Hlc::ZERO,
            applied: Applied::new(),
            tombstones: BTreeSet::new(),
            buried: 0,
            collected: Collected::new(),
            forgotten: BTreeMap::new(),
            inherited: BTreeMap::new(),
            fingerprints: Fingerprints::new(),
            rotten: BTreeMap::new(),
            reborn: false,
            index: BTreeSet::new(),
            scarred: BTreeSet::new(),
            fills: Fills::new(),
            journaled: 0,
            records: BTreeSet::new(),
        }
    }

    /// The index entries that an item shall have.
    pub(crate) fn entries_of<'a>(&self, held: &'a Held) -> impl Iterator<Item = Stamp> + 'a {
        held.stored.entries(self.me)
    }

    pub(crate) fn apply(&mut self, write: &Write) {
        for (key, stamps) in &write.erased {
            for stamp in stamps {
                self.changelog.remove(&(stamp.origin, stamp.hlc, Rc::clone(key)));
                self.tombstones.remove(&(key.table, stamp.origin, stamp.hlc, Rc::clone(key)));
            }
            self.rotten.remove(key);
        }
        for (&bucket, &sum) in &write.fingerprints {
            match sum {
                0 => self.fingerprints.remove(&bucket),
                sum => self.fingerprints.insert(bucket, sum),
            };
        }
        for (key, held) in &write.items {
            let before = match held {
                Some(held) => self.rows.insert(Rc::clone(key), Rc::clone(held)),
                None => self.rows.remove(key),
            };
            let count = |held: &Rc<Held>| held.stored.entries(self.me).count();
            self.entries += held.as_ref().map_or(0, count);
            self.entries -= before.as_ref().map_or(0, count);
            let buried = |held: &Rc<Held>| held.stored.buried().len();
            self.buried += held.as_ref().map_or(0, buried);
            self.buried -= before.as_ref().map_or(0, buried);
        }
        for (stamp, key, put) in &write.changelog {
            let entry = (stamp.origin, stamp.hlc, Rc::clone(key));
            match put {
                true => self.changelog.insert(entry),
                false => self.changelog.remove(&entry),
            };
        }
        for (stamp, key, put) in &write.tombstones {
            let entry = (key.table, stamp.origin, stamp.hlc, Rc::clone(key));
            match put {
                true => self.tombstones.insert(entry),
                false => self.tombstones.remove(&entry),
            };
        }
        self.derive(write);
        self.last = write.last.unwrap_or(self.last);
        if let Some(Rebirth { incarnation, done }) = write.rebirth {
            self.me = Origin::new(self.me.slot(), incarnation);
            self.reborn = !done;
            let held = self.rows.values();
            self.entries = held.map(|held| held.stored.entries(self.me).count()).sum();
            if done {
                self.applied.clear();
            }
        }
        for (&origin, &hlc) in &write.applied {
            self.applied.insert(origin, hlc);
        }
        self.collect(write);
    }

    fn derive(&mut self, write: &Write) {
        for gone in &write.unindexed {
            self.index.retain(|entry| (entry.table, entry.index) != *gone);
        }
        for (entry, put) in &write.index {
            match put {
                true => self.index.insert(entry.clone()),
                false => self.index.remove(entry),
            };
        }
        for (&index, &fill) in &write.fills {
            match fill {
                Some(fill) => self.fills.insert(index, fill),
                None => self.fills.remove(&index),
            };
        }
        for (&table, &before) in &write.trimmed {
            self.records.retain(|record| record.0 != table || record.1 >= before);
        }
        let records = write.journal.iter();
        self.records.extend(records.map(|record| (record.key.table, record.sequence)));
        self.journaled = write.journal.last().map_or(self.journaled, |record| record.sequence);
    }

    fn collect(&mut self, write: &Write) {
        for (table, seen) in &write.collected {
            if seen.is_empty() {
                self.collected.remove(table);
                self.forgotten.retain(|key, _| key.table != *table);
                self.inherited.retain(|key, _| key.table != *table);
            } else {
                self.collected.insert(*table, seen.clone());
            }
        }
        for (key, bits) in &write.forgotten {
            self.forgotten.insert(Rc::clone(key), *bits);
        }
        for (key, bits) in &write.inherited {
            let inherited = self.inherited.entry(Rc::clone(key)).or_default();
            *inherited = inherited.union(*bits);
        }
    }

    /// A row is gone, indexes still name it; or what is left of it cannot be read.
    pub(crate) fn rot(&mut self, key: &Rc<ItemKey>, unreadable: bool) {
        if let Some(held) = self.rows.remove(key) {
            self.scarred.insert(Rc::clone(key));
            self.entries -= self.entries_of(&held).count();
            self.buried -= held.stored.buried().len();
            self.rotten.insert(Rc::clone(key), unreadable);
        }
    }

    /// The versions of an item that the index names, and its row has not.
    pub(crate) fn dangling(&self, key: &ItemKey) -> Vec<Stamp> {
        let entries = self.changelog.iter().filter(|(_, _, named)| **named == *key);
        let stamps = entries.map(|&(origin, hlc, _)| Stamp { hlc, origin });
        let held = self.rows.get(key);
        let mut has = held.into_iter().flat_map(|held| self.entries_of(held));
        let known: Vec<Stamp> = has.by_ref().collect();
        stamps.filter(|it| !known.contains(it)).collect()
    }

    /// Everything of the item that the region's state has absorbed in truth.
    pub(crate) fn absorbed(&self, key: &ItemKey) -> Bits {
        let held = self.rows.get(key).map(|held| held.absorbed).unwrap_or_default();
        let known = [self.forgotten.get(key), self.inherited.get(key)];
        known.into_iter().flatten().fold(held, |all, &bits| all.union(bits))
    }

    /// The rows of one table, in key order.
    pub(crate) fn table(&self, table: TableId) -> impl Iterator<Item = (&ItemKey, &Held)> {
        let rows = self.rows.range::<ItemKey, _>(first_key(table)..);
        let rows = rows.map(|(key, held)| (&**key, &**held));
        rows.take_while(move |(key, _)| key.table == table)
    }

    /// The newest reading of the origin among the versions that are kept.
    pub(crate) fn newest(&self, origin: Origin) -> Hlc {
        let after = |origin: Origin| (origin, Hlc::MAX, Rc::clone(&self.least));
        let entries = self.changelog.range((Unbounded, Excluded(after(origin))));
        let last = entries.last().filter(|entry| entry.0 == origin);
        last.map(|entry| entry.1).unwrap_or_default()
    }

    pub(crate) fn applied_of(&self, origin: Origin) -> Hlc {
        self.applied.get(&origin).copied().unwrap_or_default()
    }
}

fn next_origin(origin: Origin) -> Option<Origin> {
    origin.to_bits().checked_add(1).map(Origin::from_bits)
}

/// Not after any key of the table.
fn first_key(table: TableId) -> ItemKey {
    let primary = PrimaryKey { partition: KeyValue::S(String::new()), sort: None };
    ItemKey { table, primary }
}

impl Snapshot for Image {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.rows.get(key).map(|held| held.stored.clone())
    }

    fn changes(&self, origin: Origin, after: Hlc, to: Hlc, limit: usize) -> Vec<Entry> {
        let at = |hlc: Hlc| (origin, hlc.next(), Rc::clone(&self.least));
        let entries = self.changelog.range(at(after)..at(to.max(after))).take(limit);
        let change = |(_, hlc, key): &(Origin, Hlc, Rc<ItemKey>)| {
            let held = self.rows.get(key);
            assert!(held.is_some() || self.rotten.contains_key(key), "the index names rows");
            Some(Entry { hlc: *hlc, key: ItemKey::clone(key), stored: held?.stored.clone() })
        };
        entries.filter_map(change).collect()
    }

    fn applied(&self) -> Option<Applied> {
        (!self.reborn).then(|| self.applied.clone())
    }

    fn has_entries(&self, table: TableId, index: IndexId) -> bool {
        self.index.iter().any(|entry| (entry.table, entry.index) == (table, index))
    }

    fn first_record(&self, table: TableId) -> Option<u64> {
        let records = self.records.range((table, 0)..=(table, u64::MAX));
        records.map(|record| record.1).next()
    }

    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        let (origin, hlc) = match after {
            // No reading comes after the last, so the next origin is next.
            Some(after) if after.hlc == Hlc::MAX => (next_origin(after.origin), Hlc::ZERO),
            Some(after) => (Some(after.origin), after.hlc.next()),
            None => (Some(Origin::from_bits(0)), Hlc::ZERO),
        };
        let Some(origin) = origin else { return Vec::new() };
        let entries = self.tombstones.range((table, origin, hlc, Rc::clone(&self.least))..);
        let of_table = entries.take_while(|entry| entry.0 == table).take(limit);
        let entry = |(_, origin, hlc, key): &(TableId, Origin, Hlc, Rc<ItemKey>)| {
            (Stamp { hlc: *hlc, origin: *origin }, ItemKey::clone(key))
        };
        of_table.map(entry).collect()
    }

    fn newest(&self, origin: Origin) -> Hlc {
        let first = |hlc| (origin, hlc, Rc::clone(&self.least));
        let entries = self.changelog.range(first(Hlc::ZERO)..=first(Hlc::MAX));
        entries.last().map(|entry| entry.1).unwrap_or_default()
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let start = match after {
            Some(primary) => Excluded(ItemKey { table, primary: primary.clone() }),
            None => Included(first_key(table)),
        };
        let rows = self.rows.range::<ItemKey, _>((start, Unbounded));
        let rows = rows.take_while(|(key, _)| key.table == table);
        rows.take(limit).map(|(key, held)| (ItemKey::clone(key), held.stored.clone())).collect()
    }

    fn bucket_rows(
        &self,
        (table, bucket): (TableId, u8),
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let rows = self.table(table).filter(|(key, _)| after.is_none_or(|at| key.primary > *at));
        let rows = rows.filter(|(key, _)| self.bucket(key) == bucket).take(limit);
        rows.map(|(key, held)| (key.clone(), held.stored.clone())).collect()
    }

    fn damaged(&self, _: Origin, (table, bucket): (TableId, u8)) -> Vec<Vec<u8>> {
        let rotten = self.rotten.keys().filter(|key| key.table == table);
        rotten.filter(|key| self.bucket(key) == bucket).map(|key| self.place(key)).collect()
    }

    fn fingerprints(&self, table: TableId) -> Vec<u128> {
        let mut sums = vec![0; BUCKETS];
        for (&(_, bucket), &sum) in self.fingerprints.range((table, 0)..=(table, u8::MAX)) {
            sums[usize::from(bucket)] = sum;
        }
        sums
    }
}
