//! Fingerprints, in the batch of the rows that change them, and putting right what anti-entropy
//! found.
//!
//! What peers have is merged as ever. Only a row that cannot be read is replaced, because there is
//! nothing to merge with.

use alloc::vec;
use alloc::vec::Vec;

use super::apply::check_version;
use super::{Effect, Node, Outcome, Txn};
use crate::fingerprint;
use crate::id::{RequestId, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::merge::Stored;
use crate::replica::{Erased, Row, Snapshot};
use crate::time::{Hlc, Now};

/// What is to be put right in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heal {
    /// Which table.
    pub table: TableId,
    /// Which of its buckets.
    pub bucket: u8,
    /// What the fingerprint has that no readable row accounts for.
    pub excess: u128,
    /// What damage has left, by its place.
    pub erased: Vec<(Vec<u8>, Erased)>,
    /// The keys of rows that cannot be read, all of them among `erased`.
    pub unreadable: Vec<PrimaryKey>,
    /// What peers have of these and other items of the bucket.
    pub rows: Vec<Row>,
}

impl Node {
    pub(super) fn heal(
        &mut self,
        now: Now,
        request: RequestId,
        heal: Heal,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let mut txn = Txn::new(store);
        if !self.may_heal(now, &heal) {
            return self
                .reply_when_settled(vec![(request, Outcome::Healed { done: false })], effects);
        }
        let Heal { table, bucket, excess, erased, unreadable, rows } = heal;
        for (place, gone) in erased {
            txn.batch.erased.insert((table, place), gone);
        }
        for primary in unreadable {
            // From here on the item is one of which nothing is there.
            txn.batch.items.insert(ItemKey { table, primary }, None);
        }
        self.add_to_fingerprint(&mut txn, (table, bucket), 0_u128.wrapping_sub(excess));
        for row in rows {
            let stamp = row.version.stamp;
            if self.is_beyond_cut(stamp.origin.slot(), stamp) {
                continue;
            }
            self.planted_overwrite(&mut txn, &row);
            self.merge_row(now, &mut txn, row, effects);
        }
        self.persist(txn, vec![(request, Outcome::Healed { done: true })], effects);
    }

    /// As of any peer's rows: none from the future, none under settings not heard of, none forged,
    /// and of tables in groups none that is not shown yet.
    fn may_heal(&self, now: Now, heal: &Heal) -> bool {
        let latest = now.wall_ms.saturating_add(self.config.skew_ms_max);
        heal.rows.iter().all(|row| {
            row.key.table == heal.table
                && row.version.stamp.hlc <= Hlc::from_parts(latest, u16::MAX)
                && check_version(row).is_ok()
                && self.may_apply(row)
                && !self.is_ahead(row)
        })
    }

    /// What the item's row adds to the fingerprint of its bucket.
    pub(super) fn fingerprint(&self, key: &ItemKey, stored: Option<&Stored>) -> u128 {
        match stored.filter(|_| fingerprint::covers(key.table)) {
            Some(stored) => self.of_item(key, stored),
            None => 0,
        }
    }

    fn of_item(&self, key: &ItemKey, stored: &Stored) -> u128 {
        if planted!(self, FingerprintOfTombstones) {
            let versions = stored.versions.iter();
            let versions = versions.map(|it| fingerprint::of_version(&key.primary, it));
            return versions.fold(0, u128::wrapping_add);
        }
        fingerprint::of_item(&key.primary, stored)
    }

    /// The item's row is another one: `was` is what the one before had added.
    ///
    /// Collecting tombstones and shortening rows do not come here: neither counts.
    pub(super) fn note_changed<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        key: &ItemKey,
        was: u128,
        next: Option<&Stored>,
    ) {
        let change = self.fingerprint(key, next).wrapping_sub(was);
        if change != 0 {
            let bucket = txn.store.bucket(key);
            self.add_to_fingerprint(txn, (key.table, bucket), change);
        }
    }

    /// The same, of a peer's row.
    pub(super) fn note_merged<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        key: &ItemKey,
        was: u128,
        next: &Stored,
    ) {
        if planted!(self, FingerprintNotOnApply) {
            return;
        }
        self.note_changed(txn, key, was, Some(next));
    }

    fn add_to_fingerprint<S: Snapshot>(
        &mut self,
        txn: &mut Txn<'_, S>,
        bucket: (TableId, u8),
        change: u128,
    ) {
        if change == 0 {
            return;
        }
        let sum = self.fingerprints.remove(&bucket).unwrap_or_default().wrapping_add(change);
        if sum != 0 {
            self.fingerprints.insert(bucket, sum);
        }
        txn.batch.fingerprints.insert(bucket, sum);
    }

    fn planted_overwrite<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>, row: &Row) {
        if !planted!(self, RepairOverwrites) {
            return;
        }
        if let Some(stored) = txn.item(&row.key) {
            let was = self.fingerprint(&row.key, Some(&stored));
            self.note_changed(txn, &row.key, was, None);
            txn.batch.remove(row.key.clone(), &stored, self.me);
        }
    }
}
