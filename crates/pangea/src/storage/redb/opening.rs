//! Opening a database: in earnest, or only to be read.

use std::io;
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, StorageBackend, StorageError};

use super::Options;
use super::commits::{Marks, checkpoint};
use super::medium::{HEADER_BYTES, Medium, Seam, Shadow};
use crate::storage::Fault;
use crate::storage::directory::{Acknowledged, REMEDY};
use crate::storage::memtable::Memtable;
use crate::storage::overlay::Overlay;
use crate::storage::wal::{self, Pending, Wal};

/// The file's first bytes, where they are known.
pub(super) type Header = Option<Box<[u8; HEADER_BYTES]>>;

/// A database, and what its log has beyond it.
pub(super) struct Opened {
    pub(super) database: Database,
    /// Empty if the database is written.
    pub(super) table: Memtable,
    /// What is known of the file; `None` if it is not written.
    pub(super) shadow: Option<Arc<Shadow>>,
    pub(super) header: Header,
    /// The commits that there are.
    pub(super) acknowledged: Acknowledged,
    /// `None` if it is not written.
    pub(super) log: Option<Wal>,
}

/// Why a database is not opened.
pub(super) enum Failure {
    Redb(redb::Error),
    Fault(Fault),
}

impl Failure {
    /// What people are told of it.
    pub(super) fn into_fault(self, file: &str) -> Fault {
        match self {
            Self::Redb(redb::Error::Corrupted(why)) => damaged(file, &why),
            // Its first bytes are not those of a database.
            Self::Redb(redb::Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                damaged(file, &error.to_string())
            }
            Self::Redb(error) => Fault::Read(format!("{file}: {error}")),
            Self::Fault(fault) => fault,
        }
    }

    /// Whether it is one of a disk that can be read but not written.
    pub(super) fn takes_no_writes(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::Redb(redb::Error::Io(error)) => matches!(
                error.kind(),
                ReadOnlyFilesystem | StorageFull | QuotaExceeded | PermissionDenied
            ),
            _ => false,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        Self::Redb(error)
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Redb(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Redb(redb::Error::Io(error))
    }
}

/// Opens a database for reading and writing.
///
/// # Errors
/// Why not, and what the file's header was when it was last known to be on disk.
pub(super) fn open_writable(
    medium: &dyn Medium,
    options: Options,
) -> Result<Opened, (Failure, Header)> {
    let (seam, shadow) = open_seam(medium).map_err(|error| (error.into(), None))?;
    let open = || {
        let database = builder(options, "repairing after a crash").create_with_backend(seam)?;
        let (mut table, acknowledged, marks) = catch_up(medium, &database)?;
        let salt = marks.salt.unwrap_or_else(|| wal::draw_salt(&medium.name()));
        if marks.salt.is_none() || !table.is_empty() {
            let (marks, ahead) = ((acknowledged.number(), salt), options.ahead());
            checkpoint(&database, &table, &[], marks, options, ahead.as_deref())?;
            table = Memtable::default();
        }
        let log = Some(Wal::new([medium.open_log(0)?, medium.open_log(1)?], salt));
        Ok(Opened { database, table, shadow: None, header: None, acknowledged, log })
    };
    match open() {
        Ok(opened) => Ok(Opened { shadow: Some(shadow), ..opened }),
        Err(failure) => Err((failure, shadow.synced_header())),
    }
}

/// Opens a database to be read, and what its log has.
///
/// # Errors
/// It cannot be read.
pub(super) fn open_for_reading(
    medium: &dyn Medium,
    header: &Header,
    options: Options,
) -> Result<Opened, Failure> {
    let database = open_at(medium, header, options)?;
    let (table, acknowledged, _) = catch_up(medium, &database)?;
    Ok(Opened { database, table, shadow: None, header: None, acknowledged, log: None })
}

/// Opens a database to be read, as it was when it had a header.
///
/// # Errors
/// See redb.
pub(super) fn open_at(
    medium: &dyn Medium,
    header: &Header,
    options: Options,
) -> Result<Database, DatabaseError> {
    let at_start = header.as_ref().map(|header| (0, &header[..]));
    open_overlay(medium, at_start, (options, "reading a file that takes no writes"))
}

/// What the log has and the database lacks; the commits that there are then, and what the database
/// says of itself.
fn catch_up(
    medium: &dyn Medium,
    database: &Database,
) -> Result<(Memtable, Acknowledged, Marks), Failure> {
    let marks = Marks::read(database)?;
    let (name, files) = (medium.name(), [medium.read_log(0), medium.read_log(1)]);
    let pending = Pending::read(files, &name, marks.salt, marks.commits)?;
    // Before anything is changed: what is refused stays as it was found.
    let acknowledged = Acknowledged::check(medium.note(), pending.reached, &name)?;
    if !pending.is_empty() {
        tracing::info!(commits = pending.reached - marks.commits, "reading what the log has");
    }
    Ok((pending.table(&name)?, acknowledged, marks))
}

/// Opens the file, where nothing was ever written as if it were new.
fn open_seam(medium: &dyn Medium) -> io::Result<(Seam, Arc<Shadow>)> {
    let file = medium.open()?;
    forget_unfinished(medium, &*file)?;
    Seam::new(file)
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

/// Opens the file without its log and without ever writing it, with other bytes at a place if they
/// are given. The operator is told why, where redb reads all of it.
///
/// # Errors
/// See redb.
pub(super) fn open_overlay(
    medium: &dyn Medium,
    instead: Option<(u64, &[u8])>,
    (options, why): (Options, &'static str),
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
    builder(options, why).create_with_backend(overlay)
}

fn builder(options: Options, why: &'static str) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    builder.set_repair_callback(move |session| {
        tracing::info!(progress = session.progress(), "{why}");
    });
    builder
}

/// What a failed read of the file means.
pub(super) fn read_fault(file: &str, error: &StorageError) -> Fault {
    match error {
        StorageError::Corrupted(why) => Fault::Damaged { file: file.to_owned(), why: why.clone() },
        other => Fault::Read(format!("{file}: {other}")),
    }
}

/// A file that is not believed.
pub(super) fn damaged(file: &str, why: &str) -> Fault {
    Fault::Damaged { file: file.to_owned(), why: format!("{why}; {REMEDY}") }
}
