//! Reads of the index of tombstones: items that are not there in any version.

use std::ops::{Bound, ControlFlow};

use pangea_codec::disk::{self, key, meta};
use pangea_core::id::TableId;
use pangea_core::item::ItemKey;
use pangea_core::merge::VersionVector;
use pangea_core::replica::Snapshot as _;
use pangea_core::time::Stamp;

use super::super::store::known;
use super::super::{Fault, Space, Visit};
use super::{GroupView, StoreView, corrupt};

impl StoreView {
    /// How many tombstones a table has, counting no further than `limit`.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn count_tombstones(&self, table: TableId, limit: usize) -> Result<usize, Fault> {
        let mut count = 0;
        self.tombstones_behind(table, None, &mut |_, _| {
            count += 1;
            if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(count)
    }

    /// What tombstones of a table that are not there any more had been and had seen.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn collected(&self, table: TableId) -> Result<VersionVector, Fault> {
        let name = meta::collected(table);
        let seen = self.view.get(Space::Meta, &name)?;
        let seen = seen.map(|seen| known(&name, meta::parse_vector(&seen))).transpose()?;
        Ok(seen.unwrap_or_default())
    }

    fn tombstones_behind(
        &self,
        table: TableId,
        after: Option<Stamp>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        let prefix = key::tombstones(table);
        let end = key::after_prefix(&prefix);
        let lower = match after {
            Some(after) => key::after_prefix(&key::tombstones_of(table, after)),
            None => Some(prefix),
        };
        let lower = lower.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.view.scan(Space::Meta, (lower, upper), false, visit)
    }

    pub(super) fn tombstone_items(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Result<Vec<(Stamp, ItemKey)>, Fault> {
        let mut entries = Vec::new();
        self.tombstones_behind(table, after, &mut |name, _| {
            entries.extend(key::parse_tombstone(name));
            if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let mut items = Vec::with_capacity(entries.len());
        for (stamp, row_key) in entries {
            let Some(row) = self.view.get(Space::Items, &row_key)? else {
                let text = format!("the index of tombstones names a row that is not: {stamp}");
                return Err(Fault::Read(text));
            };
            let key = disk::item_key(&row_key, &row).map_err(corrupt(&row_key))?;
            items.push((stamp, key));
        }
        Ok(items)
    }
}

impl GroupView {
    pub(super) fn grouped_tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        let place = |stamp: &Stamp| (stamp.origin, stamp.hlc);
        let behind = |stamp: &Stamp| after.is_none_or(|after| place(stamp) > place(&after));
        let changed = self
            .group
            .tombstones
            .iter()
            .filter(|((stamp, key), _)| key.table == table && behind(stamp));
        let removed = changed.clone().filter(|(_, put)| !**put).count();
        let mut entries = self.view.tombstones(table, after, limit + removed);
        for (entry, put) in changed {
            entries.retain(|known| known != entry);
            entries.extend(put.then(|| entry.clone()));
        }
        entries.sort_by(|(one, a), (other, b)| (place(one), a).cmp(&(place(other), b)));
        entries.truncate(limit);
        entries
    }
}
