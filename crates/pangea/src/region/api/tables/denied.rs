//! Why a change of the catalog is refused, in the words of the API.

use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::id::RegionSlot;
use pangea_core::node::DefineRefusal;

use super::not_found;
use crate::region::Region;

pub(super) fn denied(region: &Region, name: &str, refusal: &DefineRefusal) -> ApiError {
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
        DefineRefusal::ReplicaExists(_) => ApiError::validation(format!(
            "Failed to create a the new replica of table with name: ‘{name}’ because one or more \
             replicas already existed as tables."
        )),
        DefineRefusal::ReplicaMissing(slot) => replica_missing(&of(slot)),
        // The home region is the one that does the change, whichever was asked for it.
        DefineRefusal::ReplicaIsHome(_) => ApiError::validation(
            "Cannot add or delete the local region through ReplicaUpdates. Use CreateTable, \
             DeleteTable, or UpdateTable as required.",
        ),
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
        DefineRefusal::IndexExists(_) => {
            ApiError::validation("Attempting to create an index which already exists")
        }
        DefineRefusal::IndexMissing(index) => ApiError::new(
            ErrorKind::ResourceNotFound,
            format!("Requested resource not found: Index {index} for table {name}"),
        ),
        DefineRefusal::StreamNeeded => ApiError::validation(format!(
            "Table {name} has replicas: its stream cannot be disabled"
        )),
        DefineRefusal::Protected => ApiError::validation(
            "Resource cannot be deleted as it is currently protected against deletion. Disable \
             deletion protection first.",
        ),
    }
}

/// The refusal of a change of a replica that there is not.
pub(in crate::region::api) fn replica_missing(region: &str) -> ApiError {
    ApiError::validation(format!(
        "Update global table operation failed because one or more replicas were not part of the \
         global table. Please retry the request without these replicas: [{region}]."
    ))
}
