//! What a node is told, and what it tells: the only ways in and out.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{
    Change, Closed, DefineRefusal, Directive, DirectiveRefusal, Expire, Heal, Resolution, Token,
};
use crate::catalog::TableEntry;
use crate::clock::{Sample, Verdict};
use crate::id::{RegionSlot, RequestId, TableId};
use crate::index::IndexUnits;
use crate::item::Attributes;
use crate::replica::{Acked, Batch, Distrust, Frame, Progress, Request};
use crate::table;
use crate::time::{Hlc, Stamp};

/// The only way in.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client writes one item.
    Write {
        /// Whom to answer.
        request: RequestId,
        /// Which table.
        table: TableId,
        /// What to do.
        op: Box<table::WriteOp>,
    },
    /// A client writes several items, all or none.
    Transact {
        /// Whom to answer.
        request: RequestId,
        /// What to do, each item once; at most [`crate::limits::TRANSACTION_ITEMS_MAX`]. Refused
        /// as a whole if the items are larger together than
        /// [`crate::limits::TRANSACTION_BYTES_MAX`].
        ops: Vec<(TableId, table::WriteOp)>,
    },
    /// An operator decides about a conflict.
    Resolve {
        /// Whom to answer.
        request: RequestId,
        /// What was decided.
        resolution: Box<Resolution>,
    },
    /// A client changes the catalog.
    Define {
        /// Whom to answer.
        request: RequestId,
        /// What to change.
        change: Box<Change>,
    },
    /// Items may have expired.
    Expire {
        /// Whom to answer.
        request: RequestId,
        /// Which.
        expire: Box<Expire>,
    },
    /// An operator changes the membership.
    Govern {
        /// Whom to answer.
        request: RequestId,
        /// What shall be.
        directive: Directive,
    },
    /// The stream from a peer is open: subscribe.
    Linked {
        /// The peer.
        peer: RegionSlot,
    },
    /// The stream from a peer is gone.
    Unlinked {
        /// The peer.
        peer: RegionSlot,
    },
    /// A frame of a peer's feed.
    Received {
        /// The peer.
        from: RegionSlot,
        /// What it sent.
        frame: Frame,
    },
    /// A heartbeat showed a peer's wall clock.
    Heartbeat {
        /// The peer.
        peer: RegionSlot,
        /// What it showed.
        sample: Sample,
    },
    /// Anti-entropy found something to put right.
    Heal {
        /// Whom to answer.
        request: RequestId,
        /// What to do.
        heal: Box<Heal>,
    },
    /// Every batch up to and including this one is durable.
    Persisted {
        /// The newest durable batch.
        token: Token,
    },
    /// Time has passed.
    Timer,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The write is durable in this region.
    Written {
        /// The attributes that the request asked to return.
        returned: Option<Attributes>,
        /// The version that was written; `None` if the write changed nothing.
        stamp: Option<Stamp>,
        /// Size of the item before or after, whichever is larger: what DynamoDB meters.
        bytes: usize,
        /// What it cost the indexes.
        indexed: IndexUnits,
        /// The whole item that was written, if it was one: whoever made it may have its memory.
        item: Option<Arc<Attributes>>,
    },
    /// The write was refused; nothing changed.
    Refused(table::Refusal),
    /// All writes of a transaction are durable in this region.
    Transacted {
        /// The stamp of all of them; `None` if nothing had to be written.
        stamp: Option<Stamp>,
        /// As in [`Outcome::Written`], in the order of the request.
        bytes: Vec<usize>,
        /// What each cost the indexes.
        indexed: Vec<IndexUnits>,
    },
    /// A transaction was refused; nothing changed. Why, for each write in the order of the request;
    /// `None` for those that would have been done.
    Cancelled(Vec<Option<table::Refusal>>),
    /// This region does not serve the table (any more).
    NotServing,
    /// Another region has to do the write; nothing changed.
    Elsewhere {
        /// One that may, best first; never empty.
        regions: Vec<RegionSlot>,
        /// Why not here.
        why: Elsewhere,
    },
    /// This region's wall clock is too far from its peers' for writes; nothing changed.
    Skewed {
        /// Ahead of them if positive, ms.
        ms: i64,
    },
    /// The catalog change is durable in this region.
    Defined(Box<TableEntry>),
    /// The catalog change was refused; nothing changed.
    Denied(DefineRefusal),
    /// What anti-entropy found is put right, durably; or peers' rows cannot be taken now, and
    /// nothing changed.
    Healed {
        /// Whether it is.
        done: bool,
    },
    /// Those of the items that this region had to delete are deleted, durably.
    Expired {
        /// How many.
        deleted: usize,
    },
    /// The region takes no writes; nothing changed.
    Closed(Closed),
    /// The change of the membership is decided, and known to this region.
    Governed {
        /// The generation that it made, or a later one.
        generation: u32,
    },
    /// The change of the membership was refused, or is not decided.
    Ungoverned(DirectiveRefusal),
}

/// Why another region has to do a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Only one region writes the item.
    Owned,
    /// The item may not be here.
    Placed,
}

/// What is worth telling an operator; each happens once per transition, not per event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A concurrent loser went to the ledger.
    Conflict {
        /// Whose item.
        table: TableId,
        /// The loser.
        loser: Stamp,
        /// The winner.
        winner: Stamp,
    },
    /// A peer's stamp is too far ahead: its stream is held until local time catches up.
    Held {
        /// The peer.
        peer: RegionSlot,
        /// How far ahead, ms.
        ahead_ms: u64,
    },
    /// What is thought of this region's wall clock has changed.
    Clock(Verdict),
    /// A frame does not follow on what was applied: subscribing again.
    Gap {
        /// The peer.
        peer: RegionSlot,
    },
    /// A peer sent what it may not send: ignored.
    Distrusted {
        /// The peer.
        peer: RegionSlot,
        /// Why.
        reason: Distrust,
    },
    /// A peer has applied stamps that this region never issued: its log was lost.
    LogLost {
        /// The peer that knows more.
        peer: RegionSlot,
        /// What it knows.
        known: Hlc,
    },
    /// Rows of the ledger went, for their age or the ledger's size.
    LedgerTrimmed {
        /// How many, since the last such word.
        rows: u64,
        /// Bytes that were there.
        bytes: u64,
    },
    /// A peer's life is over, and what it goes on to send is not taken.
    Fenced {
        /// The peer.
        peer: RegionSlot,
    },
    /// This region has heard of a new generation of the membership.
    Generation(u32),
    /// This region's replica of a table serves.
    ReplicaActive(TableId),
    /// This region has stopped serving a table of a group until it has caught up.
    ReplicaBehind(TableId),
    /// This region cannot hold a replica of a table.
    ReplicaFailed(TableId),
    /// This region dropped its rows of a table.
    ReplicaRemoved(TableId),
}

/// What the driver shall do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Write atomically and sync; visible to the next event's snapshot at once. Tokens rise.
    Persist {
        /// To be named in [`Event::Persisted`].
        token: Token,
        /// What to write.
        batch: Box<Batch>,
    },
    /// Answer a client.
    Reply {
        /// Whom.
        request: RequestId,
        /// What.
        outcome: Outcome,
    },
    /// Ask a peer whose stream is open.
    Send {
        /// The peer.
        to: RegionSlot,
        /// What to ask.
        request: Request,
    },
    /// A new life of the region has begun on its disk, or its past is in order: make a node anew of
    /// what is durable. This one does nothing more.
    Reborn,
    /// Let feeds and readers see this.
    Publish(Progress),
    /// Let those who wait for other regions see this. It comes behind the [`Effect::Publish`] of
    /// the catalog that says which of them count.
    Acknowledged(Acked),
    /// Tell the operator.
    Trace(Trace),
}
