//! Authoritative name server: UDP and TCP, answering from the routing snapshot.
//!
//! State: the latest snapshot, taken from a watch channel. Each UDP worker keeps its own `Arc` of
//! it and looks at the channel's version, one atomic load, per datagram; the channel's lock is
//! taken only after a change. A sender that is gone changes nothing: the last snapshot serves on
//! (invariant 11).
//!
//! Always true: a datagram gets at most one reply, never longer than the client said it takes; a
//! response is never answered; no bytes from the network end the process or a worker.
//!
//! Deliberately not here: recursion, zone transfer, DNSSEC, cookies, response rate limits. What
//! bounds amplification is the payload of 1232 bytes and the minimal answer to ANY.
//!
//! Sources: RFC 1034, 1035, 2181, 2308, 4343, 6891, 7766, 7871, 8482, 9619; dnsflagday.net/2020.

mod counters;
mod reply;
mod tcp;
mod udp;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::reserve;
use crate::traffic::Snapshots;
pub use counters::{Counters, CountersSnapshot};

/// Attempts to find a port that is free for both UDP and TCP, when the system may choose.
const BIND_ATTEMPTS: usize = 16;

/// How a name server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where, for UDP and TCP alike; port 0 lets the system choose one port for both.
    pub addr: SocketAddr,
    /// Tasks that read datagrams; one per core.
    pub udp_workers: usize,
    /// Greatest datagram sent, bytes: 1232 avoids fragments everywhere (DNS flag day 2020).
    pub udp_payload_max: u16,
    /// A TCP connection that brings no whole message for this long is closed.
    pub tcp_idle: Duration,
    /// TCP connections open at once; one more is closed at once.
    pub tcp_connections_max: u64,
}

impl Config {
    /// The defaults at `addr`.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            addr,
            udp_workers: cores,
            udp_payload_max: 1232,
            tcp_idle: Duration::from_secs(10),
            tcp_connections_max: 1024,
        }
    }
}

/// A running name server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    counters: Arc<Counters>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Binds both sockets and begins to answer from `snapshots`.
    ///
    /// # Errors
    /// Whatever the system says to binding.
    pub async fn start(config: &Config, snapshots: Snapshots) -> io::Result<Self> {
        let (udp, tcp) = bind(config.addr).await?;
        let addr = udp.local_addr()?;
        let counters = Arc::new(Counters::default());
        let mut tasks = JoinSet::new();
        let socket = Arc::new(udp);
        for _ in 0..config.udp_workers.max(1) {
            let worker = udp::Worker {
                socket: Arc::clone(&socket),
                snapshots: snapshots.clone(),
                counters: Arc::clone(&counters),
                payload_max: config.udp_payload_max.max(wire::PAYLOAD_BYTES_MIN),
            };
            tasks.spawn(worker.run());
        }
        tasks.spawn(tcp::serve(tcp, config.clone(), snapshots, Arc::clone(&counters)));
        Ok(Self { addr, counters, _tasks: tasks })
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it counted.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }
}

async fn bind(addr: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempt = 1;
    loop {
        let udp = UdpSocket::bind(addr).await?;
        match reserve::listen(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if addr.port() != 0 || attempt == BIND_ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}
