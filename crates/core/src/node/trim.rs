//! The journal's retention: records go when no stream and no restore can ask for them any more.
//!
//! State: whose turn it is, and the moment that a round goes by: what grows old meanwhile is
//! the next round's, so that no table has the turn for ever. A step asks the store for the
//! first record of some tables and lets the store remove a bounded number of one of them, so
//! that it holds up client writes for some milliseconds. As long as there is something to
//! remove, steps follow each other at every second tick: with a thousand records each, as many
//! as are written.

use alloc::vec::Vec;

use super::{Effect, Node, Txn};
use crate::catalog::TableEntry;
use crate::id::TableId;
use crate::journal::sequence_at;
use crate::replica::Snapshot;
use crate::time::Now;

/// Tables that one step looks at.
const TABLES_MAX: usize = 16;
/// Time behind a step that removed something, microseconds: more than a tick, so that what comes
/// after this in a tick has its turn, too.
const REMOVING_US: u64 = 30_000;
/// Behind one that found nothing, and between rounds.
const STEP_US: u64 = 250_000;
const ROUND_US: u64 = 60_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trimmer {
    /// The table that was looked at last.
    turn: Option<TableId>,
    next_us: u64,
    /// Wall clock when the round began, while there is one.
    round_ms: Option<u64>,
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
        let round_ms = *self.trimmer.round_ms.get_or_insert(now.wall_ms);
        let tables = self.catalog.tables().filter(|entry| Some(entry.id) > after);
        let tables =
            tables.take(TABLES_MAX).map(|entry| (entry.id, self.kept_from(round_ms, entry)));
        let tables: Vec<(TableId, u64)> = tables.collect();
        self.trimmer.next_us = now.mono_us + STEP_US;
        if tables.is_empty() {
            (self.trimmer.turn, self.trimmer.round_ms) = (None, None);
            self.trimmer.next_us = now.mono_us + ROUND_US;
        }
        let mut txn = Txn::new(store);
        for (table, kept_from) in tables {
            if store.first_record(table).is_some_and(|first| first < kept_from) {
                // Until nothing is left to remove, the turn stays with the table.
                txn.batch.trimmed.insert(table, kept_from);
                self.trimmer.next_us = now.mono_us + REMOVING_US;
                break;
            }
            self.trimmer.turn = Some(table);
        }
        self.persist(txn, Vec::new(), effects);
    }

    /// The first sequence of a table that is kept at a moment.
    fn kept_from(&self, wall_ms: u64, entry: &TableEntry) -> u64 {
        let keep = self.config.journal;
        let kept_ms = if entry.history { keep.history_ms } else { keep.streamed_ms };
        sequence_at(wall_ms.saturating_sub(kept_ms))
    }
}
