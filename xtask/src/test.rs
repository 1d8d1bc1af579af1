//! `cargo xtask test`: everything that the README promises of it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::clients::{self, Built};
use crate::say;
use crate::setup;
use crate::shell::{self, Failure};
use crate::tally::Tally;

/// The tiers, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Unit, law, golden and conformance tests of every package but the simulator, in the
    /// development profile.
    Unit,
    /// The simulator must find each bug that is planted for it, and none in schedules without.
    Sim,
    /// Real clients against the release binary.
    EndToEnd,
}

const TIERS: [(&str, Tier); 3] =
    [("unit", Tier::Unit), ("sim", Tier::Sim), ("e2e", Tier::EndToEnd)];

/// Schedules of a minute on one core.
const SEEDS: u32 = 30_000;

/// Processes that share them: a simulated world is single-threaded.
const SIMULATORS: u32 = 2;

/// Processes that run end-to-end tests side by side, each file in one of them. Waiting is most of
/// what these tests do; more than two only make two processors late.
const WORKERS: &str = "2";

/// Runs the tiers that `arguments` select, or the storage tests alone, with an engine.
pub(crate) fn all(arguments: &[&str]) -> Result<Tally, Failure> {
    if let ["--engine", engine] = arguments {
        return storage(engine);
    }
    let (tiers, engine, pytest) = select(arguments)?;
    let features = engine.map_or(Ok(&[][..]), features)?;
    // Beside the rest: what takes their time is registries that are far away.
    let mut building = tiers.contains(&Tier::EndToEnd).then(|| thread::spawn(clients::build));
    // Unit tests ask servers with `dig`, too.
    if tiers.contains(&Tier::Unit) || tiers.contains(&Tier::EndToEnd) {
        let started = begin("tools for the tests");
        setup::packages()?;
        say::done("tools for the tests", true, started.elapsed());
    }
    let mut total = Tally::default();
    for tier in tiers {
        match tier {
            Tier::Unit => total.add(unit()?),
            Tier::Sim => {
                total.add(planted_bugs()?);
                total.add(schedules()?);
            }
            Tier::EndToEnd => {
                total.add(end_to_end((engine, features), &pytest, building.take())?);
            }
        }
    }
    Ok(total)
}

/// The tiers, the engine of the regions of the last one, and arguments for pytest.
type Selected<'a> = (Vec<Tier>, Option<&'a str>, Vec<&'a str>);

fn select<'a>(arguments: &[&'a str]) -> Result<Selected<'a>, Failure> {
    let split = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
    let pytest = arguments.get(split + 1..).unwrap_or(&[]).to_vec();
    match &arguments[..split] {
        [] => Ok((TIERS.map(|(_, tier)| tier).to_vec(), None, pytest)),
        ["--only", "e2e", "--engine", engine] => Ok((vec![Tier::EndToEnd], Some(*engine), pytest)),
        ["--only", wanted] => {
            let tier = TIERS.iter().find(|(name, _)| name == wanted);
            let tier = tier.ok_or_else(|| Failure::new("--only takes unit, sim or e2e"))?;
            Ok((vec![tier.1], None, pytest))
        }
        _ => Err(Failure::new(
            "usage: cargo xtask test [--only unit|sim|e2e] [-- PYTEST…] | \
             [--only e2e] --engine redb|rocksdb [-- PYTEST…]",
        )),
    }
}

fn unit() -> Result<Tally, Failure> {
    // Without examples, which hold no tests, and documentation, which holds none either. The
    // simulator's tests are run with the planted bugs, optimised: here they took two minutes more.
    let packages = ["test", "--workspace", "--exclude", "pangea-sim", "--tests", "--no-fail-fast"];
    cargo_tests("unit tests", &packages)
}

/// The storage trait's conformance and the disks that fail, with an engine that the default build
/// may not have.
fn storage(engine: &str) -> Result<Tally, Failure> {
    let features = features(engine)?;
    let mut total = Tally::default();
    for target in [&["--lib", "storage::"], &["--test", "storage_crash"]] {
        let arguments = [&["test", "-p", "pangea", "--no-fail-fast"], features, target].concat();
        let shown = [&arguments[..], &["--", "--nocapture"]].concat();
        total.add(cargo_tests(&format!("storage tests, {engine}"), &shown)?);
    }
    Ok(total)
}

/// What a build needs for an engine, whose tools are installed.
fn features(engine: &str) -> Result<&'static [&'static str], Failure> {
    match engine {
        "redb" => Ok(&[]),
        "rocksdb" => {
            let started = begin("tools for RocksDB");
            setup::rocksdb()?;
            say::done("tools for RocksDB", true, started.elapsed());
            Ok(&["--features", "rocksdb"])
        }
        _ => Err(Failure::new("--engine takes redb or rocksdb")),
    }
}

fn planted_bugs() -> Result<Tally, Failure> {
    // Optimised: rare bugs take hundreds of schedules to find.
    let arguments =
        ["test", "--release", "-p", "pangea-sim", "--features", "planted-bugs", "--no-fail-fast"];
    cargo_tests("planted bugs", &arguments)
}

/// Schedules of the replication machines, each with faults of its own, by their number, so that no
/// clock decides.
fn schedules() -> Result<Tally, Failure> {
    let Some(pangea) = pangea(&[])? else { return Ok(Tally::check(false)) };
    let started = begin("simulated schedules");
    let share = SEEDS / SIMULATORS;
    let simulator = |nth: u32| {
        let (first, seeds) = ((1 + nth * share).to_string(), share.to_string());
        let mut command = shell::program_in_root(&pangea);
        command.args(["sim", "--seed", &first, "--seeds", &seeds]);
        command
    };
    let well = shell::all_succeed_at_once((0..SIMULATORS).map(simulator).collect())?;
    say::done("simulated schedules", well, started.elapsed());
    Ok(Tally::check(well))
}

/// The release binary of the README's first command; `None` if it does not compile.
fn pangea(features: &[&str]) -> Result<Option<PathBuf>, Failure> {
    let started = begin("release build");
    let release = ["build", "--release", "--locked", "-p", "pangea"];
    let well = shell::succeeds(shell::cargo(&release).args(features))?;
    say::done("release build", well, started.elapsed());
    Ok(if well { Some(shell::target()?.join("release/pangea")) } else { None })
}

fn cargo_tests(name: &str, arguments: &[&str]) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let started = begin(name);
    let well = shell::follow(&mut shell::cargo(arguments), |line| tally.read_cargo(line))?;
    let tally = tally.settle(well);
    say::done(name, tally.clean(), started.elapsed());
    Ok(tally)
}

fn end_to_end(
    (engine, features): (Option<&str>, &[&str]),
    arguments: &[&str],
    building: Option<JoinHandle<Result<Built, Failure>>>,
) -> Result<Tally, Failure> {
    let started = begin("Python for the end-to-end tests");
    let python = setup::python()?;
    say::done("Python for the end-to-end tests", true, started.elapsed());

    let Some(built) = pangea(features)? else { return Ok(Tally::check(false)) };
    let started = begin("build of the sample application");
    let shop = shop()?;
    say::done("build of the sample application", shop.is_some(), started.elapsed());
    let Some(shop) = shop else { return Ok(Tally::check(false)) };
    // A copy, so that a build which ends while the tests run does not change what they test.
    let pangea = shell::target()?.join("e2e/pangea");
    copy(&built, &pangea)
        .map_err(|error| Failure::new(format!("{}: {error}", pangea.display())))?;

    let started = begin("clients in other languages");
    let built = building.map_or_else(clients::build, |thread| {
        thread.join().unwrap_or_else(|_| Err(Failure::new("the build of clients panicked")))
    })?;
    say::done("clients in other languages", true, started.elapsed());

    let started = begin("end-to-end tests");
    let mut tally = Tally::default();
    let mut command = shell::program_in_root(&python);
    command.args(["-m", "pytest", "tests/e2e", "--color=no", "-p", "no:cacheprovider"]);
    command.args(["-n", WORKERS, "--dist", "loadfile"]);
    command.args(arguments);
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PANGEA_BIN", &pangea).env("PANGEA_SHOP_BIN", &shop);
    command.envs(engine.map(|engine| ("PANGEA_ENGINE", engine)));
    if let Some(peer) = peer()? {
        command.env("PANGEA_DYNOXIDE", peer);
    }
    command.envs(built);
    let well = shell::follow(&mut command, |line| tally.read_pytest(line))?;
    let tally = tally.settle(well);
    say::done("end-to-end tests", tally.clean(), started.elapsed());
    Ok(tally)
}

/// The server that random requests are compared with, where that is asked for: it takes minutes to
/// build.
fn peer() -> Result<Option<PathBuf>, Failure> {
    let asked = ["PANGEA_DIFFERENTIAL", "PANGEA_COMPAT"];
    if asked.iter().all(|name| env::var_os(name).is_none()) {
        return Ok(None);
    }
    setup::dynoxide()
}

/// The sample application, where the README's first command builds it; `None` if it does not
/// compile.
fn shop() -> Result<Option<PathBuf>, Failure> {
    let shop = shell::root().join("examples/shop");
    let (manifest, target) = (shop.join("Cargo.toml"), shop.join("target"));
    let mut build = shell::cargo(&["build", "--release", "--locked", "--manifest-path"]);
    build.arg(manifest).arg("--target-dir").arg(&target);
    let well = shell::succeeds(&mut build)?;
    Ok(well.then(|| target.join("release/pangea-shop")))
}

fn copy(from: &PathBuf, to: &PathBuf) -> std::io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    // A running program cannot be written over, only replaced.
    let _ = fs::remove_file(to);
    fs::copy(from, to).map(|_| ())
}

fn begin(name: &str) -> Instant {
    say::step(name);
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_selected_by_name() {
        let tiers = |words: &[&str]| select(words).map(|(tiers, ..)| tiers).ok();
        assert_eq!(tiers(&[]).map(|tiers| tiers.len()), Some(3));
        assert_eq!(tiers(&["--only", "sim"]), Some(vec![Tier::Sim]));
        assert_eq!(tiers(&["--only", "most"]), None);
        assert_eq!(tiers(&["most"]), None);
        let chosen = |words: &[&'static str]| {
            let (_, engine, pytest) = select(words).expect("well formed");
            (engine, pytest)
        };
        assert_eq!(chosen(&["--only", "e2e", "--", "-k", "race"]), (None, vec!["-k", "race"]));
        assert_eq!(chosen(&["--only", "e2e", "--engine", "redb"]), (Some("redb"), vec![]));
        assert_eq!(tiers(&["--only", "unit", "--engine", "redb"]), None);
    }
}
