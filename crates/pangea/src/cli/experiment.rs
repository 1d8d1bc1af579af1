//! `pangea experiment`: game days against a running topology.

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;

/// What to do with experiments.
#[derive(Debug, Subcommand)]
pub enum ExperimentCommand {
    /// Run one; exit code 1 if an objective of the topology is missed
    Run {
        /// Which, as listed: for example region-loss
        name: String,
    },
    /// List them
    List,
}

/// Runs the command.
///
/// # Errors
/// The topology does not run, or cannot be experimented on.
pub fn run(_context: &Context, _command: &ExperimentCommand) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`pangea experiment` is not there yet: it comes with the game days")
}
