//! Reads of the journal.

use std::ops::{Bound, ControlFlow};

use pangea_codec::disk::{journal, key, meta};
use pangea_core::id::TableId;
use pangea_core::journal::Record;

use super::super::{Fault, Place, Space};
use super::StoreView;

impl StoreView {
    /// Visits the records of a table whose sequences are at least `from` and below `until`, in
    /// order.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn journal(
        &self,
        table: TableId,
        (from, until): (u64, u64),
        mut visit: impl FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.records(table, (from, until), false, &mut visit)
    }

    /// The same, the newest first.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn journal_back(
        &self,
        table: TableId,
        (from, until): (u64, u64),
        mut visit: impl FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.records(table, (from, until), true, &mut visit)
    }

    fn records(
        &self,
        table: TableId,
        (from, until): (u64, u64),
        reverse: bool,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let (lower, upper) = (meta::record(table, from), meta::record(table, until));
        if lower >= upper {
            return Ok(());
        }
        let bounds = (Bound::Included(&lower[..]), Bound::Excluded(&upper[..]));
        let mut damaged = None;
        self.view.scan(Space::Meta, bounds, reverse, &mut |name, value| match journal::decode(
            name, value,
        ) {
            Ok(record) => visit(record),
            Err(error) => {
                let place = Place::new(Space::Meta, name);
                damaged = Some(Fault::Corrupt { place, error });
                ControlFlow::Break(())
            }
        })?;
        damaged.map_or(Ok(()), Err)
    }

    /// The sequence of the newest record that the region ever made, of whatever table.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn journaled(&self) -> Result<u64, Fault> {
        let newest = self.view.get(Space::Meta, meta::JOURNALED)?;
        let newest = newest.map(|newest| meta::parse_commits(&newest)).transpose();
        let newest = newest.map_err(|error| Fault::Corrupt {
            place: Place::new(Space::Meta, meta::JOURNALED),
            error,
        })?;
        Ok(newest.unwrap_or_default())
    }

    pub(super) fn first_sequence(&self, table: TableId) -> Result<Option<u64>, Fault> {
        let prefix = meta::records(table);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        let bounds = (Bound::Included(&prefix[..]), Bound::Excluded(&end[..]));
        let mut first = None;
        self.view.scan(Space::Meta, bounds, false, &mut |name, _| {
            first = meta::sequence_of(name);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }
}

#[cfg(test)]
mod tests;
