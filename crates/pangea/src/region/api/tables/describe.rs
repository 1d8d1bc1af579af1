//! Tables as clients read them.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use pangea_codec::dynamo::response;
use pangea_codec::dynamo::table::{
    IndexView, ReplicaStatus, ReplicaView as Replica, TableStatus, TableView, options,
};
use pangea_core::catalog::{Catalog, ReplicaView, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::index::Index;

use super::busy::{self, Phase, phase};
use crate::region::Region;
use crate::versions::format_stamp;

/// What the answer to a change says of states, where it is not what a reader would find.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::region::api) struct Said<'s> {
    /// Of the table.
    pub(in crate::region::api) table: Option<TableStatus>,
    /// Of indexes, by name.
    pub(in crate::region::api) indexes: &'s [(String, TableStatus)],
    /// Of every index of which nothing else is said.
    pub(in crate::region::api) every_index: Option<TableStatus>,
    /// Whether the encryption is being changed.
    pub(in crate::region::api) encrypting: bool,
}

/// The description of a table under a member's name.
pub(in crate::region::api) fn describe_entry(
    region: &Arc<Region>,
    catalog: &Catalog,
    entry: &TableEntry,
    member: &str,
    said: Said<'_>,
) -> Vec<u8> {
    // DynamoDB shows the other regions only: the one that is asked speaks in `TableStatus`.
    let others = catalog.replicas(entry).into_iter().filter(|(slot, _)| *slot != region.slot);
    let (item_count, size_bytes) = region.table_size(entry.id);
    let view = TableView {
        entry,
        region: region.name.clone(),
        id: table_uuid(entry),
        status: said.table.unwrap_or_else(|| status_of(region, catalog, entry)),
        item_count,
        size_bytes,
        encrypting: said.encrypting,
        now_ms: region.clock.now().wall_ms,
        indexes: indexes_of(region, entry, said),
        replicas: others.map(|replica| replica_view(region, replica)).collect(),
    };
    response::table(member, &view)
}

/// Where a table is in its life, in this region.
pub(in crate::region::api) fn status_of(
    region: &Region,
    catalog: &Catalog,
    entry: &TableEntry,
) -> TableStatus {
    let is_home = entry.home == region.slot && !catalog.is_behind(entry, region.slot);
    if entry.deleted {
        TableStatus::Deleting
    } else if options::flag(&entry.options, options::RESTORING) {
        TableStatus::Creating
    } else if catalog.is_serving(entry, region.slot) || is_home {
        let is_changing = busy::is_updating(region, entry);
        if is_changing { TableStatus::Updating } else { TableStatus::Active }
    } else {
        TableStatus::Creating
    }
}

fn indexes_of(region: &Region, entry: &TableEntry, said: Said<'_>) -> Vec<IndexView> {
    if entry.indexes.is_empty() {
        return Vec::new();
    }
    let view = region.store.snapshot();
    let sizes = region.index_sizes(entry.id);
    // Of a change that was just begun the service does not say yet that an index is being filled.
    let status = |index: &Index| {
        let of_it = said.indexes.iter().find(|(name, _)| *name == index.name);
        if let Some(status) = of_it.map(|(_, status)| *status).or(said.every_index) {
            return (status, false);
        }
        let phase = match view.as_ref() {
            Ok(view) => phase(region, view, entry, index),
            Err(_) => Some(Phase::Filling),
        };
        let status = if phase.is_some() { TableStatus::Creating } else { TableStatus::Active };
        (status, phase == Some(Phase::Filling))
    };
    let shown = |index: &Index| {
        let (item_count, size_bytes) = sizes.get(&index.id).copied().unwrap_or_default();
        let (status, backfilling) = status(index);
        IndexView { status, backfilling, item_count, size_bytes }
    };
    entry.indexes.iter().map(shown).collect()
}

/// The table's identity in the form that clients expect: a UUID that looks like a random one, the
/// same in all regions.
pub(in crate::region::api) fn table_uuid(entry: &TableEntry) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(format_stamp(entry.id.0).as_bytes()).as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn replica_view(region: &Region, (slot, view): (RegionSlot, ReplicaView)) -> Replica {
    let status = replica_status(&view);
    let description = match view {
        ReplicaView::Failed(reason) => Some(reason),
        _ => None,
    };
    Replica { region: region.region_name(slot), status, description }
}

/// How a replica is shown.
pub(in crate::region::api) const fn replica_status(view: &ReplicaView) -> ReplicaStatus {
    match view {
        ReplicaView::Creating => ReplicaStatus::Creating,
        ReplicaView::Active => ReplicaStatus::Active,
        ReplicaView::Failed(_) => ReplicaStatus::CreationFailed,
        ReplicaView::Deleting => ReplicaStatus::Deleting,
    }
}
