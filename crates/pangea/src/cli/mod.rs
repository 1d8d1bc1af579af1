//! The command line: noun, then verb; stdout for data, stderr for people.
//!
//! Exit codes: 0 done; 1 no (unhealthy, refused, an objective missed); 2 wrong usage or failure.

mod completions;
mod config;
pub mod conflicts;
pub(crate) mod context;
pub mod experiment;
pub mod fault;
pub mod link;
pub mod merge;
pub mod out;
mod process;
mod region;
mod repair;
pub(crate) mod screen;
pub mod sim;
mod status;
mod storage;
pub mod table;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use context::Context;

/// Exit code of a command that did its work and found that the answer is no.
pub const NO: u8 = 1;
/// Exit code of wrong usage or failure.
pub const FAILURE: u8 = 2;

/// Where data goes unless told otherwise.
const DATA_DIR: &str = "./pangea-data";

/// Pangea: a store and a traffic plane that survive the loss of a region
#[derive(Debug, Parser)]
#[command(name = "pangea", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Topology file [default: the running topology's, else the built-in one]
    #[arg(short = 'f', long, global = true, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Where a topology keeps its data, its logs and its control socket
    #[arg(long, global = true, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// How to print results
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// What to log to stderr, as a tracing filter: info, pangea=debug, …
    #[arg(long, global = true, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// How results are printed: for people, or for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    // No docs on the variants: clap would spread every command's help over a page for them.
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole topology on this machine, until Ctrl-C
    Up(UpArgs),
    /// Show how a running topology is; exit code 1 if anything is dead or unhealthy
    Status(status::StatusArgs),
    /// List, start, stop or kill the processes of a running topology
    #[command(subcommand)]
    Process(process::ProcessCommand),
    /// Look at writes that lost a conflict: both sides are kept
    #[command(subcommand)]
    Conflicts(conflicts::ConflictsCommand),
    /// List tables, choose their merge policy and other settings
    #[command(subcommand)]
    Table(table::TableCommand),
    /// Cut, slow and heal the replication between two regions
    #[command(subcommand)]
    Link(link::LinkCommand),
    /// Set a region's wall clock off
    #[command(subcommand)]
    Clock(fault::ClockCommand),
    /// Let a region's disk be full
    #[command(subcommand)]
    Disk(fault::DiskCommand),
    /// Check merge functions before a table gets one
    #[command(subcommand)]
    Merge(merge::MergeCommand),
    /// Run a game day against a running topology and judge it by its objectives
    #[command(subcommand)]
    Experiment(experiment::ExperimentCommand),
    /// Look for damage in the data of regions that do not run
    #[command(subcommand)]
    Storage(storage::StorageCommand),
    /// Verify all rows, compare the regions, and put right what differs; exit code 1 if it cannot
    Repair(repair::RepairArgs),
    /// Run the replication machines under simulated faults
    Sim(sim::SimArgs),
    /// Check a topology file, or print it with every default filled in
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print shell completions
    Completions(completions::CompletionsArgs),
    /// Run one region (`up` starts these), or change which regions take part
    Region(region::RegionCommand),
    /// Run the edge: DNS, accelerator, control APIs, operator API (`up` starts it)
    Edge,
    #[command(hide = true, name = crate::supervise::child::COMMAND)]
    SuperviseChild(crate::supervise::child::ChildArgs),
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Leave the services out: regions and edge only
    #[arg(long)]
    no_services: bool,
}

/// Runs the command line that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(std::env::args_os()) {
        Ok(cli) => cli,
        Err(usage) => {
            drop(usage.print());
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(FAILURE));
        }
    };
    let code = run(cli).unwrap_or_else(|error| {
        out::error(&error);
        ExitCode::from(FAILURE)
    });
    match out::lost().filter(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        Some(error) => {
            out::note(&format!("error: cannot write to stdout: {error}"));
            ExitCode::from(FAILURE)
        }
        None => code,
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::new(&cli.global);
    match cli.command {
        Command::SuperviseChild(args) => crate::supervise::child::run(&args),
        Command::Up(args) => crate::supervise::run(crate::supervise::UpArgs {
            topology: context.chosen_topology()?,
            data_dir: context.data_dir.clone(),
            services: !args.no_services,
            log: cli.global.log,
        }),
        Command::Region(region::RegionCommand { name, command: None }) => {
            log_to_stderr(&cli.global.log)?;
            crate::region::run(crate::region::RegionArgs {
                topology: context.topology()?,
                name: name.unwrap_or_default(),
                data_dir: context.data_dir,
            })
        }
        Command::Region(region::RegionCommand { command: Some(command), .. }) => {
            region::run(&context, &command)
        }
        Command::Edge => {
            log_to_stderr(&cli.global.log)?;
            let (topology, data_dir) = (context.topology()?, context.data_dir);
            crate::edge::run(crate::edge::EdgeArgs { topology, data_dir })
        }
        Command::Status(args) => status::run(&context, &args),
        Command::Process(command) => process::run(&context, &command),
        Command::Conflicts(command) => conflicts::run(&context, &command),
        Command::Table(command) => table::run(&context, &command),
        Command::Link(command) => link::run(&context, &command),
        Command::Clock(command) => fault::clock(&context, &command),
        Command::Disk(command) => fault::disk(&context, &command),
        Command::Merge(command) => merge::run(&context, &command),
        Command::Experiment(command) => experiment::run(&context, &command),
        Command::Storage(command) => storage::run(&context, &command),
        Command::Repair(args) => repair::run(&context, &args),
        Command::Sim(args) => sim::run_command(&context, &args),
        Command::Config(command) => config::run(&context, &command),
        Command::Completions(args) => Ok(completions::run(&args)),
    }
}

/// Sends the process's log to stderr, without colours: `up` keeps it in a file.
fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let filter: Targets =
        filter.parse().map_err(|error| anyhow::anyhow!("--log {filter}: not a filter: {error}"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

/// The arguments with which `up` starts a region's process.
pub(crate) fn region_argv(name: &str, common: &CommonArgs<'_>) -> Vec<OsString> {
    let mut argv: Vec<OsString> = vec!["region".into(), "--name".into(), name.into()];
    argv.extend(common.argv());
    argv
}

/// The arguments with which `up` starts the edge's process.
pub(crate) fn edge_argv(common: &CommonArgs<'_>) -> Vec<OsString> {
    let mut argv: Vec<OsString> = vec!["edge".into()];
    argv.extend(common.argv());
    argv
}

/// What `up` tells each of its processes.
#[derive(Debug)]
pub(crate) struct CommonArgs<'a> {
    pub(crate) topology: &'a std::path::Path,
    pub(crate) data_dir: &'a std::path::Path,
    pub(crate) log: &'a str,
}

impl CommonArgs<'_> {
    fn argv(&self) -> [OsString; 6] {
        [
            "--topology".into(),
            self.topology.into(),
            "--data-dir".into(),
            self.data_dir.into(),
            "--log".into(),
            self.log.into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
