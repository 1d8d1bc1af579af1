//! The default engine: redb.

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, StorageBackend,
    TableDefinition, TableError,
};

use super::overlay::Overlay;
use super::{Capabilities, Change, Engine, Fault, Space, View, Visit};

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const ITEMS: Table = TableDefinition::new("items");
const CHANGELOG: Table = TableDefinition::new("changelog");
const META: Table = TableDefinition::new("meta");

/// Bytes of pages kept in memory.
const CACHE_BYTES: usize = 256 * 1024 * 1024;
/// Below this much free room commits are refused, so that a full disk is met here, where nothing
/// has been written yet, and not inside redb. One group is rarely a tenth of it.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// redb on one file, or on a backend of a test's.
#[derive(Debug)]
pub struct RedbEngine {
    path: Option<PathBuf>,
    state: RwLock<State>,
}

#[derive(Clone, Debug)]
struct State {
    database: Arc<Database>,
    read_only: Option<String>,
}

impl RedbEngine {
    /// Opens or creates the file at `path`; a file that cannot be written is served read-only.
    ///
    /// # Errors
    /// [`Fault::Read`] if it is no database, or held by another process.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let state = match Builder::new().set_cache_size(CACHE_BYTES).create(path) {
            Ok(database) => State { database: Arc::new(database), read_only: None },
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                let text = format!("{} is in use by another process", path.display());
                return Err(Fault::Read(text));
            }
            Err(error) if path.exists() => read_only(path, &error.to_string())?,
            Err(error) => return Err(Fault::Read(format!("{}: {error}", path.display()))),
        };
        Ok(Self { path: Some(path.to_owned()), state: RwLock::new(state) })
    }

    /// On a backend; after a failed commit nothing can be read any more.
    ///
    /// # Errors
    /// [`Fault::Read`] if redb cannot recover what the backend holds.
    pub fn with_backend(backend: impl StorageBackend) -> Result<Self, Fault> {
        let database = Builder::new().create_with_backend(backend);
        let database = Arc::new(database.map_err(|error| Fault::Read(error.to_string()))?);
        Ok(Self { path: None, state: RwLock::new(State { database, read_only: None }) })
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is on the disk is unknown now: no more writes, and reads through an overlay.
    fn fail(&self, why: &str) -> Fault {
        let reopened = self.path.as_deref().map(|path| read_only(path, why));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match reopened {
            Some(Ok(reopened)) => *state = reopened,
            Some(Err(fault)) => {
                tracing::error!(%fault, "the failed store cannot be reopened for reading");
                state.read_only = Some(why.to_string());
            }
            None => state.read_only = Some(why.to_string()),
        }
        Fault::Write(why.to_string())
    }

    fn room(&self) -> Result<(), Fault> {
        let Some(directory) = self.path.as_deref().and_then(Path::parent) else { return Ok(()) };
        let Ok(stat) = rustix::fs::statvfs(directory) else { return Ok(()) };
        let available = stat.f_bavail.saturating_mul(stat.f_frsize);
        if available < RESERVE_BYTES {
            return Err(Fault::DiskFull { available, reserve: RESERVE_BYTES });
        }
        Ok(())
    }
}

fn read_only(path: &Path, why: &str) -> Result<State, Fault> {
    let failed = |error: &dyn std::fmt::Display| {
        Fault::Read(format!("{}: {why}; and not readable: {error}", path.display()))
    };
    let overlay = Overlay::open(path).map_err(|error| failed(&error))?;
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(overlay);
    let database = Arc::new(database.map_err(|error| failed(&error))?);
    Ok(State { database, read_only: Some(why.to_string()) })
}

fn table(space: Space) -> Table {
    match space {
        Space::Items => ITEMS,
        Space::Changelog => CHANGELOG,
        Space::Meta => META,
    }
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    for space in Space::ALL {
        let mut rows = transaction.open_table(table(space))?;
        for (_, key, value) in changes.iter().filter(|change| change.0 == space) {
            match value {
                Some(value) => rows.insert(key.as_slice(), value.as_slice())?,
                None => rows.remove(key.as_slice())?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

impl Engine for RedbEngine {
    fn view(&self) -> Result<Box<dyn View>, Fault> {
        let transaction = self.state().database.begin_read();
        let transaction = transaction.map_err(|error| Fault::Read(error.to_string()))?;
        Ok(Box::new(RedbView { transaction }))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), Fault> {
        self.health()?;
        let database = self.state().database;
        write(&database, changes).map_err(|error| self.fail(&error.to_string()))
    }

    fn health(&self) -> Result<(), Fault> {
        if let Some(why) = self.state().read_only {
            return Err(Fault::ReadOnly(why));
        }
        self.room()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { whole_node_batches: true, ordered_feed: true }
    }
}

struct RedbView {
    transaction: ReadTransaction,
}

impl RedbView {
    fn open(
        &self,
        space: Space,
    ) -> Result<Option<redb::ReadOnlyTable<&'static [u8], &'static [u8]>>, Fault> {
        match self.transaction.open_table(table(space)) {
            Ok(table) => Ok(Some(table)),
            // Nothing has been committed yet.
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(read_fault(&error)),
        }
    }
}

fn read_fault(error: &dyn std::fmt::Display) -> Fault {
    Fault::Read(error.to_string())
}

impl View for RedbView {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let Some(rows) = self.open(space)? else { return Ok(None) };
        let found = rows.get(key).map_err(|error| read_fault(&error))?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    fn scan(
        &self,
        space: Space,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        if is_empty(bounds) {
            return Ok(());
        }
        let Some(rows) = self.open(space)? else { return Ok(()) };
        let mut range = rows.range::<&[u8]>(bounds).map_err(|error| read_fault(&error))?;
        while let Some(entry) = if reverse { range.next_back() } else { range.next() } {
            let (key, value) = entry.map_err(|error| read_fault(&error))?;
            if let ControlFlow::Break(()) = visit(key.value(), value.value()) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Whether no key can be within the bounds; engines may not like such ranges.
fn is_empty((lower, upper): (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match (lower, upper) {
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Excluded(upper))
        | (Bound::Excluded(lower), Bound::Included(upper)) => lower >= upper,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
