//! Transactions: all or none, what is only checked, and how much they may hold.

use super::super::write::{Unplanned, undone};
use super::*;
use crate::expr::{Condition, Kind, Placeholders};
use crate::limits::{ITEM_BYTES_MAX, TRANSACTION_BYTES_MAX};
use crate::table::Refusal;

fn key(name: &str) -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S(name.to_string()), sort: None }
}

fn put(name: &str, bytes: usize) -> WriteOp {
    let value = AttributeValue::S("x".repeat(bytes));
    let item = [("id".to_string(), AttributeValue::S(name.to_string())), ("v".to_string(), value)];
    WriteOp::new(key(name), Action::Put(item.into()))
}

fn check(name: &str, text: &str) -> WriteOp {
    let condition = Condition::parse(Kind::Condition, text, &mut Placeholders::default());
    let condition = Some(condition.expect("a right condition"));
    WriteOp { condition, ..WriteOp::new(key(name), Action::Check) }
}

fn transact(region: &mut Region, table: TableId, ops: Vec<WriteOp>) -> Outcome {
    let ops = ops.into_iter().map(|op| (table, op)).collect();
    region.handle(100, Event::Transact { request: RequestId(7), ops });
    assert!(region.newest.is_none() || region.replies.is_empty(), "answered before the sync");
    region.sync(100);
    region.replies.pop().expect("answered")
}

fn stored(region: &Region, table: TableId, name: &str) -> Option<Stored> {
    region.store.item(&ItemKey { table, primary: key(name) })
}

#[test]
fn a_check_that_holds_is_not_written_and_marks_what_is() {
    let mut region = Region::new(0);
    let table = region.create(1);
    transact(&mut region, table, vec![put("a", 1)]);
    let before = stored(&region, table, "a");
    let ops = vec![check("a", "attribute_exists(id)"), put("b", 1), put("c", 1)];
    let Outcome::Transacted { stamp: Some(stamp), bytes, .. } = transact(&mut region, table, ops)
    else {
        panic!("refused")
    };
    assert_eq!((bytes.len(), stored(&region, table, "a")), (3, before));
    for name in ["b", "c"] {
        let version = stored(&region, table, name).expect("written").greatest().clone();
        assert_eq!((version.stamp, version.origins.rows), (stamp, 2), "{name}");
        assert!(version.origins.conditional, "its caller was told that a condition held");
    }
    let nothing = transact(&mut region, table, vec![check("a", "attribute_exists(id)")]);
    assert!(matches!(nothing, Outcome::Transacted { stamp: None, .. }), "{nothing:?}");
}

#[test]
fn a_check_that_fails_cancels_every_write() {
    let mut region = Region::new(0);
    let table = region.create(1);
    let ops = vec![put("b", 1), check("a", "attribute_exists(id)")];
    let failed = Some(Refusal::ConditionFailed { item: None });
    assert_eq!(transact(&mut region, table, ops), Outcome::Cancelled(vec![None, failed]));
    assert_eq!(stored(&region, table, "b"), None);
}

#[test]
fn a_region_that_may_write_all_of_it_is_named_if_there_is_one() {
    let named = |each: &[&[u8]]| {
        let regions = |of: &&[u8]| of.iter().map(|&index| slot(index)).collect::<Vec<_>>();
        let elsewhere = each.iter().map(regions);
        let elsewhere = elsewhere.map(|it| Err(Unplanned::Elsewhere(it, Elsewhere::Placed)));
        match undone(&elsewhere.collect::<Vec<_>>()) {
            Some(Outcome::Elsewhere { regions, .. }) => regions,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(named(&[&[1, 2, 3], &[3, 2]]), [slot(2), slot(3)]);
    assert_eq!(named(&[&[1], &[2]]), [slot(1)]);
}

#[test]
fn items_that_are_too_large_together_are_refused() {
    let mut region = Region::new(0);
    let table = region.create(1);
    let bytes = ITEM_BYTES_MAX - 100;
    let ops = |count: usize| (0..count).map(|n| put(&n.to_string(), bytes)).collect::<Vec<_>>();
    let fits = TRANSACTION_BYTES_MAX / ITEM_BYTES_MAX;
    let outcome = transact(&mut region, table, ops(fits + 1));
    assert!(matches!(outcome, Outcome::Refused(Refusal::Validation(_))), "{outcome:?}");
    assert_eq!(stored(&region, table, "0"), None);
    assert!(matches!(transact(&mut region, table, ops(fits)), Outcome::Transacted { .. }));
}
