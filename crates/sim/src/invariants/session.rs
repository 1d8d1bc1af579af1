//! Invariant 8: a session reads its own writes, and its reads are monotonic, in whatever region.
//!
//! Source: data-plane.md 2.13 and 3.3, 8. At every read that is not marked as stale: of the item
//! the region shows a version that is not older than any that the client was shown or wrote. Under
//! every policy of these worlds the version that readers see is the greatest, and a region's
//! greatest version of an item only gets greater.
//!
//! A region that was removed from the table, and has not heard of it, serves on without what those
//! write who have: nothing is demanded of it. Nor of one that may not have the item, or of a row
//! that rotted: reading that is an error.

use pangea_core::item::ItemKey;
use pangea_core::time::Stamp;

use super::{Checked, Invariant, applied, demand};
use crate::oracle::{Oracle, Site};

/// A client reads in a region.
pub(crate) fn read(
    (oracle, sites): (&Oracle, &[Site]),
    region: usize,
    client: usize,
    key: &ItemKey,
    (shown, known): (Option<Stamp>, Option<Stamp>),
) -> Checked {
    let site = &sites[region];
    let excused = || {
        let gone = shown.is_none() && is_collected(oracle, site, key, known);
        let rotten = site.disk.durable.rotten.contains_key(key);
        gone || rotten || is_removed(sites, site, key) || !may_have(oracle, site, key, known)
    };
    demand(Invariant::Session, shown >= known || excused(), || {
        let (slot, item) = (site.slot, &key.primary.partition);
        format!("{slot} shows client {client} {shown:?} of {item:?}, and it had seen {known:?}")
    })
}

/// Whether the region has forgotten the item, and the version with it or a greater one.
fn is_collected(oracle: &Oracle, site: &Site, key: &ItemKey, version: Option<Stamp>) -> bool {
    let absorbed = site.disk.durable.absorbed(key);
    let known = oracle.key_id(key).into_iter().flat_map(|id| oracle.named(id, absorbed));
    known.map(|issued| Some(issued.version().stamp)).max().flatten() >= version
}

/// Whether another region knows that this one shall not hold the table as it does.
fn is_removed(sites: &[Site], site: &Site, key: &ItemKey) -> bool {
    sites.iter().any(|origin| !applied::agree(site, origin, key.table))
}

/// Whether placement lets the region have the version.
fn may_have(oracle: &Oracle, site: &Site, key: &ItemKey, version: Option<Stamp>) -> bool {
    let id = oracle.key_id(key).zip(version).and_then(|(id, stamp)| oracle.version_of(stamp, id));
    let place = id.map(|id| oracle.versions[id].version().origins.place);
    place.is_none_or(|place| site.catalog.may_receive(site.slot, key.table, &key.primary, place))
}
