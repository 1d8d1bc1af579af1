//! The feeder's side: what there is of a table, from one durable state.

use alloc::vec::Vec;

use super::{Answer, Ask, KEYS_MAX, Kept, Listed, Subject, Told};
use crate::catalog::Catalog;
use crate::fingerprint;
use crate::id::{Origin, RegionSlot, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::limits::{FEED_BYTES_MAX, FEED_ROWS_MAX};
use crate::merge::{Stored, Version};
use crate::replica::{Progress, Snapshot};
use crate::time::Stamp;

/// Answers `peer` from the state of `me`: `store` is durable and at least as new as `progress`.
pub fn answer(
    me: Origin,
    peer: RegionSlot,
    ask: Ask,
    progress: &Progress,
    store: &impl Snapshot,
) -> Answer {
    let mut applied: Vec<_> = progress.applied.iter().map(|(&of, &hlc)| (of, hlc)).collect();
    applied.push((me, progress.closed));
    let catalog = &progress.catalog;
    let mine = is_whole(catalog, ask.table, me.slot());
    let whole = mine && is_whole(catalog, ask.table, peer);
    let from = From { me: me.slot(), peer, catalog, table: ask.table };
    let told = match &ask.of {
        _ if !fingerprint::covers(ask.table) => Told::Nothing,
        Subject::Fingerprints if whole => Told::Fingerprints(store.fingerprints(ask.table)),
        Subject::Versions { bucket, after, foreign } if whole || (*foreign && from.is_held()) => {
            from.versions(*bucket, after.as_ref(), *foreign, store)
        }
        // Who heals a damaged row takes what there is, of a copy under way, too: the copy may wait
        // for that very row.
        Subject::Rows { keys } if whole || from.is_held() => from.rows(keys, store),
        Subject::Damage { bucket } if whole || from.is_held() => {
            let damaged = store.damaged(me, (ask.table, *bucket));
            Told::Damage(damaged.iter().map(|place| fingerprint::of_place(place)).collect())
        }
        _ => Told::Nothing,
    };
    if !mine {
        // What is not here may just not have been copied: it is no sign that it was deleted.
        applied.clear();
    }
    Answer { ask, applied, told }
}

/// Whether all of a table is at a region that may be there: it serves, and no copy is to come.
pub(super) fn is_whole(catalog: &Catalog, table: TableId, slot: RegionSlot) -> bool {
    if table == TableId::CATALOG {
        return true;
    }
    let held = catalog.get(table).filter(|entry| entry.is_held_by(slot));
    held.is_some_and(|entry| catalog.is_whole(entry, slot))
}

struct From<'a> {
    me: RegionSlot,
    peer: RegionSlot,
    catalog: &'a Catalog,
    table: TableId,
}

impl From<'_> {
    /// Whether both regions are among those that hold the table.
    fn is_held(&self) -> bool {
        let entry = self.catalog.get(self.table);
        entry.is_some_and(|entry| entry.is_held_by(self.me) && entry.is_held_by(self.peer))
    }

    fn versions(
        &self,
        bucket: u8,
        after: Option<&PrimaryKey>,
        foreign: bool,
        store: &impl Snapshot,
    ) -> Told {
        let (mut items, mut after) = (Vec::new(), after.cloned());
        loop {
            let rows = store.bucket_rows((self.table, bucket), after.as_ref(), FEED_ROWS_MAX);
            let last = rows.last().filter(|_| rows.len() >= FEED_ROWS_MAX);
            let last = last.map(|(key, _)| key.primary.clone());
            items.extend(rows.into_iter().filter_map(|(key, it)| self.listed(key, &it, foreign)));
            // The peer is told of no key that it may not have, so this is not where the scan ended.
            let told = items.last().map(|item: &Listed| item.key.clone());
            match last {
                None => return Told::Versions { items, next: None },
                Some(_) if told.is_some() => return Told::Versions { items, next: told },
                last => after = last,
            }
        }
    }

    fn listed(&self, key: ItemKey, stored: &Stored, foreign: bool) -> Option<Listed> {
        let key = key.primary;
        // What is deleted in all its versions counts as nothing, but is still news.
        let is_shown = fingerprint::of_item(&key, stored) != 0;
        let wanted = |version: &&Version| {
            let own = version.stamp.origin.slot() == self.me;
            (own || foreign) && self.may_have(&key, version.origins.place)
        };
        let told = |version: &Version| {
            let sum = if is_shown { fingerprint::of_version(&key, version) } else { 0 };
            (version.stamp, sum)
        };
        let versions: Vec<(Stamp, u128)> =
            stored.versions.iter().filter(wanted).map(told).collect();
        (!versions.is_empty()).then_some(Listed { key, versions })
    }

    fn rows(&self, keys: &[PrimaryKey], store: &impl Snapshot) -> Told {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for primary in keys.iter().take(KEYS_MAX) {
            if bytes >= FEED_BYTES_MAX {
                break;
            }
            let key = ItemKey { table: self.table, primary: primary.clone() };
            let kept = store.item(&key).map(|stored| {
                let mut versions = stored.versions;
                versions.retain(|version| self.may_have(primary, version.origins.place));
                Kept { seen: stored.seen, versions }
            });
            let kept = kept.filter(|kept| !kept.versions.is_empty());
            let versions = kept.iter().flat_map(|kept| &kept.versions);
            bytes += versions.map(|version| version.body.size() + 64).sum::<usize>();
            rows.push(kept);
        }
        Told::Rows(rows)
    }

    fn may_have(&self, key: &PrimaryKey, place: crate::id::Place) -> bool {
        self.catalog.may_receive(self.peer, self.table, key, place)
    }
}
