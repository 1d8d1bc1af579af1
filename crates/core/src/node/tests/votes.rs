//! A region votes on nothing before it knows whether its log, and a vote with it, was lost.

use super::*;
use crate::membership::{self, Ballot, Change, Voice, What};
use crate::merge::{Body, Version};
use crate::replica::Row;

/// One of three founders whose disk is empty.
fn blank(index: u8) -> Region {
    let founders = [0, 1, 2].map(slot).to_vec();
    let config = Config { founders, ..Config::new(slot(index), 500) };
    let node = Node::new(config, durable(1, Catalog::default()));
    Region { node, ..Region::new(index) }
}

/// Hears that the first region asks for the third to be given up, in a frame behind which that has
/// more to say.
fn hear_proposal(region: &mut Region) {
    let change = Change { slot: slot(2), what: What::Evict { automatic: false } };
    let ballot = Ballot { round: 1, slot: slot(0) };
    let membership = region.node.catalog.membership().clone();
    let proposed = Some((ballot, Some(change)));
    let voice = Voice { membership, promised: Some(ballot), proposed, ..Voice::default() };
    let stamp = Stamp { hlc: Hlc::from_parts(1_000, 0), origin: Origin::new(slot(0), 1) };
    let version = Version::first(stamp, Body::live(voice.to_attributes()));
    let rows = vec![Row { key: membership::key(slot(0)), version }];
    hear(region, (Hlc::ZERO, stamp.hlc), rows, vec![]);
}

/// A frame of the first region, whose state ends a while later.
fn hear(
    region: &mut Region,
    (after, through): (Hlc, Hlc),
    rows: Vec<Row>,
    applied: Vec<(Origin, Hlc)>,
) {
    hear_from(region, 0, (after, through), rows, applied);
}

/// The same of the region at `peer`.
fn hear_from(
    region: &mut Region,
    peer: u8,
    (after, through): (Hlc, Hlc),
    rows: Vec<Row>,
    applied: Vec<(Origin, Hlc)>,
) {
    let (origin, end) = (Origin::new(slot(peer), 1), Hlc::from_parts(1_100, 0));
    let frame = Rows { origin, after, through, end, rows, applied, sent_wall_ms: 1_100 };
    region.handle(1_200, Event::Received { from: slot(peer), frame: Frame::Rows(frame) });
    region.sync(1_200);
    region.handle(1_300, Event::Timer);
    region.sync(1_300);
}

/// The rest of what the first region has to say, and what it has applied.
fn hear_all(region: &mut Region, applied: Vec<(Origin, Hlc)>) {
    hear(region, (Hlc::from_parts(1_000, 0), Hlc::from_parts(1_100, 0)), vec![], applied);
}

fn accepted(region: &Region) -> bool {
    let voice = region.node.catalog.voices().get(&slot(1));
    voice.is_some_and(|voice| voice.accepted.is_some())
}

#[test]
fn a_vote_waits_for_what_the_proposer_has_of_the_log() {
    let mut region = blank(1);
    hear_proposal(&mut region);
    assert!(!accepted(&region), "the proposer has not said what it has of the region's log");
    hear_all(&mut region, vec![]);
    assert!(accepted(&region));
}

#[test]
fn a_region_that_has_lost_its_log_does_not_vote() {
    let mut region = blank(1);
    hear_proposal(&mut region);
    hear_all(&mut region, vec![(Origin::new(slot(1), 3), Hlc::from_parts(900, 0))]);
    assert!(region.node.has_lost_log());
    assert!(!accepted(&region));
}

/// The proposer is out of reach: what it asks for came by others, or before it was cut off.
#[test]
fn a_vote_on_what_one_out_of_reach_asks_waits_for_all_that_are_reached() {
    let mut region = blank(1);
    region.handle(900, Event::Linked { peer: slot(2) });
    hear_proposal(&mut region);
    assert!(!accepted(&region), "whom it reaches has not said what it has of the region's log");
    hear_from(&mut region, 2, (Hlc::ZERO, Hlc::from_parts(1_100, 0)), vec![], vec![]);
    assert!(accepted(&region));
}
