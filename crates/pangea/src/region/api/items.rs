//! Items: single reads and writes, pages, batches.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pangea_codec::dynamo::capacity::{Consumed, ReturnCapacity, read_units, write_units};
use pangea_codec::dynamo::request::{
    BatchGetItem, BatchGetTable, BatchWrite, BatchWriteItem, DeleteItem, GetItem, PutItem, Query,
    Scan, UpdateItem,
};
use pangea_codec::dynamo::{ApiError, response};
use pangea_core::catalog::{Policy, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::item::{Attributes, ItemKey, item_size};
use pangea_core::limits::BATCH_GET_BYTES_MAX;
use pangea_core::merge::Stored;
use pangea_core::node::{Elsewhere, Outcome};
use pangea_core::table::{Page, WriteOp};
use pangea_core::view::view as shown;
use tokio::task::JoinSet;

use super::hints::{self, Hints, format_context};
use super::{Success, Trouble, missing, serving, store_fault, write_fault};
use crate::region::Region;

pub(super) fn get(region: &Region, get: &GetItem, hints: &Hints) -> Result<Success, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &get.table)?;
    let key = ItemKey { table: entry.id, primary: get.primary_key(&entry.schema)? };
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let policy = &entry.settings.policy;
    let (item, siblings) = match policy {
        Policy::Siblings => {
            let stored = view.get_stored(&key).map_err(|fault| store_fault(region, fault))?;
            let item = stored.as_ref().and_then(|stored| shown(policy, stored));
            (item.map(Cow::into_owned), stored)
        }
        _ => (view.get_item(&key, policy).map_err(|fault| store_fault(region, fault))?, None),
    };
    let bytes = item.as_ref().map_or(0, item_size);
    let item = match &get.projection {
        Some(projection) => item.map(|item| projection.apply(&item)),
        None => item,
    };
    let consumed = consumed(&get.table, read_units(bytes, get.consistent), get.capacity);
    let images = siblings.as_ref().filter(|_| hints.all_siblings).map(images);
    let body = match images {
        Some(images) => response::get_siblings(item.as_ref(), &images, Some(&consumed)),
        None => response::get_item(item.as_ref(), Some(&consumed)),
    };
    let headers = siblings.map(|stored| {
        let count = stored.versions.len().to_string();
        vec![(hints::SIBLINGS, count), (hints::CONTEXT, format_context(&stored.seen))]
    });
    Ok(Success { body, stamp: None, headers: headers.unwrap_or_default() })
}

/// Every version that is kept, the one that plain readers see first; `None` is a deletion.
fn images(stored: &Stored) -> Vec<Option<&Attributes>> {
    stored.versions.iter().map(|version| version.body.attributes()).collect()
}

fn consumed(table: &str, units: f64, detail: ReturnCapacity) -> Consumed {
    Consumed { table: table.to_string(), units, detail }
}

pub(super) async fn put(region: &Region, put: PutItem, hints: Hints) -> Result<Success, Trouble> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &put.table)?;
    let (table, capacity) = (put.table.clone(), put.capacity);
    let op = with(hints, put.into_op(&entry.schema)?);
    write(region, entry, op, &table, capacity).await
}

pub(super) async fn update(
    region: &Region,
    update: UpdateItem,
    hints: Hints,
) -> Result<Success, Trouble> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &update.table)?;
    let (table, capacity) = (update.table.clone(), update.capacity);
    let op = with(hints, update.into_op(&entry.schema)?);
    write(region, entry, op, &table, capacity).await
}

pub(super) async fn delete(
    region: &Region,
    delete: DeleteItem,
    hints: Hints,
) -> Result<Success, Trouble> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &delete.table)?;
    let (table, capacity) = (delete.table.clone(), delete.capacity);
    let op = with(hints, delete.into_op(&entry.schema)?);
    write(region, entry, op, &table, capacity).await
}

fn with(hints: Hints, op: WriteOp) -> WriteOp {
    WriteOp { context: hints.context, ..op }
}

/// Names the region that has to do the write.
pub(super) fn elsewhere(region: &Region, regions: &[RegionSlot], why: Elsewhere) -> ApiError {
    let names: Vec<String> = regions.iter().map(|slot| region.region_name(*slot)).collect();
    let names = names.join(" or ");
    ApiError::validation(match why {
        Elsewhere::Owned => format!("The item is owned by {names}, which alone writes it"),
        Elsewhere::Placed => format!(
            "The item may not be in {}: its placement allows {names}; write it there",
            region.name
        ),
    })
}

async fn write(
    region: &Region,
    entry: &TableEntry,
    op: WriteOp,
    table: &str,
    capacity: ReturnCapacity,
) -> Result<Success, Trouble> {
    match region.writer.write(entry.id, op).await.map_err(write_fault)? {
        Outcome::Written { returned, stamp, bytes } => {
            region.counts.writes.fetch_add(1, Relaxed);
            let consumed = consumed(table, write_units(bytes), capacity);
            let body = response::written(returned.as_ref(), Some(&consumed));
            Ok(Success { body, stamp, headers: Vec::new() })
        }
        Outcome::Refused(refusal) => Err(ApiError::from(refusal).into()),
        Outcome::Elsewhere { regions, why } => {
            Err(Trouble::Elsewhere(regions, why, entry.settings.foreign))
        }
        _ => Err(missing().into()),
    }
}

pub(super) fn query(region: &Region, query: &Query) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &query.table)?;
    let (range, after) = query.resolve(&entry.schema)?;
    let mut page = query.page();
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let of = (entry.id, &entry.settings.policy);
    view.query(of, &range, !query.forward, after.as_ref(), |key, row, bytes| {
        page.push(key, row, bytes)
    })
    .map_err(|fault| store_fault(region, fault))?;
    let shape = (query.count_only, query.consistent, query.capacity);
    Ok(finish(page, entry, &query.table, shape))
}

pub(super) fn scan(region: &Region, scan: &Scan) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &scan.table)?;
    let after = scan.start_key(&entry.schema)?;
    let mut page = scan.page();
    let segment = scan.segment.as_ref().map(|segment| (segment.index, segment.total));
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let of = (entry.id, &entry.settings.policy);
    view.scan(of, segment, after.as_ref(), |key, row, bytes| page.push(key, row, bytes))
        .map_err(|fault| store_fault(region, fault))?;
    Ok(finish(page, entry, &scan.table, (scan.count_only, scan.consistent, scan.capacity)))
}

fn finish(
    page: Page,
    entry: &TableEntry,
    table: &str,
    (count_only, consistent, capacity): (bool, bool, ReturnCapacity),
) -> Vec<u8> {
    let result = page.finish();
    let consumed = consumed(table, read_units(result.scanned_bytes, consistent), capacity);
    response::page(&result, &entry.schema, count_only, Some(&consumed))
}

pub(super) fn batch_get(region: &Region, batch: &BatchGetItem) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let (mut responses, mut unprocessed) = (BTreeMap::new(), BTreeMap::new());
    let (mut all_consumed, mut total) = (Vec::new(), 0_usize);
    for (name, table) in &batch.tables {
        let entry = serving(region, &catalog, name)?;
        let (mut found, mut units) = (Vec::new(), 0.0);
        let keys = table.primary_keys(&entry.schema)?;
        for (at, primary) in keys.into_iter().enumerate() {
            if total >= BATCH_GET_BYTES_MAX {
                let keys = table.keys[at..].to_vec();
                unprocessed.insert(name.clone(), BatchGetTable { keys, ..table.clone() });
                break;
            }
            let key = ItemKey { table: entry.id, primary };
            let item = view
                .get_item(&key, &entry.settings.policy)
                .map_err(|fault| store_fault(region, fault))?;
            let bytes = item.as_ref().map_or(0, item_size);
            total += bytes;
            units += read_units(bytes, table.consistent);
            found.extend(item.map(|item| project(table, item)));
        }
        responses.insert(name.clone(), found);
        all_consumed.push(consumed(name, units, batch.capacity));
    }
    Ok(response::batch_get(&responses, &unprocessed, &all_consumed))
}

fn project(table: &BatchGetTable, item: Attributes) -> Attributes {
    match &table.projection {
        Some(projection) => projection.apply(&item),
        None => item,
    }
}

/// Every write stands alone, as in DynamoDB; they share a sync because they arrive together.
pub(super) async fn batch_write(
    region: &Arc<Region>,
    batch: BatchWriteItem,
) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let mut checked = Vec::new();
    for (name, writes) in batch.tables {
        let entry = serving(region, &catalog, &name)?;
        checked.push((name, entry.id, BatchWrite::into_ops(writes, &entry.schema)?));
    }
    let mut writing = JoinSet::new();
    for (name, table, ops) in checked {
        for op in ops {
            let (region, name) = (Arc::clone(region), name.clone());
            writing.spawn(async move { (name, region.writer.write(table, op).await) });
        }
    }
    let mut units: BTreeMap<String, f64> = BTreeMap::new();
    while let Some(written) = writing.join_next().await {
        let (name, outcome) = written.map_err(|_| super::internal("a write was cancelled"))?;
        match outcome.map_err(write_fault)? {
            Outcome::Written { bytes, .. } => {
                region.counts.writes.fetch_add(1, Relaxed);
                *units.entry(name).or_default() += write_units(bytes);
            }
            Outcome::Refused(refusal) => return Err(refusal.into()),
            Outcome::Elsewhere { regions, why } => return Err(elsewhere(region, &regions, why)),
            _ => return Err(missing()),
        }
    }
    let consumed: Vec<Consumed> =
        units.into_iter().map(|(name, units)| consumed(&name, units, batch.capacity)).collect();
    Ok(response::batch_write(&BTreeMap::new(), &consumed))
}
