//! The engine for regions that mostly write: RocksDB, a log-structured merge tree.
//!
//! State: the open database, and the snapshot that readers share, taken when a commit has returned.
//! Each space is a column family; a commit is one write batch, synced in the write-ahead log, and
//! carries its number, which is what tells a log that lost its end to a power cut from one that
//! lost it to damage (see [`Directory`]): RocksDB stops at the first record that it cannot read,
//! whatever stands behind it, and says nothing.
//!
//! RocksDB verifies the checksum of every block that it reads. A damaged block is unreadable as a
//! whole, so it is named by its file, not by its rows.

mod view;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use pangea_codec::disk::meta;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Error, ErrorKind, LogLevel, WriteBatch, WriteOptions,
};

use self::view::RocksView;
use super::directory::{Acknowledged, REMEDY};
use super::{
    Capabilities, Change, Condition, Directory, Engine, Fault, Outcome, Space, View,
    assert_well_formed, first_refused,
};

/// Name of the database's own directory in that of the region.
const DIRECTORY: &str = "rocksdb";
/// Key of the newest commit's number, in the column family that holds nothing else.
const COMMITS: &[u8] = b"commits";

/// How RocksDB is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for blocks and for what is not yet in a table file, bytes.
    pub cache_bytes: usize,
    /// Room on the disk below which commits are refused, bytes: a flush of all that is in memory,
    /// and an operator to log in.
    pub reserve_bytes: u64,
    /// Size of a column family's rows in memory at which they become a table file, bytes.
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
    committing: Mutex<Acknowledged>,
    state: RwLock<State>,
}

struct State {
    /// What is durable and was said to be.
    view: Arc<RocksView>,
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
        // Recovery drops what it cannot read of the log: whether that was acknowledged is asked
        // first, so that damage is found as it was.
        if matches!(directory.note(), Ok(Some(_))) {
            let found = commits_before_recovery(&place, options)?;
            Acknowledged::check(directory.note(), found, &logs(&place))?;
        }
        prepare(&directory, &place)?;
        let (database, refusal) = match open(&place, options) {
            Ok(database) => (database, None),
            Err(error) if takes_no_writes(&error) => {
                tracing::error!(%error, "the data directory takes no writes: serving reads only");
                let database = open_for_reading(&place, options);
                let database = database.map_err(|unread| {
                    Fault::Read(format!("{error}; and not readable: {unread}"))
                })?;
                (database, Some(error.to_string()))
            }
            Err(error) => return Err(fault(&place, &error)),
        };
        let found = commits(&database).map_err(|error| fault(&place, &error))?;
        let acknowledged = Acknowledged::check(directory.note(), found, &logs(&place))?;
        let database = Arc::new(database);
        let view = Arc::new(RocksView::new(Arc::clone(&database)));
        let state = RwLock::new(State { view, refusal });
        Ok(Self { directory, options, database, committing: Mutex::new(acknowledged), state })
    }

    /// Writes what is in memory into table files.
    ///
    /// # Errors
    ///
    /// [`Fault::Write`].
    pub fn flush(&self) -> Result<(), Fault> {
        let families = Space::ALL.map(|space| family(&self.database, space));
        let flushed = families.into_iter().try_for_each(|family| self.database.flush_cf(family));
        flushed.map_err(|error| Fault::Write(error.to_string()))
    }

    fn committing(&self) -> MutexGuard<'_, Acknowledged> {
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

    fn write(&self, changes: &[Change], number: u64) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for (space, key, value) in changes {
            let family = family(&self.database, *space);
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        batch.put(COMMITS, meta::commits(number));
        let mut how = WriteOptions::default();
        how.set_sync(true);
        self.database.write_opt(batch, &how)
    }
}

impl Engine for RocksDb {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        let state = self.state.read().expect("no holder panics");
        Ok(Arc::clone(&state.view) as Arc<dyn View>)
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        assert_well_formed(conditions, changes, self.capabilities());
        let mut acknowledged = self.committing();
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
        match self.write(changes, acknowledged.next()) {
            Ok(()) => {
                acknowledged.advance(|note| self.directory.set_note(note));
                let next = Arc::new(RocksView::new(Arc::clone(&self.database)));
                let mut state = self.state.write().expect("no holder panics");
                let before = std::mem::replace(&mut state.view, next);
                drop(state);
                drop(before);
                Ok(Outcome::Committed)
            }
            Err(error) => {
                tracing::error!(%error, "a commit failed: serving reads only");
                let mut state = self.state.write().expect("no holder panics");
                state.refusal = Some(error.to_string());
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

fn commits(database: &DB) -> Result<u64, Error> {
    let found = database.get(COMMITS)?;
    // RocksDB verified it; what it cannot mean counts as nothing, and the note tells.
    Ok(found.and_then(|bytes| meta::parse_commits(&bytes).ok()).unwrap_or(0))
}

/// The number of the newest commit that recovery would keep; nothing is changed.
fn commits_before_recovery(place: &Path, options: Options) -> Result<u64, Fault> {
    if !place.join("CURRENT").exists() {
        return Ok(0);
    }
    let database = open_for_reading(place, options).map_err(|error| fault(place, &error))?;
    commits(&database).map_err(|error| fault(place, &error))
}

fn open(place: &Path, options: Options) -> Result<DB, Error> {
    DB::open_cf_descriptors(&database_options(options), place, families(options))
}

/// Makes the database's directory where there is none.
fn prepare(directory: &Directory, place: &Path) -> Result<(), Fault> {
    let read = |error: std::io::Error| Fault::Read(format!("{}: {error}", place.display()));
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
    how.set_db_write_buffer_size((options.cache_bytes / 2).max(options.memtable_bytes));
    how.set_max_background_jobs(2);
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
        how.set_compression_type(DBCompressionType::Lz4);
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
fn takes_no_writes(error: &Error) -> bool {
    let text = error.to_string();
    let words = ["Read-only file system", "No space left", "Permission denied", "quota exceeded"];
    error.kind() == ErrorKind::IOError && words.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests;
