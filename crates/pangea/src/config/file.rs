//! The document as written: every value with its place, every key optional.
//!
//! Values that have a syntax of their own stay text here, so that `check` reports them with our
//! words and the line.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(super) type Text = Spanned<String>;
pub(super) type Whole = Spanned<i64>;
pub(super) type Texts = Spanned<Vec<Text>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) cluster: Option<Text>,
    #[serde(default)]
    pub(super) storage: Storage,
    #[serde(default)]
    pub(super) region: Vec<Spanned<Region>>,
    #[serde(default)]
    pub(super) link: Vec<Spanned<Link>>,
    #[serde(default)]
    pub(super) replication: Replication,
    #[serde(default)]
    pub(super) clock: Clock,
    #[serde(default)]
    pub(super) edge: Edge,
    #[serde(default)]
    pub(super) service: Vec<Spanned<Service>>,
    #[serde(default)]
    pub(super) table: Vec<Table>,
    #[serde(default)]
    pub(super) network: Vec<Network>,
    #[serde(default)]
    pub(super) zone: Vec<Zone>,
    #[serde(default)]
    pub(super) record: Vec<Record>,
    #[serde(default)]
    pub(super) credential: Vec<Spanned<Credential>>,
    #[serde(default)]
    pub(super) ledger: Ledger,
    #[serde(default)]
    pub(super) streams: Streams,
    #[serde(default)]
    pub(super) ttl: Expiry,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) health: Health,
    #[serde(default)]
    pub(super) objectives: Objectives,
    #[serde(default)]
    pub(super) faults: Faults,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Region {
    pub(super) name: Text,
    pub(super) id: Option<Whole>,
    pub(super) jurisdiction: Option<Text>,
    pub(super) dynamodb: Option<Text>,
    pub(super) dynamodb_tls: Option<Text>,
    pub(super) certificate_file: Option<Text>,
    pub(super) key_file: Option<Text>,
    pub(super) admin: Option<Text>,
    pub(super) peer: Option<Text>,
    pub(super) restart: Option<Text>,
    pub(super) clock_offset_ms: Option<Whole>,
    pub(super) joins: Option<bool>,
    #[serde(default)]
    pub(super) storage: Storage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    pub(super) engine: Option<Text>,
    pub(super) cache_mb: Option<Whole>,
    pub(super) log_mb: Option<Whole>,
    pub(super) verify: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    pub(super) between: Texts,
    pub(super) rtt_ms: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replication {
    pub(super) streams: Option<Whole>,
    pub(super) compression: Option<Text>,
    pub(super) compression_level: Option<Whole>,
    pub(super) cold_after_s: Option<Whole>,
    pub(super) relay_after_ms: Option<Whole>,
    pub(super) repair_cycle_s: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Streams {
    pub(super) shard_s: Option<Whole>,
    pub(super) kept_s: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expiry {
    pub(super) scan_s: Option<Whole>,
    pub(super) deletes_per_s: Option<Whole>,
    pub(super) grace_s: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) requests: Option<Whole>,
    pub(super) body_mb: Option<Whole>,
    pub(super) connections: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clock {
    pub(super) refuse_ms: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edge {
    pub(super) control: Option<Text>,
    pub(super) dns: Option<Text>,
    pub(super) accelerator: Option<Text>,
    pub(super) operator: Option<Text>,
    pub(super) near: Option<Text>,
    pub(super) restart: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Text,
    pub(super) directory: Option<Text>,
    pub(super) optional: Option<bool>,
    pub(super) build: Option<Texts>,
    pub(super) command: Option<Texts>,
    pub(super) home_arguments: Option<Texts>,
    pub(super) health_path: Option<Text>,
    pub(super) restart: Option<Text>,
    pub(super) accelerated: Option<Spanned<bool>>,
    pub(super) endpoint: Option<BTreeMap<Text, Text>>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) name: Text,
    #[serde(default)]
    pub(super) settings: BTreeMap<Text, Text>,
    pub(super) module: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    pub(super) access_key: Text,
    pub(super) secret: Option<Text>,
    pub(super) secret_file: Option<Text>,
    pub(super) session_token: Option<Text>,
    pub(super) expires: Option<Text>,
    #[serde(default)]
    pub(super) allow: Vec<Allow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    pub(super) tables: Texts,
    pub(super) actions: Texts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    pub(super) cidr: Text,
    pub(super) near: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    pub(super) name: Text,
    pub(super) ttl_s: Option<Whole>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) name: Text,
    pub(super) service: Text,
    pub(super) routing: Option<Text>,
    pub(super) ttl_s: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    pub(super) retention_days: Option<Whole>,
    pub(super) size_mb_max: Option<Whole>,
    pub(super) entries_per_minute: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    pub(super) interval_ms: Option<Whole>,
    pub(super) timeout_ms: Option<Whole>,
    pub(super) failure_threshold: Option<Whole>,
    pub(super) recovery_threshold: Option<Whole>,
    pub(super) lag_ms_max: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Objectives {
    pub(super) rto_accelerator_ms: Option<Whole>,
    pub(super) rto_dns_ms: Option<Whole>,
    pub(super) rpo_ms: Option<Whole>,
    pub(super) lost: Option<Whole>,
    pub(super) failed_requests_max: Option<Whole>,
    pub(super) convergence_s: Option<Whole>,
    pub(super) lag_ms: Option<Whole>,
    pub(super) bootstrap_s: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Faults {
    pub(super) allow: Option<bool>,
}
