//! Carries bytes both ways until both sides are done, one breaks, or nothing moves for too long.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use super::Counters;

/// Bytes of each direction's buffer: tokio's own for copying, as in the measurements (3.2).
const BUFFER_BYTES: usize = 8 * 1024;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides closed in order.
    Closed,
    /// One side broke off.
    Broken,
    /// Nothing moved for the idle time.
    Idle,
    /// The region went down.
    Ejected,
}

/// When bytes last moved, ms after the start.
struct Activity {
    started: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn touch(&self) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now_ms, Relaxed);
    }

    /// Returns once nothing moved for `idle`.
    async fn lapsed(&self, idle: Duration) {
        loop {
            let due = self.started + Duration::from_millis(self.last_ms.load(Relaxed)) + idle;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

/// Carries bytes between `client` and `server`; the end of one direction is passed on as such.
pub(super) async fn splice(
    client: &mut TcpStream,
    server: &mut TcpStream,
    idle: Duration,
    counters: &Counters,
) -> End {
    let activity = Activity { started: Instant::now(), last_ms: AtomicU64::new(0) };
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let carry = async {
        tokio::try_join!(
            pump(client_read, server_write, &activity, &counters.bytes_in),
            pump(server_read, client_write, &activity, &counters.bytes_out),
        )
    };
    tokio::select! {
        biased;
        carried = carry => if carried.is_ok() { End::Closed } else { End::Broken },
        () = activity.lapsed(idle) => End::Idle,
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    activity: &Activity,
    bytes: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            // The other side may be gone already; then its own direction says so.
            let _ = to.shutdown().await;
            return Ok(());
        }
        activity.touch();
        to.write_all(&buffer[..count]).await?;
        activity.touch();
        bytes.fetch_add(count as u64, Relaxed);
    }
}
