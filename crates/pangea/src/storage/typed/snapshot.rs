//! Durable state as the machines read it: plain values, with faults kept for the driver.

use std::ops::{Bound, ControlFlow};

use pangea_codec::disk::{self, Corrupt};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{ItemKey, PrimaryKey};
use pangea_core::merge::Stored;
use pangea_core::replica::Snapshot;
use pangea_core::time::{Hlc, Stamp};

use super::view::{end_of, same_key};
use super::{StoreView, corrupt};
use crate::storage::{Fault, Space};

/// A fault reads as absence here, and is found by [`StoreView::check`].
impl Snapshot for StoreView {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.note(self.stored(key))
    }

    fn changes(
        &self,
        origin: Origin,
        after: Hlc,
        through: Hlc,
        limit: usize,
    ) -> Vec<(Hlc, ItemKey)> {
        self.note(self.read_changes(origin, (after, through), limit))
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        self.note(self.read_rows(table, after, limit))
    }
}

impl StoreView {
    /// The item's whole state, if any row of it exists.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the row cannot be read or trusted.
    pub fn stored(&self, key: &ItemKey) -> Result<Option<Stored>, Fault> {
        let row_key = disk::row_key(key);
        let Some(value) = self.view().get(Space::Items, &row_key)? else { return Ok(None) };
        let row = disk::decode_stored(&value);
        let row = row.and_then(|(found, stored)| same_key(&found, &key.primary).map(|()| stored));
        row.map(Some).map_err(|reason| corrupt(Space::Items, &row_key, reason))
    }

    fn read_changes(
        &self,
        origin: Origin,
        (after, through): (Hlc, Hlc),
        limit: usize,
    ) -> Result<Vec<(Hlc, ItemKey)>, Fault> {
        let mut changes = Vec::new();
        let mut fault = None;
        if limit == 0 {
            return Ok(changes);
        }
        let from = disk::changelog_key(Stamp { origin, hlc: after });
        let to = disk::changelog_key(Stamp { origin, hlc: through });
        let range = (Bound::Excluded(from.as_slice()), Bound::Included(to.as_slice()));
        self.view().scan(Space::Changelog, range, false, &mut |key, row_key| {
            match self.resolve(key, row_key) {
                Ok(change) => changes.push(change),
                Err(met) => fault = Some(met),
            }
            let go_on = fault.is_none() && changes.len() < limit;
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        fault.map_or(Ok(changes), Err)
    }

    /// The item that an entry of the index points at.
    fn resolve(&self, key: &[u8], row_key: &[u8]) -> Result<(Hlc, ItemKey), Fault> {
        let index = |reason| corrupt(Space::Changelog, key, reason);
        let stamp = disk::read_changelog_key(key).map_err(index)?;
        let table = disk::read_table(row_key).map_err(index)?;
        let row = self.view().get(Space::Items, row_key)?;
        let row = row.ok_or_else(|| index(Corrupt("the row that it points at is missing")))?;
        let primary = disk::decode_key(&row);
        let primary = primary.map_err(|reason| corrupt(Space::Items, row_key, reason))?;
        Ok((stamp.hlc, ItemKey { table, primary }))
    }

    fn read_rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Stored)>, Fault> {
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(rows);
        }
        let prefix = disk::table_prefix(table);
        let from = match after {
            Some(after) => {
                Bound::Excluded(disk::row_key(&ItemKey { table, primary: after.clone() }))
            }
            None => Bound::Included(prefix.to_vec()),
        };
        let range = (from, end_of(&prefix));
        self.visit_decoded(range, false, disk::decode_stored, &mut |_, (primary, stored)| {
            rows.push((ItemKey { table, primary }, stored));
            if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(rows)
    }
}
