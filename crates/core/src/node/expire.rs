//! Deletes of items that have expired.
//!
//! The driver looks for them in a snapshot; what it names is looked at again here, so that an item
//! that was written since stays. A delete is a write like any other, whose version says why: every
//! region's journal then tells the same.

use alloc::vec;
use alloc::vec::Vec;

use super::{Effect, Node, Outcome, Txn};
use crate::catalog::TableEntry;
use crate::expiry;
use crate::id::{RequestId, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::merge::Stored;
use crate::replica::Snapshot;
use crate::table::{Action, WriteOp};
use crate::time::Now;

/// Items that may have expired, of one table: no more than a transaction may have.
#[derive(Clone, Debug)]
pub struct Expire {
    /// The table.
    pub table: TableId,
    /// The items.
    pub keys: Vec<PrimaryKey>,
    /// How long each region has whose turn to delete an item is before this one's, ms.
    pub grace_ms: u64,
}

impl Node {
    pub(super) fn expire(
        &mut self,
        now: Now,
        request: RequestId,
        expire: Expire,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(closed) = self.closed() {
            return self.reply_when_settled(vec![(request, Outcome::Closed(closed))], effects);
        }
        let mut txn = Txn::new(store);
        let mut deleted = 0;
        for primary in expire.keys {
            let key = ItemKey { table: expire.table, primary };
            deleted += usize::from(self.expire_one(now, &mut txn, key, expire.grace_ms, effects));
        }
        self.persist(txn, vec![(request, Outcome::Expired { deleted })], effects);
    }

    /// Whether the item was deleted.
    fn expire_one<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        key: ItemKey,
        grace_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(entry) = self.catalog.get(key.table) else { return false };
        let stored = txn.item(&key);
        let is_due =
            |stored: Stored| self.is_due(entry, (&key.primary, &stored), now.wall_ms, grace_ms);
        let due = stored.is_some_and(is_due);
        let op = WriteOp::new(key.primary, Action::Delete);
        // Whose turn it is was said above; what may not be here is another's to delete.
        let planned = if due { self.plan_here(txn, key.table, op).ok() } else { None };
        let Some(mut planned) = planned.filter(super::write::Planned::writes) else { return false };
        planned.expires();
        let stamp = self.issue(now, self.floor(&planned));
        self.execute(now, txn, planned, stamp, effects);
        true
    }

    #[cfg(not(feature = "planted-bugs"))]
    fn is_due(
        &self,
        entry: &TableEntry,
        item: (&PrimaryKey, &Stored),
        now_ms: u64,
        grace_ms: u64,
    ) -> bool {
        expiry::is_due((&self.catalog, entry), item, self.config.slot, now_ms, grace_ms)
    }

    #[cfg(feature = "planted-bugs")]
    fn is_due(
        &self,
        entry: &TableEntry,
        (key, stored): (&PrimaryKey, &Stored),
        now_ms: u64,
        grace_ms: u64,
    ) -> bool {
        use super::Bug;
        use crate::catalog::Policy;
        use crate::limits::CLOCK_SKEW_MS_MAX;
        use crate::membership::RegionState;
        let me = self.config.slot;
        let first = stored.greatest().stamp.origin.slot();
        let (now_ms, grace_ms) = match self.config.bug {
            Some(Bug::ExpiryUnlooked) => return true,
            Some(Bug::ExpiryEarly) => (now_ms + CLOCK_SKEW_MS_MAX, grace_ms),
            Some(Bug::ExpiryTakenAtOnce) => (now_ms, 0),
            Some(Bug::ExpiryNeverTakenOver) => (now_ms, u64::MAX),
            Some(Bug::ExpiryTakenTogether) => (now_ms - if first == me { 0 } else { grace_ms }, 0),
            Some(Bug::ExpiryLeftToSuspended) => {
                let state = self.catalog.membership().state(first);
                let waits = first != me && state != Some(RegionState::Active);
                (now_ms - if waits { grace_ms } else { 0 }, grace_ms)
            }
            Some(Bug::ExpiryLeftToGoneOwner) if entry.settings.policy == Policy::Owner => {
                let ownership = &entry.settings.ownership;
                if ownership.owner(&self.config.directory, key, entry.home) != me {
                    return false;
                }
                (now_ms, grace_ms)
            }
            _ => (now_ms, grace_ms),
        };
        expiry::is_due((&self.catalog, entry), (key, stored), me, now_ms, grace_ms)
    }
}
