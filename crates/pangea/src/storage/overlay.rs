//! A backend that reads a file and keeps every change to itself.
//!
//! An engine that has to write in order to open (to repair, to mark itself open) is opened through
//! this when its disk takes no writes: reads go on, and nothing reaches the file.

use std::collections::BTreeMap;
use std::io;
use std::sync::{RwLock, RwLockReadGuard};

use redb::StorageBackend;

/// Bytes of one overlaid page; the file's own page size, so that a page written is one page here.
const PAGE_BYTES: usize = 4096;

/// See the module.
#[derive(Debug)]
pub struct Overlay {
    base: Box<dyn StorageBackend>,
    changes: RwLock<Changes>,
}

#[derive(Debug)]
struct Changes {
    /// Bytes of the base that still count: shrinking forgets the rest for good.
    base_len: u64,
    len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Overlay {
    /// A view of `base`, of which only length and bytes are asked.
    ///
    /// # Errors
    ///
    /// The base does not tell its length.
    pub fn new(base: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = base.len()?;
        let changes = RwLock::new(Changes { base_len: len, len, pages: BTreeMap::new() });
        Ok(Self { base, changes })
    }

    fn changes(&self) -> RwLockReadGuard<'_, Changes> {
        self.changes.read().expect("no holder panics")
    }

    /// The base's part of a page, zeros beyond its end.
    fn load(&self, base_len: u64, page: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let mut bytes = Box::new([0; PAGE_BYTES]);
        self.read_base(base_len, page * PAGE_BYTES as u64, bytes.as_mut_slice())?;
        Ok(bytes)
    }

    fn read_base(&self, base_len: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(base_len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (read, zero) = out.split_at_mut(there.min(out.len()));
        zero.fill(0);
        if read.is_empty() { Ok(()) } else { self.base.read(offset, read) }
    }
}

/// The parts of `offset..offset + len` by page: page, start within it, place in the buffer.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = usize::try_from(at % PAGE_BYTES as u64).expect("less than a page");
        let count = (PAGE_BYTES - start).min(len - done);
        let part = (at / PAGE_BYTES as u64, start, done..done + count);
        done += count;
        (count > 0).then_some(part)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        if offset.saturating_add(out.len() as u64) > changes.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_base(changes.base_len, offset, out)?;
        let first = offset / PAGE_BYTES as u64;
        let last = (offset + out.len() as u64).div_ceil(PAGE_BYTES as u64);
        if changes.pages.range(first..last).next().is_none() {
            return Ok(());
        }
        for (page, start, range) in parts(offset, out.len()) {
            if let Some(bytes) = changes.pages.get(&page) {
                let end = start + range.len();
                out[range].copy_from_slice(&bytes[start..end]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = self.changes.write().expect("no holder panics");
        if len < changes.len {
            changes.base_len = changes.base_len.min(len);
            changes.pages.split_off(&len.div_ceil(PAGE_BYTES as u64));
            let start = usize::try_from(len % PAGE_BYTES as u64).expect("less than a page");
            if let Some(last) = changes.pages.get_mut(&(len / PAGE_BYTES as u64)) {
                last[start..].fill(0);
            }
        }
        changes.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes.write().expect("no holder panics");
        for (page, start, range) in parts(offset, data.len()) {
            if !changes.pages.contains_key(&page) {
                let bytes = self.load(changes.base_len, page)?;
                changes.pages.insert(page, bytes);
            }
            if let Some(bytes) = changes.pages.get_mut(&page) {
                bytes[start..start + range.len()].copy_from_slice(&data[range]);
            }
        }
        changes.len = changes.len.max(offset + data.len() as u64);
        Ok(())
    }
}
