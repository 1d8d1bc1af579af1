//! What is in the database, and how rows get there.

use std::time::Instant;

use redb::{
    Database, Durability, ReadableDatabase as _, StorageError, Table, TableDefinition, TableError,
};

use super::Options;
use super::ahead::{self, Ahead};
use crate::storage::memtable::Memtable;
use crate::storage::{Change, Space};

/// Where the rows of a space are.
pub(super) fn table_of(space: Space) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(match space {
        Space::Items => "items",
        Space::Changelog => "changelog",
        Space::Meta => "meta",
    })
}

/// The number of the newest commit that redb has durably.
const COMMITS: TableDefinition<'static, (), u64> = TableDefinition::new("commits");
/// The salt of the records in the log.
const SALT: TableDefinition<'static, (), u64> = TableDefinition::new("salt");

/// What redb says of the commits that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// How many it has.
    pub(super) commits: u64,
    /// `None` in a file of a version that had no log.
    pub(super) salt: Option<u64>,
}

impl Marks {
    pub(super) fn read(database: &Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        let mark = |table| match transaction.open_table(table) {
            Ok(table) => Ok(table.get(())?.map(|mark| mark.value())),
            // Nothing was committed yet, or by a version that did not count.
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(redb::Error::from(error)),
        };
        Ok(Self { commits: mark(COMMITS)?.unwrap_or(0), salt: mark(SALT)? })
    }
}

type Rows<'t> = Table<'t, &'static [u8], &'static [u8]>;

fn put(rows: &mut Rows<'_>, key: &[u8], value: Option<&[u8]>) -> Result<(), StorageError> {
    match value {
        Some(value) => drop(rows.insert(key, value)?),
        None => drop(rows.remove(key)?),
    }
    Ok(())
}

/// Moves the rows of a table into the database, and `changes` that came after them. When it
/// returns, they are durable, and the database has all `commits`. Rows are read `ahead` where that
/// helps.
pub(super) fn checkpoint(
    database: &Database,
    table: &Memtable,
    changes: &[Change],
    (commits, salt): (u64, u64),
    options: Options,
    ahead: Option<&Ahead>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(options.quick_repair);
    for space in Space::ALL {
        let mut rows = transaction.open_table(table_of(space))?;
        table.chunks(space, ahead::ROWS, |chunk| {
            if let Some(ahead) = ahead {
                let keys: Vec<&[u8]> = chunk.iter().map(|(key, _)| *key).collect();
                ahead.read(database, space, &keys);
            }
            let began = Instant::now();
            chunk.iter().try_for_each(|(key, value)| put(&mut rows, key, *value))?;
            ahead.inspect(|ahead| ahead.changed(began.elapsed(), chunk.len()));
            Ok::<(), StorageError>(())
        })?;
        for (_, key, value) in changes.iter().filter(|change| change.0 == space) {
            put(&mut rows, key, value.as_deref())?;
        }
    }
    transaction.open_table(COMMITS)?.insert((), commits)?;
    transaction.open_table(SALT)?.insert((), salt)?;
    transaction.commit()?;
    Ok(())
}
