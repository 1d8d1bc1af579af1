//! Regions that can be killed or hung, and the traffic plane in front of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use pangea::traffic::{self, Config, Handle};
use pangea_core::health;
use pangea_core::id::RegionSlot;
use pangea_core::routing::{
    Data, Endpoint, Link, Listener, Name, Network, Policy, RecordSet, RecordType, Region,
    RegionRecords, RoutingConfig, RoutingControl, Soa, Zone,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Longest wait for anything that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

static ADDRESS_NEXT: AtomicU32 = AtomicU32::new(1);

pub(crate) fn slot(n: u8) -> RegionSlot {
    RegionSlot::new(n).expect("small slot")
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("name")
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One region's application: answers `GET` with JSON; to anything else it says its number and then
/// echoes until the other side ends.
pub(crate) struct App {
    pub(crate) addr: SocketAddr,
    hung: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl App {
    pub(crate) async fn start(number: u8) -> Self {
        // An address of its own: nobody else takes the port once it is dead.
        let [_, a, b, c] = ADDRESS_NEXT.fetch_add(1, SeqCst).to_be_bytes();
        let socket = TcpListener::bind((Ipv4Addr::new(127, 100 + a, b, c), 0)).await.expect("bind");
        let addr = socket.local_addr().expect("address");
        let hung = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(socket, number, Arc::clone(&hung)));
        Self { addr, hung, tasks }
    }

    /// Like `kill -9`: the port refuses, live connections break.
    pub(crate) async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Like `SIGSTOP`: new connections are accepted and then nothing happens.
    pub(crate) fn hang(&self) {
        self.hung.store(true, SeqCst);
    }

    pub(crate) fn health_url(&self) -> pangea::probe::Url {
        format!("http://{}/health", self.addr).parse().expect("url")
    }
}

async fn accept(socket: TcpListener, number: u8, hung: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = socket.accept().await.expect("accept");
        let hung = Arc::clone(&hung);
        connections.spawn(async move {
            // A client that breaks off is its own affair.
            let _ = serve(stream, number, &hung).await;
        });
    }
}

async fn serve(mut stream: TcpStream, number: u8, hung: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = vec![0; 4096];
    let mut count = stream.read(&mut buffer).await?;
    if hung.load(SeqCst) {
        std::future::pending::<()>().await;
    }
    if buffer.starts_with(b"GET ") {
        let body = format!("{{\"region\":{number}}}");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        return stream.write_all((head + &body).as_bytes()).await;
    }
    stream.write_all(&[number]).await?;
    while count > 0 {
        stream.write_all(&buffer[..count]).await?;
        count = stream.read(&mut buffer).await?;
    }
    stream.shutdown().await
}

/// Two regions: clients of 10.1.0.0/16 are near region 0, of 10.2.0.0/16 near region 1; all others
/// near region 0. `www.example.com` is 192.0.2.1 in region 0 and 192.0.2.2 in region 1.
pub(crate) struct World {
    pub(crate) apps: Vec<App>,
    pub(crate) traffic: Handle,
    pub(crate) config: RoutingConfig,
}

impl World {
    pub(crate) async fn start() -> Self {
        let health = health::Config {
            interval_us: 50_000,
            timeout_us: 1_000_000,
            ..health::Config::default()
        };
        Self::start_with(health).await
    }

    pub(crate) async fn start_with(health: health::Config) -> Self {
        let apps = vec![App::start(0).await, App::start(1).await];
        let config = config(&apps);
        let traffic_config = Config { health, ..Config::new(config.clone(), targets(&apps)) };
        let traffic = traffic::start(traffic_config).expect("a valid configuration");
        let world = Self { apps, traffic, config };
        for n in [0, 1] {
            world.wait_for(n, health::State::Healthy).await;
        }
        world
    }

    pub(crate) async fn wait_for(&self, n: u8, state: health::State) {
        let what = format!("region {n} becomes {state}");
        until(&what, || self.traffic.snapshot().state(slot(n)) == state).await;
    }

    pub(crate) async fn dns(&self) -> pangea::dns::Server {
        let config = pangea::dns::Config::new(LOOPBACK);
        pangea::dns::Server::start(&config, self.traffic.snapshots()).await.expect("dns starts")
    }

    pub(crate) async fn l4(&self, config: pangea::l4::Config) -> pangea::l4::Server {
        let (snapshots, passive) = (self.traffic.snapshots(), self.traffic.passive());
        pangea::l4::Server::start(config, snapshots, passive).await.expect("l4 starts")
    }
}

pub(crate) fn targets(apps: &[App]) -> BTreeMap<RegionSlot, pangea::probe::Url> {
    (0..).zip(apps).map(|(n, app)| (slot(n), app.health_url())).collect()
}

pub(crate) fn config(apps: &[App]) -> RoutingConfig {
    let region =
        |n: u8| Region { slot: slot(n), name: format!("region-{n}"), control: RoutingControl::On };
    let network =
        |cidr: &str, near| Network { cidr: cidr.parse().expect("cidr"), near: slot(near) };
    let endpoint = |(n, app): (u8, &App)| Endpoint { region: slot(n), addr: app.addr };
    RoutingConfig {
        generation: 1,
        regions: vec![region(0), region(1)],
        links: vec![Link { a: slot(0), b: slot(1), rtt_ms: 80 }],
        networks: vec![network("10.1.0.0/16", 0), network("10.2.0.0/16", 1)],
        near_default: slot(0),
        zones: vec![zone()],
        listeners: vec![Listener {
            id: "web".into(),
            endpoints: (0..).zip(apps).map(endpoint).collect(),
        }],
    }
}

fn zone() -> Zone {
    let latency =
        |n: u8| RegionRecords { region: slot(n), values: vec![Data::A([192, 0, 2, n + 1].into())] };
    let set = |owner: &str, kind, policy| RecordSet { name: name(owner), kind, ttl_s: 1, policy };
    let text = Data::Txt(vec!["y".repeat(200); 10]);
    Zone {
        name: name("example.com"),
        soa: Soa::new(name("ns1.example.com"), name("hostmaster.example.com")),
        name_servers: vec![name("ns1.example.com"), name("ns2.example.com")],
        name_servers_ttl_s: 3600,
        records: vec![
            set("www.example.com", RecordType::A, Policy::Latency(vec![latency(0), latency(1)])),
            set("big.example.com", RecordType::Txt, Policy::Simple(vec![text])),
        ],
    }
}
