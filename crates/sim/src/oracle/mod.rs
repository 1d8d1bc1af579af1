//! What truly happened: every version ever issued, with its true causal past.
//!
//! State: the history of versions, and what clients were told. Nothing here looks at the version
//! vectors under test: a version's past is what its region's state had absorbed when it was issued,
//! and a state absorbs a version when a batch that came of receiving it changes the item.

mod site;

pub(crate) use site::Site;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use pangea_core::id::{Origin, TableId};
use pangea_core::item::ItemKey;
use pangea_core::merge::{Stored, Version};
use pangea_core::node::Token;
use pangea_core::replica::Batch;
use pangea_core::replica::Snapshot as _;
use pangea_core::time::{Hlc, Stamp};

use crate::bits::{Bits, VERSIONS_MAX};
use crate::deed::Deed;
use crate::digest::Digest;
use crate::disk::{Held, Write};
use crate::invariants::expiry::{self, Pass};
use crate::invariants::group::{self, Newest};
use crate::invariants::{
    Checked, changes, clock, collection, identity, nothing_vanishes, single_writer,
};

/// A user version's place in the history of all.
pub(crate) type VersionId = usize;
/// An item's place in the list of all.
pub(crate) type KeyId = usize;

/// One version that some region issued.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) key: KeyId,
    /// Place in the item's own history.
    pub(crate) nth: usize,
    pub(crate) region: usize,
    /// What it does.
    pub(crate) deed: Deed,
    /// What its region showed of tables in groups when it was issued.
    pub(crate) rests_on: Rc<Newest>,
    /// The row as its region wrote it.
    pub(crate) held: Rc<Held>,
    pub(crate) durable: bool,
    pub(crate) acked: bool,
    /// A crash took it before it was durable: it never was.
    pub(crate) lost: bool,
}

impl Issued {
    pub(crate) fn version(&self) -> &Version {
        self.held.stored.greatest()
    }

    /// Everything that its region had absorbed of the item, and the version itself.
    pub(crate) fn past(&self) -> Bits {
        self.held.absorbed
    }
}

/// One user item and the versions of it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) key: Rc<ItemKey>,
    pub(crate) versions: Vec<VersionId>,
}

/// What a stamp names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dot {
    /// The first of so many versions, which one transaction wrote.
    User(VersionId, usize),
    /// A row of the catalog or the ledger, by a digest of its key.
    System(u64),
}

/// What a client asked and has not been answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) region: usize,
    /// The items of a write, and what the region showed of each when it was asked.
    pub(crate) writes: Vec<(ItemKey, Option<Stamp>)>,
    /// Which operator asked.
    pub(crate) operator: Option<usize>,
}

/// Where a batch comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) region: usize,
    pub(crate) me: Origin,
    /// User rows of the frame that the node was handling, in the order of their items.
    pub(crate) received: &'a [(KeyId, VersionId)],
    /// What the feeder of a copy had forgotten, if it tells what it has collected.
    pub(crate) inherited: &'a [(Rc<ItemKey>, Bits)],
    /// What the node was handling was a pass over items that may have expired.
    pub(crate) pass: Option<Pass>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    pub(crate) versions: Vec<Issued>,
    pub(crate) items: Vec<Item>,
    ids: BTreeMap<Rc<ItemKey>, KeyId>,
    dots: BTreeMap<Stamp, Dot>,
    /// What each life of a region issued, in order, without what crashes took.
    pub(crate) by_origin: BTreeMap<Origin, Vec<VersionId>>,
    pub(crate) asked: BTreeMap<u64, Asked>,
    /// What the write under way does to which items.
    pub(crate) deeds: Vec<(ItemKey, Deed)>,
    /// Versions that were on one disk alone when that was lost.
    pub(crate) perished: BTreeSet<VersionId>,
    /// Per item, what deletes that were collected had overwritten: a region that comes back forgets
    /// that it knew, and perhaps nobody else ever did.
    buried: BTreeMap<KeyId, Bits>,
    /// Changes of tables that were acknowledged: the stamp of the table's row of the catalog.
    pub(crate) changes: Vec<(TableId, Stamp)>,
    /// Tables that some region has deleted, durably.
    pub(crate) deleted: BTreeSet<TableId>,
    /// Items that rotted anywhere.
    pub(crate) rotted: BTreeSet<KeyId>,
    /// Those that rotted everywhere.
    pub(crate) given_up: BTreeSet<KeyId>,
    /// Tombstones dropped, and rows shortened, each region counted.
    pub(crate) collected: u64,
    pub(crate) shortened: u64,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self {
            versions: Vec::new(),
            items: Vec::new(),
            ids: BTreeMap::new(),
            dots: BTreeMap::new(),
            by_origin: BTreeMap::new(),
            asked: BTreeMap::new(),
            deeds: Vec::new(),
            perished: BTreeSet::new(),
            changes: Vec::new(),
            deleted: BTreeSet::new(),
            rotted: BTreeSet::new(),
            given_up: BTreeSet::new(),
            buried: BTreeMap::new(),
            collected: 0,
            shortened: 0,
        }
    }

    /// The newest reading that any other region has issued.
    pub(crate) fn newest_of_others(&self, site: &Site) -> Hlc {
        let others = self.dots.keys().filter(|stamp| stamp.origin != site.origin);
        others.map(|stamp| stamp.hlc).max().unwrap_or_default()
    }

    /// The versions that a stamp names: those of one transaction share it.
    pub(crate) fn versions_of(&self, stamp: Stamp) -> std::ops::Range<VersionId> {
        match self.dots.get(&stamp) {
            Some(&Dot::User(first, count)) => first..first + count,
            Some(Dot::System(_)) | None => 0..0,
        }
    }

    /// The version of an item that a stamp names.
    pub(crate) fn version_of(&self, stamp: Stamp, key: KeyId) -> Option<VersionId> {
        self.versions_of(stamp).find(|&id| self.versions[id].key == key)
    }

    /// The versions that rows name, in the order of their items.
    pub(crate) fn received<'r>(
        &self,
        rows: impl Iterator<Item = (&'r ItemKey, Stamp)>,
    ) -> Vec<(KeyId, VersionId)> {
        let known = rows.filter_map(|(key, stamp)| {
            let key = self.key_id(key)?;
            Some((key, self.version_of(stamp, key)?))
        });
        let mut received: Vec<(KeyId, VersionId)> = known.collect();
        received.sort_unstable();
        received
    }

    /// Whether a region has written the item.
    pub(crate) fn has_written(&self, region: usize, key: &ItemKey) -> bool {
        let mut versions = self.key_id(key).into_iter().flat_map(|id| &self.items[id].versions);
        versions.any(|&id| self.versions[id].region == region)
    }

    pub(crate) fn dot(&self, stamp: Stamp) -> Option<Dot> {
        self.dots.get(&stamp).copied()
    }

    pub(crate) fn key_id(&self, key: &ItemKey) -> Option<KeyId> {
        self.ids.get(key).copied()
    }

    /// The table of an item.
    pub(crate) fn table_of(&self, key: KeyId) -> TableId {
        self.items[key].key.table
    }

    /// The versions of an item that `bits` names.
    pub(crate) fn named(&self, key: KeyId, bits: Bits) -> impl Iterator<Item = &Issued> {
        bits.iter().map(move |nth| &self.versions[self.items[key].versions[nth]])
    }

    /// Whether one more version of the item fits into its history.
    pub(crate) fn has_room(&self, key: &ItemKey) -> bool {
        let versions = self.key_id(key).map_or(0, |id| self.items[id].versions.len());
        versions < VERSIONS_MAX
    }

    /// Takes note of what a batch means in truth.
    pub(crate) fn witness(
        &mut self,
        source: Source<'_>,
        site: &mut Site,
        token: Token,
        batch: Batch,
    ) -> Checked<Write> {
        let floor = site.issued;
        let mut write = Write {
            token,
            items: Vec::with_capacity(batch.items.len()),
            changelog: Vec::with_capacity(batch.changelog.len()),
            last: batch.last,
            applied: batch.applied,
            tombstones: Vec::with_capacity(batch.tombstones.len()),
            collected: batch.collected,
            forgotten: Vec::new(),
            inherited: Vec::new(),
            rebirth: batch.rebirth,
            issued: Vec::new(),
            stamps: Vec::new(),
            fingerprints: batch.fingerprints,
            index: batch.index,
            fills: batch.fills,
            unindexed: batch.unindexed,
            journal: batch.journal,
            trimmed: batch.trimmed,
            erased: Vec::new(),
        };
        for ((table, place), gone) in batch.erased {
            let visible = &site.disk.visible;
            let is_it = |key: &&Rc<ItemKey>| key.table == table && visible.place(key) == place;
            let rotten = visible.rotten.keys().find(is_it).map(Rc::clone);
            write.erased.extend(rotten.map(|key| (key, gone.stamps)));
        }
        for (key, stored) in batch.items {
            let key = self.share(site, key);
            let held = match stored {
                None => {
                    self.dropped(site, &key, &mut write)?;
                    None
                }
                Some(stored) if key.table.is_system() => {
                    self.system_row(source, site, floor, &key, &stored, &mut write)?;
                    Some(Rc::new(Held { stored, absorbed: Bits::default() }))
                }
                Some(stored) => Some(self.user_row(source, site, floor, &key, stored, &mut write)?),
            };
            write.items.push((key, held));
        }
        let shared = |key| match write.items.binary_search_by(|(shared, _)| (**shared).cmp(&key)) {
            Ok(at) => Rc::clone(&write.items[at].0),
            Err(_) => Rc::new(key),
        };
        let entries = batch.changelog.into_iter();
        let entries = entries.map(|((stamp, key), put)| (stamp, shared(key), put));
        write.changelog = entries.collect();
        let entries = batch.tombstones.into_iter();
        write.tombstones = entries.map(|((stamp, key), put)| (stamp, shared(key), put)).collect();
        let inherited = source.inherited.iter();
        let told = inherited.filter(|(key, _)| write.collected.contains_key(&key.table));
        write.inherited = told.cloned().collect();
        Ok(write)
    }

    /// A row goes: with its table, or because it was collected.
    fn dropped(&mut self, site: &Site, key: &Rc<ItemKey>, write: &mut Write) -> Checked {
        let collected = write.collected.get(&key.table).is_some_and(|seen| !seen.is_empty());
        let held = site.disk.visible.rows.get(key).filter(|_| collected);
        let Some(held) = held else { return Ok(()) };
        collection::safe(self, site, key, &held.stored)?;
        self.collected += held.stored.versions.len() as u64;
        if let Some(id) = self.key_id(key) {
            let versions = held.stored.stamps().filter_map(|stamp| self.version_of(stamp, id));
            let past = versions.map(|id| self.versions[id].past());
            let past = past.fold(Bits::default(), Bits::union);
            let buried = self.buried.entry(id).or_default();
            *buried = buried.union(past);
        }
        write.forgotten.push((Rc::clone(key), site.disk.visible.absorbed(key)));
        Ok(())
    }

    /// Whether a row is only shorter than it was.
    fn is_shortened(&self, site: &Site, key: &ItemKey, stored: &Stored) -> Checked<bool> {
        let shown = site.disk.visible.rows.get(key).map(|held| &held.stored);
        // What nobody ever heard of goes out of what was seen when a new life begins.
        let same = |before: &&Stored| {
            before.versions.iter().map(|it| it.stamp).eq(stored.versions.iter().map(|it| it.stamp))
        };
        if site.disk.visible.reborn && shown.filter(same).is_some() {
            return Ok(true);
        }
        let shorter = |before: &&Stored| before.seen.len() > 1 && stored.seen.len() == 1;
        let Some(before) = shown.filter(shorter) else { return Ok(false) };
        if !collection::is_same(before.greatest(), stored.greatest()) {
            return Ok(false);
        }
        collection::safe(self, site, key, before)?;
        Ok(true)
    }

    /// The key as the region's disk has it already, if it does.
    fn share(&self, site: &Site, key: ItemKey) -> Rc<ItemKey> {
        let shown = site.disk.visible.rows.get_key_value(&key);
        shown.map_or_else(|| Rc::new(key), |(shared, _)| Rc::clone(shared))
    }

    fn user_row(
        &mut self,
        source: Source<'_>,
        site: &mut Site,
        floor: Hlc,
        key: &Rc<ItemKey>,
        stored: Stored,
        write: &mut Write,
    ) -> Checked<Rc<Held>> {
        let before = site.disk.visible.absorbed(key);
        // Also while a frame is handled that has the item: it may be held.
        if self.is_shortened(site, key, &stored)? {
            self.shortened += 1;
            return Ok(Rc::new(Held { stored, absorbed: before }));
        }
        let incoming = self.key_id(key).map(|id| of_key(source.received, id)).unwrap_or_default();
        if !incoming.is_empty() {
            let pasts = incoming.iter().map(|&(_, id)| self.versions[id].past());
            let absorbed = pasts.fold(before, Bits::union);
            return Ok(Rc::new(Held { stored, absorbed }));
        }
        let stamp = stored.greatest().stamp;
        single_writer::issued_by(source.me, stamp)?;
        // Rows of one transaction share their stamp; it is new with the first of them.
        let shared = stored.greatest().origins.rows > 1 && write.stamps.last() == Some(&stamp);
        if !shared {
            identity::issued(self, site, floor, stamp)?;
            clock::issued(self, site, floor, stamp)?;
            write.stamps.push(stamp);
        }
        let seen = self.newest(key, before);
        identity::exceeds_seen(stamp, seen)?;
        expiry::issued(site, source.pass, key, stored.greatest())?;
        let rests_on = match group::is_grouped(site, key.table) {
            true => Rc::new(site.shown.newest.clone()),
            false => Rc::default(),
        };
        let id = self.record((source.region, rests_on), key, stored, before);
        site.issued = site.issued.max(stamp.hlc);
        write.issued.push(id);
        Ok(Rc::clone(&self.versions[id].held))
    }

    fn system_row(
        &mut self,
        source: Source<'_>,
        site: &mut Site,
        floor: Hlc,
        key: &ItemKey,
        stored: &Stored,
        write: &mut Write,
    ) -> Checked {
        let stamp = stored.greatest().stamp;
        let name = name_of(key);
        let known = self.dots.get(&stamp) == Some(&Dot::System(name));
        if known && (stamp.hlc <= floor || stamp.origin != source.me) {
            return Ok(());
        }
        single_writer::issued_by(source.me, stamp)?;
        single_writer::owns_catalog_row(source.region, key, stored)?;
        identity::issued(self, site, floor, stamp)?;
        clock::issued(self, site, floor, stamp)?;
        self.dots.insert(stamp, Dot::System(name));
        site.issued = site.issued.max(stamp.hlc);
        write.stamps.push(stamp);
        Ok(())
    }

    fn record(
        &mut self,
        (region, rests_on): (usize, Rc<Newest>),
        key: &Rc<ItemKey>,
        stored: Stored,
        before: Bits,
    ) -> VersionId {
        let id = self.versions.len();
        let key_id = match self.ids.get(key) {
            Some(&id) => id,
            None => {
                self.ids.insert(Rc::clone(key), self.items.len());
                self.items.push(Item { key: Rc::clone(key), versions: Vec::new() });
                self.items.len() - 1
            }
        };
        let nth = self.items[key_id].versions.len();
        assert!(nth < VERSIONS_MAX, "the workload bounds the versions of an item");
        self.items[key_id].versions.push(id);
        let stamp = stored.greatest().stamp;
        match self.dots.get_mut(&stamp) {
            Some(Dot::User(_, count)) => *count += 1,
            _ => {
                self.dots.insert(stamp, Dot::User(id, 1));
            }
        }
        self.by_origin.entry(stamp.origin).or_default().push(id);
        let held = Rc::new(Held { stored, absorbed: before.with(nth) });
        let deed = self.deeds.iter().find(|(asked, _)| *asked == **key);
        let deed = deed.map_or(Deed::Delete, |(_, deed)| deed.clone());
        let (durable, acked, lost) = (false, false, false);
        self.versions.push(Issued {
            key: key_id,
            nth,
            region,
            deed,
            rests_on,
            held,
            durable,
            acked,
            lost,
        });
        id
    }

    /// The newest reading among versions that a state has absorbed.
    fn newest(&self, key: &ItemKey, absorbed: Bits) -> Hlc {
        let Some(id) = self.key_id(key) else { return Hlc::ZERO };
        let readings = self.named(id, absorbed).map(|issued| issued.version().stamp.hlc);
        readings.max().unwrap_or_default()
    }

    /// A crash took batches before they were durable: what they issued never was.
    pub(crate) fn forget(&mut self, writes: impl IntoIterator<Item = Write>) {
        for write in writes {
            for stamp in write.stamps {
                self.dots.remove(&stamp);
            }
            for id in write.issued {
                self.versions[id].lost = true;
                let origin = self.versions[id].version().stamp.origin;
                self.by_origin.entry(origin).or_default().retain(|&kept| kept != id);
            }
        }
    }

    /// Every durable version of an item.
    pub(crate) fn durable(&self, item: &Item) -> Bits {
        let durable = item.versions.iter().filter(|&&id| self.versions[id].durable);
        durable.fold(Bits::default(), |bits, &id| bits.with(self.versions[id].nth))
    }

    /// A disk is lost. What was there and on no disk beside it is gone for good, acknowledged or
    /// not; a region that holds the table no more, or is about to drop it because this one has all
    /// of it, does not keep it. Nor does one that is called back to a new life, and copies anew.
    pub(crate) fn perish(&mut self, sites: &[Site], region: usize) {
        for (id, item) in self.items.iter().enumerate() {
            let table = item.key.table;
            let keeps = |&(at, site): &(usize, &Site)| {
                let entry = site.catalog.get(table);
                // One that is given up keeps its rows, and says when it is back what it alone has.
                let waits = site.catalog.membership().is_gone(site.slot);
                at != region
                    && entry.is_some_and(|entry| waits || entry.is_held_by(site.slot))
                    && !site.copies_anew(sites)
            };
            let others = sites.iter().enumerate().filter(keeps);
            let kept = others.fold(nothing_vanishes::ledgers_of(sites, region, id), |kept, it| {
                kept.union(it.1.disk.durable.absorbed(&item.key))
            });
            let site = &sites[region];
            let ledgered = [site.ledgered.get(&id), site.orphaned.get(&id)];
            let had = ledgered.into_iter().flatten();
            let aside = nothing_vanishes::aside(self, site, id);
            let had = had.fold(aside, |had, &bits| had.union(bits));
            let had = had.union(site.disk.durable.absorbed(&item.key));
            let lost = had.both(self.durable(item)).without(kept);
            self.perished.extend(lost.iter().map(|nth| item.versions[nth]));
        }
        self.changes.retain(|change| changes::survives(sites, region, *change));
    }

    /// What was deleted, and the delete collected, where a region that knew has come back since.
    pub(crate) fn buried(&self, sites: &[Site], id: KeyId) -> Bits {
        match sites.iter().any(|site| !site.former.is_empty()) {
            true => self.buried.get(&id).copied().unwrap_or_default(),
            false => Bits::default(),
        }
    }

    /// The durable versions of an item that any living region has seen: what a dead one wrote and
    /// sent nobody is on its own disk alone. Of a life that is over, or of a region that is dead,
    /// has lost its disk, or has left the table, what only ledgers have has no row to come from.
    pub(crate) fn within_reach(&self, sites: &[Site], id: KeyId, item: &Item) -> Bits {
        let durable = self.durable(item);
        if sites.iter().all(|site| !site.gone && site.former.is_empty()) {
            return durable;
        }
        let alive = sites.iter().filter(|site| !site.gone);
        let (mut seen, mut ledgered) = (Bits::default(), Bits::default());
        for site in alive {
            seen = seen.union(site.disk.durable.absorbed(&item.key));
            ledgered = ledgered.union(site.ledgered.get(&id).copied().unwrap_or_default());
            for issued in self.named(id, ledgered.without(seen)) {
                let origin = issued.version().stamp.origin;
                let over = !site.catalog.membership().admits(origin);
                let writer = &sites[origin.slot().index()];
                let entry = writer.catalog.get(item.key.table);
                let left = entry.is_some_and(|entry| !entry.is_held_by(writer.slot));
                if over || left || writer.gone {
                    ledgered = ledgered.without(Bits::default().with(issued.nth));
                }
            }
        }
        durable.both(seen.union(ledgered))
    }

    /// The user tables that have items.
    pub(crate) fn items_of(&self, table: TableId) -> impl Iterator<Item = (KeyId, &Item)> {
        self.items.iter().enumerate().filter(move |(_, item)| item.key.table == table)
    }
}

/// The entries of one item.
fn of_key(received: &[(KeyId, VersionId)], key: KeyId) -> &[(KeyId, VersionId)] {
    let start = received.partition_point(|entry| entry.0 < key);
    let end = received.partition_point(|entry| entry.0 <= key);
    &received[start..end]
}

/// A name of the key, the same in one run.
fn name_of(key: &ItemKey) -> u64 {
    let mut digest = Digest::default();
    key.hash(&mut digest);
    digest.finish()
}

pub(crate) fn key_digest(key: &ItemKey) -> u64 {
    let mut bytes = Vec::new();
    key.primary.write_canonical(&mut bytes);
    let mut digest = Digest::default();
    digest.add(key.table.0.hlc.to_bits());
    digest.add(u64::from(key.table.0.origin.to_bits()));
    bytes.iter().for_each(|&byte| digest.add(u64::from(byte)));
    digest.value()
}
