//! Operators at work: regions are given up, each by someone who tries until it is done or refused
//! for good.

use pangea_core::id::RegionSlot;
use pangea_core::membership::Membership;
use pangea_core::node::{self, Directive, DirectiveRefusal};

use super::{Event, Phase, World};
use crate::invariants::Checked;
use crate::oracle::{Asked, Site};
use crate::workload::slot;

/// An operator who was refused tries again within this.
const RETRY_US_MAX: u64 = 600_000;
/// Too few regions so long after healing stay too few.
const HOPE_US: u64 = 2_000_000;

/// What one operator wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operator {
    directive: Directive,
    victim: usize,
    /// Which region is to answer.
    asks: Option<usize>,
    done: bool,
}

impl World {
    /// Decides who will want what, and when: some victims are dead by then, some alive, and some
    /// are given up by each other.
    pub(super) fn employ(&mut self) {
        let busy_us = self.swarm.operations * self.swarm.gap_us;
        for _ in 0..self.swarm.evictions {
            let victim = self.faults.index(self.regions.len());
            let at_us = self.now_us + self.faults.range(0, busy_us);
            if self.faults.chance(300) {
                self.queue.push(at_us, Event::LoseDisk { region: victim });
            }
            self.hire(Directive::Evict(slot(victim)), victim, at_us);
        }
        if self.swarm.ttl.as_ref().is_some_and(|ttl| ttl.suspends) {
            let victim = self.faults.index(self.regions.len());
            let at_us = self.now_us + self.faults.range(0, busy_us);
            self.hire(Directive::Suspend(slot(victim)), victim, at_us);
        }
    }

    pub(super) fn hire(&mut self, directive: Directive, victim: usize, at_us: u64) {
        let operator = self.operators.len();
        self.operators.push(Operator { directive, victim, asks: None, done: false });
        self.queue.push(at_us, Event::Operate { operator });
    }

    /// Asks a region that runs.
    pub(super) fn operate(&mut self, operator: usize) -> Checked {
        let Operator { directive, victim, asks, done } = self.operators[operator];
        if done || asks.is_some() {
            return Ok(());
        }
        let newest = self.newest();
        let mut able: Vec<usize> = (0..self.regions.len()).collect();
        able.retain(|&region| {
            let site = &self.sites[region];
            let takes_part = newest.admits(site.origin) && !site.is_lost();
            region != victim && self.regions[region].node.is_some() && takes_part
        });
        if able.is_empty() {
            self.operators[operator].done = self.phase == Phase::Heal;
            self.again(operator);
            return Ok(());
        }
        let region = self.faults.pick(&able);
        let request = self.ask(Asked { region, writes: Vec::new(), operator: Some(operator) });
        self.counts.directives += 1;
        self.operators[operator].asks = Some(region);
        self.note(region, || format!("is asked ({}) {directive:?}", request.0));
        self.deliver(region, node::Event::Govern { request, directive })
    }

    fn again(&mut self, operator: usize) {
        let wait_us = self.faults.range(RETRY_US_MAX / 2, RETRY_US_MAX);
        self.queue.push(self.now_us + wait_us, Event::Operate { operator });
    }

    /// A region died, and with it what it was asked.
    pub(super) fn not_governed(&mut self, region: usize) {
        for operator in 0..self.operators.len() {
            if self.operators[operator].asks == Some(region) {
                self.operators[operator].asks = None;
                self.again(operator);
            }
        }
    }

    /// It is decided. Who was given up mostly comes back after a while.
    pub(super) fn governed(&mut self, operator: usize) {
        self.counts.generations += 1;
        self.operators[operator].done = true;
        let Operator { directive, victim, .. } = self.operators[operator];
        let drawn = self.options.scenario.is_none();
        let back = drawn && matches!(directive, Directive::Evict(_)) && self.faults.chance(700);
        if back && !self.sites[victim].dead {
            let at_us = self.now_us + self.faults.range(0, RETRY_US_MAX);
            self.hire(Directive::Rejoin(slot(victim)), victim, at_us);
        }
        if matches!(directive, Directive::Suspend(_)) && self.faults.chance(500) {
            let at_us = self.now_us + self.faults.range(0, RETRY_US_MAX);
            self.hire(Directive::Resume(slot(victim)), victim, at_us);
        }
    }

    pub(super) fn ungoverned(&mut self, operator: usize, refusal: &DirectiveRefusal) {
        let for_good = matches!(refusal, DirectiveRefusal::Inapplicable(_));
        // Where too few regions are left, nothing will ever be decided.
        let healed = self.phase == Phase::Heal && self.now_us > self.healed_us + HOPE_US;
        let too_few = matches!(refusal, DirectiveRefusal::NoMajority { .. });
        // A dead region may have accepted what was proposed.
        let unsure = matches!(refusal, DirectiveRefusal::Undecided | DirectiveRefusal::Busy);
        let in_doubt = unsure && self.lacks_voters();
        let hopeless = healed && (too_few || in_doubt);
        let asking = &mut self.operators[operator];
        (asking.asks, asking.done) = (None, for_good || hopeless);
        if !asking.done {
            self.again(operator);
        }
    }

    fn lacks_voters(&self) -> bool {
        let newest = self.newest();
        // One whose disk is lost says nothing before it is taken back.
        let mute = |site: &Site| site.dead || site.is_lost();
        self.sites.iter().any(|site| mute(site) && newest.votes(site.slot))
    }

    /// The newest generation that any region durably knows.
    pub(super) fn newest(&self) -> Membership {
        let known = self.sites.iter().map(|site| site.catalog.membership());
        known.max_by_key(|it| it.generation).cloned().unwrap_or_default()
    }

    /// Whether everyone has what they wanted, or knows that they will not.
    pub(super) fn is_governed(&self) -> bool {
        self.operators.iter().all(|operator| operator.done)
    }

    /// Regions that are dead, or whose life is over, take part in nothing any more.
    pub(super) fn note_gone(&mut self) {
        let newest = self.newest();
        for site in &mut self.sites {
            site.gone = site.dead || !newest.admits(site.origin) || site.is_lost();
        }
    }

    pub(super) fn all_slots(&self) -> impl Iterator<Item = RegionSlot> + use<> {
        (0..self.swarm.regions).map(slot)
    }
}
