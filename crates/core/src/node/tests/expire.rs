//! Items that have expired: who deletes them, and what journals tell of it.

use super::*;
use crate::catalog::MERGE;
use crate::expr::{Placeholders, Update};
use crate::item::Number;
use crate::node::Expire;

fn key(name: &str) -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S(name.to_string()), sort: None }
}

fn put(region: &mut Region, ms: u64, table: TableId, name: &str, expires_s: i64) {
    let item = [
        ("id".to_string(), AttributeValue::S(name.to_string())),
        ("ttl".to_string(), AttributeValue::N(Number::from(expires_s))),
    ];
    let op = Box::new(WriteOp::new(key(name), Action::Put(item.into())));
    region.handle(ms, Event::Write { request: RequestId(1), table, op });
    region.sync(ms);
    region.replies.clear();
}

/// How many of the items were deleted.
fn expire(region: &mut Region, ms: u64, table: TableId, names: &[&str]) -> usize {
    let keys = names.iter().map(|name| key(name)).collect();
    let expire = Box::new(Expire { table, keys, grace_ms: 60_000 });
    region.handle(ms, Event::Expire { request: RequestId(2), expire });
    region.sync(ms);
    match region.replies.pop() {
        Some(Outcome::Expired { deleted }) => deleted,
        other => panic!("expected a count, got {other:?}"),
    }
}

fn shown(region: &Region, table: TableId, name: &str) -> bool {
    let stored = region.store.item(&ItemKey { table, primary: key(name) });
    stored.is_some_and(|stored| !stored.greatest().body.is_deletion())
}

/// A table of two regions whose items expire by `ttl`.
fn expiring(regions: &mut [Region; 2]) -> TableId {
    let table = shared_table(regions);
    let ttl = Some(Some("ttl".to_string()));
    let update = TableUpdate { name: "t".to_string(), ttl, ..TableUpdate::default() };
    let change = Box::new(Change::Update(update));
    regions[0].handle(2_000, Event::Define { request: RequestId(0), change });
    regions[0].sync(2_000);
    exchange(2_010, regions);
    regions.iter_mut().for_each(|region| region.replies.clear());
    table
}

#[test]
fn the_region_that_wrote_an_item_deletes_it_and_both_journals_say_why() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = expiring(&mut regions);
    put(&mut regions[0], 5_000, table, "gone", 6);
    put(&mut regions[0], 5_000, table, "later", 600);
    put(&mut regions[1], 5_000, table, "theirs", 6);
    exchange(5_010, &mut regions);
    let names = ["gone", "later", "theirs", "never"];
    assert_eq!(expire(&mut regions[0], 6_499, table, &names), 0, "by some clock not yet");
    assert_eq!(expire(&mut regions[0], 6_500, table, &names), 1);
    assert_eq!(expire(&mut regions[0], 6_501, table, &names), 0, "it is gone");
    assert!(shown(&regions[0], table, "later") && shown(&regions[0], table, "theirs"));
    exchange(6_510, &mut regions);
    for region in &regions {
        assert!(!shown(region, table, "gone"));
        let records = region.store.journal.values();
        let ended = records.filter(|record| record.after.is_none());
        let ended: Vec<_> = ended.map(|it| (it.key.primary.clone(), it.expired)).collect();
        assert_eq!(ended, [(key("gone"), true)]);
    }
    assert_eq!(expire(&mut regions[0], 67_000, table, &names), 1, "its region had its time");
    assert!(!shown(&regions[0], table, "theirs"));
}

#[test]
fn what_was_written_since_stays() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = expiring(&mut regions);
    put(&mut regions[0], 5_000, table, "renewed", 6);
    put(&mut regions[0], 6_000, table, "renewed", 600);
    assert_eq!(expire(&mut regions[0], 7_000, table, &["renewed"]), 0);
    assert!(shown(&regions[0], table, "renewed"));
    put(&mut regions[0], 8_000, table, "text", 8);
    let update = TableUpdate { name: "t".to_string(), ttl: Some(None), ..Default::default() };
    let change = Box::new(Change::Update(update));
    regions[0].handle(9_000, Event::Define { request: RequestId(0), change });
    regions[0].sync(9_000);
    regions[0].replies.clear();
    assert_eq!(expire(&mut regions[0], 9_000, table, &["text"]), 0, "items do not expire any more");
}

#[test]
fn an_item_that_came_back_and_is_deleted_by_a_client_did_not_expire() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = expiring(&mut regions);
    put(&mut regions[0], 5_000, table, "k", 6);
    assert_eq!(expire(&mut regions[0], 6_500, table, &["k"]), 1);
    put(&mut regions[0], 7_000, table, "k", 600);
    let op = Box::new(WriteOp::new(key("k"), Action::Delete));
    regions[0].handle(8_000, Event::Write { request: RequestId(1), table, op });
    regions[0].sync(8_000);
    let told: Vec<bool> = regions[0].store.journal.values().map(|it| it.expired).collect();
    assert_eq!(told, [false, true, false, false]);
}

#[test]
fn an_end_is_told_as_expiry_though_a_newer_version_is_kept_beside_it() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = expiring(&mut regions);
    let tags = [(MERGE.to_string(), Some("crdt".to_string()))].into();
    let update = TableUpdate { name: "t".to_string(), tags, ..TableUpdate::default() };
    let change = Box::new(Change::Update(update));
    regions[0].handle(3_000, Event::Define { request: RequestId(0), change });
    regions[0].sync(3_000);
    exchange(3_010, &mut regions);
    put(&mut regions[0], 5_000, table, "k", 6);
    exchange(5_010, &mut regions);
    // What only takes away keeps nothing alive.
    let values = [(":x".to_string(), AttributeValue::Ss(["x".to_string()].into()))].into();
    let mut placeholders = Placeholders::new(None, Some(values)).expect("well formed");
    let update = Update::parse("DELETE s :x", &mut placeholders).expect("well formed");
    let op = Box::new(WriteOp::new(key("k"), Action::Update(update)));
    regions[1].handle(7_000, Event::Write { request: RequestId(1), table, op });
    regions[1].sync(7_000);
    regions.iter_mut().for_each(|region| region.replies.clear());
    assert_eq!(expire(&mut regions[0], 6_900, table, &["k"]), 1);
    exchange(7_010, &mut regions);
    for region in &regions {
        let told: Vec<bool> = region.store.journal.values().map(|it| it.expired).collect();
        assert_eq!(told.last(), Some(&true), "{told:?}");
        assert_eq!(told.iter().filter(|it| **it).count(), 1);
    }
}
