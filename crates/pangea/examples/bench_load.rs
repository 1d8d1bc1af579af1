//! `cargo xtask bench load`: a million items of 1 KB, one after the other in one run, without
//! stall.
//!
//! A region alone, its table empty, with a stream of both images and items that expire; 64
//! connections write as fast as they are answered. So that what a region does beside that is in
//! the run, a day of it is pressed into minutes: the journal keeps records for 20 s instead of a
//! day, and is trimmed of a minute's at a time, as always; every row is verified once in 120 s
//! instead of a day; rows are looked at for their expiry every 10 s instead of 60. Beside it the
//! tail of a bare hyper server under the same connections, which is the machine's.
//!
//! Hypothesis: 64 connections wait for about two groups of 30 rows, 6 ms. Nothing of the work
//! beside it holds the writer up for longer than a step of some 256 to 1024 rows, 5 to 10 ms, and a
//! sync of the disk takes 20 ms now and then: p99.9 at three to five times the median. A row is
//! about 1.2 KB in pages that are two thirds full, and beside it 20 to 80 s of records: 3 GB.
//! Memory: the cache of 256 MB, a group's rows and images, and the allocator's share: 400 MB.
//!
//! Options: `--items N`, `--item-bytes N`, `--engine NAME`.

mod support;

use std::process::ExitCode;

use support::contest::{Contender, Contest, of};
use support::dynamo::{self, Connection};
use support::load::Kind;
use support::region::{Alone, CONNECTIONS};
use support::writes::Writes;
use support::{bare, figure, option, progress};

/// A day of background work in minutes.
const SETTINGS: &str = "[streams]\nkept_s = 20\n[replication]\nrepair_cycle_s = 120\n\
                        [ttl]\nscan_s = 10\n";
const BARE_SECONDS: f64 = 10.0;

fn load(arguments: &[String]) -> anyhow::Result<()> {
    let count: u64 = option(arguments, "--items", 1_000_000)?;
    let bytes: usize = option(arguments, "--item-bytes", 1024)?;
    let table = dynamo::Table { streamed: true, ..dynamo::TABLE };
    let region = Alone::start(arguments, "bench-load", SETTINGS, table)?;
    let server = &region.server;
    let expiry = r#""TimeToLiveSpecification":{"Enabled":true,"AttributeName":"expires"}"#;
    let expiry = format!(r#"{{"TableName":"{}",{expiry}}}"#, table.name);
    Connection::open(server.address)?.ask(&dynamo::request("UpdateTimeToLive", &expiry))?;
    let connections = u64::try_from(CONNECTIONS)?;
    let (address, seconds, rate) = (server.address, 3600.0, 0.0);
    let load = Writes { address, connections, seconds, count, rate, keys: 0, first: 0, bytes };
    let before = server.process.cpu_us()?;
    let it = load.run()?;
    let cpu_us = (server.process.cpu_us()? - before) / it.requests;
    #[expect(clippy::cast_precision_loss, reason = "a few GB")]
    let file_mb = region.file_bytes()? as f64 / 1e6;
    let (peak, allocated) = (server.process.peak_mb()?, server.process.memory_mb()?);
    progress(&format!("{allocated:.0} MB allocated at the end"));
    let name = format!("{count} items of {bytes} bytes");
    figure(&format!("{name}, PutItem"), it.per_s, "/s", "10 000");
    figure(&format!("{name}, p50"), it.p50_ms, "ms", "6");
    figure(&format!("{name}, p99"), it.p99_ms, "ms", "2 to 3 p50");
    figure(&format!("{name}, p99.9"), it.p999_ms, "ms", "3 to 5 p50");
    figure(&format!("{name}, worst"), it.worst_ms, "ms", "");
    figure(&format!("{name}, p99.9 / p50"), it.p999_ms / it.p50_ms, "ratio", "10 at most");
    figure(&format!("{name}, server CPU"), cpu_us, "us/req", "90");
    figure(&format!("{name}, files"), file_mb, "MB", "3 000");
    figure(&format!("{name}, peak memory"), peak, "MB", "400");
    Ok(())
}

/// What of the tail is the machine's.
fn yardstick() -> anyhow::Result<()> {
    let bare = bare::server(2)?;
    let contest =
        Contest { kind: Kind::Put, connections: CONNECTIONS, rounds: 1, seconds: BARE_SECONDS };
    let rounds = &contest.run(&[Contender::new("bare hyper", &bare)])?[0];
    figure("bare hyper, PutItem, p50", of(rounds, |it| it.measured.p50_ms), "ms", "64 / rate");
    let tail = of(rounds, |it| it.measured.p999_ms / it.measured.p50_ms);
    figure("bare hyper, PutItem, p99.9 / p50", tail, "ratio", "3 to 5");
    Ok(())
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    load(arguments)?;
    yardstick()
}

fn main() -> ExitCode {
    support::main(run)
}
