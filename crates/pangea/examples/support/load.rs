//! A load generator: one thread, kept-alive connections in a closed loop, ready-made requests.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{dynamo, percentile};

/// Items that requests choose from: enough that writers rarely meet, few enough to stay cached.
pub(crate) const KEYS: u64 = 10_000;

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every item once, to fill the table.
    Fill,
    /// `GetItem` of any.
    Get,
    /// `PutItem` of any.
    Put,
    /// `UpdateItem` of any, which adds to a number.
    Add,
    /// `Query` of any partition of the table with sort keys.
    Query,
    /// A plain GET.
    Plain,
    /// A plain GET on a connection of its own.
    Close,
}

const KINDS: [(&str, Kind); 7] = [
    ("fill", Kind::Fill),
    ("get", Kind::Get),
    ("put", Kind::Put),
    ("add", Kind::Add),
    ("query", Kind::Query),
    ("plain", Kind::Plain),
    ("close", Kind::Close),
];

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) requests: f64,
    pub(crate) per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) worst_ms: f64,
}

/// Requests from a process of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// Not for [`Kind::Fill`], which ends by itself.
    pub(crate) seconds: f64,
}

impl Load {
    /// Sends them until the time is over.
    pub(crate) fn run(self) -> anyhow::Result<Measured> {
        let Self { kind, address, connections, seconds } = self;
        let name = KINDS.iter().find(|known| known.1 == kind).map_or("", |known| known.0);
        let output = Command::new(std::env::current_exe()?)
            .args(["load", name, &address.to_string()])
            .args([connections.to_string(), seconds.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        anyhow::ensure!(output.status.success(), "the load on {address} failed");
        Measured::parse(&String::from_utf8(output.stdout)?)
    }
}

/// Writes every item of the load once.
pub(crate) fn fill(address: SocketAddr) -> anyhow::Result<()> {
    let connections = super::region::CONNECTIONS;
    Load { kind: Kind::Fill, address, connections, seconds: 0.0 }.run().map(drop)
}

/// The process's main.
pub(crate) fn child(arguments: &[String]) -> anyhow::Result<()> {
    let [kind, address, connections, seconds] = arguments else {
        anyhow::bail!("load KIND ADDRESS CONNECTIONS SECONDS")
    };
    let kind = KINDS.iter().find(|known| known.0 == kind).context("no such kind")?.1;
    let (address, connections) = (address.parse()?, connections.parse()?);
    let time = Duration::try_from_secs_f64(seconds.parse()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut times, took) = runtime.block_on(all(kind, address, connections, time))?;
    Measured::print(&mut times, took)
}

async fn all(
    kind: Kind,
    address: SocketAddr,
    connections: u64,
    time: Duration,
) -> anyhow::Result<(Vec<u32>, Duration)> {
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for at in 0..connections {
        let keys = Keys { kind, next: at, step: connections, seed: at * 7919 + 1 };
        clients.spawn(Client::new(address).run(keys, began + time));
    }
    let mut times = Vec::new();
    while let Some(done) = clients.join_next().await {
        times.append(&mut done??);
    }
    Ok((times, began.elapsed()))
}

/// Which item is next.
struct Keys {
    kind: Kind,
    next: u64,
    step: u64,
    seed: u64,
}

impl Keys {
    fn next(&mut self) -> Option<u64> {
        if self.kind == Kind::Fill {
            let at = self.next;
            self.next += self.step;
            return (at < KEYS).then_some(at);
        }
        let keys = if self.kind == Kind::Query { dynamo::PARTITIONS } else { KEYS };
        // Constants of Knuth's MMIX; the high bits are the good ones.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((self.seed >> 33) % keys)
    }
}

/// A kept-alive connection, opened when it is needed.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Option<TcpStream>,
    response: Vec<u8>,
    address: SocketAddr,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { stream: None, response: Vec::with_capacity(16 * 1024), address }
    }

    async fn run(mut self, mut keys: Keys, end: Instant) -> anyhow::Result<Vec<u32>> {
        let kind = keys.kind;
        let (mut request, place) = template(kind);
        let mut times = Vec::new();
        while let Some(key) = keys.next() {
            if let Some(place) = place {
                request[place..place + 8].copy_from_slice(format!("{key:08}").as_bytes());
            }
            let began = Instant::now();
            if began >= end && kind != Kind::Fill {
                break;
            }
            self.exchange(&request).await?;
            if kind == Kind::Close {
                self.stream = None;
            }
            times.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        Ok(times)
    }

    /// Sends a request and waits for its good answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().context("connected above")?;
        stream.write_all(request).await?;
        self.response.clear();
        loop {
            let count = stream.read_buf(&mut self.response).await?;
            anyhow::ensure!(count > 0, "the connection ended");
            let extent = dynamo::extent(&self.response)?;
            if extent.is_some_and(|(_, end)| self.response.len() >= end) {
                return Ok(());
            }
        }
    }
}

/// A request, and where the eight digits of its key are.
fn template(kind: Kind) -> (Vec<u8>, Option<usize>) {
    const DIGITS: &str = "########";
    let key = format!("item-{DIGITS}");
    let request = match kind {
        Kind::Get => dynamo::get(&key),
        Kind::Put | Kind::Fill => dynamo::put(&key, 1),
        Kind::Add => dynamo::add(&key),
        Kind::Query => dynamo::query(&format!("part-{DIGITS}")),
        Kind::Plain => "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        Kind::Close => "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_owned(),
    };
    let place = request.find(DIGITS);
    (request.into_bytes(), place)
}

impl Measured {
    /// Says what was measured to the process that started this one.
    pub(crate) fn print(times_us: &mut [u32], took: Duration) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut of = |per_mille| percentile(times_us, per_mille);
        let [p50, p99, p999, worst] = [500, 990, 999, 1000].map(&mut of);
        let took = took.as_secs_f64();
        let count = times_us.len();
        writeln!(std::io::stdout(), "{count} {took} {p50} {p99} {p999} {worst}")?;
        Ok(())
    }

    /// What [`Measured::print`] said.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let values: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [requests, seconds, times @ ..] = &values[..] else { anyhow::bail!("said {text}") };
        let times: Vec<f64> = times.iter().map(|us| us / 1000.0).collect();
        let [p50_ms, p99_ms, p999_ms, worst_ms] = times[..] else { anyhow::bail!("said {text}") };
        let per_s = requests / seconds;
        Ok(Self { requests: *requests, per_s, p50_ms, p99_ms, p999_ms, worst_ms })
    }
}
