//! `cargo xtask bench api`: `GetItem` and durable `PutItem` beside a bare hyper server.
//!
//! Hypothesis, 2 cores, generator on the same machine: a bare keep-alive request costs its server
//! about 15 us of CPU, nearly all of it in the kernel's sockets. A GetItem adds JSON in and out
//! (1 KB at about 1 GB/s each, and some thirty allocations: 5 us), a row of the B-tree (2 us), its
//! checksum and decoding (2 us): 25 us, a ratio of 0.6 or better. A PutItem adds 32 us of engine
//! (`engine.md`), two hops between threads and a share of one sync to the JSON: 70 us, 0.2 or so.

mod support;

use std::process::ExitCode;

use support::load::{self, Kind, Measured};
use support::process::wait_for;
use support::region::{self, CONNECTIONS, Server};
use support::{Directory, bare, dynamo, figure, free, median, option, progress};

/// One measurement of one server.
#[derive(Clone, Copy)]
struct Round {
    measured: Measured,
    cpu_us: f64,
}

fn measure(server: &Server, kind: Kind, seconds: f64) -> anyhow::Result<Round> {
    let before = server.process.cpu_us()?;
    let measured = load::run(kind, server.address, CONNECTIONS, seconds)?;
    let cpu_us = (server.process.cpu_us()? - before) / measured.requests;
    Ok(Round { measured, cpu_us })
}

fn start_bare(bytes: usize) -> anyhow::Result<Server> {
    let address = free()?;
    let process = bare::start(address, bytes)?;
    wait_for(address)?;
    Ok(Server { process, address })
}

/// Rounds of both, taking turns at being first, behind one that warms both up.
fn compare(
    (region, bare): (&Server, &Server),
    kind: Kind,
    (rounds, seconds): (usize, f64),
) -> anyhow::Result<(Vec<Round>, Vec<Round>)> {
    measure(region, kind, seconds / 5.0)?;
    measure(bare, kind, seconds / 5.0)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            ours.push(measure(region, kind, seconds)?);
            theirs.push(measure(bare, kind, seconds)?);
        } else {
            theirs.push(measure(bare, kind, seconds)?);
            ours.push(measure(region, kind, seconds)?);
        }
        let (us, it) = (ours[round], theirs[round]);
        progress(&format!(
            "round {}: {:.0} req/s and {:.1} us CPU, bare {:.0} req/s and {:.1} us CPU",
            round + 1,
            us.measured.per_s,
            us.cpu_us,
            it.measured.per_s,
            it.cpu_us
        ));
    }
    Ok((ours, theirs))
}

/// What a pair of figures should be: requests per second, p50 ms, CPU us, ratio.
struct Hypothesis {
    per_s: &'static str,
    p50: &'static str,
    cpu: &'static str,
    ratio: &'static str,
}

fn report(name: &str, ours: &[Round], theirs: &[Round], expected: &Hypothesis) {
    let of = |rounds: &[Round], pick: fn(&Round) -> f64| median(rounds.iter().map(pick).collect());
    figure(name, of(ours, |it| it.measured.per_s), "req/s", expected.per_s);
    figure(&format!("{name}, p50"), of(ours, |it| it.measured.p50_ms), "ms", expected.p50);
    figure(&format!("{name}, p99"), of(ours, |it| it.measured.p99_ms), "ms", "2 to 3 p50");
    figure(&format!("{name}, server CPU"), of(ours, |it| it.cpu_us), "us/req", expected.cpu);
    let bare = format!("{name}, bare hyper");
    figure(&bare, of(theirs, |it| it.measured.per_s), "req/s", "50 000");
    figure(&format!("{bare}, p50"), of(theirs, |it| it.measured.p50_ms), "ms", "64 / rate");
    figure(&format!("{bare}, p99"), of(theirs, |it| it.measured.p99_ms), "ms", "2 to 3 p50");
    figure(&format!("{bare}, server CPU"), of(theirs, |it| it.cpu_us), "us/req", "15");
    let pairs = ours.iter().zip(theirs);
    let ratio = pairs.map(|(us, it)| us.measured.per_s / it.measured.per_s).collect();
    figure(&format!("{name} / bare hyper"), median(ratio), "ratio", expected.ratio);
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let rounds = option(arguments, "--rounds", 3)?;
    let seconds = option(arguments, "--seconds", 4.0)?;
    let directory = Directory::new("bench-api")?;
    let region = region::start(arguments, &directory, "lww")?;
    let mut connection = dynamo::Connection::open(region.address)?;
    let hypotheses = [
        Hypothesis { per_s: "30 000", p50: "64 / rate", cpu: "25", ratio: "0.6" },
        Hypothesis { per_s: "10 000", p50: "4: two groups", cpu: "70", ratio: "0.2" },
    ];
    let asked = [dynamo::get("item-00000001"), dynamo::put("item-00000001", 1)];
    let kinds = [("GetItem", Kind::Get), ("PutItem", Kind::Put)];
    for (((name, kind), request), expected) in kinds.into_iter().zip(&asked).zip(&hypotheses) {
        let bytes = connection.ask(request)?.len();
        progress(&format!("{name}: {} bytes asked, {bytes} answered", request.len()));
        let bare = start_bare(bytes)?;
        let (ours, theirs) = compare((&region, &bare), kind, (rounds, seconds))?;
        report(name, &ours, &theirs, expected);
    }
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
