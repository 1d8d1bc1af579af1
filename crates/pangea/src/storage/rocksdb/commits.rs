//! What the database says of the commits that it has, and how rows get into its files: not by a log
//! of RocksDB's own.

use std::io;

use pangea_codec::disk::meta;
use rocksdb::{DB, Error, FlushOptions, WriteBatch, WriteOptions};

use super::{family, name_of};
use crate::storage::directory::Directory;
use crate::storage::memtable::Memtable;
use crate::storage::redb::Medium as _;
use crate::storage::wal::{FILES, File, Pending};
use crate::storage::{Fault, Space};

/// Key of the newest commit's number, in the column family that holds nothing of users.
const COMMITS: &[u8] = b"commits";
/// Key of the salt of the records in the log, beside it.
const SALT: &[u8] = b"salt";
/// Bytes of rows that are given to RocksDB at a time.
const BATCH_BYTES: usize = 1 << 20;
/// Rows after which their bytes are looked at.
const BATCH_ROWS: usize = 16;

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

/// Moves the rows of a table into the database's files. When it returns, they are durable, and the
/// database has all `commits`.
///
/// A crash in between may leave some of them there without the others, if RocksDB has found its
/// memory full: the log, whose records have whole values, puts all of them there again.
pub(super) fn checkpoint(
    database: &DB,
    table: &Memtable,
    (commits, salt): (u64, u64),
) -> Result<(), Error> {
    let mut batch = WriteBatch::default();
    for space in Space::ALL {
        let family = family(database, space);
        table.chunks(space, BATCH_ROWS, |chunk| {
            for (key, value) in chunk {
                match value {
                    Some(value) => batch.put_cf(family, key, value),
                    None => batch.delete_cf(family, key),
                }
            }
            if batch.size_in_bytes() < BATCH_BYTES {
                return Ok(());
            }
            database.write_opt(std::mem::take(&mut batch), &unlogged())
        })?;
    }
    batch.put(COMMITS, meta::commits(commits));
    batch.put(SALT, meta::commits(salt));
    database.write_opt(batch, &unlogged())?;
    flush(database)
}

fn unlogged() -> WriteOptions {
    let mut how = WriteOptions::default();
    how.disable_wal(true);
    how
}

/// Writes what is in RocksDB's memory into table files: when it returns, the database has it
/// durably, all spaces up to the same write.
fn flush(database: &DB) -> Result<(), Error> {
    let names = Space::ALL.map(name_of).into_iter().chain(["default"]);
    let families: Vec<_> = names.filter_map(|name| database.cf_handle(name)).collect();
    database.flush_cfs_opt(&families, &FlushOptions::default())
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
