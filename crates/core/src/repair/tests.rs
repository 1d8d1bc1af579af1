//! Runs by hand: one region against another, message by message.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use std::vec;

use super::*;
use crate::catalog::tests::entry;
use crate::catalog::{
    Catalog, Directory, PLACEMENT, ReplicaState, ReplicaStatus, entry_key, status_key,
};
use crate::fingerprint::{self, BUCKETS};
use crate::id::{Place, RegionSlot};
use crate::item::{AttributeValue, ItemKey, KeyValue};
use crate::merge::{Body, Stored};
use crate::node::Heal;
use crate::replica::{Entry, Progress, Snapshot};

/// Rows of the catalog table, which every region holds, and what is maintained of them.
#[derive(Clone, Default)]
struct Rows {
    items: BTreeMap<ItemKey, Stored>,
    /// What the fingerprint of a bucket has beyond the rows.
    excess: BTreeMap<u8, u128>,
    /// What is damaged.
    damaged: Vec<ItemKey>,
}

impl Snapshot for Rows {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.items.get(key).cloned()
    }

    fn changes(&self, _: Origin, _: Hlc, _: Hlc, _: usize) -> Vec<Entry> {
        Vec::new()
    }

    fn newest(&self, _: Origin) -> Hlc {
        Hlc::ZERO
    }

    fn tombstones(&self, _: TableId, _: Option<Stamp>, _: usize) -> Vec<(Stamp, ItemKey)> {
        Vec::new()
    }

    fn rows(&self, _: TableId, after: Option<&PrimaryKey>, limit: usize) -> Vec<(ItemKey, Stored)> {
        let rows = self.items.iter().filter(|(key, _)| after.is_none_or(|at| key.primary > *at));
        rows.take(limit).map(|(key, stored)| (key.clone(), stored.clone())).collect()
    }

    fn damaged(&self, _: Origin, (_, bucket): (TableId, u8)) -> Vec<Vec<u8>> {
        let damaged = self.damaged.iter().filter(|key| self.bucket(key) == bucket);
        damaged.map(|key| self.place(key)).collect()
    }

    fn fingerprints(&self, _: TableId) -> Vec<u128> {
        let mut sums = vec![0_u128; BUCKETS];
        for (key, stored) in &self.items {
            let sum = &mut sums[usize::from(self.bucket(key))];
            *sum = sum.wrapping_add(fingerprint::of_item(&key.primary, stored));
        }
        for (bucket, excess) in &self.excess {
            let sum = &mut sums[usize::from(*bucket)];
            *sum = sum.wrapping_add(*excess);
        }
        sums
    }
}

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small")
}

fn origin(index: u8) -> Origin {
    Origin::new(slot(index), 1)
}

fn stamp(ms: u64, index: u8) -> Stamp {
    Stamp { hlc: Hlc::from_parts(ms, 0), origin: origin(index) }
}

fn key(text: &str) -> ItemKey {
    let partition = KeyValue::S(text.to_string());
    ItemKey { table: TableId::CATALOG, primary: PrimaryKey { partition, sort: None } }
}

fn version(at: Stamp, text: &str) -> Version {
    let item = [("v".to_string(), AttributeValue::S(text.to_string()))];
    Version::first(at, Body::live(item.into()))
}

fn rows(of: &[(&str, Stamp)]) -> Rows {
    let row = |(name, at): &(&str, Stamp)| (key(name), Stored::single(version(*at, name)));
    Rows { items: of.iter().map(row).collect(), ..Rows::default() }
}

/// What region 0 damaged, by its key, with the versions that its index names.
fn damage(name: &str, row: bool, stamps: &[Stamp]) -> (ItemKey, Damaged) {
    let place = Rows::default().place(&key(name));
    let known = row.then(|| key(name).primary);
    let why = "rot".to_string();
    (key(name), Damaged { place, key: known, row, stamps: stamps.to_vec(), why })
}

/// Region 0 compares itself with region 1, which has applied everything up to `applied`.
struct Pair {
    mine: Rows,
    theirs: Rows,
    /// Everything that region 0 had applied before it asked.
    applied: VersionVector,
    /// What region 1 has applied of region 0.
    told: Hlc,
    damaged: Vec<(ItemKey, Damaged)>,
    up: bool,
    catalog: Arc<Catalog>,
    heals: Vec<Heal>,
}

impl Pair {
    fn new(mine: Rows, theirs: Rows) -> Self {
        let late = Hlc::from_parts(1_000, 0);
        let applied = VersionVector::from_entries([(origin(0), late), (origin(1), late)]);
        let (damaged, heals) = (Vec::new(), Vec::new());
        let catalog = Arc::default();
        Self { mine, theirs, applied, told: late, damaged, up: true, catalog, heals }
    }

    /// The same, of a table whose items that are secret may be in region `sees` alone.
    fn placed(sees: u8, mut mine: Rows, mut theirs: Rows) -> Self {
        let name = |index| format!("r{index}");
        let directory = Directory::new([0, 1].map(|index| (slot(index), name(index), None)));
        let mut entry = entry();
        entry.tags = [(PLACEMENT.to_string(), format!("@v:secret={}", name(sees)))].into();
        let state = ReplicaState::Active { pending: Vec::new() };
        let since = entry.replica(slot(1)).expect("a replica").since;
        let status = ReplicaStatus { since, joined: 0, state };
        let mut catalog = Catalog::default();
        catalog.adopt(Arc::new(directory));
        catalog.observe(&entry_key(entry.id).primary, Some(&entry.to_attributes()));
        let key = status_key(entry.id, slot(1)).primary;
        catalog.observe(&key, Some(&status.to_attributes()));
        for rows in [&mut mine, &mut theirs] {
            let items = core::mem::take(&mut rows.items).into_iter();
            let of = |(key, stored)| (ItemKey { table: entry.id, ..key }, stored);
            rows.items = items.map(of).collect();
        }
        Self { catalog: Arc::new(catalog), ..Self::new(mine, theirs) }
    }

    fn run(&mut self) -> Report {
        let scope = Scope {
            me: slot(0),
            catalog: Arc::clone(&self.catalog),
            peers: vec![(slot(1), self.up)],
            table: self.catalog.tables().next().map(|entry| entry.id),
            verify: true,
            compare: true,
            number: 1,
        };
        let progress = Progress {
            closed: Hlc::from_parts(1_000, 0),
            applied: [(origin(0), self.told)].into(),
            catalog: Arc::clone(&self.catalog),
            collected: Arc::default(),
        };
        let mut machine = Repair::new(scope);
        let mut input = Input::Begin;
        loop {
            let moment = Moment { applied: &self.applied, store: &self.mine };
            let here = Here { catalog: &progress.catalog, store: &self.mine };
            input = match machine.step(input, &moment, &here) {
                Effect::Done => return machine.report().clone(),
                Effect::Verify { table, bucket } => {
                    let here = self.damaged.iter().filter(|it| self.mine.bucket(&it.0) == bucket);
                    let damaged = here.map(|(_, damaged)| damaged.clone()).collect();
                    Input::Verified(verify(&self.mine, (table, bucket), damaged))
                }
                Effect::Ask { peer, ask } => {
                    assert_eq!(peer, slot(1));
                    Input::Answered(answer(origin(1), slot(0), ask, &progress, &self.theirs))
                }
                Effect::Heal(heal) => {
                    self.heals.push(heal);
                    Input::Healed(true)
                }
            };
        }
    }

    fn fates(&mut self) -> Vec<(Wrong, Fate)> {
        let report = self.run();
        report.findings.into_iter().map(|found| (found.what, found.fate)).collect()
    }
}

#[test]
fn equal_regions_differ_in_nothing() {
    let both = rows(&[("a", stamp(5, 0)), ("b", stamp(6, 1))]);
    let mut pair = Pair::new(both.clone(), both);
    let report = pair.run();
    assert!(report.is_clean() && report.skipped.is_empty());
    assert_eq!((report.rows, report.buckets, report.equal), (2, 256, 256));
    assert_eq!(report.versions, 0, "fingerprints alone were compared");
}

#[test]
fn a_version_that_was_applied_and_is_not_here_is_fetched() {
    let lost = stamp(6, 1);
    let mut pair = Pair::new(rows(&[("a", stamp(5, 0))]), rows(&[("a", stamp(5, 0)), ("b", lost)]));
    assert_eq!(pair.fates(), [(Wrong::Missing(lost), Fate::Repaired)]);
    let [heal] = &pair.heals[..] else { panic!("{:?}", pair.heals) };
    assert_eq!(heal.rows.len(), 1);
    assert_eq!((&heal.rows[0].key, heal.rows[0].version.stamp), (&key("b"), lost));
    assert!(heal.erased.is_empty() && heal.unreadable.is_empty(), "it is merged");
}

#[test]
fn what_is_on_its_way_or_was_overwritten_is_no_difference() {
    let late = stamp(2_000, 1);
    let mut pair = Pair::new(rows(&[]), rows(&[("b", late)]));
    assert_eq!(pair.fates(), [], "not applied yet");
    let (old, new) = (stamp(6, 1), stamp(9, 0));
    let mut mine = rows(&[("b", new)]);
    let row = mine.items.get_mut(&key("b")).expect("there");
    row.seen.record(old);
    let mut pair = Pair::new(mine, rows(&[("b", old)]));
    assert_eq!(pair.fates(), [], "seen, and overwritten");
    assert!(pair.heals.is_empty());
}

#[test]
fn an_absent_row_is_never_taken_over() {
    let stale = stamp(6, 1);
    let mut pair = Pair::new(rows(&[("b", stale)]), rows(&[]));
    assert_eq!(pair.fates(), [(Wrong::Stale(stale), Fate::Left)]);
    assert!(pair.heals.is_empty());
}

/// An item whose version is secret, and a row that is cold: it says no more of what it has seen.
fn secret(at: Stamp) -> Rows {
    let mut rows = rows(&[("b", at)]);
    let row = rows.items.get_mut(&key("b")).expect("there");
    row.versions[0].origins.place = Place(1);
    rows
}

#[test]
fn what_lost_to_a_version_that_its_writer_does_not_see_is_no_difference() {
    let (lost, won) = (stamp(6, 1), stamp(9, 0));
    let open = || rows(&[("b", lost)]);
    let mut pair = Pair::placed(0, secret(won), open());
    assert_eq!(pair.fates(), [], "the peer keeps what it wrote");
    // A version that is older than what the peer has took the place of nothing there.
    let newer = stamp(10, 1);
    let mut pair = Pair::placed(0, secret(won), rows(&[("b", newer)]));
    assert_eq!(pair.fates(), [(Wrong::Missing(newer), Fate::Repaired)]);
    let mut pair = Pair::placed(0, rows(&[("b", stamp(5, 0))]), open());
    assert_eq!(
        pair.fates(),
        [(Wrong::Missing(lost), Fate::Repaired)],
        "the peer sees what is here"
    );
    // The region that does not see the winner has the loser of the one that does.
    let lost = stamp(6, 1);
    let mut pair = Pair::placed(1, rows(&[("b", lost)]), secret(won));
    assert_eq!(pair.fates(), [], "what took its place is not told");
    let mut pair = Pair::placed(0, rows(&[("b", lost)]), rows(&[]));
    assert_eq!(pair.fates(), [(Wrong::Stale(lost), Fate::Left)], "the peer has no more to tell");
}

#[test]
fn what_may_have_been_deleted_unknown_to_the_peer_is_not_brought_back() {
    let open = stamp(6, 1);
    let mut pair = Pair::placed(0, rows(&[]), rows(&[("b", open)]));
    assert_eq!(pair.fates(), [(Wrong::Missing(open), Fate::Left)]);
    assert!(pair.heals.is_empty(), "it may have lost to a secret version that was deleted since");
    let mut pair = Pair::placed(1, rows(&[]), rows(&[("b", open)]));
    assert_eq!(pair.fates(), [(Wrong::Missing(open), Fate::Repaired)], "nothing here was secret");
}

#[test]
fn another_content_under_one_stamp_is_named() {
    let at = stamp(6, 1);
    let mut theirs = rows(&[("b", at)]);
    theirs.items.insert(key("b"), Stored::single(version(at, "other")));
    let mut pair = Pair::new(rows(&[("b", at)]), theirs);
    assert_eq!(pair.fates(), [(Wrong::Content(at), Fate::Left)]);
}

#[test]
fn a_damaged_row_is_replaced_by_what_peers_have() {
    for row in [true, false] {
        let at = stamp(6, 0);
        let mut pair = Pair::new(rows(&[]), rows(&[("b", at)]));
        let lost = fingerprint::of_version(&key("b").primary, &version(at, "b"));
        pair.mine.excess.insert(pair.mine.bucket(&key("b")), lost);
        pair.damaged.push(damage("b", row, &[at]));
        let fates = pair.fates();
        assert_eq!(fates[0], (Wrong::Damaged("rot".to_string()), Fate::Repaired), "{row}");
        let heal = &pair.heals[0];
        assert_eq!((heal.excess, heal.erased.len(), heal.rows.len()), (lost, 1, 1));
        assert_eq!(heal.erased[0].1, crate::replica::Erased { row, stamps: vec![at] });
        assert_eq!(heal.unreadable.len(), usize::from(row), "what can be read is merged with");
    }
}

#[test]
fn a_write_that_is_nowhere_else_is_named_once_everybody_was_asked() {
    let unsent = stamp(6, 0);
    let damaged = || damage("b", true, &[unsent]);
    let mut pair = Pair::new(rows(&[]), rows(&[]));
    (pair.told, pair.up) = (Hlc::from_parts(5, 0), false);
    pair.damaged.push(damaged());
    let report = pair.run();
    assert_eq!(report.findings[0].fate, Fate::Waits, "the peer may have it");
    assert_eq!(report.skipped, [(TableId::CATALOG, slot(1), Skip::Damaged)]);
    assert!(pair.heals[0].erased.is_empty(), "the row stays until then");
    pair.up = true;
    assert_eq!(pair.fates()[0].1, Fate::Lost(vec![unsent]));
    // A peer that has applied it and does not have it: deleted since.
    pair.told = Hlc::from_parts(6, 0);
    assert_eq!(pair.fates()[0].1, Fate::Repaired);
}

#[test]
fn what_is_damaged_at_the_peer_too_is_lost_and_not_deleted() {
    for row in [true, false] {
        let at = stamp(6, 0);
        let mut pair = Pair::new(rows(&[]), rows(&[]));
        // That of another item is no sign of this one.
        pair.theirs.damaged = vec![key("b"), key("c")];
        pair.damaged.push(damage("b", row, &[at]));
        assert_eq!(pair.fates()[0].1, Fate::Lost(vec![at]), "{row}");
        assert_eq!(pair.heals[0].erased.len(), 1, "what is left is no use to anybody");
        pair.theirs.damaged.remove(0);
        assert_eq!(pair.fates()[0].1, Fate::Repaired, "applied, and deleted since");
    }
}

#[test]
fn a_wrong_fingerprint_of_sound_rows_is_set_right() {
    let both = rows(&[("a", stamp(5, 0))]);
    let mut pair = Pair::new(both.clone(), both);
    pair.mine.excess.insert(3, 77);
    assert_eq!(pair.fates()[0], (Wrong::Fingerprint, Fate::Repaired));
    assert_eq!((pair.heals[0].bucket, pair.heals[0].excess), (3, 77));
}
