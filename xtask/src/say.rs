//! The only place that prints.

use std::io::Write as _;
use std::time::Duration;

/// A line of data or progress. A reader that has gone away is not an error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Something wrong, for people.
pub(crate) fn problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The beginning of a step.
pub(crate) fn step(name: &str) {
    line(&format!("\n==> {name}"));
}

/// The end of a step, with its time.
pub(crate) fn done(name: &str, ok: bool, took: Duration) {
    let verdict = if ok { "ok" } else { "FAILED" };
    line(&format!("<== {name}: {verdict} in {:.1} s", took.as_secs_f64()));
}
