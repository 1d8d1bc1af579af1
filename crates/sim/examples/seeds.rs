//! Seeds per second: `cargo run --release -p pangea-sim --example seeds -- 20000 [first [focus]]`.
//!
//! Behind the focus, in any order: `shrink` for the least of the first failing schedule that still
//! fails; `timeline` for all that happens in the first; `without=loss,late`, `skip-faults=2` and
//! `skip-operations=0-3,7` for what the schedules are left without; `scenario=FILE` for a directed
//! schedule; and, with the feature `planted-bugs`, `bug=RelayTrusted`.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use mimalloc::MiMalloc;
use pangea_sim::{Focus, Knob, Options, Scenario, Trim, parse_spans, run_many, shrink, timeline};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let seeds = arguments.next().and_then(Result::ok).unwrap_or(20_000);
    let first = arguments.next().and_then(Result::ok).unwrap_or(1);
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let options = options(seeds == 1);
    if std::env::args().any(|word| word == "timeline") {
        return timeline(first, &options).iter().try_for_each(|line| writeln!(out, "{line}"));
    }
    let summary = run_many(first, seeds, &options, |report| {
        if report.violation.is_some() {
            eprintln!("seed {} fails", report.seed);
        }
        ControlFlow::Continue(())
    });
    let seconds = start.elapsed().as_secs_f64();
    for (name, figure) in summary.counts.figures() {
        writeln!(out, "{name:>18} {figure}")?;
    }
    for report in &summary.failures {
        let violation = report.violation.as_ref();
        let text = violation.map(|it| format!("{}: {}", it.invariant, it.text));
        writeln!(out, "seed {} {}", report.seed, text.unwrap_or_default())?;
    }
    if let Some(report) = summary.failures.first() {
        let shrinks = std::env::args().any(|word| word == "shrink");
        match Some(()).filter(|()| shrinks).and_then(|()| shrink(report.seed, &options)) {
            Some(least) => writeln!(out, "{}", least.report)?,
            None => writeln!(out, "{report}")?,
        }
    }
    let (rate, digest) = (summary.seeds as f64 / seconds, summary.digest);
    let failed = summary.failed;
    writeln!(out, "{seeds} seeds, {failed} failed, {rate:.0} seeds per second, digest {digest:x}")
}

fn options(whole_timeline: bool) -> Options {
    let focus = std::env::args().nth(3).and_then(|word| Focus::named(&word));
    let timeline_max = whole_timeline.then_some(usize::MAX);
    let options =
        Options { focus, timeline_max, trim: trim(), scenario: scenario(), ..Options::default() };
    #[cfg(feature = "planted-bugs")]
    let options = Options { bug: bug(), ..options };
    options
}

/// What follows `word=` among the arguments.
fn named(word: &str) -> Option<String> {
    std::env::args().find_map(|argument| {
        let (name, text) = argument.split_once('=')?;
        (name == word).then(|| text.to_owned())
    })
}

/// The scenario of the file that is named, if one is.
fn scenario() -> Option<Scenario> {
    let path = named("scenario")?;
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Some(Scenario::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn trim() -> Trim {
    let spans = |word: &str| {
        let text = named(word).unwrap_or_default();
        parse_spans(&text).unwrap_or_else(|| panic!("{word}={text} is not like 0-3,7"))
    };
    let knob = |word: &str| {
        let known = Knob::ALL.iter().find(|(name, _)| *name == word);
        known.map(|(_, knob)| *knob).unwrap_or_else(|| panic!("without={word}: no such knob"))
    };
    let without = named("without").unwrap_or_default();
    let without = without.split(',').filter(|word| !word.is_empty()).map(knob).collect();
    Trim { operations: spans("skip-operations"), faults: spans("skip-faults"), without }
}

#[cfg(feature = "planted-bugs")]
fn bug() -> Option<pangea_core::node::Bug> {
    let word = named("bug")?;
    let known = pangea_sim::PLANTED.iter().find(|bug| format!("{bug:?}") == word);
    Some(*known.unwrap_or_else(|| panic!("bug={word}: no such bug")))
}
