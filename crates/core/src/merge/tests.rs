//! The laws of merging, on histories in which stamps exceed all they have seen.

use super::*;
use crate::id::{Origin, RegionSlot};
use crate::item::AttributeValue;
use crate::time::Hlc;
use alloc::string::ToString;
use alloc::vec::Vec;

fn origin(slot: u8) -> Origin {
    Origin::new(RegionSlot::new(slot).expect("small slot"), 1)
}

fn body(text: &str) -> Body {
    Body::live([("v".to_string(), AttributeValue::S(text.to_string()))].into())
}

fn write(stored: Option<&Stored>, slot: u8, ms: u64) -> Stored {
    let stamp = Stamp { hlc: Hlc::from_parts(ms, 0), origin: origin(slot) };
    let (body, origins) = (body(&stamp.to_string()), Origins::PLAIN);
    let write = Write { stamp, body, origins, context: None };
    overwrite(stored.cloned(), &VersionVector::default(), write).0
}

fn join(stored: Option<Stored>, incoming: &Version) -> (Stored, Option<Conflict>) {
    let before = stored.clone();
    match merge(stored, incoming.clone(), Rule::Greatest, Order::Total) {
        Merged::Known => (before.expect("only something stored can know"), None),
        Merged::Changed { stored, mut conflicts, .. } => (stored, conflicts.pop()),
    }
}

#[test]
fn a_write_that_saw_the_other_replaces_it_without_conflict() {
    let first = write(None, 0, 10);
    let second = write(Some(&first), 1, 20);
    let (merged, conflict) = join(Some(first), &second.versions[0]);
    assert_eq!(merged.versions[0], second.versions[0]);
    assert_eq!(conflict, None);
}

#[test]
fn concurrent_writes_leave_the_greater_stamp_and_name_the_loser() {
    let (a, b) = (write(None, 0, 10), write(None, 1, 20));
    for (here, there) in [(&a, &b), (&b, &a)] {
        let (merged, conflict) = join(Some(here.clone()), &there.versions[0]);
        assert_eq!(merged.versions[0], b.versions[0]);
        assert_eq!(conflict.expect("concurrent").loser, a.versions[0]);
    }
}

#[test]
fn equal_readings_are_ordered_by_origin() {
    let (a, b) = (write(None, 0, 10), write(None, 1, 10));
    assert_eq!(join(Some(a.clone()), &b.versions[0]).0.versions[0], b.versions[0]);
    assert_eq!(join(Some(b.clone()), &a.versions[0]).0.versions[0], b.versions[0]);
}

#[test]
fn a_loser_seen_again_is_known() {
    let (a, b) = (write(None, 0, 10), write(None, 1, 20));
    let (merged, _) = join(Some(b), &a.versions[0]);
    assert_eq!(
        merge(Some(merged), a.versions[0].clone(), Rule::Greatest, Order::Total),
        Merged::Known
    );
}

#[test]
fn every_order_and_duplication_gives_the_same_state() {
    let root = write(None, 0, 1);
    let left = write(Some(&root), 1, 5);
    let right = write(Some(&root), 2, 4);
    let both = write(Some(&join(Some(left.clone()), &right.versions[0]).0), 0, 9);
    let late = write(Some(&right), 3, 7);
    let versions: Vec<Version> = [root, left, right, both, late]
        .into_iter()
        .map(|stored| stored.versions[0].clone())
        .collect();
    let mut results = Vec::new();
    for rotation in 0..versions.len() {
        for reversed in [false, true] {
            let mut order: Vec<&Version> = versions.iter().cycle().skip(rotation).take(9).collect();
            if reversed {
                order.reverse();
            }
            let merged =
                order.into_iter().fold(None, |state, version| Some(join(state, version).0));
            results.push(merged.expect("not empty"));
        }
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_version_known_by_name_alone_still_tells_what_it_had_seen() {
    let first = write(None, 0, 10);
    let second = write(Some(&first), 1, 20);
    let mut third = write(Some(&second), 2, 30);
    // Its context was shortened to the version that it knew.
    let known = second.versions[0].stamp;
    third.seen = VersionVector::from_entries([(known.origin, known.hlc), (origin(2), stamp(30))]);
    third.versions[0].context = third.seen.clone();
    let (merged, conflict) = join(Some(third.clone()), &second.versions[0]);
    assert_eq!((&merged.versions, conflict), (&third.versions, None));
    assert!(merged.seen.covers(first.versions[0].stamp));
    assert_eq!(join(Some(merged.clone()), &first.versions[0]), (merged, None));
}

fn stamp(ms: u64) -> Hlc {
    Hlc::from_parts(ms, 0)
}
