//! The fault menu: crashes, splits, dead connections, wrong clocks, slow disks.

use pangea_core::id::Origin;
use pangea_core::node::Directive;
use pangea_core::replica::Acked;

use super::{Event, Phase, World};
use crate::invariants::{Checked, durable_ack, group};
use crate::workload::slot;

/// Time within which a peer notices that a process died or a link is cut.
const NOTICE_US_MAX: u64 = 60_000;
/// Longest time that a process stays down, a split lasts or a disk is slow.
const FAULT_US_MAX: u64 = 250_000;
/// Clock steps are mostly small; one in eight is of minutes.
const STEP_US: u64 = 50_000;
const STEP_US_MAX: u64 = 180_000_000;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Crash,
    CrashAll,
    Split,
    Reset,
    ClockStep,
    SlowDisk,
}

impl World {
    /// The warm-up is over: from now on things break.
    pub(super) fn break_loose(&mut self) {
        self.phase = Phase::Break;
        self.net.faults = self.swarm.net;
        if self.options.scenario.is_some() {
            return self.direct();
        }
        self.queue.push(self.now_us, Event::Clients);
        self.repair_soon();
        if let Some(per_mille) = self.swarm.doom {
            let busy_us = self.swarm.operations * self.swarm.gap_us;
            self.queue.push(self.now_us + busy_us * per_mille / 1000, Event::Doom);
        }
        self.employ();
        self.begin_passes();
        if self.swarm.severed {
            self.sever();
        }
        if self.swarm.has_faults() {
            self.fault_soon();
        }
    }

    /// Two regions cannot reach each other until healing; others can reach both.
    fn sever(&mut self) {
        let regions = self.regions.len();
        let one = self.faults.index(regions);
        let other = (one + 1 + self.faults.index(regions - 1)) % regions;
        self.note(one, || format!("is SEVERED from r{other}"));
        for (from, to) in [(one, other), (other, one)] {
            self.net.cut(from, to);
            self.disconnect_soon(self.net.conn_id(from, to), NOTICE_US_MAX);
        }
    }

    fn fault_soon(&mut self) {
        let delay_us = self.faults.range(0, 2 * self.swarm.fault_gap_us);
        self.queue.push(self.now_us + delay_us, Event::Fault);
    }

    pub(super) fn fault(&mut self) -> Checked {
        if self.phase != Phase::Break {
            return Ok(());
        }
        self.fault_soon();
        let menu = self.menu();
        let fault = self.faults.pick(&menu);
        let nth = self.counts.faults;
        self.counts.faults += 1;
        if self.options.trim.faults.contains(&nth) {
            return Ok(());
        }
        match fault {
            Fault::Crash => {
                let region = self.faults.index(self.regions.len());
                self.crash(region)
            }
            Fault::CrashAll => (0..self.regions.len()).try_for_each(|region| self.crash(region)),
            Fault::Split => {
                self.split();
                Ok(())
            }
            Fault::Reset => {
                let conns: Vec<_> = self.net.all().collect();
                let conn = self.faults.pick(&conns);
                self.disconnect(conn, self.net.conns[conn].epoch)
            }
            Fault::ClockStep => {
                self.clock_step();
                Ok(())
            }
            Fault::SlowDisk => {
                self.slow_disk();
                Ok(())
            }
        }
    }

    fn menu(&self) -> Vec<Fault> {
        let swarm = &self.swarm;
        let mut menu = Vec::new();
        if swarm.crashes {
            menu.extend([Fault::Crash, Fault::Crash, Fault::Crash, Fault::CrashAll]);
        }
        if swarm.splits {
            menu.extend([Fault::Split, Fault::Split]);
        }
        menu.extend(swarm.resets.then_some(Fault::Reset));
        menu.extend(swarm.clock_steps.then_some(Fault::ClockStep));
        menu.extend(swarm.slow_disks.then_some(Fault::SlowDisk));
        menu
    }

    /// A process dies; some prefix of what it was writing is on disk, as the disk had got to it.
    fn crash(&mut self, region: usize) -> Checked {
        if self.regions[region].node.is_none() {
            return Ok(());
        }
        let down_us = self.down_us();
        self.die_for(region, down_us)
    }

    /// The same, if it lives, for so long.
    pub(super) fn die_for(&mut self, region: usize, down_us: u64) -> Checked {
        if self.regions[region].node.is_none() {
            return Ok(());
        }
        self.counts.crashes += 1;
        self.die(region, down_us)
    }

    /// A process dies, and starts again after a while.
    fn die(&mut self, region: usize, down_us: u64) -> Checked {
        self.regions[region].node = None;
        let kept = self.disks.index(self.sites[region].disk.queue.len() + 1);
        for _ in 0..kept {
            let Some(write) = self.sites[region].disk.queue.pop_front() else { break };
            self.commit(region, write)?;
        }
        let lost = self.sites[region].disk.crash();
        self.note(region, || format!("CRASHES, {} batches are lost", lost.len()));
        self.counts.batches_lost += lost.len() as u64;
        durable_ack::lost(&self.oracle, &lost)?;
        self.oracle.forget(lost);
        let site = &mut self.sites[region];
        site.issued = site.issued_durable;
        let here = &mut self.regions[region];
        here.life += 1;
        here.published = None;
        here.acked = Acked::default();
        here.timer_set = false;
        self.sessions.crashed(region, &self.oracle.asked);
        self.repairs.forget(region);
        self.not_governed(region);
        self.cut_off(region);
        let life = self.regions[region].life;
        self.queue.push(self.now_us + down_us, Event::Restart { region, life });
        Ok(())
    }

    /// Mostly a supervisor restarts at once; sometimes a region is gone for long.
    fn down_us(&mut self) -> u64 {
        if self.faults.chance(500) { 1_000 } else { self.faults.range(1_000, FAULT_US_MAX) }
    }

    /// The connections of a dead process: its own are gone, its peers will notice.
    fn cut_off(&mut self, region: usize) {
        let conns: Vec<_> = self.net.all().collect();
        for conn in conns {
            let (subscriber, feeder) = self.net.ends(conn);
            let here = &mut self.net.conns[conn];
            if subscriber == region {
                here.up = false;
                here.epoch += 1;
                here.feed = None;
            } else if feeder == region {
                here.feed = None;
                self.disconnect_soon(conn, NOTICE_US_MAX);
            }
        }
    }

    /// One region dies and never comes back.
    pub(super) fn doom(&mut self) -> Checked {
        let region = self.faults.index(self.regions.len());
        self.crash(region)?;
        self.sites[region].dead = true;
        if self.options.has_lifecycle() && self.faults.chance(700) {
            let soon_us = self.faults.range(0, 4 * NOTICE_US_MAX);
            self.hire(Directive::Evict(slot(region)), region, self.now_us + soon_us);
        }
        self.note(region, || "is gone for good".to_string());
        Ok(())
    }

    /// A process begins anew of itself.
    pub(super) fn reborn(&mut self, region: usize, life: u32) -> Checked {
        if self.regions[region].life != life || self.regions[region].node.is_none() {
            return Ok(());
        }
        self.note(region, || "begins anew".to_string());
        self.die(region, 1_000)
    }

    /// A region dies, and its disk with it: what comes back begins on an empty one.
    pub(super) fn lose_disk(&mut self, region: usize) -> Checked {
        if self.sites[region].dead {
            return Ok(());
        }
        self.note(region, || "loses its DISK".to_string());
        self.counts.disks_lost += 1;
        if self.regions[region].node.is_some() {
            self.crash(region)?;
        }
        self.note_had(region);
        self.oracle.perish(&self.sites, region);
        let incarnation = Origin::drawn(self.faults.range(2, 1_023) as u16);
        self.sites[region].lose_disk(incarnation, self.swarm.regions);
        self.forget_decisions();
        Ok(())
    }

    /// What was decided, and only lost disks had heard of, is as if it never was. Whom it called
    /// back may have heard, and says nothing before it has begun that life; nor is it heard then by
    /// those who decide anew.
    fn forget_decisions(&mut self) {
        let known = self.sites.iter().map(|site| (site.catalog.membership(), site.origin));
        let told = known.filter(|(known, life)| known.admits(*life));
        let newest = told.map(|(known, _)| known.generation).max().unwrap_or_default();
        let forgotten = self.generations.split_off(&(newest + 1));
        self.forgotten.extend(forgotten.into_values());
    }

    pub(super) fn restart(&mut self, region: usize, life: u32) {
        if self.sites[region].dead {
            return;
        }
        if self.regions[region].life == life && self.regions[region].node.is_none() {
            self.note(region, || "restarts".to_string());
            self.start(region);
        }
    }

    /// Start and restart are one path: whatever was durable goes in.
    pub(super) fn start(&mut self, region: usize) {
        let node = self.birth(region);
        let mono_base_us = self.disks.pick(&[0, 0, 5_000_000, 86_400_000_000]);
        let here = &mut self.regions[region];
        here.clock.restart(self.now_us, mono_base_us);
        here.heard.clear();
        here.furthest_us = i64::MIN;
        // What it starts with is durable, so all of it may be told; what was told before stays
        // told.
        self.sites[region].live(node.origin());
        if self.swarm.grouped {
            self.sites[region].shown = group::recalled(&self.oracle, &self.sites[region]);
        }
        let closed = node.progress().closed;
        self.sites[region].closed = self.sites[region].closed.max(closed);
        here.published = Some(node.progress());
        here.node = Some(node);
        self.set_timer(region);
        let conns: Vec<_> = self.net.all().collect();
        for conn in conns {
            let (subscriber, feeder) = self.net.ends(conn);
            if subscriber == region || feeder == region {
                self.connect_soon(conn);
            }
        }
    }

    fn split(&mut self) {
        let links = self.draw_split();
        self.counts.splits += 1;
        self.note(links[0].0, || format!("SPLIT: {links:?}"));
        for &(from, to) in &links {
            self.net.cut(from, to);
            for conn in [self.net.conn_id(from, to), self.net.conn_id(to, from)] {
                // A short split may pass unnoticed: then only messages are missing.
                if self.faults.chance(600) {
                    self.disconnect_soon(conn, 2 * NOTICE_US_MAX);
                }
            }
        }
        let until_us = self.now_us + self.faults.range(5_000, FAULT_US_MAX);
        self.queue.push(until_us, Event::Mend { links });
    }

    /// One link in one direction, one pair, or everything of one region.
    fn draw_split(&mut self) -> Vec<(usize, usize)> {
        let regions = self.regions.len();
        let one = self.faults.index(regions);
        let other = (one + 1 + self.faults.index(regions - 1)) % regions;
        match self.faults.below(3) {
            0 => vec![(one, other)],
            1 => vec![(one, other), (other, one)],
            _ => {
                let others = (0..regions).filter(|&region| region != one);
                others.flat_map(|other| [(one, other), (other, one)]).collect()
            }
        }
    }

    pub(super) fn mend(&mut self, links: &[(usize, usize)]) {
        // Healing has mended everything already.
        if self.phase != Phase::Break {
            return;
        }
        self.note(links[0].0, || format!("split ends: {links:?}"));
        for &(from, to) in links {
            self.net.mend(from, to);
            self.connect_soon(self.net.conn_id(from, to));
            self.connect_soon(self.net.conn_id(to, from));
        }
    }

    fn clock_step(&mut self) {
        let region = self.faults.index(self.regions.len());
        let most = if self.faults.chance(125) { STEP_US_MAX } else { STEP_US };
        let offset_us = self.faults.range(0, 2 * most) as i64 - most as i64;
        let offset_us = offset_us + self.swarm.phase_us();
        self.note_ahead(region);
        self.regions[region].clock.step(self.now_us, offset_us, 0);
        self.counts.clock_steps += 1;
        self.note(region, || format!("CLOCK is {} ms off from now on", offset_us / 1000));
        self.note_ahead(region);
    }

    /// Remembers how far clocks were ahead: stamps of that time must have passed after healing.
    pub(super) fn note_ahead(&mut self, region: usize) {
        let ahead_us = self.regions[region].clock.offset_us(self.now_us);
        self.ahead_us = self.ahead_us.max(ahead_us);
    }

    fn slow_disk(&mut self) {
        let region = self.faults.index(self.regions.len());
        self.regions[region].slowness = self.faults.range(5, 40);
        self.note(region, || "DISK is slow".to_string());
        let until_us = self.now_us + self.faults.range(5_000, FAULT_US_MAX);
        self.queue.push(until_us, Event::DiskHeals { region });
    }
}
