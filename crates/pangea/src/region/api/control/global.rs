//! The API of 2017 on global tables, as a view of the same tables.

use std::sync::Arc;

use pangea_codec::dynamo::request::Throughput;
use pangea_codec::dynamo::table::{ACCOUNT, ReplicaStatus, options, table_arn};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::item::AttributeValue;
use pangea_core::node::TableUpdate;
use serde_json::{Value, json};

use super::{seconds, update};
use crate::region::Region;
use crate::region::api::Trouble;
use crate::region::api::tables::{replica_status, slot_of};

/// Whether the table has replicas, or was made a global table of 2017.
pub(super) fn is_global(entry: &TableEntry) -> bool {
    !entry.replicas.is_empty() || options::flag(&entry.options, options::GLOBAL)
}

fn find<'c>(region: &Region, catalog: &'c Catalog, name: &str) -> Result<&'c TableEntry, ApiError> {
    let entry = catalog.find(region.slot, name).filter(|entry| is_global(entry));
    entry.ok_or_else(|| {
        let text =
            format!("Global table not found: Global table with name: '{name}' does not exist.");
        ApiError::new(ErrorKind::GlobalTableNotFound, text)
    })
}

/// The regions that hold a table and where each is, this one among them.
pub(super) fn group(
    region: &Region,
    catalog: &Catalog,
    entry: &TableEntry,
) -> Vec<(String, ReplicaStatus)> {
    let replicas = catalog.replicas(entry).into_iter();
    let shown = replicas.map(|(slot, view)| (region.region_name(slot), replica_status(&view)));
    shown.collect()
}

fn description(region: &Region, catalog: &Catalog, entry: &TableEntry, status: &str) -> Value {
    let group = group(region, catalog, entry);
    let replicas = group.iter().map(|(name, status)| {
        json!({
            "RegionName": name,
            "ReplicaStatus": status.name(),
            "ReplicaArn": table_arn(name, &entry.name),
        })
    });
    json!({ "GlobalTableDescription": {
        "ReplicationGroup": replicas.collect::<Vec<Value>>(),
        "GlobalTableArn": format!("arn:aws:dynamodb::{ACCOUNT}:global-table/{}", entry.name),
        "CreationDateTime": seconds(entry.created_ms),
        "GlobalTableStatus": status,
        "GlobalTableName": entry.name,
    }})
}

pub(super) async fn change(
    region: &Arc<Region>,
    name: &str,
    creates: bool,
    (add, remove): (Vec<String>, Vec<String>),
) -> Result<Value, Trouble> {
    let catalog = region.catalog();
    let mut change = TableUpdate { name: name.to_owned(), ..TableUpdate::default() };
    if creates {
        let entry = catalog.find(region.slot, name).ok_or_else(|| {
            ApiError::new(ErrorKind::TableNotFound, format!("Table not found: {name}"))
        })?;
        if is_global(entry) {
            let text = format!("Global table with name: '{name}' already exists.");
            return Err(ApiError::new(ErrorKind::GlobalTableAlreadyExists, text).into());
        }
        let made = Some(AttributeValue::Bool(true));
        change.options.insert(options::GLOBAL.to_owned(), made);
    } else {
        find(region, &catalog, name)?;
    }
    let entry = catalog.find(region.slot, name);
    // There, the tables are made first, in each region, and become one.
    change.adopts =
        creates || entry.is_some_and(|entry| options::flag(&entry.options, options::GLOBAL));
    for region_name in &add {
        let slot = slot_of(region, region_name)?;
        let is_home = entry.is_some_and(|entry| entry.home == slot);
        // The group of a new global table names the regions that have the table, too.
        if !(creates && is_home) {
            if entry.is_some_and(|entry| entry.is_held_by(slot)) {
                let text = format!(
                    "Replica already exists: Global table with name: '{name}' already has a \
                     replica in region: '{region_name}'."
                );
                return Err(ApiError::new(ErrorKind::ReplicaAlreadyExists, text).into());
            }
            change.add.push(slot);
        }
    }
    for region_name in &remove {
        let slot = slot_of(region, region_name)?;
        if entry.is_some_and(|entry| !entry.is_held_by(slot)) {
            let text = format!("Table {name} has no replica in {region_name}");
            return Err(ApiError::new(ErrorKind::ReplicaNotFound, text).into());
        }
        change.remove.push(slot);
    }
    let entry = update(region, change).await?;
    let status = if creates { "CREATING" } else { "UPDATING" };
    Ok(description(region, &region.catalog(), &entry, status))
}

pub(super) fn describe(region: &Region, name: &str) -> Result<Value, Trouble> {
    let catalog = region.catalog();
    let entry = find(region, &catalog, name)?;
    Ok(description(region, &catalog, entry, "ACTIVE"))
}

pub(super) fn list(
    region: &Region,
    start: Option<&str>,
    limit: usize,
    within: Option<&str>,
) -> Value {
    let catalog = region.catalog();
    let mut tables: Vec<(&str, Vec<String>)> = catalog
        .held_by(region.slot)
        .filter(|entry| is_global(entry) && start.is_none_or(|start| entry.name.as_str() > start))
        .map(|entry| {
            let regions = group(region, &catalog, entry).into_iter().map(|(name, _)| name);
            (entry.name.as_str(), regions.collect())
        })
        .filter(|(_, regions): &(&str, Vec<String>)| {
            within.is_none_or(|within| regions.iter().any(|name| name == within))
        })
        .collect();
    tables.sort_unstable();
    let more = tables.len() > limit;
    tables.truncate(limit);
    let last = tables.last().filter(|_| more).map(|(name, _)| (*name).to_owned());
    let shown = tables.iter().map(|(name, regions)| {
        let regions = regions.iter().map(|name| json!({ "RegionName": name }));
        json!({ "GlobalTableName": name, "ReplicationGroup": regions.collect::<Vec<Value>>() })
    });
    let mut body = json!({ "GlobalTables": shown.collect::<Vec<Value>>() });
    if let Some(last) = last {
        body["LastEvaluatedGlobalTableName"] = json!(last);
    }
    body
}

pub(super) fn settings(region: &Region, name: &str) -> Result<Value, Trouble> {
    let catalog = region.catalog();
    let entry = find(region, &catalog, name)?;
    Ok(shown_settings(region, &catalog, entry))
}

pub(super) async fn set(
    region: &Region,
    name: &str,
    on_demand: Option<bool>,
    write: Option<u64>,
) -> Result<Value, Trouble> {
    let catalog = region.catalog();
    let entry = find(region, &catalog, name)?;
    let change = settings_change(entry, on_demand, write, region.clock.now().wall_ms)?;
    let entry = update(region, change).await?;
    Ok(shown_settings(region, &region.catalog(), &entry))
}

/// A table that begins to be paid for in advance may read as much as it may write, and so may its
/// indexes: the request names writes alone.
fn settings_change(
    entry: &TableEntry,
    on_demand: Option<bool>,
    write: Option<u64>,
    now_ms: u64,
) -> Result<TableUpdate, ApiError> {
    let will_be = on_demand.unwrap_or(entry.on_demand);
    let mut change = TableUpdate { name: entry.name.clone(), on_demand, ..TableUpdate::default() };
    let why = match write {
        Some(_) if will_be => {
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified \
                               when BillingMode is PAY_PER_REQUEST"
        }
        None if entry.on_demand && !will_be => {
            "ProvisionedThroughput must be specified when BillingMode is PROVISIONED"
        }
        _ => "",
    };
    if !why.is_empty() {
        let text = format!("One or more parameter values were invalid: {why}");
        return Err(ApiError::validation(text));
    }
    let units = write.map(options::of_number);
    if let Some(units) = &units {
        change.options.insert(options::WRITE.to_owned(), Some(units.clone()));
    }
    if will_be == entry.on_demand {
        return Ok(change);
    }
    for name in [options::READ, options::WRITE] {
        change.options.insert(name.to_owned(), units.clone());
        let of_index = units.clone().unwrap_or_else(|| options::of_number(0));
        for index in entry.indexes.iter().filter(|index| index.is_global()) {
            let options = change.index_options.entry(index.name.clone()).or_default();
            options.insert(name.to_owned(), of_index.clone());
        }
    }
    let known = options::number(&entry.options, options::ON_DEMAND_SINCE_MS);
    let since_ms = if will_be { now_ms } else { known.unwrap_or(entry.created_ms) };
    let since = options::of_number(since_ms);
    change.options.insert(options::ON_DEMAND_SINCE_MS.to_owned(), Some(since));
    Ok(change)
}

fn shown_settings(region: &Region, catalog: &Catalog, entry: &TableEntry) -> Value {
    let Throughput { read, write } = Throughput::of(&entry.options);
    let mode = if entry.on_demand { "PAY_PER_REQUEST" } else { "PROVISIONED" };
    let indexes = entry.indexes.iter().filter(|index| index.is_global()).map(|index| {
        let Throughput { read, write } = Throughput::of(&index.options);
        json!({
            "IndexName": index.name,
            "IndexStatus": "ACTIVE",
            "ProvisionedReadCapacityUnits": read,
            "ProvisionedWriteCapacityUnits": write,
        })
    });
    let indexes: Vec<Value> = indexes.collect();
    let group = group(region, catalog, entry);
    let replicas = group.iter().map(|(name, status)| {
        json!({
            "RegionName": name,
            "ReplicaStatus": status.name(),
            "ReplicaBillingModeSummary": { "BillingMode": mode },
            "ReplicaProvisionedReadCapacityUnits": read,
            "ReplicaProvisionedWriteCapacityUnits": write,
            "ReplicaGlobalSecondaryIndexSettings": indexes,
        })
    });
    let replicas: Vec<Value> = replicas.collect();
    json!({ "GlobalTableName": entry.name, "ReplicaSettings": replicas })
}
