//! Connections that ask nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Since when a connection waits for its client.
///
/// One timer a connection, that is set again when it fires: hyper's own is made for each request,
/// behind a lock that all connections share.
#[derive(Debug)]
pub(super) struct Idle {
    began: Instant,
    /// Requests that are not answered yet.
    busy: AtomicU32,
    /// When bytes were last sent, milliseconds after `began`.
    sent_ms: AtomicU64,
    /// Whether there is an answer of which it is not known that all was sent.
    owed: AtomicBool,
}

impl Idle {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            busy: AtomicU32::new(0),
            sent_ms: AtomicU64::new(0),
            owed: AtomicBool::new(false),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The client took bytes.
    pub(super) fn sent(&self) {
        self.sent_ms.store(self.now_ms(), Relaxed);
    }

    /// All that was to be sent is.
    pub(super) fn flushed(&self) {
        self.owed.store(false, Relaxed);
    }

    /// Whether the client waits for an answer, or the rest of one, to what it asked before.
    pub(super) fn owes(&self) -> bool {
        self.busy.load(Relaxed) > 0 || self.owed.load(Relaxed)
    }

    /// Waits until nothing was asked and nothing sent for so long. A head that comes slowly is
    /// nothing yet. HTTP/2's pings are sent, too.
    pub(super) async fn over(&self, patience: Duration) {
        loop {
            let since = self.now_ms().saturating_sub(self.sent_ms.load(Relaxed));
            let left = match self.busy.load(Relaxed) {
                0 => patience.saturating_sub(Duration::from_millis(since)),
                _ => patience,
            };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Idle>);

impl Busy {
    pub(super) fn of(idle: &Arc<Idle>) -> Self {
        idle.busy.fetch_add(1, Relaxed);
        Self(Arc::clone(idle))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.owed.store(true, Relaxed);
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is over within so many ms.
    async fn over(idle: &Idle, patience_ms: u64, within_ms: u64) -> bool {
        let over = idle.over(Duration::from_millis(patience_ms));
        tokio::time::timeout(Duration::from_millis(within_ms), over).await.is_ok()
    }

    #[tokio::test]
    async fn who_asks_nothing_is_waited_for_so_long() {
        let idle = Arc::new(Idle::new());
        assert!(over(&idle, 20, 10_000).await);
        let busy = Busy::of(&idle);
        assert!(!over(&idle, 20, 100).await, "a request is under way");
        drop(busy);
        assert!(over(&idle, 20, 10_000).await);
        idle.sent();
        assert!(!over(&idle, 10_000, 20).await, "bytes were sent a moment ago");
    }

    #[test]
    fn an_answer_is_owed_until_all_of_it_is_sent() {
        let idle = Arc::new(Idle::new());
        assert!(!idle.owes());
        let busy = Busy::of(&idle);
        idle.flushed();
        assert!(idle.owes(), "it is not there yet");
        drop(busy);
        idle.sent();
        assert!(idle.owes(), "a part of it was sent");
        idle.flushed();
        assert!(!idle.owes());
    }
}
