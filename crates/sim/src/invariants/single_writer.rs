//! Invariant 2: only the current incarnation of a region writes that region's versions.
//!
//! Source: DESIGN.md, invariant 2; data-plane.md 3.3, 3. A catalog row has one writer too: its
//! home region, or the region whose replica it describes.

use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, ItemKey, KeyValue};
use pangea_core::membership;
use pangea_core::merge::Stored;
use pangea_core::time::Stamp;

use super::{Checked, Invariant, demand};

const BROKEN: Invariant = Invariant::SingleWriter;

/// A version that no frame brought is the region's own.
pub(crate) fn issued_by(me: Origin, stamp: Stamp) -> Checked {
    demand(BROKEN, stamp.origin == me, || format!("{me} made {stamp}, which is not its own"))
}

/// A region that issues a catalog row is its only writer: it speaks of itself, or is home of the
/// table.
pub(crate) fn owns_catalog_row(region: usize, key: &ItemKey, stored: &Stored) -> Checked {
    if key.table != TableId::CATALOG {
        return Ok(());
    }
    let owner = match (&key.primary.sort, &key.primary.partition) {
        (Some(KeyValue::S(sort)), KeyValue::B(_)) => match sort.strip_prefix("replica/") {
            Some(slot) => slot.parse().ok(),
            None => home(stored),
        },
        _ => membership::slot_of(&key.primary).map(RegionSlot::index),
    };
    demand(BROKEN, owner == Some(region), || format!("r{region} wrote the row of {owner:?}"))
}

/// The home that a table's row names.
fn home(stored: &Stored) -> Option<usize> {
    match stored.greatest().body.attributes()?.get("home")? {
        AttributeValue::B(bytes) => bytes.first().copied().map(usize::from),
        _ => None,
    }
}
