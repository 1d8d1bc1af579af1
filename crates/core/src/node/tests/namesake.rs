//! A replica that cannot be made, because another table has its name.

use super::*;
use crate::catalog::tests::entry;
use crate::catalog::{ReplicaSpec, ReplicaState, ReplicaStatus, TableEntry, entry_key, status_key};
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
