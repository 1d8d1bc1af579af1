//! Rows of commits that are in the log, and not in the database yet.
//!
//! State: of each row the values that commits gave it, with the numbers of these commits. So a view
//! of an older commit goes on showing what it showed, and readers share one table with the writer,
//! which adds to it under a lock that is held for some rows at a time. Keys and values stand in the
//! records that the log was given: nothing of them is copied, and a record is one piece of memory.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Bound, Range as Within};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::vec;

use pangea_codec::disk::wal;

use super::{Bounds, Space};

/// Bytes that stand in the record of their commit, which is in memory for as long as they are.
#[derive(Clone, Debug)]
pub(super) struct Held {
    record: Arc<Vec<u8>>,
    begin: u32,
    len: u32,
}

impl Held {
    fn new(record: &Arc<Vec<u8>>, at: &Within<usize>) -> Self {
        let number = |place| u32::try_from(place).expect("records are shorter");
        Self { record: Arc::clone(record), begin: number(at.start), len: number(at.len()) }
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        let begin = self.begin as usize;
        &self.record[begin..begin + self.len as usize]
    }
}

/// What a commit gave a row; `None` if it removed it.
pub(super) type Value = Option<Held>;

/// Words of a key that stand in the tree: the key of an item without a sort key and of its
/// changelog's entry, and the beginning of others that tells most of them apart.
const HEAD_WORDS: usize = 5;
const HEAD_BYTES: usize = 8 * HEAD_WORDS;

/// A key. Most are compared with each other without a look at other memory.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its first bytes, and zeros behind its end.
    head: [u64; HEAD_WORDS],
    len: usize,
    /// All of it; `None` of a short one that is only looked for.
    whole: Option<Held>,
}

impl Key {
    fn new(bytes: &[u8], whole: Option<Held>) -> Self {
        let mut first = [0; HEAD_BYTES];
        let count = bytes.len().min(HEAD_BYTES);
        first[..count].copy_from_slice(&bytes[..count]);
        let (words, _) = first.as_chunks();
        let mut head = [0; HEAD_WORDS];
        head.iter_mut().zip(words).for_each(|(word, bytes)| *word = u64::from_be_bytes(*bytes));
        Self { head, len: bytes.len(), whole }
    }

    fn held(whole: Held) -> Self {
        let looked_for = Self::new(whole.bytes(), None);
        Self { whole: Some(whole), ..looked_for }
    }

    /// One to look for.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let is_long = bytes.len() > HEAD_BYTES;
        let whole = is_long.then(|| Held::new(&Arc::new(bytes.to_vec()), &(0..bytes.len())));
        Self::new(bytes, whole)
    }

    /// The bytes of one that is in a table.
    pub(super) fn bytes(&self) -> &[u8] {
        self.whole.as_ref().expect("not only looked for").bytes()
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| {
            if self.len.min(other.len) <= HEAD_BYTES {
                // Where one ends the other has zeros: they differ in their lengths alone.
                return self.len.cmp(&other.len);
            }
            self.bytes()[HEAD_BYTES..].cmp(&other.bytes()[HEAD_BYTES..])
        })
    }
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

/// Rows that a cursor copies at a time, so that no lock is held while a visitor is called.
const BATCH_ROWS: usize = 64;

/// Rows that are added at a time, so that readers do not wait for a long commit.
const LOCKED_ROWS: usize = 256;

/// A row's key and newest value; none where it was taken away.
pub(super) type Newest<'t> = (&'t [u8], Option<&'t [u8]>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memtable {
    spaces: [RwLock<BTreeMap<Key, Versions>>; 3],
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
    fn rows(&self, space: Space) -> RwLockReadGuard<'_, BTreeMap<Key, Versions>> {
        self.spaces[space as usize].read().expect("no holder panics")
    }

    /// Whether it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        Space::ALL.iter().all(|space| self.rows(*space).is_empty())
    }

    /// Adds the rows of a commit by its record, sorted by space: greater than all before. `None` if
    /// it has rows of a space that is not known.
    pub(super) fn add(&self, record: &Arc<Vec<u8>>) -> Option<()> {
        let (number, places) = wal::places(record)?;
        let space = |code| Space::ALL.into_iter().find(|space| *space as u8 == code);
        let rows = places.map(|(code, key, value)| Some((space(code)?, key, value)));
        let rows = rows.collect::<Option<Vec<_>>>()?;
        let runs = rows.chunk_by(|one, next| one.0 == next.0);
        for run in runs.flat_map(|run| run.chunks(LOCKED_ROWS)) {
            let mut table = self.spaces[run[0].0 as usize].write().expect("no holder panics");
            for (_, key, value) in run {
                let newest = (number, value.as_ref().map(|value| Held::new(record, value)));
                match table.entry(Key::held(Held::new(record, key))) {
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
        Some(())
    }

    /// What a row is after the commit `at`; `None` if it is as it is below this table.
    pub(super) fn get(&self, space: Space, key: &Key, at: u64) -> Option<Value> {
        self.rows(space).get(key).and_then(|versions| versions.at(at)).cloned()
    }

    /// Visits the newest value of each row of a space, in order, so many rows at a time.
    ///
    /// # Errors
    /// The first that `visit` has.
    pub(super) fn chunks<E>(
        &self,
        space: Space,
        size: usize,
        mut visit: impl FnMut(&[Newest<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = self.rows(space);
        let mut rows = rows
            .iter()
            .map(|(key, versions)| (key.bytes(), versions.newest.1.as_ref().map(Held::bytes)));
        loop {
            let chunk: Vec<_> = rows.by_ref().take(size).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            visit(&chunk)?;
        }
    }

    fn batch(&self, range: &Range, reverse: bool, at: u64) -> Vec<(Key, Value)> {
        let rows = self.rows(range.space);
        let shown = |(key, versions): (&Key, &Versions)| {
            versions.at(at).map(|value| (key.clone(), value.clone()))
        };
        let rows = rows.range(range.bounds());
        if reverse {
            rows.rev().filter_map(shown).take(BATCH_ROWS).collect()
        } else {
            rows.filter_map(shown).take(BATCH_ROWS).collect()
        }
    }
}

/// What is left of the bounds of a scan.
struct Range {
    space: Space,
    lower: Bound<Key>,
    upper: Bound<Key>,
    reverse: bool,
}

impl Range {
    fn bounds(&self) -> (Bound<&Key>, Bound<&Key>) {
        (self.lower.as_ref(), self.upper.as_ref())
    }

    /// Nothing up to this key is wanted any more, from where the scan begins.
    fn leave_behind(&mut self, key: &Key) {
        *(if self.reverse { &mut self.upper } else { &mut self.lower }) =
            Bound::Excluded(key.clone());
    }
}

/// Goes over the rows of one table.
struct Cursor<'v> {
    table: &'v Memtable,
    at: u64,
    range: Range,
    batch: vec::IntoIter<(Key, Value)>,
    /// There is no batch after this one.
    is_last: bool,
}

impl Cursor<'_> {
    fn key(&mut self) -> Option<&Key> {
        if self.batch.as_slice().is_empty() && !self.is_last {
            let rows = self.table.batch(&self.range, self.range.reverse, self.at);
            self.is_last = rows.len() < BATCH_ROWS;
            if let Some((key, _)) = rows.last() {
                self.range.leave_behind(key);
            }
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
        (space, (lower, upper)): (Space, Bounds<'_>),
        reverse: bool,
        at: u64,
    ) -> Self {
        let cursor = |table| {
            let (lower, upper) = (lower.map(Key::of), upper.map(Key::of));
            let range = Range { space, lower, upper, reverse };
            Cursor { table, at, range, batch: Vec::new().into_iter(), is_last: false }
        };
        Self { cursors: tables.map(cursor).collect(), reverse }
    }

    /// Which cursor has the next row.
    fn next_of(&mut self) -> Option<usize> {
        let reverse = self.reverse;
        let mut best: Option<(usize, Key)> = None;
        for (which, cursor) in self.cursors.iter_mut().enumerate() {
            let Some(key) = cursor.key() else { continue };
            let is_next = best.as_ref().is_none_or(|(_, best)| {
                in_order(key.bytes(), best.bytes(), reverse) == Ordering::Less
            });
            if is_next {
                best = Some((which, key.clone()));
            }
        }
        best.map(|(which, _)| which)
    }

    /// The next row, if it is not behind `key`; any, if there is no key.
    pub(super) fn next_until(&mut self, key: Option<&[u8]>) -> Option<(Key, Value)> {
        let which = self.next_of()?;
        let found = self.cursors[which].key()?;
        if key.is_some_and(|key| in_order(found.bytes(), key, self.reverse) == Ordering::Greater) {
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

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_are_in_the_order_of_their_bytes() {
        let ends: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"ab", &[255; 60]];
        let lengths = [0, 1, 7, 8, 38, 39, 40, 41, 64];
        let keys =
            lengths.iter().flat_map(|len| ends.map(|end| [&vec![7; *len][..], end].concat()));
        let keys: Vec<Vec<u8>> = keys.collect();
        for (one, other) in keys.iter().flat_map(|one| keys.iter().map(move |other| (one, other))) {
            assert_eq!(Key::of(one).cmp(&Key::of(other)), one.cmp(other), "{one:?} {other:?}");
        }
    }
}
