//! The wide area between regions: one-way delay, bandwidth, and cuts, on live links.
//!
//! State: one [`Condition`] per peer, shared by every link of the process through [`Faults`]; the
//! topology sets its base, the operator API changes it, links obey at once. Delay is a queue: what
//! is sent leaves after the delay, in order, however much is on its way, so that it costs latency
//! and not bandwidth. It is applied by the sender of each direction.
//!
//! A cut is about the flow of rows, not about packets: [`Direction::In`] ends this region's
//! subscription to the peer, [`Direction::Out`] the peer's subscription to this region. One region
//! cutting both directions is a split between the two.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pangea_core::id::RegionSlot;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Bytes on their way on one connection before its sender has to wait.
///
/// Round-trip time times bandwidth: 100 MB/s over 40 ms one way, twice what a redb region applies.
const IN_FLIGHT_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Bytes written at a time: a TLS record, and the grain of a capped bandwidth.
const TRICKLE_BYTES: usize = 16 * 1024;

/// How a link that is cut behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Connections are closed and new ones refused: a crash, or a firewall that answers.
    Refuse,
    /// Connections stay open and nothing passes, as in a real split: only silence tells.
    Blackhole,
}

/// Which flow of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer to this region.
    In,
    /// From this region to the peer.
    Out,
    /// Both.
    Both,
}

/// What the wide area does to the links with one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// One-way delay of everything that this region sends to the peer.
    pub delay: Duration,
    /// The delay that the topology asks for; healing returns to it.
    pub base_delay: Duration,
    /// Cap on what each connection sends to the peer, bytes per second.
    pub bytes_per_s: Option<u64>,
    /// Rows from the peer do not come.
    pub inbound: Option<Cut>,
    /// Rows to the peer do not go.
    pub outbound: Option<Cut>,
}

/// No such peer in the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("region {0} is not a peer")]
pub struct NotAPeer(pub RegionSlot);

type Conditions = BTreeMap<RegionSlot, Condition>;

/// The handle that experiments and operators turn.
#[derive(Clone, Debug)]
pub struct Faults {
    conditions: watch::Sender<Conditions>,
}

impl Faults {
    /// Healthy links to these peers, with the one-way delays of the topology.
    #[must_use]
    pub fn new(peers: impl IntoIterator<Item = (RegionSlot, Duration)>) -> Self {
        let healthy = |delay| Condition { delay, base_delay: delay, ..Condition::default() };
        let conditions = peers.into_iter().map(|(peer, delay)| (peer, healthy(delay))).collect();
        Self { conditions: watch::Sender::new(conditions) }
    }

    /// Cuts the links with `peer`.
    ///
    /// # Errors
    /// [`NotAPeer`].
    pub fn cut(&self, peer: RegionSlot, direction: Direction, cut: Cut) -> Result<(), NotAPeer> {
        self.change(peer, |condition| {
            if direction != Direction::Out {
                condition.inbound = Some(cut);
            }
            if direction != Direction::In {
                condition.outbound = Some(cut);
            }
        })
    }

    /// Ends every fault of the links with `peer`.
    ///
    /// # Errors
    /// [`NotAPeer`].
    pub fn heal(&self, peer: RegionSlot) -> Result<(), NotAPeer> {
        self.change(peer, |condition| {
            let base_delay = condition.base_delay;
            *condition = Condition { delay: base_delay, base_delay, ..Condition::default() };
        })
    }

    /// Delays everything sent to `peer` by this much, one way.
    ///
    /// # Errors
    /// [`NotAPeer`].
    pub fn delay(&self, peer: RegionSlot, delay: Duration) -> Result<(), NotAPeer> {
        self.change(peer, |condition| condition.delay = delay)
    }

    /// Caps what each connection sends to `peer`, bytes per second; `None` ends the cap.
    ///
    /// # Errors
    /// [`NotAPeer`].
    pub fn limit(&self, peer: RegionSlot, bytes_per_s: Option<u64>) -> Result<(), NotAPeer> {
        self.change(peer, |condition| condition.bytes_per_s = bytes_per_s.map(|rate| rate.max(1)))
    }

    /// What holds now, by peer.
    #[must_use]
    pub fn list(&self) -> Vec<(RegionSlot, Condition)> {
        self.conditions.borrow().iter().map(|(&peer, &condition)| (peer, condition)).collect()
    }

    fn change(
        &self,
        peer: RegionSlot,
        change: impl FnOnce(&mut Condition),
    ) -> Result<(), NotAPeer> {
        let mut known = false;
        self.conditions.send_if_modified(|conditions| {
            let Some(condition) = conditions.get_mut(&peer) else { return false };
            known = true;
            let before = *condition;
            change(condition);
            *condition != before
        });
        if known { Ok(()) } else { Err(NotAPeer(peer)) }
    }

    /// One flow of rows with `peer`; [`Direction::Both`] obeys the cut of either.
    pub(super) fn line(&self, peer: RegionSlot, direction: Direction) -> Line {
        Line { faults: self.clone(), peer, direction }
    }
}

/// One flow of rows, as the wide area treats it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    faults: Faults,
    peer: RegionSlot,
    direction: Direction,
}

impl Line {
    pub(super) fn condition(&self) -> Condition {
        self.faults.conditions.borrow().get(&self.peer).copied().unwrap_or_default()
    }

    /// Returns when the flow is cut and its connections shall close.
    pub(super) async fn refused(&self) {
        self.until(|cut| cut == Some(Cut::Refuse)).await;
    }

    /// Returns when the flow is not silenced.
    pub(super) async fn passable(&self) {
        self.until(|cut| cut != Some(Cut::Blackhole)).await;
    }

    async fn until(&self, holds: impl Fn(Option<Cut>) -> bool) {
        let mut conditions = self.faults.conditions.subscribe();
        let of_peer = |conditions: &Conditions| {
            let condition = conditions.get(&self.peer).copied().unwrap_or_default();
            holds(match self.direction {
                Direction::In => condition.inbound,
                Direction::Out => condition.outbound,
                Direction::Both => condition.inbound.or(condition.outbound),
            })
        };
        // The sender is in `self`, so the channel cannot close.
        let _ = conditions.wait_for(of_peer).await;
    }
}

#[derive(Debug)]
struct Parcel {
    due: Instant,
    cost: u32,
    bytes: Vec<u8>,
}

/// The connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// The sending end of one connection: what goes in leaves after the delay, in order.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    queue: mpsc::UnboundedSender<Parcel>,
    room: Arc<Semaphore>,
    newest_due: Arc<Mutex<Instant>>,
    line: Line,
}

/// What moves an [`Outbox`]'s bytes to the socket.
#[derive(Debug)]
pub(super) struct Outlet {
    queue: mpsc::UnboundedReceiver<Parcel>,
    room: Arc<Semaphore>,
    line: Line,
}

/// The two ends of a connection's way through the wide area.
pub(super) fn outbound(line: Line) -> (Outbox, Outlet) {
    let (sender, queue) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX as usize));
    let newest_due = Arc::new(Mutex::new(Instant::now()));
    let outlet = Outlet { queue, room: Arc::clone(&room), line: line.clone() };
    (Outbox { queue: sender, room, newest_due, line }, outlet)
}

impl Outbox {
    /// Waits for room, then returns at once; the bytes leave when they are due.
    pub(super) async fn send(&self, bytes: Vec<u8>) -> Result<(), Closed> {
        let cost = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(IN_FLIGHT_BYTES_MAX);
        self.room.acquire_many(cost).await.map_err(|_| Closed)?.forget();
        let mut newest = self.newest_due.lock().unwrap_or_else(PoisonError::into_inner);
        // A delay that shrinks does not let later bytes overtake.
        *newest = (*newest).max(Instant::now() + self.line.condition().delay);
        self.queue.send(Parcel { due: *newest, cost, bytes }).map_err(|_| Closed)
    }
}

impl Outlet {
    /// Runs until the socket fails or every [`Outbox`] is gone; `wrote` hears of bytes written.
    pub(super) async fn run(
        mut self,
        mut socket: impl AsyncWrite + Unpin,
        wrote: impl Fn(usize),
    ) -> io::Result<()> {
        loop {
            let parcel = match self.queue.try_recv() {
                Ok(parcel) => parcel,
                Err(_) => {
                    socket.flush().await?;
                    let Some(parcel) = self.queue.recv().await else { return Ok(()) };
                    parcel
                }
            };
            if parcel.due > Instant::now() {
                socket.flush().await?;
                sleep_until(parcel.due).await;
            }
            self.line.passable().await;
            self.write(&mut socket, &parcel.bytes).await?;
            wrote(parcel.bytes.len());
            self.room.add_permits(parcel.cost as usize);
        }
    }

    /// Writes at once or, on a link of capped bandwidth, trickles: whoever listens shall see that
    /// something comes.
    async fn write(&self, socket: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        let mut free_at = Instant::now();
        for chunk in bytes.chunks(TRICKLE_BYTES) {
            socket.write_all(chunk).await?;
            if let Some(rate) = self.line.condition().bytes_per_s {
                free_at += Duration::from_micros(chunk.len() as u64 * 1_000_000 / rate);
                socket.flush().await?;
                sleep_until(free_at).await;
            }
        }
        Ok(())
    }
}
