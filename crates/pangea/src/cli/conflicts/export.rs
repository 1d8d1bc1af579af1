//! `pangea conflicts export`: the ledger's own stream, one entry a line.

use std::process::ExitCode;

use clap::Args;

use super::{TIMEOUT, chosen, out};
use crate::config::Topology;
use crate::conflicts::ConflictPage;
use crate::http_client::{Ask, Client};

/// How long one request of the stream may wait for something to tell, ms: well below the timeout.
const WAIT_MS: u64 = 2000;

/// What to print.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The region whose ledger is read [default: the first of the topology]
    #[arg(long)]
    pub region: Option<String>,
    /// Go on behind this place, which an earlier export printed to stderr
    #[arg(long, default_value = "")]
    pub after: String,
    /// Wait for further entries, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

pub(super) async fn run(topology: &Topology, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let regions = chosen(topology, args.region.as_deref())?;
    let mut client = Client::new(regions[0].admin, TIMEOUT);
    let (mut after, mut count) = (args.after.clone(), 0_u64);
    loop {
        let wait_ms = if args.follow { WAIT_MS } else { 0 };
        let path = format!("/v1/conflicts/stream?after={after}&wait_ms={wait_ms}");
        let answer = client.ask(Ask::get(&path)).await?;
        anyhow::ensure!(answer.status.is_success(), "{}", super::problem_of(&answer.body));
        let page: ConflictPage = serde_json::from_slice(&answer.body)?;
        for conflict in &page.conflicts {
            out::line(&serde_json::to_string(conflict)?);
        }
        if out::lost().is_some() {
            return Ok(ExitCode::SUCCESS);
        }
        count += page.conflicts.len() as u64;
        let next = page.next.unwrap_or_default();
        let done = next == after;
        after = next;
        if done && !args.follow {
            out::note(&format!("{count} entries; go on with --after {after}"));
            return Ok(ExitCode::SUCCESS);
        }
    }
}
