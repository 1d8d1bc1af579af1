//! Rows of tables in groups wait for their cut, and cuts for what they rest on.

use std::string::String;
use std::vec;

use super::*;
use crate::catalog::{GROUP, ReplicaState};
use crate::merge::{Body, Origins, Version, VersionVector};
use crate::replica::Row;

/// A region with a table in a group, which two others hold too.
fn grouped(stage_bytes_max: usize) -> (Region, TableId) {
    let mut region = Region::new(0);
    region.node.config.stage_bytes_max = stage_bytes_max;
    let tags = BTreeMap::from([(GROUP.to_string(), "g".to_string())]);
    let table = region.create_with(1_000, ("t", None), tags);
    region.replicate_to(1_001, 1);
    region.replicate_to(1_002, 2);
    for peer in [1, 2] {
        region.handle(1_100, Event::Linked { peer: slot(peer) });
    }
    region.sync(1_100);
    (region, table)
}

fn life(peer: u8) -> Origin {
    Origin::new(slot(peer), 1)
}

fn reading(ms: u64) -> Hlc {
    Hlc::from_parts(ms, 0)
}

fn row(peer: u8, ms: u64, table: TableId, key: &str) -> Row {
    let stamp = Stamp { hlc: reading(ms), origin: life(peer) };
    let id = AttributeValue::S(key.to_string());
    let body = Body::live([("id".to_string(), id)].into());
    let mut context = VersionVector::default();
    context.record(stamp);
    let primary = PrimaryKey { partition: KeyValue::S(key.to_string()), sort: None };
    let version = Version { stamp, context, body, origins: Origins::PLAIN };
    Row { key: ItemKey { table, primary }, version }
}

/// A frame of the peer, `(after, through]` of a state up to `end`, and what that rests on.
fn frame(
    region: &mut Region,
    peer: u8,
    (after, through, end): (u64, u64, u64),
    rows: Vec<Row>,
    rests_on: &[(u8, u64)],
) {
    let reading = |ms: u64| if ms == 0 { Hlc::ZERO } else { reading(ms) };
    let applied = rests_on.iter().map(|&(of, ms)| (life(of), reading(ms))).collect();
    let rows = Rows {
        origin: life(peer),
        after: reading(after),
        through: reading(through),
        end: reading(end),
        rows,
        applied,
        sent_wall_ms: end,
    };
    region.handle(4_000, Event::Received { from: slot(peer), frame: Frame::Rows(rows) });
    region.sync(4_000);
}

fn shown(region: &Region, table: TableId) -> Vec<String> {
    let rows = region.store.rows(table, None, 100).into_iter();
    let key = |key: ItemKey| match key.primary.partition {
        KeyValue::S(text) => text,
        other => panic!("{other:?}"),
    };
    rows.map(|(item, _)| key(item)).collect()
}

fn place(region: &Region, peer: u8) -> Hlc {
    region.node.progress().applied.get(&life(peer)).copied().unwrap_or_default()
}

#[test]
fn rows_are_shown_with_the_last_frame_of_their_state() {
    let (mut region, table) = grouped(1_000_000);
    frame(&mut region, 1, (0, 2_000, 2_002), vec![row(1, 2_000, table, "a")], &[]);
    assert_eq!((shown(&region, table), place(&region, 1)), (vec![], Hlc::ZERO));
    assert_eq!(region.node.staged().rows, 1);
    // Of an older state: what was overwritten in the newer one is in neither frame.
    frame(&mut region, 1, (0, 2_001, 2_001), vec![row(1, 2_001, table, "b")], &[]);
    assert!(shown(&region, table).is_empty());
    frame(&mut region, 1, (2_000, 2_002, 2_002), vec![row(1, 2_002, table, "c")], &[]);
    assert_eq!(shown(&region, table), ["a", "b", "c"]);
    assert_eq!((place(&region, 1), region.node.staged()), (reading(2_002), Staged::default()));
}

#[test]
fn a_late_frame_makes_no_cut_of_what_came_behind_it() {
    let (mut region, table) = grouped(1_000_000);
    frame(&mut region, 1, (0, 2_000, 2_000), vec![row(1, 2_000, table, "a")], &[]);
    frame(&mut region, 1, (2_000, 2_001, 2_002), vec![row(1, 2_001, table, "b")], &[]);
    frame(&mut region, 1, (0, 2_000, 2_000), vec![row(1, 2_000, table, "a")], &[]);
    assert_eq!(shown(&region, table), ["a"]);
}

#[test]
fn a_cut_waits_for_what_it_rests_on_and_earlier_ones_do_not_wait_for_it() {
    let (mut region, table) = grouped(1_000_000);
    frame(&mut region, 1, (0, 2_000, 2_000), vec![row(1, 2_000, table, "reply")], &[(2, 1_900)]);
    frame(
        &mut region,
        1,
        (2_000, 2_100, 2_100),
        vec![row(1, 2_100, table, "later")],
        &[(2, 2_050)],
    );
    assert!(shown(&region, table).is_empty());
    frame(&mut region, 2, (0, 1_900, 1_900), vec![row(2, 1_900, table, "question")], &[]);
    assert_eq!(shown(&region, table), ["question", "reply"]);
    assert_eq!((place(&region, 1), place(&region, 2)), (reading(2_000), reading(1_900)));
    let acked = region.node.links()[&slot(1)].applied.get(&life(2)).copied();
    assert_eq!(acked, Some(reading(1_900)), "what is not shown acknowledges nothing");
}

/// A peer that merges rows as they come has more in its feed than it tells that it rests on.
#[test]
fn a_cut_waits_for_what_stands_for_rows_of_its_own() {
    let (mut region, table) = grouped(1_000_000);
    let standing = vec![row(2, 2_050, table, "standing"), row(1, 2_000, table, "own")];
    frame(&mut region, 1, (0, 2_000, 2_000), standing, &[(2, 1_900)]);
    frame(&mut region, 2, (0, 1_900, 1_900), vec![row(2, 1_900, table, "earlier")], &[]);
    frame(&mut region, 1, (2_000, 2_010, 2_010), vec![], &[(2, 1_900)]);
    assert_eq!(shown(&region, table), ["earlier"]);
    let later = vec![row(2, 2_050, table, "standing")];
    frame(&mut region, 2, (1_900, 2_050, 2_050), later, &[]);
    assert_eq!(shown(&region, table), ["earlier", "own", "standing"]);
}

#[test]
fn cuts_that_rest_on_each_other_are_shown_together() {
    let (mut region, table) = grouped(1_000_000);
    frame(&mut region, 1, (0, 2_000, 2_000), vec![row(1, 2_000, table, "a")], &[(2, 2_000)]);
    assert!(shown(&region, table).is_empty());
    let rests_on = [(1, 2_000), (0, 9_000)];
    frame(&mut region, 2, (0, 2_000, 2_000), vec![row(2, 2_000, table, "b")], &rests_on);
    assert_eq!(shown(&region, table), ["a", "b"], "own writes are here");
}

#[test]
fn a_region_that_is_far_behind_does_not_serve_until_it_has_caught_up() {
    let (mut region, table) = grouped(400);
    let me = slot(0);
    let serves = |region: &Region| {
        let catalog = region.node.progress().catalog;
        catalog.get(table).is_some_and(|entry| catalog.is_serving(entry, me))
    };
    assert!(serves(&region));
    let rows = vec![row(1, 2_000, table, "a"), row(1, 2_001, table, "b")];
    frame(&mut region, 1, (0, 2_001, 2_002), rows, &[]);
    assert!(!serves(&region) && shown(&region, table).is_empty(), "nobody reads from here on");
    let behind = |trace: &Trace| *trace == Trace::ReplicaBehind(table);
    assert_eq!(region.traces.iter().filter(|trace| behind(trace)).count(), 1);
    let pass = |region: &mut Region, from_ms: u64| {
        for ms in (from_ms..from_ms + 500).step_by(50) {
            region.handle(ms, Event::Timer);
            region.sync(ms);
        }
    };
    pass(&mut region, 4_000);
    assert_eq!((shown(&region, table).len(), region.node.staged().rows), (2, 0));
    let catalog = region.node.progress().catalog;
    let status = catalog.status(table, me).map(|status| status.state.clone());
    assert_eq!(status, Some(ReplicaState::Behind));
    let last = vec![row(1, 2_002, table, "c")];
    frame(&mut region, 1, (2_001, 2_002, 2_002), last, &[(2, 1_900)]);
    pass(&mut region, 5_000);
    assert!(!serves(&region), "it rests on what is not here");
    frame(&mut region, 2, (0, 1_900, 1_900), vec![], &[]);
    pass(&mut region, 6_000);
    assert!(serves(&region));
    assert_eq!(shown(&region, table), ["a", "b", "c"]);
}

#[test]
fn a_table_joins_a_group_only_while_nobody_else_holds_it() {
    let mut region = Region::new(0);
    region.create(1_000);
    let joins = |region: &mut Region, ms: u64, group: Option<&str>| {
        let tags = [(GROUP.to_string(), group.map(ToString::to_string))].into();
        let update = TableUpdate { name: "t".to_string(), tags, ..Default::default() };
        let change = Box::new(Change::Update(update));
        region.handle(ms, Event::Define { request: RequestId(0), change });
        region.sync(ms);
        region.replies.pop().expect("answered")
    };
    assert!(matches!(joins(&mut region, 1_001, Some("g")), Outcome::Defined(_)));
    assert!(matches!(joins(&mut region, 1_002, Some("")), Outcome::Denied(_)));
    assert!(matches!(joins(&mut region, 1_003, None), Outcome::Defined(_)));
    region.replicate_to(1_004, 1);
    let denied = joins(&mut region, 1_005, Some("g"));
    assert!(matches!(denied, Outcome::Denied(DefineRefusal::Setting(_))), "{denied:?}");
}
