//! What the database says of the commits that it has, how rows get there, and how they get to its
//! files: none of it by a log of RocksDB's own.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use pangea_codec::disk::meta;
use rocksdb::{DB, Error, FlushOptions, WriteBatch, WriteOptions};

use super::{family, name_of};
use crate::storage::directory::Directory;
use crate::storage::memtable::Row;
use crate::storage::redb::Medium as _;
use crate::storage::wal::{FILES, File, Pending};
use crate::storage::{Fault, Space};

/// Key of the newest commit's number, in the column family that holds nothing of users.
const COMMITS: &[u8] = b"commits";
/// Key of the salt of the records in the log, beside it.
const SALT: &[u8] = b"salt";
/// Bytes of a batch beside keys and rows, for each of them.
const ENTRY_BYTES: usize = 16;

/// What the database says of the commits that it has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// How many it has.
    pub(super) commits: u64,
    /// `None` in one of a version that had no log but RocksDB's.
    pub(super) salt: Option<u64>,
}

impl Marks {
    pub(super) fn read(database: &DB) -> Result<Self, Error> {
        // RocksDB verified it; what it cannot mean counts as nothing, and the note tells.
        let mark = |key| -> Result<Option<u64>, Error> {
            Ok(database.get(key)?.and_then(|bytes| meta::parse_commits(&bytes).ok()))
        };
        Ok(Self { commits: mark(COMMITS)?.unwrap_or(0), salt: mark(SALT)? })
    }
}

/// Applies a commit that is in the log, in memory.
pub(super) fn apply<'r>(
    database: &DB,
    number: u64,
    rows: impl Iterator<Item = Row<'r>> + Clone,
) -> Result<(), Error> {
    let bytes = rows.clone().map(|(_, key, value)| key.len() + value.map_or(0, <[u8]>::len));
    let bytes = bytes.map(|bytes| ENTRY_BYTES + bytes).sum::<usize>();
    let mut batch = WriteBatch::with_capacity_bytes(bytes + 4 * ENTRY_BYTES);
    let families = Space::ALL.map(|space| family(database, space));
    for (space, key, value) in rows {
        let family = families[space as usize];
        match value {
            Some(value) => batch.put_cf(family, key, value),
            None => batch.delete_cf(family, key),
        }
    }
    batch.put(COMMITS, meta::commits(number));
    database.write_opt(batch, &unlogged())
}

/// Notes the salt of the log, in memory.
pub(super) fn set_salt(database: &DB, salt: u64) -> Result<(), Error> {
    database.put_opt(SALT, meta::commits(salt), &unlogged())
}

fn unlogged() -> WriteOptions {
    let mut how = WriteOptions::default();
    how.disable_wal(true);
    how
}

/// Writes what is in memory into table files: when it returns, the database has it durably, all
/// spaces up to the same commit.
pub(super) fn flush(database: &DB) -> Result<(), Error> {
    let names = Space::ALL.map(name_of).into_iter().chain(["default"]);
    let families: Vec<_> = names.filter_map(|name| database.cf_handle(name)).collect();
    database.flush_cfs_opt(&families, &FlushOptions::default())
}

/// A flush that has begun.
pub(super) type Flush = JoinHandle<Result<(), Error>>;

/// Begins a flush beside the commits that follow; `None` if there is no thread to be had for it.
pub(super) fn begin_flush(database: &Arc<DB>) -> Option<Flush> {
    let (thread, database) = (thread::Builder::new(), Arc::clone(database));
    thread.name("checkpoint".to_owned()).spawn(move || flush(&database)).ok()
}

/// What the log has beyond the commit that the database was `found` at.
///
/// # Errors
/// See [`Pending::read`].
pub(super) fn pending(directory: &Directory, marks: Marks) -> Result<Pending, Fault> {
    let files: [io::Result<Option<File>>; FILES] = [0, 1].map(|which| directory.read_log(which));
    Pending::read(files, &log_files(directory), marks.salt, marks.commits)
}

/// The files of the log, which is where commits go missing.
pub(super) fn log_files(directory: &Directory) -> String {
    let names = crate::storage::redb::LOG_NAMES.map(|name| directory.join(name));
    names.map(|path| path.display().to_string()).join(", ")
}
