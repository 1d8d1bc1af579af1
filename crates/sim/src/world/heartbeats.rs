//! Heartbeats, as far as they show clocks: what a region hears with each frame of a peer.

use pangea_core::clock::Sample;
use pangea_core::limits::CLOCK_SKEW_MS_MAX;
use pangea_core::node;

use super::World;
use crate::invariants::Checked;
use crate::workload::slot;

/// Longest round trip of a heartbeat: half of it is the error of what is heard.
const ROUND_TRIP_US_MAX: u64 = 10_000;
/// A clock that was not heard for so long bounds nothing here; a node believes it a little longer.
const HEARD_US_MAX: u64 = 10_000_000;
/// Regions of a world, so that every event of each need not allocate.
const REGIONS_MAX: usize = 5;
/// Milliseconds are rounded, and clocks drift between heartbeats.
const SLACK_US: i64 = 3_000;

impl World {
    /// A region hears the clock of a peer, as wrongly as half a round trip allows.
    pub(super) fn hear(&mut self, region: usize, peer: usize) -> Checked {
        if !self.swarm.heartbeats || self.regions[region].node.is_none() {
            return Ok(());
        }
        let round_trip_us = self.gaps.range(0, ROUND_TRIP_US_MAX);
        let error_us = self.gaps.range(0, round_trip_us) as i64 - (round_trip_us / 2) as i64;
        let there = &self.regions[peer].clock;
        let peer_wall_us = there.wall_us(self.now_us).saturating_add_signed(error_us);
        let offset_us = there.offset_us(self.now_us) + error_us + (round_trip_us / 2) as i64;
        let here = &mut self.regions[region];
        here.heard.insert(peer, (self.now_us, offset_us));
        let mono_us = here.clock.mono_us(self.now_us);
        let sample = Sample { peer_wall_us, mono_us, round_trip_us };
        self.counts.heartbeats += 1;
        self.deliver(region, node::Event::Heartbeat { peer: slot(peer), sample })
    }

    /// The latest time that stamps of a region may show now: its own, as far as that is not beyond
    /// what half of its peers show, or behind what half of them show.
    pub(super) fn limit_time(&mut self, region: usize) {
        if !self.swarm.heartbeats {
            return;
        }
        let here = &mut self.regions[region];
        here.furthest_us = here.furthest_us.max(here.clock.offset_us(self.now_us));
        let fresh = here.heard.values().filter(|(at_us, _)| at_us + HEARD_US_MAX >= self.now_us);
        let (mut offsets, mut count) = ([0; REGIONS_MAX], 0);
        for (_, offset_us) in fresh {
            offsets[count] = *offset_us;
            count += 1;
        }
        let fresh = &mut offsets[..count];
        fresh.sort_unstable();
        let last = fresh.len().saturating_sub(1);
        let bound_us = (CLOCK_SKEW_MS_MAX * 1000) as i64 + SLACK_US;
        self.sites[region].time_limit_ms = fresh.get(last / 2).map(|&lower_us| {
            let ahead_us = here.furthest_us.clamp(lower_us, fresh[fresh.len() / 2]) + bound_us;
            crate::clock::EPOCH_US.saturating_add(self.now_us as i64 + ahead_us) as u64 / 1000
        });
    }
}
