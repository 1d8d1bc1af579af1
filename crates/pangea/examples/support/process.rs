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

/// Last lines of a log that a complaint shows.
const LOG_LINES: usize = 12;

/// A process that ends with the value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: Option<PathBuf>,
}

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
        let file = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
        let name = format!("{file} {}", arguments.join(" "));
        Ok(Self { child, name, log: log.map(Path::to_owned) })
    }

    /// Returns once it listens.
    ///
    /// Fails with the end of its log if it ends before, or does not for too long.
    pub(crate) fn listening(mut self, address: SocketAddr) -> anyhow::Result<Self> {
        let began = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            let (name, ended) = (&self.name, self.child.try_wait()?);
            let late = began.elapsed() > PATIENCE;
            if let Some(status) = ended {
                anyhow::bail!(
                    "`{name}` ended ({status}) before it listened: {}",
                    self.last_words()
                );
            }
            anyhow::ensure!(!late, "`{name}` does not listen on {address}: {}", self.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let text = self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let lines = &lines[lines.len().saturating_sub(LOG_LINES)..];
        if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("\n") }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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

    /// Memory of it that is in RAM and is no file's, MB: what it allocated.
    pub(crate) fn memory_mb(&self) -> anyhow::Result<f64> {
        self.status_mb("RssAnon:")
    }

    /// The most memory that it had in RAM since it began, or since [`Process::forget_peak`], MB.
    pub(crate) fn peak_mb(&self) -> anyhow::Result<f64> {
        self.status_mb("VmHWM:")
    }

    /// The peak begins anew (`man 5 proc_pid_clear_refs`).
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5")?)
    }

    fn status_mb(&self, name: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kb = line.and_then(|line| line.split_whitespace().next());
        Ok(kb.with_context(|| name.to_owned())?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns once it is so.
pub(crate) fn wait_until(complaint: &str, good: impl FnMut() -> bool) -> anyhow::Result<()> {
    wait_within(PATIENCE, complaint, good)
}

/// The same, with a patience of its own.
pub(crate) fn wait_within(
    patience: Duration,
    complaint: &str,
    mut good: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !good() {
        anyhow::ensure!(began.elapsed() < patience, "{complaint} after {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process and where it serves.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
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
