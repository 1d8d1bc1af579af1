//! A stream of durable writes from a process of its own: as many as there is time for, or at a
//! rate, on a schedule that does not wait for answers that are late.
//!
//! What is written is noise in hexadecimal digits, which compression halves and no more.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::load::{Client, Measured};
use super::{dynamo, percentile, progress};

/// Parts of a run whose course is told, and how long a run is that has one.
const SLICES: u128 = 10;
const LONG: Duration = Duration::from_secs(20);

/// What to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writes {
    pub(crate) address: SocketAddr,
    pub(crate) connections: u64,
    /// No longer than this.
    pub(crate) seconds: f64,
    /// No more than these.
    pub(crate) count: u64,
    /// Writes per second; 0: whenever a connection is free.
    pub(crate) rate: f64,
    /// Keys to choose from at random; 0: one for each write, in order.
    pub(crate) keys: u64,
    /// The first of the keys.
    pub(crate) first: u64,
    /// Bytes of noise in an item.
    pub(crate) bytes: usize,
}

impl Writes {
    /// Starts them; they go on until [`finish`].
    pub(crate) fn start(&self) -> anyhow::Result<Child> {
        let Self { address, connections, seconds, count, rate, keys, first, bytes } = self;
        Ok(Command::new(std::env::current_exe()?)
            .args(["writes", &address.to_string(), &connections.to_string(), &seconds.to_string()])
            .args([count.to_string(), rate.to_string(), keys.to_string()])
            .args([first.to_string(), bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?)
    }

    /// Runs them to their end.
    pub(crate) fn run(&self) -> anyhow::Result<Measured> {
        finish(self.start()?)
    }
}

/// Waits for writes to end.
pub(crate) fn finish(child: Child) -> anyhow::Result<Measured> {
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "the writes failed");
    Measured::parse(&String::from_utf8(output.stdout)?)
}

/// The process's main.
pub(crate) fn child(arguments: &[String]) -> anyhow::Result<()> {
    let [address, connections, seconds, count, rate, keys, first, bytes] = arguments else {
        anyhow::bail!("writes ADDRESS CONNECTIONS SECONDS COUNT RATE KEYS FIRST BYTES")
    };
    let writes = Writes {
        address: address.parse()?,
        connections: connections.parse()?,
        seconds: seconds.parse()?,
        count: count.parse()?,
        rate: rate.parse()?,
        keys: keys.parse()?,
        first: first.parse()?,
        bytes: bytes.parse()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (times, took) = runtime.block_on(all(writes))?;
    course(&times, took);
    let mut times: Vec<u32> = times.into_iter().map(|(_, us)| us).collect();
    Measured::print(&mut times, took)
}

/// When each write was answered, ms after the beginning, and how long it took, us.
type Times = Vec<(u32, u32)>;

/// Tells how a long run went: whether it slowed down, and when its stalls were.
fn course(times: &Times, took: Duration) {
    let slice_ms = u32::try_from(took.as_millis() / SLICES).unwrap_or(u32::MAX).max(1);
    if took < LONG {
        return;
    }
    for slice in 0..u32::try_from(SLICES).unwrap_or(0) {
        let within = times.iter().filter(|(at_ms, _)| at_ms / slice_ms == slice);
        let mut within: Vec<u32> = within.map(|(_, us)| *us).collect();
        let per_s = within.len() * 1000 / usize::try_from(slice_ms).unwrap_or(1);
        let ms = |us: u32| f64::from(us) / 1000.0;
        let [p50, p999, worst] = [500, 999, 1000].map(|at| ms(percentile(&mut within, at)));
        let at_s = ms(slice * slice_ms);
        progress(&format!(
            "from {at_s:.0} s: {per_s} writes/s, p50 {p50:.1} ms, p99.9 {p999:.1} ms, \
             worst {worst:.1} ms"
        ));
    }
}

async fn all(writes: Writes) -> anyhow::Result<(Times, Duration)> {
    let mut writers = JoinSet::new();
    let began = Instant::now();
    for number in 0..writes.connections {
        writers.spawn(one(writes, number, began));
    }
    let mut times = Vec::new();
    while let Some(done) = writers.join_next().await {
        times.append(&mut done??);
    }
    Ok((times, began.elapsed()))
}

/// One connection's share: every `connections`-th write.
async fn one(writes: Writes, number: u64, began: Instant) -> anyhow::Result<Times> {
    let mut client = Client::new(writes.address);
    let mut template = Template::new(writes.bytes)?;
    let mut random = Random(number * 7919 + 1);
    let end = began + Duration::try_from_secs_f64(writes.seconds)?;
    let mut times = Vec::new();
    for write in (number..writes.count).step_by(usize::try_from(writes.connections)?) {
        let mut due = Instant::now();
        if writes.rate > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "a few million writes")]
            let at = Duration::try_from_secs_f64(write as f64 / writes.rate)?;
            due = began + at;
        }
        if due >= end {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let key = if writes.keys > 0 { random.next() % writes.keys } else { write };
        client.exchange(template.fill(writes.first + key, &mut random)).await?;
        let fit = |time: u128| u32::try_from(time).unwrap_or(u32::MAX);
        times.push((fit(began.elapsed().as_millis()), fit(due.elapsed().as_micros())));
    }
    Ok(times)
}

/// The key of the write of a number, where each has its own.
pub(crate) fn key(number: u64) -> String {
    format!("item-{number:08}")
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A request whose key and noise are filled in.
struct Template {
    request: Vec<u8>,
    key: usize,
    noise: std::ops::Range<usize>,
}

impl Template {
    fn new(bytes: usize) -> anyhow::Result<Self> {
        const DIGITS: &str = "########";
        let noise = "~".repeat(bytes.next_multiple_of(16));
        let item = format!(r#"{{"pk":{{"S":"item-{DIGITS}"}},"noise":{{"S":"{noise}"}}}}"#);
        let table = dynamo::TABLE.name;
        let body = format!(r#"{{"TableName":"{table}","Item":{item}}}"#);
        let request = dynamo::request("PutItem", &body);
        let key = request.find(DIGITS).context("a key")?;
        let begin = request.find('~').context("noise")?;
        Ok(Self { key, noise: begin..begin + noise.len(), request: request.into_bytes() })
    }

    fn fill(&mut self, key: u64, random: &mut Random) -> &[u8] {
        self.request[self.key..self.key + 8].copy_from_slice(format!("{key:08}").as_bytes());
        for chunk in self.request[self.noise.clone()].chunks_exact_mut(16) {
            let mut digits = random.next();
            for digit in chunk {
                *digit = b"0123456789abcdef"[usize::try_from(digits & 15).unwrap_or(0)];
                digits >>= 4;
            }
        }
        &self.request
    }
}
