//! Fingerprints of a store: made anew, kept, and held against rows that rot.

use pangea_codec::disk::meta::Identity;
use pangea_core::item::{AttributeValue, Attributes, KeyValue};
use pangea_core::merge::{Body, Version};
use pangea_core::replica::{Batch, Entries, Erased, Snapshot};
use pangea_core::time::Hlc;

use super::*;
use crate::storage::memory::Memory;
use crate::storage::{Engine, Store};

const TABLE: TableId = TableId(Stamp { hlc: Hlc::from_bits(77), origin: Origin::from_bits(1) });
const ME: Origin = Origin::from_bits(1);
const ROWS: u64 = 600;

fn stamp(n: u64) -> Stamp {
    Stamp { hlc: Hlc::from_bits(n + 1), ..TABLE.0 }
}

fn item(n: u64) -> ItemKey {
    let partition = KeyValue::S(format!("p{n}"));
    ItemKey { table: TABLE, primary: PrimaryKey { partition, sort: None } }
}

fn stored(n: u64) -> Stored {
    let body = Attributes::from([("v".to_owned(), AttributeValue::S(format!("{n}")))]);
    Stored::single(Version::first(stamp(n), Body::live(body)))
}

fn added(n: u64) -> Entries {
    let (own_before, added) = (Hlc::ZERO, Some(stamp(n)));
    Entries { me: ME, own_before, added, replaced: Vec::new() }
}

fn bucket(n: u64) -> u8 {
    key::bucket_of(&key::row(&item(n)))
}

fn open(engine: &Memory) -> (Store, Fingerprints) {
    let identity =
        Identity { cluster: "c".to_owned(), region: "r".to_owned(), slot: 0, incarnation: 1 };
    let (store, durable) = Store::with_engine(engine.clone(), identity).expect("memory opens");
    (store, durable.fingerprints)
}

/// A store of rows whose fingerprints were made by nobody yet.
fn rows() -> (Memory, Store) {
    let engine = Memory::new();
    let (store, none) = open(&engine);
    assert!(none.is_empty());
    let mut batch = Batch::default();
    for n in 0..ROWS {
        batch.put(item(n), stored(n), added(n));
    }
    store.write(vec![batch]).expect("memory takes it");
    (engine, store)
}

fn verify_all(store: &Store) -> Vec<(u8, Verified)> {
    let view = store.snapshot().expect("readable");
    let all = 0..=u8::MAX;
    all.map(|bucket| (bucket, view.verify(ME, (TABLE, bucket)).expect("readable"))).collect()
}

#[test]
fn a_store_without_fingerprints_makes_them_once() {
    let (engine, store) = rows();
    let note = Space::Meta;
    engine.commit(&[(note, meta::FINGERPRINTS.to_vec(), None)]).expect("memory takes it");
    drop(store);
    let (store, made) = open(&engine);
    assert!(made.len() > 200, "600 rows are in nearly all of 256 buckets");
    let found = verify_all(&store);
    assert!(found.iter().all(|(_, it)| it.excess == 0 && it.damaged.is_empty()));
    assert_eq!(found.iter().map(|(_, it)| it.rows).sum::<u64>(), ROWS);
    let view = store.snapshot().expect("readable");
    let kept = view.fingerprints(TABLE);
    assert!(made.iter().all(|(&(_, bucket), sum)| kept[usize::from(bucket)] == *sum));
    drop(store);
    assert_eq!(open(&engine).1, made, "kept, not made again");
}

#[test]
fn a_damaged_fingerprint_is_made_anew() {
    let (engine, _) = rows();
    engine.commit(&[(Space::Meta, meta::FINGERPRINTS.to_vec(), None)]).expect("memory takes it");
    let (store, made) = open(&engine);
    drop(store);
    let name = meta::fingerprint(TABLE, bucket(3));
    assert!(engine.corrupt(Space::Meta, &name, |value| value[9] ^= 1));
    let (store, again) = open(&engine);
    assert_eq!(again, made);
    assert!(verify_all(&store).iter().all(|(_, it)| it.excess == 0));
}

#[test]
fn rows_that_rot_are_named_with_what_they_had() {
    let (engine, _) = rows();
    engine.commit(&[(Space::Meta, meta::FINGERPRINTS.to_vec(), None)]).expect("memory takes it");
    let (store, _) = open(&engine);
    for (n, gone) in [(5, false), (6, true)] {
        assert!(store.rot(&item(n), gone).expect("memory takes it"));
        let found =
            store.snapshot().expect("readable").verify(ME, (TABLE, bucket(n))).expect("readable");
        let [damaged] = &found.damaged[..] else { panic!("{found:?}") };
        assert_eq!(found.excess, fingerprint::of_item(&item(n).primary, &stored(n)));
        assert_eq!((&damaged.place, damaged.row), (&key::row(&item(n)), !gone));
        assert_eq!(damaged.key, (!gone).then(|| item(n).primary), "a readable key is told");
        assert_eq!(damaged.stamps, [stamp(n)]);
    }
    let others = verify_all(&store).into_iter().filter(|(at, _)| ![5, 6].map(bucket).contains(at));
    assert!(others.into_iter().all(|(_, it)| it.excess == 0 && it.damaged.is_empty()));
    assert!(!store.rot(&item(ROWS), false).expect("readable"), "there is no such row");
}

#[test]
fn a_key_that_rots_is_not_believed() {
    let (engine, store) = rows();
    let row_key = key::row(&item(5));
    // The row's first text is its partition key.
    assert!(engine.corrupt(Space::Items, &row_key, |row| row[8] ^= 1));
    let found =
        store.snapshot().expect("readable").verify(ME, (TABLE, bucket(5))).expect("readable");
    let damaged = found.damaged.iter().find(|it| it.place == row_key).expect("it is named");
    assert_eq!((&damaged.key, damaged.row), (&None, true));
}

#[test]
fn what_is_erased_leaves_no_trace_and_what_comes_after_stays() {
    let (_, store) = rows();
    let gone = |n: u64| ((TABLE, key::row(&item(n))), Erased { row: true, stamps: vec![stamp(n)] });
    let mut batch = Batch { erased: [gone(5), gone(6)].into(), ..Batch::default() };
    batch.put(item(6), stored(ROWS), added(ROWS));
    store.write(vec![batch]).expect("memory takes it");
    let view = store.snapshot().expect("readable");
    assert_eq!((view.item(&item(5)), view.item(&item(6))), (None, Some(stored(ROWS))));
    let named = |n: u64| {
        let entry = key::changelog(stamp(n), &key::row(&item(n)));
        view.view.get(Space::Changelog, &entry).expect("readable").is_some()
    };
    assert_eq!([5, 6, 7].map(named), [false, false, true]);
    view.check().expect("every row is sound");
}
