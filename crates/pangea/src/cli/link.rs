//! `pangea link`: cut and heal the replication between two regions.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, Output, out};
use crate::config::{Region, Topology};
use crate::http_client::{Ask, Client};

/// A region has this long to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What to do with links.
#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Cut a link: neither region hears of the other's writes
    Cut {
        #[command(flatten)]
        pair: Pair,
        /// Keep connections open and let nothing pass, as a real split does
        #[arg(long)]
        blackhole: bool,
    },
    /// Heal a link: end every fault on it
    Heal(Pair),
    /// Delay a link beyond the topology's distance
    Delay {
        #[command(flatten)]
        pair: Pair,
        /// One way, ms
        #[arg(long, value_name = "MS")]
        delay_ms: u64,
    },
    /// List the links with their lag
    List,
}

/// Two regions, in either order.
#[derive(Debug, Args)]
pub struct Pair {
    /// One end
    #[arg(value_name = "A")]
    pub a: String,
    /// The other end
    #[arg(value_name = "B")]
    pub b: String,
}

/// Runs the command.
///
/// # Errors
/// A region cannot be told.
pub fn run(context: &Context, command: &LinkCommand) -> anyhow::Result<ExitCode> {
    let topology = context.topology()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        LinkCommand::Cut { pair, blackhole } => {
            let fault = json!({"action": "cut", "blackhole": blackhole});
            runtime.block_on(both(&topology, pair, fault))?;
            out::note(&format!("cut: {} and {} do not hear each other", pair.a, pair.b));
        }
        LinkCommand::Heal(pair) => {
            runtime.block_on(both(&topology, pair, json!({"action": "heal"})))?;
            out::note(&format!("healed: {} and {}", pair.a, pair.b));
        }
        LinkCommand::Delay { pair, delay_ms } => {
            let fault = json!({"action": "delay", "delay_ms": delay_ms});
            runtime.block_on(both(&topology, pair, fault))?;
            out::note(&format!("{} and {} are {delay_ms} ms apart, one way", pair.a, pair.b));
        }
        LinkCommand::List => {
            let status = runtime.block_on(crate::status::fetch(topology.edge.operator))?;
            list(context, &status.links)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells both ends; the first one that cannot be told is an error, the other may have been told.
async fn both(topology: &Topology, pair: &Pair, fault: Value) -> anyhow::Result<()> {
    anyhow::ensure!(pair.a != pair.b, "a region has no link to itself");
    let region = |name: &str| {
        topology.region(name).with_context(|| format!("no region `{name}` in the topology"))
    };
    let (a, b) = (region(&pair.a)?, region(&pair.b)?);
    tell(a, &b.name, fault.clone()).await?;
    tell(b, &a.name, fault).await
}

async fn tell(region: &Region, peer: &str, mut fault: Value) -> anyhow::Result<()> {
    fault["peer"] = peer.into();
    let headers = [("content-type", "application/json")];
    let ask = Ask::post("/v1/faults", &headers, fault.to_string());
    let answer = Client::new(region.admin, TIMEOUT).ask(ask).await;
    let answer = answer.with_context(|| format!("cannot tell {}", region.name))?;
    let text = String::from_utf8_lossy(&answer.body);
    anyhow::ensure!(answer.status.is_success(), "{} refuses: {text}", region.name);
    Ok(())
}

fn list(context: &Context, links: &[crate::status::LinkStatus]) -> anyhow::Result<()> {
    if context.output == Output::Json {
        return Ok(out::json(&links)?);
    }
    out::line(&format!("{:<18}{:<18}{:<8}{:>8}{:>8}", "FROM", "TO", "STATE", "LAG MS", "RTT MS"));
    for link in links {
        let lag = link.lag_ms.map_or_else(|| "-".to_string(), |lag| format!("{lag:.0}"));
        let state = format!("{:?}", link.state).to_uppercase();
        let (from, to, rtt) = (&link.from, &link.to, link.rtt_ms);
        out::line(&format!("{from:<18}{to:<18}{state:<8}{lag:>8}{rtt:>8}"));
    }
    Ok(())
}
