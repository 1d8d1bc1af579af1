//! The default engine: redb, a copy-on-write B-tree in one file.
//!
//! State: the open database and the view that readers share until the next commit. redb refuses
//! everything, reads included, after an IO error; so after one the engine opens the same file again
//! through an [overlay](super::Overlay), read-only, at the last header that was known to be on
//! disk.
//!
//! redb compares page checksums only when it repairs a file, so [`verify`] does it for the others.
//!
//! A commit is durable in the write-ahead log ([`wal`]) and visible in redb's memory. A checkpoint
//! is one write transaction with `Durability::Immediate`: redb's one-phase commit, one sync over
//! checksummed pages, falling back to the one before if they do not match.

mod commits;
mod medium;
mod opening;
mod verify;
mod view;
mod wal;

pub(super) use medium::FILE_NAME;
pub use medium::Medium;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use redb::{Database, ReadableDatabase as _};

use self::commits::{apply, checkpoint, rows};
use self::medium::Shadow;
use self::opening::{Header, Opened};
use self::view::RedbView;
use self::wal::Wal;
use super::directory::Acknowledged;
use super::{
    Capabilities, Change, Condition, Directory, Engine, Fault, Outcome, Place, View,
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
    /// Bytes of the write-ahead log after which there is a checkpoint. Commits wait while it is
    /// written, the longer the more pages have changed.
    pub log_bytes: u64,
    /// Bytes of a commit above which it goes into the database at once, and not into the log.
    pub long_bytes: u64,
    /// Whether a checkpoint is synced by a thread of its own, beside the commits that follow.
    /// Without, that is done as late as can be, and the order of calls is the same in every run.
    pub sync_in_background: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (cache_bytes, reserve_bytes) = (256 << 20, 16 << 20);
        Self {
            cache_bytes,
            quick_repair: false,
            reserve_bytes,
            verify: true,
            log_bytes: 2 << 20,
            long_bytes: 8 << 20,
            sync_in_background: true,
        }
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
    committing: Mutex<Committing>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct Committing {
    acknowledged: Acknowledged,
    /// `None` if nothing can be written.
    log: Option<Wal>,
    /// Bytes that the next checkpoint may write, of what was committed since the last one.
    owed: u64,
}

#[derive(Default)]
struct State {
    /// `None` if not even reading was possible.
    database: Option<Arc<Database>>,
    shadow: Option<Arc<Shadow>>,
    /// What the file is read on with, once it is.
    header: Header,
    /// Up to which commit the log is read on with.
    acknowledged: u64,
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
        let (opened, refusal) = match opening::open_writable(&*medium, options) {
            Ok(opened) => (opened, None),
            Err((failure, header)) if failure.takes_no_writes() => {
                let error = failure.into_fault(&file);
                tracing::error!(%error, "the data directory takes no writes: serving reads only");
                let opened = opening::open_for_reading(&*medium, &header, None, options);
                let opened = opened.map_err(|unread| {
                    let unread = unread.into_fault(&file);
                    Fault::Read(format!("{file}: {error}; and not readable: {unread}"))
                })?;
                (Opened { header, ..opened }, Some(error.to_string()))
            }
            Err((failure, _)) => return Err(failure.into_fault(&file)),
        };
        let Opened { database, shadow, header, acknowledged, log } = opened;
        let state = State {
            database: Some(Arc::new(database)),
            shadow,
            header,
            acknowledged: acknowledged.number(),
            refusal,
            ..State::default()
        };
        let committing = Mutex::new(Committing { acknowledged, log, owed: 0 });
        Ok(Self { medium, options, file, committing, state: RwLock::new(state) })
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

    /// Makes room for a commit that may write so much: in the log, and on the disk.
    fn prepare(
        &self,
        committing: &mut Committing,
        database: &Database,
        work: u64,
    ) -> Result<(), Fault> {
        let Committing { log, owed, acknowledged } = &committing;
        let is_long = log.as_ref().is_some_and(|log| log.bytes() >= self.options.log_bytes);
        // What is owed need not be so much: where room is short that is found out.
        if is_long || *owed > 0 && self.check_room(owed + work).is_err() {
            let (available, number) = (self.available(), acknowledged.number());
            if available < *owed {
                // Somebody else has filled the disk. The log has everything until there is room.
                let reserve = self.options.reserve_bytes + owed;
                return Err(Fault::DiskFull { available, reserve });
            }
            let done = self.checkpoint(committing, database, &[], number);
            done.map_err(|error| {
                tracing::error!(%error, "a checkpoint failed: serving reads only");
                self.poison(committing, error.to_string());
                Fault::ReadOnly(error.to_string())
            })?;
        }
        self.check_room(committing.owed + work)
    }

    /// Writes everything to the database, up to the commit `number` of these changes. Durable when
    /// it returns, if it has changes; else once it is settled, and until then the log has it too.
    fn checkpoint(
        &self,
        committing: &mut Committing,
        database: &Database,
        changes: &[Change],
        number: u64,
    ) -> Result<(), redb::Error> {
        let Some(log) = &mut committing.log else { return Ok(()) };
        let shadow = self.state.read().expect("no holder panics").shadow.clone();
        let shadow = shadow.expect("there is one while there is a log");
        // The log's other file has what the checkpoint before made durable.
        shadow.settle()?;
        shadow.set_late(changes.is_empty());
        let done = checkpoint(database, rows(changes), (number, log.salt()), self.options);
        shadow.set_late(false);
        done?;
        log.turn();
        committing.owed = 0;
        Ok(())
    }

    /// Makes a commit durable, and visible.
    fn write(
        &self,
        committing: &mut Committing,
        database: &Database,
        changes: &[Change],
        bytes: u64,
    ) -> Result<(), redb::Error> {
        let number = committing.acknowledged.next();
        match &mut committing.log {
            Some(log) if bytes <= self.options.long_bytes => {
                log.append(number, changes)?;
                apply(database, changes)
            }
            _ => self.checkpoint(committing, database, changes, number),
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
    fn poison(&self, committing: &mut Committing, cause: String) {
        let mut state = self.state();
        state.acknowledged = committing.acknowledged.number();
        committing.log = None;
        if let Some(shadow) = state.shadow.take() {
            if let Err(error) = shadow.settle() {
                tracing::error!(%error, "the checkpoint under way failed too");
            }
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
        let upto = Some(state.acknowledged);
        match opening::open_for_reading(&*self.medium, &state.header, upto, self.options) {
            Ok(opened) => state.database = Some(Arc::new(opened.database)),
            Err(failure) => {
                let error = failure.into_fault(&self.file);
                tracing::error!(%error, "the data directory cannot even be read");
            }
        }
    }

    /// Reads on after a view has seen redb fail: a failed read stops redb as a failed write does.
    fn reopen_if_failed(&self) {
        let mut committing = self.committing();
        let failed = Arc::clone(&self.state.read().expect("no holder panics").failed);
        if failed.load(Ordering::SeqCst) {
            tracing::error!("a read failed: serving reads only");
            self.poison(&mut committing, "a read failed".to_owned());
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
        self.prepare(&mut committing, &database, work)?;
        if let Some(place) = self.refused(&database, conditions)? {
            return Ok(Outcome::Refused(place));
        }
        let written = self.write(&mut committing, &database, changes, bytes);
        drop(database);
        match written {
            Ok(()) => {
                committing.owed += work;
                committing.acknowledged.advance(|note| self.medium.set_note(note));
                let before = self.state().view.take();
                drop(before);
                Ok(Outcome::Committed)
            }
            Err(error) => {
                tracing::error!(%error, "a commit failed: serving reads only");
                self.poison(&mut committing, error.to_string());
                Err(Fault::Write(error.to_string()))
            }
        }
    }

    fn health(&self) -> Result<(), Fault> {
        let refusal = self.state.read().expect("no holder panics").refusal.clone();
        refusal.map_or_else(|| self.check_room(0), |why| Err(Fault::ReadOnly(why)))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { whole_node_batches: true, ordered_feed: true }
    }
}

impl Drop for Redb {
    /// A directory that was closed in order needs no log.
    fn drop(&mut self) {
        let mut committing = self.committing();
        let database = match &*self.state() {
            State { refusal: None, database: Some(database), .. } => Arc::clone(database),
            _ => return,
        };
        if committing.log.as_ref().is_some_and(|log| log.bytes() > 0) {
            let number = committing.acknowledged.number();
            if let Err(error) = self.checkpoint(&mut committing, &database, &[], number) {
                tracing::warn!(%error, "no checkpoint at the end: the next start reads the log");
            }
        }
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").field("medium", &self.medium).finish_non_exhaustive()
    }
}
