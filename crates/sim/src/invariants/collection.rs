//! Invariants 12 and 19 of the data plane: what is collected is not missed, and in the end all of
//! it is collected.
//!
//! Source: data-plane.md 2.1 (prune VVs), 2.7 and 3.3, 12 and 19. When a region drops a tombstone,
//! or forgets what a row has seen, no version is on its way to it, or will be, whose writer had not
//! seen it; one that was on a lost disk alone will not be. At rest, where the seed collects, no
//! replica has tombstones, and rows of one version that are cold know its stamp alone.

use pangea_core::id::TableId;
use pangea_core::item::ItemKey;
use pangea_core::merge::{Body, Stored, Version};
use pangea_core::node::Collect;

use super::{Checked, Invariant, because, demand, liveness};
use crate::oracle::{Oracle, Site};

const BROKEN: Invariant = Invariant::Collection;

/// A region drops a row, or makes it forget what it has seen.
pub(crate) fn safe(oracle: &Oracle, site: &Site, key: &ItemKey, stored: &Stored) -> Checked {
    let Some(id) = oracle.key_id(key) else { return Ok(()) };
    let gone = stored.stamps().filter_map(|stamp| oracle.version_of(stamp, id));
    let gone: Vec<usize> = gone.map(|id| oracle.versions[id].nth).collect();
    let absorbed = site.disk.visible.absorbed(key);
    // What a life that is over wrote comes only from others, once they have levelled it. The batch
    // that says so is before this one, durable or not.
    let membership = site.visible_membership();
    for &version in &oracle.items[id].versions {
        let issued = &oracle.versions[version];
        let stamp = issued.version().stamp;
        let over = !membership.admits(stamp.origin);
        let foreign =
            stamp.origin.slot() != site.slot && !issued.lost && !over && !absorbed.has(issued.nth);
        let perished = oracle.perished.contains(&version);
        if !foreign || perished || stamp.hlc <= site.disk.visible.applied_of(stamp.origin) {
            continue;
        }
        let knew = gone.iter().all(|&nth| issued.past().has(nth));
        demand(BROKEN, knew, || {
            let (slot, shown) = (site.slot, stored.greatest().stamp);
            format!("{slot} forgets {shown} of {:?} before {stamp} has come", key.primary)
        })?;
    }
    Ok(())
}

/// A shortened row says of its version what was said when it was issued, except what was seen.
pub(crate) fn is_same(issued: &Version, shown: &Version) -> bool {
    let contexts = shown.context == issued.context
        || shown.context.iter().eq([(shown.stamp.origin, shown.stamp.hlc)]);
    let said = |version: &Version| (version.stamp, version.origins);
    contexts && said(issued) == said(shown) && issued.body == shown.body
}

/// What is left to collect where replicas are whole; `None` if nothing is.
pub(crate) fn unrest(sites: &[Site], collect: Option<Collect>, told: bool) -> Option<String> {
    let collect = collect?;
    // What waits for a dead region, waits.
    let waits = |site: &Site, table: TableId| {
        let membership = site.catalog.membership();
        if liveness::cannot_level(sites, site) {
            return true;
        }
        let mut dead = sites.iter().filter(|it| it.gone && !membership.is_gone(it.slot));
        let Some(entry) = site.catalog.get(table) else { return false };
        dead.any(|dead| {
            site.catalog.may_have_rows_of(entry, dead.origin) || liveness::may_be_missed(site, dead)
        })
    };
    let whole = |site: &Site, table: TableId| {
        !table.is_system() && site.is_whole(table) && !waits(site, table)
    };
    for site in sites.iter().filter(|site| !site.gone) {
        let image = &site.disk.durable;
        let waits = image.tombstones.iter().find(|(table, ..)| whole(site, *table));
        if let Some((_, origin, hlc, key)) = waits {
            let slot = site.slot;
            return because(told, || {
                format!("{slot} keeps the tombstone {hlc}@{origin} of {:?}", key.primary)
            });
        }
        if collect.cold_after_ms > 0 {
            continue;
        }
        let mut rows = image.rows.iter().filter(|(key, _)| whole(site, key.table));
        // Concurrent versions that are kept side by side are told apart by what they had seen, and
        // merged attributes by what their versions had seen.
        let long = rows.find(|(_, held)| {
            let versions = &held.stored.versions;
            let plain = versions.len() == 1 && matches!(versions[0].body, Body::Live(_));
            plain && held.stored.seen.len() > 1
        });
        if let Some((key, held)) = long {
            let (slot, seen) = (site.slot, &held.stored.seen);
            return because(told, || {
                format!("{slot} knows of {:?} that it has seen {seen:?}", key.primary)
            });
        }
    }
    None
}
