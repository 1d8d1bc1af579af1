//! `cargo xtask bench replication`: how far a region is behind another, and how it catches up.
//!
//! *Lag.* Two regions and a generator share this machine. The write capacity is what 64 connections
//! get when nothing holds them back; then 70 % of it is written on a schedule, over links of 0, 80
//! and 200 ms, and beside it a marker 50 times a second. A reader in the other region asks for the
//! marker without pause: the lag of a write is from its acknowledgement to the first answer that
//! shows it or a later one, both seen by this process's one clock.
//!
//! *Backlog.* One region is down while the other is written to; then both are started again, first
//! over a link without bounds, which shows what the receiver can apply, then over 80 ms and a
//! bandwidth. Rows are noise, and compression is off, so that a byte of row is a byte of link.
//!
//! *Memory.* What the feeder allocated before and after many writes that a dead peer misses.
//!
//! *Aggregate.* As many connections write to one region alone, and then to each of three that
//! replicate to each other, with keys of their own; what all three acknowledged, and how long it
//! took then until every region had everything.
//!
//! Hypothesis: the objectives of `data-plane.md` 4.3, RTT/2 + 15 ms at the median, RTT/2 + 100 ms
//! at the 99th percentile; four fifths of the bandwidth or of the apply rate, whichever is lower.
//! Three regions on the cores of one do three commits for each write, two of them in large groups:
//! half of one region's rate.
//!
//! Options: `--only lag|backlog|memory|aggregate`, `--seconds S`, `--rate N` (of the lag),
//! `--backlog-mb N`, `--item-bytes N`, `--link-mb-s N`, `--missed-writes N`, `--engine NAME`.

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use support::dynamo::{self, Connection};
use support::process::{wait_until, wait_within};
use support::region::Cluster;
use support::writes::{self, Writes};
use support::{figure, option, percentile, progress};

const CONNECTIONS: u64 = 64;
const KEYS: u64 = 10_000;
const ITEM_BYTES: usize = 1024;
const MARKER: &str = "marker";
const MARKERS_PER_S: u32 = 50;
/// Between two looks at the other region: far below what is measured, and leaves it some CPU.
const PAUSE: Duration = Duration::from_millis(1);
/// A backlog of seconds at full speed, on cores that are all busy.
const ARRIVAL_MAX: Duration = Duration::from_secs(300);
const MB: f64 = 1e6;

/// When something was known of each write of the marker, by its sequence number from 1.
type Times = Vec<Instant>;

/// 1 KB items over many keys of one region, as fast as may be or at a rate.
fn load(cluster: &Cluster, seconds: f64, rate: f64) -> Writes {
    let (address, connections) = (cluster.regions[0].dynamodb, CONNECTIONS);
    let (count, keys, first, bytes) = (u64::MAX, KEYS, 0, ITEM_BYTES);
    Writes { address, connections, seconds, count, rate, keys, first, bytes }
}

/// A figure of the first region's metrics, all labels together.
fn metric(cluster: &Cluster, name: &str) -> anyhow::Result<f64> {
    let text = http(cluster.regions[0].admin, "GET /metrics", "")?;
    let lines = text.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

/// A request to an admin API, and the body of its answer.
fn http(address: SocketAddr, line: &str, body: &str) -> anyhow::Result<String> {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    Ok(Connection::open(address)?.ask(&(head + body))?.to_owned())
}

/// Writes the marker on schedule; returns when each was acknowledged.
fn mark(address: SocketAddr, time: Duration) -> JoinHandle<anyhow::Result<Times>> {
    std::thread::spawn(move || {
        let mut connection = Connection::open(address)?;
        let period = Duration::from_secs(1) / MARKERS_PER_S;
        let began = Instant::now();
        let mut acknowledged = Times::new();
        for sequence in 1.. {
            let due = began + period * sequence;
            if due > began + time {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.ask(&dynamo::put(MARKER, sequence.into()))?;
            acknowledged.push(Instant::now());
        }
        Ok(acknowledged)
    })
}

/// Looks for the marker; returns when each of its values, or a later one, was first seen.
fn watch(address: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<anyhow::Result<Times>> {
    std::thread::spawn(move || {
        let mut connection = Connection::open(address)?;
        let request = dynamo::get(MARKER);
        let mut seen = Times::new();
        while !stop.load(Relaxed) {
            let newest = sequence(connection.ask(&request)?);
            let now = Instant::now();
            while seen.len() < newest {
                seen.push(now);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(seen)
    })
}

/// The marker's number in an answer; 0 where there is none yet.
fn sequence(body: &str) -> usize {
    let digits = body.split_once(r#""seq":{"N":""#).and_then(|(_, rest)| rest.split_once('"'));
    digits.and_then(|(digits, _)| digits.parse().ok()).unwrap_or(0)
}

/// Writes per second that the region takes while another one applies them.
fn capacity(arguments: &[String], seconds: f64) -> anyhow::Result<f64> {
    let pair = Cluster::new(arguments, "bench-capacity", 2, "")?;
    let _both = pair.start_new(0)?;
    load(&pair, seconds / 4.0, 0.0).run()?;
    let measured = load(&pair, seconds, 0.0).run()?;
    Ok(measured.per_s)
}

/// Lags in microseconds, under a load.
fn lags(
    arguments: &[String],
    rtt_ms: u32,
    (rate, seconds): (f64, f64),
) -> anyhow::Result<Vec<u32>> {
    let pair = Cluster::new(arguments, &format!("bench-lag-{rtt_ms}"), 2, "")?;
    let _both = pair.start_new(rtt_ms)?;
    let [here, there] = [0, 1].map(|at| pair.regions[at].dynamodb);
    // The caches of both are as full as they will be.
    load(&pair, 3.0, rate).run()?;
    let time = Duration::try_from_secs_f64(seconds)?;
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(&pair, seconds, rate).start()?;
    let watcher = watch(there, Arc::clone(&stop));
    let acknowledged = mark(here, time).join().ok().context("a writer panicked")??;
    let load = writes::finish(load)?;
    let last = acknowledged.len();
    let mut connection = Connection::open(there)?;
    wait_until("the last write has not arrived", || {
        connection.ask(&dynamo::get(MARKER)).is_ok_and(|body| sequence(body) >= last)
    })?;
    std::thread::sleep(Duration::from_millis(200));
    stop.store(true, Relaxed);
    let seen = watcher.join().ok().context("the reader panicked")??;
    progress(&format!(
        "RTT {rtt_ms} ms: {:.0} writes/s of {rate:.0}, answered in {:.1} ms (p50) and {:.1} ms \
         (p99); {last} markers",
        load.per_s, load.p50_ms, load.p99_ms
    ));
    let pairs = acknowledged.iter().zip(&seen);
    let lag = |(ack, seen): (&Instant, &Instant)| seen.saturating_duration_since(*ack).as_micros();
    Ok(pairs.map(|pair| u32::try_from(lag(pair)).unwrap_or(u32::MAX)).collect())
}

fn lag(arguments: &[String]) -> anyhow::Result<()> {
    let seconds = option(arguments, "--seconds", 15.0)?;
    let mut rate = option(arguments, "--rate", 0.0)?;
    let mut load = format!("{rate:.0}/s");
    if rate <= 0.0 {
        let capacity = capacity(arguments, seconds)?;
        figure("durable 1 KB writes while another region applies them", capacity, "/s", "");
        rate = 0.7 * capacity;
        load = "70 %".to_owned();
    }
    for rtt_ms in [0_u32, 80, 200] {
        let mut lags = lags(arguments, rtt_ms, (rate, seconds))?;
        let one_way = f64::from(rtt_ms) / 2.0;
        for (name, per_mille, over) in [("p50", 500, 15.0), ("p99", 990, 100.0)] {
            let lag = f64::from(percentile(&mut lags, per_mille)) / 1000.0;
            let name = format!("lag at {load}, RTT {rtt_ms} ms, {name}, over RTT/2");
            figure(&name, lag - one_way, "ms", &format!("{over} at most"));
        }
    }
    Ok(())
}

/// Copies a region's files, so that the same backlog can drain twice.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, name) = (entry.as_ref().ok().context("an entry")?.path(), entry?.file_name());
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Rows per second that reach the second region, which lacks all `rows` of them, and bytes per
/// second on the link meanwhile.
fn drain(pair: &Cluster, rtt_ms: u32, limit: Option<f64>, rows: u64) -> anyhow::Result<(f64, f64)> {
    pair.place(rtt_ms)?;
    let _feeder = pair.start(0)?;
    if let Some(bytes_per_s) = limit {
        let body = format!(r#"{{"peer":"b","action":"limit","bytes_per_s":{bytes_per_s:.0}}}"#);
        http(pair.regions[0].admin, "POST /v1/faults", &body)?;
    }
    let _receiver = pair.start(1)?;
    let mut connection = Connection::open(pair.regions[1].dynamodb)?;
    let mut there = |key: u64| -> anyhow::Result<bool> {
        Ok(connection.ask(&dynamo::get(&writes::key(key)))?.contains("noise"))
    };
    let (mut began, wire) = (None, "pangea_replication_bytes_total");
    let patience = Instant::now() + Duration::from_secs(1800);
    while !there(rows - 1)? {
        if began.is_none() && there(0)? {
            began = Some((Instant::now(), metric(pair, wire)?));
        }
        anyhow::ensure!(Instant::now() < patience, "the backlog does not drain");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (began, before) = began.context("the backlog was gone at once")?;
    let took = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few million rows")]
    let rate = rows as f64 / took;
    Ok((rate, (metric(pair, wire)? - before) / took))
}

fn backlog(arguments: &[String]) -> anyhow::Result<()> {
    let megabytes: u64 = option(arguments, "--backlog-mb", 256)?;
    let bytes: usize = option(arguments, "--item-bytes", 4096)?;
    let link = option(arguments, "--link-mb-s", 25.0)?;
    let rows = megabytes * 1_000_000 / u64::try_from(bytes)?;
    let settings = "[replication]\ncompression = \"off\"\n[faults]\nallow = true\n";
    let pair = Cluster::new(arguments, "bench-backlog", 2, settings)?;
    drop(pair.start_new(0)?);
    let feeder = pair.start(0)?;
    let fill = Writes { count: rows, keys: 0, bytes, ..load(&pair, 3600.0, 0.0) };
    let filled = fill.run()?;
    progress(&format!("{megabytes} MB in items of {bytes} bytes, {:.0}/s", filled.per_s));
    drop(feeder);
    let kept = pair.directory().path().join("kept");
    copy(&pair.data(), &kept)?;
    let megabytes_of = |rows_per_s: f64| rows_per_s * bytes as f64 / MB;
    let apply = megabytes_of(drain(&pair, 0, None, rows)?.0);
    figure("backlog, apply rate of the receiver, no bounds", apply, "MB/s", "");
    std::fs::remove_dir_all(pair.data())?;
    std::fs::rename(kept, pair.data())?;
    let (drained, wire) = drain(&pair, 80, Some(link * MB), rows)?;
    let (drained, wire) = (megabytes_of(drained), wire / MB);
    let name = format!("backlog of {megabytes} MB over 80 ms and {link} MB/s");
    let bound = 0.8 * apply.min(link);
    figure(&name, drained, "MB/s", &format!("{bound:.1} at least: 80 % of link or receiver"));
    let share = 100.0 * drained / apply.min(link);
    figure(&format!("{name}, of link or receiver"), share, "%", "80 at least");
    figure(&format!("{name}, on the wire"), wire, "MB/s", &format!("{link} at most"));
    figure(&format!("{name}, on the wire, of the link"), 100.0 * wire / link, "%", "");
    Ok(())
}

/// A day of writes at 1 000/s is 86 million; what grows with them shows in a hundred thousand.
fn memory(arguments: &[String]) -> anyhow::Result<()> {
    let count: u64 = option(arguments, "--missed-writes", 100_000)?;
    let pair = Cluster::new(arguments, "bench-memory", 2, "")?;
    let mut both = pair.start_new(0)?;
    both.truncate(1);
    let feeder = &both[0];
    let load = Writes { count, ..load(&pair, 3600.0, 0.0) };
    // The store's cache and the allocator reach their size.
    load.run()?;
    let before = feeder.memory_mb()?;
    load.run()?;
    let grown = feeder.memory_mb()? - before;
    let name = format!("memory of a feeder, {count} writes that a dead peer missed");
    figure(&format!("{name}, before"), before, "MB", "");
    figure(&format!("{name}, growth"), grown, "MB", "0, and the allocator's noise");
    Ok(())
}

/// Writes to all regions at once for a time; what they acknowledged a second together, and how many
/// seconds passed behind that until every region had everything.
///
/// `round` is another one each time.
fn all_at_once(cluster: &Cluster, round: usize, seconds: f64) -> anyhow::Result<(f64, f64)> {
    let loads = cluster.regions.iter().zip(0..).map(|(region, at)| {
        Writes { address: region.dynamodb, first: at * KEYS, ..load(cluster, seconds, 0.0) }.start()
    });
    let loads = loads.collect::<anyhow::Result<Vec<_>>>()?;
    let mut per_s = 0.0;
    for load in loads {
        per_s += writes::finish(load)?.per_s;
    }
    let began = Instant::now();
    // What is written last arrives last.
    for region in &cluster.regions {
        let last = dynamo::put(region.name, u64::try_from(round)?);
        Connection::open(region.dynamodb)?.ask(&last)?;
    }
    for region in &cluster.regions {
        let mut connection = Connection::open(region.dynamodb)?;
        let mut has =
            |name| connection.ask(&dynamo::get(name)).is_ok_and(|body| sequence(body) >= round);
        wait_within(ARRIVAL_MAX, "not everything arrives", || {
            cluster.regions.iter().all(|other| has(other.name))
        })?;
    }
    Ok((per_s, began.elapsed().as_secs_f64()))
}

fn aggregate(arguments: &[String]) -> anyhow::Result<()> {
    let seconds = option(arguments, "--seconds", 15.0)?;
    let mut rates = Vec::new();
    for (count, expected) in [(1, "10 000"), (3, "5 000")] {
        let cluster = Cluster::new(arguments, &format!("bench-aggregate-{count}"), count, "")?;
        let _all = cluster.start_new(0)?;
        all_at_once(&cluster, 1, seconds / 4.0)?;
        let (per_s, behind) = all_at_once(&cluster, 2, seconds)?;
        let name = format!("durable 1 KB writes, {count} regions at once");
        figure(&name, per_s, "/s", expected);
        figure(&format!("{name}, until all are everywhere"), behind, "s", "");
        rates.push(per_s);
    }
    figure("durable 1 KB writes, 3 regions / 1", rates[1] / rates[0], "ratio", "0.5");
    Ok(())
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let only: String = option(arguments, "--only", String::new())?;
    let wanted = |name: &str| only.is_empty() || only == name;
    if wanted("lag") {
        lag(arguments)?;
    }
    if wanted("backlog") {
        backlog(arguments)?;
    }
    if wanted("memory") {
        memory(arguments)?;
    }
    if wanted("aggregate") {
        aggregate(arguments)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
