//! What the oracle keeps of one region: its disk, and what it has told others.

use std::collections::BTreeMap;
use std::sync::Arc;

use pangea_core::catalog::{Catalog, Directory};
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::time::Hlc;

use crate::bits::Bits;
use crate::disk::Disk;
use crate::oracle::KeyId;

/// See the module.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) slot: RegionSlot,
    pub(crate) origin: Origin,
    pub(crate) disk: Disk,
    /// The catalog as the durable rows have it.
    pub(crate) catalog: Catalog,
    /// Per item, what the durable ledger keeps: losers and what they had overwritten.
    pub(crate) ledgered: BTreeMap<KeyId, Bits>,
    /// The newest reading issued, and the newest of them that is durable.
    pub(crate) issued: Hlc,
    pub(crate) issued_durable: Hlc,
    /// What the region has published: nothing up to here will change any more.
    pub(crate) closed: Hlc,
    /// The latest time that stamps may show, by the clocks of the peers that were heard; ms since
    /// 1970.
    pub(crate) time_limit_ms: Option<u64>,
    /// Rows were dropped here: the region forgot what it had absorbed.
    pub(crate) dropped: bool,
}

impl Site {
    pub(crate) fn new(slot: RegionSlot, origin: Origin, directory: Arc<Directory>) -> Self {
        Self {
            slot,
            origin,
            disk: Disk::new(origin),
            catalog: Catalog::of(directory),
            ledgered: BTreeMap::new(),
            issued: Hlc::ZERO,
            issued_durable: Hlc::ZERO,
            closed: Hlc::ZERO,
            time_limit_ms: None,
            dropped: false,
        }
    }

    /// Whether the region's replica of the table is complete: home, or serving with nothing to
    /// come.
    pub(crate) fn is_whole(&self, table: TableId) -> bool {
        use pangea_core::catalog::ReplicaState::Active;
        let Some(entry) = self.catalog.get(table) else { return false };
        if !entry.is_held_by(self.slot) {
            return false;
        }
        let state = self.catalog.state(entry, self.slot);
        entry.home == self.slot || matches!(state, Some(Active { pending }) if pending.is_empty())
    }
}
