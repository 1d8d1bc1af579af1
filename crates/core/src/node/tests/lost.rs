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

/// Hears of the third region what became of the second one's life.
fn hear_of_end(region: &mut Region, generation: u32, state: RegionState, life: Option<u16>) {
    let mut membership = Membership::founders([0, 1, 2].map(slot));
    membership.generation = generation;
    let second = membership.regions.get_mut(&slot(1)).expect("a founder");
    (second.state, second.since, second.life) = (state, generation, life);
    let voice = Voice { membership, ..Voice::default() }.to_attributes();
    let ms = 3_000 + 1_000 * u64::from(generation);
    let (origin, through) = (Origin::new(slot(2), 1), Hlc::from_parts(ms, 0));
    let version = Version::first(Stamp { hlc: through, origin }, Body::live(voice));
    let rows = vec![Row { key: membership::key(slot(2)), version }];
    let after = region.node.places.reached(origin);
    let (end, applied, sent_wall_ms) = (through, vec![], ms);
    let frame = Frame::Rows(Rows { origin, after, through, end, rows, applied, sent_wall_ms });
    region.handle(ms, Event::Received { from: slot(2), frame });
    region.sync(ms);
}

fn tick(region: &mut Region, times: std::ops::Range<u64>) {
    for ms in times {
        region.handle(ms, Event::Timer);
        region.sync(ms);
    }
}

/// The others have decided so, and the first has not heard yet.
#[test]
fn a_region_whose_life_is_over_has_nothing_of_what_it_heard() {
    let (mut regions, table) = level();
    hear_of_end(&mut regions[1], 1, RegionState::Evicted, None);
    let noted = regions[1].store.applied.get(&regions[0].node.me).copied();
    write_more(&mut regions, table);
    assert_eq!(regions[1].store.applied.get(&regions[0].node.me).copied(), noted);
}

/// The others say that they have levelled its life, and have not all of it.
#[test]
fn a_life_that_is_over_drops_nothing_that_it_alone_has() {
    let (mut regions, table) = level();
    regions[1].put(3_000, table, "alone");
    regions[1].sync(3_000);
    // It hears that it shall leave the table; the other hears nothing of it.
    assert!(matches!(regions[0].update(3_001, &[], &[1]), Outcome::Defined(_)));
    let (me, first) = (regions[1].node.me, regions[0].node.me);
    let after = regions[1].node.places.cut(first);
    let mut feed = Feed::new(first, slot(1));
    feed.receive(Request::Subscribe { after });
    let frame = feed.next(at(3_100), &regions[0].node.progress(), &regions[0].store);
    let frame = frame.expect("there is news");
    regions[1].handle(3_100, Event::Received { from: slot(0), frame });
    tick(&mut regions[1], 3_110..3_210);
    assert_eq!(regions[1].node.leaving.len(), 1);
    hear_of_end(&mut regions[1], 1, RegionState::Evicted, None);
    let after = regions[1].node.places.reached(first);
    let through = Hlc::from_parts(4_200, 0);
    let applied = vec![(me, Hlc::from_parts(4_150, 0))];
    let frame = Rows {
        origin: first,
        after,
        through,
        end: through,
        rows: vec![],
        applied,
        sent_wall_ms: 4_200,
    };
    regions[1].handle(4_200, Event::Received { from: slot(0), frame: Frame::Rows(frame) });
    tick(&mut regions[1], 4_210..4_410);
    assert_eq!(regions[1].read(table), text("alone"));
    // It is called back, and waits a moment to hear who knows.
    hear_of_end(&mut regions[1], 2, RegionState::Joining, Some(2));
    tick(&mut regions[1], 5_001..5_500);
    assert!(regions[1].node.is_out());
    assert_eq!(regions[1].read(table), text("alone"));
}
