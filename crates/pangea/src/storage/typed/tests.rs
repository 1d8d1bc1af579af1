//! The store against the types that it keeps.

use std::ops::ControlFlow;

use pangea_core::catalog::entry_key;
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, Attributes, KeyValue, Number, PrimaryKey};
use pangea_core::merge::{Body, overwrite};
use pangea_core::replica::Snapshot;
use pangea_core::time::{Hlc, Stamp};

use super::*;
use crate::storage::memory::Memory;
use crate::storage::tests::Scratch;
use std::ops::Bound;

const TABLE: TableId = TableId(Stamp { hlc: Hlc::from_bits(77), origin: Origin::from_bits(1) });

fn origin() -> Origin {
    Origin::new(RegionSlot::new(0).expect("small slot"), 1)
}

fn identity() -> Identity {
    let slot = RegionSlot::new(0).expect("small slot");
    Identity { cluster: "c1".to_owned(), region: "eu".to_owned(), slot, incarnation: 1 }
}

fn key(partition: &str, sort: i64) -> ItemKey {
    let partition = KeyValue::S(partition.to_owned());
    let sort = Some(KeyValue::N(Number::from(sort)));
    ItemKey { table: TABLE, primary: PrimaryKey { partition, sort } }
}

fn stored(ms: u64, text: &str) -> Stored {
    let stamp = Stamp { hlc: Hlc::from_parts(ms, 0), origin: origin() };
    let body = Attributes::from([("v".to_owned(), AttributeValue::S(text.to_owned()))]);
    overwrite(None, stamp, Body::Live(body), false)
}

fn batch(key: &ItemKey, ms: u64, replaced: Option<u64>) -> Batch {
    let mut batch = Batch { last: Some(Hlc::from_parts(ms, 0)), ..Batch::default() };
    let stamp = |ms| Stamp { hlc: Hlc::from_parts(ms, 0), origin: origin() };
    batch.put(key.clone(), stored(ms, &ms.to_string()), replaced.map(stamp));
    batch
}

fn store() -> (Memory, Store) {
    let engine = Memory::new();
    let (store, _) = Store::with_engine(Arc::new(engine.clone()), &identity()).expect("empty");
    (engine, store)
}

fn ms(changes: &[(Hlc, ItemKey)]) -> Vec<u64> {
    changes.iter().map(|(hlc, _)| hlc.wall_ms()).collect()
}

#[test]
fn what_was_written_is_recovered() {
    let scratch = Scratch::new();
    let options = Options { reserve_bytes: 0, cache_bytes: 8 << 20, ..Options::default() };
    let (store, durable) = Store::open(&scratch.0, &identity(), options).expect("a new directory");
    assert_eq!((durable.incarnation, durable.last), (1, Hlc::ZERO));
    let other = Origin::from_bits(5000);
    let mut second = batch(&key("p", 1), 20, Some(10));
    second.applied.insert(other, Hlc::from_bits(9));
    store.write([batch(&key("p", 1), 10, None), second]).expect("room");
    store.begin_life(2).expect("room");
    drop(store);
    let (store, durable) = Store::open(&scratch.0, &identity(), options).expect("its own");
    assert_eq!((durable.incarnation, durable.last.wall_ms()), (2, 20));
    assert_eq!(durable.applied, [(other, Hlc::from_bits(9))].into());
    let view = store.snapshot().expect("readable");
    assert_eq!(view.item(&key("p", 1)), Some(stored(20, "20")));
    assert_eq!(ms(&view.changes(origin(), Hlc::ZERO, Hlc::MAX, 9)), [20]);
    assert_eq!(view.count_changes(origin(), Hlc::ZERO, 9).expect("readable"), 1);
    view.check().expect("every row is sound");
}

#[test]
fn a_directory_of_another_region_or_cluster_is_refused_by_both_names() {
    let (engine, _store) = store();
    for (cluster, region, slot) in [("c2", "eu", 0), ("c1", "us", 0), ("c1", "eu", 1)] {
        let slot = RegionSlot::new(slot).expect("small slot");
        let (cluster, region) = (cluster.to_owned(), region.to_owned());
        let wanted = Identity { cluster, region, slot, incarnation: 1 };
        let fault = Store::with_engine(Arc::new(engine.clone()), &wanted).expect_err("not its own");
        let text = fault.to_string();
        assert!(text.contains(&wanted.to_string()) && text.contains(&identity().to_string()));
    }
}

#[test]
fn the_catalog_is_recovered() {
    use pangea_core::catalog::TableEntry;
    use pangea_core::table::{KeyAttribute, KeyKind, Schema};
    let (engine, store) = store();
    let partition = KeyAttribute { name: "id".to_owned(), kind: KeyKind::S };
    let entry = TableEntry {
        id: TABLE,
        name: "orders".to_owned(),
        home: RegionSlot::new(0).expect("small slot"),
        schema: Schema { partition, sort: None },
        created_ms: 5,
        stream: None,
        on_demand: true,
        deletion_protection: false,
        replicas: Vec::new(),
        deleted: false,
    };
    let mut row = stored(30, "");
    row.version.body = Body::Live(entry.to_attributes());
    let mut batch = Batch::default();
    batch.put(entry_key(TABLE), row, None);
    store.write([batch]).expect("room");
    let (_, durable) = Store::with_engine(Arc::new(engine.reopen()), &identity()).expect("its own");
    assert_eq!(durable.catalog.get(TABLE), Some(&entry));
}

#[test]
fn a_group_sees_its_own_batches_and_a_snapshot_does_not() {
    let (_, store) = store();
    let keys = [1, 2, 3].map(|sort| key("p", sort));
    store.write([batch(&keys[0], 10, None), batch(&keys[1], 20, None)]).expect("room");
    let mut group = GroupView::new(store.snapshot().expect("readable"));
    group.push(batch(&keys[0], 30, Some(10)));
    group.push(batch(&keys[2], 40, None));
    let mut removal = Batch::default();
    removal.remove(keys[1].clone(), stored(20, "").version.stamp);
    group.push(removal);
    assert_eq!(group.item(&keys[0]), Some(stored(30, "30")));
    assert_eq!(group.item(&keys[1]), None);
    let all = |limit| ms(&group.changes(origin(), Hlc::ZERO, Hlc::MAX, limit));
    assert_eq!((all(9), all(1)), (vec![30, 40], vec![30]));
    let some = group.changes(origin(), Hlc::from_parts(30, 0), Hlc::from_parts(40, 0), 9);
    assert_eq!(ms(&some), [40]);
    let rows: Vec<ItemKey> = group.rows(TABLE, None, 9).into_iter().map(|row| row.0).collect();
    assert_eq!(rows, [keys[0].clone(), keys[2].clone()]);
    assert_eq!(group.rows(TABLE, Some(&keys[0].primary), 1)[0].0, keys[2]);
    let view = store.snapshot().expect("readable");
    assert_eq!(ms(&view.changes(origin(), Hlc::ZERO, Hlc::MAX, 9)), [10, 20]);
    group.check().expect("every row is sound");
    store.write(group.into_batches()).expect("room");
    let view = store.snapshot().expect("readable");
    assert_eq!(ms(&view.changes(origin(), Hlc::ZERO, Hlc::MAX, 9)), [30, 40]);
    assert_eq!(view.rows(TABLE, None, 9).len(), 2);
}

fn query(view: &StoreView, query: &Query<'_>) -> Vec<Option<KeyValue>> {
    let mut found = Vec::new();
    let visited = view.query(query, &mut |key, attributes, bytes| {
        assert_eq!(bytes, pangea_core::item::item_size(&attributes));
        found.push(key.sort);
        ControlFlow::Continue(())
    });
    visited.expect("every row is sound");
    found
}

#[test]
fn queries_give_ranges_of_a_partition_in_order_without_tombstones() {
    let (_, store) = store();
    let mut deleted = batch(&key("p", 4), 99, None);
    let row = deleted.items.values_mut().next().and_then(Option::as_mut).expect("one row");
    row.version.body = Body::Tombstone;
    let mut batches: Vec<Batch> = [-5, -1, 0, 3, 10]
        .iter()
        .zip(10..)
        .map(|(&sort, ms)| batch(&key("p", sort), ms, None))
        .collect();
    batches.extend([deleted, batch(&key("q", 1), 50, None)]);
    store.write(batches).expect("room");
    let view = store.snapshot().expect("readable");
    let partition = KeyValue::S("p".to_owned());
    let number = |sort: i64| KeyValue::N(Number::from(sort));
    let numbers = |sorts: &[i64]| sorts.iter().map(|&n| Some(number(n))).collect::<Vec<_>>();
    let base =
        Query { table: TABLE, partition: &partition, sort: Sort::All, reverse: false, after: None };
    assert_eq!(query(&view, &base), numbers(&[-5, -1, 0, 3, 10]));
    assert_eq!(query(&view, &Query { reverse: true, ..base }), numbers(&[10, 3, 0, -1, -5]));
    let (low, high) = (number(-1), number(10));
    let between = Sort::Between(Bound::Included(&low), Bound::Excluded(&high));
    assert_eq!(query(&view, &Query { sort: between, ..base }), numbers(&[-1, 0, 3]));
    let after = key("p", 0).primary;
    let after = Some(&after);
    assert_eq!(query(&view, &Query { sort: between, after, ..base }), numbers(&[3]));
    let back = Query { sort: between, after, reverse: true, ..base };
    assert_eq!(query(&view, &back), numbers(&[-1]));
    let early = key("p", -9).primary;
    let early = Query { sort: between, after: Some(&early), ..base };
    assert_eq!(query(&view, &early), numbers(&[-1, 0, 3]));
}

#[test]
fn prefixes_of_strings_and_binaries_are_ranges() {
    let (_, store) = store();
    let sorts = ["a", "b", "ba", "b\u{10ffff}", "c"];
    let item = |sort: &str| {
        let (partition, sort) = (KeyValue::S("p".to_owned()), Some(KeyValue::S(sort.to_owned())));
        ItemKey { table: TABLE, primary: PrimaryKey { partition, sort } }
    };
    let batches: Vec<Batch> =
        sorts.iter().zip(10..).map(|(sort, ms)| batch(&item(sort), ms, None)).collect();
    store.write(batches).expect("room");
    let view = store.snapshot().expect("readable");
    let (partition, prefix) = (KeyValue::S("p".to_owned()), KeyValue::S("b".to_owned()));
    let (sort, table) = (Sort::Prefix(&prefix), TABLE);
    let found =
        query(&view, &Query { table, partition: &partition, sort, reverse: false, after: None });
    assert_eq!(found, [1, 2, 3].map(|at| Some(KeyValue::S(sorts[at].to_owned()))));
}

#[test]
fn segments_of_a_scan_cover_the_table_once() {
    let (_, store) = store();
    let batches: Vec<Batch> =
        (0..200u64).map(|n| batch(&key(&format!("p{n}"), 1), n + 1, None)).collect();
    store.write(batches).expect("room");
    let view = store.snapshot().expect("readable");
    for total in [1, 2, 7, 1_000_000] {
        let mut found = Vec::new();
        for segment in 0..total.min(7) {
            let segment = if total > 7 { segment * (total / 7) } else { segment };
            let mut after: Option<PrimaryKey> = None;
            loop {
                let before = found.len();
                let scan = Scan { table: TABLE, segment, total, after: after.as_ref() };
                let visited = view.scan(&scan, &mut |key, _, _| {
                    found.push(key);
                    let more = found.len() < before + 10;
                    if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                visited.expect("every row is sound");
                after = found.last().cloned();
                if found.len() == before {
                    break;
                }
            }
        }
        if total <= 7 {
            found.sort();
            found.dedup();
            assert_eq!(found.len(), 200, "{total} segments");
        }
    }
}

#[test]
fn a_flipped_bit_is_a_fault_that_names_the_row() {
    let (engine, store) = store();
    let (bad, good) = (key("p", 1), key("p", 2));
    store.write([batch(&bad, 10, None), batch(&good, 20, None)]).expect("room");
    let row_key = disk::row_key(&bad);
    assert!(engine.corrupt(Space::Items, &row_key, |row| row[20] ^= 4));
    let hex: String = row_key.iter().map(|byte| format!("{byte:02x}")).collect();
    let names = |fault: &Fault| matches!(fault, Fault::Corrupt { row, .. } if row.ends_with(&hex));
    let view = store.snapshot().expect("readable");
    assert!(names(&view.get_item(&bad).expect_err("a bit is wrong")));
    assert!(view.get_item(&good).expect("sound").is_some());
    let scan = Scan { table: TABLE, segment: 0, total: 1, after: None };
    let visited = view.scan(&scan, &mut |_, _, _| ControlFlow::Continue(()));
    assert!(names(&visited.expect_err("never skipped")));
    assert!(view.check().is_ok());
    assert_eq!(view.item(&bad), None);
    assert!(names(view.fault().expect("kept for the driver")));
    for read in [
        |group: &GroupView, _: &ItemKey| drop(group.changes(origin(), Hlc::ZERO, Hlc::MAX, 9)),
        |group: &GroupView, _: &ItemKey| drop(group.rows(TABLE, None, 9)),
        |group: &GroupView, key: &ItemKey| drop(group.item(key)),
    ] {
        let group = GroupView::new(store.snapshot().expect("readable"));
        read(&group, &bad);
        assert!(names(&group.check().expect_err("kept for the driver")));
    }
}

#[test]
fn ledger_entries_are_found_by_table() {
    use pangea_core::ledger;
    let (_, store) = store();
    let stamp = |ms| Stamp { hlc: Hlc::from_parts(ms, 0), origin: origin() };
    let other = TableId(stamp(1));
    for (table, ms) in [(TABLE, 10), (TABLE, 20), (other, 30)] {
        let item = ItemKey { table, ..key("p", 1) };
        let entry = ledger::key(&item, stamp(ms), stamp(ms + 1));
        store.write([batch(&entry, ms, None)]).expect("room");
    }
    let view = store.snapshot().expect("readable");
    let of = |table, limit, after| view.ledger(table, limit, after).expect("every row is sound");
    assert_eq!(of(None, 9, None).len(), 3);
    assert_eq!(of(Some(TABLE), 9, None).len(), 2);
    let first = of(Some(TABLE), 1, None);
    let rest = of(Some(TABLE), 9, Some(&first[0].0));
    assert_eq!((first.len(), rest.len()), (1, 1));
}

#[test]
fn an_item_nested_too_deep_is_refused_and_nothing_written() {
    let (_, store) = store();
    let mut deep = batch(&key("p", 1), 10, None);
    let value = (0..99).fold(AttributeValue::Null, |value, _| AttributeValue::L([value].into()));
    let row = deep.items.values_mut().next().and_then(Option::as_mut).expect("one row");
    row.version.body = Body::Live([("v".to_owned(), value)].into());
    let fault = store.write([deep]).expect_err("cannot be read again");
    assert!(matches!(fault, Fault::Unstorable { .. }) && fault.nothing_written());
    store.write([batch(&key("p", 1), 10, None)]).expect("the engine is not poisoned");
}
