//! How soon planted bugs are found, by how long schedules are.
//!
//! `cargo run --release -p pangea-sim --features planted-bugs --example detect --
//! [FINDS [EVENTS [LENGTHS [BUGS]]]]` looks for each bug, or those that are named, in the seeds
//! from 1 on until so many of them found it or so many events have happened. What a find costs is
//! told in events: they cost about the same whatever the length; by a clock they do not.

use std::io::Write;
use std::ops::ControlFlow;

use mimalloc::MiMalloc;
use pangea_core::node::Bug;
use pangea_sim::{Length, Options, PLANTED, fitting, run_many};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |nth: usize| arguments.get(nth).and_then(|word| word.parse::<u64>().ok());
    let bounds = (number(0).unwrap_or(40), number(1).unwrap_or(1_200_000));
    let words = arguments.get(2).map_or("100,50,33,20,mixed", String::as_str);
    let lengths: Vec<Length> = words.split(',').map(length).collect();
    let named = |bug: &Bug| match arguments.get(3) {
        Some(names) => names.split(',').any(|name| name == format!("{bug:?}")),
        None => true,
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "bug, length: finds, seeds, events, thousand events a find")?;
    for &bug in PLANTED.iter().filter(|bug| named(bug)) {
        for &length in &lengths {
            let (finds, seeds, events) = look(bug, length, bounds);
            let each = match finds {
                0 => format!("more than {}", events / 1000),
                finds => format!("{:.1}", events as f64 / finds as f64 / 1000.0),
            };
            writeln!(out, "{bug:?}, {length:?}: {finds}, {seeds}, {events}, {each}")?;
        }
    }
    Ok(())
}

fn length(word: &str) -> Length {
    word.parse().map_or(Length::Mixed, Length::Percent)
}

/// Seeds that found the bug, all seeds, and the events of these.
fn look(bug: Bug, length: Length, (finds_max, events_max): (u64, u64)) -> (u64, u64, u64) {
    let options = Options { bug: Some(bug), length, timeline_max: Some(1), ..fitting(bug) };
    let (mut finds, mut events) = (0, 0);
    let summary = run_many(1, u64::MAX, &options, |report| {
        finds += u64::from(report.violation.is_some());
        events += report.counts.events;
        let done = finds >= finds_max || events >= events_max;
        if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (finds, summary.seeds, events)
}
