//! The conflict ledger for the admin API: pages, its own stream, resolutions.

mod choice;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use pangea_core::catalog::Policy;
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{AttributeValue, Attributes, KeyValue, Number, PrimaryKey};
use pangea_core::ledger;
use pangea_core::merge::VersionVector;
use pangea_core::node::{Outcome, Resolution};
use pangea_core::time::{Hlc, Stamp};
use serde::Deserialize;
use serde_json::json;

use super::Region;
use super::admin::{fault, problem};
use crate::conflicts::{ConflictPage, ConflictReport, Names};
use crate::http::{self, Reply, json as json_reply};
use crate::metrics::Scrape;
use crate::query::Query;
use crate::storage::{Fault, LedgerRow, StoreView};
use crate::versions::{format_stamp, format_vector, parse_stamp};

/// Entries of one page, at most.
const CONFLICTS_MAX: usize = 1000;
/// Changes that one look of the stream goes over, so that it never holds a view for long.
const LOOK_MAX: usize = 4096;
/// How long the stream may be asked to wait for something to tell.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Rows of what is aside that are counted for a scrape.
const WAITING_MAX: usize = 10_000;
/// Largest request body: an item in DynamoDB JSON.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

fn names(region: &Region) -> Names {
    let catalog = region.catalog();
    let tables = catalog.tables().map(|entry| (entry.id, entry.name.clone())).collect();
    let regions = region.topology.regions.iter();
    Names { tables, regions: regions.map(|it| (it.id.get(), it.name.clone())).collect() }
}

/// `?table=` by name, `?id=` for one, `?limit=`, `?after=` from the page before. Behind the
/// ledger's entries comes what waits to be one of them, or not.
pub(super) fn page(region: &Region, query: &Query) -> Reply {
    let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(100);
    let limit: usize = limit.clamp(1, CONFLICTS_MAX);
    let (in_aside, after) = match query.get("after") {
        None => (false, None),
        Some(text) => {
            let (in_aside, text) = text.strip_prefix(ASIDE).map_or((false, text), |it| (true, it));
            let Some(after) = parse_place(text) else {
                return problem(StatusCode::BAD_REQUEST, "`after` is not from a page");
            };
            (in_aside, Some(after))
        }
    };
    match page_of(region, query, (in_aside, after.as_ref()), limit) {
        Err(error) => fault(&error),
        Ok(page) => json_reply(StatusCode::OK, &page),
    }
}

fn page_of(
    region: &Region,
    query: &Query,
    (in_aside, after): (bool, Option<&PrimaryKey>),
    limit: usize,
) -> Result<ConflictPage, Fault> {
    let (view, names) = (region.store.snapshot()?, names(region));
    let wanted = |key: &PrimaryKey| {
        let table = ledger::table_of(key).and_then(|table| names.tables.get(&table));
        if ledger::is_resolution(key) {
            return false;
        }
        let id = ConflictReport::id_of(key);
        // Those about a table, or of one that is not known, have its name in them.
        let of_table = |name| table.is_none_or(|table| table == name);
        query.get("table").is_none_or(of_table)
            && query.get("id").is_none_or(|wanted| id.is_some_and(|id| id.starts_with(wanted)))
    };
    let rows = if in_aside { Vec::new() } else { view.ledger(wanted, after, limit)? };
    let left = limit - rows.len();
    let waiting = match left {
        0 => Vec::new(),
        _ => view.aside(wanted, after.filter(|_| in_aside), left)?,
    };
    let next = match (waiting.last(), rows.last()) {
        _ if rows.len() + waiting.len() < limit => None,
        (Some(last), _) => Some(format!("{ASIDE}{}", place(&last.key))),
        (None, last) => last.map(|last| place(&last.key)),
    };
    let told = |row: &LedgerRow| {
        let decided = decision(&view, &row.key);
        ConflictReport::of(&row.key, &row.entry, decided.as_ref(), &names)
    };
    // Of most that is in doubt it will turn out that others have it.
    let waits = |row: &LedgerRow| {
        let alone = !row.entry.contains_key(ledger::DOUBT);
        told(row).filter(|_| alone).map(ConflictReport::waiting)
    };
    let conflicts = rows.iter().filter_map(told).chain(waiting.iter().filter_map(waits));
    let named = |it: &ConflictReport| query.get("table").is_none_or(|name| it.table == name);
    Ok(ConflictPage { conflicts: conflicts.filter(named).collect(), next })
}

/// What a place begins with that is behind the ledger.
const ASIDE: &str = "aside.";

/// What waits to be an entry of the ledger, or not.
pub(super) fn scrape(region: &Region, scrape: &mut Scrape) {
    let view = region.store.snapshot().ok();
    let rows = view.and_then(|view| view.aside(|_| true, None, WAITING_MAX).ok());
    // What its own ledger shows already has left a mark, which names no item. Entries of the ledger
    // itself are in doubt, too.
    let waits = rows.iter().flatten().filter(|row| row.entry.contains_key("key"));
    let is_alone =
        |row: &&LedgerRow| ledger::is_orphan(&row.entry) && !row.entry.contains_key(ledger::DOUBT);
    let (alone, doubt): (Vec<_>, Vec<_>) = waits.partition(is_alone);
    let help = "Writes of a region that is back, until it is known whether others have them; \
                counted up to 10000";
    #[expect(clippy::cast_precision_loss, reason = "a bounded count")]
    let kinds = [("alone", alone.len()), ("doubt", doubt.len())]
        .map(|(kind, count)| (vec![("kind", kind.to_string())], count as f64));
    scrape.gauge("pangea_data_writes_waiting", help, kinds);
}

/// A ledger row's key as text: both of its parts are binary.
fn place(key: &PrimaryKey) -> String {
    let hex = |value: Option<&KeyValue>| match value {
        Some(KeyValue::B(bytes)) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => String::new(),
    };
    format!("{}.{}", hex(Some(&key.partition)), hex(key.sort.as_ref()))
}

fn parse_place(text: &str) -> Option<PrimaryKey> {
    let bytes = |hex: &str| -> Option<Vec<u8>> {
        let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        (0..hex.len()).step_by(2).map(digit).collect()
    };
    let (partition, sort) = text.split_once('.')?;
    let (partition, sort) = (KeyValue::B(bytes(partition)?), KeyValue::B(bytes(sort)?));
    Some(PrimaryKey { partition, sort: Some(sort) })
}

/// What was decided about the conflict of a row.
fn decision(view: &StoreView, row: &PrimaryKey) -> Option<Attributes> {
    let key = ledger::resolution_key(row)?;
    view.get_item(&key, &Policy::Lww).ok().flatten()
}

/// `?after=` a place from the answer before, `?wait_ms=`: the ledger's entries in the order in
/// which each origin's reach this region. The place is a vector, one reading to an origin: no entry
/// is skipped, however late its origin is heard. An entry may come again, with the same id.
pub(super) async fn stream(region: Arc<Region>, query: &Query) -> Reply {
    let Some(mut place) = parse_place_of_stream(query.get("after").unwrap_or_default()) else {
        return problem(StatusCode::BAD_REQUEST, "`after` is not from a stream");
    };
    let wait_ms = query.get("wait_ms").and_then(|text| text.parse().ok()).unwrap_or(0);
    let until = tokio::time::Instant::now() + Duration::from_millis(wait_ms).min(WAIT_MAX);
    let mut progress = region.writer.progress();
    loop {
        progress.borrow_and_update();
        let told = Arc::clone(&region);
        let looked = tokio::task::spawn_blocking(move || look(&told, place)).await;
        let (conflicts, next) = match looked {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => return fault(&error),
            Err(_) => return problem(StatusCode::INTERNAL_SERVER_ERROR, "the read was cancelled"),
        };
        place = next;
        let waited = tokio::time::timeout_at(until, progress.changed());
        if !conflicts.is_empty() || !matches!(waited.await, Ok(Ok(()))) {
            let next = Some(format_vector(&place).join("."));
            return json_reply(StatusCode::OK, &ConflictPage { conflicts, next });
        }
    }
}

fn parse_place_of_stream(text: &str) -> Option<VersionVector> {
    let stamps = text.split('.').filter(|stamp| !stamp.is_empty()).map(parse_stamp);
    let stamps = stamps.collect::<Option<Vec<Stamp>>>()?;
    Some(VersionVector::from_entries(stamps.into_iter().map(|stamp| (stamp.origin, stamp.hlc))))
}

/// Entries behind a place, and the place behind them.
fn look(
    region: &Region,
    mut place: VersionVector,
) -> Result<(Vec<ConflictReport>, VersionVector), Fault> {
    let names = names(region);
    // Before the view: what is told to be durable is in it.
    let heads: BTreeMap<Origin, Hlc> = {
        let progress = region.writer.progress();
        let progress = progress.borrow();
        let own = region.writer.observed().origin;
        let others = progress.applied.iter().map(|(&origin, &hlc)| (origin, hlc));
        others.chain([(own, progress.closed)]).collect()
    };
    let view = region.store.snapshot()?;
    let mut found = Vec::new();
    for (origin, head) in heads {
        let (keys, reached) = view.changed_keys(origin, place.get(origin), head, LOOK_MAX)?;
        let of_ledger = keys.into_iter().filter(|key| key.table == TableId::LEDGER);
        for key in of_ledger.filter(|key| !ledger::is_resolution(&key.primary)) {
            let entry = view.get_item(&key, &Policy::Lww)?;
            let decided = decision(&view, &key.primary);
            let report = entry.and_then(|entry| {
                ConflictReport::of(&key.primary, &entry, decided.as_ref(), &names)
            });
            found.extend(report);
        }
        place.record(Stamp { hlc: reached, origin });
    }
    Ok((found, place))
}

/// A decision, as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The conflict.
    id: String,
    /// `winner`, `loser`, or `item` with one.
    keep: String,
    /// The whole item in DynamoDB JSON, with `keep: "item"`.
    #[serde(default)]
    item: Option<serde_json::Value>,
    /// Why, for the ledger.
    #[serde(default)]
    note: String,
    /// Whether to write over what came after the conflict.
    #[serde(default)]
    anyway: bool,
}

/// Decides about a conflict: writes what shall be kept, and the decision beside the conflict.
pub(super) async fn resolve(region: &Arc<Region>, body: Incoming) -> Reply {
    let Ok(body) = http::body(body, BODY_BYTES_MAX).await else {
        return problem(StatusCode::BAD_REQUEST, "no body, or too large a one");
    };
    let wish: Wish = match serde_json::from_slice(&body) {
        Ok(wish) => wish,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let told = Arc::clone(region);
    let planned = tokio::task::spawn_blocking(move || plan(&told, &wish)).await;
    let resolution = match planned {
        Ok(Ok(resolution)) => resolution,
        Ok(Err((status, text))) => return problem(status, &text),
        Err(_) => return problem(StatusCode::INTERNAL_SERVER_ERROR, "the read was cancelled"),
    };
    match region.writer.resolve(resolution).await {
        Ok(Outcome::Written { stamp, .. }) => {
            json_reply(StatusCode::OK, &json!({"version": stamp.map(format_stamp)}))
        }
        Ok(Outcome::Refused(refusal)) => problem(StatusCode::CONFLICT, &refusal.to_string()),
        Ok(Outcome::Elsewhere { regions, .. }) => {
            let names: Vec<_> = regions.iter().map(|slot| region.region_name(*slot)).collect();
            let names = names.join(" or ");
            problem(StatusCode::CONFLICT, &format!("the item is written in {names}: decide there"))
        }
        Ok(_) => problem(StatusCode::CONFLICT, "this region does not serve the table"),
        Err(fault) => problem(StatusCode::SERVICE_UNAVAILABLE, &fault.to_string()),
    }
}

type Refused = (StatusCode, String);

/// Why nothing can be decided about what is aside.
const WAITS: &str = "whether another region has the write is not known yet: wait until all regions \
     have said that they know of the return, or give up those that cannot be reached";

/// Why a change of a table is not done by a decision about it.
const SHARED: &str = "the entry is shared by the conflicts of one minute, of whose images it has \
                      the first and the last: write the item as it shall be";
const CHANGE_NOT_KEPT: &str = "the entry is about a change of the table itself: make the change \
     again with UpdateTable, TagResource or DeleteTable, then keep the winner";

fn plan(region: &Region, wish: &Wish) -> Result<Resolution, Refused> {
    let broken = |fault: Fault| (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string());
    let bad = |text: &str| (StatusCode::BAD_REQUEST, text.to_string());
    let view = region.store.snapshot().map_err(broken)?;
    let named =
        |key: &PrimaryKey| ConflictReport::id_of(key).is_some_and(|id| id.starts_with(&wish.id));
    let rows = view.ledger(named, None, 2).map_err(broken)?;
    let waits =
        if rows.is_empty() { view.aside(named, None, 1).map_err(broken)? } else { Vec::new() };
    if !waits.is_empty() {
        return Err((StatusCode::CONFLICT, WAITS.to_string()));
    }
    let [row] = &rows[..] else {
        let text = match rows.len() {
            0 => format!("no conflict has an id that begins with {}", wish.id),
            _ => format!("several conflicts have an id that begins with {}: give more", wish.id),
        };
        return Err((StatusCode::NOT_FOUND, text));
    };
    if ledger::is_shared(&row.key) {
        return Err((StatusCode::CONFLICT, SHARED.to_string()));
    }
    let catalog = region.catalog();
    let table = ledger::table_of(&row.key);
    let about_table = ledger::is_about_table(&row.key);
    let entry = table.and_then(|table| catalog.get(table));
    if entry.is_none() && !about_table {
        return Err(bad("the conflict's table is not here any more"));
    }
    let item = ledger::item_of(&row.key, &row.entry);
    let item = item.ok_or_else(|| bad("the entry names no item"))?;
    let stored = view.get_stored(&item).map_err(broken)?;
    let overwrites = matches!(wish.keep.as_str(), "loser" | "item") && !wish.anyway;
    if let Some(entry) = entry.filter(|_| overwrites)
        && let Some(since) = choice::changed_since(entry, row, stored.as_ref())
    {
        let what = since.map_or_else(
            || "was deleted, and the deletion is collected".to_string(),
            |stamp| {
                let (name, version) =
                    (region.region_name(stamp.origin.slot()), format_stamp(stamp));
                format!("was written in {name}, version {version}")
            },
        );
        let text = format!(
            "the item has changed since the conflict: it {what}. Look at it, and say so (--anyway) \
             if that is to be written over"
        );
        return Err((StatusCode::CONFLICT, text));
    }
    let op = match (wish.keep.as_str(), entry) {
        ("winner", entry) => {
            let shown = entry.zip(stored.as_ref());
            shown.and_then(|(entry, stored)| choice::keep_shown(entry, &item.primary, stored))
        }
        ("loser" | "item", None) => return Err(bad(CHANGE_NOT_KEPT)),
        ("loser", Some(entry)) => Some(choice::keep_loser(entry, &item.primary, &row.entry)?),
        ("item", Some(entry)) => Some(choice::keep_item(entry, &item.primary, wish.item.as_ref())?),
        _ => return Err(bad("`keep` is winner, loser, or item with an `item`")),
    };
    let now_ms = i64::try_from(region.clock.now().wall_ms).unwrap_or(i64::MAX);
    let decision = Attributes::from([
        ("kept".to_string(), AttributeValue::S(wish.keep.clone())),
        ("note".to_string(), AttributeValue::S(wish.note.clone())),
        ("region".to_string(), AttributeValue::S(region.name.clone())),
        ("decided_ms".to_string(), AttributeValue::N(Number::from(now_ms))),
    ]);
    let seen = stored.map(|stored| stored.stamps().collect()).unwrap_or_default();
    Ok(Resolution { row: row.key.clone(), item, seen, op, decision })
}
