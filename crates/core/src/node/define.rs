//! Catalog changes by clients: tables made, changed and deleted by their home region.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Closed, Effect, Node, Outcome, Txn};
use crate::catalog::function::Module;
use crate::catalog::{
    ReplicaSpec, ReplicaState, ReplicaView, SettingError, Settings, StreamView, TableEntry, Tags,
    entry_key,
};
use crate::id::{Place, RegionSlot, RequestId, TableId};
use crate::index::{Index, IndexId};
use crate::item::{AttributeValue, Attributes};
use crate::replica::Snapshot;
use crate::table::Schema;
use crate::time::{Hlc, Now};

/// A change of the catalog.
#[derive(Clone, Debug)]
pub enum Change {
    /// Make a table; its home is this region.
    Create(NewTable),
    /// Change a table of this region.
    Update(TableUpdate),
    /// Delete a table of this region.
    Delete {
        /// The table's name.
        name: String,
    },
}

/// What a new table shall be.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// Name, already validated.
    pub name: String,
    /// Key schema.
    pub schema: Schema,
    /// Change stream.
    pub stream: Option<StreamView>,
    /// Billing mode, shown and nothing else.
    pub on_demand: bool,
    /// Whether DeleteTable shall be refused.
    pub deletion_protection: bool,
    /// Tags, settings among them.
    pub tags: Tags,
    /// The merge function, if the tags ask for one.
    pub module: Option<Arc<Module>>,
    /// Secondary indexes; their identities are given by the node.
    pub indexes: Vec<Index>,
    /// See [`TableEntry::options`].
    pub options: Attributes,
}

/// What shall change of a table; `None` and empty leave things as they are.
#[derive(Clone, Debug, Default)]
pub struct TableUpdate {
    /// The table's name.
    pub name: String,
    /// Regions that shall hold a replica.
    pub add: Vec<RegionSlot>,
    /// Regions that shall not any more.
    pub remove: Vec<RegionSlot>,
    /// Set or end the change stream.
    pub stream: Option<Option<StreamView>>,
    /// Billing mode.
    pub on_demand: Option<bool>,
    /// Deletion protection.
    pub deletion_protection: Option<bool>,
    /// Tags to set (`Some`) or to take away, settings among them.
    pub tags: BTreeMap<String, Option<String>>,
    /// Another merge function, for a table that has one or shall have one.
    pub module: Option<Arc<Module>>,
    /// Indexes to make; their identities are given by the node.
    pub add_indexes: Vec<Index>,
    /// Names of indexes to take away.
    pub remove_indexes: Vec<String>,
    /// What is shown of an index, by its name.
    pub index_options: BTreeMap<String, Attributes>,
    /// Set or end the expiry of items.
    pub ttl: Option<Option<String>>,
    /// Keep the past of the table, or not any more.
    pub history: Option<bool>,
    /// Replicas take the place of empty tables of this name from now on ([`TableEntry::adopts`]).
    pub adopts: bool,
    /// Members of [`TableEntry::options`] to set (`Some`) or to take away.
    pub options: BTreeMap<String, Option<AttributeValue>>,
}

/// Why a catalog change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefineRefusal {
    /// The name is taken in this region.
    #[error("table already exists: {0}")]
    Exists(String),
    /// No such table in this region.
    #[error("table not found: {0}")]
    NotFound(String),
    /// Only the home region changes a table.
    #[error("the table belongs to another region, which alone changes it")]
    NotHome(RegionSlot),
    /// The region already holds, or is about to hold, a replica.
    #[error("the region already holds a replica")]
    ReplicaExists(RegionSlot),
    /// The region holds no replica.
    #[error("the region holds no replica")]
    ReplicaMissing(RegionSlot),
    /// The home region's copy is not a replica to add or remove.
    #[error("the home region's copy can not be added or removed")]
    ReplicaIsHome(RegionSlot),
    /// Some items may be in no other region that holds the table.
    #[error("items of the table may be in no other region that holds it: add a replica first")]
    ReplicaNeeded(RegionSlot),
    /// A replica of an earlier life is still being deleted there.
    #[error("the region is still deleting its earlier replica")]
    ReplicaLeaving(RegionSlot),
    /// A replica is still on its way, so that nobody can tell yet who has whose rows.
    #[error("a replica of the table is still being created")]
    ReplicaCreating(RegionSlot),
    /// Replicas must go first.
    #[error("the table still has replicas")]
    HasReplicas,
    /// Global tables stream both images.
    #[error("a table with replicas needs its change stream")]
    StreamNeeded,
    /// Tags that are no settings, or a change of settings that is not safe.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The region is not a member any more.
    #[error("the region was evicted or removed")]
    RegionGone(RegionSlot),
    /// The table has an index of this name.
    #[error("the table already has an index {0}")]
    IndexExists(String),
    /// The table has no index of this name.
    #[error("the table has no index {0}")]
    IndexMissing(String),
    /// Deletion protection is on.
    #[error("deletion protection is enabled")]
    Protected,
}

impl Node {
    pub(super) fn define(
        &mut self,
        now: Now,
        request: RequestId,
        change: Change,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let leaves = self.closed() == Some(Closed::Leaving);
        if let Some(closed) =
            self.closed().filter(|_| !leaves || matches!(change, Change::Create(_)))
        {
            return self.reply_when_settled(vec![(request, Outcome::Closed(closed))], effects);
        }
        let is_new = matches!(change, Change::Create(_));
        let decided = match change {
            Change::Create(new) => self.create(now, new),
            Change::Update(update) => self.update(now, &update),
            Change::Delete { name } => self.delete(now, &name),
        };
        let entry = match decided {
            Ok(entry) => entry,
            Err(refusal) => {
                let denied = (request, Outcome::Denied(refusal));
                return self.reply_when_settled(vec![denied], effects);
            }
        };
        let mut txn = Txn::new(store);
        self.put_system(now, &mut txn, entry_key(entry.id), entry.to_attributes());
        if is_new {
            self.begin_indexes(&mut txn, &entry);
        }
        self.reconciled = false;
        self.persist(txn, vec![(request, Outcome::Defined(Box::new(entry)))], effects);
    }

    fn create(&mut self, now: Now, new: NewTable) -> Result<TableEntry, DefineRefusal> {
        let home = self.config.slot;
        if self.catalog.find(home, &new.name).is_some() {
            return Err(DefineRefusal::Exists(new.name));
        }
        let mut settings = Settings::parse(&new.tags, &new.schema)?;
        settings.provide(new.module)?;
        settings.check(&self.config.directory)?;
        let next_index = u32::try_from(new.indexes.len()).unwrap_or(u32::MAX);
        let numbered = (0..next_index).zip(new.indexes);
        let numbered = numbered.map(|(id, index)| Index { id: IndexId(id), ..index });
        Ok(TableEntry {
            indexes: numbered.collect(),
            next_index,
            stream_since_ms: now.wall_ms,
            ttl: None,
            history: false,
            adopts: false,
            options: new.options,
            id: TableId(self.issue(now, Hlc::ZERO)),
            name: new.name,
            home,
            home_since: self.catalog.membership().since(home),
            schema: new.schema,
            created_ms: now.wall_ms,
            stream: new.stream,
            on_demand: new.on_demand,
            deletion_protection: new.deletion_protection,
            replicas: Vec::new(),
            former: Vec::new(),
            deleted: false,
            tags: new.tags,
            settings,
        })
    }

    fn update(&mut self, now: Now, update: &TableUpdate) -> Result<TableEntry, DefineRefusal> {
        let mut entry = self.owned(now, &update.name)?;
        // Also while a replica that was taken away has not gone: it still writes.
        let shared = self.catalog.members(&entry).any(|slot| slot != self.config.slot);
        for &slot in &update.remove {
            self.may_remove(&entry, slot)?;
            entry.former.extend(entry.replica(slot));
            entry.replicas.retain(|replica| replica.slot != slot);
        }
        for &slot in &update.add {
            self.may_add(&entry, slot)?;
            let since = self.issue(now, Hlc::ZERO).hlc;
            entry.former.retain(|former| former.slot != slot);
            entry.replicas.push(ReplicaSpec { slot, since });
        }
        entry.adopts |= update.adopts;
        change_stream(now, &mut entry, update);
        change_features(&mut entry, update)?;
        entry.keep_history(update.history.unwrap_or(entry.history), now.wall_ms);
        if !entry.replicas.is_empty() && entry.stream.is_none() {
            return Err(DefineRefusal::StreamNeeded);
        }
        for (tag, value) in &update.tags {
            match value {
                Some(value) => entry.tags.insert(tag.clone(), value.clone()),
                None => entry.tags.remove(tag),
            };
        }
        let module = update.module.clone();
        let (policy, group) = (entry.settings.policy.clone(), entry.settings.group.clone());
        entry.settings = entry.settings.changed(&entry.tags, &entry.schema, module)?;
        entry.settings.check(&self.config.directory)?;
        if entry.settings.group.is_some() && entry.settings.group != group && shared {
            return Err(SettingError::Group.into());
        }
        if entry.settings.policy != policy {
            renew_indexes(&mut entry);
        }
        entry.on_demand = update.on_demand.unwrap_or(entry.on_demand);
        entry.deletion_protection = update.deletion_protection.unwrap_or(entry.deletion_protection);
        Ok(entry)
    }

    fn may_add(&self, entry: &TableEntry, slot: RegionSlot) -> Result<(), DefineRefusal> {
        if slot == entry.home {
            return Err(DefineRefusal::ReplicaIsHome(slot));
        }
        if entry.replica(slot).is_some() {
            return Err(DefineRefusal::ReplicaExists(slot));
        }
        if self.catalog.membership().is_gone(slot) {
            return Err(DefineRefusal::RegionGone(slot));
        }
        // Not only of this region: the last rows of a leaving replica reach its holders, but a new
        // one would copy from the home before they are there, and never see them.
        let shown = self.catalog.replicas(entry);
        let leaving = shown.into_iter().find(|(_, view)| *view == ReplicaView::Deleting);
        leaving.map_or(Ok(()), |(slot, _)| Err(DefineRefusal::ReplicaLeaving(slot)))
    }

    /// A replica may leave when every other has all it wrote, or will: not while one of them is
    /// still copying, because the leaving one may have withheld rows from a holder unknown to it.
    fn may_remove(&self, entry: &TableEntry, slot: RegionSlot) -> Result<(), DefineRefusal> {
        if slot == entry.home {
            return Err(DefineRefusal::ReplicaIsHome(slot));
        }
        if entry.replica(slot).is_none() {
            return Err(DefineRefusal::ReplicaMissing(slot));
        }
        let placement = &entry.settings.placement;
        let allowed = |place, slot| placement.allows(&self.config.directory, place, slot);
        for place in (1..=placement.0.len()).filter_map(|at| u8::try_from(at).ok()).map(Place) {
            let others = entry.holders().any(|other| other != slot && allowed(place, other));
            if allowed(place, slot) && !others {
                return Err(DefineRefusal::ReplicaNeeded(slot));
            }
        }
        let membership = self.catalog.membership();
        for replica in entry.replicas.iter().filter(|it| !membership.is_gone(it.slot)) {
            match self.catalog.state(entry, replica.slot) {
                Some(ReplicaState::Active { pending }) if pending.is_empty() => {}
                Some(ReplicaState::Failed { .. }) => {}
                _ => return Err(DefineRefusal::ReplicaCreating(replica.slot)),
            }
        }
        Ok(())
    }

    fn delete(&mut self, now: Now, name: &str) -> Result<TableEntry, DefineRefusal> {
        let mut entry = self.owned(now, name)?;
        if entry.deletion_protection {
            return Err(DefineRefusal::Protected);
        }
        let shown = self.catalog.get(entry.id).map_or(0, |it| self.catalog.replicas(it).len());
        if shown > 1 {
            return Err(DefineRefusal::HasReplicas);
        }
        entry.end_stream(now.wall_ms);
        entry.deleted = true;
        // Those of regions that are gone: nothing is asked of them when they come back.
        entry.replicas.clear();
        Ok(entry)
    }

    /// The table as this region, its home, may change it.
    fn owned(&mut self, now: Now, name: &str) -> Result<TableEntry, DefineRefusal> {
        let me = self.config.slot;
        match self.catalog.find(me, name) {
            None => Err(DefineRefusal::NotFound(name.into())),
            Some(entry) if entry.home != me => Err(DefineRefusal::NotHome(entry.home)),
            Some(entry) => {
                let id = entry.id;
                self.taken_over(now, id).ok_or(DefineRefusal::ReplicaCreating(me))
            }
        }
    }

    /// The entry of a table of which this region is home, with its own name in it: where the old
    /// home is gone, that becomes one of the replicas, to be there again if it comes back. `None`
    /// while this region has not copied all of the table, or has not heard all of the old home.
    pub(super) fn taken_over(&mut self, now: Now, id: TableId) -> Option<TableEntry> {
        let me = self.config.slot;
        let mut entry = self.catalog.written(id)?.clone();
        let since = self.catalog.membership().since(me);
        if entry.home == me && entry.home_since == since {
            return Some(entry);
        }
        // The old home's last words on the table may be with others: an entry that was made without
        // them would stand behind theirs, and rows that were written under them wait for ever.
        if !self.catalog.is_whole(self.catalog.get(id)?, me) || !self.has_levelled() {
            return None;
        }
        let before = core::mem::replace(&mut entry.home, me);
        entry.home_since = since;
        entry.replicas.retain(|replica| replica.slot != me && replica.slot != before);
        if before != me {
            let since = self.issue(now, Hlc::ZERO).hlc;
            entry.replicas.push(ReplicaSpec { slot: before, since });
        }
        Some(entry)
    }
}

/// Readers see other items under another policy, and no row changes: indexes are made anew.
fn renew_indexes(entry: &mut TableEntry) {
    for index in &mut entry.indexes {
        index.id = IndexId(entry.next_index);
        entry.next_index = entry.next_index.saturating_add(1);
    }
}

/// What a change asks of the stream: another view is another stream.
fn change_stream(now: Now, entry: &mut TableEntry, update: &TableUpdate) {
    let mut wanted = update.stream.unwrap_or(entry.stream);
    if !update.add.is_empty() {
        wanted = wanted.or(Some(StreamView::NewAndOldImages));
    }
    if wanted == entry.stream {
        return;
    }
    entry.end_stream(now.wall_ms);
    entry.stream = None;
    if let Some(view) = wanted {
        entry.begin_stream(view, now.wall_ms);
    }
}

/// What a change asks of indexes, expiry and what is only shown.
fn change_features(entry: &mut TableEntry, update: &TableUpdate) -> Result<(), DefineRefusal> {
    for name in &update.remove_indexes {
        if entry.index(name).is_none() {
            return Err(DefineRefusal::IndexMissing(name.clone()));
        }
        entry.indexes.retain(|index| index.name != *name);
    }
    for index in &update.add_indexes {
        if entry.index(&index.name).is_some() {
            return Err(DefineRefusal::IndexExists(index.name.clone()));
        }
        let id = IndexId(entry.next_index);
        entry.next_index = entry.next_index.saturating_add(1);
        entry.indexes.push(Index { id, ..index.clone() });
        entry.indexes.sort_by_key(|index| index.vector.is_some());
    }
    for (name, options) in &update.index_options {
        let index = entry.indexes.iter_mut().find(|index| index.name == *name);
        let index = index.ok_or_else(|| DefineRefusal::IndexMissing(name.clone()))?;
        index.options.extend(options.clone());
    }
    if let Some(ttl) = &update.ttl {
        entry.ttl.clone_from(ttl);
    }
    for (name, value) in &update.options {
        match value {
            Some(value) => entry.options.insert(name.clone(), value.clone()),
            None => entry.options.remove(name),
        };
    }
    Ok(())
}
