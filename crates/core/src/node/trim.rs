//! The journal's retention: records go when no stream and no restore can ask for them any more.
//!
//! State: whose turn it is. A step asks the store for the first record of some tables and lets the
//! store remove a bounded number of one of them, so that it holds up client writes for about a
//! millisecond.

use alloc::vec::Vec;

use super::{Effect, Node, Txn};
use crate::catalog::TableEntry;
use crate::id::TableId;
use crate::journal::sequence_at;
use crate::replica::Snapshot;
use crate::time::Now;

/// Tables that one step looks at.
const TABLES_MAX: usize = 16;
/// Time between steps of one round, and between rounds, microseconds.
const STEP_US: u64 = 250_000;
const ROUND_US: u64 = 60_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trimmer {
    /// The table that was looked at last.
    turn: Option<TableId>,
    next_us: u64,
}

impl Node {
    /// One step, when it is due.
    pub(super) fn drive_trimming(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if now.mono_us < self.trimmer.next_us {
            return;
        }
        let after = self.trimmer.turn;
        let tables = self.catalog.tables().filter(|entry| Some(entry.id) > after);
        let tables: Vec<(TableId, u64)> =
            tables.take(TABLES_MAX).map(|entry| (entry.id, self.kept_from(now, entry))).collect();
        self.trimmer.next_us = now.mono_us + STEP_US;
        if tables.is_empty() {
            self.trimmer.turn = None;
            self.trimmer.next_us = now.mono_us + ROUND_US;
        }
        let mut txn = Txn::new(store);
        for (table, kept_from) in tables {
            if store.first_record(table).is_some_and(|first| first < kept_from) {
                // Until nothing is left to remove, the turn stays with the table.
                txn.batch.trimmed.insert(table, kept_from);
                break;
            }
            self.trimmer.turn = Some(table);
        }
        self.persist(txn, Vec::new(), effects);
    }

    /// The first sequence of a table that is kept.
    fn kept_from(&self, now: Now, entry: &TableEntry) -> u64 {
        let keep = self.config.journal;
        let kept_ms = if entry.history { keep.history_ms } else { keep.streamed_ms };
        sequence_at(now.wall_ms.saturating_sub(kept_ms))
    }
}
