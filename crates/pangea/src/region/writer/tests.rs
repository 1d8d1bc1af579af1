//! The writer on a store that fails for a while: what its callers are told, and what its node
//! knows afterwards.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pangea_codec::disk::meta::Identity;
use pangea_core::catalog::TableEntry;
use pangea_core::index::{Index, IndexId, Projected};
use pangea_core::item::{AttributeValue, KeyValue, PrimaryKey};
use pangea_core::node::{NewTable, TableUpdate};
use pangea_core::table::{Action, KeyAttribute, KeyKind, Schema};

use super::*;
use crate::storage::memory::Memory;
use crate::storage::{
    Capabilities, Change as Row, Condition, Engine, Fault, Outcome as Done, View,
};

/// Items of a table: more than the node puts into an index at a time.
const ITEMS: u64 = 300;

/// What a disk does.
#[derive(Debug, Default)]
struct Mood {
    /// Commits that there is no room for.
    refuses: AtomicU64,
    /// After the next commit nothing can be read.
    breaks: AtomicBool,
    is_broken: AtomicBool,
}

#[derive(Debug)]
struct Moody {
    engine: Memory,
    mood: Arc<Mood>,
}

impl Engine for Moody {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        if self.mood.is_broken.load(SeqCst) {
            return Err(Fault::Read("injected".to_owned()));
        }
        self.engine.view()
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Row]) -> Result<Done, Fault> {
        let less = |left: u64| left.checked_sub(1);
        if self.mood.refuses.fetch_update(SeqCst, SeqCst, less).is_ok() {
            return Err(Fault::DiskFull { available: 0, reserve: 1 });
        }
        let done = self.engine.commit_if(conditions, changes);
        self.mood.is_broken.fetch_or(self.mood.breaks.load(SeqCst), SeqCst);
        done
    }

    fn health(&self) -> Result<(), Fault> {
        self.engine.health()
    }

    fn close(&self) {
        self.engine.close();
    }

    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }
}

/// Keeps what peers are asked.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<(RegionSlot, Request)>>>);

impl Peers for Heard {
    fn ask(&self, to: RegionSlot, request: Request) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((to, request));
    }
}

impl Heard {
    fn subscribed(&self, to: RegionSlot) -> bool {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().any(|(peer, it)| *peer == to && matches!(it, Request::Subscribe { .. }))
    }
}

struct Region {
    writer: Writer,
    store: Arc<Store>,
    mood: Arc<Mood>,
    heard: Heard,
}

fn slot(nth: u8) -> RegionSlot {
    RegionSlot::new(nth).expect("small")
}

impl Region {
    fn start() -> Self {
        let mood = Arc::<Mood>::default();
        let engine = Moody { engine: Memory::new(), mood: Arc::clone(&mood) };
        let (cluster, region) = ("test".to_owned(), "here".to_owned());
        let identity = Identity { cluster, region, slot: 0, incarnation: 1 };
        let (store, durable) = Store::with_engine(engine, identity).expect("an empty store");
        let (store, heard) = (Arc::new(store), Heard::default());
        let mut config = Config::new(slot(0), 500);
        config.founders = vec![slot(0), slot(1)];
        let (clock, peers) = (Clock::new(0), heard.clone());
        let shared = Arc::clone(&store);
        let writer = Writer::start(config, shared, durable, clock, peers, Suspicion::default());
        Self { writer: writer.expect("a thread"), store, mood, heard }
    }

    async fn define(&self, change: Change) -> TableEntry {
        match self.writer.define(change).await {
            Ok(Outcome::Defined(entry)) => *entry,
            other => panic!("{other:?}"),
        }
    }

    async fn create(&self) -> TableEntry {
        let partition = KeyAttribute { name: "id".to_owned(), kind: KeyKind::S };
        let new = NewTable {
            name: "t".to_owned(),
            schema: Schema { partition, sort: None },
            stream: None,
            on_demand: true,
            deletion_protection: false,
            tags: Default::default(),
            module: None,
            indexes: Vec::new(),
            options: Default::default(),
        };
        self.define(Change::Create(new)).await
    }

    async fn put(&self, table: TableId, nth: u64) -> Answer {
        let text = AttributeValue::S(nth.to_string());
        let key = PrimaryKey { partition: KeyValue::S(nth.to_string()), sort: None };
        let item = [("id".to_owned(), text.clone()), ("v".to_owned(), text)];
        self.writer.write(table, Box::new(WriteOp::new(key, Action::Put(item.into())))).await
    }

    async fn link(&self, peer: RegionSlot, up: bool) {
        self.writer.tell(Command::Link { peer, up }).await.expect("the writer lives");
    }

    /// Fails a write for want of room.
    async fn pause(&self, table: TableId) {
        self.mood.refuses.store(1, SeqCst);
        let refused = self.put(table, ITEMS).await;
        assert!(matches!(refused, Err(WriteFault::Refusing(_))), "{refused:?}");
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The node is not told of anything while the writer pauses, and must hear of links all the same:
/// a peer that is not subscribed to says nothing, and its link stays up.
#[tokio::test(flavor = "multi_thread")]
async fn links_that_come_and_go_in_a_pause_are_heard_of() {
    let region = Region::start();
    let table = region.create().await.id;
    region.link(slot(2), true).await;
    eventually("the peer is up", || region.writer.acked().borrow().reaches(slot(2))).await;
    region.pause(table).await;
    region.link(slot(1), true).await;
    region.link(slot(2), false).await;
    eventually("it is subscribed to", || region.heard.subscribed(slot(1))).await;
    let gone = || !region.writer.acked().borrow().reaches(slot(2));
    eventually("the other peer is not reached any more", gone).await;
}

/// After a failed commit the node begins anew, and hears of the links that there are. What it
/// decides then may fail as well, and must not be taken for done.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_first_commit_fails_begins_anew_once_more() {
    let region = Region::start();
    let table = region.create().await.id;
    for nth in 0..ITEMS {
        region.put(table, nth).await.expect("there is room");
    }
    region.link(slot(1), true).await;
    eventually("the peer is up", || region.writer.acked().borrow().reaches(slot(1))).await;
    let index = Index {
        id: IndexId(0),
        name: "by_v".to_owned(),
        local: false,
        partition: vec![KeyAttribute { name: "v".to_owned(), kind: KeyKind::S }],
        sort: Vec::new(),
        projected: Projected::All,
        options: Default::default(),
        vector: None,
    };
    let update = TableUpdate { name: "t".to_owned(), add_indexes: vec![index], ..<_>::default() };
    let entry = region.define(Change::Update(update)).await;
    // It is filled in two steps, the first of which fails, and so does what the next node begins.
    region.mood.refuses.store(2, SeqCst);
    let index = entry.indexes[0].id;
    let view = || region.store.snapshot().expect("it can be read");
    let is_ready = || view().is_index_ready(table, index).expect("it can be read");
    eventually("the index is full", is_ready).await;
    assert_eq!(view().count_index(table, index).expect("it can be read"), ITEMS);
    assert_eq!(region.mood.refuses.load(SeqCst), 0);
}

/// A store that can be read no more after a commit does not make it undone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_durable_is_not_told_as_refused() {
    let region = Region::start();
    let table = region.create().await.id;
    region.mood.breaks.store(true, SeqCst);
    let written = region.put(table, 1).await;
    assert!(matches!(written, Ok(Outcome::Written { .. })), "{written:?}");
    let refused = region.put(table, 2).await;
    assert!(matches!(refused, Err(WriteFault::Refusing(_))), "{refused:?}");
}
