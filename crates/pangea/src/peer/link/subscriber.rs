//! The dialling side of a link.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use pangea_codec::peer::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, Hello, Message, PROTOCOL, encode};
use pangea_core::id::RegionSlot;
use pangea_core::limits::LINK_TIMEOUT_MS;
use pangea_core::replica::Request;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stats::Meter;
use super::wire::{Incoming, ReadError, send};
use super::{
    HANDSHAKE_TIMEOUT, LinkEvent, PING_INTERVAL, PeerLinks, REQUESTS_MAX, ROUND_TRIP_MAX, Shared,
};
use crate::peer::identity::region_dns_name;
use crate::peer::wan::{Direction, Line, Outbox, outbound};

/// First wait before dialling again.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest wait: a peer that comes back is found within this.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Round trips until a hello is answered: TCP, TLS 1.3 and the hello itself.
const ROUND_TRIPS_TO_OPEN: u32 = 3;

/// Why a link is not open.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the link is cut by an injected fault")]
    Cut,
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("{0} is not a name for a certificate")]
    Name(String),
    #[error("no hello within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Slow,
    #[error("refused by the peer: {0}")]
    Refused(String),
    #[error("the peer is not who it should be: it says it is {0}")]
    Mistaken(RegionSlot),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot send: {0}")]
    Send(std::io::Error),
    #[error("the peer sent a message that is not a feeder's")]
    Misplaced,
    #[error("the driver is gone")]
    NoDriver,
}

type Stream = TlsStream<TcpStream>;

/// An open link.
struct Session {
    incoming: Incoming<ReadHalf<Stream>>,
    socket: WriteHalf<Stream>,
    incarnation: u16,
}

pub(super) async fn run(
    shared: Arc<Shared>,
    peer: RegionSlot,
    tls: Arc<ClientConfig>,
    events: mpsc::Sender<LinkEvent>,
) {
    let Some(links) = shared.peers.get(&peer) else { return };
    let line = shared.faults.line(peer, Direction::In);
    let subscriber = Subscriber { shared: &shared, links, line, tls, events };
    let mut backoff = BACKOFF_MIN;
    loop {
        let (opened, error) = subscriber.session().await;
        let reason = error.to_string();
        let region = &links.peer.name;
        if links.subscriber.closed(&reason, opened) {
            tracing::warn!(%peer, region, reason, "no link from the peer; dialling on");
        }
        if opened && subscriber.events.send(LinkEvent::Down { peer, reason }).await.is_err() {
            return;
        }
        if matches!(error, LinkError::NoDriver) {
            return;
        }
        backoff = if opened { BACKOFF_MIN } else { (backoff * 2).min(BACKOFF_MAX) };
        sleep(jitter(backoff)).await;
    }
}

/// Between half of `wait` and all of it, so that regions that lost the same peer do not return at
/// once.
fn jitter(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

struct Subscriber<'a> {
    shared: &'a Shared,
    links: &'a PeerLinks,
    line: Line,
    tls: Arc<ClientConfig>,
    events: mpsc::Sender<LinkEvent>,
}

impl Subscriber<'_> {
    /// Opens a link and runs it to its end: whether it was open, and why it is not any more.
    async fn session(&self) -> (bool, LinkError) {
        let opening = async {
            tokio::select! {
                () = self.line.refused() => Err(LinkError::Cut),
                opened = timeout(HANDSHAKE_TIMEOUT, Box::pin(self.open())) => {
                    opened.unwrap_or(Err(LinkError::Slow))
                }
            }
        };
        match opening.await {
            Ok(session) => (true, self.opened(session).await),
            Err(error) => (false, error),
        }
    }

    async fn open(&self) -> Result<Session, LinkError> {
        self.line.passable().await;
        sleep(self.line.condition().delay * 2 * ROUND_TRIPS_TO_OPEN).await;
        let peer = &self.links.peer;
        let failed = |source| LinkError::Connect { address: peer.address.clone(), source };
        let socket = TcpStream::connect(&peer.address).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let name = region_dns_name(&peer.name, &self.shared.local.cluster);
        let name = ServerName::try_from(name.clone()).map_err(|_| LinkError::Name(name))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let stream = tls.connect(name, socket).await.map_err(failed)?;
        let (read, mut write) = tokio::io::split(stream);
        let hello = encode(&Message::Hello(self.hello())).map_err(ReadError::from)?;
        write.write_all(&hello).await.map_err(LinkError::Send)?;
        write.flush().await.map_err(LinkError::Send)?;
        let mut incoming = Incoming::new(read);
        let incarnation = match incoming.next(HELLO_BYTES_MAX, HANDSHAKE_TIMEOUT).await?.0 {
            Message::HelloReply(reply) if reply.slot == peer.slot => reply.incarnation,
            Message::HelloReply(reply) => return Err(LinkError::Mistaken(reply.slot)),
            Message::Refused { reason } => return Err(LinkError::Refused(reason)),
            _ => return Err(LinkError::Misplaced),
        };
        Ok(Session { incoming, socket: write, incarnation })
    }

    fn hello(&self) -> Hello {
        let local = &self.shared.local;
        Hello {
            protocol: PROTOCOL,
            cluster: local.cluster_id,
            slot: local.slot,
            incarnation: local.incarnation,
            region: local.name.clone(),
        }
    }

    async fn opened(&self, session: Session) -> LinkError {
        let (peer, meter) = (self.links.peer.slot, &self.links.subscriber);
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        *self.links.requests.lock().unwrap_or_else(PoisonError::into_inner) = Some(requests);
        meter.opened();
        tracing::info!(%peer, region = self.links.peer.name, "link from the peer is open");
        let up = LinkEvent::Up { peer, incarnation: session.incarnation };
        let error = match self.events.send(up).await {
            Ok(()) => Box::pin(self.exchange(session, asked)).await,
            Err(_) => LinkError::NoDriver,
        };
        *self.links.requests.lock().unwrap_or_else(PoisonError::into_inner) = None;
        error
    }

    async fn exchange(&self, session: Session, asked: mpsc::Receiver<Request>) -> LinkError {
        let meter = &self.links.subscriber;
        let (outbox, outlet) = outbound(self.line.clone());
        let started = Instant::now();
        tokio::select! {
            error = self.receive(session.incoming, started) => error,
            () = speak(outbox, asked, started) => LinkError::NoDriver,
            ended = outlet.run(session.socket, |bytes| meter.wrote(bytes)) => match ended {
                Ok(()) => LinkError::NoDriver,
                Err(error) => LinkError::Send(error),
            },
            () = self.line.refused() => LinkError::Cut,
        }
    }

    /// Hands frames to the driver until something is wrong.
    async fn receive(
        &self,
        mut incoming: Incoming<impl AsyncRead + Unpin>,
        started: Instant,
    ) -> LinkError {
        let (peer, meter) = (self.links.peer.slot, &self.links.subscriber);
        loop {
            // The time in which the driver does not take a frame is not the peer's silence.
            let limit = silence_max(&self.line, meter);
            let (message, bytes) = match incoming.next(FRAME_BYTES_MAX, limit).await {
                Ok(arrived) => arrived,
                Err(error) => return error.into(),
            };
            // A split swallows what was already on its way.
            if timeout(limit, self.line.passable()).await.is_err() {
                return ReadError::Silent(limit).into();
            }
            meter.read(bytes);
            match message {
                Message::Frame(frame) => {
                    meter.frame(&frame);
                    if self.events.send(LinkEvent::Frame { peer, frame }).await.is_err() {
                        return LinkError::NoDriver;
                    }
                }
                Message::Pong { t_us } => {
                    meter.round_trip(started.elapsed().saturating_sub(Duration::from_micros(t_us)));
                }
                Message::Refused { reason } => return LinkError::Refused(reason),
                _ => return LinkError::Misplaced,
            }
        }
    }
}

/// Sends requests and pings until the connection ends.
async fn speak(outbox: Outbox, mut asked: mpsc::Receiver<Request>, started: Instant) {
    let mut ping = interval(PING_INTERVAL);
    loop {
        let message = tokio::select! {
            request = asked.recv() => match request {
                Some(request) => Message::Request(request),
                None => return,
            },
            _ = ping.tick() => {
                let t_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                Message::Ping { t_us }
            }
        };
        if send(&outbox, &message).await.is_err() {
            return;
        }
    }
}

/// How long nothing may come: a few heartbeats and a round trip.
fn silence_max(line: &Line, meter: &Meter) -> Duration {
    let condition = line.condition();
    let distance = (condition.delay * 2).max(meter.rtt().unwrap_or_default()).min(ROUND_TRIP_MAX);
    Duration::from_millis(LINK_TIMEOUT_MS) + distance
}
