//! The edge process. A stand-in until the traffic plane is whole: it asks the regions how they are.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::config::Topology;
use crate::region::{Answer, serve};
use crate::status::{self, RegionState, Status};

/// What the edge's process is told.
#[derive(Clone, Debug)]
pub struct EdgeArgs {
    /// The whole deployment.
    pub topology: Topology,
    /// The deployment's data directory; the edge's own is `<data_dir>/edge`.
    pub data_dir: PathBuf,
}

/// Runs the edge until it is told to stop.
///
/// # Errors
/// An address cannot be bound.
pub fn run(args: EdgeArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async move {
        let topology = args.topology;
        let shared = Arc::new(RwLock::new(String::new()));
        let published = Arc::clone(&shared);
        let answer = Answer::new(move |path| match path {
            status::PATH => published.read().map(|text| text.clone()).ok(),
            _ => None,
        });
        observe_into(&topology, &shared).await;
        serve(topology.edge.operator, answer).await?;
        tracing::info!(operator = %topology.edge.operator, "edge serves (stand-in)");
        let period = Duration::from_millis(topology.health.interval_ms);
        tokio::spawn(async move {
            loop {
                observe_into(&topology, &shared).await;
                tokio::time::sleep(period).await;
            }
        });
        crate::process::told_to_stop().await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn observe_into(topology: &Topology, shared: &RwLock<String>) {
    let text = serde_json::to_string(&observe(topology).await).unwrap_or_default();
    if let Ok(mut published) = shared.write() {
        *published = text;
    }
}

async fn observe(topology: &Topology) -> Status {
    let timeout = Duration::from_millis(topology.health.timeout_ms);
    let mut status = Status::unknown(topology);
    status.edge.pid = Some(std::process::id());
    for (index, region) in topology.regions.iter().enumerate() {
        match status::report(region.admin).await {
            Ok(report) => status.absorb(report),
            Err(error) => {
                status.regions[index].state = RegionState::Dead;
                status.regions[index].reason = Some(error.to_string());
            }
        }
        for known in &mut status.regions[index].services {
            let Some(service) = topology.service(&known.name) else { continue };
            let Some(endpoint) = service.endpoint.get(&region.name) else { continue };
            known.healthy = status::answers(*endpoint, &service.health_path, timeout).await;
        }
    }
    let first = status.regions.iter().find(|region| region.healthy).map(|r| r.name.clone());
    status.edge.accelerator_serves.clone_from(&first);
    for answer in status.edge.dns_answers.values_mut() {
        answer.clone_from(&first);
    }
    status
}
