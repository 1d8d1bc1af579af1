//! What the clients of an experiment share, and what they record.
//!
//! A client writes, records what it was told, and never retries. Nothing here judges.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pangea_core::experiment::{Attempt, Issued};
use pangea_core::time::Stamp;
use tokio::sync::watch;

/// How a client reaches the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    /// A new name lookup whenever the last answer's lifetime is over.
    Dns,
    /// One address for ever.
    Accelerator,
    /// Writes at a region's store itself.
    Store,
    /// Reads at a region's store itself.
    Read,
}

impl Path {
    /// The word in reports.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Accelerator => "accelerator",
            Self::Store => "store",
            Self::Read => "read",
        }
    }
}

/// What kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The whole item.
    Put,
    /// One attribute.
    Update,
    /// The whole item, under a condition that held.
    Conditional,
    /// No item any more.
    Delete,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Put, Self::Update, Self::Conditional, Self::Delete];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Update => "update",
            Self::Conditional => "conditional",
            Self::Delete => "delete",
        }
    }
}

/// A write of an item that was acknowledged, and is owed to its client.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) table: Arc<str>,
    pub(super) key: String,
    pub(super) kind: Kind,
    /// The version that it became.
    pub(super) stamp: Stamp,
    /// What was written, unique; none for a deletion.
    pub(super) value: Option<String>,
}

/// What was written, if it was acknowledged.
#[derive(Clone, Debug)]
pub(super) enum Written {
    /// An order of this identity.
    Order(String),
    /// An item, as a version.
    Version(Write),
}

/// One recorded request.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// How it went.
    pub(super) path: Path,
    /// When, and whether it was answered as it should be: a condition that did not hold is right.
    pub(super) attempt: Attempt,
    /// When it was answered, ms of the experiment's own wall clock.
    pub(super) ended_wall_ms: u64,
    /// What the experiment was doing when it was sent.
    pub(super) phase: &'static str,
    /// The region that was asked, if the client chose one.
    pub(super) asked: Option<String>,
    /// The region that answered, if it said so.
    pub(super) served_by: Option<String>,
    /// What is owed to it.
    pub(super) written: Option<Written>,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// The table and key of a deletion that was not answered: it may have been done.
    pub(super) perhaps_deleted: Option<(Arc<str>, String)>,
}

impl Record {
    /// The acknowledged write of an item.
    pub(super) fn write(&self) -> Option<&Write> {
        match &self.written {
            Some(Written::Version(write)) => Some(write),
            Some(Written::Order(_)) | None => None,
        }
    }

    /// The same, as the clock's judges want it.
    pub(super) fn issued(&self) -> Option<Issued> {
        let Attempt { started_us, ended_us, .. } = self.attempt;
        let ended_wall_ms = self.ended_wall_ms;
        let stamp = self.write()?.stamp;
        Some(Issued { stamp, started_us, ended_us, ended_wall_ms })
    }
}

/// What a client was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) served_by: Option<String>,
    pub(super) written: Option<Written>,
    pub(super) error: Option<String>,
    pub(super) perhaps_deleted: Option<(Arc<str>, String)>,
}

impl Told {
    pub(super) fn error(error: impl std::fmt::Display) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }
}

/// What all clients share.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    /// The experiment's time zero.
    pub(super) began: Instant,
    /// Turns true when clients shall end.
    pub(super) stop: watch::Receiver<bool>,
    /// Pause of a client between two requests.
    pub(super) pause: Duration,
    /// A client gives up on a request after this.
    pub(super) timeout: Duration,
    records: Arc<Mutex<Vec<Record>>>,
    phase: Arc<Mutex<&'static str>>,
}

impl Ground {
    pub(super) fn new(stop: watch::Receiver<bool>, pause: Duration, timeout: Duration) -> Self {
        let (records, phase) = (Arc::default(), Arc::new(Mutex::new("before")));
        Self { began: Instant::now(), stop, pause, timeout, records, phase }
    }

    /// Microseconds since the experiment began.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Everything recorded so far.
    pub(super) fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names what the experiment does from now on.
    pub(super) fn set_phase(&self, phase: &'static str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    pub(super) fn phase(&self) -> &'static str {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Times one request to `asked`, or through the front door, and records what it was told.
    pub(super) async fn request(
        &self,
        path: Path,
        asked: Option<&str>,
        request: impl Future<Output = Told>,
    ) {
        let (started_us, phase) = (self.now_us(), self.phase());
        let Told { served_by, written, error, perhaps_deleted } = request.await;
        let attempt = Attempt { started_us, ended_us: self.now_us(), succeeded: error.is_none() };
        let (ended_wall_ms, asked) = (wall_ms(), asked.map(str::to_string));
        let record = Record {
            path,
            attempt,
            ended_wall_ms,
            phase,
            asked,
            served_by,
            written,
            error,
            perhaps_deleted,
        };
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Waits between two requests; `false` if the client shall end.
    pub(super) async fn rest(&self) -> bool {
        tokio::time::sleep(self.pause).await;
        !*self.stop.borrow()
    }
}

/// The experiment's own wall clock, ms since 1970.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
