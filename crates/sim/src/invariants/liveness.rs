//! Liveness: after healing the regions come to rest within bounded simulated time.
//!
//! Source: the brief's second phase; data-plane.md 3.3, 16 and 21; house-style.md 6.2 (`liveness`).
//! At rest means: nothing waits for a disk, everyone has applied what everyone has closed, and
//! every replica is as the catalog wishes it. What the state then is, is for the other invariants
//! to say.

use pangea_core::catalog::{ReplicaState, TableEntry};
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::ItemKey;
use pangea_core::ledger;
use pangea_core::membership::RegionState;
use pangea_core::time::Hlc;

use super::because;
use crate::oracle::Site;

/// Why the regions are not at rest; `None` if they are. `settled` is long after healing.
pub(crate) fn unrest(sites: &[Site], settled: bool, told: bool) -> Option<String> {
    for site in sites.iter().filter(|site| !site.gone) {
        if !site.disk.queue.is_empty() {
            return because(told, || format!("{} still writes", site.slot));
        }
        let behind = |there| behind(sites, site, there, settled, told);
        if let Some(why) = sites.iter().find_map(behind) {
            return Some(why);
        }
        if cannot_level(sites, site) {
            continue;
        }
        let joining = site.catalog.membership().state(site.slot);
        if joining == Some(RegionState::Joining) {
            return because(told, || format!("{} is still joining", site.slot));
        }
        let mut tables = site.catalog.tables().filter(|entry| {
            let membership = site.catalog.membership();
            let mut dead = sites.iter().filter(|it| it.gone && !membership.is_gone(it.slot));
            !dead.any(|dead| site.catalog.may_have_rows_of(entry, dead.origin))
        });
        let waits = |slot: RegionSlot| waits_for_lost(sites, site, slot);
        if let Some(why) = tables.find_map(|entry| {
            unfinished(site, entry, waits, told).or_else(|| undecided(site, entry.id, told))
        }) {
            return Some(why);
        }
        // Who is gone and not given up is waited for.
        let mut waits = sites.iter().filter(|it| it.gone);
        if waits.all(|it| site.catalog.membership().is_gone(it.slot))
            && let Some(why) = undecided(site, TableId::CATALOG, told)
        {
            return Some(why);
        }
    }
    None
}

/// Whether a region that votes, or has some of a life that is over, or was called back before that
/// ended, is dead, or says nothing because its disk is lost, while some life is over: that is
/// levelled among all of them, and nothing is collected, taken over or joined before.
pub(crate) fn cannot_level(sites: &[Site], site: &Site) -> bool {
    let membership = site.catalog.membership();
    let claims = |it: &Site| {
        let voice = site.catalog.voices().get(&it.slot).filter(|_| !membership.is_gone(it.slot));
        voice.is_some_and(|voice| !voice.claims.is_empty())
    };
    let called_before = |slot: RegionSlot, life: Origin| {
        membership.state(slot) == Some(RegionState::Joining)
            && (membership.is_gone(life.slot())
                || membership.since(slot) < membership.since(life.slot()))
    };
    let mute = |it: &Site, life: Origin| {
        it.gone && (membership.votes(it.slot) || claims(it) || called_before(it.slot, life))
    };
    let mut over = sites.iter().flat_map(Site::lives).filter(|life| !membership.admits(*life));
    over.any(|life| sites.iter().any(|it| mute(it, life)))
}

/// Whether a region has lost its disk, and `site` has not heard that it was given up: nobody knows
/// what an earlier life of it wrote that some have and others do not, so that who leaves a table
/// may wait. It can have taken a decision with it that nothing can be decided without.
pub(crate) fn may_be_missed(site: &Site, lost: &Site) -> bool {
    lost.is_lost() && !site.catalog.membership().is_gone(lost.slot)
}

/// Whether a region has more of a life of one whose disk is lost than another has.
fn waits_for_lost(sites: &[Site], site: &Site, slot: RegionSlot) -> bool {
    let applied = |it: &Site, life| it.disk.durable.applied_of(life);
    let Some(here) = sites.iter().find(|it| it.slot == slot && !it.gone) else { return false };
    let lost = sites.iter().filter(|it| may_be_missed(site, it));
    let mut lives = lost.flat_map(Site::lives);
    let others = || sites.iter().filter(|it| !it.gone);
    lives.any(|life| others().any(|it| applied(it, life) < applied(here, life)))
}

/// Why `site` does not have all that it can have of `there`.
fn behind(sites: &[Site], site: &Site, there: &Site, settled: bool, told: bool) -> Option<String> {
    for origin in there.lives().filter(|&origin| origin != site.origin) {
        let applied = site.disk.durable.applied_of(origin);
        let over = !site.catalog.membership().admits(origin);
        let over = over && !cannot_level(sites, site);
        let lives = origin == there.origin && !there.gone;
        let wanted = if lives { there.closed } else { best(sites, origin) };
        // What a dead region wrote counts as applied only where all of it is covered.
        if applied < wanted && (over || lives || !settled) {
            let slot = site.slot;
            return because(told, || {
                format!("{slot} has applied {applied} of {origin}, not {wanted}")
            });
        }
    }
    None
}

/// The most that any survivor has of a dead region, or of a life that is over.
fn best(sites: &[Site], origin: Origin) -> Hlc {
    let alive = sites.iter().filter(|site| !site.gone);
    alive.map(|site| site.disk.durable.applied_of(origin)).max().unwrap_or_default()
}

/// Why it is not known yet whether others have what the region has set aside of a table, or of the
/// catalog.
fn undecided(site: &Site, table: TableId, told: bool) -> Option<String> {
    let of_table = |key: &ItemKey| ledger::table_of(&key.primary) == Some(table);
    let aside = site.disk.durable.table(TableId::ASIDE).find(|(key, _)| of_table(key))?;
    because(told, || format!("{} has {:?} aside", site.slot, aside.0.primary))
}

/// Why a table's replicas are not yet as they shall be.
fn unfinished(
    site: &Site,
    entry: &TableEntry,
    waits: impl Fn(RegionSlot) -> bool,
    told: bool,
) -> Option<String> {
    let (here, table, home) = (site.slot, entry.id, entry.home);
    if site.catalog.is_behind(entry, home) {
        return because(told, || format!("{here} sees {table} not served at its home"));
    }
    // The heir of a table whose home is gone writes its name into the entry; one whose replica
    // could not be made never has all of it.
    let failed = matches!(site.catalog.state(entry, home), Some(ReplicaState::Failed { .. }));
    let written = site.catalog.written(table).map(|written| (written.home, written.home_since));
    if !entry.deleted && !failed && written != Some((home, entry.home_since)) {
        return because(told, || format!("{here} sees {table} not taken over by {home}"));
    }
    for spec in &entry.replicas {
        match site.catalog.state(entry, spec.slot) {
            Some(ReplicaState::Failed { .. }) => {}
            Some(ReplicaState::Active { pending }) if pending.is_empty() => {}
            state => {
                let (here, there) = (site.slot, spec.slot);
                return because(told, || {
                    format!("{here} sees {} at {there} as {state:?}", entry.id)
                });
            }
        }
    }
    let members = site.catalog.membership().members();
    for slot in members.filter(|&slot| !entry.is_held_by(slot) && !waits(slot)) {
        let status = site.catalog.status(entry.id, slot);
        let leaves = status.is_some_and(|status| status.state != ReplicaState::Removed);
        if leaves || (status.is_none() && slot == entry.home) {
            let (here, table) = (site.slot, entry.id);
            return because(told, || {
                format!("{here} sees {table} still leaving {slot}: {status:?}")
            });
        }
    }
    None
}
