//! The warm-up, done once for all seeds that begin alike.
//!
//! Before anything breaks, regions make tables and replicas of them and come to rest: a quarter of
//! the work of a seed, and much the same in all of them. So most seeds begin with what the disks of
//! such regions have, as if all of them had just been restarted. What decides a warm-up is in its
//! [`Kind`] and nothing else is, so that a seed's run does not depend on the seeds before it. Other
//! seeds warm up by themselves, with clocks that are wrong, or make their tables while things
//! break.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use pangea_core::catalog::Directory;
use pangea_core::membership::Membership;

use super::{Event, WARM_US, World};
use crate::invariants::{index, liveness};
use crate::options::{Options, Swarm};
use crate::oracle::{Oracle, Site};
use crate::rng::Rng;
use crate::shrink::Trim;
use crate::workload;

/// Connections are made within this.
const CONNECTED_US: u64 = 25_000;

/// What decides a warm-up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    regions: usize,
    tables: usize,
    /// Which region makes the first table; those after it make the next ones.
    home: usize,
    policy: String,
    one_replica: bool,
    grouped: bool,
    placed: bool,
    /// The bug that is planted, by its name.
    bug: String,
}

/// Regions at rest, with their tables.
#[derive(Debug)]
pub(super) struct Warm {
    now_us: u64,
    requests: u64,
    sites: Vec<Site>,
    directory: Arc<Directory>,
    oracle: Oracle,
    tables: Vec<workload::Known>,
    generations: BTreeMap<u32, Membership>,
}

/// `None` where the regions do not come to rest, for a bug.
type Known = BTreeMap<Kind, Option<Rc<Warm>>>;

thread_local! {
    /// Every warm-up so far.
    static KNOWN: RefCell<Known> = const { RefCell::new(Known::new()) };
}

impl World {
    /// Begins with the disks of regions that are warm, if the seed is to; returns whether it does.
    pub(super) fn begin_warm(&mut self) -> bool {
        let by_itself = self.options.has_lifecycle() || self.swarm.bulk > 0;
        if !self.swarm.warm || !self.swarm.warmed || by_itself {
            return false;
        }
        let kind = Kind {
            regions: self.swarm.regions,
            tables: self.swarm.tables,
            home: self.gaps.index(self.swarm.regions),
            policy: self.swarm.policy.clone(),
            one_replica: self.swarm.one_replica,
            grouped: self.swarm.grouped,
            placed: self.swarm.placed,
            bug: self.options.bug_name(),
        };
        let known = KNOWN.with_borrow(|known| known.get(&kind).cloned());
        let warm = known.unwrap_or_else(|| {
            let warm = warm_up(&kind, &self.options).map(Rc::new);
            KNOWN.with_borrow_mut(|known| known.insert(kind, warm.clone()));
            warm
        });
        let Some(warm) = warm else { return false };
        (self.now_us, self.requests) = (warm.now_us, warm.requests);
        self.sites.clone_from(&warm.sites);
        self.directory = Arc::clone(&warm.directory);
        self.oracle = warm.oracle.clone();
        self.workload.tables.clone_from(&warm.tables);
        self.generations.clone_from(&warm.generations);
        self.queue.push(self.now_us + CONNECTED_US, Event::Break);
        true
    }
}

/// What comes of regions of that kind whose clocks are right and whose disks are fast.
fn warm_up(kind: &Kind, options: &Options) -> Option<Warm> {
    let (regions, trim) = (Some(kind.regions), Trim::default());
    let options = &Options { regions, trim, focus: None, ..options.clone() };
    let root = Rng::new(0);
    let swarm = Swarm {
        regions: kind.regions,
        tables: kind.tables,
        policy: kind.policy.clone(),
        one_replica: kind.one_replica,
        grouped: kind.grouped,
        placed: kind.placed,
        ..Swarm::quiet(options)
    };
    let mut world = World::of(swarm, &root, options, false);
    (0..kind.regions).for_each(|region| world.start(region));
    world.found((kind.home..).map(|home| home % kind.regions)).ok()?;
    while let Some((at_us, event)) = world.queue.pop() {
        world.now_us = at_us;
        if matches!(event, Event::Break) {
            break;
        }
        world.happen(event).ok()?;
    }
    let restless = liveness::unrest(&world.sites, false, false)
        .or_else(|| world.sites.iter().find_map(|site| index::unrest(site, false)))
        .is_some();
    if restless || world.now_us < WARM_US {
        return None;
    }
    let World { now_us, requests, sites, directory, oracle, workload, generations, .. } = world;
    let tables = workload.tables;
    Some(Warm { now_us, requests, sites, directory, oracle, tables, generations })
}
