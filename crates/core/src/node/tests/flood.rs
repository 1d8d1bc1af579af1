//! Floods of conflicts: every pair is named, whatever the ledger's retention takes meanwhile.

use super::*;
use crate::ledger;
use crate::node::Retention;

/// The losers that the ledger of a region names.
fn losers(region: &Region) -> BTreeSet<Stamp> {
    let rows = region.store.rows(TableId::LEDGER, None, usize::MAX).into_iter();
    let pairs = rows.flat_map(|(key, stored)| {
        let entry = stored.greatest().body.attributes().cloned().unwrap_or_default();
        ledger::pairs(&key.primary, &entry)
    });
    pairs.map(|(loser, _)| loser).collect()
}

/// Minutes of which the ledger of a region has shared rows, by their beginning, ms.
fn shared_of(region: &Region) -> Vec<u64> {
    let rows = region.store.rows(TableId::LEDGER, None, usize::MAX).into_iter();
    let shared = rows.filter(|(key, _)| ledger::is_shared(&key.primary));
    shared.map(|(key, _)| ledger::wall_ms(&key.primary)).collect()
}

/// Both write the item, and the second one's write loses: it hears of the other's first, so that it
/// alone records that.
fn collide(ms: u64, regions: &mut [Region; 2], table: TableId) {
    regions[1].put(ms, table, &ms.to_string());
    regions[0].put(ms + 1, table, &(ms + 1).to_string());
    regions.iter_mut().for_each(|region| region.sync(ms + 1));
    exchange(ms + 10, regions);
}

fn look(region: &mut Region, from_ms: u64) {
    for ms in (from_ms..from_ms + 2_000).step_by(20) {
        region.handle(ms, Event::Timer);
        region.sync(ms);
    }
}

/// What is begun anew in place of a row that went here takes its place in all other regions. A
/// shared row is of the beginning of its minute, so that it is the oldest of that.
#[test]
fn a_shared_row_goes_only_when_nothing_is_added_any_more() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[1].node.config.ledger_per_minute = 1;
    for ms in [120_100, 120_400, 120_700, 121_000] {
        collide(ms, &mut regions, table);
    }
    assert_eq!(regions.each_ref().map(|region| losers(region).len()), [4, 4]);
    regions[1].node.config.retention = Retention { age_ms: u64::MAX, bytes: 1 };
    look(&mut regions[1], 122_000);
    collide(125_000, &mut regions, table);
    assert_eq!(losers(&regions[0]).len(), 5, "also where they are kept");
    assert_eq!(shared_of(&regions[1]), [120_000]);
    collide(182_000, &mut regions, table);
    look(&mut regions[1], 183_000);
    assert_eq!((shared_of(&regions[1]), losers(&regions[0]).len()), (vec![], 6));
}

/// Of the minute that a clock went back to there may have been one.
#[test]
fn a_shared_row_is_not_begun_in_a_minute_that_is_over() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[1].node.config.ledger_per_minute = 0;
    regions[1].node.last = Hlc::from_parts(182_000, 0);
    regions[1].put(125_000, table, "ahead of its clock");
    regions[0].put(125_001, table, "loses");
    regions.iter_mut().for_each(|region| region.sync(125_001));
    exchange(125_010, &mut regions);
    assert_eq!(shared_of(&regions[1]), [180_000]);
}
