//! Reads that look into more regions than this one.
//!
//! The region asks enough of the others that hold the table for all versions of the items, merges
//! them with its own by the table's rules, and answers with the result. It writes nothing back:
//! replication brings the versions anyway. A read of a majority sees every write that was
//! acknowledged by a majority, a read of all sees every write that was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{HeaderMap, StatusCode};
use pangea_codec::dynamo::ApiError;
use pangea_codec::versions::{decode_answer, decode_question, encode_answer, encode_question};
use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::durability::{Level, Shortfall, Standing, parse_wait_ms};
use pangea_core::id::{Place, RegionSlot};
use pangea_core::item::{Attributes, ItemKey};
use pangea_core::limits::PARTITION_KEY_BYTES_MAX;
use pangea_core::merge::{Merged, Order, Rule, Stored, VersionVector, merge};
use pangea_core::session::missing;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::durable::{self, PATIENCE, Told, WANTING, word};
use super::{Region, forward, session};
use crate::http::{self, Reply};
use crate::metrics::Scrape;
use crate::storage::Fault;

/// Where other regions are asked.
pub(super) const PATH: &str = "/v1/versions";
/// In a request: how many regions to look into. In a response to such a request: how many were.
pub(super) const READ: &str = "x-pangea-read";
/// How long to wait for them, milliseconds.
const WAIT: &str = "x-pangea-read-wait-ms";
/// Largest question: 100 keys, each with a sort key of half the size and lengths.
const QUESTION_BYTES_MAX: usize = 200 * PARTITION_KEY_BYTES_MAX;

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// [`Level::Local`], [`Level::Majority`] or [`Level::All`].
    level: Level,
    shortfall: Shortfall,
    wait_ms: Option<u32>,
    explicit: bool,
}

impl Asked {
    /// # Errors
    /// A header that says nothing of its kind.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let level = word(headers, READ, "local, quorum or all", parse_level)?;
        let shortfall = durable::shortfall(headers)?.unwrap_or_default();
        let wait_ms = word(headers, WAIT, "milliseconds, 20000 at most", parse_wait_ms)?;
        let explicit = level.is_some();
        Ok(Self { level: level.unwrap_or_default(), shortfall, wait_ms, explicit })
    }

    /// Whether the region answers alone and has nothing to say of it.
    pub(super) fn is_plain(self) -> bool {
        !self.explicit
    }

    /// Whether other regions are asked.
    pub(super) fn is_wide(self) -> bool {
        self.level > Level::Local
    }
}

fn parse_level(word: &str) -> Option<Level> {
    match word {
        "local" => Some(Level::Local),
        "quorum" => Some(Level::Majority),
        "all" => Some(Level::All),
        _ => None,
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Local | Level::PlusOne => "local",
        Level::Majority => "quorum",
        Level::All => "all",
    }
}

/// What the regions have of the items, in the order of the keys.
///
/// A session need not wait for its region: what others have applied counts as well.
///
/// # Errors
/// Too few regions answered, or none that has what the session has seen, and the caller does not
/// take less; or this one cannot read.
pub(super) async fn read(
    region: &Arc<Region>,
    (catalog, entry): (&Catalog, &TableEntry),
    keys: &[ItemKey],
    asked: Asked,
    session: &session::Asked,
) -> Result<(Vec<Option<Stored>>, Told), ApiError> {
    let (applied, items) =
        local(region, keys, entry).map_err(|fault| super::api::store_fault(region, fault))?;
    let place = place_of(entry, keys, &items)?;
    let standing = durable::standing(region, catalog, (entry.id, place));
    let mut round = Round { standing, applied, items, rule: entry.settings.rule() };
    round.gather(region, keys, asked, &session.wanted()).await;
    let mut standing = round.standing;
    let mut told = vec![(READ, name(asked.level).to_string())];
    if !standing.reaches(asked.level) {
        if asked.shortfall == Shortfall::Refuse {
            region.reads.refused.fetch_add(1, Relaxed);
            standing.cannot.append(&mut standing.may);
            return Err(durable::too_few(region, (asked.level, name(asked.level)), &standing));
        }
        region.reads.degraded.fetch_add(1, Relaxed);
        told = vec![(READ, name(standing.level().min(asked.level)).to_string())];
        told.push((WANTING, durable::wanting(region, &standing)));
    }
    told.extend(session.check(region, &round.applied)?);
    session.saw(&rests_on(&round.items));
    Ok((round.items, told))
}

/// The placement rule of the items: it says which regions are enough, so there must be one.
fn place_of(
    entry: &TableEntry,
    keys: &[ItemKey],
    items: &[Option<Stored>],
) -> Result<Place, ApiError> {
    let (placement, nothing) = (&entry.settings.placement, Attributes::new());
    if placement.0.is_empty() {
        return Ok(Place::ANYWHERE);
    }
    let mut places = keys.iter().zip(items).map(|(key, stored)| match stored {
        Some(stored) => stored.greatest().origins.place,
        None => placement.place(&key.primary, &nothing),
    });
    let first = places.next().unwrap_or(Place::ANYWHERE);
    if places.all(|place| place == first) {
        return Ok(first);
    }
    let text = "the items are in different regions by their placement: read them one by one";
    Err(ApiError::validation(format!("{READ}: {text}")))
}

/// What this region has of the items, and what it had applied before it looked.
fn local(
    region: &Region,
    keys: &[ItemKey],
    entry: &TableEntry,
) -> Result<(VersionVector, Vec<Option<Stored>>), Fault> {
    let progress = region.writer.progress();
    let applied = session::here(region, &progress.borrow(), std::iter::once(entry));
    let view = region.store.snapshot()?;
    let read = || keys.iter().map(|key| view.get_stored(key)).collect::<Result<_, Fault>>();
    Ok((applied, region.pace.read(read)?))
}

/// One item out of what two regions have of it.
fn join(one: Option<Stored>, other: Option<Stored>, rule: Rule) -> Option<Stored> {
    let Some(other) = other else { return one };
    let Some(mut item) = one else { return Some(other) };
    for version in other.versions {
        if let Merged::Changed { stored, .. } =
            merge(Some(item.clone()), version, rule, Order::Total)
        {
            item = stored;
        }
    }
    item.seen.join(&other.seen);
    Some(item)
}

/// A read under way.
struct Round {
    /// Those that answered, those that may, those that are not reached.
    standing: Standing,
    /// What those that answered had applied, between them.
    applied: VersionVector,
    items: Vec<Option<Stored>>,
    rule: Rule,
}

impl Round {
    /// Asks all of the others at once, until enough have answered, and one that has what the
    /// session has seen.
    async fn gather(
        &mut self,
        region: &Arc<Region>,
        keys: &[ItemKey],
        asked: Asked,
        wanted: &VersionVector,
    ) {
        if asked.level == Level::Local || self.standing.may.is_empty() {
            return;
        }
        let distance = self.standing.may.iter().map(|slot| region.round_trip(*slot)).max();
        let patience = asked.wait_ms.map(|ms| Duration::from_millis(ms.into()));
        let patience = patience.unwrap_or_else(|| PATIENCE + 2 * distance.unwrap_or_default());
        let deadline = Instant::now() + patience;
        let question = Bytes::from(encode_question(region.slot, keys));
        let keys: Arc<[ItemKey]> = keys.into();
        let mut asking = JoinSet::new();
        for &slot in &self.standing.may {
            let (region, keys) = (Arc::clone(region), Arc::clone(&keys));
            let request = forward::Request::to_admin(PATH, question.clone(), patience);
            asking.spawn(async move { (slot, ask(&region, slot, &request, &keys).await) });
        }
        let enough = |round: &Self| {
            round.standing.reaches(asked.level) && missing(wanted, &round.applied).is_empty()
        };
        while !enough(self) {
            match timeout_at(deadline, asking.join_next()).await {
                Ok(Some(Ok((slot, Some(answer))))) => self.take(slot, answer),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self, slot: RegionSlot, (applied, items): Answer) {
        self.standing.may.retain(|other| *other != slot);
        self.standing.have.push(slot);
        self.applied.join(&applied);
        let before = std::mem::take(&mut self.items).into_iter();
        self.items = before.zip(items).map(|(one, other)| join(one, other, self.rule)).collect();
    }
}

type Answer = (VersionVector, Vec<Option<Stored>>);

async fn ask(
    region: &Region,
    slot: RegionSlot,
    request: &forward::Request,
    keys: &[ItemKey],
) -> Option<Answer> {
    let answer = forward::bytes(region, slot, request).await.ok()?;
    match decode_answer(&answer, keys) {
        Ok(answer) => Some(answer),
        Err(error) => {
            let from = region.region_name(slot);
            tracing::warn!(from, %error, "the answer of a region is not one");
            None
        }
    }
}

/// Answers another region's question.
pub(super) async fn answer(region: &Region, body: Incoming) -> Reply {
    let refuse = |status, text: String| http::reply(status, "text/plain", text);
    let body = match http::body(body, QUESTION_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let (asker, keys) = match decode_question(&body) {
        Ok(question) => question,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let catalog = region.catalog();
    let entry = keys.first().and_then(|key| catalog.get(key.table));
    let entry = entry.filter(|entry| catalog.is_serving(entry, region.slot));
    let Some(entry) = entry
        .filter(|entry| entry.is_held_by(asker) && keys.iter().all(|key| key.table == entry.id))
    else {
        let text = "not of a table that both regions hold";
        return refuse(StatusCode::FORBIDDEN, text.to_string());
    };
    match local(region, &keys, entry) {
        Ok((applied, mut rows)) => {
            // What the other region may not have is not there for it.
            for (key, row) in keys.iter().zip(&mut rows) {
                let may = |place| catalog.may_receive(asker, key.table, &key.primary, place);
                if row
                    .as_ref()
                    .is_some_and(|row| row.versions.iter().any(|it| !may(it.origins.place)))
                {
                    *row = None;
                }
            }
            let rows = keys.iter().zip(&rows).map(|(key, row)| (&key.primary, row.as_ref()));
            let body = encode_answer(&applied, rows);
            http::reply(StatusCode::OK, "application/octet-stream", body)
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// What an answer from these items rests on.
fn rests_on(items: &[Option<Stored>]) -> VersionVector {
    let mut seen = VersionVector::default();
    items.iter().flatten().for_each(|stored| seen.join(&stored.seen));
    seen
}

/// What is counted of reads across regions.
#[derive(Debug, Default)]
pub(super) struct Reads {
    refused: AtomicU64,
    degraded: AtomicU64,
}

impl Reads {
    /// Adds the counts to a scrape.
    pub(super) fn scrape(&self, scrape: &mut Scrape) {
        let ends = [("refused", &self.refused), ("degraded", &self.degraded)];
        let ends = ends.map(|(end, count)| (vec![("end", end.to_string())], count.load(Relaxed)));
        let help = "Reads for which too few regions answered, by what became of them";
        scrape.counter("pangea_read_shortfalls", help, ends);
    }
}
