//! Power cuts, and every IO failing in its turn.
//!
//! The disk here is memory that remembers which writes no sync has covered. A power cut keeps a
//! random subset of those, each perhaps torn at a sector, whatever their order was.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard};

use pangea::storage::redb::{Medium, Options, Redb};
use pangea::storage::{Change, Engine, Fault, Space};
use redb::StorageBackend;

const SECTOR_BYTES: usize = 512;
const CUTS: u64 = 200;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Splitmix64: the same cuts in every run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }
}

#[derive(Clone, Debug)]
enum Unsynced {
    Write(u64, Vec<u8>),
    Resize(u64),
}

#[derive(Debug, Default)]
struct Disk {
    synced: Vec<u8>,
    current: Vec<u8>,
    changes: Vec<Unsynced>,
    /// Calls that may change the disk so far.
    calls: u64,
    /// The call from which on every such call fails.
    fail_from: Option<u64>,
    read_only: bool,
    full: bool,
}

/// See the file. Clones are handles on the same disk.
#[derive(Clone, Debug, Default)]
struct PowerCut(Arc<Mutex<Disk>>);

impl PowerCut {
    fn holding(bytes: Vec<u8>) -> Self {
        let disk = Disk { synced: bytes.clone(), current: bytes, ..Disk::default() };
        Self(Arc::new(Mutex::new(disk)))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("no holder panics")
    }

    fn changing(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk();
        disk.calls += 1;
        if disk.fail_from.is_some_and(|from| disk.calls > from) {
            return Err(io::Error::other("injected"));
        }
        Ok(disk)
    }

    /// What is on the disk when the power comes back.
    fn cut(&self, random: &mut Random) -> Self {
        let disk = self.disk();
        let mut bytes = disk.synced.clone();
        let mut len = bytes.len() as u64;
        let mut writes = Vec::new();
        for change in &disk.changes {
            if random.next().is_multiple_of(3) {
                continue;
            }
            match change {
                Unsynced::Resize(to) => len = *to,
                Unsynced::Write(offset, data) => {
                    len = len.max(offset + data.len() as u64);
                    writes.extend(torn(*offset, data, random));
                }
            }
        }
        for at in (1..writes.len()).rev() {
            writes.swap(at, random.below(at + 1));
        }
        let len = usize::try_from(len).expect("a small file");
        bytes.resize(len, 0);
        for (offset, data) in writes {
            let start = usize::try_from(offset).expect("a small file").min(len);
            let end = (start + data.len()).min(len);
            bytes[start..end].copy_from_slice(&data[..end - start]);
        }
        Self::holding(bytes)
    }
}

/// A write whole, or only some of its sectors.
fn torn(offset: u64, data: &[u8], random: &mut Random) -> Vec<(u64, Vec<u8>)> {
    if !random.next().is_multiple_of(4) {
        return vec![(offset, data.to_vec())];
    }
    let sectors = data.chunks(SECTOR_BYTES).enumerate();
    let kept = sectors.filter(|_| random.next().is_multiple_of(2));
    kept.map(|(at, sector)| (offset + (at * SECTOR_BYTES) as u64, sector.to_vec())).collect()
}

#[derive(Debug)]
struct Handle(PowerCut);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.disk().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.disk();
        let start = usize::try_from(offset).expect("a small file");
        let bytes = disk.current.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.0.changing()?;
        disk.current.resize(usize::try_from(len).expect("a small file"), 0);
        disk.changes.push(Unsynced::Resize(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.changing()?;
        disk.synced = disk.current.clone();
        disk.changes.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.0.changing()?;
        let start = usize::try_from(offset).expect("a small file");
        let end = start + data.len();
        if disk.current.len() < end {
            disk.current.resize(end, 0);
        }
        disk.current[start..end].copy_from_slice(data);
        disk.changes.push(Unsynced::Write(offset, data.to_vec()));
        Ok(())
    }
}

impl Medium for PowerCut {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        if self.disk().read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(Box::new(Handle(self.clone())))
    }

    fn open_read_only(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(Handle(self.clone())))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(if self.disk().full { 1 << 20 } else { 1 << 40 })
    }
}

fn open(disk: &PowerCut, quick_repair: bool) -> Result<Redb, Fault> {
    let options = Options { cache_bytes: 1 << 20, quick_repair, ..Options::default() };
    Redb::open(Arc::new(disk.clone()), options)
}

/// The rows of a commit: some new, some over old ones, some removed, one of several pages.
fn random_ops(random: &mut Random) -> Vec<Change> {
    let mut rows = BTreeMap::new();
    for _ in 0..=random.below(12) {
        let key = random.below(80).to_be_bytes().to_vec();
        let len = if random.below(9) == 0 { 20_000 } else { random.below(700) };
        let value = (random.below(4) > 0).then(|| vec![random.next() as u8; len]);
        rows.insert(key, value);
    }
    rows.into_iter().map(|(key, value)| (Space::Items, key, value)).collect()
}

fn apply(rows: &mut Rows, ops: &[Change]) {
    for (_, key, value) in ops {
        match value {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

fn rows(engine: &Redb) -> Rows {
    let mut rows = Rows::new();
    let view = engine.view().expect("reads go on");
    let all = (Bound::Unbounded, Bound::Unbounded);
    let visited = view.scan(Space::Items, all, false, &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    });
    visited.expect("reads go on");
    rows
}

#[test]
fn a_power_cut_loses_nothing_acknowledged_and_tears_nothing() {
    let mut in_flight_kept = 0;
    for seed in 0..CUTS {
        in_flight_kept += u32::from(survive_one_cut(seed));
    }
    // Both outcomes of a commit in flight were met: the cuts were neither too early nor too late.
    assert!(in_flight_kept > 0 && u64::from(in_flight_kept) < CUTS, "{in_flight_kept}");
}

/// Whether a commit in flight, if there was one, was found whole.
fn survive_one_cut(seed: u64) -> bool {
    let mut random = Random(seed);
    let (disk, quick_repair) = (PowerCut::default(), seed.is_multiple_of(2));
    let engine = open(&disk, quick_repair).expect("an empty disk opens");
    let mut acknowledged = Rows::new();
    for _ in 0..random.below(25) {
        let ops = random_ops(&mut random);
        engine.commit(&ops).expect("no fault yet");
        apply(&mut acknowledged, &ops);
    }
    let ops = random_ops(&mut random);
    let mut attempted = acknowledged.clone();
    apply(&mut attempted, &ops);
    let until = disk.disk().calls + random.next() % 14;
    disk.disk().fail_from = Some(until);
    if engine.commit(&ops).is_ok() {
        acknowledged = attempted.clone();
    }
    assert_eq!(rows(&engine), acknowledged, "seed {seed}: reads of the process that lives");
    let found = reopened_after(&disk, quick_repair, &mut random, seed);
    assert!(found == acknowledged || found == attempted, "seed {seed}");
    found == attempted && attempted != acknowledged
}

/// Cuts, opens, cuts again while it is open, and opens once more: recovery is crash-safe too.
fn reopened_after(disk: &PowerCut, quick_repair: bool, random: &mut Random, seed: u64) -> Rows {
    let after = disk.cut(random);
    let engine =
        open(&after, quick_repair).unwrap_or_else(|fault| panic!("seed {seed}: {fault:?}"));
    let found = rows(&engine);
    let again = after.cut(random);
    let engine =
        open(&again, quick_repair).unwrap_or_else(|fault| panic!("seed {seed}: {fault:?}"));
    assert_eq!(rows(&engine), found, "seed {seed}: opening changed what is there");
    engine.commit(&random_ops(random)).expect("a recovered disk takes commits");
    found
}

#[test]
fn every_io_fails_in_its_turn_and_reads_go_on() {
    let mut failures = 0;
    for call in 0.. {
        let (disk, mut random) = (PowerCut::default(), Random(call));
        let engine = open(&disk, call.is_multiple_of(2)).expect("an empty disk opens");
        let mut acknowledged = Rows::new();
        for _ in 0..3 {
            let ops = random_ops(&mut random);
            engine.commit(&ops).expect("no fault yet");
            apply(&mut acknowledged, &ops);
        }
        let before = engine.view().expect("no fault yet");
        let until = disk.disk().calls + call;
        disk.disk().fail_from = Some(until);
        let ops = random_ops(&mut random);
        let Err(fault) = engine.commit(&ops) else { break };
        failures += 1;
        assert!(matches!(fault, Fault::Write(_)) && !fault.nothing_written());
        drop(before);
        check_poisoned(&engine, &disk, &acknowledged, &ops);
    }
    assert!(failures > 5, "{failures} calls of a commit failed");
}

fn check_poisoned(engine: &Redb, disk: &PowerCut, acknowledged: &Rows, ops: &[Change]) {
    disk.disk().fail_from = None;
    let image = disk.disk().current.clone();
    assert!(matches!(engine.commit(ops), Err(Fault::ReadOnly(_))));
    assert!(matches!(engine.health(), Err(Fault::ReadOnly(_))));
    assert_eq!(rows(engine), *acknowledged);
    assert!(disk.disk().current == image, "a poisoned engine wrote");
    let reopened = open(disk, true).expect("the disk is sound again");
    let found = rows(&reopened);
    let mut attempted = acknowledged.clone();
    apply(&mut attempted, ops);
    assert!(found == *acknowledged || found == attempted);
}

#[test]
fn a_read_only_disk_serves_what_it_has() {
    for clean in [true, false] {
        let (disk, mut random, mut expected) = (PowerCut::default(), Random(5), Rows::new());
        let engine = open(&disk, false).expect("an empty disk opens");
        let ops = random_ops(&mut random);
        engine.commit(&ops).expect("no fault yet");
        apply(&mut expected, &ops);
        let disk = if clean {
            drop(engine);
            disk
        } else {
            disk.cut(&mut random)
        };
        disk.disk().read_only = true;
        let image = disk.disk().current.clone();
        let engine = open(&disk, false).expect("readable");
        assert_eq!(rows(&engine), expected);
        assert!(matches!(engine.commit(&ops), Err(Fault::ReadOnly(_))));
        drop(engine);
        assert!(disk.disk().current == image, "a read-only disk was written");
    }
    let empty = PowerCut::default();
    empty.disk().read_only = true;
    assert!(matches!(open(&empty, false), Err(Fault::Read(_))));
}

#[test]
fn a_full_disk_refuses_and_takes_commits_again_when_there_is_room() {
    let (disk, mut random) = (PowerCut::default(), Random(6));
    let engine = open(&disk, false).expect("an empty disk opens");
    disk.disk().full = true;
    let ops = random_ops(&mut random);
    assert!(matches!(engine.commit(&ops), Err(Fault::DiskFull { .. })));
    assert!(engine.health().is_err_and(|fault| fault.is_passing()));
    assert_eq!(rows(&engine), Rows::new());
    disk.disk().full = false;
    engine.commit(&ops).expect("there is room again");
}
