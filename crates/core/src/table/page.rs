//! One page of Query or Scan: rows go in, in order, until the page is full.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::expr::{Condition, Projection};
use crate::item::{Attributes, PrimaryKey};
use crate::limits::{PAGE_BYTES_MAX, READ_UNIT_BYTES};

/// A page under construction.
#[derive(Clone, Debug)]
pub struct Page {
    filter: Option<Condition>,
    projection: Option<Projection>,
    limit: Option<usize>,
    count_only: bool,
    bytes: usize,
    fetched: usize,
    result: PageResult,
}

/// What a page came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageResult {
    /// The items that passed the filter, projected; empty if only their count was wanted.
    pub items: Vec<Attributes>,
    /// How many items passed the filter.
    pub count: usize,
    /// How many items were read.
    pub scanned_count: usize,
    /// Size of the items that were read, in bytes.
    pub scanned_bytes: usize,
    /// Size of the items that were read whole from the table, as an index does not have all of
    /// them: each in full read units.
    pub fetched_bytes: usize,
    /// Where the next page goes on, if the page filled before the rows ended.
    pub last_evaluated: Option<PrimaryKey>,
}

impl Page {
    /// An empty page; `limit` counts rows before the filter, `count_only` is `Select=COUNT`.
    #[must_use]
    pub fn new(
        filter: Option<Condition>,
        projection: Option<Projection>,
        limit: Option<usize>,
        count_only: bool,
    ) -> Self {
        let result = PageResult::default();
        Self { filter, projection, limit, count_only, bytes: 0, fetched: 0, result }
    }

    /// A page that goes on after others of the same response, of `bytes` and `fetched` together;
    /// `limit` is what they left.
    #[must_use]
    pub fn continued(
        filter: Option<Condition>,
        limit: Option<usize>,
        (bytes, fetched): (usize, usize),
    ) -> Self {
        Self { bytes, fetched, ..Self::new(filter, None, limit, false) }
    }

    /// Evaluates the next row, of `row_bytes` by [`crate::item::item_size`].
    ///
    /// `Break` says that the page is full: push nothing more. The row that crosses 1 MB is part of
    /// the page. A page that fills exactly at the last row still names it, as DynamoDB does.
    pub fn push(
        &mut self,
        key: &PrimaryKey,
        row: &Attributes,
        row_bytes: usize,
    ) -> ControlFlow<()> {
        self.push_fetched(key, row, row_bytes, 0)
    }

    /// As [`Page::push`], of a row that an index has in `row_bytes`, and that was read whole, in
    /// `whole_bytes`, from the table.
    ///
    /// A page of such rows is what the index has of them and each whole row, in full read units
    /// (developer guide, local secondary indexes): of small rows 255, whatever the index has.
    pub fn push_fetched(
        &mut self,
        key: &PrimaryKey,
        row: &Attributes,
        row_bytes: usize,
        whole_bytes: usize,
    ) -> ControlFlow<()> {
        self.result.scanned_count += 1;
        self.fetched = self.fetched.saturating_add(whole_bytes.next_multiple_of(READ_UNIT_BYTES));
        self.bytes = self.bytes.saturating_add(row_bytes);
        if self.filter.as_ref().is_none_or(|filter| filter.matches(Some(row))) {
            self.result.count += 1;
            if !self.count_only {
                let item = match &self.projection {
                    Some(projection) => projection.apply(row),
                    None => row.clone(),
                };
                self.result.items.push(item);
            }
        }
        let full = self.limit.is_some_and(|limit| self.result.scanned_count >= limit);
        if full || self.size() >= PAGE_BYTES_MAX {
            self.result.last_evaluated = Some(key.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn size(&self) -> usize {
        match self.fetched {
            0 => self.bytes,
            fetched => self.bytes.next_multiple_of(READ_UNIT_BYTES).saturating_add(fetched),
        }
    }

    /// The finished page.
    #[must_use]
    pub fn finish(self) -> PageResult {
        PageResult { scanned_bytes: self.bytes, fetched_bytes: self.fetched, ..self.result }
    }
}
