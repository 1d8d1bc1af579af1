//! Scans over damage: nothing sound is missed, and what is not is named.

use std::sync::Arc;

use pangea_core::id::Origin;
use pangea_core::item::{Attributes, KeyValue, PrimaryKey};
use pangea_core::merge::{Body, Version};
use pangea_core::time::{Hlc, Stamp};

use super::*;
use crate::storage::memory::Memory;
use crate::storage::{Bounds, Engine, View, Visit};

const TABLE: TableId = TableId(Stamp { hlc: Hlc::from_bits(77), origin: Origin::from_bits(1) });
const ROWS: u64 = 200;

/// An engine with rows of one table and of its neighbours; their keys in order.
fn engine() -> (Memory, Vec<Vec<u8>>) {
    let engine = Memory::new();
    let mut changes = Vec::new();
    for (table, count) in [(76, 3), (77, ROWS), (78, 3)] {
        for number in 0..count {
            let stamp = Stamp { hlc: Hlc::from_bits(table), ..TABLE.0 };
            let primary = PrimaryKey { partition: KeyValue::S(format!("p{number}")), sort: None };
            let stored = Stored::single(Version::first(stamp, Body::live(Attributes::new())));
            let row = disk::encode_row(&primary, &stored);
            changes.push((Space::Items, key::row_in(TableId(stamp), &primary), Some(row)));
        }
    }
    changes.sort();
    engine.commit(&changes).expect("memory commits");
    let prefix = key::table(TABLE);
    let keys = changes.into_iter().map(|change| change.1);
    (engine, keys.filter(|row_key| row_key.starts_with(&prefix)).collect())
}

fn view(engine: &Memory) -> StoreView {
    StoreView::new(engine.view().expect("memory reads"))
}

/// All stretches of the table, a few rows each.
fn all(view: &StoreView) -> ScannedRows {
    let mut all = ScannedRows::default();
    let mut from = Some(Bound::Unbounded);
    while let Some(bound) = from {
        let lower = bound.as_ref().map(Vec::as_slice);
        let found = view.scan_rows(TABLE, lower, 7, OnDamage::GoOn).expect("it goes on");
        all.rows.extend(found.rows);
        all.unreadable.extend(found.unreadable);
        from = found.next;
    }
    all
}

#[test]
fn a_table_is_scanned_whole_in_stretches() {
    let (engine, keys) = engine();
    let found = all(&view(&engine));
    assert!(found.unreadable.is_empty());
    assert!(found.rows.iter().all(|row| row.row.is_ok()));
    let found: Vec<Vec<u8>> = found.rows.into_iter().map(|row| row.row_key).collect();
    assert_eq!(found, keys);
}

#[test]
fn a_damaged_row_is_named_and_passed() {
    let (engine, keys) = engine();
    for at in [0, 50, keys.len() - 1] {
        assert!(engine.corrupt(Space::Items, &keys[at], |row| row[9] ^= 4));
    }
    let found = all(&view(&engine));
    assert_eq!(found.rows.len(), keys.len());
    let damaged: Vec<&Vec<u8>> =
        found.rows.iter().filter(|row| row.row.is_err()).map(|row| &row.row_key).collect();
    assert_eq!(damaged, [&keys[0], &keys[50], &keys[keys.len() - 1]]);
    let from = Bound::Included(keys[49].as_slice());
    let stopped = view(&engine).scan_rows(TABLE, from, 7, OnDamage::Stop);
    let expected = Place::new(Space::Items, &keys[50]);
    let fault = stopped.expect_err("a row is damaged");
    assert!(matches!(fault, Fault::Corrupt { place, .. } if place == expected));
}

#[test]
fn a_row_under_the_key_of_another_is_damaged() {
    let (engine, keys) = engine();
    let other = engine.view().expect("memory reads").get(Space::Items, &keys[1]);
    let other = other.expect("memory reads").expect("it is there");
    assert!(engine.corrupt(Space::Items, &keys[0], |row| *row = other));
    let found = all(&view(&engine));
    assert_eq!(found.rows[0].row, Err(RowError::Misplaced));
    assert!(found.rows[1].row.is_ok());
}

#[test]
fn a_scrub_counts_rows_and_names_damage() {
    let (engine, keys) = engine();
    let found = view(&engine).scrub().expect("memory reads");
    assert_eq!((found.rows, found.damage.len()), ([ROWS + 6, 0, 0], 0));
    assert!(engine.corrupt(Space::Items, &keys[7], |row| row[9] ^= 4));
    let found = view(&engine).scrub().expect("memory reads");
    let place = Place::new(Space::Items, &keys[7]);
    assert!(matches!(&found.damage[..], [Fault::Corrupt { place: at, .. }] if *at == place));
}

/// A view of whose keys some cannot be read, as those in a damaged block.
#[derive(Debug)]
struct Holey(Arc<dyn View>, std::ops::Range<Vec<u8>>);

impl View for Holey {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        bounds: Bounds<'_>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        let mut hole = false;
        self.0.scan(space, bounds, reverse, &mut |key, row| {
            hole = self.1.contains(&key.to_vec());
            if hole { ControlFlow::Break(()) } else { visit(key, row) }
        })?;
        let damaged = || Fault::Damaged { file: "f".to_owned(), why: "a block".to_owned() };
        if hole { Err(damaged()) } else { Ok(()) }
    }
}

#[test]
fn rows_behind_an_unreadable_block_are_found() {
    let (engine, keys) = engine();
    for (first, behind) in [(0, 9), (60, 61), (60, 95), (190, keys.len())] {
        let end = keys.get(behind).cloned().unwrap_or_else(|| vec![0xff]);
        let inner = engine.view().expect("memory reads");
        let view = StoreView::new(Arc::new(Holey(inner, keys[first].clone()..end.clone())));
        let found = all(&view);
        let read: Vec<&Vec<u8>> = found.rows.iter().map(|row| &row.row_key).collect();
        let readable: Vec<&Vec<u8>> = keys[..first].iter().chain(&keys[behind..]).collect();
        assert_eq!(read, readable, "{first}..{behind}");
        let (lower, upper) = found.unreadable.first().expect("a range is named");
        let hole = &keys[first..behind];
        let covers =
            |key: &Vec<u8>| std::ops::RangeBounds::contains(&(lower.clone(), upper.clone()), key);
        assert!(hole.iter().all(covers), "{first}..{behind}");
        assert_eq!(found.unreadable.len(), 1);
        let stopped = view.scan_rows(TABLE, Bound::Unbounded, 999, OnDamage::Stop);
        assert!(matches!(stopped, Err(Fault::Damaged { .. })));
    }
}
