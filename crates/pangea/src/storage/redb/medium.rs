//! Where a database lives, and the seam between redb and that place.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::storage::{Directory, wal};

/// Name of the file in its directory.
pub(in crate::storage) const FILE_NAME: &str = "region.redb";
/// Names of the files of its write-ahead log.
pub(in crate::storage) const LOG_NAMES: [&str; wal::FILES] = ["region.wal-0", "region.wal-1"];
/// Bytes at the file's start that hold its header (redb 4: 320), generously.
pub(super) const HEADER_BYTES: usize = 512;

/// A place for one database file; tests put their own faults behind it.
pub trait Medium: fmt::Debug + Send + Sync + 'static {
    /// Opens it for reading and writing, making it if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Opens it for reading; only its length and bytes will be asked.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not there.
    fn open_read_only(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Opens one of the two files of the write-ahead log for reading and writing, making it if it
    /// is not there.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn open_log(&self, which: usize) -> io::Result<Box<dyn StorageBackend>>;

    /// Opens one of them for reading; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn read_log(&self, which: usize) -> io::Result<Option<Box<dyn StorageBackend>>>;

    /// Bytes that may still be written.
    ///
    /// # Errors
    ///
    /// The place does not tell.
    fn free_bytes(&self) -> io::Result<u64>;

    /// What people call it.
    fn name(&self) -> String;

    /// The note of what was acknowledged, kept beside the file; see [`Directory`].
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn note(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the note, without a sync.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn set_note(&self, bytes: &[u8]) -> io::Result<()>;
}

impl Medium for Directory {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        open_in(self, FILE_NAME)
    }

    fn open_read_only(&self) -> io::Result<Box<dyn StorageBackend>> {
        backend(File::open(self.join(FILE_NAME))?)
    }

    fn open_log(&self, which: usize) -> io::Result<Box<dyn StorageBackend>> {
        open_in(self, LOG_NAMES[which])
    }

    fn read_log(&self, which: usize) -> io::Result<Option<Box<dyn StorageBackend>>> {
        match File::open(self.join(LOG_NAMES[which])) {
            Ok(file) => backend(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Self::free_bytes(self)
    }

    fn name(&self) -> String {
        self.join(FILE_NAME).display().to_string()
    }

    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        Self::note(self)
    }

    fn set_note(&self, bytes: &[u8]) -> io::Result<()> {
        Self::set_note(self, bytes)
    }
}

fn open_in(directory: &Directory, name: &str) -> io::Result<Box<dyn StorageBackend>> {
    let path = directory.join(name);
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    if is_new {
        // A file without a synced directory entry may be gone after a power cut.
        directory.sync()?;
    }
    backend(file)
}

fn backend(file: File) -> io::Result<Box<dyn StorageBackend>> {
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Box::new(backend))
}

/// What is known of a file from the calls that went through the seam.
///
/// The header names the state that a reopened database shows. After a failed sync the file may
/// hold a newer header than the one that was last known to be on disk, and with it a commit that
/// nobody was told of; so the last synced header is kept, and put in front of the file when it is
/// read on.
#[derive(Debug)]
pub(super) struct Shadow {
    /// Nothing is let through any more.
    fused: AtomicBool,
    header: Mutex<Header>,
}

#[derive(Debug)]
struct Header {
    written: [u8; HEADER_BYTES],
    synced: Option<[u8; HEADER_BYTES]>,
}

impl Shadow {
    /// Lets no more change through, whatever redb does in its last moments.
    pub(super) fn fuse(&self) {
        self.fused.store(true, Ordering::SeqCst);
    }

    /// The header that was last known to be on disk; `None` before there was one.
    pub(super) fn synced_header(&self) -> Option<Box<[u8; HEADER_BYTES]>> {
        self.header.lock().expect("no holder panics").synced.map(Box::new)
    }

    fn check(&self) -> io::Result<()> {
        if self.fused.load(Ordering::SeqCst) {
            return Err(io::Error::other("the database is closed after a failure"));
        }
        Ok(())
    }
}

/// The seam: passes every call on, remembering the header.
#[derive(Debug)]
pub(super) struct Seam {
    inner: Box<dyn StorageBackend>,
    shadow: Arc<Shadow>,
}

impl Seam {
    pub(super) fn new(inner: Box<dyn StorageBackend>) -> io::Result<(Self, Arc<Shadow>)> {
        let mut written = [0; HEADER_BYTES];
        let mut synced = None;
        if inner.len()? >= HEADER_BYTES as u64 {
            inner.read(0, &mut written)?;
            synced = Some(written);
        }
        let header = Mutex::new(Header { written, synced });
        let shadow = Arc::new(Shadow { fused: AtomicBool::new(false), header });
        Ok((Self { inner, shadow: Arc::clone(&shadow) }, shadow))
    }
}

impl StorageBackend for Seam {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.shadow.check()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.shadow.check()?;
        let written = self.shadow.header.lock().expect("no holder panics").written;
        self.inner.sync_data()?;
        self.shadow.header.lock().expect("no holder panics").synced = Some(written);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.shadow.check()?;
        self.inner.write(offset, data)?;
        if let Some(start) = usize::try_from(offset).ok().filter(|&start| start < HEADER_BYTES) {
            let count = data.len().min(HEADER_BYTES - start);
            let mut header = self.shadow.header.lock().expect("no holder panics");
            header.written[start..start + count].copy_from_slice(&data[..count]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
