//! A region's process. A stand-in until the data plane is merged: it listens and reports itself.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Topology;
use crate::status::{RegionReport, RegionState};

#[path = "listen.rs"]
mod listen;

pub(crate) use listen::{Answer, serve};

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

/// Runs the region until it is told to stop.
///
/// # Errors
/// It is not in the topology, or an address cannot be bound.
pub fn run(args: RegionArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async move {
        let RegionArgs { topology, name, .. } = args;
        let region = topology
            .region(&name)
            .ok_or_else(|| anyhow::anyhow!("region `{name}` is not in the topology"))?;
        let report = RegionReport {
            name: name.clone(),
            state: RegionState::Active,
            pid: Some(std::process::id()),
            incarnation: 1,
            ..RegionReport::default()
        };
        let status = serde_json::to_string(&report)?;
        let answer = Answer::new(move |path| match path {
            "/healthz" => Some("ok".to_owned()),
            crate::status::PATH => Some(status.clone()),
            _ => None,
        });
        serve(region.dynamodb, answer.clone()).await?;
        serve(region.admin, answer).await?;
        tracing::info!(%name, dynamodb = %region.dynamodb, "region listens (stand-in)");
        crate::process::told_to_stop().await?;
        Ok(ExitCode::SUCCESS)
    })
}
