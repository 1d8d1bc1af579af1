//! The sending end of a link: what waits, what is on its way, which connection takes it.
//!
//! State: one short queue that the connections of a link share, and per connection what has left
//! it and is on its simulated way. A connection takes the next message when it can write it, so a
//! slow one takes fewer; whoever fills the queue waits while it is full, so that what is sent is
//! made late and in pieces as great as possible. Always true: the queue holds at most
//! [`WAITING_BYTES_MAX`] and one message, the way at most [`TRANSIT_BYTES_MAX`] and a message per
//! connection, however slow the receiver is.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use super::wan::Line;

/// Bytes that wait for a connection: several times what leaves while the next are read from the
/// store, and little, because a row that is made later waits behind them.
const WAITING_BYTES_MAX: u32 = 1024 * 1024;
/// Messages that wait, likewise: on a busy link many small changes become one frame.
const WAITING_MAX: usize = 16;
/// Bytes on their simulated way over all connections of a link: delay times bandwidth, 100 MB/s
/// over 80 ms one way, twice what a redb region applies.
const TRANSIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A link of capped bandwidth delivers in so many pieces, in turn to each of its connections:
/// whoever listens shall see that something comes.
const TRICKLES_PER_S: u64 = 50;
/// The least that is delivered at a time, bytes.
const TRICKLE_BYTES_MIN: u64 = 512;

/// How messages of a connection stand to those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Waits until the bottleneck is free.
    Bulk,
    /// Goes past what waits. Few bytes.
    Urgent,
}

/// The link is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

#[derive(Debug)]
struct Parcel {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Where messages go in; what goes in first is taken first.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Parcel>,
    room: Arc<Semaphore>,
}

/// What moves messages from an [`Outbox`] to one socket.
#[derive(Debug)]
pub(super) struct Outlet {
    queue: Arc<Mutex<mpsc::Receiver<Parcel>>>,
    line: Line,
    class: Class,
    transit_max: usize,
    /// What is left of the message that passes the bottleneck.
    passing: Bytes,
    transit: VecDeque<Piece>,
    transit_bytes: usize,
    newest_due: Instant,
}

/// Bytes on their way.
#[derive(Debug)]
struct Piece {
    due: Instant,
    bytes: Bytes,
}

/// The ends of one connection for messages of a class.
pub(super) fn single(line: Line, class: Class) -> (Outbox, Outlet) {
    let (sender, queue) = mpsc::channel(WAITING_MAX);
    let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX as usize));
    let outlet = Outlet {
        queue: Arc::new(Mutex::new(queue)),
        line,
        class,
        transit_max: TRANSIT_BYTES_MAX,
        passing: Bytes::new(),
        transit: VecDeque::new(),
        transit_bytes: 0,
        newest_due: Instant::now(),
    };
    (Outbox { queue: sender, room }, outlet)
}

/// An outbox that several connections take from, at least one.
pub(super) fn striped(line: Line, connections: usize) -> (Outbox, Vec<Outlet>) {
    let (outbox, first) = single(line, Class::Bulk);
    let transit_max = TRANSIT_BYTES_MAX / connections;
    let outlet = |_| Outlet {
        queue: Arc::clone(&first.queue),
        line: first.line.clone(),
        transit: VecDeque::new(),
        passing: Bytes::new(),
        transit_max,
        ..first
    };
    (outbox, (0..connections).map(outlet).collect())
}

impl Outbox {
    /// Waits for room, then returns at once.
    pub(super) async fn send(&self, bytes: Vec<u8>) -> Result<(), Closed> {
        let cost = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(WAITING_BYTES_MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(cost).await.map_err(|_| Closed)?;
        self.queue.send(Parcel { bytes, _room: room }).await.map_err(|_| Closed)
    }
}

/// Sent on a connection that has had nothing else for a while.
#[derive(Clone, Debug)]
pub(super) struct Idle {
    pub(super) after: Duration,
    pub(super) message: Vec<u8>,
}

enum Next {
    Due,
    Passed(Instant),
    Taken(Option<Vec<u8>>),
    Idle,
}

impl Outlet {
    /// Runs until the socket fails or every [`Outbox`] is gone and empty; `wrote` hears of bytes
    /// written.
    pub(super) async fn run(
        mut self,
        mut socket: impl AsyncWrite + Unpin,
        idle: Option<Idle>,
        wrote: impl Fn(usize),
    ) -> io::Result<()> {
        let (mut open, mut idle_at) = (true, Instant::now());
        while open || !self.transit.is_empty() || !self.passing.is_empty() {
            match self.next(open, idle.as_ref().map(|_| idle_at)).await {
                Next::Due => {
                    self.line.passable().await;
                    self.arrive(&mut socket, &wrote).await?;
                    continue;
                }
                Next::Passed(passed) => self.depart(passed),
                Next::Taken(Some(bytes)) => self.passing = bytes.into(),
                Next::Taken(None) => open = false,
                Next::Idle => {
                    let message = idle.as_ref().map(|idle| idle.message.clone());
                    self.jump(message.unwrap_or_default());
                }
            }
            idle_at = Instant::now() + idle.as_ref().map(|idle| idle.after).unwrap_or_default();
        }
        Ok(())
    }

    /// What is to be done; nothing is lost if the future is dropped.
    async fn next(&self, open: bool, idle_at: Option<Instant>) -> Next {
        let due = self.transit.front().map(|piece| piece.due);
        let has_room = self.transit_bytes < self.transit_max;
        let passing = !self.passing.is_empty();
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) {
            // A timer would fire up to a millisecond late.
            return Next::Due;
        }
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => Next::Due,
            passed = self.pass(), if passing && has_room => Next::Passed(passed),
            taken = self.take(), if open && !passing => Next::Taken(taken),
            () = sleep_until(idle_at.unwrap_or(now)), if open && idle_at.is_some() => Next::Idle,
        }
    }

    async fn take(&self) -> Option<Vec<u8>> {
        let parcel = self.queue.lock().await.recv().await?;
        Some(parcel.bytes)
    }

    /// When the next piece has passed the bottleneck.
    async fn pass(&self) -> Instant {
        let Some(rate) = self.line.condition().bytes_per_s else { return Instant::now() };
        match self.class {
            Class::Bulk => self.line.bottleneck().pass(self.piece_bytes(), rate).await,
            Class::Urgent => {
                self.line.bottleneck().push(self.passing.len(), rate);
                Instant::now()
            }
        }
    }

    /// How much passes a bottleneck at a time.
    fn piece_bytes(&self) -> usize {
        let rate = self.line.condition().bytes_per_s.filter(|_| self.class == Class::Bulk);
        let grain = rate.map(|rate| (rate / TRICKLES_PER_S).max(TRICKLE_BYTES_MIN));
        let grain = grain.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        grain.min(self.passing.len())
    }

    /// Puts the next piece on its way.
    fn depart(&mut self, passed: Instant) {
        let bytes = self.passing.split_to(self.piece_bytes());
        self.transit_bytes += bytes.len();
        // A delay that shrinks does not let later bytes overtake.
        self.newest_due = self.newest_due.max(passed + self.line.condition().delay);
        self.transit.push_back(Piece { due: self.newest_due, bytes });
    }

    /// Puts a message on its way that waits for nothing, unless it would be inside another one.
    fn jump(&mut self, message: Vec<u8>) {
        if self.passing.is_empty() {
            self.passing = message.into();
            if let Some(rate) = self.line.condition().bytes_per_s {
                self.line.bottleneck().push(self.passing.len(), rate);
            }
            while !self.passing.is_empty() {
                self.depart(Instant::now());
            }
        }
    }

    /// Writes what is due.
    async fn arrive(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        wrote: impl Fn(usize),
    ) -> io::Result<()> {
        let now = Instant::now();
        while let Some(piece) = self.transit.pop_front_if(|piece| piece.due <= now) {
            socket.write_all(&piece.bytes).await?;
            self.transit_bytes -= piece.bytes.len();
            wrote(piece.bytes.len());
        }
        socket.flush().await
    }
}

#[cfg(test)]
mod tests;
