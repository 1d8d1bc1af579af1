//! Floods: conflicts of one item above a rate share rows, and nothing is dropped without a word.
//!
//! Up to a number of conflicts a minute each has a row of its own. Above it, a region appends to a
//! row of that minute: every pair of versions is named, the join of the losers' contexts says what
//! they had overwritten, the first and the last losing image are kept, and `dropped_images` counts
//! those that are not. Other stores stop logging instead (Couchbase, see data-plane rules 2.12).
//!
//! State: how many conflicts each item had this minute. It does not survive a restart, which costs
//! a few rows more.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{AGGREGATE, STAMP_BYTES, partition, read_context, side, side_context, text};
use crate::catalog::Policy;
use crate::id::{Origin, TableId};
use crate::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use crate::ledger::{Severity, key_value, stamp_bytes};
use crate::limits::{LEDGER_HOT_ITEMS_MAX, LEDGER_PAIRS_MAX, LEDGER_WINNER_BYTES_MAX};
use crate::merge::{Conflict, VersionVector};

/// Milliseconds of the time that is counted over.
pub(super) const MINUTE_MS: u64 = 60_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Flood {
    minute: u64,
    counts: BTreeMap<ItemKey, u32>,
}

impl Flood {
    /// Whether the conflict of `item` at this time shall share a row, and of which minute. Time
    /// must not go back behind a minute of which there may have been shared rows: one that is gone
    /// would be begun anew and take the place of the first in all other regions.
    ///
    /// Items beyond [`LEDGER_HOT_ITEMS_MAX`] in one minute are not counted: they have rows of their
    /// own.
    pub fn note(&mut self, wall_ms: u64, item: &ItemKey, per_minute: u32) -> Option<u64> {
        let minute = wall_ms / MINUTE_MS;
        if minute != self.minute {
            (self.minute, self.counts) = (minute, BTreeMap::new());
        }
        if let Some(count) = self.counts.get_mut(item) {
            *count = count.saturating_add(1);
            return (*count > per_minute).then_some(minute);
        }
        if self.counts.len() < LEDGER_HOT_ITEMS_MAX {
            self.counts.insert(item.clone(), 1);
        }
        (per_minute == 0).then_some(minute)
    }
}

/// Whether a row that is shared by many conflicts may still be added to at this time.
#[must_use]
pub fn is_open(row: &PrimaryKey, wall_ms: u64) -> bool {
    super::is_shared(row) && super::wall_ms(row) / MINUTE_MS >= wall_ms / MINUTE_MS
}

/// The key of the `nth` shared row of an item and a minute; its only writer is part of it.
#[must_use]
pub fn key(item: &ItemKey, minute: u64, writer: Origin, nth: u8) -> ItemKey {
    let mut sort = Vec::from([AGGREGATE]);
    sort.extend_from_slice(&minute.to_be_bytes());
    sort.extend_from_slice(&writer.to_bits().to_be_bytes());
    sort.push(nth);
    let partition = KeyValue::B(partition(item));
    let primary = PrimaryKey { partition, sort: Some(KeyValue::B(sort)) };
    ItemKey { table: TableId::LEDGER, primary }
}

/// The shared row with one more conflict; `None` if it is full, or has the conflict already.
#[must_use]
pub fn append(
    row: Option<&Attributes>,
    item: &ItemKey,
    conflict: &Conflict,
    policy: &Policy,
) -> Appended {
    let pair: Vec<u8> =
        [stamp_bytes(conflict.loser.stamp), stamp_bytes(conflict.winner.stamp)].concat();
    let last = side(&conflict.loser, LEDGER_WINNER_BYTES_MAX);
    let Some(row) = row else {
        let severity = Severity::of(conflict);
        return Appended::Row(Attributes::from([
            text("table", item.table.to_string()),
            ("key".to_string(), key_value(&item.primary)),
            ("pairs".to_string(), AttributeValue::B(pair)),
            ("context".to_string(), super::context_value(&conflict.loser.context)),
            ("first".to_string(), last.clone()),
            ("last".to_string(), last),
            number("dropped_images", 0),
            text("policy", policy.as_str().to_string()),
            text("severity", severity.as_str().to_string()),
        ]));
    };
    let Some(AttributeValue::B(pairs)) = row.get("pairs") else { return Appended::Full };
    if pairs.chunks(2 * STAMP_BYTES).any(|known| known == pair) {
        return Appended::Known;
    }
    if pairs.len() >= LEDGER_PAIRS_MAX * 2 * STAMP_BYTES {
        return Appended::Full;
    }
    let mut next = row.clone();
    let count = pairs.len() / (2 * STAMP_BYTES);
    let mut context = row.get("context").and_then(read_context).unwrap_or_default();
    context.join(&conflict.loser.context);
    next.insert("pairs".to_string(), AttributeValue::B([pairs.as_slice(), &pair].concat()));
    next.insert("context".to_string(), super::context_value(&context));
    next.insert("last".to_string(), last);
    // The first and the last are kept.
    next.extend([number("dropped_images", count.saturating_sub(1))]);
    if Severity::of(conflict) == Severity::High {
        next.extend([text("severity", Severity::High.as_str().to_string())]);
    }
    Appended::Row(next)
}

/// What appending came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The row as it shall be.
    Row(Attributes),
    /// There is no room: take the next row.
    Full,
    /// The row names the conflict already.
    Known,
}

/// What the losers of a shared row had seen, they themselves included.
#[must_use]
pub fn context(row: &Attributes) -> VersionVector {
    let context = row.get("context").and_then(read_context);
    context.or_else(|| side_context(row.get("first")?)).unwrap_or_default()
}

fn number(name: &str, value: usize) -> (alloc::string::String, AttributeValue) {
    let value = Number::from(i64::try_from(value).unwrap_or(i64::MAX));
    (name.to_string(), AttributeValue::N(value))
}
