//! Deletes that wait to be collected, as operators see them: metrics and status.

use std::collections::BTreeSet;

use pangea_core::id::RegionSlot;
use pangea_core::node::Link;
use pangea_core::time::Hlc;

use super::Region;
use crate::metrics::Scrape;
use crate::status::Waiting;

/// Tombstones are counted no further than this.
const TOMBSTONES_MAX: usize = 100_000;
/// A delete that waits for less than this is on its way, seconds: the longest round trips between
/// regions, and a few rounds of collecting.
const WAITING_S_MIN: u64 = 10;

/// What waits for which region, if anything does.
pub(super) fn waiting(region: &Region) -> Option<Waiting> {
    let observed = region.writer.observed();
    let now_ms = region.clock.now().wall_ms;
    let waits = &observed.collection.waits;
    let longest = waits.values().min_by_key(|wait| wait.oldest.hlc)?;
    let seconds = now_ms.saturating_sub(longest.oldest.hlc.wall_ms()) / 1000;
    let waiting =
        Waiting { region: region.region_name(longest.by), seconds, tables: waits.len() as u64 };
    (seconds >= WAITING_S_MIN).then_some(waiting)
}

/// What was collected, what is left, and how far behind each peer's acknowledgements are.
pub(super) fn scrape(region: &Region, scrape: &mut Scrape) {
    let observed = region.writer.observed();
    let collection = &observed.collection;
    let plain = |value: u64| [(Vec::new(), value)];
    let help = "Tombstones dropped, everybody having them";
    scrape.counter("pangea_data_tombstones_collected", help, plain(collection.tombstones));
    let help = "Cold rows that forgot what their writers had seen";
    scrape.counter("pangea_data_rows_shortened", help, plain(collection.shortened));
    let help = "Tombstones that are left, counted up to 100000";
    #[expect(clippy::cast_precision_loss, reason = "a bounded count")]
    let pending = pending(region).map(|count| (Vec::new(), count as f64));
    scrape.gauge("pangea_data_tombstones_pending", help, pending);
    let help = "Age of the oldest version that the peer has not acknowledged in band";
    let lags = members(region).into_iter().filter_map(|slot| {
        // One that is no peer has not said a word.
        let link = observed.links.get(&slot).cloned().unwrap_or_default();
        let lag_s = stability_lag_s(region, &link)?;
        Some((vec![("blocking", region.region_name(slot))], lag_s))
    });
    scrape.gauge("pangea_replication_stability_lag_seconds", help, lags);
}

fn pending(region: &Region) -> Option<usize> {
    let view = region.store.snapshot().ok()?;
    let mut count = 0;
    for entry in region.catalog().held_by(region.slot) {
        count += view.count_tombstones(entry.id, TOMBSTONES_MAX - count).ok()?;
        if count == TOMBSTONES_MAX {
            break;
        }
    }
    Some(count)
}

/// The other members of the tables here.
fn members(region: &Region) -> BTreeSet<RegionSlot> {
    let catalog = region.catalog();
    let held = catalog.held_by(region.slot);
    let members = held.flat_map(|entry| catalog.members(entry));
    members.filter(|&member| member != region.slot).collect()
}

/// Says which regions have tables of this one and are in no topology any more: they were taken out
/// of the file, and nobody was told that they are gone.
pub(super) fn warn_of_strangers(region: &Region) {
    let peers = region.links.peers();
    let known = |slot: &RegionSlot| peers.iter().any(|peer| peer.slot == *slot);
    for stranger in members(region).into_iter().filter(|slot| !known(slot)) {
        tracing::warn!(
            region = %stranger,
            id = stranger.get(),
            "tables are in a region that is not in the topology: deletes wait for it; put it back, \
             and take it out with `pangea region remove`, or `evict` if it is lost"
        );
    }
}

/// `None` for a store that cannot be read.
fn stability_lag_s(region: &Region, link: &Link) -> Option<f64> {
    let now = region.clock.now();
    if link.applied.is_empty() {
        // Not a word since this process began: at least that long.
        #[expect(clippy::cast_precision_loss, reason = "an age of microseconds")]
        return Some(now.mono_us as f64 / 1e6);
    }
    let progress = region.writer.progress().borrow().clone();
    let own = region.writer.observed().origin;
    let view = region.store.snapshot().ok()?;
    let mut oldest: Option<Hlc> = None;
    for origin in progress.applied.keys().copied().chain([own]) {
        let told = link.applied.get(&origin).copied().unwrap_or_default();
        let first = view.first_change(origin, told).ok()?;
        oldest = oldest.into_iter().chain(first).min();
    }
    let age_ms = oldest.map_or(0, |oldest| now.wall_ms.saturating_sub(oldest.wall_ms()));
    #[expect(clippy::cast_precision_loss, reason = "an age of milliseconds")]
    Some(age_ms as f64 / 1e3)
}
