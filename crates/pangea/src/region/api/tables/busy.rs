//! What takes a while on the service: how long it is shown here, and what is refused meanwhile.
//!
//! Here a change is in place when it is answered. Clients that follow the service's documentation
//! wait for the end of it, and those that do not are refused there; so it is shown, for a moment.

use pangea_codec::dynamo::request::{UpdateTable, busy};
use pangea_codec::dynamo::table::options;
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::TableEntry;
use pangea_core::index::Index;
use pangea_core::item::Attributes;
use pangea_core::node::TableUpdate;

use crate::region::Region;
use crate::storage::StoreView;

/// How long a table is being updated, ms: longer than a client needs to ask for it.
const UPDATING_MS: u64 = 500;

/// How long an index of vectors that is added to a table is in its first phase, ms, and how long it
/// is at least until it is searched: clients that follow the service's advice look for both (half a
/// minute and some more there, and seldom more than every five seconds). It is filled meanwhile.
const VECTORS_ALLOCATING_MS: u64 = 2_000;
const VECTORS_MAKING_MS: u64 = 8_000;

/// How far an index is that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::region::api) enum Phase {
    /// It was asked for a moment ago: the table is being updated, and it cannot be taken away.
    Allocating,
    /// It is being filled.
    Filling,
}

/// How long ago, ms, the time of this name is. A time to come is none: a clock that was set back
/// shall not keep a table from being changed.
fn age(region: &Region, options: &Attributes, name: &str) -> Option<u64> {
    region.clock.now().wall_ms.checked_sub(options::number(options, name)?)
}

/// How far an index is said to be that was added a moment ago, however far it is.
pub(in crate::region::api) fn early(region: &Region, index: &Index) -> Option<Phase> {
    let (allocating_ms, making_ms) = match index.vector {
        Some(_) => (VECTORS_ALLOCATING_MS, VECTORS_MAKING_MS),
        None => (UPDATING_MS, UPDATING_MS),
    };
    match age(region, &index.options, options::SINCE_MS)? {
        age if age < allocating_ms => Some(Phase::Allocating),
        age if age < making_ms => Some(Phase::Filling),
        _ => None,
    }
}

/// How far an index is; `None` of one that is ready.
pub(in crate::region::api) fn phase(
    region: &Region,
    view: &StoreView,
    entry: &TableEntry,
    index: &Index,
) -> Option<Phase> {
    early(region, index).or_else(|| match view.is_index_ready(entry.id, index.id) {
        Ok(true) => None,
        _ => Some(Phase::Filling),
    })
}

/// The indexes of a table that are still being made here.
fn making<'e>(region: &Region, entry: &'e TableEntry) -> Vec<(&'e Index, Phase)> {
    if entry.indexes.is_empty() {
        return Vec::new();
    }
    let Ok(view) = region.store.snapshot() else { return Vec::new() };
    let making = |index: &'e Index| Some((index, phase(region, &view, entry, index)?));
    entry.indexes.iter().filter_map(making).collect()
}

/// Whether a change of this name began a moment ago.
fn is_recent(region: &Region, entry: &TableEntry, name: &str) -> bool {
    age(region, &entry.options, name).is_some_and(|age| age < UPDATING_MS)
}

/// Whether the table is being updated: itself, or as an index is made or taken away.
pub(super) fn is_updating(region: &Region, entry: &TableEntry) -> bool {
    is_recent(region, entry, options::UPDATED_MS) || are_indexes_updating(region, entry)
}

fn are_indexes_updating(region: &Region, entry: &TableEntry) -> bool {
    is_recent(region, entry, options::INDEX_GONE_MS)
        || making(region, entry).iter().any(|(_, phase)| *phase == Phase::Allocating)
}

fn in_use(why: &str) -> ApiError {
    let text = format!("Attempt to change a resource which is still in use: {why}");
    ApiError::new(ErrorKind::ResourceInUse, text)
}

/// Refuses a change of a table that is being updated; one index after the other has a refusal of
/// its own.
pub(super) fn check_update(
    region: &Region,
    entry: &TableEntry,
    update: &UpdateTable,
) -> Result<(), ApiError> {
    let is_other = update.changes_indexes() && !is_recent(region, entry, options::UPDATED_MS);
    if is_other && is_recent(region, entry, options::INDEX_GONE_MS) {
        return Err(busy());
    }
    let is_refused = if update.is_taken_meanwhile() {
        are_indexes_updating(region, entry)
    } else {
        !is_other && is_updating(region, entry)
    };
    if is_refused {
        return Err(in_use(&format!("Table is being updated: {}", entry.name)));
    }
    Ok(())
}

/// Refuses a change of indexes while another index is being made: the one that is may be taken
/// away, if it is being filled.
pub(super) fn check_indexes(
    region: &Region,
    entry: &TableEntry,
    change: &TableUpdate,
) -> Result<(), ApiError> {
    if change.add_indexes.is_empty() && change.remove_indexes.is_empty() {
        return Ok(());
    }
    let making = making(region, entry);
    let Some((index, phase)) = making.first() else { return Ok(()) };
    let cancels = making.len() == 1
        && change.add_indexes.is_empty()
        && change.remove_indexes == [index.name.as_str()];
    match phase {
        _ if !cancels => Err(busy()),
        Phase::Filling => Ok(()),
        Phase::Allocating => Err(in_use(&format!(
            "Index creation is in resource allocation phase. Retry deletion during backfilling \
             phase or when the index is active. Table: {} Index: {}",
            entry.name, index.name
        ))),
    }
}

/// Refuses to delete a table that is being updated, or to which an index is being added.
pub(super) fn check_deletion(region: &Region, entry: &TableEntry) -> Result<(), ApiError> {
    let is_added = |index: &Index| index.options.contains_key(options::SINCE_MS);
    if making(region, entry).iter().any(|(index, _)| index.vector.is_some() || is_added(index)) {
        return Err(in_use(
            "Cannot delete table while indexes are being created, updated, or deleted.",
        ));
    }
    if is_updating(region, entry) {
        return Err(in_use(&format!("Table is being updated: {}", entry.name)));
    }
    Ok(())
}
