//! Tables as the admin API and the command line show them.

use std::collections::BTreeMap;

use pangea_core::catalog::{Catalog, ReplicaView, TableEntry};
use pangea_core::id::RegionSlot;
use serde::{Deserialize, Serialize};

use crate::versions::format_stamp;
use crate::wasm::ModuleId;

/// One table, as one region knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableReport {
    /// Its name.
    pub name: String,
    /// Its identity, which tells tables of one name apart.
    pub id: String,
    /// The region that alone changes its settings.
    pub home: String,
    /// The regions that hold it, home first; those that do not serve it yet have their state.
    pub replicas: Vec<String>,
    /// The merge policy.
    pub merge: String,
    /// Identity of the merge function of the policy `wasm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// How often its settings were changed.
    pub epoch: u16,
    /// Tags, settings among them.
    pub tags: BTreeMap<String, String>,
}

impl TableReport {
    /// From a catalog's entry.
    pub(crate) fn of(
        catalog: &Catalog,
        entry: &TableEntry,
        name: impl Fn(RegionSlot) -> String,
    ) -> Self {
        let replica = |(slot, view): (RegionSlot, ReplicaView)| match view {
            ReplicaView::Active => name(slot),
            ReplicaView::Creating => format!("{}(CREATING)", name(slot)),
            ReplicaView::Failed(_) => format!("{}(CREATION_FAILED)", name(slot)),
            ReplicaView::Deleting => format!("{}(DELETING)", name(slot)),
        };
        Self {
            name: entry.name.clone(),
            id: format_stamp(entry.id.0),
            home: name(entry.home),
            replicas: catalog.replicas(entry).into_iter().map(replica).collect(),
            merge: entry.settings.policy.as_str().to_string(),
            module: entry.settings.policy.module().map(|it| ModuleId(it.id).to_string()),
            epoch: entry.settings.epoch,
            tags: entry.tags.clone(),
        }
    }
}

/// Where a region answers how its indexes stand against its items.
pub const VERIFY: &str = "/v1/tables/verify";

/// An index against the items of its table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexReport {
    /// Its name.
    pub index: String,
    /// Whether it is filled.
    pub ready: bool,
    /// Items that belong in it.
    pub items: u64,
    /// Those of them that are not in it.
    pub missing: u64,
    /// Entries that should not be there.
    pub surplus: u64,
}

/// The indexes of a table in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Which region.
    pub region: String,
    /// Which table.
    pub table: String,
    /// Each of its indexes.
    pub indexes: Vec<IndexReport>,
}
