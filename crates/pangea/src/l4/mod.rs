//! TCP accelerator: takes a connection, carries it to the nearest region that is up.
//!
//! A connection that is refused, reset or not made in time is reported as passive evidence at once
//! and tried in the next region, each region once, before the client sees anything. After that the
//! bytes are carried as they are, both ways, with half-close.
//!
//! When a region goes down and probes confirm it, its live connections are reset by default
//! ([`Config::reset_on_ejection`]) if another region is up. Global Accelerator leaves them alone:
//! right for a region that is only slow, but the clients of a dead one (a pulled cable, a stopped
//! process) then wait out the idle timeout of 340 s. A reset lets them connect anew now; the lab in
//! `traffic.md` (3.3) found 32 of 64 connections stuck without it.
//!
//! Deliberately not here: replay of requests (that needs to know the protocol), client addresses
//! for the endpoint, UDP, weights and dials.

mod connection;
mod splice;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::descriptors::permits;
use crate::reserve;
use crate::traffic::{PassiveSender, Snapshots, Throttle};
use connection::Connection;

/// Pause after accepting failed (descriptors are out), so that a lasting failure does not spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

static ACCEPT_FAILED: Throttle = Throttle::new();

/// How one listener accelerates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to accept; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// The listener of the routing configuration whose endpoints serve.
    pub listener: String,
    /// A connection not made for this long is tried elsewhere. Below the kernel's first SYN retry
    /// (1 s), above the round trip between any two regions.
    pub connect_timeout: Duration,
    /// A connection without a byte in either direction for this long is reset; GA's is 340 s.
    pub idle: Duration,
    /// Connections open at once; one more is reset at once. Each holds two buffers of 8 KiB.
    pub connections_max: u64,
    /// Whether to reset live connections to a region that went down; see the module's head.
    pub reset_on_ejection: bool,
}

impl Config {
    /// The defaults for `listener` at `addr`.
    #[must_use]
    pub fn new(addr: SocketAddr, listener: impl Into<String>) -> Self {
        Self {
            addr,
            listener: listener.into(),
            connect_timeout: Duration::from_millis(250),
            idle: Duration::from_secs(340),
            connections_max: 10_000,
            reset_on_ejection: true,
        }
    }
}

/// Counters of one listener; all but `active` only grow.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    active: AtomicU64,
    connect_retries: AtomicU64,
    failed: AtomicU64,
    ejected: AtomicU64,
    idle: AtomicU64,
    broken: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct CountersSnapshot {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections reset at once because too many were open.
    pub refused: u64,
    /// Connections open now.
    pub active: u64,
    /// Times that an endpoint could not be connected to and another was tried.
    pub connect_retries: u64,
    /// Connections reset because no endpoint could be connected to.
    pub failed: u64,
    /// Connections reset because their region went down.
    pub ejected: u64,
    /// Connections reset because they were idle.
    pub idle: u64,
    /// Connections that one side broke off.
    pub broken: u64,
    /// Bytes from clients to endpoints.
    pub bytes_in: u64,
    /// Bytes from endpoints to clients.
    pub bytes_out: u64,
}

impl Counters {
    /// All counters now; each is exact, together they may be of slightly different moments.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        CountersSnapshot {
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            active: self.active.load(Relaxed),
            connect_retries: self.connect_retries.load(Relaxed),
            failed: self.failed.load(Relaxed),
            ejected: self.ejected.load(Relaxed),
            idle: self.idle.load(Relaxed),
            broken: self.broken.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }
}

/// A running accelerator listener; dropping it resets its connections and stops it.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    counters: Arc<Counters>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Binds and begins to accept.
    ///
    /// # Errors
    /// `NotFound` if the routing configuration has no such listener; else what binding says.
    pub async fn start(
        config: Config,
        snapshots: Snapshots,
        passive: PassiveSender,
    ) -> io::Result<Self> {
        if !snapshots.borrow().has_listener(&config.listener) {
            let text = format!("no listener {:?} in the routing configuration", config.listener);
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        let socket = reserve::listen(config.addr)?;
        let addr = socket.local_addr()?;
        let counters = Arc::new(Counters::default());
        let shared = Shared { config, snapshots, passive, counters: Arc::clone(&counters) };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept_all(socket, Arc::new(shared)));
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

/// What all connections of one listener share.
struct Shared {
    config: Config,
    snapshots: Snapshots,
    passive: PassiveSender,
    counters: Arc<Counters>,
}

async fn accept_all(socket: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(permits(shared.config.connections_max)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (client, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                ACCEPT_FAILED.warn(|| tracing::warn!(%error, "l4: accept failed"));
                tokio::time::sleep(FAILURE_PAUSE).await;
                continue;
            }
        };
        shared.counters.accepted.fetch_add(1, Relaxed);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            shared.counters.refused.fetch_add(1, Relaxed);
            reset(&client);
            continue;
        };
        let connection = Connection { shared: Arc::clone(&shared), client_ip: from.ip() };
        connections.spawn(async move {
            let _place = place;
            connection.run(client).await;
        });
    }
}

/// Makes the coming close a reset, so that the peer does not take it for the end of the data.
fn reset(stream: &TcpStream) {
    // It fails only on a socket that is already gone.
    let _ = stream.set_zero_linger();
}
