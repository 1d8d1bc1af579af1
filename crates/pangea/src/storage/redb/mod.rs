//! The default engine: redb, a copy-on-write B-tree in one file.
//!
//! State: the open database and the view that readers share until the next commit. redb refuses
//! everything, reads included, after an IO error; so after one the engine opens the same file again
//! through an [`Overlay`], read-only, at the last header that was known to be on disk.
//!
//! redb compares page checksums only when it repairs a file, so [`verify`] does it for the others.
//!
//! A commit is one write transaction with `Durability::Immediate`: redb's one-phase commit, one
//! sync over checksummed pages, falling back to the commit before if they do not match.

mod medium;
mod verify;
mod view;

pub(super) use medium::FILE_NAME;
pub use medium::Medium;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase as _, StorageBackend,
    StorageError, TableDefinition, TableError,
};

use self::medium::{Seam, Shadow};
use self::view::RedbView;
use super::directory::{Acknowledged, REMEDY};
use super::overlay::Overlay;
use super::{
    Capabilities, Change, Condition, Directory, Engine, Fault, Outcome, Place, Space, View,
    assert_well_formed, first_refused,
};

/// How redb is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for pages, bytes.
    pub cache_bytes: usize,
    /// Saves the allocator's state with every commit, so that opening after a crash need not walk
    /// the whole file, for a second sync and more pages a commit.
    ///
    /// Off by default, by `bench_storage` on a busy 2-core machine: commits fall from 14 500/s to
    /// 4 100/s, while the walk costs 0.25 s for 80 MB, once, after a crash only.
    pub quick_repair: bool,
    /// Room on the disk below which commits are refused, bytes: what redb needs to fail cleanly
    /// and an operator to log in.
    pub reserve_bytes: u64,
    /// Compares every page with its checksum before a file that was closed in order is believed,
    /// which reads the whole file.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (cache_bytes, reserve_bytes) = (256 << 20, 16 << 20);
        Self { cache_bytes, quick_repair: false, reserve_bytes, verify: true }
    }
}

/// Pages that one row may write, in the worst common case: its leaf and three branches above it.
const BYTES_PER_CHANGE: u64 = 4 * 4096;

/// See the module.
pub struct Redb {
    medium: Arc<dyn Medium>,
    options: Options,
    /// What people call the file.
    file: Arc<str>,
    /// Held by whoever commits or reopens.
    committing: Mutex<Acknowledged>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// `None` if not even reading was possible.
    database: Option<Arc<Database>>,
    shadow: Option<Arc<Shadow>>,
    /// What the file is read on with, once it is.
    header: Header,
    /// Why commits are refused, if they are.
    refusal: Option<String>,
    /// What readers share until the next commit.
    view: Option<Arc<RedbView>>,
    /// A view of this database has seen redb fail.
    failed: Arc<AtomicBool>,
}

impl Redb {
    /// Opens the database of a directory, making it if it is not there.
    ///
    /// # Errors
    ///
    /// As [`Redb::open`]; [`Fault::Read`] if another process has it.
    pub fn open_directory(path: &Path, options: Options) -> Result<Self, Fault> {
        Self::open(Arc::new(Directory::take(path)?), options)
    }

    /// Opens a database wherever it is; for reading only, if it cannot be written.
    ///
    /// # Errors
    ///
    /// [`Fault::Read`] if it can neither be written nor read.
    pub fn open(medium: Arc<dyn Medium>, options: Options) -> Result<Self, Fault> {
        if options.verify {
            verify::verify(&*medium, options)?;
        }
        let file: Arc<str> = medium.name().into();
        let state = match open_writable(&*medium, options) {
            Ok(state) => state,
            Err((error, header)) if takes_no_writes(&error) => {
                tracing::error!(%error, "the data directory takes no writes: serving reads only");
                let database = open_overlay(&*medium, at_start(&header), options);
                let database = database.map_err(|unread| {
                    Fault::Read(format!("{file}: {error}; and not readable: {unread}"))
                })?;
                let refusal = Some(error.to_string());
                let database = Some(Arc::new(database));
                State { database, shadow: None, header, refusal, ..State::default() }
            }
            Err((error, _)) => return Err(open_fault(&file, error)),
        };
        let database = state.database.as_ref().expect("opened just above");
        let found = commits(database).map_err(|error| open_fault(&file, error))?;
        let acknowledged = Acknowledged::check(medium.note(), found, &file)?;
        let (committing, state) = (Mutex::new(acknowledged), RwLock::new(state));
        Ok(Self { medium, options, file, committing, state })
    }

    fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no holder panics")
    }

    fn committing(&self) -> MutexGuard<'_, Acknowledged> {
        self.committing.lock().expect("no holder panics")
    }

    /// Refuses before redb meets the end of the disk, which would be the end of its writing.
    fn check_room(&self, changes: &[Change]) -> Result<(), Fault> {
        let bytes: usize = changes.iter().map(|change| change.2.as_ref().map_or(0, Vec::len)).sum();
        let work = changes.len() as u64 * BYTES_PER_CHANGE + 2 * bytes as u64;
        let reserve = self.options.reserve_bytes.saturating_add(work);
        match self.medium.free_bytes() {
            Ok(available) if available < reserve => Err(Fault::DiskFull { available, reserve }),
            // A place that does not tell its room is not thereby full.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The first condition that does not hold; nobody else commits meanwhile.
    fn refused(
        &self,
        database: &Database,
        conditions: &[Condition],
    ) -> Result<Option<Place>, Fault> {
        if conditions.is_empty() {
            return Ok(None);
        }
        let failed = Arc::clone(&self.state.read().expect("no holder panics").failed);
        let transaction = database.begin_read();
        let transaction = transaction.map_err(|error| Fault::Read(error.to_string()))?;
        let view = RedbView::new(transaction, failed, Arc::clone(&self.file));
        first_refused(conditions, |place| view.get(place.space, &place.key))
    }

    /// Closes the database for good and reads on from the last header known to be on disk.
    fn poison(&self, cause: String) {
        let mut state = self.state();
        if let Some(shadow) = state.shadow.take() {
            shadow.fuse();
            state.header = shadow.synced_header();
        }
        state.view = None;
        state.database = None;
        state.failed = Arc::default();
        self.read_on(&mut state);
        if state.refusal.is_none() {
            state.refusal = Some(cause);
        }
    }

    /// Opens the file for reading, if it can be read now.
    fn read_on(&self, state: &mut State) {
        match open_overlay(&*self.medium, at_start(&state.header), self.options) {
            Ok(database) => state.database = Some(Arc::new(database)),
            Err(error) => tracing::error!(%error, "the data directory cannot even be read"),
        }
    }

    /// Reads on after a view has seen redb fail: a failed read stops redb as a failed write does.
    fn reopen_if_failed(&self) {
        let _committing = self.committing();
        let failed = Arc::clone(&self.state.read().expect("no holder panics").failed);
        if failed.load(Ordering::SeqCst) {
            tracing::error!("a read failed: serving reads only");
            self.poison("a read failed".to_owned());
        }
    }
}

impl Engine for Redb {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        let (view, failed) = {
            let state = self.state.read().expect("no holder panics");
            (state.view.clone(), state.failed.load(Ordering::SeqCst))
        };
        match view {
            Some(view) if !failed => return Ok(view),
            _ if failed => self.reopen_if_failed(),
            _ => {}
        }
        // The transaction begins under the lock: a commit that ends meanwhile clears it after.
        let mut state = self.state();
        if state.view.is_none() {
            if state.database.is_none() {
                self.read_on(&mut state);
            }
            let Some(database) = &state.database else {
                return Err(Fault::Read(state.refusal.clone().unwrap_or_default()));
            };
            let transaction = database.begin_read();
            let transaction = transaction.map_err(|error| Fault::Read(error.to_string()))?;
            let (failed, file) = (Arc::clone(&state.failed), Arc::clone(&self.file));
            let view = RedbView::new(transaction, failed, file);
            state.view = Some(Arc::new(view));
        }
        let view = state.view.as_ref().expect("made above");
        Ok(Arc::clone(view) as Arc<dyn View>)
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        assert_well_formed(conditions, changes, self.capabilities());
        let mut acknowledged = self.committing();
        let database = {
            let state = self.state.read().expect("no holder panics");
            match (&state.refusal, &state.database) {
                (Some(why), _) => return Err(Fault::ReadOnly(why.clone())),
                (None, database) => database.clone().expect("writable while nothing is refused"),
            }
        };
        self.check_room(changes)?;
        if let Some(place) = self.refused(&database, conditions)? {
            return Ok(Outcome::Refused(place));
        }
        let applied = apply(&database, changes, acknowledged.next(), self.options);
        drop(database);
        match applied {
            Ok(()) => {
                acknowledged.advance(|note| self.medium.set_note(note));
                let before = self.state().view.take();
                drop(before);
                Ok(Outcome::Committed)
            }
            Err(error) => {
                tracing::error!(%error, "a commit failed: serving reads only");
                self.poison(error.to_string());
                Err(Fault::Write(error.to_string()))
            }
        }
    }

    fn health(&self) -> Result<(), Fault> {
        let refusal = self.state.read().expect("no holder panics").refusal.clone();
        refusal.map_or_else(|| self.check_room(&[]), |why| Err(Fault::ReadOnly(why)))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { whole_node_batches: true, ordered_feed: true }
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").field("medium", &self.medium).finish_non_exhaustive()
    }
}

fn table_of(space: Space) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(match space {
        Space::Items => "items",
        Space::Changelog => "changelog",
        Space::Meta => "meta",
    })
}

/// The number of the newest commit.
const COMMITS: TableDefinition<'static, (), u64> = TableDefinition::new("commits");

fn commits(database: &Database) -> Result<u64, DatabaseError> {
    let storage = |error: redb::Error| match error {
        redb::Error::Corrupted(why) => StorageError::Corrupted(why),
        redb::Error::Io(error) => StorageError::Io(error),
        other => StorageError::Corrupted(other.to_string()),
    };
    let transaction = database.begin_read().map_err(|error| storage(error.into()))?;
    let table = match transaction.open_table(COMMITS) {
        Ok(table) => table,
        // Nothing was committed yet, or by a version that did not count.
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        Err(error) => return Err(storage(error.into()).into()),
    };
    let count = table.get(())?;
    Ok(count.map_or(0, |count| count.value()))
}

/// Applies a commit as the one of `number`.
fn apply(
    database: &Database,
    changes: &[Change],
    number: u64,
    options: Options,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(options.quick_repair);
    for changes in changes.chunk_by(|a, b| a.0 == b.0) {
        let mut rows = transaction.open_table(table_of(changes[0].0))?;
        for (_, key, value) in changes {
            match value {
                Some(value) => drop(rows.insert(key.as_slice(), value.as_slice())?),
                None => drop(rows.remove(key.as_slice())?),
            }
        }
    }
    transaction.open_table(COMMITS)?.insert((), number)?;
    transaction.commit()?;
    Ok(())
}

/// The file's first bytes, where they are known.
type Header = Option<Box<[u8; medium::HEADER_BYTES]>>;

fn at_start(header: &Header) -> Option<(u64, &[u8])> {
    header.as_ref().map(|header| (0, &header[..]))
}

fn open_writable(medium: &dyn Medium, options: Options) -> Result<State, (DatabaseError, Header)> {
    let backend = medium.open().map_err(|error| (error.into(), None))?;
    forget_unfinished(medium, &*backend).map_err(|error| (error.into(), None))?;
    let (seam, shadow) = Seam::new(backend).map_err(|error| (error.into(), None))?;
    match builder(options).create_with_backend(seam) {
        Ok(database) => {
            let (database, shadow) = (Some(Arc::new(database)), Some(shadow));
            Ok(State { database, shadow, ..State::default() })
        }
        Err(error) => Err((error, shadow.synced_header())),
    }
}

/// redb writes a file's first bytes last: without them it was never finished, and where nothing was
/// acknowledged either it is begun anew.
fn forget_unfinished(medium: &dyn Medium, file: &dyn StorageBackend) -> io::Result<()> {
    let mut magic = [0; 9];
    let len = file.len()?;
    if len >= magic.len() as u64 {
        file.read(0, &mut magic)?;
    }
    if len > 0 && magic == [0; 9] && medium.note()?.is_none() {
        file.set_len(0)?;
    }
    Ok(())
}

/// Opens the file without ever writing it, with other bytes at a place if they are given.
fn open_overlay(
    medium: &dyn Medium,
    instead: Option<(u64, &[u8])>,
    options: Options,
) -> Result<Database, DatabaseError> {
    let base = medium.open_read_only()?;
    if base.len()? == 0 {
        // An overlay would take it for a new database and serve nothing as if it were all.
        return Err(io::Error::new(io::ErrorKind::NotFound, "the file is empty").into());
    }
    let overlay = Overlay::new(base)?;
    if let Some((offset, bytes)) = instead {
        overlay.write(offset, bytes)?;
    }
    builder(options).create_with_backend(overlay)
}

fn builder(options: Options) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    builder.set_repair_callback(|session| {
        tracing::info!(progress = session.progress(), "repairing after a crash");
    });
    builder
}

/// What a failed read of the file means.
fn read_fault(file: &str, error: &StorageError) -> Fault {
    match error {
        StorageError::Corrupted(why) => Fault::Damaged { file: file.to_owned(), why: why.clone() },
        other => Fault::Read(format!("{file}: {other}")),
    }
}

fn open_fault(file: &str, error: DatabaseError) -> Fault {
    match error {
        DatabaseError::Storage(StorageError::Corrupted(why)) => damaged(file, &why),
        other => Fault::Read(format!("{file}: {other}")),
    }
}

/// A file that is not believed.
fn damaged(file: &str, why: &str) -> Fault {
    Fault::Damaged { file: file.to_owned(), why: format!("{why}; {REMEDY}") }
}

/// Whether an error is one of a disk that can be read but not written.
fn takes_no_writes(error: &DatabaseError) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => matches!(
            error.kind(),
            ReadOnlyFilesystem | StorageFull | QuotaExceeded | PermissionDenied
        ),
        _ => false,
    }
}
