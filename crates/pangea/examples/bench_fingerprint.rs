//! What fingerprints cost: the numbers alone, and a client's write from the node to the engine.
//!
//! Hypothesis: sixteen bytes cost two multiplications, 5 ns, so an item of 1 KB costs 0.3 us,
//! twice a write, and the bucket of a key another hash of 0.2 us. A write of 1 KB costs 15 us
//! without the disk; the API around it costs more than that again.
//!
//! `cargo run --release -p pangea --example bench_fingerprint`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use pangea::storage::memory::Memory;
use pangea::storage::{GroupView, Store};
use pangea_codec::disk::meta::Identity;
use pangea_core::fingerprint;
use pangea_core::id::{RegionSlot, RequestId, TableId};
use pangea_core::item::{AttributeValue, Attributes, KeyValue, PrimaryKey};
use pangea_core::merge::{Body, Stored, Version};
use pangea_core::node::{Change, Config, Effect, Event, NewTable, Node, Outcome};
use pangea_core::replica::Snapshot as _;
use pangea_core::table::{Action, KeyAttribute, KeyKind, Schema, WriteOp};
use pangea_core::time::{Hlc, Now, Stamp};

const WRITES: u64 = 100_000;
const KEYS: u64 = 10_000;

fn item(key: u64, bytes: usize) -> Attributes {
    let text = |name: &str, text: String| (name.to_owned(), AttributeValue::S(text));
    BTreeMap::from([
        text("id", format!("key-{key}")),
        text("v", "x".repeat(bytes)),
        text("kind", "an attribute beside it".to_owned()),
    ])
}

fn primary(key: u64) -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S(format!("key-{key}")), sort: None }
}

/// One region without a disk.
struct Region {
    node: Node,
    store: Store,
    wall_ms: u64,
}

impl Region {
    fn new() -> Self {
        let identity =
            Identity { cluster: "c".to_owned(), region: "r".to_owned(), slot: 0, incarnation: 1 };
        let (store, durable) = Store::with_engine(Memory::new(), identity).expect("memory opens");
        let slot = RegionSlot::new(0).expect("there is a first region");
        Self { node: Node::new(Config::new(slot, 500), durable), store, wall_ms: 1_000_000 }
    }

    /// A group of one event, as the writer does it; its outcome.
    fn handle(&mut self, event: Event) -> Option<Outcome> {
        self.wall_ms += 1;
        let now = Now { wall_ms: self.wall_ms, mono_us: self.wall_ms };
        let mut view = GroupView::new(self.store.snapshot().expect("memory reads"));
        let (mut effects, mut newest) = (Vec::new(), None);
        self.node.handle(now, event, &view, &mut effects);
        for effect in effects.drain(..) {
            if let Effect::Persist { token, batch } = effect {
                newest = Some(token);
                view.push(*batch);
            }
        }
        let token = newest?;
        self.store.write_group(view).expect("memory takes it");
        let view = GroupView::new(self.store.snapshot().expect("memory reads"));
        self.node.handle(now, Event::Persisted { token }, &view, &mut effects);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { outcome, .. } => Some(outcome),
            _ => None,
        })
    }

    fn create(&mut self) -> TableId {
        let partition = KeyAttribute { name: "id".to_owned(), kind: KeyKind::S };
        let new = NewTable {
            indexes: Vec::new(),
            options: Default::default(),
            name: "t".to_owned(),
            schema: Schema { partition, sort: None },
            stream: None,
            on_demand: true,
            deletion_protection: false,
            tags: BTreeMap::new(),
            module: None,
        };
        let change = Box::new(Change::Create(new));
        match self.handle(Event::Define { request: RequestId(0), change }) {
            Some(Outcome::Defined(entry)) => entry.id,
            other => panic!("no table: {other:?}"),
        }
    }
}

/// Microseconds of one write.
fn writes(bytes: usize) -> f64 {
    let mut region = Region::new();
    let table = region.create();
    let began = Instant::now();
    for n in 0..WRITES {
        let op = WriteOp::new(primary(n % KEYS), Action::Put(item(n % KEYS, bytes)));
        let request = RequestId(n);
        region.handle(Event::Write { request, table, op: Box::new(op) });
    }
    began.elapsed().as_secs_f64() * 1e6 / WRITES as f64
}

/// Nanoseconds of one item's number, and of its bucket.
fn numbers(bytes: usize) -> (f64, f64) {
    let slot = RegionSlot::new(0).expect("there is a first region");
    let stamp = Stamp { hlc: Hlc::from_parts(1, 0), origin: pangea_core::id::Origin::new(slot, 1) };
    let stored = Stored::single(Version::first(stamp, Body::live(item(1, bytes))));
    let (region, key) = (Region::new(), primary(1));
    let view = region.store.snapshot().expect("memory reads");
    let table = pangea_core::item::ItemKey { table: TableId(stamp), primary: key.clone() };
    let per = |began: Instant| began.elapsed().as_secs_f64() * 1e9 / WRITES as f64;
    let began = Instant::now();
    (0..WRITES).for_each(|_| {
        black_box(fingerprint::of_item(black_box(&key), black_box(&stored)));
    });
    let sum = per(began);
    let began = Instant::now();
    (0..WRITES).for_each(|_| {
        black_box(view.bucket(black_box(&table)));
    });
    (sum, per(began))
}

#[expect(clippy::print_stdout, reason = "figures for people")]
fn main() {
    for bytes in [100, 1_000, 10_000] {
        let (sum, bucket) = numbers(bytes);
        println!("{bytes:>6} B: fingerprint {sum:.0} ns, bucket {bucket:.0} ns");
        let mut all: Vec<f64> = (0..5).map(|_| writes(bytes)).collect();
        all.sort_by(f64::total_cmp);
        println!("{bytes:>6} B: a write without a disk {:.2} us (of five, the median)", all[2]);
    }
}
