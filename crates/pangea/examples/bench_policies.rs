//! `cargo xtask bench policies`: what a write costs where items merge attribute by attribute.
//!
//! Hypothesis, 2 cores: the two policies differ in what the writer thread does with an item of 1 KB
//! in ten attributes. Taking it apart into registers costs a PutItem about 0.5 us of some 70, and
//! adding to one counter of a state costs what applying an update to plain attributes costs
//! (`cargo run --release -p pangea-codec --example bench_crdt`): both within a tenth.

mod support;

use std::process::ExitCode;

use support::contest::{Contender, Contest, of, per_s, ratio};
use support::load::{self, Kind};
use support::region::{Alone, CONNECTIONS};
use support::{dynamo, figure, option};

const POLICIES: [&str; 2] = ["lww", "crdt"];

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let rounds = option(arguments, "--rounds", 5)?;
    let seconds = option(arguments, "--seconds", 2.0)?;
    let start = |policy: &'static str| -> anyhow::Result<Alone> {
        let table = dynamo::Table { merge: Some(policy), ..dynamo::TABLE };
        let region = Alone::start(arguments, &format!("bench-policies-{policy}"), "", table)?;
        load::fill(region.server.address)?;
        Ok(region)
    };
    let regions = [start(POLICIES[0])?, start(POLICIES[1])?];
    let contenders = [0, 1].map(|at| Contender::new(POLICIES[at], &regions[at].server));
    for (name, kind) in [("PutItem", Kind::Put), ("UpdateItem ADD", Kind::Add)] {
        let contest = Contest { kind, connections: CONNECTIONS, rounds, seconds };
        let rounds = contest.run(&contenders)?;
        for (policy, rounds) in POLICIES.iter().zip(&rounds) {
            figure(&format!("{name}, {policy}"), of(rounds, per_s), "req/s", "10 000");
            let cpu = of(rounds, |it| it.cpu_us);
            figure(&format!("{name}, {policy}, server CPU"), cpu, "us/req", "70");
        }
        let slower = ratio(&rounds[0], &rounds[1], per_s);
        let dearer = ratio(&rounds[1], &rounds[0], |it| it.cpu_us);
        figure(&format!("{name}, time of crdt / lww"), slower, "ratio", "1.1, 1.5 at most");
        figure(&format!("{name}, CPU of crdt / lww"), dearer, "ratio", "1.1, 1.5 at most");
    }
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
