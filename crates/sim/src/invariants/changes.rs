//! Invariant 6 of tables themselves: a change of a table that was acknowledged is part of what
//! there is of the table, or in the ledger.
//!
//! Source: DESIGN.md, promise 1. Each row of the catalog has one writer at a time, so that no
//! change loses to another; but a region may be given up before it has told anyone of one.

use pangea_core::catalog::entry_key;
use pangea_core::id::TableId;
use pangea_core::item::ItemKey;
use pangea_core::ledger;
use pangea_core::time::Stamp;

use super::{Broken, Checked, Invariant, demand};
use crate::oracle::{Oracle, Site};

const BROKEN: Invariant = Invariant::NothingVanishes;

/// A row of the ledger about a table is of a change that was made.
pub(crate) fn ledger_row(oracle: &Oracle, row: &ItemKey) -> Checked {
    let named = ledger::stamps_of(&row.primary).map(|(lost, _)| lost);
    let lost = named.filter(|lost| oracle.dot(*lost).is_some());
    let unknown = || Broken::new(BROKEN, format!("{named:?} is orphaned: no known change"));
    lost.map(|_| ()).ok_or_else(unknown)
}

/// Everything is at rest.
pub(crate) fn at_rest(oracle: &Oracle, sites: &[Site]) -> Checked {
    for &(table, stamp) in &oracle.changes {
        let site = &sites[stamp.origin.slot().index()];
        // It was on a disk that is lost, or is on one that nobody can ask.
        if site.gone || site.lost.contains(&stamp.origin) {
            continue;
        }
        // Who is dead and not given up is waited for.
        let newest = sites.iter().filter(|site| !site.gone).map(|site| site.catalog.membership());
        let newest = newest.max_by_key(|it| it.generation);
        let given_up = |site: &Site| newest.is_some_and(|it| it.is_gone(site.slot));
        let mut asked =
            sites.iter().filter(|site| !site.is_lost() && (!site.gone || !given_up(site)));
        let kept = asked.any(|site| keeps(site, table, stamp));
        demand(BROKEN, kept, || format!("the change {stamp} of table {table} is nowhere"))?;
    }
    Ok(())
}

/// Whether the change is still somewhere when a disk is about to be lost. One that is called back
/// to a new life copies the catalog anew, of those who told that they have it.
pub(crate) fn survives(sites: &[Site], region: usize, (table, stamp): (TableId, Stamp)) -> bool {
    let others = sites.iter().enumerate().filter(|(at, _)| *at != region);
    let stays = |site: &Site| !site.gone && !site.is_lost() && !site.copies_anew(sites);
    let mut others = others.filter(|(_, site)| stays(site));
    others.any(|(_, site)| keeps(site, table, stamp)) || !keeps(&sites[region], table, stamp)
}

/// Whether a region has the change, or what came after it, in the catalog, or tells of it in the
/// ledger, or does not know yet whether others have it.
fn keeps(site: &Site, table: TableId, stamp: Stamp) -> bool {
    let row = entry_key(table);
    let durable = &site.disk.durable;
    let held = durable.rows.get(&row);
    let lost = |key: &ItemKey| ledger::stamps_of(&key.primary).map(|(lost, _)| lost);
    let is_told = |key: &ItemKey| {
        let same = ledger::key(&row, stamp, stamp).primary.partition == key.primary.partition;
        same && lost(key).is_some_and(|it| it.origin == stamp.origin && it.hlc >= stamp.hlc)
    };
    let mut told = durable.table(TableId::LEDGER).chain(durable.table(TableId::ASIDE));
    held.is_some_and(|held| held.stored.greatest().context.covers(stamp))
        || told.any(|(key, _)| is_told(key))
}
