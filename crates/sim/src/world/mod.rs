//! The world: regions, their disks, clocks and connections, and one queue of events.
//!
//! A run has two phases. In the first, clients act and things break; in the second, nothing breaks
//! any more, and the regions must come to rest in the state that the history demands. Every event
//! is a function of the seed and of the events before it.

mod clients;
mod direct;
mod drive;
mod expiry;
mod faults;
mod heartbeats;
mod links;
mod operators;
mod queue;
mod repair;
mod rest;
mod sessions;
mod warm;

use std::collections::BTreeMap;
use std::sync::Arc;

use pangea_core::catalog::{Catalog, Directory};
use pangea_core::clock;
use pangea_core::id::Origin;
use pangea_core::membership::Membership;
use pangea_core::node::{Collect, Config, Effect, Node};
use pangea_core::replica::{Acked, Durable, Progress};

use crate::clock::Clock;
use crate::digest::Digest;
use crate::function::Greater;
use crate::invariants::{Broken, Checked, residency};
use crate::net::Net;
use crate::options::{Options, Swarm};
use crate::oracle::{Oracle, Site};
use crate::report::{Counts, Line};
use crate::rng::Rng;
use crate::workload::{Workload, slot};
use operators::Operator;
use queue::{Event, Queue};
use sessions::Sessions;

/// Time for tables and replicas to be made before the faults begin.
const WARM_US: u64 = 170_000;
/// Regions that are not at rest so long after healing never will be: ten times the slowest resend.
const REST_US_MAX: u64 = 30_000_000;
/// Rounds of a region that collects late: others have long forgotten by then.
const LATE_COLLECT_US: u64 = 200_000;
/// What can still be passed on of a dead region's rows has been so long after healing, and after
/// the regions have agreed on the time: what comes of a clock in doubt may be held.
const SETTLED_US: u64 = 4_000_000;
/// The incarnation of every region at first.
const FIRST_LIFE: u16 = 1;
/// How often to look whether everything is at rest.
const LOOK_US: u64 = 15_000;

/// One region's process and what is around it.
#[derive(Debug)]
struct Region {
    node: Option<Node>,
    /// Counts restarts; what was meant for an earlier life is dropped.
    life: u32,
    clock: Clock,
    published: Option<Progress>,
    /// What it has heard others acknowledge.
    acked: Acked,
    timer_set: bool,
    /// How much slower than usual the disk is.
    slowness: u64,
    /// By peer: when this life last heard its clock, and how far that was from true time, with the
    /// error of hearing; both in µs.
    heard: BTreeMap<usize, (u64, i64)>,
    /// The furthest that its clock was ahead of true time in this life, µs.
    furthest_us: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Warm,
    Break,
    Heal,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    options: Options,
    swarm: Swarm,
    now_us: u64,
    phase: Phase,
    healed_us: u64,
    /// Some living region doubted its clock until then.
    doubted_us: u64,
    queue: Queue,
    regions: Vec<Region>,
    sites: Vec<Site>,
    net: Net,
    directory: Arc<Directory>,
    oracle: Oracle,
    workload: Workload,
    sessions: Sessions,
    operators: Vec<Operator>,
    /// Every generation of the membership that any region ever durably knew.
    generations: BTreeMap<u32, Membership>,
    /// Decisions that were lost with disks.
    forgotten: Vec<Membership>,
    requests: u64,
    effects: Vec<Effect>,
    /// The furthest that any clock was ever ahead.
    ahead_us: i64,
    faults: Rng,
    disks: Rng,
    gaps: Rng,
    laws: Rng,
    repairs: repair::Repairs,
    expiry: expiry::Expiry,
    pub(crate) counts: Counts,
    digest: Digest,
    /// Kept only when a failing run is repeated for its report.
    timeline: Option<Vec<Line>>,
}

impl World {
    pub(crate) fn new(seed: u64, options: &Options, keep_timeline: bool) -> Self {
        let root = Rng::new(seed);
        let swarm = Swarm::new(&mut root.fork("swarm"), options);
        Self::of(swarm, &root, options, keep_timeline)
    }

    fn of(swarm: Swarm, root: &Rng, options: &Options, keep_timeline: bool) -> Self {
        let mut clocks = root.fork("clocks");
        let regions = (0..swarm.regions).map(|_| Region {
            node: None,
            life: 0,
            clock: draw_clock(&swarm, &mut clocks),
            published: None,
            acked: Acked::default(),
            timer_set: false,
            slowness: 1,
            heard: BTreeMap::new(),
            furthest_us: i64::MIN,
        });
        let mut world = Self {
            options: options.clone(),
            now_us: 0,
            phase: Phase::Warm,
            healed_us: 0,
            doubted_us: 0,
            queue: Queue::new(),
            regions: regions.collect(),
            sites: Vec::new(),
            net: Net::new(swarm.regions, root.fork("net")),
            directory: directory_of(&swarm),
            oracle: Oracle::new(),
            workload: Workload::new(&swarm, root.fork("workload")),
            sessions: Sessions::new(swarm.sessions, root.fork("clients")),
            operators: Vec::new(),
            generations: BTreeMap::new(),
            forgotten: Vec::new(),
            requests: 0,
            effects: Vec::new(),
            ahead_us: 0,
            faults: root.fork("faults"),
            disks: root.fork("disks"),
            gaps: root.fork("gaps"),
            laws: root.fork("laws"),
            repairs: repair::Repairs::new(swarm.regions, root.fork("repairs")),
            expiry: expiry::Expiry::new(root.fork("expiry")),
            counts: Counts { regions: swarm.regions as u64, ..Counts::default() },
            digest: Digest::default(),
            timeline: keep_timeline.then(Vec::new),
            swarm,
        };
        for region in 0..world.swarm.regions {
            let origin = Origin::new(slot(region), FIRST_LIFE);
            let (regions, directory) = (world.swarm.regions, Arc::clone(&world.directory));
            world.sites.push(Site::new(slot(region), origin, regions, directory));
        }
        world
    }

    /// Runs to rest, or to the first invariant that does not hold.
    pub(crate) fn run(&mut self) -> Checked {
        let warm = self.begin_warm();
        (0..self.regions.len()).for_each(|region| self.start(region));
        if !warm {
            let regions = self.regions.len();
            let homes = (0..self.swarm.tables).map(|_| self.gaps.index(regions));
            let homes: Vec<usize> = homes.collect();
            self.found(homes.into_iter())?;
        }
        while let Some((at_us, event)) = self.queue.pop() {
            assert!(at_us >= self.now_us, "time does not go back");
            self.now_us = at_us;
            self.counts.events += 1;
            self.digest.add(at_us);
            if matches!(event, Event::Look) && self.look()? {
                break;
            }
            self.happen(event)?;
        }
        self.conclude();
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Clients => self.clients(),
            Event::Fault => self.fault(),
            Event::Step(step) => self.step(*step),
            Event::Timer { region, life } => self.timer(region, life),
            Event::Sync { region, life, token } => self.sync(region, life, token),
            Event::Pump { conn } => self.pump_due(conn),
            Event::Connect { conn } => self.connect(conn),
            Event::Disconnect { conn, epoch } => self.disconnect(conn, epoch),
            Event::Request { conn, epoch, request } => self.request(conn, epoch, request),
            Event::Frame { conn, epoch, late, frame } => self.frame(conn, epoch, late, *frame),
            Event::Reborn { region, life } => self.reborn(region, life),
            Event::Restart { region, life } => {
                self.restart(region, life);
                Ok(())
            }
            Event::Mend { links } => {
                self.mend(&links);
                Ok(())
            }
            Event::DiskHeals { region } => {
                self.regions[region].slowness = 1;
                Ok(())
            }
            Event::Doom => self.doom(),
            Event::LoseDisk { region } => self.lose_disk(region),
            Event::Operate { operator } => self.operate(operator),
            Event::Break => {
                self.break_loose();
                Ok(())
            }
            Event::Heal => {
                self.heal();
                Ok(())
            }
            Event::Patience { client, turn } => self.patience(client, turn),
            Event::Look => Ok(()),
            Event::Pass { region } => self.pass(region),
            Event::Expire { region, life, table, keys } => self.expire(region, life, table, keys),
            Event::Repair { region } => self.repair(region),
            Event::Unanswered { region, number } => self.unanswered(region, number),
            Event::Healed { region, request, done } => self.healed(region, request, done),
        }
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.now_us
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.value()
    }

    pub(crate) fn take_timeline(&mut self) -> Vec<Line> {
        self.timeline.take().unwrap_or_default()
    }

    /// A node as the durable state of its region makes it.
    fn birth(&self, region: usize) -> Node {
        let config = Config {
            slot: slot(region),
            skew_ms_max: pangea_core::limits::CLOCK_SKEW_MS_MAX,
            ledger_per_minute: self.swarm.ledger_per_minute,
            retention: pangea_core::node::Retention::UNBOUNDED,
            directory: Arc::clone(&self.directory),
            clock: self.swarm.heartbeats.then_some(clock::Config::DEFAULT),
            founders: Vec::new(),
            collect: self.swarm.collect.map(|collect| {
                let late = self.swarm.collects_late == Some(region);
                let interval_us = if late { LATE_COLLECT_US } else { collect.interval_us };
                Collect { interval_us, ..collect }
            }),
            journal: pangea_core::journal::Keep { streamed_ms: 5_000, history_ms: 20_000 },
            stage_bytes_max: self.swarm.stage_bytes_max,
            relay_after_ms: self.swarm.relay_after_ms,
            #[cfg(feature = "planted-bugs")]
            bug: self.options.bug,
        };
        let durable = match self.sites.get(region) {
            Some(site) => Durable {
                incarnation: site.disk.durable.me.incarnation(),
                reborn: site.disk.durable.reborn,
                last: site.disk.durable.last,
                applied: site.disk.durable.applied.clone(),
                catalog: site.catalog.clone(),
                collected: site.disk.durable.collected.clone(),
                fingerprints: site.disk.durable.fingerprints.clone(),
                fills: site.disk.durable.fills.clone(),
                journaled: site.disk.durable.journaled,
            },
            None => Durable {
                incarnation: FIRST_LIFE,
                reborn: false,
                last: Default::default(),
                applied: Default::default(),
                catalog: Catalog::new(self.all_slots()),
                collected: Default::default(),
                fingerprints: Default::default(),
                fills: Default::default(),
                journaled: 0,
            },
        };
        Node::new(config, durable)
    }

    /// Notes a line of the timeline, if one is kept.
    fn note(&mut self, region: usize, text: impl FnOnce() -> String) {
        if let Some(timeline) = &mut self.timeline {
            timeline.push(Line { at_us: self.now_us, region, text: text() });
        }
    }
}

fn directory_of(swarm: &Swarm) -> Arc<Directory> {
    let regions = (0..swarm.regions).map(|region| {
        let jurisdiction = if region < residency::ALLOWED { "near" } else { "far" };
        (slot(region), format!("r{region}"), Some(jurisdiction.to_string()))
    });
    Arc::new(Directory::new(regions).with_functions(Arc::new(Greater)))
}

fn draw_clock(swarm: &Swarm, rng: &mut Rng) -> Clock {
    let offset = rng.range(0, 2 * swarm.skew_us) as i64 - swarm.skew_us as i64;
    let drift = if swarm.skew_us == 0 { 0 } else { rng.range(0, 400) as i64 - 200 };
    Clock::new(offset + swarm.phase_us(), drift)
}

/// The invariant's name and words, for the timeline's last line.
pub(crate) fn words(broken: &Broken) -> String {
    format!("VIOLATION of {}: {}", broken.invariant, broken.text)
}
