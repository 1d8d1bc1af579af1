//! `pangea conflicts`: the ledger of writes that lost.

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum ConflictsCommand {
    /// List the conflicts, newest first
    List {
        /// Only those that this region saw [default: all regions]
        #[arg(long)]
        region: Option<String>,
        /// Only those of this table [default: all tables]
        #[arg(long)]
        table: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one conflict with both sides
    Show {
        /// Its id, as listed
        id: String,
    },
}

/// Runs the command.
///
/// # Errors
/// The regions cannot be asked.
pub fn run(_context: &Context, _command: &ConflictsCommand) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`pangea conflicts` is not there yet: it comes with the data plane")
}
