//! Regions in this process on real sockets: real TLS, real links, stores in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pangea::peer::identity::{Identity, ensure_ca, ensure_region_cert};
use pangea::peer::link::{FeedSource, LinkEvent, Links, Local, Peer, Role, Running};
use pangea_core::catalog::Catalog;
use pangea_core::id::{Origin, RegionSlot, RequestId, TableId};
use pangea_core::item::{ItemKey, PrimaryKey};
use pangea_core::merge::Stored;
use pangea_core::node::{Config, Effect, Event, Node, Outcome, Token};
use pangea_core::replica::{Applied, Batch, Durable, Entry, Progress, Snapshot};
use pangea_core::time::{Hlc, Now, Stamp};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

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
}

impl Memory {
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for (key, stored) in &batch.items {
            match stored {
                Some(stored) => self.items.insert(key.clone(), stored.clone()),
                None => self.items.remove(key),
            };
        }
        for ((Stamp { hlc, origin }, key), put) in &batch.changelog {
            let entry = (*origin, *hlc, key.clone());
            match put {
                true => self.changelog.insert(entry),
                false => self.changelog.remove(&entry),
            };
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

/// Where regions listen, who they are, how far apart.
pub(crate) struct World {
    pub(crate) dir: Dir,
    pub(crate) addresses: Vec<SocketAddr>,
    listeners: Vec<Option<TcpListener>>,
    /// Of regions without a node: a feed whose publisher is gone ends.
    publishers: Vec<watch::Sender<Progress>>,
    pub(crate) one_way: Duration,
}

impl World {
    pub(crate) async fn new(regions: usize, one_way: Duration) -> Self {
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for _ in 0..regions {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            addresses.push(listener.local_addr().expect("bound"));
            listeners.push(Some(listener));
        }
        Self { dir: Dir::new(), addresses, listeners, publishers: Vec::new(), one_way }
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
        let peers = others.map(|other| Peer {
            slot: slot(other),
            name: NAMES[other].to_owned(),
            address: self.addresses[other].to_string(),
            delay: self.one_way,
        });
        Links::new(Self::local(index), peers.collect())
    }

    /// The region's listener: bound in advance the first time, bound again later.
    pub(crate) async fn listener(&mut self, index: usize) -> TcpListener {
        match self.listeners[index].take() {
            Some(listener) => listener,
            None => TcpListener::bind(self.addresses[index]).await.expect("the port again"),
        }
    }

    /// Starts the links of a region without a node, on an empty store.
    pub(crate) async fn bare(&mut self, index: usize) -> (Links, Running) {
        let progress =
            Progress { closed: Hlc::ZERO, applied: Applied::new(), catalog: Arc::default() };
        self.bare_with(index, Store::default(), progress).await
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
        let node = Node::new(config, Durable { incarnation, last, applied, catalog });
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
                    Some(LinkEvent::Frame { peer, frame }) => Event::Received { from: peer, frame },
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
                Effect::Trace(_) => {}
            }
        }
        newest
    }
}
