//! How a process of the topology ends: told by a signal.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Returns when the process is told to stop, by SIGTERM, Ctrl-C, or the end of its terminal.
///
/// # Errors
/// The system refuses to deliver signals.
pub async fn told_to_stop() -> std::io::Result<()> {
    let mut hangup = hangup()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = hung_up(&mut hangup) => {}
    }
    Ok(())
}

/// What tells of the end of the process's terminal. `None`: whoever started it had hangups ignored,
/// as `nohup` does.
///
/// # Errors
/// The system refuses to deliver signals.
pub(crate) fn hangup() -> std::io::Result<Option<Signal>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignores_hangup(&status) { Ok(None) } else { signal(SignalKind::hangup()).map(Some) }
}

/// Returns when the terminal ends; never if that does not matter.
pub(crate) async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// Reads the mask of ignored signals in what Linux tells of a process; bit 0 is SIGHUP's.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Begins this process anew, in its place: the same program with the same arguments and the same
/// process identity, and nothing else of what it was. It ends instead if that cannot be done.
pub fn begin_anew() -> ! {
    use std::os::unix::process::CommandExt;
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_else(|_| name.clone().into());
    let error = std::process::Command::new(&program).arg0(name).args(arguments).exec();
    tracing::error!(program = %program.display(), %error, "cannot begin anew: start the process");
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen() {
        assert!(ignores_hangup(
            "Name:\tpangea\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"
        ));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n"));
        assert!(!ignores_hangup(""));
    }
}
