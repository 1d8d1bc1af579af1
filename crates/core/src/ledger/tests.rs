//! Keys that name pairs, rows that are shared, severity.

use super::flood::{Appended, Flood, append};
use super::*;
use crate::id::RegionSlot;
use crate::limits::LEDGER_PAIRS_MAX;
use crate::merge::{Body, Origins};

fn origin(slot: u8) -> Origin {
    Origin::new(RegionSlot::new(slot).expect("small slot"), 1)
}

fn item(name: &str) -> ItemKey {
    let table = TableId(Stamp { hlc: Hlc::from_bits(9), origin: origin(0) });
    let primary = PrimaryKey { partition: KeyValue::S(name.to_string()), sort: None };
    ItemKey { table, primary }
}

fn version(slot: u8, ms: u64, conditional: bool) -> Version {
    let stamp = Stamp { hlc: Hlc::from_parts(ms, 0), origin: origin(slot) };
    let body = Body::live([("v".to_string(), AttributeValue::S(ms.to_string()))].into());
    Version { origins: Origins { conditional, ..Origins::PLAIN }, ..Version::first(stamp, body) }
}

fn conflict(ms: u64) -> Conflict {
    Conflict { loser: version(0, ms, false), winner: version(1, ms + 1, false) }
}

#[test]
fn a_row_of_its_own_names_its_pair() {
    let conflict = conflict(5);
    let (loser, winner) = (conflict.loser.stamp, conflict.winner.stamp);
    let key = key(&item("k"), loser, winner);
    let row = entry(&item("k"), &conflict, &Policy::Lww);
    assert_eq!(pairs(&key.primary, &row), [(loser, winner)]);
    assert_eq!(stamps_of(&key.primary), Some((loser, winner)));
    assert_eq!(table_of(&key.primary), Some(item("k").table));
}

#[test]
fn a_flood_shares_rows_that_name_every_pair() {
    let mut flood = Flood::default();
    let singles = (0..5).filter(|_| flood.note(1_000, &item("k"), 3).is_none()).count();
    assert_eq!(singles, 3);
    assert_eq!(flood.note(1_000, &item("other"), 3), None, "items are counted apart");
    assert_eq!(flood.note(61_000, &item("k"), 3), None, "the next minute begins anew");

    let (mut row, mut full) = (None, 0);
    for ms in 0..200 {
        match append(row.as_ref(), &item("k"), &conflict(10 * ms), &Policy::Lww) {
            Appended::Row(next) => row = Some(next),
            Appended::Full => full += 1,
            Appended::Known => panic!("each is new"),
        }
    }
    let row = row.expect("a row");
    let key = flood::key(&item("k"), 7, origin(1), 0);
    let named = pairs(&key.primary, &row);
    assert_eq!((named.len(), full), (LEDGER_PAIRS_MAX, 200 - LEDGER_PAIRS_MAX));
    assert_eq!(stamps_of(&key.primary), None, "a shared row has no pair in its key");
    let newest = named[named.len() - 1].0;
    assert!(flood::context(&row).covers(newest), "what the losers had seen is kept");
    let dropped = AttributeValue::N(Number::from(LEDGER_PAIRS_MAX as i64 - 2));
    assert_eq!(row.get("dropped_images"), Some(&dropped));
    assert_eq!(append(Some(&row), &item("k"), &conflict(0), &Policy::Lww), Appended::Known);
}

#[test]
fn a_lost_condition_is_severe_also_among_many() {
    let plain = append(None, &item("k"), &conflict(1), &Policy::Lww);
    let Appended::Row(row) = plain else { panic!("a first row") };
    assert_eq!(row.get("severity"), Some(&AttributeValue::S("normal".to_string())));
    let severe = Conflict { loser: version(0, 20, true), winner: version(1, 21, false) };
    let Appended::Row(row) = append(Some(&row), &item("k"), &severe, &Policy::Lww) else {
        panic!("room for two")
    };
    assert_eq!(row.get("severity"), Some(&AttributeValue::S("high".to_string())));
}

#[test]
fn an_entry_names_its_item() {
    let table = item("k").table;
    let number = || KeyValue::N(Number::from(12_i64));
    for (partition, sort) in [
        (KeyValue::S("k".to_string()), None),
        (number(), Some(KeyValue::S("s".to_string()))),
        (KeyValue::B(Vec::from([0, 1])), Some(number())),
        (KeyValue::S("k".to_string()), Some(KeyValue::B(Vec::new()))),
    ] {
        let item = ItemKey { table, primary: PrimaryKey { partition, sort } };
        let orphan = version(0, 5, false);
        let row = orphan_key(&item, orphan.stamp, version(1, 6, false).stamp);
        let entry = orphan_entry(&item, &orphan, &Policy::Lww);
        assert_eq!(item_of(&row.primary, &entry), Some(item));
    }
    let row = key(&item("k"), version(0, 5, false).stamp, version(1, 6, false).stamp);
    assert_eq!(item_of(&row.primary, &Attributes::new()), None);
}
