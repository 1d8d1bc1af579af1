//! Invariant 7: after healing, all regions have the state that an independent specification
//! computes from the history.
//!
//! Source: DESIGN.md, invariant 7; data-plane.md 2.1 and 3.3, 16. The specification, per item: of
//! all durable versions take those that no other had truly seen; the greatest stamp among them is
//! kept, or all of them where the table's policy says so. It knows nothing of vectors, frames or
//! the order of events. Catalogs are equal everywhere, ledgers wherever the table is, and where it
//! is not there is no row of it.

use std::collections::BTreeSet;

use pangea_core::id::{Origin, Place, TableId};
use pangea_core::item::ItemKey;
use pangea_core::ledger;
use pangea_core::merge::{Rule, Version};

use super::liveness::may_be_missed;
use super::{Checked, Invariant, collection, demand, merged};
use crate::bits::Bits;
use crate::disk::Held;
use crate::oracle::{Item, KeyId, Oracle, Site};

const BROKEN: Invariant = Invariant::Convergence;

/// Everything is at rest.
pub(crate) fn at_rest(oracle: &Oracle, sites: &[Site]) -> Checked {
    let alive: Vec<&Site> = sites.iter().filter(|site| !site.gone).collect();
    let Some(first) = alive.first() else { return Ok(()) };
    for site in &alive[1..] {
        same_catalog(sites, first, site)?;
        same_ledger(sites, first, site, TableId::CATALOG)?;
    }
    for entry in alive[0].catalog.tables() {
        let whole: Vec<&Site> =
            alive.iter().copied().filter(|site| site.is_whole(entry.id)).collect();
        for site in &whole {
            holds(oracle, sites, site, entry.id)?;
        }
        for pair in whole.windows(2) {
            same_ledger(sites, pair[0], pair[1], entry.id)?;
        }
        for site in alive.iter().filter(|site| !entry.is_held_by(site.slot)) {
            // A region that leaves waits for every holder; one that is gone will not answer.
            let touched = |gone: &Site| site.catalog.may_have_rows_of(entry, gone.origin);
            let waits = |gone: &Site| gone.gone && (touched(gone) || may_be_missed(site, gone));
            let waits = sites.iter().any(waits);
            let row = site.disk.durable.table(entry.id).next();
            demand(BROKEN, row.is_none() || waits, || {
                format!("{} keeps {:?} of a table that it left", site.slot, row)
            })?;
        }
    }
    Ok(())
}

/// The region shows of the table what the history demands, and nothing else.
fn holds(oracle: &Oracle, sites: &[Site], site: &Site, table: TableId) -> Checked {
    let settings = site.catalog.get(table).map(|entry| entry.settings.clone()).unwrap_or_default();
    let rule = settings.rule();
    let mut expected_rows = 0;
    for (id, item) in oracle.items_of(table) {
        let durable = oracle.within_reach(sites, id, item);
        let mut expected = expected(oracle, id, durable, rule);
        let placement = &settings.placement;
        expected.retain(|version| {
            placement.allows(&site.catalog.directory, version.origins.place, site.slot)
        });
        let held = site.disk.durable.rows.get(&item.key);
        if oracle.given_up.contains(&id) {
            // Nothing is left to expect, and a row would be one too many.
            continue;
        }
        if expected.is_empty() || (held.is_none() && were_collected(site, item, &expected)) {
            continue;
        }
        expected_rows += 1;
        let kept = held.map(|held| held.stored.versions.iter().collect::<Vec<_>>());
        let right = kept.as_ref().is_some_and(|kept| {
            let mut pairs = kept.iter().zip(&expected);
            kept.len() == expected.len() && pairs.all(|(kept, it)| collection::is_same(it, kept))
        });
        demand(BROKEN, right, || {
            let stamps = |versions: &[&Version]| {
                versions.iter().map(|version| version.stamp).collect::<Vec<_>>()
            };
            let (slot, key) = (site.slot, &item.key.primary);
            let (kept, expected) = (kept.as_deref().map(stamps), stamps(&expected));
            format!("{slot} keeps {kept:?} of {key:?} instead of {expected:?}")
        })?;
        merged::at_rest(oracle, sites, site, &settings, (id, item))?;
        merged::losers_are_kept(sites, site, &settings, item)?;
    }
    let rows = site.disk.durable.table(table).count();
    demand(BROKEN, rows == expected_rows, || {
        format!("{} has {rows} rows of {table} instead of {expected_rows}", site.slot)
    })
}

/// Whether the region may keep nothing because it has dropped just these deletes.
fn were_collected(site: &Site, item: &Item, expected: &[&Version]) -> bool {
    let Some(seen) = site.disk.durable.collected.get(&item.key.table) else { return false };
    expected.iter().all(|version| version.body.is_deletion() && seen.covers(version.stamp))
}

/// The axioms. Of the versions within reach that no other of them had seen: the greatest stamp;
/// where the table keeps all, also those that were written since it does. The greatest first.
fn expected(oracle: &Oracle, id: KeyId, durable: Bits, rule: Rule) -> Vec<&Version> {
    let is_maximal = |nth: usize| {
        let mut others = oracle.named(id, durable).filter(|other| other.nth != nth);
        !others.any(|other| other.past().has(nth))
    };
    let maximal = oracle.named(id, durable).filter(|issued| is_maximal(issued.nth));
    let mut maximal: Vec<&Version> = maximal.map(|issued| issued.version()).collect();
    maximal.sort_unstable_by_key(|version| std::cmp::Reverse(version.stamp));
    let greatest = maximal.first().map(|version| version.stamp);
    maximal.retain(|version| match rule {
        Rule::Maximal { since } if version.origins.epoch >= since => true,
        _ => Some(version.stamp) == greatest,
    });
    maximal
}

fn same_catalog(sites: &[Site], one: &Site, other: &Site) -> Checked {
    let waits = |version: &Version| is_undecided(sites, [one, other], version.stamp.origin);
    let waiting = [one, other].into_iter().flat_map(catalog_of).filter(|it| waits(it.1));
    let waiting: BTreeSet<&ItemKey> = waiting.map(|(key, _)| key).collect();
    let rows = |site| catalog_of(site).filter(|(key, _)| !waiting.contains(key));
    demand(BROKEN, rows(one).eq(rows(other)), || {
        let stamps = |site| rows(site).map(|(key, version)| (&key.primary, version.stamp));
        let [here, there] = [one, other].map(|site| stamps(site).collect::<BTreeSet<_>>());
        let differ: Vec<_> = here.symmetric_difference(&there).collect();
        format!("the catalogs of {} and {} differ in {differ:?}", one.slot, other.slot)
    })
}

/// Whether the disk of a life is lost, nobody has given its region up, and both regions know of the
/// life: what came to one of them late, and was passed on, is levelled once somebody has.
fn is_undecided(sites: &[Site], both: [&Site; 2], origin: Origin) -> bool {
    let lost = &sites[origin.slot().index()].lost;
    let knows = |site: &Site| site.disk.durable.applied.contains_key(&origin);
    lost.contains(&origin)
        && both.iter().all(|site| site.catalog.membership().admits(origin) && knows(site))
}

fn catalog_of(site: &Site) -> impl Iterator<Item = (&ItemKey, &Version)> {
    let rows = site.disk.durable.table(TableId::CATALOG);
    rows.map(|(key, held)| (key, held.stored.greatest()))
}

fn same_ledger(sites: &[Site], one: &Site, other: &Site, table: TableId) -> Checked {
    let waits =
        |held: &Held| is_undecided(sites, [one, other], held.stored.greatest().stamp.origin);
    let rows = |site| ledger_of(site, table);
    let waiting = rows(one).chain(rows(other)).filter(|(_, held)| waits(held));
    let waiting: BTreeSet<&ItemKey> = waiting.map(|(key, _)| key).collect();
    let keys = |site| rows(site).map(|(key, _)| key).filter(|key| !waiting.contains(key));
    demand(BROKEN, keys(one).eq(keys(other)), || {
        let [here, there] = [one, other].map(|site| keys(site).collect::<BTreeSet<_>>());
        let only = here.symmetric_difference(&there).map(|key| ledger::stamps_of(&key.primary));
        let only: Vec<_> = only.collect();
        format!("the ledgers of {} and {} differ in {only:?}", one.slot, other.slot)
    })
}

/// The ledger's entries of one table, in their order.
fn ledger_of(site: &Site, table: TableId) -> impl Iterator<Item = (&ItemKey, &Held)> {
    let rows = site.disk.durable.table(TableId::LEDGER);
    // Not every holder may have those of restricted items.
    let open = |held: &Held| held.stored.greatest().origins.place == Place::ANYWHERE;
    let of_table = move |key: &ItemKey| ledger::table_of(&key.primary) == Some(table);
    rows.filter(move |(key, held)| of_table(key) && open(held))
}
