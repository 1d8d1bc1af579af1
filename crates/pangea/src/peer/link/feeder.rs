//! The dialled side of a link: pulls the feed and sends its frames.

use std::sync::Arc;
use std::time::Duration;

use pangea_codec::peer::{FRAME_BYTES_MAX, Message, encode};
use pangea_core::replica::{Feed, Frame, Progress, Request, Snapshot};
use pangea_core::time::Now;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::stats::Meter;
use super::wire::{Incoming, ReadError, send};
use super::{FEEDER_SILENCE_MAX, REQUESTS_MAX};
use crate::peer::wan::{Closed, Line, Outbox, outbound};

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
    #[error("a newer connection of the peer replaced it")]
    Replaced,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot send: {0}")]
    Send(std::io::Error),
    #[error("the subscriber sent a message that is not a subscriber's")]
    Misplaced,
    #[error("the store cannot be read: {0:#}")]
    Source(anyhow::Error),
    #[error("this region is stopping")]
    Stopping,
}

impl From<Closed> for FeedError {
    fn from(Closed: Closed) -> Self {
        Self::Stopping
    }
}

/// A subscriber that was taken in.
pub(super) struct Fed<'a, S> {
    pub(super) feed: Feed,
    pub(super) source: Arc<S>,
    pub(super) line: Line,
    pub(super) meter: &'a Meter,
    pub(super) replaced: oneshot::Receiver<()>,
}

impl<S: FeedSource> Fed<'_, S> {
    /// Feeds until something is wrong.
    pub(super) async fn run(
        self,
        incoming: Incoming<impl AsyncRead + Unpin>,
        socket: impl AsyncWrite + Unpin,
    ) -> FeedError {
        let (outbox, outlet) = outbound(self.line.clone());
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let (line, meter, replaced) = (self.line.clone(), self.meter, self.replaced);
        let pump = Pump { outbox: outbox.clone(), source: self.source, meter, asked };
        tokio::select! {
            error = listen(incoming, &line, meter, outbox, requests) => error,
            error = pump.run(self.feed) => error,
            ended = outlet.run(socket, |bytes| meter.wrote(bytes)) => {
                ended.map_or_else(FeedError::Send, |()| FeedError::Stopping)
            }
            () = line.refused() => FeedError::Cut,
            _ = replaced => FeedError::Replaced,
        }
    }
}

/// Takes in requests and answers pings.
async fn listen(
    mut incoming: Incoming<impl AsyncRead + Unpin>,
    line: &Line,
    meter: &Meter,
    outbox: Outbox,
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
        meter.read(bytes);
        match message {
            Message::Request(request) => {
                if requests.send(request).await.is_err() {
                    return FeedError::Stopping;
                }
            }
            Message::Ping { t_us } => {
                if send(&outbox, &Message::Pong { t_us }).await.is_err() {
                    return FeedError::Stopping;
                }
            }
            _ => return FeedError::Misplaced,
        }
    }
}

struct Pump<'a, S> {
    outbox: Outbox,
    source: Arc<S>,
    meter: &'a Meter,
    asked: mpsc::Receiver<Request>,
}

/// What one view of the store gave.
struct Fill {
    feed: Feed,
    frames: Vec<Frame>,
    encoded: Vec<Vec<u8>>,
    more: bool,
}

impl<S: FeedSource> Pump<'_, S> {
    async fn run(mut self, mut feed: Feed) -> FeedError {
        let mut progress = self.source.progress();
        loop {
            if let Err(error) = self.wait(&mut feed, &mut progress).await {
                return error;
            }
            feed = match self.drain(feed, &mut progress).await {
                Ok(feed) => feed,
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
                feed.receive(request.ok_or(FeedError::Stopping)?);
                Ok(())
            }
            changed = progress.changed() => changed.map_err(|_| FeedError::Stopping),
            () = sleep(deadline.unwrap_or(Duration::MAX)), if deadline.is_some() => Ok(()),
        }
    }

    /// Sends all that there is now.
    async fn drain(
        &mut self,
        mut feed: Feed,
        progress: &mut watch::Receiver<Progress>,
    ) -> Result<Feed, FeedError> {
        loop {
            while let Ok(request) = self.asked.try_recv() {
                feed.receive(request);
            }
            // Before the view: a feed may only tell what its view has.
            let told = progress.borrow_and_update().clone();
            let source = Arc::clone(&self.source);
            let filling = tokio::task::spawn_blocking(move || fill(feed, &told, &*source));
            let filled = filling.await.map_err(anyhow::Error::new).and_then(|filled| filled);
            let filled = filled.map_err(FeedError::Source)?;
            for (frame, bytes) in filled.frames.iter().zip(filled.encoded) {
                self.outbox.send(bytes).await?;
                self.meter.frame(frame);
            }
            feed = filled.feed;
            if !filled.more {
                return Ok(feed);
            }
        }
    }
}

/// Reads and encodes frames of one view; blocks.
fn fill<S: FeedSource>(mut feed: Feed, progress: &Progress, source: &S) -> anyhow::Result<Fill> {
    let view = source.view()?;
    let (mut frames, mut encoded, mut bytes, mut more) = (Vec::new(), Vec::new(), 0, true);
    while more && bytes < FILL_BYTES_MAX {
        match feed.next(source.now(), progress, &view) {
            Some(frame) => {
                let message = Message::Frame(frame);
                let encoding = encode(&message)?;
                bytes += encoding.len();
                encoded.push(encoding);
                if let Message::Frame(frame) = message {
                    frames.push(frame);
                }
            }
            None => more = false,
        }
    }
    source.check(&view)?;
    Ok(Fill { feed, frames, encoded, more })
}
