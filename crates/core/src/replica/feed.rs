//! The feeder's side of one link: reads the changelog index and says what the peer lacks.
//!
//! State: how far the peer's subscription has been served, which chunks it asked for, how far the
//! other regions' rows that it asked for, and what it was told of its own writes. Requests change
//! it; [`Feed::next`] is pulled whenever the link can take a frame, so that back-pressure is the
//! link's own. It reads durable state only.
//!
//! What the peer waits for it is told soon: a frame goes out when more of the peer's writes are
//! durable here than it was told, [`ACK_INTERVAL_US`] after the last one at the earliest.

mod relay;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Copied, Entry, Frame, Progress, Request, Row, Rows, Snapshot};
use crate::id::{Origin, Place, RegionSlot, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::limits::{
    ACK_INTERVAL_US, FEED_BYTES_MAX, FEED_ROWS_MAX, HEARTBEAT_INTERVAL_MS, TRANSACTION_ITEMS_MAX,
};
use crate::merge::{Stored, Version, VersionVector};
use crate::repair::{self, ASKS_MAX, Ask};
use crate::time::{Hlc, Now, Stamp};

/// See the module.
#[derive(Debug)]
pub struct Feed {
    me: Origin,
    peer: RegionSlot,
    cursor: Option<Hlc>,
    copies: BTreeMap<TableId, Option<PrimaryKey>>,
    /// What the peer wants to compare; an answer is as good as a chunk of a copy.
    asks: VecDeque<Ask>,
    /// Other regions' rows that were asked for: sent up to here, in answer to this.
    relays: BTreeMap<Origin, (Hlc, u32)>,
    /// The last frame was none of the region's own rows.
    aside_last: bool,
    relayed_last: bool,
    sent_us: Option<u64>,
    /// Entries that the next frame reads: a frame of great rows has few, and reading what it
    /// cannot take costs their memory.
    entries: usize,
    /// Entries that a frame reads at most.
    entries_max: usize,
    /// What the peer was told of its own lives' writes.
    told: Vec<(Origin, Hlc)>,
    /// There is more to tell, and it was too soon.
    owes: bool,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::node::Bug>,
}

impl Feed {
    /// A feed of `me`'s rows to `peer`; silent until the peer subscribes.
    #[must_use]
    pub fn new(me: Origin, peer: RegionSlot) -> Self {
        Self {
            me,
            peer,
            cursor: None,
            copies: BTreeMap::new(),
            asks: VecDeque::new(),
            relays: BTreeMap::new(),
            aside_last: false,
            relayed_last: false,
            sent_us: None,
            entries: ENTRIES_MIN,
            entries_max: FEED_ROWS_MAX,
            told: Vec::new(),
            owes: false,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    /// The same with another bound on the rows of a frame, for tests; rows of one stamp are never
    /// parted, whatever it is.
    #[must_use]
    pub fn with_rows_max(self, rows_max: usize) -> Self {
        assert!(rows_max > 0, "no frame would have a row");
        Self { entries: rows_max.min(self.entries), entries_max: rows_max, ..self }
    }

    /// The same with a bug to find.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn with_bug(self, bug: Option<crate::node::Bug>) -> Self {
        Self { bug, ..self }
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
            Request::Relay { origin, after, ask } => {
                self.relays.insert(origin, (after, ask));
            }
        }
    }

    /// The next frame, if there is one to send now.
    ///
    /// `store` must be at least as new as `progress` and durable.
    pub fn next(&mut self, now: Now, progress: &Progress, store: &dyn Snapshot) -> Option<Frame> {
        let store = &store;
        let rows_wait = self.cursor.is_some_and(|cursor| cursor < progress.closed);
        let rows_first = rows_wait && self.aside_last;
        if let Some(ask) = self.asks.pop_front_if(|_| !rows_first) {
            self.aside_last = true;
            let answer = repair::answer(self.me, self.peer, ask, progress, store);
            return Some(Frame::Compared(answer));
        }
        if !rows_first && let Some(frame) = self.aside(progress, store) {
            self.aside_last = true;
            return Some(frame);
        }
        self.aside_last = false;
        if rows_wait || self.heartbeat_due(now) || self.acknowledgement_due(now, progress) {
            return self.rows(now, progress, store);
        }
        None
    }

    /// When to ask again although nothing happened, on the monotonic clock, microseconds.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.cursor?;
        let interval_us = if self.owes { ACK_INTERVAL_US } else { HEARTBEAT_INTERVAL_MS * 1000 };
        Some(self.sent_us.map_or(0, |sent| sent + interval_us))
    }

    /// How far the peer has been served; `None` before it subscribes.
    #[must_use]
    pub fn cursor(&self) -> Option<Hlc> {
        self.cursor
    }

    /// A chunk, or other regions' rows: in turn, if both are asked for.
    fn aside(&mut self, progress: &Progress, store: &impl Snapshot) -> Option<Frame> {
        let relays_first = self.copies.is_empty() || !self.relayed_last;
        if relays_first && let Some(frame) = self.relay(progress, store) {
            self.relayed_last = true;
            return Some(frame);
        }
        self.relayed_last = false;
        self.copy(progress, store)
    }

    fn heartbeat_due(&self, now: Now) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now.mono_us)
    }

    /// Whether the peer shall hear now that more of what it wrote is durable here.
    fn acknowledgement_due(&mut self, now: Now, progress: &Progress) -> bool {
        if self.cursor.is_none() {
            return false;
        }
        let of_peer = progress.applied.iter().filter(|(origin, _)| origin.slot() == self.peer);
        let news = |(origin, hlc)| self.told.iter().all(|told| told.0 != origin || told.1 < hlc);
        self.owes = of_peer.map(|(&origin, &hlc)| (origin, hlc)).any(news);
        self.owes && self.heartbeat_due(now)
    }

    fn rows(&mut self, now: Now, progress: &Progress, store: &impl Snapshot) -> Option<Frame> {
        let after = self.cursor?;
        let Span { through, rows, full, whole } =
            self.span(self.me, after, Hlc::MAX, progress, store);
        if through == after && !whole && !self.heartbeat_due(now) {
            return None;
        }
        let taken = if full { rows.len() } else { self.entries };
        let entries_min = ENTRIES_MIN.min(self.entries_max);
        self.entries = (2 * taken).clamp(entries_min, self.entries_max);
        // What the state has is durable, even where the progress that was read before it is older.
        let through = if whole { through.max(progress.closed) } else { through };
        let end = if whole { through } else { store.newest(self.me).max(progress.closed) };
        self.cursor = Some(through);
        self.sent_us = Some(now.mono_us);
        // In band: only behind every row that was written before it.
        let applied = if whole { applied_of(progress, store) } else { Vec::new() };
        if whole {
            let of_peer = applied.iter().filter(|(origin, _)| origin.slot() == self.peer);
            self.told.clear();
            self.told.extend(of_peer);
            self.owes = false;
        }
        let sent_wall_ms = now.wall_ms;
        Some(Frame::Rows(Rows {
            origin: self.me,
            after,
            through,
            end,
            rows,
            applied,
            sent_wall_ms,
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
        let mut entries = self.entries;
        let (changes, mut whole) = loop {
            let mut changes = store.changes(origin, after, end, entries);
            let whole = changes.len() < entries;
            if let (false, Some(last)) = (whole, changes.last().map(|change| change.hlc)) {
                changes.retain(|change| change.hlc < last);
            }
            if whole || !changes.is_empty() {
                break (changes, whole);
            }
            // One transaction alone is more than that.
            entries *= 2;
        };
        let (mut through, mut rows, mut bytes, mut full) = (after, Vec::new(), 0, false);
        for Entry { hlc, key, stored } in changes {
            if bytes >= FEED_BYTES_MAX && hlc > through {
                (full, whole) = (true, false);
                break;
            }
            through = hlc;
            let stamp = Stamp { hlc, origin };
            let Some(version) = self.told_of(progress, stored, stamp) else { continue };
            if self.sends(progress, &key, version.origins.place) {
                bytes += version_bytes(&version);
                rows.push(Row { key, version });
            }
        }
        Span { through, rows, full, whole }
    }

    fn sends(&self, progress: &Progress, key: &ItemKey, place: Place) -> bool {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::node::Bug::LeavingUntoldOfConflicts)
            && key.table == TableId::LEDGER
        {
            return progress.catalog.may_receive(self.peer, key.table, &key.primary, place);
        }
        progress.catalog.is_sent(self.peer, key.table, &key.primary, place)
    }

    /// What the peer is sent of an entry: the version, or what stands for it, unless it has that.
    fn told_of(&self, progress: &Progress, stored: Stored, stamp: Stamp) -> Option<Version> {
        if stamp.origin != self.me {
            return stored.versions.into_iter().find(|version| version.stamp == stamp);
        }
        let standing = stored.standing_for(stamp).stamp;
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::node::Bug::DisplacedWithheld) && standing != stamp {
            return None;
        }
        let version = stored.versions.into_iter().find(|version| version.stamp == standing);
        // In another life it may have had it and has it no more.
        let has = |origin: Origin| {
            origin.slot() == self.peer && progress.catalog.membership().admits(origin)
        };
        version.filter(|version| !has(version.stamp.origin))
    }

    /// Whether this life of the region is over: it has nothing to pass on that others could tell
    /// from what they have levelled, and its rows go when the next life begins.
    fn is_over(&self, progress: &Progress) -> bool {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::node::Bug::OverPassesOn) {
            return false;
        }
        !progress.catalog.membership().admits(self.me)
    }

    /// One chunk of the table whose turn it is.
    ///
    /// The catalog that says that the peer holds the table is at least as old as `store`, and rows
    /// behind the cursor were filtered by an older one: so the scan sees every row that the feed
    /// withheld, and the feed sends every row that the scan is too early for. The ledger is asked
    /// for last, of a feeder that is known to know: its rows are filtered like the feed's.
    fn copy(&mut self, progress: &Progress, store: &impl Snapshot) -> Option<Frame> {
        let (table, after) = self.copies.pop_first()?;
        let generation = progress.catalog.membership().generation;
        let entry = progress.catalog.get(table);
        let held = entry.filter(|entry| entry.is_held_by(self.peer));
        let me = self.me.slot();
        let everything = held.is_none_or(|entry| entry.home == me);
        // Of a table that it took over, the home is copying itself.
        let copying =
            held.is_some_and(|entry| everything && !progress.catalog.is_serving(entry, me));
        // Of a life that is over others have levelled what they had, and ask for no older row.
        let over = self.is_over(progress) && !table.is_system();
        if copying || over || (held.is_none() && !table.is_system()) {
            let (rows, next, collected) = (Vec::new(), None, VersionVector::default());
            let ready = false;
            return Some(Frame::Copied(Copied {
                table,
                after,
                ready,
                generation,
                rows,
                next,
                collected,
            }));
        }
        let passed_on = |origin: Origin| {
            held.is_some_and(|entry| !progress.catalog.comes_first_hand(entry, origin))
        };
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
            // What took the place of an own version goes in its place, as in the feed.
            let own = Stamp { hlc: stored.seen.get(self.me), origin: self.me };
            let own = (own.hlc > Hlc::ZERO).then(|| stored.standing_for(own).stamp);
            for version in stored.versions {
                let (place, origin) = (version.origins.place, version.stamp.origin);
                // The home region cannot pass on what it may not have.
                let withheld = held.is_some_and(|entry| {
                    let placement = &entry.settings.placement;
                    !placement.allows(&progress.catalog.directory, place, entry.home)
                });
                let of_me = origin.slot() == me;
                let wanted = everything
                    || withheld
                    || of_me
                    || own == Some(version.stamp)
                    || passed_on(origin);
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
        let ready = true;
        Some(Frame::Copied(Copied { table, after, ready, generation, rows, next, collected }))
    }
}

/// What one frame takes.
struct Span {
    through: Hlc,
    rows: Vec<Row>,
    /// It ended for its bytes.
    full: bool,
    /// The state has nothing more.
    whole: bool,
}

/// Entries that a frame reads at least: rows of one stamp are not parted, and more than those of
/// one transaction must come, or the feed would not get on.
const ENTRIES_MIN: usize = TRANSACTION_ITEMS_MAX + 1;

/// What the rows of the state rest on, of tables of groups: all that the state itself says, and not
/// only what was told so far.
fn applied_of(progress: &Progress, store: &impl Snapshot) -> Vec<(Origin, Hlc)> {
    let known = progress.catalog.is_grouped().then(|| store.applied()).flatten();
    let Some(known) = known else {
        return progress.applied.iter().map(|(&origin, &hlc)| (origin, hlc)).collect();
    };
    let mut applied = progress.applied.clone();
    for (origin, hlc) in known {
        let place = applied.entry(origin).or_default();
        *place = hlc.max(*place);
    }
    applied.into_iter().collect()
}

fn version_bytes(version: &Version) -> usize {
    version.body.size() + 64
}

#[cfg(test)]
mod tests;
