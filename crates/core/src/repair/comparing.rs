//! Comparing one table with each region that holds it: see the module above for why what is found
//! is a difference.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::machine::Moment;
use super::{Answer, Fate, Finding, KEYS_MAX, Kept, Listed, Report, Skip, Subject, Told, Wrong};
use crate::catalog::Catalog;
use crate::fingerprint;
use crate::id::{RegionSlot, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::limits::FEED_ROWS_MAX;
use crate::merge::{Stored, Version};
use crate::node::Heal;
use crate::replica::{Row, Snapshot};
use crate::time::Stamp;

/// See the module.
#[derive(Debug)]
pub(super) struct Comparing {
    me: RegionSlot,
    catalog: Arc<Catalog>,
    pub(super) table: TableId,
    /// Regions that are still to be asked, the one being asked first.
    peers: VecDeque<(RegionSlot, bool)>,
    /// Buckets that differ, the one being compared first; `None` before fingerprints have come.
    buckets: Option<VecDeque<u8>>,
    after: Option<PrimaryKey>,
    /// Items that the peer has listed of the bucket.
    listed: BTreeSet<PrimaryKey>,
    /// The bucket was listed to its end.
    ended: bool,
    /// Items to be looked at, and what was found of each.
    suspects: BTreeMap<PrimaryKey, Wrong>,
    /// What is being repaired.
    repairing: Vec<(PrimaryKey, Wrong)>,
}

impl Comparing {
    pub(super) fn new(
        (me, catalog): (RegionSlot, Arc<Catalog>),
        table: TableId,
        peers: VecDeque<(RegionSlot, bool)>,
    ) -> Self {
        Self {
            me,
            catalog,
            table,
            peers,
            buckets: None,
            after: None,
            listed: BTreeSet::new(),
            ended: false,
            suspects: BTreeMap::new(),
            repairing: Vec::new(),
        }
    }

    /// The region being asked, and whether its link is up.
    pub(super) fn peer(&self) -> Option<(RegionSlot, bool)> {
        self.peers.front().copied()
    }

    pub(super) fn next_peer(&mut self) {
        let mut peers = core::mem::take(&mut self.peers);
        peers.pop_front();
        *self = Self::new((self.me, Arc::clone(&self.catalog)), self.table, peers);
    }

    pub(super) fn skip(&mut self, why: Skip, report: &mut Report) {
        if let Some((peer, _)) = self.peer() {
            report.skipped.push((self.table, peer, why));
        }
        self.next_peer();
    }

    /// What to ask the region next; `None` if all is compared.
    pub(super) fn question(&mut self) -> Option<Subject> {
        let Some(buckets) = &mut self.buckets else {
            return Some(Subject::Fingerprints);
        };
        if !self.suspects.is_empty() {
            let keys = self.suspects.keys().take(KEYS_MAX).cloned().collect();
            return Some(Subject::Rows { keys });
        }
        if core::mem::take(&mut self.ended) {
            buckets.pop_front();
            self.after = None;
            self.listed.clear();
        }
        let (bucket, after) = (*buckets.front()?, self.after.clone());
        Some(Subject::Versions { bucket, after, foreign: false })
    }

    /// Takes in an answer; what to put right, if anything.
    pub(super) fn answered<S: Snapshot>(
        &mut self,
        answer: Answer,
        then: &Moment<'_, S>,
        here: &S,
        report: &mut Report,
    ) -> Option<Heal> {
        match answer.told {
            Told::Nothing => self.skip(Skip::Copying, report),
            // Its copy began anew meanwhile.
            _ if answer.applied.is_empty() => self.skip(Skip::Copying, report),
            Told::Fingerprints(theirs) => {
                let mine = then.store.fingerprints(self.table);
                let differs = |bucket: &u8| {
                    mine.get(usize::from(*bucket)) != theirs.get(usize::from(*bucket))
                };
                let differing: VecDeque<u8> = (0..=u8::MAX).filter(differs).collect();
                report.equal += (usize::from(u8::MAX) + 1 - differing.len()) as u64;
                self.buckets = Some(differing);
            }
            Told::Versions { items, next } => {
                for item in items {
                    report.versions += item.versions.len() as u64;
                    self.check(item, then);
                }
                self.ended = next.is_none();
                self.after = next;
                if self.ended {
                    self.look_for_stale(then.store);
                }
            }
            Told::Rows(rows) if !rows.is_empty() => return self.came(rows, here, report),
            Told::Rows(_) | Told::Damage(_) => self.skip(Skip::Unreachable, report),
        }
        None
    }

    /// Holds what the peer keeps of its own against what had to be here before it was asked.
    fn check<S: Snapshot>(&mut self, item: Listed, then: &Moment<'_, S>) {
        let Some((peer, _)) = self.peer() else { return };
        let key = ItemKey { table: self.table, primary: item.key };
        let stored = then.store.item(&key);
        // Of what took a version's place where the peer does not see it, the peer has still what it
        // wrote, and a row that is cold does not say any more that this was seen.
        let (catalog, table) = (&self.catalog, self.table);
        let hidden = |version: &Version| {
            !catalog.may_receive(peer, table, &key.primary, version.origins.place)
        };
        let versions = stored.iter().flat_map(|stored| &stored.versions);
        let newest_hidden = versions.filter(|it| hidden(it)).map(|it| it.stamp).max();
        for (stamp, sum) in item.versions.iter().filter(|it| then.applied.covers(it.0)) {
            let wrong = wrong(&key.primary, stored.as_ref(), *stamp, *sum);
            let beaten = newest_hidden.is_some_and(|newest| newest > *stamp);
            let taken = |wrong: &Wrong| beaten && matches!(wrong, Wrong::Missing(_));
            if let Some(wrong) = wrong.filter(|wrong| !taken(wrong)) {
                self.suspects.insert(key.primary.clone(), wrong);
            }
        }
        self.listed.insert(key.primary);
    }

    /// Versions of the peer that are here, and that it has not listed: mostly it has overwritten
    /// them since. Where it has nothing in their place is not known yet, and where it may have what
    /// this region does not see, never will be.
    fn look_for_stale<S: Snapshot>(&mut self, store: &S) {
        let Some((peer, Some(bucket))) = self.peers.front().map(|it| (it.0, self.bucket())) else {
            return;
        };
        let mut after = None;
        loop {
            let rows = store.bucket_rows((self.table, bucket), after.as_ref(), FEED_ROWS_MAX);
            for (key, stored) in &rows {
                let own = stored.stamps().find(|stamp| stamp.origin.slot() == peer);
                let unlisted = own.filter(|_| !self.listed.contains(&key.primary));
                let seen = || !self.catalog.hides(self.table, &key.primary, (peer, self.me));
                if let Some(stamp) = unlisted.filter(|_| stored.buried().is_empty() && seen()) {
                    self.suspects.entry(key.primary.clone()).or_insert(Wrong::Stale(stamp));
                }
            }
            match rows.last().filter(|_| rows.len() >= FEED_ROWS_MAX) {
                Some((key, _)) => after = Some(key.primary.clone()),
                None => return,
            }
        }
    }

    fn bucket(&self) -> Option<u8> {
        self.buckets.as_ref()?.front().copied()
    }

    /// The rows of suspects.
    fn came<S: Snapshot>(
        &mut self,
        rows: Vec<Option<Kept>>,
        here: &S,
        report: &mut Report,
    ) -> Option<Heal> {
        let ((table, bucket), (peer, _)) = ((self.table, self.bucket()?), self.peer()?);
        let mut versions = Vec::new();
        for kept in rows {
            let Some((primary, what)) = self.suspects.pop_first() else { break };
            let key = ItemKey { table, primary: primary.clone() };
            match (what, kept) {
                (Wrong::Stale(stamp), None) => {
                    // Had its deletion been collected in order, it would have been applied here.
                    let still = here.item(&key).filter(|it| it.version(stamp).is_some());
                    if still.is_some() {
                        self.find(here, primary, Wrong::Stale(stamp), Fate::Left, report);
                    }
                }
                (Wrong::Stale(_), Some(_)) | (Wrong::Missing(_), None) => {}
                (what @ Wrong::Content(_), _) => self.find(here, primary, what, Fate::Left, report),
                // It may have been deleted here, and what had beaten it, unknown to the peer.
                (what @ Wrong::Missing(_), Some(_))
                    if here.item(&key).is_none()
                        && self.catalog.hides(table, &primary, (self.me, peer)) =>
                {
                    self.find(here, primary, what, Fate::Left, report);
                }
                (what, Some(kept)) => {
                    let row = |version| Row { key: key.clone(), version };
                    versions.extend(kept.versions.into_iter().map(row));
                    self.repairing.push((primary, what));
                }
                (what, None) => self.find(here, primary, what, Fate::Waits, report),
            }
        }
        let (erased, unreadable) = (Vec::new(), Vec::new());
        let heal = Heal { table, bucket, excess: 0, erased, unreadable, rows: versions };
        (!heal.rows.is_empty()).then_some(heal)
    }

    pub(super) fn healed(&mut self, done: bool, report: &mut Report) {
        let bucket = self.bucket().unwrap_or_default();
        for (key, what) in core::mem::take(&mut self.repairing) {
            let fate = if done { Fate::Repaired } else { Fate::Waits };
            let (table, key, place) = (self.table, Some(key), Vec::new());
            report.find(Finding { table, bucket, key, place, what, fate });
        }
    }

    fn find<S: Snapshot>(
        &self,
        here: &S,
        primary: PrimaryKey,
        what: Wrong,
        fate: Fate,
        report: &mut Report,
    ) {
        let (table, bucket) = (self.table, self.bucket().unwrap_or_default());
        let key = ItemKey { table, primary };
        let (place, key) = (here.place(&key), Some(key.primary));
        report.find(Finding { table, bucket, key, place, what, fate });
    }
}

/// What is wrong with this region's row, given a version that was applied here.
fn wrong(key: &PrimaryKey, stored: Option<&Stored>, stamp: Stamp, sum: u128) -> Option<Wrong> {
    let Some(stored) = stored else {
        // A deleted item may have been collected here.
        return (sum != 0).then_some(Wrong::Missing(stamp));
    };
    match stored.version(stamp) {
        Some(version) => {
            let differs = sum != 0 && fingerprint::of_version(key, version) != sum;
            differs.then_some(Wrong::Content(stamp))
        }
        None => (!stored.seen.covers(stamp)).then_some(Wrong::Missing(stamp)),
    }
}
