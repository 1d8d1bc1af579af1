//! Invariant 2: only the current incarnation of a region writes that region's versions.
//!
//! Source: DESIGN.md, invariant 2; data-plane.md 3.3, 3. A catalog row has one writer too: its
//! home region, or the region whose replica it describes.

use pangea_core::id::{Origin, TableId};
use pangea_core::item::{ItemKey, KeyValue};
use pangea_core::time::Stamp;

use super::{Checked, Invariant, demand};

const BROKEN: Invariant = Invariant::SingleWriter;

/// A version that no frame brought is the region's own.
pub(crate) fn issued_by(me: Origin, stamp: Stamp) -> Checked {
    demand(BROKEN, stamp.origin == me, || format!("{me} made {stamp}, which is not its own"))
}

/// A region that issues a catalog row is its only writer.
pub(crate) fn owns_catalog_row(region: usize, key: &ItemKey) -> Checked {
    if key.table != TableId::CATALOG {
        return Ok(());
    }
    let owner = match (&key.primary.sort, &key.primary.partition) {
        (Some(KeyValue::S(sort)), KeyValue::B(table)) => match sort.strip_prefix("replica/") {
            Some(slot) => slot.parse().ok(),
            // A table's identity ends with the origin that made it.
            None => table
                .last_chunk()
                .map(|bits| Origin::from_bits(u16::from_be_bytes(*bits)).slot().index()),
        },
        _ => None,
    };
    demand(BROKEN, owner == Some(region), || format!("r{region} wrote the row of {owner:?}"))
}
