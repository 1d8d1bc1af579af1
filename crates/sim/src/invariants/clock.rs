//! A region that hears its peers issues no stamps beyond the clock of the furthest of them and the
//! bound, unless it had seen such a stamp or issued one before it heard them.
//!
//! Source: DESIGN.md, clocks; data-plane.md 2.9 and 3.3, 2.

use pangea_core::time::{Hlc, Stamp};

use super::{Checked, Invariant, demand};
use crate::oracle::{Oracle, Site};

/// A region issues a stamp; `floor` is the newest it had issued before this batch.
pub(crate) fn issued(oracle: &Oracle, site: &Site, floor: Hlc, stamp: Stamp) -> Checked {
    let Some(limit_ms) = site.time_limit_ms else { return Ok(()) };
    let wall_ms = stamp.hlc.wall_ms();
    let follows = || wall_ms <= floor.max(oracle.newest_of_others(site)).wall_ms() + 1;
    demand(Invariant::Clock, wall_ms <= limit_ms || follows(), || {
        let ahead_ms = wall_ms - limit_ms;
        format!("{stamp} is {ahead_ms} ms beyond what the peers' clocks allow")
    })
}
