//! A replica that cannot be made, because another table has its name.

use super::*;
use crate::catalog::tests::entry;
use crate::catalog::{
    ReplicaSpec, ReplicaState, ReplicaStatus, ReplicaView, StreamView, TableEntry, entry_key,
    status_key,
};
use crate::item::Attributes;
use crate::merge::{Body, Version};

const SINCE: Hlc = Hlc::from_parts(2, 0);

fn id(ms: u64, region: u8) -> TableId {
    TableId(Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::new(slot(region), 1) })
}

/// What becomes of a replica that said that it leaves, is needed again, and has the name of a table
/// of its own region: of one that has rows, or of one that has none.
fn needed_again(config: Config, has_rows: bool) -> ReplicaState {
    let own = TableEntry { id: id(1, 0), home: slot(0), replicas: vec![], ..entry() };
    let replicas = vec![ReplicaSpec { slot: slot(0), since: SINCE }];
    let other = TableEntry { id: id(2, 1), home: slot(1), replicas, ..entry() };
    let status = ReplicaStatus { since: SINCE, joined: 0, state: ReplicaState::Leaving };
    let mut region = Region::new(0);
    let mut catalog = Catalog::default();
    let rows = [
        (entry_key(own.id), own.to_attributes()),
        (entry_key(other.id), other.to_attributes()),
        (status_key(other.id, slot(0)), status.to_attributes()),
    ];
    for (key, row) in &rows {
        assert!(catalog.observe(&key.primary, Some(row)));
    }
    let durable = Durable { last: Hlc::from_parts(10, 0), ..durable(1, catalog) };
    region.node = Node::new(config, durable);
    if has_rows {
        let primary = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
        let stamp = Stamp { hlc: Hlc::from_parts(5, 0), origin: Origin::new(slot(1), 1) };
        let row = Stored::single(Version::first(stamp, Body::live(Attributes::new())));
        region.store.items.insert(ItemKey { table: other.id, primary }, row);
    }
    for ms in [1_000, 2_000] {
        region.handle(ms, Event::Timer);
        region.sync(ms);
    }
    region.node.catalog.status(other.id, slot(0)).expect("it has one").state.clone()
}

#[test]
fn what_it_has_is_kept_for_those_who_will_ask() {
    let config = || Config::new(slot(0), 500);
    assert_eq!(needed_again(config(), true), ReplicaState::Leaving);
    assert!(matches!(needed_again(config(), false), ReplicaState::Failed { .. }));
}

/// The same with the bug that no seed of the simulator is known to show.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_failed_replica_tells_nobody_of_its_rows() {
    let config = Config { bug: Some(Bug::KeptFails), ..Config::new(slot(0), 500) };
    assert!(matches!(needed_again(config, true), ReplicaState::Failed { .. }));
}

/// What another region shows of the replica that a table gets where one of its name is, after
/// `before` was done to that one.
fn where_one_is(
    (adopts, stream): (bool, StreamView),
    before: impl Fn(&mut Region, TableId),
) -> (ReplicaView, [Region; 2], [TableId; 2]) {
    let mut regions = [Region::new(0), Region::new(1)];
    let mine = regions[0].create(1_000);
    let theirs = regions[1].create_as(1_000, "t", Some(stream));
    before(&mut regions[1], theirs);
    regions[1].sync(1_002);
    let update =
        TableUpdate { name: "t".to_string(), add: vec![slot(1)], adopts, ..Default::default() };
    let change = Box::new(Change::Update(update));
    regions[0].handle(1_003, Event::Define { request: RequestId(0), change });
    regions[0].sync(1_003);
    exchange(1_004, &mut regions);
    exchange(1_304, &mut regions);
    let entry = regions[0].node.catalog.get(mine).expect("created").clone();
    let view = regions[0].node.catalog.replicas(&entry)[1].1.clone();
    (view, regions, [mine, theirs])
}

#[test]
fn an_empty_table_gives_way_to_one_that_adopts_it_and_to_no_other() {
    let both = StreamView::NewAndOldImages;
    let (view, mut regions, [mine, theirs]) = where_one_is((true, both), |_, _| {});
    assert_eq!(view, ReplicaView::Active);
    assert!(regions[1].node.catalog.get(theirs).is_none_or(|entry| entry.deleted));
    assert_eq!(regions[1].node.catalog.find(slot(1), "t").map(|entry| entry.id), Some(mine));
    regions[1].put(2_000, mine, "here");
    regions[1].sync(2_000);
    exchange(2_001, &mut regions);
    assert_eq!(regions[0].read(mine), text("here"));

    let protected = |region: &mut Region, _| {
        let update = TableUpdate {
            name: "t".to_string(),
            deletion_protection: Some(true),
            ..Default::default()
        };
        let change = Box::new(Change::Update(update));
        region.handle(1_001, Event::Define { request: RequestId(0), change });
    };
    for (view, ..) in [
        where_one_is((false, both), |_, _| {}),
        where_one_is((true, StreamView::KeysOnly), |_, _| {}),
        where_one_is((true, both), |region, table| region.put(1_001, table, "theirs")),
        where_one_is((true, both), protected),
    ] {
        assert!(matches!(view, ReplicaView::Failed(_)), "{view:?}");
    }
}
