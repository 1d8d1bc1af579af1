//! `pangea up`: runs a whole topology on this machine, each region a process of its own.
//!
//! State: one `Supervisor` that owns every child process. Events: a child ends, the
//! control socket asks, time passes, a signal says stop. Always true: nothing starts before
//! everything has been checked; one `up` per data directory; no child outlives `up`, however it
//! ends (see [`child`]); a child that dies is restarted only as its policy in the topology says,
//! and never after it was stopped on request.
//!
//! `up` decides nothing about traffic or data: kill it, and what it would have said is still true
//! of the files, only its processes are gone.

pub mod child;
pub mod client;
mod control;
mod drive;
mod holder;
mod lock;
pub(crate) mod observe;
mod preflight;
mod process;
mod protocol;
mod socket;
mod spec;
mod supervisor;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
pub(crate) use process::OVERDUE;

use crate::cli::context::topology_path;
use crate::config::Topology;

/// What `pangea up` is told.
#[derive(Clone, Debug)]
pub struct UpArgs {
    /// The whole deployment.
    pub topology: Topology,
    /// Its data directory; made if it does not exist.
    pub data_dir: PathBuf,
    /// Whether to run services, or regions and edge only.
    pub services: bool,
    /// Filter for the logs of the processes.
    pub log: String,
}

/// Runs the topology until it is told to stop.
///
/// # Errors
/// Something needed is missing or taken; nothing was started then.
pub fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let UpArgs { mut topology, data_dir, services, log } = args;
    if !services {
        topology.services.clear();
        topology.records.clear();
    }
    // Whoever runs a whole topology on one machine does so to see it fail.
    topology.faults.allow.get_or_insert(true);
    let program = std::env::current_exe().context("cannot find the pangea program itself")?;
    let shown = data_dir.clone();
    let data_dir = std::path::absolute(&data_dir)?;
    let _lock = lock::take(&data_dir)?;
    let unavailable = preflight::check(&topology)?;
    write_topology(&topology, &data_dir)?;
    let specs = spec::of(&topology, &program, &data_dir, &log);
    // One thread: children are tied to the thread that starts them, and this one lives longest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plan = drive::Plan { topology, data_dir, shown, program, specs, unavailable };
    runtime.block_on(Box::pin(drive::run(plan)))
}

/// Leaves the effective topology where every other command finds it.
fn write_topology(topology: &Topology, data_dir: &Path) -> anyhow::Result<()> {
    let path = topology_path(data_dir);
    let text =
        format!("# Written by `pangea up`: the topology in effect.\n\n{}", topology.to_toml());
    // As it is if it says so already: a full disk keeps no topology from being run again.
    if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let beside = path.with_extension("toml.new");
    // It may hold secrets.
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&beside, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}
