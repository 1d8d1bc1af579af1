//! What the oracle keeps of one region: its disk, and what it has told others.

use std::collections::BTreeMap;
use std::sync::Arc;

use pangea_core::catalog::{Catalog, Directory};
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::ItemKey;
use pangea_core::membership::{self, Membership};
use pangea_core::merge::{Body, Stored};
use pangea_core::time::Hlc;

use crate::bits::Bits;
use crate::disk::Disk;
use crate::invariants::group::Shown;
use crate::oracle::KeyId;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) slot: RegionSlot,
    pub(crate) origin: Origin,
    /// The lives before; of those in `lost` the disk is gone, with all that was nowhere else.
    pub(crate) former: Vec<Origin>,
    pub(crate) lost: Vec<Origin>,
    pub(crate) disk: Disk,
    /// The newest of each origin that lost disks had.
    pub(crate) had: BTreeMap<Origin, Hlc>,
    /// The catalog as the durable rows have it.
    pub(crate) catalog: Catalog,
    /// Per item, what the durable ledger keeps: losers and what they had overwritten.
    pub(crate) ledgered: BTreeMap<KeyId, Bits>,
    /// The same of writes that were lost with their region.
    pub(crate) orphaned: BTreeMap<KeyId, Bits>,
    /// The newest reading issued, and the newest of them that is durable.
    pub(crate) issued: Hlc,
    pub(crate) issued_durable: Hlc,
    /// What it shows of tables in groups.
    pub(crate) shown: Shown,
    /// What the region has published: nothing up to here will change any more.
    pub(crate) closed: Hlc,
    /// The latest time that stamps may show, by the clocks of the peers that were heard; ms since
    /// 1970.
    pub(crate) time_limit_ms: Option<u64>,
    /// Rows were dropped here: the region forgot what it had absorbed.
    pub(crate) dropped: bool,
    /// The region died and will not come back.
    pub(crate) dead: bool,
    /// It is dead or was given up; known when everything is healed.
    pub(crate) gone: bool,
    /// In order, what the region applied, and the newest that it had itself written before.
    pub(crate) acks: Vec<(Origin, Hlc, Hlc)>,
}

impl Site {
    pub(crate) fn new(
        slot: RegionSlot,
        origin: Origin,
        regions: usize,
        directory: Arc<Directory>,
    ) -> Self {
        let mut catalog = Catalog::new((0..regions).map(crate::workload::slot));
        catalog.directory = directory;
        Self {
            slot,
            origin,
            former: Vec::new(),
            lost: Vec::new(),
            disk: Disk::new(origin),
            had: BTreeMap::new(),
            catalog,
            ledgered: BTreeMap::new(),
            orphaned: BTreeMap::new(),
            issued: Hlc::ZERO,
            issued_durable: Hlc::ZERO,
            shown: Shown::default(),
            closed: Hlc::ZERO,
            time_limit_ms: None,
            dropped: false,
            dead: false,
            gone: false,
            acks: Vec::new(),
        }
    }

    /// A process has started, perhaps in a new life.
    pub(crate) fn live(&mut self, origin: Origin) {
        if origin != self.origin {
            self.former.push(std::mem::replace(&mut self.origin, origin));
            (self.issued, self.issued_durable, self.closed) = (Hlc::ZERO, Hlc::ZERO, Hlc::ZERO);
        }
    }

    /// The disk is gone; the process will begin on an empty one, in a life that it draws.
    pub(crate) fn lose_disk(&mut self, incarnation: u16, regions: usize) {
        self.lost.extend(self.former.iter().copied().chain([self.origin]));
        let durable = &self.disk.durable;
        for &origin in durable.applied.keys() {
            let had = self.had.entry(origin).or_default();
            *had = (*had).max(durable.applied_of(origin)).max(durable.newest(origin));
        }
        self.disk = Disk::new(Origin::new(self.slot, incarnation));
        // Also where the life that is drawn is the one that was lost, which nobody here can know.
        (self.issued, self.issued_durable, self.closed) = (Hlc::ZERO, Hlc::ZERO, Hlc::ZERO);
        self.catalog = self.nothing_known(regions);
        (self.ledgered, self.orphaned) = (BTreeMap::new(), BTreeMap::new());
        self.acks = Vec::new();
        self.dropped = true;
    }

    /// The catalog as the durable rows have it.
    pub(crate) fn reread(&self, regions: usize) -> Catalog {
        let mut catalog = self.nothing_known(regions);
        for (key, held) in self.disk.durable.table(TableId::CATALOG) {
            catalog.observe(&key.primary, held.stored.greatest().body.attributes());
        }
        catalog
    }

    /// Takes in a durable row of the catalog; returns whether it is one. Most rows are the same in
    /// all regions, and were decoded where they came from.
    pub(crate) fn observe(
        &mut self,
        others: &[&[Self]; 2],
        key: &ItemKey,
        stored: &Stored,
    ) -> bool {
        let body = &stored.greatest().body;
        let has_it = |other: &&Self| {
            let held = other.disk.durable.rows.get(key);
            held.is_some_and(|held| is_shared(&held.stored.greatest().body, body))
        };
        let other = others.iter().copied().flatten().find(has_it);
        other.is_some_and(|other| self.catalog.observe_as(&other.catalog, &key.primary))
            || self.catalog.observe(&key.primary, body.attributes())
    }

    /// The newest generation that the visible rows tell of.
    pub(crate) fn visible_membership(&self) -> Membership {
        let rows = self.disk.visible.table(TableId::CATALOG);
        let voices = rows.filter(|(key, _)| membership::slot_of(&key.primary).is_some());
        let voices = voices
            .filter_map(|(_, held)| membership::decode(held.stored.greatest().body.attributes()?));
        let known = self.catalog.membership();
        let newest = voices.map(|voice| voice.membership).max_by_key(|it| it.generation);
        newest.filter(|it| it.generation > known.generation).unwrap_or_else(|| known.clone())
    }

    /// Whether the disk is lost and the region was not taken back since.
    pub(crate) fn is_lost(&self) -> bool {
        let region = self.catalog.membership().regions.get(&self.slot);
        let life = region.and_then(|region| region.life);
        !self.lost.is_empty() && life != Some(self.origin.incarnation())
    }

    /// Whether somebody has heard that the region is called back to another life than it is in, or
    /// it puts its past in order: its rows go, because the others have told that they have them.
    pub(crate) fn copies_anew(&self, sites: &[Self]) -> bool {
        let is_called = |site: &Self| {
            let region = site.catalog.membership().regions.get(&self.slot);
            let life = region.filter(|region| !region.state.is_gone()).and_then(|it| it.life);
            life.is_some_and(|life| life != self.origin.incarnation())
        };
        self.disk.durable.reborn || sites.iter().any(is_called)
    }

    fn nothing_known(&self, regions: usize) -> Catalog {
        let mut catalog = Catalog::new((0..regions).map(crate::workload::slot));
        catalog.directory = Arc::clone(&self.catalog.directory);
        catalog
    }

    /// Every life that the region ever had.
    pub(crate) fn lives(&self) -> impl Iterator<Item = Origin> + '_ {
        self.former.iter().copied().chain([self.origin])
    }

    /// Whether the region's replica of the table is complete: home, or serving with nothing to
    /// come.
    pub(crate) fn is_whole(&self, table: TableId) -> bool {
        self.catalog.get(table).is_some_and(|entry| self.catalog.is_whole(entry, self.slot))
    }
}

/// Whether both are the same attributes in memory.
fn is_shared(one: &Body, other: &Body) -> bool {
    match (one, other) {
        (Body::Live(one), Body::Live(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
