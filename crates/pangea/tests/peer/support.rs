//! Regions in this process on real sockets: real TLS, real links, stores in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pangea::peer::identity::{Identity, ensure_ca, ensure_region_cert};
use pangea::peer::link::{FeedSource, LinkEvent, Links, Local, Options, Peer, Role, Running};
use pangea_core::catalog::{Catalog, entry_key};
use pangea_core::id::{Origin, RegionSlot, RequestId, TableId};
use pangea_core::item::{AttributeValue, ItemKey, KeyValue, PrimaryKey};
use pangea_core::merge::{Body, Stored, Version};
use pangea_core::node::{Config, Effect, Event, Node, Outcome, Token};
use pangea_core::replica::{
    Applied, Batch, Collected, Durable, Entries, Entry, Frame, Progress, Rows, Snapshot,
};
use pangea_core::time::{Hlc, Now, Stamp};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::tools;

/// Conditions are waited for this long; a healthy run needs a fraction.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const NAMES: [&str; 3] = ["eu-west-1", "us-east-1", "ap-south-1"];

/// A directory that goes away with its test.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pangea-peer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("writable");
        Self(path)
    }

    pub(crate) fn identity(&self, region: &str, cluster: &str) -> Identity {
        ensure_ca(&self.0).expect("made");
        ensure_region_cert(&self.0, region, cluster).expect("made");
        Identity::load(&self.0, region).expect("loaded")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn slot(index: usize) -> RegionSlot {
    RegionSlot::new(u8::try_from(index).expect("small")).expect("small slot")
}

pub(crate) fn now() -> Now {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let mono = STARTED.get_or_init(Instant::now).elapsed();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Now {
        wall_ms: u64::try_from(wall.as_millis()).expect("this age"),
        mono_us: u64::try_from(mono.as_micros()).expect("a test"),
    }
}

/// A store in memory; every batch is durable at once.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    pub(crate) items: BTreeMap<ItemKey, Stored>,
    changelog: BTreeSet<(Origin, Hlc, ItemKey)>,
    tombstones: BTreeSet<(Origin, Hlc, ItemKey)>,
}

impl Memory {
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for (key, stored) in &batch.items {
            match stored {
                Some(stored) => self.items.insert(key.clone(), stored.clone()),
                None => self.items.remove(key),
            };
        }
        let indexes =
            [(&mut self.changelog, &batch.changelog), (&mut self.tombstones, &batch.tombstones)];
        for (index, changes) in indexes {
            for ((Stamp { hlc, origin }, key), put) in changes {
                let entry = (*origin, *hlc, key.clone());
                match put {
                    true => index.insert(entry),
                    false => index.remove(&entry),
                };
            }
        }
    }
}

/// A view of the store at one moment.
pub(crate) struct View(pub(crate) Arc<Memory>);

impl Snapshot for View {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        self.0.items.get(key).cloned()
    }

    fn changes(&self, origin: Origin, after: Hlc, to: Hlc, limit: usize) -> Vec<Entry> {
        let within = |of: Origin, hlc: Hlc| of == origin && hlc > after && hlc <= to;
        let entries = self.0.changelog.iter().filter(|(of, hlc, _)| within(*of, *hlc));
        let change = |(_, hlc, key): &(Origin, Hlc, ItemKey)| {
            let stored = self.0.items.get(key).cloned().expect("the index names rows");
            Entry { hlc: *hlc, key: key.clone(), stored }
        };
        entries.map(change).take(limit).collect()
    }

    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        let behind = |origin, hlc| after.is_none_or(|at| (origin, hlc) > (at.origin, at.hlc));
        let entries = self.0.tombstones.iter().filter(|(_, _, key)| key.table == table);
        let entries = entries.filter(|(origin, hlc, _)| behind(*origin, *hlc)).take(limit);
        entries
            .map(|(origin, hlc, key)| (Stamp { hlc: *hlc, origin: *origin }, key.clone()))
            .collect()
    }

    fn newest(&self, origin: Origin) -> Hlc {
        let of_origin = self.0.changelog.iter().rev().find(|(of, _, _)| *of == origin);
        of_origin.map(|(_, hlc, _)| *hlc).unwrap_or_default()
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        let within = |key: &ItemKey| key.table == table && after.is_none_or(|a| key.primary > *a);
        let rows = self.0.items.iter().filter(|(key, _)| within(key));
        rows.map(|(key, stored)| (key.clone(), stored.clone())).take(limit).collect()
    }
}

pub(crate) type Store = Arc<Mutex<Arc<Memory>>>;

pub(crate) struct Source {
    pub(crate) store: Store,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl FeedSource for Source {
    type View = View;

    fn now(&self) -> Now {
        now()
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    fn view(&self) -> anyhow::Result<View> {
        Ok(View(Arc::clone(&self.store.lock().expect("no panic"))))
    }

    fn check(&self, _view: &View) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Takes events until one gives a value.
pub(crate) async fn until<T>(
    running: &mut Running,
    mut wanted: impl FnMut(LinkEvent) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = running.events.recv().await.expect("the links run");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("in time")
}

/// The life in which a peer came up.
pub(crate) async fn up(running: &mut Running) -> u16 {
    until(running, |event| match event {
        LinkEvent::Up { incarnation, .. } => Some(incarnation),
        _ => None,
    })
    .await
}

/// Why a link went down.
pub(crate) async fn down(running: &mut Running) -> String {
    until(running, |event| match event {
        LinkEvent::Down { reason, .. } => Some(reason),
        _ => None,
    })
    .await
}

/// The next frame of rows.
pub(crate) async fn rows_frame(running: &mut Running) -> Rows {
    until(running, |event| match event {
        LinkEvent::Frame { frame: Frame::Rows(rows), .. } => Some(rows),
        LinkEvent::Down { reason, .. } => panic!("{reason}"),
        _ => None,
    })
    .await
}

/// A store of region 1 with that many catalog rows, which go to everyone, stamped 1 ms and up.
pub(crate) fn rows(count: u64, body: impl Fn(u64) -> Body) -> (Store, Progress) {
    let origin = Origin::new(slot(1), 1);
    let mut batch = Batch::default();
    for ms in 1..=count {
        let stamp = Stamp { hlc: Hlc::from_parts(ms, 0), origin };
        let partition = KeyValue::S(format!("row {ms}"));
        let primary = PrimaryKey { partition, ..entry_key(TableId::LEDGER).primary };
        let key = ItemKey { table: TableId::CATALOG, primary };
        let stored = Stored::single(Version::first(stamp, body(ms)));
        let (me, own_before, added) = (origin, Hlc::ZERO, Some(stamp));
        batch.put(key, stored, Entries { me, own_before, added, replaced: Vec::new() });
    }
    let store = Store::default();
    Arc::make_mut(&mut store.lock().expect("no panic")).apply(&batch);
    let closed = Hlc::from_parts(count, 0);
    let catalog = Arc::new(Catalog::default());
    let (applied, collected) = (Applied::new(), Arc::default());
    (store, Progress { closed, applied, catalog, collected })
}

/// An item of so many bytes that does not become shorter by compression.
pub(crate) fn noise(bytes: usize) -> Body {
    let mut out = vec![0; bytes];
    getrandom::fill(&mut out).expect("random");
    Body::live([("noise".to_owned(), AttributeValue::B(out))].into())
}

/// Where regions listen, who they are, how far apart.
pub(crate) struct World {
    pub(crate) dir: Dir,
    pub(crate) addresses: Vec<SocketAddr>,
    listeners: Vec<Option<TcpListener>>,
    /// Of regions without a node: a feed whose publisher is gone ends.
    publishers: Vec<watch::Sender<Progress>>,
    pub(crate) one_way: Duration,
    pub(crate) options: Options,
}

impl World {
    pub(crate) async fn new(regions: usize, one_way: Duration) -> Self {
        tools::log();
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for _ in 0..regions {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            addresses.push(listener.local_addr().expect("bound"));
            listeners.push(Some(listener));
        }
        let (publishers, options) = (Vec::new(), Options::default());
        Self { dir: Dir::new(), addresses, listeners, publishers, one_way, options }
    }

    pub(crate) fn local(index: usize) -> Local {
        Local {
            cluster_id: *b"the test cluster",
            cluster: "pangea".to_owned(),
            slot: slot(index),
            name: NAMES[index].to_owned(),
            incarnation: 1,
        }
    }

    pub(crate) fn links(&self, index: usize) -> Links {
        let others = (0..self.addresses.len()).filter(|&other| other != index);
        let peers = others.map(|other| self.peer(other)).collect();
        Links::new(Self::local(index), peers, self.options)
    }

    /// A region as others know it.
    pub(crate) fn peer(&self, index: usize) -> Peer {
        Peer {
            slot: slot(index),
            name: NAMES[index].to_owned(),
            address: self.addresses[index].to_string(),
            delay: self.one_way,
        }
    }

    /// The region's listener: bound in advance the first time, bound again later.
    pub(crate) async fn listener(&mut self, index: usize) -> TcpListener {
        match self.listeners[index].take() {
            Some(listener) => listener,
            // Whoever had it was dropped, and its task ends when the runtime comes to it.
            None => loop {
                match TcpListener::bind(self.addresses[index]).await {
                    Ok(listener) => break listener,
                    Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            },
        }
    }

    /// Starts the links of a region without a node, on an empty store.
    pub(crate) async fn bare(&mut self, index: usize) -> (Links, Running) {
        let Source { store, progress } = self.empty_source();
        self.start_links(index, store, progress).await
    }

    /// An empty store that nobody writes.
    pub(crate) fn empty_source(&mut self) -> Source {
        let (closed, applied, catalog) = (Hlc::ZERO, Applied::new(), Arc::default());
        let collected = Arc::default();
        let publisher = watch::Sender::new(Progress { closed, applied, catalog, collected });
        let progress = publisher.subscribe();
        self.publishers.push(publisher);
        Source { store: Store::default(), progress }
    }

    pub(crate) async fn bare_with(
        &mut self,
        index: usize,
        store: Store,
        progress: Progress,
    ) -> (Links, Running) {
        let publisher = watch::Sender::new(progress);
        let progress = publisher.subscribe();
        self.publishers.push(publisher);
        self.start_links(index, store, progress).await
    }

    pub(crate) async fn start_links(
        &mut self,
        index: usize,
        store: Store,
        progress: watch::Receiver<Progress>,
    ) -> (Links, Running) {
        let listener = self.listener(index).await;
        let identity = self.dir.identity(NAMES[index], "pangea");
        let links = self.links(index);
        let source = Source { store, progress };
        let running = links.start(listener, &identity, source).expect("a good identity");
        (links, running)
    }

    pub(crate) async fn region(&mut self, index: usize) -> Region {
        let config = Config::new(slot(index), 500);
        let (incarnation, last) = (1, Hlc::ZERO);
        let (applied, catalog) = (Applied::new(), Catalog::default());
        let collected = Collected::new();
        let node = Node::new(
            config,
            Durable {
                fills: Default::default(),
                journaled: 0,
                reborn: false,
                incarnation,
                last,
                applied,
                catalog,
                collected,
                fingerprints: Default::default(),
            },
        );
        let store = Store::default();
        let publish = watch::Sender::new(node.progress());
        let (links, running) =
            self.start_links(index, Arc::clone(&store), publish.subscribe()).await;
        let (commands, inbox) = mpsc::unbounded_channel();
        let driver = Driver {
            node,
            store: Arc::clone(&store),
            links: links.clone(),
            publish,
            waiting: BTreeMap::new(),
        };
        let task = tokio::spawn(driver.run(running, inbox));
        Region { links, store, commands, task }
    }
}

/// A client's wish: makes the event from the request it will be answered under.
type Command = (Box<dyn FnOnce(RequestId) -> Event + Send>, oneshot::Sender<Outcome>);

/// A node, driven.
pub(crate) struct Region {
    pub(crate) links: Links,
    pub(crate) store: Store,
    commands: mpsc::UnboundedSender<Command>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Region {
    /// As `kill -9` does: sockets close, nothing else happens.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Region {
    pub(crate) async fn ask(
        &self,
        event: impl FnOnce(RequestId) -> Event + Send + 'static,
    ) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        self.commands.send((Box::new(event), reply)).expect("the driver runs");
        outcome.await.expect("the driver answers")
    }

    pub(crate) fn is_linked(&self, peer: usize) -> bool {
        let stats = self.links.stats();
        stats.iter().any(|link| link.peer == slot(peer) && link.role == Role::Subscriber && link.up)
    }

    pub(crate) fn items(&self) -> BTreeMap<ItemKey, Stored> {
        self.store.lock().expect("no panic").items.clone()
    }
}

struct Driver {
    node: Node,
    store: Store,
    links: Links,
    publish: watch::Sender<Progress>,
    waiting: BTreeMap<RequestId, oneshot::Sender<Outcome>>,
}

impl Driver {
    async fn run(mut self, mut running: Running, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut timer = tokio::time::interval(Duration::from_millis(10));
        for number in 0_u64.. {
            let event = tokio::select! {
                event = running.events.recv() => match event {
                    Some(LinkEvent::Up { peer, .. }) => Event::Linked { peer },
                    Some(LinkEvent::Down { peer, .. }) => Event::Unlinked { peer },
                    Some(LinkEvent::Frame { peer, frame, .. }) => {
                        Event::Received { from: peer, frame }
                    }
                    Some(LinkEvent::Heartbeat { .. }) => continue,
                    None => return,
                },
                Some((event, reply)) = inbox.recv() => {
                    self.waiting.insert(RequestId(number), reply);
                    event(RequestId(number))
                }
                _ = timer.tick() => Event::Timer,
            };
            let mut next = Some(event);
            while let Some(event) = next {
                next = self.handle(event).map(|token| Event::Persisted { token });
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<Token> {
        let (mut effects, mut newest) = (Vec::new(), None);
        let view = View(Arc::clone(&self.store.lock().expect("no panic")));
        self.node.handle(now(), event, &view, &mut effects);
        drop(view);
        for effect in effects {
            match effect {
                Effect::Reborn => unreachable!("nobody is evicted"),
                Effect::Persist { token, batch } => {
                    Arc::make_mut(&mut self.store.lock().expect("no panic")).apply(&batch);
                    newest = Some(token);
                }
                Effect::Reply { request, outcome } => {
                    let reply = self.waiting.remove(&request).expect("asked");
                    reply.send(outcome).ok();
                }
                Effect::Send { to, request } => {
                    self.links.ask(to, request);
                }
                Effect::Publish(progress) => {
                    self.publish.send_replace(progress);
                }
                Effect::Acknowledged(_) | Effect::Trace(_) => {}
            }
        }
        newest
    }
}
