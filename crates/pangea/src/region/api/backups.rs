//! Backups: consistent copies of a table's view, kept in this region's store beside the rows.
//!
//! A backup is copied from one snapshot, in chunks, on a thread of its own: neither the writer nor
//! clients wait for it. One whose process ended before it was whole is removed by the next.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use pangea_codec::dynamo::backup::{self, BackupArn, BackupStatus, BackupView};
use pangea_codec::dynamo::request::{BackupRequest, CreateBackup, ListBackups};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::{Catalog, TableEntry, entry_key};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{AttributeValue, Attributes};
use pangea_core::journal::HISTORY_KEPT_MS;
use pangea_core::time::{Hlc, Stamp};
use tokio::task::spawn_blocking;

use super::tables::table_uuid;
use super::{Trouble, internal, restore, store_fault};
use crate::region::Region;
use crate::storage::{Fault, StoreView};

/// Bytes of items of one chunk, about.
const CHUNK_BYTES: usize = 256 * 1024;

/// Answers a request about backups and restores.
pub(super) async fn answer(
    region: &Arc<Region>,
    request: BackupRequest,
) -> Result<Vec<u8>, Trouble> {
    let here = Arc::clone(region);
    Ok(match request {
        BackupRequest::CreateBackup(create) => {
            super::blocking(move || begin(&here, &create)).await?
        }
        BackupRequest::DescribeBackup(arn) => {
            super::blocking(move || Ok(backup::described(&find(&here, &arn)?))).await?
        }
        BackupRequest::DeleteBackup(arn) => super::blocking(move || delete(&here, &arn)).await?,
        BackupRequest::ListBackups(wanted) => super::blocking(move || list(&here, &wanted)).await?,
        BackupRequest::RestoreTableFromBackup(restore) => {
            restore::from_backup(region, restore).await?
        }
        BackupRequest::RestoreTableToPointInTime(restore) => {
            restore::to_moment(region, restore).await?
        }
    })
}

/// There is no such table.
pub(super) fn no_table(name: &str) -> ApiError {
    ApiError::new(ErrorKind::TableNotFound, format!("Table not found: {name}"))
}

fn begin(region: &Arc<Region>, create: &CreateBackup) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = super::serving(region, &catalog, &create.table);
    let entry = entry.map_err(|_| no_table(&create.table))?.clone();
    let snapshot = region.store.snapshot();
    let snapshot = snapshot.map_err(|fault| store_fault(region, fault))?;
    Ok(backup::created(&make(region, entry, &create.name, None, snapshot)?))
}

/// The last copy of a table that keeps its past and is being deleted.
pub(super) fn last(
    region: &Arc<Region>,
    entry: TableEntry,
    snapshot: StoreView,
) -> Result<(), ApiError> {
    let name = format!("{}$DeletedTableBackup", entry.name);
    make(region, entry, &name, Some(HISTORY_KEPT_MS), snapshot).map(|_| ())
}

/// Begins to copy a table as a snapshot has it, for good or for so long.
fn make(
    region: &Arc<Region>,
    entry: TableEntry,
    name: &str,
    kept_ms: Option<u64>,
    snapshot: StoreView,
) -> Result<BackupView, ApiError> {
    let made_ms = region.clock.now().wall_ms;
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(|error| internal(error.to_string()))?;
    let salt = u64::from_be_bytes(salt);
    let made = BackupView {
        arn: BackupArn::new(&region.name, &entry.name, made_ms, salt),
        name: name.to_owned(),
        status: BackupStatus::Creating,
        made_ms,
        expires_ms: kept_ms.map(|kept_ms| made_ms + kept_ms),
        bytes: 0,
        items: 0,
        region: region.name.clone(),
        table_id: table_uuid(&entry),
        entry,
    };
    let put = region.store.put_backup(&made.arn.id, head_of(&made));
    put.map_err(|fault| internal(fault.to_string()))?;
    let (region, mut view) = (Arc::clone(region), made.clone());
    spawn_blocking(move || {
        if let Err(fault) = copy(&region, &snapshot, &mut view) {
            tracing::error!(error = %fault, backup = view.arn.text, "a backup failed");
            region.repairs.suspicion().of(&fault);
            let _ = region.store.remove_backup(&view.arn.id);
        }
    });
    Ok(made)
}

/// Copies what readers see of the table, and then says that it is whole.
fn copy(region: &Region, snapshot: &StoreView, view: &mut BackupView) -> Result<(), Fault> {
    let (mut chunk, mut chunk_bytes, mut number) = (Vec::new(), 0, 0);
    let (mut items, mut bytes, mut failed) = (0, 0, None);
    let id = view.arn.id.clone();
    let mut flush = |chunk: &mut Vec<Attributes>| {
        let put = region.store.put_backup_items(&id, number, chunk);
        number += 1;
        chunk.clear();
        put
    };
    let table = (view.entry.id, &view.entry.settings.policy);
    snapshot.scan(table, None, None, |_, item, size| {
        (items, bytes, chunk_bytes) = (items + 1, bytes + size as u64, chunk_bytes + size);
        chunk.push(item.clone());
        if chunk_bytes >= CHUNK_BYTES {
            chunk_bytes = 0;
            failed = flush(&mut chunk).err();
        }
        if failed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    failed.map_or(Ok(()), Err)?;
    flush(&mut chunk)?;
    (view.items, view.bytes, view.status) = (items, bytes, BackupStatus::Available);
    region.store.put_backup(&view.arn.id, head_of(view))
}

fn delete(region: &Region, arn: &BackupArn) -> Result<Vec<u8>, ApiError> {
    let mut view = find(region, arn)?;
    whole(&view)?;
    idle(region, arn, "table")?;
    let removed = region.store.remove_backup(&view.arn.id);
    removed.map_err(|fault| internal(fault.to_string()))?;
    view.status = BackupStatus::Deleted;
    Ok(backup::described(&view))
}

/// Refuses a backup that a table is being restored from (the words are the service's, measured by
/// the ACK project's users in October 2026).
pub(super) fn idle(region: &Region, arn: &BackupArn, what: &str) -> Result<(), ApiError> {
    let catalog = region.catalog();
    let is_read = |entry: &TableEntry| restore::backup_of(entry) == Some(arn.text.as_str());
    if !catalog.held_by(region.slot).any(is_read) {
        return Ok(());
    }
    let text = format!("Backup is being used to restore {what}: {}", arn.text);
    Err(ApiError::new(ErrorKind::BackupInUse, text))
}

/// Refuses a backup that is still being made.
pub(super) fn whole(view: &BackupView) -> Result<(), ApiError> {
    if view.status == BackupStatus::Available {
        return Ok(());
    }
    let text = format!("Backup is being created: {}", view.arn.text);
    Err(ApiError::new(ErrorKind::BackupInUse, text))
}

fn list(region: &Region, wanted: &ListBackups) -> Result<Vec<u8>, ApiError> {
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let mut found = all(region, &view)?;
    let start = wanted.start.as_ref();
    found.retain(|it| {
        let is_wanted = if it.expires_ms.is_some() { wanted.of_deleted } else { wanted.of_users };
        is_wanted
            && wanted.table.as_ref().is_none_or(|table| *table == it.entry.name)
            && (wanted.from_ms..wanted.until_ms).contains(&it.made_ms)
            && start.is_none_or(|start| it.arn.id > start.id)
    });
    let more = found.len() > wanted.limit;
    found.truncate(wanted.limit);
    Ok(backup::list(&found, more))
}

/// The backup of this name.
pub(super) fn find(region: &Region, arn: &BackupArn) -> Result<BackupView, ApiError> {
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let found = all(region, &view)?.into_iter().find(|it| it.arn.text == arn.text);
    found.ok_or_else(|| arn.missing())
}

/// All that there are; one whose time is over is removed where it is met.
fn all(region: &Region, view: &StoreView) -> Result<Vec<BackupView>, ApiError> {
    let heads = view.backups().map_err(|fault| store_fault(region, fault))?;
    let mut found: Vec<BackupView> =
        heads.iter().filter_map(|(_, head)| view_of(region, head)).collect();
    let now_ms = region.clock.now().wall_ms;
    for over in found.extract_if(.., |view| is_over(view, now_ms)) {
        let removed = region.store.remove_backup(&over.arn.id);
        removed.map_err(|fault| store_fault(region, fault))?;
    }
    Ok(found)
}

fn is_over(view: &BackupView, now_ms: u64) -> bool {
    view.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
}

/// Removes what an earlier process did not end, and what is over.
pub(in crate::region) fn tidy(region: &Region) -> Result<(), Fault> {
    let now_ms = region.clock.now().wall_ms;
    for (id, head) in region.store.snapshot()?.backups()? {
        let stays =
            |view: BackupView| view.status == BackupStatus::Available && !is_over(&view, now_ms);
        if !view_of(region, &head).is_some_and(stays) {
            region.store.remove_backup(&id)?;
        }
    }
    Ok(())
}

fn head_of(view: &BackupView) -> Attributes {
    let stamp = view.entry.id.0;
    let mut id = stamp.hlc.to_bits().to_be_bytes().to_vec();
    id.extend_from_slice(&stamp.origin.to_bits().to_be_bytes());
    let number = |value: u64| AttributeValue::B(value.to_be_bytes().into());
    let mut head = BTreeMap::from([
        ("arn".to_string(), AttributeValue::S(view.arn.text.clone())),
        ("name".to_string(), AttributeValue::S(view.name.clone())),
        ("whole".to_string(), AttributeValue::Bool(view.status == BackupStatus::Available)),
        ("made_ms".to_string(), number(view.made_ms)),
        ("bytes".to_string(), number(view.bytes)),
        ("items".to_string(), number(view.items)),
        ("id".to_string(), AttributeValue::B(id)),
        ("table".to_string(), AttributeValue::M(view.entry.to_attributes())),
    ]);
    if let Some(expires_ms) = view.expires_ms {
        head.insert("expires_ms".to_string(), number(expires_ms));
    }
    head
}

/// The inverse of [`head_of`].
fn view_of(region: &Region, head: &Attributes) -> Option<BackupView> {
    let text = |name: &str| match head.get(name)? {
        AttributeValue::S(text) => Some(text.clone()),
        _ => None,
    };
    let bytes = |name: &str| match head.get(name)? {
        AttributeValue::B(bytes) => Some(bytes.as_slice()),
        _ => None,
    };
    let number = |name: &str| Some(u64::from_be_bytes(bytes(name)?.try_into().ok()?));
    let AttributeValue::M(table) = head.get("table")? else { return None };
    let (hlc, origin) = bytes("id")?.split_at_checked(8)?;
    let hlc = Hlc::from_bits(u64::from_be_bytes(hlc.try_into().ok()?));
    let origin = Origin::from_bits(u16::from_be_bytes(origin.try_into().ok()?));
    let entry = entry_of(TableId(Stamp { hlc, origin }), table)?;
    let whole = head.get("whole") == Some(&AttributeValue::Bool(true));
    Some(BackupView {
        arn: BackupArn::parse(&text("arn")?).ok()?,
        name: text("name")?,
        status: if whole { BackupStatus::Available } else { BackupStatus::Creating },
        made_ms: number("made_ms")?,
        expires_ms: number("expires_ms"),
        bytes: number("bytes")?,
        items: number("items")?,
        region: region.name.clone(),
        table_id: table_uuid(&entry),
        entry,
    })
}

fn entry_of(id: TableId, row: &Attributes) -> Option<TableEntry> {
    let mut catalog = Catalog::default();
    catalog.observe(&entry_key(id).primary, Some(row));
    catalog.get(id).cloned()
}
