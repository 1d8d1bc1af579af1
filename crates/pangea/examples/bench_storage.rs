//! `cargo xtask bench storage`: durable commits and reads per second of the engine alone.
//!
//! Hypothesis (`engine.md`, 2 cores): one sync takes 150 to 300 us and a row some 30 us of B-tree,
//! so groups of 64 rows take about 2.5 ms: 20 000 commits/s or more; a get takes about 2 us.
//! `--quick-repair` measures the option that is off by default, `--engine rocksdb` the other
//! engine: a log-structured tree writes a row without looking for its place, so three times as
//! many. `--only slow` changes rows on a disk that takes 2 ms for a read.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pangea::storage::redb::{Options, Redb};
use pangea::storage::{Change, Engine as _, EngineKind, EngineOptions, GroupView, Space, Store};
use pangea_codec::disk::meta::Identity;
use pangea_core::catalog::Policy;
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
use pangea_core::merge::{Body, Origins, VersionVector, Write, overwrite};
use pangea_core::replica::{Batch, Entries, Snapshot};
use pangea_core::time::{Hlc, Stamp};
use support::slow_disk::SlowDisk;
use support::{Directory, figure, percentile};

const GROUP: u64 = 64;
const VALUE_BYTES: usize = 900;
const SECONDS: Duration = Duration::from_secs(4);
const TABLE: TableId = TableId(Stamp { hlc: Hlc::from_bits(99), origin: Origin::from_bits(1) });

struct Bench {
    store: Store,
    origin: Origin,
    next_ms: u64,
    seed: u64,
}

impl Bench {
    fn random(&mut self, bound: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % bound
    }

    /// One group as the writer makes it: reads, batches, one commit.
    fn group(&mut self, keys: u64) -> anyhow::Result<()> {
        let mut view = GroupView::new(self.store.snapshot()?);
        for _ in 0..GROUP {
            let key = key(self.random(keys));
            let stored = view.item(&key);
            self.next_ms += 1;
            let stamp = Stamp { hlc: Hlc::from_parts(self.next_ms, 0), origin: self.origin };
            let body = Body::live(item(&key));
            let write = Write { stamp, body, origins: Origins::PLAIN, context: None };
            let me = self.origin;
            let own_before = stored.as_ref().map_or(Hlc::ZERO, |stored| stored.seen.get(me));
            let (next, replaced) = overwrite(stored, &VersionVector::default(), write);
            let mut batch = Batch { last: Some(stamp.hlc), ..Batch::default() };
            batch.put(key, next, Entries { me, own_before, added: Some(stamp), replaced });
            view.push(batch);
        }
        view.check()?;
        self.store.write_group(view)?;
        Ok(())
    }

    fn commits(&mut self, keys: u64) -> anyhow::Result<()> {
        let mut times = Vec::new();
        let begin = Instant::now();
        while begin.elapsed() < SECONDS {
            let start = Instant::now();
            self.group(keys)?;
            times.push(u32::try_from(start.elapsed().as_micros())?);
        }
        let rate = (times.len() as u64 * GROUP) as f64 / begin.elapsed().as_secs_f64();
        let mut ms = |per_mille| f64::from(percentile(&mut times, per_mille)) / 1000.0;
        figure(&format!("durable commits, {keys} keys"), rate, "/s", "20 000");
        figure(&format!("group of {GROUP}, {keys} keys, p50"), ms(500), "ms", "2.5");
        figure(&format!("group of {GROUP}, {keys} keys, p99"), ms(990), "ms", "4");
        Ok(())
    }

    fn gets(&mut self, keys: u64) -> anyhow::Result<()> {
        let (mut count, mut found) = (0_u32, 0_u32);
        let begin = Instant::now();
        while begin.elapsed() < SECONDS / 2 {
            for _ in 0..256 {
                let key = key(self.random(keys));
                found += u32::from(self.store.snapshot()?.get_item(&key, &Policy::Lww)?.is_some());
                count += 1;
            }
        }
        let rate = f64::from(count) / begin.elapsed().as_secs_f64();
        // A key that no group has written yet is cheaper to miss than to read.
        let share = f64::from(found) / f64::from(count) * 100.0;
        let name = format!("gets, {keys} keys, one thread, {share:.0} % found");
        figure(&name, rate, "/s", "400 000");
        Ok(())
    }

    fn scan(&self) -> anyhow::Result<()> {
        let mut count = 0_u32;
        let begin = Instant::now();
        self.store.snapshot()?.scan((TABLE, &Policy::Lww), None, None, |_, _, _| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })?;
        let rate = f64::from(count) / begin.elapsed().as_secs_f64();
        figure("rows scanned", rate, "/s", "500 000");
        Ok(())
    }
}

fn key(number: u64) -> ItemKey {
    let partition = KeyValue::S(format!("customer-{number:08}"));
    ItemKey { table: TABLE, primary: PrimaryKey { partition, sort: None } }
}

fn item(key: &ItemKey) -> Attributes {
    [
        ("id".to_owned(), key.primary.partition.clone().into()),
        ("payload".to_owned(), AttributeValue::S("x".repeat(VALUE_BYTES))),
        ("count".to_owned(), AttributeValue::N(7.into())),
    ]
    .into()
}

/// What a sync of some pages costs by where they are: what a log would save.
fn pages(directory: &Path) -> anyhow::Result<()> {
    const PAGES: u64 = 80;
    const FILE_PAGES: u64 = 10_000;
    let file = std::fs::File::create(directory.join("pages"))?;
    let page = [1; 4096];
    (0..FILE_PAGES).try_for_each(|at| file.write_all_at(&page, at * 4096))?;
    file.sync_all()?;
    for (how, step, expected) in [("in a row", 1, "0.3"), ("in as many places", 7919, "0.8")] {
        let mut synced = Vec::new();
        for round in 0..200_u64 {
            for number in 0..PAGES {
                let at = (round * PAGES + number * step) % FILE_PAGES;
                file.write_all_at(&page, at * 4096)?;
            }
            let begin = Instant::now();
            file.sync_data()?;
            synced.push(u32::try_from(begin.elapsed().as_micros())?);
        }
        let median = f64::from(percentile(&mut synced, 500)) / 1000.0;
        figure(&format!("sync of {PAGES} pages {how}"), median, "ms", expected);
    }
    Ok(())
}

/// Rows that are changed on a disk that takes long for a read, and more than what is in memory. One
/// read after the other, and one for a row, would be `1 / READ`.
fn slow_disk() -> anyhow::Result<()> {
    const READ: Duration = Duration::from_millis(2);
    const ROWS: u64 = 150_000;
    const CACHE_BYTES: usize = 64 << 20;
    let directory = Directory::new("bench-storage-slow")?;
    let read_us = Arc::new(AtomicU64::new(0));
    let options = Options { cache_bytes: CACHE_BYTES, verify: false, ..Options::default() };
    let open = || -> anyhow::Result<Redb> {
        let inner = pangea::storage::Directory::take(directory.path())?;
        let disk = SlowDisk { inner, read_us: Arc::clone(&read_us) };
        Ok(Redb::open(Arc::new(disk), options)?)
    };
    let change = |number: u64, value: u8| -> Change {
        (Space::Items, format!("{number:08}").into_bytes(), Some(vec![value; VALUE_BYTES]))
    };
    let engine = open()?;
    for start in (0..ROWS).step_by(1000) {
        let rows: Vec<Change> = (start..start + 1000).map(|number| change(number, 1)).collect();
        engine.commit(&rows)?;
    }
    engine.close();
    drop(engine);
    let engine = open()?;
    read_us.store(u64::try_from(READ.as_micros())?, Relaxed);
    let (mut seed, mut count, begin) = (7_u64, 0_u32, Instant::now());
    while begin.elapsed() < 3 * SECONDS {
        let rows = (0..GROUP).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % ROWS
        });
        // A commit names a row once, in order.
        let rows: BTreeSet<u64> = rows.collect();
        let rows: Vec<Change> = rows.into_iter().map(|number| change(number, 2)).collect();
        count += u32::try_from(rows.len())?;
        engine.commit(&rows)?;
    }
    // What is in the log alone has cost no read yet.
    engine.close();
    let rate = f64::from(count) / begin.elapsed().as_secs_f64();
    let limit = 1.0 / READ.as_secs_f64();
    figure("rows changed on a disk of 2 ms a read", rate, "/s", "2 000");
    figure("rows changed there / one read at a time", rate / limit, "ratio", "4");
    Ok(())
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    if arguments.iter().any(|argument| argument == "slow") {
        return slow_disk();
    }
    let slot = RegionSlot::new(0).expect("a small slot");
    let (cluster, region) = ("bench".to_owned(), "here".to_owned());
    let identity = Identity { cluster, region, slot: slot.get(), incarnation: 1 };
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let quick_repair = has("--quick-repair");
    let kind = if has("rocksdb") { EngineKind::RocksDb } else { EngineKind::Redb };
    let directory = Directory::new("bench-storage")?;
    let path = directory.path();
    let open = |path: &Path| -> anyhow::Result<Store> {
        if quick_repair {
            let options = Options { quick_repair, ..Options::default() };
            let engine = Redb::open_directory(path, options)?;
            return Ok(Store::with_engine(engine, identity.clone())?.0);
        }
        let options = EngineOptions { kind, ..EngineOptions::default() };
        Ok(Store::open(path, options, identity.clone())?.0)
    };
    let beside = Directory::new("bench-storage-pages")?;
    pages(beside.path())?;
    let store = open(path)?;
    let mut bench = Bench { store, origin: Origin::new(slot, 1), next_ms: 1, seed: 7 };
    for keys in [10_000, 100_000] {
        bench.commits(keys)?;
        bench.gets(keys)?;
    }
    bench.scan()?;
    // A copy of the open files is what a killed process leaves behind.
    let crashed = Directory::new("bench-storage-crashed")?;
    let bytes = copy(path, crashed.path())?;
    drop(bench);
    for (path, how, expected) in [(path, "clean end", "300"), (crashed.path(), "crash", "300")] {
        let begin = Instant::now();
        drop(open(path)?);
        let name = format!("reopening {} MB after a {how}", bytes >> 20);
        figure(&name, begin.elapsed().as_secs_f64() * 1000.0, "ms", expected);
    }
    Ok(())
}

/// Copies what is in a directory and in those below it; the bytes of it all.
fn copy(from: &Path, to: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir_all(&to)?;
            bytes += copy(&path, &to)?;
        } else {
            bytes += std::fs::copy(&path, &to)?;
        }
    }
    Ok(bytes)
}

fn main() -> ExitCode {
    support::main(run)
}
