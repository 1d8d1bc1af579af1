//! `cargo xtask bench scan`: a whole table through `Scan`, much greater than the memory that its
//! region may use for pages.
//!
//! A region alone with a small `storage.cache_mb` is filled with rows of noise, and read page by
//! page (1 MB each), by one reader and by several with a segment each. What counts is the most
//! memory that the process had, while it was filled and while it was read. Beside it a bare hyper
//! server that answers one connection with bodies as long as a page: what HTTP alone carries.
//!
//! Hypothesis, 2 cores: a row of 3.5 KB, one to a page, takes its CRC-32 and decoding (4 us) and
//! its spelling as JSON (3 us), and comes from the kernel's cache or the disk at 1 GB/s (4 us):
//! 300 MB/s of items. The process holds the cache, the changes of one group, and a page or two
//! for each reader: 64 MB of cache make 200 MB.
//!
//! Options: `--mb N` of items (10000 for a table of 10 GB, which takes twice that on the disk),
//! `--item-bytes N`, `--cache-mb N`, `--segments N`, `--engine NAME`.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use support::dynamo::{self, Connection, TABLE};
use support::load::{Kind, Load};
use support::region::{Alone, CONNECTIONS};
use support::writes::Writes;
use support::{bare, figure, option, progress};

const MB: f64 = 1e6;
const BARE_SECONDS: f64 = 4.0;
/// What the process may have, MB.
const MEMORY_MB: f64 = 1000.0;

/// What a reader met.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    items: u64,
    pages: u64,
    body_bytes: u64,
}

/// Reads a segment to its end.
fn scan(address: SocketAddr, (segment, segments): (u64, u64)) -> anyhow::Result<Read> {
    let mut connection = Connection::open(address)?;
    let (mut read, mut start) = (Read::default(), String::new());
    loop {
        let body = format!(
            r#"{{"TableName":"{}","Segment":{segment},"TotalSegments":{segments}{start}}}"#,
            TABLE.name
        );
        let page = connection.ask(&dynamo::request("Scan", &body))?;
        read.pages += 1;
        read.body_bytes += u64::try_from(page.len())?;
        read.items += member(page, "Count").and_then(|it| it.parse().ok()).unwrap_or(0_u64);
        let Some(last) = member(page, "LastEvaluatedKey") else { return Ok(read) };
        start = format!(r#","ExclusiveStartKey":{last}"#);
    }
}

/// A member of a page that is a number or an object, as it is spelled. No text of an item has
/// quotes in it.
fn member<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let name = format!("\"{name}\":");
    let rest = &page[page.rfind(&name)? + name.len()..];
    let mut depth = 0_u32;
    let end = rest.find(|letter| {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' => return depth == 0,
            _ => {}
        }
        false
    })?;
    Some(&rest[..end])
}

/// All segments at once; what they met together, and how long it took.
fn scan_all(address: SocketAddr, segments: u64) -> anyhow::Result<(Read, f64)> {
    let began = Instant::now();
    let readers: Vec<_> = (0..segments)
        .map(|segment| std::thread::spawn(move || scan(address, (segment, segments))))
        .collect();
    let mut all = Read::default();
    for reader in readers {
        let read = reader.join().ok().context("a reader panicked")??;
        all.items += read.items;
        all.pages += read.pages;
        all.body_bytes += read.body_bytes;
    }
    Ok((all, began.elapsed().as_secs_f64()))
}

/// MB/s of bodies of `bytes` over one connection.
fn bare(bytes: usize) -> anyhow::Result<f64> {
    let server = bare::server(bytes)?;
    let (kind, address, connections) = (Kind::Plain, server.address, 1);
    let measured = Load { kind, address, connections, seconds: BARE_SECONDS }.run()?;
    #[expect(clippy::cast_precision_loss, reason = "a page")]
    let bytes = bytes as f64;
    Ok(measured.per_s * bytes / MB)
}

#[expect(clippy::cast_precision_loss, reason = "some GB")]
fn run(arguments: &[String]) -> anyhow::Result<()> {
    let megabytes: u64 = option(arguments, "--mb", 2000)?;
    let bytes: usize = option(arguments, "--item-bytes", 3500)?;
    let cache_mb: u64 = option(arguments, "--cache-mb", 64)?;
    let segments: u64 = option(arguments, "--segments", 4)?;
    let items = megabytes * 1_000_000 / u64::try_from(bytes)?;
    let settings = format!("storage.cache_mb = {cache_mb}\n");
    let region = Alone::start(arguments, "bench-scan", &settings, TABLE)?;
    let (process, address) = (&region.server.process, region.server.address);
    let connections = u64::try_from(CONNECTIONS)?;
    let (seconds, count, rate) = (7200.0, items, 0.0);
    let writes = Writes { address, connections, seconds, count, rate, keys: 0, first: 0, bytes };
    let filled = writes.run()?;
    let name = format!("table of {megabytes} MB, cache of {cache_mb} MB");
    let most = format!("200, below {MEMORY_MB:.0}");
    figure(&format!("{name}, writes of {bytes} bytes"), filled.per_s, "/s", "5 000");
    figure(&format!("{name}, files"), region.file_bytes()? as f64 / MB, "MB", "1.5 times");
    figure(&format!("{name}, peak memory of the writes"), process.peak_mb()?, "MB", &most);
    let mut page = 0;
    for segments in [1, segments] {
        process.forget_peak()?;
        let (read, seconds) = scan_all(address, segments)?;
        anyhow::ensure!(read.items == items, "{} items of {items} were read", read.items);
        progress(&format!("{segments} readers: {read:?} in {seconds:.1} s"));
        let name = format!("{name}, Scan by {segments}");
        let rate = |count: u64| count as f64 / seconds;
        figure(&name, rate(read.items), "items/s", "90 000");
        figure(&format!("{name}, items"), rate(items * bytes as u64) / MB, "MB/s", "300");
        figure(&format!("{name}, bodies"), rate(read.body_bytes) / MB, "MB/s", "300");
        figure(&format!("{name}, peak memory"), process.peak_mb()?, "MB", &most);
        page = usize::try_from(read.body_bytes / read.pages)?;
    }
    let name = format!("bare hyper, bodies of {page} bytes, one connection");
    figure(&name, bare(page)?, "MB/s", "1 500");
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
