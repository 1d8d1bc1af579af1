//! `pangea config`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Context, Output, out};
use crate::config::{BUILTIN_NAME, Topology};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the topology as TOML with every default filled in
    Print,
    /// Check the topology; exit code 2 and every problem with its line if it is wrong
    Check,
}

pub(super) fn run(context: &Context, command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    let topology = context.chosen_topology()?;
    match (command, context.output) {
        (ConfigCommand::Print, Output::Table) => out::raw(&topology.to_toml()),
        (ConfigCommand::Print, Output::Json) => out::json(&topology)?,
        (ConfigCommand::Check, _) => out::note(&summary(context, &topology)),
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(context: &Context, topology: &Topology) -> String {
    let file = context.file.as_ref();
    let file = file.map_or_else(|| BUILTIN_NAME.to_owned(), |file| file.display().to_string());
    let count = |n: usize, noun: &str| match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    };
    format!(
        "{file}: ok: cluster `{}` of {}, {}, {}",
        topology.cluster,
        count(topology.regions.len(), "region"),
        count(topology.services.len(), "service"),
        count(topology.records.len(), "DNS record"),
    )
}
