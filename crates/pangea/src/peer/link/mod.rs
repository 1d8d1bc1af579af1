//! Links: for each ordered pair of regions the subscriber dials the feeder and keeps dialling.
//!
//! State: per peer one subscriber task with at most one connection, and at most one connection on
//! which this region feeds the peer; a newer one replaces an older one. Always true: the driver
//! hears of a peer `Up`, then its frames in order, then `Down`; a driver that is behind stops the
//! reading, the feeder notices by its full queue and stops pulling. A link on which nothing comes
//! for [`LINK_TIMEOUT_MS`] and a round trip is dead.
//!
//! Deliberately absent: anything of replication itself. What to ask and what a frame means is the
//! node's; a request that finds no open link is dropped, because the node asks again.

mod door;
mod feeder;
mod stats;
mod subscriber;
mod wire;

pub use feeder::FeedSource;
pub use stats::{Garbage, LinkStats, Role};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pangea_core::id::{Origin, RegionSlot};
use pangea_core::limits::LINK_TIMEOUT_MS;
use pangea_core::replica::{Frame, Request};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::identity::{Identity, PkiError};
use super::wan::Faults;
use stats::{Bin, Meter};

/// A connection must have become a link after this, whatever the other side does.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A subscriber measures the round trip, and shows that it lives, this often.
const PING_INTERVAL: Duration = Duration::from_millis(200);
/// A feeder gives up a subscriber that does not even ping: later than the subscriber gives up the
/// feeder, because only the subscriber can do better.
const FEEDER_SILENCE_MAX: Duration = Duration::from_millis(5 * LINK_TIMEOUT_MS);
/// A round trip that counts towards the timeout is at most this: queues may look like distance.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(2);
/// Events waiting for the driver over all peers; a frame is typically 256 KB.
const EVENTS_MAX: usize = 16;
/// Requests waiting for one link: a subscription, and a copy request per table being created.
const REQUESTS_MAX: usize = 1024;

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
#[derive(Clone, Debug)]
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
    /// The link from a peer is gone; it is being dialled again.
    Down {
        /// The peer.
        peer: RegionSlot,
        /// For the operator.
        reason: String,
    },
    /// A frame of a peer's feed.
    Frame {
        /// The peer.
        peer: RegionSlot,
        /// What it sent.
        frame: Frame,
    },
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

#[derive(Debug)]
struct Shared {
    local: Local,
    peers: BTreeMap<RegionSlot, PeerLinks>,
    faults: Faults,
    garbage: Bin,
}

/// What this process has with one peer.
#[derive(Debug)]
struct PeerLinks {
    peer: Peer,
    /// Requests to the peer, while its link is open.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    subscriber: Meter,
    feeder: Meter,
    /// Dropped when a newer connection feeds the peer.
    feeding: Mutex<Option<tokio::sync::oneshot::Sender<()>>>,
}

impl Links {
    /// Links of `local` to `peers`, none of them running.
    #[must_use]
    pub fn new(local: Local, peers: Vec<Peer>) -> Self {
        let faults = Faults::new(peers.iter().map(|peer| (peer.slot, peer.delay)));
        let links = |peer: Peer| PeerLinks {
            peer,
            requests: Mutex::default(),
            subscriber: Meter::default(),
            feeder: Meter::default(),
            feeding: Mutex::default(),
        };
        let peers = peers.into_iter().map(|peer| (peer.slot, links(peer))).collect();
        let garbage = Bin::default();
        Self { shared: Arc::new(Shared { local, peers, faults, garbage }) }
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
        for &slot in self.shared.peers.keys() {
            let shared = Arc::clone(&self.shared);
            tasks.spawn(subscriber::run(shared, slot, Arc::clone(&client), sender.clone()));
        }
        Ok(Running { events, _tasks: tasks })
    }

    /// Sends a request to a peer; `false` if its link is not open or too much is waiting.
    pub fn ask(&self, to: RegionSlot, request: Request) -> bool {
        let Some(links) = self.shared.peers.get(&to) else { return false };
        let requests = links.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.as_ref().is_some_and(|requests| requests.try_send(request).is_ok())
    }

    /// The faults that links obey.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Both directions of every peer.
    #[must_use]
    pub fn stats(&self) -> Vec<LinkStats> {
        let both = |(&slot, links): (&RegionSlot, &PeerLinks)| {
            [links.subscriber.stats(slot, Role::Subscriber), links.feeder.stats(slot, Role::Feeder)]
        };
        self.shared.peers.iter().flat_map(both).collect()
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
}
