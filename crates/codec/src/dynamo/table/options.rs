//! What is only shown of a table and of its indexes: names and forms of the members of
//! `TableEntry::options` and `Index::options`.
//!
//! The core replicates these maps and does not look into them. Every name and its form are here, so
//! that whoever reads what another version wrote knows what it is. Numbers are `N`, times are `N`
//! of milliseconds since 1970, texts are `S`, flags `BOOL`.

use std::collections::BTreeMap;

use pangea_core::item::{AttributeValue, Attributes, Number};

/// Provisioned read units, of a table or an index; absent means 0.
pub const READ: &str = "read";
/// Provisioned write units.
pub const WRITE: &str = "write";
/// When the units were last increased.
pub const INCREASED_MS: &str = "increased_ms";
/// When they were last decreased.
pub const DECREASED_MS: &str = "decreased_ms";
/// How often they were decreased on the day of the last time, which is one of UTC.
pub const DECREASES: &str = "decreases";
/// The most read units a second of an on-demand table or index.
pub const MAX_READ: &str = "max_read";
/// The most write units a second.
pub const MAX_WRITE: &str = "max_write";
/// Warm throughput: reads a second that it is prepared for.
pub const WARM_READ: &str = "warm_read";
/// Warm throughput: writes a second.
pub const WARM_WRITE: &str = "warm_write";
/// When the table last became an on-demand one, if it was not made as one.
pub const ON_DEMAND_SINCE_MS: &str = "on_demand_since_ms";
/// Table class, if one was ever asked for.
pub const CLASS: &str = "class";
/// When the table class last changed.
pub const CLASS_MS: &str = "class_ms";
/// The KMS key that the client asked for; absent without encryption by such a key.
pub const SSE_KEY: &str = "sse_key";
/// Resource policy, as a JSON text.
pub const POLICY: &str = "policy";
/// Revision of the resource policy.
pub const POLICY_REVISION: &str = "policy_revision";
/// Contributor insights: their mode while they are enabled, of a table or an index.
pub const INSIGHTS: &str = "insights";
/// When contributor insights last changed.
pub const INSIGHTS_MS: &str = "insights_ms";
/// Kinesis destinations: a map of stream ARNs to maps of `status` and `precision`.
pub const KINESIS: &str = "kinesis";
/// That the table was made a global one by the API of 2017 (flag).
pub const GLOBAL: &str = "global";
/// Revision and text of the policy of the table's stream.
pub const STREAM_POLICY: &str = "stream_policy";
/// See [`STREAM_POLICY`].
pub const STREAM_POLICY_REVISION: &str = "stream_policy_revision";
/// `MultiRegionConsistency` as asked for.
pub const CONSISTENCY: &str = "consistency";
/// `GlobalTableSettingsReplicationMode` as asked for, while the table is in one region.
pub const SETTINGS_MODE: &str = "settings_mode";
/// The region of the witness, if one was asked for.
pub const WITNESS: &str = "witness";
/// When expiry was last switched on or off.
pub const TTL_MS: &str = "ttl_ms";
/// How many days continuous backups reach back.
pub const HISTORY_DAYS: &str = "history_days";
/// What was restored: a map of `backup` (ARN), `table` (ARN) and `at_ms`.
pub const RESTORED: &str = "restored";
/// That a restore of the table is under way (flag).
pub const RESTORING: &str = "restoring";
/// Per-replica overrides: a map of region names to maps with the names of this module.
pub const OVERRIDES: &str = "overrides";
/// What would scale: a map of `REGION/INDEX` to the members that are set, as a JSON text. Without a
/// region they are of writes, without an index of the table.
pub const SCALING: &str = "scaling";
/// In the overrides of a replica: a map of index names to maps with the names of this module.
pub const INDEXES: &str = "indexes";
/// When a change stream that was ended had been enabled: its name stays visible.
pub const STREAM_BEFORE_MS: &str = "stream_before_ms";
/// When an index was added to a table that was there.
pub const SINCE_MS: &str = "since_ms";
/// When a change of the table itself began that takes the service a while.
pub const UPDATED_MS: &str = "updated_ms";
/// When an index of it was last taken away.
pub const INDEX_GONE_MS: &str = "index_gone_ms";

/// Changes of a map of options: a value to set, or `None` to take it away.
pub type Changes = BTreeMap<String, Option<AttributeValue>>;

/// The number of this name.
#[must_use]
pub fn number(options: &Attributes, name: &str) -> Option<u64> {
    match options.get(name)? {
        AttributeValue::N(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// How often the units were decreased on the day of `now_ms`, which is one of UTC (developer guide,
/// quotas: "a day is defined according to Universal Time Coordinated").
#[must_use]
pub fn decreases(options: &Attributes, now_ms: u64) -> u64 {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let last = number(options, DECREASED_MS);
    let is_today = last.is_some_and(|last_ms| last_ms / DAY_MS == now_ms / DAY_MS);
    if is_today { number(options, DECREASES).unwrap_or_default() } else { 0 }
}

/// The number of this name that may be below 0.
#[must_use]
pub fn signed(options: &Attributes, name: &str) -> Option<i64> {
    match options.get(name)? {
        AttributeValue::N(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// The text of this name.
#[must_use]
pub fn text<'o>(options: &'o Attributes, name: &str) -> Option<&'o str> {
    match options.get(name)? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

/// The flag of this name; absent is false.
#[must_use]
pub fn flag(options: &Attributes, name: &str) -> bool {
    matches!(options.get(name), Some(AttributeValue::Bool(true)))
}

/// The map of this name, if it is there.
#[must_use]
pub fn map<'o>(options: &'o Attributes, name: &str) -> Option<&'o Attributes> {
    match options.get(name)? {
        AttributeValue::M(map) => Some(map),
        _ => None,
    }
}

/// A number as an option.
#[must_use]
pub fn of_number(number: u64) -> AttributeValue {
    AttributeValue::N(Number::from(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// A text as an option.
#[must_use]
pub fn of_text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}
