//! How a process of the topology ends: told by a signal.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process is told to stop, by SIGTERM or Ctrl-C.
///
/// # Errors
/// The system refuses to deliver signals.
pub async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
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
