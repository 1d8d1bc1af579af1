//! Sessions at the DynamoDB API: tokens in headers, and what a region does that is behind one.
//!
//! State: the cluster's key, counts. A request without a token costs one signature; one with a
//! token that this region has caught up with costs a comparison more. Only a request whose session
//! has seen more than this region waits, at most as long as its mode says, and may go on to
//! another region: its caller asked for that by carrying the token.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_codec::session::{Key, TokenError, decode, encode};
use pangea_core::catalog::{Catalog, ReplicaState, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::merge::VersionVector;
use pangea_core::replica::Progress;
use pangea_core::session::{End, Mode, Session, Step, Tried, applied, describe, missing, next};
use pangea_core::time::Stamp;
use prometheus_client::metrics::histogram::Histogram;

use super::Region;
use super::durable::Told;
use crate::metrics::Scrape;

/// The token: in every response, and in requests of the session that it names.
pub(super) const TOKEN: &str = "x-pangea-session";
/// The same, which need not be looked up.
pub(super) const TOKEN_NAME: HeaderName = HeaderName::from_static(TOKEN);
/// What to do where the region is behind the session.
pub(super) const MODE: &str = "x-pangea-session-mode";
/// In a response that is older than the session: the regions whose writes are missing.
pub(super) const STALE: &str = "x-pangea-stale";

/// The bounds of a wait that nobody chose: twice the distance, but as long as replication takes on
/// a busy machine and no longer than clients notice.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_millis(200);
/// Refused tokens of one kind are logged once per this.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Bounds of the buckets of waits, seconds.
pub(super) const BUCKETS: [f64; 12] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// What sessions need of the region.
#[derive(Debug)]
pub(super) struct Sessions {
    key: Key,
    cluster: [u8; 16],
    refused: [AtomicU64; TokenError::KINDS.len()],
    logged: Mutex<BTreeMap<&'static str, Instant>>,
    ends: [AtomicU64; ENDS.len()],
    waited: Histogram,
}

/// How requests ended that had to wait.
const ENDS: [&str; 4] = ["served", "forwarded", "failed", "stale"];

#[derive(Clone, Copy, Debug)]
enum Ended {
    Served,
    Forwarded,
    Failed,
    Stale,
}

impl Sessions {
    /// With the secret that all regions of the cluster share.
    pub(super) fn new(secret: &[u8], cluster: [u8; 16]) -> Self {
        Self {
            key: Key::derive(secret),
            cluster,
            refused: Default::default(),
            logged: Mutex::default(),
            ends: Default::default(),
            waited: Histogram::new(BUCKETS),
        }
    }

    /// What this cluster signs with whatever clients bring back.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    fn read(&self, token: &HeaderValue) -> Result<VersionVector, ApiError> {
        decode(&self.key, &self.cluster, token.as_bytes()).map_err(|error| {
            self.refuse(error);
            let text = format!(
                "The session token in {TOKEN} is refused: {error}. Send back what a response of \
                 this cluster gave there, or no token, which begins a new session"
            );
            ApiError::validation(text)
        })
    }

    /// Counts, and logs the first of its kind in a while.
    fn refuse(&self, error: TokenError) {
        let count = self.refused[error.index()].fetch_add(1, Relaxed) + 1;
        let (kind, now) = (error.kind(), Instant::now());
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let before = logged.get(kind);
        if before.is_none_or(|before| now.duration_since(*before) >= LOG_INTERVAL) {
            logged.insert(kind, now);
            drop(logged);
            tracing::warn!(kind, count, %error, "session token refused");
        }
    }

    fn ended(&self, how: Ended) {
        self.ends[how as usize].fetch_add(1, Relaxed);
    }

    /// Adds the counts to a scrape.
    pub(super) fn scrape(&self, scrape: &mut Scrape) {
        let counts = |names: &[&str], counts: &[AtomicU64], label: &'static str| {
            let both = names.iter().zip(counts);
            let sample =
                both.map(|(name, count)| (vec![(label, (*name).to_string())], count.load(Relaxed)));
            sample.collect::<Vec<_>>()
        };
        let help = "Session tokens that were not taken";
        let refused = counts(&TokenError::KINDS, &self.refused, "kind");
        scrape.counter("pangea_session_tokens_refused", help, refused);
        let help = "Requests whose session had seen what this region had not, by how they ended";
        let ends = counts(&ENDS, &self.ends, "end");
        scrape.counter("pangea_session_waits", help, ends);
        let help = "How long requests waited for what their session had seen";
        let waited = [(Vec::new(), self.waited.clone())];
        scrape.histogram("pangea_session_wait_seconds", help, waited);
    }
}

/// What a request says of its session, and what its response will.
#[derive(Debug, Default)]
pub(super) struct Asked {
    session: Mutex<Session>,
    mode: Option<Mode>,
}

impl Asked {
    /// # Errors
    /// A token that is not one of this cluster's, or a mode that is none.
    pub(super) fn of(sessions: &Sessions, headers: &HeaderMap) -> Result<Self, ApiError> {
        let token = headers.get(TOKEN).map(|token| sessions.read(token)).transpose()?;
        let mode = headers.get(MODE).map(|value| {
            let mode = value.to_str().ok().and_then(Mode::parse);
            mode.ok_or_else(|| ApiError::validation(format!("{MODE}: {}", Mode::WANTED)))
        });
        let session = Mutex::new(Session::new(token.unwrap_or_default()));
        Ok(Self { session, mode: mode.transpose()? })
    }

    /// What a read of several regions has to say that have applied this between them.
    ///
    /// # Errors
    /// They are behind the session, and its mode says to fail.
    pub(super) fn check(&self, region: &Region, applied: &VersionVector) -> Result<Told, ApiError> {
        let missing = missing(self.session().asked(), applied);
        if missing.is_empty() {
            return Ok(Told::new());
        }
        let names = describe(&missing, |slot| region.region_name(slot));
        if self.mode.unwrap_or_default().end == End::Stale {
            region.sessions.ended(Ended::Stale);
            return Ok(vec![(STALE, names)]);
        }
        region.sessions.ended(Ended::Failed);
        Err(behind("What regions answered", &names))
    }

    /// Whether the request carries no session, so that no region is behind it.
    pub(super) fn is_new(&self) -> bool {
        self.session().asked().iter().len() == 0
    }

    /// What the session has seen.
    pub(super) fn wanted(&self) -> VersionVector {
        self.session().asked().clone()
    }

    /// The response rests on items of which the region has seen this.
    pub(super) fn saw(&self, seen: &VersionVector) {
        self.session().saw(seen);
    }

    /// The response rests on a version.
    pub(super) fn wrote(&self, stamp: Stamp) {
        self.session().wrote(stamp);
    }

    /// The response's token.
    pub(super) fn token(&self, sessions: &Sessions) -> HeaderValue {
        let token = encode(&sessions.key, &sessions.cluster, &self.session().vector());
        HeaderValue::from_maybe_shared(Bytes::from(token)).expect("base64url is a header's value")
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the region has applied, as far as it goes for these tables.
pub(super) fn here<'c>(
    region: &Region,
    progress: &Progress,
    tables: impl Iterator<Item = &'c TableEntry>,
) -> VersionVector {
    let catalog = &progress.catalog;
    let pending = tables.filter_map(|entry| match catalog.state(entry, region.slot)? {
        ReplicaState::Active { pending } => Some(pending.iter().copied()),
        _ => None,
    });
    let pending: Vec<RegionSlot> = pending.flatten().collect();
    applied(region.writer.observed().origin, progress, &pending)
}

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Way {
    /// It is answered here; if not from all that its session has seen, from whom is missing.
    Here(Option<String>),
    /// To one of these, in this order, if it can be reached.
    Forward(Vec<RegionSlot>),
}

/// A request on its way in.
#[derive(Debug)]
pub(super) struct Gate<'a> {
    region: &'a Region,
    wanted: VersionVector,
    tables: &'a [&'a str],
    lacking: Vec<Stamp>,
    mode: Mode,
    tried: Tried,
}

impl<'a> Gate<'a> {
    /// The gate of a request that names `tables`. One that was forwarded is not forwarded again.
    pub(super) fn new(
        region: &'a Region,
        asked: &Asked,
        tables: &'a [&'a str],
        forwarded: bool,
    ) -> Self {
        let wanted = asked.wanted();
        let mut gate = Self {
            region,
            wanted,
            tables,
            lacking: Vec::new(),
            mode: Mode::default(),
            tried: Tried::Nothing,
        };
        if gate.wanted.iter().len() > 0 {
            let progress = region.writer.progress();
            let progress = progress.borrow();
            gate.lacking = gate.lacking(&progress);
            let of_table = || gate.entries(&progress.catalog).find_map(|it| it.settings.session);
            gate.mode = asked.mode.or_else(of_table).unwrap_or_default();
            gate.mode.forward &= !forwarded;
        }
        gate
    }

    /// Waits if need be, and says where the request goes.
    ///
    /// # Errors
    /// It is behind its session, and its mode says to fail.
    pub(super) async fn way(&mut self) -> Result<Way, ApiError> {
        let sessions = &self.region.sessions;
        loop {
            match next(self.mode, self.region.slot, &self.lacking, self.tried) {
                Step::Serve => {
                    if self.tried > Tried::Nothing {
                        sessions.ended(Ended::Served);
                    }
                    return Ok(Way::Here(None));
                }
                Step::Wait => self.wait().await,
                Step::Forward(regions) => {
                    let regions = self.holders(regions);
                    if !regions.is_empty() {
                        return Ok(Way::Forward(regions));
                    }
                    self.tried = Tried::Forwarding;
                }
                Step::Stale => {
                    sessions.ended(Ended::Stale);
                    return Ok(Way::Here(Some(self.names())));
                }
                Step::Fail => {
                    sessions.ended(Ended::Failed);
                    return Err(self.behind());
                }
            }
        }
    }

    /// The request was forwarded and answered.
    pub(super) fn forwarded(&self) {
        self.region.sessions.ended(Ended::Forwarded);
    }

    /// None of the regions could be reached; nothing was asked of them.
    pub(super) fn unreachable(&mut self) {
        self.tried = Tried::Forwarding;
        let progress = self.region.writer.progress();
        self.lacking = self.lacking(&progress.borrow());
    }

    async fn wait(&mut self) {
        self.tried = Tried::Waiting;
        let started = Instant::now();
        let mut progress = self.region.writer.progress();
        let caught_up = progress.wait_for(|progress| self.lacking(progress).is_empty());
        // What is missing is looked at again; a writer that is gone publishes nothing more.
        let _ = tokio::time::timeout(self.patience(), caught_up).await.map(|_| ());
        self.lacking = self.lacking(&progress.borrow());
        self.region.sessions.waited.observe(started.elapsed().as_secs_f64());
    }

    fn patience(&self) -> Duration {
        if let Some(ms) = self.mode.wait_ms {
            return Duration::from_millis(ms.into());
        }
        let regions = self.lacking.iter().map(|stamp| stamp.origin.slot());
        let distance = regions.map(|slot| self.region.round_trip(slot)).max().unwrap_or_default();
        (2 * distance).clamp(WAIT_MIN, WAIT_MAX)
    }

    fn lacking(&self, progress: &Progress) -> Vec<Stamp> {
        missing(&self.wanted, &here(self.region, progress, self.entries(&progress.catalog)))
    }

    fn entries<'c>(&self, catalog: &'c Catalog) -> impl Iterator<Item = &'c TableEntry> {
        let slot = self.region.slot;
        self.tables.iter().filter_map(move |name| catalog.find(slot, name))
    }

    /// Those that hold the tables.
    fn holders(&self, regions: Vec<RegionSlot>) -> Vec<RegionSlot> {
        let catalog = self.region.catalog();
        let holds = |slot: &RegionSlot| self.entries(&catalog).all(|it| it.is_held_by(*slot));
        regions.into_iter().filter(holds).collect()
    }

    fn names(&self) -> String {
        describe(&self.lacking, |slot| self.region.region_name(slot))
    }

    fn behind(&self) -> ApiError {
        behind(&self.region.name, &self.names())
    }
}

fn behind(who: &str, names: &str) -> ApiError {
    let text = format!(
        "{who} is behind the session: writes of {names} are missing. They are on their way, or \
         their region is lost with them: try again, ask that region, or send {MODE}: stale to be \
         answered all the same"
    );
    ApiError::new(ErrorKind::SessionBehind, text)
}
