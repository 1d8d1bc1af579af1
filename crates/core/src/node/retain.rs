//! The ledger's retention: rows beyond an age or a size go, oldest first, and are counted.
//!
//! State: a cursor that goes round over the ledger's rows, a bounded number at a time; what the
//! round has seen so far, by time; the time before which rows have to go for the size's sake. A row
//! goes in this region alone, leaving no trace: each region keeps its own budget, and a row that
//! comes back with a copy goes again. So a row to which conflicts are still added stays: what was
//! begun anew in its place would be all that other regions have of it, too.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Effect, Node, Trace, Txn};
use crate::id::TableId;
use crate::item::{PrimaryKey, item_size};
use crate::ledger::{self, flood};
use crate::replica::Snapshot;
use crate::time::Now;

/// Rows of one step: a step holds up client writes for about a millisecond.
const ROWS_MAX: usize = 128;
/// Time between steps of one round, and between rounds, microseconds.
const STEP_US: u64 = 250_000;
const ROUND_US: u64 = 60_000_000;
/// Spans of time that sizes are added up by: their memory.
const SPANS_MAX: usize = 4096;
/// What a row costs beside its attributes: its key twice, an index entry, a version.
const ROW_BYTES: u64 = 200;

/// How much of the ledger a region keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Age by the winner's stamp, ms.
    pub age_ms: u64,
    /// Bytes of all rows together.
    pub bytes: u64,
}

impl Retention {
    /// Everything, for ever.
    pub const UNBOUNDED: Self = Self { age_ms: u64::MAX, bytes: u64::MAX };
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Round {
    after: Option<PrimaryKey>,
    next_us: u64,
    sizes: Sizes,
    /// Rows of before this are too many, ms.
    full_before: u64,
    trimmed: u64,
}

impl Node {
    /// One step of the round, when it is due.
    pub(super) fn drive_retention(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let retention = self.config.retention;
        if retention == Retention::UNBOUNDED || now.mono_us < self.round.next_us {
            return;
        }
        self.round.next_us = now.mono_us + STEP_US;
        let oldest = now.wall_ms.saturating_sub(retention.age_ms);
        let keep_from = oldest.max(self.round.full_before);
        let rows = store.rows(TableId::LEDGER, self.round.after.as_ref(), ROWS_MAX);
        let last = rows.len() < ROWS_MAX;
        let mut txn = Txn::new(store);
        for (key, stored) in rows {
            let decided_ms = ledger::wall_ms(&key.primary);
            self.round.after = Some(key.primary.clone());
            if decided_ms < keep_from && !flood::is_open(&key.primary, self.last.wall_ms()) {
                self.round.trimmed += 1;
                txn.batch.remove(key, &stored, self.me);
                continue;
            }
            let content = stored.greatest().body.attributes().map_or(0, item_size);
            self.round.sizes.add(decided_ms, content as u64 + ROW_BYTES);
        }
        self.persist(txn, Vec::new(), effects);
        if last {
            self.conclude_round(now, retention, effects);
        }
    }

    fn conclude_round(&mut self, now: Now, retention: Retention, effects: &mut Vec<Effect>) {
        let round = &mut self.round;
        let kept = round.sizes.total();
        round.full_before = round.sizes.too_many(retention.bytes);
        let trimmed = core::mem::take(&mut round.trimmed);
        if trimmed > 0 {
            effects.push(Effect::Trace(Trace::LedgerTrimmed { rows: trimmed, bytes: kept }));
        }
        let pause_us = if round.full_before > 0 { STEP_US } else { ROUND_US };
        let full_before = round.full_before;
        self.round = Round { next_us: now.mono_us + pause_us, full_before, ..Round::default() };
    }
}

/// Bytes of rows by spans of time, which grow when there are too many.
#[derive(Debug, Default)]
struct Sizes {
    /// A span has two to the power of this many milliseconds.
    shift: u32,
    spans: BTreeMap<u64, u64>,
}

impl Sizes {
    fn add(&mut self, ms: u64, bytes: u64) {
        *self.spans.entry(ms >> self.shift).or_default() += bytes;
        while self.spans.len() > SPANS_MAX {
            self.shift += 1;
            for (span, bytes) in core::mem::take(&mut self.spans) {
                *self.spans.entry(span >> 1).or_default() += bytes;
            }
        }
    }

    fn total(&self) -> u64 {
        self.spans.values().sum()
    }

    /// The time before which rows have to go, oldest first, until the rest fits. Never the newest
    /// span: when the others are gone, the next round has shorter ones, so a burst that is larger
    /// than all that may be kept loses its oldest rows and not all of them.
    fn too_many(&self, bytes_max: u64) -> u64 {
        let (mut bytes, mut before) = (self.total(), 0);
        for (span, of_span) in self.spans.iter().take(self.spans.len().saturating_sub(1)) {
            if bytes <= bytes_max {
                break;
            }
            bytes -= of_span;
            before = (span + 1) << self.shift;
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_until_the_rest_fits() {
        let mut sizes = Sizes::default();
        for ms in 0..10 {
            sizes.add(1_000 + ms, 100);
        }
        assert_eq!((sizes.total(), sizes.too_many(1_000)), (1_000, 0));
        assert_eq!(sizes.too_many(350), 1_007, "three of them fit");
        assert_eq!(sizes.too_many(10), 1_009, "the newest stays, whatever it has");
    }

    #[test]
    fn a_burst_behind_a_long_time_is_cut_in_the_rounds_that_follow() {
        let mut rows: Vec<u64> = (0..10_000_u64).map(|day| day * 86_400_000).collect();
        let burst = 10_000 * 86_400_000;
        rows.extend((0..5_000).map(|ms| burst + ms));
        for round in 0..8 {
            let mut sizes = Sizes::default();
            rows.iter().for_each(|&ms| sizes.add(ms, 1));
            assert!(sizes.spans.len() <= SPANS_MAX);
            match sizes.too_many(1_000) {
                0 => break,
                before => rows.retain(|&ms| ms >= before),
            }
            assert!(!rows.is_empty(), "round {round}");
        }
        assert!((900..=1_000).contains(&rows.len()), "{} rows stay", rows.len());
        assert_eq!(rows.last(), Some(&(burst + 4_999)), "the newest of all");
    }
}
