//! Invariant 3: `applied[origin]` is gap-free, monotone, and advances in the same batch as the
//! rows.
//!
//! Source: DESIGN.md, invariant 3; data-plane.md 2.10 and 3.3, 4. At every commit: every durable
//! version of the origin up to the new place, of a table that the region holds whole, has been
//! absorbed here, as it was or in the past of another, or has lost, which a ledger tells. What was
//! on a lost disk alone is nowhere to be had: a feed that withheld it has passed by.

use pangea_core::catalog::ReplicaState;
use pangea_core::id::{Origin, TableId};
use pangea_core::item::ItemKey;
use pangea_core::time::Hlc;

use super::nothing_vanishes::aside;
use super::{Checked, Invariant, demand};
use crate::disk::Write;
use crate::oracle::{Issued, Oracle, Site};

const BROKEN: Invariant = Invariant::Applied;

/// Before the batch is committed: places only grow, and only to where the origin is.
pub(crate) fn monotone(sites: &[Site], region: usize, write: &Write) -> Checked {
    for (&origin, &hlc) in &write.applied {
        let before = sites[region].disk.durable.applied_of(origin);
        demand(BROKEN, hlc >= before, || format!("applied of {origin} from {before} to {hlc}"))?;
        let there = &sites[origin.slot().index()];
        let newest = there.disk.durable.last;
        let there_yet = origin == there.origin && !there.lost.contains(&origin);
        demand(BROKEN, hlc <= newest || !there_yet, || {
            format!("applied {hlc} of {origin}, which has nothing after {newest}")
        })?;
    }
    Ok(())
}

/// After the batch is committed: no version between the old place and the new is missing.
pub(crate) fn gap_free(
    oracle: &Oracle,
    sites: &[Site],
    region: usize,
    origin: Origin,
    (after, through): (Hlc, Hlc),
) -> Checked {
    let Some(history) = oracle.by_origin.get(&origin) else { return Ok(()) };
    let start = history.partition_point(|&id| oracle.versions[id].version().stamp.hlc <= after);
    for &id in &history[start..] {
        let issued = &oracle.versions[id];
        if issued.version().stamp.hlc > through {
            break;
        }
        not_missing(oracle, sites, region, issued)?;
    }
    Ok(())
}

/// A replica has become whole: nothing up to the places of its feeds is missing.
pub(crate) fn whole(oracle: &Oracle, sites: &[Site], region: usize, table: TableId) -> Checked {
    for (&origin, history) in &oracle.by_origin {
        if origin == sites[region].origin {
            continue;
        }
        let place = sites[region].disk.durable.applied_of(origin);
        let issued = history.iter().map(|&id| &oracle.versions[id]);
        let of_table = issued.filter(|issued| oracle.items[issued.key].key.table == table);
        for issued in of_table.filter(|issued| issued.version().stamp.hlc <= place) {
            not_missing(oracle, sites, region, issued)?;
        }
    }
    Ok(())
}

/// Whether two regions know of the same life of the first one's replica. If not, the other rightly
/// withholds rows, and the first will drop or copy the table once it has heard.
pub(crate) fn agree(site: &Site, origin: &Site, table: TableId) -> bool {
    let (here, there) = (site.catalog.get(table), origin.catalog.get(table));
    let (Some(here), Some(there)) = (here, there) else { return false };
    there.is_held_by(site.slot) && here.replica(site.slot) == there.replica(site.slot)
}

/// Whether a site has a row of the item that is, or had seen, the version.
fn has_or_had(site: &Site, key: &ItemKey, nth: usize) -> bool {
    let image = &site.disk.durable;
    image.rows.contains_key(key) && image.absorbed(key).has(nth)
}

/// Whether a region that came back has set the version aside: it will tell.
fn is_aside(oracle: &Oracle, site: &Site, issued: &Issued) -> bool {
    aside(oracle, site, issued.key).has(issued.nth)
}

/// Whether the site's life is not over, as far as anyone knows, and it has put in order what it has
/// of the life before.
fn takes_part(sites: &[Site], site: &Site) -> bool {
    let newest = sites.iter().map(|site| site.catalog.membership()).max_by_key(|it| it.generation);
    !site.disk.durable.reborn && newest.is_none_or(|it| it.admits(site.origin))
}

fn not_missing(oracle: &Oracle, sites: &[Site], region: usize, issued: &Issued) -> Checked {
    let key = &oracle.items[issued.key].key;
    let stamp = issued.version().stamp;
    // Of a life that is over, what nobody else had received is nowhere to be had.
    let over = !sites[region].catalog.membership().admits(stamp.origin);
    // One whose disk is lost takes itself for what others say that it was, and serves nobody; what
    // it hears then goes when it is taken back.
    if sites[region].is_lost() {
        return Ok(());
    }
    let agree = over || agree(&sites[region], &sites[issued.region], key.table);
    let id = oracle.items[issued.key].versions[issued.nth];
    if oracle.perished.contains(&id) {
        return Ok(());
    }
    if !issued.durable || !agree || !sites[region].is_whole(key.table) {
        return Ok(());
    }
    let entry = sites[region].catalog.get(key.table);
    let place = issued.version().origins.place;
    let (directory, slot) = (&sites[region].catalog.directory, sites[region].slot);
    if !entry.is_some_and(|entry| entry.settings.placement.allows(directory, place, slot)) {
        return Ok(());
    }
    let absorbed = sites[region].disk.durable.absorbed(key).has(issued.nth);
    let shows = |site: &Site| {
        let row = site.disk.durable.rows.get(key);
        row.is_some_and(|held| held.stored.version(stamp).is_some())
    };
    // Nor what one has whose own life is over: it is asked when it is back.
    let takes_part = |site: &Site| takes_part(sites, site);
    // Nor what one drops that has left the table: whoever had it all then is given up now.
    let drops = |site: &Site| {
        let status = site.catalog.status(key.table, site.slot);
        status.is_some_and(|status| status.state == ReplicaState::Dropping)
    };
    let keeps = |site: &Site| takes_part(site) && shows(site) && !drops(site);
    let elsewhere = |(other, site): (usize, &Site)| other != issued.region && keeps(site);
    let elsewhere = sites.iter().enumerate().any(elsewhere);
    // Who wrote it may have left the table since, when one had it all that is given up now.
    let away = sites.iter().any(|site| !takes_part(site) && shows(site));
    let left = away && !shows(&sites[issued.region]);
    // That one may have what had knowingly overwritten it: then nobody else who had that is left to
    // a region that was called back since.
    let has = |site: &Site| has_or_had(site, key, issued.nth);
    let stays = |(at, site): (usize, &Site)| {
        takes_part(site) && has(site) && (at == issued.region || !drops(site))
    };
    let returned = sites[region].catalog.membership().since(sites[region].slot) > 0;
    let bereft = returned
        && sites.iter().any(|site| !takes_part(site) && has(site))
        && !sites.iter().enumerate().any(stays);
    let nowhere = bereft || ((over || left) && !elsewhere);
    // Where it came to lose, what won was sent in its place; the ledger there has what lost.
    let kept = |site: &Site| {
        let kept = [&site.ledgered, &site.orphaned].map(|kept| kept.get(&issued.key));
        kept.into_iter().flatten().any(|kept| kept.has(issued.nth))
    };
    let buried = oracle.buried(sites, issued.key).has(issued.nth);
    let kept = sites.iter().any(|site| kept(site) || is_aside(oracle, site, issued));
    demand(BROKEN, absorbed || nowhere || buried || kept, || {
        let slot = sites[region].slot;
        let shown = sites.iter().filter(|site| shows(site)).map(|site| site.slot.to_string());
        let shown: Vec<_> = shown.collect();
        let key = &key.primary;
        format!("{slot} has applied {stamp} of {key:?} without having its row; {shown:?} have it")
    })
}
