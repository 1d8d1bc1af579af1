//! `pangea status`.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::screen::{self, View};
use super::{Context, NO, Output, out};
use crate::status::{self, Status};
use crate::supervise::client::{Client, Error, ProcessInfo};
use crate::supervise::observe;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Ask the edge at this operator address only, with or without http://
    #[arg(long, value_name = "URL")]
    operator: Option<String>,
}

pub(super) fn run(context: &Context, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let view = match &args.operator {
        Some(url) => {
            View { status: runtime.block_on(remote(url))?, processes: Vec::new(), stopping: false }
        }
        None => runtime.block_on(local(context))?,
    };
    match context.output {
        Output::Json => out::json(&view.status)?,
        Output::Table => screen::print(&view),
    }
    Ok(if view.status.healthy() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

async fn remote(url: &str) -> anyhow::Result<Status> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let address: SocketAddr =
        address.parse().with_context(|| format!("--operator {url}: write IP:port"))?;
    Ok(status::fetch(address).await?)
}

/// What answers at the topology's addresses, and what `up` knows of its processes.
async fn local(context: &Context) -> anyhow::Result<View> {
    let topology = context.topology()?;
    let processes: Vec<ProcessInfo> = match Client::new(&context.data_dir).list() {
        Ok(processes) => processes,
        Err(Error::NotRunning(_)) => Vec::new(),
        // What runs is shown all the same.
        Err(error) => {
            out::error(&error.into());
            Vec::new()
        }
    };
    let seen = observe::once(&topology).await;
    if processes.is_empty() && !seen.anyone {
        anyhow::bail!(
            "nothing is running: no `pangea up` on data directory {} and no answer from {}\n  \
             help: start one with `pangea up`, or name another with --data-dir or --operator",
            context.data_dir.display(),
            topology.edge.operator,
        );
    }
    let mut status = seen.status;
    observe::overlay(&mut status, &processes);
    Ok(View { status, processes, stopping: false })
}
