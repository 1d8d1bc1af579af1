//! `cargo xtask bench api`: `GetItem`, durable `PutItem` and `Query` beside a bare hyper server
//! whose answers are as long, and beside dynoxide in memory where that is installed; and what the
//! journal of a stream adds to a `PutItem`.
//!
//! Hypothesis, 2 cores, generator on the same machine: a bare keep-alive request costs its server
//! about 15 us of CPU, nearly all of it in the kernel's sockets. A GetItem adds JSON in and out
//! (1 KB at about 1 GB/s each, and some thirty allocations: 5 us), a row of the B-tree (2 us), its
//! checksum and decoding (2 us): 25 us, a ratio of 0.6 or better. A PutItem adds 32 us of engine
//! (`engine.md`), two hops between threads and a share of one sync to the JSON: 70 us, 0.2 or so.
//! A Query of 100 items reads, checks and decodes 100 rows (2 us each) and spells 25 KB of JSON:
//! 300 us, where the bare server copies 25 KB, 25 us. A stream doubles or triples the bytes that a
//! PutItem writes: both images of 1 KB beside the row, and reads the one before: half as much more.
//!
//! Options: `--only get|put|query|journal`, `--rounds N`, `--seconds S`, `--engine NAME`,
//! `--dynoxide PATH`.

mod support;

use std::process::ExitCode;

use support::contest::{self, Contender, Contest, Hypothesis, of, per_s, ratio};
use support::dynamo::{self, Connection};
use support::load::{self, Kind};
use support::peer;
use support::process::Server;
use support::region::{Alone, CONNECTIONS};
use support::{Directory, bare, figure, option, progress};

/// A request that is compared.
struct Case {
    name: &'static str,
    kind: Kind,
    /// One of it, to see how long its answer is.
    request: String,
    ours: Hypothesis,
    /// What its rate should be as a share of bare hyper's, and of dynoxide's.
    ratios: [&'static str; 2],
}

fn cases(engine: &str) -> [Case; 3] {
    let put = if engine == "rocksdb" { "0.45 at least" } else { "0.18 at least" };
    [
        Case {
            name: "GetItem",
            kind: Kind::Get,
            request: dynamo::get("item-00000001"),
            ours: Hypothesis { per_s: "30 000", p50: "64 / rate", cpu: "25" },
            ratios: ["0.7 at least", "2 at least"],
        },
        Case {
            name: "PutItem",
            kind: Kind::Put,
            request: dynamo::put("item-00000001", 1),
            ours: Hypothesis { per_s: "10 000", p50: "4: two groups", cpu: "70" },
            ratios: [put, "1 at least"],
        },
        Case {
            name: "Query of 100 items",
            kind: Kind::Query,
            request: dynamo::query(&dynamo::partition(1)),
            ours: Hypothesis { per_s: "3 000", p50: "64 / rate", cpu: "300" },
            ratios: ["0.1", "1 at least"],
        },
    ]
}

/// Those that answer DynamoDB requests, filled alike.
fn fill(server: &Server) -> anyhow::Result<()> {
    dynamo::make(server.address, dynamo::SORTED)?;
    dynamo::fill_sorted(server.address)?;
    load::fill(server.address)
}

fn compare(
    case: &Case,
    (region, dynoxide): (&Server, Option<&Server>),
    (rounds, seconds): (usize, f64),
) -> anyhow::Result<()> {
    let Case { name, kind, request, ours, ratios } = case;
    let bytes = Connection::open(region.address)?.ask(request)?.len();
    progress(&format!("{name}: {} bytes asked, {bytes} answered", request.len()));
    let bare = bare::server(bytes)?;
    let mut contenders =
        vec![Contender::new("region", region), Contender::new("bare hyper", &bare)];
    contenders.extend(dynoxide.map(|server| Contender::new("dynoxide", server)));
    let contest = Contest { kind: *kind, connections: CONNECTIONS, rounds, seconds };
    let rounds = contest.run(&contenders)?;
    contest::report(name, &rounds[0], *ours);
    let expected = [
        Hypothesis { per_s: "50 000", p50: "64 / rate", cpu: "15" },
        Hypothesis { per_s: "", p50: "64 / rate", cpu: "" },
    ];
    let others = contenders.iter().zip(&rounds).skip(1);
    for (at, (peer, theirs)) in others.enumerate() {
        contest::report(&format!("{name}, {}", peer.name), theirs, expected[at]);
        let value = ratio(&rounds[0], theirs, per_s);
        figure(&format!("{name} / {}", peer.name), value, "ratio", ratios[at]);
    }
    Ok(())
}

/// A table with a stream beside one without, in a region each.
fn journal(
    arguments: &[String],
    plain: &Server,
    (rounds, seconds): (usize, f64),
) -> anyhow::Result<()> {
    let table = dynamo::Table { streamed: true, ..dynamo::TABLE };
    let streamed = Alone::start(arguments, "bench-api-stream", "", table)?;
    load::fill(streamed.server.address)?;
    let contenders =
        [Contender::new("with a stream", &streamed.server), Contender::new("without", plain)];
    let contest = Contest { kind: Kind::Put, connections: CONNECTIONS, rounds, seconds };
    let rounds = contest.run(&contenders)?;
    let name = "PutItem with a stream of both images";
    figure(name, of(&rounds[0], per_s), "req/s", "7 000");
    let slower = ratio(&rounds[0], &rounds[1], per_s);
    figure(&format!("{name} / without"), slower, "ratio", "0.7");
    let dearer = ratio(&rounds[0], &rounds[1], |it| it.cpu_us);
    figure(&format!("{name} / without, server CPU"), dearer, "ratio", "1.5");
    Ok(())
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let much = (option(arguments, "--rounds", 3)?, option(arguments, "--seconds", 4.0)?);
    let only: String = option(arguments, "--only", String::new())?;
    let engine: String = option(arguments, "--engine", String::new())?;
    let wanted = |name: &str| only.is_empty() || only == name;
    let region = Alone::start(arguments, "bench-api", "", dynamo::TABLE)?;
    fill(&region.server)?;
    let directory = Directory::new("bench-api-peer")?;
    let dynoxide = if only == "journal" { None } else { peer::start(arguments, &directory)? };
    if let Some(server) = &dynoxide {
        dynamo::make(server.address, dynamo::TABLE)?;
        fill(server)?;
    }
    for (case, name) in cases(&engine).iter().zip(["get", "put", "query"]) {
        if wanted(name) {
            compare(case, (&region.server, dynoxide.as_ref()), much)?;
        }
    }
    if wanted("journal") {
        journal(arguments, &region.server, much)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
