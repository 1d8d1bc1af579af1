//! `pangea storage`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use super::{Context, NO, Output, out};
use crate::storage::{self, Fault, Scrubbed};

#[derive(Debug, Subcommand)]
pub(super) enum StorageCommand {
    /// Read every row of a region that does not run; exit code 1 if any is damaged
    Check {
        /// Whose
        #[arg(long, value_name = "NAME")]
        region: String,
    },
}

pub(super) fn run(context: &Context, command: &StorageCommand) -> anyhow::Result<ExitCode> {
    let StorageCommand::Check { region } = command;
    let topology = context.topology()?;
    let known = topology.region(region);
    let known = known.with_context(|| format!("region `{region}` is not in the topology"))?;
    let directory = context.data_dir.join(region);
    anyhow::ensure!(directory.is_dir(), "{}: there is no such directory", directory.display());
    let scrubbed = match storage::scrub(&directory, known.storage.into()) {
        Ok(scrubbed) => scrubbed,
        Err(fault @ Fault::Damaged { .. }) => {
            Scrubbed { damage: vec![fault], ..Scrubbed::default() }
        }
        Err(fault) => return Err(fault.into()),
    };
    print(context, &scrubbed)?;
    Ok(if scrubbed.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn print(context: &Context, scrubbed: &Scrubbed) -> anyhow::Result<()> {
    let Scrubbed { rows: [items, changelog, meta], damage } = scrubbed;
    if context.output == Output::Json {
        let damage: Vec<String> = damage.iter().map(ToString::to_string).collect();
        let rows = json!({ "items": items, "changelog": changelog, "meta": meta });
        return Ok(out::json(&json!({ "rows": rows, "damage": damage }))?);
    }
    for fault in damage {
        out::line(&fault.to_string());
    }
    let count = damage.len();
    out::line(&format!(
        "{items} item rows, {changelog} of the changelog, {meta} facts: {count} damaged"
    ));
    Ok(())
}
