//! A checkpoint that has begun: a table of the log's rows is moved into the database.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// What moves the rows; nothing may be written after it has failed.
type Work = dyn Fn() -> Result<(), String> + Send + Sync;

/// See the module.
#[derive(Debug)]
pub(super) struct Checkpoint(By);

enum By {
    Thread(JoinHandle<Result<(), String>>),
    /// Whoever waits for it.
    Waiter(Arc<Work>),
}

impl Checkpoint {
    /// Does the work on a thread of its own, if there is one to be had, or when it is waited for.
    pub(super) fn begin(
        in_background: bool,
        work: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let work: Arc<Work> = Arc::new(work);
        if !in_background {
            return Self(By::Waiter(work));
        }
        let thread = thread::Builder::new().name("checkpoint".to_owned());
        let shared = Arc::clone(&work);
        Self(thread.spawn(move || shared()).map_or(By::Waiter(work), By::Thread))
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(&self.0, By::Thread(thread) if thread.is_finished())
    }

    /// Waits for it.
    ///
    /// # Errors
    /// Why the rows could not be moved.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.0 {
            By::Thread(thread) => thread
                .join()
                .unwrap_or_else(|_| Err("the thread of a checkpoint has panicked".to_owned())),
            By::Waiter(work) => work(),
        }
    }

    /// Leaves it, if nothing of it was done yet.
    ///
    /// # Errors
    /// See [`Checkpoint::finish`].
    pub(super) fn abandon(self) -> Result<(), String> {
        if matches!(self.0, By::Waiter(_)) { Ok(()) } else { self.finish() }
    }
}

impl fmt::Debug for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread(_) => "Thread",
            Self::Waiter(_) => "Waiter",
        })
    }
}
