//! The network: directed links that delay, lose, repeat and reorder, and the connections over them.
//!
//! State: which directed links are cut, and one connection per ordered pair of regions (subscriber,
//! feeder). A connection that died may still deliver what was in flight.

use pangea_core::replica::Feed;

use crate::options::NetFaults;
use crate::rng::Rng;

/// A connection's place in the list: subscriber, then feeder.
pub(crate) type ConnId = usize;

/// One subscription's stream.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    /// Which life of the connection; messages carry it.
    pub(crate) epoch: u32,
    /// The subscriber believes that it is open.
    pub(crate) up: bool,
    /// The feeder's side; `None` if its process died or the connection did.
    pub(crate) feed: Option<Feed>,
    /// When the feeder looks again whether there is something to send.
    pub(crate) pump_at_us: Option<u64>,
    /// Until when the link is busy with the last frame.
    pub(crate) busy_until_us: u64,
    /// When the last message of each direction arrives: requests, frames.
    last_arrival_us: [u64; 2],
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From subscriber to feeder.
    Request = 0,
    /// From feeder to subscriber.
    Frame = 1,
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) arrives_us: [Option<u64>; 2],
    /// Arrives even if the connection dies before.
    pub(crate) late: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Net {
    regions: usize,
    pub(crate) conns: Vec<Conn>,
    /// How many splits cut the link from one region to another.
    cuts: Vec<u32>,
    pub(crate) faults: NetFaults,
    rng: Rng,
}

impl Net {
    pub(crate) fn new(regions: usize, rng: Rng) -> Self {
        let pairs = regions * regions;
        let conns = (0..pairs).map(|_| Conn::default()).collect();
        Self { regions, conns, cuts: vec![0; pairs], faults: NetFaults::NONE, rng }
    }

    pub(crate) fn conn_id(&self, subscriber: usize, feeder: usize) -> ConnId {
        subscriber * self.regions + feeder
    }

    /// The connection's subscriber and feeder.
    pub(crate) fn ends(&self, conn: ConnId) -> (usize, usize) {
        (conn / self.regions, conn % self.regions)
    }

    /// Every connection between different regions.
    pub(crate) fn all(&self) -> impl Iterator<Item = ConnId> + use<> {
        let regions = self.regions;
        (0..regions * regions).filter(move |conn| conn / regions != conn % regions)
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cuts[from * self.regions + to] += 1;
    }

    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        let cuts = &mut self.cuts[from * self.regions + to];
        *cuts = cuts.saturating_sub(1);
    }

    pub(crate) fn mend_all(&mut self) {
        self.cuts.iter_mut().for_each(|cuts| *cuts = 0);
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts[from * self.regions + to] > 0
    }

    /// Whether a connection can be made: both directions pass.
    pub(crate) fn passes(&self, conn: ConnId) -> bool {
        let (subscriber, feeder) = self.ends(conn);
        !self.is_cut(subscriber, feeder) && !self.is_cut(feeder, subscriber)
    }

    /// Decides what becomes of a message that is sent now.
    pub(crate) fn send(&mut self, conn: ConnId, way: Way, now_us: u64) -> Fate {
        let (subscriber, feeder) = self.ends(conn);
        let (from, to) = match way {
            Way::Request => (subscriber, feeder),
            Way::Frame => (feeder, subscriber),
        };
        let faults = self.faults;
        let late = self.rng.chance(faults.late);
        if self.is_cut(from, to) || self.rng.chance(faults.loss) {
            return Fate { arrives_us: [None; 2], late };
        }
        let (fastest, slowest) = faults.delay_us;
        let mut arrives_us = now_us + self.rng.range(fastest, slowest);
        let last = &mut self.conns[conn].last_arrival_us[way as usize];
        if !self.rng.chance(faults.reordering) {
            arrives_us = arrives_us.max(*last);
            *last = arrives_us;
        }
        let again = self.rng.chance(faults.duplication);
        let again = again.then(|| arrives_us + self.rng.range(0, 4 * slowest));
        Fate { arrives_us: [Some(arrives_us), again], late }
    }
}
