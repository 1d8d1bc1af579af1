//! Messages of several streams, back in the order in which they were numbered.
//!
//! State: the number that is due, and messages with higher ones. Always true: they are at most
//! [`REORDER_BYTES_MAX`] and one message; a stream whose message has no room waits before it reads
//! it, and the message that is due always has room, so that the streams cannot block each other.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes of messages that came early, compressed as they came: one stream may be this much behind
/// the others before they wait for it, which is 25 MB/s for 160 ms, a lost packet on a long link.
pub(super) const REORDER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A message as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Its length once it is decompressed; `None` if it is not compressed.
    pub(super) plain: Option<usize>,
    pub(super) bytes: Vec<u8>,
}

/// A number that came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {0} of the link came twice")]
pub(super) struct Repeated(u64);

#[derive(Debug, Default)]
struct Window {
    due: u64,
    /// By number; `None` while it is being read.
    held: BTreeMap<u64, Option<Sealed>>,
    bytes: usize,
}

impl Window {
    /// Makes room, if there is some: then the message must be [`Window::put`].
    fn reserve(&mut self, number: u64, bytes: usize) -> Result<bool, Repeated> {
        if number < self.due || self.held.contains_key(&number) {
            return Err(Repeated(number));
        }
        let fits = number == self.due || self.bytes + bytes <= REORDER_BYTES_MAX;
        if fits {
            self.held.insert(number, None);
            self.bytes += bytes;
        }
        Ok(fits)
    }

    fn put(&mut self, number: u64, message: Sealed) {
        let place = self.held.get_mut(&number).expect("reserved before it was read");
        *place = Some(message);
    }

    fn pop(&mut self) -> Option<Sealed> {
        let first = self.held.first_entry().filter(|entry| *entry.key() == self.due)?;
        if first.get().is_none() {
            return None;
        }
        let message = first.remove()?;
        self.due += 1;
        self.bytes -= message.bytes.len();
        Some(message)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    window: Mutex<Window>,
    changed: Notify,
}

impl Reorder {
    /// Waits for room for a message; what was reserved must be put.
    pub(super) async fn reserve(&self, number: u64, bytes: usize) -> Result<(), Repeated> {
        let reserved = self.until(|window| match window.reserve(number, bytes) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(repeated) => Some(Err(repeated)),
        });
        reserved.await
    }

    /// Takes in a message for which room was reserved.
    pub(super) fn put(&self, number: u64, message: Sealed) {
        self.window().put(number, message);
        self.changed.notify_waiters();
    }

    /// The next message in order.
    pub(super) async fn pop(&self) -> Sealed {
        let message = self.until(Window::pop).await;
        self.changed.notify_waiters();
        message
    }

    async fn until<T>(&self, mut done: impl FnMut(&mut Window) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before the look, so that no change falls between look and wait.
            changed.as_mut().enable();
            if let Some(value) = done(&mut self.window()) {
                return value;
            }
            changed.await;
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
