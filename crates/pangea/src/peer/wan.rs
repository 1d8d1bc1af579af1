//! The wide area between regions: one-way delay, bandwidth, and cuts, on live links.
//!
//! State: one [`Condition`] and one bottleneck per peer, shared by every connection of the process
//! through [`Faults`]; the topology sets the base, the operator API changes it, links obey at once.
//! Delay costs latency and not bandwidth: what is sent leaves after the delay, in order, however
//! much is on its way. A cap on bandwidth is one for all that goes to the peer, over whatever
//! connections. Both are applied by the sender of each direction.
//!
//! A cut is about the flow of rows, not about packets: [`Direction::In`] ends this region's
//! subscription to the peer, [`Direction::Out`] the peer's subscription to this region. One region
//! cutting both directions is a split between the two.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pangea_core::id::RegionSlot;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{Instant, sleep_until};

/// What comes next is let into a bottleneck this much before it is free: a timer that fires late
/// by the runtime's millisecond shall not leave it idle.
const AHEAD: Duration = Duration::from_millis(5);

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
    /// Cap on all that this region sends to the peer, bytes per second.
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
    bottlenecks: Arc<Mutex<BTreeMap<RegionSlot, Arc<Bottleneck>>>>,
}

impl Faults {
    /// Healthy links to these peers, with the one-way delays of the topology.
    #[must_use]
    pub fn new(peers: impl IntoIterator<Item = (RegionSlot, Duration)>) -> Self {
        let conditions = peers.into_iter().map(|(peer, delay)| (peer, healthy(delay))).collect();
        Self { conditions: watch::Sender::new(conditions), bottlenecks: Arc::default() }
    }

    /// A peer that was added, or whose distance is another one now: without faults.
    pub(super) fn add(&self, peer: RegionSlot, delay: Duration) {
        self.conditions.send_modify(|conditions| {
            conditions.insert(peer, healthy(delay));
        });
    }

    /// Forgets a peer.
    pub(super) fn remove(&self, peer: RegionSlot) {
        self.conditions.send_modify(|conditions| {
            conditions.remove(&peer);
        });
        self.bottlenecks().remove(&peer);
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
            *condition = healthy(condition.base_delay);
        })
    }

    /// Delays everything sent to `peer` by this much, one way.
    ///
    /// # Errors
    /// [`NotAPeer`].
    pub fn delay(&self, peer: RegionSlot, delay: Duration) -> Result<(), NotAPeer> {
        self.change(peer, |condition| condition.delay = delay)
    }

    /// Caps all that is sent to `peer`, bytes per second; `None` ends the cap.
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
        let bottleneck = Arc::clone(self.bottlenecks().entry(peer).or_default());
        Line { faults: self.clone(), peer, direction, bottleneck }
    }

    fn bottlenecks(&self) -> MutexGuard<'_, BTreeMap<RegionSlot, Arc<Bottleneck>>> {
        self.bottlenecks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn healthy(delay: Duration) -> Condition {
    Condition { delay, base_delay: delay, ..Condition::default() }
}

/// One flow of rows, as the wide area treats it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    faults: Faults,
    peer: RegionSlot,
    direction: Direction,
    bottleneck: Arc<Bottleneck>,
}

impl Line {
    pub(super) fn condition(&self) -> Condition {
        self.faults.conditions.borrow().get(&self.peer).copied().unwrap_or_default()
    }

    pub(super) fn bottleneck(&self) -> &Bottleneck {
        &self.bottleneck
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

/// The narrowest place of the way to a peer: what is let in passes in order, one after the other.
#[derive(Debug, Default)]
pub(super) struct Bottleneck {
    /// Whoever waits, in the order of coming.
    turn: AsyncMutex<()>,
    free_at: Mutex<Option<Instant>>,
}

impl Bottleneck {
    /// Waits for its turn, lets bytes in, and returns when the last of them will have passed.
    /// Nothing was let in if the future is dropped.
    pub(super) async fn pass(&self, bytes: usize, bytes_per_s: u64) -> Instant {
        let _turn = self.turn.lock().await;
        loop {
            let free_at = *self.free_at();
            match free_at.filter(|at| *at > Instant::now() + AHEAD) {
                Some(at) => sleep_until(at - AHEAD).await,
                None => return self.push(bytes, bytes_per_s),
            }
        }
    }

    /// Lets bytes in at once: those that wait come later.
    pub(super) fn push(&self, bytes: usize, bytes_per_s: u64) -> Instant {
        let mut free_at = self.free_at();
        let now = Instant::now();
        let begins = free_at.map_or(now, |at| at.max(now));
        let ends = begins + Duration::from_micros(bytes as u64 * 1_000_000 / bytes_per_s);
        *free_at = Some(ends);
        ends
    }

    fn free_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
