//! The default engine: redb, a copy-on-write B-tree in one file.
//!
//! State: the open database and the view that readers share until the next commit. redb refuses
//! everything, reads included, after an IO error; so after one the engine opens the same file again
//! through an [overlay](super::Overlay), read-only, at the last header that was known to be on
//! disk.
//!
//! redb compares page checksums only when it repairs a file, so [`verify`] does it for the others.
//!
//! A commit is durable in the write-ahead log ([`super::wal`]) and visible in a table in memory
//! ([`super::memtable`]), over the database. A [`checkpoint`] moves both into it, in one write
//! transaction with `Durability::Immediate`: redb's one-phase commit, one sync over checksummed
//! pages, falling back to the one before if they do not match.

mod ahead;
mod checkpoint;
mod commits;
mod medium;
mod opening;
mod verify;
mod view;

pub(super) use medium::FILE_NAME;
#[cfg(feature = "rocksdb")]
pub(super) use medium::LOG_NAMES;
pub use medium::Medium;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use redb::Database;

use self::ahead::Ahead;
use self::checkpoint::Committing;
use self::commits::Marks;
use self::medium::Shadow;
use self::opening::{Header, Opened};
use self::view::RedbView;
use super::layers::{Layers, Stack};
use super::{
    CLOSED, Capabilities, Change, Condition, Directory, Engine, Fault, Outcome, Place, View,
    assert_well_formed, first_refused,
};

/// How redb is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for pages, bytes.
    pub cache_bytes: usize,
    /// Saves the allocator's state with every checkpoint, so that opening after a crash need not
    /// walk the whole file, for a second sync and more pages a checkpoint.
    pub quick_repair: bool,
    /// Room on the disk below which commits are refused, bytes: what redb needs to fail cleanly
    /// and an operator to log in.
    pub reserve_bytes: u64,
    /// Compares every page with its checksum before a file that was closed in order is believed,
    /// which reads the whole file.
    pub verify: bool,
    /// Bytes of the write-ahead log after which there is a checkpoint. The rows of two such logs
    /// are in memory.
    pub log_bytes: u64,
    /// Bytes of a commit above which it goes into the database at once, and not into the log.
    pub long_bytes: u64,
    /// Whether a checkpoint is made by a thread of its own, beside the commits that follow.
    /// Without, that is done as late as can be, and the order of calls is the same in every run.
    pub checkpoint_in_background: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (cache_bytes, reserve_bytes) = (256 << 20, 16 << 20);
        Self {
            cache_bytes,
            quick_repair: false,
            reserve_bytes,
            verify: true,
            log_bytes: 4 << 20,
            long_bytes: 8 << 20,
            checkpoint_in_background: true,
        }
    }
}

impl Options {
    /// What reads pages ahead of checkpoints, unless the order of calls shall be the same in every
    /// run.
    fn ahead(&self) -> Option<Arc<Ahead>> {
        self.checkpoint_in_background.then(Arc::default)
    }
}

/// Pages that one row may write, in the worst common case: its leaf and three branches above it.
const BYTES_PER_CHANGE: u64 = 4 * 4096;

/// See the module.
pub struct Redb {
    medium: Arc<dyn Medium>,
    options: Options,
    /// Held by whoever commits or reopens.
    committing: Mutex<Committing>,
    ahead: Option<Arc<Ahead>>,
    /// Taken after the former.
    state: Arc<RwLock<State>>,
}

struct State {
    /// `None` if not even reading was possible.
    database: Option<Arc<Database>>,
    shadow: Option<Arc<Shadow>>,
    /// What the file is read on with, once it is.
    header: Header,
    /// Why commits are refused, if they are.
    refusal: Option<String>,
    stack: Stack,
    /// A view of this database has seen redb fail.
    failed: Arc<AtomicBool>,
    /// What people call the file.
    file: Arc<str>,
}

impl State {
    /// What the database has now.
    fn base(&self, database: &Database) -> Result<Arc<dyn View>, redb::Error> {
        RedbView::begin(database, &self.failed, &self.file)
    }
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
        let (opened, refusal) = match opening::open_writable(&*medium, options) {
            Ok(opened) => (opened, None),
            Err((failure, header)) if failure.takes_no_writes() => {
                let error = failure.into_fault(&file);
                tracing::error!(%error, "the data directory takes no writes: serving reads only");
                let opened = opening::open_for_reading(&*medium, &header, options);
                let opened = opened.map_err(|unread| {
                    let unread = unread.into_fault(&file);
                    Fault::Read(format!("{file}: {error}; and not readable: {unread}"))
                })?;
                (Opened { header, ..opened }, Some(error.to_string()))
            }
            Err((failure, _)) => return Err(failure.into_fault(&file)),
        };
        let Opened { database, table, shadow, header, acknowledged, log } = opened;
        let failed = Arc::default();
        let base = RedbView::begin(&database, &failed, &file);
        let base = base.map_err(|error| Fault::Read(format!("{file}: {error}")))?;
        let stack = Stack::new(table, base, acknowledged.number());
        let database = Some(Arc::new(database));
        let state = State { database, shadow, header, refusal, stack, failed, file };
        let committing = Committing { acknowledged, log, owed: 0, under_way: None };
        let (committing, state) = (Mutex::new(committing), Arc::new(RwLock::new(state)));
        Ok(Self { medium, options, committing, ahead: options.ahead(), state })
    }

    fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no holder panics")
    }

    fn committing(&self) -> MutexGuard<'_, Committing> {
        self.committing.lock().expect("no holder panics")
    }

    /// Bytes that may still be written; a place that does not tell its room is not thereby full.
    fn available(&self) -> u64 {
        self.medium.free_bytes().unwrap_or(u64::MAX)
    }

    /// Refuses before redb meets the end of the disk, which would be the end of its writing.
    fn check_room(&self, work: u64) -> Result<(), Fault> {
        let (available, reserve) = (self.available(), self.options.reserve_bytes + work);
        if available < reserve {
            return Err(Fault::DiskFull { available, reserve });
        }
        Ok(())
    }

    /// What readers see now.
    fn current(&self) -> Result<Arc<Layers>, Fault> {
        let mut state = self.state();
        if let Some(view) = state.stack.current() {
            return Ok(view);
        }
        self.read_on(&mut state);
        let view = state.stack.current();
        view.ok_or_else(|| Fault::Read(state.refusal.clone().unwrap_or_default()))
    }

    /// Makes a commit durable, and visible.
    fn write(
        &self,
        committing: &mut Committing,
        database: &Arc<Database>,
        changes: &[Change],
        through: bool,
    ) -> Result<(), Unwritten> {
        let number = committing.acknowledged.next();
        match &mut committing.log {
            Some(log) if !through => {
                let record = log.append(number, changes).map_err(Unwritten::Log)?;
                let fresh = Arc::clone(self.state.read().expect("no holder panics").stack.fresh());
                fresh.add(&record).expect("made of rows");
            }
            _ => self.write_through(committing, database, changes).map_err(Unwritten::Database)?,
        }
        let mut state = self.state();
        let before = state.stack.show(number);
        drop(state);
        drop(before);
        Ok(())
    }

    /// The first condition that does not hold; nobody else commits meanwhile.
    fn refused(&self, conditions: &[Condition]) -> Result<Option<Place>, Fault> {
        if conditions.is_empty() {
            return Ok(None);
        }
        let view = self.current()?;
        first_refused(conditions, |place| view.get(place.space, &place.key))
    }

    /// Writes no more. What was read is read on; if redb failed, from the file as it was when it
    /// had the last header that is known to be on disk, which lacks no more than the tables have.
    fn poison(&self, committing: &mut Committing, cause: String, mut is_redb: bool) {
        committing.log = None;
        if let Some(Err(error)) = committing.under_way.take().map(|(it, _)| it.abandon()) {
            tracing::error!(%error, "the checkpoint under way failed too");
            is_redb = true;
        }
        let mut state = self.state();
        if let Some(shadow) = state.shadow.take() {
            shadow.fuse();
            state.header = shadow.synced_header();
        }
        state.refusal.get_or_insert(cause);
        if is_redb {
            drop(state.stack.unbase());
            state.database = None;
            state.failed = Arc::default();
            self.read_on(&mut state);
        }
    }

    /// Opens the file for reading, if it can be read now.
    fn read_on(&self, state: &mut State) {
        let opened = opening::open_at(&*self.medium, &state.header, self.options);
        let read = opened.map_err(redb::Error::from).and_then(|database| {
            let commits = Marks::read(&database)?.commits;
            if commits >= state.stack.shown() {
                // A commit that went past the log and failed may be there: over what came before.
                state.stack.clear(commits);
            }
            let base = state.base(&database)?;
            drop(state.stack.rebase(base));
            state.database = Some(Arc::new(database));
            Ok(())
        });
        if let Err(error) = read {
            tracing::error!(file = %state.file, %error, "the data directory cannot even be read");
        }
    }

    /// Reads on after a view has seen redb fail: a failed read stops redb as a failed write does.
    fn reopen_if_failed(&self) {
        let mut committing = self.committing();
        let failed = Arc::clone(&self.state.read().expect("no holder panics").failed);
        if failed.load(Ordering::SeqCst) {
            tracing::error!("a read failed: serving reads only");
            self.poison(&mut committing, "a read failed".to_owned(), true);
        }
    }
}

/// Why a commit may not be durable.
enum Unwritten {
    Log(io::Error),
    Database(redb::Error),
}

impl Engine for Redb {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        let (view, failed) = {
            let state = self.state.read().expect("no holder panics");
            (state.stack.view().cloned(), state.failed.load(Ordering::SeqCst))
        };
        match view {
            Some(view) if !failed => return Ok(view),
            _ if failed => self.reopen_if_failed(),
            _ => {}
        }
        Ok(self.current()?)
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        assert_well_formed(conditions, changes, self.capabilities());
        let mut committing = self.committing();
        let database = {
            let state = self.state.read().expect("no holder panics");
            match (&state.refusal, &state.database) {
                (Some(why), _) => return Err(Fault::ReadOnly(why.clone())),
                (None, database) => database.clone().expect("writable while nothing is refused"),
            }
        };
        let bytes =
            changes.iter().map(|(_, key, row)| key.len() + row.as_ref().map_or(0, Vec::len));
        let bytes = bytes.sum::<usize>() as u64;
        let work = changes.len() as u64 * BYTES_PER_CHANGE + 3 * bytes;
        let through = bytes > self.options.long_bytes;
        self.prepare(&mut committing, work, through)?;
        if let Some(place) = self.refused(conditions)? {
            return Ok(Outcome::Refused(place));
        }
        let written = self.write(&mut committing, &database, changes, through);
        drop(database);
        let (error, is_redb) = match written {
            Ok(()) => {
                committing.owed += if through { 0 } else { work };
                committing.acknowledged.advance(|note| self.medium.set_note(note));
                return Ok(Outcome::Committed);
            }
            Err(Unwritten::Log(error)) => (error.to_string(), false),
            Err(Unwritten::Database(error)) => (error.to_string(), true),
        };
        tracing::error!(%error, "a commit failed: serving reads only");
        self.poison(&mut committing, error.clone(), is_redb);
        Err(Fault::Write(error))
    }

    fn health(&self) -> Result<(), Fault> {
        let refusal = self.state.read().expect("no holder panics").refusal.clone();
        refusal.map_or_else(|| self.check_room(0), |why| Err(Fault::ReadOnly(why)))
    }

    fn close(&self) {
        let mut committing = self.committing();
        if self.state().refusal.is_some() {
            return;
        }
        self.move_all(&mut committing);
        committing.log = None;
        let mut state = self.state();
        state.refusal.get_or_insert_with(|| CLOSED.to_owned());
        let database = state.database.take();
        drop(state);
        // redb notes in the file that it was closed in order.
        drop(database);
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { whole_node_batches: true, ordered_feed: true }
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").field("medium", &self.medium).finish_non_exhaustive()
    }
}
