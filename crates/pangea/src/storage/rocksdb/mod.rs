//! The engine for regions that mostly write: RocksDB, a log-structured merge tree.
//!
//! State: the open database, and the snapshot that readers share, taken when a commit has returned.
//! Each space is a column family. A commit is durable in the write-ahead log ([`super::wal`]),
//! which is synced for less than RocksDB's own, and then one write batch in the memory of RocksDB.
//! When the log is full, a thread flushes all of that, every space up to the same commit, while
//! commits go on in the log's other file.
//!
//! A commit carries its number, which is what tells a log that lost its end to a power cut from one
//! that lost it to damage (see [`Directory`]).
//!
//! RocksDB verifies the checksum of every block that it reads. A damaged block is unreadable as a
//! whole, so it is named by its file, not by its rows.

mod commits;
mod view;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Error, ErrorKind, LogLevel,
};

use self::commits::{Flush, Marks, apply, begin_flush, flush, log_files, pending, set_salt};
use self::view::RocksView;
use super::directory::{Acknowledged, REMEDY};
use super::layers::Layers;
use super::memtable::{Memtable, rows, rows_of};
use super::redb::Medium as _;
use super::wal::{Pending, Wal, draw_salt};
use super::{
    Capabilities, Change, Condition, Directory, Engine, Fault, Outcome, Space, View,
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
    /// Room on the disk below which commits are refused, bytes: a flush of all that is in memory,
    /// and an operator to log in.
    pub reserve_bytes: u64,
    /// Bytes of log, and of a column family's rows in memory, at which what is in memory becomes
    /// table files.
    pub memtable_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, reserve_bytes: 128 << 20, memtable_bytes: 32 << 20 }
    }
}

/// See the module.
pub struct RocksDb {
    directory: Directory,
    options: Options,
    database: Arc<DB>,
    /// Held by whoever commits.
    committing: Mutex<Committing>,
    state: RwLock<State>,
}

struct Committing {
    acknowledged: Acknowledged,
    /// `None` if nothing can be written.
    log: Option<Wal>,
    /// The last flush, if it may not be over: it has what the log's other file has.
    flush: Option<Flush>,
}

struct State {
    /// What is durable and was said to be.
    view: Arc<dyn View>,
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
        let Opened { database, view, acknowledged, log } = opened;
        let committing = Mutex::new(Committing { acknowledged, log, flush: None });
        let state = RwLock::new(State { view, refusal });
        Ok(Self { directory, options, database, committing, state })
    }

    /// Writes what is in memory into table files.
    ///
    /// # Errors
    ///
    /// [`Fault::Write`].
    pub fn flush(&self) -> Result<(), Fault> {
        flush(&self.database).map_err(|error| Fault::Write(error.to_string()))
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

    /// Makes room in the log: what is in memory is flushed, and commits go to the log's other file,
    /// which has what the flush before has made durable.
    fn make_room(&self, committing: &mut Committing) -> Result<(), String> {
        let Committing { log: Some(log), flush: last, .. } = committing else { return Ok(()) };
        let is_over = last.as_ref().is_some_and(Flush::is_finished);
        let is_long = log.bytes() >= self.options.memtable_bytes as u64;
        if is_over || is_long {
            finish(last)?;
        }
        if is_long {
            *last = begin_flush(&self.database);
            if last.is_none() {
                flush(&self.database).map_err(|error| error.to_string())?;
            }
            log.turn();
        }
        Ok(())
    }

    /// Makes a commit durable, and applies it.
    fn write(&self, committing: &mut Committing, changes: &[Change]) -> Result<(), String> {
        let number = committing.acknowledged.next();
        let Some(log) = &mut committing.log else { return Err("it is closed".to_owned()) };
        log.append(number, changes).map_err(|error| error.to_string())?;
        apply(&self.database, number, rows(changes)).map_err(|error| error.to_string())
    }

    /// Writes no more; what was read is read on.
    fn refuse(&self, committing: &mut Committing, error: &str) {
        tracing::error!(%error, "a commit failed: serving reads only");
        committing.log = None;
        let mut state = self.state.write().expect("no holder panics");
        state.refusal = Some(error.to_owned());
    }
}

/// Waits for a flush.
fn finish(flush: &mut Option<Flush>) -> Result<(), String> {
    match flush.take().map(Flush::join) {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(error.to_string()),
        Some(Err(_)) => Err("the thread of a flush has panicked".to_owned()),
    }
}

impl Engine for RocksDb {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        let state = self.state.read().expect("no holder panics");
        Ok(Arc::clone(&state.view))
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        assert_well_formed(conditions, changes, self.capabilities());
        let mut committing = self.committing();
        let view = {
            let state = self.state.read().expect("no holder panics");
            match &state.refusal {
                Some(why) => return Err(Fault::ReadOnly(why.clone())),
                None => Arc::clone(&state.view),
            }
        };
        self.check_room(changes)?;
        if let Some(place) = first_refused(conditions, |place| view.get(place.space, &place.key))? {
            return Ok(Outcome::Refused(place));
        }
        drop(view);
        if let Err(error) = self.make_room(&mut committing) {
            self.refuse(&mut committing, &error);
            return Err(Fault::ReadOnly(error));
        }
        if let Err(error) = self.write(&mut committing, changes) {
            self.refuse(&mut committing, &error);
            return Err(Fault::Write(error));
        }
        committing.acknowledged.advance(|note| self.directory.set_note(note));
        let next = Arc::new(RocksView::new(Arc::clone(&self.database)));
        let mut state = self.state.write().expect("no holder panics");
        let before = std::mem::replace(&mut state.view, next);
        drop(state);
        drop(before);
        Ok(Outcome::Committed)
    }

    fn health(&self) -> Result<(), Fault> {
        let refusal = self.state.read().expect("no holder panics").refusal.clone();
        refusal.map_or_else(|| self.check_room(&[]), |why| Err(Fault::ReadOnly(why)))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { whole_node_batches: true, ordered_feed: true }
    }
}

impl Drop for RocksDb {
    /// A directory that was closed in order needs no log.
    fn drop(&mut self) {
        let mut committing = self.committing();
        let finished = finish(&mut committing.flush);
        let has_rows = committing.log.as_ref().is_some_and(|log| log.bytes() > 0);
        let flush = || flush(&self.database).map_err(|error| error.to_string());
        if let Err(error) = finished.and_then(|()| if has_rows { flush() } else { Ok(()) }) {
            tracing::warn!(%error, "no flush at the end: the next start reads the log");
        }
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

/// A database, and what its log has beyond it.
struct Opened {
    database: Arc<DB>,
    view: Arc<dyn View>,
    acknowledged: Acknowledged,
    log: Option<Wal>,
}

/// What the database would say after a recovery; nothing is changed.
fn marks_before_recovery(place: &Path, options: Options) -> Result<Marks, Fault> {
    if !place.join("CURRENT").exists() {
        return Ok(Marks::default());
    }
    let database = open_for_reading(place, options).map_err(|error| fault(place, &error))?;
    Marks::read(&database).map_err(|error| fault(place, &error))
}

/// What the log has beyond the database, and the commits that there are.
fn found(directory: &Directory, marks: Marks) -> Result<(Pending, Acknowledged), Fault> {
    let pending = pending(directory, marks)?;
    let reached = pending.reached;
    let acknowledged = Acknowledged::check(directory.note(), reached, &log_files(directory))?;
    Ok((pending, acknowledged))
}

/// Opens the database for writing, with all that the log has; the error of one that takes none.
fn open_writable(
    directory: &Directory,
    place: &Path,
    options: Options,
) -> Result<Result<Opened, String>, Fault> {
    let unopened = |error: Error| match takes_no_writes(error.as_ref()) {
        true if error.kind() == ErrorKind::IOError => Ok(error.to_string()),
        _ => Err(fault(place, &error)),
    };
    let database = match open(place, options) {
        Ok(database) => Arc::new(database),
        Err(error) => return unopened(error).map(Err),
    };
    let marks = Marks::read(&database).map_err(|error| fault(place, &error))?;
    let (pending, acknowledged) = found(directory, marks)?;
    let salt = marks.salt.unwrap_or_else(|| draw_salt(&place.display().to_string()));
    let mut records = pending.records();
    let applied = records.try_for_each(|record| {
        let rows = rows_of(&record, &log_files(directory))?;
        apply(&database, record.number, rows.into_iter()).map_err(|error| fault(place, &error))
    });
    applied?;
    let caught_up = match (marks.salt, pending.is_empty()) {
        (Some(_), true) => Ok(()),
        (Some(_), false) => flush(&database),
        (None, _) => set_salt(&database, salt).and_then(|()| flush(&database)),
    };
    if let Err(error) = caught_up {
        return unopened(error).map(Err);
    }
    let log = match log(directory, salt, options) {
        Ok(log) => Some(log),
        Err(error) if takes_no_writes(&error.to_string()) => return Ok(Err(error.to_string())),
        Err(error) => return Err(Fault::Read(format!("{}: {error}", log_files(directory)))),
    };
    let view = Arc::new(RocksView::new(Arc::clone(&database)));
    Ok(Ok(Opened { database, view, acknowledged, log }))
}

/// The log, its files as long as they become: to write over what is there is less to sync.
fn log(directory: &Directory, salt: u64, options: Options) -> io::Result<Wal> {
    let log = Wal::new([directory.open_log(0)?, directory.open_log(1)?], salt);
    log.extend(options.memtable_bytes as u64)?;
    Ok(log)
}

/// Opens the database for reading alone, with all that the log has over it.
fn open_read_only(directory: &Directory, place: &Path, options: Options) -> Result<Opened, Fault> {
    let database = open_for_reading(place, options).map_err(|error| fault(place, &error))?;
    let database = Arc::new(database);
    let marks = Marks::read(&database).map_err(|error| fault(place, &error))?;
    let (pending, acknowledged) = found(directory, marks)?;
    let table = Arc::new(Memtable::default());
    for record in pending.records() {
        table.add(record.number, rows_of(&record, &log_files(directory))?.into_iter());
    }
    let base = Arc::new(RocksView::new(Arc::clone(&database)));
    let view = Arc::new(Layers::new(&table, None, base, pending.reached));
    Ok(Opened { database, view, acknowledged, log: None })
}

fn open(place: &Path, options: Options) -> Result<DB, Error> {
    DB::open_cf_descriptors(&database_options(options), place, families(options))
}

/// Makes the database's directory where there is none.
fn prepare(directory: &Directory, place: &Path) -> Result<(), Fault> {
    let read = |error: io::Error| Fault::Read(format!("{}: {error}", place.display()));
    if !place.exists() {
        std::fs::create_dir(place).map_err(read)?;
        // RocksDB syncs its own directory, not the one above it.
        directory.sync().map_err(read)?;
    }
    let entries = std::fs::read_dir(place).map_err(read)?.flatten();
    let is_table = |path: PathBuf| path.extension().is_some_and(|extension| extension == "sst");
    let has_tables = entries.map(|entry| entry.path()).any(is_table);
    if has_tables && !place.join("CURRENT").exists() {
        // RocksDB would take the directory for a new one.
        let file = place.join("CURRENT").display().to_string();
        return Err(Fault::Damaged { file, why: format!("it is missing; {REMEDY}") });
    }
    Ok(())
}

fn open_for_reading(place: &Path, options: Options) -> Result<DB, Error> {
    let mut how = database_options(options);
    how.create_if_missing(false);
    how.create_missing_column_families(false);
    DB::open_cf_descriptors_read_only(&how, place, families(options), false)
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
    // Without a log of its own: what is flushed is all spaces up to the same commit.
    how.set_atomic_flush(true);
    how.set_db_write_buffer_size((options.cache_bytes / 2).max(options.memtable_bytes));
    how.set_max_background_jobs(2);
    // One thread commits: memtables need not be ready for more.
    how.set_allow_concurrent_memtable_write(false);
    how.set_bytes_per_sync(1 << 20);
    how.set_log_level(LogLevel::Warn);
    how.set_max_log_file_size(4 << 20);
    how.set_keep_log_file_num(2);
    how
}

fn families(options: Options) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.cache_bytes / 2);
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
        how.set_write_buffer_size(options.memtable_bytes);
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
