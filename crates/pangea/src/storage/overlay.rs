//! A redb backend that reads a file and writes to memory.
//!
//! redb refuses everything, reads included, after an IO error, and recovers by writing when it is
//! opened. Over this backend it can do both while the file below stays as it is: so a region whose
//! disk is full or read-only goes on serving what was durable.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

const PAGE: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    file_len: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// Over the file at `path`, opened for reading alone.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_len = file.metadata()?.len();
        let state = Mutex::new(State { len: file_len, pages: BTreeMap::new() });
        Ok(Self { file, file_len, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page as the file has it, zeros beyond its end.
    fn page(&self, page: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(PAGE).unwrap_or(4096)];
        let start = page * PAGE;
        let there = self.file_len.saturating_sub(start).min(PAGE);
        let there = usize::try_from(there).unwrap_or(0);
        self.file.read_exact_at(&mut bytes[..there], start)?;
        Ok(bytes)
    }
}

/// The pieces of `[offset, offset + len)`: page, start inside it, range of the buffer.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= len {
            return None;
        }
        let at = offset + done as u64;
        let start = usize::try_from(at % PAGE).unwrap_or(0);
        let count = (usize::try_from(PAGE).unwrap_or(4096) - start).min(len - done);
        let piece = (at / PAGE, start, done..done + count);
        done += count;
        Some(piece)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset + out.len() as u64 > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (page, start, range) in pieces(offset, out.len()) {
            let count = range.len();
            match state.pages.get(&page) {
                Some(bytes) => out[range].copy_from_slice(&bytes[start..start + count]),
                None => out[range].copy_from_slice(&self.page(page)?[start..start + count]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.len = len;
        state.pages.split_off(&len.div_ceil(PAGE));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        for (page, start, range) in pieces(offset, data.len()) {
            let count = range.len();
            let bytes = match state.pages.entry(page) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(self.page(page)?),
            };
            bytes[start..start + count].copy_from_slice(&data[range]);
        }
        Ok(())
    }
}
