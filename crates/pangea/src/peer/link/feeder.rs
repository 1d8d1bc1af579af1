//! The dialled side of a link: pulls the feed and deals its frames out to the streams.
//!
//! State: the feed and the number of the next frame, in one task. What it reads from one view of
//! the store, at most [`FILL_BYTES_MAX`] and a frame, it compresses and puts into the outbox, and
//! waits there while the outbox is full: nothing is read ahead for a subscriber that is slow.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use pangea_codec::peer::{Compression, FRAME_BYTES_MAX, HELLO_BYTES_MAX, Message, Terms, encode};
use pangea_core::repair::Told;
use pangea_core::replica::{Feed, Frame, Progress, Request, Snapshot};
use pangea_core::time::Now;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::press::Press;
use super::stats::FrameSize;
use super::wire::{Connection, Incoming, ReadError, WriteSocket, send};
use super::{
    FEEDER_SILENCE_MAX, HANDSHAKE_TIMEOUT, PING_INTERVAL, PeerLinks, REQUESTS_MAX, Shared,
    first_ended,
};
use crate::peer::outbox::{Class, Closed, Idle, Outbox, Outlet, single, striped};
use crate::peer::wan::{Direction, Line};

/// Frames of one view of the store, bytes: amortises opening it, bounds what is encoded ahead.
const FILL_BYTES_MAX: usize = 1024 * 1024;

/// Where a feed comes from: this region's durable state.
pub trait FeedSource: Send + Sync + 'static {
    /// A durable state of the store.
    type View: Snapshot;

    /// The clock that stamps frames; its monotonic part must be that of every other call.
    fn now(&self) -> Now;

    /// What may be told to peers. Read before a view is opened, so that the view is as new.
    fn progress(&self) -> watch::Receiver<Progress>;

    /// Opens the newest durable state; may block.
    ///
    /// # Errors
    /// Ends the link; the subscriber dials again.
    fn view(&self) -> anyhow::Result<Self::View>;

    /// Whether every read of `view` succeeded. A [`Snapshot`] cannot fail, so it must remember:
    /// what a failed read left out would never be sent again.
    ///
    /// # Errors
    /// Ends the link before anything that was read is sent.
    fn check(&self, view: &Self::View) -> anyhow::Result<()>;
}

/// Why a region does not feed a peer any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    #[error("the link is cut by an injected fault")]
    Cut,
    #[error("a newer link of the peer replaced it")]
    Replaced,
    #[error("{0}")]
    Expelled(String),
    #[error("the subscriber did not open all streams within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Streams,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot send: {0}")]
    Send(std::io::Error),
    #[error("the store cannot be read: {0:#}")]
    Source(anyhow::Error),
    #[error("frames cannot be compressed: {0}")]
    Compress(std::io::Error),
    #[error("a task of the link panicked")]
    Panicked,
    #[error("this region is stopping")]
    Stopping,
}

/// A link over which a peer is fed, as connections find it that want to join.
#[derive(Debug)]
pub(super) struct Feeding {
    pub(super) link: u64,
    pub(super) terms: Terms,
    pub(super) joined: mpsc::Sender<Joined>,
    /// Dropped when a newer link replaces this one.
    pub(super) _replaced: oneshot::Sender<()>,
}

/// The number of a stream, and the connection that becomes it.
pub(super) type Joined = (u8, Connection);

/// A link that a subscriber opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) links: Arc<PeerLinks>,
    /// Which of its lives the subscriber is in.
    pub(super) incarnation: u16,
    pub(super) terms: Terms,
    pub(super) urgent: Connection,
    pub(super) joined: mpsc::Receiver<Joined>,
    pub(super) replaced: oneshot::Receiver<()>,
}

impl Opened {
    /// Feeds the subscriber until something is wrong: whether all its streams came, and what.
    pub(super) async fn run<S: FeedSource>(
        self,
        shared: &Shared,
        source: Arc<S>,
    ) -> (bool, FeedError) {
        let Self { links, incarnation, terms, urgent, joined, replaced } = self;
        let slot = links.peer.slot;
        let line = shared.faults.line(slot, Direction::Out);
        let level = shared.options.compression.filter(|_| terms.compression == Compression::Zstd);
        let press = match Press::new(level) {
            Ok(press) => press,
            Err(error) => return (false, FeedError::Compress(error)),
        };
        let dealer = Dealer { feed: Feed::new(shared.origin(), slot), press, number: 0 };
        let open = AtomicBool::new(false);
        let streams = gather(joined, terms.streams, &open);
        let fed = Fed { links: Arc::clone(&links), line: line.clone(), source };
        let error = tokio::select! {
            error = Box::pin(fed.run(dealer, urgent, streams)) => error,
            () = line.refused() => FeedError::Cut,
            why = shared.expelled(&links, incarnation) => FeedError::Expelled(why),
            _ = replaced => FeedError::Replaced,
        };
        (open.into_inner(), error)
    }
}

/// All streams of a link, in whatever order they come; says so once they are there.
async fn gather(
    mut joined: mpsc::Receiver<Joined>,
    count: u8,
    open: &AtomicBool,
) -> Result<Vec<Connection>, FeedError> {
    let mut streams = BTreeMap::new();
    while streams.len() < usize::from(count) {
        let (stream, connection) = joined.recv().await.ok_or(FeedError::Replaced)?;
        if stream >= count || streams.insert(stream, connection).is_some() {
            return Err(ReadError::Misplaced.into());
        }
    }
    open.store(true, Relaxed);
    Ok(streams.into_values().collect())
}

/// A link under way.
struct Fed<S> {
    links: Arc<PeerLinks>,
    line: Line,
    source: Arc<S>,
}

impl<S: FeedSource> Fed<S> {
    async fn run(
        self,
        dealer: Dealer,
        urgent: Connection,
        streams: impl Future<Output = Result<Vec<Connection>, FeedError>>,
    ) -> FeedError {
        let Self { links, line, source } = self;
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let (answers, outlet) = single(line.clone(), Class::Urgent);
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(
            urgent.incoming,
            line.clone(),
            Arc::clone(&links),
            (answers, Arc::clone(&source)),
            requests,
        ));
        tasks.spawn(drain(outlet, urgent.socket, None, Arc::clone(&links)));
        let streams = tokio::select! {
            error = first_ended(&mut tasks, || FeedError::Panicked) => return error,
            streams = timeout(HANDSHAKE_TIMEOUT, streams) => match streams {
                Ok(Ok(streams)) => streams,
                Ok(Err(error)) => return error,
                Err(_) => return FeedError::Streams,
            }
        };
        links.feeder.opened();
        let (peer, region) = (links.peer.slot, &links.peer.name);
        tracing::info!(%peer, region, streams = streams.len(), "feeding the peer");
        let (outbox, outlets) = striped(line, streams.len());
        for (Connection { incoming, socket }, outlet) in streams.into_iter().zip(outlets) {
            let alive = encode(&Message::Alive).expect("two bytes");
            let idle = Some(Idle { after: PING_INTERVAL, message: alive });
            tasks.spawn(drain(outlet, socket, idle, Arc::clone(&links)));
            tasks.spawn(ended(incoming));
        }
        tasks.spawn(Pump { outbox, source, links, asked }.run(dealer));
        first_ended(&mut tasks, || FeedError::Panicked).await
    }
}

/// Moves what was put into an outbox to a socket.
async fn drain(
    outlet: Outlet,
    socket: WriteSocket,
    idle: Option<Idle>,
    links: Arc<PeerLinks>,
) -> FeedError {
    match outlet.run(socket, idle, |bytes| links.feeder.wrote(bytes)).await {
        // Whoever filled the outbox has ended, and tells why.
        Ok(()) => pending().await,
        Err(error) => FeedError::Send(error),
    }
}

/// Returns when the other side ends a stream on which it has nothing to say.
async fn ended(mut incoming: Incoming) -> FeedError {
    match incoming.next(HELLO_BYTES_MAX, Duration::MAX).await {
        Ok(_) => ReadError::Misplaced.into(),
        Err(error) => error.into(),
    }
}

/// Takes in requests and answers pings.
async fn listen<S: FeedSource>(
    mut incoming: Incoming,
    line: Line,
    links: Arc<PeerLinks>,
    (outbox, source): (Outbox, Arc<S>),
    requests: mpsc::Sender<Request>,
) -> FeedError {
    loop {
        let (message, bytes) = match incoming.next(FRAME_BYTES_MAX, FEEDER_SILENCE_MAX).await {
            Ok(arrived) => arrived,
            Err(error) => return error.into(),
        };
        if timeout(FEEDER_SILENCE_MAX, line.passable()).await.is_err() {
            return ReadError::Silent(FEEDER_SILENCE_MAX).into();
        }
        links.feeder.read(bytes);
        let done = match message {
            Message::Request(request) => requests.send(request).await.map_err(|_| Closed),
            Message::Ping { t_us } => {
                let wall_ms = source.now().wall_ms;
                send(&outbox, &Message::Pong { t_us, wall_ms }).await
            }
            _ => return ReadError::Misplaced.into(),
        };
        if done.is_err() {
            return pending().await;
        }
    }
}

/// Pulls the feed whenever the outbox has room.
struct Pump<S> {
    outbox: Outbox,
    source: Arc<S>,
    links: Arc<PeerLinks>,
    asked: mpsc::Receiver<Request>,
}

/// What turns a view of the store into envelopes.
struct Dealer {
    feed: Feed,
    press: Press,
    /// Of the next frame.
    number: u64,
}

/// What one view of the store gave.
struct Fill {
    dealer: Dealer,
    frames: Vec<(FrameSize, Vec<u8>)>,
    more: bool,
}

impl<S: FeedSource> Pump<S> {
    async fn run(mut self, mut dealer: Dealer) -> FeedError {
        let mut progress = self.source.progress();
        loop {
            if let Err(error) = self.wait(&mut dealer.feed, &mut progress).await {
                return error;
            }
            dealer = match self.send_all(dealer, &mut progress).await {
                Ok(dealer) => dealer,
                Err(error) => return error,
            };
        }
    }

    /// Until there may be something to send.
    async fn wait(
        &mut self,
        feed: &mut Feed,
        progress: &mut watch::Receiver<Progress>,
    ) -> Result<(), FeedError> {
        let now_us = self.source.now().mono_us;
        let deadline = feed.deadline().map(|at| Duration::from_micros(at.saturating_sub(now_us)));
        tokio::select! {
            request = self.asked.recv() => {
                match request {
                    Some(request) => feed.receive(request),
                    None => pending().await,
                }
                Ok(())
            }
            changed = progress.changed() => changed.map_err(|_| FeedError::Stopping),
            () = sleep(deadline.unwrap_or(Duration::MAX)), if deadline.is_some() => Ok(()),
        }
    }

    /// Sends all that there is now.
    async fn send_all(
        &mut self,
        mut dealer: Dealer,
        progress: &mut watch::Receiver<Progress>,
    ) -> Result<Dealer, FeedError> {
        loop {
            while let Ok(request) = self.asked.try_recv() {
                dealer.feed.receive(request);
            }
            // Before the view: a feed may only tell what its view has.
            let told = progress.borrow_and_update().clone();
            let source = Arc::clone(&self.source);
            let filling = tokio::task::spawn_blocking(move || dealer.fill(&told, &*source));
            let filled = filling.await.map_err(anyhow::Error::new).and_then(|filled| filled);
            let filled = filled.map_err(FeedError::Source)?;
            for (size, envelope) in filled.frames {
                if self.outbox.send(envelope).await.is_err() {
                    return pending().await;
                }
                self.links.feeder.frame(size);
            }
            dealer = filled.dealer;
            if !filled.more {
                return Ok(dealer);
            }
        }
    }
}

impl Dealer {
    /// Reads, encodes and compresses frames of one view; blocks.
    fn fill<S: FeedSource>(mut self, progress: &Progress, source: &S) -> anyhow::Result<Fill> {
        let mut view = source.view()?;
        let (mut frames, mut bytes, mut more) = (Vec::new(), 0, true);
        while more && bytes < FILL_BYTES_MAX {
            let Some(mut frame) = self.feed.next(source.now(), progress, &view) else {
                more = false;
                continue;
            };
            if let Err(damage) = source.check(&view) {
                // A peer that repairs is told nothing of what is damaged here, too: without the
                // link nobody could repair anything.
                let Frame::Compared(answer) = &mut frame else { return Err(damage) };
                let table = answer.ask.table;
                tracing::warn!(%table, %damage, "a repairing peer is not answered");
                answer.told = Told::Nothing;
                view = source.view()?;
            }
            let message = Message::Frame(frame);
            let encoding = encode(&message)?;
            bytes += encoding.len();
            if let Message::Frame(frame) = message {
                let envelope = self.press.seal(self.number, &encoding)?;
                frames.push((FrameSize::of(&frame, encoding.len()), envelope));
            }
            self.number += 1;
        }
        source.check(&view)?;
        Ok(Fill { dealer: self, frames, more })
    }
}
