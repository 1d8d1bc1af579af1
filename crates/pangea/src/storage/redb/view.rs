//! A view: one read transaction, its tables opened when first asked for.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, StorageError, TableError,
};

use super::commits::table_of;
use super::opening::read_fault;
use crate::storage::{Bounds, Fault, See, Space, View, Visit, is_empty};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(super) struct RedbView {
    transaction: ReadTransaction,
    tables: [OnceLock<Option<Rows>>; 3],
    /// Tells the engine that redb has seen a failure and refuses everything from now on.
    failed: Arc<AtomicBool>,
    /// What people call the file.
    file: Arc<str>,
}

impl RedbView {
    pub(super) fn new(
        transaction: ReadTransaction,
        failed: Arc<AtomicBool>,
        file: Arc<str>,
    ) -> Self {
        Self { transaction, tables: [const { OnceLock::new() }; 3], failed, file }
    }

    /// What the database has durably.
    pub(super) fn begin(
        database: &Database,
        failed: &Arc<AtomicBool>,
        file: &Arc<str>,
    ) -> Result<Arc<dyn View>, redb::Error> {
        let transaction = database.begin_read()?;
        Ok(Arc::new(Self::new(transaction, Arc::clone(failed), Arc::clone(file))))
    }

    /// The rows of a space; `None` if nothing was ever written there.
    fn table(&self, space: Space) -> Result<Option<&Rows>, Fault> {
        let slot = &self.tables[space as usize];
        if let Some(table) = slot.get() {
            return Ok(table.as_ref());
        }
        let table = match self.transaction.open_table(table_of(space)) {
            Ok(table) => Some(table),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(TableError::Storage(error)) => return Err(self.fault(&error)),
            Err(error) => return Err(Fault::Read(format!("{}: {error}", self.file))),
        };
        Ok(slot.get_or_init(|| table).as_ref())
    }

    /// redb refuses all that follows on a failed read; the engine opens the file anew for the next
    /// view, so asking again may succeed.
    fn fault(&self, error: &StorageError) -> Fault {
        self.failed.store(true, Ordering::SeqCst);
        read_fault(&self.file, error)
    }
}

impl fmt::Debug for RedbView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbView").finish_non_exhaustive()
    }
}

impl View for RedbView {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut found = None;
        self.show(space, key, &mut |value| found = Some(value.to_vec()))?;
        Ok(found)
    }

    fn show(&self, space: Space, key: &[u8], see: &mut See<'_>) -> Result<(), Fault> {
        let Some(table) = self.table(space)? else { return Ok(()) };
        if let Some(row) = table.get(key).map_err(|error| self.fault(&error))? {
            see(row.value());
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
        let Some(table) = self.table(space)? else { return Ok(()) };
        if is_empty(bounds) {
            return Ok(());
        }
        let rows = table.range::<&[u8]>(bounds);
        let mut rows = rows.map_err(|error| self.fault(&error))?;
        while let Some(row) = if reverse { rows.next_back() } else { rows.next() } {
            let (key, value) = row.map_err(|error| self.fault(&error))?;
            if visit(key.value(), value.value()) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
