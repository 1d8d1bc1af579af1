use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::*;
use crate::catalog::{
    Directory, Ownership, ReplicaSpec, ReplicaState, ReplicaStatus, Settings, status_key,
    tests::entry,
};
use crate::id::Origin;
use crate::item::KeyValue;
use crate::membership::{self, Change, Voice, What};
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

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small slot")
}

/// A table of three regions, the first of them its home, whose replicas serve.
fn serving(settings: Settings) -> (Catalog, TableEntry) {
    let since = Hlc::from_parts(7, 7);
    let replicas = [1, 2].map(|index| ReplicaSpec { slot: slot(index), since }).into();
    let entry = TableEntry { ttl: Some("t".to_string()), replicas, settings, ..entry() };
    let mut catalog = Catalog::new([0, 1, 2].map(slot));
    for index in [1, 2] {
        let state = ReplicaState::Active { pending: Vec::new() };
        let status = ReplicaStatus { since, joined: 0, state }.to_attributes();
        assert!(catalog.observe(&status_key(entry.id, slot(index)).primary, Some(&status)));
    }
    (catalog, entry)
}

/// What a region is made to be, as all of them have heard.
fn decide(catalog: &mut Catalog, slot: RegionSlot, what: What) {
    let membership = catalog.membership().after(Change { slot, what }).expect("it may be");
    let voice = Voice { membership, ..Voice::default() }.to_attributes();
    let speaker = RegionSlot::new(2).expect("small slot");
    assert!(catalog.observe(&membership::key(speaker).primary, Some(&voice)));
}

fn key() -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None }
}

/// An item that expires at 1,700,000,000 s, written last by a region.
fn written_by(index: u8) -> Stored {
    let item = [("t".to_string(), AttributeValue::N(Number::from(1_700_000_000)))].into();
    let stamp = Stamp { hlc: Hlc::from_parts(9, 0), origin: Origin::new(slot(index), 1) };
    Stored::single(Version::first(stamp, Body::live(item)))
}

/// From when on the region deletes the item, ms after it has expired; `None` if it does not.
fn due_after(told: (&Catalog, &TableEntry), stored: &Stored, me: u8) -> Option<u64> {
    let is_due = |ms: &u64| {
        let now_ms = 1_700_000_000_000 + ms;
        is_due(told, (&key(), stored), slot(me), now_ms, 60_000)
    };
    (0..4).flat_map(|turn| [turn * 60_000 + 499, turn * 60_000 + 500]).find(is_due)
}

#[test]
fn regions_delete_in_turn() {
    let (catalog, entry) = serving(Settings::default());
    // Who wrote it, the home, the other replica, and who holds nothing.
    for (me, wanted_ms) in [(1, 500), (0, 60_500), (2, 120_500), (3, 180_500)] {
        assert_eq!(due_after((&catalog, &entry), &written_by(1), me), Some(wanted_ms), "{me}");
    }
}

#[test]
fn who_takes_no_writes_has_no_turn() {
    for what in [What::Suspend { automatic: false }, What::Evict { automatic: false }] {
        let (mut catalog, entry) = serving(Settings::default());
        decide(&mut catalog, slot(1), what);
        for (me, wanted_ms) in [(0, 500), (2, 60_500)] {
            let due = due_after((&catalog, &entry), &written_by(1), me);
            assert_eq!(due, Some(wanted_ms), "{me} after {what:?}");
        }
    }
    // A replica that is still copied.
    let (mut catalog, entry) = serving(Settings::default());
    let since = Hlc::from_parts(7, 7);
    let status = ReplicaStatus { since, joined: 0, state: ReplicaState::Creating };
    catalog.observe(&status_key(entry.id, slot(1)).primary, Some(&status.to_attributes()));
    assert_eq!(due_after((&catalog, &entry), &written_by(1), 0), Some(500));
}

#[test]
fn an_owner_that_is_gone_leaves_its_items_to_the_home() {
    let region = |index: u8, name: &str| (slot(index), name.to_string(), None);
    let directory = Arc::new(Directory::new([region(0, "r0"), region(1, "r1"), region(2, "r2")]));
    let ownership = Ownership::parse("k=r1").expect("well formed");
    let settings = Settings { policy: Policy::Owner, ownership, ..Settings::default() };
    let (mut catalog, entry) = serving(settings);
    catalog.adopt(directory);
    let due =
        |catalog: &Catalog| [0, 1, 2].map(|me| due_after((catalog, &entry), &written_by(2), me));
    assert_eq!(due(&catalog), [None, Some(500), None]);
    decide(&mut catalog, slot(1), What::Suspend { automatic: false });
    assert_eq!(due(&catalog), [None, Some(500), None], "it may yet write");
    decide(&mut catalog, slot(1), What::Evict { automatic: false });
    assert_eq!(due(&catalog), [Some(500), None, None]);
}
