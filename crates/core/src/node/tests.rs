//! The node by hand: durability before words, gaps, holds, conflicts, replicas.

mod apart;
mod aside;
mod clock;
mod collect;
mod cuts;
mod expire;
mod flood;
mod journal;
mod lost;
mod namesake;
mod relay;
mod stage;
mod transact;
mod unseen;
mod votes;

use std::boxed::Box;
use std::string::{String, ToString};
use std::vec;

use super::*;
use crate::catalog::StreamView;
use crate::item::{AttributeValue, KeyValue, PrimaryKey};
use crate::journal::Record;
use crate::replica::{Batch, Entry, Feed, Frame, Request, Rows};
use crate::table::{Action, KeyAttribute, KeyKind, Schema, WriteOp};

/// A store in memory that shows every batch at once, as an engine's page cache does.
#[derive(Default)]
struct Memory {
    items: BTreeMap<ItemKey, Stored>,
    changelog: BTreeSet<(Stamp, ItemKey)>,
    tombstones: BTreeSet<(Stamp, ItemKey)>,
    collected: Collected,
    journal: BTreeMap<(TableId, u64), Record>,
    applied: Applied,
}

impl Memory {
    fn apply(&mut self, batch: &Batch) {
        self.applied.extend(&batch.applied);
        for (key, stored) in &batch.items {
            match stored {
                Some(stored) => self.items.insert(key.clone(), stored.clone()),
                None => self.items.remove(key),
            };
        }
        let indexes =
            [(&mut self.changelog, &batch.changelog), (&mut self.tombstones, &batch.tombstones)];
        for (index, changes) in indexes {
            for (entry, put) in changes {
                match put {
                    true => index.insert(entry.clone()),
                    false => index.remove(entry),
                };
            }
        }
        for (&table, &before) in &batch.trimmed {
            self.journal.retain(|place, _| place.0 != table || place.1 >= before);
        }
        let records = batch.journal.iter();
        self.journal.extend(records.map(|it| ((it.key.table, it.sequence), it.clone())));
        for (table, seen) in &batch.collected {
            match seen.is_empty() {
                true => self.collected.remove(table),
                false => self.collected.insert(*table, seen.clone()),
            };
        }
    }
}

impl Snapshot for Memory {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.items.get(key).cloned()
    }

    fn changes(&self, origin: Origin, after: Hlc, to: Hlc, limit: usize) -> Vec<Entry> {
        let within = |stamp: &Stamp| stamp.origin == origin && stamp.hlc > after && stamp.hlc <= to;
        let entries = self.changelog.iter().filter(|(stamp, _)| within(stamp)).take(limit);
        let change = |(stamp, key): &(Stamp, ItemKey)| {
            let stored = self.items.get(key).cloned().expect("the index names rows");
            Entry { hlc: stamp.hlc, key: key.clone(), stored }
        };
        entries.map(change).collect()
    }

    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        let place = |stamp: Stamp| (stamp.origin, stamp.hlc);
        let mut all: Vec<(Stamp, ItemKey)> = self.tombstones.iter().cloned().collect();
        all.retain(|(stamp, key)| key.table == table && Some(place(*stamp)) > after.map(place));
        all.sort_by_key(|(stamp, _)| place(*stamp));
        all.truncate(limit);
        all
    }

    fn first_record(&self, table: TableId) -> Option<u64> {
        self.journal.range((table, 0)..=(table, u64::MAX)).next().map(|(place, _)| place.1)
    }

    fn newest(&self, origin: Origin) -> Hlc {
        let of_origin = self.changelog.iter().filter(|(stamp, _)| stamp.origin == origin);
        of_origin.map(|(stamp, _)| stamp.hlc).max().unwrap_or_default()
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let within = |key: &ItemKey| key.table == table && after.is_none_or(|a| key.primary > *a);
        let rows = self.items.iter().filter(|(key, _)| within(key));
        rows.map(|(key, stored)| (key.clone(), stored.clone())).take(limit).collect()
    }
}

/// A node with its store; batches become durable when told.
struct Region {
    node: Node,
    store: Memory,
    replies: Vec<Outcome>,
    sent: Vec<Request>,
    traces: Vec<Trace>,
    newest: Option<Token>,
}

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small slot")
}

fn at(ms: u64) -> Now {
    Now { wall_ms: ms, mono_us: ms * 1000 }
}

/// What a region finds on a disk that has a catalog and nothing else.
fn durable(incarnation: u16, catalog: Catalog) -> Durable {
    Durable {
        fills: Default::default(),
        journaled: 0,
        incarnation,
        reborn: false,
        last: Hlc::ZERO,
        applied: Applied::new(),
        catalog,
        collected: Collected::new(),
        fingerprints: Default::default(),
    }
}

impl Region {
    fn new(index: u8) -> Self {
        Self::in_life(index, 1)
    }

    fn in_life(index: u8, incarnation: u16) -> Self {
        let config = Config::new(slot(index), 500);
        let node = Node::new(config, durable(incarnation, Catalog::default()));
        let store = Memory::default();
        let (replies, sent, traces) = (vec![], vec![], vec![]);
        Self { node, store, replies, sent, traces, newest: None }
    }

    fn handle(&mut self, ms: u64, event: Event) {
        let mut effects = vec![];
        self.node.handle(at(ms), event, &self.store, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist { token, batch } => {
                    self.store.apply(&batch);
                    self.newest = Some(token);
                }
                Effect::Reply { outcome, .. } => self.replies.push(outcome),
                Effect::Send { request, .. } => self.sent.push(request),
                Effect::Publish(_) | Effect::Acknowledged(_) | Effect::Reborn => {}
                Effect::Trace(trace) => self.traces.push(trace),
            }
        }
    }

    fn sync(&mut self, ms: u64) {
        while let Some(token) = self.newest.take() {
            self.handle(ms, Event::Persisted { token });
        }
    }

    fn create(&mut self, ms: u64) -> TableId {
        self.create_as(ms, "t", None)
    }

    fn create_as(&mut self, ms: u64, name: &str, stream: Option<StreamView>) -> TableId {
        self.create_with(ms, (name, stream), BTreeMap::new())
    }

    fn create_with(
        &mut self,
        ms: u64,
        (name, stream): (&str, Option<StreamView>),
        tags: BTreeMap<String, String>,
    ) -> TableId {
        let schema = Schema {
            partition: KeyAttribute { name: "id".to_string(), kind: KeyKind::S },
            sort: None,
        };
        let new = NewTable {
            indexes: Vec::new(),
            options: Default::default(),
            name: name.to_string(),
            schema,
            stream,
            on_demand: true,
            deletion_protection: false,
            tags,
            module: None,
        };
        let change = Box::new(Change::Create(new));
        self.handle(ms, Event::Define { request: RequestId(0), change });
        self.sync(ms);
        match self.replies.pop() {
            Some(Outcome::Defined(entry)) => entry.id,
            other => panic!("expected a table, got {other:?}"),
        }
    }

    fn update(&mut self, ms: u64, add: &[u8], remove: &[u8]) -> Outcome {
        let slots = |of: &[u8]| of.iter().map(|&index| slot(index)).collect();
        let (add, remove) = (slots(add), slots(remove));
        let update = TableUpdate { name: "t".to_string(), add, remove, ..Default::default() };
        let change = Box::new(Change::Update(update));
        self.handle(ms, Event::Define { request: RequestId(0), change });
        self.sync(ms);
        self.replies.pop().expect("answered")
    }

    fn replicate_to(&mut self, ms: u64, index: u8) {
        assert!(matches!(self.update(ms, &[index], &[]), Outcome::Defined(_)));
    }

    fn put(&mut self, ms: u64, table: TableId, value: &str) {
        let key = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
        let item = [
            ("id".to_string(), AttributeValue::S("k".to_string())),
            ("v".to_string(), AttributeValue::S(value.to_string())),
        ];
        let op = Box::new(WriteOp::new(key, Action::Put(item.into())));
        self.handle(ms, Event::Write { request: RequestId(1), table, op });
    }

    fn read(&self, table: TableId) -> Option<AttributeValue> {
        let primary = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
        let stored = self.store.item(&ItemKey { table, primary })?;
        stored.greatest().body.attributes()?.get("v").cloned()
    }

    fn ledger(&self) -> usize {
        self.store.rows(TableId::LEDGER, None, 100).len()
    }
}

/// Carries everything between two regions until nothing more happens.
fn exchange(ms: u64, regions: &mut [Region; 2]) {
    exchange_as(ms, regions, [0, 1]);
}

fn exchange_as(ms: u64, regions: &mut [Region; 2], slots: [u8; 2]) {
    let [one, other] = slots.map(slot);
    let mut feeds = [Feed::new(regions[0].node.me, other), Feed::new(regions[1].node.me, one)];
    regions[0].handle(ms, Event::Linked { peer: other });
    regions[1].handle(ms, Event::Linked { peer: one });
    for step in 0..200 {
        let ms = ms + step;
        for feeder in 0..2_u8 {
            let subscriber = usize::from(1 - feeder);
            let feed = &mut feeds[usize::from(feeder)];
            regions[subscriber].sent.drain(..).for_each(|request| feed.receive(request));
            let (progress, store) =
                (regions[usize::from(feeder)].node.progress(), &regions[usize::from(feeder)].store);
            if let Some(frame) = feed.next(at(ms), &progress, store) {
                let from = slot(slots[usize::from(feeder)]);
                regions[subscriber].handle(ms, Event::Received { from, frame });
            }
            regions[subscriber].handle(ms, Event::Timer);
            regions[subscriber].sync(ms);
        }
    }
}

fn shared_table(regions: &mut [Region; 2]) -> TableId {
    let table = regions[0].create(1_000);
    regions[0].replicate_to(1_001, 1);
    exchange(1_002, regions);
    table
}

fn text(value: &str) -> Option<AttributeValue> {
    Some(AttributeValue::S(value.to_string()))
}

#[test]
fn nobody_is_answered_before_the_write_is_durable() {
    let mut region = Region::new(0);
    let table = region.create(1_000);
    region.put(1_001, table, "a");
    assert!(region.replies.is_empty());
    assert!(region.node.progress().closed < Hlc::from_parts(1_001, 0));
    region.sync(1_002);
    assert_eq!(region.replies.len(), 1);
    assert!(region.node.progress().closed >= Hlc::from_parts(1_001, 0));
}

#[test]
fn an_unserved_table_is_refused() {
    let mut region = Region::new(0);
    region.put(1_000, TableId(Stamp { hlc: Hlc::MAX, origin: region.node.me }), "a");
    assert_eq!(region.replies, [Outcome::NotServing]);
}

#[test]
fn a_replica_copies_what_was_there_and_then_serves() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = regions[0].create(1_000);
    regions[0].put(1_001, table, "old");
    regions[0].sync(1_001);
    // The feed passes the row before the table has a replica there, so only the copy brings it.
    exchange(1_002, &mut regions);
    assert_eq!(regions[1].read(table), None);
    regions[0].replicate_to(1_300, 1);
    exchange(1_301, &mut regions);
    assert_eq!(regions[1].read(table), text("old"));
    assert!(regions[1].traces.contains(&Trace::ReplicaActive(table)));
    regions[1].put(1_600, table, "new");
    regions[1].sync(1_600);
    exchange(1_601, &mut regions);
    assert_eq!(regions[0].read(table), text("new"));
    assert_eq!(regions[0].ledger() + regions[1].ledger(), 0);
}

#[test]
fn concurrent_writes_converge_and_the_loser_is_in_both_ledgers() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[0].put(2_000, table, "a");
    regions[1].put(2_000, table, "b");
    regions.iter_mut().for_each(|region| region.sync(2_000));
    exchange(2_001, &mut regions);
    assert_eq!(regions[0].read(table), text("b"));
    assert_eq!(regions[1].read(table), text("b"));
    assert_eq!((regions[0].ledger(), regions[1].ledger()), (1, 1));
}

#[test]
fn a_stamp_from_the_future_is_held_and_comes_when_time_has_caught_up() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[0].put(60_000, table, "future");
    regions[0].sync(60_000);
    exchange(2_000, &mut regions);
    assert_eq!(regions[1].read(table), None);
    assert!(regions[1].traces.iter().any(|trace| matches!(trace, Trace::Held { .. })));
    exchange(59_600, &mut regions);
    assert_eq!(regions[1].read(table), text("future"));
}

#[test]
fn a_frame_that_skips_is_not_applied_but_asked_for_again() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    let origin = regions[0].node.me;
    let skipping = Rows {
        origin,
        after: Hlc::from_parts(9_000, 0),
        through: Hlc::from_parts(9_001, 0),
        end: Hlc::from_parts(9_001, 0),
        rows: vec![],
        applied: vec![],
        sent_wall_ms: 9_001,
    };
    regions[1].handle(9_002, Event::Received { from: slot(0), frame: Frame::Rows(skipping) });
    regions[1].sync(9_002);
    assert!(regions[1].node.progress().applied[&origin] < Hlc::from_parts(9_000, 0));
    regions[0].put(9_003, table, "x");
    regions[0].sync(9_003);
    exchange(9_300, &mut regions);
    assert_eq!(regions[1].read(table), text("x"));
}

#[test]
fn a_lost_log_is_noticed_even_after_new_writes() {
    let mut regions = [Region::new(0), Region::new(1)];
    shared_table(&mut regions);
    assert!(!regions[0].traces.iter().any(|trace| matches!(trace, Trace::LogLost { .. })));
    regions[0] = Region::in_life(0, 2);
    regions[0].create(5_000);
    exchange(5_001, &mut regions);
    assert!(regions[0].traces.iter().any(|trace| matches!(trace, Trace::LogLost { .. })));
}

#[test]
fn a_life_that_is_given_is_none_that_a_region_takes_by_itself() {
    let mut regions = [Region::new(0), Region::in_life(1, 5)];
    assert_eq!(regions[0].node.fresh_life(slot(1)), Some(2));
    shared_table(&mut regions);
    assert_eq!(regions[0].node.fresh_life(slot(1)), Some(6), "5 is known, and 7 may be taken");
    assert!((0..=u16::MAX).all(|random| Origin::drawn(random) % 2 == 1));
    assert!((0..=u16::MAX).all(|random| Origin::drawn(random) < Origin::LIVES));
}

#[test]
fn a_table_of_the_same_name_stays_a_stranger() {
    let mut regions = [Region::new(0), Region::new(1)];
    let (mine, theirs) = (regions[0].create(1_000), regions[1].create(1_000));
    regions[1].put(1_001, theirs, "theirs");
    regions[0].replicate_to(1_002, 1);
    exchange(1_003, &mut regions);
    assert_eq!(regions[1].node.catalog.find(slot(1), "t").map(|entry| entry.id), Some(theirs));
    let entry = regions[0].node.catalog.get(mine).expect("created").clone();
    let shown = regions[0].node.catalog.replicas(&entry);
    assert!(matches!(shown[1].1, crate::catalog::ReplicaView::Failed(_)), "{shown:?}");
}

#[test]
fn a_removed_replica_levels_first_and_leaves_no_rows() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[1].put(2_000, table, "last words");
    regions[1].sync(2_000);
    let update = TableUpdate { name: "t".to_string(), remove: vec![slot(1)], ..Default::default() };
    let change = Box::new(Change::Update(update));
    regions[0].handle(2_001, Event::Define { request: RequestId(0), change });
    regions[0].sync(2_001);
    exchange(2_002, &mut regions);
    exchange(2_302, &mut regions);
    assert_eq!(regions[0].read(table), text("last words"));
    assert!(regions[1].store.rows(table, None, 9).is_empty());
    assert!(regions[1].traces.contains(&Trace::ReplicaRemoved(table)));
    let entry = regions[0].node.catalog.get(table).expect("kept").clone();
    assert_eq!(regions[0].node.catalog.replicas(&entry).len(), 1);
}

#[test]
fn replicas_come_and_go_one_after_the_other() {
    let mut regions = [Region::new(0), Region::new(1)];
    shared_table(&mut regions);
    let home = &mut regions[0];
    home.replicate_to(2_000, 2);
    // The region that comes may lack rows of the one that goes.
    let creating = Outcome::Denied(DefineRefusal::ReplicaCreating(slot(2)));
    assert_eq!(home.update(2_001, &[], &[1]), creating);
    let mut regions = [Region::new(0), Region::new(1)];
    shared_table(&mut regions);
    assert!(matches!(regions[0].update(2_000, &[], &[1]), Outcome::Defined(_)));
    let leaving = Outcome::Denied(DefineRefusal::ReplicaLeaving(slot(1)));
    assert_eq!(regions[0].update(2_001, &[2], &[]), leaving);
    exchange(2_002, &mut regions);
    exchange(2_302, &mut regions);
    regions[0].replicate_to(2_600, 2);
}

#[test]
fn a_replica_that_comes_later_has_the_earlier_conflicts() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = shared_table(&mut regions);
    regions[0].put(2_000, table, "a");
    regions[1].put(2_000, table, "b");
    regions.iter_mut().for_each(|region| region.sync(2_000));
    exchange(2_001, &mut regions);
    let [mut home, _] = regions;
    home.update(2_300, &[2], &[]);
    // The feed has passed the ledger's entry before the new region was a holder.
    let mut regions = [home, Region::new(2)];
    exchange_as(2_301, &mut regions, [0, 2]);
    assert_eq!(regions[1].read(table), text("b"));
    assert_eq!(regions[1].ledger(), 1);
}

#[test]
fn an_acknowledgement_travels_behind_every_row_written_before_it() {
    let mut region = Region::new(0);
    let (me, table) = (region.node.me, region.create(1_000));
    region.replicate_to(1_001, 1);
    for ms in 0..crate::limits::FEED_ROWS_MAX as u64 {
        let key = PrimaryKey { partition: KeyValue::S(ms.to_string()), sort: None };
        let item = [("id".to_string(), AttributeValue::S(ms.to_string()))];
        let op = Box::new(WriteOp::new(key, Action::Put(item.into())));
        region.handle(1_002 + ms, Event::Write { request: RequestId(ms), table, op });
    }
    region.sync(2_000);
    let mut progress = region.node.progress();
    progress.applied = [(Origin::new(slot(1), 1), Hlc::from_parts(9, 0))].into();
    let mut feed = Feed::new(me, slot(1));
    feed.receive(Request::Subscribe { after: Hlc::ZERO });
    let mut pages = vec![];
    while let Some(Frame::Rows(page)) = feed.next(at(3_000), &progress, &region.store) {
        pages.push((page.is_last(), page.applied.len()));
    }
    assert_eq!(pages.pop(), Some((true, 1)));
    assert!(!pages.is_empty() && pages.iter().all(|page| *page == (false, 0)), "{pages:?}");
}

#[test]
fn a_new_replica_does_not_wait_for_a_region_that_died_meanwhile() {
    let mut regions = [Region::new(0), Region::new(1)];
    let table = regions[0].create(1_000);
    regions[0].replicate_to(1_001, 2);
    regions[0].replicate_to(1_002, 1);
    regions[1].handle(1_003, Event::Linked { peer: slot(2) });
    exchange(1_004, &mut regions);
    assert!(!regions[1].traces.contains(&Trace::ReplicaActive(table)));
    regions[1].handle(1_300, Event::Unlinked { peer: slot(2) });
    assert!(regions[1].traces.contains(&Trace::ReplicaActive(table)));
}
