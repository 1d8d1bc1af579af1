//! Regions look for items that have expired, and have them deleted, as the binary does: from what
//! is durable, a little later, and perhaps of another opinion than the node that looks again.

use std::collections::BTreeMap;

use pangea_core::clock::Verdict;
use pangea_core::expiry;
use pangea_core::id::TableId;
use pangea_core::item::PrimaryKey;
use pangea_core::node::{Event as NodeEvent, Expire, Outcome};

use super::{Event, LOOK_US, Phase, World};
use crate::clock::EPOCH_US;
use crate::invariants::Checked;
use crate::invariants::expiry::{Pass, answered, overdue};
use crate::oracle::{Asked, VersionId};
use crate::rng::Rng;
use crate::ttl::{SOON_US, Ttl};
use crate::workload::{item_key, slot};

/// What was found is named to the node within this.
const NAMED_US_MAX: u64 = 15_000;

/// The passes, and what came of them.
#[derive(Debug)]
pub(super) struct Expiry {
    rng: Rng,
    /// The request that is being handled.
    pub(super) request: Option<u64>,
    /// What requests that are not answered yet have deleted.
    deleted: BTreeMap<u64, Vec<VersionId>>,
    /// Others have taken over what was left to whoever wrote it last.
    left: bool,
}

impl Expiry {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, request: None, deleted: BTreeMap::new(), left: false }
    }
}

impl World {
    /// The faults begin, and passes with them.
    pub(super) fn begin_passes(&mut self) {
        (0..self.regions.len()).for_each(|region| self.pass_soon(region));
    }

    fn pass_soon(&mut self, region: usize) {
        let Some(ttl) = &self.swarm.ttl else { return };
        let at_us = self.now_us + self.expiry.rng.range(0, 2 * ttl.pass_us);
        self.queue.push(at_us, Event::Pass { region });
    }

    /// A region goes over its tables while things break.
    pub(super) fn pass(&mut self, region: usize) -> Checked {
        if self.phase != Phase::Break {
            return Ok(());
        }
        self.pass_soon(region);
        // What does not expire at all may have done so when the region looked.
        let careless = self.expiry.rng.chance(250);
        for (table, keys) in self.find_expired(region, careless) {
            let (at_us, life) = (self.expiry.rng.range(0, NAMED_US_MAX), self.regions[region].life);
            self.queue.push(self.now_us + at_us, Event::Expire { region, life, table, keys });
        }
        Ok(())
    }

    fn find_expired(&mut self, region: usize, careless: bool) -> Vec<(TableId, Vec<PrimaryKey>)> {
        let (here, me) = (&self.regions[region], slot(region));
        let progress = here.published.as_ref().filter(|_| here.node.is_some());
        let (Some(progress), Some(ttl)) = (progress, &self.swarm.ttl) else { return Vec::new() };
        self.counts.passes += 1;
        let (catalog, now_ms) = (&progress.catalog, here.clock.now(self.now_us).wall_ms);
        let expiring = catalog.held_by(me).filter(|entry| entry.ttl.is_some());
        let serving = expiring.filter(|entry| catalog.is_serving(entry, me));
        let found = serving.map(|entry| {
            let rows = self.sites[region].disk.durable.table(entry.id);
            let due = rows.filter(|(key, held)| {
                let item = (&key.primary, &held.stored);
                careless || expiry::is_due((catalog, entry), item, me, now_ms, ttl.grace_ms)
            });
            (entry.id, due.map(|(key, _)| key.primary.clone()).collect::<Vec<_>>())
        });
        found.filter(|(_, keys)| !keys.is_empty()).collect()
    }

    /// Items are named to the node.
    pub(super) fn expire(
        &mut self,
        region: usize,
        life: u32,
        table: TableId,
        keys: Vec<PrimaryKey>,
    ) -> Checked {
        let Some(ttl) = &self.swarm.ttl else { return Ok(()) };
        let grace_ms = ttl.grace_ms;
        let here = &self.regions[region];
        if here.life != life || here.node.is_none() {
            return Ok(());
        }
        let mut keys = keys;
        keys.retain(|primary| {
            let key = item_key(table, primary);
            self.oracle.has_room(&key) && !self.has_vanished(region, &key)
        });
        if keys.is_empty() {
            return Ok(());
        }
        self.oracle.deeds.clear();
        let request = self.ask(Asked { region, writes: Vec::new(), operator: None });
        self.note(region, || format!("looks ({}) for what expired of {keys:?}", request.0));
        self.expiry.deleted.insert(request.0, Vec::new());
        self.expiry.request = Some(request.0);
        let expire = Box::new(Expire { table, keys, grace_ms });
        self.deliver(region, NodeEvent::Expire { request, expire })?;
        self.expiry.request = None;
        Ok(())
    }

    /// The pass that the region's node is being told of, if it is one.
    pub(super) fn under_way(&self, region: usize) -> Option<Pass> {
        self.expiry.request?;
        let grace_ms = self.swarm.ttl.as_ref()?.grace_ms;
        Some(Pass { now_ms: self.latest_ms(region), grace_ms })
    }

    /// What a region's node may take the time for at most: where clocks are judged by those of the
    /// peers it may be any that stamps may show.
    fn latest_ms(&self, region: usize) -> u64 {
        let here = &self.regions[region];
        let wall_ms = here.clock.now(self.now_us).wall_ms;
        if !self.swarm.heartbeats {
            return wall_ms;
        }
        let furthest_us = EPOCH_US + self.now_us as i64 + here.furthest_us;
        let furthest_ms = furthest_us as u64 / 1000;
        self.sites[region].time_limit_ms.unwrap_or(furthest_ms).max(wall_ms)
    }

    /// The request under way has deleted these.
    pub(super) fn expired(&mut self, issued: &[VersionId]) {
        let deleted = self.expiry.request.and_then(|request| self.expiry.deleted.get_mut(&request));
        if let Some(deleted) = deleted {
            deleted.extend(issued);
            self.counts.expired += issued.len() as u64;
        }
    }

    /// A request was answered; does nothing of one that was about something else.
    pub(super) fn expiry_answered(&mut self, request: u64, outcome: &Outcome) -> Checked {
        let Some(issued) = self.expiry.deleted.remove(&request) else { return Ok(()) };
        match outcome {
            Outcome::Expired { deleted } => answered(&self.oracle, *deleted, &issued),
            _ => answered(&self.oracle, 0, &issued),
        }
    }

    /// Nothing breaks any more: every region deletes what it shall.
    pub(super) fn pass_everywhere(&mut self) -> Checked {
        if self.swarm.ttl.is_none() {
            return Ok(());
        }
        for region in 0..self.regions.len() {
            let life = self.regions[region].life;
            for (table, keys) in self.find_expired(region, false) {
                self.expire(region, life, table, keys)?;
            }
        }
        Ok(())
    }

    /// How far clocks go on when everything is healed, so that what clients said to expire soon
    /// has. Regions that judge their clocks by those of others believe one such step, together.
    pub(super) fn soon_us(&self) -> i64 {
        let Some(ttl) = &self.swarm.ttl else { return 0 };
        SOON_US + if self.swarm.heartbeats { self.turns_us(ttl) } else { 0 }
    }

    /// By then it is everybody's turn to delete what has expired.
    fn turns_us(&self, ttl: &Ttl) -> i64 {
        ttl.grace_ms as i64 * 1000 * self.regions.len() as i64
    }

    /// Why not everything that has expired is gone.
    pub(super) fn expiry_unrest(&self) -> Option<String> {
        let grace_ms = self.swarm.ttl.as_ref()?.grace_ms;
        self.find_overdue(grace_ms)
    }

    fn find_overdue(&self, grace_ms: u64) -> Option<String> {
        let mut regions = self.regions.iter().zip(&self.sites);
        regions.find_map(|(region, site)| {
            let node = region.node.as_ref().filter(|_| !site.gone)?;
            let deletes = node.closed().is_none() && node.verdict() == Verdict::Good;
            let now_ms = region.clock.now(self.now_us).wall_ms;
            let key = overdue(site, Pass { now_ms, grace_ms }).filter(|_| deletes)?;
            Some(format!("{} keeps {key:?}, which has expired", site.slot))
        })
    }

    /// Everything else is at rest: where whoever wrote an item last does not delete it, others do
    /// when they have left it to it for long enough. Returns whether that is to come.
    pub(super) fn leave_to_others(&mut self) -> bool {
        let Some(ttl) = &self.swarm.ttl else { return false };
        let turns_us = self.turns_us(ttl);
        if self.expiry.left || self.find_overdue(0).is_none() {
            return false;
        }
        self.expiry.left = true;
        self.ahead_us += turns_us;
        for region in 0..self.regions.len() {
            self.regions[region].clock.step(self.now_us, self.ahead_us, 0);
        }
        self.note(0, || "the time of whoever shall delete what expired is over".to_string());
        self.queue.push(self.now_us + LOOK_US, Event::Look);
        true
    }
}
