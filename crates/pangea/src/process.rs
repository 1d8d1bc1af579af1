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
