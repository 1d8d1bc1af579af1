//! A region's process: one store, one writer, the DynamoDB API, the admin API, links to peers.
//!
//! Always true: a request is answered from this process alone, unless it asks for more: a session
//! that has seen more than this region, a write that shall be on disk elsewhere too, a read of
//! several regions. Peers bring frames and are fed; no other client waits for them.

mod admin;
mod api;
mod collection;
mod conflicts;
mod durable;
mod feed;
mod forward;
mod functions;
mod health;
mod ids;
mod injection;
mod members;
mod observe;
mod pace;
mod reads;
mod repair;
mod services;
mod session;
mod settings;
mod tokens;
mod ttl;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use pangea_codec::disk::meta::Identity as StoreIdentity;
use pangea_core::catalog::{Catalog, Directory};
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::index::IndexId;
use pangea_core::limits::CLOCK_SKEW_MS_MAX;
use pangea_core::node::{Collect, Config};
use pangea_core::replica::{Durable, Frame};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::config::{self, Topology};
use crate::descriptors::Descriptors;
use crate::peer::identity::{self, Identity, ensure_ca, ensure_region_cert};
use crate::peer::link::{LinkEvent, Links, Local, Peer, Running};
use crate::reserve::{Reserved, reserve};
use crate::storage::{DiskSwitch, Store};
use crate::{http, process};
use writer::{Command, Writer};

/// How long a table's approximate size is shown before it is counted again; AWS: six hours.
const SIZE_LIFETIME: Duration = Duration::from_secs(10);

/// File descriptors of a region itself: the store, the log, the runtime, and the connections of the
/// peer port that have not introduced themselves.
const OWN_DESCRIPTORS: u64 = 64 + 128;
/// File descriptors for one peer: the streams of both links, and requests that are sent on.
const PEER_DESCRIPTORS: u64 = 2 * 17 + 16;

/// What a region's process is told.
#[derive(Clone, Debug)]
pub struct RegionArgs {
    /// The whole deployment.
    pub topology: Topology,
    /// Which region this process is.
    pub name: String,
    /// The deployment's data directory; the region's own is `<data_dir>/<name>`.
    pub data_dir: PathBuf,
}

/// What the region's servers share.
#[derive(Debug)]
pub(crate) struct Region {
    topology: Topology,
    name: String,
    slot: RegionSlot,
    store: Arc<Store>,
    pace: pace::Pace,
    writer: Writer,
    links: Links,
    clock: Clock,
    certificate: Identity,
    services: services::Services,
    injection: injection::Injection,
    functions: functions::Functions,
    repairs: repair::Repairs,
    counts: Counts,
    sizes: Mutex<HashMap<TableId, Size>>,
    sessions: session::Sessions,
    forwards: forward::Forwards,
    durability: durable::Durability,
    reads: reads::Reads,
    tokens: tokens::Tokens,
    /// Held while a change of a table is checked and made: of two at one instant the second is
    /// checked against what the first made of the table.
    changing: tokio::sync::Mutex<()>,
    transfers: api::Transfers,
    auth: api::auth::Auth,
    load: api::front::Load,
    ids: ids::Ids,
    expiries: ttl::Expiries,
}

#[derive(Clone, Debug)]
struct Size {
    counted: Instant,
    items: u64,
    bytes: u64,
    /// Entries of each index.
    indexes: BTreeMap<IndexId, u64>,
}

/// Requests since the process began.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    writes: AtomicU64,
    errors: AtomicU64,
}

/// Runs the region until it is told to stop.
///
/// # Errors
/// It is not in the topology, its data is another's, or an address cannot be bound.
pub fn run(args: RegionArgs) -> anyhow::Result<ExitCode> {
    // Never dropped: a read or the writer may still be at work, and the process ends now.
    let runtime = ManuallyDrop::new(tokio::runtime::Runtime::new()?);
    runtime.block_on(Box::pin(serve(args)))
}

async fn serve(args: RegionArgs) -> anyhow::Result<ExitCode> {
    let RegionArgs { topology, name, data_dir } = args;
    let known = topology.region(&name).cloned();
    let known = known.with_context(|| format!("region `{name}` is not in the topology"))?;
    let peers = topology.regions.len() as u64 * PEER_DESCRIPTORS;
    let mut descriptors = Descriptors::claim(OWN_DESCRIPTORS + peers);
    let (dynamodb, admin) = (reserve(known.dynamodb, "DynamoDB")?, reserve(known.admin, "admin")?);
    let tls = known.dynamodb_tls.map(|address| reserve(address, "DynamoDB over TLS"));
    let (tls, peers) = (tls.transpose()?, reserve(known.peer, "replication")?);
    ensure_ca(&data_dir)?;
    ensure_region_cert(&data_dir, &name, &topology.cluster)?;
    let certificate = Identity::load(&data_dir, &name)?;
    let (region, running) = open(topology, &known, &data_dir, certificate, peers)?;
    let (stop, stopped) = watch::channel(false);
    let wanted = region.topology.limits.connections;
    let parts = if tls.is_some() { (2, 5) } else { (4, 5) };
    let connections = descriptors.share_http(wanted, parts);
    if connections < wanted {
        tracing::warn!(connections, wanted, "few file descriptors: fewer connections are taken");
    }
    if let Some((address, tls)) = known.dynamodb_tls.zip(tls) {
        let files = known.certificate_file.as_deref().zip(known.key_file.as_deref());
        let config = identity::listener_config(&data_dir, &name, address.ip(), files)?;
        let (listener, shared) = (tls.listen()?, Arc::clone(&region));
        let (acceptor, stopped) = (TlsAcceptor::from(config), stopped.clone());
        let listener = (listener, descriptors.share_http(wanted, (2, 3)));
        tokio::spawn(http::serve_tls(listener, acceptor, stopped, move |request| {
            api::front::answer(Arc::clone(&shared), request)
        }));
    }
    tokio::spawn(pump(Arc::clone(&region), running));
    tokio::spawn(repair::keep(Arc::clone(&region)));
    tokio::spawn(ttl::keep(Arc::clone(&region)));
    tokio::spawn(api::restore::resume(Arc::clone(&region)));
    let shared = Arc::clone(&region);
    let dynamodb = (dynamodb.listen()?, connections);
    let api = tokio::spawn(http::serve(dynamodb, stopped.clone(), move |request| {
        api::front::answer(Arc::clone(&shared), request)
    }));
    let shared = Arc::clone(&region);
    let admin = (admin.listen()?, descriptors.share_http(http::CONNECTIONS_MAX, (1, 1)));
    tokio::spawn(http::serve(admin, stopped, move |request| {
        admin::answer(Arc::clone(&shared), request)
    }));
    tracing::info!(%name, dynamodb = %known.dynamodb, admin = %known.admin, "region serves");
    collection::warn_of_strangers(&region);
    process::told_to_stop().await?;
    stop.send_replace(true);
    // Requests under way are answered first; the admin API has none that matter.
    let _ = api.await;
    region.writer.close().await;
    tracing::info!(%name, "region has stopped");
    Ok(ExitCode::SUCCESS)
}

fn open(
    topology: Topology,
    known: &config::Region,
    data_dir: &std::path::Path,
    certificate: Identity,
    peers: Reserved,
) -> anyhow::Result<(Arc<Region>, Running)> {
    let (injects, disk) = (topology.faults.allow.unwrap_or(false), DiskSwitch::default());
    let filled = injects.then(|| disk.clone());
    let (store, durable) = open_store(&topology, known, data_dir, filled)?;
    let clock = Clock::new(known.clock_offset_ms);
    let local = Local {
        cluster_id: pangea_codec::peer::cluster_id(&topology.cluster),
        cluster: topology.cluster.clone(),
        slot: known.id,
        name: known.name.clone(),
        incarnation: durable.incarnation,
    };
    let secret = identity::session_secret(data_dir)?;
    let auth = api::auth::Auth::new(&topology, &known.name, &secret)?;
    let sessions = session::Sessions::new(&secret, local.cluster_id);
    let links = Links::new(local, peers_of(&topology, known), topology.replication.into());
    let functions = functions::Functions::load(&topology)?;
    let (node, asker) = (node_of(&topology, known, &functions), feed::Asker(links.clone()));
    let repairs = repair::Repairs::default();
    let (suspicion, shared) = (repairs.suspicion(), Arc::clone(&store));
    let writer = Writer::start(node, shared, durable, clock.clone(), asker, suspicion)?;
    let (progress, clock_of_feeds) = (writer.progress(), clock.clone());
    let (store_of_feeds, suspicion) = (Arc::clone(&store), repairs.suspicion());
    let source = feed::Source { store: store_of_feeds, progress, clock: clock_of_feeds, suspicion };
    let running = links.start(peers.listen()?, &certificate, source)?;
    let region = Region {
        name: known.name.clone(),
        slot: known.id,
        store,
        pace: pace::Pace::default(),
        writer,
        links,
        clock,
        certificate,
        services: services::watch(&topology, &known.name),
        injection: injection::Injection::new(injects, disk),
        functions,
        repairs,
        counts: Counts::default(),
        sizes: Mutex::default(),
        sessions,
        forwards: forward::Forwards::default(),
        durability: durable::Durability::default(),
        reads: reads::Reads::default(),
        tokens: tokens::Tokens::default(),
        changing: tokio::sync::Mutex::default(),
        transfers: api::Transfers::default(),
        auth,
        load: api::front::Load::new(topology.limits),
        ids: ids::Ids::new()?,
        expiries: ttl::Expiries::default(),
        topology,
    };
    Ok((Arc::new(region), running))
}

/// Opens the region's store, or begins one; with a switch that can fill its disk.
fn open_store(
    topology: &Topology,
    known: &config::Region,
    data_dir: &std::path::Path,
    filled: Option<DiskSwitch>,
) -> anyhow::Result<(Arc<Store>, Durable)> {
    let wanted = StoreIdentity {
        cluster: topology.cluster.clone(),
        region: known.name.clone(),
        slot: known.id.get(),
        incarnation: first_incarnation()?,
    };
    let (directory, storage) = (data_dir.join(&known.name), known.storage.into());
    let (store, durable) = match filled {
        Some(disk) => Store::open_fillable(&directory, storage, wanted, disk)?,
        None => Store::open(&directory, storage, wanted)?,
    };
    Ok((Arc::new(store), durable))
}

fn node_of(
    topology: &Topology,
    known: &config::Region,
    functions: &functions::Functions,
) -> Config {
    let mut node = Config::new(known.id, CLOCK_SKEW_MS_MAX);
    node.retention = topology.ledger.retention();
    node.ledger_per_minute = topology.ledger.rows_per_minute();
    node.journal = topology.streams.keep();
    node.collect = Some(Collect {
        cold_after_ms: topology.replication.cold_after_s.saturating_mul(1000),
        ..Collect::default()
    });
    node.relay_after_ms = topology.replication.relay_after_ms;
    node.clock = Some(pangea_core::clock::Config {
        refuse_ms: Some(topology.clock.refuse_ms).filter(|ms| *ms > 0),
        has_peers: topology.regions.len() > 1,
        ..pangea_core::clock::Config::DEFAULT
    });
    let regions = topology.regions.iter();
    let region =
        |region: &config::Region| (region.id, region.name.clone(), region.jurisdiction.clone());
    let directory = Directory::new(regions.map(region));
    node.directory = Arc::new(directory.with_functions(functions.runner()));
    node.founders = topology.regions.iter().filter(|it| !it.joins).map(|it| it.id).collect();
    node
}

/// The life that a store begins in when its directory is new.
///
/// Drawn at random, so that a region whose directory was lost does not continue the life that its
/// peers know: they tell it of the earlier one, and it refuses writes instead of diverging.
fn first_incarnation() -> anyhow::Result<u16> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).context("the kernel has no randomness")?;
    Ok(Origin::drawn(u16::from_be_bytes(random)))
}

fn peers_of(topology: &Topology, known: &config::Region) -> Vec<Peer> {
    let others = topology.regions.iter().filter(|other| other.name != known.name);
    let peer = |other: &config::Region| Peer {
        slot: other.id,
        name: other.name.clone(),
        address: other.peer.to_string(),
        delay: Duration::from_millis(topology.rtt_ms(&known.name, &other.name)) / 2,
    };
    others.map(peer).collect()
}

/// Hands what links have to say to the writer; a writer that is behind makes the links wait.
async fn pump(region: Arc<Region>, mut running: Running) {
    while let Some(event) = running.events.recv().await {
        let command = match event {
            LinkEvent::Up { peer, incarnation } => {
                tracing::info!(peer = region.region_name(peer), incarnation, "link is up");
                Command::Link { peer, up: true }
            }
            LinkEvent::Down { peer, reason } => {
                tracing::warn!(peer = region.region_name(peer), reason, "link is down");
                Command::Link { peer, up: false }
            }
            LinkEvent::Heartbeat { peer, wall_ms, round_trip, heard } => {
                let sample = region.clock.sample(wall_ms, round_trip, heard);
                Command::Heartbeat { peer, sample }
            }
            LinkEvent::Frame { peer, frame: Frame::Compared(answer), .. } => {
                region.repairs.answered(peer, answer);
                continue;
            }
            LinkEvent::Frame { peer, frame, room } => {
                pace::warm_all(&region, frame.rows()).await;
                Command::Frame { from: peer, frame, _room: room }
            }
        };
        if region.writer.tell(command).await.is_err() {
            return;
        }
    }
}

impl Region {
    /// The durable catalog.
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.writer.progress().borrow().catalog)
    }

    /// The name of the region at a slot, or the slot where the topology has none.
    fn region_name(&self, slot: RegionSlot) -> String {
        let known = self.topology.regions.iter().find(|region| region.id == slot);
        let added = || self.links.peers().into_iter().find(|peer| peer.slot == slot);
        let known = known.map(|region| region.name.clone());
        known.or_else(|| Some(added()?.name)).unwrap_or_else(|| slot.to_string())
    }

    /// The slot of the region of this name.
    fn slot_of(&self, name: &str) -> Option<RegionSlot> {
        let known = self.topology.region(name).map(|region| region.id);
        let added = || self.links.peers().into_iter().find(|peer| peer.name == name);
        known.or_else(|| Some(added()?.slot))
    }

    /// The distance to another region and back: as it is measured, or as it is declared.
    fn round_trip(&self, slot: RegionSlot) -> Duration {
        let declared = self.topology.rtt_ms(&self.name, &self.region_name(slot));
        let measured = self.links.round_trip(slot).unwrap_or_default();
        measured.max(Duration::from_millis(declared))
    }

    /// Names a request in logs and responses.
    fn request_id(&self) -> String {
        self.ids.next()
    }

    /// Items and bytes of a table as they were counted last, zero before the first count. Counting
    /// reads the whole table, so it is done aside, one count of a table at a time.
    fn table_size(self: &Arc<Self>, table: TableId) -> (u64, u64) {
        let mut sizes = self.sizes();
        let known = sizes.get(&table).cloned();
        let (items, bytes) =
            known.as_ref().map(|size| (size.items, size.bytes)).unwrap_or_default();
        if known.as_ref().is_none_or(|size| size.counted.elapsed() >= SIZE_LIFETIME) {
            let indexes = known.map(|size| size.indexes).unwrap_or_default();
            sizes.insert(table, Size { counted: Instant::now(), items, bytes, indexes });
            let region = Arc::clone(self);
            tokio::task::spawn_blocking(move || region.count(table));
        }
        (items, bytes)
    }

    /// Items and bytes of each index of a table, as they were counted with it; those of an item are
    /// taken for as many in an index as in the table.
    fn index_sizes(&self, table: TableId) -> BTreeMap<IndexId, (u64, u64)> {
        let sizes = self.sizes();
        let Some(size) = sizes.get(&table) else { return BTreeMap::new() };
        let mean = size.bytes.checked_div(size.items).unwrap_or_default();
        size.indexes.iter().map(|(index, items)| (*index, (*items, items * mean))).collect()
    }

    fn count(&self, table: TableId) {
        let Ok(view) = self.store.snapshot() else { return };
        let Ok((items, bytes)) = view.size(table) else { return };
        let catalog = self.catalog();
        let indexes = catalog.get(table).map(|entry| entry.indexes.as_slice()).unwrap_or_default();
        let entries = |id: IndexId| Some((id, view.count_index(table, id).ok()?));
        let indexes = indexes.iter().filter_map(|index| entries(index.id)).collect();
        self.sizes().insert(table, Size { counted: Instant::now(), items, bytes, indexes });
    }

    fn sizes(&self) -> MutexGuard<'_, HashMap<TableId, Size>> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds until the region's certificate expires.
    fn certificate_left_s(&self) -> Option<i64> {
        identity::expiry(self.certificate.certificate()).ok()
    }
}
