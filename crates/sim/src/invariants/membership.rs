//! Invariant 22: however regions come and go, each generation of the membership is decided once.
//!
//! Source: data-plane.md 2.8 and 3.3, 22. All regions that ever durably know a generation know the
//! same one; it follows from the one before by one change; and what a region knows never goes back.

use std::collections::BTreeMap;

use pangea_core::membership::Membership;

use super::{Broken, Checked, Invariant, demand};
use crate::oracle::Site;

const BROKEN: Invariant = Invariant::Membership;

/// A region has committed rows of the catalog; it knew `before`. What is `forgotten` was lost with
/// the disks of those who had decided it, and may be decided anew, otherwise.
pub(crate) fn known(
    decided: &mut BTreeMap<u32, Membership>,
    forgotten: &[Membership],
    before: u32,
    site: &Site,
) -> Checked {
    let now = site.catalog.membership();
    let generation = now.generation;
    demand(BROKEN, generation >= before, || {
        format!("{} goes back from generation {before} to {generation}", site.slot)
    })?;
    if generation == 0 || forgotten.contains(now) {
        return Ok(());
    }
    if let Some(known) = decided.get(&generation) {
        return demand(BROKEN, known == now, || {
            let (one, other) = (known.last, now.last);
            format!("generation {generation} is decided twice: {one:?} and {other:?}")
        });
    }
    let change = now.last.ok_or_else(|| Broken::new(BROKEN, "no change".to_string()))?;
    if let Some(earlier) = decided.get(&(generation - 1)) {
        let follows = earlier.after(change).as_ref() == Ok(now);
        demand(BROKEN, follows, || format!("{change:?} does not lead to generation {generation}"))?;
    }
    demand(BROKEN, now.voters().next().is_some(), || "nobody is left to vote".to_string())?;
    decided.insert(generation, now.clone());
    Ok(())
}
