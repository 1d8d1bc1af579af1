//! The catalog: which tables exist, whose they are, and which regions hold a replica.
//!
//! Until a quorum carries it, the catalog is a system table on the same replication as the data.
//! Its rows never conflict, because each has one writer: a table's [`TableEntry`] is written by its
//! home region alone, and a [`ReplicaStatus`] by the region whose replica it describes.
//!
//! State: entries by table identity and statuses by table and region. Every change arrives as a row
//! (from the local node or from a peer) through [`Catalog::observe`].

pub mod function;
mod place;
mod row;
mod settings;

pub use place::{Directory, Match, Ownership, Placement, Rule};
pub use row::{entry_key, status_key};
pub use settings::{
    Crdt, DURABILITY, Foreign, MERGE, PREFIX, Policy, SESSION, SettingError, Settings, Tags,
};

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{Place, RegionSlot, TableId};
use crate::item::{Attributes, PrimaryKey};
use crate::ledger;
use crate::table::Schema;
use crate::time::Hlc;

/// What a change stream shows of each change (DynamoDB `StreamViewType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamView {
    /// Keys only.
    KeysOnly,
    /// The new image.
    NewImage,
    /// The old image.
    OldImage,
    /// Both images; what global tables need.
    NewAndOldImages,
}

/// That a region shall hold a replica of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaSpec {
    /// The region.
    pub slot: RegionSlot,
    /// When the home region decided so; tells a re-added replica from its earlier life.
    pub since: Hlc,
}

/// A table as its home region describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Identity.
    pub id: TableId,
    /// Name, unique among the tables of one region.
    pub name: String,
    /// The region that created the table and alone changes this entry.
    pub home: RegionSlot,
    /// Key schema.
    pub schema: Schema,
    /// Wall clock of the home region at creation, milliseconds since 1970.
    pub created_ms: u64,
    /// Change stream, if enabled.
    pub stream: Option<StreamView>,
    /// Billing mode as the client set it; has no effect beyond being shown.
    pub on_demand: bool,
    /// Whether DeleteTable is refused.
    pub deletion_protection: bool,
    /// Regions beside the home that shall hold the table.
    pub replicas: Vec<ReplicaSpec>,
    /// Replicas that were taken away: each is a member until its region says that its rows are
    /// dropped, also to whoever has not heard of it before.
    pub former: Vec<ReplicaSpec>,
    /// The table was deleted: every region drops its rows.
    pub deleted: bool,
    /// Tags as the client gave them.
    pub tags: Tags,
    /// What the tags ask for.
    pub settings: Settings,
}

impl TableEntry {
    /// Whether `slot` shall hold the table.
    #[must_use]
    pub fn is_held_by(&self, slot: RegionSlot) -> bool {
        !self.deleted && (self.home == slot || self.replica(slot).is_some())
    }

    /// The wish that `slot` hold a replica.
    #[must_use]
    pub fn replica(&self, slot: RegionSlot) -> Option<ReplicaSpec> {
        self.replicas.iter().copied().find(|replica| replica.slot == slot)
    }

    /// Home and replicas.
    pub fn holders(&self) -> impl Iterator<Item = RegionSlot> + '_ {
        core::iter::once(self.home).chain(self.replicas.iter().map(|replica| replica.slot))
    }
}

/// How far a region is with its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// Copying rows; neither reads nor writes are served.
    Creating,
    /// Serving. Copies from the `pending` regions, unreachable so far, are still to come.
    Active {
        /// Regions whose rows are still to be copied.
        pending: Vec<RegionSlot>,
    },
    /// Cannot be created.
    Failed {
        /// For the operator.
        reason: String,
    },
    /// Not serving any more, and not taking in what others write. The region says so before it
    /// leaves the first row out, so that nobody counts on it who has heard of the row.
    Leaving,
    /// Rows dropped.
    Removed,
}

/// What a region says of its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The life of the replica that this is about: [`ReplicaSpec::since`].
    pub since: Hlc,
    /// How far it is.
    pub state: ReplicaState,
}

/// How a replica is shown (DynamoDB `ReplicaStatus`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaView {
    /// `CREATING`.
    Creating,
    /// `ACTIVE`.
    Active,
    /// `CREATION_FAILED`, with the reason.
    Failed(String),
    /// `DELETING`.
    Deleting,
}

/// All tables that a region has heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    tables: BTreeMap<TableId, TableEntry>,
    statuses: BTreeMap<(TableId, RegionSlot), ReplicaStatus>,
    /// The regions, as rules name them: from the topology, not from rows.
    pub directory: Arc<Directory>,
}

impl Catalog {
    /// Of nothing but the topology's regions.
    #[must_use]
    pub fn of(directory: Arc<Directory>) -> Self {
        Self { directory, ..Self::default() }
    }

    /// Goes by another directory from now on.
    pub fn adopt(&mut self, directory: Arc<Directory>) {
        self.directory = directory;
        let tables = self.tables.values_mut();
        tables.for_each(|entry| entry.settings.bind(&self.directory));
    }

    /// Takes in a row of the catalog table; a row that does not decode is ignored and `false`.
    pub fn observe(&mut self, key: &PrimaryKey, attributes: Option<&Attributes>) -> bool {
        match row::decode(key, attributes) {
            Some(row::Row::Entry(mut entry)) => {
                entry.settings.bind(&self.directory);
                self.tables.insert(entry.id, entry);
                true
            }
            Some(row::Row::Status(table, slot, status)) => {
                self.statuses.insert((table, slot), status);
                true
            }
            None => false,
        }
    }

    /// The table of this identity, deleted or not.
    #[must_use]
    pub fn get(&self, id: TableId) -> Option<&TableEntry> {
        self.tables.get(&id)
    }

    /// The table that region `slot` knows by `name`: held there, and neither deleted nor failed.
    #[must_use]
    pub fn find(&self, slot: RegionSlot, name: &str) -> Option<&TableEntry> {
        self.held_by(slot).find(|entry| entry.name == name)
    }

    /// The tables that `slot` holds or is about to hold, in the order of their identities.
    pub fn held_by(&self, slot: RegionSlot) -> impl Iterator<Item = &TableEntry> {
        self.tables.values().filter(move |entry| {
            entry.is_held_by(slot)
                && !matches!(self.state(entry, slot), Some(ReplicaState::Failed { .. }))
        })
    }

    /// Every table, deleted ones included.
    pub fn tables(&self) -> impl Iterator<Item = &TableEntry> {
        self.tables.values()
    }

    /// Whether `slot` serves reads and writes of the table.
    #[must_use]
    pub fn is_serving(&self, entry: &TableEntry, slot: RegionSlot) -> bool {
        entry.is_held_by(slot)
            && (entry.home == slot
                || matches!(self.state(entry, slot), Some(ReplicaState::Active { .. })))
    }

    /// The state of the replica's current life, if its region has said anything of it.
    #[must_use]
    pub fn state(&self, entry: &TableEntry, slot: RegionSlot) -> Option<&ReplicaState> {
        let since = entry.replica(slot)?.since;
        let status = self.statuses.get(&(entry.id, slot))?;
        (status.since == since).then_some(&status.state)
    }

    /// What `slot` last said of its replica, of whatever life.
    #[must_use]
    pub fn status(&self, id: TableId, slot: RegionSlot) -> Option<&ReplicaStatus> {
        self.statuses.get(&(id, slot))
    }

    /// The regions whose rows of the table may still be on their way: home and replicas, except
    /// those that cannot be created and never write, and replicas that were taken away until their
    /// regions say, behind all that they wrote, that they are gone.
    pub fn members(&self, entry: &TableEntry) -> impl Iterator<Item = RegionSlot> {
        let failed = |slot| matches!(self.state(entry, slot), Some(ReplicaState::Failed { .. }));
        let holders = entry.holders().filter(move |&slot| !failed(slot));
        let leaving = entry.former.iter().filter(|former| self.is_leaving(entry.id, former));
        holders.chain(leaving.map(|former| former.slot))
    }

    /// Whether a region has not said yet that the replica that was taken away from it is gone.
    fn is_leaving(&self, table: TableId, former: &ReplicaSpec) -> bool {
        let status = self.statuses.get(&(table, former.slot));
        let gone = ReplicaState::Removed;
        status.is_none_or(|status| status.since != former.since || status.state != gone)
    }

    /// Every replica to show, the home region first.
    #[must_use]
    pub fn replicas(&self, entry: &TableEntry) -> Vec<(RegionSlot, ReplicaView)> {
        let mut views = Vec::from([(entry.home, ReplicaView::Active)]);
        for spec in &entry.replicas {
            views.push((spec.slot, view_of(self.state(entry, spec.slot))));
        }
        for (&(table, slot), status) in &self.statuses {
            let leaving = table == entry.id && !entry.is_held_by(slot);
            if leaving && status.state != ReplicaState::Removed {
                views.push((slot, ReplicaView::Deleting));
            }
        }
        views
    }

    /// Whether a row is to be sent to region `to`: filtered at the source.
    ///
    /// A replica that is leaving is served until it is gone: its region may not have heard, and
    /// what it acknowledges, and writes, shall rest on rows that it was given.
    #[must_use]
    pub fn is_sent(&self, to: RegionSlot, table: TableId, key: &PrimaryKey, place: Place) -> bool {
        let leaving = |entry: &TableEntry| {
            let placement = &entry.settings.placement;
            let mut former = entry.former.iter().filter(|former| former.slot == to);
            !entry.deleted
                && former.any(|former| self.is_leaving(table, former))
                && placement.allows(&self.directory, place, to)
        };
        self.may_receive(to, table, key, place) || self.get(table).is_some_and(leaving)
    }

    /// Whether a region that receives a row of the table shall keep it.
    #[must_use]
    pub fn may_receive(
        &self,
        to: RegionSlot,
        table: TableId,
        key: &PrimaryKey,
        place: Place,
    ) -> bool {
        let held = |id| {
            self.get(id).is_some_and(|entry| {
                let placement = &entry.settings.placement;
                entry.is_held_by(to) && placement.allows(&self.directory, place, to)
            })
        };
        match table {
            TableId::CATALOG => true,
            TableId::LEDGER => ledger::table_of(key).is_some_and(held),
            other => held(other),
        }
    }
}

fn view_of(state: Option<&ReplicaState>) -> ReplicaView {
    match state {
        None | Some(ReplicaState::Creating) => ReplicaView::Creating,
        Some(ReplicaState::Active { .. }) => ReplicaView::Active,
        Some(ReplicaState::Failed { reason }) => ReplicaView::Failed(reason.clone()),
        Some(ReplicaState::Leaving | ReplicaState::Removed) => ReplicaView::Deleting,
    }
}

#[cfg(test)]
mod tests;
