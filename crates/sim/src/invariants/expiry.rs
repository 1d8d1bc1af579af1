//! Items that expire are deleted when they have, by who shall, and everyone is told why.
//!
//! Source: data-plane.md 2.16. A region deletes an item for its age only if what its readers saw of
//! it had expired by its own clock, for as long as clocks may differ, and if it wrote that last or
//! had left it to whoever did, and to each holder before itself, for long enough; who takes no
//! writes has no turn, and an owner that is gone leaves its items to the home. What it had not
//! seen survives as under any delete: that is for the invariants of merging and of the ledger to
//! say. Journals of all regions tell such an end as one, and no other. In the end nothing that has
//! expired is left, whoever wrote it.

use pangea_core::catalog::{Policy, TableEntry};
use pangea_core::id::{RegionSlot, TableId};
use pangea_core::item::{AttributeValue, ItemKey};
use pangea_core::journal::Record;
use pangea_core::limits::CLOCK_SKEW_MS_MAX;
use pangea_core::membership::RegionState;
use pangea_core::merge::{Stored, Version};
use pangea_core::view::view;

use super::{Checked, Invariant, demand};
use crate::deed::Deed;
use crate::disk::Held;
use crate::oracle::{Oracle, Site, VersionId};

const BROKEN: Invariant = Invariant::Expiry;

/// A region is deleting what has expired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// The latest time that its clock may show it, ms since 1970.
    pub(crate) now_ms: u64,
    /// How long it leaves an item to each region whose turn is before its own.
    pub(crate) grace_ms: u64,
}

/// A region writes a version of an item; what it showed before is still visible.
pub(crate) fn issued(site: &Site, pass: Option<Pass>, key: &ItemKey, version: &Version) -> Checked {
    let (stamp, says) = (version.stamp, version.origins.expired);
    let Some(pass) = pass else {
        // A region that comes back writes anew what it alone has.
        let anew = site.disk.visible.reborn;
        return demand(BROKEN, !says || anew, || format!("{stamp} says that {key:?} expired"));
    };
    demand(BROKEN, says && version.body.is_deletion(), || {
        format!("{stamp} of a pass over {key:?} is {:?}", version.origins)
    })?;
    // What the region goes by is not durable yet: the next pass will be looked at.
    let unsettled = |write: &crate::disk::Write| {
        write.items.iter().any(|(key, _)| key.table == TableId::CATALOG)
    };
    if site.disk.queue.iter().any(unsettled) {
        return Ok(());
    }
    let entry = site.catalog.get(key.table);
    let stored = site.disk.visible.rows.get(key).map(|held| &held.stored);
    let expires_ms = entry.zip(stored).and_then(|(entry, stored)| expires_ms(entry, stored));
    let (Some(expires_ms), Some(stored), Some(entry)) = (expires_ms, stored, entry) else {
        return Err(super::Broken::new(BROKEN, format!("{stamp}: {key:?} does not expire")));
    };
    let Pass { now_ms, grace_ms } = pass;
    demand(BROKEN, is_due(site, (entry, key), (stored, expires_ms), pass), || {
        let by = stored.greatest().stamp.origin.slot();
        format!(
            "{stamp} deletes {key:?} of {by}, which expires at {expires_ms}, at {now_ms}, {} ms \
             being left to others",
            grace_ms
        )
    })
}

/// When an item expires, ms since 1970; the workload writes whole seconds of this century, or
/// counters, which are no moments.
fn expires_ms(entry: &TableEntry, stored: &Stored) -> Option<u64> {
    let item = view(&entry.settings.policy, stored)?;
    let AttributeValue::N(number) = item.get(entry.ttl.as_ref()?)? else { return None };
    let seconds: u64 = number.to_string().parse().ok()?;
    (seconds > 1_000_000_000).then_some(seconds * 1000)
}

fn is_due(
    site: &Site,
    (entry, key): (&TableEntry, &ItemKey),
    (stored, expires_ms): (&Stored, u64),
    pass: Pass,
) -> bool {
    let membership = site.catalog.membership();
    let writer = stored.greatest().stamp.origin.slot();
    let mut order: Vec<RegionSlot> = entry.holders().collect();
    order.retain(|&slot| slot != writer);
    order.insert(0, writer);
    let able = |slot: &RegionSlot| {
        let active = membership.state(*slot) == Some(RegionState::Active);
        *slot == site.slot || (active && site.catalog.is_serving(entry, *slot))
    };
    order.retain(able);
    if entry.settings.policy == Policy::Owner {
        let ownership = &entry.settings.ownership;
        let owner = ownership.owner(&site.catalog.directory, &key.primary, entry.home);
        order = vec![if membership.is_gone(owner) { entry.home } else { owner }];
        if order != [site.slot] {
            return false;
        }
    }
    let turn = order.iter().position(|&slot| slot == site.slot).unwrap_or(order.len());
    let left_ms = turn as u64 * pass.grace_ms;
    expires_ms + CLOCK_SKEW_MS_MAX + left_ms <= pass.now_ms
}

/// A request to delete what has expired is answered.
pub(crate) fn answered(oracle: &Oracle, deleted: usize, issued: &[VersionId]) -> Checked {
    let durable = issued.iter().filter(|&&id| oracle.versions[id].durable).count();
    demand(BROKEN, durable == deleted && issued.len() == deleted, || {
        format!("{deleted} items are told to be deleted, {durable} durably of {}", issued.len())
    })
}

/// A record of the journal says that an item expired just if what ended it did so for that.
pub(crate) fn told(
    oracle: &Oracle,
    was: Option<&Held>,
    held: Option<&Held>,
    record: &Record,
) -> Checked {
    let key = &record.key;
    if record.after.is_some() {
        return demand(BROKEN, !record.expired, || format!("{key:?} is there and expired"));
    }
    let (Some(held), Some(id)) = (held, oracle.key_id(key)) else { return Ok(()) };
    let is_new =
        |version: &&Version| was.is_none_or(|was| was.stored.version(version.stamp).is_none());
    let mut ends = held.stored.versions.iter().filter(is_new);
    let Some(end) = ends.find(|version| version.body.is_deletion()) else { return Ok(()) };
    // What only takes a part away of what is not there deletes nothing itself.
    let end = oracle.version_of(end.stamp, id).map(|id| &oracle.versions[id]);
    let Some(end) = end.filter(|issued| issued.deed == Deed::Delete) else { return Ok(()) };
    let Version { stamp, origins, .. } = end.version();
    demand(BROKEN, record.expired == origins.expired, || {
        let (told, truth) = (record.expired, origins.expired);
        format!("{key:?} is ended by {stamp}, for its age: {truth}, told: {told}")
    })
}

/// An item that the region should have deleted by now, if there is one.
pub(crate) fn overdue(site: &Site, pass: Pass) -> Option<&ItemKey> {
    let held = site.catalog.held_by(site.slot).filter(|entry| entry.ttl.is_some());
    let mut serving = held.filter(|entry| site.catalog.is_serving(entry, site.slot));
    serving.find_map(|entry| {
        let rows = site.disk.durable.table(entry.id);
        let mut due = rows.filter(|(key, held)| {
            let expires_ms = expires_ms(entry, &held.stored);
            expires_ms.is_some_and(|at_ms| is_due(site, (entry, key), (&held.stored, at_ms), pass))
                && may_write(site, entry, &held.stored)
        });
        due.next().map(|(key, _)| key)
    })
}

fn may_write(site: &Site, entry: &TableEntry, stored: &Stored) -> bool {
    let place = stored.greatest().origins.place;
    entry.settings.placement.allows(&site.catalog.directory, place, site.slot)
}
