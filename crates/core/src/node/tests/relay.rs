//! One region is gone; what another has of its rows comes by way of that one.

use super::*;
use crate::replica::{Distrust, Row};

/// Carries frames and requests between the regions at `ends` until nothing more happens.
fn carry(ms: u64, regions: &mut [Region; 3], ends: [u8; 2]) {
    let mut feeds = ends.map(|feeder| {
        let peer = ends[usize::from(feeder == ends[0])];
        Feed::new(regions[usize::from(feeder)].node.me, slot(peer))
    });
    for [here, there] in [ends, [ends[1], ends[0]]] {
        regions[usize::from(here)].sent.clear();
        regions[usize::from(here)].handle(ms, Event::Linked { peer: slot(there) });
    }
    for ms in ms..ms + 300 {
        for (nth, feeder) in ends.into_iter().enumerate() {
            let subscriber = usize::from(ends[1 - nth]);
            let feed = &mut feeds[nth];
            regions[subscriber].sent.drain(..).for_each(|request| feed.receive(request));
            let feeding = &regions[usize::from(feeder)];
            if let Some(frame) = feed.next(at(ms), &feeding.node.progress(), &feeding.store) {
                regions[subscriber].handle(ms, Event::Received { from: slot(feeder), frame });
            }
            regions[subscriber].handle(ms, Event::Timer);
            regions[subscriber].sync(ms);
        }
    }
    for [here, there] in [ends, [ends[1], ends[0]]] {
        regions[usize::from(here)].handle(ms + 300, Event::Unlinked { peer: slot(there) });
    }
}

/// Three regions with one table, all of them whole.
fn three() -> ([Region; 3], TableId) {
    let mut regions = [Region::new(0), Region::new(1), Region::new(2)];
    let table = regions[0].create(1_000);
    assert!(matches!(regions[0].update(1_001, &[1, 2], &[]), Outcome::Defined(_)));
    for round in 0..3 {
        for (nth, ends) in [[0, 1], [1, 2], [0, 2]].into_iter().enumerate() {
            carry(1_002 + 1_000 * round + 300 * nth as u64, &mut regions, ends);
        }
    }
    for region in &regions[1..] {
        assert!(region.traces.contains(&Trace::ReplicaActive(table)));
    }
    (regions, table)
}

#[test]
fn rows_of_a_dead_region_come_from_one_that_has_them() {
    let (mut regions, table) = three();
    regions[0].put(5_000, table, "last words");
    regions[0].sync(5_000);
    carry(5_001, &mut regions, [0, 1]);
    // The second region never speaks to the first again.
    carry(7_000, &mut regions, [1, 2]);
    assert_eq!(regions[2].read(table), text("last words"));
    let (dead, living) = (regions[0].node.me, regions[1].node.progress().applied);
    assert_eq!(regions[2].node.progress().applied[&dead], living[&dead]);
}

#[test]
fn what_was_not_asked_for_is_not_taken() {
    let (mut regions, _) = three();
    let (origin, before) = (regions[0].node.me, regions[2].node.progress().applied);
    let frame = Frame::Relayed(crate::replica::Relayed {
        origin,
        after: Hlc::ZERO,
        through: Hlc::from_parts(9_000, 0),
        rows: vec![],
        covers: regions[2].node.catalog.tables().map(|entry| entry.id).collect(),
        needs: vec![],
        settled: true,
        ask: 0,
        revision: None,
    });
    regions[2].traces.clear();
    regions[2].handle(9_001, Event::Received { from: slot(1), frame });
    let reason = Distrust::ForeignOrigin(origin);
    assert_eq!(regions[2].traces, [Trace::Distrusted { peer: slot(1), reason }]);
    assert_eq!(regions[2].node.progress().applied, before);
}

#[test]
fn a_relay_that_lacks_a_table_brings_its_rows_and_no_place() {
    let mut regions = [Region::new(0), Region::new(1), Region::new(2)];
    let table = regions[0].create(1_000);
    regions[0].replicate_to(1_001, 2);
    carry(1_002, &mut regions, [0, 2]);
    carry(1_302, &mut regions, [0, 2]);
    let (dead, before) = (regions[0].node.me, regions[2].node.progress().applied);
    regions[0].put(2_000, table, "for the second alone");
    regions[0].sync(2_000);
    carry(2_001, &mut regions, [0, 1]);
    carry(4_000, &mut regions, [1, 2]);
    assert!(regions[1].node.progress().applied[&dead] > before[&dead]);
    assert_eq!(regions[2].node.progress().applied[&dead], before[&dead]);
    // So the region itself, when it is back, sends what the other did not have.
    carry(5_000, &mut regions, [0, 2]);
    assert_eq!(regions[2].read(table), text("for the second alone"));
}

#[test]
fn frames_of_an_answer_that_is_not_settled_follow_on_each_other() {
    let (mut regions, table) = three();
    regions[0].put(5_000, table, "last words");
    regions[0].sync(5_000);
    let (key, stored) = regions[0].store.rows(table, None, 1).remove(0);
    let row = Row { key, version: stored.greatest().clone() };
    let (dead, last) = (regions[0].node.me, row.hlc());
    let before = regions[2].node.progress().applied;
    regions[2].handle(20_000, Event::Linked { peer: slot(1) });
    regions[2].handle(20_020, Event::Timer);
    let asked = regions[2].sent.iter().find_map(|request| match *request {
        Request::Relay { origin, after, ask } if origin == dead => Some((after, ask)),
        _ => None,
    });
    let (after, ask) = asked.expect("the second is asked for what it has of the dead region");
    // The second was copying when the first died: it has rows behind its place.
    let frame = |(after, through), rows| {
        let (covers, needs) = (vec![], vec![]);
        let (settled, revision) = (false, None);
        let origin = dead;
        Frame::Relayed(crate::replica::Relayed {
            origin,
            after,
            through,
            rows,
            covers,
            needs,
            settled,
            ask,
            revision,
        })
    };
    let first = frame((after, last.before()), vec![]);
    regions[2].handle(20_021, Event::Received { from: slot(1), frame: first });
    let second = frame((last.before(), last), vec![row]);
    regions[2].handle(20_022, Event::Received { from: slot(1), frame: second });
    regions[2].sync(20_023);
    assert_eq!(regions[2].read(table), text("last words"));
    assert_eq!(regions[2].node.progress().applied[&dead], before[&dead]);
}
