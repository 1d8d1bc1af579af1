//! Nodes behind real links: convergence, loss of a region, conflicts.

use std::collections::BTreeMap;
use std::time::Duration;

use pangea::peer::wan::{Cut, Direction};
use pangea_core::id::TableId;
use pangea_core::item::{AttributeValue, ItemKey, KeyValue, PrimaryKey};
use pangea_core::merge::Version;
use pangea_core::node::{Change, Event, NewTable, Outcome, TableUpdate};
use pangea_core::table::{Action, KeyAttribute, KeyKind, Schema, WriteOp};

use crate::support::{Region, World, eventually, slot};

async fn create(region: &Region) -> TableId {
    let schema =
        Schema { partition: KeyAttribute { name: "id".to_owned(), kind: KeyKind::S }, sort: None };
    let name = "t".to_owned();
    let new = NewTable {
        indexes: Vec::new(),
        options: Default::default(),
        name,
        schema,
        stream: None,
        on_demand: true,
        deletion_protection: false,
        tags: BTreeMap::new(),
        module: None,
    };
    let change = Box::new(Change::Create(new));
    match region.ask(|request| Event::Define { request, change }).await {
        Outcome::Defined(entry) => entry.id,
        other => panic!("expected a table, got {other:?}"),
    }
}

async fn replicate_to(region: &Region, other: usize) {
    let add = vec![slot(other)];
    let update = TableUpdate { name: "t".to_owned(), add, ..Default::default() };
    let change = Box::new(Change::Update(update));
    let outcome = region.ask(|request| Event::Define { request, change }).await;
    assert!(matches!(outcome, Outcome::Defined(_)), "{outcome:?}");
}

async fn put(region: &Region, table: TableId, key: &str, value: &str) -> Outcome {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let primary = PrimaryKey { partition: KeyValue::S(key.to_owned()), sort: None };
    let item = [("id".to_owned(), text(key)), ("v".to_owned(), text(value))];
    let op = Box::new(WriteOp::new(primary, Action::Put(item.into())));
    region.ask(move |request| Event::Write { request, table, op }).await
}

async fn put_served(region: &Region, table: TableId, key: &str, value: &str) {
    loop {
        match put(region, table, key, value).await {
            Outcome::Written { .. } => return,
            Outcome::NotServing => tokio::time::sleep(Duration::from_millis(5)).await,
            other => panic!("{other:?}"),
        }
    }
}

async fn delete(region: &Region, table: TableId, key: &str) {
    let primary = PrimaryKey { partition: KeyValue::S(key.to_owned()), sort: None };
    let op = Box::new(WriteOp::new(primary, Action::Delete));
    let outcome = region.ask(move |request| Event::Write { request, table, op }).await;
    assert!(matches!(outcome, Outcome::Written { stamp: Some(_), .. }), "{outcome:?}");
}

fn count(region: &Region, table: TableId) -> usize {
    region.items().keys().filter(|key| key.table == table).count()
}

/// What a region shows; what it has seen besides may differ, because a version that was overwritten
/// before it was sent is never sent.
fn shown(region: &Region) -> BTreeMap<ItemKey, Version> {
    region.items().into_iter().map(|(key, stored)| (key, stored.greatest().clone())).collect()
}

async fn same(regions: &[&Region]) {
    eventually("every region shows the same", || {
        regions.windows(2).all(|pair| shown(pair[0]) == shown(pair[1]))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_leave_nothing_behind_once_the_other_region_has_them() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (a, b) = (world.region(0).await, world.region(1).await);
    let table = create(&a).await;
    replicate_to(&a, 1).await;
    for key in ["gone", "kept"] {
        put_served(&b, table, key, "b").await;
    }
    eventually("a has them", || count(&a, table) == 2).await;
    b.links.faults().cut(slot(0), Direction::Both, Cut::Refuse).expect("a peer");
    eventually("the link is down", || !a.is_linked(1) && !b.is_linked(0)).await;
    delete(&a, table, "gone").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((count(&a, table), count(&b, table)), (2, 2));
    b.links.faults().heal(slot(0)).expect("a peer");
    eventually("nothing is left of it", || count(&a, table) + count(&b, table) == 2).await;
    put_served(&b, table, "gone", "again").await;
    same(&[&a, &b]).await;
    assert_eq!((count(&a, table), count(&a, TableId::LEDGER)), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_on_both_sides_converge_and_a_cut_link_catches_up() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (a, b) = (world.region(0).await, world.region(1).await);
    let table = create(&a).await;
    replicate_to(&a, 1).await;
    for n in 0..50 {
        put(&a, table, &format!("a{n}"), "from a").await;
        put_served(&b, table, &format!("b{n}"), "from b").await;
    }
    eventually("all rows are in both", || count(&a, table) == 100 && count(&b, table) == 100).await;
    same(&[&a, &b]).await;

    a.links.faults().cut(slot(1), Direction::Both, Cut::Refuse).expect("a peer");
    eventually("the split is noticed", || !a.is_linked(1) && !b.is_linked(0)).await;
    for n in 0..50 {
        put(&a, table, &format!("split{n}"), "a's").await;
        put(&b, table, &format!("split{n}"), "b's").await;
    }
    a.links.faults().heal(slot(1)).expect("a peer");
    eventually("all rows are in both", || count(&a, table) == 150 && count(&b, table) == 150).await;
    eventually("every loser is in the ledger", || count(&a, TableId::LEDGER) == 50).await;
    same(&[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_regions_survive_losing_one_and_meet_its_successor() {
    let mut world = World::new(3, Duration::from_millis(5)).await;
    let (a, b, c) = (world.region(0).await, world.region(1).await, world.region(2).await);
    let table = create(&a).await;
    replicate_to(&a, 1).await;
    put_served(&b, table, "k", "1").await;
    eventually("the row is home", || count(&a, table) == 1).await;
    drop(c);
    eventually("the loss is noticed", || !a.is_linked(2) && !b.is_linked(2)).await;
    put(&a, table, "l", "2").await;
    eventually("the others go on", || count(&b, table) == 2).await;
    let c = world.region(2).await;
    eventually("the links are back", || {
        a.is_linked(2) && b.is_linked(2) && c.is_linked(0) && c.is_linked(1)
    })
    .await;
    replicate_to(&a, 2).await;
    eventually("the table is copied", || count(&c, table) == 2).await;
    same(&[&a, &b, &c]).await;
}
