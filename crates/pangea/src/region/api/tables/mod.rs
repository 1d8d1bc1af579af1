//! Tables: made, changed, described, listed, deleted.

mod busy;
mod denied;
mod describe;
mod quota;

use std::sync::Arc;

use hyper::{HeaderMap, StatusCode};
use pangea_codec::dynamo::request::{
    CreateTable, ListTables, ReplicaAction, StreamSpecification, TableRequest, UpdateTable,
    WitnessUpdate, not_allowed,
};
use pangea_codec::dynamo::table::{TableStatus, options};
use pangea_codec::dynamo::{ApiError, ErrorKind, NamedArn, response};
use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::item::{AttributeValue, Number};
use pangea_core::node::{Change, DefineRefusal, NewTable, Outcome};
use serde_json::json;

use super::{Handled, Trouble, backups, internal, store_fault, write_fault};
use crate::region::settings::{self, Unruly};
use crate::region::{Region, forward};
pub(super) use busy::{early, phase};
use denied::denied;
pub(super) use denied::replica_missing;
pub(super) use describe::{Said, describe_entry, replica_status, status_of, table_uuid};
pub(super) use quota::TABLE_UNITS_MAX;

pub(super) async fn create(region: &Arc<Region>, create: CreateTable) -> Result<Vec<u8>, Trouble> {
    let module = region.functions.declared(&create.table);
    let mut shown = create.options;
    if shown.contains_key(options::POLICY) {
        let revision = options::of_text(&region.clock.now().wall_ms.to_string());
        shown.insert(options::POLICY_REVISION.to_owned(), revision);
    }
    let new = NewTable {
        name: create.table.clone(),
        schema: create.schema,
        stream: create.stream.and_then(|stream| match stream {
            StreamSpecification::Enabled(view) => Some(view.into()),
            StreamSpecification::Disabled => None,
        }),
        on_demand: create.on_demand,
        deletion_protection: create.deletion_protection,
        tags: settings::tags_of(region, &create.table, create.tags),
        module,
        indexes: create.indexes,
        options: shown,
    };
    quota::check_new(&region.name, &new)?;
    let entry = define(region, &create.table, Change::Create(new)).await?;
    let making = Some(TableStatus::Creating);
    let said = Said { table: making, every_index: making, ..Said::default() };
    Ok(describe_entry(region, &region.catalog(), &entry, "TableDescription", said))
}

pub(super) async fn update(region: &Arc<Region>, update: UpdateTable) -> Result<Vec<u8>, Trouble> {
    let _turn = region.changing.lock().await;
    let catalog = region.catalog();
    let before = made_of(region, &catalog, &update.table)?.clone();
    busy::check_update(region, &before, &update)?;
    let mut change = update.change(&before, region.clock.now().wall_ms)?;
    busy::check_indexes(region, &before, &change)?;
    quota::check_change(&region.name, &change)?;
    check_witness(region, &update, &before)?;
    for replica in &update.replicas {
        let slot = slot_of(region, &replica.region)?;
        match replica.action {
            ReplicaAction::Create => change.add.push(slot),
            ReplicaAction::Delete => change.remove.push(slot),
            // What is set apart for a replica is only shown.
            ReplicaAction::Update => {
                if slot != before.home && !before.replicas.iter().any(|it| it.slot == slot) {
                    return Err(replica_missing(&replica.region).into());
                }
            }
        }
    }
    let after = define(region, &update.table, Change::Update(change)).await?;
    let (shown, indexes) = as_updating(&update, &before, after);
    let table = update.takes_time().then_some(TableStatus::Updating);
    let encrypting = update.encryption.is_some();
    let said = Said { table, indexes: &indexes, encrypting, ..Said::default() };
    Ok(describe_entry(region, &region.catalog(), &shown, "TableDescription", said))
}

/// Refuses a witness where there is a replica, or no region.
fn check_witness(
    region: &Region,
    update: &UpdateTable,
    entry: &TableEntry,
) -> Result<(), ApiError> {
    let Some(WitnessUpdate::Create(name)) = &update.witness else { return Ok(()) };
    let slot = slot_of(region, name)?;
    let is_held = entry.home == slot || entry.replicas.iter().any(|it| it.slot == slot);
    if !is_held && !update.replicas.iter().any(|replica| replica.region == *name) {
        return Ok(());
    }
    let text = format!(
        "One or more parameter values were invalid: A witness is in a region without a replica: \
         {name} has one"
    );
    Err(ApiError::validation(text))
}

/// The table as the answer to a change of it shows it: with the capacity, the class and the key of
/// before, and with the indexes that are being taken away.
fn as_updating(
    update: &UpdateTable,
    before: &TableEntry,
    after: TableEntry,
) -> (TableEntry, Vec<(String, TableStatus)>) {
    let mut shown = after;
    if update.throughput.is_some() || update.class.is_some() {
        for name in [options::READ, options::WRITE, options::CLASS, options::CLASS_MS] {
            match before.options.get(name) {
                Some(value) => shown.options.insert(name.to_owned(), value.clone()),
                None => shown.options.remove(name),
            };
        }
    }
    if update.encryption.is_some()
        && let Some(key) = before.options.get(options::SSE_KEY)
    {
        shown.options.entry(options::SSE_KEY.to_owned()).or_insert_with(|| key.clone());
    }
    // A limit that is taken away is told of once more, as what takes it away.
    let limits = update.limits.unwrap_or_default();
    for (name, units) in [(options::MAX_READ, limits.read), (options::MAX_WRITE, limits.write)] {
        if units == Some(-1) {
            shown.options.insert(name.to_owned(), AttributeValue::N(Number::from(-1)));
        }
    }
    let (made, gone, changed) = update.index_names();
    let mut indexes = Vec::new();
    let named = [
        (made, TableStatus::Creating),
        (gone.clone(), TableStatus::Deleting),
        (changed, TableStatus::Updating),
    ];
    for (names, status) in named {
        indexes.extend(names.into_iter().map(|name| (name.to_owned(), status)));
    }
    let leaving = before.indexes.iter().filter(|index| gone.contains(&index.name.as_str()));
    shown.indexes.extend(leaving.cloned());
    (shown, indexes)
}

/// The region of this name.
pub(super) fn slot_of(region: &Region, name: &str) -> Result<RegionSlot, ApiError> {
    region.slot_of(name).ok_or_else(|| {
        let known: Vec<&str> = region.topology.regions.iter().map(|it| it.name.as_str()).collect();
        let known = known.join(", ");
        ApiError::validation(format!(
            "Region {name} is not supported. The latest version of global tables are only \
             supported in the following regions: [{known}]"
        ))
    })
}

/// Refuses a table's ARN with a region that there is not, or with another account. The service
/// takes no region but its own (measured by the ACK project's users in October 2026); here an
/// application may be moved to another region, and keeps the ARNs that it has.
pub(super) fn check_arn(region: &Region, operation: &str, body: &[u8]) -> Result<(), ApiError> {
    match NamedArn::of(body) {
        Some(named) if named.is_name && region.slot_of(named.region()).is_none() => {
            Err(ApiError::validation(format!(
                "1 validation error detected: Invalid AWS region in '{}'",
                named.arn
            )))
        }
        Some(named) if named.is_foreign() => Err(not_allowed(operation, &named.arn)),
        _ => Ok(()),
    }
}

pub(super) async fn delete(
    region: &Arc<Region>,
    delete: &TableRequest,
) -> Result<Vec<u8>, Trouble> {
    let turn = region.changing.lock().await;
    let catalog = region.catalog();
    let name = delete.table.clone();
    if let Some(entry) = catalog.find(region.slot, &name).filter(|it| it.home != region.slot) {
        if entry.deletion_protection {
            return Err(denied(region, &name, &DefineRefusal::Protected).into());
        }
        return Err(Trouble::Replica(Box::new(entry.clone())));
    }
    if catalog.find(region.slot, &name).is_some_and(is_restoring) {
        let text = format!(
            "Attempt to change a resource which is still in use: Table is being created: {name}"
        );
        return Err(ApiError::new(ErrorKind::ResourceInUse, text).into());
    }
    if let Some(entry) = catalog.find(region.slot, &name).filter(|it| !it.deletion_protection) {
        busy::check_deletion(region, entry)?;
    }
    let kept = catalog.find(region.slot, &name).filter(|it| it.history_since_ms().is_some());
    let snapshot = kept.map(|_| region.store.snapshot()).transpose();
    let snapshot = snapshot.map_err(|fault| store_fault(region, fault))?;
    let entry = define(region, &delete.table, Change::Delete { name }).await?;
    drop(turn);
    if let Some((kept, snapshot)) = kept.cloned().zip(snapshot) {
        let here = Arc::clone(region);
        super::blocking(move || backups::last(&here, kept, snapshot).map(|()| Vec::new())).await?;
    }
    Ok(describe_entry(region, &catalog, &entry, "TableDescription", Said::default()))
}

/// Whether a restore of it is under way.
pub(super) fn is_restoring(entry: &TableEntry) -> bool {
    options::flag(&entry.options, options::RESTORING)
}

/// Deletes this region's replica of a table of another region, which is what `DeleteTable` asks for
/// where it is sent to a replica.
pub(super) async fn leave(
    region: &Arc<Region>,
    entry: &TableEntry,
    headers: &HeaderMap,
) -> Result<Handled, ApiError> {
    let body = json!({
        "TableName": entry.name,
        "ReplicaUpdates": [{ "Delete": { "RegionName": region.name } }],
    });
    let target = "DynamoDB_20120810.UpdateTable";
    let onward = forward::Request::for_client(headers, target, body.to_string().into());
    let answered = forward::first(region, &[entry.home], &onward, false).await;
    let answer =
        answered.map_err(|error| internal(format!("the home region of the table was {error}")))?;
    if answer.status() != StatusCode::OK {
        return Ok(Handled::Elsewhere(answer));
    }
    let said = Said { table: Some(TableStatus::Deleting), ..Said::default() };
    let catalog = region.catalog();
    Ok(Handled::Here(describe_entry(region, &catalog, entry, "TableDescription", said)))
}

pub(super) fn describe(region: &Arc<Region>, describe: &TableRequest) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = entry_of(region, &catalog, &describe.table)?;
    Ok(describe_entry(region, &catalog, entry, "Table", Said::default()))
}

/// The table that this region holds, or is about to hold, under a name.
pub(super) fn entry_of<'c>(
    region: &Region,
    catalog: &'c Catalog,
    name: &str,
) -> Result<&'c TableEntry, ApiError> {
    catalog.find(region.slot, name).ok_or_else(|| not_found(name))
}

/// As [`entry_of`], but one that is being restored is not found: so say all operations on what a
/// table has, but `DescribeTable` and `DeleteTable` (measured on the service by the ACK project's
/// users, October 2026).
pub(super) fn made_of<'c>(
    region: &Region,
    catalog: &'c Catalog,
    name: &str,
) -> Result<&'c TableEntry, ApiError> {
    let entry = entry_of(region, catalog, name)?;
    if is_restoring(entry) { Err(not_found(name)) } else { Ok(entry) }
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

/// Has the writer change the catalog; a table of another region is changed there.
pub(super) async fn define(
    region: &Region,
    name: &str,
    change: Change,
) -> Result<TableEntry, Trouble> {
    settings::check_rules(region, &change).await.map_err(|unruly| match unruly {
        Unruly::Refused(text) => ApiError::validation(text),
        Unruly::Fault(fault) => store_fault(region, fault),
    })?;
    match region.writer.define(change).await.map_err(write_fault)? {
        Outcome::Defined(entry) => Ok(*entry),
        Outcome::Denied(refusal) => {
            let error = denied(region, name, &refusal);
            Err(match refusal {
                DefineRefusal::NotHome(home) => Trouble::Home(home, error),
                _ => error.into(),
            })
        }
        _ => Err(internal("the writer answered another question").into()),
    }
}

pub(super) fn not_found(name: &str) -> ApiError {
    let text = format!("Requested resource not found: Table: {name} not found");
    ApiError::new(ErrorKind::ResourceNotFound, text)
}
