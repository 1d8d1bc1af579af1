//! `pangea link`: cut, slow and heal the replication between two regions.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};

use super::{Context, Output, out};
use crate::config::{Region, Topology};
use crate::inject::{self, Direction, Fault};

/// What to do with links.
#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Cut a link: neither region hears of the other's writes
    Cut {
        #[command(flatten)]
        pair: Pair,
        /// Only what A writes does not reach B; what B writes reaches A
        #[arg(long)]
        one_way: bool,
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
        /// One way, ms, 60000 at most
        #[arg(long, value_name = "MS", value_parser = delay())]
        delay_ms: u64,
    },
    /// Make a link slow: more distance, less bandwidth, or both
    Slow {
        #[command(flatten)]
        pair: Pair,
        /// Delay beyond the topology's distance, one way, ms, 60000 at most with it
        #[arg(long, value_name = "MS", value_parser = delay())]
        #[arg(required_unless_present = "kbytes_per_s")]
        delay_ms: Option<u64>,
        /// Most that each end sends, kilobytes a second, 1 to 10000000
        #[arg(long, value_name = "KB", value_parser = rate())]
        kbytes_per_s: Option<u64>,
    },
    /// List the links with their lag
    List,
}

/// Milliseconds of delay.
pub(super) fn delay() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(0..=inject::DELAY_MS_MAX)
}

/// Kilobytes a second.
pub(super) fn rate() -> RangedU64ValueParser {
    let (least, most) = (inject::BYTES_PER_S_MIN / 1000, inject::BYTES_PER_S_MAX / 1000);
    RangedU64ValueParser::new().range(least..=most)
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
    let apply = |pair: &Pair, fault: &dyn Fn(Direction, String) -> Vec<Fault>, said: String| {
        runtime.block_on(both(&topology, pair, fault))?;
        out::note(&said);
        anyhow::Ok(())
    };
    match command {
        LinkCommand::Cut { pair, one_way, blackhole } => {
            let cut = |towards, peer| {
                let direction = if *one_way { towards } else { Direction::Both };
                vec![Fault::Cut { peer, direction, blackhole: *blackhole }]
            };
            let (a, b) = (&pair.a, &pair.b);
            let said = match one_way {
                true => format!("cut: {b} does not hear {a}"),
                false => format!("cut: {a} and {b} do not hear each other"),
            };
            apply(pair, &cut, said)?;
        }
        LinkCommand::Heal(pair) => {
            let heal = |_, peer| vec![Fault::Heal { peer }];
            apply(pair, &heal, format!("healed: {} and {}", pair.a, pair.b))?;
        }
        LinkCommand::Delay { pair, delay_ms } => {
            let delay = |_, peer| vec![Fault::Delay { peer, delay_ms: *delay_ms }];
            let said = format!("{} and {} are {delay_ms} ms apart, one way", pair.a, pair.b);
            apply(pair, &delay, said)?;
        }
        LinkCommand::Slow { pair, delay_ms, kbytes_per_s } => {
            let base_ms = topology.rtt_ms(&pair.a, &pair.b) / 2;
            let slow = |_, peer| slow(peer, delay_ms.map(|ms| base_ms + ms), *kbytes_per_s);
            apply(pair, &slow, format!("slow: {} and {}", pair.a, pair.b))?;
        }
        LinkCommand::List => {
            let status = runtime.block_on(crate::status::fetch(topology.edge.operator))?;
            list(context, &status.links)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn slow(peer: String, delay_ms: Option<u64>, kbytes_per_s: Option<u64>) -> Vec<Fault> {
    let delay = delay_ms.map(|delay_ms| Fault::Delay { peer: peer.clone(), delay_ms });
    let bytes_per_s = kbytes_per_s.map(|kilobytes| kilobytes * 1000);
    let limit = bytes_per_s.map(|rate| Fault::Limit { peer, bytes_per_s: Some(rate) });
    delay.into_iter().chain(limit).collect()
}

/// Tells both ends: each hears the other's name, and which way it sees the rows from A to B go.
///
/// The first end that cannot be told is an error; the other may have been told.
async fn both(
    topology: &Topology,
    pair: &Pair,
    faults: &dyn Fn(Direction, String) -> Vec<Fault>,
) -> anyhow::Result<()> {
    anyhow::ensure!(pair.a != pair.b, "a region has no link to itself");
    let (a, b) = (region(topology, &pair.a)?, region(topology, &pair.b)?);
    for (told, peer, towards) in [(a, b, Direction::Out), (b, a, Direction::In)] {
        for fault in faults(towards, peer.name.clone()) {
            inject::tell(&told.name, told.admin, &fault).await?;
        }
    }
    Ok(())
}

/// The region that the command line names.
pub(super) fn region<'t>(topology: &'t Topology, name: &str) -> anyhow::Result<&'t Region> {
    topology.region(name).with_context(|| format!("no region `{name}` in the topology"))
}

fn list(context: &Context, links: &[crate::status::LinkStatus]) -> anyhow::Result<()> {
    if context.output == Output::Json {
        return Ok(out::json(&links)?);
    }
    out::line(&format!("{:<18}{:<18}{:<8}{:>8}{:>8}", "FROM", "TO", "STATE", "LAG MS", "RTT MS"));
    for link in links {
        let lag = link.lag_ms.map_or_else(|| "-".to_string(), |lag| format!("{lag:.0}"));
        let state = link.state.as_str();
        let (from, to, rtt) = (&link.from, &link.to, link.rtt_ms);
        let held = link.held_ms.map(|ms| format!("  held for {ms} ms")).unwrap_or_default();
        out::line(&format!("{from:<18}{to:<18}{state:<8}{lag:>8}{rtt:>8}{held}"));
    }
    Ok(())
}
