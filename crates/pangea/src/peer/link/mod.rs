//! Links: for each ordered pair of regions the subscriber dials the feeder and keeps dialling.
//!
//! State: per peer one subscriber task with at most one link, and at most one link over which this
//! region feeds the peer; a newer one replaces an older one. A link is one connection for what is
//! urgent (hello, requests, pings) and several that frames are dealt out to; they live and die
//! together. Always true: the driver hears of a peer `Up`, then its frames in the order in which
//! they were made, then `Down`; a driver that is behind stops the reading, the feeder notices by
//! its full queue and stops pulling, and memory at both ends is bounded in bytes. A connection on
//! which nothing comes for [`LINK_TIMEOUT_MS`] and a round trip is dead, and with it the link.
//!
//! Deliberately absent: anything of replication itself. What to ask and what a frame means is the
//! node's; a request that finds no open link is dropped, because the node asks again.

mod asked;
mod door;
mod feeder;
mod press;
mod reorder;
mod stats;
mod subscriber;
mod wire;

pub use feeder::FeedSource;
pub use stats::{Garbage, LinkStats, Role};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pangea_core::id::{Origin, RegionSlot};
use pangea_core::limits::LINK_TIMEOUT_MS;
use pangea_core::replica::{Frame, Request};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::identity::{Identity, PkiError};
use super::wan::Faults;
use asked::Asked;
use stats::{Bin, Meter};

/// A connection must have become part of a link after this, whatever the other side does.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A subscriber measures the round trip, and every connection shows that it lives, this often.
const PING_INTERVAL: Duration = Duration::from_millis(200);
/// A feeder gives up a subscriber that does not even ping: later than the subscriber gives up the
/// feeder, because only the subscriber can do better.
const FEEDER_SILENCE_MAX: Duration = Duration::from_millis(5 * LINK_TIMEOUT_MS);
/// A round trip that counts towards the timeout is at most this: queues may look like distance.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(2);
/// Events waiting for the driver over all peers; their bytes are bounded by [`RECEIVED_BYTES_MAX`].
const EVENTS_MAX: usize = 64;
/// Bytes of one peer's frames, decompressed, that wait for the driver or are in its hands: what
/// the driver takes as one group, so that its other work waits for no more than that.
const RECEIVED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Requests waiting for one link: a subscription, and a copy request per table being created.
const REQUESTS_MAX: usize = 1024;

/// Most streams that a link may have: one for each 6 MB (Linux' greatest default receive buffer) of
/// bandwidth times round trip, 2.5 Gbit/s over 300 ms.
pub const STREAMS_MAX: u8 = 16;

/// This region, as its peers shall know it.
#[derive(Clone, Debug)]
pub struct Local {
    /// The cluster's identity: regions of another are refused.
    pub cluster_id: [u8; 16],
    /// The cluster's name, as in certificates.
    pub cluster: String,
    /// The region's place in the topology.
    pub slot: RegionSlot,
    /// Its name in the topology.
    pub name: String,
    /// Which of its lives it is in.
    pub incarnation: u16,
}

/// Another region of the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its place in the topology.
    pub slot: RegionSlot,
    /// Its name in the topology.
    pub name: String,
    /// Host and port of its peer listener.
    pub address: String,
    /// One-way delay of what is sent to it: half of the round trip that the topology asks for.
    pub delay: Duration,
}

/// How this region's links carry frames; of two that differ, the lesser counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections that frames are dealt out to, 1 to [`STREAMS_MAX`].
    pub streams: u8,
    /// Level of zstd for what this region sends; `None` also asks peers not to compress.
    pub compression: Option<i32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { streams: 4, compression: Some(1) }
    }
}

/// What the driver hears of links.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all events are frames")]
pub enum LinkEvent {
    /// The link from a peer is open: subscribe.
    Up {
        /// The peer.
        peer: RegionSlot,
        /// Which of its lives it is in.
        incarnation: u16,
    },
    /// The link from a peer is gone; it is being dialled again, unless the peer was removed.
    Down {
        /// The peer.
        peer: RegionSlot,
        /// For the operator.
        reason: String,
    },
    /// A peer answered a heartbeat.
    Heartbeat {
        /// The peer.
        peer: RegionSlot,
        /// Its wall clock as it answered, ms since 1970.
        wall_ms: u64,
        /// Time between asking and hearing.
        round_trip: Duration,
        /// When it was heard.
        heard: Instant,
    },
    /// A frame of a peer's feed.
    Frame {
        /// The peer.
        peer: RegionSlot,
        /// What it sent.
        frame: Frame,
        /// To be dropped once the frame has been taken in.
        room: Room,
    },
}

/// A frame's part of the memory that one peer's frames may take.
#[derive(Debug)]
pub struct Room {
    _permit: OwnedSemaphorePermit,
}

/// All links of this process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Links {
    shared: Arc<Shared>,
}

/// Running links; dropping it ends them.
#[derive(Debug)]
pub struct Running {
    /// Events of all peers. Leave it unread and the links stop reading.
    pub events: mpsc::Receiver<LinkEvent>,
    /// Held for its drop, which ends the tasks.
    _tasks: JoinSet<()>,
}

type Peers = BTreeMap<RegionSlot, Arc<PeerLinks>>;

#[derive(Debug)]
struct Shared {
    local: Local,
    options: Options,
    peers: watch::Sender<Peers>,
    /// Why lives of regions are not let in.
    fences: watch::Sender<BTreeMap<(RegionSlot, u16), String>>,
    faults: Faults,
    garbage: Bin,
}

/// What this process has with one peer.
#[derive(Debug)]
struct PeerLinks {
    peer: Peer,
    asked: Asked,
    subscriber: Meter,
    feeder: Meter,
    feeding: Mutex<Option<feeder::Feeding>>,
    /// See [`RECEIVED_BYTES_MAX`].
    room: Arc<Semaphore>,
    removed: watch::Sender<bool>,
}

impl PeerLinks {
    fn new(peer: Peer) -> Arc<Self> {
        Arc::new(Self {
            peer,
            asked: Asked::default(),
            subscriber: Meter::default(),
            feeder: Meter::default(),
            feeding: Mutex::default(),
            room: Arc::new(Semaphore::new(RECEIVED_BYTES_MAX)),
            removed: watch::Sender::new(false),
        })
    }

    /// Waits until the driver has room for a frame of so many bytes.
    async fn room(&self, bytes: usize) -> Room {
        let cost = u32::try_from(bytes.min(RECEIVED_BYTES_MAX)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(cost).await;
        Room { _permit: permit.expect("the semaphore is never closed") }
    }
}

impl Links {
    /// Links of `local` to `peers`, none of them running.
    #[must_use]
    pub fn new(local: Local, peers: Vec<Peer>, options: Options) -> Self {
        let faults = Faults::new(peers.iter().map(|peer| (peer.slot, peer.delay)));
        let peers = peers.into_iter().map(|peer| (peer.slot, PeerLinks::new(peer))).collect();
        let streams = options.streams.clamp(1, STREAMS_MAX);
        let shared = Shared {
            local,
            options: Options { streams, ..options },
            peers: watch::Sender::new(peers),
            fences: watch::Sender::default(),
            faults,
            garbage: Bin::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Listens for subscribers, feeds them from `source`, and dials every peer. Call it once, in a
    /// tokio runtime of several threads.
    ///
    /// # Errors
    /// [`PkiError::Tls`] if the identity is not usable.
    pub fn start<S: FeedSource>(
        &self,
        listener: TcpListener,
        identity: &Identity,
        source: S,
    ) -> Result<Running, PkiError> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (server, client) = (identity.server_config()?, identity.client_config()?);
        let mut tasks = JoinSet::new();
        tasks.spawn(door::run(Arc::clone(&self.shared), listener, server, Arc::new(source)));
        tasks.spawn(subscriber::run_all(Arc::clone(&self.shared), client, sender));
        Ok(Running { events, _tasks: tasks })
    }

    /// Takes in a peer while links run: it is dialled, and fed when it dials. One that is known at
    /// its slot under another name, address or distance is replaced. Returns whether there was
    /// anything to change.
    pub fn add_peer(&self, peer: Peer) -> bool {
        let slot = peer.slot;
        assert!(slot != self.shared.local.slot, "a region is not its own peer");
        let known = |peers: &Peers| peers.get(&slot).is_some_and(|known| known.peer == peer);
        if known(&self.shared.peers.borrow()) {
            return false;
        }
        self.shared.faults.add(slot, peer.delay);
        self.shared.peers.send_modify(|peers| {
            if let Some(replaced) = peers.insert(slot, PeerLinks::new(peer)) {
                replaced.removed.send_replace(true);
            }
        });
        true
    }

    /// Ends the links with a peer, in both directions, and lets it in no more; the driver hears
    /// `Down` if its link was up. Returns whether it was known.
    pub fn remove_peer(&self, slot: RegionSlot) -> bool {
        let mut removed = None;
        self.shared.peers.send_modify(|peers| removed = peers.remove(&slot));
        self.shared.faults.remove(slot);
        let Some(removed) = removed else { return false };
        removed.removed.send_replace(true);
        true
    }

    /// Lets a life of a region in no more: its connections are refused at the hello and told
    /// `reason`, its feed is not taken, and a link that is open ends. Other lives at the slot are
    /// not concerned. It holds until the process ends, whoever is added or removed.
    pub fn fence(&self, slot: RegionSlot, incarnation: u16, reason: impl Into<String>) {
        let reason = reason.into();
        self.shared.fences.send_modify(|fences| {
            fences.insert((slot, incarnation), reason);
        });
    }

    /// The peers now.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.shared.peers.borrow().values().map(|links| links.peer.clone()).collect()
    }

    /// Sends a request to a peer; `false` if its link is not open or too much is waiting.
    pub fn ask(&self, to: RegionSlot, request: Request) -> bool {
        self.shared.peer(to).is_some_and(|links| links.asked.ask(request))
    }

    /// Whether a peer can be asked now.
    #[must_use]
    pub fn is_open(&self, peer: RegionSlot) -> bool {
        self.shared.peer(peer).is_some_and(|links| links.asked.is_open())
    }

    /// The faults that links obey.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Both directions of every peer.
    #[must_use]
    pub fn stats(&self) -> Vec<LinkStats> {
        let both = |(&slot, links): (&RegionSlot, &Arc<PeerLinks>)| {
            [links.subscriber.stats(slot, Role::Subscriber), links.feeder.stats(slot, Role::Feeder)]
        };
        self.shared.peers.borrow().iter().flat_map(both).collect()
    }

    /// The last round trip to a peer, simulated delay and queues included, if one was measured.
    #[must_use]
    pub fn round_trip(&self, peer: RegionSlot) -> Option<Duration> {
        self.shared.peers.borrow().get(&peer)?.subscriber.rtt()
    }

    /// Whether a peer is being fed this region's rows.
    #[must_use]
    pub fn is_fed(&self, peer: RegionSlot) -> bool {
        self.shared.peers.borrow().get(&peer).is_some_and(|links| links.feeder.is_open())
    }

    /// Connections to the peer port that were refused, by kind.
    #[must_use]
    pub fn garbage(&self) -> BTreeMap<Garbage, u64> {
        self.shared.garbage.counts()
    }
}

impl Shared {
    fn origin(&self) -> Origin {
        Origin::new(self.local.slot, self.local.incarnation)
    }

    fn peer(&self, slot: RegionSlot) -> Option<Arc<PeerLinks>> {
        self.peers.borrow().get(&slot).map(Arc::clone)
    }

    /// Why a life of a region is not let in, if it is not.
    fn fenced(&self, slot: RegionSlot, incarnation: u16) -> Option<String> {
        self.fences.borrow().get(&(slot, incarnation)).cloned()
    }

    /// Returns why a link with this life of the peer has to end.
    async fn expelled(&self, links: &PeerLinks, incarnation: u16) -> String {
        let (mut removed, mut fences) = (links.removed.subscribe(), self.fences.subscribe());
        let life = (links.peer.slot, incarnation);
        // Neither sender can go away while this runs: both are borrowed from their owners.
        tokio::select! {
            _ = removed.wait_for(|removed| *removed) => "the peer was removed".to_owned(),
            fenced = fences.wait_for(|fences| fences.contains_key(&life)) => {
                let reason = fenced.ok().and_then(|fences| fences.get(&life).cloned());
                format!("fenced: {}", reason.unwrap_or_default())
            }
        }
    }
}

/// Whichever of a link's tasks ends first tells why the link does.
async fn first_ended<E: 'static>(tasks: &mut JoinSet<E>, otherwise: impl FnOnce() -> E) -> E {
    match tasks.join_next().await {
        Some(Ok(error)) => error,
        // A task that panicked, which the hook has reported.
        Some(Err(_)) | None => otherwise(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
