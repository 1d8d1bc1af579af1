//! Reads of durable state: points, queries, scans, the ledger.

use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, OnceLock};

use pangea_codec::disk::{self, Corrupt, Item};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{Attributes, ItemKey, KeyValue, PrimaryKey, item_size};
use pangea_core::ledger;
use pangea_core::time::{Hlc, Stamp};

use super::corrupt;
use crate::storage::{Fault, Space, View};

/// A region's rows as of one moment, typed.
#[derive(Debug)]
pub struct StoreView {
    view: Arc<dyn View>,
    /// The first fault met where the reader could not be told.
    fault: OnceLock<Fault>,
}

/// Which sort keys of a partition.
#[derive(Clone, Copy, Debug)]
pub enum Sort<'a> {
    /// All of them.
    All,
    /// Those between two ends.
    Between(Bound<&'a KeyValue>, Bound<&'a KeyValue>),
    /// Those that begin with a string or binary.
    Prefix(&'a KeyValue),
}

/// Items of one partition, in the order of their sort keys.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The table.
    pub table: TableId,
    /// The partition key.
    pub partition: &'a KeyValue,
    /// Which sort keys.
    pub sort: Sort<'a>,
    /// In descending order.
    pub reverse: bool,
    /// Go on behind this key, in the order asked for.
    pub after: Option<&'a PrimaryKey>,
}

/// Items of a table, or of one of its segments, in the store's order.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The table.
    pub table: TableId,
    /// Which segment, from 0.
    pub segment: u32,
    /// Of how many, at least 1.
    pub total: u32,
    /// Go on behind this key.
    pub after: Option<&'a PrimaryKey>,
}

/// Takes a live item and its size in bytes; says whether it wants the next.
pub type VisitItem<'a> = &'a mut dyn FnMut(PrimaryKey, Attributes, usize) -> ControlFlow<()>;

impl StoreView {
    pub(super) fn new(view: Arc<dyn View>) -> Self {
        Self { view, fault: OnceLock::new() }
    }

    pub(super) fn view(&self) -> &dyn View {
        &*self.view
    }

    /// The first fault that a read through [`pangea_core::replica::Snapshot`] met.
    ///
    /// Whoever acted on such reads must not let anything come of it if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.get()
    }

    /// The same as a result.
    ///
    /// # Errors
    ///
    /// [`StoreView::fault`].
    pub fn check(&self) -> Result<(), Fault> {
        self.fault().map_or(Ok(()), |fault| Err(fault.clone()))
    }

    /// Keeps the first fault for [`StoreView::check`].
    pub(super) fn note<T: Default>(&self, result: Result<T, Fault>) -> T {
        result.unwrap_or_else(|fault| {
            tracing::error!(%fault, "a row could not be read");
            // Only the first counts: the rest may be its consequences.
            let _ = self.fault.set(fault);
            T::default()
        })
    }

    /// The attributes of an item; `None` if there is none or it was deleted.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the row cannot be read or trusted.
    pub fn get_item(&self, key: &ItemKey) -> Result<Option<Attributes>, Fault> {
        let row_key = disk::row_key(key);
        let Some(value) = self.view.get(Space::Items, &row_key)? else { return Ok(None) };
        let item = disk::decode_item(&value);
        let item = item.and_then(|item| same_key(&item.key, &key.primary).map(|()| item));
        let item = item.map_err(|reason| corrupt(Space::Items, &row_key, reason))?;
        Ok(item.attributes)
    }

    /// Visits the live items of a query.
    ///
    /// # Errors
    ///
    /// [`Fault`] if a row cannot be read or trusted; the visitor has seen those before it.
    pub fn query(&self, query: &Query<'_>, visit: VisitItem<'_>) -> Result<(), Fault> {
        let prefix = disk::partition_prefix(query.table, query.partition);
        let (mut from, mut to) = sort_range(&prefix, query.sort);
        if let Some(after) = query.after {
            let key = ItemKey { table: query.table, primary: after.clone() };
            let after = Bound::Excluded(disk::row_key(&key));
            if query.reverse {
                to = tighter(to, after, |a, b| a <= b);
            } else {
                from = tighter(from, after, |a, b| a >= b);
            }
        }
        self.visit_live((from, to), query.reverse, visit)
    }

    /// Visits the live items of a table, or of one of its segments.
    ///
    /// # Errors
    ///
    /// As [`StoreView::query`].
    pub fn scan(&self, scan: &Scan<'_>, visit: VisitItem<'_>) -> Result<(), Fault> {
        let start = disk::segment_start(scan.table, scan.segment, scan.total);
        let end = disk::segment_start(scan.table, scan.segment + 1, scan.total);
        let mut from = start.map_or(Bound::Unbounded, Bound::Included);
        let to = end.map_or_else(|| end_of(&disk::table_prefix(scan.table)), Bound::Excluded);
        if let Some(after) = scan.after {
            let key = ItemKey { table: scan.table, primary: after.clone() };
            from = tighter(from, Bound::Excluded(disk::row_key(&key)), |a, b| a >= b);
        }
        self.visit_live((from, to), false, visit)
    }

    /// Up to `limit` entries of the conflict ledger, of one table or of all; the last one's key is
    /// where to go on.
    ///
    /// # Errors
    ///
    /// As [`StoreView::query`].
    pub fn ledger(
        &self,
        table: Option<TableId>,
        limit: usize,
        after: Option<&PrimaryKey>,
    ) -> Result<Vec<(PrimaryKey, Attributes)>, Fault> {
        let mut entries = Vec::new();
        let scan = Scan { table: TableId::LEDGER, segment: 0, total: 1, after };
        if limit == 0 {
            return Ok(entries);
        }
        self.scan(&scan, &mut |key, entry, _| {
            if table.is_none() || ledger::table_of(&key) == table {
                entries.push((key, entry));
            }
            if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(entries)
    }

    /// How many changes of `origin` follow on `after`, counting no further than `limit`.
    ///
    /// # Errors
    ///
    /// As [`StoreView::query`].
    pub fn count_changes(&self, origin: Origin, after: Hlc, limit: usize) -> Result<usize, Fault> {
        let mut count = 0;
        let from = disk::changelog_key(Stamp { origin, hlc: after });
        let to = disk::changelog_key(Stamp { origin, hlc: Hlc::MAX });
        let range = (Bound::Excluded(from.as_slice()), Bound::Included(to.as_slice()));
        if limit == 0 {
            return Ok(0);
        }
        self.view.scan(Space::Changelog, range, false, &mut |_, _| {
            count += 1;
            if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(count)
    }

    /// Visits every row from `from` on that begins with `prefix`, tombstones included.
    pub(super) fn visit(
        &self,
        from: Bound<Vec<u8>>,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Item) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.visit_decoded((from, end_of(prefix)), false, disk::decode_item, visit)
    }

    fn visit_live(
        &self,
        range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        reverse: bool,
        visit: VisitItem<'_>,
    ) -> Result<(), Fault> {
        self.visit_decoded(range, reverse, disk::decode_item, &mut |_, item| {
            let Some(attributes) = item.attributes else { return ControlFlow::Continue(()) };
            let bytes = item_size(&attributes);
            visit(item.key, attributes, bytes)
        })
    }

    /// Visits rows as `decode` gives them; the first that it refuses ends the visit as a fault.
    pub(super) fn visit_decoded<T>(
        &self,
        (from, to): (Bound<Vec<u8>>, Bound<Vec<u8>>),
        reverse: bool,
        decode: impl Fn(&[u8]) -> Result<T, Corrupt>,
        visit: &mut dyn FnMut(&[u8], T) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let mut fault = None;
        let range = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        self.view.scan(Space::Items, range, reverse, &mut |key, value| match decode(value) {
            Ok(row) => visit(key, row),
            Err(reason) => {
                fault = Some(corrupt(Space::Items, key, reason));
                ControlFlow::Break(())
            }
        })?;
        fault.map_or(Ok(()), Err)
    }
}

/// A row under the key of another would be a collision of hashes or a misplaced row.
pub(super) fn same_key(found: &PrimaryKey, wanted: &PrimaryKey) -> Result<(), Corrupt> {
    if found == wanted { Ok(()) } else { Err(Corrupt("the row holds another key")) }
}

/// The end of all keys that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|&byte| byte != u8::MAX) else {
        return Bound::Unbounded;
    };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

fn sort_range(prefix: &[u8], sort: Sort<'_>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let all = (Bound::Included(prefix.to_vec()), end_of(prefix));
    let at = |sort: &KeyValue| [prefix, &disk::sort_bytes(sort)].concat();
    match sort {
        Sort::All => all,
        Sort::Prefix(sort) => (Bound::Included(at(sort)), end_of(&at(sort))),
        Sort::Between(lower, upper) => {
            let from = match lower.map(at) {
                Bound::Unbounded => all.0,
                from => from,
            };
            let to = match upper.map(at) {
                Bound::Unbounded => all.1,
                to => to,
            };
            (from, to)
        }
    }
}

/// `after`, unless the end that was asked for is tighter still.
fn tighter(
    asked: Bound<Vec<u8>>,
    after: Bound<Vec<u8>>,
    beyond: impl Fn(&[u8], &[u8]) -> bool,
) -> Bound<Vec<u8>> {
    let after_wins = match (&asked, &after) {
        (Bound::Unbounded, _) => true,
        (
            Bound::Included(asked) | Bound::Excluded(asked),
            Bound::Included(after) | Bound::Excluded(after),
        ) => beyond(after, asked),
        (_, Bound::Unbounded) => false,
    };
    if after_wins { after } else { asked }
}
