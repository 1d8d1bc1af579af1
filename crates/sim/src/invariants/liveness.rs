//! Liveness: after healing the regions come to rest within bounded simulated time.
//!
//! Source: the brief's second phase; data-plane.md 3.3, 16 and 21; house-style.md 6.2 (`liveness`).
//! At rest means: nothing waits for a disk, everyone has applied what everyone has closed, and
//! every replica is as the catalog wishes it. What the state then is, is for the other invariants
//! to say.

use pangea_core::catalog::{ReplicaState, TableEntry};
use pangea_core::time::Hlc;

use crate::oracle::Site;

/// Why the regions are not at rest; `None` if they are. `closed` is what each has published.
pub(crate) fn unrest(sites: &[Site], closed: &[Hlc]) -> Option<String> {
    for site in sites {
        if !site.disk.queue.is_empty() {
            return Some(format!("{} still writes", site.slot));
        }
        for (origin, &closed) in sites.iter().zip(closed) {
            let applied = site.disk.durable.applied_of(origin.origin);
            if origin.slot != site.slot && applied < closed {
                let (here, there) = (site.slot, origin.slot);
                return Some(format!("{here} has applied {applied} of {there}, closed {closed}"));
            }
        }
        let mut tables = site.catalog.tables();
        if let Some(why) = tables.find_map(|entry| unfinished(site, entry)) {
            return Some(why);
        }
    }
    None
}

/// Why a table's replicas are not yet as they shall be.
fn unfinished(site: &Site, entry: &TableEntry) -> Option<String> {
    for spec in &entry.replicas {
        match site.catalog.state(entry, spec.slot) {
            Some(ReplicaState::Failed { .. }) => {}
            Some(ReplicaState::Active { pending }) if pending.is_empty() => {}
            state => {
                let (here, there) = (site.slot, spec.slot);
                return Some(format!("{here} sees {} at {there} as {state:?}", entry.id));
            }
        }
    }
    let everyone = (0..).map_while(pangea_core::id::RegionSlot::new);
    for slot in everyone.filter(|&slot| !entry.is_held_by(slot)) {
        let status = site.catalog.status(entry.id, slot);
        let leaves = status.is_some_and(|status| status.state != ReplicaState::Removed);
        if leaves || (status.is_none() && slot == entry.home) {
            return Some(format!("{} sees {} still leaving {slot}", site.slot, entry.id));
        }
    }
    None
}
