//! The conflict ledger: a system table that keeps what merging did not show.
//!
//! An entry's key is a function of the conflict alone, so every region that detects a conflict
//! writes the same entry; its table merges as insert-only. The losing image is kept whole, because
//! the entry is the only place where it still exists; the winning image is capped. In a [`flood`]
//! of conflicts of one item, entries share rows. What an operator decided about a conflict is a row
//! beside it.

pub mod flood;
mod orphan;
#[cfg(test)]
mod tests;

pub use orphan::{
    DOUBT, ORPHANED, TABLE_NAME, change_conflict, change_orphan, is_about_table, is_orphan,
    item_of, orphan_entry, orphan_key,
};

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::catalog::Policy;
use crate::crdt::{Loser, LoserKind};
use crate::id::{Origin, TableId};
use crate::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use crate::limits::LEDGER_WINNER_BYTES_MAX;
use crate::merge::{Conflict, Version, VersionVector};
use crate::time::{Hlc, Stamp};
use crate::view::shown;

const STAMP_BYTES: usize = 10;
/// What sort keys of shared rows begin with: no stamp of the next few thousand years does.
const AGGREGATE: u8 = 0xff;
/// What sort keys of resolutions begin with.
const RESOLUTION: u8 = 0xfe;

/// The ledger's row key of a conflict over `item` between two stamps.
#[must_use]
pub fn key(item: &ItemKey, loser: Stamp, winner: Stamp) -> ItemKey {
    let sort = [stamp_bytes(loser), stamp_bytes(winner)].concat();
    let partition = KeyValue::B(partition(item));
    let primary = PrimaryKey { partition, sort: Some(KeyValue::B(sort)) };
    ItemKey { table: TableId::LEDGER, primary }
}

/// The ledger's row key of an attribute's value that a merge does not show.
#[must_use]
pub fn attribute_key(item: &ItemKey, lost: &Loser) -> ItemKey {
    let mut key = key(item, lost.loser, lost.winner);
    if let Some(KeyValue::B(sort)) = &mut key.primary.sort {
        sort.extend_from_slice(lost.path.as_bytes());
    }
    key
}

/// The attributes of the entry for it. `conditional` is whether the write that lost is known to
/// have had a condition: of one that its region has written over since, it is not known any more.
#[must_use]
pub fn attribute_entry(item: &ItemKey, lost: &Loser, conditional: bool) -> Attributes {
    let side = |stamp: Stamp, value: &AttributeValue, conditional: bool| {
        let stamp = ("stamp".to_string(), AttributeValue::B(stamp_bytes(stamp).into()));
        let mut side = BTreeMap::from([stamp, ("value".to_string(), value.clone())]);
        if conditional {
            side.insert("conditional".to_string(), AttributeValue::Bool(true));
        }
        AttributeValue::M(side)
    };
    let severity = if conditional { Severity::High } else { Severity::Normal };
    let why = match lost.kind {
        LoserKind::Register => "register",
        LoserKind::HiddenSubtree => "hidden",
        LoserKind::Overflow => "overflow",
        LoserKind::Removed => "removed",
    };
    BTreeMap::from([
        text("table", item.table.to_string()),
        ("key".to_string(), key_value(&item.primary)),
        text("path", lost.path.clone()),
        text("why", why.to_string()),
        ("loser".to_string(), side(lost.loser, &lost.value, conditional)),
        ("winner".to_string(), side(lost.winner, &lost.winning, false)),
        text("policy", "crdt".to_string()),
        text("severity", severity.as_str().to_string()),
    ])
}

/// What the ledger's rows about an item begin with.
fn partition(item: &ItemKey) -> Vec<u8> {
    let mut partition = Vec::from(stamp_bytes(item.table.0));
    item.primary.write_canonical(&mut partition);
    partition
}

/// The key of the row that says what was decided about the conflict of this row.
#[must_use]
pub fn resolution_key(row: &PrimaryKey) -> Option<ItemKey> {
    let Some(KeyValue::B(sort)) = &row.sort else { return None };
    let sort = [&[RESOLUTION], sort.as_slice()].concat();
    let primary = PrimaryKey { sort: Some(KeyValue::B(sort)), ..row.clone() };
    Some(ItemKey { table: TableId::LEDGER, primary })
}

/// Whether the row says what was decided about a conflict.
#[must_use]
pub fn is_resolution(row: &PrimaryKey) -> bool {
    begins_with(row, RESOLUTION)
}

/// Whether the row is shared by many conflicts.
#[must_use]
pub fn is_shared(row: &PrimaryKey) -> bool {
    begins_with(row, AGGREGATE)
}

fn begins_with(row: &PrimaryKey, kind: u8) -> bool {
    matches!(&row.sort, Some(KeyValue::B(sort)) if sort.first() == Some(&kind))
}

/// The table whose conflict a ledger row describes: its entry may only go where that table goes.
#[must_use]
pub fn table_of(row: &PrimaryKey) -> Option<TableId> {
    let KeyValue::B(partition) = &row.partition else { return None };
    read_stamp(partition.get(..STAMP_BYTES)?).map(TableId)
}

/// When the conflict of a row was decided by the stamps, milliseconds since 1970; zero if the row
/// is none of the ledger's.
#[must_use]
pub fn wall_ms(row: &PrimaryKey) -> u64 {
    let Some(KeyValue::B(sort)) = &row.sort else { return 0 };
    let word = |at: usize| Some(u64::from_be_bytes(sort.get(at..at + 8)?.try_into().ok()?));
    match sort.first() {
        Some(&AGGREGATE) => word(1).unwrap_or_default().saturating_mul(flood::MINUTE_MS),
        Some(&RESOLUTION) => word(1).map_or(0, |bits| Hlc::from_bits(bits).wall_ms()),
        _ => pair(sort).map_or(0, |(_, winner)| winner.hlc.wall_ms()),
    }
}

/// The loser's and the winner's stamp of a row that is about one conflict.
#[must_use]
pub fn stamps_of(row: &PrimaryKey) -> Option<(Stamp, Stamp)> {
    let Some(KeyValue::B(sort)) = &row.sort else { return None };
    if is_shared(row) || is_resolution(row) {
        return None;
    }
    pair(sort)
}

fn pair(bytes: &[u8]) -> Option<(Stamp, Stamp)> {
    let (loser, winner) = bytes.get(..2 * STAMP_BYTES)?.split_at(STAMP_BYTES);
    Some((read_stamp(loser)?, read_stamp(winner)?))
}

/// Every loser and its winner that a row names; none of a resolution.
#[must_use]
pub fn pairs(row: &PrimaryKey, entry: &Attributes) -> Vec<(Stamp, Stamp)> {
    if let Some(pair) = stamps_of(row) {
        return Vec::from([pair]);
    }
    match entry.get("pairs") {
        Some(AttributeValue::B(pairs)) if is_shared(row) => {
            pairs.chunks(2 * STAMP_BYTES).filter_map(pair).collect()
        }
        _ => Vec::new(),
    }
}

/// How grave it is that a write lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A plain write lost.
    Normal,
    /// A conditional write lost: its caller was told that the condition held.
    High,
}

impl Severity {
    /// Of a conflict.
    #[must_use]
    pub const fn of(conflict: &Conflict) -> Self {
        if conflict.loser.origins.conditional { Self::High } else { Self::Normal }
    }

    /// The word in entries and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The attributes of the entry for `conflict` over `item`; the same wherever it is detected.
#[must_use]
pub fn entry(item: &ItemKey, conflict: &Conflict, policy: &Policy) -> Attributes {
    let winning = if conflict.parts() { 0 } else { LEDGER_WINNER_BYTES_MAX };
    BTreeMap::from([
        text("table", item.table.to_string()),
        ("key".to_string(), key_value(&item.primary)),
        ("loser".to_string(), side(&conflict.loser, usize::MAX)),
        ("winner".to_string(), side(&conflict.winner, winning)),
        text("policy", policy.as_str().to_string()),
        text("severity", Severity::of(conflict).as_str().to_string()),
    ])
}

fn text(name: &str, value: String) -> (String, AttributeValue) {
    (name.to_string(), AttributeValue::S(value))
}

fn key_value(key: &PrimaryKey) -> AttributeValue {
    let mut parts = Vec::from([AttributeValue::from(key.partition.clone())]);
    parts.extend(key.sort.clone().map(AttributeValue::from));
    AttributeValue::L(parts)
}

fn side(version: &Version, cap: usize) -> AttributeValue {
    let stamp = version.stamp;
    let mut side = BTreeMap::from([
        ("stamp".to_string(), AttributeValue::B(stamp_bytes(stamp).into())),
        ("context".to_string(), context_value(&version.context)),
        ("conditional".to_string(), AttributeValue::Bool(version.origins.conditional)),
        ("deleted".to_string(), AttributeValue::Bool(version.body.is_deletion())),
    ]);
    if let Some(image) = shown(version) {
        let bytes = crate::item::item_size(&image);
        if bytes <= cap {
            side.insert("image".to_string(), AttributeValue::M(image.into_owned()));
        } else {
            let bytes = Number::from(i64::try_from(bytes).unwrap_or(i64::MAX));
            side.insert("image_bytes".to_string(), AttributeValue::N(bytes));
        }
    }
    AttributeValue::M(side)
}

/// What the writer had seen: a later audit needs it, because a version that lost here may itself
/// have overwritten others.
fn context_value(context: &VersionVector) -> AttributeValue {
    let stamp = |(origin, hlc)| AttributeValue::B(stamp_bytes(Stamp { hlc, origin }).into());
    AttributeValue::L(context.iter().map(stamp).collect())
}

/// The inverse of [`context_value`].
fn read_context(value: &AttributeValue) -> Option<VersionVector> {
    let AttributeValue::L(stamps) = value else { return None };
    let stamp = |value: &AttributeValue| match value {
        AttributeValue::B(bytes) => read_stamp(bytes),
        _ => None,
    };
    let stamps = stamps.iter().map(stamp).collect::<Option<Vec<Stamp>>>()?;
    Some(VersionVector::from_entries(stamps.into_iter().map(|stamp| (stamp.origin, stamp.hlc))))
}

/// The context of one side of an entry.
fn side_context(side: &AttributeValue) -> Option<VersionVector> {
    let AttributeValue::M(side) = side else { return None };
    side.get("context").and_then(read_context)
}

/// A stamp as ledger rows spell it: reading, then origin, both big-endian.
#[must_use]
pub fn read_stamp(bytes: &[u8]) -> Option<Stamp> {
    let hlc = Hlc::from_bits(u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?));
    let origin = Origin::from_bits(u16::from_be_bytes(bytes.get(8..STAMP_BYTES)?.try_into().ok()?));
    Some(Stamp { hlc, origin })
}

/// The inverse of [`read_stamp`].
#[must_use]
pub fn stamp_bytes(stamp: Stamp) -> [u8; STAMP_BYTES] {
    let mut bytes = [0; STAMP_BYTES];
    bytes[..8].copy_from_slice(&stamp.hlc.to_bits().to_be_bytes());
    bytes[8..].copy_from_slice(&stamp.origin.to_bits().to_be_bytes());
    bytes
}
