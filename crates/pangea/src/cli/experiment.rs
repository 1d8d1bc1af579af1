//! `pangea experiment`: game days against a running topology.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, NO, Output, fault, link, out};
use crate::experiment::{self, EXPERIMENTS, Options, TimelineEvent};

/// What to do with experiments.
#[derive(Debug, Subcommand)]
pub enum ExperimentCommand {
    /// Run one; exit code 1 if an objective is missed
    Run(RunArgs),
    /// List them
    List,
}

/// How to run an experiment.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which, as listed: for example region-loss
    pub name: String,
    /// The region that it is about [default: the first; to be lost: the one that the accelerator
    /// sends connections to; to get a replica: the last]
    #[arg(long)]
    pub region: Option<String>,
    /// The other end, where one link is meant [default: the next region]
    #[arg(long, value_name = "REGION")]
    pub peer: Option<String>,
    /// Clients of each path [default: 8 through the accelerator and 8 through DNS; 2 at each store]
    #[arg(long)]
    pub clients: Option<usize>,
    /// Pause of each client between two requests, ms
    #[arg(long, default_value_t = 25)]
    pub pause_ms: u64,
    /// Load before the fault, s
    #[arg(long, default_value_t = 3)]
    pub before_s: u64,
    /// How long the fault, or each of several, lasts, s
    #[arg(long, default_value_t = 5)]
    pub during_s: u64,
    /// Load after the fault, s
    #[arg(long, default_value_t = 3)]
    pub after_s: u64,
    /// How far ahead skew sets the clock, ms
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = fault::ahead())]
    pub offset_ms: u64,
    /// What slow-link adds to the distance, one way, ms, 60000 at most with it
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = link::delay())]
    pub delay_ms: u64,
    /// What slow-link leaves of the bandwidth, kilobytes a second
    #[arg(long, value_name = "KB", default_value_t = 64, value_parser = link::rate())]
    pub kbytes_per_s: u64,
    /// Rows that kill-during-bootstrap has copied
    #[arg(long, default_value_t = 6000)]
    pub rows: usize,
    /// How often kill-during-bootstrap kills each end
    #[arg(long, default_value_t = 2)]
    pub kills: usize,
    /// A bound in place of the topology's; may be given again
    #[arg(long = "objective", value_name = "NAME=N", value_parser = objective)]
    pub objectives: Vec<(String, u64)>,
}

fn objective(text: &str) -> Result<(String, u64), String> {
    let (name, bound) = text.split_once('=').ok_or("write NAME=N, for example lost=0")?;
    let bound = bound.parse().map_err(|_| format!("`{bound}` is not a whole number"))?;
    Ok((name.to_string(), bound))
}

/// Runs the command.
///
/// # Errors
/// The topology does not run, or cannot be experimented on.
pub fn run(context: &Context, command: &ExperimentCommand) -> anyhow::Result<ExitCode> {
    match command {
        ExperimentCommand::List => list(context),
        ExperimentCommand::Run(args) => execute(context, args),
    }
}

fn list(context: &Context) -> anyhow::Result<ExitCode> {
    match context.output {
        Output::Json => {
            out::json(&EXPERIMENTS.iter().map(shown).collect::<Vec<_>>())?;
        }
        Output::Table => {
            for it in &EXPERIMENTS {
                out::line(&format!("{:<22}  {}", it.name, it.does));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(it: &experiment::Experiment) -> serde_json::Value {
    json!({"name": it.name, "does": it.does, "objectives": it.objectives})
}

fn execute(context: &Context, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let options = Options {
        name: args.name.clone(),
        topology: context.topology()?,
        data_dir: context.data_dir.clone(),
        region: args.region.clone(),
        peer: args.peer.clone(),
        clients: args.clients.map(|clients| clients.max(1)),
        pause: Duration::from_millis(args.pause_ms),
        before: Duration::from_secs(args.before_s),
        during: Duration::from_secs(args.during_s),
        after: Duration::from_secs(args.after_s),
        offset: Duration::from_millis(args.offset_ms),
        delay: Duration::from_millis(args.delay_ms),
        bytes_per_s: args.kbytes_per_s * 1000,
        rows: args.rows,
        kills: args.kills,
        objectives: args.objectives.clone(),
    };
    // The timeline is data for people who read it live; scripts find it in the report.
    let tell = if context.output == Output::Table { out::line } else { out::note };
    let say = |event: &TimelineEvent| tell(&event.to_string());
    tell(&format!("experiment {}\n", args.name));
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(Box::pin(experiment::run(options, &say)))?;
    match context.output {
        Output::Json => out::json(&report)?,
        Output::Table => out::line(&format!("\n{}", report.to_text())),
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}
