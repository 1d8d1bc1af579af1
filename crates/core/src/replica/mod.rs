//! Replication: what regions say to each other, and the machine that serves a peer's feed.
//!
//! Every region subscribes to every other. The subscriber asks with a [`Request`], the feeder
//! answers with [`Frame`]s on the same ordered stream. A frame of rows says "these are the live
//! rows of my origin with stamps in `(after, through]`": it is safe to apply whenever the
//! subscriber has reached at least `after`, however old, repeated or late it is.
//!
//! Rows are read from a state of the feeder's store, and what was overwritten in it comes under the
//! newer stamp. Only the last frame of a state therefore makes the subscriber's place in the feed a
//! *cut*: all that the origin ever wrote up to there is here, as it was, in the past of something
//! that is here, or in the ledger. So that this holds for versions that another region's version
//! took the place of before they were sent, the feeder sends that one in their place.
//!
//! The last frame of a state also carries the feeder's own `applied` vector. It travels behind
//! every row that the feeder wrote before, so it is an in-band acknowledgement: whoever reads that
//! the feeder applied a stamp has already received all that the feeder wrote until then.
//!
//! Where a region cannot be reached, another passes on what it has of it: the index is kept for
//! every origin. A [`Relayed`] frame is read from the relaying region's state, not from the
//! origin's, so it says what that state lacks ([`Relayed::covers`]) and what it rests on
//! ([`Relayed::needs`]); and it acknowledges nothing, because it does not travel behind the
//! relaying region's own rows.

mod erased;
mod feed;
mod outline;
mod places;

pub use feed::Feed;
pub use outline::Outline;
pub use places::Places;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::catalog::Catalog;
use crate::fingerprint::{self, BUCKETS, Fingerprints};
use crate::id::{Origin, RegionSlot, TableId};
use crate::index::{Fill, Fills, IndexEntry, IndexId};
use crate::item::{ItemKey, PrimaryKey};
use crate::journal::Record;
use crate::merge::{Stored, Version, VersionVector};
use crate::repair::{Answer, Ask};
use crate::time::{Hlc, Stamp};

/// The cut applied of each origin: all that it wrote up to there is accounted for here.
pub type Applied = BTreeMap<Origin, Hlc>;

/// What was seen of items whose rows were collected, by table: see [`crate::node`]'s collection.
pub type Collected = BTreeMap<TableId, VersionVector>;

/// An item's version on its way between regions: always whole, never a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which item.
    pub key: ItemKey,
    /// The version.
    pub version: Version,
}

impl Row {
    /// The version's reading.
    #[must_use]
    pub fn hlc(&self) -> Hlc {
        self.version.stamp.hlc
    }

    /// Whether the version is of that life.
    #[must_use]
    pub fn is_of(&self, origin: Origin) -> bool {
        self.version.stamp.origin == origin
    }
}

/// From subscriber to feeder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Start (again) with the feeder's own rows after this reading.
    Subscribe {
        /// What the subscriber has applied of the feeder.
        after: Hlc,
    },
    /// Send one chunk of a table's rows, in key order, for a replica that is being created.
    Copy {
        /// Which table.
        table: TableId,
        /// The last key of the previous chunk.
        after: Option<PrimaryKey>,
    },
    /// Tell what is there, for anti-entropy.
    Compare(Ask),
    /// Send what the feeder has of another region's rows after this reading, which the subscriber
    /// does not get from that region itself.
    Relay {
        /// Whose rows.
        origin: Origin,
        /// What the subscriber has of them.
        after: Hlc,
        /// Comes back with every frame of the answer.
        ask: u32,
    },
}

/// From feeder to subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The feeder's live rows in `(after, through]`; an empty one is a heartbeat.
    Rows(Rows),
    /// One chunk of a table.
    Copied(Copied),
    /// What the feeder has, for anti-entropy.
    Compared(Answer),
    /// What the feeder has of another region's rows.
    Relayed(Relayed),
}

impl Frame {
    /// The rows of whatever kind of frame.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        match self {
            Self::Rows(frame) => &frame.rows,
            Self::Copied(frame) => &frame.rows,
            Self::Relayed(frame) => &frame.rows,
            Self::Compared(_) => &[],
        }
    }
}

/// See [`Frame::Rows`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Whose rows.
    pub origin: Origin,
    /// Exclusive lower end.
    pub after: Hlc,
    /// Inclusive upper end.
    pub through: Hlc,
    /// The newest own stamp of the state that the frame was read from: later frames of it follow
    /// until `through` gets there.
    pub end: Hlc,
    /// In the order of their stamps; among them other origins' versions, in the place of own ones
    /// that they took.
    pub rows: Vec<Row>,
    /// What the feeder has durably applied of every origin: the in-band acknowledgement.
    pub applied: Vec<(Origin, Hlc)>,
    /// The feeder's wall clock when it made the frame, milliseconds since 1970.
    pub sent_wall_ms: u64,
}

impl Rows {
    /// Whether the state that the frame was read from has nothing more to send.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.through == self.end
    }
}

/// See [`Frame::Copied`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Which table.
    pub table: TableId,
    /// The request's `after`, so that a late answer is not taken for the next one.
    pub after: Option<PrimaryKey>,
    /// `false` if the feeder does not yet know that the subscriber holds the table: ask again.
    pub ready: bool,
    /// The generation of the membership that the feeder went by: before it has heard that a region
    /// is gone, it leaves out what that wrote.
    pub generation: u32,
    /// The rows.
    pub rows: Vec<Row>,
    /// Where to go on; `None` when this was the last chunk.
    pub next: Option<PrimaryKey>,
    /// Behind the last rows: what the feeder has collected of the table. The subscriber has as
    /// little of those items as the feeder, and must know as much of them.
    pub collected: VersionVector,
}

/// See [`Frame::Relayed`]: what one region has of the rows of another in `(after, through]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// Whose rows.
    pub origin: Origin,
    /// Exclusive lower end.
    pub after: Hlc,
    /// Inclusive upper end.
    pub through: Hlc,
    /// In the order of their stamps.
    pub rows: Vec<Row>,
    /// The tables of which nothing is missing here: held whole by the feeder, and by the subscriber
    /// as far as the feeder knows.
    pub covers: Vec<TableId>,
    /// What the feeder had applied of every origin, itself included, when the rows were read. A row
    /// that is not here was overwritten by something that is among it: so whoever has all of it,
    /// and these rows, lacks nothing.
    pub needs: Vec<(Origin, Hlc)>,
    /// Whether the feeder had applied the origin up to `through`; beyond that it has rows that a
    /// table's copy brought before their time, and others between them may follow.
    pub settled: bool,
    /// Which request this answers.
    pub ask: u32,
    /// With the last frame of an answer about a life that is over: which revision of what the
    /// feeder claims to have of it this was ([`crate::membership::Claim`]).
    pub revision: Option<u32>,
}

/// What a region has made durable: everything a feed may tell to others.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Every own stamp up to here is durable, and none up to here will be issued any more.
    pub closed: Hlc,
    /// Durably applied of other origins.
    pub applied: Applied,
    /// The durable catalog.
    pub catalog: Arc<Catalog>,
    /// What was durably collected.
    pub collected: Arc<Collected>,
}

/// What other regions have of this region's writes, as they say in band.
///
/// An acknowledgement is a cut: a region that acknowledges a stamp has on its disk every version up
/// to there of the tables that it holds, as it was, in the past of another, or in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acked(BTreeMap<RegionSlot, (Hlc, bool)>);

impl Acked {
    /// What the region has of this region's present life; zero if it said nothing yet.
    #[must_use]
    pub fn by(&self, region: RegionSlot) -> Hlc {
        self.0.get(&region).map_or(Hlc::ZERO, |entry| entry.0)
    }

    /// Whether the stream from the region is open.
    #[must_use]
    pub fn reaches(&self, region: RegionSlot) -> bool {
        self.0.get(&region).is_some_and(|entry| entry.1)
    }

    /// Takes an acknowledgement in; returns whether it says more than those before.
    pub(crate) fn note(&mut self, region: RegionSlot, acked: Hlc) -> bool {
        let entry = self.0.entry(region).or_default();
        let more = acked > entry.0;
        entry.0 = entry.0.max(acked);
        more
    }

    /// The stream from the region opened or closed; returns whether that is news.
    pub(crate) fn reachable(&mut self, region: RegionSlot, up: bool) -> bool {
        let entry = self.0.entry(region).or_default();
        core::mem::replace(&mut entry.1, up) != up
    }
}

/// Synchronous reads of a region's local rows.
///
/// The node is given the newest state, unsynced batches included; a feed is given durable state
/// only, because what it sends can never be taken back.
pub trait Snapshot {
    /// The item's state, if any row of it exists.
    fn item(&self, key: &ItemKey) -> Option<Stored>;

    /// The same without its attributes.
    fn outline(&self, key: &ItemKey) -> Option<Outline> {
        self.item(key).map(|stored| Outline::of(&key.primary, stored))
    }

    /// Up to `limit` entries of the changelog index of `origin` in `(after, through]`, in order,
    /// with the items that they name.
    fn changes(&self, origin: Origin, after: Hlc, through: Hlc, limit: usize) -> Vec<Entry>;

    /// The places in other origins' feeds that belong to these rows; `None` where nobody keeps
    /// tables of groups, and while the past of a new life is put in order.
    fn applied(&self) -> Option<Applied> {
        None
    }

    /// Up to `limit` entries of the index of tombstones behind a stamp: the versions of those items
    /// of `table` that are not there in any of them, by origin and then by reading.
    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)>;

    /// The newest reading in the changelog index of `origin`; zero if it has no entry.
    fn newest(&self, origin: Origin) -> Hlc;

    /// Up to `limit` rows of a table after a key, in the store's own key order.
    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)>;

    /// Whether there are entries of an index; a store that keeps none has none.
    fn has_entries(&self, _table: TableId, _index: IndexId) -> bool {
        false
    }

    /// The sequence of the first record of a table in the journal; a store that keeps no journal
    /// has none.
    fn first_record(&self, _table: TableId) -> Option<u64> {
        None
    }

    /// The bucket of an item: a function of its partition key, the same in every region.
    fn bucket(&self, key: &ItemKey) -> u8 {
        fingerprint::bucket(&key.primary)
    }

    /// Where the store keeps the item: what a row is found by whose key cannot be read.
    fn place(&self, key: &ItemKey) -> Vec<u8> {
        let mut place = Vec::new();
        key.primary.write_canonical(&mut place);
        place
    }

    /// Up to `limit` readable rows of a bucket after a key, in the store's own key order.
    fn bucket_rows(
        &self,
        (table, bucket): (TableId, u8),
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let mut rows = self.rows(table, after, usize::MAX);
        rows.retain(|(key, _)| self.bucket(key) == bucket);
        rows.truncate(limit);
        rows
    }

    /// Where the rows of a bucket are that are damaged in the store of the region that lives `me`:
    /// they cannot be read, or are gone while indexes name them.
    fn damaged(&self, _me: Origin, _bucket: (TableId, u8)) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// The fingerprints of a table as they are maintained, by bucket.
    fn fingerprints(&self, table: TableId) -> Vec<u128> {
        let mut sums = Vec::from([0_u128; BUCKETS]);
        for (key, stored) in self.rows(table, None, usize::MAX) {
            let sum = &mut sums[usize::from(self.bucket(&key))];
            *sum = sum.wrapping_add(fingerprint::of_item(&key.primary, &stored));
        }
        sums
    }
}

/// An entry of the changelog index, [`Stored::entries`], and its item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry's reading; the rows of one transaction share it.
    pub hlc: Hlc,
    /// Which item.
    pub key: ItemKey,
    /// The item.
    pub stored: Stored,
}

/// One atomic change of a region's store: rows, index and vectors stand or fall together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows to put, or to remove.
    pub items: BTreeMap<ItemKey, Option<Stored>>,
    /// Index entries to put (`true`), or to remove: those of [`Stored::entries`].
    pub changelog: BTreeMap<(Stamp, ItemKey), bool>,
    /// The newest stamp issued so far.
    pub last: Option<Hlc>,
    /// New places in other origins' feeds.
    pub applied: Applied,
    /// Entries of the index of tombstones to put (`true`), or to remove: see [`Stored::buried`].
    pub tombstones: BTreeMap<(Stamp, ItemKey), bool>,
    /// What was collected, of tables where that has changed; empty of one that was dropped.
    pub collected: Collected,
    /// The new fingerprints of the buckets that have changed.
    pub fingerprints: Fingerprints,
    /// Entries of secondary indexes to put (`true`), or to remove.
    pub index: BTreeMap<IndexEntry, bool>,
    /// How far the region is with indexes; `None` of one that is gone.
    pub fills: BTreeMap<(TableId, IndexId), Option<Fill>>,
    /// Indexes that are gone: some thousand entries of each shall go with this batch.
    pub unindexed: BTreeSet<(TableId, IndexId)>,
    /// Changes of items that go to the journal, in order.
    pub journal: Vec<Record>,
    /// Tables of whose records before a sequence some thousand shall go with this batch.
    pub trimmed: BTreeMap<TableId, u64>,
    /// What damage has left, by its place: goes before anything is put.
    pub erased: BTreeMap<(TableId, Vec<u8>), Erased>,
    /// A new life of the region begins with this batch, or its past is in order with it.
    pub rebirth: Option<Rebirth>,
}

/// See [`Batch::rebirth`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebirth {
    /// The life.
    pub incarnation: u16,
    /// The past is in order: every place in other origins' feeds is forgotten. Until then a node
    /// that begins has to go on with that ([`Durable::reborn`]).
    pub done: bool,
}

impl Batch {
    /// Nothing to write.
    pub(crate) const EMPTY: Self = Self {
        items: BTreeMap::new(),
        changelog: BTreeMap::new(),
        last: None,
        applied: Applied::new(),
        tombstones: BTreeMap::new(),
        collected: Collected::new(),
        fingerprints: Fingerprints::new(),
        index: BTreeMap::new(),
        fills: BTreeMap::new(),
        unindexed: BTreeSet::new(),
        journal: Vec::new(),
        trimmed: BTreeMap::new(),
        erased: BTreeMap::new(),
        rebirth: None,
    };

    /// Whether there is anything to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.changelog.is_empty()
            && self.last.is_none()
            && self.applied.is_empty()
            && self.tombstones.is_empty()
            && self.collected.is_empty()
            && self.fingerprints.is_empty()
            && self.erased.is_empty()
            && self.index.is_empty()
            && self.fills.is_empty()
            && self.unindexed.is_empty()
            && self.journal.is_empty()
            && self.trimmed.is_empty()
            && self.rebirth.is_none()
    }

    /// Puts an item's new state, keeping the indexes exact functions of the rows. If it was buried
    /// before, [`Batch::unbury`] comes first.
    pub fn put(&mut self, key: ItemKey, stored: Stored, change: Entries) {
        let Entries { me, own_before, added, replaced } = change;
        let own = Stamp { hlc: stored.seen.get(me), origin: me };
        for stamp in replaced.into_iter().filter(|stamp| *stamp != own) {
            self.changelog.insert((stamp, key.clone()), false);
        }
        if own_before != own.hlc {
            if own_before > Hlc::ZERO {
                let before = Stamp { hlc: own_before, origin: me };
                self.changelog.insert((before, key.clone()), false);
            }
            self.changelog.insert((own, key.clone()), true);
        }
        if let Some(stamp) = added {
            self.changelog.insert((stamp, key.clone()), true);
        }
        for stamp in stored.buried() {
            self.tombstones.insert((stamp, key.clone()), true);
        }
        self.items.insert(key, Some(stored));
    }

    /// Takes an item that was [`Stored::buried`] out of the index of tombstones.
    pub fn unbury(&mut self, key: &ItemKey, buried: Vec<Stamp>) {
        self.tombstones.extend(buried.into_iter().map(|stamp| ((stamp, key.clone()), false)));
    }

    /// Removes a row and its index entries, leaving no trace.
    pub fn remove(&mut self, key: ItemKey, stored: &Stored, me: Origin) {
        for stamp in stored.entries(me) {
            self.changelog.insert((stamp, key.clone()), false);
        }
        self.unbury(&key, stored.buried());
        self.items.insert(key, None);
    }
}

/// How an item's index entries change with its state.
#[derive(Clone, Debug)]
pub struct Entries {
    /// The region whose index it is.
    pub me: Origin,
    /// The newest own stamp that the item had seen before; zero if none.
    pub own_before: Hlc,
    /// The version that is new in it, if one is.
    pub added: Option<Stamp>,
    /// Versions that were kept and are not any more.
    pub replaced: Vec<Stamp>,
}

/// What damage has left of a row: see [`Snapshot::place`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Whether there is a row, which cannot be read, or entries of indexes alone.
    pub row: bool,
    /// The versions that the indexes name.
    pub stamps: Vec<Stamp>,
}

/// What is durable when a node starts: nothing but this survives a crash.
#[derive(Clone, Debug)]
pub struct Durable {
    /// The life that this region lives.
    pub incarnation: u16,
    /// It is new, and the past is not in order yet.
    pub reborn: bool,
    /// The newest stamp ever issued.
    pub last: Hlc,
    /// Places in other origins' feeds.
    pub applied: Applied,
    /// Every row of the catalog table.
    pub catalog: Catalog,
    /// What was collected.
    pub collected: Collected,
    /// The fingerprints of all tables.
    pub fingerprints: Fingerprints,
    /// How far the region is with indexes.
    pub fills: Fills,
    /// The place of the newest record that was ever in the journal.
    pub journaled: u64,
}

/// Why a row or frame of a peer was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The frame speaks of another region's origin.
    #[error("frame of origin {0}, which is not the peer's")]
    ForeignOrigin(Origin),
    /// Rows outside the frame's range, out of order, or of another origin.
    #[error("row {0} does not belong into its frame")]
    Misplaced(Stamp),
    /// A table identity that cannot be.
    #[error("malformed row: {0}")]
    Malformed(String),
}
