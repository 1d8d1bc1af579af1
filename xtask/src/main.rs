//! Tasks of the workspace: test, check, measure.
//!
//! Standard library only, so that `cargo xtask` itself is there in seconds. It reads files and
//! runs programs; it knows none of the other packages.

mod bench;
mod ci;
mod clients;
mod fuzz;
mod say;
mod setup;
mod shell;
mod tally;
mod test;
mod tidy;

use std::process::ExitCode;

use shell::Failure;
use tally::Tally;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--only unit|sim|e2e] [-- PYTEST-ARGUMENTS]
                        install what the tests need, run all of them
  test [--only e2e] --engine redb|rocksdb [-- PYTEST-ARGUMENTS]
                        the storage tests, or real clients against regions, with an engine that
                        the default build may lack
  ci [STEP]             every gate, then every test; STEP is one gate of
                        fmt, tidy, floors, clippy, docs, or `gates` for all of them, or
                        sim-smoke (fewer schedules than the tests run), or test
  tidy                  house rules that a program can check
  bench [NAME] [--engine redb|rocksdb] [--output json] [-- ARGUMENTS]
                        api, load, scan, policies, replication, accelerator, storage, merge,
                        sim or build; `all` or no name means all but scan and build
  fuzz [--seconds N] [--seed N]
                        mutations of what clients send, each target for 60 s or N
  fix                   format, and apply what clippy can repair";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            say::problem(&failure.to_string());
            ExitCode::from(2)
        }
    }
}

/// Whether all went well; a failure is a wrong use or a machine that cannot do it.
fn run(words: &[&str]) -> Result<bool, Failure> {
    match words {
        ["test", rest @ ..] => Ok(close(&test::all(rest)?)),
        ["ci"] => Ok(close(&ci::all()?)),
        ["ci", step] => Ok(close(&ci::one(step)?)),
        ["tidy"] => Ok(close(&ci::one("tidy")?)),
        ["bench", rest @ ..] => bench::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["fix"] => ci::fix(),
        ["help" | "--help" | "-h"] => {
            say::line(USAGE);
            Ok(true)
        }
        _ => Err(Failure::new(USAGE)),
    }
}

/// Prints the closing line, the last one of every run.
fn close(tally: &Tally) -> bool {
    say::line("");
    say::line(&tally.to_string());
    tally.clean()
}
