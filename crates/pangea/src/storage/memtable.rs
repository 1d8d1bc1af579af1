//! Rows of commits that are in the log, and not in the database yet.
//!
//! State: of each row the values that commits gave it, with the numbers of these commits. So a view
//! of an older commit goes on showing what it showed, and readers share one table with the writer,
//! which adds to it under a lock that is held for some rows at a time.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::vec;

use super::{Bounds, Change, Fault, Space};
use pangea_codec::disk::wal::Record;

/// A row that is put, or removed if it has no value.
pub(super) type Row<'r> = (Space, &'r [u8], Option<&'r [u8]>);

/// The rows of changes.
pub(super) fn rows(changes: &[Change]) -> impl Iterator<Item = Row<'_>> + Clone {
    changes.iter().map(|(space, key, row)| (*space, &key[..], row.as_deref()))
}

/// The rows of a record of the log.
///
/// # Errors
/// A later version wrote it, `beside` what people call the database.
pub(super) fn rows_of<'r>(record: &Record<'r>, beside: &str) -> Result<Vec<Row<'r>>, Fault> {
    let space = |code| Space::ALL.into_iter().find(|space| *space as u8 == code);
    let rows = record.changes().map(|(code, key, row)| Some((space(code)?, key, row)));
    rows.collect::<Option<Vec<Row<'_>>>>().ok_or_else(|| {
        let why = "the write-ahead log beside it has rows of a kind that this version does not \
                   know: start the version that wrote it";
        Fault::Read(format!("{beside}: {why}"))
    })
}

/// What a commit gave a row; `None` if it removed it.
pub(super) type Value = Option<Arc<[u8]>>;

/// Rows that a cursor copies at a time, so that no lock is held while a visitor is called.
const BATCH_ROWS: usize = 64;

/// Rows that are added at a time, so that readers do not wait for a long commit.
const LOCKED_ROWS: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memtable {
    spaces: [RwLock<BTreeMap<Arc<[u8]>, Versions>>; 3],
}

/// The values of a row. Few rows are written twice before a checkpoint.
#[derive(Debug)]
struct Versions {
    newest: (u64, Value),
    /// Oldest first.
    before: Vec<(u64, Value)>,
}

impl Versions {
    /// The value after the commit `at`; `None` if it is as it is below this table.
    fn at(&self, at: u64) -> Option<&Value> {
        if self.newest.0 <= at {
            return Some(&self.newest.1);
        }
        self.before.iter().rev().find(|(number, _)| *number <= at).map(|(_, value)| value)
    }
}

impl Memtable {
    fn rows(&self, space: Space) -> RwLockReadGuard<'_, BTreeMap<Arc<[u8]>, Versions>> {
        self.spaces[space as usize].read().expect("no holder panics")
    }

    /// Whether it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        Space::ALL.iter().all(|space| self.rows(*space).is_empty())
    }

    /// Adds the rows of the commit `number`, sorted by space: greater than all before.
    pub(super) fn add<'r>(&self, number: u64, rows: impl Iterator<Item = Row<'r>>) {
        // Copied before the lock is taken.
        let rows: Vec<(Space, Arc<[u8]>, Value)> =
            rows.map(|(space, key, value)| (space, key.into(), value.map(Into::into))).collect();
        let runs = rows.chunk_by(|one, next| one.0 == next.0);
        for run in runs.flat_map(|run| run.chunks(LOCKED_ROWS)) {
            let mut table = self.spaces[run[0].0 as usize].write().expect("no holder panics");
            for (_, key, value) in run {
                let newest = (number, value.clone());
                match table.entry(Arc::clone(key)) {
                    Entry::Occupied(mut versions) => {
                        let versions = versions.get_mut();
                        let before = std::mem::replace(&mut versions.newest, newest);
                        versions.before.push(before);
                    }
                    Entry::Vacant(place) => {
                        place.insert(Versions { newest, before: Vec::new() });
                    }
                }
            }
        }
    }

    /// What a row is after the commit `at`; `None` if it is as it is below this table.
    pub(super) fn get(&self, space: Space, key: &[u8], at: u64) -> Option<Value> {
        self.rows(space).get(key).and_then(|versions| versions.at(at)).cloned()
    }

    /// Visits the newest value of each row of a space, in order.
    ///
    /// # Errors
    /// The first that `visit` has.
    pub(super) fn each<E>(
        &self,
        space: Space,
        mut visit: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = self.rows(space);
        rows.iter().try_for_each(|(key, versions)| visit(key, versions.newest.1.as_deref()))
    }

    fn batch(&self, range: &Range<'_>, reverse: bool, at: u64) -> Vec<(Arc<[u8]>, Value)> {
        let rows = self.rows(range.space);
        let shown = |(key, versions): (&Arc<[u8]>, &Versions)| {
            versions.at(at).map(|value| (Arc::clone(key), value.clone()))
        };
        let rows = rows.range::<[u8], _>(range.bounds());
        if reverse {
            rows.rev().filter_map(shown).take(BATCH_ROWS).collect()
        } else {
            rows.filter_map(shown).take(BATCH_ROWS).collect()
        }
    }
}

/// What is left of the bounds of a scan.
struct Range<'v> {
    space: Space,
    bounds: Bounds<'v>,
    /// Nothing up to this key is wanted any more, from where the scan begins.
    behind: Option<Arc<[u8]>>,
    reverse: bool,
}

impl Range<'_> {
    fn bounds(&self) -> Bounds<'_> {
        let (lower, upper) = self.bounds;
        match &self.behind {
            None => (lower, upper),
            Some(key) if self.reverse => (lower, Bound::Excluded(key)),
            Some(key) => (Bound::Excluded(key), upper),
        }
    }
}

/// Goes over the rows of one table.
struct Cursor<'v> {
    table: &'v Memtable,
    at: u64,
    range: Range<'v>,
    batch: vec::IntoIter<(Arc<[u8]>, Value)>,
    /// There is no batch after this one.
    is_last: bool,
}

impl Cursor<'_> {
    fn key(&mut self) -> Option<&Arc<[u8]>> {
        if self.batch.as_slice().is_empty() && !self.is_last {
            let rows = self.table.batch(&self.range, self.range.reverse, self.at);
            self.is_last = rows.len() < BATCH_ROWS;
            self.range.behind = rows.last().map(|(key, _)| Arc::clone(key));
            self.batch = rows.into_iter();
        }
        self.batch.as_slice().first().map(|(key, _)| key)
    }
}

/// Goes over the rows of tables that lie over each other, as they are after one commit: removed
/// ones too, because they hide what is below.
pub(super) struct Cursors<'v> {
    /// The newest table first.
    cursors: Vec<Cursor<'v>>,
    reverse: bool,
}

impl<'v> Cursors<'v> {
    /// Within bounds that are not empty.
    pub(super) fn new(
        tables: impl Iterator<Item = &'v Memtable>,
        (space, bounds): (Space, Bounds<'v>),
        reverse: bool,
        at: u64,
    ) -> Self {
        let cursor = |table| {
            let range = Range { space, bounds, behind: None, reverse };
            Cursor { table, at, range, batch: Vec::new().into_iter(), is_last: false }
        };
        Self { cursors: tables.map(cursor).collect(), reverse }
    }

    /// Which cursor has the next row.
    fn next_of(&mut self) -> Option<usize> {
        let reverse = self.reverse;
        let mut best: Option<(usize, Arc<[u8]>)> = None;
        for (which, cursor) in self.cursors.iter_mut().enumerate() {
            let Some(key) = cursor.key() else { continue };
            let is_next = best
                .as_ref()
                .is_none_or(|(_, best)| in_order(key, best, reverse) == Ordering::Less);
            if is_next {
                best = Some((which, Arc::clone(key)));
            }
        }
        best.map(|(which, _)| which)
    }

    /// The next row, if it is not behind `key`; any, if there is no key.
    pub(super) fn next_until(&mut self, key: Option<&[u8]>) -> Option<(Arc<[u8]>, Value)> {
        let which = self.next_of()?;
        let found = self.cursors[which].key()?;
        if key.is_some_and(|key| in_order(found, key, self.reverse) == Ordering::Greater) {
            return None;
        }
        let row = self.cursors[which].batch.next()?;
        for older in &mut self.cursors[which + 1..] {
            if older.key() == Some(&row.0) {
                older.batch.next();
            }
        }
        Some(row)
    }
}

/// The order in which a scan meets keys.
fn in_order(one: &[u8], other: &[u8], reverse: bool) -> Ordering {
    if reverse { other.cmp(one) } else { one.cmp(other) }
}
