//! `cargo xtask bench`: one command for every figure that the README shows.

use std::process::Command;
use std::time::Instant;

use crate::say;
use crate::shell::{self, Failure, cargo};

/// A benchmark by name.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&[&str]) -> Result<bool, Failure>,
}

const BENCHES: [Bench; 5] = [
    Bench {
        name: "api",
        about: "GetItem and durable PutItem over HTTP beside a bare hyper server",
        run: |arguments| example("bench_api", arguments),
    },
    Bench {
        name: "replication",
        about: "lag at a stated rate over a link without latency and over one of 80 ms",
        run: |arguments| example("bench_replication", arguments),
    },
    Bench {
        name: "accelerator",
        about: "a connection through the accelerator against a direct one",
        run: |arguments| example("bench_accelerator", arguments),
    },
    Bench { name: "sim", about: "simulated seeds per second", run: sim },
    Bench { name: "build", about: "cold release build, dependencies fetched before", run: build },
];

const SIM_SEEDS: &str = "2000";

/// Runs the one that is named, or all.
pub(crate) fn run(words: &[&str]) -> Result<bool, Failure> {
    let split = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let arguments = words.get(split + 1..).unwrap_or(&[]);
    let chosen: Vec<&Bench> = match &words[..split] {
        [] => BENCHES.iter().collect(),
        [name] => BENCHES.iter().filter(|bench| bench.name == *name).collect(),
        _ => Vec::new(),
    };
    if chosen.is_empty() {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(Failure::new(format!("the benchmarks are {}", names.join(", "))));
    }
    let mut all = true;
    for bench in chosen {
        say::step(&format!("bench {}: {}", bench.name, bench.about));
        let started = Instant::now();
        let ok = (bench.run)(arguments)?;
        say::done(bench.name, ok, started.elapsed());
        all &= ok;
    }
    Ok(all)
}

fn example(name: &str, arguments: &[&str]) -> Result<bool, Failure> {
    let mut command = cargo(&["run", "--release", "--locked", "-p", "pangea", "--example", name]);
    shell::succeeds(command.arg("--").args(arguments))
}

fn sim(arguments: &[&str]) -> Result<bool, Failure> {
    let run = ["run", "--release", "--locked", "-p", "pangea", "--", "sim"];
    let wanted: &[&str] = if arguments.is_empty() { &["--seeds", SIM_SEEDS] } else { arguments };
    shell::succeeds(cargo(&run).args(wanted))
}

/// Into a directory of its own, thrown away after.
fn build(_: &[&str]) -> Result<bool, Failure> {
    if !shell::succeeds(&mut cargo(&["fetch", "--locked"]))? {
        return Ok(false);
    }
    let place = shell::target()?.join("bench-build");
    let _ = std::fs::remove_dir_all(&place);
    let mut command = cargo(&["build", "--release", "--locked", "-p", "pangea", "--target-dir"]);
    let started = Instant::now();
    let ok = shell::succeeds(command.arg(&place))?;
    let seconds = started.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(&place);
    let cores = shell::output(&mut Command::new("nproc")).unwrap_or_default();
    say::line(&format!("cold release build: {seconds:.0} s on {} cores", cores.trim()));
    Ok(ok)
}
