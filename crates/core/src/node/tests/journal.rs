//! Records of what readers see change, streams that begin and end, and what goes for its age.

use std::string::String;

use super::*;
use crate::catalog::{StreamView, TableEntry};
use crate::journal::{Keep, moment_of};

/// What the records of a table say of the one item: sequences' moments, values before and after.
fn told(region: &Region, table: TableId) -> Vec<(u64, Option<String>, Option<String>)> {
    let value = |image: &Option<crate::item::Attributes>| {
        let value = image.as_ref()?.get("v")?.clone();
        let AttributeValue::S(text) = value else { panic!("{value:?}") };
        Some(text)
    };
    let records = region.store.journal.values().filter(|record| record.key.table == table);
    let told = |it: &Record| (moment_of(it.sequence), value(&it.before), value(&it.after));
    records.map(told).collect()
}

fn text(value: &str) -> Option<String> {
    Some(value.to_string())
}

fn change(region: &mut Region, ms: u64, update: TableUpdate) -> TableEntry {
    let update = TableUpdate { name: "t".to_string(), ..update };
    let change = Box::new(Change::Update(update));
    region.handle(ms, Event::Define { request: RequestId(0), change });
    region.sync(ms);
    match region.replies.pop() {
        Some(Outcome::Defined(entry)) => *entry,
        other => panic!("expected a table, got {other:?}"),
    }
}

fn stream(view: Option<StreamView>) -> TableUpdate {
    TableUpdate { stream: Some(view), ..TableUpdate::default() }
}

#[test]
fn both_regions_tell_a_write_each_in_its_own_journal() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[0].put(5_000, table, "a");
    regions[0].sync(5_000);
    exchange(5_010, &mut regions);
    regions[1].put(9_000, table, "b");
    regions[1].put(9_000, table, "b");
    regions[1].sync(9_000);
    exchange(9_010, &mut regions);
    for (at, region) in regions.iter().enumerate() {
        let told = told(region, table);
        let values: Vec<_> = told.iter().map(|(_, was, is)| (was.clone(), is.clone())).collect();
        let wanted = [(None, text("a")), (text("a"), text("b"))];
        assert_eq!(values, wanted, "region {at}: the second put of the same changed nothing");
    }
    let writers = regions.each_ref().map(|region| {
        let records = region.store.journal.values();
        records.map(|record| record.stamp.origin.slot()).collect::<Vec<_>>()
    });
    assert!(writers.iter().all(|of| *of == [slot(0), slot(1)]), "{writers:?}");
    assert_eq!(told(&regions[0], table)[0].0, 5_000);
}

#[test]
fn a_stream_that_is_enabled_again_is_another_one() {
    let mut region = Region::new(0);
    let table = region.create(1_000);
    region.put(1_001, table, "unseen");
    let first = change(&mut region, 2_000, stream(Some(StreamView::NewImage)));
    assert_eq!(first.streams(2_000).len(), 1);
    region.put(2_001, table, "a");
    let ended = change(&mut region, 3_000, stream(None));
    region.put(3_001, table, "unseen");
    let again = change(&mut region, 3_000, stream(Some(StreamView::KeysOnly)));
    region.put(3_002, table, "b");
    region.sync(3_002);
    assert_eq!((ended.streams(3_000).len(), ended.open_stream()), (1, None));
    let streams = again.streams(3_000);
    let spans: Vec<_> = streams.iter().map(|it| (it.since_ms, it.until_ms)).collect();
    assert_eq!(spans, [(2_000, Some(3_000)), (3_001, None)]);
    assert_eq!(again.streams(3_000 + crate::journal::STREAM_KEPT_MS).len(), 1);
    let records: Vec<_> = region.store.journal.values().map(|record| record.stream_ms).collect();
    assert_eq!(records, [2_000, 3_001]);
}

#[test]
fn a_clock_that_goes_back_does_not_take_sequences_back() {
    let mut region = Region::new(0);
    let table = region.create(1_000);
    change(&mut region, 2_000, stream(Some(StreamView::KeysOnly)));
    for (ms, value) in [(9_000, "a"), (2_500, "b"), (1_000, "c"), (9_001, "d")] {
        region.put(ms, table, value);
    }
    region.sync(9_001);
    let moments: Vec<u64> = told(&region, table).iter().map(|it| it.0).collect();
    assert_eq!(moments, [9_000, 9_000, 9_000, 9_001]);
    assert_eq!(region.store.journal.len(), 4, "no sequence twice");
}

/// Readers take what is before that moment for whole, and go on to what comes after.
#[test]
fn no_record_comes_before_what_readers_were_told_to_be_over() {
    let mut region = Region::new(0);
    let table = region.create(1_000);
    change(&mut region, 2_000, stream(Some(StreamView::KeysOnly)));
    region.put(3_000, table, "a");
    region.handle(9_000, Event::Timer);
    assert_eq!(region.node.journal_ms(), 9_000);
    region.put(4_000, table, "b");
    region.sync(4_000);
    let moments: Vec<u64> = told(&region, table).iter().map(|it| it.0).collect();
    assert_eq!((moments, region.node.journal_ms()), (vec![3_000, 9_000], 9_000));
}

#[test]
fn a_table_with_old_records_at_all_times_leaves_the_others_their_turn() {
    let mut region = Region::new(0);
    region.node.config.journal = Keep { streamed_ms: 10, history_ms: 10 };
    let view = Some(StreamView::KeysOnly);
    let busy = region.create_as(1_000, "busy", view);
    let quiet = region.create_as(1_001, "quiet", view);
    region.put(2_000, quiet, "old");
    // Longer than a round's pause; each look finds records of the busy table that have grown old.
    for ms in (2_000..70_000).step_by(20) {
        region.put(ms, busy, &ms.to_string());
        region.handle(ms, Event::Timer);
        region.sync(ms);
    }
    assert_eq!(told(&region, quiet), []);
}

#[test]
fn old_records_go_and_history_stays_longer() {
    let mut region = Region::new(0);
    region.node.config.journal = Keep { streamed_ms: 10_000, history_ms: 50_000 };
    let table = region.create(1_000);
    change(&mut region, 1_001, stream(Some(StreamView::KeysOnly)));
    let mut value = 0;
    let mut count_at = |region: &mut Region, ms: u64| {
        value += 1;
        region.put(ms, table, &value.to_string());
        // A round is a minute apart from the one before: its steps find what is old.
        for step in 0..300 {
            region.handle(ms + step, Event::Timer);
            region.sync(ms + step);
        }
        region.store.journal.len()
    };
    assert_eq!(count_at(&mut region, 2_000), 1);
    assert_eq!(count_at(&mut region, 11_000), 2);
    assert_eq!(count_at(&mut region, 100_000), 1, "those of 2 s and 11 s are gone");
    let update = TableUpdate { history: Some(true), ..TableUpdate::default() };
    let entry = change(&mut region, 100_500, update);
    assert_eq!(entry.history_since_ms(), Some(100_500));
    assert_eq!(count_at(&mut region, 145_000), 2);
    assert_eq!(count_at(&mut region, 210_000), 1);
}
