//! `pangea sim`: the replication machines under simulated faults.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use pangea_sim::{Counts, Knob, Options, Summary, Trim, parse_spans, run, run_many, shrink};
use serde_json::json;

use super::{Context, NO, Output, out};

/// What to simulate.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// How many seeds to run [default: 1000, or 1 with --seed]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: Option<u64>,
    /// The first seed; alone it reproduces a failure
    #[arg(long)]
    pub seed: Option<u64>,
    /// Run seeds until so many seconds have passed
    #[arg(long, conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// Regions of every world, 2 to 5 [default: by the seed]
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(2..=5))]
    pub regions: Option<usize>,
    /// Shrink the failing seed (or the first that fails) to what the failure needs
    #[arg(long)]
    pub shrink: bool,
    /// Client operations to leave out of a seed's schedule, such as 0-3,7
    #[arg(long, value_name = "SPANS", requires = "seed")]
    pub skip_operations: Option<String>,
    /// Faults to leave out of a seed's schedule
    #[arg(long, value_name = "SPANS", requires = "seed")]
    pub skip_faults: Option<String>,
    /// Traits of a seed's world to put back to harmless, such as loss,skew
    #[arg(long, value_name = "WORDS", value_delimiter = ',', requires = "seed")]
    pub without: Vec<String>,
}

impl SimArgs {
    fn options(&self) -> anyhow::Result<Options> {
        let numbers = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            parse_spans(text).ok_or_else(|| anyhow::anyhow!("{text} is not like 0-3,7"))
        };
        let knob = |word: &String| {
            let known = Knob::ALL.iter().find(|(name, _)| name == word);
            known.map(|(_, knob)| *knob).ok_or_else(|| {
                let names = Knob::ALL.map(|(name, _)| name).join(", ");
                anyhow::anyhow!("--without {word}: there are {names}")
            })
        };
        let trim = Trim {
            operations: numbers(&self.skip_operations)?,
            faults: numbers(&self.skip_faults)?,
            without: self.without.iter().map(knob).collect::<anyhow::Result<_>>()?,
        };
        Ok(Options { regions: self.regions, trim, ..Options::default() })
    }
}

/// Runs the command; exit code 1 if an invariant did not hold.
///
/// # Errors
/// The result cannot be printed.
pub fn run_command(context: &Context, args: &SimArgs) -> anyhow::Result<ExitCode> {
    let options = args.options()?;
    let first = args.seed.unwrap_or(1);
    let all = if args.seed.is_some() { 1 } else { 1000 };
    let all = if args.seconds.is_some() { u64::MAX } else { all };
    let seeds = args.seeds.unwrap_or(all);
    if seeds == 1 {
        return if args.shrink {
            smaller(context, first, &options)
        } else {
            one(context, first, &options)
        };
    }
    let began = Instant::now();
    let until = args.seconds.map(Duration::from_secs);
    let mut done = 0_u64;
    let summary = run_many(first, seeds, &options, |report| {
        done += 1;
        if report.violation.is_some() {
            out::note(&format!("seed {} fails: {}", report.seed, report.reproduce()));
        } else if done.is_multiple_of(10_000) {
            out::note(&format!("{done} seeds"));
        }
        let late = until.is_some_and(|until| began.elapsed() >= until);
        if late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    print(context, &summary, began.elapsed().as_secs_f64())?;
    match summary.failures.first() {
        None => Ok(ExitCode::SUCCESS),
        Some(failure) if args.shrink => smaller(context, failure.seed, &options),
        Some(_) => Ok(ExitCode::from(NO)),
    }
}

/// Shrinks a failing seed and shows what is left of it.
fn smaller(context: &Context, seed: u64, options: &Options) -> anyhow::Result<ExitCode> {
    let Some(shrunk) = shrink(seed, options) else {
        out::note(&format!("seed {seed} does not fail: there is nothing to shrink"));
        return Ok(ExitCode::SUCCESS);
    };
    let reproduce = shrunk.report.reproduce();
    if context.output == Output::Json {
        let violation = shrunk.report.violation.as_ref();
        let timeline = violation.map(|violation| &violation.timeline);
        out::json(&json!({"seed": seed, "reproduce": reproduce, "runs": shrunk.runs,
            "operations": shrunk.operations.1, "of_operations": shrunk.operations.0,
            "faults": shrunk.faults.1, "of_faults": shrunk.faults.0, "timeline": timeline}))?;
    } else {
        out::line(&shrunk.report.to_string());
        out::note(&format!(
            "shrunk in {} runs: {} of {} operations and {} of {} faults are left",
            shrunk.runs, shrunk.operations.1, shrunk.operations.0, shrunk.faults.1, shrunk.faults.0
        ));
    }
    Ok(ExitCode::from(NO))
}

fn one(context: &Context, seed: u64, options: &Options) -> anyhow::Result<ExitCode> {
    let report = run(seed, options);
    let broken = report.violation.as_ref();
    match context.output {
        Output::Table => {
            out::line(&report.to_string());
            if broken.is_none() {
                out::line(&figures(&report.counts));
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
                .into_iter()
                .map(|(name, value)| (name.to_string(), value.into()))
                .collect();
            let digest = format!("{:016x}", report.digest);
            out::json(&json!({"seed": seed, "digest": digest, "counts": counts,
                "violation": violation}))?;
        }
    }
    Ok(if broken.is_none() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn figures(counts: &Counts) -> String {
    counts
        .figures()
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
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.into()))
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
    out::line(&figures(&summary.counts));
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
