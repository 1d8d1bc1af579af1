//! What a region that comes back may alone have had, until it has copied the table again.
//!
//! Its rows go when it comes back ([`super::rejoin`]). Of some it cannot tell by then whether
//! others have them: it was given up before they had levelled what it had of a life that is over,
//! or they have copied the table since from regions that never had it, or have lost their logs, and
//! with them what they wrote. What a region claims of a life is one stamp for all tables, and what
//! it had of it when it heard of the end, it forgets when it lives anew. So nothing that is said of
//! a life tells it; the rows do. What no other region is known to have goes into a table of its
//! own, which nobody is sent. Once the region has copied the table from all who hold it, it looks
//! at each: where what is there had seen the write, others have it, or knew it when they overwrote
//! it, and it goes; where not, it goes to the ledger with the writes that were orphaned.
//!
//! Whoever has said, since this region was called back, what it had, has not lost its log before.
//! So the region begins its life when all have said so whom it can reach, or after a while.
//!
//! State: a cursor that goes round over these rows, a bounded number at a time, while there are
//! any. Always true: a write that was set aside stays so until the batch that puts it into the
//! ledger, or finds it in what was copied. In doubt it goes to the ledger: where the item's delete
//! was collected, or what had seen the write was shortened.

use alloc::vec::Vec;

use super::{Effect, Node, Txn};
use crate::catalog::{ReplicaState, TableEntry};
use crate::id::{Place, RegionSlot, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::ledger;
use crate::membership::RegionState;
use crate::merge::{Stored, Version};
use crate::replica::Snapshot;
use crate::time::{Hlc, Now, Stamp};

/// Rows of one step.
const ROWS_MAX: usize = 128;
/// Time between rounds while a table is still to be copied, microseconds.
const ROUND_US: u64 = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Aside {
    after: Option<PrimaryKey>,
    next_us: u64,
    /// A row of this round waits for its table.
    waits: bool,
    /// Nothing is aside.
    none: bool,
}

/// What becomes of a write that was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is not known yet.
    Waits,
    /// Others have it, or had seen it; or its table is gone.
    Known,
    /// Nobody had it.
    Orphaned,
}

impl Node {
    /// Sets aside the versions of a row that others may not have, but for those that are known to
    /// be orphans.
    pub(super) fn set_aside<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        (entry, key): (&TableEntry, &ItemKey),
        stored: &Stored,
        orphans: &[Version],
    ) {
        for version in &stored.versions {
            let (stamp, place) = (version.stamp, version.origins.place);
            let is_orphan = orphans.iter().any(|orphan| orphan.stamp == stamp);
            if is_orphan || !self.is_doubtful(entry, stamp, place) {
                continue;
            }
            let row = ledger::orphan_entry(key, version, &entry.settings.policy);
            let at = self.issue(now, Hlc::ZERO);
            let primary = ledger::orphan_key(key, stamp, at).primary;
            self.put_row(now, txn, ItemKey { table: TableId::ASIDE, primary }, row, place);
        }
    }

    /// Whether a version may be here alone, although others shall have the table.
    pub(super) fn is_doubtful(&self, entry: &TableEntry, stamp: Stamp, place: Place) -> bool {
        #[cfg(feature = "planted-bugs")]
        if self.has_bug(super::Bug::BereftDropped) {
            return false;
        }
        let shared = !entry.deleted && self.others_with(entry, place).next().is_some();
        shared && stamp.origin != self.me && !self.is_known(entry, stamp, place)
    }

    /// Whether another region is known to have a version: who wrote it, or a holder that had it
    /// when it heard that its life is over. Each has said so since this region was called back, so
    /// that its log was not lost before.
    fn is_known(&self, entry: &TableEntry, stamp: Stamp, place: Place) -> bool {
        let (origin, voices) = (stamp.origin, self.catalog.voices());
        if self.catalog.membership().admits(origin) {
            return self.has_spoken(origin.slot());
        }
        let mut holders = self.others_with(entry, place);
        holders.any(|slot| {
            let Some(voice) = voices.get(&slot).filter(|_| self.has_spoken(slot)) else {
                return false;
            };
            let held = voice.held.get(&origin).is_some_and(|it| it.contains(&entry.id));
            let had = voice.had.get(&origin).filter(|_| held);
            had.is_some_and(|had| *had >= stamp.hlc) || self.planted_claim(entry, slot, stamp)
        })
    }

    /// Whether the region has said, in the life that it is taken for, that this one was called
    /// back: one that has lost its log says nothing.
    pub(super) fn has_spoken(&self, slot: RegionSlot) -> bool {
        let since = self.catalog.membership().since(self.config.slot);
        let voice = self.catalog.voices().get(&slot);
        voice.is_some_and(|voice| voice.membership.generation >= since) || self.planted_silence()
    }

    #[cfg(feature = "planted-bugs")]
    fn planted_silence(&self) -> bool {
        self.has_bug(super::Bug::SilenceTrusted)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    const fn planted_silence(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    fn planted_claim(&self, entry: &TableEntry, slot: RegionSlot, stamp: Stamp) -> bool {
        let claims = self.catalog.voices().get(&slot).map(|voice| &voice.claims);
        let claim = claims.and_then(|claims| claims.get(&stamp.origin));
        self.has_bug(super::Bug::ClaimTrusted)
            && self.catalog.is_whole(entry, slot)
            && claim.is_some_and(|claim| claim.newest >= stamp.hlc)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    const fn planted_claim(&self, _: &TableEntry, _: RegionSlot, _: Stamp) -> bool {
        false
    }

    /// Looks at what was set aside, while there is any.
    pub(super) fn drive_aside(
        &mut self,
        now: Now,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let idle = self.aside.none || now.mono_us < self.aside.next_us;
        if idle || !self.past || self.is_out() || self.lost.is_some() {
            return;
        }
        let rows = store.rows(TableId::ASIDE, self.aside.after.as_ref(), ROWS_MAX);
        let last = rows.len() < ROWS_MAX;
        self.aside.after = rows.last().map(|(key, _)| key.primary.clone());
        let mut txn = Txn::new(store);
        for (key, stored) in rows {
            let verdict = self.judge(&txn, &key, &stored);
            if verdict == Verdict::Waits {
                self.aside.waits = true;
                continue;
            }
            let greatest = stored.greatest();
            if let (Verdict::Orphaned, Some(row)) = (verdict, greatest.body.attributes()) {
                let primary = key.primary.clone();
                let ledger_key = ItemKey { table: TableId::LEDGER, primary };
                self.put_ledger(now, &mut txn, ledger_key, row.clone(), greatest.origins.place);
            }
            txn.batch.remove(key, &stored, self.me);
        }
        if last {
            let none = !self.aside.waits;
            self.aside = Aside { none, next_us: now.mono_us + ROUND_US, ..Aside::default() };
        }
        self.persist(txn, Vec::new(), effects);
    }

    fn judge<S: Snapshot>(&self, txn: &Txn<'_, S>, key: &ItemKey, stored: &Stored) -> Verdict {
        let row = stored.greatest().body.attributes();
        let item = row.and_then(|row| ledger::item_of(&key.primary, row));
        let stamps = ledger::stamps_of(&key.primary);
        let (Some(item), Some((stamp, _))) = (item, stamps) else { return Verdict::Known };
        let (me, place) = (self.config.slot, stored.greatest().origins.place);
        let Some(entry) = self.catalog.get(item.table) else { return Verdict::Waits };
        if entry.deleted || self.is_known(entry, stamp, place) {
            return Verdict::Known;
        }
        let failed = matches!(self.catalog.state(entry, me), Some(ReplicaState::Failed { .. }));
        if entry.is_held_by(me) && !failed {
            if !self.catalog.is_whole(entry, me) || self.has_copies(entry.id) {
                return Verdict::Waits;
            }
        } else if self.catalog.membership().state(me) == Some(RegionState::Joining) {
            // It may yet be given the table back.
            return Verdict::Waits;
        }
        let seen = txn.item(&item).is_some_and(|stored| stored.seen.covers(stamp));
        if seen || is_in_ledger(txn, &item, stamp) { Verdict::Known } else { Verdict::Orphaned }
    }
}

/// Whether the ledger has the write as the loser of a conflict, or as an orphan.
fn is_in_ledger<S: Snapshot>(txn: &Txn<'_, S>, item: &ItemKey, loser: Stamp) -> bool {
    let first = ledger::key(item, loser, Stamp { hlc: Hlc::ZERO, ..loser }).primary;
    let next = txn.store.rows(TableId::LEDGER, Some(&first), 1);
    next.iter().any(|(key, _)| {
        let loses = ledger::stamps_of(&key.primary).is_some_and(|(it, _)| it == loser);
        loses && key.primary.partition == first.partition
    })
}
