//! Processes under measurement: start, wait for, count the CPU of, end.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How long anything may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The kernel tells CPU time in hundredths of a second, whatever its own clock (`man 5 proc`).
const TICK_US: f64 = 10_000.0;

/// A process that ends with the value.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program; its log goes to a file if one is named, else nowhere.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        log: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        match log {
            Some(log) => command.stderr(std::fs::File::create(log)?),
            None => command.stderr(Stdio::inherit()),
        };
        let child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self(child))
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// CPU time of all its threads so far, user and system, microseconds.
    pub(crate) fn cpu_us(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name in parentheses may hold anything; utime and stime are the 14th and 15th fields.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
        let ticks: Vec<f64> = ticks.collect::<Result<_, _>>().context("/proc/PID/stat")?;
        anyhow::ensure!(ticks.len() == 2, "/proc/{}/stat has too few fields", self.id());
        Ok(ticks.iter().sum::<f64>() * TICK_US)
    }
}

impl Process {
    /// Memory of it that is in RAM and is no file's, MB: what it allocated.
    pub(crate) fn memory_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kb = line.and_then(|line| line.split_whitespace().next()).context("RssAnon")?;
        Ok(kb.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Returns once something listens.
pub(crate) fn wait_for(address: SocketAddr) -> anyhow::Result<()> {
    wait_until(&format!("nothing listens on {address}"), || {
        TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
    })
}

/// Returns once it is so.
pub(crate) fn wait_until(complaint: &str, mut good: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !good() {
        anyhow::ensure!(began.elapsed() < PATIENCE, "{complaint} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The `pangea` to measure: `--pangea PATH`, else the one built beside this program.
pub(crate) fn pangea(arguments: &[String]) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let beside = program.parent().and_then(Path::parent).map(|profile| profile.join("pangea"));
    let path: PathBuf = super::option(arguments, "--pangea", beside.unwrap_or_default())?;
    anyhow::ensure!(
        path.is_file(),
        "no `{}`: build it with `cargo build --release`, or name one with --pangea",
        path.display()
    );
    Ok(path)
}

/// Starts `pangea` on a topology.
pub(crate) fn start_pangea(
    program: &Path,
    directory: &Path,
    words: &[&str],
) -> anyhow::Result<Process> {
    let log = directory.join(format!("{}.log", words.join("-")));
    let place = |path: PathBuf| path.display().to_string();
    let topology = place(directory.join("topology.toml"));
    let data = place(directory.join("data"));
    let common = ["-f", &topology, "--data-dir", &data, "--log", "warn"];
    let arguments: Vec<String> = words.iter().chain(&common).map(ToString::to_string).collect();
    Process::start(program, &arguments, Some(&log))
}
