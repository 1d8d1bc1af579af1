//! The dialling side of a link.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pangea_codec::peer::{
    Compression, FRAME_BYTES_MAX, HELLO_BYTES_MAX, Hello, HelloReply, Message, PROTOCOL, Terms,
    decode,
};
use pangea_core::id::RegionSlot;
use pangea_core::limits::LINK_TIMEOUT_MS;
use pangea_core::replica::{Frame, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::press::Unpress;
use super::reorder::{Reorder, Sealed};
use super::stats::{FrameSize, Meter};
use super::wire::{Connection, Incoming, ReadError, send};
use super::{
    HANDSHAKE_TIMEOUT, LinkEvent, PING_INTERVAL, PeerLinks, ROUND_TRIP_MAX, Shared, first_ended,
};
use crate::peer::identity::region_dns_name;
use crate::peer::outbox::{Class, Outbox, Outlet, single};
use crate::peer::wan::{Direction, Line};

/// First wait before dialling again.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest wait: a peer that comes back is found within this.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Round trips until a hello is answered: TCP, TLS 1.3 and the hello itself.
const ROUND_TRIPS_TO_OPEN: u32 = 3;
/// Messages that are longer, decompressed, are decoded on a thread that may block: the hundred
/// microseconds that this takes are about what a switch of threads costs.
const DECODED_AT_ONCE: usize = 16 * 1024;

/// Why a link is not open.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the link is cut by an injected fault")]
    Cut,
    #[error("{0}")]
    Expelled(String),
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
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
    Send(io::Error),
    #[error("a message cannot be decompressed: {0}")]
    Decompress(io::Error),
    #[error("a task of the link panicked")]
    Panicked,
    #[error("the driver is gone")]
    NoDriver,
}

/// A link whose connections are all there.
struct Session {
    urgent: Connection,
    streams: Vec<Connection>,
    incarnation: u16,
}

/// Dials every peer, those that are added later included, until the driver is gone.
pub(super) async fn run_all(
    shared: Arc<Shared>,
    tls: Arc<ClientConfig>,
    events: mpsc::Sender<LinkEvent>,
) {
    let mut peers = shared.peers.subscribe();
    let mut started: BTreeMap<RegionSlot, (Arc<PeerLinks>, Arc<Mutex<()>>)> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        for (&slot, links) in peers.borrow_and_update().iter() {
            let known = started.get(&slot);
            if known.is_some_and(|(known, _)| Arc::ptr_eq(known, links)) {
                continue;
            }
            // The driver hears `Down` of a peer that was replaced before `Up` of its successor.
            let turn = known.map(|(_, turn)| Arc::clone(turn)).unwrap_or_default();
            started.insert(slot, (Arc::clone(links), Arc::clone(&turn)));
            let subscriber = Subscriber {
                line: shared.faults.line(slot, Direction::In),
                shared: Arc::clone(&shared),
                links: Arc::clone(links),
                tls: Arc::clone(&tls),
                events: events.clone(),
            };
            tasks.spawn(async move {
                let _turn = turn.lock().await;
                subscriber.run().await;
            });
        }
        // The sender is in `shared`, so the channel cannot close.
        let _ = peers.changed().await;
    }
}

/// Between half of `wait` and all of it, so that regions that lost the same peer do not return at
/// once.
fn jitter(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[derive(Clone)]
struct Subscriber {
    shared: Arc<Shared>,
    links: Arc<PeerLinks>,
    line: Line,
    tls: Arc<ClientConfig>,
    events: mpsc::Sender<LinkEvent>,
}

impl Subscriber {
    /// Dials until the driver is gone or the peer was removed.
    async fn run(self) {
        let (peer, region) = (self.links.peer.slot, self.links.peer.name.as_str());
        let mut removed = self.links.removed.subscribe();
        let mut backoff = BACKOFF_MIN;
        while !*removed.borrow() {
            let (opened, error) = self.session().await;
            let reason = error.to_string();
            if self.links.subscriber.closed(&reason, opened) {
                tracing::warn!(%peer, region, reason, "no link from the peer; dialling on");
            }
            let down = LinkEvent::Down { peer, reason };
            if matches!(error, LinkError::NoDriver)
                || (opened && self.events.send(down).await.is_err())
            {
                return;
            }
            backoff = if opened { BACKOFF_MIN } else { (backoff * 2).min(BACKOFF_MAX) };
            let _ = timeout(jitter(backoff), removed.wait_for(|removed| *removed)).await;
        }
    }

    /// Opens a link and runs it to its end: whether it was open, and why it is not any more.
    async fn session(&self) -> (bool, LinkError) {
        let mut removed = self.links.removed.subscribe();
        let opening = async {
            tokio::select! {
                () = self.line.refused() => Err(LinkError::Cut),
                _ = removed.wait_for(|removed| *removed) => {
                    Err(LinkError::Expelled("the peer was removed".to_owned()))
                }
                opened = Box::pin(self.open()) => opened,
            }
        };
        match opening.await {
            Ok(session) => (true, self.opened(session).await),
            Err(error) => (false, error),
        }
    }

    async fn open(&self) -> Result<Session, LinkError> {
        let wished = self.shared.options;
        let compression = wished.compression.map_or(Compression::Off, |_| Compression::Zstd);
        let terms = Terms { streams: wished.streams, compression };
        let (reply, urgent) = self.connect(Message::Open(terms)).await?;
        let (peer, link) = (self.links.peer.slot, reply.link);
        if let Some(why) = self.shared.fenced(peer, reply.incarnation) {
            return Err(LinkError::Expelled(format!("fenced: {why}")));
        }
        let mut joining = JoinSet::new();
        for stream in 0..reply.terms.streams {
            let subscriber = self.clone();
            joining.spawn(async move { subscriber.connect(Message::Join { link, stream }).await });
        }
        let mut streams = Vec::new();
        while let Some(joined) = joining.join_next().await {
            streams.push(joined.unwrap_or(Err(LinkError::Panicked))?.1);
        }
        Ok(Session { urgent, streams, incarnation: reply.incarnation })
    }

    /// One connection, as far as it is taken in.
    async fn connect(&self, purpose: Message) -> Result<(HelloReply, Connection), LinkError> {
        let connecting = timeout(HANDSHAKE_TIMEOUT, Box::pin(self.introduce(purpose)));
        connecting.await.unwrap_or(Err(LinkError::Slow))
    }

    async fn introduce(&self, purpose: Message) -> Result<(HelloReply, Connection), LinkError> {
        self.line.passable().await;
        sleep(self.line.condition().delay * 2 * ROUND_TRIPS_TO_OPEN).await;
        let peer = &self.links.peer;
        let failed = |source| LinkError::Connect { address: peer.address.clone(), source };
        let socket = TcpStream::connect(&peer.address).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let name = region_dns_name(&peer.name, &self.shared.local.cluster);
        let name = ServerName::try_from(name.clone()).map_err(|_| LinkError::Name(name))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let mut connection = Connection::new(tls.connect(name, socket).await.map_err(failed)?);
        let introduction = [Message::Hello(self.hello()), purpose];
        connection.introduce(&introduction).await.map_err(LinkError::Send)?;
        match connection.incoming.next(HELLO_BYTES_MAX, HANDSHAKE_TIMEOUT).await?.0 {
            Message::HelloReply(reply) if reply.slot == peer.slot => Ok((reply, connection)),
            Message::HelloReply(reply) => Err(LinkError::Mistaken(reply.slot)),
            Message::Refused { reason } => Err(LinkError::Refused(reason)),
            _ => Err(ReadError::Misplaced.into()),
        }
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
        let (peer, incarnation) = (self.links.peer.slot, session.incarnation);
        let asked = self.links.asked.opened();
        self.links.subscriber.opened();
        let (region, streams) = (&self.links.peer.name, session.streams.len());
        tracing::info!(%peer, region, streams, "link from the peer is open");
        let error = match self.events.send(LinkEvent::Up { peer, incarnation }).await {
            Ok(()) => Box::pin(self.exchange(session, asked)).await,
            Err(_) => LinkError::NoDriver,
        };
        self.links.asked.closed();
        error
    }

    async fn exchange(&self, session: Session, asked: mpsc::Receiver<Request>) -> LinkError {
        let Session { urgent, streams, incarnation } = session;
        let unpress = match Unpress::new() {
            Ok(unpress) => unpress,
            Err(error) => return LinkError::Decompress(error),
        };
        let (outbox, outlet) = single(self.line.clone(), Class::Urgent);
        let started = Instant::now();
        let reorder = Arc::new(Reorder::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(speak(outbox, asked, started));
        tasks.spawn(drain(outlet, urgent, self.clone(), started));
        for stream in streams {
            tasks.spawn(self.clone().take_in(stream, Arc::clone(&reorder)));
        }
        tasks.spawn(self.clone().hand_over(reorder, unpress));
        let error = tokio::select! {
            error = first_ended(&mut tasks, || LinkError::Panicked) => error,
            () = self.line.refused() => LinkError::Cut,
            why = self.shared.expelled(&self.links, incarnation) => LinkError::Expelled(why),
        };
        // No frame after `Down`.
        tasks.shutdown().await;
        error
    }

    /// Takes in pongs.
    async fn listen(&self, mut incoming: Incoming, started: Instant) -> LinkError {
        let meter = &self.links.subscriber;
        loop {
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
                Message::Pong { t_us, wall_ms } => {
                    let heard = Instant::now();
                    let asked = Duration::from_micros(t_us);
                    let round_trip = (heard - started).saturating_sub(asked);
                    meter.round_trip(round_trip);
                    let peer = self.links.peer.slot;
                    let heard = heard.into_std();
                    let heartbeat = LinkEvent::Heartbeat { peer, wall_ms, round_trip, heard };
                    // A driver that is behind has the next one in a moment.
                    let _ = self.events.try_send(heartbeat);
                }
                Message::Refused { reason } => return LinkError::Refused(reason),
                _ => return ReadError::Misplaced.into(),
            }
        }
    }

    /// Moves what comes on a stream into the order of all of them.
    async fn take_in(self, mut stream: Connection, reorder: Arc<Reorder>) -> LinkError {
        let meter = &self.links.subscriber;
        loop {
            let limit = silence_max(&self.line, meter);
            let came = match stream.incoming.next_sealed(&reorder, limit).await {
                Ok(came) => came,
                Err(error) => return error.into(),
            };
            if timeout(limit, self.line.passable()).await.is_err() {
                return ReadError::Silent(limit).into();
            }
            meter.read(came.bytes);
            if let Some((number, message)) = came.message {
                reorder.put(number, message);
            }
        }
    }

    /// Hands frames to the driver, in order, as it has room for them.
    async fn hand_over(self, reorder: Arc<Reorder>, mut unpress: Unpress) -> LinkError {
        let peer = self.links.peer.slot;
        loop {
            let message = reorder.pop().await;
            let bytes = message.plain.unwrap_or(message.bytes.len());
            let room = self.links.room(bytes).await;
            let opened = if bytes <= DECODED_AT_ONCE {
                Ok((open(&mut unpress, message), unpress))
            } else {
                spawn_blocking(move || (open(&mut unpress, message), unpress)).await
            };
            let Ok((opened, kept)) = opened else { return LinkError::Panicked };
            unpress = kept;
            let frame = match opened {
                Ok(frame) => frame,
                Err(error) => return error,
            };
            self.links.subscriber.frame(FrameSize::of(&frame, bytes));
            self.links.asked.delivered(&frame);
            if self.events.send(LinkEvent::Frame { peer, frame, room }).await.is_err() {
                return LinkError::NoDriver;
            }
        }
    }
}

fn open(unpress: &mut Unpress, message: Sealed) -> Result<Frame, LinkError> {
    let payload = unpress.open(message).map_err(LinkError::Decompress)?;
    match decode(&payload).map_err(ReadError::from)? {
        Message::Frame(frame) => Ok(frame),
        _ => Err(ReadError::Misplaced.into()),
    }
}

/// Both directions of the urgent connection.
async fn drain(
    outlet: Outlet,
    urgent: Connection,
    subscriber: Subscriber,
    started: Instant,
) -> LinkError {
    let Connection { incoming, socket } = urgent;
    tokio::select! {
        error = subscriber.listen(incoming, started) => error,
        ended = outlet.run(socket, None, |bytes| subscriber.links.subscriber.wrote(bytes)) => {
            match ended {
                Ok(()) => pending().await,
                Err(error) => LinkError::Send(error),
            }
        }
    }
}

/// Sends requests and pings until the connection ends.
async fn speak(outbox: Outbox, mut asked: mpsc::Receiver<Request>, started: Instant) -> LinkError {
    let mut ping = interval(PING_INTERVAL);
    loop {
        let message = tokio::select! {
            request = asked.recv() => match request {
                Some(request) => Message::Request(request),
                None => return pending().await,
            },
            _ = ping.tick() => {
                let t_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                Message::Ping { t_us }
            }
        };
        if send(&outbox, &message).await.is_err() {
            // Whoever sends for the outbox has ended, and tells why.
            return pending().await;
        }
    }
}

/// How long nothing may come: a few heartbeats and a round trip.
fn silence_max(line: &Line, meter: &Meter) -> Duration {
    let condition = line.condition();
    let distance = (condition.delay * 2).max(meter.rtt().unwrap_or_default()).min(ROUND_TRIP_MAX);
    Duration::from_millis(LINK_TIMEOUT_MS) + distance
}
