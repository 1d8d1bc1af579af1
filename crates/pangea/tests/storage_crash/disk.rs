//! A disk in memory that remembers every call: which writes no sync has covered, and what was there
//! when. A power cut keeps a random subset of the former, each perhaps torn at a sector, whatever
//! their order was.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use pangea::storage::Fault;
use pangea::storage::conformance::{FailingDisk, Random, RecordedDisk};
use pangea::storage::redb::{Medium, Options, Redb};
use redb::StorageBackend;

const SECTOR_BYTES: usize = 512;
/// Of the log before a checkpoint: one every few commits.
const LOG_BYTES: u64 = 12 << 10;
/// Of a commit that goes into the database at once: some do.
pub(crate) const LONG_BYTES: u64 = 8 << 10;

/// Which of the files: the database, or one of the two of its write-ahead log.
type Which = usize;

/// A call, as far as it changes the disk.
#[derive(Clone, Debug)]
enum Call {
    Write(Which, u64, Vec<u8>),
    Resize(Which, u64),
    Sync(Which),
    Note(Vec<u8>),
    /// A read, or a call that failed.
    Nothing,
}

/// What there is of the files and the note beside them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) files: [Vec<u8>; 3],
    pub(crate) note: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// What was there before the first call.
    base: Image,
    pub(crate) current: Image,
    calls: Vec<Call>,
    failing: Range<u64>,
    pub(crate) read_only: bool,
    pub(crate) full: bool,
}

/// See the file. Clones are handles on the same disk; `QUICK` is redb's quick repair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk<const QUICK: bool>(Arc<Mutex<State>>);

impl<const QUICK: bool> Disk<QUICK> {
    pub(crate) fn holding(image: Image) -> Self {
        let state = State { base: image.clone(), current: image, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder panics")
    }

    /// Makes a call, unless it is one that fails.
    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let fails = state.failing.contains(&(state.calls.len() as u64));
        state.calls.push(if fails { Call::Nothing } else { call });
        if fails { Err(io::Error::other("injected")) } else { Ok(state) }
    }
}

impl State {
    /// What a power cut before call `at` leaves.
    fn cut(&self, at: usize, random: &mut Random) -> Image {
        let done = &self.calls[..at.min(self.calls.len())];
        let mut files = self.base.files.clone();
        for (which, file) in files.iter_mut().enumerate() {
            let is_sync = |call: &Call| matches!(call, Call::Sync(file) if *file == which);
            let covered = done.iter().rposition(is_sync).unwrap_or(0);
            for call in &done[..covered] {
                apply(file, which, call);
            }
            *file = survive(std::mem::take(file), which, &done[covered..], random);
        }
        // The note is never synced: it may be any that was written, if not none.
        let noted = done.iter().filter_map(|call| match call {
            Call::Note(note) => Some(Some(note.clone())),
            _ => None,
        });
        let notes: Vec<_> = std::iter::once(self.base.note.clone()).chain(noted).collect();
        let newest = notes.len() - 1;
        let back = usize::try_from(random.below(4)).expect("small");
        Image { files, note: notes[newest.saturating_sub(back)].clone() }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a small file")
}

fn apply(bytes: &mut Vec<u8>, which: Which, call: &Call) {
    match call {
        Call::Resize(file, len) if *file == which => bytes.resize(index(*len), 0),
        Call::Write(file, offset, data) if *file == which => {
            let end = index(*offset) + data.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[index(*offset)..end].copy_from_slice(data);
        }
        _ => {}
    }
}

/// Some of the writes to a file that no sync has covered, in any order.
fn survive(mut bytes: Vec<u8>, which: Which, unsynced: &[Call], random: &mut Random) -> Vec<u8> {
    let mut len = bytes.len() as u64;
    let mut writes = Vec::new();
    for call in unsynced {
        if random.below(3) == 0 {
            continue;
        }
        match call {
            Call::Resize(file, to) if *file == which => len = *to,
            Call::Write(file, offset, data) if *file == which => {
                len = len.max(offset + data.len() as u64);
                writes.extend(torn(*offset, data, random));
            }
            _ => {}
        }
    }
    for at in (1..writes.len()).rev() {
        writes.swap(at, index(random.below(at as u64 + 1)));
    }
    let len = index(len);
    bytes.resize(len, 0);
    for (offset, data) in writes {
        let start = index(offset).min(len);
        let end = (start + data.len()).min(len);
        bytes[start..end].copy_from_slice(&data[..end - start]);
    }
    bytes
}

/// A write whole, or only some of its sectors.
fn torn(offset: u64, data: &[u8], random: &mut Random) -> Vec<(u64, Vec<u8>)> {
    if random.below(4) > 0 {
        return vec![(offset, data.to_vec())];
    }
    let sectors = data.chunks(SECTOR_BYTES).enumerate();
    let kept = sectors.filter(|_| random.below(2) == 0);
    kept.map(|(at, sector)| (offset + (at * SECTOR_BYTES) as u64, sector.to_vec())).collect()
}

#[derive(Debug)]
struct Handle<const QUICK: bool>(Disk<QUICK>, Which);

impl<const QUICK: bool> StorageBackend for Handle<QUICK> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state().current.files[self.1].len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.call(Call::Nothing)?;
        let bytes = state.current.files[self.1].get(index(offset)..index(offset) + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let call = Call::Resize(self.1, len);
        apply(&mut self.0.call(call.clone())?.current.files[self.1], self.1, &call);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.call(Call::Sync(self.1)).map(drop)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let call = Call::Write(self.1, offset, data.to_vec());
        apply(&mut self.0.call(call.clone())?.current.files[self.1], self.1, &call);
        Ok(())
    }
}

impl<const QUICK: bool> Medium for Disk<QUICK> {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        if self.state().read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(Box::new(Handle(self.clone(), 0)))
    }

    fn open_read_only(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(Handle(self.clone(), 0)))
    }

    fn open_log(&self, which: usize) -> io::Result<Box<dyn StorageBackend>> {
        drop(self.call(Call::Nothing)?);
        Ok(Box::new(Handle(self.clone(), 1 + which)))
    }

    fn read_log(&self, which: usize) -> io::Result<Option<Box<dyn StorageBackend>>> {
        self.open_log(which).map(Some)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(if self.state().full { 1 << 20 } else { 1 << 40 })
    }

    fn name(&self) -> String {
        "/disk/region.redb".to_owned()
    }

    fn note(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.call(Call::Nothing)?.current.note.clone())
    }

    fn set_note(&self, bytes: &[u8]) -> io::Result<()> {
        self.call(Call::Note(bytes.to_vec()))?.current.note = Some(bytes.to_vec());
        Ok(())
    }
}

impl<const QUICK: bool> FailingDisk for Disk<QUICK> {
    type Engine = Redb;

    fn new() -> Self {
        Self::default()
    }

    fn open(&self) -> Result<Redb, Fault> {
        let options = Options {
            cache_bytes: 1 << 20,
            quick_repair: QUICK,
            log_bytes: LOG_BYTES,
            long_bytes: LONG_BYTES,
            checkpoint_in_background: false,
            ..Options::default()
        };
        Redb::open(Arc::new(self.clone()), options)
    }

    fn calls(&self) -> u64 {
        self.state().calls.len() as u64
    }

    fn fail(&self, calls: Range<u64>) {
        self.state().failing = calls;
    }

    fn cut(&self, seed: u64) -> Self {
        self.cut_at(self.calls(), seed)
    }
}

impl<const QUICK: bool> RecordedDisk for Disk<QUICK> {
    fn cut_at(&self, at: u64, seed: u64) -> Self {
        Self::holding(self.state().cut(index(at), &mut Random(seed ^ at.rotate_left(32))))
    }
}
