//! From the document to the topology: defaults, and every rule that needs more than one key.
//!
//! A problem does not stop the check: all of them are reported at once, in the order of the file.

mod addresses;
mod credentials;
mod replication;
mod services;
mod values;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use pangea_core::catalog::{PREFIX, Settings, Tags};
use pangea_core::id::RegionSlot;
use pangea_core::limits::LEDGER_ROWS_PER_MINUTE_MAX;
use pangea_core::table::{KeyAttribute, KeyKind, Schema};

use super::file::{self, Document, Text};
use super::problem::{self, Problem, Source};
use super::topology::{
    Clock, Edge, Expiry, Faults, Health, Ledger, Link, Network, Objectives, Record, Region,
    Restart, Routing, Storage, Table, Topology, Zone,
};
use super::{Cidr, Error, Limits, Streams};
use crate::storage::EngineKind;
pub(super) use services::placeholders;
use values::UNBOUNDED;

/// A check under way.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    source: Source<'a>,
    bases: &'a [PathBuf],
    problems: Vec<Problem>,
    taken: Vec<addresses::Taken>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(source: Source<'a>, bases: &'a [PathBuf]) -> Self {
        Self { source, bases, problems: Vec::new(), taken: Vec::new() }
    }

    /// The topology that `document` means.
    pub(super) fn check(mut self, document: Document) -> Result<Topology, Error> {
        let cluster = document.cluster.map_or_else(|| "pangea".to_owned(), |n| self.name(&n));
        let storage = self.storage(&document.storage, Storage::default());
        let regions = self.regions(&document.region, storage);
        let links = self.links(&document.link, &regions);
        let replication = self.replication(&document.replication);
        let refuse_ms = self.number(document.clock.refuse_ms.as_ref(), 10_000, 0..=DAY_MS);
        let edge = self.edge(&document.edge, &regions);
        let services = self.services(&document.service, &regions);
        let tables = self.tables(&document.table);
        let networks = document.network.iter().filter_map(|n| self.network(n, &regions)).collect();
        let zones = self.zones(&document.zone);
        let services_named: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
        let records = self.records(&document.record, &zones, &services_named);
        let credentials = self.credentials(&document.credential);
        let ledger = self.ledger(&document.ledger);
        let (streams, ttl) = (self.streams(&document.streams), self.expiry(&document.ttl));
        let (limits, health) = (self.limits(&document.limits), self.health(&document.health));
        let objectives = self.objectives(&document.objectives);
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| (problem.line, problem.column));
            return Err(Error::Invalid(self.problems));
        }
        Ok(Topology {
            cluster,
            storage,
            regions,
            links,
            replication,
            clock: Clock { refuse_ms },
            edge,
            services,
            tables,
            networks,
            zones,
            records,
            credentials,
            ledger,
            streams,
            limits,
            ttl,
            health,
            objectives,
            faults: Faults { allow: document.faults.allow },
        })
    }

    fn report(
        &mut self,
        place: &Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(self.source.problem(place, message, remedy));
    }

    /// Reports `name` if it was seen before; else remembers it.
    fn unique(&mut self, seen: &mut BTreeMap<String, usize>, name: &Text, noun: &str) {
        let line = self.source.line(&name.span());
        if let Some(first) = seen.get(name.get_ref()) {
            let message =
                format!("two {noun}s are called `{}`: lines {first} and {line}", name.get_ref());
            self.report(&name.span(), message, format!("give each {noun} a name of its own"));
        } else {
            seen.insert(name.get_ref().clone(), line);
        }
    }

    fn regions(
        &mut self,
        written: &[toml::Spanned<file::Region>],
        storage: Storage,
    ) -> Vec<Region> {
        let most = usize::from(RegionSlot::COUNT);
        if written.is_empty() {
            self.report(&(0..0), "there is no region", "add `[[region]]` with a `name`");
        }
        if let Some(extra) = written.get(most) {
            let remedy = format!("keep {most} of them");
            self.report(&extra.span(), format!("more than {most} regions"), remedy);
        }
        let (mut names, mut ids) = (BTreeMap::new(), BTreeMap::new());
        let mut regions = Vec::new();
        for (position, region) in written.iter().take(most).enumerate() {
            self.unique(&mut names, &region.get_ref().name, "region");
            let storage = self.storage(&region.get_ref().storage, storage);
            regions.push(Region { storage, ..self.region(position, region, &mut ids) });
        }
        regions
    }

    fn region(
        &mut self,
        position: usize,
        written: &toml::Spanned<file::Region>,
        ids: &mut BTreeMap<u8, String>,
    ) -> Region {
        let region = written.get_ref();
        let place = region.name.span();
        let name = self.name(&region.name);
        let port = u16::try_from(position).unwrap_or(0);
        let of = |key: &str| format!("`{key}` of region `{name}`");
        Region {
            id: self.region_id(position, region, ids),
            jurisdiction: region.jurisdiction.as_ref().map(|text| text.get_ref().clone()),
            dynamodb: self.address(&region.dynamodb, 8101 + port, &place, of("dynamodb")),
            dynamodb_tls: self.tls(region, of("dynamodb_tls")),
            certificate_file: region.certificate_file.as_ref().map(|path| self.file(path)),
            key_file: region.key_file.as_ref().map(|path| self.file(path)),
            admin: self.address(&region.admin, 8111 + port, &place, of("admin")),
            peer: self.address(&region.peer, 8121 + port, &place, of("peer")),
            restart: self.restart(&region.restart, Restart::Never),
            clock_offset_ms: self.clock_offset(&region.clock_offset_ms),
            joins: region.joins.unwrap_or(false),
            storage: Storage::default(),
            name,
        }
    }

    fn region_id(
        &mut self,
        position: usize,
        region: &file::Region,
        ids: &mut BTreeMap<u8, String>,
    ) -> RegionSlot {
        let written = region.id.as_ref().map(|id| *id.get_ref());
        let id = written.unwrap_or_else(|| i64::try_from(position).unwrap_or(i64::MAX));
        let place = region.id.as_ref().map_or_else(|| region.name.span(), toml::Spanned::span);
        let Some(slot) = u8::try_from(id).ok().and_then(RegionSlot::new) else {
            let most = RegionSlot::COUNT - 1;
            self.report(&place, format!("region id {id} is not in 0..{most}"), "choose a free one");
            return RegionSlot::new(0).expect("0 is below every count");
        };
        let (name, line) = (region.name.get_ref(), self.source.line(&place));
        if let Some(other) = ids.get(&slot.get()) {
            let message = format!("region `{name}` has the same id {id} as {other}");
            self.report(&place, message, "an id is never shared nor reused: choose a free one");
        } else {
            ids.insert(slot.get(), format!("`{name}` (line {line})"));
        }
        slot
    }

    /// What is written, else what `default` says.
    fn storage(&mut self, written: &file::Storage, default: Storage) -> Storage {
        let engine = self.one_of(&written.engine, &EngineKind::ALL, "storage engine");
        let engine = engine.unwrap_or(default.engine);
        if let Some(word) = written.engine.as_ref().filter(|_| !engine.is_built_in()) {
            let message = "this binary was built without RocksDB";
            let remedy = "build it with `cargo build --release -p pangea --features rocksdb`, or \
                          write engine = \"redb\"";
            self.report(&word.span(), message, remedy);
        }
        Storage {
            engine,
            cache_mb: self.number(written.cache_mb.as_ref(), default.cache_mb, 8..=CACHE_MB_MAX),
            log_mb: self.number(written.log_mb.as_ref(), default.log_mb, 1..=1024),
            verify: written.verify.unwrap_or(default.verify),
        }
    }

    /// Reports `name` unless it is one of `known`.
    fn known(&mut self, name: &Text, known: &[&str], noun: &str) {
        if !known.contains(&name.get_ref().as_str()) {
            let remedy = problem::meant(name.get_ref(), known.iter().copied(), noun);
            self.report(&name.span(), format!("unknown {noun} `{}`", name.get_ref()), remedy);
        }
    }

    fn known_region(&mut self, name: &Text, regions: &[Region]) {
        let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
        self.known(name, &names, "region");
    }

    /// A link for every pair, at its default where the file has none.
    fn links(&mut self, written: &[toml::Spanned<file::Link>], regions: &[Region]) -> Vec<Link> {
        let mut rtts: BTreeMap<[String; 2], (u64, usize)> = BTreeMap::new();
        for link in written {
            let link = link.get_ref();
            let rtt_ms = self.number(link.rtt_ms.as_ref(), 0, 0..=60_000);
            let Some([a, b]) = self.ends(&link.between, regions) else { continue };
            let line = self.source.line(&link.between.span());
            let key = if a < b { [a, b] } else { [b, a] };
            if let Some((_, first)) = rtts.get(&key) {
                let [a, b] = &key;
                let message = format!("two links join `{a}` and `{b}`: lines {first} and {line}");
                self.report(&link.between.span(), message, "keep one: a link has no direction");
            }
            rtts.insert(key, (rtt_ms, line));
        }
        let mut links = Vec::new();
        for (i, a) in regions.iter().enumerate() {
            for b in &regions[i + 1..] {
                let mut key = [a.name.clone(), b.name.clone()];
                key.sort();
                let rtt_ms = rtts.get(&key).map_or(0, |(rtt_ms, _)| *rtt_ms);
                links.push(Link { between: [a.name.clone(), b.name.clone()], rtt_ms });
            }
        }
        links
    }

    fn ends(&mut self, between: &file::Texts, regions: &[Region]) -> Option<[String; 2]> {
        let example = "write between = [\"one-region\", \"another-region\"]";
        let [a, b] = between.get_ref().as_slice() else {
            self.report(&between.span(), "a link joins two regions", example);
            return None;
        };
        if a.get_ref() == b.get_ref() {
            let message = format!("the link joins `{}` to itself", a.get_ref());
            self.report(&between.span(), message, example);
            return None;
        }
        let before = self.problems.len();
        self.known_region(a, regions);
        self.known_region(b, regions);
        (self.problems.len() == before).then(|| [a.get_ref().clone(), b.get_ref().clone()])
    }

    fn edge(&mut self, edge: &file::Edge, regions: &[Region]) -> Edge {
        let place = 0..0;
        let of = |key: &str| format!("`{key}` of the edge");
        if let Some(near) = &edge.near {
            self.known_region(near, regions);
        }
        let first = || regions.first().map_or_else(String::new, |region| region.name.clone());
        Edge {
            control: self.address(&edge.control, 8100, &place, of("control")),
            dns: self.address(&edge.dns, 5300, &place, of("dns")),
            accelerator: self.address(&edge.accelerator, 8080, &place, of("accelerator")),
            operator: self.address(&edge.operator, 8090, &place, of("operator")),
            near: edge.near.as_ref().map_or_else(first, |near| near.get_ref().clone()),
            restart: self.restart(&edge.restart, Restart::OnFailure),
        }
    }

    fn network(&mut self, network: &file::Network, regions: &[Region]) -> Option<Network> {
        self.known_region(&network.near, regions);
        match network.cidr.get_ref().parse::<Cidr>() {
            Ok(cidr) => Some(Network { cidr, near: network.near.get_ref().clone() }),
            Err(remedy) => {
                let message = format!("`{}` is not a network", network.cidr.get_ref());
                self.report(&network.cidr.span(), message, remedy);
                None
            }
        }
    }

    fn tables(&mut self, written: &[file::Table]) -> Vec<Table> {
        let mut names = BTreeMap::new();
        let mut tables = Vec::new();
        for table in written {
            self.unique(&mut names, &table.name, "table");
            let pairs = table.settings.iter();
            let settings =
                pairs.map(|(key, value)| (key.get_ref().clone(), value.get_ref().clone()));
            let checked = Table {
                name: table.name.get_ref().clone(),
                settings: settings.collect(),
                module: table.module.as_ref().map(|path| self.file(path)),
            };
            let wasm = checked.settings.get("merge").is_some_and(|policy| policy == "wasm");
            if wasm != checked.module.is_some() {
                let message = "`merge = \"wasm\"` and `module` need each other";
                let remedy = "name the .wasm file of the merge function, or set both or neither";
                self.report(&table.name.span(), message, remedy);
            }
            // Any schema: the settings' values do not depend on it.
            let partition = KeyAttribute { name: "pk".to_owned(), kind: KeyKind::S };
            let schema = Schema { partition, sort: None };
            // One at a time, so that the problem has its line.
            for (key, value) in &table.settings {
                let tag = format!("{PREFIX}{}", key.get_ref());
                let alone = Tags::from([(tag, value.get_ref().clone())]);
                if let Err(error) = Settings::parse(&alone, &schema) {
                    let remedy = "the settings are listed in docs/reference/tables.md";
                    self.report(&value.span(), error.to_string(), remedy);
                }
            }
            tables.push(checked);
        }
        tables
    }

    fn zones(&mut self, written: &[file::Zone]) -> Vec<Zone> {
        let mut names = BTreeMap::new();
        let mut zones = Vec::new();
        for zone in written {
            self.unique(&mut names, &zone.name, "zone");
            zones.push(Zone { name: self.domain(&zone.name), ttl_s: self.ttl(&zone.ttl_s, 60) });
        }
        zones
    }

    fn records(
        &mut self,
        written: &[file::Record],
        zones: &[Zone],
        services: &[&str],
    ) -> Vec<Record> {
        let mut names = BTreeMap::new();
        let mut records = Vec::new();
        for record in written {
            self.unique(&mut names, &record.name, "record");
            self.known(&record.service, services, "service");
            let name = self.domain(&record.name);
            let inside = |zone: &&Zone| {
                name == zone.name || name.strip_suffix(&zone.name).is_some_and(|n| n.ends_with('.'))
            };
            let zone = zones.iter().filter(inside).max_by_key(|zone| zone.name.len());
            if zone.is_none() {
                let message = format!("record `{name}` is outside of every zone");
                let remedy = match zones.first() {
                    Some(zone) => format!("name it below one, for example `www.{}`", zone.name),
                    None => "add `[[zone]]` with a `name` that it ends with".to_owned(),
                };
                self.report(&record.name.span(), message, remedy);
            }
            let service = record.service.get_ref().clone();
            let routing = self.one_of(&record.routing, &ROUTINGS, "routing policy");
            let ttl_s = self.ttl(&record.ttl_s, zone.map_or(60, |zone| zone.ttl_s));
            records.push(Record {
                routing: routing.unwrap_or(Routing::Latency),
                name,
                service,
                ttl_s,
            });
        }
        records
    }

    fn ledger(&mut self, ledger: &file::Ledger) -> Ledger {
        Ledger {
            retention_days: self.number(ledger.retention_days.as_ref(), 30, 1..=36_500),
            size_mb_max: self.number(ledger.size_mb_max.as_ref(), 1024, 1..=1_000_000),
            entries_per_minute: self.number(
                ledger.entries_per_minute.as_ref(),
                u64::from(LEDGER_ROWS_PER_MINUTE_MAX),
                0..=1_000_000,
            ),
        }
    }

    fn streams(&mut self, streams: &file::Streams) -> Streams {
        let default = Streams::default();
        Streams {
            shard_s: self.number(streams.shard_s.as_ref(), default.shard_s, 1..=86_400),
            kept_s: self.number(streams.kept_s.as_ref(), default.kept_s, 1..=86_400),
        }
    }

    fn expiry(&mut self, ttl: &file::Expiry) -> Expiry {
        let default = Expiry::default();
        Expiry {
            scan_s: self.number(ttl.scan_s.as_ref(), default.scan_s, 1..=86_400),
            deletes_per_s: self.number(
                ttl.deletes_per_s.as_ref(),
                default.deletes_per_s,
                1..=1_000_000,
            ),
            grace_s: self.number(ttl.grace_s.as_ref(), default.grace_s, 0..=86_400),
        }
    }

    fn limits(&mut self, limits: &file::Limits) -> Limits {
        let default = Limits::default();
        Limits {
            requests: self.number(limits.requests.as_ref(), default.requests, 1..=1_000_000),
            // One of the largest must have room.
            body_mb: self.number(limits.body_mb.as_ref(), default.body_mb, 16..=65_536),
            connections: self.number(
                limits.connections.as_ref(),
                default.connections,
                1..=1_000_000,
            ),
        }
    }

    fn health(&mut self, health: &file::Health) -> Health {
        Health {
            interval_ms: self.number(health.interval_ms.as_ref(), 100, 10..=3_600_000),
            timeout_ms: self.number(health.timeout_ms.as_ref(), 500, 10..=3_600_000),
            failure_threshold: self.count(&health.failure_threshold, 2),
            recovery_threshold: self.count(&health.recovery_threshold, 3),
            lag_ms_max: self.bound(&health.lag_ms_max, DAY_MS),
        }
    }

    fn objectives(&mut self, written: &file::Objectives) -> Objectives {
        Objectives {
            rto_accelerator_ms: self.number(written.rto_accelerator_ms.as_ref(), 2000, 0..=DAY_MS),
            rto_dns_ms: self.number(written.rto_dns_ms.as_ref(), 3000, 0..=DAY_MS),
            rpo_ms: self.number(written.rpo_ms.as_ref(), 1000, 0..=DAY_MS),
            lost: self.number(written.lost.as_ref(), 0, 0..=UNBOUNDED),
            failed_requests_max: self.bound(&written.failed_requests_max, UNBOUNDED),
            convergence_s: self.number(written.convergence_s.as_ref(), 30, 0..=DAY_MS / 1000),
            lag_ms: self.number(written.lag_ms.as_ref(), 2000, 0..=DAY_MS),
            bootstrap_s: self.number(written.bootstrap_s.as_ref(), 120, 0..=DAY_MS / 1000),
        }
    }
}

/// A tebibyte.
const CACHE_MB_MAX: u64 = 1 << 20;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const ROUTINGS: [(&str, Routing); 1] = [("latency", Routing::Latency)];
