//! A panic that ends one request and not the process.
//!
//! The machines of a region abort the process when they find themselves in a state that cannot be:
//! going on could write it. A request that panics while it is decoded, read or answered harms
//! nobody else. The hook that [`install`] sets tells the two apart: inside of [`caught`] and
//! [`guarded`] it lets the panic unwind to there, everywhere else it ends the process.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Nothing is left of what panicked, but that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request met a defect of the server")]
pub struct Panicked;

/// Makes every panic that nobody guards against end the process, as with `panic = "abort"`.
pub fn install() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        if !INSIDE.get() {
            std::process::abort();
        }
        tracing::error!(%info, "a panic that was caught");
    }));
}

/// Panics of requests since the process began.
#[must_use]
pub fn count() -> u64 {
    COUNT.load(Relaxed)
}

/// What `work` of a request makes of it, unless it panics.
///
/// # Errors
/// [`Panicked`] if it does, which is counted.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    contained(work).inspect_err(|_| {
        COUNT.fetch_add(1, Relaxed);
    })
}

/// What `work` makes of it, where a panic is expected of code that is not ours.
///
/// # Errors
/// [`Panicked`] if it does.
pub fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let before = INSIDE.replace(true);
    // What it shares with others is behind locks that are poisoned, or is read only.
    let done = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(before);
    done.map_err(|_| Panicked)
}

/// What `future` makes of it, unless it panics.
///
/// # Errors
/// [`Panicked`] if it does; it is not polled again.
pub async fn guarded<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => std::task::Poll::Ready(Err(panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_become_errors_and_are_counted() {
        let before = count();
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| -> u8 { panic!("on purpose") }), Err(Panicked));
        let late = async {
            tokio::task::yield_now().await;
            assert!(INSIDE.get(), "the guard holds between polls");
            panic!("on purpose")
        };
        assert_eq!(guarded(late).await.map(|()| 0), Err(Panicked));
        assert!(!INSIDE.get(), "and nowhere else");
        assert!(count() >= before + 2);
    }
}
