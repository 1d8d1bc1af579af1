//! `cargo xtask bench replication`: how long after its acknowledgement a write is seen elsewhere.
//!
//! Two regions, 200 durable writes of 1 KB per second at one, on a schedule that does not wait for
//! answers that are late. One writer in four rewrites a marker; a reader in the other region asks
//! for it without pause. The lag of a write is from its acknowledgement to the first answer that
//! shows it or a later one, both seen by this process's one clock.
//!
//! Hypothesis (`data-plane.md` 4.3): RTT/2, up to 2 ms until the feed wakes, one commit there of 1
//! to 5 ms, 1 ms to apply: RTT/2 + 5 ms; p99 RTT/2 + 15 ms on a machine that is busy otherwise.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use support::dynamo::{self, Connection};
use support::process::{pangea, start_pangea, wait_for, wait_until};
use support::{Directory, figure, free, option, percentile, progress};

const WRITERS: u64 = 4;
const MARKER: &str = "marker";
/// Between two looks at the other region: far below what is measured, and leaves it some CPU.
const PAUSE: Duration = Duration::from_micros(200);

/// When something was known of each write of the marker, by its sequence number from 1.
type Times = Vec<Instant>;

/// Writes on schedule; returns when each was acknowledged.
fn write(
    address: SocketAddr,
    number: u64,
    (rate, time): (u64, Duration),
) -> JoinHandle<anyhow::Result<Times>> {
    std::thread::spawn(move || {
        let mut connection = Connection::open(address)?;
        let period = Duration::from_secs(WRITERS) / u32::try_from(rate)?;
        let began = Instant::now() + period / u32::try_from(WRITERS)? * u32::try_from(number)?;
        let mut acknowledged = Times::new();
        for sequence in 1.. {
            let due = began + period * sequence;
            if due > began + time {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let sequence = u64::from(sequence);
            let key = format!("item-{number}-{}", sequence % 1000);
            let key = if number == 0 { MARKER } else { &key };
            connection.ask(&dynamo::put(key, sequence))?;
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

fn topology(rtt_ms: u64, addresses: &[SocketAddr; 2]) -> anyhow::Result<String> {
    let mut text = "cluster = \"bench\"\n".to_owned();
    for (name, address) in ["a", "b"].iter().zip(addresses) {
        text += &format!(
            "[[region]]\nname = \"{name}\"\ndynamodb = \"{address}\"\nadmin = \"{}\"\n\
             peer = \"{}\"\n",
            free()?,
            free()?
        );
    }
    Ok(text + &format!("[[link]]\nbetween = [\"a\", \"b\"]\nrtt_ms = {rtt_ms}\n"))
}

/// Lags in microseconds.
fn measure(arguments: &[String], rtt_ms: u64) -> anyhow::Result<Vec<u32>> {
    let rate = option(arguments, "--rate", 200)?;
    let time = Duration::from_secs(option(arguments, "--seconds", 15)?);
    let directory = Directory::new(&format!("bench-replication-{rtt_ms}"))?;
    let addresses = [free()?, free()?];
    let text = topology(rtt_ms, &addresses)?;
    std::fs::write(directory.path().join("topology.toml"), text)?;
    let program = pangea(arguments)?;
    // One after the other: the first makes the certificate authority of both.
    let mut regions = Vec::new();
    for (name, address) in ["a", "b"].iter().zip(addresses) {
        regions.push(start_pangea(&program, directory.path(), &["region", "--name", name])?);
        wait_for(address)?;
    }
    dynamo::make_table(addresses[0], &[("b", addresses[1])])?;
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = watch(addresses[1], Arc::clone(&stop));
    let writers: Vec<_> = (0..WRITERS).map(|at| write(addresses[0], at, (rate, time))).collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.join().ok().context("a writer panicked")??);
    }
    let last = acknowledged[0].len();
    let mut connection = Connection::open(addresses[1])?;
    wait_until("the last write has not arrived", || {
        connection.ask(&dynamo::get(MARKER)).is_ok_and(|body| sequence(body) >= last)
    })?;
    std::thread::sleep(Duration::from_millis(200));
    stop.store(true, Relaxed);
    let seen = watcher.join().ok().context("the reader panicked")??;
    let all: usize = acknowledged.iter().map(Vec::len).sum();
    let rate = all as f64 / time.as_secs_f64();
    progress(&format!("RTT {rtt_ms} ms: {all} writes, {rate:.0}/s, {last} of them measured"));
    let pairs = acknowledged[0].iter().zip(&seen);
    let lag = |(ack, seen): (&Instant, &Instant)| seen.saturating_duration_since(*ack).as_micros();
    Ok(pairs.map(|pair| u32::try_from(lag(pair)).unwrap_or(u32::MAX)).collect())
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    for rtt_ms in [0_u32, 80] {
        let mut lags = measure(arguments, rtt_ms.into())?;
        let one_way = f64::from(rtt_ms) / 2.0;
        for (name, per_mille, over) in [("p50", 500, 5.0), ("p99", 990, 15.0)] {
            let lag = f64::from(percentile(&mut lags, per_mille)) / 1000.0;
            let name = format!("lag, RTT {rtt_ms} ms, {name}");
            figure(&name, lag, "ms", &format!("{}", one_way + over));
            if rtt_ms > 0 {
                figure(&format!("{name}, over RTT/2"), lag - one_way, "ms", &format!("{over}"));
            }
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
