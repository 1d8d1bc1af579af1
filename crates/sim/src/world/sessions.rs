//! Clients that carry a session from region to region, and writes that wait for other regions.
//!
//! State: each client's token and what it has truly been shown, its request under way, and the
//! acknowledged writes that are not answered yet because their level is not reached. What the
//! driver of a region decides by is decided here by the same functions of the core: when a session
//! is served, and when a level is reached.

use std::collections::{BTreeMap, BTreeSet};

use pangea_core::durability::{Level, Standing};
use pangea_core::id::{Place, RegionSlot, TableId};
use pangea_core::item::ItemKey;
use pangea_core::merge::VersionVector;
use pangea_core::node::{Event as NodeEvent, Outcome};
use pangea_core::replica::Acked;
use pangea_core::session::{Mode, Session, Step, Tried, applied, missing, next};
use pangea_core::table::WriteOp;
use pangea_core::time::Stamp;

use super::{Event, Phase, World};
use crate::invariants::{Checked, durability, session};
use crate::oracle::{Asked, VersionId};
use crate::rng::Rng;
use crate::workload::{item_key, slot};

/// How long a session waits for its region; longer than most delays, shorter than most splits.
const PATIENCE_US: u64 = 40_000;
/// How long a write waits for other regions before its outcome is not known.
const LEVEL_US_MAX: u64 = 200_000;
const MODES: [&str; 7] =
    ["wait", "forward", "stale", "forward stale", "fail", "forward 0", "stale 0"];

/// See the module.
#[derive(Debug)]
pub(super) struct Sessions {
    rng: Rng,
    clients: Vec<Client>,
    /// Requests of clients that a node has not answered yet.
    writing: BTreeMap<u64, usize>,
    /// Levels of requests that a node has not answered yet.
    levels: BTreeMap<u64, Level>,
    wide: Vec<Wide>,
    /// Writes that were acknowledged to be in more regions than one.
    acked: Vec<VersionId>,
}

/// A client with one request at a time.
#[derive(Debug, Default)]
struct Client {
    token: VersionVector,
    /// The newest stamp that it was shown, or wrote, of each item.
    known: BTreeMap<ItemKey, Stamp>,
    /// What it waits for; counts its requests, so that a deadline of an earlier one is not its own.
    waits: Option<Ask>,
    turn: u64,
}

/// One request.
#[derive(Clone, Debug)]
struct Ask {
    region: usize,
    life: u32,
    key: ItemKey,
    /// `None` to read.
    write: Option<WriteOp>,
    mode: Mode,
    tried: Tried,
}

/// A write that is durable in its region and waits for more.
#[derive(Debug)]
struct Wide {
    region: usize,
    life: u32,
    table: TableId,
    place: Place,
    stamp: Stamp,
    level: Level,
    until_us: u64,
    /// Regions that had it on disks that were lost since.
    had: BTreeSet<(usize, VersionId)>,
}

impl Sessions {
    pub(super) fn new(clients: usize, rng: Rng) -> Self {
        Self {
            rng,
            clients: (0..clients).map(|_| Client::default()).collect(),
            writing: BTreeMap::new(),
            levels: BTreeMap::new(),
            wide: Vec::new(),
            acked: Vec::new(),
        }
    }

    /// A region's process died: nobody is answered.
    pub(super) fn crashed(&mut self, region: usize, asked: &BTreeMap<u64, Asked>) {
        let here = |ask: &Ask| ask.region == region;
        for client in &mut self.clients {
            client.waits = client.waits.take().filter(|ask| !here(ask));
        }
        let of_region = |request: &u64| asked.get(request).is_some_and(|it| it.region == region);
        self.writing.retain(|request, _| !of_region(request));
        self.levels.retain(|request, _| !of_region(request));
        self.wide.retain(|wide| wide.region != region);
    }
}

impl World {
    /// Some of the clients do something, each somewhere else than before as often as not.
    pub(super) fn session_clients(&mut self) -> Checked {
        for at in 0..self.sessions.clients.len() {
            let busy = self.sessions.clients[at].waits.is_some()
                || self.sessions.writing.values().any(|&client| client == at);
            if busy || self.workload.tables.is_empty() || !self.sessions.rng.chance(700) {
                continue;
            }
            let ask = self.draw_ask();
            let client = &mut self.sessions.clients[at];
            client.turn += 1;
            self.counts.session_requests += 1;
            self.advance(at, ask)?;
        }
        Ok(())
    }

    fn draw_ask(&mut self) -> Ask {
        let rng = &mut self.sessions.rng;
        let region = rng.index(self.regions.len());
        let table = self.workload.tables[rng.index(self.workload.tables.len())].id;
        let (key, writes) = (rng.below(self.swarm.keys), rng.chance(350));
        let mode = Mode::parse(rng.pick(&MODES)).expect("each is a mode");
        let op = self.workload.put(key);
        let (item, life) = (item_key(table, &op.key), self.regions[region].life);
        let write = writes.then_some(op);
        Ask { region, life, key: item, write, mode, tried: Tried::Nothing }
    }

    /// Takes a client's request as far as it goes now.
    fn advance(&mut self, at: usize, mut ask: Ask) -> Checked {
        loop {
            let Some(lacking) = self.lacking(at, &ask) else { return Ok(()) };
            match next(ask.mode, slot(ask.region), &lacking, ask.tried) {
                Step::Serve => return self.serve(at, ask, false),
                Step::Stale => return self.serve(at, ask, true),
                Step::Fail => {
                    self.counts.session_failures += 1;
                    return Ok(());
                }
                Step::Wait => {
                    ask.tried = Tried::Waiting;
                    let turn = self.sessions.clients[at].turn;
                    let due_us = self.now_us + PATIENCE_US;
                    self.queue.push(due_us, Event::Patience { client: at, turn });
                    self.sessions.clients[at].waits = Some(ask);
                    return Ok(());
                }
                Step::Forward(regions) => self.forward(&mut ask, &regions),
            }
        }
    }

    /// What the session has seen and its region has not; `None` if the region's process is not the
    /// one that was asked.
    fn lacking(&self, at: usize, ask: &Ask) -> Option<Vec<Stamp>> {
        let here = &self.regions[ask.region];
        let progress = here.published.as_ref().filter(|_| here.life == ask.life)?;
        let catalog = &progress.catalog;
        let state =
            catalog.get(ask.key.table).and_then(|entry| catalog.state(entry, slot(ask.region)));
        let pending: &[RegionSlot] = match state {
            Some(pangea_core::catalog::ReplicaState::Active { pending }) => pending,
            _ => &[],
        };
        let applied = applied(self.sites[ask.region].origin, progress, pending);
        Some(missing(&self.sessions.clients[at].token, &applied))
    }

    /// To the first of the regions that is reached; it is not forwarded from there.
    fn forward(&mut self, ask: &mut Ask, regions: &[RegionSlot]) {
        let reached = regions.iter().map(|slot| slot.index()).find(|&region| {
            let alive = self.regions.get(region).is_some_and(|it| it.node.is_some());
            alive && self.net.passes(self.net.conn_id(region, ask.region))
        });
        match reached {
            Some(region) => {
                self.counts.session_forwards += 1;
                (ask.region, ask.life) = (region, self.regions[region].life);
                (ask.mode.forward, ask.tried) = (false, Tried::Nothing);
            }
            None => ask.tried = Tried::Forwarding,
        }
    }

    fn serve(&mut self, at: usize, ask: Ask, stale: bool) -> Checked {
        let Ask { region, key, write, .. } = ask;
        match write {
            Some(op) => {
                if self.oracle.has_room(&key) && !self.has_vanished(region, &key) {
                    self.oracle.deeds = vec![(key.clone(), self.workload.deed(&op.action))];
                    let writes = vec![self.with_shown(region, key.clone())];
                    let request = self.ask(Asked { region, writes, operator: None });
                    self.sessions.writing.insert(request.0, at);
                    self.counts.writes += 1;
                    self.note(region, || format!("client {at} writes {:?}", key.primary.partition));
                    let (table, op) = (key.table, Box::new(op));
                    self.deliver(region, NodeEvent::Write { request, table, op })?;
                }
                Ok(())
            }
            None => self.read(at, region, &key, stale),
        }
    }

    fn read(&mut self, at: usize, region: usize, key: &ItemKey, stale: bool) -> Checked {
        let Some(progress) = &self.regions[region].published else { return Ok(()) };
        let entry = progress.catalog.get(key.table);
        let serves = |entry| progress.catalog.is_serving(entry, slot(region));
        if !entry.is_some_and(serves) {
            return Ok(());
        }
        let held = self.sites[region].disk.durable.rows.get(key);
        let shown = held.map(|held| held.stored.greatest().stamp);
        let known = self.sessions.clients[at].known.get(key).copied();
        self.note(region, || {
            format!("client {at} reads {shown:?} of {:?}, stale {stale}", key.primary.partition)
        });
        self.counts.session_reads += 1;
        if stale {
            self.counts.session_stale += 1;
        } else {
            let truth = (&self.oracle, self.sites.as_slice());
            session::read(truth, region, at, key, (shown, known))?;
        }
        let seen = self.sites[region].disk.durable.rows.get(key);
        let seen = seen.map(|held| held.stored.seen.clone()).unwrap_or_default();
        self.answer_session(at, &seen, shown.map(|stamp| (key.clone(), stamp)));
        Ok(())
    }

    /// The client has its response.
    fn answer_session(&mut self, at: usize, seen: &VersionVector, shown: Option<(ItemKey, Stamp)>) {
        let client = &mut self.sessions.clients[at];
        let session = Session::new(client.token.clone());
        #[cfg(feature = "planted-bugs")]
        let session = session.with_bug(self.options.bug);
        let mut session = session;
        session.saw(seen);
        client.token = session.vector();
        if let Some((key, stamp)) = shown {
            let known = client.known.entry(key).or_insert(stamp);
            *known = stamp.max(*known);
        }
    }

    /// A node has answered a request: a client's, one with a level, or neither.
    pub(super) fn session_reply(
        &mut self,
        region: usize,
        request: u64,
        asked: &Asked,
        outcome: &Outcome,
    ) -> Checked {
        let stamp = match outcome {
            Outcome::Written { stamp, .. } | Outcome::Transacted { stamp, .. } => *stamp,
            _ => None,
        };
        if let Some(at) = self.sessions.writing.remove(&request) {
            let key = asked.writes[0].0.clone();
            let served = !matches!(outcome, Outcome::NotServing);
            // What was not written rests on what is there.
            let held = self.sites[region].disk.durable.rows.get(&key).filter(|_| served);
            let seen = match stamp {
                Some(stamp) => VersionVector::from_entries([(stamp.origin, stamp.hlc)]),
                None => held.map(|held| held.stored.seen.clone()).unwrap_or_default(),
            };
            self.answer_session(at, &seen, stamp.map(|stamp| (key, stamp)));
        }
        let level = self.sessions.levels.remove(&request);
        if let (Some(level), Some(stamp)) = (level, stamp) {
            let (life, until_us) = (self.regions[region].life, self.now_us + LEVEL_US_MAX);
            let table = asked.writes[0].0.table;
            let first = self.oracle.versions_of(stamp).next();
            let place = first.map(|id| self.oracle.versions[id].version().origins.place);
            let place = place.unwrap_or(Place::ANYWHERE);
            let had = BTreeSet::new();
            let wide = Wide { region, life, table, place, stamp, level, until_us, had };
            self.sessions.wide.push(wide);
            return self.look_at_levels(region);
        }
        Ok(())
    }

    /// Gives a request a level, in a few of them.
    pub(super) fn draw_level(&mut self, request: u64) {
        if self.swarm.wide > 0 && self.sessions.rng.chance(self.swarm.wide) {
            let level = self.sessions.rng.pick(&[Level::PlusOne, Level::Majority, Level::All]);
            self.sessions.levels.insert(request, level);
        }
    }

    /// A region is about to lose its disk: which of the writes that wait it has, because its word
    /// may be on the way.
    pub(super) fn note_had(&mut self, region: usize) {
        for wide in self.sessions.wide.iter_mut().filter(|wide| wide.region != region) {
            for id in self.oracle.versions_of(wide.stamp) {
                if durability::has(&self.oracle, &self.sites[region], id) {
                    wide.had.insert((region, id));
                }
            }
        }
    }

    /// A region has heard what others acknowledge.
    pub(super) fn acknowledged(&mut self, region: usize, acked: Acked) -> Checked {
        self.regions[region].acked = acked;
        self.look_at_levels(region)
    }

    /// Answers whoever waits in the region for a level that is reached now.
    fn look_at_levels(&mut self, region: usize) -> Checked {
        if self.sessions.wide.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.sessions.wide);
        for wide in waiting {
            if wide.region != region {
                self.sessions.wide.push(wide);
                continue;
            }
            if wide.until_us < self.now_us || self.regions[region].life != wide.life {
                continue;
            }
            match self.standing(&wide) {
                Some(standing) if standing.reaches(wide.level) => self.reached(&wide, &standing)?,
                _ => self.sessions.wide.push(wide),
            }
        }
        Ok(())
    }

    fn standing(&self, wide: &Wide) -> Option<Standing> {
        let here = &self.regions[wide.region];
        let catalog = &here.published.as_ref()?.catalog;
        let (me, stamp) = (slot(wide.region), wide.stamp.hlc);
        Some(Standing::of(catalog, (wide.table, wide.place), me, &here.acked, stamp))
    }

    fn reached(&mut self, wide: &Wide, standing: &Standing) -> Checked {
        let Wide { region, level, stamp, .. } = *wide;
        let had = |at: usize, id: VersionId| wide.had.contains(&(at, id));
        self.note(region, || format!("answers that {stamp} is {} durable", level.as_str()));
        self.counts.wide_acked += 1;
        for id in self.oracle.versions_of(stamp) {
            // A transaction may have written items that other regions hold.
            let issued = &self.oracle.versions[id];
            let of = (self.oracle.items[issued.key].key.table, issued.version().origins.place);
            if of != (wide.table, wide.place) {
                continue;
            }
            let said = (level, standing.holders());
            durability::answered(&self.oracle, &self.sites, id, said, |at| had(at, id))?;
            self.sessions.acked.push(id);
        }
        Ok(())
    }

    /// A region has published what it has applied: sessions that wait there look again.
    pub(super) fn look_at_sessions(&mut self, region: usize) -> Checked {
        for at in 0..self.sessions.clients.len() {
            let waits = self.sessions.clients[at].waits.as_ref();
            let Some(ask) = waits.filter(|ask| ask.region == region) else { continue };
            if self.lacking(at, ask).is_some_and(|lacking| lacking.is_empty()) {
                let ask = self.sessions.clients[at].waits.take().expect("it waits");
                self.advance(at, ask)?;
            }
        }
        Ok(())
    }

    /// A client has waited long enough.
    pub(super) fn patience(&mut self, at: usize, turn: u64) -> Checked {
        let client = &mut self.sessions.clients[at];
        match client.waits.take().filter(|_| client.turn == turn) {
            Some(ask) => self.advance(at, ask),
            None => Ok(()),
        }
    }

    /// At rest: what was acknowledged to be in two regions survives the loss of any one.
    pub(super) fn wide_at_rest(&self) -> Checked {
        durability::at_rest(&self.oracle, &self.sites, &self.sessions.acked)
    }

    /// Whether the seed has sessions at work.
    pub(super) fn has_sessions(&self) -> bool {
        self.phase == Phase::Break && !self.sessions.clients.is_empty()
    }
}
