//! Query and Scan, of tables and of their indexes.

use std::ops::ControlFlow;

use pangea_codec::disk::key;
use pangea_codec::dynamo::capacity::{Consumed, ReturnCapacity, fetched_units, read_units};
use pangea_codec::dynamo::request::{Indexed, Query, Scan, Select};
use pangea_codec::dynamo::{ApiError, response};
use pangea_core::catalog::TableEntry;
use pangea_core::item::{Attributes, PrimaryKey, item_size};
use pangea_core::table::Page;

use super::hints::Hints;
use super::items::consumed;
use super::tables::early;
use super::{serving, store_fault};
use crate::region::Region;
use crate::storage::StoreView;

/// What the response of a page depends on beside its items.
struct Shape<'q> {
    table: &'q str,
    select: Select,
    consistent: bool,
    capacity: ReturnCapacity,
}

pub(super) fn query(region: &Region, query: &Query, hints: &Hints) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &query.table)?;
    let (select, consistent, capacity) = (query.select, query.consistent, query.capacity);
    let shape = Shape { table: &query.table, select, consistent, capacity };
    if let Some(indexed) = query.indexed(entry)? {
        let (range, after) = query.resolve_in(entry, &indexed)?;
        query.check_paths(entry)?;
        let view = open(region, entry, &indexed)?;
        let (of, reverse) = ((entry, indexed.index), !query.forward);
        let mut pages = IndexPage::new(query.page(), entry, indexed);
        view.query_index(of, &range, reverse, after.as_ref(), |key, item| pages.push(key, item))
            .map_err(|fault| store_fault(region, fault))?;
        hints.session.saw(&view.rests_on());
        return Ok(pages.finish(&shape));
    }
    let (range, after) = query.resolve(&entry.schema)?;
    query.check_paths(entry)?;
    let mut page = query.page();
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let of = (entry.id, &entry.settings.policy);
    view.query(of, &range, !query.forward, after.as_ref(), |key, row, bytes| {
        page.push(key, row, bytes)
    })
    .map_err(|fault| store_fault(region, fault))?;
    hints.session.saw(&view.rests_on());
    Ok(finish(page, entry, &shape))
}

pub(super) fn scan(region: &Region, scan: &Scan, hints: &Hints) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &scan.table)?;
    let (select, consistent, capacity) = (scan.select, scan.consistent, scan.capacity);
    let shape = Shape { table: &scan.table, select, consistent, capacity };
    let segment = scan.segment.as_ref().map(|segment| (segment.index, segment.total));
    if let Some(indexed) = scan.indexed(entry)? {
        let after = indexed.start(entry, scan.start.as_ref())?;
        let has = |segment| after.as_ref().is_none_or(|it| key::index_segment_has(segment, it));
        check_segment(segment, has)?;
        scan.check_paths(entry)?;
        let view = open(region, entry, &indexed)?;
        let of = (entry, indexed.index);
        let mut pages = IndexPage::new(scan.page(), entry, indexed);
        view.scan_index(of, segment, after.as_ref(), |key, item| pages.push(key, item))
            .map_err(|fault| store_fault(region, fault))?;
        hints.session.saw(&view.rests_on());
        return Ok(pages.finish(&shape));
    }
    scan.check_start(entry)?;
    let after = scan.start_key(&entry.schema)?;
    let has = |segment| after.as_ref().is_none_or(|it| key::segment_has(entry.id, segment, it));
    check_segment(segment, has)?;
    scan.check_paths(entry)?;
    let mut page = scan.page();
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let of = (entry.id, &entry.settings.policy);
    view.scan(of, segment, after.as_ref(), |key, row, bytes| page.push(key, row, bytes))
        .map_err(|fault| store_fault(region, fault))?;
    hints.session.saw(&view.rests_on());
    Ok(finish(page, entry, &shape))
}

/// Refuses a start key of another segment than the one that is read.
fn check_segment(
    segment: Option<(u32, u32)>,
    has: impl FnOnce((u32, u32)) -> bool,
) -> Result<(), ApiError> {
    match segment {
        Some((index, total)) if !has((index, total)) => Err(ApiError::validation(format!(
            "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use \
             ExclusiveStartKey with correct Segment. TotalSegments: {total} Segment: {index}"
        ))),
        _ => Ok(()),
    }
}

/// A view of the store, in which the index has every item that belongs in it.
fn open(region: &Region, entry: &TableEntry, indexed: &Indexed<'_>) -> Result<StoreView, ApiError> {
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let ready = view.is_index_ready(entry.id, indexed.index.id);
    if ready.map_err(|fault| store_fault(region, fault))? && early(region, indexed.index).is_none()
    {
        return Ok(view);
    }
    let name = &indexed.index.name;
    Err(ApiError::validation(format!(
        "Cannot read from backfilling global secondary index: {name}"
    )))
}

fn finish(page: Page, entry: &TableEntry, shape: &Shape<'_>) -> Vec<u8> {
    let result = page.finish();
    let units = read_units(result.scanned_bytes, shape.consistent);
    let consumed = consumed(shape.table, units, shape.capacity);
    let last = result.last_evaluated.as_ref().map(|key| entry.schema.attributes_of(key));
    let count_only = shape.select == Select::Count;
    response::page(&result, last.as_ref(), count_only, Some(&consumed))
}

/// A page of an index under construction.
struct IndexPage<'t> {
    page: Page,
    entry: &'t TableEntry,
    indexed: Indexed<'t>,
    last: Option<Attributes>,
}

impl<'t> IndexPage<'t> {
    fn new(page: Page, entry: &'t TableEntry, indexed: Indexed<'t>) -> Self {
        Self { page, entry, indexed, last: None }
    }

    fn push(&mut self, key: &PrimaryKey, item: &Attributes) -> ControlFlow<()> {
        let shown = self.indexed.index.project(&self.entry.schema, item.clone());
        let bytes = item_size(&shown);
        let flow = if self.indexed.whole {
            self.page.push_fetched(key, item, bytes, item_size(item))
        } else {
            self.page.push(key, &shown, bytes)
        };
        if flow.is_break() {
            self.last = Some(self.indexed.key_of(self.entry, item));
        }
        flow
    }

    fn finish(self, shape: &Shape<'_>) -> Vec<u8> {
        let result = self.page.finish();
        let fetched = fetched_units(result.fetched_bytes, shape.consistent);
        let mut consumed: Consumed = consumed(shape.table, fetched, shape.capacity);
        let index = self.indexed.index;
        let units = read_units(result.scanned_bytes, shape.consistent);
        consumed.add(&index.name, index.local, units);
        let count_only = shape.select == Select::Count;
        response::page(&result, self.last.as_ref(), count_only, Some(&consumed))
    }
}
