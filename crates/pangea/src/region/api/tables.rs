//! Tables: made, changed, described, listed, deleted.

use std::sync::Arc;

use pangea_codec::dynamo::request::{
    BillingMode, CreateTable, ListTables, ReplicaUpdate, StreamSpecification, StreamView,
    TableRequest, UpdateTable,
};
use pangea_codec::dynamo::table::{
    ReplicaStatus, ReplicaView as Replica, StreamInfo, TableStatus, TableView,
};
use pangea_codec::dynamo::{ApiError, ErrorKind, response};
use pangea_core::catalog::{Catalog, ReplicaView, StreamView as View, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::node::{Change, DefineRefusal, NewTable, Outcome, TableUpdate};

use super::{internal, write_fault};
use crate::region::{Region, settings};
use crate::versions::format_stamp;

pub(super) async fn create(region: &Arc<Region>, create: CreateTable) -> Result<Vec<u8>, ApiError> {
    let module = region.functions.declared(&create.table);
    let new = NewTable {
        name: create.table.clone(),
        schema: create.schema,
        stream: create.stream.and_then(stream_of),
        on_demand: create.billing == BillingMode::PayPerRequest,
        deletion_protection: create.deletion_protection,
        tags: settings::tags_of(region, &create.table, create.tags),
        module,
        indexes: Vec::new(),
        options: Default::default(),
    };
    let entry = define(region, &create.table, Change::Create(new)).await?;
    Ok(describe_entry(region, &region.catalog(), &entry, "TableDescription"))
}

pub(super) async fn update(region: &Arc<Region>, update: UpdateTable) -> Result<Vec<u8>, ApiError> {
    let mut change = TableUpdate {
        name: update.table.clone(),
        stream: update.stream.map(stream_of),
        on_demand: update.billing.map(|billing| billing == BillingMode::PayPerRequest),
        deletion_protection: update.deletion_protection,
        ..TableUpdate::default()
    };
    for replica in &update.replicas {
        let slot = slot_of(region, replica.region())?;
        match replica {
            ReplicaUpdate::Create { .. } => change.add.push(slot),
            ReplicaUpdate::Delete { .. } => change.remove.push(slot),
            // Nothing of a replica can be set apart from its table yet.
            ReplicaUpdate::Update { .. } => {}
        }
    }
    let entry = define(region, &update.table, Change::Update(change)).await?;
    Ok(describe_entry(region, &region.catalog(), &entry, "TableDescription"))
}

fn slot_of(region: &Region, name: &str) -> Result<RegionSlot, ApiError> {
    region.slot_of(name).ok_or_else(|| {
        let known: Vec<&str> = region.topology.regions.iter().map(|it| it.name.as_str()).collect();
        let known = known.join(", ");
        ApiError::validation(format!("Region {name} is not in the topology; there are {known}"))
    })
}

pub(super) async fn delete(
    region: &Arc<Region>,
    delete: &TableRequest,
) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let name = delete.table.clone();
    let entry = define(region, &delete.table, Change::Delete { name }).await?;
    Ok(describe_entry(region, &catalog, &entry, "TableDescription"))
}

pub(super) fn describe(region: &Arc<Region>, describe: &TableRequest) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = catalog.find(region.slot, &describe.table);
    let entry = entry.ok_or_else(|| not_found(&describe.table))?;
    Ok(describe_entry(region, &catalog, entry, "Table"))
}

pub(super) fn list(region: &Region, list: &ListTables) -> Vec<u8> {
    let catalog = region.catalog();
    let mut names: Vec<String> =
        catalog.held_by(region.slot).map(|entry| entry.name.clone()).collect();
    names.sort_unstable();
    let start = list.start.clone();
    let mut rest = names.into_iter().filter(|name| start.as_ref().is_none_or(|from| name > from));
    let page: Vec<String> = rest.by_ref().take(list.limit).collect();
    let more = rest.next().is_some();
    let last = page.last().filter(|_| more).cloned();
    response::list_tables(&page, last.as_deref())
}

async fn define(region: &Region, name: &str, change: Change) -> Result<TableEntry, ApiError> {
    match region.writer.define(change).await.map_err(write_fault)? {
        Outcome::Defined(entry) => Ok(entry),
        Outcome::Denied(refusal) => Err(denied(region, name, &refusal)),
        _ => Err(internal("the writer answered another question")),
    }
}

fn not_found(name: &str) -> ApiError {
    let text = format!("Requested resource not found: Table: {name} not found");
    ApiError::new(ErrorKind::ResourceNotFound, text)
}

fn denied(region: &Region, name: &str, refusal: &DefineRefusal) -> ApiError {
    let of = |slot: &RegionSlot| region.region_name(*slot);
    match refusal {
        DefineRefusal::Exists(_) => {
            ApiError::new(ErrorKind::ResourceInUse, format!("Table already exists: {name}"))
        }
        DefineRefusal::NotFound(_) => not_found(name),
        DefineRefusal::NotHome(home) => ApiError::validation(format!(
            "Table {name} belongs to {}, which alone changes it: send this request there",
            of(home)
        )),
        DefineRefusal::Setting(error) => ApiError::validation(error.to_string()),
        DefineRefusal::ReplicaExists(slot) => {
            let region = of(slot);
            ApiError::validation(format!(
                "Failed to create the new replica of table {name} in {region}: the replica \
                 already exists"
            ))
        }
        DefineRefusal::ReplicaMissing(slot) => {
            let text = format!("Table {name} has no replica in {}", of(slot));
            ApiError::new(ErrorKind::ReplicaNotFound, text)
        }
        DefineRefusal::ReplicaIsHome(slot) => ApiError::validation(format!(
            "{} is the home region of table {name}; its copy cannot be added or removed",
            of(slot)
        )),
        DefineRefusal::ReplicaNeeded(slot) => ApiError::validation(format!(
            "{} can not give up its replica of table {name}: items of it may be in no other region \
             that holds the table; add a replica there first",
            of(slot)
        )),
        DefineRefusal::ReplicaCreating(slot) => ApiError::new(
            ErrorKind::ResourceInUse,
            format!("{} is still creating its replica of table {name}", of(slot)),
        ),
        DefineRefusal::ReplicaLeaving(slot) => ApiError::new(
            ErrorKind::ResourceInUse,
            format!("{} is still deleting its earlier replica of table {name}", of(slot)),
        ),
        DefineRefusal::RegionGone(slot) => ApiError::validation(format!(
            "{} does not take part any more: it was evicted or removed",
            of(slot)
        )),
        DefineRefusal::HasReplicas => ApiError::validation(format!(
            "Table {name} still has replicas: delete them first, by UpdateTable"
        )),
        DefineRefusal::IndexExists(index) => ApiError::validation(format!(
            "Attempting to create an index which already exists: {index}"
        )),
        DefineRefusal::IndexMissing(index) => ApiError::new(
            ErrorKind::ResourceNotFound,
            format!("Requested resource not found: Index: {index} not found"),
        ),
        DefineRefusal::StreamNeeded => ApiError::validation(format!(
            "Table {name} has replicas: its stream cannot be disabled"
        )),
        DefineRefusal::Protected => ApiError::validation(format!(
            "Resource cannot be deleted as it is currently protected against deletion. Disable \
             deletion protection first. Table: {name}"
        )),
    }
}

fn describe_entry(
    region: &Arc<Region>,
    catalog: &Catalog,
    entry: &TableEntry,
    member: &str,
) -> Vec<u8> {
    // DynamoDB shows the other regions only: the one that is asked speaks in `TableStatus`.
    let others = catalog.replicas(entry).into_iter().filter(|(slot, _)| *slot != region.slot);
    let status = if entry.deleted {
        TableStatus::Deleting
    } else if catalog.is_serving(entry, region.slot) || entry.home == region.slot {
        TableStatus::Active
    } else {
        TableStatus::Creating
    };
    let billing = if entry.on_demand {
        BillingMode::PayPerRequest
    } else {
        BillingMode::Provisioned { read: 0, write: 0 }
    };
    let (item_count, size_bytes) = region.table_size(entry.id);
    let view = TableView {
        name: entry.name.clone(),
        region: region.name.clone(),
        id: table_uuid(entry),
        status,
        schema: entry.schema.clone(),
        created_ms: entry.created_ms,
        item_count,
        size_bytes,
        billing,
        stream: entry.stream.map(|view| StreamInfo {
            view: stream_view(view),
            label: label(entry.stream_since_ms),
        }),
        deletion_protection: entry.deletion_protection,
        replicas: others.map(|replica| replica_view(region, replica)).collect(),
    };
    response::table(member, &view)
}

/// The table's identity in the form that clients expect.
fn table_uuid(entry: &TableEntry) -> String {
    let digits = format_stamp(entry.id.0);
    let hex = format!("{digits:0>32}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// DynamoDB labels streams with the time of their creation.
pub(super) fn label(ms: u64) -> String {
    let date = time_text(ms / 1000);
    format!("{date}.{:03}", ms % 1000)
}

/// UTC as `YYYY-MM-DDTHH:MM:SS` (civil-from-days, after Howard Hinnant's public derivation).
fn time_text(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

fn replica_view(region: &Region, (slot, view): (RegionSlot, ReplicaView)) -> Replica {
    let (status, description) = match view {
        ReplicaView::Creating => (ReplicaStatus::Creating, None),
        ReplicaView::Active => (ReplicaStatus::Active, None),
        ReplicaView::Failed(reason) => (ReplicaStatus::CreationFailed, Some(reason)),
        ReplicaView::Deleting => (ReplicaStatus::Deleting, None),
    };
    Replica { region: region.region_name(slot), status, description }
}

fn stream_of(specification: StreamSpecification) -> Option<View> {
    match specification {
        StreamSpecification::Enabled(view) => View::parse(view.name()),
        StreamSpecification::Disabled => None,
    }
}

fn stream_view(view: View) -> StreamView {
    match view {
        View::KeysOnly => StreamView::KeysOnly,
        View::NewImage => StreamView::NewImage,
        View::OldImage => StreamView::OldImage,
        View::NewAndOldImages => StreamView::NewAndOldImages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_labels_are_utc_times() {
        assert_eq!(label(0), "1970-01-01T00:00:00.000");
        assert_eq!(label(951_782_400_123), "2000-02-29T00:00:00.123");
        assert_eq!(label(1_735_689_599_999), "2024-12-31T23:59:59.999");
    }
}
