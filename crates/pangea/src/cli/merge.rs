//! `pangea merge`: merge functions, before a table gets one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, NO, Output, out};
use crate::wasm::limits::{CHECK_CASES, CHECK_FUEL_MAX, MODULE_BYTES_MAX};
use crate::wasm::{Checks, Declaration, Law, ModuleError, Report, check};

/// What to do with merge functions.
#[derive(Debug, Subcommand)]
pub enum MergeCommand {
    /// Check whether a WebAssembly module is a merge function; exit code 1 if it is not
    Check(CheckArgs),
}

/// What to check.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The module, a .wasm file
    file: PathBuf,
    /// An attribute to try beside those that the module declares, as name or name:TYPE
    #[arg(long = "attribute", value_name = "NAME[:TYPE]")]
    attributes: Vec<Declaration>,
    /// How many triples of versions to try; uploads are judged by the default
    #[arg(long, value_name = "N", default_value_t = CHECK_CASES,
        value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
    /// Where the generator of versions begins; uploads are judged by the default
    #[arg(long, value_name = "N", default_value_t = Checks::default().seed)]
    seed: u64,
}

/// Runs the command, without any region.
///
/// # Errors
/// The file cannot be read, or the result cannot be printed.
pub fn run(context: &Context, command: &MergeCommand) -> anyhow::Result<ExitCode> {
    let MergeCommand::Check(args) = command;
    let bytes = read(&args.file)?;
    let (seed, cases) = (args.seed, args.cases);
    // As much for each case as an upload has.
    let fuel = CHECK_FUEL_MAX.max(CHECK_FUEL_MAX / u64::from(CHECK_CASES) * u64::from(cases));
    let checks = Checks { seed, cases, attributes: args.attributes.clone(), fuel };
    let result = check(&bytes, &checks);
    match context.output {
        Output::Json => out::json(&to_json(&result))?,
        Output::Table => out::line(&to_text(&result)),
    }
    if result.as_ref().is_ok_and(|report| report.attributes.is_empty()) {
        out::note(
            "note: no attribute is declared, so the laws were tried on names that the function \
             does not know: declare what it treats in its own way, or name it with --attribute",
        );
    }
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// The file, or as much of it as shows that it is too large.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("{shown}: cannot be read"))?.len();
    // A module 16 times too large is another file, and need not be in memory to be refused.
    anyhow::ensure!(length <= 16 * MODULE_BYTES_MAX as u64, "{shown}: {length} bytes: no module");
    std::fs::read(path).with_context(|| format!("{shown}: cannot be read"))
}

fn to_json(result: &Result<Report, ModuleError>) -> Value {
    match result {
        Ok(report) => json!({
            "accepted": true,
            "module": report.module.to_string(),
            "bytes": report.bytes,
            "attributes": report.attributes.iter().map(Declaration::to_string).collect::<Vec<_>>(),
            "holds": Law::ALL.map(Law::as_str),
            "cases": report.cases,
            "merges": report.calls,
            "fuel": report.fuel,
            "fuel_max": report.fuel_max,
            "fuel_percent_max": report.fuel_percent_max,
        }),
        Err(error) => {
            let example = error.counterexample();
            let trap = example.and_then(|example| example.trap.as_ref());
            json!({
                "accepted": false,
                "code": error.code(),
                "message": headline(error),
                "law": example.map(|example| example.law.as_str()),
                "trap": trap.map(|trap| json!({"code": trap.code(), "message": trap.to_string()})),
                "counterexample": example.map(|example| example.to_json()),
            })
        }
    }
}

fn to_text(result: &Result<Report, ModuleError>) -> String {
    match result {
        Ok(report) => accepted(report),
        Err(error) => {
            let mut text = format!("refused  {}", headline(error));
            for (name, version) in error.counterexample().iter().flat_map(|example| example.lines())
            {
                text += &format!("\n\n{name}\n  {version}");
            }
            text
        }
    }
}

fn accepted(report: &Report) -> String {
    let declared: Vec<String> = report.attributes.iter().map(Declaration::to_string).collect();
    let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(" ") };
    let mean = report.fuel / report.calls.max(1);
    [
        format!("module      {}", report.module),
        format!("size        {} bytes", report.bytes),
        format!("attributes  {declared}"),
        format!("holds       {}", Law::ALL.map(Law::as_str).join(", ")),
        format!("tried       {} triples of versions, {} merges", report.cases, report.calls),
        format!(
            "fuel        {mean} a merge, {} at most, {} % of its limit at most",
            report.fuel_max, report.fuel_percent_max
        ),
    ]
    .join("\n")
}

/// The refusal without its counterexample.
fn headline(error: &ModuleError) -> String {
    match error {
        ModuleError::Traps(example) => {
            let trap = example.trap.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("the merge function fails on legal input: {trap}")
        }
        ModuleError::Law(example) => {
            format!("the merge function breaks {}: {}", example.law, example.law.meaning())
        }
        other => other.to_string(),
    }
}
