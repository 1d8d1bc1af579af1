//! Anti-entropy in the world: runs while things break, which must find nothing, and one at rest
//! after a row has rotted.

use std::collections::BTreeMap;
use std::rc::Rc;

use pangea_core::fingerprint;
use pangea_core::id::TableId;
use pangea_core::item::ItemKey;
use pangea_core::merge::VersionVector;
use pangea_core::node;
use pangea_core::repair::{
    Answer, Ask, Damaged, Effect, Here, Input, Moment, Repair, Scope, Verified,
};
use pangea_core::replica::{Request, Snapshot as _};

use super::{Event, LOOK_US, Phase, World};
use crate::disk::Image;
use crate::invariants::repair::Expected;
use crate::invariants::{Broken, Checked, Invariant, repair, residency};
use crate::oracle::{Asked, Site};
use crate::rng::Rng;
use crate::workload::slot;

/// A question is given up after this: a few times what the network takes.
const ANSWER_US_MAX: u64 = 400_000;
/// A row that rotted is repaired within this, at rest.
const HEALED_US_MAX: u64 = 10_000_000;

/// The runs under way, and what rotted.
#[derive(Debug)]
pub(super) struct Repairs {
    runs: Vec<Option<Box<Run>>>,
    rng: Rng,
    number: u64,
    /// What rots once everything is at rest; then, where and what it is.
    rot: Rot,
}

#[derive(Debug)]
enum Rot {
    ToCome,
    Rotten(Rotten),
    Over,
}

#[derive(Debug)]
struct Rotten {
    /// Whose turn it is to repair it, and who comes then: it rotted there as well.
    region: usize,
    then: Vec<usize>,
    key: Rc<ItemKey>,
    expected: Expected,
}

#[derive(Debug)]
struct Run {
    machine: Repair,
    asked: Option<(usize, Ask)>,
    healing: Option<u64>,
    /// What was durable and applied before the question.
    then: Option<(VersionVector, Rc<Image>)>,
    verified: Option<Sums>,
}

/// Of a table, by bucket, rows and what their fingerprint has that they do not account for; a
/// bucket that is not there has neither.
#[derive(Debug)]
struct Sums {
    table: TableId,
    buckets: BTreeMap<u8, (u64, u128)>,
}

impl Repairs {
    pub(super) fn new(regions: usize, rng: Rng) -> Self {
        let runs = (0..regions).map(|_| None).collect();
        Self { runs, rng, number: 0, rot: Rot::ToCome }
    }

    /// The process died, and its run with it.
    pub(super) fn forget(&mut self, region: usize) {
        self.runs[region] = None;
    }
}

impl World {
    /// Some region compares itself with others soon.
    pub(super) fn repair_soon(&mut self) {
        let Some(gap_us) = self.swarm.repair_gap_us else { return };
        let region = self.repairs.rng.index(self.regions.len());
        let at_us = self.now_us + self.repairs.rng.range(0, 2 * gap_us);
        self.queue.push(at_us, Event::Repair { region });
    }

    pub(super) fn repair(&mut self, region: usize) -> Checked {
        if self.phase == Phase::Break {
            self.repair_soon();
        }
        let alive = self.regions[region].node.is_some();
        if !alive || self.repairs.runs[region].is_some() {
            return Ok(());
        }
        let mut links = (0..self.regions.len()).filter(|&other| other != region);
        let linked = links.all(|other| self.net.conns[self.net.conn_id(region, other)].up);
        let turn = match &self.repairs.rot {
            Rot::Rotten(rotten) => Some((rotten.region, &rotten.expected)),
            Rot::ToCome | Rot::Over => None,
        };
        if turn.is_some_and(|(at, expected)| at != region && *expected != Expected::Healed) {
            // It has its turn.
            return Ok(());
        }
        if !linked && turn.is_some_and(|(at, _)| at == region) {
            self.queue.push(self.now_us + LOOK_US, Event::Repair { region });
            return Ok(());
        }
        let Some(progress) = &self.regions[region].published else { return Ok(()) };
        let others = (0..self.regions.len()).filter(|&other| other != region);
        let up = |other| self.net.conns[self.net.conn_id(region, other)].up;
        self.repairs.number += 1 << 32;
        let scope = Scope {
            me: slot(region),
            catalog: std::sync::Arc::clone(&progress.catalog),
            peers: others.map(|other| (slot(other), up(other))).collect(),
            table: None,
            verify: true,
            compare: true,
            number: self.repairs.number,
        };
        let machine = Repair::new(scope);
        #[cfg(feature = "planted-bugs")]
        let machine = machine.with(self.options.bug);
        let (asked, healing, then, verified) = (None, None, None, None);
        let run = Run { machine, asked, healing, then, verified };
        self.repairs.runs[region] = Some(Box::new(run));
        self.counts.repairs += 1;
        self.note(region, || "begins to repair".to_string());
        self.repair_step(region, Input::Begin)
    }

    fn repair_step(&mut self, region: usize, input: Input) -> Checked {
        let Some(mut run) = self.repairs.runs[region].take() else { return Ok(()) };
        let here = &*self.sites[region].disk.durable;
        let nothing = VersionVector::EMPTY;
        let then = match &run.then {
            Some((applied, store)) => Moment { applied, store: &**store },
            None => Moment { applied: &nothing, store: here },
        };
        let Some(progress) = &self.regions[region].published else { return Ok(()) };
        let now = Here { catalog: &progress.catalog, store: here };
        let effect = run.machine.step(input, &then, &now);
        let (machine, sums) = (&mut run.machine, &mut run.verified);
        let verified = |table, from| verify(here, sums, (table, from));
        let effect = machine.verify_all(effect, verified);
        run.then = None;
        match effect {
            Effect::Verify { .. } => unreachable!("every bucket is verified at once"),
            Effect::Ask { peer, ask } => {
                self.ask_peer(region, run, peer.index(), ask);
                Ok(())
            }
            Effect::Heal(heal) => {
                let request = self.ask(Asked { region, writes: Vec::new(), operator: None });
                self.oracle.asked.remove(&request.0);
                (run.healing, run.verified) = (Some(request.0), None);
                self.repairs.runs[region] = Some(run);
                self.note(region, || format!("puts right {heal:?}"));
                let event = node::Event::Heal { request, heal: Box::new(heal) };
                self.deliver(region, event)
            }
            Effect::Done => self.repaired(region, &run),
        }
    }

    fn ask_peer(&mut self, region: usize, mut run: Box<Run>, peer: usize, ask: Ask) {
        let Some(progress) = &self.regions[region].published else { return };
        let own = (self.sites[region].origin, progress.closed);
        let applied = progress.applied.iter().map(|(&of, &hlc)| (of, hlc)).chain([own]);
        let applied = VersionVector::from_entries(applied);
        let image = Rc::clone(&self.sites[region].disk.durable);
        (run.then, run.verified) = (Some((applied, image)), None);
        run.asked = Some((peer, ask.clone()));
        let number = ask.number;
        self.repairs.runs[region] = Some(run);
        self.send_request(region, peer, Request::Compare(ask));
        self.queue.push(self.now_us + ANSWER_US_MAX, Event::Unanswered { region, number });
    }

    /// An answer has arrived; one to another question is of no use.
    pub(super) fn compared(&mut self, region: usize, peer: usize, answer: Answer) -> Checked {
        let Some(run) = &mut self.repairs.runs[region] else { return Ok(()) };
        let fits = |(asked, ask): &mut (usize, Ask)| *asked == peer && *ask == answer.ask;
        if run.asked.take_if(fits).is_none() {
            return Ok(());
        }
        self.repair_step(region, Input::Answered(answer))
    }

    pub(super) fn unanswered(&mut self, region: usize, number: u64) -> Checked {
        let Some(run) = &mut self.repairs.runs[region] else { return Ok(()) };
        if run.asked.take_if(|(_, ask)| ask.number == number).is_none() {
            return Ok(());
        }
        self.repair_step(region, Input::Unanswered)
    }

    pub(super) fn healed(&mut self, region: usize, request: u64, done: bool) -> Checked {
        let Some(run) = &mut self.repairs.runs[region] else { return Ok(()) };
        if run.healing.take_if(|asked| *asked == request).is_none() {
            return Ok(());
        }
        self.repair_step(region, Input::Healed(done))
    }

    fn repaired(&mut self, region: usize, run: &Run) -> Checked {
        let report = run.machine.report();
        self.note(region, || format!("has repaired: {report:?}"));
        self.counts.compared += report.equal + report.versions;
        let rotten = match &self.repairs.rot {
            Rot::Rotten(rotten) if rotten.region == region => Some(rotten),
            Rot::ToCome | Rot::Rotten(_) | Rot::Over => None,
        };
        let what = rotten.map(|rotten| (&*rotten.key, &rotten.expected));
        repair::found(slot(region), report, what)?;
        let Some(Rotten { then, key, .. }) = rotten else { return Ok(()) };
        self.counts.healed += 1;
        let Some((&region, then)) = then.split_first() else {
            self.repairs.rot = Rot::Over;
            self.queue.push(self.now_us + LOOK_US, Event::Look);
            return Ok(());
        };
        let (then, key, expected) = (then.to_vec(), Rc::clone(key), Expected::Gone);
        self.repairs.rot = Rot::Rotten(Rotten { region, then, key, expected });
        self.queue.push(self.now_us + LOOK_US, Event::Repair { region });
        Ok(())
    }

    /// Everything is at rest and right. Whether that is all: else a row rots, and is repaired.
    pub(super) fn rots(&mut self) -> Checked<bool> {
        if !matches!(self.repairs.rot, Rot::ToCome) || !self.swarm.rots {
            let healing = matches!(self.repairs.rot, Rot::Rotten(_));
            return if healing {
                let text = "a row that rotted is not repaired".to_string();
                Err(Broken::new(Invariant::Repair, text))
            } else {
                Ok(false)
            };
        }
        self.repairs.rot = Rot::Over;
        let Some((region, key)) = self.draw_rot() else { return Ok(false) };
        let unreadable = self.repairs.rng.chance(500);
        self.oracle.rotted.extend(self.oracle.key_id(&key));
        let everywhere = self.repairs.rng.chance(150) && self.is_held_alike(region, &key);
        let others = (0..self.sites.len()).filter(|&other| everywhere && other != region);
        let then: Vec<usize> = others.collect();
        let all = [&[region][..], &then].concat();
        for &region in &all {
            let disk = &mut self.sites[region].disk;
            Rc::make_mut(&mut disk.visible).rot(&key, unreadable);
            Rc::make_mut(&mut disk.durable).rot(&key, unreadable);
            self.note(region, || format!("ROT: {key:?}, unreadable {unreadable}"));
        }
        let expected = if everywhere {
            self.oracle.given_up.extend(self.oracle.key_id(&key));
            Expected::Lost(self.sites[region].disk.durable.dangling(&key))
        } else {
            Expected::Healed
        };
        let rotten = Rotten { region, then, key: Rc::clone(&key), expected };
        self.repairs.rot = Rot::Rotten(rotten);
        // Others would find that what they have is not where it was written.
        self.repairs.runs.iter_mut().for_each(|run| *run = None);
        self.queue.push(self.now_us + all.len() as u64 * HEALED_US_MAX, Event::Look);
        // A region's write has seen all that it wrote before, and continues it, and what was
        // collected, also what should still be there.
        let image = &self.sites[region].disk.durable;
        let collected = image.collected.get(&key.table);
        let own = self.oracle.has_written(region, &key)
            || image.dangling(&key).iter().any(|it| collected.is_some_and(|seen| seen.covers(*it)));
        let restricted = residency::is_marked(&key.primary);
        if !unreadable && !restricted && !own && !everywhere && self.repairs.rng.chance(500) {
            self.write_over(region, &key)?;
        }
        self.repair(region)?;
        Ok(true)
    }

    /// Whether every region has the row just as this one has it.
    fn is_held_alike(&self, region: usize, key: &ItemKey) -> bool {
        let row = |site: &Site| site.disk.durable.rows.get(key).map(|held| held.stored.clone());
        let wanted = row(&self.sites[region]);
        let alike = |site: &Site| !site.gone && site.is_whole(key.table) && row(site) == wanted;
        self.sites.iter().all(alike)
    }

    /// A row of a table that another region has, too; it must be one that readers see, because
    /// what is deleted leaves no mark in fingerprints.
    fn draw_rot(&mut self) -> Option<(usize, Rc<ItemKey>)> {
        let mut rows = Vec::new();
        for (region, site) in self.sites.iter().enumerate() {
            for (key, held) in &site.disk.durable.rows {
                let others = self.sites.iter().filter(|other| other.slot != site.slot);
                let holds = |other: &&Site| {
                    other.is_whole(key.table) && other.disk.durable.rows.contains_key(key)
                };
                let mut holding = others.filter(holds);
                let is_shown = held.stored.buried().is_empty();
                if site.is_whole(key.table) && is_shown && holding.next().is_some() {
                    rows.push((region, Rc::clone(key)));
                }
            }
        }
        (!rows.is_empty()).then(|| rows.swap_remove(self.repairs.rng.index(rows.len())))
    }

    /// A client writes the item whose row is gone.
    fn write_over(&mut self, region: usize, key: &ItemKey) -> Checked {
        let op = self.workload.put_at(key.primary.clone());
        self.write(region, key.table, op)
    }
}

/// The first bucket from one on that has anything in it. A table's buckets are verified at once, as
/// long as nothing comes between.
fn verify(
    image: &Image,
    verified: &mut Option<Sums>,
    (table, from): (TableId, u8),
) -> Option<(u8, Verified)> {
    let sums = match verified.take_if(|sums| sums.table == table) {
        Some(sums) => sums,
        None => sums_of(image, table),
    };
    let sums = verified.insert(sums);
    let rotten = image.rotten.iter().filter(|(key, _)| key.table == table);
    let rotten = rotten.map(|(key, row)| (image.bucket(key), key, row));
    let damaged = rotten.clone().map(|(bucket, ..)| bucket).filter(|bucket| *bucket >= from);
    let held = sums.buckets.range(from..).map(|(&bucket, _)| bucket);
    let bucket = held.take(1).chain(damaged).min()?;
    let (rows, excess) = sums.buckets.get(&bucket).copied().unwrap_or_default();
    let damaged = rotten.filter(|it| it.0 == bucket).map(|(_, key, &row)| Damaged {
        place: image.place(key),
        key: row.then(|| key.primary.clone()),
        row,
        stamps: image.dangling(key),
        why: "rot".to_string(),
    });
    Some((bucket, Verified { rows, excess, damaged: damaged.collect() }))
}

fn sums_of(image: &Image, table: TableId) -> Sums {
    let mut buckets: BTreeMap<u8, (u64, u128)> = BTreeMap::new();
    for (&(_, bucket), &maintained) in image.fingerprints.range((table, 0)..=(table, u8::MAX)) {
        buckets.insert(bucket, (0, maintained));
    }
    for (key, held) in image.table(table) {
        let (rows, excess) = buckets.entry(image.bucket(key)).or_default();
        *rows += 1;
        *excess = excess.wrapping_sub(fingerprint::of_item(&key.primary, &held.stored));
    }
    Sums { table, buckets }
}
