//! The second phase: nothing breaks any more, and the regions must come to rest as they should.

use pangea_core::clock::Verdict;
use pangea_core::id::TableId;

use super::{Event, LOOK_US, Phase, REST_US_MAX, Region, SETTLED_US, World};
use crate::invariants::{
    Broken, Checked, Invariant, changes, collection, convergence, index, liveness, merge_laws,
    nothing_vanishes, repair,
};
use crate::options::NetFaults;
use crate::oracle::Site;

impl World {
    /// All faults end. Clocks agree, where the furthest of them was: stamps of a time that is yet
    /// to come would be held until then, and waiting for it shows nothing.
    pub(super) fn heal(&mut self) {
        self.phase = Phase::Heal;
        self.healed_us = self.now_us;
        self.net.faults = NetFaults::NONE;
        self.net.mend_all();
        (0..self.regions.len()).for_each(|region| self.note_ahead(region));
        self.ahead_us += self.soon_us();
        for region in 0..self.regions.len() {
            self.regions[region].clock.step(self.now_us, self.ahead_us, 0);
            self.regions[region].slowness = 1;
            if self.regions[region].node.is_none() && !self.sites[region].dead {
                self.start(region);
            }
            self.note(region, || "is healed".to_string());
        }
        let conns: Vec<_> = self.net.all().collect();
        conns.into_iter().for_each(|conn| self.connect_soon(conn));
        self.queue.push(self.now_us + LOOK_US, Event::Look);
    }

    /// Whether everything is at rest; if it is, it must be right.
    pub(super) fn look(&mut self) -> Checked<bool> {
        self.note_gone();
        self.pass_everywhere()?;
        let doubts = |region: &Region| {
            let node = region.node.as_ref();
            node.is_some_and(|node| node.verdict() != Verdict::Good)
        };
        if self.regions.iter().any(doubts) {
            self.doubted_us = self.now_us;
        }
        let settled = self.now_us > self.healed_us.max(self.doubted_us) + SETTLED_US;
        let late = self.now_us > self.healed_us + REST_US_MAX;
        let indexes = |site| index::unrest(site, late);
        let unrest = liveness::unrest(&self.sites, settled, late)
            .or_else(|| collection::unrest(&self.sites, self.swarm.collect, late))
            .or_else(|| self.sites.iter().filter(|site| !site.gone).find_map(indexes));
        let unrest = unrest.or_else(|| self.expiry_unrest());
        if !late && self.is_called_back() {
            self.queue.push(self.now_us + LOOK_US, Event::Look);
            return Ok(false);
        }
        let asks = || (!self.is_governed()).then(|| "an operator still asks".to_string());
        if let Some(why) = unrest.or_else(asks) {
            if settled && self.waits_for_decision() {
                return Ok(true);
            }
            if late {
                let ms = REST_US_MAX / 1000;
                let text = format!("not at rest {ms} ms after healing: {why}");
                return Err(Broken::new(Invariant::Liveness, text));
            }
            self.queue.push(self.now_us + LOOK_US, Event::Look);
            return Ok(false);
        }
        if self.waits_for_decision() {
            return Ok(true);
        }
        if self.leave_to_others() {
            return Ok(false);
        }
        nothing_vanishes::at_rest(&self.oracle, &self.sites)?;
        changes::at_rest(&self.oracle, &self.sites)?;
        // Regions that are given up, one after the other, may be more than one.
        if !self.options.has_lifecycle() {
            self.wide_at_rest()?;
        }
        convergence::at_rest(&self.oracle, &self.sites)?;
        self.sites.iter().filter(|site| !site.gone).try_for_each(index::at_rest)?;
        merge_laws::hold(&self.oracle, self.order(), &mut self.laws)?;
        repair::at_rest(&self.sites)?;
        Ok(!self.rots()?)
    }

    /// Whether a region is about to begin a life to which it is called back. It waits a moment to
    /// hear that the others know, and as long as its earlier life is over it counts as gone.
    fn is_called_back(&self) -> bool {
        let newest = self.newest();
        let over = |site: &&Site| !site.dead && !site.is_lost() && !newest.admits(site.origin);
        self.sites.iter().filter(over).any(|site| !newest.is_gone(site.slot))
    }

    /// Whether rows of tables in groups may wait for ever: a peer's writes may rest on what a
    /// region that is dead, or has lost its disk, had told to it alone, until that region is given
    /// up. Where too few are left to decide so, there is no rest, and nothing is demanded of it.
    /// Nor where a decision is lost with the disks of those who made it, and of the others only the
    /// region that it took back knows of it: nobody else hears what that says, whether or not they
    /// have decided otherwise since.
    fn waits_for_decision(&self) -> bool {
        let newest = self.newest();
        let undecided = |site: &Site| site.gone && !newest.is_gone(site.slot);
        let deaf = |site: &Site| {
            let known = site.catalog.membership();
            let tells = |other: &&Site| !other.gone && known.admits(other.origin);
            let mut telling = self.sites.iter().filter(tells);
            !site.gone && telling.all(|it| it.catalog.membership().generation < newest.generation)
        };
        let knows = |site: &Site| site.catalog.membership().generation == newest.generation;
        let recalls = |it: &Site| !it.gone && self.forgotten.contains(it.catalog.membership());
        let lost = self.sites.iter().any(|it| recalls(it) || (deaf(it) && !knows(it)));
        lost || (self.swarm.grouped && self.sites.iter().any(undecided))
    }

    #[cfg(feature = "planted-bugs")]
    fn order(&self) -> pangea_core::merge::Order {
        use pangea_core::merge::Order;
        use pangea_core::node::Bug;
        let planted = self.options.bug == Some(Bug::NoRegionTieBreak);
        if planted { Order::WithoutOrigin } else { Order::Total }
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the options")]
    fn order(&self) -> pangea_core::merge::Order {
        pangea_core::merge::Order::Total
    }

    /// Final counts, and the final states into the digest.
    pub(super) fn conclude(&mut self) {
        self.counts.rest_ms = (self.now_us - self.healed_us) / 1000;
        self.counts.simulated_ms = self.now_us / 1000;
        self.counts.versions = self.oracle.versions.iter().filter(|it| it.durable).count() as u64;
        self.counts.tombstones = self.oracle.collected;
        self.counts.shortened = self.oracle.shortened;
        for site in &self.sites {
            for (key, held) in &site.disk.durable.rows {
                self.digest.add(crate::oracle::key_digest(key));
                self.digest.add(held.stored.greatest().stamp.hlc.to_bits());
            }
        }
        let ledger = &self.sites[0].disk.durable;
        self.counts.ledger = ledger.table(TableId::LEDGER).count() as u64;
    }
}
