//! `pangea link`: cut and heal the replication between two regions.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Context;

/// What to do with links.
#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Cut a link: neither region hears of the other's writes
    Cut(Pair),
    /// Heal a link that was cut
    Heal(Pair),
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
/// The regions cannot be told.
pub fn run(_context: &Context, _command: &LinkCommand) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`pangea link` is not there yet: it comes with the data plane")
}
