//! The engine for regions that mostly write: RocksDB, a log-structured merge tree.
//!
//! State: the open database, and the view that readers share until the next commit. Each space is a
//! column family. A commit is durable in the write-ahead log ([`super::wal`]), which is synced for
//! less than RocksDB's own, and visible in a table in memory ([`super::memtable`]), over a snapshot
//! of the database. When the log is full, a thread moves the table into RocksDB and has that
//! written to its files, every space up to the same commit, while commits go on in the log's other
//! file. Sorted rows cost RocksDB little: each goes behind the one before, where the place of a
//! commit's would be looked for in lists of tens of thousands.
//!
//! A commit carries its number, which is what tells a log that lost its end to a power cut from one
//! that lost it to damage (see [`Directory`]).
//!
//! RocksDB verifies the checksum of every block that it reads. A damaged block is unreadable as a
//! whole, so it is named by its file, not by its rows.

mod commits;
mod opening;
mod view;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Error, ErrorKind, LogLevel,
};

use self::commits::checkpoint;
use self::opening::{Opened, found, marks_before_recovery, open_read_only, open_writable, prepare};
use self::view::RocksView;
use super::checkpoint::Checkpoint;
use super::directory::{Acknowledged, REMEDY};
use super::layers::{Layers, Stack};
use super::wal::Wal;
use super::{
    CLOSED, Capabilities, Change, Condition, Directory, Engine, Fault, Outcome, Space, View,
    assert_well_formed, first_refused,
};

/// Name of the database's own directory in that of the region.
const DIRECTORY: &str = "rocksdb";
/// Levels of table files (RocksDB's default).
const LEVELS: usize = 7;

/// How RocksDB is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for blocks and for what is not yet in a table file, bytes.
    pub cache_bytes: usize,
    /// Room on the disk below which commits are refused, bytes: for all that is in memory, and an
    /// operator to log in.
    pub reserve_bytes: u64,
    /// Bytes of the write-ahead log after which there is a checkpoint. The rows of two such logs
    /// are in memory.
    pub log_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, reserve_bytes: 256 << 20, log_bytes: 64 << 20 }
    }
}

/// See the module.
pub struct RocksDb {
    directory: Directory,
    options: Options,
    database: Arc<DB>,
    /// Held by whoever commits.
    committing: Mutex<Committing>,
    /// Taken after the former.
    state: Arc<RwLock<State>>,
}

struct Committing {
    acknowledged: Acknowledged,
    /// `None` if nothing can be written.
    log: Option<Wal>,
    /// The last checkpoint, if it may not be over: it has what the log's other file has.
    under_way: Option<Checkpoint>,
}

struct State {
    stack: Stack,
    /// Why commits are refused, if they are.
    refusal: Option<String>,
}

impl RocksDb {
    /// Opens the database of a directory, making it if it is not there; for reading only, if it
    /// cannot be written.
    ///
    /// # Errors
    ///
    /// [`Fault::Damaged`]; [`Fault::Read`] if it can neither be written nor read, or another
    /// process has it.
    pub fn open_directory(path: &Path, options: Options) -> Result<Self, Fault> {
        let directory = Directory::take(path)?;
        let place = directory.join(DIRECTORY);
        // Recovery drops what it cannot read of a log of RocksDB's own, as versions before this one
        // wrote: what is missing is told first, so that damage is found as it was.
        if matches!(directory.note(), Ok(Some(_))) {
            found(&directory, marks_before_recovery(&place, options)?)?;
        }
        prepare(&directory, &place)?;
        let (opened, refusal) = match open_writable(&directory, &place, options)? {
            Ok(opened) => (opened, None),
            Err(error) => {
                tracing::error!(%error, "the data directory takes no writes: serving reads only");
                let opened = open_read_only(&directory, &place, options);
                let opened = opened.map_err(|unread| {
                    Fault::Read(format!("{error}; and not readable: {unread}"))
                })?;
                (opened, Some(error))
            }
        };
        let Opened { database, table, acknowledged, log } = opened;
        let base = Arc::new(RocksView::new(Arc::clone(&database)));
        let stack = Stack::new(table, base, acknowledged.number());
        let committing = Mutex::new(Committing { acknowledged, log, under_way: None });
        let state = Arc::new(RwLock::new(State { stack, refusal }));
        Ok(Self { directory, options, database, committing, state })
    }

    /// Moves what the log has into the database, and waits for that.
    ///
    /// # Errors
    ///
    /// [`Fault::Write`].
    pub fn checkpoint(&self) -> Result<(), Fault> {
        let mut committing = self.committing();
        self.begin(&mut committing).and_then(|()| finish(&mut committing)).map_err(Fault::Write)
    }

    fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no holder panics")
    }

    fn committing(&self) -> MutexGuard<'_, Committing> {
        self.committing.lock().expect("no holder panics")
    }

    fn check_room(&self, changes: &[Change]) -> Result<(), Fault> {
        let bytes: usize = changes.iter().map(|change| change.2.as_ref().map_or(0, Vec::len)).sum();
        let reserve = self.options.reserve_bytes.saturating_add(2 * bytes as u64);
        match self.directory.free_bytes() {
            Ok(available) if available < reserve => Err(Fault::DiskFull { available, reserve }),
            // A place that does not tell its room is not thereby full.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Makes room in the log.
    fn make_room(&self, committing: &mut Committing) -> Result<(), String> {
        if committing.under_way.as_ref().is_some_and(Checkpoint::is_over) {
            finish(committing)?;
        }
        let bytes = committing.log.as_ref().map_or(0, Wal::bytes);
        if bytes < self.options.log_bytes as u64 { Ok(()) } else { self.begin(committing) }
    }

    /// Begins to move what the log has into the database.
    ///
    /// The log's other file has what the checkpoint before made durable, so commits may go there.
    fn begin(&self, committing: &mut Committing) -> Result<(), String> {
        finish(committing)?;
        let Some(log) = &mut committing.log else { return Ok(()) };
        let table = self.state().stack.turn();
        let marks = (committing.acknowledged.number(), log.salt());
        log.turn();
        let (database, state) = (Arc::clone(&self.database), Arc::clone(&self.state));
        committing.under_way = Some(Checkpoint::begin(true, move || {
            checkpoint(&database, &table, marks).map_err(|error| error.to_string())?;
            let base = Arc::new(RocksView::new(Arc::clone(&database)));
            let before = state.write().expect("no holder panics").stack.moved(base);
            drop(before);
            Ok(())
        }));
        Ok(())
    }

    /// Makes a commit durable, and visible.
    fn write(&self, committing: &mut Committing, changes: &[Change]) -> Result<(), String> {
        let number = committing.acknowledged.next();
        let Some(log) = &mut committing.log else { return Err("it is closed".to_owned()) };
        let record = log.append(number, changes).map_err(|error| error.to_string())?;
        let fresh = Arc::clone(self.state.read().expect("no holder panics").stack.fresh());
        fresh.add(&record).expect("made of rows");
        let before = self.state().stack.show(number);
        drop(before);
        Ok(())
    }

    /// Writes no more; what was read is read on.
    fn refuse(&self, committing: &mut Committing, error: &str) {
        tracing::error!(%error, "a commit failed: serving reads only");
        committing.log = None;
        self.state().refusal = Some(error.to_owned());
    }

    /// What readers see now.
    fn current(&self) -> Arc<Layers> {
        let view = self.state.read().expect("no holder panics").stack.view().cloned();
        view.or_else(|| self.state().stack.current()).expect("its snapshot stays")
    }
}

/// Waits for the checkpoint under way.
fn finish(committing: &mut Committing) -> Result<(), String> {
    committing.under_way.take().map_or(Ok(()), Checkpoint::finish)
}

impl Engine for RocksDb {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        Ok(self.current())
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        assert_well_formed(conditions, changes, self.capabilities());
        let mut committing = self.committing();
        if let Some(why) = &self.state.read().expect("no holder panics").refusal {
            return Err(Fault::ReadOnly(why.clone()));
        }
        self.check_room(changes)?;
        if !conditions.is_empty() {
            let view = self.current();
            let refused = first_refused(conditions, |place| view.get(place.space, &place.key))?;
            if let Some(place) = refused {
                return Ok(Outcome::Refused(place));
            }
        }
        if let Err(error) = self.make_room(&mut committing) {
            self.refuse(&mut committing, &error);
            return Err(Fault::ReadOnly(error));
        }
        if let Err(error) = self.write(&mut committing, changes) {
            self.refuse(&mut committing, &error);
            return Err(Fault::Write(error));
        }
        committing.acknowledged.advance(|note| self.directory.set_note(note));
        Ok(Outcome::Committed)
    }

    fn health(&self) -> Result<(), Fault> {
        let refusal = self.state.read().expect("no holder panics").refusal.clone();
        refusal.map_or_else(|| self.check_room(&[]), |why| Err(Fault::ReadOnly(why)))
    }

    fn close(&self) {
        let mut committing = self.committing();
        let has_rows = committing.log.as_ref().is_some_and(|log| log.bytes() > 0);
        let moved = if has_rows { self.begin(&mut committing) } else { Ok(()) };
        if let Err(error) = moved.and_then(|()| finish(&mut committing)) {
            tracing::warn!(%error, "no checkpoint at the end: the next start reads the log");
        }
        committing.log = None;
        self.state().refusal.get_or_insert_with(|| CLOSED.to_owned());
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { whole_node_batches: true, ordered_feed: true }
    }
}

impl Drop for RocksDb {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for RocksDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksDb").field("directory", &self.directory).finish_non_exhaustive()
    }
}

fn name_of(space: Space) -> &'static str {
    match space {
        Space::Items => "items",
        Space::Changelog => "changelog",
        Space::Meta => "meta",
    }
}

fn family(database: &DB, space: Space) -> &ColumnFamily {
    database.cf_handle(name_of(space)).expect("opened with every space")
}

fn database_options(options: Options) -> rocksdb::Options {
    let mut how = rocksdb::Options::default();
    how.create_if_missing(true);
    how.create_missing_column_families(true);
    how.set_paranoid_checks(true);
    // A torn end of the log is what a power cut leaves. Everything behind damage is dropped, too:
    // the number of the newest commit tells the one from the other.
    how.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    how.set_track_and_verify_wals_in_manifest(true);
    // A known way to lose data: records of a file's former life are taken for the present one's.
    how.set_recycle_log_file_num(0);
    // Without a log of its own: what is flushed is all spaces up to the same write.
    how.set_atomic_flush(true);
    how.set_db_write_buffer_size((options.cache_bytes / 2).max(buffer_bytes(options)));
    how.set_max_background_jobs(2);
    // One thread commits: memtables need not be ready for more.
    how.set_allow_concurrent_memtable_write(false);
    how.set_bytes_per_sync(1 << 20);
    how.set_log_level(LogLevel::Warn);
    how.set_max_log_file_size(4 << 20);
    how.set_keep_log_file_num(2);
    how
}

/// Bytes of RocksDB's own memory for rows: those of a checkpoint, with what they are held by.
const fn buffer_bytes(options: Options) -> usize {
    2 * options.log_bytes
}

fn families(options: Options) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_hyper_clock_cache(options.cache_bytes / 2, 0);
    let of = |name: &str, bloom: bool| {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&cache);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        if bloom {
            blocks.set_bloom_filter(10.0, false);
        }
        let mut how = rocksdb::Options::default();
        how.set_block_based_table_factory(&blocks);
        // What was just flushed is rewritten soon.
        let mut compression = [DBCompressionType::Lz4; LEVELS];
        compression[0] = DBCompressionType::None;
        how.set_compression_per_level(&compression);
        how.set_write_buffer_size(buffer_bytes(options));
        ColumnFamilyDescriptor::new(name, how)
    };
    // Items alone are asked for by key; the changelog is read by range.
    let spaces = Space::ALL.map(|space| of(name_of(space), space == Space::Items));
    std::iter::once(of("default", false)).chain(spaces).collect()
}

/// What a failed call of RocksDB means.
fn fault(place: &Path, error: &Error) -> Fault {
    let why = error.to_string();
    match error.kind() {
        ErrorKind::Corruption => {
            let file = named(place, &why);
            Fault::Damaged { file, why: format!("{why}; {REMEDY}") }
        }
        _ => Fault::Read(format!("{}: {why}", place.display())),
    }
}

/// The file that an error is about, where it says so.
fn named(place: &Path, why: &str) -> String {
    let is_file = |word: &&str| {
        let is = |end| word.strip_suffix(end).is_some_and(|stem| !stem.is_empty());
        is(".sst") || is(".log") || word.contains("MANIFEST-")
    };
    let mut words = why.split(|letter: char| {
        letter.is_whitespace() || matches!(letter, ',' | ';' | ':' | '\'' | '"' | '(' | ')')
    });
    let found = words.find(is_file).and_then(|word| Path::new(word).file_name());
    match found {
        Some(name) => place.join(name).display().to_string(),
        None if why.contains("WAL") => logs(place),
        None => place.display().to_string(),
    }
}

/// The database and the files of its log, which is where commits go missing.
fn logs(place: &Path) -> String {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.sort();
    let shown: Vec<String> = logs.iter().map(|path| path.display().to_string()).collect();
    if shown.is_empty() { place.display().to_string() } else { shown.join(", ") }
}

/// Whether an error is one of a disk that can be read but not written; RocksDB has only words.
fn takes_no_writes(text: &str) -> bool {
    let words = ["Read-only file system", "No space left", "Permission denied", "quota exceeded"];
    words.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests;
