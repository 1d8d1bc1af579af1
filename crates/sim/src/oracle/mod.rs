//! What truly happened: every version ever issued, with its true causal past.
//!
//! State: the history of versions, and what clients were told. Nothing here looks at the version
//! vectors under test: a version's past is what its region's state had absorbed when it was issued,
//! and a state absorbs a version when a batch that came of receiving it changes the item.

mod site;

pub(crate) use site::Site;

use std::collections::BTreeMap;

use pangea_core::id::{Origin, TableId};
use pangea_core::item::ItemKey;
use pangea_core::merge::{Stored, Version};
use pangea_core::node::Token;
use pangea_core::replica::Batch;
use pangea_core::time::{Hlc, Stamp};

use crate::bits::{Bits, VERSIONS_MAX};
use crate::digest::Digest;
use crate::disk::Write;
use crate::invariants::{Broken, Checked, Invariant, identity, single_writer};

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
    pub(crate) version: Version,
    /// Everything that its region had absorbed of the item, and the version itself.
    pub(crate) past: Bits,
    pub(crate) durable: bool,
    pub(crate) acked: bool,
    /// A crash took it before it was durable: it never was.
    pub(crate) lost: bool,
}

/// One user item and the versions of it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) key: ItemKey,
    pub(crate) versions: Vec<VersionId>,
}

/// What a stamp names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dot {
    User(VersionId),
    /// A row of the catalog or the ledger, by a digest of its key.
    System(u64),
}

/// What a client asked and has not been answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) region: usize,
    /// The item of a write, and its version that the region showed when it was asked.
    pub(crate) write: Option<(ItemKey, Option<Stamp>)>,
}

/// Where a batch comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) region: usize,
    pub(crate) me: Origin,
    /// User rows of the frame that the node was handling.
    pub(crate) received: &'a [(ItemKey, Stamp)],
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) versions: Vec<Issued>,
    pub(crate) items: Vec<Item>,
    ids: BTreeMap<ItemKey, KeyId>,
    dots: BTreeMap<Stamp, Dot>,
    /// What each region issued, in order, without what crashes took.
    pub(crate) by_region: Vec<Vec<VersionId>>,
    pub(crate) asked: BTreeMap<u64, Asked>,
}

impl Oracle {
    pub(crate) fn new(regions: usize) -> Self {
        Self {
            versions: Vec::new(),
            items: Vec::new(),
            ids: BTreeMap::new(),
            dots: BTreeMap::new(),
            by_region: vec![Vec::new(); regions],
            asked: BTreeMap::new(),
        }
    }

    /// The version that a stamp names, if it is a user item's.
    pub(crate) fn version_of(&self, stamp: Stamp) -> Option<VersionId> {
        match self.dots.get(&stamp) {
            Some(&Dot::User(id)) => Some(id),
            Some(Dot::System(_)) | None => None,
        }
    }

    pub(crate) fn dot(&self, stamp: Stamp) -> Option<Dot> {
        self.dots.get(&stamp).copied()
    }

    pub(crate) fn key_id(&self, key: &ItemKey) -> Option<KeyId> {
        self.ids.get(key).copied()
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
            absorbed: Vec::with_capacity(batch.items.len()),
            issued: Vec::new(),
            stamps: Vec::new(),
            batch: Batch::default(),
        };
        for (key, stored) in &batch.items {
            let absorbed = match stored {
                None => Bits::default(),
                Some(stored) if key.table.is_system() => {
                    self.system_row(source, site, floor, key, stored, &mut write)?;
                    Bits::default()
                }
                Some(stored) => self.user_row(source, site, floor, key, stored, &mut write)?,
            };
            write.absorbed.push(absorbed);
        }
        write.batch = batch;
        Ok(write)
    }

    fn user_row(
        &mut self,
        source: Source<'_>,
        site: &mut Site,
        floor: Hlc,
        key: &ItemKey,
        stored: &Stored,
        write: &mut Write,
    ) -> Checked<Bits> {
        let before = site.disk.visible.rows.get(key).map(|held| held.absorbed).unwrap_or_default();
        if let Some((_, stamp)) = source.received.iter().find(|(received, _)| received == key) {
            let incoming = self.version_of(*stamp).ok_or_else(|| {
                Broken::new(Invariant::SingleWriter, format!("{stamp} was never issued"))
            })?;
            return Ok(before.union(self.versions[incoming].past));
        }
        let stamp = stored.version.stamp;
        single_writer::issued_by(source.me, stamp)?;
        identity::issued(self, site, floor, stamp)?;
        let seen = self.newest(key, before);
        identity::exceeds_seen(stamp, seen)?;
        let id = self.record(source.region, key, &stored.version, before);
        site.issued = site.issued.max(stamp.hlc);
        write.issued.push(id);
        write.stamps.push(stamp);
        Ok(self.versions[id].past)
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
        let stamp = stored.version.stamp;
        let name = key_digest(key);
        match self.dots.get(&stamp) {
            Some(&dot) if dot == Dot::System(name) && stamp.hlc <= floor => return Ok(()),
            Some(&dot) if dot == Dot::System(name) && stamp.origin != source.me => return Ok(()),
            _ => {}
        }
        single_writer::issued_by(source.me, stamp)?;
        single_writer::owns_catalog_row(source.region, key)?;
        identity::issued(self, site, floor, stamp)?;
        self.dots.insert(stamp, Dot::System(name));
        site.issued = site.issued.max(stamp.hlc);
        write.stamps.push(stamp);
        Ok(())
    }

    fn record(&mut self, region: usize, key: &ItemKey, version: &Version, past: Bits) -> VersionId {
        let id = self.versions.len();
        let key_id = match self.ids.get(key) {
            Some(&id) => id,
            None => {
                self.ids.insert(key.clone(), self.items.len());
                self.items.push(Item { key: key.clone(), versions: Vec::new() });
                self.items.len() - 1
            }
        };
        let nth = self.items[key_id].versions.len();
        assert!(nth < VERSIONS_MAX, "the workload bounds the versions of an item");
        self.items[key_id].versions.push(id);
        self.dots.insert(version.stamp, Dot::User(id));
        self.by_region[region].push(id);
        self.versions.push(Issued {
            key: key_id,
            nth,
            region,
            version: version.clone(),
            past: past.with(nth),
            durable: false,
            acked: false,
            lost: false,
        });
        id
    }

    /// The newest reading among versions that a state has absorbed.
    fn newest(&self, key: &ItemKey, absorbed: Bits) -> Hlc {
        let Some(id) = self.key_id(key) else { return Hlc::ZERO };
        let readings = self.named(id, absorbed).map(|issued| issued.version.stamp.hlc);
        readings.max().unwrap_or_default()
    }

    /// A crash took batches before they were durable: what they issued never was.
    pub(crate) fn forget(&mut self, region: usize, writes: impl IntoIterator<Item = Write>) {
        for write in writes {
            for stamp in write.stamps {
                self.dots.remove(&stamp);
            }
            for id in write.issued {
                self.versions[id].lost = true;
                self.by_region[region].retain(|&kept| kept != id);
            }
        }
    }

    /// Every durable version of an item.
    pub(crate) fn durable(&self, item: &Item) -> Bits {
        let durable = item.versions.iter().filter(|&&id| self.versions[id].durable);
        durable.fold(Bits::default(), |bits, &id| bits.with(self.versions[id].nth))
    }

    /// The user tables that have items.
    pub(crate) fn items_of(&self, table: TableId) -> impl Iterator<Item = (KeyId, &Item)> {
        self.items.iter().enumerate().filter(move |(_, item)| item.key.table == table)
    }
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
