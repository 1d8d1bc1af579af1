//! The journal: what readers of one region saw change, item by item, in the order in which its
//! store did.
//!
//! It is what change streams are read from, and what a table's past is restored from. A record is
//! in the batch that changed the item, for a client's write as for a peer's row, and only if what
//! readers see did change. It is this region's own: other regions apply the same versions in other
//! batches, and have journals of their own.
//!
//! A record's sequence tells its time, so that parts of a journal are ranges of sequences: a
//! stream's shards, the past before a moment, what is old enough to go.

use alloc::vec::Vec;

use crate::catalog::StreamView;
use crate::item::{Attributes, ItemKey};
use crate::time::Stamp;

/// How long a change stream can be read back (DynamoDB: 24 hours), ms.
pub const STREAM_KEPT_MS: u64 = 24 * HOUR_MS;
/// How far back a table with history can be restored (DynamoDB: 35 days), ms.
pub const HISTORY_KEPT_MS: u64 = 35 * 24 * HOUR_MS;
/// How long a shard takes records (DynamoDB: about four hours), ms.
pub const SHARD_MS: u64 = 4 * HOUR_MS;

const HOUR_MS: u64 = 3_600_000;
/// Bits of a sequence that count records of one millisecond.
const COUNT_BITS: u32 = 16;

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place: greater than that of every earlier record of the region, of whatever table.
    pub sequence: u64,
    /// The region's wall clock, ms since 1970.
    pub wall_ms: u64,
    /// The change stream that it belongs to, by [`Stream::since_ms`]; 0 if it is kept for the
    /// table's history alone.
    pub stream_ms: u64,
    /// The item expired.
    pub expired: bool,
    /// The item.
    pub key: ItemKey,
    /// The version that brought the change: the greatest of those that the item has now.
    pub stamp: Stamp,
    /// What readers saw before.
    pub before: Option<Attributes>,
    /// What they see now.
    pub after: Option<Attributes>,
}

/// The least sequence of a moment, in ms since 1970.
#[must_use]
pub const fn sequence_at(ms: u64) -> u64 {
    ms.saturating_mul(1 << COUNT_BITS)
}

/// The moment of a sequence, in ms since 1970: that of its record, or later where the wall clock
/// went back.
#[must_use]
pub const fn moment_of(sequence: u64) -> u64 {
    sequence >> COUNT_BITS
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Those that only streams are read from, ms.
    pub streamed_ms: u64,
    /// Those of tables that keep their history, ms.
    pub history_ms: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { streamed_ms: STREAM_KEPT_MS, history_ms: HISTORY_KEPT_MS }
    }
}

/// A change stream of a table; it has one at a time, and may have had others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// What it shows.
    pub view: StreamView,
    /// When it was enabled, ms since 1970, by the clock of the table's home; no other stream of the
    /// table has the same.
    pub since_ms: u64,
    /// When it was disabled, or its table deleted.
    pub until_ms: Option<u64>,
}

/// A part of a stream: the records of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its first moment, ms since 1970.
    pub from_ms: u64,
    /// The first moment of the one before.
    pub parent_ms: Option<u64>,
    /// Its last moment, if there will be no more records.
    pub closed_ms: Option<u64>,
}

impl Stream {
    /// Its shards in order, as far as anything in them may still be read.
    ///
    /// `reached_ms` is a moment before which the region makes no more records, `kept_ms` one before
    /// which there are none any more, `span_ms` what a shard spans.
    pub fn shards(
        &self,
        span_ms: u64,
        reached_ms: u64,
        kept_ms: u64,
    ) -> impl Iterator<Item = Shard> + use<> {
        let (span_ms, since_ms, until_ms) = (span_ms.max(1), self.since_ms, self.until_ms);
        let end_ms = until_ms.unwrap_or_else(|| reached_ms.max(since_ms));
        let whole = end_ms.saturating_sub(since_ms) / span_ms;
        // The shard that ends with the stream is not an empty one behind it.
        let exact = until_ms.is_some() && whole > 0 && (end_ms - since_ms).is_multiple_of(span_ms);
        let last = if exact { whole - 1 } else { whole };
        let gone = kept_ms.saturating_sub(since_ms) / span_ms;
        let from = move |nth: u64| since_ms + nth * span_ms;
        (gone.min(last)..=last).filter_map(move |nth| {
            let closed_ms = if nth < last { Some(from(nth + 1) - 1) } else { until_ms };
            let left = closed_ms.is_none_or(|closed_ms| closed_ms >= kept_ms);
            let parent_ms = nth.checked_sub(1).map(from);
            left.then(|| Shard { from_ms: from(nth), parent_ms, closed_ms })
        })
    }
}

impl Shard {
    /// The sequences that its records have, the second one excluded. Of the last shard of a stream
    /// that is over, that is every later one: whoever had not heard that it is went on with it.
    #[must_use]
    pub fn sequences(&self, stream: &Stream) -> (u64, u64) {
        let from = sequence_at(self.from_ms);
        let last = self.closed_ms.filter(|closed_ms| stream.until_ms != Some(*closed_ms));
        (from, last.map_or(u64::MAX, |last_ms| sequence_at(last_ms + 1)))
    }
}

/// Streams of a table, the newest last, without those of which nothing can be read any more.
pub(crate) fn readable(streams: &mut Vec<Stream>, now_ms: u64) {
    streams.retain(|stream| {
        stream.until_ms.is_none_or(|until_ms| until_ms.saturating_add(STREAM_KEPT_MS) > now_ms)
    });
}

#[cfg(test)]
mod tests;
