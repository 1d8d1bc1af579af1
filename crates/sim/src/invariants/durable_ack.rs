//! Invariant 5: an acknowledged write is durable in its region before the acknowledgement, and
//! nothing is told to anyone before it is durable.
//!
//! Source: DESIGN.md, invariant 5; data-plane.md 3.3, 15; house-style.md 6.3. Checked at the
//! instant of the reply, of the frame and of the published progress; a crash that follows can then
//! take nothing of it, which is checked too.

use pangea_core::catalog::entry_key;
use pangea_core::node::Outcome;
use pangea_core::replica::{Frame, Progress};
use pangea_core::time::{Hlc, Stamp};

use super::{Checked, Invariant, demand};
use crate::disk::Write;
use crate::oracle::{Asked, Oracle, Site};

const BROKEN: Invariant = Invariant::DurableAck;

/// A client is answered.
pub(crate) fn replied(
    oracle: &mut Oracle,
    site: &Site,
    asked: &Asked,
    outcome: &Outcome,
) -> Checked {
    match outcome {
        Outcome::Written { stamp: Some(stamp), .. }
        | Outcome::Transacted { stamp: Some(stamp), .. } => written(oracle, asked, *stamp),
        Outcome::Written { stamp: None, .. }
        | Outcome::Transacted { stamp: None, .. }
        | Outcome::Refused(_)
        | Outcome::Cancelled(_) => read(oracle, asked),
        Outcome::Defined(entry) => {
            let row = site.disk.durable.rows.get(&entry_key(entry.id));
            let own = row.map(|held| held.stored.seen.get(site.origin)).unwrap_or_default();
            demand(BROKEN, own > Hlc::ZERO, || {
                format!("table {} is defined, not durable", entry.id)
            })?;
            oracle.changes.push((entry.id, Stamp { hlc: own, origin: site.origin }));
            Ok(())
        }
        Outcome::Elsewhere { .. }
        | Outcome::Skewed { .. }
        | Outcome::NotServing
        | Outcome::Closed(_)
        | Outcome::Ungoverned(_)
        | Outcome::Denied(_)
        | Outcome::Healed { .. }
        | Outcome::Expired { .. } => Ok(()),
        Outcome::Governed { generation } => {
            let durable = site.catalog.membership().generation;
            demand(BROKEN, durable >= *generation, || {
                format!("generation {generation} is told, {durable} is durable")
            })
        }
    }
}

/// A reply that nothing was written for rests on what was read.
fn read(oracle: &Oracle, asked: &Asked) -> Checked {
    for (key, shown) in &asked.writes {
        let (Some(key), Some(shown)) = (oracle.key_id(key), shown) else { continue };
        let known = oracle.version_of(*shown, key).map(|id| &oracle.versions[id]);
        demand(BROKEN, known.is_some_and(|issued| issued.durable), || {
            format!("a reply rests on {shown}, which is not durable")
        })?;
    }
    Ok(())
}

fn written(oracle: &mut Oracle, asked: &Asked, stamp: Stamp) -> Checked {
    let ids = oracle.versions_of(stamp);
    let durable = !ids.is_empty() && ids.clone().all(|id| oracle.versions[id].durable);
    demand(BROKEN, durable, || format!("{stamp} is acknowledged and not durable"))?;
    for id in ids {
        let key = &oracle.items[oracle.versions[id].key].key;
        let same = asked.writes.iter().any(|(asked, _)| *asked == **key);
        demand(BROKEN, same, || format!("{stamp} answers a request for another item"))?;
        oracle.versions[id].acked = true;
    }
    Ok(())
}

/// A crash took batches: no acknowledged write is among them.
pub(crate) fn lost<'a>(oracle: &Oracle, writes: impl IntoIterator<Item = &'a Write>) -> Checked {
    for id in writes.into_iter().flat_map(|write| &write.issued) {
        let issued = &oracle.versions[*id];
        demand(BROKEN, !issued.acked, || {
            format!("a crash lost {}, which was acknowledged", issued.version().stamp)
        })?;
    }
    Ok(())
}

/// A region lets others see its progress.
pub(crate) fn published(site: &Site, progress: &Progress) -> Checked {
    let (closed, before) = (progress.closed, site.closed);
    demand(BROKEN, closed >= before, || format!("closed went from {before} back to {closed}"))?;
    let waiting = site.disk.queue.iter().flat_map(|write| &write.stamps);
    for stamp in waiting {
        demand(BROKEN, stamp.hlc > closed, || {
            format!("closed {closed} before {stamp} is durable")
        })?;
    }
    for (&origin, &hlc) in &progress.applied {
        let durable = site.disk.durable.applied_of(origin);
        demand(BROKEN, hlc <= durable, || {
            format!("told that {hlc} of {origin} is applied, durable is {durable}")
        })?;
    }
    Ok(())
}

/// A frame leaves a region: its rows are durable where they come from.
pub(crate) fn sent(oracle: &Oracle, frame: &Frame) -> Checked {
    for row in frame.rows().iter().filter(|row| !row.key.table.is_system()) {
        let stamp = row.version.stamp;
        let ids = oracle.versions_of(stamp);
        let durable = !ids.is_empty() && ids.clone().all(|id| oracle.versions[id].durable);
        demand(BROKEN, durable, || format!("{stamp} is sent and not durable"))?;
        super::identity::unchanged(oracle, row)?;
    }
    Ok(())
}
