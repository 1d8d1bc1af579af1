//! A region that follows feeds to hear what is decided of it, and keeps nothing of what they bring:
//! what it acknowledges is not counted on.

use super::*;
use crate::durability::Standing;
use crate::id::Place;

/// The regions that have what the first one has written, as far as it knows.
fn have(region: &Region, table: TableId) -> Vec<RegionSlot> {
    let primary = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
    let stored = region.store.item(&ItemKey { table, primary }).expect("written");
    let (stamp, of) = (stored.greatest().stamp, (table, Place::ANYWHERE));
    let acked = region.node.acked();
    Standing::of(&region.node.catalog, of, slot(0), acked, stamp.hlc).have
}

/// Two regions of which each has what the other wrote.
fn level() -> ([Region; 2], TableId) {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[0].put(2_000, table, "a");
    regions[0].sync(2_000);
    exchange(2_010, &mut regions);
    assert_eq!(have(&regions[0], table), [slot(1)]);
    (regions, table)
}

/// What is written now is with the first region alone, and it knows.
fn write_more(regions: &mut [Region; 2], table: TableId) {
    regions[0].put(6_000, table, "b");
    regions[0].sync(6_000);
    exchange(6_010, regions);
    assert_ne!(regions[1].read(table), text("b"));
    assert_eq!(have(&regions[0], table), []);
}

#[test]
fn a_region_that_has_lost_its_log_has_nothing_of_what_it_heard() {
    let (mut regions, table) = level();
    regions[1] = Region::in_life(1, 2);
    exchange(5_000, &mut regions);
    assert!(regions[1].node.has_lost_log());
    write_more(&mut regions, table);
}
