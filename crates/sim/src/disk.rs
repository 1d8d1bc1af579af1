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

use pangea_core::id::{Origin, TableId};
use pangea_core::item::{ItemKey, KeyValue, PrimaryKey};
use pangea_core::merge::Stored;
use pangea_core::node::Token;
use pangea_core::replica::{Applied, Entry, Snapshot};
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) rows: BTreeMap<Rc<ItemKey>, Rc<Held>>,
    pub(crate) changelog: BTreeSet<(Origin, Hlc, Rc<ItemKey>)>,
    /// Versions of all rows.
    pub(crate) versions: usize,
    pub(crate) last: Hlc,
    pub(crate) applied: Applied,
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
    /// User versions that the batch issues.
    pub(crate) issued: Vec<VersionId>,
    /// Every stamp that the batch issues, system rows included.
    pub(crate) stamps: Vec<Stamp>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) visible: Image,
    pub(crate) durable: Image,
    pub(crate) queue: VecDeque<Write>,
    /// Up to where the sync under way reaches.
    pub(crate) syncing: Option<Token>,
}

impl Disk {
    /// The node's batch: visible from now on.
    pub(crate) fn write(&mut self, write: Write) {
        self.visible.apply(&write);
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
        self.visible = self.durable.clone();
        std::mem::take(&mut self.queue)
    }
}

impl Image {
    pub(crate) fn apply(&mut self, write: &Write) {
        for (key, held) in &write.items {
            let before = match held {
                Some(held) => self.rows.insert(Rc::clone(key), Rc::clone(held)),
                None => self.rows.remove(key),
            };
            let count = |held: &Rc<Held>| held.stored.versions.len();
            self.versions += held.as_ref().map_or(0, count);
            self.versions -= before.as_ref().map_or(0, count);
        }
        for (stamp, key, put) in &write.changelog {
            let entry = (stamp.origin, stamp.hlc, Rc::clone(key));
            match put {
                true => self.changelog.insert(entry),
                false => self.changelog.remove(&entry),
            };
        }
        self.last = write.last.unwrap_or(self.last);
        for (&origin, &hlc) in &write.applied {
            self.applied.insert(origin, hlc);
        }
    }

    /// The rows of one table, in key order.
    pub(crate) fn table(&self, table: TableId) -> impl Iterator<Item = (&ItemKey, &Held)> {
        let start = Included(first_key(table));
        let rows = self.rows.range((start, Unbounded)).map(|(key, held)| (&**key, &**held));
        rows.take_while(move |(key, _)| key.table == table)
    }

    pub(crate) fn applied_of(&self, origin: Origin) -> Hlc {
        self.applied.get(&origin).copied().unwrap_or_default()
    }
}

/// Not after any key of the table.
fn first_key(table: TableId) -> Rc<ItemKey> {
    let primary = PrimaryKey { partition: KeyValue::S(String::new()), sort: None };
    Rc::new(ItemKey { table, primary })
}

impl Snapshot for Image {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.rows.get(key).map(|held| held.stored.clone())
    }

    fn changes(&self, origin: Origin, after: Hlc, to: Hlc, limit: usize) -> Vec<Entry> {
        let at = |hlc: Hlc| (origin, hlc.next(), first_key(TableId::CATALOG));
        let entries = self.changelog.range(at(after)..at(to.max(after))).take(limit);
        let change = |(_, hlc, key): &(Origin, Hlc, Rc<ItemKey>)| {
            let held = self.rows.get(key).expect("the index names rows");
            Entry { hlc: *hlc, key: ItemKey::clone(key), stored: held.stored.clone() }
        };
        entries.map(change).collect()
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let start = match after {
            Some(primary) => Excluded(Rc::new(ItemKey { table, primary: primary.clone() })),
            None => Included(first_key(table)),
        };
        let rows = self.rows.range((start, Unbounded)).take_while(|(key, _)| key.table == table);
        rows.take(limit).map(|(key, held)| (ItemKey::clone(key), held.stored.clone())).collect()
    }
}
