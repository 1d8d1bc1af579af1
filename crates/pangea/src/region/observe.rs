//! What an operator may know of the writer, published at most every few milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use pangea_core::clock::{Offset, Verdict};
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::node::{Closed, Collection, Link, Node, Staged, Trace};
use pangea_core::time::Now;
use tokio::sync::watch;

use crate::storage::Fault;

/// How often the picture is renewed, microseconds.
const INTERVAL_US: u64 = 20_000;

/// A picture of the writer.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// This region's life.
    pub origin: Origin,
    /// What is known of the peers.
    pub links: BTreeMap<RegionSlot, Link>,
    /// When the picture was taken, monotonic microseconds.
    pub at_us: u64,
    /// Since the process began.
    pub counts: Counts,
    /// Why writes are refused, if they are.
    pub refusing: Option<String>,
    /// What was collected, and what waits.
    pub collection: Collection,
    /// What waits to be shown whole, of tables in groups.
    pub staged: Staged,
    /// What is thought of this region's wall clock.
    pub clock: Verdict,
    /// How far the clocks of peers are from it.
    pub offsets: BTreeMap<RegionSlot, Offset>,
    /// A moment before which the journal has all the records that it will ever have, durable, ms
    /// since 1970.
    pub journal_ms: u64,
    /// Why the region takes no writes by decision of the regions, or for its lost log.
    pub closed: Option<Closed>,
}

/// Transitions since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Concurrent losers found.
    pub conflicts: u64,
    /// Frames that did not follow.
    pub gaps: u64,
    /// Streams held for their clock.
    pub holds: u64,
    /// Changes of what is thought of the wall clock.
    pub clock_verdicts: u64,
    /// Frames not believed.
    pub distrusted: u64,
    /// Ledger rows removed for their age or the ledger's size.
    pub ledger_trimmed: u64,
    /// Failed commits.
    pub faults: u64,
    /// Times that a life which is over went on to send, and was not heard.
    pub fenced: u64,
}

pub(super) struct Observer {
    publish: watch::Sender<Arc<Observed>>,
    counts: Counts,
    observed_us: u64,
}

impl Observer {
    pub(super) fn new(node: &Node) -> (Self, watch::Receiver<Arc<Observed>>) {
        let first = picture(node, Now { wall_ms: 0, mono_us: 0 }, Counts::default(), None);
        let (publish, observed) = watch::channel(Arc::new(first));
        (Self { publish, counts: Counts::default(), observed_us: 0 }, observed)
    }

    pub(super) fn observe(&mut self, node: &Node, now: Now, refusing: Option<&str>) {
        if now.mono_us < self.observed_us + INTERVAL_US {
            return;
        }
        self.observed_us = now.mono_us;
        let picture = picture(node, now, self.counts, refusing);
        self.publish.send_replace(Arc::new(picture));
    }

    pub(super) fn fault(&mut self, _fault: &Fault) {
        self.counts.faults += 1;
    }

    /// Counts, and logs what happens once per transition.
    pub(super) fn trace(&mut self, trace: &Trace) {
        match trace {
            Trace::Conflict { table, loser, winner } => {
                self.counts.conflicts += 1;
                tracing::debug!(%table, %loser, %winner, "concurrent writes: loser in the ledger");
            }
            Trace::Gap { peer } => {
                self.counts.gaps += 1;
                tracing::debug!(%peer, "gap in the feed: subscribing again");
            }
            Trace::Held { peer, ahead_ms } => {
                self.counts.holds += 1;
                tracing::warn!(%peer, ahead_ms, "stamps from the future: holding the stream");
            }
            Trace::Clock(verdict) => {
                self.counts.clock_verdicts += 1;
                clock(*verdict);
            }
            Trace::Distrusted { peer, reason } => {
                self.counts.distrusted += 1;
                tracing::warn!(%peer, %reason, "frame refused");
            }
            Trace::LogLost { peer, known } => {
                tracing::error!("{}", super::members::log_lost(*peer, *known));
            }
            Trace::Fenced { peer } => {
                self.counts.fenced += 1;
                tracing::warn!(%peer, "its life is over: what it sends is not taken");
            }
            Trace::Generation(generation) => {
                tracing::info!(generation, "a new generation of the membership");
            }
            Trace::LedgerTrimmed { rows, bytes } => {
                self.counts.ledger_trimmed += rows;
                tracing::warn!(rows, bytes, "ledger rows removed: beyond its age or size");
            }
            Trace::ReplicaBehind(table) => {
                tracing::warn!(
                    %table,
                    "not serving until this region has caught up: more waits to be shown whole \
                     than memory is for"
                );
            }
            Trace::ReplicaActive(table) => tracing::info!(%table, "replica is active"),
            Trace::ReplicaFailed(table) => {
                tracing::warn!(%table, "replica refused: a table of this name exists here");
            }
            Trace::ReplicaRemoved(table) => tracing::info!(%table, "replica removed"),
        }
    }
}

fn picture(node: &Node, now: Now, counts: Counts, refusing: Option<&str>) -> Observed {
    Observed {
        origin: node.origin(),
        links: node.links().clone(),
        at_us: now.mono_us,
        counts,
        refusing: refusing.map(str::to_string),
        collection: node.collection().clone(),
        closed: node.closed(),
        journal_ms: node.journal_ms(),
        staged: node.staged(),
        clock: node.verdict(),
        offsets: node.offsets(now),
    }
}

fn clock(verdict: Verdict) {
    match verdict {
        Verdict::Good => tracing::info!("the wall clock is within the bound of its peers'"),
        Verdict::Stepped { ms } => {
            tracing::warn!(
                ms,
                "the wall clock stepped and no peer confirms it: going on as before"
            );
        }
        Verdict::Off { ms, refuses: false, .. } => {
            tracing::warn!(ms, "the wall clock is off its peers': stamps stay within their bound");
        }
        Verdict::Off { ms, refuses: true, .. } => {
            tracing::error!(ms, "the wall clock is far ahead of its peers': refusing writes");
        }
    }
}
