//! Places in feeds are cuts, and acknowledgements of them come soon.

use std::vec;

use super::*;
use crate::catalog::ReplicaState;

fn put_key(region: &mut Region, ms: u64, table: TableId, key: &str) {
    let primary = PrimaryKey { partition: KeyValue::S(key.to_string()), sort: None };
    let item = [("id".to_string(), AttributeValue::S(key.to_string()))];
    let op = Box::new(WriteOp::new(primary, Action::Put(item.into())));
    region.handle(ms, Event::Write { request: RequestId(2), table, op });
    region.sync(ms);
}

fn next(feed: &mut Feed, ms: u64, region: &Region) -> Option<Rows> {
    match feed.next(at(ms), &region.node.progress(), &region.store) {
        Some(Frame::Rows(rows)) => Some(rows),
        _ => None,
    }
}

#[test]
fn what_took_the_place_of_a_version_is_sent_in_its_place() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[0].replicate_to(1_400, 2);
    regions[0].put(2_000, table, "loses");
    regions[1].put(2_001, table, "wins");
    regions.iter_mut().for_each(|region| region.sync(2_001));
    exchange(2_002, &mut regions);
    assert_eq!(regions[0].read(table), text("wins"));
    let mut feed = Feed::new(regions[0].node.me, slot(2));
    feed.receive(Request::Subscribe { after: Hlc::from_parts(1_900, 0) });
    let frame = next(&mut feed, 2_300, &regions[0]).expect("rows wait");
    let of_item: Vec<Stamp> = frame.rows.iter().map(|row| row.version.stamp).collect();
    assert!(of_item.iter().any(|stamp| stamp.origin == regions[1].node.me), "{of_item:?}");
    assert!(frame.is_last());
    // Who wrote it has it.
    let mut feed = Feed::new(regions[0].node.me, slot(1));
    feed.receive(Request::Subscribe { after: Hlc::from_parts(1_900, 0) });
    let frame = next(&mut feed, 2_300, &regions[0]).expect("rows wait");
    assert!(frame.rows.iter().all(|row| row.key.table != table), "{frame:?}");
    // An own write ends it: one entry of the item again.
    regions[0].put(2_400, table, "again");
    regions[0].sync(2_400);
    let of_item = regions[0].store.changelog.iter().filter(|(_, key)| key.table == table);
    assert_eq!(of_item.count(), 1);
}

#[test]
fn a_frame_within_a_state_is_no_cut() {
    let mut home = Region::new(0);
    let (me, table) = (home.node.me, home.create(1_000));
    home.replicate_to(1_001, 1);
    let mut other = Region::new(1);
    let mut feed = Feed::new(me, slot(1)).with_rows_max(2);
    feed.receive(Request::Subscribe { after: Hlc::ZERO });
    for (ms, key) in [(2_000, "a"), (2_001, "b"), (2_002, "a"), (2_003, "c")] {
        put_key(&mut home, ms, table, key);
    }
    let cut = |other: &Region| other.node.progress().applied.get(&me).copied();
    let mut pages = 0;
    while let Some(rows) = next(&mut feed, 3_000, &home) {
        let (last, through) = (rows.is_last(), rows.through);
        other.handle(3_000, Event::Received { from: slot(0), frame: Frame::Rows(rows) });
        other.sync(3_000);
        // Of a life of which there are rows and no cut yet, peers are told that it is known.
        assert_eq!(cut(&other), Some(if last { through } else { Hlc::ZERO }));
        pages += 1;
    }
    assert!(pages > 2, "{pages}");
}

#[test]
fn rows_of_a_state_newer_than_what_was_told_are_told() {
    let mut home = Region::new(0);
    let (me, table) = (home.node.me, home.create(1_000));
    home.replicate_to(1_001, 1);
    let told = home.node.progress();
    put_key(&mut home, 2_000, table, "a");
    put_key(&mut home, 2_001, table, "b");
    let mut feed = Feed::new(me, slot(1));
    feed.receive(Request::Subscribe { after: Hlc::ZERO });
    let Some(Frame::Rows(rows)) = feed.next(at(2_002), &told, &home.store) else { panic!("rows") };
    assert!(rows.is_last() && rows.through > told.closed, "{rows:?}");
}

#[test]
fn an_acknowledgement_does_not_wait_for_the_heartbeat() {
    let mut region = Region::new(0);
    region.create(1_000);
    let peer = Origin::new(slot(1), 1);
    let mut feed = Feed::new(region.node.me, slot(1));
    let mut progress = region.node.progress();
    progress.applied = [(peer, Hlc::from_parts(9, 0))].into();
    // Nobody has subscribed.
    assert!(feed.next(at(2_000), &progress, &region.store).is_none());
    feed.receive(Request::Subscribe { after: progress.closed });
    let mut told = vec![];
    for ms in 2_000..2_010 {
        progress.applied = [(peer, Hlc::from_parts(ms, 0))].into();
        if let Some(Frame::Rows(rows)) = feed.next(at(ms), &progress, &region.store) {
            told.extend(rows.applied);
        }
    }
    let times: Vec<u64> = told.iter().map(|(_, hlc)| hlc.wall_ms()).collect();
    assert_eq!(times, [2_000, 2_002, 2_004, 2_006, 2_008]);
    assert_eq!(feed.deadline(), Some(2_010_000), "the rest is owed");
    let Some(Frame::Rows(rows)) = feed.next(at(2_010), &progress, &region.store) else {
        panic!("the rest is due")
    };
    assert_eq!(rows.applied, [(peer, Hlc::from_parts(2_009, 0))]);
    assert_eq!(feed.deadline(), Some(2_110_000), "nothing is owed");
}

#[test]
fn those_who_wait_hear_of_acknowledgements_and_of_links() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    assert!(regions[0].node.acked().reaches(slot(1)));
    let closed = regions[0].node.progress().closed;
    assert_eq!(regions[0].node.acked().by(slot(1)), closed);
    regions[0].put(3_000, table, "x");
    regions[0].sync(3_000);
    assert_eq!(regions[0].node.acked().by(slot(1)), closed);
    exchange(3_001, &mut regions);
    assert_eq!(regions[0].node.acked().by(slot(1)), regions[0].node.progress().closed);
    regions[0].handle(4_000, Event::Unlinked { peer: slot(1) });
    assert!(!regions[0].node.acked().reaches(slot(1)));
}

#[test]
fn a_region_says_that_it_leaves_and_keeps_rows_until_it_drops_them() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    let (home, me) = (regions[0].node.me, regions[1].node.me);
    let [home_closed, closed] = [0, 1].map(|at: usize| regions[at].node.progress().closed);
    regions[0].update(2_000, &[], &[1]);
    let mut feed = Feed::new(home, slot(1));
    feed.receive(Request::Subscribe { after: home_closed });
    let frame = Frame::Rows(next(&mut feed, 2_001, &regions[0]).expect("the catalog's row"));
    regions[1].handle(2_002, Event::Received { from: slot(0), frame });
    regions[0].put(2_003, table, "late");
    regions[0].sync(2_003);
    let frame = Frame::Rows(next(&mut feed, 2_004, &regions[0]).expect("the row"));
    regions[1].handle(2_005, Event::Received { from: slot(0), frame });
    regions[1].sync(2_006);
    assert_eq!(regions[1].read(table), text("late"));
    // What acknowledges the row says that it does not count.
    let mut feed = Feed::new(me, slot(0));
    feed.receive(Request::Subscribe { after: closed });
    let told = next(&mut feed, 2_007, &regions[1]).expect("an acknowledgement");
    let closed = regions[0].node.progress().closed;
    assert!(told.applied.contains(&(home, closed)), "{told:?}");
    assert!(told.rows.iter().any(|row| row.key.table == TableId::CATALOG), "{told:?}");
    regions[0].handle(2_008, Event::Received { from: slot(1), frame: Frame::Rows(told) });
    regions[0].sync(2_008);
    let said = |regions: &[Region; 2]| {
        let status = regions[0].node.catalog.status(table, slot(1));
        status.map(|status| status.state.clone())
    };
    assert_eq!(said(&regions), Some(ReplicaState::Leaving));
    exchange(2_009, &mut regions);
    assert_eq!(said(&regions), Some(ReplicaState::Removed));
    assert_eq!(regions[1].read(table), None);
}

#[test]
fn rows_that_come_with_the_wish_that_a_region_leave_are_kept() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    let closed = regions[0].node.progress().closed;
    regions[0].update(2_000, &[], &[1]);
    regions[0].put(2_001, table, "with it");
    regions[0].sync(2_001);
    let mut feed = Feed::new(regions[0].node.me, slot(1));
    feed.receive(Request::Subscribe { after: closed });
    let frame = Frame::Rows(next(&mut feed, 2_002, &regions[0]).expect("both"));
    regions[1].handle(2_003, Event::Received { from: slot(0), frame });
    assert_eq!(regions[1].read(table), text("with it"));
}
