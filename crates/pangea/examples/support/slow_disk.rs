//! A directory whose database takes a while for each read, as a disk across a network does.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use pangea::storage::Directory;
use pangea::storage::redb::Medium;
use redb::{BackendError, StorageBackend};

/// See the module. Writes and syncs take what they take.
#[derive(Debug)]
pub(crate) struct SlowDisk {
    pub(crate) inner: Directory,
    /// What a read takes beside what it takes.
    pub(crate) read_us: Arc<AtomicU64>,
}

impl Medium for SlowDisk {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let inner = Medium::open(&self.inner)?;
        Ok(Box::new(SlowFile { inner, read_us: Arc::clone(&self.read_us) }))
    }
    fn open_read_only(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.inner.open_read_only()
    }
    fn open_log(&self, which: usize) -> io::Result<Box<dyn StorageBackend>> {
        self.inner.open_log(which)
    }
    fn read_log(&self, which: usize) -> io::Result<Option<Box<dyn StorageBackend>>> {
        self.inner.read_log(which)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        Medium::free_bytes(&self.inner)
    }
    fn name(&self) -> String {
        Medium::name(&self.inner)
    }
    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        Medium::note(&self.inner)
    }
    fn set_note(&self, bytes: &[u8]) -> io::Result<()> {
        Medium::set_note(&self.inner, bytes)
    }
}

#[derive(Debug)]
struct SlowFile {
    inner: Box<dyn StorageBackend>,
    read_us: Arc<AtomicU64>,
}

impl StorageBackend for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        thread::sleep(Duration::from_micros(self.read_us.load(Relaxed)));
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}
