//! Item collections: what a table with local indexes has under one partition key.

use std::collections::BTreeMap;

use pangea_codec::dynamo::ApiError;
use pangea_codec::dynamo::response::CollectionMetrics;
use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::item::{ItemKey, KeyValue};

use super::store_fault;
use crate::region::{Region, pace};

/// Bytes of the unit in which sizes are told.
const GB: u64 = 1 << 30;

/// What is told of the collection of an item that was written, if it is asked for and there is one.
pub(super) fn of_item(
    region: &Region,
    entry: &TableEntry,
    partition: &KeyValue,
    asked: bool,
) -> Result<Option<CollectionMetrics>, ApiError> {
    if !asked || !entry.indexes.iter().any(|index| index.local) {
        return Ok(None);
    }
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let bytes = pace::aside(|| view.partition_bytes(entry.id, partition));
    let whole = bytes.map_err(|fault| store_fault(region, fault))? / GB;
    let key = [(entry.schema.partition.name.clone(), partition.clone().into())].into();
    Ok(Some(CollectionMetrics { key, size_gb: (whole, whole + 1) }))
}

/// The same of several items, by the names of their tables, each collection once.
pub(super) fn of_items(
    region: &Region,
    catalog: &Catalog,
    items: impl IntoIterator<Item = (String, ItemKey)>,
    asked: bool,
) -> Result<BTreeMap<String, Vec<CollectionMetrics>>, ApiError> {
    let mut collections: BTreeMap<String, Vec<CollectionMetrics>> = BTreeMap::new();
    for (name, key) in items {
        let Some(entry) = catalog.get(key.table) else { continue };
        let found = of_item(region, entry, &key.primary.partition, asked)?;
        let Some(found) = found else { continue };
        let known = collections.entry(name).or_default();
        if !known.contains(&found) {
            known.push(found);
        }
    }
    Ok(collections)
}
