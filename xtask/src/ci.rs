//! `cargo xtask ci`: the gates, each runnable alone, then the tests.

use std::process::Command;
use std::time::Instant;

use crate::say;
use crate::shell::{self, Failure, cargo};
use crate::tally::Tally;
use crate::{test, tidy};

/// Seeds of the smoke run: enough to meet every kind of fault, seconds in the release build.
const SMOKE_SEEDS: &str = "5000";

/// Workspaces of their own, which `--all` leaves out.
const EXAMPLES: [&str; 2] = ["examples/shop/Cargo.toml", "examples/merge/Cargo.toml"];

type Gate = fn() -> Result<bool, Failure>;

/// What must hold beside the tests, cheapest first.
const GATES: [(&str, Gate); 5] = [
    ("fmt", fmt),
    ("tidy", tidy::run),
    ("floors", tidy::floors::run),
    ("clippy", clippy),
    ("docs", docs),
];

/// No gate: the tests run more schedules than this. For those who want to know in seconds.
const SMOKE: (&str, Gate) = ("sim-smoke", sim_smoke);

/// Every gate, then every test.
pub(crate) fn all() -> Result<Tally, Failure> {
    let mut total = gates()?;
    total.add(test::all(&[])?);
    Ok(total)
}

/// The step called `name`.
pub(crate) fn one(name: &str) -> Result<Tally, Failure> {
    match name {
        "gates" => gates(),
        "test" => test::all(&[]),
        _ => {
            let step = GATES.iter().chain([&SMOKE]).find(|(known, _)| *known == name);
            step.map_or_else(|| Err(unknown(name)), |(name, gate)| pass(name, *gate))
        }
    }
}

/// Writes what `fmt` and `clippy` would only report.
pub(crate) fn fix() -> Result<bool, Failure> {
    let repair = ["clippy", "--fix", "--allow-dirty", "--workspace", "--all-targets"];
    let repaired = shell::succeeds(&mut cargo(&repair))?;
    let mut formatted = shell::succeeds(&mut cargo(&["fmt", "--all"]))?;
    for example in EXAMPLES {
        formatted &= shell::succeeds(&mut cargo(&["fmt", "--manifest-path", example]))?;
    }
    Ok(formatted && repaired)
}

/// All of them, whatever fails, so that one run tells all.
fn gates() -> Result<Tally, Failure> {
    let mut total = Tally::default();
    for (name, gate) in GATES {
        total.add(pass(name, gate)?);
    }
    Ok(total)
}

fn pass(name: &str, gate: Gate) -> Result<Tally, Failure> {
    say::step(name);
    let started = Instant::now();
    let ok = gate()?;
    say::done(name, ok, started.elapsed());
    Ok(Tally::check(ok))
}

fn unknown(name: &str) -> Failure {
    let known: Vec<&str> = GATES.iter().chain([&SMOKE]).map(|(known, _)| *known).collect();
    Failure::new(format!("no step `{name}`; there are {}, gates and test", known.join(", ")))
}

fn fmt() -> Result<bool, Failure> {
    let examples = EXAMPLES.map(|path| cargo(&["fmt", "--manifest-path", path, "--check"]));
    let mut commands = vec![cargo(&["fmt", "--all", "--check"])];
    commands.extend(examples);
    all_succeed(&mut commands)
}

fn clippy() -> Result<bool, Failure> {
    let deny = ["--", "-D", "warnings"];
    let workspace = ["clippy", "--workspace", "--all-targets", "--locked"];
    // With the bugs planted, too: that code is compiled by no other gate.
    let planted = ["clippy", "-p", "pangea-sim", "--features", "planted-bugs", "--all-targets"];
    all_succeed(&mut [
        cargo(&[workspace.as_slice(), &deny].concat()),
        cargo(&[planted.as_slice(), &deny].concat()),
    ])
}

fn docs() -> Result<bool, Failure> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    // Private items are always built here, so links to them always lead somewhere.
    let flags = "-D warnings -A rustdoc::private-intra-doc-links";
    shell::succeeds(command.env("RUSTDOCFLAGS", flags))
}

fn sim_smoke() -> Result<bool, Failure> {
    let run = ["run", "--release", "--locked", "-p", "pangea", "--"];
    shell::succeeds(&mut cargo(&[run.as_slice(), &["sim", "--seeds", SMOKE_SEEDS]].concat()))
}

fn all_succeed(commands: &mut [Command]) -> Result<bool, Failure> {
    let mut all = true;
    for command in commands {
        all &= shell::succeeds(command)?;
    }
    Ok(all)
}
