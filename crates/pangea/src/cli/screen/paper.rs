//! What `up` writes, on a thread of its own.
//!
//! A terminal that is held with Ctrl-S, or a pipe that nobody reads, takes no more bytes. That must
//! not hold whoever restarts processes and stops them: what does not fit any more is left out.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::cli::out;

/// Texts that wait to be written.
const TEXTS: usize = 64;
/// How long the end waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// Stdout, as something that never makes anybody wait.
#[derive(Debug)]
pub(super) struct Paper {
    texts: Option<SyncSender<String>>,
    written: Receiver<()>,
}

impl Paper {
    pub(super) fn new() -> Self {
        Self::on(|text| out::raw(&text))
    }

    fn on(write: impl Fn(String) + Send + 'static) -> Self {
        let (texts, waiting) = sync_channel(TEXTS);
        let (end, written) = sync_channel(1);
        // It may never end, and nobody waits for it but `close`.
        std::thread::spawn(move || {
            waiting.into_iter().for_each(write);
            drop(end);
        });
        Self { texts: Some(texts), written }
    }

    /// Whether it is taken; it is left out if too much waits already.
    pub(super) fn put(&self, text: String) -> bool {
        self.texts.as_ref().is_some_and(|texts| texts.try_send(text).is_ok())
    }

    /// Writes what waits, unless that takes too long.
    pub(super) fn close(&mut self) {
        self.texts = None;
        // It says nothing: it ends.
        let _ = self.written.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[test]
    fn what_cannot_be_written_makes_nobody_wait() {
        let held = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&held);
        let lock = || held.lock().unwrap_or_else(PoisonError::into_inner);
        let terminal = lock();
        let mut paper = Paper::on(move |text| {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        });
        let taken = (0..1000).filter(|n| paper.put(n.to_string())).count();
        // One is being written.
        assert!((TEXTS..=TEXTS + 1).contains(&taken), "{taken}");
        drop(terminal);
        paper.close();
        assert_eq!(lock().len(), taken);
        assert!(!paper.put("late".to_owned()));
    }
}
