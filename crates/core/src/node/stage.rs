//! What peers wrote to tables of groups, kept until it can be shown whole.
//!
//! A state of a peer comes in several frames, and what was overwritten in it comes under the newer
//! stamp: within a state, readers would see half of a transaction. Only its last frame makes a cut,
//! where everything that the peer wrote up to there is here. So rows of tables in groups wait here
//! for the cut, and all of one cut is merged in one batch.
//!
//! Behind the last rows comes what the peer had applied of others: all that these rows can rest on.
//! A cut is shown when this region has that too. Cuts of several peers may rest on each other, so
//! the greatest set of cuts that lacks nothing is shown at once; what a region rests on that is out
//! of reach comes by way of others ([`super::relay`]), and waits here in the same way.
//!
//! State: per peer, rows in the order in which they came and the cuts among them; per peer and
//! region that is out of reach, what was passed on. All of it is in memory: the place in a feed is
//! durable only where its rows are, so that a process that begins anew is sent all of it again.
//!
//! Memory is bounded. Where more waits than [`super::Config::stage_bytes_max`], the region stops
//! serving its tables of groups ([`ReplicaState::Behind`]), merges what waits as it came, and
//! serves again once the cuts that it has shown are past all of that. A replica that is being
//! copied, chunk by chunk from changing states, begins to serve by the same rule.
//!
//! Always true of a table of a group that is served: what readers see of other regions is what
//! those had seen at some moment, whole.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::{Effect, Node, Trace, Txn};
use crate::catalog::{ReplicaState, TableEntry};
use crate::id::{Origin, RegionSlot, TableId};
use crate::item::ItemKey;
use crate::merge::Version;
use crate::replica::{Applied, Row, Rows, Snapshot};
use crate::time::{Hlc, Now, Stamp};

/// How long readers that were about to read a table may take to do so, microseconds.
const READERS_US: u64 = 100_000;
/// What a cut or a row costs beside its item's bytes, about.
const OVERHEAD_BYTES: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stage {
    feeds: BTreeMap<Origin, Queue>,
    passed: BTreeMap<(RegionSlot, Origin), Passed>,
    bytes: usize,
    /// What was merged ahead of its cut, and what that rests on: while cuts are not there, nothing
    /// that they are part of is served.
    owed: Applied,
    /// What was merged so before this process began is among it.
    sure: bool,
    /// Since when readers are known not to be served, monotonic microseconds.
    unserved_us: Option<u64>,
    /// What is told of peers once what was shown is durable.
    told: Vec<(RegionSlot, u64)>,
}

/// What a region passed on of another.
type Passed = BTreeMap<(Stamp, ItemKey), Version>;

/// What waits of one peer's feed.
#[derive(Debug, Default)]
struct Queue {
    rows: VecDeque<Row>,
    cuts: VecDeque<Cut>,
    /// Bytes of the rows behind the last cut.
    open: usize,
}

impl Queue {
    fn bytes(&self) -> usize {
        self.open + self.cuts.iter().map(Cut::bytes).sum::<usize>()
    }
}

/// A place in the queue where nothing is missing.
#[derive(Debug)]
struct Cut {
    /// Rows of the queue before it.
    rows: usize,
    /// Bytes of those that are behind the cut before it.
    size: usize,
    through: Hlc,
    /// What the peer had applied of others.
    needs: Vec<(Origin, Hlc)>,
    /// The rows of others that stand for its own: one that merges them as they come is not there.
    others: Vec<(Origin, Hlc)>,
    /// Everything that the peer wrote before this wall time is before it, ms.
    visible_ms: u64,
}

impl Cut {
    const fn bytes(&self) -> usize {
        self.size + OVERHEAD_BYTES
    }
}

/// Rows of tables of groups that wait to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// How many.
    pub rows: usize,
    /// Their bytes, about.
    pub bytes: usize,
}

/// What can be shown together.
struct Chosen {
    /// How many cuts of each peer.
    feeds: BTreeMap<Origin, usize>,
    passed: BTreeMap<(RegionSlot, Origin), Hlc>,
    /// Lives that are over, all of which is here.
    levelled: Applied,
}

impl Stage {
    fn push(&mut self, origin: Origin, row: Row) {
        let bytes = bytes(&row.version);
        self.bytes += bytes;
        let queue = self.feeds.entry(origin).or_default();
        queue.open += bytes;
        queue.rows.push_back(row);
    }

    fn pass(&mut self, key: (RegionSlot, Origin), row: Row) {
        let bytes = bytes(&row.version);
        let passed = self.passed.entry(key).or_default();
        if passed.insert((row.version.stamp, row.key), row.version).is_none() {
            self.bytes += bytes;
        }
    }

    /// Takes out what was passed on of the origin up to `through`.
    fn take_passed(&mut self, key: (RegionSlot, Origin), through: Hlc) -> Passed {
        let first = self.passed.get(&key).and_then(BTreeMap::first_key_value);
        if first.is_none_or(|((stamp, _), _)| stamp.hlc > through) {
            return Passed::new();
        }
        let passed = self.passed.remove(&key).unwrap_or_default();
        let (due, later): (Passed, Passed) =
            passed.into_iter().partition(|((stamp, _), _)| stamp.hlc <= through);
        if !later.is_empty() {
            self.passed.insert(key, later);
        }
        self.bytes -= due.values().map(bytes).sum::<usize>();
        due
    }

    /// What came is everything up to `through`: another cut, unless it is where the last one was.
    fn close(&mut self, frame: &Rows) {
        let through = frame.through;
        let queue = self.feeds.entry(frame.origin).or_default();
        let rows = queue.rows.len();
        if queue.cuts.back().is_some_and(|cut| (cut.rows, cut.through) == (rows, through)) {
            return;
        }
        let (needs, visible_ms) = (frame.applied.clone(), frame.sent_wall_ms);
        let before = queue.cuts.back().map_or(0, |cut| cut.rows);
        let others = queue.rows.range(before..).filter(|row| !row.is_of(frame.origin));
        let others = others.map(|row| (row.version.stamp.origin, row.hlc())).collect();
        let size = core::mem::take(&mut queue.open);
        queue.cuts.push_back(Cut { rows, size, through, needs, others, visible_ms });
        self.bytes += OVERHEAD_BYTES;
    }

    /// Nothing of a life that is over is shown that comes from the region itself.
    pub(super) fn forget(&mut self, admits: impl Fn(Origin) -> bool) {
        let bytes = &mut self.bytes;
        self.feeds.retain(|&origin, queue| {
            let kept = admits(origin);
            *bytes -= if kept { 0 } else { queue.bytes() };
            kept
        });
    }
}

impl Node {
    /// How much waits to be shown.
    #[must_use]
    pub fn staged(&self) -> Staged {
        let feeds = self.stage.feeds.values().map(|queue| queue.rows.len());
        let passed = self.stage.passed.values().map(BTreeMap::len);
        Staged { rows: feeds.chain(passed).sum(), bytes: self.stage.bytes }
    }

    /// The versions of peers' feeds that wait to be shown; some may be more than once.
    pub fn staged_rows(&self) -> impl Iterator<Item = (&ItemKey, Stamp)> {
        let rows = self.stage.feeds.values().flat_map(|queue| &queue.rows);
        rows.map(|row| (&row.key, row.version.stamp))
    }

    /// The versions that wait of what was passed on, by whom.
    pub fn passed_rows(
        &self,
    ) -> impl Iterator<Item = (RegionSlot, impl Iterator<Item = (&ItemKey, Stamp)>)> {
        let passed = self.stage.passed.iter();
        passed.map(|((by, _), rows)| (*by, rows.keys().map(|(stamp, key)| (key, *stamp))))
    }

    /// Whether a frame that begins there follows on what has come of the origin, shown or not.
    #[must_use]
    pub fn follows(&self, origin: Origin, after: Hlc) -> bool {
        after <= self.places.reached(origin)
    }

    /// Whether peers' rows of a table have to wait for their cuts.
    #[must_use]
    pub fn stages_rows(&self, table: TableId) -> bool {
        if planted!(self, ExposedEarly) {
            return false;
        }
        self.catalog.is_grouped() && self.is_grouped(table)
    }

    pub(super) fn is_staged(&self, row: &Row) -> bool {
        self.stages_rows(row.key.table)
    }

    fn is_grouped(&self, table: TableId) -> bool {
        let entry = self.catalog.get(table);
        entry.is_some_and(|it| it.settings.group.is_some() && it.is_held_by(self.config.slot))
    }

    /// A row of a table in a group may be put right only where it was shown before.
    pub(super) fn is_ahead(&self, row: &Row) -> bool {
        let stamp = row.version.stamp;
        stamp.origin != self.me && self.is_staged(row) && stamp.hlc > self.place_of(stamp.origin)
    }

    pub(super) fn stage_row(&mut self, origin: Origin, row: Row) {
        self.stage.push(origin, row);
    }

    pub(super) fn stage_passed(&mut self, peer: RegionSlot, origin: Origin, row: Row) {
        self.stage.pass((peer, origin), row);
    }

    /// Whether any table of this region is in a group, or was when rows came that wait.
    pub(super) fn shows_groups(&self) -> bool {
        let waits = !self.stage.feeds.is_empty() || !self.stage.passed.is_empty();
        waits || self.catalog.grouped_at(self.config.slot).next().is_some()
    }

    /// Whether the place in the origin's feed moves by what is shown, and not by what comes.
    pub(super) fn stages(&self, origin: Origin) -> bool {
        self.catalog.is_grouped() && (self.stage.feeds.contains_key(&origin) || self.has_unserved())
    }

    fn has_unserved(&self) -> bool {
        let me = self.config.slot;
        self.catalog.grouped_at(me).any(|entry| !self.catalog.is_serving(entry, me))
    }

    /// Rows of the frame are here; `frame` is without them.
    pub(super) fn receive_staged<S: Snapshot>(
        &mut self,
        now: Now,
        from: RegionSlot,
        frame: &Rows,
        txn: &mut Txn<'_, S>,
        effects: &mut Vec<Effect>,
    ) {
        if self.places.hold(frame.origin, frame.through, frame.end) {
            self.stage.close(frame);
        }
        self.links.entry(from).or_default().level = false;
        self.expose(now, txn, effects);
        self.bound_stage(now, txn, effects);
    }

    /// A row is merged ahead of its cut.
    pub(super) fn note_ahead(&mut self, row: &Row) {
        if self.is_grouped(row.key.table) {
            let Stamp { hlc, origin } = row.version.stamp;
            super::advance(&mut self.stage.owed, origin, hlc);
        }
    }

    /// Whether all that readers would see of the tables is whole: nothing was merged ahead of what
    /// was shown, what was shown while it named no table in a group rests on nothing that is
    /// missing, and nobody's life is being levelled.
    pub(super) fn is_clear(&mut self, store: &impl Snapshot) -> bool {
        if planted!(self, ServedEarly) {
            return true;
        }
        if !self.has_heard_all() || !self.has_levelled() {
            return false;
        }
        self.recall_owed(store);
        let membership = self.catalog.membership();
        let rests_on = self.links.values().flat_map(|link| link.applied.iter());
        let rests_on = rests_on.filter(|_| !planted!(self, PlaceTrusted));
        let mut needed = self.stage.owed.iter().chain(rests_on);
        needed.all(|(&origin, &hlc)| {
            origin == self.me || !membership.admits(origin) || self.place_of(origin) >= hlc
        })
    }

    /// Whether every other member has acknowledged since this process began: of whom there may be
    /// rows is known then, and what those that are here rest on.
    fn has_heard_all(&self) -> bool {
        let (me, membership) = (self.config.slot, self.catalog.membership());
        let holders = self.catalog.grouped_at(me).flat_map(TableEntry::holders);
        let mut others = membership.members().chain(holders);
        others.all(|slot| {
            let link = self.links.get(&slot);
            let acknowledges = link.is_some_and(|it| it.life.is_some() && it.life == it.speaks);
            slot == me || membership.is_gone(slot) || acknowledges
        })
    }

    /// What was merged ahead of its cut before this process began is among what the indexes name.
    fn recall_owed(&mut self, store: &impl Snapshot) {
        if core::mem::replace(&mut self.stage.sure, true) {
            return;
        }
        let told = self.links.values().flat_map(|link| link.applied.keys());
        let known: BTreeSet<Origin> = told.chain(self.places.cuts().keys()).copied().collect();
        for origin in known {
            super::advance(&mut self.stage.owed, origin, store.newest(origin));
        }
    }

    /// Shows what lacks nothing.
    pub(super) fn expose<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        effects: &mut Vec<Effect>,
    ) {
        let Chosen { feeds, passed, levelled } = self.choose();
        for (origin, cuts) in feeds.into_iter().filter(|(_, cuts)| *cuts > 0) {
            self.expose_feed(now, txn, origin, cuts, effects);
        }
        for ((peer, origin), through) in passed {
            let before = self.place_of(origin);
            if self.places.account(origin, through) {
                txn.batch.applied.insert(origin, through);
            }
            self.release(now, txn, origin, before, Some(peer), effects);
        }
        for (origin, through) in levelled {
            let before = self.place_of(origin);
            if self.places.account(origin, through) {
                txn.batch.applied.insert(origin, through);
            }
            self.release(now, txn, origin, before, None, effects);
        }
    }

    /// The greatest set of cuts of which each lacks nothing that is neither here nor in the set.
    fn choose(&self) -> Chosen {
        let feeds = self.stage.feeds.iter().map(|(&origin, queue)| (origin, queue.cuts.len()));
        let relays = self.covered_by_relays();
        let passed = relays.iter().map(|&(key, through, _)| (key, through));
        let (feeds, passed) = (feeds.collect(), passed.collect());
        let mut chosen = Chosen { feeds, passed, levelled: self.unlevelled() };
        loop {
            let places = self.places_with(&chosen);
            let has = |(origin, hlc): (Origin, Hlc)| {
                let there = places.get(&origin).copied().unwrap_or_default();
                origin == self.me
                    || there.max(self.place_of(origin)) >= hlc
                    || planted!(self, NeedsIgnored)
            };
            let mut less = false;
            for (origin, cuts) in &mut chosen.feeds {
                let Some(queue) = self.stage.feeds.get(origin) else { continue };
                let whole = |nth: usize| {
                    // Vectors grow; what stands for rows is named by its own cut alone.
                    let others = queue.cuts.range(..=nth).flat_map(|cut| &cut.others);
                    let others = others.filter(|_| !planted!(self, StandingTrusted));
                    let mut others = others.filter(|it| self.catalog.membership().admits(it.0));
                    queue.cuts[nth].needs.iter().copied().all(has) && others.all(|&it| has(it))
                };
                while *cuts > 0 && !whole(*cuts - 1) {
                    *cuts -= 1;
                    less = true;
                }
            }
            for (key, _, needs) in &relays {
                let whole = needs.iter().all(|(&origin, &hlc)| has((origin, hlc)));
                less |= !whole && chosen.passed.remove(key).is_some();
            }
            let lives = chosen.levelled.len();
            chosen.levelled.retain(|&origin, _| self.is_levelled(origin, &places));
            if !less && chosen.levelled.len() == lives {
                return chosen;
            }
        }
    }

    /// How far the cuts of the set go.
    fn places_with(&self, chosen: &Chosen) -> Applied {
        let mut places = Applied::new();
        for (&origin, &cuts) in chosen.feeds.iter().filter(|(_, cuts)| **cuts > 0) {
            if let Some(queue) = self.stage.feeds.get(&origin) {
                super::advance(&mut places, origin, queue.cuts[cuts - 1].through);
            }
        }
        for (&(_, origin), &through) in &chosen.passed {
            super::advance(&mut places, origin, through);
        }
        for (&origin, &through) in &chosen.levelled {
            super::advance(&mut places, origin, through);
        }
        places
    }

    fn expose_feed<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        origin: Origin,
        cuts: usize,
        effects: &mut Vec<Effect>,
    ) {
        let Some(queue) = self.stage.feeds.get_mut(&origin) else { return };
        let shown: Vec<Cut> = queue.cuts.drain(..cuts).collect();
        let Some(cut) = shown.last() else { return };
        self.stage.bytes -= shown.iter().map(Cut::bytes).sum::<usize>();
        let rows: Vec<Row> = queue.rows.drain(..cut.rows).collect();
        queue.cuts.iter_mut().for_each(|later| later.rows -= cut.rows);
        let level = queue.rows.is_empty() && queue.cuts.is_empty();
        if level {
            self.stage.feeds.remove(&origin);
        }
        self.merge_staged(now, txn, origin, rows, effects);
        self.count_cut(txn, origin, cut);
        self.links.entry(origin.slot()).or_default().level = level;
    }

    fn merge_staged<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        origin: Origin,
        rows: Vec<Row>,
        effects: &mut Vec<Effect>,
    ) {
        let place = self.place_of(origin);
        for row in rows.into_iter().filter(|row| !(row.is_of(origin) && row.hlc() <= place)) {
            self.merge_row(now, txn, row, effects);
        }
    }

    /// Everything up to the cut is here, and what the peer acknowledged with it is in band.
    fn count_cut<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>, origin: Origin, cut: &Cut) {
        if self.places.account(origin, cut.through) {
            txn.batch.applied.insert(origin, cut.through);
        }
        let peer = origin.slot();
        self.note_acknowledged(peer, origin, cut.through, &cut.needs);
        self.stage.told.push((peer, cut.visible_ms));
    }

    /// Merges what was passed on of the origin by `peer`, or by anyone, now that all of it up to
    /// its new place is here, and forgets what else is. What is older may have been collected
    /// since.
    pub(super) fn release<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        origin: Origin,
        before: Hlc,
        peer: Option<RegionSlot>,
        effects: &mut Vec<Effect>,
    ) {
        let place = self.place_of(origin);
        let keys = self.stage.passed.keys().copied();
        let keys: Vec<(RegionSlot, Origin)> = keys.filter(|(_, of)| *of == origin).collect();
        for (by, of) in keys {
            let merges = peer.is_none_or(|peer| peer == by);
            for ((stamp, key), version) in self.stage.take_passed((by, of), place) {
                if merges && stamp.hlc > before {
                    self.merge_row(now, txn, Row { key, version }, effects);
                }
            }
        }
    }

    /// More waits than memory is for: the tables are not served, and then rows are merged as they
    /// come. Not before readers have been told.
    fn bound_stage<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        effects: &mut Vec<Effect>,
    ) {
        if self.stage.bytes <= self.config.stage_bytes_max {
            return;
        }
        let me = self.config.slot;
        let served: Vec<TableEntry> = {
            let held = self.catalog.grouped_at(me);
            held.filter(|entry| self.catalog.is_serving(entry, me)).cloned().collect()
        };
        for entry in &served {
            self.put_service(now, txn, entry, ReplicaState::Behind);
            effects.push(Effect::Trace(Trace::ReplicaBehind(entry.id)));
        }
        let told = &self.published;
        if !served.is_empty() || told.grouped_at(me).any(|entry| told.is_serving(entry, me)) {
            self.stage.unserved_us = None;
            return;
        }
        let since_us = *self.stage.unserved_us.get_or_insert(now.mono_us);
        if now.mono_us >= since_us + READERS_US {
            self.flush_stage(now, txn, effects);
        }
    }

    fn put_service<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        entry: &TableEntry,
        state: ReplicaState,
    ) {
        let since = entry.replica(self.config.slot).map_or(Hlc::ZERO, |replica| replica.since);
        self.put_status(now, txn, entry.id, since, state);
    }

    fn flush_stage<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        effects: &mut Vec<Effect>,
    ) {
        for (origin, mut queue) in core::mem::take(&mut self.stage.feeds) {
            queue.rows.iter().for_each(|row| self.note_ahead(row));
            self.merge_staged(now, txn, origin, queue.rows.into(), effects);
            if let Some(cut) = queue.cuts.pop_back() {
                for &(needed, hlc) in &cut.needs {
                    super::advance(&mut self.stage.owed, needed, hlc);
                }
                self.count_cut(txn, origin, &cut);
            }
        }
        for ((_, origin), passed) in core::mem::take(&mut self.stage.passed) {
            let rows = passed.into_iter().map(|((_, key), version)| Row { key, version });
            let rows: Vec<Row> = rows.collect();
            rows.iter().for_each(|row| self.note_ahead(row));
            self.merge_staged(now, txn, origin, rows, effects);
        }
        self.stage.bytes = 0;
    }

    /// Looks again whether what waits can be shown, and tables be served.
    pub(super) fn drive_stage(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if !self.catalog.is_grouped() || self.is_out() {
            return;
        }
        // Nothing was merged ahead before this process began where all is served.
        self.stage.sure |= !self.has_unserved();
        let passed: Vec<(RegionSlot, Origin)> = self.stage.passed.keys().copied().collect();
        passed.into_iter().for_each(|key| {
            let place = self.places.cut(key.1);
            self.stage.take_passed(key, place);
        });
        let mut txn = Txn::new(store);
        self.expose(now, &mut txn, effects);
        self.bound_stage(now, &mut txn, effects);
        if !self.is_silent() {
            self.begin_service(now, &mut txn, effects);
        }
        self.persist(txn, Vec::new(), effects);
        self.tell_exposed(effects);
    }

    /// Serves tables again, or at last, that are whole.
    fn begin_service<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        effects: &mut Vec<Effect>,
    ) {
        let (me, fits) = (self.config.slot, self.stage.bytes <= self.config.stage_bytes_max);
        let creating =
            |entry: &TableEntry| self.catalog.state(entry, me) == Some(&ReplicaState::Creating);
        let held = self.catalog.tables().filter(|entry| entry.is_held_by(me));
        let unserved = held.filter(|entry| self.catalog.is_behind(entry, me) || creating(entry));
        let unserved: Vec<TableEntry> = unserved.cloned().collect();
        for entry in &unserved {
            let grouped = entry.settings.group.is_some();
            if self.catalog.is_behind(entry, me) {
                if !grouped || (fits && self.is_clear(txn.store)) {
                    let state = ReplicaState::Active { pending: Vec::new() };
                    self.put_service(now, txn, entry, state);
                    effects.push(Effect::Trace(Trace::ReplicaActive(entry.id)));
                }
            } else if self.has_copies(entry.id) {
                self.conclude_copies(now, txn, entry.id, effects);
            } else if grouped && self.is_clear(txn.store) {
                // There is nobody to copy from, or nothing to wait for any more.
                self.reconciled = false;
            }
        }
    }

    /// What was shown is told of once it is durable.
    pub(super) fn tell_exposed(&mut self, effects: &mut Vec<Effect>) {
        for (peer, visible_ms) in core::mem::take(&mut self.stage.told) {
            self.tell_when_settled(peer, visible_ms, effects);
        }
    }
}

fn bytes(version: &Version) -> usize {
    version.body.size() + OVERHEAD_BYTES
}
