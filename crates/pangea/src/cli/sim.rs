//! `pangea sim`: the replication machines under simulated faults.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use pangea_sim::{Options, Summary, run, run_many};
use serde_json::json;

use super::{Context, NO, Output, out};

/// What to simulate.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// How many seeds to run [default: 1000, or 1 with --seed]
    #[arg(long)]
    pub seeds: Option<u64>,
    /// The first seed; alone it reproduces a failure
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Runs the command; exit code 1 if an invariant did not hold.
///
/// # Errors
/// The result cannot be printed.
pub fn run_command(context: &Context, args: &SimArgs) -> anyhow::Result<ExitCode> {
    let first = args.seed.unwrap_or(1);
    let all = if args.seed.is_some() { 1 } else { 1000 };
    let seeds = args.seeds.unwrap_or(all);
    if seeds == 1 {
        return one(context, first);
    }
    let began = Instant::now();
    let mut done = 0_u64;
    let summary = run_many(first, seeds, &Options::default(), |report| {
        done += 1;
        if report.violation.is_some() {
            out::note(&format!("seed {} fails: {}", report.seed, report.reproduce()));
        } else if done.is_multiple_of(1000) {
            out::note(&format!("{done} of {seeds} seeds"));
        }
        ControlFlow::Continue(())
    });
    print(context, &summary, began.elapsed().as_secs_f64())?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn one(context: &Context, seed: u64) -> anyhow::Result<ExitCode> {
    let report = run(seed, &Options::default());
    let broken = report.violation.as_ref();
    match context.output {
        Output::Table => {
            out::line(&report.to_string());
            if broken.is_none() {
                out::line(&figures(report.counts.figures()));
                out::line(&format!("digest {:016x}", report.digest));
            }
        }
        Output::Json => {
            let violation = broken.map(|it| {
                json!({"invariant": it.invariant.to_string(), "at_ms": it.at_ms, "text": it.text,
                    "timeline": it.timeline})
            });
            let counts: serde_json::Map<String, serde_json::Value> = report
                .counts
                .figures()
                .map(|(name, value)| (name.to_string(), value.into()))
                .into_iter()
                .collect();
            let digest = format!("{:016x}", report.digest);
            out::json(&json!({"seed": seed, "digest": digest, "counts": counts,
                "violation": violation}))?;
        }
    }
    Ok(if broken.is_none() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn figures<const N: usize>(figures: [(&'static str, u64); N]) -> String {
    figures
        .iter()
        .map(|(name, value)| format!("  {name:<20}{value:>14}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn print(context: &Context, summary: &Summary, seconds: f64) -> anyhow::Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = summary.seeds as f64 / seconds.max(1e-9);
    if context.output == Output::Json {
        let counts: serde_json::Map<String, serde_json::Value> = summary
            .counts
            .figures()
            .map(|(name, value)| (name.to_string(), value.into()))
            .into_iter()
            .collect();
        let failed: Vec<u64> = summary.failures.iter().map(|report| report.seed).collect();
        let digest = format!("{:016x}", summary.digest);
        return Ok(out::json(&json!({"first_seed": summary.first_seed, "seeds": summary.seeds,
            "failed": summary.failed, "lost": summary.lost, "failures": failed,
            "seeds_per_s": rate.round(), "digest": digest, "counts": counts}))?);
    }
    for failure in &summary.failures {
        out::line(&format!("{failure}\n"));
    }
    out::line(&figures(summary.counts.figures()));
    out::line(&format!(
        "{} seeds from {}: {} failed, {} acknowledged writes, {} lost; {rate:.0} seeds/s; digest {:016x}",
        summary.seeds,
        summary.first_seed,
        summary.failed,
        summary.counts.acked,
        summary.lost,
        summary.digest
    ));
    Ok(())
}
