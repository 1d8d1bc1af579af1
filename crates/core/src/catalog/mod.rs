//! The catalog: which tables exist, whose they are, and which regions hold a replica.
//!
//! Until a quorum carries it, the catalog is a system table on the same replication as the data.
//! Its rows never conflict, because each has one writer: a table's [`TableEntry`] is written by its
//! home region alone, and a [`ReplicaStatus`] by the region whose replica it describes.
//!
//! State: entries by table identity, statuses by table and region, and what each region says of the
//! membership. Every change arrives as a row (from the local node or from a peer) through
//! [`Catalog::observe`].
//!
//! A table's own replica list stands on top of the membership: what is asked of a table is answered
//! without the regions that are gone ([`mask`]), and the list itself stays as its home wrote it.

pub mod function;
mod mask;
mod place;
mod row;
mod settings;
mod streams;

pub use place::{Directory, Match, NOWHERE, Ownership, Placement, Rule};
pub use row::{entry_key, is_entry, status_key};
pub use settings::{
    Crdt, DURABILITY, Foreign, GROUP, MERGE, PLACEMENT, PREFIX, Policy, SESSION, SettingError,
    Settings, Tags,
};

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{Origin, Place, RegionSlot, TableId};
use crate::index::Index;
use crate::item::{Attributes, PrimaryKey};
use crate::ledger;
use crate::membership::{self, Membership, Voice, Voices};
use crate::replica::Snapshot;
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
    /// The region that alone changes this entry: the one that created the table, or another that
    /// took it over when that was gone.
    pub home: RegionSlot,
    /// The generation in which the home's life joined ([`Membership::since`]): in a later life it
    /// is the home no more.
    pub home_since: u32,
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
    /// Secondary indexes, local ones first, in the order in which they were asked for; those of
    /// vectors last.
    pub indexes: Vec<Index>,
    /// The identity of the next index.
    pub next_index: u32,
    /// Wall clock of the home region when the change stream was enabled, ms since 1970.
    pub stream_since_ms: u64,
    /// The attribute that says when an item expires, if items do.
    pub ttl: Option<String>,
    /// The past of the table is kept, to be restored from.
    pub history: bool,
    /// A replica takes the place of an empty table of this name that its region has for itself.
    pub adopts: bool,
    /// What is shown of the table and has no effect in the core; whoever shows it knows what it is.
    pub options: Attributes,
}

impl TableEntry {
    /// Whether `slot` shall hold the table.
    #[must_use]
    pub fn is_held_by(&self, slot: RegionSlot) -> bool {
        !self.deleted && (self.home == slot || self.replica(slot).is_some())
    }

    /// The index of this name.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// Whether changes of items go to the journal.
    #[must_use]
    pub const fn is_journaled(&self) -> bool {
        self.stream.is_some() || self.history
    }

    /// The wish that `slot` hold a replica.
    #[must_use]
    pub fn replica(&self, slot: RegionSlot) -> Option<ReplicaSpec> {
        self.replicas.iter().copied().find(|replica| replica.slot == slot)
    }

    /// Home and replicas, each once.
    pub fn holders(&self) -> impl Iterator<Item = RegionSlot> + '_ {
        let replicas = self.replicas.iter().map(|replica| replica.slot);
        core::iter::once(self.home).chain(replicas.filter(|&slot| slot != self.home))
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
    /// Not serving for now: of a table of a group more was written elsewhere than this region can
    /// take in at once, and readers would see it in parts.
    Behind,
    /// Cannot be created.
    Failed {
        /// For the operator.
        reason: String,
    },
    /// The wish for it is gone: rows are dropped when others have what was here by then, and kept
    /// as they come until that. If it is wished for again before its region knew, it begins anew.
    Leaving,
    /// Others have all that was here, and rows are being dropped: there is no way back.
    Dropping,
    /// Rows dropped.
    Removed,
}

impl ReplicaState {
    /// Whether the rows that the region ever had are there.
    const fn has_rows(&self) -> bool {
        matches!(self, Self::Creating | Self::Active { .. } | Self::Behind | Self::Leaving)
    }
}

/// What a region says of its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The life of the replica that this is about: [`ReplicaSpec::since`].
    pub since: Hlc,
    /// The generation in which the life of the region that says so joined.
    pub joined: u32,
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
    /// As their homes wrote them; shared with whoever was shown them.
    tables: BTreeMap<TableId, Arc<TableEntry>>,
    /// As they are without the regions that are gone; empty while none ever was.
    masked: BTreeMap<TableId, Arc<TableEntry>>,
    statuses: BTreeMap<(TableId, RegionSlot), ReplicaStatus>,
    /// The regions, as rules name them: from the topology, not from rows.
    pub directory: Arc<Directory>,
    voices: Voices,
    membership: Membership,
    /// Some table is, or was, in a group.
    grouped: bool,
}

impl Catalog {
    /// A catalog in which nothing is said yet, of regions that found the system.
    pub fn new(founders: impl IntoIterator<Item = RegionSlot>) -> Self {
        Self { membership: Membership::founders(founders), ..Self::default() }
    }

    /// Makes `founders` the members, if nothing was decided since.
    pub fn found(&mut self, founders: &[RegionSlot]) {
        if self.membership.generation == 0 && !founders.is_empty() {
            self.membership = Membership::founders(founders.iter().copied());
        }
    }

    /// Goes by another directory from now on.
    pub fn adopt(&mut self, directory: Arc<Directory>) {
        self.directory = directory;
        let tables = self.tables.values_mut().chain(self.masked.values_mut());
        tables.for_each(|entry| Arc::make_mut(entry).settings.bind(&self.directory));
        let tables: Vec<TableId> = self.tables.keys().copied().collect();
        tables.into_iter().for_each(|id| self.mask(id));
    }

    /// Takes in a row of the catalog table; a row that does not decode is ignored and `false`.
    pub fn observe(&mut self, key: &PrimaryKey, attributes: Option<&Attributes>) -> bool {
        if let Some(slot) = membership::slot_of(key) {
            let Some(voice) = attributes.and_then(membership::decode) else { return false };
            self.hear(slot, voice);
            return true;
        }
        match row::decode(key, attributes) {
            Some(row::Row::Entry(mut entry)) => {
                entry.settings.bind(&self.directory);
                self.put_entry(Arc::new(entry));
                true
            }
            Some(row::Row::Status(table, slot, status)) => {
                self.put_status((table, slot), status);
                true
            }
            None => false,
        }
    }

    /// Takes in a row of the catalog table as another catalog has it that goes by the same
    /// directory: what decoding it once more would come to. `false` if that one does not have it.
    pub fn observe_as(&mut self, other: &Self, key: &PrimaryKey) -> bool {
        if let Some(slot) = membership::slot_of(key) {
            let voice = other.voices.get(&slot).cloned();
            return voice.map(|voice| self.hear(slot, voice)).is_some();
        }
        let done = match row::named_by(key) {
            Some((table, None)) => {
                let entry = other.tables.get(&table).map(Arc::clone);
                entry.map(|entry| self.put_entry(entry))
            }
            Some((table, Some(slot))) => {
                let status = other.statuses.get(&(table, slot)).cloned();
                status.map(|status| self.put_status((table, slot), status))
            }
            None => None,
        };
        done.is_some()
    }

    fn put_entry(&mut self, entry: Arc<TableEntry>) {
        self.grouped |= entry.settings.group.is_some();
        let id = entry.id;
        self.tables.insert(id, entry);
        self.mask(id);
    }

    fn put_status(&mut self, (table, slot): (TableId, RegionSlot), status: ReplicaStatus) {
        self.statuses.insert((table, slot), status);
        self.mask(table);
    }

    fn hear(&mut self, slot: RegionSlot, voice: Voice) {
        let newer = voice.membership.generation > self.membership.generation;
        if newer {
            self.membership = voice.membership.clone();
        }
        self.voices.insert(slot, voice);
        if newer {
            let tables: Vec<TableId> = self.tables.keys().copied().collect();
            tables.into_iter().for_each(|id| self.mask(id));
        }
    }

    fn mask(&mut self, id: TableId) {
        if self.membership.generation > 0
            && let Some(entry) = self.tables.get(&id)
        {
            let statuses = self.statuses.range((id, RegionSlot::MIN)..=(id, RegionSlot::MAX));
            let left = statuses.filter(|((_, slot), status)| {
                self.speaks(*slot, status) && status.state.has_rows()
            });
            let left =
                left.map(|((_, slot), status)| ReplicaSpec { slot: *slot, since: status.since });
            let whole = |entry: &TableEntry, slot| self.is_whole(entry, slot);
            let masked = mask::masked(entry, &self.membership, &self.directory, left, whole);
            self.masked.insert(id, Arc::new(masked));
        }
    }

    /// The newest generation of the membership that anyone is known to know.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// What every region says of the membership, as far as it was heard.
    #[must_use]
    pub fn voices(&self) -> &Voices {
        &self.voices
    }

    /// The table of this identity, deleted or not, without the regions that are gone.
    #[must_use]
    pub fn get(&self, id: TableId) -> Option<&TableEntry> {
        self.shared(id).map(|entry| &**entry)
    }

    /// The same, for whoever keeps it while the catalog changes.
    #[must_use]
    pub fn shared(&self, id: TableId) -> Option<&Arc<TableEntry>> {
        self.masked.get(&id).or_else(|| self.tables.get(&id))
    }

    /// How many tables are known, deleted or not.
    #[must_use]
    pub fn table_count(&self) -> usize {
        self.tables.len()
    }

    /// The same as its home wrote it: what a change of it begins with.
    #[must_use]
    pub fn written(&self, id: TableId) -> Option<&TableEntry> {
        self.tables.get(&id).map(|entry| &**entry)
    }

    /// The table that region `slot` knows by `name`: held there, and neither deleted nor failed.
    #[must_use]
    pub fn find(&self, slot: RegionSlot, name: &str) -> Option<&TableEntry> {
        self.held_by(slot).find(|entry| entry.name == name)
    }

    /// The tables that `slot` holds or is about to hold, in the order of their identities.
    pub fn held_by(&self, slot: RegionSlot) -> impl Iterator<Item = &TableEntry> {
        self.tables().filter(move |entry| self.holds(slot, entry))
    }

    /// The table of this identity, if it is one of those.
    #[must_use]
    pub fn held(&self, slot: RegionSlot, id: TableId) -> Option<&TableEntry> {
        self.get(id).filter(|entry| self.holds(slot, entry))
    }

    fn holds(&self, slot: RegionSlot, entry: &TableEntry) -> bool {
        entry.is_held_by(slot)
            && !matches!(self.state(entry, slot), Some(ReplicaState::Failed { .. }))
    }

    /// Every table, deleted ones included, without the regions that are gone.
    pub fn tables(&self) -> impl Iterator<Item = &TableEntry> {
        self.shared_tables().map(|entry| &**entry)
    }

    /// The same, for whoever keeps them while the catalog changes.
    pub fn shared_tables(&self) -> impl Iterator<Item = &Arc<TableEntry>> {
        let tables = if self.masked.is_empty() { &self.tables } else { &self.masked };
        tables.values()
    }

    /// Whether `slot` serves reads and writes of the table.
    #[must_use]
    pub fn is_serving(&self, entry: &TableEntry, slot: RegionSlot) -> bool {
        match entry.replica(slot) {
            // Also of a home that took over and has not copied all of it yet.
            Some(_) => {
                let state = self.state(entry, slot);
                !entry.deleted && matches!(state, Some(ReplicaState::Active { .. }))
            }
            None => entry.is_held_by(slot) && !self.is_behind(entry, slot),
        }
    }

    /// The region that deletes what has expired of a table where each key has one that writes it:
    /// that one; for one that is gone, and writes nothing that is taken any more, the home.
    #[must_use]
    pub fn owner(&self, entry: &TableEntry, key: &PrimaryKey) -> RegionSlot {
        let owner = entry.settings.ownership.owner(&self.directory, key, entry.home);
        if self.membership.is_gone(owner) { entry.home } else { owner }
    }

    /// Whether any table is, or was, in a group.
    #[must_use]
    pub const fn is_grouped(&self) -> bool {
        self.grouped
    }

    /// The tables of groups that `slot` holds.
    pub fn grouped_at(&self, slot: RegionSlot) -> impl Iterator<Item = &TableEntry> {
        let tables = self.grouped.then(|| self.tables()).into_iter().flatten();
        tables.filter(move |entry| entry.settings.group.is_some() && entry.is_held_by(slot))
    }

    /// Whether `slot` has interrupted its service of the table. A home that is no replica says so
    /// in a status of no replica's life.
    #[must_use]
    pub fn is_behind(&self, entry: &TableEntry, slot: RegionSlot) -> bool {
        let since = entry.replica(slot).map_or(Hlc::ZERO, |replica| replica.since);
        let status = self.status(entry.id, slot);
        status.is_some_and(|it| it.since == since && it.state == ReplicaState::Behind)
    }

    /// Whether nothing of the table is missing at `slot`, as far as it has applied its peers' rows:
    /// it is home, or serves with nothing more to copy.
    #[must_use]
    pub fn is_whole(&self, entry: &TableEntry, slot: RegionSlot) -> bool {
        // What one that is gone had comes from the others now, and is asked of all of them.
        let nothing_pending = match self.state(entry, slot) {
            Some(ReplicaState::Active { pending }) => pending.is_empty(),
            _ => false,
        };
        let home = entry.replica(slot).is_none() && !self.is_behind(entry, slot);
        entry.is_held_by(slot) && (home || nothing_pending)
    }

    /// The tables of which `slot` has everything that it has applied of region `writer`: not those
    /// that it is still to copy from there.
    #[must_use]
    pub fn whole_of(&self, slot: RegionSlot, writer: RegionSlot) -> Vec<TableId> {
        let whole = |entry: &&TableEntry| match self.state(entry, slot) {
            Some(ReplicaState::Active { pending }) => !pending.contains(&writer),
            Some(ReplicaState::Behind) => true,
            Some(_) => false,
            None => entry.home == slot && entry.replica(slot).is_none(),
        };
        let held = self.tables().filter(|entry| entry.is_held_by(slot));
        held.filter(whole).map(|entry| entry.id).collect()
    }

    /// The state of the replica's current life, if its region has said anything of it.
    #[must_use]
    pub fn state(&self, entry: &TableEntry, slot: RegionSlot) -> Option<&ReplicaState> {
        let since = entry.replica(slot)?.since;
        let status = self.status(entry.id, slot)?;
        (status.since == since).then_some(&status.state)
    }

    /// What `slot` last said of its replica, of whatever life of that; nothing if the region is
    /// gone, or said so before it was.
    #[must_use]
    pub fn status(&self, id: TableId, slot: RegionSlot) -> Option<&ReplicaStatus> {
        let status = self.statuses.get(&(id, slot));
        status.filter(|status| self.speaks(slot, status))
    }

    fn speaks(&self, slot: RegionSlot, status: &ReplicaStatus) -> bool {
        !self.membership.is_gone(slot) && status.joined == self.membership.since(slot)
    }

    /// Whether `origin` may ever have written rows of the table that others do not all have: its
    /// region made it, or holds or held a replica and has not said that it is gone.
    #[must_use]
    pub fn may_have_rows_of(&self, entry: &TableEntry, origin: Origin) -> bool {
        let slot = origin.slot();
        let written = self.tables.get(&entry.id);
        let named = written.is_some_and(|it| it.is_held_by(slot) || it.id.0.origin.slot() == slot);
        match self.statuses.get(&(entry.id, slot)) {
            // Of the region's last life, that is: of an earlier one it says nothing.
            Some(ReplicaStatus { state: ReplicaState::Removed, joined, .. })
                if self.membership.is_gone(slot) || self.membership.admits(origin) =>
            {
                *joined != self.membership.since(slot) || entry.is_held_by(slot)
            }
            Some(_) => true,
            None => named,
        }
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
        let status = self.status(table, former.slot);
        let gone = ReplicaState::Removed;
        status.is_none_or(|status| status.since != former.since || status.state != gone)
    }

    /// A region that holds the table no more and has not said yet that others have all of it: that
    /// is behind all that it wrote.
    #[must_use]
    pub fn hands_over(&self, entry: &TableEntry) -> Option<RegionSlot> {
        let over = |former: &&ReplicaSpec| {
            let status = self.status(entry.id, former.slot);
            let status = status.filter(|status| status.since == former.since);
            let dropping = status.is_some_and(|it| it.state == ReplicaState::Dropping);
            !dropping && self.is_leaving(entry.id, former) && !entry.is_held_by(former.slot)
        };
        entry.former.iter().find(over).map(|former| former.slot)
    }

    /// Every replica to show, the home region first.
    #[must_use]
    pub fn replicas(&self, entry: &TableEntry) -> Vec<(RegionSlot, ReplicaView)> {
        let mut views = Vec::new();
        if entry.replica(entry.home).is_none() {
            let behind = self.is_behind(entry, entry.home);
            let view = if behind { ReplicaView::Creating } else { ReplicaView::Active };
            views.push((entry.home, view));
        }
        for spec in &entry.replicas {
            let view = (spec.slot, view_of(self.state(entry, spec.slot)));
            if spec.slot == entry.home { views.insert(0, view) } else { views.push(view) }
        }
        for (&(table, slot), status) in &self.statuses {
            let leaving = table == entry.id && !entry.is_held_by(slot);
            if leaving && self.speaks(slot, status) && status.state != ReplicaState::Removed {
                views.push((slot, ReplicaView::Deleting));
            }
        }
        views
    }

    /// Whether a row is to be sent to region `to`: filtered at the source.
    ///
    /// A replica that is leaving is served until it is gone: its region may not have heard, and
    /// what it acknowledges, writes, or passes on, shall rest on rows that it was given. That goes
    /// for the table's conflicts as well: where all others are given up it holds the table again,
    /// and no feed comes back to what it had withheld.
    #[must_use]
    pub fn is_sent(&self, to: RegionSlot, table: TableId, key: &PrimaryKey, place: Place) -> bool {
        let leaving = |entry: &TableEntry| {
            let mut former = entry.former.iter().filter(|former| former.slot == to);
            !entry.deleted && former.any(|former| self.is_leaving(entry.id, former))
        };
        let sent = |entry: &TableEntry| entry.is_held_by(to) || leaving(entry);
        self.is_row_of(to, (table, key, place), sent)
    }

    /// Whether what `origin` wrote of the table comes from where it was written: from a holder, in
    /// its present life. What others wrote is passed on by whoever holds the table.
    #[must_use]
    pub fn comes_first_hand(&self, entry: &TableEntry, origin: Origin) -> bool {
        entry.is_held_by(origin.slot()) && self.membership.admits(origin)
    }

    /// Whether a region shall have a row of the table that it receives.
    #[must_use]
    pub fn may_receive(
        &self,
        to: RegionSlot,
        table: TableId,
        key: &PrimaryKey,
        place: Place,
    ) -> bool {
        let held = |entry: &TableEntry| entry.is_held_by(to);
        self.is_row_of(to, (table, key, place), held)
    }

    /// Whether versions of an item that region `from` has may be such as `to` neither has nor knows
    /// of, because an attribute of theirs keeps them from it.
    #[must_use]
    pub fn hides(
        &self,
        table: TableId,
        key: &PrimaryKey,
        between: (RegionSlot, RegionSlot),
    ) -> bool {
        let placement = self.get(table).map(|entry| &entry.settings.placement);
        placement.is_some_and(|it| it.hides_between(&self.directory, key, between))
    }

    /// Whether a region keeps a row of the table that it receives: it shall have it, or it is
    /// leaving the table and has not begun to drop what it has.
    ///
    /// Until its region has said in band that a replica is leaving, others count on what it
    /// acknowledges; and where all others are given up before that, it holds the table again.
    #[must_use]
    pub fn keeps(&self, at: RegionSlot, table: TableId, key: &PrimaryKey, place: Place) -> bool {
        let left = |entry: &TableEntry| {
            let status = self.status(entry.id, at);
            !entry.deleted && status.is_some_and(|status| status.state.has_rows())
        };
        let kept = |entry: &TableEntry| entry.is_held_by(at) || left(entry);
        self.is_row_of(at, (table, key, place), kept)
    }

    /// Whether a row is one of the catalog, or of the ledger about one, or of a table like that
    /// which the region may have.
    fn is_row_of(
        &self,
        slot: RegionSlot,
        (table, key, place): (TableId, &PrimaryKey, Place),
        is_like: impl Fn(&TableEntry) -> bool,
    ) -> bool {
        let table = match table {
            TableId::LEDGER => ledger::table_of(key),
            other => Some(other),
        };
        if table == Some(TableId::CATALOG) {
            return true;
        }
        let entry = table.and_then(|table| self.get(table)).filter(|entry| is_like(entry));
        entry.is_some_and(|it| it.settings.placement.allows(&self.directory, place, slot))
    }
}

/// A table's entry as a store has it.
#[must_use]
pub fn entry_in(store: &impl Snapshot, table: TableId) -> Option<TableEntry> {
    let key = entry_key(table);
    let stored = store.item(&key)?;
    match row::decode(&key.primary, stored.greatest().body.attributes())? {
        row::Row::Entry(entry) => Some(entry),
        row::Row::Status(..) => None,
    }
}

fn view_of(state: Option<&ReplicaState>) -> ReplicaView {
    match state {
        None | Some(ReplicaState::Creating | ReplicaState::Behind) => ReplicaView::Creating,
        Some(ReplicaState::Active { .. }) => ReplicaView::Active,
        Some(ReplicaState::Failed { reason }) => ReplicaView::Failed(reason.clone()),
        Some(ReplicaState::Leaving | ReplicaState::Dropping | ReplicaState::Removed) => {
            ReplicaView::Deleting
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
