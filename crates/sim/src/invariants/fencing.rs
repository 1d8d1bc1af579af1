//! Invariant 13: nothing that a given-up life wrote beyond what the others had is ever applied.
//!
//! Source: data-plane.md 2.8 and 3.3, 13. Whoever durably knows that a life is over takes no row of
//! it, and counts nothing of it as applied, that no other region had before: what is passed on was
//! received from the region while somebody still took part with it.

use pangea_core::id::RegionSlot;
use pangea_core::replica::Batch;
use pangea_core::time::{Hlc, Stamp};

use super::{Checked, Invariant, demand};
use crate::oracle::Site;

/// `region` takes `stamp`, or counts everything up to it as applied.
pub(crate) fn taken(sites: &[Site], region: usize, stamp: Stamp) -> Checked {
    let site = &sites[region];
    let membership = site.catalog.membership();
    if membership.generation == 0 || membership.admits(stamp.origin) {
        return Ok(());
    }
    let others = sites.iter().enumerate().filter(|&(other, site)| {
        // In a later life, its past in order, it has what others had given back to it.
        let back = site.origin != stamp.origin && !site.disk.durable.reborn;
        other != region && (other != stamp.origin.slot().index() || back)
    });
    let known = others.map(|(_, other)| has(other, stamp)).max().unwrap_or_default();
    let here = has(site, stamp);
    demand(Invariant::Fencing, stamp.hlc <= known.max(here), || {
        format!("{} takes {stamp} of a life that is over; nobody has more than {known}", site.slot)
    })
}

/// A region that knows that it has lost its log writes a batch: it takes in no row of a table, for
/// of items that it had seen it knows nothing.
pub(crate) fn takes_nothing(slot: RegionSlot, batch: &Batch) -> Checked {
    let put = batch.items.iter().find(|(key, stored)| !key.table.is_system() && stored.is_some());
    demand(Invariant::Fencing, put.is_none(), || {
        format!("{slot} takes {:?}, and has lost its log", put.map(|(key, _)| &key.primary))
    })
}

/// The most of the origin that a region may have received.
fn has(site: &Site, stamp: Stamp) -> Hlc {
    let (origin, durable) = (stamp.origin, &site.disk.durable);
    let voice = site.catalog.voices().get(&site.slot);
    let claimed = voice.and_then(|voice| voice.claims.get(&origin)).map(|claim| claim.newest);
    let named = durable.newest(origin).max(site.disk.visible.newest(origin));
    // What it sent before its disk was lost may be on the way.
    let sent = site.had.get(&origin).copied().unwrap_or_default();
    durable.applied_of(origin).max(claimed.unwrap_or_default()).max(named).max(sent)
}
