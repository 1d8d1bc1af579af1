//! Deletes go when everybody has them, and not before; what was forgotten is still known.

use super::*;
use crate::node::Wait;

impl Region {
    fn delete(&mut self, ms: u64, table: TableId) {
        let key = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
        let op = Box::new(WriteOp::new(key, Action::Delete));
        self.handle(ms, Event::Write { request: RequestId(1), table, op });
        self.sync(ms);
    }

    /// Time passes with nobody else there.
    fn wait(&mut self, ms: u64) {
        for ms in (ms..ms + 2_000).step_by(50) {
            self.handle(ms, Event::Timer);
            self.sync(ms);
        }
    }

    fn stored(&self, table: TableId) -> Option<Stored> {
        let primary = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
        self.store.item(&ItemKey { table, primary })
    }
}

fn written(ms: u64, regions: &mut [Region; 2], table: TableId) {
    regions[0].put(ms, table, "a");
    regions[0].sync(ms);
    exchange(ms + 1, regions);
}

#[test]
fn a_delete_is_collected_when_the_other_region_has_it_and_not_before() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    written(2_000, &mut regions, table);
    regions[0].delete(2_500, table);
    regions[0].wait(2_501);
    assert!(regions[0].stored(table).is_some());
    let oldest = regions[0].stored(table).expect("a tombstone").greatest().stamp;
    let waits = regions[0].node.collection().waits.clone();
    assert_eq!(waits, [(table, Wait { oldest, by: slot(1) })].into());
    exchange(4_600, &mut regions);
    exchange(4_900, &mut regions);
    for region in &mut regions {
        assert_eq!(region.stored(table), None);
        assert!(region.store.tombstones.is_empty() && !region.store.changelog.is_empty());
        assert_eq!(region.node.collection().tombstones, 1);
    }
    regions[0].wait(5_200);
    assert!(regions[0].node.collection().waits.is_empty());
}

#[test]
fn a_write_after_the_collection_has_seen_the_delete_that_another_region_keeps() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    written(2_000, &mut regions, table);
    // The home region does not collect: it holds the tombstone all the time.
    regions[0].node.config.collect = None;
    regions[0].delete(2_500, table);
    exchange(2_501, &mut regions);
    exchange(2_800, &mut regions);
    assert!(regions[0].stored(table).is_some());
    assert_eq!(regions[1].stored(table), None);
    // A clock that is behind the delete: only what was collected makes the stamp exceed it.
    regions[1].put(2_400, table, "again");
    regions[1].sync(2_400);
    exchange(3_100, &mut regions);
    assert_eq!(regions[0].read(table), text("again"));
    assert_eq!(regions[0].ledger() + regions[1].ledger(), 0);
}

#[test]
fn nothing_is_collected_while_a_replica_is_copied() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    written(2_000, &mut regions, table);
    regions[0].replicate_to(2_400, 2);
    regions[0].delete(2_500, table);
    exchange(2_501, &mut regions);
    exchange(2_800, &mut regions);
    assert!(regions.iter().all(|region| region.stored(table).is_some()));
    regions[0].wait(3_100);
    let waits = &regions[0].node.collection().waits;
    assert_eq!(waits.get(&table).map(|wait| wait.by), Some(slot(2)));
}

#[test]
fn a_new_replica_knows_what_its_home_has_forgotten() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    written(2_000, &mut regions, table);
    regions[1].node.config.collect = None;
    regions[0].delete(2_500, table);
    exchange(2_501, &mut regions);
    exchange(2_800, &mut regions);
    assert_eq!(regions[0].stored(table), None);
    let tombstone = regions[1].stored(table).expect("kept there").greatest().stamp;
    regions[0].replicate_to(3_100, 2);
    let [home, _] = regions;
    let mut pair = [home, Region::new(2)];
    pair[1].handle(3_101, Event::Linked { peer: slot(1) });
    pair[1].handle(3_101, Event::Unlinked { peer: slot(1) });
    exchange_as(3_102, &mut pair, [0, 2]);
    pair[1].put(3_400, table, "new");
    let stored = pair[1].stored(table).expect("written");
    assert!(stored.seen.covers(tombstone), "{:?}", stored.seen);
}

#[test]
fn what_was_collected_survives_a_restart_and_goes_with_the_table() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    written(2_000, &mut regions, table);
    regions[0].delete(2_500, table);
    exchange(2_501, &mut regions);
    exchange(2_800, &mut regions);
    let kept = regions[1].store.collected.clone();
    assert_eq!(kept.keys().collect::<Vec<_>>(), [&table]);
    let durable = Durable {
        applied: regions[1].node.places.cuts().clone(),
        collected: kept.clone(),
        ..durable(1, regions[1].node.catalog.clone())
    };
    let node = Node::new(Config::new(slot(1), 500), durable);
    assert_eq!(node.seen_of_collected(table), &kept[&table]);
    assert_eq!(*node.progress().collected, kept);
    assert!(matches!(regions[0].update(3_100, &[], &[1]), Outcome::Defined(_)));
    exchange(3_101, &mut regions);
    exchange(3_400, &mut regions);
    assert!(regions[1].traces.contains(&Trace::ReplicaRemoved(table)));
    assert!(regions[1].store.collected.is_empty());
}

#[test]
fn a_cold_item_keeps_its_stamp_alone() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    written(2_000, &mut regions, table);
    regions[1].put(2_500, table, "b");
    regions[1].sync(2_500);
    exchange(2_501, &mut regions);
    exchange(2_800, &mut regions);
    let seen = |region: &Region| region.stored(table).expect("there").seen.iter().len();
    assert_eq!(regions.iter().map(seen).collect::<Vec<_>>(), [2, 2]);
    let cold = 2_500 + crate::limits::COLD_AFTER_MS;
    exchange(cold + 100, &mut regions);
    exchange(cold + 400, &mut regions);
    assert_eq!(regions.iter().map(seen).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(regions[0].read(table), text("b"));
    // The index is as it was: a feed finds the version where it was.
    regions[0].put(cold + 700, table, "c");
    regions[0].sync(cold + 700);
    exchange(cold + 701, &mut regions);
    assert_eq!(regions[1].read(table), text("c"));
    assert_eq!(regions[0].ledger() + regions[1].ledger(), 0);
}
