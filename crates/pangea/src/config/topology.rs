//! The effective topology: plain values, every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use pangea_core::catalog::{PREFIX, Tags};
use pangea_core::id::RegionSlot;
use pangea_core::node::Retention;
use serde::{Serialize, Serializer};

use super::{Cidr, Credential, Limits, Replication, Streams};
use crate::storage::{EngineKind, EngineOptions};

/// A whole deployment. See the [module](super) for what is always true of one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topology {
    /// Name of the cluster. Default: `pangea`.
    pub cluster: String,
    /// How regions keep their rows, unless a region says otherwise.
    pub storage: Storage,
    /// The regions, in the order of the file.
    #[serde(rename = "region")]
    pub regions: Vec<Region>,
    /// One link for every pair of regions.
    #[serde(rename = "link", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// How regions carry their rows to each other.
    pub replication: Replication,
    /// When a region does not trust its own clock.
    pub clock: Clock,
    /// The edge process.
    pub edge: Edge,
    /// The applications that the regions run.
    #[serde(rename = "service", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Tables that shall have settings as soon as they are made.
    #[serde(rename = "table", skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// Where clients are.
    #[serde(rename = "network", skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// The hosted zones that the DNS server answers for.
    #[serde(rename = "zone", skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<Zone>,
    /// The names in those zones.
    #[serde(rename = "record", skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// Who may use the DynamoDB API. Default: whoever reaches it.
    #[serde(rename = "credential", skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
    /// How much of the conflict ledger each region keeps.
    pub ledger: Ledger,
    /// How change streams are cut.
    #[serde(skip_serializing_if = "Streams::is_default")]
    pub streams: Streams,
    /// How items that expire are found.
    #[serde(skip_serializing_if = "Expiry::is_default")]
    pub ttl: Expiry,
    /// What a region takes from clients at once.
    #[serde(skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// How regions and services are probed.
    pub health: Health,
    /// What experiments are judged against.
    pub objectives: Objectives,
    /// Whether faults may be injected.
    #[serde(skip_serializing_if = "Faults::is_default")]
    pub faults: Faults,
}

/// When a region does not trust its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// A region whose wall clock is further than this ahead of most of at least two others' takes
    /// no writes, in ms; 0 for never. Default: 10,000.
    pub refuse_ms: u64,
}

/// One region: a store and its APIs, in a process of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Region {
    /// Lower-case letters, digits and hyphens; unique.
    pub name: String,
    /// The region's slot in version stamps, 0 to 63; never reused. Default: its position.
    #[serde(serialize_with = "slot")]
    pub id: RegionSlot,
    /// Whose law its data is under, for placement rules. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// DynamoDB API. Default: 127.0.0.1:8101 and up.
    pub dynamodb: SocketAddr,
    /// The same behind TLS. Default: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamodb_tls: Option<SocketAddr>,
    /// Its certificate chain, PEM; absolute. Default: one that the deployment's own authority
    /// signs, for this region's name, `localhost` and the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate, PEM; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// `/healthz`, `/v1/status`, metrics. Default: 127.0.0.1:8111 and up.
    pub admin: SocketAddr,
    /// Replication between regions, mutual TLS. Default: 127.0.0.1:8121 and up.
    pub peer: SocketAddr,
    /// What `up` does when the process dies. Default: never restart.
    pub restart: Restart,
    /// Added to the region's wall clock, in ms, to stage skew. Default: 0.
    pub clock_offset_ms: i64,
    /// Whether it is added to regions that run, rather than being there from the beginning.
    /// Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub joins: bool,
    /// How it keeps its rows. Default: as the topology says.
    pub storage: Storage,
}

/// How a region keeps its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// The engine; it cannot be changed under data that is there. Default: redb.
    pub engine: EngineKind,
    /// Memory for what was read last, in MiB. Default: 256.
    pub cache_mb: u64,
    /// Of redb's write-ahead log between two checkpoints, in MiB. Default: 4.
    pub log_mb: u64,
    /// Whether redb's file is compared with its checksums when it is opened. Default: true.
    pub verify: bool,
}

/// The simulated distance between two regions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// The two regions, in the order of the file.
    pub between: [String; 2],
    /// Round trip, in ms; each direction is delayed by half. Default: 0.
    pub rtt_ms: u64,
}

/// The edge process: DNS, accelerator, AWS control APIs, operator API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// AWS control APIs (Route 53, Global Accelerator, ARC). Default: 127.0.0.1:8100.
    pub control: SocketAddr,
    /// DNS, on UDP and TCP. Default: 127.0.0.1:5300.
    pub dns: SocketAddr,
    /// The accelerator's listener. Default: 127.0.0.1:8080.
    pub accelerator: SocketAddr,
    /// Operator API and console. Default: 127.0.0.1:8090.
    pub operator: SocketAddr,
    /// The region this edge is nearest to. Default: the first.
    pub near: String,
    /// What `up` does when the process dies. Default: on failure.
    pub restart: Restart,
}

/// An application, one process per region or addresses that already run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// Lower-case letters, digits and hyphens; unique.
    pub name: String,
    /// Where its source is and its commands run; absolute. Default: the topology file's directory.
    pub directory: PathBuf,
    /// Whether the rest runs when it cannot be built or started. Default: false.
    pub optional: bool,
    /// Program and arguments that build it, run once. Default: nothing to build.
    pub build: Vec<String>,
    /// Program and arguments of one region's process. Default: none, it already runs.
    pub command: Vec<String>,
    /// Arguments added in the first region only. Default: none.
    pub home_arguments: Vec<String>,
    /// Path of the health probe. Default: `/health`.
    pub health_path: String,
    /// What `up` does when a process dies. Default: on failure.
    pub restart: Restart,
    /// Whether the accelerator sends connections to it; one service at most. Default: false.
    pub accelerated: bool,
    /// Its address in each region it runs in. Default: 127.0.(1 + position of the region).1,
    /// port 8000 + position of the service.
    pub endpoint: BTreeMap<String, SocketAddr>,
    /// Environment of its processes. Default: that of `up`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// The settings that a table of this name is made with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// The table's name.
    pub name: String,
    /// Settings without the `pangea:` of their tags. Default: none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The merge function of a table with the policy `wasm`, a .wasm file. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<PathBuf>,
}

impl Table {
    /// The settings as tags.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let tag = |(key, value): (&String, &String)| (format!("{PREFIX}{key}"), value.clone());
        self.settings.iter().map(tag).collect()
    }
}

/// A client network and the region nearest to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// The client addresses.
    pub cidr: Cidr,
    /// The nearest region.
    pub near: String,
}

/// A hosted zone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Zone {
    /// Lower case, without the final dot.
    pub name: String,
    /// Lifetime of an answer, in s, where a record sets none. Default: 60.
    pub ttl_s: u32,
}

/// A name and the service that it leads to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Lower case, without the final dot; inside one of the zones.
    pub name: String,
    /// The service whose endpoints are the answers.
    pub service: String,
    /// How one of them is chosen. Default: latency.
    pub routing: Routing,
    /// Lifetime of an answer, in s. Default: the zone's.
    pub ttl_s: u32,
}

/// How much of the conflict ledger each region keeps; what goes is counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ledger {
    /// Age of an entry, in days. Default: 30.
    pub retention_days: u64,
    /// Size of all entries, in MB; the oldest go first. Default: 1024.
    pub size_mb_max: u64,
    /// Conflicts of one item in a minute that have an entry each, with the losing image; above,
    /// they share entries that name every version and keep two images. Default: 60.
    pub entries_per_minute: u64,
}

impl Ledger {
    /// Conflicts of one item in a minute that have a row each, as the node wants it.
    #[must_use]
    pub fn rows_per_minute(&self) -> u32 {
        u32::try_from(self.entries_per_minute).unwrap_or(u32::MAX)
    }

    /// As the node wants it.
    #[must_use]
    pub const fn retention(&self) -> Retention {
        let day_ms = 24 * 60 * 60 * 1000;
        Retention {
            age_ms: self.retention_days.saturating_mul(day_ms),
            bytes: self.size_mb_max.saturating_mul(1024 * 1024),
        }
    }
}

/// How items that expire are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Expiry {
    /// Between two passes over the tables whose items expire, in seconds. Default: 60.
    pub scan_s: u64,
    /// Items that a region deletes in a second at most, for their age. Default: 1,000.
    pub deletes_per_s: u64,
    /// How long the region that wrote an item last is waited for, in seconds, before another
    /// deletes it. Default: 120.
    pub grace_s: u64,
}

impl Default for Expiry {
    fn default() -> Self {
        Self { scan_s: 60, deletes_per_s: 1000, grace_s: 120 }
    }
}

impl Expiry {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How regions and services are probed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// Time between probes, in ms. Default: 100.
    pub interval_ms: u64,
    /// A probe without an answer for this long has failed, in ms. Default: 500, because a deep
    /// probe waits for an fsync and two busy cores take longer than one interval now and then.
    pub timeout_ms: u64,
    /// Failures in a row that make a healthy target unhealthy. Default: 2.
    pub failure_threshold: u32,
    /// Successes in a row that make it healthy again. Default: 3.
    pub recovery_threshold: u32,
    /// Replication lag above which a region is unhealthy, in ms. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_ms_max: Option<u64>,
}

/// What experiments are judged against.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Objectives {
    /// From the loss of a region to the first good answer through the accelerator, in ms.
    /// Default: 2000.
    pub rto_accelerator_ms: u64,
    /// The same through DNS, in ms. Default: 3000.
    pub rto_dns_ms: u64,
    /// Greatest age of an acknowledged write that had not left the region when it died, in ms.
    /// Default: 1000.
    pub rpo_ms: u64,
    /// Acknowledged writes that may be lost. Default: 0.
    pub lost: u64,
    /// Client requests that may fail. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_requests_max: Option<u64>,
    /// From the return of a region until all regions agree, in s. Default: 30.
    pub convergence_s: u64,
    /// Greatest replication lag on links that no fault is on, in ms. Default: 2000.
    pub lag_ms: u64,
    /// From the last fault until a new replica serves, in s. Default: 120.
    pub bootstrap_s: u64,
}

/// Whether regions inject faults into themselves when they are asked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Default: true for a topology that `up` runs, false for a region that is run by itself, as
    /// in production.
    pub allow: Option<bool>,
}

impl Faults {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        self.allow.is_none()
    }
}

/// What `up` does when a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays dead until told to start.
    Never,
    /// It is started again unless it exited with status 0.
    OnFailure,
    /// It is started again.
    Always,
}

/// How a record chooses among its service's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    /// The healthy region nearest to the client.
    Latency,
}

impl Topology {
    /// The region called `name`.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }

    /// The service called `name`.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The service behind the accelerator.
    #[must_use]
    pub fn accelerated(&self) -> Option<&Service> {
        self.services.iter().find(|service| service.accelerated)
    }

    /// Round trip between two regions, in ms; 0 from a region to itself.
    #[must_use]
    pub fn rtt_ms(&self, a: &str, b: &str) -> u64 {
        let joins = |link: &&Link| {
            let [x, y] = &link.between;
            (x == a && y == b) || (x == b && y == a)
        };
        self.links.iter().find(joins).map_or(0, |link| link.rtt_ms)
    }

    /// The same, as it may be shown.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        for credential in &mut shown.credentials {
            let hidden = |text: &mut Option<String>| {
                if let Some(text) = text {
                    "(hidden)".clone_into(text);
                }
            };
            hidden(&mut credential.secret);
            hidden(&mut credential.session_token);
        }
        shown
    }

    /// The document that parses to this topology.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a topology holds only strings, numbers, lists and tables")
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { engine: EngineKind::Redb, cache_mb: 256, log_mb: 4, verify: true }
    }
}

impl From<Storage> for EngineOptions {
    fn from(storage: Storage) -> Self {
        let cache_bytes = usize::try_from(storage.cache_mb << 20).unwrap_or(usize::MAX);
        let (kind, log_bytes) = (storage.engine, storage.log_mb << 20);
        Self { kind, cache_bytes, log_bytes, verify: storage.verify }
    }
}

impl Service {
    /// `text` with the placeholders of `region` filled in.
    #[must_use]
    pub fn expand(&self, text: &str, topology: &Topology, region: &Region) -> String {
        let of = |name: &str| -> String {
            match name {
                "region" => region.name.clone(),
                "listen" => {
                    self.endpoint.get(&region.name).map(ToString::to_string).unwrap_or_default()
                }
                "dynamodb" => region.dynamodb.to_string(),
                "home" => topology.regions[0].name.clone(),
                "others" => others(topology),
                "directory" => self.directory.display().to_string(),
                _ => format!("{{{name}}}"),
            }
        };
        super::check::placeholders(text)
            .fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), &of(name)))
    }

    /// Program and arguments of this service's process in `region`; empty if it already runs.
    #[must_use]
    pub fn argv(&self, topology: &Topology, region: &Region) -> Vec<String> {
        let home = topology.regions[0].name == region.name && !self.command.is_empty();
        let extra = if home { self.home_arguments.as_slice() } else { &[] };
        let words = self.command.iter().chain(extra);
        words.map(|word| self.expand(word, topology, region)).collect()
    }
}

fn others(topology: &Topology) -> String {
    let names: Vec<&str> = topology.regions[1..].iter().map(|r| r.name.as_str()).collect();
    names.join(",")
}

impl Restart {
    /// Every policy with its name in the file.
    pub const ALL: [(&'static str, Self); 3] =
        [("never", Self::Never), ("on-failure", Self::OnFailure), ("always", Self::Always)];

    /// Whether a process that ended like this is started again.
    #[must_use]
    pub fn applies(self, success: bool) -> bool {
        match self {
            Self::Never => false,
            Self::OnFailure => !success,
            Self::Always => true,
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, policy)| policy == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn slot<S: Serializer>(slot: &RegionSlot, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(slot.get())
}
