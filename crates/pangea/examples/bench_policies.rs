//! `cargo xtask bench policies`: what a write costs where items merge attribute by attribute.
//!
//! Hypothesis, 2 cores: the two policies differ in what the writer thread does with an item of 1 KB
//! in ten attributes. Taking it apart into registers costs a PutItem about 0.5 us of some 70, and
//! adding to one counter of a state costs what applying an update to plain attributes costs
//! (`cargo run --release -p pangea-codec --example bench_crdt`): both within a tenth.

mod support;

use std::process::ExitCode;

use support::load::{self, Kind};
use support::region::{self, CONNECTIONS, Server};
use support::{Directory, figure, median, option, progress};

const POLICIES: [&str; 2] = ["lww", "crdt"];

/// Requests a second, and CPU of the region in us for each.
fn measure(region: &Server, kind: Kind, seconds: f64) -> anyhow::Result<(f64, f64)> {
    let before = region.process.cpu_us()?;
    let measured = load::run(kind, region.address, CONNECTIONS, seconds)?;
    Ok((measured.per_s, (region.process.cpu_us()? - before) / measured.requests))
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let rounds = option(arguments, "--rounds", 5)?;
    let seconds = option(arguments, "--seconds", 2.0)?;
    let places = [Directory::new("bench-policies-lww")?, Directory::new("bench-policies-crdt")?];
    let regions = [
        region::start(arguments, &places[0], POLICIES[0])?,
        region::start(arguments, &places[1], POLICIES[1])?,
    ];
    for (name, kind) in [("PutItem", Kind::Put), ("UpdateItem ADD", Kind::Add)] {
        let mut rates = [Vec::new(), Vec::new()];
        let mut costs = [Vec::new(), Vec::new()];
        for region in &regions {
            measure(region, kind, seconds / 4.0)?;
        }
        for round in 0..rounds {
            // Taking turns at being first.
            for at in [round % 2, (round + 1) % 2] {
                let (rate, cost) = measure(&regions[at], kind, seconds)?;
                rates[at].push(rate);
                costs[at].push(cost);
                progress(&format!("{name}, {}: {rate:.0} req/s, {cost:.1} us", POLICIES[at]));
            }
        }
        let slower: Vec<f64> =
            rates[0].iter().zip(&rates[1]).map(|(lww, crdt)| lww / crdt).collect();
        let dearer: Vec<f64> =
            costs[1].iter().zip(&costs[0]).map(|(crdt, lww)| crdt / lww).collect();
        for (policy, (rates, costs)) in POLICIES.iter().zip(rates.into_iter().zip(costs)) {
            figure(&format!("{name}, {policy}"), median(rates), "req/s", "10 000");
            figure(&format!("{name}, {policy}, server CPU"), median(costs), "us/req", "70");
        }
        figure(&format!("{name}, time of crdt / lww"), median(slower), "ratio", "1.1, 1.5 at most");
        figure(&format!("{name}, CPU of crdt / lww"), median(dearer), "ratio", "1.1, 1.5 at most");
    }
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
