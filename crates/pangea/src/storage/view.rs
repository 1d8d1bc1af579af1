//! Reads of typed rows.

mod index;
mod journal;
mod keys;
mod tombstones;
mod vectors;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pangea_codec::binary::DecodeError;
use pangea_codec::disk::{self, Image, RowError, key, meta};
use pangea_core::catalog::Policy;
use pangea_core::expr::KeyRange;
use pangea_core::id::{Origin, TableId};
use pangea_core::index::IndexId;
use pangea_core::item::{Attributes, ItemKey, KeyValue, PrimaryKey, item_size};
use pangea_core::merge::{Body, Stored, VersionVector};
use pangea_core::replica::{Applied, Batch, Entry, Outline, Snapshot};
use pangea_core::time::{Hlc, Stamp};
use pangea_core::view::view;

pub use index::IndexCheck;
pub use keys::RowKeys;

use super::store::applied;
use super::{Fault, Place, Space, View};

/// An unchanging state of a region's rows.
///
/// As a [`Snapshot`] it cannot report faults: it keeps the first one, answers as if nothing were
/// there, and whoever used it must [`StoreView::check`] before acting on the answers.
pub struct StoreView {
    pub(super) view: Arc<dyn View>,
    fault: OnceLock<Fault>,
    rests_on: Mutex<VersionVector>,
}

impl std::fmt::Debug for StoreView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreView").field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// A row of the conflict ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerRow {
    /// Its key; see `pangea_core::ledger`.
    pub key: PrimaryKey,
    /// The entry.
    pub entry: Attributes,
}

impl StoreView {
    pub(super) fn new(view: Arc<dyn View>) -> Self {
        Self { view, fault: OnceLock::new(), rests_on: Mutex::default() }
    }

    /// What the region has seen of every item that was read through this view by its own methods,
    /// deleted ones included: what an answer rests on.
    #[must_use]
    pub fn rests_on(&self) -> VersionVector {
        self.rests_on.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rest_on(&self, seen: &VersionVector) {
        self.rests_on.lock().unwrap_or_else(PoisonError::into_inner).join(seen);
    }

    /// The first fault that a read of the [`Snapshot`] met.
    ///
    /// # Errors
    /// That fault.
    pub fn check(&self) -> Result<(), Fault> {
        self.fault.get().map_or(Ok(()), |fault| Err(fault.clone()))
    }

    /// An item's attributes, as readers under `policy` see them, if it exists.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn get_item(&self, item: &ItemKey, policy: &Policy) -> Result<Option<Attributes>, Fault> {
        Ok(self.get_stored(item)?.and_then(|stored| shown(policy, stored)))
    }

    /// What `show` makes of an item as readers under `policy` see it, if it exists: straight from
    /// its row, where that is as most are. It is told about how many bytes the item has.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn show<T>(
        &self,
        item: &ItemKey,
        policy: &Policy,
        show: impl FnOnce(Image<'_>, usize) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Fault> {
        let row_key = key::row(item);
        let corrupt = corrupt(&row_key);
        let shown = self.row(&row_key, |row| {
            let image = match disk::plain_row(row).map_err(&corrupt)? {
                Some(plain) if !is_of(item, &plain.key, &row_key)? => return Ok(None),
                Some(plain) => {
                    self.rest_on(&plain.seen);
                    plain.attributes.map(Image::Row)
                }
                None => {
                    let (found, stored) = disk::decode_row(row).map_err(&corrupt)?;
                    if !is_of(item, &found, &row_key)? {
                        return Ok(None);
                    }
                    self.rest_on(&stored.seen);
                    shown(policy, stored).map(Image::Item)
                }
            };
            let shown = image.map(|image| show(image, row.len()));
            shown.transpose().map_err(|error| corrupt(error.into()))
        })?;
        shown.unwrap_or(Ok(None))
    }

    /// An item's versions, tombstones included.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn get_stored(&self, item: &ItemKey) -> Result<Option<Stored>, Fault> {
        let stored = self.read_stored(item, &key::row(item))?;
        if let Some(stored) = &stored {
            self.rest_on(&stored.seen);
        }
        Ok(stored)
    }

    /// See [`Snapshot::applied`].
    fn read_applied(&self) -> Result<Option<Applied>, Fault> {
        let reborn = self.view.get(Space::Meta, meta::REBORN)?.is_some();
        if reborn { Ok(None) } else { applied(self.view.as_ref()).map(Some) }
    }

    fn read_stored(&self, item: &ItemKey, row_key: &[u8]) -> Result<Option<Stored>, Fault> {
        let Some(decoded) = self.row(row_key, disk::decode_row)? else { return Ok(None) };
        let (found, stored) = decoded.map_err(corrupt(row_key))?;
        Ok(if is_of(item, &found, row_key)? { Some(stored) } else { None })
    }

    /// What is made of the row of a key, where there is one.
    fn row<T>(&self, row_key: &[u8], make: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, Fault> {
        let (mut make, mut made) = (Some(make), None);
        self.view.show(Space::Items, row_key, &mut |row| {
            made = make.take().map(|make| make(row));
        })?;
        Ok(made)
    }

    /// Reads an item's row and makes nothing of it: whoever reads it next finds it in memory.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn touch(&self, item: &ItemKey) -> Result<(), Fault> {
        self.row(&key::row(item), |_| ()).map(drop)
    }

    fn read_outline(&self, item: &ItemKey, row_key: &[u8]) -> Result<Option<Outline>, Fault> {
        let Some(outlined) = self.row(row_key, disk::outline)? else { return Ok(None) };
        let (found, outline) = outlined.map_err(corrupt(row_key))?;
        Ok(if is_of(item, &found, row_key)? { Some(outline) } else { None })
    }

    /// Visits the items of a range of a partition in the order of their sort keys, or in reverse,
    /// beginning behind `after`.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn query(
        &self,
        (table, policy): (TableId, &Policy),
        range: &KeyRange,
        reverse: bool,
        after: Option<&PrimaryKey>,
        mut visit: impl FnMut(&PrimaryKey, &Attributes, usize) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let partition = key::partition(table, &range.partition);
        let (lower, upper) = (range.sort.lower(), range.sort.upper());
        let (mut lower, mut upper) = key::sort_range(&partition, lower.as_ref(), upper.as_ref());
        if let Some(after) = after {
            let at = Bound::Excluded(key::row_in(table, after));
            *(if reverse { &mut upper } else { &mut lower }) = at;
        }
        self.items((lower, upper), policy, reverse, |found, row| {
            let inside = found.partition == range.partition
                && found.sort.as_ref().is_none_or(|sort| range.sort.matches(sort));
            if inside { visit(&found, &row, item_size(&row)) } else { ControlFlow::Continue(()) }
        })
    }

    /// Visits the items of a table, or of one of its equal segments, in the store's order,
    /// beginning behind `after`.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn scan(
        &self,
        (table, policy): (TableId, &Policy),
        segment: Option<(u32, u32)>,
        after: Option<&PrimaryKey>,
        mut visit: impl FnMut(&PrimaryKey, &Attributes, usize) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let (index, total) = segment.unwrap_or((0, 1));
        let lower = key::segment(table, index, total).map_or(Bound::Unbounded, Bound::Included);
        let upper = key::segment(table, index + 1, total).map_or(Bound::Unbounded, Bound::Excluded);
        let lower = after.map_or(lower, |after| Bound::Excluded(key::row_in(table, after)));
        self.items((lower, upper), policy, false, |found, row| visit(&found, &row, item_size(&row)))
    }

    /// Live items within bounds of row keys.
    fn items(
        &self,
        (lower, upper): (Bound<Vec<u8>>, Bound<Vec<u8>>),
        policy: &Policy,
        reverse: bool,
        mut visit: impl FnMut(PrimaryKey, Attributes) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let mut damaged = None;
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        self.view.scan(
            Space::Items,
            bounds,
            reverse,
            &mut |row_key, row| match disk::decode_row(row) {
                Ok((found, stored)) => {
                    self.rest_on(&stored.seen);
                    match shown(policy, stored) {
                        Some(attributes) => visit(found, attributes),
                        None => ControlFlow::Continue(()),
                    }
                }
                Err(error) => {
                    damaged = Some(corrupt(row_key)(error));
                    ControlFlow::Break(())
                }
            },
        )?;
        damaged.map_or(Ok(()), Err)
    }

    /// Up to `limit` wanted entries of the conflict ledger behind `after`.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn ledger(
        &self,
        wanted: impl Fn(&PrimaryKey) -> bool,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>, Fault> {
        self.entries(TableId::LEDGER, wanted, after, limit)
    }

    /// The same of what is aside: not known yet to be entries of the ledger.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn aside(
        &self,
        wanted: impl Fn(&PrimaryKey) -> bool,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>, Fault> {
        self.entries(TableId::ASIDE, wanted, after, limit)
    }

    fn entries(
        &self,
        table: TableId,
        wanted: impl Fn(&PrimaryKey) -> bool,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>, Fault> {
        let mut rows = Vec::new();
        self.scan((table, &Policy::Lww), None, after, |key, entry, _| {
            if wanted(key) {
                rows.push(LedgerRow { key: key.clone(), entry: entry.clone() });
            }
            if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(rows)
    }

    /// The bytes of all rows of a partition, without looking into them.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn partition_bytes(&self, table: TableId, partition: &KeyValue) -> Result<u64, Fault> {
        let prefix = key::partition(table, partition);
        let end = key::after_prefix(&prefix);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = 0;
        self.view.scan(Space::Items, (Bound::Included(&prefix), upper), false, &mut |_, row| {
            bytes += row.len() as u64;
            ControlFlow::Continue(())
        })?;
        Ok(bytes)
    }

    /// How many live rows a table has, and their bytes, without looking into them.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn size(&self, table: TableId) -> Result<(u64, u64), Fault> {
        let prefix = key::table(table);
        let end = key::after_prefix(&prefix);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut count, mut bytes) = (0, 0);
        self.view.scan(Space::Items, (Bound::Included(&prefix), upper), false, &mut |_, row| {
            count += 1;
            bytes += row.len() as u64;
            ControlFlow::Continue(())
        })?;
        Ok((count, bytes))
    }

    /// The items of up to `limit` versions of `origin` in `(after, through]`, in order, and how far
    /// they reach: to `through`, unless there are more.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn changed_keys(
        &self,
        origin: Origin,
        after: Hlc,
        through: Hlc,
        limit: usize,
    ) -> Result<(Vec<ItemKey>, Hlc), Fault> {
        let entries = self.changed_items(origin, after, through, limit)?;
        let cut = entries.last().filter(|_| entries.len() >= limit).map(|entry| entry.hlc);
        // The rows of one transaction may be parted by the limit: take them all next time.
        let whole = |entry: &&Entry| cut.is_none_or(|cut| entry.hlc < cut);
        let reached = match cut {
            None => through.max(after),
            Some(_) => entries.iter().filter(whole).map(|entry| entry.hlc).max().unwrap_or(after),
        };
        Ok((entries.into_iter().filter(|it| whole(&it)).map(|entry| entry.key).collect(), reached))
    }

    /// How many versions of `origin` after a reading there are, counting no further than `limit`.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn count_changes(&self, origin: Origin, after: Hlc, limit: usize) -> Result<usize, Fault> {
        let mut count = 0;
        self.changelog(origin, after, Hlc::MAX, &mut |_, _| {
            count += 1;
            if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(count)
    }

    fn changelog(
        &self,
        origin: Origin,
        after: Hlc,
        through: Hlc,
        visit: &mut super::Visit<'_>,
    ) -> Result<(), Fault> {
        // The first key behind all those of a stamp: the next stamp's, or none of the origin.
        let behind = |hlc| key::after_prefix(&key::stamp(Stamp { hlc, origin }));
        let (lower, upper) = (behind(after), behind(through));
        let lower = lower.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let upper = upper.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (lower, upper);
        self.view.scan(Space::Changelog, bounds, false, visit)
    }

    /// The oldest version of `origin` after a reading.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn first_change(&self, origin: Origin, after: Hlc) -> Result<Option<Hlc>, Fault> {
        let mut first = None;
        self.changelog(origin, after, Hlc::MAX, &mut |name, _| {
            first = key::parse_changelog(name).map(|(stamp, _)| stamp.hlc);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    fn newest_change(&self, origin: Origin) -> Result<Hlc, Fault> {
        let behind = |hlc| key::after_prefix(&key::stamp(Stamp { hlc, origin }));
        let (lower, upper) = (key::stamp(Stamp { hlc: Hlc::ZERO, origin }), behind(Hlc::MAX));
        let upper = upper.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (Bound::Included(&lower[..]), upper);
        let mut newest = Hlc::ZERO;
        self.view.scan(Space::Changelog, bounds, true, &mut |name, _| {
            newest = key::parse_changelog(name).map_or(newest, |(stamp, _)| stamp.hlc);
            ControlFlow::Break(())
        })?;
        Ok(newest)
    }

    fn changed_items(
        &self,
        origin: Origin,
        after: Hlc,
        through: Hlc,
        limit: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        self.changelog(origin, after, through, &mut |name, _| {
            let entry = key::parse_changelog(name);
            entries.extend(entry.map(|(stamp, row_key)| (stamp.hlc, row_key.to_vec())));
            if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let mut changes = Vec::with_capacity(entries.len());
        for (hlc, row_key) in entries {
            let Some(row) = self.view.get(Space::Items, &row_key)? else {
                return Err(Fault::Read(format!("the changelog names a row that is not: {hlc}")));
            };
            let (primary, stored) = disk::decode_row(&row).map_err(corrupt(&row_key))?;
            let table = key::table_of(&row_key).map_err(corrupt(&row_key))?;
            changes.push(Entry { hlc, key: ItemKey { table, primary }, stored });
        }
        Ok(changes)
    }

    fn stored_rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Stored)>, Fault> {
        let prefix = key::table(table);
        let end = key::after_prefix(&prefix);
        let lower = after.map(|after| key::row_in(table, after));
        let lower = lower.as_deref().map_or(Bound::Included(&prefix[..]), Bound::Excluded);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut rows, mut damaged) = (Vec::new(), None);
        self.view.scan(Space::Items, (lower, upper), false, &mut |row_key, row| {
            match disk::decode_row(row) {
                Ok((primary, stored)) => rows.push((ItemKey { table, primary }, stored)),
                Err(error) => damaged = Some(corrupt(row_key)(error)),
            }
            let go_on = rows.len() < limit && damaged.is_none();
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        damaged.map_or(Ok(rows), Err)
    }

    fn keep<T: Default>(&self, result: Result<T, Fault>) -> T {
        result.unwrap_or_else(|fault| {
            let _ = self.fault.set(fault);
            T::default()
        })
    }
}

/// What readers see of an item, without a copy where there is one version.
fn shown(policy: &Policy, mut stored: Stored) -> Option<Attributes> {
    if let [only] = stored.versions.as_mut_slice() {
        let body = std::mem::replace(&mut only.body, Body::Tombstone);
        if let Body::Live(attributes) = body {
            return Some(Arc::unwrap_or_clone(attributes));
        }
        only.body = body;
    }
    view(policy, &stored).map(std::borrow::Cow::into_owned)
}

/// Whether the row of `found` under `row_key` is that of `item`.
///
/// Another partition key of the same hash is another item; any other key there is damage.
fn is_of(item: &ItemKey, found: &PrimaryKey, row_key: &[u8]) -> Result<bool, Fault> {
    if *found == item.primary {
        return Ok(true);
    }
    let same_place = key::row_in(item.table, found) == row_key;
    if same_place { Ok(false) } else { Err(corrupt(row_key)(RowError::Misplaced)) }
}

fn corrupt(row_key: &[u8]) -> impl Fn(RowError) -> Fault {
    move |error| Fault::Corrupt { place: Place::new(Space::Items, row_key), error }
}

impl Snapshot for StoreView {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.keep(self.read_stored(key, &key::row(key)))
    }

    fn outline(&self, key: &ItemKey) -> Option<Outline> {
        self.keep(self.read_outline(key, &key::row(key)))
    }

    fn applied(&self) -> Option<Applied> {
        self.keep(self.read_applied())
    }

    fn has_entries(&self, table: TableId, index: IndexId) -> bool {
        self.keep(self.has_index_entries(table, index))
    }

    fn first_record(&self, table: TableId) -> Option<u64> {
        self.keep(self.first_sequence(table))
    }

    fn changes(&self, origin: Origin, after: Hlc, through: Hlc, limit: usize) -> Vec<Entry> {
        self.keep(self.changed_items(origin, after, through, limit))
    }

    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        self.keep(self.tombstone_items(table, after, limit))
    }

    fn newest(&self, origin: Origin) -> Hlc {
        self.keep(self.newest_change(origin))
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        self.keep(self.stored_rows(table, after, limit))
    }

    fn bucket(&self, key: &ItemKey) -> u8 {
        key::bucket_of(&key::row(key))
    }

    fn place(&self, key: &ItemKey) -> Vec<u8> {
        key::row(key)
    }

    fn bucket_rows(
        &self,
        bucket: (TableId, u8),
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        self.keep(self.readable_rows(bucket, after, limit))
    }

    fn damaged(&self, me: Origin, bucket: (TableId, u8)) -> Vec<Vec<u8>> {
        let found = self.keep(self.verify(me, bucket));
        found.damaged.into_iter().map(|damaged| damaged.place).collect()
    }

    fn fingerprints(&self, table: TableId) -> Vec<u128> {
        self.keep(self.table_fingerprints(table))
    }
}

/// What the writer sees: durable state, and the batches of the group that is being made.
#[derive(Debug)]
pub struct GroupView {
    view: StoreView,
    /// The batches so far as one, later ones over earlier ones.
    group: Batch,
    keys: RefCell<RowKeys>,
}

impl GroupView {
    /// A group that has nothing yet.
    #[must_use]
    pub fn new(view: StoreView) -> Self {
        Self { view, group: Batch::default(), keys: RefCell::default() }
    }

    /// Adds a batch; what it writes is visible from now on.
    pub fn push(&mut self, batch: Batch) {
        self.group.items.extend(batch.items);
        self.group.changelog.extend(batch.changelog);
        if batch.rebirth.is_some_and(|rebirth| rebirth.done) {
            self.group.applied.clear();
        }
        self.group.rebirth = batch.rebirth.or(self.group.rebirth);
        self.group.applied.extend(batch.applied);
        self.group.tombstones.extend(batch.tombstones);
        self.group.collected.extend(batch.collected);
        self.group.fingerprints.extend(batch.fingerprints);
        self.group.erased.extend(batch.erased);
        self.group.index.extend(batch.index);
        self.group.fills.extend(batch.fills);
        self.group.unindexed.extend(batch.unindexed);
        self.group.journal.extend(batch.journal);
        self.group.trimmed.extend(batch.trimmed);
        self.group.last = batch.last.or(self.group.last);
    }

    /// The group as one batch, and the keys of its rows as far as they are known.
    #[must_use]
    pub fn into_batch(self) -> (Batch, RowKeys) {
        (self.group, self.keys.into_inner())
    }

    /// See [`StoreView::check`].
    ///
    /// # Errors
    /// The first fault that a read met.
    pub fn check(&self) -> Result<(), Fault> {
        self.view.check()
    }
}

impl Snapshot for GroupView {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        match self.group.items.get(key) {
            Some(stored) => stored.clone(),
            None => self.view.keep(self.view.read_stored(key, self.keys.borrow_mut().of(key))),
        }
    }

    fn outline(&self, key: &ItemKey) -> Option<Outline> {
        match self.group.items.get(key) {
            Some(stored) => stored.clone().map(|stored| Outline::of(&key.primary, stored)),
            None => self.view.keep(self.view.read_outline(key, self.keys.borrow_mut().of(key))),
        }
    }

    fn bucket(&self, key: &ItemKey) -> u8 {
        key::bucket_of(self.keys.borrow_mut().of(key))
    }

    fn place(&self, key: &ItemKey) -> Vec<u8> {
        self.view.place(key)
    }

    fn has_entries(&self, table: TableId, index: IndexId) -> bool {
        let mut puts = self.group.index.iter().filter(|(_, put)| **put);
        puts.any(|(entry, _)| entry.table == table && entry.index == index)
            || self.view.has_entries(table, index)
    }

    /// A durable one: what the group removes is looked at again.
    fn first_record(&self, table: TableId) -> Option<u64> {
        self.view.first_record(table)
    }

    /// Durable entries alone, with durable items: feeds are not shown groups, and the node looks
    /// again before it changes one.
    fn changes(&self, origin: Origin, after: Hlc, through: Hlc, limit: usize) -> Vec<Entry> {
        self.view.changes(origin, after, through, limit)
    }

    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        self.grouped_tombstones(table, after, limit)
    }

    /// See [`GroupView::changes`].
    fn newest(&self, origin: Origin) -> Hlc {
        self.view.newest(origin)
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let changed = self.group.items.iter().filter(|(key, _)| key.table == table);
        let removed = changed.clone().filter(|(_, stored)| stored.is_none()).count();
        let durable = self.view.rows(table, after, limit.saturating_add(removed));
        let after = after.map(|after| key::row_in(table, after));
        let mut rows: BTreeMap<Vec<u8>, (ItemKey, Option<Stored>)> = BTreeMap::new();
        for (item, stored) in durable {
            rows.insert(key::row(&item), (item, Some(stored)));
        }
        for (item, stored) in changed {
            let row_key = key::row(item);
            if after.as_ref().is_none_or(|after| row_key > *after) {
                rows.insert(row_key, (item.clone(), stored.clone()));
            }
        }
        let rows = rows.into_values().filter_map(|(item, stored)| Some((item, stored?)));
        rows.take(limit).collect()
    }
}
