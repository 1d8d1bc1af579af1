//! The operator API and the console: what everyone may ask of a running topology.
//!
//! `GET /` console, `/v1/status`, `/v1/topology`, `/v1/events`, `/v1/explain?name=&client=`,
//! `/metrics`.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use pangea_core::health::State;
use pangea_core::routing::{Client, Data, Name, Question, RecordData, RecordType};
use serde_json::json;

use super::Edge;
use crate::http::{self, Reply, json as json_reply, reply};
use crate::metrics::Scrape;
use crate::probe::Report;
use crate::query::Query;
use crate::status::{self, RegionState, RegionStatus, Status};
use crate::traffic::LogEntry;

const CONSOLE: &str = include_str!("console.html");

pub(super) async fn answer(edge: Arc<Edge>, request: Request<Incoming>) -> Reply {
    if let Some(refusal) = http::refusal(&request) {
        return refusal;
    }
    if request.method() != Method::GET {
        return problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "the operator API of the edge is read-only",
        );
    }
    let query = Query::of(request.uri());
    match request.uri().path() {
        "/" => reply(StatusCode::OK, "text/html; charset=utf-8", CONSOLE),
        status::PATH => json_reply(StatusCode::OK, &status_of(&edge)),
        "/v1/topology" => json_reply(StatusCode::OK, &edge.topology.without_secrets()),
        "/v1/events" => json_reply(StatusCode::OK, &events(&edge)),
        "/v1/explain" => explain(&edge, &query),
        "/metrics" => reply(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            metrics(&edge),
        ),
        path => problem(StatusCode::NOT_FOUND, &format!("nothing is served at {path}")),
    }
}

fn problem(status: StatusCode, text: &str) -> Reply {
    json_reply(status, &json!({"error": text}))
}

/// The topology as it is: addresses from the file, health from the machine, the rest from regions.
pub(super) fn status_of(edge: &Edge) -> Status {
    let mut status = Status::unknown(&edge.topology);
    let observed = edge.observed.borrow().clone();
    for report in observed.values().flatten() {
        status.absorb(report.clone());
    }
    let health = edge.traffic.health();
    for (region, known) in status.regions.iter_mut().zip(&edge.topology.regions) {
        let state = health.state(known.id);
        region.healthy = state == State::Healthy;
        let silent = matches!(observed.get(&known.name), Some(None));
        describe(region, silent, edge.traffic.reports().get(&known.id).and_then(why));
    }
    let snapshot = edge.traffic.snapshot();
    status.edge.pid = Some(std::process::id());
    status.edge.generation = snapshot.generation().health;
    status.edge.accelerator_serves = accelerator_serves(edge);
    for (name, answer) in &mut status.edge.dns_answers {
        *answer = dns_region(edge, name, edge.topology.edge.dns.ip());
    }
    status
}

/// Why a probe failed, in the region's own words where it gave any.
fn why(report: &Report) -> Option<String> {
    let failure = report.outcome.as_ref().err()?;
    let own = report.body.as_ref().and_then(|body| body["reason"].as_str());
    Some(own.map_or_else(|| failure.to_string(), str::to_string))
}

fn describe(region: &mut RegionStatus, silent: bool, probe: Option<String>) {
    if silent {
        region.state = RegionState::Dead;
        region.pid = None;
    }
    if !region.healthy && region.reason.is_none() {
        region.reason = probe;
    }
    if !region.healthy && region.state == RegionState::Active {
        region.state = RegionState::Degraded;
    }
    for service in &mut region.services {
        if silent {
            service.healthy = false;
        }
    }
}

fn region_name(edge: &Edge, slot: pangea_core::id::RegionSlot) -> Option<String> {
    let found = edge.topology.regions.iter().find(|region| region.id == slot);
    found.map(|region| region.name.clone())
}

fn accelerator_serves(edge: &Edge) -> Option<String> {
    let service = edge.topology.accelerated()?;
    let client = edge.topology.edge.accelerator.ip();
    let pick = edge.traffic.snapshot().pick(&service.name, client, &[], 0)?;
    region_name(edge, pick.region)
}

/// The region whose address a client at `client` is given for `name`.
fn dns_region(edge: &Edge, name: &str, client: IpAddr) -> Option<String> {
    let snapshot = edge.traffic.snapshot();
    let key = Name::parse(name).ok()?;
    let client = Client { addr: client, subnet: None };
    let question = Question { name: key.as_bytes(), kind: RecordType::A, client, dice: 0 };
    let answer = snapshot.answer(&question);
    let address = answer.records.iter().find_map(|record| match record.data {
        RecordData::Value(Data::A(address)) => Some(IpAddr::V4(*address)),
        _ => None,
    })?;
    let record = edge.topology.records.iter().find(|record| record.name == name)?;
    let service = edge.topology.service(&record.service)?;
    let mut endpoints = service.endpoint.iter();
    endpoints.find(|(_, endpoint)| endpoint.ip() == address).map(|(region, _)| region.clone())
}

fn explain(edge: &Edge, query: &Query) -> Reply {
    let name = query.get("name").unwrap_or_default();
    let client = query.get("client").unwrap_or("127.0.0.1").parse::<IpAddr>();
    let (Ok(key), Ok(client)) = (Name::parse(name), client) else {
        return problem(StatusCode::BAD_REQUEST, "give ?name=<domain name>&client=<IP address>");
    };
    let snapshot = edge.traffic.snapshot();
    let asked = Client { addr: client, subnet: None };
    let question = Question { name: key.as_bytes(), kind: RecordType::A, client: asked, dice: 0 };
    let answer = snapshot.answer(&question);
    let accelerator = edge.topology.accelerated().map(|service| {
        let pick = snapshot.pick(&service.name, client, &[], 0);
        snapshot.explain_pick(&service.name, client, pick.as_ref())
    });
    let dns = snapshot.explain(&question, &answer);
    json_reply(StatusCode::OK, &json!({"dns": dns, "accelerator": accelerator}))
}

fn events(edge: &Edge) -> Vec<serde_json::Value> {
    let show = |entry: LogEntry| match entry {
        LogEntry::Health(change) => json!({
            "wall_ms": change.wall_ms,
            "generation": change.generation,
            "region": region_name(edge, change.target),
            "from": change.from.to_string(),
            "to": change.to.to_string(),
            "reason": change.reason.to_string(),
        }),
        LogEntry::Configured { wall_ms, generation } => {
            json!({"wall_ms": wall_ms, "configuration": generation})
        }
    };
    edge.traffic.log().into_iter().map(show).collect()
}

fn metrics(edge: &Edge) -> String {
    let mut scrape = Scrape::default();
    let status = status_of(edge);
    let healthy = |region: &RegionStatus| {
        (vec![("region", region.name.clone())], f64::from(u8::from(region.healthy)))
    };
    let help = "Whether traffic is sent to the region";
    scrape.gauge("pangea_traffic_region_healthy", help, status.regions.iter().map(healthy));
    let help = "Changes of health since the edge began";
    scrape.counter("pangea_traffic_generation", help, [(Vec::new(), status.edge.generation)]);
    scrape.counters("pangea_dns", "Messages of the DNS server", &edge.dns.counters().snapshot());
    if let Some(accelerator) = &edge.accelerator {
        let counters = accelerator.counters().snapshot();
        scrape.counters("pangea_accelerator", "Connections of the accelerator", &counters);
    }
    scrape.finish()
}
