//! Versions side by side: none is replaced without a trace by who need not have seen it.

use alloc::format;
use alloc::sync::Arc;

use super::*;
use crate::catalog::{Directory, Policy};
use crate::expr::{Placeholders, Update};
use crate::item::{Attributes, Number};
use crate::ledger;
use crate::merge::Stored;
use crate::node::Resolution;
use crate::view::{apart, view};

const MERGE: &str = "pangea:merge";

fn stored(region: &Region, table: TableId) -> Stored {
    let primary = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
    region.store.item(&ItemKey { table, primary }).expect("the item is there")
}

/// What readers of the region see of an attribute.
fn shown(region: &Region, table: TableId, name: &str) -> Option<AttributeValue> {
    let policy = region.node.catalog.get(table).map(|entry| entry.settings.policy.clone());
    view(&policy?, &stored(region, table))?.get(name).cloned()
}

/// The values of `v` that lost, and what they lost to.
fn lost(region: &Region) -> Vec<(String, String)> {
    let rows = region.store.rows(TableId::LEDGER, None, usize::MAX).into_iter();
    let side = |entry: &Attributes, name: &str| match entry.get(name) {
        Some(AttributeValue::M(side)) => match side.get("image") {
            Some(AttributeValue::M(image)) => match image.get("v") {
                Some(AttributeValue::S(text)) => text.clone(),
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    };
    let of = |(key, stored): (ItemKey, Stored)| {
        assert!(!ledger::is_shared(&key.primary));
        let entry = stored.greatest().body.attributes().cloned().unwrap_or_default();
        (side(&entry, "loser"), side(&entry, "winner"))
    };
    let mut lost: Vec<_> = rows.map(of).collect();
    lost.sort();
    lost
}

fn merging_table(regions: &mut [Region; 2], policy: &str) -> TableId {
    let tags = BTreeMap::from([(MERGE.to_string(), policy.to_string())]);
    let table = regions[0].create_with(1_000, ("t", Some(StreamView::KeysOnly)), tags);
    regions[0].replicate_to(1_001, 1);
    exchange(1_002, regions);
    table
}

/// Each region writes the item, and then both have both: the second region's stands.
fn write_at_once(regions: &mut [Region; 2], table: TableId) {
    regions[0].put(2_000, table, "a");
    regions[1].put(2_000, table, "b");
    regions.iter_mut().for_each(|region| region.sync(2_000));
    exchange(2_001, regions);
}

fn switch(ms: u64, regions: &mut [Region; 2], policy: &str) {
    let tags = BTreeMap::from([(MERGE.to_string(), Some(policy.to_string()))]);
    let update = TableUpdate { name: "t".to_string(), tags, ..Default::default() };
    let change = Box::new(Change::Update(update));
    regions[0].handle(ms, Event::Define { request: RequestId(0), change });
    regions[0].sync(ms);
    assert!(matches!(regions[0].replies.pop(), Some(Outcome::Defined(_))));
    exchange(ms + 1, regions);
}

fn add(ms: u64, region: &mut Region, table: TableId, n: i64) {
    let key = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
    let values = Attributes::from([(":n".to_string(), AttributeValue::N(Number::from(n)))]);
    let mut placeholders = Placeholders::new(None, Some(values)).expect("well formed");
    let update = Update::parse("ADD n :n", &mut placeholders).expect("well formed");
    let op = Box::new(WriteOp::new(key, Action::Update(update)));
    region.handle(ms, Event::Write { request: RequestId(1), table, op });
    region.sync(ms);
}

/// What had been added up stays added up.
#[test]
fn what_was_written_to_merge_is_one_where_versions_are_kept_apart_later() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = merging_table(&mut regions, "crdt");
    add(2_000, &mut regions[0], table, 1);
    add(2_000, &mut regions[1], table, 10);
    exchange(2_001, &mut regions);
    switch(3_000, &mut regions, "siblings");
    let eleven = Some(AttributeValue::N(Number::from(11)));
    for region in &regions {
        assert_eq!(shown(region, table, "n"), eleven);
        let stored = stored(region, table);
        let shown: Vec<_> = apart(&stored).into_iter().map(|(_, item)| item.is_some()).collect();
        assert_eq!((stored.versions.len(), shown), (2, vec![true]), "both are there, as one");
    }
    // Somebody who saw nothing of it writes: both lose together, and the ledger has their images.
    regions[1].put(4_000, table, "over it");
    regions[1].sync(4_000);
    assert_eq!(lost(&regions[1]), []);
    exchange(4_001, &mut regions);
    assert_eq!(stored(&regions[0], table).versions.len(), 1);
}

/// A merge function showed what both had; the ledger has what a version alone does not show.
#[test]
fn what_no_ledger_entry_was_owed_for_gets_one_when_it_is_replaced_unseen() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = merging_table(&mut regions, "siblings");
    write_at_once(&mut regions, table);
    let pair = || ("a".to_string(), "b".to_string());
    assert_eq!(lost(&regions[0]), [pair()]);
    // As under a policy that hides nothing.
    regions[0].store.items.retain(|key, _| key.table != TableId::LEDGER);
    regions[0].put(3_000, table, "c");
    regions[0].sync(3_000);
    assert_eq!(stored(&regions[0], table).versions.len(), 1);
    assert_eq!(lost(&regions[0]), [pair()]);
}

/// A region keeps one version of its own, so a client that says what it has seen can replace one of
/// another client's.
#[test]
fn what_a_region_replaces_of_its_own_unseen_is_in_the_ledger() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = merging_table(&mut regions, "siblings");
    regions[0].put(2_000, table, "first");
    regions[0].sync(2_000);
    let told = Some(stored(&regions[0], table).seen);
    regions[0].put(2_100, table, "second");
    regions[0].sync(2_100);
    assert_eq!(lost(&regions[0]), []);
    let op = |told| {
        let key = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
        let text = |text: &str| AttributeValue::S(text.to_string());
        let item = [("id".to_string(), text("k")), ("v".to_string(), text("third"))];
        Box::new(WriteOp { context: told, ..WriteOp::new(key, Action::Put(item.into())) })
    };
    let write = Event::Write { request: RequestId(1), table, op: op(told.clone()) };
    regions[0].handle(2_200, write);
    regions[0].sync(2_200);
    exchange(2_201, &mut regions);
    for region in &regions {
        assert_eq!(lost(region), [("second".to_string(), "third".to_string())]);
    }
    // One version takes the place of all where none are kept apart, whatever its client has seen.
    let other = regions[0].create_as(3_000, "plain", None);
    assert_eq!(
        regions[0].node.catalog.get(other).map(|it| it.settings.policy.clone()),
        Some(Policy::Lww)
    );
    regions[0].put(3_001, other, "first");
    regions[0].sync(3_001);
    regions[0].handle(3_002, Event::Write { request: RequestId(1), table: other, op: op(told) });
    regions[0].sync(3_002);
    assert_eq!(stored(&regions[0], other).versions.len(), 1);
}

/// A decision is a write.
#[test]
fn nothing_is_decided_in_a_region_that_takes_no_writes() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = merging_table(&mut regions, "lww");
    write_at_once(&mut regions, table);
    let row = regions[0].store.rows(TableId::LEDGER, None, 1).remove(0).0.primary;
    let primary = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
    let resolution = Resolution {
        row,
        item: ItemKey { table, primary: primary.clone() },
        seen: stored(&regions[0], table).stamps().collect(),
        op: Some(WriteOp::new(primary, Action::Delete)),
        decision: Attributes::new(),
    };
    let mut decide = |lost: bool| {
        let region = &mut regions[0];
        region.node.lost = lost.then_some((slot(1), Hlc::from_parts(9_000, 0)));
        let resolution = Box::new(resolution.clone());
        region.handle(3_000, Event::Resolve { request: RequestId(1), resolution });
        region.sync(3_000);
        region.replies.pop()
    };
    assert!(matches!(decide(true), Some(Outcome::Closed(_))));
    assert!(matches!(decide(false), Some(Outcome::Written { .. })));
}

/// A region that may not have an item writes its key: both meet where both may be, and the entry
/// that has the restricted image stays there. So does a row that more of them share in a flood.
#[test]
fn an_entry_is_where_both_of_its_images_may_be() {
    for (merge, first) in [("lww", 0), ("lww", 1), ("crdt", 0), ("crdt", 1)] {
        for per_minute in [60, 0] {
            let (regions, case) = restricted(merge, first, per_minute);
            let there = format!("{:?}", regions[0].store.items);
            assert!(!there.contains("secret\""), "{case}");
            let rows = regions[1].store.rows(TableId::LEDGER, None, 2);
            assert_eq!(rows.len(), 1, "{case}");
            let shared = per_minute == 0 && merge == "lww";
            assert_eq!(ledger::is_shared(&rows[0].0.primary), shared, "{case}");
        }
    }
}

/// Two regions after both have written an item, one of them what the other may not have.
fn restricted(merge: &str, first: u64, per_minute: u32) -> ([Region; 2], String) {
    let named = |index, name: &str| (slot(index), name.to_string(), None);
    let directory = Arc::new(Directory::new([named(0, "a"), named(1, "b")]));
    let mut regions = [Region::new(0), Region::new(1)];
    for region in &mut regions {
        region.node.config.directory = Arc::clone(&directory);
        region.node.config.ledger_per_minute = per_minute;
        region.node.catalog.adopt(Arc::clone(&directory));
    }
    let tags = [(MERGE, merge), ("pangea:placement", "@v:secret=b")];
    let tags = tags.map(|(tag, value)| (tag.to_string(), value.to_string()));
    let table = regions[0].create_with(1_000, ("t", Some(StreamView::KeysOnly)), tags.into());
    regions[0].replicate_to(1_001, 1);
    exchange(1_002, &mut regions);
    let secret = u64::from(first == 0);
    regions[0].put(2_001 - secret, table, "open");
    regions[1].put(2_000 + secret, table, "secret");
    regions.iter_mut().for_each(|region| region.sync(2_001));
    exchange(2_002, &mut regions);
    (regions, format!("{merge}, {first} first, {per_minute} a minute"))
}
