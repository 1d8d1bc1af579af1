//! What the benchmarks share: figures, percentiles, a directory and addresses of their own.
//!
//! A benchmark prints figures on stdout, one a line, for `cargo xtask bench` to lay out, and its
//! progress on stderr. Whatever is measured runs in a process of its own.

#![allow(dead_code, reason = "each benchmark uses its part of this")]

pub(crate) mod bare;
pub(crate) mod contest;
pub(crate) mod dynamo;
pub(crate) mod load;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod region;
pub(crate) mod slow_disk;
pub(crate) mod writes;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

/// Prints a figure: name, value, unit, and what it should be by the back of an envelope.
pub(crate) fn figure(name: &str, value: f64, unit: &str, hypothesis: &str) {
    let digits = if value < 10.0 { 2 } else { usize::from(value < 1000.0) };
    let line = format!("{name}\t{value:.digits$}\t{unit}\t{hypothesis}");
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Tells whoever waits.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The middle one, because one of three rounds may be disturbed by the machine's other work.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    // Of an even number, between the two in the middle: neither is nearer than the other.
    f64::midpoint(values[last / 2], values[values.len() / 2])
}

/// The value below which a share of all lies; sorts them.
pub(crate) fn percentile(values: &mut [u32], per_mille: usize) -> u32 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((values.len() * per_mille / 1000).min(last)).copied().unwrap_or(0)
}

/// An address of this machine that was free a moment ago.
pub(crate) fn free() -> anyhow::Result<SocketAddr> {
    // The kernel may draw again what was given away and is not listened to yet.
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    loop {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        if GIVEN.lock().expect("no holder panics").insert(address) {
            return Ok(address);
        }
    }
}

/// A directory that goes with the value.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Beside the build's output, because the system's own temporary directory may be in memory,
    /// where a sync costs nothing.
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let base = program.parent().unwrap_or_else(|| Path::new("."));
        forget_dead(base, name);
        let path = base.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Removes what runs that were killed have left: directories whose process is gone.
fn forget_dead(base: &Path, name: &str) {
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    for entry in entries {
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        let process = file_name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        let is_dead = |process: &str| {
            process.parse::<u32>().is_ok_and(|id| !Path::new(&format!("/proc/{id}")).exists())
        };
        if process.is_some_and(is_dead) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// Bytes of the files in a directory and in those below it.
pub(crate) fn bytes_below(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// The main of a benchmark; `load`, `writes` and `bare` are the processes that it starts of itself.
pub(crate) fn main(benchmark: fn(&[String]) -> anyhow::Result<()>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("load") => load::child(&arguments[1..]),
        Some("writes") => writes::child(&arguments[1..]),
        Some("bare") => bare::child(&arguments[1..]),
        _ => benchmark(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// The value of an option such as `--seconds 5`, or `default`.
pub(crate) fn option<T: std::str::FromStr>(
    arguments: &[String],
    name: &str,
    default: T,
) -> anyhow::Result<T> {
    let Some(at) = arguments.iter().position(|word| word == name) else { return Ok(default) };
    let value = arguments.get(at + 1).and_then(|value| value.parse().ok());
    value.ok_or_else(|| anyhow::anyhow!("{name} takes a value"))
}
