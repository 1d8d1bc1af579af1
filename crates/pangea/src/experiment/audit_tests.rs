//! The audit must be able to find every kind of fault that it looks for.

use std::sync::Arc;

use pangea_core::experiment::Attempt;
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::merge::VersionVector;
use pangea_core::time::Hlc;
use serde_json::json;

use super::*;
use crate::experiment::load::Path;
use crate::experiment::place::Entry;

fn stamp(slot: u8, ms: u64) -> Stamp {
    let slot = RegionSlot::new(slot).expect("small slot");
    Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::new(slot, 1) }
}

fn seen(own: Stamp, others: &[Stamp]) -> Seen {
    let all = others.iter().chain([&own]);
    let context = VersionVector::from_entries(all.map(|stamp| (stamp.origin, stamp.hlc)));
    Seen { stamp: own, context }
}

fn write(key: &str, kind: Kind, stamp: Stamp) -> (&'static str, String, Write) {
    let value = (kind != Kind::Delete).then(|| stamp.to_string());
    let table = Arc::from("t");
    let write = Write { table, key: key.to_string(), kind, stamp, value };
    ("cut", format!("region {}", stamp.origin.slot()), write)
}

fn shows(view: &mut View, key: &str, kept: Vec<Seen>, value: Option<&str>) {
    let mut seen = VersionVector::default();
    kept.iter().for_each(|version| seen.join(&version.context));
    view.kept.insert(("t".to_string(), key.to_string()), Kept { versions: kept, seen });
    if let Some(value) = value {
        let items = view.contents.entry("t".to_string()).or_default();
        items.insert(key.to_string(), json!({"k": {"S": key}, "v": {"S": value}}));
    }
}

fn entry(key: &str, severity: &str, loser: Seen, winner: Seen) -> Entry {
    Entry {
        id: format!("{}-{}", loser.stamp, winner.stamp),
        table: "t".to_string(),
        key: key.to_string(),
        severity: severity.to_string(),
        loser,
        winner,
        sharing: Vec::new(),
        attribute: false,
    }
}

/// Two regions wrote one key while they did not hear each other; a third saw the outcome.
fn conflict() -> (View, Acknowledged) {
    let (a, b) = (stamp(0, 1), stamp(1, 2));
    let mut view = View { region: "r".to_string(), ..View::default() };
    shows(&mut view, "x-k", vec![seen(b, &[])], Some(&b.to_string()));
    view.conflicts.push(entry("x-k", "normal", seen(a, &[]), seen(b, &[])));
    let writes = vec![write("x-k", Kind::Put, a), write("x-k", Kind::Update, b)];
    (view, Acknowledged { writes, ..Acknowledged::default() })
}

#[test]
fn what_is_accounted_for_is_not_lost() {
    let (mut view, mut all) = conflict();
    view.orders.insert("o1".to_string());
    all.orders.push(("after", "o1".to_string()));
    let found = audit(&[view], &all, "x");
    let region = &found.regions[0];
    assert_eq!((region.present, region.in_ledger, region.lost), (2, 1, 0));
    let wrong = &found.wrong;
    let counts = [wrong.values, wrong.false_conflicts, wrong.severity, wrong.double_claims];
    assert_eq!(counts, [0; 4], "{:?}", wrong.examples);
    let names: Vec<_> =
        found.accounts.iter().map(|row| format!("{} {}", row.by, row.name)).collect();
    let expected = "phase after, phase cut, kind order, kind put, kind update, table shop-orders, \
                    table t, all all";
    assert_eq!(names.join(", "), expected);
    let total = found.accounts.last().expect("the total is last");
    assert_eq!((total.acknowledged, total.causal, total.in_ledger, total.lost), (3, 2, 1, 0));
}

#[test]
fn a_loser_without_an_entry_is_lost_and_named() {
    let (mut view, all) = conflict();
    view.conflicts.clear();
    let found = audit(&[view], &all, "x");
    assert_eq!(found.regions[0].lost, 1);
    assert!(found.regions[0].examples[0].contains("x-k"), "{:?}", found.regions[0].examples);
}

/// A tombstone that no region needs any more is gone, and with it the row.
#[test]
fn what_was_deleted_knowingly_and_collected_is_not_lost() {
    let (a, b, late) = (stamp(0, 1), stamp(1, 2), stamp(0, 3));
    let mut view = View { region: "r".to_string(), ..View::default() };
    let mut writes = vec![write("x-k", Kind::Put, a), write("x-k", Kind::Delete, b)];
    let lost = |view: &View, writes: &[(&'static str, String, Write)]| {
        let all = Acknowledged { writes: writes.to_vec(), ..Acknowledged::default() };
        audit(std::slice::from_ref(view), &all, "x").regions[0].lost
    };
    assert_eq!(lost(&view, &writes), 2, "an item that is not there was collected by somebody");
    let seen = VersionVector::from_entries([(a.origin, a.hlc), (b.origin, b.hlc)]);
    let item = ("t".to_string(), "x-k".to_string());
    view.kept.insert(item, Kept { versions: Vec::new(), seen });
    assert_eq!(lost(&view, &writes), 0);
    assert_eq!(lost(&view, &writes[..1]), 1, "nobody deleted it");
    writes.push(write("x-k", Kind::Put, late));
    assert_eq!(lost(&view, &writes), 1, "it was written after the deletion");
}

/// A region was killed when the deletion was on its disk and its client had not been told: all of
/// the item goes, and with the tombstone every trace of why. Seen once, as two lost writes of a key
/// that was put, updated and deleted.
#[test]
fn what_a_deletion_without_an_answer_took_is_not_lost() {
    let (put, updated, unseen) = (stamp(0, 1), stamp(0, 2), stamp(0, 9));
    let mut view = View { region: "r".to_string(), ..View::default() };
    let item = ("t".to_string(), "x-k".to_string());
    let collected = VersionVector::from_entries([(put.origin, updated.hlc)]);
    let kept = Kept { versions: Vec::new(), seen: collected };
    view.kept.insert(item.clone(), kept);
    let writes = vec![write("x-k", Kind::Conditional, put), write("x-k", Kind::Update, updated)];
    let mut all = Acknowledged { writes, ..Acknowledged::default() };
    let lost = |view: &View, all: &Acknowledged| {
        audit(std::slice::from_ref(view), all, "x").regions[0].lost
    };
    assert_eq!(lost(&view, &all), 2, "nobody asked for the deletion");
    all.perhaps_deleted.insert(item.clone());
    assert_eq!(lost(&view, &all), 0);
    all.writes.push(write("x-k", Kind::Put, unseen));
    assert_eq!(lost(&view, &all), 1, "the region has never had it");
    all.writes.pop();
    shows(&mut view, "x-k", vec![seen(put, &[])], None);
    assert_eq!(lost(&view, &all), 1, "there is a row, which knows nothing of it");
}

#[test]
fn a_request_without_an_answer_leaves_a_deletion_in_doubt() {
    let table: Arc<str> = Arc::from("t");
    let record = |error: Option<&str>, perhaps: bool| Record {
        path: Path::Store,
        attempt: Attempt { started_us: 0, ended_us: 1, succeeded: error.is_none() },
        ended_wall_ms: 0,
        phase: "cut",
        asked: None,
        served_by: None,
        written: None,
        error: error.map(str::to_string),
        perhaps_deleted: perhaps.then(|| (Arc::clone(&table), "x-k".to_string())),
    };
    let all = Acknowledged::collect(&[record(None, false), record(Some("reset"), true)]);
    assert_eq!(all.perhaps_deleted, BTreeSet::from([("t".to_string(), "x-k".to_string())]));
    assert_eq!(all.len(), 0);
}

#[test]
fn the_worst_region_counts() {
    let (view, mut all) = conflict();
    let mut other = view.clone();
    other.conflicts.clear();
    all.orders.push(("after", "o1".to_string()));
    let found = audit(&[view, other], &all, "x");
    assert_eq!(found.regions.iter().map(|it| it.lost).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found.accounts.last().map(|total| total.lost), Some(2));
}

#[test]
fn a_value_that_nobody_wrote_is_wrong_and_so_is_a_deleted_item_that_is_there() {
    let (mut view, mut all) = conflict();
    shows(&mut view, "x-k", vec![seen(stamp(1, 2), &[])], Some("other"));
    shows(&mut view, "x-gone", vec![seen(stamp(0, 9), &[])], Some("still here"));
    all.writes.push(write("x-gone", Kind::Delete, stamp(0, 9)));
    assert_eq!(audit(&[view], &all, "x").wrong.values, 2);
}

#[test]
fn the_ledger_may_hold_concurrent_pairs_only_and_must_grade_them() {
    let (mut view, mut all) = conflict();
    let (c, d) = (stamp(0, 5), stamp(1, 6));
    view.conflicts.push(entry("x-l", "normal", seen(c, &[]), seen(d, &[c])));
    let (e, f) = (stamp(0, 7), stamp(1, 8));
    view.conflicts.push(entry("other run", "normal", seen(e, &[]), seen(f, &[e])));
    all.writes.push(write("x-l", Kind::Conditional, c));
    let wrong = audit(&[view], &all, "x").wrong;
    assert_eq!((wrong.false_conflicts, wrong.severity), (1, 1), "{:?}", wrong.examples);
}

/// In a flood one entry names many losers, and is as grave as the gravest.
#[test]
fn every_loser_of_a_shared_entry_is_in_the_ledger() {
    let (mut view, mut all) = conflict();
    let (c, d) = (stamp(0, 5), stamp(0, 6));
    let mut shared = entry("x-k", "high", seen(d, &[c]), seen(stamp(1, 2), &[]));
    shared.sharing = vec![stamp(0, 1), c, d];
    view.conflicts = vec![shared];
    all.writes.push(write("x-k", Kind::Conditional, c));
    all.writes.push(write("x-k", Kind::Put, d));
    let found = audit(std::slice::from_ref(&view), &all, "x");
    assert_eq!((found.regions[0].in_ledger, found.regions[0].lost), (3, 0));
    assert_eq!((found.wrong.severity, found.wrong.false_conflicts), (0, 0));
    view.conflicts[0].severity = "normal".to_string();
    assert_eq!(audit(&[view], &all, "x").wrong.severity, 1);
}

#[test]
fn a_claim_is_given_once_by_a_region() {
    let mut all = Acknowledged::default();
    let mut claim =
        |slot, ms| all.writes.push(write("x-claim-1", Kind::Conditional, stamp(slot, ms)));
    claim(0, 1);
    claim(1, 2);
    assert_eq!(audit(&[], &all, "x").wrong.double_claims, 0);
    let mut claim =
        |slot, ms| all.writes.push(write("x-claim-1", Kind::Conditional, stamp(slot, ms)));
    claim(0, 3);
    assert_eq!(audit(&[], &all, "x").wrong.double_claims, 1);
}
