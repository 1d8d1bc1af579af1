//! Collecting deletes, and forgetting what cold items need not know any more.
//!
//! A deleted item's tombstones go when everything that its row has seen is *stable*: every member
//! of the table has durably applied it and has said so in band, behind all that it wrote before. So
//! whatever was written without knowledge of the delete is here already, and whatever comes was
//! written by someone who knew. Time decides nothing. What was forgotten with the row is remembered
//! for the table as a whole, as one vector, and a write to an item without a row has seen all of
//! it: other regions may still keep the tombstone. In the same way, and for the same reason, an
//! item that nobody has written for long keeps its stamp alone of its context.
//!
//! State: the acknowledgements that count, where the passes over the two indexes are, and what
//! waits. It is rebuilt after a restart; only the collected vectors are durable.
//!
//! Always true: nothing of a table is collected while one of its replicas is being copied, because
//! its region acknowledges feeds before the copy has brought what they had withheld. And nothing is
//! collected while the regions are levelling what they have of one that was given up: its rows come
//! from others then, which no acknowledgement is in band with.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::shorten::Cursor;
use super::{Effect, Node, TICK_US, Txn};
use crate::catalog::{ReplicaState, TableEntry};
use crate::id::{Origin, RegionSlot, TableId};
use crate::item::ItemKey;
use crate::limits::{COLD_AFTER_MS, COLLECT_INTERVAL_MS, COLLECT_ROWS_MAX, TRANSACTION_ITEMS_MAX};
use crate::merge::{Stored, VersionVector};
use crate::replica::{Applied, Snapshot};
use crate::time::{Hlc, Now, Stamp};

/// Entries of one read of an index: more than share a stamp.
pub(super) const READ_MAX: usize = TRANSACTION_ITEMS_MAX + 28;
/// Tables of one round.
const TABLES_MAX: usize = 16;
/// How often it is looked what waits, microseconds.
const WAITS_INTERVAL_US: u64 = 1_000_000;

/// How a node collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collect {
    /// Between two rounds, microseconds of the monotonic clock.
    pub interval_us: u64,
    /// An item whose version is older than this by the wall clock is cold, ms. It says when it is
    /// worth while to shorten a row, not when that is safe.
    pub cold_after_ms: u64,
}

impl Default for Collect {
    fn default() -> Self {
        Self { interval_us: COLLECT_INTERVAL_MS * 1000, cold_after_ms: COLD_AFTER_MS }
    }
}

/// What an operator may know of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// Tombstones dropped since the node began.
    pub tombstones: u64,
    /// Rows shortened since the node began.
    pub shortened: u64,
    /// Tables that have tombstones which wait for a region, as of the last second.
    pub waits: BTreeMap<TableId, Wait>,
}

/// Tombstones wait for a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The oldest of them.
    pub oldest: Stamp,
    /// The region whose acknowledgement, or whose copy of the table, is missing.
    pub by: RegionSlot,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Collector {
    due_us: u64,
    waits_due_us: u64,
    cuts: BTreeMap<RegionSlot, Cut>,
    /// Tables that may have tombstones.
    tables: BTreeMap<TableId, Pass>,
    /// The table whose turn was last.
    turn: Option<TableId>,
    pub(super) cursors: BTreeMap<Origin, Cursor>,
    /// Rows of one read of the changelog: their size decides.
    pub(super) read_max: usize,
    pub(super) collection: Collection,
}

/// Acknowledgements that count, for tables of one home region.
///
/// An acknowledgement counts once this region has applied what of the home region's feed the peer
/// had applied when it gave it. So there is no replica that the peer knew of and this region does
/// not, which may be copying rows that nobody sends any more in full.
#[derive(Debug, Default)]
struct Cut {
    counts: BTreeMap<RegionSlot, Arc<Applied>>,
    told: BTreeMap<RegionSlot, Arc<Applied>>,
}

/// The way through a table's tombstones.
#[derive(Debug, Default)]
struct Pass {
    /// Where the pass under way is.
    at: Option<Stamp>,
    /// What was stable when the last one ended: there is nothing to do until it is more.
    done: Option<VersionVector>,
}

impl Collector {
    /// Of a region with these tables: each may have tombstones.
    pub(super) fn new(tables: impl Iterator<Item = TableId>) -> Self {
        let tables = tables.map(|table| (table, Pass::default())).collect();
        Self { tables, read_max: READ_MAX, ..Self::default() }
    }

    /// What a peer had acknowledged counts no more.
    pub(super) fn forget(&mut self, peer: RegionSlot) {
        for cut in self.cuts.values_mut() {
            cut.counts.remove(&peer);
            cut.told.remove(&peer);
        }
    }

    /// The table may have tombstones.
    pub(super) fn expect(&mut self, table: TableId) {
        self.tables.entry(table).or_default();
    }

    /// The table whose turn is next.
    fn next_table(&mut self) -> Option<TableId> {
        use core::ops::Bound::{Excluded, Unbounded};
        let after = self.turn.map_or(Unbounded, Excluded);
        let mut rest = self.tables.range((after, Unbounded));
        let next = rest.next().or_else(|| self.tables.first_key_value());
        self.turn = next.map(|(&table, _)| table);
        self.turn
    }
}

impl Node {
    /// What was collected, and what waits.
    #[must_use]
    pub fn collection(&self) -> &Collection {
        &self.collector.collection
    }

    /// When the next round is due, monotonic microseconds.
    pub(super) fn collect_due_us(&self) -> u64 {
        self.config.collect.map_or(u64::MAX, |_| self.collector.due_us)
    }

    /// What was seen of items of the table that have no row any more.
    pub(super) fn seen_of_collected(&self, table: TableId) -> &VersionVector {
        static NOTHING: VersionVector = VersionVector::EMPTY;
        if planted!(self, CollectedForgotten) {
            return &NOTHING;
        }
        self.collected.get(&table).unwrap_or(&NOTHING)
    }

    /// Takes over what a region has collected of a table that was copied from it: other regions may
    /// keep the tombstones. None of them collected after it had heard of the copy, so what it had
    /// seen by then, all that the rows of this and other copies come from had seen too.
    pub(super) fn adopt_collected<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        table: TableId,
        collected: &VersionVector,
    ) {
        if collected.is_empty() {
            return;
        }
        let mine = self.collected.entry(table).or_default();
        mine.join(collected);
        txn.batch.collected.insert(table, mine.clone());
    }

    /// The rows of the table are gone, and with them what was forgotten.
    pub(super) fn forget_collected<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>, table: TableId) {
        self.collector.tables.remove(&table);
        self.collector.forget_passed(table);
        if self.collected.remove(&table).is_some() {
            txn.batch.collected.insert(table, VersionVector::default());
        }
    }

    /// A row was put.
    pub(super) fn note_put(&mut self, key: &ItemKey, stored: &Stored) {
        if self.config.collect.is_none() || key.table.is_system() {
            return;
        }
        if !stored.buried().is_empty() {
            self.collector.tables.entry(key.table).or_default().done = None;
        }
        self.collector.note_passed(key.table, stored);
    }

    /// One round, if it is due.
    pub(super) fn collect(&mut self, now: Now, store: &impl Snapshot, effects: &mut Vec<Effect>) {
        let Some(collect) = self.config.collect else { return };
        if now.mono_us < self.collector.due_us {
            return;
        }
        // One that has lost its log knows nothing of what its rows had seen.
        if self.lost.is_some() && !planted!(self, LostLogShortens) {
            self.collector.due_us = now.mono_us + collect.interval_us;
            return;
        }
        let here = self.places();
        self.renew_cuts(&here);
        let mut txn = Txn::new(store);
        let more = self.collect_tombstones(now, &here, &mut txn);
        self.shorten_cold(now, &here, &mut txn);
        let wait_us = if more { TICK_US.min(collect.interval_us) } else { collect.interval_us };
        self.collector.due_us = now.mono_us + wait_us;
        if now.mono_us >= self.collector.waits_due_us {
            self.collector.waits_due_us = now.mono_us + WAITS_INTERVAL_US;
            self.collector.collection.waits = self.waits(store);
        }
        if !txn.batch.is_empty() {
            self.persist(txn, Vec::new(), effects);
        }
    }

    /// Whatever of each origin is durably applied here.
    fn places(&self) -> VersionVector {
        let others = self.applied_durable.iter().filter(|(origin, _)| **origin != self.me);
        let others = others.map(|(&origin, &hlc)| (origin, hlc));
        VersionVector::from_entries(others.chain([(self.me, self.closed)]))
    }

    fn renew_cuts(&mut self, here: &VersionVector) {
        for entry in self.catalog.held_by(self.config.slot) {
            let cut = self.collector.cuts.entry(entry.home).or_default();
            let mut known = cut
                .told
                .values()
                .flat_map(|told| told.iter())
                .filter(|(of, _)| of.slot() == entry.home);
            if known.all(|(&of, &hlc)| here.get(of) >= hlc) {
                core::mem::swap(&mut cut.counts, &mut cut.told);
                // Mostly nobody has told anything since.
                for (&peer, link) in &self.links {
                    let told = cut.told.get(&peer);
                    if told.is_none_or(|told| !Arc::ptr_eq(told, &link.applied)) {
                        cut.told.insert(peer, Arc::clone(&link.applied));
                    }
                }
            }
        }
    }

    /// What every member of the table has applied; `None` while that says nothing.
    pub(super) fn stable(
        &self,
        now: Now,
        here: &VersionVector,
        table: TableId,
    ) -> Option<VersionVector> {
        let entry = self.catalog.get(table).filter(|entry| entry.is_held_by(self.config.slot))?;
        if self.unsettled(entry).is_some() && !planted!(self, CollectedDuringCopy) {
            return None;
        }
        if !planted!(self, CollectedBeforeLevelling) && !self.has_levelled() {
            return None;
        }
        if planted!(self, CollectedByAge) {
            return Some(Self::old(now, here));
        }
        let mut stable = here.clone();
        let cut = self.collector.cuts.get(&entry.home)?;
        for member in self.catalog.members(entry).filter(|&slot| slot != self.config.slot) {
            if planted!(self, CollectedWithoutLeaving) && !entry.is_held_by(member) {
                continue;
            }
            if self.has_two_lives(member) {
                return None;
            }
            let applied = cut.counts.get(&member)?;
            stable = stable.meet_with(|origin| applied.get(&origin).copied().unwrap_or_default());
        }
        self.count_whole_lives(&mut stable);
        Some(stable)
    }

    /// What is older than a grace period that is long in simulated time: a few round trips of most
    /// networks. For a planted bug.
    fn old(now: Now, here: &VersionVector) -> VersionVector {
        const GRACE_MS: u64 = 30;
        let old = Hlc::from_parts(now.wall_ms.saturating_sub(GRACE_MS), 0);
        VersionVector::from_entries(here.iter().map(|(origin, hlc)| (origin, hlc.min(old))))
    }

    /// Of a life that is over, all is stable once every member has what anyone has of it. Rows may
    /// have seen more: what was received of a state that was never told to the end, and then
    /// overwritten, nobody claims, and no place will ever reach it.
    fn count_whole_lives(&self, stable: &mut VersionVector) {
        if planted!(self, UnclaimedWaitsForEver) {
            return;
        }
        for origin in self.over(self.catalog.membership()) {
            if stable.get(origin) >= self.all_claims(origin) {
                stable.record(Stamp { hlc: Hlc::MAX, origin });
            }
        }
    }

    /// Whether a region speaks in another life than it did, and nobody has decided so: its log was
    /// lost. What it acknowledges now is not behind what it wrote in the other life. Where it is
    /// decided in which life it speaks, any other tells so.
    pub(super) fn has_two_lives(&self, slot: RegionSlot) -> bool {
        let membership = self.catalog.membership();
        let told = self.links.values().flat_map(|link| link.applied.keys());
        let speaks = self.links.get(&slot).and_then(|link| link.speaks);
        let speaks = speaks.filter(|_| !membership.is_gone(slot));
        let told = told.chain(self.places.cuts().keys()).copied();
        let told = told.filter(|it| it.slot() == slot && membership.admits(*it));
        let mut lives = told.chain(speaks);
        let first = lives.next();
        lives.any(|life| Some(life) != first)
    }

    /// A region that is still copying the table.
    fn unsettled(&self, entry: &TableEntry) -> Option<RegionSlot> {
        let mut replicas = entry.replicas.iter();
        let copies = replicas.find(|replica| match self.catalog.state(entry, replica.slot) {
            Some(ReplicaState::Active { pending }) => !pending.is_empty(),
            Some(ReplicaState::Failed { .. }) => replica.slot == self.config.slot,
            Some(_) | None => true,
        });
        copies.map(|replica| replica.slot)
    }

    /// Whether there is more to do than one round may.
    fn collect_tombstones<S: Snapshot>(
        &mut self,
        now: Now,
        here: &VersionVector,
        txn: &mut Txn<'_, S>,
    ) -> bool {
        let mut left = COLLECT_ROWS_MAX;
        for _ in 0..TABLES_MAX.min(self.collector.tables.len()) {
            let Some(table) = self.collector.next_table() else { break };
            self.pass(now, here, txn, table, &mut left);
            if left == 0 {
                return true;
            }
        }
        false
    }

    /// Goes on through one table's tombstones.
    fn pass<S: Snapshot>(
        &mut self,
        now: Now,
        here: &VersionVector,
        txn: &mut Txn<'_, S>,
        table: TableId,
        left: &mut usize,
    ) {
        let Some(stable) = self.stable(now, here, table) else {
            let entry = self.catalog.get(table);
            if entry.is_none_or(|entry| !entry.is_held_by(self.config.slot)) {
                self.collector.tables.remove(&table);
            }
            return;
        };
        let Some(mut pass) = self.collector.tables.remove(&table) else { return };
        if pass.at.is_none() && pass.done.as_ref() == Some(&stable) {
            self.collector.tables.insert(table, pass);
            return;
        }
        let before = self.collector.collection.tombstones;
        pass.at = self.pass_from(txn, table, &stable, pass.at, left);
        if self.collector.collection.tombstones > before {
            let collected = self.collected.get(&table).cloned().unwrap_or_default();
            txn.batch.collected.insert(table, collected);
        }
        if pass.at.is_none() {
            pass.done = Some(stable);
        }
        if pass.at.is_some() || !txn.store.tombstones(table, None, 1).is_empty() {
            self.collector.tables.insert(table, pass);
        }
    }

    /// Where to go on; `None` at the end.
    fn pass_from<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        table: TableId,
        stable: &VersionVector,
        mut at: Option<Stamp>,
        left: &mut usize,
    ) -> Option<Stamp> {
        loop {
            // One entry tells whether there is anything to do before the next origin.
            let first = txn.store.tombstones(table, at, 1);
            let (first, _) = first.first()?;
            if !stable.covers(*first) {
                at = Some(Stamp { hlc: Hlc::MAX, ..*first });
                continue;
            }
            let read = txn.store.tombstones(table, at, READ_MAX);
            let entries = whole_stamps(read, READ_MAX, |entry| entry.0);
            at = entries.last().map(|entry| entry.0);
            *left = left.saturating_sub(entries.len());
            for (stamp, key) in entries {
                if stable.covers(stamp) {
                    self.drop_if_stable(txn, key, stable);
                }
            }
            if *left == 0 {
                return at;
            }
        }
    }

    fn drop_if_stable<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        stable: &VersionVector,
    ) {
        let Some(stored) = txn.item(&key) else { return };
        if stored.buried().is_empty() || !stable.includes(&stored.seen) {
            return;
        }
        self.collector.collection.tombstones += stored.versions.len() as u64;
        self.collected.entry(key.table).or_default().join(&stored.seen);
        txn.batch.remove(key, &stored, self.me);
    }

    /// The oldest tombstone of the table.
    fn oldest_tombstone(table: TableId, store: &impl Snapshot) -> Option<Stamp> {
        let (mut oldest, mut after) = (None, None);
        while let Some(&(first, _)) = store.tombstones(table, after, 1).first() {
            after = Some(Stamp { hlc: Hlc::MAX, ..first });
            oldest = oldest.filter(|oldest| *oldest < first).or(Some(first));
        }
        oldest
    }

    fn waits(&self, store: &impl Snapshot) -> BTreeMap<TableId, Wait> {
        let mut waits = BTreeMap::new();
        for &table in self.collector.tables.keys() {
            let Some(entry) = self.catalog.get(table) else { continue };
            let Some(oldest) = Self::oldest_tombstone(table, store) else { continue };
            let by = self.unsettled(entry).or_else(|| self.slowest(entry, oldest));
            if let Some(by) = by {
                waits.insert(table, Wait { oldest, by });
            }
        }
        waits
    }

    /// Of the members that have not acknowledged the version, the one that is furthest behind.
    fn slowest(&self, entry: &TableEntry, stamp: Stamp) -> Option<RegionSlot> {
        let told = |slot: RegionSlot| {
            let link = self.links.get(&slot);
            link.and_then(|link| link.applied.get(&stamp.origin)).copied().unwrap_or_default()
        };
        let others = self.catalog.members(entry).filter(|&slot| slot != self.config.slot);
        others.filter(|&slot| told(slot) < stamp.hlc).min_by_key(|&slot| told(slot))
    }
}

/// Entries of which none is missing that shares its stamp with one that is there, of `limit` read.
pub(super) fn whole_stamps<T, S: PartialEq>(
    mut entries: Vec<T>,
    limit: usize,
    stamp: impl Fn(&T) -> S,
) -> Vec<T> {
    if entries.len() >= limit
        && let Some(last) = entries.last().map(&stamp)
    {
        entries.retain(|entry| stamp(entry) != last);
    }
    entries
}
