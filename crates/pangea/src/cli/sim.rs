//! `pangea sim`: the simulator.

use std::process::ExitCode;

use clap::Args;

use super::Context;

/// What to simulate.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    pub seeds: u64,
    /// The first seed; with `--seeds 1` it reproduces a failure
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs the command.
///
/// # Errors
/// The simulator cannot run.
pub fn run(_context: &Context, _args: &SimArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`pangea sim` is not there yet: it comes with the simulator")
}
