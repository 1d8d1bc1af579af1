//! The ledger's retention: rows beyond an age or a size go, oldest first, and are counted.
//!
//! State: a cursor that goes round over the ledger's rows, a bounded number at a time; what the
//! round has seen so far, by hour; the hour before which rows have to go for the size's sake. A row
//! goes in this region alone, leaving no trace: each region keeps its own budget, and a row that
//! comes back with a copy goes again.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Effect, Node, Trace, Txn};
use crate::id::TableId;
use crate::item::{PrimaryKey, item_size};
use crate::ledger;
use crate::replica::Snapshot;
use crate::time::Now;

/// Rows of one step: a step holds up client writes for about a millisecond.
const ROWS_MAX: usize = 128;
/// Time between steps of one round, and between rounds, microseconds.
const STEP_US: u64 = 250_000;
const ROUND_US: u64 = 60_000_000;
const HOUR_MS: u64 = 3_600_000;
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
    by_hour: BTreeMap<u64, u64>,
    /// Rows of hours before this one are too many.
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
        let oldest = now.wall_ms.saturating_sub(retention.age_ms) / HOUR_MS;
        let keep_from = oldest.max(self.round.full_before);
        let rows = store.rows(TableId::LEDGER, self.round.after.as_ref(), ROWS_MAX);
        let last = rows.len() < ROWS_MAX;
        let mut txn = Txn::new(store);
        for (key, stored) in rows {
            let hour = ledger::wall_ms(&key.primary) / HOUR_MS;
            self.round.after = Some(key.primary.clone());
            if hour < keep_from {
                self.round.trimmed += 1;
                txn.batch.remove(key, &stored, self.me);
                continue;
            }
            let content = stored.greatest().body.attributes().map_or(0, item_size);
            *self.round.by_hour.entry(hour).or_default() += content as u64 + ROW_BYTES;
        }
        self.persist(txn, Vec::new(), effects);
        if last {
            self.conclude_round(now, retention, effects);
        }
    }

    fn conclude_round(&mut self, now: Now, retention: Retention, effects: &mut Vec<Effect>) {
        let round = &mut self.round;
        let mut bytes: u64 = round.by_hour.values().sum();
        let kept = bytes;
        round.full_before = 0;
        // Oldest hours first, until the rest fits.
        for (hour, of_hour) in &round.by_hour {
            if bytes <= retention.bytes {
                break;
            }
            bytes -= of_hour;
            round.full_before = hour + 1;
        }
        let trimmed = core::mem::take(&mut round.trimmed);
        if trimmed > 0 {
            effects.push(Effect::Trace(Trace::LedgerTrimmed { rows: trimmed, bytes: kept }));
        }
        let pause_us = if round.full_before > 0 { STEP_US } else { ROUND_US };
        let full_before = round.full_before;
        self.round = Round { next_us: now.mono_us + pause_us, full_before, ..Round::default() };
    }
}
