//! Invariant 1: a version's identity is never issued twice; stamps grow over restarts; a stamp is
//! greater than all it has seen.
//!
//! Source: DESIGN.md, invariant 1; data-plane.md 2.1 (I-HLC, incarnation) and 3.3, 1 and 2.
//! A version that a crash took before it was durable was seen by nobody and does not count.

use pangea_core::replica::Row;
use pangea_core::time::{Hlc, Stamp};

use super::{Checked, Invariant, collection, demand};
use crate::oracle::{Oracle, Site};

const BROKEN: Invariant = Invariant::Identity;

/// A region issues a stamp; `floor` is the newest it had issued before this batch.
pub(crate) fn issued(oracle: &Oracle, site: &Site, floor: Hlc, stamp: Stamp) -> Checked {
    demand(BROKEN, oracle.dot(stamp).is_none(), || format!("{stamp} is issued a second time"))?;
    demand(BROKEN, stamp.hlc > floor, || format!("{stamp} is not after {floor}, issued before"))?;
    let closed = site.closed;
    demand(BROKEN, stamp.hlc > closed, || format!("{stamp} is issued after {closed} was closed"))
}

/// A stamp exceeds everything that its region's state had absorbed of the item.
pub(crate) fn exceeds_seen(stamp: Stamp, seen: Hlc) -> Checked {
    demand(BROKEN, stamp.hlc > seen, || format!("{stamp} does not exceed {seen}, already seen"))
}

/// A row says of a version what was said when it was issued.
pub(crate) fn unchanged(oracle: &Oracle, row: &Row) -> Checked {
    let stamp = row.version.stamp;
    let named = oracle.versions_of(stamp);
    if named.is_empty() {
        return Ok(());
    }
    let id = oracle.key_id(&row.key).and_then(|key| oracle.version_of(stamp, key));
    let issued = id.map(|id| oracle.versions[id].version());
    let same = issued.is_some_and(|issued| collection::is_same(issued, &row.version));
    demand(BROKEN, same, || format!("{stamp} names two different versions"))
}
