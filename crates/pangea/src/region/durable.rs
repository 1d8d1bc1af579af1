//! Writes that must be on disk in more regions than one before they are acknowledged.
//!
//! A write is first done here as every write is. Then its request waits, not the writer: for
//! acknowledgements of peers, which come in band. A request that asks for nothing more pays
//! nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::HeaderMap;
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::durability::{Choice, Level, Shortfall, Standing, Start, parse_wait_ms, start};
use pangea_core::id::{Place, RegionSlot, TableId};
use pangea_core::item::{Attributes, ItemKey, PrimaryKey};
use pangea_core::replica::Acked;
use pangea_core::table::Action;
use pangea_core::time::{Hlc, Stamp};
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::{Instant, timeout_at};

use super::Region;
use super::session::BUCKETS;
use crate::metrics::Scrape;
use crate::versions::format_stamp;

/// In a request: the level that is asked for. In a response: the level that was reached.
pub(super) const LEVEL: &str = "x-pangea-durability";
/// What to do where too few regions can be had, also of reads.
pub(super) const SHORTFALL: &str = "x-pangea-on-shortfall";
/// How long to wait for regions, milliseconds.
pub(super) const WAIT: &str = "x-pangea-durability-wait-ms";
/// In a response that fell short: the regions that were wanting.
pub(super) const WANTING: &str = "x-pangea-shortfall";

/// The wait that nobody chose, beside twice the distance: a busy disk, and a link that is dialled
/// again.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Headers of a response.
pub(super) type Told = Vec<(&'static str, String)>;

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    choice: Choice,
    /// The response says what was reached, even if it was nothing more than usual.
    explicit: bool,
    /// The write may be done already: what is asked is where it is.
    is_again: bool,
}

impl Asked {
    /// # Errors
    /// A header that says nothing of its kind.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let level = word(headers, LEVEL, "local, +1, majority or all", Level::parse)?;
        let shortfall = shortfall(headers)?;
        let wait_ms = word(headers, WAIT, "milliseconds, 20000 at most", parse_wait_ms)?;
        let choice = Choice { level: level.unwrap_or_default(), shortfall, wait_ms };
        Ok(Self { choice, explicit: level.is_some(), is_again: false })
    }

    /// The same of a write that may be done already, which nobody can be told was not.
    pub(super) fn again(self) -> Self {
        Self { is_again: true, ..self }
    }

    /// How long a region may take for the write, beside what every write takes.
    pub(super) fn patience(self) -> Duration {
        self.choice.wait_ms.map_or(PATIENCE, |ms| Duration::from_millis(ms.into()))
    }
}

/// What to do where too few regions can be had.
pub(super) fn shortfall(headers: &HeaderMap) -> Result<Option<Shortfall>, ApiError> {
    word(headers, SHORTFALL, "refuse or degrade", Shortfall::parse)
}

/// A header of one word, if it is there.
pub(super) fn word<T>(
    headers: &HeaderMap,
    name: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let word = value.to_str().ok().and_then(|text| parse(text.trim()));
    let wrong = || ApiError::validation(format!("The header {name} must be {wanted}"));
    word.map(Some).ok_or_else(wrong)
}

/// A write that may be done, and what is to be waited for then.
#[derive(Debug)]
pub(super) struct Plan {
    /// The table, and the placement rule of the item.
    of: (TableId, Place),
    choice: Choice,
    explicit: bool,
    /// Too few regions are reached, so that no more is waited for than those that are.
    short: bool,
}

/// Decides about a write before it is done.
///
/// # Errors
/// Too few regions are reached, and the caller or the table does not take less.
pub(super) fn plan(
    region: &Region,
    catalog: &Catalog,
    (entry, place): (&TableEntry, Place),
    asked: Asked,
) -> Result<Plan, ApiError> {
    let (of, explicit) = ((entry.id, place), asked.explicit);
    let of_table = entry.settings.durability;
    if (asked.choice.level, of_table.level) == (Level::Local, Level::Local) {
        return Ok(Plan { of, choice: asked.choice, explicit, short: false });
    }
    let standing = standing(region, catalog, of);
    let choice = asked.choice.over(of_table, standing.holders());
    let plan = |short| Plan { of, choice, explicit, short };
    match start(choice, standing) {
        Start::Write(_) => Ok(plan(false)),
        Start::Degrade(_) => Ok(plan(true)),
        Start::Refuse(_) if asked.is_again => Ok(plan(true)),
        Start::Refuse(standing) => {
            region.durability.count(choice.level, &region.durability.refused);
            Err(too_few(region, (choice.level, choice.level.as_str()), &standing))
        }
    }
}

/// The placement rule of an item that is about to be written, where the table has rules: that of
/// the item, or that of what the write makes of it, as far as can be seen before.
pub(super) fn place_of(
    region: &Region,
    entry: &TableEntry,
    (key, action): (&PrimaryKey, Option<&Action>),
) -> Result<Place, ApiError> {
    let placement = &entry.settings.placement;
    if placement.0.is_empty() {
        return Ok(Place::ANYWHERE);
    }
    let item = ItemKey { table: entry.id, primary: key.clone() };
    let view = region.store.snapshot();
    let stored = view.and_then(|view| region.pace.read(|| view.get_stored(&item)));
    if let Some(stored) = stored.map_err(|fault| super::api::store_fault(region, fault))? {
        return Ok(stored.greatest().origins.place);
    }
    let nothing = Attributes::new();
    let attributes = match action {
        Some(Action::Put(item)) => item,
        Some(Action::Update(_) | Action::Delete | Action::Check) | None => &nothing,
    };
    Ok(placement.place(key, attributes))
}

impl Plan {
    /// The same for an item of which is known by now where it may be.
    pub(super) fn at(self, place: Place) -> Self {
        Self { of: (self.of.0, place), ..self }
    }

    /// Waits until enough regions have this region's writes up to `stamp`, and says what was
    /// reached.
    ///
    /// # Errors
    /// The time ran out, and the caller or the table does not take less.
    pub(super) async fn settle(self, region: &Region, stamp: Stamp) -> Result<Told, ApiError> {
        let level = self.choice.level;
        if level == Level::Local {
            return Ok(if self.explicit { told(level) } else { Vec::new() });
        }
        let standing = self.wait(region, stamp.hlc).await;
        if standing.reaches(level) {
            return Ok(told(level));
        }
        let counts = &region.durability;
        if self.choice.shortfall() == Shortfall::Refuse {
            counts.count(level, &counts.timed_out);
            return Err(timed_out(region, level, stamp, &standing));
        }
        counts.count(level, &counts.degraded);
        let mut told = told(standing.level().min(level));
        told.push((WANTING, wanting(region, &standing)));
        Ok(told)
    }

    async fn wait(&self, region: &Region, stamp: Hlc) -> Standing {
        let started = Instant::now();
        let now = || {
            // First: a region that takes no more rows in has said so before it acknowledges them,
            // so that the catalog may be newer and not older.
            let acked = region.writer.acked().borrow().clone();
            standing_by(region, &acked, &region.catalog(), self.of, stamp)
        };
        let distance = farthest(region, &region.catalog(), self.of.0);
        let patience = self.choice.wait_ms.map(|ms| Duration::from_millis(ms.into()));
        let deadline = started + patience.unwrap_or(PATIENCE + 2 * distance);
        let mut acked = region.writer.acked();
        let standing = loop {
            acked.mark_unchanged();
            let standing = now();
            // Where too few were reached to begin with, those that are count all the same.
            if standing.reaches(self.choice.level) || (self.short && standing.may.is_empty()) {
                break standing;
            }
            // A writer that is gone acknowledges nothing more.
            if !matches!(timeout_at(deadline, acked.changed()).await, Ok(Ok(()))) {
                break now();
            }
        };
        region.durability.waited.observe(started.elapsed().as_secs_f64());
        standing
    }
}

fn told(level: Level) -> Told {
    vec![(LEVEL, level.as_str().to_string())]
}

/// Where a write of the region that is to come stands.
pub(super) fn standing(region: &Region, catalog: &Catalog, of: (TableId, Place)) -> Standing {
    standing_by(region, &region.writer.acked().borrow(), catalog, of, Hlc::MAX)
}

/// Where the region's write of `stamp` stands by what others have acknowledged, and a catalog that
/// is not older.
fn standing_by(
    region: &Region,
    acked: &Acked,
    catalog: &Catalog,
    of: (TableId, Place),
    stamp: Hlc,
) -> Standing {
    let mut standing = Standing::of(catalog, of, region.slot, acked, stamp);
    // A region that hears nothing of this one cannot have what it writes.
    let (may, deaf) = standing.may.into_iter().partition(|slot| region.links.is_fed(*slot));
    standing.may = may;
    standing.cannot.extend::<Vec<RegionSlot>>(deaf);
    standing
}

fn farthest(region: &Region, catalog: &Catalog, table: TableId) -> Duration {
    let holders = catalog.get(table).into_iter().flat_map(|entry| entry.holders());
    holders.map(|slot| region.round_trip(slot)).max().unwrap_or_default()
}

/// Names of the regions that lack something.
pub(super) fn wanting(region: &Region, standing: &Standing) -> String {
    let lacking = standing.may.iter().chain(&standing.cannot);
    lacking.map(|slot| region.region_name(*slot)).collect::<Vec<_>>().join(",")
}

/// Nothing was done, because too few regions are reached for what was asked for in this word.
pub(super) fn too_few(
    region: &Region,
    (level, word): (Level, &str),
    standing: &Standing,
) -> ApiError {
    let holders = standing.holders();
    let (needed, reached) = (level.others(holders), standing.have.len() + standing.may.len());
    let text = if holders == 1 {
        format!(
            "{} is the only region that holds the table, and {} asks for another: nothing was \
             done. Add a replica, or ask for less",
            region.name, word
        )
    } else {
        let cannot: Vec<String> =
            standing.cannot.iter().map(|slot| region.region_name(*slot)).collect();
        format!(
            "{word} needs {needed} of {} other regions and {reached} are reached, without {}: \
             nothing was done. Try again, or send {SHORTFALL}: degrade to do without them",
            holders - 1,
            cannot.join(", ")
        )
    };
    ApiError::new(ErrorKind::TooFewRegions, text)
}

fn timed_out(region: &Region, level: Level, stamp: Stamp, standing: &Standing) -> ApiError {
    let text = format!(
        "The write is in place in {} as version {} and may replicate later. {} asks for more \
         regions, and {} did not say in time that they have it. Retry if the write may be done \
         twice: nothing was taken back",
        region.name,
        format_stamp(stamp),
        level.as_str(),
        wanting(region, standing)
    );
    ApiError::new(ErrorKind::DurabilityTimeout, text)
}

/// What is counted of durability.
#[derive(Debug)]
pub(super) struct Durability {
    refused: [AtomicU64; Level::WORDS.len()],
    degraded: [AtomicU64; Level::WORDS.len()],
    timed_out: [AtomicU64; Level::WORDS.len()],
    waited: Histogram,
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            refused: Default::default(),
            degraded: Default::default(),
            timed_out: Default::default(),
            waited: Histogram::new(BUCKETS),
        }
    }
}

impl Durability {
    fn count(&self, level: Level, of: &[AtomicU64]) {
        of[level as usize].fetch_add(1, Relaxed);
    }

    /// Adds the counts to a scrape.
    pub(super) fn scrape(&self, scrape: &mut Scrape) {
        let ends = [
            ("refused", &self.refused),
            ("degraded", &self.degraded),
            ("timed_out", &self.timed_out),
        ];
        let samples = ends.into_iter().flat_map(|(end, counts)| {
            let levels = Level::WORDS.iter().zip(counts).skip(1);
            levels.map(move |((level, _), count)| {
                let labels = vec![("level", (*level).to_string()), ("end", end.to_string())];
                (labels, count.load(Relaxed))
            })
        });
        let help = "Writes for which too few regions could be had, by what became of them";
        scrape.counter("pangea_durability_shortfalls", help, samples);
        let help = "How long writes waited for other regions to have them on disk";
        let waited = [(Vec::new(), self.waited.clone())];
        scrape.histogram("pangea_durability_wait_seconds", help, waited);
    }
}
