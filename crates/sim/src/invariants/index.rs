//! Invariant 9, as far as it exists: the changelog index is an exact function of the rows, at every
//! commit, in the same batch.
//!
//! Source: DESIGN.md, invariant 9 and "the changelog is an index"; data-plane.md 3.3, 10. A changed
//! row has its entries, and there are as many entries as all rows shall have: by induction they are
//! the same. So it is with the index of tombstones.

use std::rc::Rc;

use super::{Checked, Invariant, demand};
use crate::disk::{Image, Write};

const BROKEN: Invariant = Invariant::Index;

/// A batch was committed to `image`.
pub(crate) fn committed(image: &Image, write: &Write) -> Checked {
    for (key, held) in &write.items {
        let Some(held) = held else { continue };
        for stamp in image.entries_of(held) {
            let entry = (stamp.origin, stamp.hlc, Rc::clone(key));
            let named = image.changelog.contains(&entry);
            demand(BROKEN, named, || format!("{stamp} is not in the index"))?;
        }
        for stamp in held.stored.buried() {
            let entry = (key.table, stamp.origin, stamp.hlc, Rc::clone(key));
            let named = image.tombstones.contains(&entry);
            demand(BROKEN, named, || format!("the tombstone {stamp} is not in the index"))?;
        }
    }
    // Until it is repaired, rot shows just here.
    if !image.rotten.is_empty() {
        return Ok(());
    }
    let (buried, entries) = (image.buried, image.tombstones.len());
    demand(BROKEN, buried == entries, || format!("{buried} tombstones, {entries} entries"))?;
    if image.reborn {
        // Entries of the life before go with its rows.
        return Ok(());
    }
    let (wanted, entries) = (image.entries, image.changelog.len());
    demand(BROKEN, wanted == entries, || format!("{entries} entries instead of {wanted}"))
}
