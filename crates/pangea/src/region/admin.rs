//! The admin API of one region, for the edge, the command line and experiments.
//!
//! `GET /healthz`, `/v1/status`, `/v1/vector`, `/v1/item`, `/v1/conflicts`,
//! `/v1/conflicts/stream`, `/v1/tables`, `/v1/tables/verify`, `/v1/regions`, `/v1/faults`,
//! `/v1/repair`, `/metrics`;
//! `POST /v1/conflicts/resolve`, `/v1/tables`, `/v1/regions`, `/v1/faults`, `/v1/repair`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use pangea_core::item::{ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::table::KeyKind;
use pangea_core::time::Stamp;
use serde_json::json;

use super::{Region, collection, conflicts, health, injection, members, reads, repair, settings};
use crate::http::{self, Reply, json as json_reply};
use crate::metrics::Scrape;
use crate::peer::link::{LinkStats, Role};
use crate::query::Query;
use crate::regions;
use crate::status::{self, LinkState, RegionReport, RegionState};
use crate::storage::{Fault, StoreView};
use crate::tables;
use crate::versions::{ItemReport, VersionReport, format_stamp, format_vector};

/// Backlogs are counted no further than this.
const BACKLOG_MAX: usize = 10_000;

pub(super) async fn answer(region: Arc<Region>, request: Request<Incoming>) -> Reply {
    if let Some(refusal) = http::refusal(&request) {
        return refusal;
    }
    let query = Query::of(request.uri());
    let path = request.uri().path().to_string();
    if request.method() == Method::POST && path == "/v1/faults" {
        return injection::answer(&region, request.into_body()).await;
    }
    if request.method() == Method::POST && path == reads::PATH {
        return reads::answer(&region, request.into_body()).await;
    }
    if request.method() == Method::POST && path == "/v1/conflicts/resolve" {
        return conflicts::resolve(&region, request.into_body()).await;
    }
    if request.method() == Method::POST && path == "/v1/tables" {
        return settings::change(&region, request.into_body()).await;
    }
    if request.method() == Method::POST && path == regions::PATH {
        return members::change(&region, request.into_body()).await;
    }
    if request.method() == Method::POST && path == crate::repair::PATH {
        return repair::begin(&region, request.into_body()).await;
    }
    if request.method() != Method::GET {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET");
    }
    match path.as_str() {
        "/healthz" => health::answer(&region),
        status::PATH => json_reply(StatusCode::OK, &report(&region)),
        "/v1/vector" => json_reply(StatusCode::OK, &vector(&region)),
        "/v1/item" => item(&region, &query),
        "/v1/conflicts" => reads(region, move |region| conflicts::page(region, &query)).await,
        "/v1/conflicts/stream" => conflicts::stream(region, &query).await,
        "/v1/tables" => settings::list(&region),
        tables::VERIFY => reads(region, move |region| settings::verify(region, &query)).await,
        regions::PATH => members::list(&region),
        "/v1/faults" => injection::list(&region),
        crate::repair::PATH => repair::show(&region),
        "/metrics" => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            http::reply(StatusCode::OK, kind, metrics(&region))
        }
        path => problem(StatusCode::NOT_FOUND, &format!("nothing is served at {path}")),
    }
}

pub(super) fn problem(status: StatusCode, text: &str) -> Reply {
    json_reply(status, &json!({"error": text}))
}

pub(super) fn fault(fault: &Fault) -> Reply {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &fault.to_string())
}

pub(super) async fn reads(
    region: Arc<Region>,
    read: impl FnOnce(&Region) -> Reply + Send + 'static,
) -> Reply {
    let answered = tokio::task::spawn_blocking(move || read(&region)).await;
    answered
        .unwrap_or_else(|_| problem(StatusCode::INTERNAL_SERVER_ERROR, "the read was cancelled"))
}

fn report(region: &Region) -> RegionReport {
    let reason = health::reason(region);
    let observed = region.writer.observed();
    RegionReport {
        generation: members::generation(region),
        members: members::states(region),
        name: region.name.clone(),
        state: if reason.is_none() { RegionState::Active } else { RegionState::Degraded },
        reason,
        pid: Some(std::process::id()),
        incarnation: u64::from(observed.origin.incarnation()),
        writes: region.counts.writes.load(Relaxed),
        expired: region.expiries.deleted(),
        conflicts: observed.counts.conflicts,
        links: links(region),
        services: services(region),
        waiting: collection::waiting(region),
    }
}

fn services(region: &Region) -> Vec<status::ServiceStatus> {
    let latest = region.services.latest();
    let of = |(name, trouble): (&String, &Option<String>)| status::ServiceStatus {
        name: name.clone(),
        healthy: trouble.is_none(),
        reason: trouble.clone(),
        ..status::ServiceStatus::default()
    };
    latest.iter().map(of).collect()
}

/// What this region receives, and what each peer still lacks of this region's writes.
fn links(region: &Region) -> Vec<status::LinkStatus> {
    health::links(region)
}

/// How many of this region's writes a peer has not acknowledged in band, up to a bound.
fn backlogs(region: &Region) -> Vec<(String, usize)> {
    let observed = region.writer.observed();
    let Ok(view) = region.store.snapshot() else { return Vec::new() };
    let origin = observed.origin;
    let count = |(slot, link): (&pangea_core::id::RegionSlot, &pangea_core::node::Link)| {
        let after = link.applied.get(&origin).copied().unwrap_or_default();
        let count = view.count_changes(origin, after, BACKLOG_MAX).unwrap_or_default();
        (region.region_name(*slot), count)
    };
    observed.links.iter().map(count).collect()
}

/// Everything that this region has durably applied, its own writes included.
fn vector(region: &Region) -> Vec<String> {
    let progress = region.writer.progress();
    let progress = progress.borrow();
    let own = region.writer.observed().origin;
    let own = Stamp { hlc: progress.closed, origin: own };
    let others = progress.applied.iter().map(|(&origin, &hlc)| Stamp { hlc, origin });
    let mut all: Vec<Stamp> = others.chain([own]).collect();
    all.sort_unstable_by_key(|stamp| stamp.origin);
    all.into_iter().filter(|stamp| stamp.hlc.to_bits() > 0).map(format_stamp).collect()
}

fn item(region: &Region, query: &Query) -> Reply {
    let name = query.get("table").unwrap_or_default();
    if region.catalog().find(region.slot, name).is_none() {
        return problem(StatusCode::NOT_FOUND, &format!("no table `{name}` in this region"));
    }
    let partition = query.get("partition").unwrap_or_default();
    let key = match item_key(region, name, partition, query.get("sort")) {
        Ok(key) => key,
        Err(text) => return problem(StatusCode::BAD_REQUEST, &text),
    };
    let found = region.store.snapshot().and_then(|view| item_report(&view, &key));
    found.map_or_else(|error| fault(&error), |report| json_reply(StatusCode::OK, &report))
}

/// Of an item without a row the region has seen what was collected of its table, in the same view:
/// what the writer has published is of another moment.
fn item_report(view: &StoreView, key: &ItemKey) -> Result<ItemReport, Fault> {
    let Some(stored) = view.get_stored(key)? else {
        let seen = format_vector(&view.collected(key.table)?);
        return Ok(ItemReport { seen, ..ItemReport::default() });
    };
    let versions: Vec<VersionReport> = stored.versions.iter().map(VersionReport::of).collect();
    let version = versions.first().cloned();
    Ok(ItemReport { version, versions, seen: format_vector(&stored.seen) })
}

/// The key of an item of a table of this region, from plain text.
pub(super) fn item_key(
    region: &Region,
    table: &str,
    partition: &str,
    sort: Option<&str>,
) -> Result<ItemKey, String> {
    let catalog = region.catalog();
    let entry = catalog.find(region.slot, table);
    let entry = entry.ok_or_else(|| format!("no table `{table}` in this region"))?;
    let partition = parse(entry.schema.partition.kind, partition);
    let sort = entry.schema.sort.as_ref().zip(sort);
    let sort = sort.and_then(|(sort, text)| parse(sort.kind, text));
    let (Some(partition), true) = (partition, sort.is_some() == entry.schema.sort.is_some()) else {
        let text = "give table, partition and, if the table has one, sort, as plain text";
        return Err(text.to_string());
    };
    Ok(ItemKey { table: entry.id, primary: PrimaryKey { partition, sort } })
}

fn parse(kind: KeyKind, text: &str) -> Option<KeyValue> {
    match kind {
        KeyKind::S => Some(KeyValue::S(text.to_string())),
        KeyKind::N => Number::parse(text).ok().map(KeyValue::N),
        KeyKind::B => None,
    }
}

fn metrics(region: &Region) -> String {
    let mut scrape = Scrape::default();
    let observed = region.writer.observed();
    let plain = |value: u64| [(Vec::new(), value)];
    let counts = &region.counts;
    let requests = "DynamoDB requests";
    scrape.counter("pangea_data_requests", requests, plain(counts.requests.load(Relaxed)));
    let writes = "Writes acknowledged";
    scrape.counter("pangea_data_writes", writes, plain(counts.writes.load(Relaxed)));
    let errors = "DynamoDB requests refused or failed";
    scrape.counter("pangea_data_errors", errors, plain(counts.errors.load(Relaxed)));
    let conflicts = "Concurrent losers written to the ledger";
    scrape.counter("pangea_data_conflicts", conflicts, plain(observed.counts.conflicts));
    let gaps = "Frames that did not follow on what was applied";
    scrape.counter("pangea_replication_gaps", gaps, plain(observed.counts.gaps));
    let holds = "Streams held for stamps from the future";
    scrape.counter("pangea_replication_holds", holds, plain(observed.counts.holds));
    let distrusted = "Frames that were not believed";
    scrape.counter("pangea_replication_distrusted", distrusted, plain(observed.counts.distrusted));
    let trimmed = "Ledger rows removed for their age or the ledger's size";
    let rows = plain(observed.counts.ledger_trimmed);
    scrape.counter("pangea_data_ledger_trimmed", trimmed, rows);
    let waiting = "Rows of tables in groups that wait to be shown whole";
    let rows = [(Vec::new(), observed.staged.rows as f64)];
    scrape.gauge("pangea_replication_staged_rows", waiting, rows);
    let waiting = "Bytes of rows of tables in groups that wait to be shown whole";
    let bytes = [(Vec::new(), observed.staged.bytes as f64)];
    scrape.gauge("pangea_replication_staged_bytes", waiting, bytes);
    let faults = "Commits that failed";
    scrape.counter("pangea_storage_faults", faults, plain(observed.counts.faults));
    let panics = "Requests that met a defect of the server, and ended there";
    scrape.counter("pangea_data_panics", panics, plain(crate::guard::count()));
    region.load.scrape(&mut scrape);
    region.sessions.scrape(&mut scrape);
    region.forwards.scrape(&mut scrape);
    region.durability.scrape(&mut scrape);
    region.reads.scrape(&mut scrape);
    let links = links(region);
    let peer = |name: &str| vec![("peer", name.to_string())];
    let lag = links.iter().filter_map(|link| Some((peer(&link.from), link.lag_ms?)));
    scrape.gauge("pangea_replication_lag_ms", "Age of what is visible of the peer", lag);
    let up = links
        .iter()
        .map(|link| (peer(&link.from), f64::from(u8::from(link.state == LinkState::Up))));
    scrape.gauge("pangea_replication_link_up", "Whether the peer's stream is open", up);
    #[expect(clippy::cast_precision_loss, reason = "a bounded count")]
    let backlog = backlogs(region).into_iter().map(|(name, count)| (peer(&name), count as f64));
    let help = "Own writes that the peer has not acknowledged in band, counted up to 10000";
    scrape.gauge("pangea_replication_backlog", help, backlog);
    #[expect(clippy::cast_precision_loss, reason = "an offset of milliseconds")]
    let offset =
        |link: &status::LinkStatus| Some((peer(&link.from), link.clock_offset_ms? as f64 / 1e3));
    let help = "The peer's wall clock minus this region's, by its last heartbeat";
    scrape.gauge("pangea_clock_offset_seconds", help, links.iter().filter_map(offset));
    let verdicts = "Changes of what the region thinks of its wall clock";
    scrape.counter("pangea_clock_verdicts", verdicts, plain(observed.counts.clock_verdicts));
    collection::scrape(region, &mut scrape);
    conflicts::scrape(region, &mut scrape);
    region.functions.scrape(&mut scrape);
    region.repairs.scrape(&mut scrape);
    region.expiries.scrape(&mut scrape);
    members::scrape(region, &mut scrape);
    traffic(region, &mut scrape);
    let garbage = region.links.garbage().into_iter();
    let garbage = garbage.map(|(kind, count)| (vec![("kind", kind.as_str().to_owned())], count));
    scrape.counter("pangea_replication_garbage", "Connections refused on the peer port", garbage);
    scrape.finish()
}

/// What went over the links, in both directions.
fn traffic(region: &Region, scrape: &mut Scrape) {
    let stats = region.links.stats();
    let labels = |link: &LinkStats, direction: &str| {
        let direction = ("direction", direction.to_owned());
        vec![("peer", region.region_name(link.peer)), direction]
    };
    let bytes = stats.iter().map(|link| match link.role {
        Role::Subscriber => (labels(link, "in"), link.bytes_in),
        Role::Feeder => (labels(link, "out"), link.bytes_out),
    });
    scrape.counter("pangea_replication_bytes", "Bytes of rows on their links", bytes);
    let frames = stats.iter().map(|link| {
        let direction = if link.role == Role::Subscriber { "in" } else { "out" };
        (labels(link, direction), link.frame_bytes)
    });
    scrape.counter("pangea_replication_frame_bytes", "The same before compression", frames);
    let peer = |link: &LinkStats| vec![("peer", region.region_name(link.peer))];
    let rtts = stats.iter().filter_map(|link| Some((peer(link), link.rtt?.as_secs_f64() * 1e3)));
    scrape.gauge("pangea_replication_rtt_ms", "The last round trip to the peer", rtts);
}
