//! Seeds per second: `cargo run --release -p pangea-sim --example seeds -- 20000 [first [focus]]`.
//!
//! Behind the focus, in any order: `shrink` for the least of the first failing schedule that still
//! fails; `without=loss,late`, `skip-operations=0-3,7` and `skip-faults=2` for what the schedules
//! are left without; and, with the feature `planted-bugs`, `bug=RelayTrusted`.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use mimalloc::MiMalloc;
use pangea_sim::{Focus, Knob, Options, Trim, parse_spans, run_many, shrink};

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
    let focus = match std::env::args().nth(3).as_deref() {
        Some("collection") => Some(Focus::Collection),
        Some("joining") => Some(Focus::Joining),
        Some("repair") => Some(Focus::Repair),
        Some("groups") => Some(Focus::Groups),
        Some("lifecycle") => Some(Focus::Lifecycle),
        Some("evictions") => Some(Focus::Evictions),
        Some("expiry") => Some(Focus::Expiry),
        Some("returns") => Some(Focus::Returns),
        Some("vectors") => Some(Focus::Vectors),
        _ => None,
    };
    let timeline_max = whole_timeline.then_some(usize::MAX);
    let options = Options { focus, timeline_max, trim: trim(), ..Options::default() };
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
