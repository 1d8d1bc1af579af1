//! Rows against their fingerprints: finding what rotted, for anti-entropy.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use pangea_codec::disk::meta;
use pangea_codec::disk::{self, RowError, key};
use pangea_core::fingerprint::{self, BUCKETS, Fingerprints};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{ItemKey, PrimaryKey};
use pangea_core::merge::Stored;
use pangea_core::repair::{Damaged, Verified};
use pangea_core::time::Stamp;

use super::store::facts;
use super::{Change, Fault, OnDamage, Space, StoreView, View};

/// Rows that are read at a time.
const ROWS: usize = 256;

impl StoreView {
    /// What of a bucket is damaged, and what its fingerprint has beyond its readable rows, in the
    /// store of the region that lives `me`.
    ///
    /// # Errors
    /// [`Fault::Read`].
    pub fn verify(&self, me: Origin, (table, bucket): (TableId, u8)) -> Result<Verified, Fault> {
        let prefix = key::bucket(table, bucket);
        let mut found = Verified::default();
        let (mut from, mut sum, mut unreadable) = (Bound::Included(prefix.clone()), 0_u128, false);
        loop {
            let bound = from.as_ref().map(Vec::as_slice);
            let chunk = self.scan_rows(table, bound, ROWS, OnDamage::GoOn)?;
            unreadable |= !chunk.unreadable.is_empty();
            let mut beyond = false;
            for scanned in chunk.rows {
                if !scanned.row_key.starts_with(&prefix) {
                    beyond = true;
                    break;
                }
                match scanned.row {
                    Ok((item, stored)) => {
                        found.rows += 1;
                        sum = sum.wrapping_add(fingerprint::of_item(&item.primary, &stored));
                    }
                    Err(error) => found.damaged.push(self.damaged(&scanned.row_key, &error)?),
                }
            }
            match chunk.next.filter(|_| !beyond) {
                Some(next) => from = next,
                None => break,
            }
        }
        let maintained = self.fingerprint(table, bucket)?;
        found.excess = maintained.wrapping_sub(sum);
        if found.excess != 0 || unreadable || !found.damaged.is_empty() {
            self.consult_changelog(me, &prefix, &mut found)?;
        }
        Ok(found)
    }

    fn damaged(&self, row_key: &[u8], error: &RowError) -> Result<Damaged, Fault> {
        let row = self.view.get(Space::Items, row_key)?.unwrap_or_default();
        Ok(Damaged {
            place: row_key.to_vec(),
            key: disk::salvaged_key(row_key, &row),
            row: true,
            stamps: Vec::new(),
            why: error.to_string(),
        })
    }

    /// The index tells which versions damaged rows had, and which rows are gone.
    fn consult_changelog(
        &self,
        me: Origin,
        prefix: &[u8],
        found: &mut Verified,
    ) -> Result<(), Fault> {
        let mut versions: BTreeMap<Vec<u8>, Vec<Stamp>> = BTreeMap::new();
        let all = (Bound::Unbounded, Bound::Unbounded);
        self.view.scan(Space::Changelog, all, false, &mut |name, _| {
            let entry = key::parse_changelog(name).filter(|(_, row)| row.starts_with(prefix));
            if let Some((stamp, row_key)) = entry {
                versions.entry(row_key.to_vec()).or_default().push(stamp);
            }
            ControlFlow::Continue(())
        })?;
        for damaged in &mut found.damaged {
            damaged.stamps = versions.remove(&damaged.place).unwrap_or_default();
        }
        for (place, mut stamps) in versions {
            let (key, row, why) = match self.view.get(Space::Items, &place) {
                Ok(row) => {
                    let read = row.and_then(|row| disk::decode_at(&place, &row).ok());
                    let (item, stored) = read.unzip();
                    let has = |it: &Stamp| {
                        stored.as_ref().is_some_and(|row| row.entries(me).any(|has| has == *it))
                    };
                    stamps.retain(|stamp| !has(stamp));
                    let key = item.map(|item: ItemKey| item.primary);
                    (key, false, "indexes name what the row does not have".to_string())
                }
                Err(fault @ Fault::Damaged { .. }) => (None, true, fault.to_string()),
                Err(fault) => return Err(fault),
            };
            if !stamps.is_empty() {
                found.damaged.push(Damaged { place, key, row, stamps, why });
            }
        }
        Ok(())
    }

    /// The maintained fingerprint of a bucket; a damaged one counts as none, and will not match.
    fn fingerprint(&self, table: TableId, bucket: u8) -> Result<u128, Fault> {
        let sum = self.view.get(Space::Meta, &meta::fingerprint(table, bucket))?;
        Ok(sum.and_then(|sum| meta::parse_sum(&sum).ok()).unwrap_or_default())
    }

    pub(super) fn table_fingerprints(&self, table: TableId) -> Result<Vec<u128>, Fault> {
        let mut sums = vec![0; BUCKETS];
        let prefix = meta::fingerprint(table, 0);
        let prefix = prefix.split_last().map(|(_, prefix)| prefix).unwrap_or_default();
        let end = key::after_prefix(prefix).unwrap_or_default();
        let bounds = (Bound::Included(prefix), Bound::Excluded(end.as_slice()));
        self.view.scan(Space::Meta, bounds, false, &mut |name, sum| {
            if let (Ok((_, bucket)), Ok(sum)) =
                (meta::parse_fingerprint(name), meta::parse_sum(sum))
            {
                sums[usize::from(bucket)] = sum;
            }
            ControlFlow::Continue(())
        })?;
        Ok(sums)
    }

    /// Rows of a bucket that can be read.
    pub(super) fn readable_rows(
        &self,
        (table, bucket): (TableId, u8),
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Stored)>, Fault> {
        let prefix = key::bucket(table, bucket);
        let end = key::after_prefix(&prefix);
        let lower = after.map(|after| key::row_in(table, after));
        let lower = lower.as_deref().map_or(Bound::Included(&prefix[..]), Bound::Excluded);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = Vec::new();
        self.view.scan(Space::Items, (lower, upper), false, &mut |row_key, row| {
            rows.extend(disk::decode_at(row_key, row).ok());
            if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(rows)
    }
}

/// The fingerprints of a store, and what has to be written if they had to be made anew: it has
/// none yet, or of another format, or damaged ones.
pub(super) fn fingerprints(view: &StoreView) -> Result<(Fingerprints, Vec<Change>), Fault> {
    let noted = view.view.get(Space::Meta, meta::FINGERPRINTS)?;
    let note = meta::fingerprints(fingerprint::FORMAT);
    let known = facts(view.view.as_ref(), meta::FINGERPRINT, |name, value| {
        Ok((meta::parse_fingerprint(name)?, meta::parse_sum(value)?))
    });
    match known {
        Ok(known) if noted.as_ref() == Some(&note) => return Ok((known, Vec::new())),
        Ok(_) => tracing::info!("making the fingerprints of all tables"),
        Err(Fault::Corrupt { place, error }) => {
            tracing::error!(%place, %error, "damaged fingerprint: making all anew");
        }
        Err(fault) => return Err(fault),
    }
    let made = recomputed(view.view.as_ref())?;
    let mut changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    let end = key::after_prefix(meta::FINGERPRINT).unwrap_or_default();
    let bounds = (Bound::Included(meta::FINGERPRINT), Bound::Excluded(end.as_slice()));
    view.view.scan(Space::Meta, bounds, false, &mut |name, _| {
        changes.insert(name.to_vec(), None);
        ControlFlow::Continue(())
    })?;
    for (&(table, bucket), &value) in &made {
        changes.insert(meta::fingerprint(table, bucket), Some(meta::sum(value)));
    }
    changes.insert(meta::FINGERPRINTS.to_vec(), Some(note));
    let changes = changes.into_iter().map(|(name, value)| (Space::Meta, name, value));
    Ok((made, changes.collect()))
}

/// Damaged rows count as nothing: the next verification finds them.
fn recomputed(view: &dyn View) -> Result<Fingerprints, Fault> {
    let mut made = Fingerprints::new();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let scanned = view.scan(Space::Items, all, false, &mut |row_key, row| {
        match disk::decode_at(row_key, row) {
            Ok((item, stored)) if fingerprint::covers(item.table) => {
                let sum = made.entry((item.table, key::bucket_of(row_key))).or_default();
                *sum = sum.wrapping_add(fingerprint::of_item(&item.primary, &stored));
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "damaged row: left out of the fingerprints"),
        }
        ControlFlow::Continue(())
    });
    match scanned {
        Ok(()) => {}
        Err(fault @ Fault::Damaged { .. }) => tracing::error!(%fault, "fingerprints lack rows"),
        Err(fault) => return Err(fault),
    }
    made.retain(|_, sum| *sum != 0);
    Ok(made)
}

#[cfg(test)]
mod tests;
