//! Invariant 9, as far as it exists: the changelog index is an exact function of the rows, at every
//! commit, in the same batch.
//!
//! Source: DESIGN.md, invariant 9 and "the changelog is an index"; data-plane.md 3.3, 10. Each
//! changed row has its entry, and there are as many entries as rows: by induction they are the
//! same.

use super::{Checked, Invariant, demand};
use crate::disk::{Image, Write};

const BROKEN: Invariant = Invariant::Index;

/// A batch was committed to `image`.
pub(crate) fn committed(image: &Image, write: &Write) -> Checked {
    for (key, held) in &write.items {
        let Some(held) = held else { continue };
        let stamp = held.stored.version.stamp;
        let entry = image.changelog.get(&(stamp.origin, stamp.hlc));
        demand(BROKEN, entry == Some(key), || format!("{stamp} is not in the index"))?;
    }
    let (rows, entries) = (image.rows.len(), image.changelog.len());
    demand(BROKEN, rows == entries, || format!("{rows} rows and {entries} index entries"))
}
