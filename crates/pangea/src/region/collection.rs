//! Deletes that wait to be collected, as operators see them: metrics and status.

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
    let lags = observed.links.iter().filter_map(|(&slot, link)| {
        let lag_s = stability_lag_s(region, slot, link)?;
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

/// `None` for a peer that is no member of a table here, and for a store that cannot be read.
fn stability_lag_s(region: &Region, slot: RegionSlot, link: &Link) -> Option<f64> {
    let catalog = region.catalog();
    let mut held = catalog.held_by(region.slot);
    if !held.any(|entry| catalog.members(entry).any(|member| member == slot)) {
        return None;
    }
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
