//! Invariants 8 and 9 of the data plane's: of tables in groups, no read sees an effect without what
//! it rests on, and none sees a part of a transaction.
//!
//! Source: data-plane.md 2.13, 2.14 and 3.3, 8 and 9. Demanded of every state that readers may be
//! shown, in every region that serves a table of a group: of each origin the region has absorbed
//! all versions up to the newest that it shows of it, and all that the origin's region had shown,
//! of anyone, when it wrote them. The rows of a transaction share their stamp, so that all of it is
//! there or none.
//!
//! What is gone with an evicted region may be half of a transaction, and what rotted is not there:
//! neither is demanded.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use pangea_core::catalog::{self, TableEntry};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::ItemKey;
use pangea_core::time::Hlc;

use super::{Checked, Invariant, demand};
use crate::disk::Image;
use crate::oracle::{Issued, Oracle, Site};

/// The newest stamp of each origin.
pub(crate) type Newest = BTreeMap<Origin, Hlc>;

/// What a region shows of tables in groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// The newest version of each origin that it has absorbed.
    pub(crate) newest: Newest,
    /// The tables that it serves, and those of them of which all was looked at.
    served: BTreeSet<TableId>,
    looked: BTreeSet<TableId>,
}

/// A batch has become visible in a region. `keys` are what it is about.
pub(crate) fn shown<'a>(
    oracle: &Oracle,
    site: &Site,
    keys: impl Iterator<Item = &'a ItemKey> + Clone,
) -> Checked<Shown> {
    // Which tables are served is said by the catalog alone.
    match keys.clone().any(|key| key.table == TableId::CATALOG) {
        true => looked_at(oracle, site, served(site), keys),
        false => looked_at(oracle, site, site.shown.served.clone(), keys),
    }
}

/// The catalog has become durable in a region.
pub(crate) fn cataloged(oracle: &Oracle, site: &Site) -> Checked<Shown> {
    looked_at(oracle, site, served(site), std::iter::empty())
}

fn looked_at<'a>(
    oracle: &Oracle,
    site: &Site,
    served: BTreeSet<TableId>,
    keys: impl Iterator<Item = &'a ItemKey>,
) -> Checked<Shown> {
    let before = &site.shown;
    let anew = !served.is_subset(&before.looked);
    let looked = served.clone();
    let mut next = Shown { newest: before.newest.clone(), served, looked };
    match anew {
        true => oracle.items.iter().for_each(|item| next.note(oracle, site, &item.key)),
        false => keys.for_each(|key| next.note(oracle, site, key)),
    }
    if site.catalog.membership().generation > 0 {
        return Ok(next);
    }
    for (&origin, &newest) in &next.newest {
        let known = before.newest.get(&origin).copied().filter(|_| !anew).unwrap_or_default();
        for issued in span(oracle, origin, (known, newest)) {
            absorbed(oracle, site, &next, issued, None)?;
            for (&other, &needed) in issued.rests_on.iter() {
                let have = next.newest.get(&other).copied().unwrap_or_default();
                for needed in span(oracle, other, (have, needed)) {
                    absorbed(oracle, site, &next, needed, Some(issued))?;
                }
            }
        }
    }
    Ok(next)
}

/// What a region that begins anew shows; all of it is looked at with its next batch.
pub(crate) fn recalled(oracle: &Oracle, site: &Site) -> Shown {
    let (newest, looked) = (Newest::new(), BTreeSet::new());
    let mut shown = Shown { newest, served: served(site), looked };
    oracle.items.iter().for_each(|item| shown.note(oracle, site, &item.key));
    shown
}

impl Shown {
    /// Takes in what the region has absorbed of an item.
    fn note(&mut self, oracle: &Oracle, site: &Site, key: &ItemKey) {
        let id = oracle.key_id(key).filter(|_| self.served.contains(&key.table));
        let absorbed = site.disk.visible.absorbed(key);
        for issued in id.into_iter().flat_map(|id| oracle.named(id, absorbed)) {
            let stamp = issued.version().stamp;
            let newest = self.newest.entry(stamp.origin).or_default();
            *newest = stamp.hlc.max(*newest);
        }
    }
}

/// Whether the table is in a group, as far as the region knows.
pub(crate) fn is_grouped(site: &Site, table: TableId) -> bool {
    site.catalog.get(table).is_some_and(|entry| entry.settings.group.is_some())
}

/// Nothing is demanded of a table that is about to leave its group, or the region, by a batch that
/// is not durable yet: those behind it are read with it.
fn served(site: &Site) -> BTreeSet<TableId> {
    let same = |entry: &TableEntry, next: &TableEntry| {
        let held = next.is_held_by(site.slot);
        held && next.replica(site.slot) == entry.replica(site.slot) && next.settings.group.is_some()
    };
    let (visible, durable) = (&site.disk.visible, &site.disk.durable);
    let stays = |entry: &&TableEntry| {
        let key = catalog::entry_key(entry.id);
        let row = |image: &Image| image.rows.get(&key).map(Rc::as_ptr);
        // The catalog is what the durable row says; to decode it each time was a tenth of a run.
        let next = row(visible);
        if next.is_some() && next == row(durable) {
            return site.catalog.written(entry.id).is_some_and(|next| same(entry, next));
        }
        catalog::entry_in(&**visible, entry.id).is_some_and(|next| same(entry, &next))
    };
    let held = site.catalog.grouped_at(site.slot).filter(stays);
    held.filter(|it| site.catalog.is_serving(it, site.slot)).map(|entry| entry.id).collect()
}

/// What an origin issued in `(after, through]`.
fn span(
    oracle: &Oracle,
    origin: Origin,
    (after, through): (Hlc, Hlc),
) -> impl Iterator<Item = &Issued> {
    let history = oracle.by_origin.get(&origin).map(Vec::as_slice).unwrap_or_default();
    let start = history.partition_point(|&id| oracle.versions[id].version().stamp.hlc <= after);
    let all = history[start..].iter().map(|&id| &oracle.versions[id]);
    all.take_while(move |issued| issued.version().stamp.hlc <= through)
}

fn absorbed(
    oracle: &Oracle,
    site: &Site,
    shown: &Shown,
    issued: &Issued,
    by: Option<&Issued>,
) -> Checked {
    let key = &oracle.items[issued.key].key;
    let (version, image) = (issued.version(), &site.disk.visible);
    let may_have =
        site.catalog.may_receive(site.slot, key.table, &key.primary, version.origins.place);
    // Who shows what won shows what it would with what lost.
    let known = image.absorbed(key);
    let newest = oracle.named(issued.key, known).map(|known| known.version().stamp).max();
    let settings = site.catalog.get(key.table).map(|entry| &entry.settings);
    let kept =
        settings.is_some_and(|it| it.policy.keeps_all() && version.origins.epoch >= it.since);
    let lost = !kept && newest.is_some_and(|newest| newest > version.stamp);
    let excused = lost
        || !shown.served.contains(&key.table)
        || !may_have
        || issued.lost
        || image.scarred.contains(key)
        || oracle.rotted.contains(&issued.key);
    demand(Invariant::Group, excused || known.has(issued.nth), || {
        let (slot, stamp, item) = (site.slot, version.stamp, &key.primary.partition);
        let by = by.map(|by| by.version().stamp);
        format!(
            "{slot} shows {:?} and not {stamp} of {item:?} in {}, on which {by:?} rests",
            shown.newest.get(&stamp.origin),
            key.table
        )
    })
}
