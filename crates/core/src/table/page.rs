//! One page of Query or Scan: rows go in, in order, until the page is full.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::expr::{Condition, Projection};
use crate::item::{Attributes, PrimaryKey};
use crate::limits::PAGE_BYTES_MAX;

/// A page under construction.
#[derive(Clone, Debug)]
pub struct Page {
    filter: Option<Condition>,
    projection: Option<Projection>,
    limit: Option<usize>,
    count_only: bool,
    bytes: usize,
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
        Self { filter, projection, limit, count_only, bytes: 0, result }
    }

    /// A page that goes on after others of the same response, of `bytes` together; `limit` is what
    /// they left.
    #[must_use]
    pub fn continued(filter: Option<Condition>, limit: Option<usize>, bytes: usize) -> Self {
        Self { bytes, ..Self::new(filter, None, limit, false) }
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
        self.result.scanned_count += 1;
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
        if full || self.bytes >= PAGE_BYTES_MAX {
            self.result.last_evaluated = Some(key.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// The finished page.
    #[must_use]
    pub fn finish(self) -> PageResult {
        PageResult { scanned_bytes: self.bytes, ..self.result }
    }
}
