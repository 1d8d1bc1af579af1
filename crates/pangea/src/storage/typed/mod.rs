//! The store: an engine's rows with the types of `pangea-core`.

mod group;
mod open;
mod snapshot;
mod view;

pub use group::GroupView;
pub use open::Identity;
pub use view::{Query, Scan, Sort, StoreView, VisitItem};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pangea_codec::disk::{self, meta};
use pangea_core::item::ItemKey;
use pangea_core::merge::Stored;
use pangea_core::replica::{Batch, Durable};

use super::redb::{Options, Redb};
use super::{Engine, Fault, Health, Op, Space, fault};

/// A region's store. One thread writes, any number read.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<dyn Engine>,
}

impl Store {
    /// Opens a region's directory, or makes it; what was durable comes with it.
    ///
    /// # Errors
    ///
    /// [`Fault::Foreign`] if it belongs to another cluster or region, [`Fault::InUse`] if another
    /// process has it, [`Fault::Corrupt`] if what a node begins with cannot be trusted.
    pub fn open(
        path: &Path,
        identity: &Identity,
        options: Options,
    ) -> Result<(Self, Durable), Fault> {
        Self::with_engine(Arc::new(Redb::open_directory(path, options)?), identity)
    }

    /// The same, on any engine.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn with_engine(
        engine: Arc<dyn Engine>,
        identity: &Identity,
    ) -> Result<(Self, Durable), Fault> {
        open::claim(&*engine, identity)?;
        let store = Self { engine };
        let durable = store.recover()?;
        Ok((store, durable))
    }

    /// What a node begins with: nothing else survives a crash.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it cannot be read or trusted.
    pub fn recover(&self) -> Result<Durable, Fault> {
        open::recover(&self.snapshot()?)
    }

    /// Begins a new life: `incarnation` must never have been lived by this region.
    ///
    /// # Errors
    ///
    /// As [`Store::write`].
    pub fn begin_life(&self, incarnation: u16) -> Result<(), Fault> {
        let value = Some(meta::encode_number(incarnation));
        self.engine.commit(&[Op { space: Space::Meta, key: meta::INCARNATION.into(), value }])
    }

    /// Makes batches durable, in order, as one commit: all of them or none.
    ///
    /// # Errors
    ///
    /// [`Fault`]; see [`Fault::nothing_written`].
    pub fn write(&self, batches: impl AsRef<[Batch]>) -> Result<(), Fault> {
        let batches = batches.as_ref();
        match batches {
            [] => Ok(()),
            [batch] => self.engine.commit(&encode(batch)?),
            _ => {
                let mut merged = Batch::default();
                for batch in batches {
                    absorb(&mut merged, batch.clone());
                }
                self.engine.commit(&encode(&merged)?)
            }
        }
    }

    /// Everything durable as of now.
    ///
    /// # Errors
    ///
    /// [`Fault`] if not even reads can be served.
    pub fn snapshot(&self) -> Result<StoreView, Fault> {
        Ok(StoreView::new(self.engine.view()?))
    }

    /// Whether writes are taken, the disk's free space aside.
    #[must_use]
    pub fn health(&self) -> Health {
        self.engine.health()
    }
}

/// Puts `batch` on top of `merged`: together they are as both, one after the other.
fn absorb(merged: &mut Batch, batch: Batch) {
    merged.items.extend(batch.items);
    merged.changelog.extend(batch.changelog);
    merged.last = merged.last.max(batch.last);
    for (origin, hlc) in batch.applied {
        let place = merged.applied.entry(origin).or_default();
        *place = hlc.max(*place);
    }
}

/// The rows of a batch, sorted as a commit wants them.
fn encode(batch: &Batch) -> Result<Vec<Op>, Fault> {
    let mut ops = Vec::with_capacity(batch.items.len() + batch.changelog.len() + 4);
    let keys: BTreeMap<&ItemKey, Vec<u8>> =
        batch.items.keys().map(|key| (key, disk::row_key(key))).collect();
    for (key, stored) in &batch.items {
        ops.push(encode_item(key, keys[key].clone(), stored.as_ref())?);
    }
    for (&stamp, key) in &batch.changelog {
        let row = |key| keys.get(key).cloned().unwrap_or_else(|| disk::row_key(key));
        let value = key.as_ref().map(row);
        let key = disk::changelog_key(stamp).to_vec();
        ops.push(Op { space: Space::Changelog, key, value });
    }
    let mut meta = |key: Vec<u8>, hlc| {
        ops.push(Op { space: Space::Meta, key, value: Some(meta::encode_reading(hlc)) });
    };
    if let Some(last) = batch.last {
        meta(meta::LAST.into(), last);
    }
    for (&origin, &hlc) in &batch.applied {
        meta(meta::applied_key(origin), hlc);
    }
    ops.sort_unstable();
    Ok(ops)
}

fn encode_item(key: &ItemKey, row_key: Vec<u8>, stored: Option<&Stored>) -> Result<Op, Fault> {
    let value = stored.map(|stored| disk::encode_item(&key.primary, stored)).transpose();
    match value {
        Ok(value) => Ok(Op { space: Space::Items, key: row_key, value }),
        Err(error) => Err(Fault::Unstorable {
            row: fault::name_row(Space::Items, &row_key),
            reason: error.to_string(),
        }),
    }
}

/// The fault of a row that does not decode.
fn corrupt(space: Space, key: &[u8], reason: disk::Corrupt) -> Fault {
    Fault::Corrupt { row: fault::name_row(space, key), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
