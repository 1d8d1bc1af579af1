//! A region that follows feeds to hear what is decided of it, and keeps nothing of what they bring:
//! what it acknowledges is not counted on.

use super::*;
use crate::durability::Standing;
use crate::id::Place;
use crate::membership::{self, Membership, RegionState, Voice};
use crate::merge::{Body, Version};
use crate::replica::Row;

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
    for life in [1, 2] {
        let (mut regions, table) = level();
        regions[1] = Region::in_life(1, life);
        exchange(5_000, &mut regions);
        assert!(regions[1].node.has_lost_log(), "life {life}");
        // Its disk says nothing else, or it would acknowledge after a restart.
        let noted = regions[1].store.applied.clone();
        write_more(&mut regions, table);
        assert_eq!(regions[1].store.applied, noted, "life {life}");
    }
}

/// The others have decided so, and the first has not heard yet.
#[test]
fn a_region_whose_life_is_over_has_nothing_of_what_it_heard() {
    let (mut regions, table) = level();
    let mut membership = Membership::founders([0, 1, 2].map(slot));
    membership.generation = 1;
    let evicted = membership.regions.get_mut(&slot(1)).expect("a founder");
    (evicted.state, evicted.since) = (RegionState::Evicted, 1);
    let voice = Voice { membership, ..Voice::default() }.to_attributes();
    let (origin, through) = (Origin::new(slot(2), 1), Hlc::from_parts(4_000, 0));
    let version = Version::first(Stamp { hlc: through, origin }, Body::live(voice));
    let rows = vec![Row { key: membership::key(slot(2)), version }];
    let (after, end, applied, sent_wall_ms) = (Hlc::ZERO, through, vec![], 4_000);
    let frame = Frame::Rows(Rows { origin, after, through, end, rows, applied, sent_wall_ms });
    regions[1].handle(4_000, Event::Received { from: slot(2), frame });
    regions[1].sync(4_000);
    write_more(&mut regions, table);
}
