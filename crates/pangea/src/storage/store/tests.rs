//! The store against the types that it keeps.

use std::sync::Arc;

use pangea_codec::disk::key as disk_key;
use pangea_core::expr::{KeyRange, SortRange};
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::ledger;
use pangea_core::merge::{Body, Stored, Version};
use pangea_core::replica::{Entries, Snapshot};
use pangea_core::time::Stamp;

use super::*;
use crate::storage::GroupView;
use crate::storage::memory::Memory;
use crate::storage::tests::Scratch;

const TABLE: TableId = TableId(Stamp { hlc: Hlc::from_bits(77), origin: Origin::from_bits(1) });

fn origin() -> Origin {
    Origin::new(RegionSlot::new(0).expect("small slot"), 1)
}

fn identity() -> Identity {
    Identity { cluster: "c1".to_owned(), region: "eu".to_owned(), slot: 0, incarnation: 1 }
}

fn key(partition: &str, sort: i64) -> ItemKey {
    let partition = KeyValue::S(partition.to_owned());
    let sort = Some(KeyValue::N(Number::from(sort)));
    ItemKey { table: TABLE, primary: PrimaryKey { partition, sort } }
}

fn stamp(ms: u64) -> Stamp {
    Stamp { hlc: Hlc::from_parts(ms, 0), origin: origin() }
}

fn stored(ms: u64) -> Stored {
    let body = Attributes::from([("v".to_owned(), AttributeValue::S(ms.to_string()))]);
    Stored::single(Version::first(stamp(ms), Body::live(body)))
}

/// Of an own write over an own version, if there was one.
fn own_entries(ms: u64, replaced: Option<u64>) -> Entries {
    let own_before = replaced.map_or(Hlc::ZERO, |ms| stamp(ms).hlc);
    let (added, replaced) = (Some(stamp(ms)), replaced.map(stamp).into_iter().collect());
    Entries { me: origin(), own_before, added, replaced }
}

fn batch(key: &ItemKey, ms: u64, replaced: Option<u64>) -> Batch {
    let mut batch = Batch { last: Some(stamp(ms).hlc), ..Batch::default() };
    batch.put(key.clone(), stored(ms), own_entries(ms, replaced));
    batch
}

fn store() -> (Memory, Store) {
    let engine = Memory::new();
    let (store, _) = Store::with_engine(engine.clone(), identity()).expect("an empty engine");
    (engine, store)
}

fn all_changes(view: &impl Snapshot) -> Vec<u64> {
    let changes = view.changes(origin(), Hlc::ZERO, Hlc::MAX, 9);
    changes.iter().map(|entry| entry.hlc.wall_ms()).collect()
}

#[test]
fn what_was_written_is_recovered() {
    let scratch = Scratch::new();
    let (store, durable) =
        Store::open(&scratch.0, EngineOptions::default(), identity()).expect("a new directory");
    assert_eq!((durable.incarnation, durable.last), (1, Hlc::ZERO));
    let other = Origin::from_bits(5000);
    let mut second = batch(&key("p", 1), 20, Some(10));
    second.applied.insert(other, Hlc::from_bits(9));
    store.write(vec![batch(&key("p", 1), 10, None), second]).expect("room");
    drop(store);
    let later = Identity { incarnation: 7, ..identity() };
    let (store, durable) =
        Store::open(&scratch.0, EngineOptions::default(), later).expect("its own directory");
    assert_eq!((durable.incarnation, durable.last), (1, stamp(20).hlc));
    assert_eq!(durable.applied, [(other, Hlc::from_bits(9))].into());
    let view = store.snapshot().expect("readable");
    assert_eq!(view.item(&key("p", 1)), Some(stored(20)));
    assert_eq!(all_changes(&view), [20]);
    assert_eq!(view.count_changes(origin(), Hlc::ZERO, 9).expect("readable"), 1);
    view.check().expect("every row is sound");
}

#[test]
fn a_directory_of_another_region_or_cluster_is_refused_by_both_names() {
    let (engine, _store) = store();
    for (cluster, region, slot) in [("c2", "eu", 0), ("c1", "us", 0), ("c1", "eu", 1)] {
        let (cluster, region) = (cluster.to_owned(), region.to_owned());
        let wanted = Identity { cluster, region, slot, incarnation: 1 };
        let error = Store::with_engine(engine.clone(), wanted.clone()).expect_err("not its own");
        let text = error.to_string();
        for name in [&wanted.cluster, &wanted.region, "c1", "eu"] {
            assert!(text.contains(&format!("`{name}`")), "{text}");
        }
    }
}

#[test]
fn what_a_node_begins_with_is_believed_or_refused() {
    let collected = meta::collected(TABLE);
    for name in [meta::IDENTITY, meta::LAST, &meta::applied(origin()), &collected] {
        let (engine, store) = store();
        let mut written = batch(&key("p", 1), 10, None);
        written.applied.insert(origin(), stamp(10).hlc);
        written.collected.insert(TABLE, stored(10).seen);
        store.write(vec![written]).expect("room");
        assert!(engine.corrupt(Space::Meta, name, |value| value[7] ^= 1));
        let error = Store::with_engine(engine, identity()).expect_err("a bit is wrong");
        assert!(matches!(error, OpenError::Fault(Fault::Corrupt { .. })), "{error}");
    }
}

fn deleted(ms: u64) -> Stored {
    Stored::single(Version::first(stamp(ms), Body::Tombstone))
}

fn delete(key: &ItemKey, ms: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(key.clone(), deleted(ms), own_entries(ms, None));
    batch
}

#[test]
fn tombstones_are_found_by_table_and_stamp_until_they_are_gone() {
    let (_, store) = store();
    let keys = [1, 2, 3].map(|sort| key("p", sort));
    let mut batches = vec![batch(&key("live", 1), 5, None)];
    batches.extend((10..).zip(&keys).map(|(ms, key)| delete(key, ms)));
    store.write(batches).expect("room");
    let view = store.snapshot().expect("readable");
    let entries = |view: &dyn Fn(Option<Stamp>, usize) -> Vec<(Stamp, ItemKey)>, after, limit| {
        let entries = view(after, limit).into_iter();
        entries.map(|(stamp, key)| (stamp.hlc.wall_ms(), key)).collect::<Vec<_>>()
    };
    let durable = |after, limit| view.tombstones(TABLE, after, limit);
    let expected = |at: usize| (10 + at as u64, keys[at].clone());
    assert_eq!(entries(&durable, None, 9), [expected(0), expected(1), expected(2)]);
    assert_eq!(entries(&durable, Some(stamp(10)), 1), [expected(1)]);
    let last = Stamp { hlc: Hlc::MAX, ..stamp(0) };
    assert_eq!(entries(&durable, Some(last), 9), []);
    assert_eq!(view.tombstones(TableId::LEDGER, None, 9), []);
    assert_eq!(view.count_tombstones(TABLE, 2).expect("readable"), 2);
    assert_eq!(view.first_change(origin(), stamp(5).hlc).expect("readable"), Some(stamp(10).hlc));
    let mut group = GroupView::new(store.snapshot().expect("readable"));
    let mut written = Batch::default();
    written.unbury(&keys[0], deleted(10).buried());
    written.put(keys[0].clone(), stored(20), own_entries(20, Some(10)));
    written.remove(keys[1].clone(), &deleted(11), origin());
    written.collected.insert(TABLE, deleted(11).seen);
    group.push(written);
    group.push(delete(&key("q", 1), 7));
    let grouped = |after, limit| group.tombstones(TABLE, after, limit);
    assert_eq!(entries(&grouped, None, 1), [(7, key("q", 1))]);
    assert_eq!(entries(&grouped, None, 9), [(7, key("q", 1)), expected(2)]);
    assert_eq!(entries(&grouped, Some(stamp(7)), 1), [expected(2)]);
    let before = store.snapshot().expect("readable");
    store.write_group(group).expect("room");
    let view = store.snapshot().expect("readable");
    let durable = |after, limit| view.tombstones(TABLE, after, limit);
    assert_eq!(entries(&durable, None, 9), [(7, key("q", 1)), expected(2)]);
    view.check().expect("every entry names a row");
    let collected = |view: &StoreView| view.collected(TABLE).expect("readable");
    assert_eq!(collected(&view), deleted(11).seen, "with the row that went");
    assert!(
        collected(&before).is_empty() && before.get_stored(&keys[1]).is_ok_and(|it| it.is_some())
    );
    let recovered = store.recover().expect("readable").collected;
    assert_eq!(recovered, [(TABLE, deleted(11).seen)].into());
    let dropped = Batch { collected: [(TABLE, Default::default())].into(), ..Batch::default() };
    store.write(vec![dropped]).expect("room");
    assert!(store.recover().expect("readable").collected.is_empty());
}

#[test]
fn a_group_sees_its_own_batches_and_a_snapshot_does_not() {
    let (_, store) = store();
    let keys = [1, 2, 3].map(|sort| key("p", sort));
    store.write(vec![batch(&keys[0], 10, None), batch(&keys[1], 20, None)]).expect("room");
    let mut group = GroupView::new(store.snapshot().expect("readable"));
    group.push(batch(&keys[0], 30, Some(10)));
    group.push(batch(&keys[2], 40, None));
    let mut removal = Batch::default();
    removal.remove(keys[1].clone(), &stored(20), origin());
    group.push(removal);
    assert_eq!(group.item(&keys[0]), Some(stored(30)));
    assert_eq!(group.item(&keys[1]), None);
    let rows: Vec<ItemKey> = group.rows(TABLE, None, 9).into_iter().map(|row| row.0).collect();
    assert_eq!(rows, [keys[0].clone(), keys[2].clone()]);
    assert_eq!(all_changes(&store.snapshot().expect("readable")), [10, 20]);
    group.check().expect("every row is sound");
    store.write_group(group).expect("room");
    let view = store.snapshot().expect("readable");
    assert_eq!(all_changes(&view), [30, 40]);
    assert_eq!(view.rows(TABLE, None, 9).len(), 2);
}

/// The node asks a group where damage is that it is told of by place.
#[test]
fn a_group_names_places_as_the_store_does() {
    let (_, store) = store();
    let group = GroupView::new(store.snapshot().expect("readable"));
    let item = key("p", 1);
    assert_eq!(group.place(&item), disk_key::row(&item));
    assert_eq!(group.bucket(&item), disk_key::bucket_of(&disk_key::row(&item)));
}

#[test]
fn queries_give_ranges_of_a_partition_in_order_without_tombstones() {
    let (_, store) = store();
    let mut deleted = batch(&key("p", 4), 99, None);
    let row = deleted.items.values_mut().next().and_then(Option::as_mut).expect("one row");
    row.versions[0].body = Body::Tombstone;
    let sorts = [-5, -1, 0, 3, 10].into_iter().zip(10..);
    let mut batches: Vec<Batch> =
        sorts.map(|(sort, ms)| batch(&key("p", sort), ms, None)).collect();
    batches.extend([deleted, batch(&key("q", 1), 50, None)]);
    store.write(batches).expect("room");
    let view = store.snapshot().expect("readable");
    let number = |sort: i64| KeyValue::N(Number::from(sort));
    let between = SortRange::Between(number(-1), number(9));
    let after = key("p", 0).primary;
    for (sort, reverse, after, expected) in [
        (SortRange::All, false, None, vec![-5, -1, 0, 3, 10]),
        (SortRange::All, true, None, vec![10, 3, 0, -1, -5]),
        (between.clone(), false, None, vec![-1, 0, 3]),
        (between.clone(), false, Some(&after), vec![3]),
        (between, true, Some(&after), vec![-1]),
        (SortRange::Gt(number(0)), false, None, vec![3, 10]),
    ] {
        let range = KeyRange { partition: KeyValue::S("p".to_owned()), sort };
        let mut found = Vec::new();
        let visited = view.query((TABLE, &Policy::Lww), &range, reverse, after, |key, _, _| {
            found.extend(key.sort.clone());
            ControlFlow::Continue(())
        });
        visited.expect("every row is sound");
        assert_eq!(found, expected.into_iter().map(number).collect::<Vec<_>>(), "{range:?}");
    }
}

#[test]
fn segments_of_a_scan_cover_the_table_once() {
    let (_, store) = store();
    let batches = (0..200u64).map(|n| batch(&key(&format!("p{n}"), 1), n + 1, None)).collect();
    store.write(batches).expect("room");
    let view = store.snapshot().expect("readable");
    for total in [1, 2, 7] {
        let mut found = Vec::new();
        for segment in 0..total {
            let mut after: Option<PrimaryKey> = None;
            loop {
                let before = found.len();
                let segment = Some((segment, total));
                let visited =
                    view.scan((TABLE, &Policy::Lww), segment, after.as_ref(), |key, _, _| {
                        found.push(key.clone());
                        let more = found.len() < before + 10;
                        if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    });
                visited.expect("every row is sound");
                if found.len() == before {
                    break;
                }
                after = found.last().cloned();
            }
        }
        let distinct: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!((found.len(), distinct.len()), (200, 200), "{total} segments");
    }
}

#[test]
fn a_flipped_bit_is_a_fault_that_names_the_row() {
    let (engine, store) = store();
    let (bad, good) = (key("p", 1), key("p", 2));
    store.write(vec![batch(&bad, 10, None), batch(&good, 20, None)]).expect("room");
    let row_key = key::row(&bad);
    assert!(engine.corrupt(Space::Items, &row_key, |row| row[20] ^= 4));
    let bad_place = Place::new(Space::Items, &row_key);
    let names =
        |fault: &Fault| matches!(fault, Fault::Corrupt { place, .. } if *place == bad_place);
    let view = store.snapshot().expect("readable");
    assert!(names(&view.get_item(&bad, &Policy::Lww).expect_err("a bit is wrong")));
    assert!(view.get_item(&good, &Policy::Lww).expect("sound").is_some());
    let visited = view.scan((TABLE, &Policy::Lww), None, None, |_, _, _| ControlFlow::Continue(()));
    assert!(names(&visited.expect_err("never skipped")));
    view.check().expect("whoever read was told");
    let reads: [fn(&GroupView, &ItemKey); 3] = [
        |group, _| drop(group.changes(origin(), Hlc::ZERO, Hlc::MAX, 9)),
        |group, _| drop(group.rows(TABLE, None, 9)),
        |group, key| drop(group.item(key)),
    ];
    for read in reads {
        let group = GroupView::new(store.snapshot().expect("readable"));
        read(&group, &bad);
        assert!(names(&group.check().expect_err("kept for the driver")));
    }
}

#[test]
fn ledger_entries_are_found_by_table() {
    let (_, store) = store();
    let other = TableId(stamp(1));
    for (table, ms) in [(TABLE, 10), (TABLE, 20), (other, 30)] {
        let item = ItemKey { table, ..key("p", 1) };
        let entry = ledger::key(&item, stamp(ms), stamp(ms + 1));
        store.write(vec![batch(&entry, ms, None)]).expect("room");
    }
    let view = store.snapshot().expect("readable");
    let of_table = |key: &PrimaryKey| ledger::table_of(key) == Some(TABLE);
    let first = view.ledger(of_table, None, 1).expect("every row is sound");
    let rest = view.ledger(of_table, Some(&first[0].key), 9).expect("every row is sound");
    assert_eq!((first.len(), rest.len()), (1, 1));
    assert_eq!(view.ledger(|_| true, None, 9).expect("every row is sound").len(), 3);
}

#[test]
fn a_store_on_a_failed_engine_recovers_what_was_acknowledged() {
    let (engine, store) = store();
    store.write(vec![batch(&key("p", 1), 10, None)]).expect("room");
    engine.fail_after(Some(1));
    let fault = store.write(vec![batch(&key("p", 1), 20, Some(10))]).expect_err("injected");
    assert!(!fault.nothing_written() && !fault.is_passing());
    assert_eq!(store.recover().expect("reads go on").last, stamp(10).hlc);
    let fault = store.write(vec![batch(&key("p", 2), 30, None)]).expect_err("refused");
    assert!(fault.nothing_written());
    let (store, _) = Store::with_engine(engine.reopen(), identity()).expect("its own");
    assert!(Arc::new(store).health().is_ok());
}
