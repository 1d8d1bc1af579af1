//! Datagrams: one task reads, answers and sends, without a task per query.
//!
//! A task per datagram cost 1.6 times the processor time in hickory-server (`traffic.md`, 3.4).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::counters::Counters;
use super::reply::{Context, Silence, Transport, reply};
use crate::traffic::{Dice, Snapshots, Throttle};

/// Greatest query read, bytes; anything longer than a name, a type and some options is not a query.
const QUERY_BYTES_MAX: usize = 4096;
/// Pause after the socket failed, so that a lasting failure does not spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

static RECEIVE_FAILED: Throttle = Throttle::new();
static SEND_FAILED: Throttle = Throttle::new();
static GARBAGE: Throttle = Throttle::new();

pub(super) struct Worker {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) snapshots: Snapshots,
    pub(super) counters: Arc<Counters>,
    pub(super) payload_max: u16,
}

impl Worker {
    pub(super) async fn run(mut self) {
        let mut query = vec![0; QUERY_BYTES_MAX];
        let mut out = Vec::with_capacity(usize::from(self.payload_max));
        let mut snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let mut dice = Dice::new();
        loop {
            let (len, from) = match self.socket.recv_from(&mut query).await {
                Ok(received) => received,
                Err(error) => {
                    RECEIVE_FAILED.warn(|| tracing::warn!(%error, "dns: receive failed"));
                    tokio::time::sleep(FAILURE_PAUSE).await;
                    continue;
                }
            };
            self.counters.udp.fetch_add(1, Relaxed);
            if self.snapshots.has_changed().unwrap_or(false) {
                snapshot = Arc::clone(&self.snapshots.borrow_and_update());
            }
            let context = Context {
                snapshot: &snapshot,
                counters: &self.counters,
                client: from.ip(),
                transport: Transport::Udp { payload_max: self.payload_max },
                dice: dice.roll(),
            };
            match reply(&context, &query[..len], &mut out) {
                Ok(_) => self.send(&out, from).await,
                Err(silence) => drop_message(&self.counters, silence),
            }
        }
    }

    async fn send(&self, out: &[u8], to: std::net::SocketAddr) {
        let sent = match self.socket.try_send_to(out, to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.send_to(out, to).await
            }
            sent => sent,
        };
        if let Err(error) = sent {
            self.counters.send_failed.fetch_add(1, Relaxed);
            SEND_FAILED.warn(|| tracing::warn!(%error, %to, "dns: send failed"));
        }
    }
}

/// Counts a message that gets no reply.
pub(super) fn drop_message(counters: &Counters, silence: Silence) {
    match silence {
        Silence::Short => counters.dropped_short.fetch_add(1, Relaxed),
        Silence::Response => counters.dropped_response.fetch_add(1, Relaxed),
    };
    GARBAGE
        .warn(|| tracing::warn!(why = silence.as_str(), "dns: dropped a message that is no query"));
}
