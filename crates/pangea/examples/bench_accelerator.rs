//! `cargo xtask bench accelerator`: a connection through the accelerator beside a direct one.
//!
//! Hypothesis (`traffic.md` 3.2): carrying a request and its answer takes four system calls and two
//! wake-ups more, about 15 us of CPU, so on 2 cores that the generator and the server share already
//! the rate falls to 0.5 and the p50 of 64 busy connections doubles. An idle machine adds 0.05 ms.
//! A connection of its own costs two more handshakes and closes: a third of the direct rate.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;

use support::contest::{Contender, Contest, Round, of, per_s, ratio};
use support::dynamo::Connection;
use support::load::Kind;
use support::process::{Process, pangea, start_pangea, wait_until};
use support::{Directory, bare, figure, free, option};

const BODY_BYTES: usize = 1024;

struct World {
    _directory: Directory,
    _processes: Vec<Process>,
    direct: SocketAddr,
    accelerator: SocketAddr,
}

fn start(arguments: &[String]) -> anyhow::Result<World> {
    let directory = Directory::new("bench-accelerator")?;
    let (direct, accelerator, dynamodb) = (free()?, free()?, free()?);
    let mut text = format!(
        "cluster = \"bench\"\n[[region]]\nname = \"a\"\ndynamodb = \"{dynamodb}\"\n\
         admin = \"{}\"\npeer = \"{}\"\n[edge]\naccelerator = \"{accelerator}\"\n",
        free()?,
        free()?
    );
    for key in ["control", "dns", "operator"] {
        text += &format!("{key} = \"{}\"\n", free()?);
    }
    text += &format!(
        "[[service]]\nname = \"bare\"\naccelerated = true\nendpoint = {{ a = \"{direct}\" }}\n"
    );
    std::fs::write(directory.path().join("topology.toml"), text)?;
    let program = pangea(arguments)?;
    let mut processes = vec![bare::start(direct, BODY_BYTES)?];
    let region = start_pangea(&program, directory.path(), &["region", "--name", "a"])?;
    processes.push(region.listening(dynamodb)?);
    processes.push(start_pangea(&program, directory.path(), &["edge"])?);
    wait_until("nothing answers through the accelerator", || {
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        Connection::open(accelerator).is_ok_and(|mut it| it.ask(request).is_ok())
    })?;
    Ok(World { _directory: directory, _processes: processes, direct, accelerator })
}

/// Rounds through the accelerator and direct.
fn compare(
    world: &World,
    (kind, connections): (Kind, usize),
    (rounds, seconds): (usize, f64),
) -> anyhow::Result<(Vec<Round>, Vec<Round>)> {
    let contenders =
        [Contender::at("accelerator", world.accelerator), Contender::at("direct", world.direct)];
    let rounds = Contest { kind, connections, rounds, seconds }.run(&contenders)?;
    let [ours, theirs] = <[_; 2]>::try_from(rounds).expect("one for each contender");
    Ok((ours, theirs))
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let rounds = option(arguments, "--rounds", 3)?;
    let seconds = option(arguments, "--seconds", 3.0)?;
    let world = start(arguments)?;
    let (ours, theirs) = compare(&world, (Kind::Plain, 64), (rounds, seconds))?;
    figure("kept alive, accelerator", of(&ours, per_s), "req/s", "25 000");
    figure("kept alive, direct", of(&theirs, per_s), "req/s", "50 000");
    figure("kept alive, accelerator / direct", ratio(&ours, &theirs, per_s), "ratio", "0.5");
    let (ours, theirs) = compare(&world, (Kind::Plain, 1), (rounds, seconds))?;
    let (p50, direct) = (of(&ours, |it| it.measured.p50_ms), of(&theirs, |it| it.measured.p50_ms));
    figure("one at a time, accelerator, p50", p50, "ms", "0.1");
    figure("one at a time, direct, p50", direct, "ms", "0.05");
    figure("one at a time, added p50", p50 - direct, "ms", "0.05");
    let (ours, theirs) = compare(&world, (Kind::Close, 64), (rounds, seconds))?;
    figure("connection each, accelerator", of(&ours, per_s), "conn/s", "5 000");
    figure("connection each, direct", of(&theirs, per_s), "conn/s", "15 000");
    figure("connection each, accelerator / direct", ratio(&ours, &theirs, per_s), "ratio", "0.33");
    Ok(())
}

fn main() -> ExitCode {
    support::main(run)
}
