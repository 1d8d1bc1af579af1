//! Typed rows on an engine: what the node writes, and what is durable when it starts.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use pangea_codec::disk::meta::{self, Identity};
use pangea_codec::disk::{self, RowError, journal, key};
use pangea_core::catalog::{Catalog, Policy};
use pangea_core::id::TableId;
use pangea_core::index::{Fills, IndexId};
use pangea_core::item::ItemKey;
use pangea_core::replica::{Applied, Batch, Collected, Durable, Rebirth};
use pangea_core::time::Hlc;

use super::{
    Change, Condition, DiskSwitch, Engine, EngineOptions, Fault, Fillable, GroupView, Outcome,
    Place, RowKeys, Space, StoreView, View, rot,
};

/// Rows to put, or to remove, later ones over earlier ones.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn insert(&mut self, (space, key): (Space, Vec<u8>), value: Option<Vec<u8>>) {
        self.0.push((space, key, value));
    }

    /// In the order of their keys, each once.
    fn sorted(self) -> Vec<Change> {
        let mut changes = self.0;
        // One that came later stays behind those of its key.
        changes.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        changes.dedup_by(|later, kept| {
            let same = (later.0, &later.1) == (kept.0, &kept.1);
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        changes
    }
}

/// Entries of an index that is gone that go with one batch.
const UNINDEXED_MAX: usize = 4096;
/// Records of the journal that go with one batch.
const TRIMMED_MAX: usize = 1024;

/// Why a directory is not this region's store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made.
    #[error("cannot make the directory {0}: {1}")]
    Directory(String, std::io::Error),
    /// The store belongs to another region or cluster.
    #[error(
        "this data belongs to region `{}` (slot {}) of cluster `{}`, not to region `{}` (slot {}) \
         of cluster `{}`: use another --data-dir, or give the region its old name and id",
        .found.region, .found.slot, .found.cluster, .wanted.region, .wanted.slot, .wanted.cluster
    )]
    Stranger {
        /// Whose it is.
        found: Box<Identity>,
        /// Who wanted it.
        wanted: Box<Identity>,
    },
    /// It cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A region's rows.
#[derive(Debug)]
pub struct Store {
    engine: Box<dyn Engine>,
    owner: Identity,
}

impl Store {
    /// Opens or creates the store in `directory`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        directory: &Path,
        engine: EngineOptions,
        wanted: Identity,
    ) -> Result<(Self, Durable), OpenError> {
        Self::with_boxed(open_engine(directory, engine)?, wanted)
    }

    /// The same, on a disk that an experiment may turn full.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_fillable(
        directory: &Path,
        engine: EngineOptions,
        wanted: Identity,
        disk: DiskSwitch,
    ) -> Result<(Self, Durable), OpenError> {
        let engine = Fillable::new(open_engine(directory, engine)?, disk);
        Self::with_boxed(Box::new(engine), wanted)
    }

    /// On an engine.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn with_engine(
        engine: impl Engine,
        wanted: Identity,
    ) -> Result<(Self, Durable), OpenError> {
        Self::with_boxed(Box::new(engine), wanted)
    }

    fn with_boxed(engine: Box<dyn Engine>, wanted: Identity) -> Result<(Self, Durable), OpenError> {
        let capabilities = engine.capabilities();
        assert!(capabilities.whole_node_batches, "a batch is rows, changelog and progress at once");
        assert!(capabilities.ordered_feed, "feeds are read by range");
        let store = Self { engine, owner: wanted };
        let wanted = &store.owner;
        let found = store.engine.view()?.get(Space::Meta, meta::IDENTITY)?;
        let found = found.map(|found| known(meta::IDENTITY, Identity::decode(&found)));
        match found.transpose()? {
            None => {
                let identity = (Space::Meta, meta::IDENTITY.to_vec(), Some(wanted.encode()));
                store.engine.commit(&[identity])?;
            }
            Some(found) => {
                let same = found.cluster == wanted.cluster
                    && found.region == wanted.region
                    && found.slot == wanted.slot;
                if !same {
                    let (found, wanted) = (Box::new(found), Box::new(wanted.clone()));
                    return Err(OpenError::Stranger { found, wanted });
                }
            }
        }
        store.keep_fingerprints()?;
        let durable = store.recover()?;
        Ok((store, durable))
    }

    /// What is durable now.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn recover(&self) -> Result<Durable, Fault> {
        let view = self.engine.view()?;
        let last = view.get(Space::Meta, meta::LAST)?;
        let last = last.map(|last| known(meta::LAST, meta::parse_hlc(&last))).transpose()?;
        let owner = view.get(Space::Meta, meta::IDENTITY)?;
        let owner = owner.map(|owner| known(meta::IDENTITY, Identity::decode(&owner)));
        let journaled = view.get(Space::Meta, meta::JOURNALED)?;
        let journaled =
            journaled.map(|it| known(meta::JOURNALED, meta::parse_commits(&it))).transpose()?;
        Ok(Durable {
            incarnation: owner.transpose()?.map_or(self.owner.incarnation, |it| it.incarnation),
            reborn: view.get(Space::Meta, meta::REBORN)?.is_some(),
            last: last.unwrap_or(Hlc::ZERO),
            applied: applied(view.as_ref())?,
            collected: collected(view.as_ref())?,
            fills: fills(view.as_ref())?,
            journaled: journaled.unwrap_or_default(),
            fingerprints: rot::fingerprints(&StoreView::new(view.clone()))?.0,
            catalog: catalog(StoreView::new(view))?,
        })
    }

    /// Writes fingerprints that had to be made anew. A disk that takes no writes now makes them
    /// again the next time.
    fn keep_fingerprints(&self) -> Result<(), Fault> {
        let (_, changes) = rot::fingerprints(&self.snapshot()?)?;
        if !changes.is_empty()
            && let Err(fault) = self.engine.commit(&changes)
        {
            tracing::warn!(%fault, "the fingerprints that were made cannot be kept");
        }
        Ok(())
    }

    /// An unchanging view of what is durable.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn snapshot(&self) -> Result<StoreView, Fault> {
        Ok(StoreView::new(self.engine.view()?))
    }

    /// Makes a group of batches durable, all or none, later ones over earlier ones.
    ///
    /// # Errors
    /// See [`Engine::commit`].
    pub fn write(&self, batches: Vec<Batch>) -> Result<(), Fault> {
        self.write_rows(batches, RowKeys::default())
    }

    /// The same of one group, which knows some of the keys of its rows.
    ///
    /// # Errors
    /// See [`Engine::commit`].
    pub fn write_group(&self, group: GroupView) -> Result<(), Fault> {
        let (batch, keys) = group.into_batch();
        self.write_rows(vec![batch], keys)
    }

    fn write_rows(&self, batches: Vec<Batch>, mut keys: RowKeys) -> Result<(), Fault> {
        let mut changes = Changes::default();
        for batch in batches {
            if let Some(rebirth) = batch.rebirth {
                self.begin_life(rebirth, &mut changes)?;
            }
            for &(table, index) in &batch.unindexed {
                self.empty_index(table, index, &mut changes)?;
            }
            for (&table, &before) in &batch.trimmed {
                self.trim(table, before, &mut changes)?;
            }
            encode(batch, &mut keys, &mut changes);
        }
        self.engine.commit(&changes.sorted())
    }

    /// Makes changes durable that are no batch of the node's.
    pub(super) fn commit(&self, changes: &[Change]) -> Result<(), Fault> {
        self.engine.commit(changes)
    }

    /// Lets the row of an item rot, for experiments: a bit of it is flipped, or it is `gone` while
    /// indexes still name it. Whether there was a row.
    ///
    /// # Errors
    /// See [`Engine::commit_if`].
    pub fn rot(&self, item: &ItemKey, gone: bool) -> Result<bool, Fault> {
        let row_key = key::row(item);
        let Some(row) = self.engine.view()?.get(Space::Items, &row_key)? else { return Ok(false) };
        let mut rotten = row.clone();
        if let Some(last) = rotten.last_mut() {
            *last ^= 4;
        }
        let place = Place { space: Space::Items, key: row_key.clone() };
        let unchanged = Condition { place, expected: Some(row) };
        let change = (Space::Items, row_key, (!gone).then_some(rotten));
        Ok(self.engine.commit_if(&[unchanged], &[change])? == Outcome::Committed)
    }

    /// A new life is noted at once; its places in other origins' feeds begin when its past is in
    /// order.
    fn begin_life(&self, rebirth: Rebirth, changes: &mut Changes) -> Result<(), Fault> {
        let Rebirth { incarnation, done } = rebirth;
        let owner = Identity { incarnation, ..self.owner.clone() };
        changes.insert((Space::Meta, meta::IDENTITY.to_vec()), Some(owner.encode()));
        let note = (!done).then(|| meta::commits(u64::from(incarnation)));
        changes.insert((Space::Meta, meta::REBORN.to_vec()), note);
        if done {
            for origin in applied(self.engine.view()?.as_ref())?.into_keys() {
                changes.insert((Space::Meta, meta::applied(origin)), None);
            }
        }
        Ok(())
    }

    /// Removes some of the records of the journal before a sequence.
    fn trim(&self, table: TableId, before: u64, changes: &mut Changes) -> Result<(), Fault> {
        let (lower, upper) = (meta::records(table), meta::record(table, before));
        self.remove_some((&lower, &upper), TRIMMED_MAX, changes)
    }

    /// Removes some of the entries of an index.
    fn empty_index(
        &self,
        table: TableId,
        index: IndexId,
        changes: &mut Changes,
    ) -> Result<(), Fault> {
        let prefix = key::index(table, index);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        self.remove_some((&prefix, &end), UNINDEXED_MAX, changes)
    }

    /// Removes the first of what is in the meta space within bounds.
    fn remove_some(
        &self,
        (lower, upper): (&[u8], &[u8]),
        mut left: usize,
        changes: &mut Changes,
    ) -> Result<(), Fault> {
        let bounds = (Bound::Included(lower), Bound::Excluded(upper));
        self.engine.view()?.scan(Space::Meta, bounds, false, &mut |name, _| {
            changes.insert((Space::Meta, name.to_vec()), None);
            left -= 1;
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    /// See [`Engine::close`].
    pub fn close(&self) {
        self.engine.close();
    }

    /// Why writes are refused, if they are.
    ///
    /// # Errors
    /// [`Fault::DiskFull`], [`Fault::ReadOnly`].
    pub fn health(&self) -> Result<(), Fault> {
        self.engine.health()
    }
}

fn open_engine(directory: &Path, engine: EngineOptions) -> Result<Box<dyn Engine>, OpenError> {
    if let Err(error) = std::fs::create_dir_all(directory)
        && !directory.is_dir()
    {
        return Err(OpenError::Directory(directory.display().to_string(), error));
    }
    Ok(engine.open(directory)?)
}

fn encode(batch: Batch, keys: &mut RowKeys, changes: &mut Changes) {
    for ((table, row_key), gone) in batch.erased {
        for stamp in gone.stamps {
            changes.insert((Space::Changelog, key::changelog(stamp, &row_key)), None);
            changes.insert((Space::Meta, key::tombstone(table, stamp, &row_key)), None);
        }
        if gone.row {
            changes.insert((Space::Items, row_key), None);
        }
    }
    for ((table, bucket), sum) in batch.fingerprints {
        let sum = (sum != 0).then(|| meta::sum(sum));
        changes.insert((Space::Meta, meta::fingerprint(table, bucket)), sum);
    }
    for (item, stored) in batch.items {
        let row = stored.map(|stored| disk::encode_row(&item.primary, &stored));
        changes.insert((Space::Items, keys.of(&item).to_vec()), row);
    }
    for ((stamp, item), put) in batch.changelog {
        let entry = key::changelog(stamp, keys.of(&item));
        changes.insert((Space::Changelog, entry), put.then(Vec::new));
    }
    for (origin, hlc) in batch.applied {
        changes.insert((Space::Meta, meta::applied(origin)), Some(meta::hlc(hlc)));
    }
    for ((stamp, item), put) in batch.tombstones {
        let entry = key::tombstone(item.table, stamp, keys.of(&item));
        changes.insert((Space::Meta, entry), put.then(Vec::new));
    }
    for (table, seen) in batch.collected {
        let value = (!seen.is_empty()).then(|| meta::vector(&seen));
        changes.insert((Space::Meta, meta::collected(table)), value);
    }
    for (entry, put) in batch.index {
        let (name, value) = key::index_entry(&entry);
        changes.insert((Space::Meta, name), put.then_some(value));
    }
    for ((table, index), fill) in batch.fills {
        changes.insert((Space::Meta, meta::fill(table, index)), fill.map(meta::fill_state));
    }
    for record in &batch.journal {
        let name = meta::record(record.key.table, record.sequence);
        changes.insert((Space::Meta, name), Some(journal::encode(record)));
    }
    if let Some(newest) = batch.journal.last() {
        let place = meta::commits(newest.sequence);
        changes.insert((Space::Meta, meta::JOURNALED.to_vec()), Some(place));
    }
    if let Some(last) = batch.last {
        changes.insert((Space::Meta, meta::LAST.to_vec()), Some(meta::hlc(last)));
    }
}

/// What a node begins with is believed or refused: a stamp taken for none would be issued again.
pub(super) fn known<T>(name: &[u8], value: Result<T, RowError>) -> Result<T, Fault> {
    value.map_err(|error| Fault::Corrupt { place: Place::new(Space::Meta, name), error })
}

pub(super) fn applied(view: &dyn View) -> Result<Applied, Fault> {
    facts(view, meta::APPLIED, |name, value| {
        Ok((meta::parse_applied(name)?, meta::parse_hlc(value)?))
    })
}

fn collected(view: &dyn View) -> Result<Collected, Fault> {
    facts(view, meta::COLLECTED, |name, value| {
        Ok((meta::parse_collected(name)?, meta::parse_vector(value)?))
    })
}

fn fills(view: &dyn View) -> Result<Fills, Fault> {
    facts(view, meta::FILL, |name, value| {
        Ok((meta::parse_fill(name)?, meta::parse_fill_state(value)?))
    })
}

/// The region's own facts whose names begin alike.
pub(super) fn facts<K: Ord, V>(
    view: &dyn View,
    prefix: &[u8],
    parse: impl Fn(&[u8], &[u8]) -> Result<(K, V), RowError>,
) -> Result<BTreeMap<K, V>, Fault> {
    let (mut facts, mut fault) = (BTreeMap::new(), None);
    let end = key::after_prefix(prefix).unwrap_or_default();
    let bounds = (Bound::Included(prefix), Bound::Excluded(end.as_slice()));
    view.scan(Space::Meta, bounds, false, &mut |name, value| {
        match known(name, parse(name, value)) {
            Ok((key, value)) => {
                facts.insert(key, value);
            }
            Err(error) => fault = Some(error),
        }
        ControlFlow::Continue(())
    })?;
    fault.map_or(Ok(facts), Err)
}

fn catalog(view: StoreView) -> Result<Catalog, Fault> {
    let mut catalog = Catalog::default();
    view.scan((TableId::CATALOG, &Policy::Lww), None, None, |key, row, _| {
        catalog.observe(key, Some(row));
        ControlFlow::Continue(())
    })?;
    Ok(catalog)
}

#[cfg(test)]
mod tests;
