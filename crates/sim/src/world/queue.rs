//! What is going to happen, in the order of `(time, sequence)`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pangea_core::id::TableId;
use pangea_core::item::PrimaryKey;
use pangea_core::node::Token;
use pangea_core::replica::{Frame, Request};

use crate::net::ConnId;
use crate::scenario::Step;

/// One thing that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// Clients act.
    Clients,
    /// Something breaks.
    Fault,
    /// What a scenario says.
    Step(Box<Step>),
    /// A region's deadline.
    Timer { region: usize, life: u32 },
    /// Batches up to the token are durable.
    Sync { region: usize, life: u32, token: Token },
    /// A feeder looks for something to send.
    Pump { conn: ConnId },
    /// A connection is tried.
    Connect { conn: ConnId },
    /// A connection's death is noticed.
    Disconnect { conn: ConnId, epoch: u32 },
    /// A request arrives.
    Request { conn: ConnId, epoch: u32, request: Request },
    /// A frame arrives.
    Frame { conn: ConnId, epoch: u32, late: bool, frame: Box<Frame> },
    /// A process begins anew, in a new life or with its past in order.
    Reborn { region: usize, life: u32 },
    /// A process starts again.
    Restart { region: usize, life: u32 },
    /// A split ends.
    Mend { links: Vec<(usize, usize)> },
    /// A slow disk is fast again.
    DiskHeals { region: usize },
    /// A region dies for good.
    Doom,
    /// A region's disk is gone.
    LoseDisk { region: usize },
    /// An operator changes the membership, or tries to again.
    Operate { operator: usize },
    /// The faults begin.
    Break,
    /// The faults end.
    Heal,
    /// A client of a session has waited long enough.
    Patience { client: usize, turn: u64 },
    /// Is everything at rest?
    Look,
    /// A region looks for items that have expired.
    Pass { region: usize },
    /// What it found is named to the node.
    Expire { region: usize, life: u32, table: TableId, keys: Vec<PrimaryKey> },
    /// A region begins to compare itself with others, unless it does already.
    Repair { region: usize },
    /// A question of a repair was not answered.
    Unanswered { region: usize, number: u64 },
    /// What a repair put right is durable, or cannot be put right now.
    Healed { region: usize, request: u64, done: bool },
}

/// Bits of a place in [`Queue::events`], and of the sequence before it.
const PLACE_BITS: u32 = 24;
const SEQUENCE_BITS: u32 = 40;

/// When something happens, in which order, and where in [`Queue::events`] it is: in one number,
/// because the heap compares little else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Queued(u128);

impl Queued {
    fn new(at_us: u64, sequence: u64, place: usize) -> Self {
        let fits = sequence >> SEQUENCE_BITS == 0 && place >> PLACE_BITS == 0;
        assert!(fits, "no schedule is so long");
        let rest = (sequence << PLACE_BITS) | place as u64;
        Self((u128::from(at_us) << u64::BITS) | u128::from(rest))
    }

    const fn at_us(self) -> u64 {
        (self.0 >> u64::BITS) as u64
    }

    const fn place(self) -> usize {
        self.0 as usize & ((1 << PLACE_BITS) - 1)
    }
}

/// See the module. The heap moves what it orders about, so events are kept beside it.
#[derive(Debug)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Queued>>,
    seq: u64,
    events: Vec<Option<Event>>,
    /// Where there is none in [`Queue::events`].
    free: Vec<usize>,
}

/// As many events as most worlds have under way.
const EVENTS: usize = 64;

impl Queue {
    pub(crate) fn new() -> Self {
        let (heap, events) = (BinaryHeap::with_capacity(EVENTS), Vec::with_capacity(EVENTS));
        Self { heap, seq: 0, events, free: Vec::new() }
    }

    pub(crate) fn push(&mut self, at_us: u64, event: Event) {
        self.seq += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.heap.push(Reverse(Queued::new(at_us, self.seq, place)));
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        let Reverse(next) = self.heap.pop()?;
        let (at_us, place) = (next.at_us(), next.place());
        self.free.push(place);
        let event = self.events[place].take();
        Some((at_us, event.expect("what is in the heap has its event")))
    }
}
