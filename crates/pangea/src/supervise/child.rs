//! The step between `up` and each of its processes: ties their lives together, then becomes them.
//!
//! `pangea supervise-child --parent PID -- PROGRAM …` asks the kernel for SIGKILL when its parent
//! dies, then executes the program in its place. The request survives `execve`, so even a foreign
//! program dies with `up`, also when `up` is killed with SIGKILL. What such a program starts itself
//! is not covered: on an orderly stop `up` ends whole process groups, on SIGKILL it cannot.
//!
//! The kernel means the parent *thread*: `up` starts its children from the main thread, which
//! lives as long as the process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::Args;

/// Name of the hidden subcommand.
pub const COMMAND: &str = "supervise-child";

/// What to become.
#[derive(Debug, Args)]
pub struct ChildArgs {
    /// The process to die with
    #[arg(long)]
    parent: i32,
    /// Program and arguments
    #[arg(last = true, required = true)]
    argv: Vec<OsString>,
}

/// Becomes the program; returns only if it cannot.
///
/// # Errors
/// The program cannot be executed.
pub fn run(args: &ChildArgs) -> anyhow::Result<ExitCode> {
    die_with_parent()?;
    // A parent that died before the request above sends no signal any more.
    let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
    if parent != Some(args.parent) {
        return Ok(ExitCode::FAILURE);
    }
    let Some((program, arguments)) = args.argv.split_first() else {
        anyhow::bail!("{COMMAND}: no program");
    };
    let error = Command::new(program).args(arguments).exec();
    Err(anyhow::anyhow!("cannot execute {}: {error}", program.display()))
}

#[cfg(target_os = "linux")]
fn die_with_parent() -> std::io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Elsewhere there is no such request: a SIGKILL of `up` leaves its processes behind.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the Linux one")]
fn die_with_parent() -> std::io::Result<()> {
    Ok(())
}
