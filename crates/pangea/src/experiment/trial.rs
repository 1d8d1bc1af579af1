//! What all experiments are made of: regions, load, a timeline, faults that end with the trial,
//! and the end itself: convergence, audit, comparison.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pangea_core::experiment::{Check, Issued, regressions};
use pangea_core::time::Stamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::audit::{self, Acknowledged, Audit};
use super::load::{Ground, Kind, Path, Record, Write, wall_ms};
use super::place::Place;
use super::report::{TimelineEvent, seconds_begun};
use super::view::{self, Comparison, View};
use super::writer::{self, Site};
use super::{Error, Options, dynamo};
use crate::inject::{self, Fault};
use crate::supervise::client::Client as Supervisor;

/// The table that clients write at the stores.
pub(super) const TABLE: &str = "pangea-experiment";
/// The audit waits at least this long for the regions to agree: a missed objective is a verdict,
/// an audit of regions that do not agree is none.
const PATIENCE_MIN: Duration = Duration::from_secs(60);
/// How often it looks.
const POLL: Duration = Duration::from_millis(20);

/// A stretch of time in which requests to a region may fail.
#[derive(Clone, Debug)]
struct Excuse {
    region: String,
    /// Only writes.
    writes: bool,
    from_us: u64,
    to_us: Option<u64>,
}

/// See the module.
pub(super) struct Trial<'a> {
    pub(super) options: &'a Options,
    pub(super) places: Vec<Place>,
    pub(super) supervisor: Supervisor,
    pub(super) ground: Ground,
    /// Names this run: what keys begin with.
    pub(super) run: Arc<str>,
    /// The tables that are audited and compared.
    pub(super) tables: Vec<String>,
    pub(super) fault_us: Option<u64>,
    say: &'a dyn Fn(&TimelineEvent),
    stop: watch::Sender<bool>,
    load: JoinSet<()>,
    events: Mutex<Vec<TimelineEvent>>,
    excuses: Vec<Excuse>,
    /// Processes that were killed and not started again.
    down: BTreeSet<String>,
}

/// What was found when all was over.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    /// From the end of the load until all regions had applied the same; none if they did not.
    pub(super) convergence: Option<Duration>,
    pub(super) acknowledged: u64,
    pub(super) audit: Audit,
    pub(super) comparison: Comparison,
    /// What each region showed.
    pub(super) views: Vec<View>,
}

/// Failures that nothing excuses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    pub(super) writes: u64,
    pub(super) reads: u64,
    pub(super) excused: u64,
}

impl<'a> Trial<'a> {
    /// Makes the experiment's table; `timeout` is that of its clients.
    pub(super) async fn prepare(
        options: &'a Options,
        say: &'a dyn Fn(&TimelineEvent),
        timeout: Duration,
    ) -> Result<Self, Error> {
        let places: Vec<Place> = options.topology.regions.iter().map(Into::into).collect();
        let others: Vec<String> = places[1..].iter().map(|place| place.name.clone()).collect();
        let patience = Duration::from_secs(60);
        dynamo::ensure_table(&mut places[0].store(), TABLE, &others, patience).await?;
        let (stop, stopped) = watch::channel(false);
        Ok(Self {
            options,
            places,
            supervisor: Supervisor::new(&options.data_dir),
            ground: Ground::new(stopped, options.pause, timeout),
            run: format!("x{:x}", wall_ms()).into(),
            tables: vec![TABLE.to_string()],
            fault_us: None,
            say,
            stop,
            load: JoinSet::new(),
            events: Mutex::default(),
            excuses: Vec::new(),
            down: BTreeSet::new(),
        })
    }

    /// Refuses unless all regions serve, hear each other and take faults.
    pub(super) async fn expect_well(&self, regions: usize) -> Result<(), Error> {
        if self.places.len() < regions {
            let name = &self.options.name;
            return Err(Error::Unfit(format!("{name} needs at least {regions} regions")));
        }
        for place in &self.places {
            let report = place.report().await?;
            if let Some(reason) = report.reason {
                let name = &place.name;
                return Err(Error::Unfit(format!(
                    "{name} is not well ({reason}); wait, or look at `pangea status`, then try \
                     again"
                )));
            }
            let faults = inject::list(&place.name, place.admin).await?;
            if !faults.allowed {
                let name = &place.name;
                return Err(Error::Unfit(format!(
                    "{name} injects no faults: set `allow = true` under `[faults]` in the \
                     topology and start it again"
                )));
            }
        }
        self.await_links().await.map(drop)
    }

    /// The region that the experiment is about.
    pub(super) fn subject(&self, default: usize) -> Result<Place, Error> {
        self.named(self.options.region.as_deref(), default)
    }

    /// The region called so; without a name the one at `default`.
    pub(super) fn named(&self, name: Option<&str>, default: usize) -> Result<Place, Error> {
        let Some(name) = name else {
            let at = default.min(self.places.len() - 1);
            return Ok(self.places[at].clone());
        };
        let found = self.places.iter().find(|place| place.name == name);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = self.places.iter().map(|place| place.name.as_str()).collect();
            let known = known.join(", ");
            Error::Unfit(format!("no region `{name}` in the topology; there are {known}"))
        })
    }

    /// All regions but this one.
    pub(super) fn others(&self, than: &Place) -> Vec<Place> {
        self.places.iter().filter(|place| place.name != than.name).cloned().collect()
    }

    pub(super) fn note(&self, event: impl Into<String>) {
        let now_us = self.ground.now_us();
        let since = |fault: u64| i64::try_from(now_us.saturating_sub(fault) / 1000).unwrap_or(0);
        let since_fault_ms = self.fault_us.map(since);
        let event = TimelineEvent { at_ms: now_us / 1000, since_fault_ms, event: event.into() };
        (self.say)(&event);
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(super) fn events(&self) -> Vec<TimelineEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `client` until the load ends.
    pub(super) fn spawn(&mut self, client: impl Future<Output = ()> + Send + 'static) {
        self.load.spawn(client);
    }

    /// Writers, and a reader, at the store of each of `places`; without a number as many writers
    /// as the options say.
    pub(super) fn start_clients(
        &mut self,
        places: &[Place],
        table: &str,
        rows: usize,
        writers: Option<usize>,
    ) {
        let clients = writers.or(self.options.clients).unwrap_or(2);
        for place in places {
            let site = |client| Site {
                region: place.name.clone(),
                address: place.dynamodb,
                table: table.into(),
                run: Arc::clone(&self.run),
                client,
                rows,
            };
            let writers: Vec<Site> = (0..clients).map(site).collect();
            let reader = site(clients);
            for site in writers {
                self.load.spawn(writer::writer(self.ground.clone(), site));
            }
            self.load.spawn(writer::reader(self.ground.clone(), reader));
        }
        let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
        self.note(format!(
            "load on {table}: a reader and {clients} writing at each of {}",
            names.join(", ")
        ));
    }

    /// Puts one item at a store, as a client does who is owed it.
    pub(super) async fn put(&self, place: &Place, key: &str, value: &str) -> Result<Stamp, Error> {
        let (mut store, mut stamp) = (place.store(), None);
        let request = async {
            let kind = Kind::Put;
            let wrote = dynamo::write(&mut store, TABLE, key, kind, value, json!({})).await;
            stamp = wrote.as_ref().ok().copied().flatten();
            let write = |stamp| {
                let value = Some(value.to_string());
                Write { table: TABLE.into(), key: key.to_string(), kind, stamp, value }
            };
            writer::told(&place.name, wrote.map(|stamp| stamp.map(write)))
        };
        self.ground.request(Path::Store, Some(&place.name), request).await;
        stamp.ok_or_else(|| Error::Region(format!("{} did not take {key}", place.name)))
    }

    /// Ends all clients and waits for their last requests.
    pub(super) async fn end_load(&mut self) {
        self.stop.send_replace(true);
        while self.load.join_next().await.is_some() {}
        self.note(format!("load ended: {} requests", self.ground.records().len()));
    }

    /// The fault begins now: the timeline counts from here.
    pub(super) fn fault_begins(&mut self) -> u64 {
        let now_us = self.ground.now_us();
        self.fault_us = Some(now_us);
        now_us
    }

    /// Requests to `region` may fail from now on.
    pub(super) fn excuse(&mut self, region: &str) {
        self.excuse_some(region, false);
    }

    /// Writes to `region` may fail from now on.
    pub(super) fn excuse_writes(&mut self, region: &str) {
        self.excuse_some(region, true);
    }

    fn excuse_some(&mut self, region: &str, writes: bool) {
        let (region, from_us) = (region.to_string(), self.ground.now_us());
        self.excuses.push(Excuse { region, writes, from_us, to_us: None });
    }

    /// No longer.
    pub(super) fn end_excuses(&mut self, region: &str) {
        let now_us = self.ground.now_us();
        for excuse in self.excuses.iter_mut().filter(|excuse| excuse.region == region) {
            excuse.to_us.get_or_insert(now_us);
        }
    }

    /// SIGKILL to the region's process.
    pub(super) fn kill(&mut self, place: &Place) -> Result<(), Error> {
        let process = format!("region {}", place.name);
        self.excuse(&place.name);
        self.supervisor.kill(&process)?;
        self.note(format!("SIGKILL: {process}"));
        self.down.insert(process);
        Ok(())
    }

    /// The same to several, of one region.
    pub(super) fn kill_all(&mut self, processes: &[String]) -> Result<(), Error> {
        for process in processes {
            self.supervisor.kill(process)?;
            self.down.insert(process.clone());
        }
        self.note(format!("SIGKILL: {}", processes.join(", ")));
        Ok(())
    }

    /// Starts several processes again and does not wait.
    pub(super) fn start_all(&mut self, processes: &[String]) -> Result<(), Error> {
        for process in processes {
            self.supervisor.start(process)?;
            self.down.remove(process);
        }
        self.note(format!("started again: {}", processes.join(", ")));
        Ok(())
    }

    /// Starts it again and waits until it serves.
    pub(super) async fn start(&mut self, place: &Place) -> Result<(), Error> {
        let process = format!("region {}", place.name);
        self.supervisor.start(&process)?;
        self.down.remove(&process);
        let began = Instant::now();
        while place.report().await.is_err() {
            if began.elapsed() > PATIENCE_MIN {
                return Err(Error::Region(format!("{} does not serve again", place.name)));
            }
            tokio::time::sleep(POLL).await;
        }
        self.end_excuses(&place.name);
        self.note(format!("started again: {process}"));
        Ok(())
    }

    /// Waits until every region hears every other.
    pub(super) async fn await_links(&self) -> Result<Duration, Error> {
        let began = Instant::now();
        loop {
            let mut waiting = None;
            for place in &self.places {
                let report = place.report().await?;
                let up =
                    |link: &crate::status::LinkStatus| link.state == crate::status::LinkState::Up;
                if let Some(link) = report.links.into_iter().find(|link| !up(link)) {
                    waiting = Some(link);
                }
            }
            let Some(link) = waiting else { return Ok(began.elapsed()) };
            if began.elapsed() > self.patience() {
                return Err(Error::Region(format!(
                    "{} does not hear {} after {:?}",
                    link.to,
                    link.from,
                    self.patience()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn rest(&self, phase: Duration) {
        tokio::time::sleep(phase).await;
    }

    /// The bound on convergence, or longer.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.options.topology.objectives.convergence_s).max(PATIENCE_MIN)
    }

    /// Waits until every region has applied everything that any region has.
    async fn converge(&self) -> Result<Option<Duration>, Error> {
        let began = Instant::now();
        loop {
            let mut vectors = Vec::new();
            for place in &self.places {
                vectors.push(place.applied().await?);
            }
            if vectors.windows(2).all(|pair| pair[0] == pair[1]) {
                self.note("all regions have applied the same");
                return Ok(Some(began.elapsed()));
            }
            if began.elapsed() > self.patience() {
                self.note(format!("the regions did not agree within {:?}", self.patience()));
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends the load, waits for the regions to agree, and looks for every write in each of them.
    pub(super) async fn settle(&mut self) -> Result<Settled, Error> {
        self.ground.set_phase("settling");
        self.end_load().await;
        let convergence = self.converge().await?;
        let all = self.acknowledged();
        let mut views = Vec::new();
        for place in &self.places {
            views.push(view::view(place, &self.tables, &all).await?);
        }
        let audit = audit::audit(&views, &all, &self.run);
        let (count, regions) = (all.len(), views.len());
        self.note(format!("audited {count} acknowledged writes in {regions} regions"));
        let comparison = view::compare(&views);
        let Comparison { items, conflicts, differences, .. } = &comparison;
        self.note(format!(
            "compared {items} items, {conflicts} conflicts and the catalog: {differences} \
             differences"
        ));
        let acknowledged = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(Settled { convergence, acknowledged, audit, comparison, views })
    }

    /// Every acknowledged write so far.
    pub(super) fn acknowledged(&self) -> Acknowledged {
        Acknowledged::collect(&self.ground.records())
    }

    /// Every version that was acknowledged so far, with its times.
    pub(super) fn issued(&self) -> Vec<Issued> {
        self.ground.records().iter().filter_map(Record::issued).collect()
    }

    /// Failed requests at the stores.
    pub(super) fn failures(&self) -> Failures {
        let mut failures = Failures::default();
        for record in self.ground.records().iter().filter(|record| record.error.is_some()) {
            match (self.excused(record), record.path) {
                (_, Path::Accelerator | Path::Dns) => {}
                (true, _) => failures.excused += 1,
                (false, Path::Store) => failures.writes += 1,
                (false, Path::Read) => failures.reads += 1,
            }
        }
        failures
    }

    fn excused(&self, record: &Record) -> bool {
        let Some(asked) = &record.asked else { return false };
        self.excuses.iter().any(|excuse| {
            let begun = record.attempt.ended_us >= excuse.from_us;
            let over = excuse.to_us.is_some_and(|to| record.attempt.started_us > to);
            let meant = !excuse.writes || record.path == Path::Store;
            excuse.region == *asked && meant && begun && !over
        })
    }

    /// What is checked of every experiment: writes that were lost, and what must never be.
    pub(super) fn invariants(&self, settled: &Settled) -> Vec<Check> {
        let wrong = &settled.audit.wrong;
        let zero =
            |objective, measured| Check { objective, bound: Some(0), measured: Some(measured) };
        vec![
            zero("differences", settled.comparison.differences),
            zero("wrong_values", wrong.values),
            zero("false_conflicts", wrong.false_conflicts),
            zero("wrong_severity", wrong.severity),
            zero("double_claims", wrong.double_claims),
            zero("stamp_regressions", regressions(&self.issued())),
        ]
    }

    /// What every experiment at the stores is judged by: `lost`, failed requests, convergence, and
    /// the invariants.
    pub(super) fn promises(&self, settled: &Settled) -> Vec<Check> {
        let objectives = &self.options.topology.objectives;
        let check = |objective, bound, measured| Check { objective, bound: Some(bound), measured };
        let lost = settled.audit.accounts.last().map(|all| all.lost);
        let failures = self.failures();
        let convergence_s = settled.convergence.map(seconds_begun);
        let mut checks = vec![
            check("lost", objectives.lost, lost),
            check("failed_writes", 0, Some(failures.writes)),
            check("failed_reads", 0, Some(failures.reads)),
            check("convergence_s", objectives.convergence_s, convergence_s),
        ];
        checks.extend(self.invariants(settled));
        checks
    }

    /// Ends every fault that the trial, or anyone, has injected, and starts what it has killed.
    pub(super) async fn undo(&mut self) {
        self.stop.send_replace(true);
        self.load.abort_all();
        for process in std::mem::take(&mut self.down) {
            if let Err(error) = self.supervisor.start(&process) {
                self.note(format!("cannot start {process} again: {error}"));
            }
        }
        for place in &self.places {
            match inject::list(&place.name, place.admin).await {
                Ok(report) if !report.allowed => continue,
                Ok(_) => {}
                Err(error) => self.note(format!("a fault may go on: {error}")),
            }
            let region = self.options.topology.region(&place.name);
            let offset_ms = region.map_or(0, |region| region.clock_offset_ms);
            let clock = Fault::Clock { offset_ms, slew_ms_per_s: None };
            let heal = |peer: Place| Fault::Heal { peer: peer.name };
            let heals = self.others(place).into_iter().map(heal);
            for fault in heals.chain([clock, Fault::Disk { full: false }]) {
                if let Err(error) = place.inject(&fault).await {
                    self.note(format!("a fault may go on: {error}"));
                    break;
                }
            }
        }
    }
}
