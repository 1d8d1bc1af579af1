//! A view: a snapshot, and the database that it is of.

use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use rocksdb::{DB, ReadOptions, Snapshot};
use self_cell::self_cell;

use super::{family, fault};
use crate::storage::{Bounds, Fault, See, Space, View, Visit, is_empty};

self_cell!(
    struct Pinned {
        owner: Arc<DB>,

        #[covariant]
        dependent: Snapshot,
    }
);

pub(super) struct RocksView(Pinned);

impl RocksView {
    pub(super) fn new(database: Arc<DB>) -> Self {
        Self(Pinned::new(database, |database| database.snapshot()))
    }

    fn fault(&self, error: &rocksdb::Error) -> Fault {
        fault(self.0.borrow_owner().path(), error)
    }
}

impl fmt::Debug for RocksView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksView").finish_non_exhaustive()
    }
}

fn how() -> ReadOptions {
    let mut how = ReadOptions::default();
    how.set_verify_checksums(true);
    how
}

/// The least key above `key`.
fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

impl View for RocksView {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut found = None;
        self.show(space, key, &mut |value| found = Some(value.to_vec()))?;
        Ok(found)
    }

    fn show(&self, space: Space, key: &[u8], see: &mut See<'_>) -> Result<(), Fault> {
        let family = family(self.0.borrow_owner(), space);
        let found = self.0.borrow_dependent().get_pinned_cf_opt(family, key, how());
        if let Some(value) = found.map_err(|error| self.fault(&error))? {
            see(&value);
        }
        Ok(())
    }

    fn scan(
        &self,
        space: Space,
        bounds: Bounds<'_>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        if is_empty(bounds) {
            return Ok(());
        }
        let mut how = how();
        match bounds.0 {
            Bound::Included(key) => how.set_iterate_lower_bound(key),
            Bound::Excluded(key) => how.set_iterate_lower_bound(after(key)),
            Bound::Unbounded => {}
        }
        match bounds.1 {
            Bound::Included(key) => how.set_iterate_upper_bound(after(key)),
            Bound::Excluded(key) => how.set_iterate_upper_bound(key),
            Bound::Unbounded => {}
        }
        let family = family(self.0.borrow_owner(), space);
        let mut rows = self.0.borrow_dependent().raw_iterator_cf_opt(family, how);
        if reverse {
            rows.seek_to_last();
        } else {
            rows.seek_to_first();
        }
        while let Some((key, value)) = rows.item() {
            if visit(key, value) == ControlFlow::Break(()) {
                return Ok(());
            }
            if reverse {
                rows.prev();
            } else {
                rows.next();
            }
        }
        rows.status().map_err(|error| self.fault(&error))
    }
}
