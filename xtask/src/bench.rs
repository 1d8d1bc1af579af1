//! `cargo xtask bench`: one command for every figure that the README shows.
//!
//! A benchmark gives figures; here they are laid out, each beside what it should be by the back of
//! an envelope and the command that measures it again. Absolute figures are this machine's, today.

use std::process::Command;
use std::time::Instant;

use crate::say;
use crate::setup;
use crate::shell::{self, Failure, cargo};

/// A benchmark by name.
struct Bench {
    name: &'static str,
    about: &'static str,
    /// Whether `all` leaves it out.
    asked_only: bool,
    run: fn(&Wanted<'_>) -> Result<Vec<Figure>, Failure>,
}

const BENCHES: [Bench; 10] = [
    Bench {
        name: "api",
        about: "GetItem, durable PutItem and Query over HTTP beside bare hyper and dynoxide",
        asked_only: false,
        run: api,
    },
    Bench {
        name: "load",
        about: "a million items in one run: rate, tail, files and memory",
        asked_only: false,
        run: |wanted| example("bench_load", wanted),
    },
    Bench {
        name: "scan",
        about: "Scan of a table much greater than the cache: memory and rate; 2 GB, minutes",
        asked_only: true,
        run: |wanted| example("bench_scan", wanted),
    },
    Bench {
        name: "policies",
        about: "writes to a table that merges attribute by attribute beside last writer wins",
        asked_only: false,
        run: |wanted| example("bench_policies", wanted),
    },
    Bench {
        name: "replication",
        about: "lag at 70 % of the write capacity; a backlog; memory; three regions' writes",
        asked_only: false,
        run: |wanted| example("bench_replication", wanted),
    },
    Bench {
        name: "accelerator",
        about: "a connection through the accelerator against a direct one",
        asked_only: false,
        run: |wanted| example("bench_accelerator", wanted),
    },
    Bench {
        name: "storage",
        about: "durable commits and reads of the engine alone",
        asked_only: false,
        run: |wanted| example("bench_storage", wanted),
    },
    Bench {
        name: "merge",
        about: "merge functions in WebAssembly, by the module of examples/merge",
        asked_only: false,
        run: |wanted| example("bench_merge", wanted),
    },
    Bench { name: "sim", about: "simulated seeds per second", asked_only: false, run: sim },
    Bench {
        name: "build",
        about: "cold release build, dependencies fetched before",
        asked_only: true,
        run: build,
    },
];

/// What is asked for beside the name.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// The storage engine; none for the default.
    engine: Option<&'a str>,
    /// What goes to the benchmark as it is.
    arguments: &'a [&'a str],
}

const SIM_SEEDS: &str = "2000";
const JSON: [&str; 2] = ["--output", "json"];

/// What was measured.
struct Figure {
    name: String,
    value: String,
    unit: String,
    hypothesis: String,
}

/// The figures of one benchmark, and how busy the machine was.
struct Measured {
    /// How it is asked for: its name, and the engine if it is not the default.
    bench: String,
    figures: Vec<Figure>,
    load: [String; 2],
}

/// Runs the one that is named, or all.
pub(crate) fn run(words: &[&str]) -> Result<bool, Failure> {
    let split = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let arguments = words.get(split + 1..).unwrap_or(&[]);
    let (json, names) = match &words[..split] {
        [names @ .., output, form] if [*output, *form] == JSON => (true, names),
        names => (false, names),
    };
    let (engine, names) = match names {
        [names @ .., "--engine", engine @ ("redb" | "rocksdb")] => (Some(*engine), names),
        [.., "--engine", _] => return Err(Failure::new("--engine takes redb or rocksdb")),
        names => (None, names),
    };
    let chosen: Vec<&Bench> = match names {
        [] | ["all"] => BENCHES.iter().filter(|bench| !bench.asked_only).collect(),
        [name] => BENCHES.iter().filter(|bench| bench.name == *name).collect(),
        _ => Vec::new(),
    };
    if chosen.is_empty() {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(Failure::new(format!("the benchmarks are {} and all", names.join(", "))));
    }
    let mut measured = Vec::new();
    for bench in chosen {
        say::problem(&format!("==> bench {}: {}", bench.name, bench.about));
        let before = load();
        let figures = (bench.run)(&Wanted { engine, arguments })?;
        let engine = engine.map(|engine| format!(" --engine {engine}")).unwrap_or_default();
        let bench = format!("{}{engine}", bench.name);
        measured.push(Measured { bench, figures, load: [before, load()] });
    }
    if json {
        print_json(&measured)
    } else {
        print_table(&measured)
    }
    Ok(true)
}

/// Average number of processes that want a core, of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn print_table(measured: &[Measured]) {
    let figures = || measured.iter().flat_map(|it| &it.figures);
    let width = |of: fn(&Figure) -> &str| figures().map(|it| of(it).len()).max().unwrap_or(0);
    let (names, values) = (width(|it| &it.name), width(|it| &it.value).max("MEASURED".len()));
    let (units, expected) =
        (width(|it| &it.unit), width(|it| &it.hypothesis).max("EXPECTED".len()));
    let head = (format!("{:<names$}", "FIGURE"), format!("{:>values$}", "MEASURED"));
    say::line(&format!(
        "{}  {}  {:<units$}  {:<expected$}  COMMAND",
        head.0, head.1, "", "EXPECTED"
    ));
    for bench in measured {
        for it in &bench.figures {
            let (name, value, unit, hypothesis) = (&it.name, &it.value, &it.unit, &it.hypothesis);
            say::line(&format!(
                "{name:<names$}  {value:>values$}  {unit:<units$}  {hypothesis:<expected$}  \
                 cargo xtask bench {}",
                bench.bench
            ));
        }
    }
    let loads = measured.iter().map(|it| format!("{} {} to {}", it.bench, it.load[0], it.load[1]));
    let loads: Vec<String> = loads.collect();
    say::line(&format!("{} cores; load average: {}", cores(), loads.join(", ")));
}

/// One figure a line.
fn print_json(measured: &[Measured]) {
    for bench in measured {
        for it in &bench.figures {
            let texts = [
                ("bench", &bench.bench),
                ("figure", &it.name),
                ("unit", &it.unit),
                ("hypothesis", &it.hypothesis),
                ("load_before", &bench.load[0]),
                ("load_after", &bench.load[1]),
            ];
            let texts = texts.map(|(name, text)| format!("\"{name}\":{}", quoted(text)));
            let (texts, value) = (texts.join(","), &it.value);
            say::line(&format!("{{{texts},\"value\":{value},\"cores\":{}}}", cores()));
        }
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => out += &format!("\\u{:04x}", u32::from(letter)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Builds an example and the program that it measures, and takes its figures.
fn example(name: &str, wanted: &Wanted<'_>) -> Result<Vec<Figure>, Failure> {
    let rocksdb = wanted.engine == Some("rocksdb");
    if rocksdb {
        setup::rocksdb()?;
    }
    let features: &[&str] = if rocksdb { &["--features", "rocksdb"] } else { &[] };
    let build = ["build", "--release", "--locked", "-p", "pangea", "--bin", "pangea", "--example"];
    built(cargo(&build).arg(name).args(features))?;
    let program = shell::target()?.join("release/examples").join(name);
    let mut command = Command::new(&program);
    if let Some(engine) = wanted.engine {
        command.args(["--engine", engine]);
    }
    let text = shell::data(command.args(wanted.arguments))?;
    text.lines().map(|line| parse(line, name)).collect()
}

/// With the other server of the same API, where it can be installed.
fn api(wanted: &Wanted<'_>) -> Result<Vec<Figure>, Failure> {
    let mut arguments = wanted.arguments.to_vec();
    let peer = if arguments.contains(&"--dynoxide") { None } else { setup::dynoxide()? };
    let peer = peer.map(|program| program.display().to_string());
    if let Some(program) = &peer {
        arguments.extend(["--dynoxide", program]);
    }
    example("bench_api", &Wanted { arguments: &arguments, ..*wanted })
}

fn parse(line: &str, name: &str) -> Result<Figure, Failure> {
    let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
    let [name, value, unit, hypothesis] = <[String; 4]>::try_from(fields)
        .map_err(|_| Failure::new(format!("{name} said something that is no figure: {line}")))?;
    Ok(Figure { name, value, unit, hypothesis })
}

fn built(command: &mut Command) -> Result<(), Failure> {
    if shell::succeeds(command)? {
        return Ok(());
    }
    Err(Failure::new(format!("{} failed", shell::spelled(command))))
}

/// One core: a world is one thread.
fn sim(wanted: &Wanted<'_>) -> Result<Vec<Figure>, Failure> {
    built(&mut cargo(&["build", "--release", "--locked", "-p", "pangea", "--bin", "pangea"]))?;
    let seeds = ["--seeds", SIM_SEEDS];
    let wanted = if wanted.arguments.is_empty() { &seeds } else { wanted.arguments };
    let mut command = Command::new(shell::target()?.join("release/pangea"));
    let text = shell::data(command.args(["sim"]).args(JSON).args(wanted))?;
    let rate = text.split_once("\"seeds_per_s\":").map(|(_, rest)| rest);
    let rate = rate.and_then(|rest| rest.split([',', '}']).next());
    let rate = rate.ok_or_else(|| Failure::new(format!("no rate in {text}")))?;
    Ok(vec![Figure {
        name: "simulated seeds, one core".to_owned(),
        value: rate.trim().to_owned(),
        unit: "/s".to_owned(),
        hypothesis: "1 000: 1 ms for 2 000 events".to_owned(),
    }])
}

/// Into a directory of its own, thrown away after.
fn build(_: &Wanted<'_>) -> Result<Vec<Figure>, Failure> {
    built(&mut cargo(&["fetch", "--locked"]))?;
    let place = shell::target()?.join("bench-build");
    let _ = std::fs::remove_dir_all(&place);
    let mut command = cargo(&["build", "--release", "--locked", "-p", "pangea", "--target-dir"]);
    let started = Instant::now();
    let result = built(command.arg(&place));
    let seconds = started.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(&place);
    result?;
    Ok(vec![Figure {
        name: "cold release build".to_owned(),
        value: format!("{seconds:.0}"),
        unit: "s".to_owned(),
        hypothesis: "180, must be below 360".to_owned(),
    }])
}
