//! Reads through secondary indexes.

use std::ops::{Bound, ControlFlow};

use pangea_codec::disk::{self, key, meta};
use pangea_core::catalog::TableEntry;
use pangea_core::expr::{IndexRange, SortRange};
use pangea_core::id::TableId;
use pangea_core::index::{Fill, Index, IndexEntry, IndexId};
use pangea_core::item::{Attributes, KeyValue, PrimaryKey};

use super::{StoreView, corrupt, shown};
use crate::storage::{Fault, Space};

/// Entries of one read, before their items are read.
const ENTRIES: usize = 256;

/// Names of entries with their values.
pub(super) type Entries = Vec<(Vec<u8>, Vec<u8>)>;
/// What is between two names.
type Between = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What an index has, against what it shall have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexCheck {
    /// Items of the table that belong in the index.
    pub items: u64,
    /// Those of them that are not in it.
    pub missing: u64,
    /// Entries of no item, or of one that belongs elsewhere.
    pub surplus: u64,
}

impl StoreView {
    /// Holds every entry of an index against the table's items.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn check_index(&self, table: &TableEntry, index: &Index) -> Result<IndexCheck, Fault> {
        let (mut check, mut fault) = (IndexCheck::default(), None);
        self.scan((table.id, &table.settings.policy), None, None, |primary, item, _| {
            let Some(key) = index.key_of(item) else { return ControlFlow::Continue(()) };
            let (table, index, primary) = (table.id, index.id, primary.clone());
            let (name, _) = key::index_entry(&IndexEntry { table, index, key, primary });
            check.items += 1;
            match self.view.get(Space::Meta, &name) {
                Ok(found) => check.missing += u64::from(found.is_none()),
                Err(error) => fault = Some(error),
            }
            if fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let entries = self.count_index(table.id, index.id)?;
        check.surplus = entries.saturating_sub(check.items - check.missing);
        Ok(check)
    }

    pub(super) fn has_index_entries(&self, table: TableId, index: IndexId) -> Result<bool, Fault> {
        let prefix = key::index(table, index);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        let mut found = false;
        let bounds = (Bound::Included(&prefix[..]), Bound::Excluded(&end[..]));
        self.view.scan(Space::Meta, bounds, false, &mut |_, _| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// How many entries an index has.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn count_index(&self, table: TableId, index: IndexId) -> Result<u64, Fault> {
        let prefix = key::index(table, index);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        let bounds = (Bound::Included(&prefix[..]), Bound::Excluded(&end[..]));
        let mut entries = 0;
        self.view.scan(Space::Meta, bounds, false, &mut |_, _| {
            entries += 1;
            ControlFlow::Continue(())
        })?;
        Ok(entries)
    }

    /// Whether every item that belongs in the index is in it.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn is_index_ready(&self, table: TableId, index: IndexId) -> Result<bool, Fault> {
        let name = meta::fill(table, index);
        let Some(value) = self.view.get(Space::Meta, &name)? else { return Ok(false) };
        let fill = meta::parse_fill_state(&value);
        let fill = fill.map_err(|error| Fault::Corrupt {
            place: crate::storage::Place::new(Space::Meta, &name),
            error,
        })?;
        Ok(fill == Fill::Ready)
    }

    /// Visits the items of a range of a partition of an index in the order of their sort keys, or
    /// in reverse, beginning behind `after`.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn query_index(
        &self,
        (table, index): (&TableEntry, &Index),
        range: &IndexRange,
        reverse: bool,
        after: Option<&IndexEntry>,
        mut visit: impl FnMut(&PrimaryKey, &Attributes) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let partition = key::index_partition(table.id, index.id, &range.partition);
        let (mut lower, mut upper) = key::index_range(&partition, &range.exact, &range.sort);
        if let Some(after) = after {
            let at = Bound::Excluded(key::index_entry(after).0);
            *(if reverse { &mut upper } else { &mut lower }) = at;
        }
        self.indexed((table, index), (lower, upper), reverse, |primary, item| {
            if is_in(index, range, item) { visit(primary, item) } else { ControlFlow::Continue(()) }
        })
    }

    /// Visits the items of an index, or of one of its equal segments, in the index's order,
    /// beginning behind `after`.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn scan_index(
        &self,
        (table, index): (&TableEntry, &Index),
        segment: Option<(u32, u32)>,
        after: Option<&IndexEntry>,
        visit: impl FnMut(&PrimaryKey, &Attributes) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let (part, total) = segment.unwrap_or((0, 1));
        let at = |part| key::index_segment(table.id, index.id, part, total);
        let lower = at(part).map_or(Bound::Unbounded, Bound::Included);
        let upper = at(part + 1).map_or(Bound::Unbounded, Bound::Excluded);
        let lower = after.map_or(lower, |after| Bound::Excluded(key::index_entry(after).0));
        self.indexed((table, index), (lower, upper), false, visit)
    }

    /// The items that the entries between two names are of.
    fn indexed(
        &self,
        (table, index): (&TableEntry, &Index),
        (mut lower, mut upper): Between,
        reverse: bool,
        mut visit: impl FnMut(&PrimaryKey, &Attributes) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        loop {
            let (entries, more) = self.index_page((&lower, &upper), reverse)?;
            if let Some((last, _)) = entries.last() {
                *(if reverse { &mut upper } else { &mut lower }) = Bound::Excluded(last.clone());
            }
            for (name, value) in entries {
                let Some((primary, item)) = self.item_of(table, (&name, &value))? else { continue };
                let is_there = index.key_of(&item).is_some_and(|key| {
                    let (table, index, primary) = (table.id, index.id, primary.clone());
                    key::index_entry(&IndexEntry { table, index, key, primary }).0 == name
                });
                if is_there && visit(&primary, &item).is_break() {
                    return Ok(());
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The first entries between two names, and whether there may be more.
    pub(super) fn index_page(
        &self,
        (lower, upper): (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
        reverse: bool,
    ) -> Result<(Entries, bool), Fault> {
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let mut entries = Entries::new();
        self.view.scan(Space::Meta, bounds, reverse, &mut |name, value| {
            entries.push((name.to_vec(), value.to_vec()));
            let go_on = entries.len() < ENTRIES;
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let more = entries.len() >= ENTRIES;
        Ok((entries, more))
    }

    fn item_of(
        &self,
        table: &TableEntry,
        (name, value): (&[u8], &[u8]),
    ) -> Result<Option<(PrimaryKey, Attributes)>, Fault> {
        let Some(row_key) = key::indexed_row(name, value) else { return Ok(None) };
        let Some(row) = self.view.get(Space::Items, &row_key)? else { return Ok(None) };
        let (primary, stored) = disk::decode_row(&row).map_err(corrupt(&row_key))?;
        self.rest_on(&stored.seen);
        Ok(shown(&table.settings.policy, stored).map(|item| (primary, item)))
    }
}

/// Whether an item whose entry is within the bounds of a range is in it.
fn is_in(index: &Index, range: &IndexRange, item: &Attributes) -> bool {
    let Some(key) = index.key_of(item) else { return false };
    let next = key.sort.get(range.exact.len());
    let matches = |sort: &KeyValue| range.sort.matches(sort);
    key.partition == range.partition
        && key.sort.starts_with(&range.exact)
        && next.map_or(range.sort == SortRange::All, matches)
}
