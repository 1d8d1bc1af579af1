//! The feeder's side of one link: reads the changelog index and says what the peer lacks.
//!
//! State: how far the peer's subscription has been served, and which chunks it asked for. Requests
//! change it; [`Feed::next`] is pulled whenever the link can take a frame, so that back-pressure is
//! the link's own. It reads durable state only.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Copied, Entry, Frame, Progress, Request, Row, Rows, Snapshot};
use crate::id::{Origin, RegionSlot, TableId};
use crate::item::PrimaryKey;
use crate::limits::{FEED_BYTES_MAX, FEED_ROWS_MAX, HEARTBEAT_INTERVAL_MS, TRANSACTION_ITEMS_MAX};
use crate::merge::{Version, VersionVector};
use crate::repair::{self, ASKS_MAX, Ask};
use crate::time::{Hlc, Now, Stamp};

/// See the module.
#[derive(Debug)]
pub struct Feed {
    me: Origin,
    peer: RegionSlot,
    cursor: Option<Hlc>,
    copies: BTreeMap<TableId, Option<PrimaryKey>>,
    copied_last: bool,
    /// What the peer wants to compare; an answer is as good as a chunk of a copy.
    asks: VecDeque<Ask>,
    sent_us: Option<u64>,
    /// Entries that the next frame reads: a frame of great rows has few, and reading what it
    /// cannot take costs their memory.
    entries: usize,
}

impl Feed {
    /// A feed of `me`'s rows to `peer`; silent until the peer subscribes.
    #[must_use]
    pub fn new(me: Origin, peer: RegionSlot) -> Self {
        let (cursor, copies, asks) = (None, BTreeMap::new(), VecDeque::new());
        let (copied_last, sent_us, entries) = (false, None, ENTRIES_MIN);
        Self { me, peer, cursor, copies, copied_last, asks, sent_us, entries }
    }

    /// Takes in what the peer asks for; asking again is harmless.
    pub fn receive(&mut self, request: Request) {
        match request {
            Request::Subscribe { after } => {
                self.cursor = Some(after);
                self.sent_us = None;
            }
            Request::Copy { table, after } => {
                self.copies.insert(table, after);
            }
            // A peer that asks faster than it is answered asks again.
            Request::Compare(ask) if self.asks.len() < ASKS_MAX => self.asks.push_back(ask),
            Request::Compare(_) => {}
        }
    }

    /// The next frame, if there is one to send now.
    ///
    /// `store` must be at least as new as `progress` and durable.
    pub fn next(&mut self, now: Now, progress: &Progress, store: &impl Snapshot) -> Option<Frame> {
        let rows_wait = self.cursor.is_some_and(|cursor| cursor < progress.closed);
        let rows_first = rows_wait && self.copied_last;
        if let Some(ask) = self.asks.pop_front_if(|_| !rows_first) {
            self.copied_last = true;
            let answer = repair::answer(self.me, self.peer, ask, progress, store);
            return Some(Frame::Compared(answer));
        }
        if !self.copies.is_empty() && !rows_first {
            self.copied_last = true;
            return self.copy(progress, store);
        }
        self.copied_last = false;
        if rows_wait || self.heartbeat_due(now) {
            return self.rows(now, progress, store);
        }
        None
    }

    /// When to ask again although nothing happened, on the monotonic clock, microseconds.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.cursor?;
        Some(self.sent_us.map_or(0, |sent| sent + HEARTBEAT_INTERVAL_MS * 1000))
    }

    /// How far the peer has been served; `None` before it subscribes.
    #[must_use]
    pub fn cursor(&self) -> Option<Hlc> {
        self.cursor
    }

    fn heartbeat_due(&self, now: Now) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now.mono_us)
    }

    fn rows(&mut self, now: Now, progress: &Progress, store: &impl Snapshot) -> Option<Frame> {
        let after = self.cursor?;
        let end = progress.closed.max(after);
        let Span { through, rows, full } = self.span(self.me, after, end, progress, store);
        let taken = if full { rows.len() } else { self.entries };
        self.entries = (2 * taken).clamp(ENTRIES_MIN, FEED_ROWS_MAX);
        self.cursor = Some(through);
        self.sent_us = Some(now.mono_us);
        Some(Frame::Rows(Rows {
            origin: self.me,
            after,
            through,
            rows,
            // In band: only behind every row that was written before it.
            applied: if through == end { applied_of(progress) } else { Vec::new() },
            sent_wall_ms: now.wall_ms,
            caught_up: through == end,
        }))
    }

    /// The rows of `origin` in `(after, end]`, or as many as one frame takes: rows of one stamp,
    /// which one transaction wrote, are never parted.
    fn span(
        &self,
        origin: Origin,
        after: Hlc,
        end: Hlc,
        progress: &Progress,
        store: &impl Snapshot,
    ) -> Span {
        let mut changes = store.changes(origin, after, end, self.entries);
        let whole = changes.len() < self.entries;
        if let (false, Some(last)) = (whole, changes.last().map(|change| change.hlc)) {
            changes.retain(|change| change.hlc < last);
        }
        let mut span = Span { through: after, rows: Vec::new(), full: false };
        let mut bytes = 0;
        for Entry { hlc, key, stored } in changes {
            if bytes >= FEED_BYTES_MAX && hlc > span.through {
                span.full = true;
                return span;
            }
            span.through = hlc;
            let version = stored.versions.into_iter().find(|it| it.stamp == Stamp { hlc, origin });
            let Some(version) = version else { continue };
            let place = version.origins.place;
            if progress.catalog.is_sent(self.peer, key.table, &key.primary, place) {
                bytes += version_bytes(&version);
                span.rows.push(Row { key, version });
            }
        }
        if whole {
            span.through = end;
        }
        span
    }

    /// One chunk of the table whose turn it is.
    ///
    /// The catalog that says that the peer holds the table is at least as old as `store`, and rows
    /// behind the cursor were filtered by an older one: so the scan sees every row that the feed
    /// withheld, and the feed sends every row that the scan is too early for. The ledger is asked
    /// for last, of a feeder that is known to know: its rows are filtered like the feed's.
    fn copy(&mut self, progress: &Progress, store: &impl Snapshot) -> Option<Frame> {
        let (table, after) = self.copies.pop_first()?;
        let entry = progress.catalog.get(table);
        let held = entry.filter(|entry| entry.is_held_by(self.peer));
        if held.is_none() && !table.is_system() {
            let (rows, next, collected) = (Vec::new(), None, VersionVector::default());
            let ready = false;
            return Some(Frame::Copied(Copied { table, after, ready, rows, next, collected }));
        }
        let everything = held.is_none_or(|entry| entry.home == self.me.slot());
        let (mut rows, mut bytes, mut next) = (Vec::new(), 0, None);
        let scanned = store.rows(table, after.as_ref(), FEED_ROWS_MAX);
        let whole = scanned.len() < FEED_ROWS_MAX;
        let mut cut = false;
        for (key, stored) in scanned {
            if bytes >= FEED_BYTES_MAX {
                cut = true;
                break;
            }
            next = Some(key.primary.clone());
            for version in stored.versions {
                let place = version.origins.place;
                // The home region cannot pass on what it may not have.
                let withheld = held.is_some_and(|entry| {
                    let placement = &entry.settings.placement;
                    !placement.allows(&progress.catalog.directory, place, entry.home)
                });
                let own = version.stamp.origin.slot() == self.me.slot();
                let wanted = everything || withheld || own;
                if wanted && progress.catalog.may_receive(self.peer, table, &key.primary, place) {
                    bytes += version_bytes(&version);
                    rows.push(Row { key: key.clone(), version });
                }
            }
        }
        if whole && !cut {
            next = None;
        }
        // Nothing of the table is collected here while the peer copies, so this is as old as the
        // first of the rows.
        let collected = progress.collected.get(&table).filter(|_| next.is_none());
        let collected = collected.cloned().unwrap_or_default();
        Some(Frame::Copied(Copied { table, after, ready: true, rows, next, collected }))
    }
}

/// What one frame takes.
struct Span {
    through: Hlc,
    rows: Vec<Row>,
    /// It ended for its bytes.
    full: bool,
}

/// Entries that a frame reads at least: rows of one stamp are not parted, and more than those of
/// one transaction must come, or the feed would not get on.
const ENTRIES_MIN: usize = TRANSACTION_ITEMS_MAX + 1;

fn applied_of(progress: &Progress) -> Vec<(Origin, Hlc)> {
    progress.applied.iter().map(|(&origin, &hlc)| (origin, hlc)).collect()
}

fn version_bytes(version: &Version) -> usize {
    version.body.size() + 64
}

#[cfg(test)]
mod tests;
