//! `pangea experiment`: game days against a running topology.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Context, NO, Output, out};
use crate::experiment::{self, Options, TimelineEvent};

const REGION_LOSS: &str = "region-loss";

/// What to do with experiments.
#[derive(Debug, Subcommand)]
pub enum ExperimentCommand {
    /// Run one; exit code 1 if an objective of the topology is missed
    Run(RunArgs),
    /// List them
    List,
}

/// How to run an experiment.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which, as listed: for example region-loss
    pub name: String,
    /// The region to lose [default: the one that the accelerator sends connections to]
    #[arg(long)]
    pub region: Option<String>,
    /// Clients through the accelerator, and as many through DNS
    #[arg(long, default_value_t = 8)]
    pub clients: usize,
    /// Pause of each client between two requests, ms
    #[arg(long, default_value_t = 25)]
    pub pause_ms: u64,
    /// Load before the loss, s
    #[arg(long, default_value_t = 3)]
    pub before_s: u64,
    /// Load between the loss and the return, s
    #[arg(long, default_value_t = 5)]
    pub during_s: u64,
    /// Load after the return, s
    #[arg(long, default_value_t = 3)]
    pub after_s: u64,
}

/// Runs the command.
///
/// # Errors
/// The topology does not run, or cannot be experimented on.
pub fn run(context: &Context, command: &ExperimentCommand) -> anyhow::Result<ExitCode> {
    match command {
        ExperimentCommand::List => {
            let text = "kill one region under load, bring it back, audit every write";
            match context.output {
                Output::Json => {
                    out::json(&serde_json::json!([{"name": REGION_LOSS, "does": text}]))?
                }
                Output::Table => out::line(&format!("{REGION_LOSS}  {text}")),
            }
            Ok(ExitCode::SUCCESS)
        }
        ExperimentCommand::Run(args) if args.name == REGION_LOSS => region_loss(context, args),
        ExperimentCommand::Run(args) => {
            anyhow::bail!("no experiment `{}`; there is {REGION_LOSS}", args.name)
        }
    }
}

fn region_loss(context: &Context, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let options = Options {
        topology: context.topology()?,
        data_dir: context.data_dir.clone(),
        region: args.region.clone(),
        clients: args.clients.max(1),
        pause: Duration::from_millis(args.pause_ms),
        before: Duration::from_secs(args.before_s),
        during: Duration::from_secs(args.during_s),
        after: Duration::from_secs(args.after_s),
    };
    // The timeline is data for people who read it live; scripts find it in the report.
    let tell = if context.output == Output::Table { out::line } else { out::note };
    let say = |event: &TimelineEvent| tell(&event.to_string());
    tell(&format!("experiment {REGION_LOSS}\n"));
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(Box::pin(experiment::run(options, say)))?;
    match context.output {
        Output::Json => out::json(&report)?,
        Output::Table => out::line(&format!("\n{}", report.to_text())),
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}
