//! Cold rows: what nobody has written for long keeps its stamp alone of what its writer had seen.
//!
//! State: how far the changelog of each origin was followed behind what is cold, and the rows that
//! were passed although they could not be shortened yet. A version passes by once, when it gets
//! cold; a row is changed only if all that it has seen is stable, however old it is.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::collect::{Collector, READ_MAX, whole_stamps};
use super::{Node, Txn};
use crate::catalog::TableEntry;
use crate::id::{Origin, TableId};
use crate::limits::COLLECT_BYTES_MAX;
use crate::merge::{Body, Stored, VersionVector};
use crate::replica::{Entry, Snapshot};
use crate::time::{Hlc, Now};

/// What is stable of the tables that were looked at in a round.
type Stables = BTreeMap<TableId, Option<VersionVector>>;

/// The way through the changelog of one origin.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    at: Hlc,
    /// Rows that were passed although they have to be shortened: by table the first of them, and
    /// what has to be stable before.
    blocked: BTreeMap<TableId, (Hlc, VersionVector)>,
}

impl Cursor {
    fn block(&mut self, table: TableId, hlc: Hlc, seen: &VersionVector) {
        if self.blocked.get(&table).is_none_or(|(first, _)| hlc < *first) {
            self.blocked.insert(table, (hlc, seen.clone()));
        }
    }
}

impl Collector {
    /// Copies bring versions that were passed, and losers make what was passed see more.
    pub(super) fn note_passed(&mut self, table: TableId, stored: &Stored) {
        for stamp in stored.stamps().filter(|_| is_long(stored)) {
            let cursor = self.cursors.get_mut(&stamp.origin);
            if let Some(cursor) = cursor.filter(|cursor| stamp.hlc <= cursor.at) {
                cursor.block(table, stamp.hlc, &stored.seen);
            }
        }
    }

    /// The table is gone.
    pub(super) fn forget_passed(&mut self, table: TableId) {
        for cursor in self.cursors.values_mut() {
            cursor.blocked.remove(&table);
        }
    }
}

impl Node {
    /// Goes on through the changelog, behind what is cold. Reading is what costs, so that only time
    /// says when to go on, never what is left.
    pub(super) fn shorten_cold<S: Snapshot>(
        &mut self,
        now: Now,
        places: &VersionVector,
        txn: &mut Txn<'_, S>,
    ) {
        let cold_after_ms = self.config.collect.unwrap_or_default().cold_after_ms;
        let cold = Hlc::from_parts(now.wall_ms.saturating_sub(cold_after_ms), 0);
        let mut stables = BTreeMap::new();
        let (mut bytes, mut rows) = (0, 0);
        let mut cursors = core::mem::take(&mut self.collector.cursors);
        for (origin, here) in places.iter() {
            let through = here.min(cold);
            let cursor = cursors.entry(origin).or_default();
            self.resume((now, places), cursor, &mut stables);
            if cursor.at < through && rows == 0 {
                let entries = self.some_changes(txn.store, origin, cursor.at, through);
                cursor.at = entries.last().map_or(through, |entry| entry.hlc);
                rows = entries.len();
                for entry in entries {
                    bytes += row_bytes(&entry.stored);
                    self.shorten((now, places), txn, cursor, &mut stables, entry);
                }
            }
        }
        self.collector.cursors = cursors;
        if let Some(each) = bytes.checked_div(rows) {
            let fitting = COLLECT_BYTES_MAX / each.max(1);
            self.collector.read_max = fitting.clamp(1, READ_MAX);
        }
    }

    /// Goes back to rows that were passed, if what they waited for is stable by now.
    fn resume(
        &self,
        (now, places): (Now, &VersionVector),
        cursor: &mut Cursor,
        stables: &mut Stables,
    ) {
        let Cursor { at, blocked } = cursor;
        blocked.retain(|&table, (first, seen)| {
            let stable = stables.entry(table).or_insert_with(|| self.stable(now, places, table));
            let free = stable.as_ref().is_some_and(|stable| stable.includes(seen));
            if free {
                *at = (*at).min(Hlc::from_bits(first.to_bits() - 1));
            }
            !free
        });
    }

    fn shorten<S: Snapshot>(
        &self,
        (now, places): (Now, &VersionVector),
        txn: &mut Txn<'_, S>,
        cursor: &mut Cursor,
        stables: &mut Stables,
        entry: Entry,
    ) {
        let table = entry.key.table;
        let held = |entry: &TableEntry| entry.is_held_by(self.config.slot);
        if !is_long(&entry.stored) || table.is_system() {
            return;
        }
        if !self.catalog.get(table).is_some_and(held) {
            // It may be held again, or heard of again, with this row in it.
            if !planted!(self, UnheldPassed) {
                cursor.block(table, entry.hlc, &entry.stored.seen);
            }
            return;
        }
        // The index is durable, the row may have changed since.
        let Some(stored) = txn.item(&entry.key).filter(is_long) else { return };
        let stable = stables.entry(table).or_insert_with(|| self.stable(now, places, table));
        let is_stable = stable.as_ref().is_some_and(|stable| stable.includes(&stored.seen));
        if is_stable || planted!(self, ShortenedEarly) {
            // An entry of its own for what took no place names what is stable, too.
            for stamp in stored.entries(self.me).skip(stored.versions.len()) {
                txn.batch.changelog.insert((stamp, entry.key.clone()), false);
            }
            txn.batch.items.insert(entry.key, Some(shortened(stored)));
        } else {
            cursor.block(table, entry.hlc, &stored.seen);
        }
    }

    /// Changes of an origin, no stamp parted, of about as many bytes as one round may read.
    fn some_changes(
        &self,
        store: &impl Snapshot,
        origin: Origin,
        after: Hlc,
        through: Hlc,
    ) -> Vec<Entry> {
        let limit = self.collector.read_max;
        let read = store.changes(origin, after, through, limit);
        let last = read.last().map(|entry| entry.hlc);
        let entries = whole_stamps(read, limit, |entry| entry.hlc);
        match last {
            Some(last) if entries.is_empty() => store.changes(origin, after, last, READ_MAX),
            _ => entries,
        }
    }
}

/// Whether a row knows more than the stamp of its only version, and need not: a merge of attributes
/// looks for them in contexts.
fn is_long(stored: &Stored) -> bool {
    let needed = match stored.greatest().body {
        Body::Live(_) => false,
        // A tombstone goes as a whole.
        Body::Tombstone | Body::Crdt(_) => true,
    };
    stored.versions.len() == 1 && stored.seen.len() > 1 && !needed
}

fn shortened(mut stored: Stored) -> Stored {
    let stamp = stored.greatest().stamp;
    stored.seen = VersionVector::from_entries([(stamp.origin, stamp.hlc)]);
    stored.versions[0].context = stored.seen.clone();
    stored
}

fn row_bytes(stored: &Stored) -> usize {
    stored.versions.iter().map(|version| version.body.size()).sum()
}
