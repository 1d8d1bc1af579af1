//! What links count: for status, metrics, and the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pangea_core::id::RegionSlot;
use pangea_core::replica::Frame;

/// Garbage of one kind is logged once per this.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Lines in that time: several for each of the regions of a topology, and memory is bounded.
const LOGGED_MAX: usize = 256;

/// This region's part in a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It dialled and receives the peer's rows.
    Subscriber,
    /// It was dialled and sends its rows.
    Feeder,
}

/// A picture of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStats {
    /// The other region.
    pub peer: RegionSlot,
    /// This region's part.
    pub role: Role,
    /// Whether the link is open now.
    pub up: bool,
    /// Times that it opened since the process began.
    pub opened: u64,
    /// Bytes received, length prefixes included, TLS excluded.
    pub bytes_in: u64,
    /// Bytes sent, likewise.
    pub bytes_out: u64,
    /// Frames received or, by a feeder, sent.
    pub frames: u64,
    /// Rows in those frames.
    pub rows: u64,
    /// Bytes of those frames before compression.
    pub frame_bytes: u64,
    /// The last round trip, simulated delay and queues included; only the subscriber measures it.
    pub rtt: Option<Duration>,
    /// Why the link was last closed or could not be opened.
    pub last_error: Option<String>,
}

/// What is counted of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameSize {
    rows: usize,
    bytes: usize,
}

impl FrameSize {
    /// Of a frame that takes `bytes` when it is not compressed.
    pub(super) fn of(frame: &Frame, bytes: usize) -> Self {
        Self { rows: frame.rows().len(), bytes }
    }
}

/// The live counters behind [`LinkStats`].
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Two for the moment in which a newer connection replaces an older one.
    open: AtomicU64,
    opened: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    frames: AtomicU64,
    rows: AtomicU64,
    frame_bytes: AtomicU64,
    rtt_us: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Meter {
    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
        self.opened.fetch_add(1, Relaxed);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Relaxed) > 0
    }

    /// A connection ended or, unless it `was_open`, did not come about. Returns whether the reason
    /// is news, so that a retry is not logged again.
    pub(super) fn closed(&self, reason: &str, was_open: bool) -> bool {
        self.open.fetch_sub(was_open.into(), Relaxed);
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        let news = was_open || last.as_deref() != Some(reason);
        *last = Some(reason.to_owned());
        news
    }

    pub(super) fn read(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn frame(&self, size: FrameSize) {
        self.frames.fetch_add(1, Relaxed);
        self.rows.fetch_add(size.rows as u64, Relaxed);
        self.frame_bytes.fetch_add(size.bytes as u64, Relaxed);
    }

    pub(super) fn round_trip(&self, rtt: Duration) {
        // Zero means that none was measured.
        let us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1);
        self.rtt_us.store(us, Relaxed);
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        let us = self.rtt_us.load(Relaxed);
        (us > 0).then(|| Duration::from_micros(us))
    }

    pub(super) fn stats(&self, peer: RegionSlot, role: Role) -> LinkStats {
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        LinkStats {
            peer,
            role,
            up: self.open.load(Relaxed) > 0,
            opened: self.opened.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            frames: self.frames.load(Relaxed),
            rows: self.rows.load(Relaxed),
            frame_bytes: self.frame_bytes.load(Relaxed),
            rtt: self.rtt(),
            last_error,
        }
    }
}

/// What came to the peer port and was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Garbage {
    /// Bytes that are not TLS, or TLS that this side does not speak.
    NotTls,
    /// TLS without a client certificate.
    NoCertificate,
    /// A certificate of another authority, or expired, or not for clients.
    Untrusted,
    /// The other side closed before it introduced itself.
    Incomplete,
    /// The handshake took too long.
    Slow,
    /// Too many handshakes at once.
    Crowded,
    /// A message that is none, or too long, or out of place.
    Malformed,
    /// A hello that names another cluster, region or protocol than it may.
    Stranger,
    /// A life of a region that was fenced off.
    Fenced,
    /// A connection for a link that has ended meanwhile: a race, unless there are many.
    Stale,
}

impl Garbage {
    /// The word in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::NoCertificate => "no_certificate",
            Self::Untrusted => "untrusted",
            Self::Incomplete => "incomplete",
            Self::Slow => "slow",
            Self::Crowded => "crowded",
            Self::Malformed => "malformed",
            Self::Stranger => "stranger",
            Self::Fenced => "fenced",
            Self::Stale => "stale",
        }
    }
}

/// Garbage by kind, and when it was last logged.
#[derive(Debug, Default)]
pub(super) struct Bin {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<Garbage, u64>,
    /// By kind and, of those that have a certificate of the authority, by reason: an operator
    /// shall see each mistake of theirs.
    logged: BTreeMap<(Garbage, String), Instant>,
}

impl Bin {
    /// Counts, and logs the first of its kind in a while.
    pub(super) fn throw(&self, kind: Garbage, from: &str, why: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.counts.entry(kind).or_insert(0);
        *count += 1;
        let count = *count;
        let known = matches!(kind, Garbage::Stranger | Garbage::Fenced);
        if inner.is_news((kind, if known { why.to_owned() } else { String::new() })) {
            drop(inner);
            let kind = kind.as_str();
            tracing::warn!(kind, from, why, count, "connection to the peer port refused");
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<Garbage, u64> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }
}

impl Inner {
    fn is_news(&mut self, what: (Garbage, String)) -> bool {
        let now = Instant::now();
        self.logged.retain(|_, at| now.duration_since(*at) < LOG_INTERVAL);
        let news = !self.logged.contains_key(&what) && self.logged.len() < LOGGED_MAX;
        if news {
            self.logged.insert(what, now);
        }
        news
    }
}
