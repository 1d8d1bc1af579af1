//! Opening a database: in earnest, or only to be read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{DB, Error, ErrorKind};

use super::commits::{Marks, checkpoint, log_files, pending};
use super::{Options, database_options, families, fault, takes_no_writes};
use crate::storage::directory::{Acknowledged, REMEDY};
use crate::storage::memtable::Memtable;
use crate::storage::redb::Medium as _;
use crate::storage::wal::{Pending, Wal, draw_salt};
use crate::storage::{Directory, Fault};

/// A database, and what its log has beyond it.
pub(super) struct Opened {
    pub(super) database: Arc<DB>,
    /// Empty if the database is written.
    pub(super) table: Memtable,
    pub(super) acknowledged: Acknowledged,
    /// `None` if it is not written.
    pub(super) log: Option<Wal>,
}

/// What the database would say after a recovery; nothing is changed.
pub(super) fn marks_before_recovery(place: &Path, options: Options) -> Result<Marks, Fault> {
    if !place.join("CURRENT").exists() {
        return Ok(Marks::default());
    }
    let database = open_for_reading(place, options).map_err(|error| fault(place, &error))?;
    Marks::read(&database).map_err(|error| fault(place, &error))
}

/// What the log has beyond the database, and the commits that there are.
pub(super) fn found(directory: &Directory, marks: Marks) -> Result<(Pending, Acknowledged), Fault> {
    let pending = pending(directory, marks)?;
    let reached = pending.reached;
    let acknowledged = Acknowledged::check(directory.note(), reached, &log_files(directory))?;
    Ok((pending, acknowledged))
}

/// Opens the database for writing, with all that the log has; the error of one that takes none.
pub(super) fn open_writable(
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
    let (table, acknowledged, marks) = catch_up(directory, place, &database)?;
    let salt = marks.salt.unwrap_or_else(|| draw_salt(&place.display().to_string()));
    if (marks.salt.is_none() || !table.is_empty())
        && let Err(error) = checkpoint(&database, &table, (acknowledged.number(), salt))
    {
        return unopened(error).map(Err);
    }
    let log = match log(directory, salt, options) {
        Ok(log) => Some(log),
        Err(error) if takes_no_writes(&error.to_string()) => return Ok(Err(error.to_string())),
        Err(error) => return Err(Fault::Read(format!("{}: {error}", log_files(directory)))),
    };
    Ok(Ok(Opened { database, table: Memtable::default(), acknowledged, log }))
}

/// The log, its files as long as they become: to write over what is there is less to sync.
fn log(directory: &Directory, salt: u64, options: Options) -> io::Result<Wal> {
    let log = Wal::new([directory.open_log(0)?, directory.open_log(1)?], salt);
    log.extend(options.log_bytes as u64)?;
    Ok(log)
}

/// Opens the database for reading alone, with all that the log has over it.
pub(super) fn open_read_only(
    directory: &Directory,
    place: &Path,
    options: Options,
) -> Result<Opened, Fault> {
    let database = open_for_reading(place, options).map_err(|error| fault(place, &error))?;
    let database = Arc::new(database);
    let (table, acknowledged, _) = catch_up(directory, place, &database)?;
    Ok(Opened { database, table, acknowledged, log: None })
}

/// What the log has and the database lacks; the commits that there are then, and what the database
/// says of itself.
fn catch_up(
    directory: &Directory,
    place: &Path,
    database: &DB,
) -> Result<(Memtable, Acknowledged, Marks), Fault> {
    let marks = Marks::read(database).map_err(|error| fault(place, &error))?;
    let (pending, acknowledged) = found(directory, marks)?;
    Ok((pending.table(&log_files(directory))?, acknowledged, marks))
}

pub(super) fn open(place: &Path, options: Options) -> Result<DB, Error> {
    DB::open_cf_descriptors(&database_options(options), place, families(options))
}

/// Makes the database's directory where there is none.
pub(super) fn prepare(directory: &Directory, place: &Path) -> Result<(), Fault> {
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
