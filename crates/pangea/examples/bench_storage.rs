//! Storage figures: durable commits and reads per second, beside what they should be.
//!
//! Hypothesis (`engine.md`, 2 cores): one sync takes 150 to 300 us and a row some 30 us of B-tree,
//! so groups of 64 rows take about 2.5 ms: 20 000 commits/s or more; a get takes about 2 us.
//! Run with `cargo run --release -p pangea --example storage_bench [directory]`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pangea::storage::redb::{Options, Redb};
use pangea::storage::{GroupView, Store};
use pangea_codec::disk::meta::Identity;
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
use pangea_core::merge::{Body, overwrite};
use pangea_core::replica::{Batch, Snapshot};
use pangea_core::time::{Hlc, Stamp};

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
            let next = overwrite(stored.as_ref(), stamp, Body::Live(item(&key)), false);
            let mut batch = Batch { last: Some(stamp.hlc), ..Batch::default() };
            batch.put(key, next, stored.map(|stored| stored.version.stamp));
            view.push(batch);
        }
        view.check()?;
        self.store.write(view.into_batches())?;
        Ok(())
    }

    fn commits(&mut self, keys: u64) -> anyhow::Result<String> {
        let mut times = Vec::new();
        let begin = Instant::now();
        while begin.elapsed() < SECONDS {
            let start = Instant::now();
            self.group(keys)?;
            times.push(start.elapsed());
        }
        let rate = per_second(times.len() as u64 * GROUP, begin.elapsed());
        times.sort();
        let at = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)];
        Ok(format!("{rate:>8} commits/s   group p50 {:?} p99 {:?}", at(500), at(990)))
    }

    fn gets(&mut self, keys: u64) -> anyhow::Result<String> {
        let (mut count, mut found) = (0, 0);
        let begin = Instant::now();
        while begin.elapsed() < SECONDS / 2 {
            for _ in 0..256 {
                let key = key(self.random(keys));
                found += u64::from(self.store.snapshot()?.get_item(&key)?.is_some());
                count += 1;
            }
        }
        Ok(format!(
            "{:>8} gets/s      {found} of {count} found",
            per_second(count, begin.elapsed())
        ))
    }

    fn scan(&self) -> anyhow::Result<String> {
        let mut count = 0;
        let begin = Instant::now();
        self.store.snapshot()?.scan(TABLE, None, None, |_, _, _| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(format!("{:>8} rows/s scanned, {count} rows", per_second(count, begin.elapsed())))
    }
}

fn per_second(count: u64, time: Duration) -> u64 {
    (u128::from(count) * 1_000_000 / time.as_micros().max(1)).try_into().unwrap_or(u64::MAX)
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

fn run(path: &Path, quick_repair: bool) -> anyhow::Result<Vec<String>> {
    let slot = RegionSlot::new(0).expect("a small slot");
    let (cluster, region) = ("bench".to_owned(), "here".to_owned());
    let identity = Identity { cluster, region, slot: slot.get(), incarnation: 1 };
    let options = Options { quick_repair, ..Options::default() };
    let mut lines = vec![format!("quick repair: {quick_repair}")];
    let open = |path: &Path| -> anyhow::Result<Store> {
        let engine = Redb::open_directory(path, options)?;
        Ok(Store::with_engine(engine, identity.clone())?.0)
    };
    let store = open(path)?;
    let mut bench = Bench { store, origin: Origin::new(slot, 1), next_ms: 1, seed: 7 };
    for keys in [10_000, 100_000] {
        lines.push(format!("  {keys:>7} keys: {}", bench.commits(keys)?));
        lines.push(format!("  {keys:>7} keys: {}", bench.gets(keys)?));
    }
    lines.push(format!("                {}", bench.scan()?));
    let bytes = std::fs::metadata(path.join("region.redb"))?.len();
    // A copy of the open file is what a killed process leaves behind.
    let crashed = path.join("crashed");
    std::fs::create_dir(&crashed)?;
    std::fs::copy(path.join("region.redb"), crashed.join("region.redb"))?;
    drop(bench);
    for (path, how) in [(path, "a clean end"), (crashed.as_path(), "a crash")] {
        let begin = Instant::now();
        drop(open(path)?);
        let took = begin.elapsed();
        lines.push(format!("  file {} MB, reopened after {how} in {took:?}", bytes >> 20));
    }
    Ok(lines)
}

fn main() -> anyhow::Result<()> {
    use std::io::Write as _;
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for quick_repair in [false, true] {
        let path = base.join(format!("pangea-bench-{}", std::process::id()));
        let lines = run(&path, quick_repair);
        std::fs::remove_dir_all(&path)?;
        writeln!(std::io::stdout(), "{}", lines?.join("\n"))?;
    }
    Ok(())
}
