//! Seeds per second: `cargo run --release -p pangea-sim --example seeds -- 20000 [first [focus]]`.
//! With `shrink` behind the focus: the least of the first failing schedule that still fails.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use mimalloc::MiMalloc;
use pangea_sim::{Focus, Options, run_many, shrink};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let seeds = arguments.next().and_then(Result::ok).unwrap_or(20_000);
    let first = arguments.next().and_then(Result::ok).unwrap_or(1);
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let focus = match std::env::args().nth(3).as_deref() {
        Some("collection") => Some(Focus::Collection),
        Some("joining") => Some(Focus::Joining),
        Some("repair") => Some(Focus::Repair),
        Some("groups") => Some(Focus::Groups),
        Some("lifecycle") => Some(Focus::Lifecycle),
        Some("evictions") => Some(Focus::Evictions),
        Some("expiry") => Some(Focus::Expiry),
        _ => None,
    };
    let options =
        Options { focus, timeline_max: (seeds == 1).then_some(usize::MAX), ..Options::default() };
    let summary = run_many(first, seeds, &options, |_| ControlFlow::Continue(()));
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
        let shrinks = std::env::args().nth(4).as_deref() == Some("shrink");
        match shrink(report.seed, &options).filter(|_| shrinks) {
            Some(least) => writeln!(out, "{}", least.report)?,
            None => writeln!(out, "{report}")?,
        }
    }
    let (rate, digest) = (summary.seeds as f64 / seconds, summary.digest);
    let failed = summary.failed;
    writeln!(out, "{seeds} seeds, {failed} failed, {rate:.0} seeds per second, digest {digest:x}")
}
