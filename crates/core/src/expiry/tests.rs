use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::catalog::{ReplicaSpec, tests::entry};
use crate::id::Origin;
use crate::merge::{Body, Version};
use crate::time::{Hlc, Stamp};

#[test]
fn moments_are_whole_seconds() {
    let cases = [
        ("0", Some(0)),
        ("1700000000", Some(1_700_000_000)),
        ("1.7e9", Some(1_700_000_000)),
        ("1700000000.9", Some(1_700_000_000)),
        ("1e-130", Some(0)),
        ("-1", None),
        ("1e20", None),
        ("9.9e125", None),
    ];
    for (text, wanted) in cases {
        assert_eq!(whole(Number::parse(text).expect("a number")), wanted, "{text}");
    }
}

#[test]
fn what_expired_long_ago_did_not_expire() {
    let now_ms = 1_700_000_000_999;
    assert!(has_expired(1_700_000_000, now_ms));
    assert!(!has_expired(1_700_000_001, now_ms));
    assert!(has_expired(1_700_000_000 - OLDEST_S, now_ms));
    assert!(!has_expired(1_700_000_000 - OLDEST_S - 1, now_ms));
    assert!(!has_expired(5, now_ms), "a counter is no moment");
}

#[test]
fn regions_delete_in_turn() {
    let slot = |index| RegionSlot::new(index).expect("small slot");
    let replica = |index| ReplicaSpec { slot: slot(index), since: Hlc::from_parts(7, 7) };
    let replicas: Vec<ReplicaSpec> = [1, 2].map(replica).into();
    let entry = TableEntry { ttl: Some("t".to_string()), replicas, ..entry() };
    let item = [("t".to_string(), AttributeValue::N(Number::from(1_700_000_000)))].into();
    let stamp = Stamp { hlc: Hlc::from_parts(9, 0), origin: Origin::new(slot(1), 1) };
    let stored = Stored::single(Version::first(stamp, Body::live(item)));
    // Who wrote it, the home, the other replica, and who holds nothing.
    for (me, wanted_ms) in [(1, 500), (0, 60_500), (2, 120_500), (3, 180_500)] {
        let due_ms = 1_700_000_000_000 + wanted_ms;
        assert!(!is_due(&entry, &stored, slot(me), due_ms - 1, 60_000), "{me}");
        assert!(is_due(&entry, &stored, slot(me), due_ms, 60_000), "{me}");
    }
}
