//! Where a database lives, and the seam between redb and that place.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::wal;
use crate::storage::Directory;

/// Name of the file in its directory.
pub(in crate::storage) const FILE_NAME: &str = "region.redb";
/// Names of the files of its write-ahead log.
const LOG_NAMES: [&str; wal::FILES] = ["region.wal-0", "region.wal-1"];
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
    /// Syncs are begun, and not waited for.
    late: AtomicBool,
    header: Mutex<Header>,
    syncing: Mutex<Option<Syncing>>,
}

#[derive(Debug)]
struct Header {
    written: [u8; HEADER_BYTES],
    synced: Option<[u8; HEADER_BYTES]>,
}

/// A sync that has begun.
#[derive(Debug)]
struct Syncing {
    /// What it makes durable.
    header: [u8; HEADER_BYTES],
    by: SyncedBy,
}

#[derive(Debug)]
enum SyncedBy {
    Thread(JoinHandle<io::Result<()>>),
    /// Whoever waits for it.
    Waiter(Arc<dyn StorageBackend>),
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

    /// Whether syncs from now on are only begun. What they cover is durable once [`Shadow::settle`]
    /// says so; until then nothing else is written, so that the state before stays whole.
    pub(super) fn set_late(&self, late: bool) {
        self.late.store(late, Ordering::SeqCst);
    }

    /// Waits for a sync that has begun.
    ///
    /// # Errors
    ///
    /// It has failed, or something before it: nothing is let through any more.
    pub(super) fn settle(&self) -> io::Result<()> {
        // Held until it is over: whoever comes meanwhile has to wait as well.
        let mut syncing = self.syncing.lock().expect("no holder panics");
        let Some(Syncing { header, by }) = syncing.take() else { return self.check() };
        let outcome = match by {
            SyncedBy::Thread(thread) => thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has panicked"))),
            SyncedBy::Waiter(file) => file.sync_data(),
        };
        match &outcome {
            Ok(()) => self.header.lock().expect("no holder panics").synced = Some(header),
            Err(_) => self.fuse(),
        }
        outcome
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
    inner: Arc<dyn StorageBackend>,
    shadow: Arc<Shadow>,
    /// Whether late syncs have a thread, or are made by whoever waits for them.
    in_background: bool,
}

impl Seam {
    pub(super) fn new(
        inner: Box<dyn StorageBackend>,
        in_background: bool,
    ) -> io::Result<(Self, Arc<Shadow>)> {
        let mut written = [0; HEADER_BYTES];
        let mut synced = None;
        if inner.len()? >= HEADER_BYTES as u64 {
            inner.read(0, &mut written)?;
            synced = Some(written);
        }
        let shadow = Arc::new(Shadow {
            fused: AtomicBool::new(false),
            late: AtomicBool::new(false),
            header: Mutex::new(Header { written, synced }),
            syncing: Mutex::new(None),
        });
        Ok((Self { inner: inner.into(), shadow: Arc::clone(&shadow), in_background }, shadow))
    }

    fn begin_sync(&self, header: [u8; HEADER_BYTES]) -> io::Result<()> {
        let file = Arc::clone(&self.inner);
        let by = if self.in_background {
            let thread = thread::Builder::new().name("checkpoint".to_owned());
            SyncedBy::Thread(thread.spawn(move || file.sync_data())?)
        } else {
            SyncedBy::Waiter(file)
        };
        *self.shadow.syncing.lock().expect("no holder panics") = Some(Syncing { header, by });
        Ok(())
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
        // The state before may have pages where the file is cut; growing does it no harm.
        if self.inner.len()? > len {
            self.shadow.settle()?;
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.shadow.settle()?;
        let written = self.shadow.header.lock().expect("no holder panics").written;
        if self.shadow.late.load(Ordering::SeqCst) {
            return self.begin_sync(written);
        }
        self.inner.sync_data()?;
        self.shadow.header.lock().expect("no holder panics").synced = Some(written);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.shadow.settle()?;
        self.inner.write(offset, data)?;
        if let Some(start) = usize::try_from(offset).ok().filter(|&start| start < HEADER_BYTES) {
            let count = data.len().min(HEADER_BYTES - start);
            let mut header = self.shadow.header.lock().expect("no holder panics");
            header.written[start..start + count].copy_from_slice(&data[..count]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        let settled = self.shadow.settle();
        self.inner.close()?;
        settled
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
