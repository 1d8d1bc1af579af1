//! Backups beside the rows: written in chunks by whoever copies, not by the writer.

use std::ops::{Bound, ControlFlow};

use pangea_codec::disk::{backup, key};
use pangea_core::item::Attributes;

use super::{Change, Fault, Place, Space, Store, StoreView};

/// Chunks that are removed at once.
const REMOVED_MAX: usize = 64;

impl Store {
    /// Writes what is known of a backup.
    ///
    /// # Errors
    /// See [`super::Engine::commit_if`].
    pub fn put_backup(&self, id: &str, head: Attributes) -> Result<(), Fault> {
        self.commit(&[(Space::Meta, backup::head(id), Some(backup::encode(&[head])))])
    }

    /// Writes some of its items.
    ///
    /// # Errors
    /// See [`super::Engine::commit_if`].
    pub fn put_backup_items(
        &self,
        id: &str,
        number: u64,
        items: &[Attributes],
    ) -> Result<(), Fault> {
        self.commit(&[(Space::Meta, backup::chunk(id, number), Some(backup::encode(items)))])
    }

    /// Removes a backup: its head first, then its items in steps.
    ///
    /// # Errors
    /// See [`super::Engine::commit_if`].
    pub fn remove_backup(&self, id: &str) -> Result<(), Fault> {
        self.commit(&[(Space::Meta, backup::head(id), None)])?;
        let prefix = backup::chunks(id);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        loop {
            let mut changes: Vec<Change> = Vec::new();
            let bounds = (Bound::Included(&prefix[..]), Bound::Excluded(&end[..]));
            self.snapshot()?.view.scan(Space::Meta, bounds, false, &mut |name, _| {
                changes.push((Space::Meta, name.to_vec(), None));
                let go_on = changes.len() < REMOVED_MAX;
                if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            if changes.is_empty() {
                return Ok(());
            }
            self.commit(&changes)?;
        }
    }
}

impl StoreView {
    /// What is known of every backup, in the order of their identities.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn backups(&self) -> Result<Vec<(String, Attributes)>, Fault> {
        let end = key::after_prefix(backup::HEADS).unwrap_or_default();
        let bounds = (Bound::Included(backup::HEADS), Bound::Excluded(&end[..]));
        let (mut heads, mut damaged) = (Vec::new(), None);
        self.view.scan(Space::Meta, bounds, false, &mut |name, value| {
            match backup::decode(value) {
                Ok(head) => heads.extend(backup::id_of(name).zip(head.into_iter().next())),
                Err(error) => {
                    damaged = Some(Fault::Corrupt { place: Place::new(Space::Meta, name), error });
                }
            }
            ControlFlow::Continue(())
        })?;
        damaged.map_or(Ok(heads), Err)
    }

    /// The items of a chunk; `None` behind the last one.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn backup_items(&self, id: &str, number: u64) -> Result<Option<Vec<Attributes>>, Fault> {
        let name = backup::chunk(id, number);
        let Some(value) = self.view.get(Space::Meta, &name)? else { return Ok(None) };
        let place = || Place::new(Space::Meta, &name);
        backup::decode(&value).map(Some).map_err(|error| Fault::Corrupt { place: place(), error })
    }
}

#[cfg(test)]
mod tests;
