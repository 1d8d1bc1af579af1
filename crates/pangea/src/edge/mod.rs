//! The edge process: one health truth, and everything that acts on it.
//!
//! Health machine, DNS server and accelerator share the traffic driver's snapshots; the operator
//! API and console show them beside what the regions say of themselves; the control APIs show the
//! same configuration in AWS's words. Nothing here is needed by a region.

mod control;
mod observe;
mod operator;
mod routing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pangea_core::health;
use pangea_core::id::RegionSlot;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Topology;
use crate::descriptors::Descriptors;
use crate::traffic::Handle;
use crate::{dns, http, l4, probe, process, reserve, traffic};

/// File descriptors of the edge itself: its listeners, the runtime, the log.
const OWN_DESCRIPTORS: u64 = 64;
/// File descriptors for one region: probes, and what is asked of it for the operator.
const REGION_DESCRIPTORS: u64 = 16;

/// What the edge's process is told.
#[derive(Clone, Debug)]
pub struct EdgeArgs {
    /// The whole deployment.
    pub topology: Topology,
    /// The deployment's data directory; the edge's own is `<data_dir>/edge`.
    pub data_dir: PathBuf,
}

/// What the edge's servers share.
#[derive(Debug)]
pub(crate) struct Edge {
    topology: Topology,
    traffic: Handle,
    dns: dns::Server,
    accelerator: Option<l4::Server>,
    observed: watch::Receiver<observe::Observed>,
}

/// Runs the edge until it is told to stop.
///
/// # Errors
/// An address cannot be bound, or the topology cannot be compiled to routing.
pub fn run(args: EdgeArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(serve(args.topology))
}

async fn serve(topology: Topology) -> anyhow::Result<ExitCode> {
    let (stop, stopped) = watch::channel(false);
    let probes = topology.regions.len() as u64 * REGION_DESCRIPTORS;
    let mut descriptors = Descriptors::claim(OWN_DESCRIPTORS + probes);
    // A sixteenth each, and the accelerator the rest. Those of HTTP first: however little that is,
    // they answer some connections more.
    let operators = descriptors.share_http(http::CONNECTIONS_MAX, (1, 16));
    let controls = descriptors.share_http(http::CONNECTIONS_MAX, (1, 15));
    let traffic = traffic::start(traffic_config(&topology)?)?;
    let mut config = dns::Config::new(topology.edge.dns);
    config.tcp_connections_max = descriptors.share(config.tcp_connections_max, 1, (1, 14));
    let dns = dns::Server::start(&config, traffic.snapshots())
        .await
        .with_context(|| format!("cannot serve DNS on {}", topology.edge.dns))?;
    let accelerator = accelerate(&topology, &traffic, &mut descriptors).await?;
    let operator = (bind(topology.edge.operator, "the operator API")?, operators);
    let control = (bind(topology.edge.control, "the control APIs")?, controls);
    let observed = observe::start(topology.clone());
    let edge = Arc::new(Edge { topology, traffic, dns, accelerator, observed });
    tracing::info!(
        dns = %edge.topology.edge.dns,
        accelerator = %edge.topology.edge.accelerator,
        operator = %edge.topology.edge.operator,
        control = %edge.topology.edge.control,
        "edge serves"
    );
    let shared = Arc::clone(&edge);
    tokio::spawn(http::serve(operator, stopped.clone(), move |request| {
        operator::answer(Arc::clone(&shared), request)
    }));
    tokio::spawn(http::serve(control, stopped, move |request| {
        control::answer(Arc::clone(&edge), request)
    }));
    process::told_to_stop().await?;
    stop.send_replace(true);
    Ok(ExitCode::SUCCESS)
}

fn bind(address: std::net::SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    reserve::listen(address).with_context(|| format!("cannot serve {what} on {address}"))
}

async fn accelerate(
    topology: &Topology,
    traffic: &Handle,
    descriptors: &mut Descriptors,
) -> anyhow::Result<Option<l4::Server>> {
    let Some(service) = topology.accelerated() else { return Ok(None) };
    let address = topology.edge.accelerator;
    let mut config = l4::Config::new(address, &service.name);
    // A connection is one of the client's and one to the region.
    let connections = descriptors.share(config.connections_max, 2, (1, 1));
    if connections < config.connections_max {
        tracing::warn!(
            connections,
            "few file descriptors: the accelerator takes fewer connections"
        );
    }
    config.connections_max = connections;
    let started = l4::Server::start(config, traffic.snapshots(), traffic.passive()).await;
    started.map(Some).with_context(|| format!("cannot accelerate on {address}"))
}

fn traffic_config(topology: &Topology) -> anyhow::Result<traffic::Config> {
    let mut targets: BTreeMap<RegionSlot, probe::Url> = BTreeMap::new();
    for region in &topology.regions {
        targets.insert(region.id, format!("http://{}/healthz", region.admin).parse()?);
    }
    let health = &topology.health;
    let micros = |ms: u64| u64::try_from(Duration::from_millis(ms).as_micros()).unwrap_or(u64::MAX);
    let mut config = traffic::Config::new(routing::config(topology)?, targets);
    config.health = health::Config {
        interval_us: micros(health.interval_ms),
        timeout_us: micros(health.timeout_ms),
        failure_threshold: health.failure_threshold,
        recovery_threshold: health.recovery_threshold,
        ..health::Config::default()
    };
    Ok(config)
}
