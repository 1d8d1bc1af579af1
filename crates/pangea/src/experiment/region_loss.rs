//! The experiment `region-loss`, phase by phase.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pangea_core::experiment::{Attempt, Check, Recovery, missed, recovery};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::audit::{self, Acknowledged, Place, RegionAudit};
use super::dns::Resolver;
use super::report::{Report, TimelineEvent};
use super::store;
use super::workload::{self, Ground, Path, Record, Written};
use crate::config::Topology;
use crate::status::Status;
use crate::supervise::client::Client as Supervisor;

/// How the experiment is run; every duration bounds a phase.
#[derive(Clone, Debug)]
pub struct Options {
    /// The deployment, as `up` runs it.
    pub topology: Topology,
    /// Where `up` keeps its data and control socket.
    pub data_dir: PathBuf,
    /// The region to lose; none for the one that the accelerator sends new connections to.
    pub region: Option<String>,
    /// Clients of each path.
    pub clients: usize,
    /// Pause of a client between two requests.
    pub pause: Duration,
    /// Load before the loss.
    pub before: Duration,
    /// Load between the loss and the return.
    pub during: Duration,
    /// Load after the return.
    pub after: Duration,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topology or its state does not allow the experiment.
    #[error("{0}")]
    Unfit(String),
    /// A process could not be killed or started.
    #[error(transparent)]
    Supervisor(#[from] crate::supervise::client::Error),
    /// A region could not be asked.
    #[error("{0}")]
    Region(String),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Region(error.to_string())
    }
}

/// Runs the experiment; `say` is told of events as they happen.
///
/// # Errors
/// See [`Error`]; a missed objective is no error but a verdict.
pub async fn run(options: Options, say: impl Fn(&TimelineEvent)) -> Result<Report, Error> {
    let mut trial = Trial::prepare(options, say).await?;
    let load = trial.start_load()?;
    tokio::time::sleep(trial.options.before).await;
    trial.note(format!("steady: {} requests answered", trial.succeeded()));
    trial.has_evidence()?;
    let fault_us = trial.kill()?;
    let watched = trial.watch_recovery(fault_us).await;
    let missing = trial.count_unreplicated(fault_us).await?;
    trial.rest_of(trial.options.during, fault_us).await;
    trial.bring_back().await?;
    let arrived = trial.await_arrival(&missing).await?;
    tokio::time::sleep(trial.options.after).await;
    trial.stop.send_replace(true);
    load.join_all().await;
    trial.note(format!("load ended: {} requests", trial.ground.records().len()));
    let convergence_ms = trial.converge().await;
    let audits = trial.audit().await?;
    Ok(trial.conclude(fault_us, watched, &missing, arrived, convergence_ms, audits))
}

/// What was seen from outside while the region was away.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    detection_ms: Option<u64>,
}

/// Acknowledged by the lost region and nowhere else when it died.
#[derive(Clone, Debug, Default)]
struct Missing {
    writes: Acknowledged,
    rpo_ms: u64,
}

struct Trial<S> {
    options: Options,
    say: S,
    region: String,
    places: Vec<Place>,
    supervisor: Supervisor,
    ground: Ground,
    stop: watch::Sender<bool>,
    events: Mutex<Vec<TimelineEvent>>,
    fault_us: Option<u64>,
}

impl<S: Fn(&TimelineEvent)> Trial<S> {
    async fn prepare(options: Options, say: S) -> Result<Self, Error> {
        let status = fetch(&options.topology).await?;
        fit(&options.topology, &status)?;
        let region = choose(&options, &status)?;
        let place = |region: &crate::config::Region| Place {
            name: region.name.clone(),
            dynamodb: region.dynamodb,
            admin: region.admin,
        };
        let places: Vec<Place> = options.topology.regions.iter().map(place).collect();
        let others: Vec<String> = places[1..].iter().map(|place| place.name.clone()).collect();
        store::ensure_hot_table(&mut places[0].store(), &others, Duration::from_secs(30)).await?;
        let (stop, stopped) = watch::channel(false);
        let records = Arc::new(Mutex::new(Vec::new()));
        let ground = Ground { began: Instant::now(), stop: stopped, records, pause: options.pause };
        let supervisor = Supervisor::new(&options.data_dir);
        let events = Mutex::new(Vec::new());
        let fault_us = None;
        Ok(Self { options, say, region, places, supervisor, ground, stop, events, fault_us })
    }

    fn note(&self, event: String) {
        let now_us = self.ground.now_us();
        let since = |fault: u64| i64::try_from(now_us.saturating_sub(fault) / 1000).unwrap_or(0);
        let since_fault_ms = self.fault_us.map(since);
        let event = TimelineEvent { at_ms: now_us / 1000, since_fault_ms, event };
        (self.say)(&event);
        if let Ok(mut events) = self.events.lock() {
            events.push(event);
        }
    }

    fn start_load(&self) -> Result<JoinSet<()>, Error> {
        let mut load = JoinSet::new();
        let edge = &self.options.topology.edge;
        let (name, port) = front_door(&self.options.topology)?;
        for _ in 0..self.options.clients {
            load.spawn(workload::through_accelerator(self.ground.clone(), edge.accelerator));
            let resolver = Resolver::new(edge.dns, &name);
            let resolver = resolver.map_err(|error| Error::Unfit(error.to_string()))?;
            load.spawn(workload::through_dns(self.ground.clone(), resolver, port));
        }
        for place in &self.places {
            let region = place.name.clone();
            load.spawn(workload::at_store(self.ground.clone(), region, place.dynamodb));
        }
        let clients = self.options.clients;
        self.note(format!(
            "load started: {clients} clients through the accelerator, {clients} through DNS \
             ({name}), one at each store"
        ));
        Ok(load)
    }

    /// A verdict rests on what clients were told: without answers from the region that is about to
    /// be lost, and on every path, there is nothing to judge.
    fn has_evidence(&self) -> Result<(), Error> {
        let records = self.ground.records();
        let good = || records.iter().filter(|record| record.attempt.succeeded);
        let on = |path: Path| good().any(|record| record.path == path);
        let by_victim = |record: &&Record| {
            record.path != Path::Store && record.served_by.as_deref() == Some(&self.region)
        };
        let missing = if !on(Path::Accelerator) {
            "no request through the accelerator was answered".to_string()
        } else if !on(Path::Dns) {
            "no request through DNS was answered".to_string()
        } else if !on(Path::Store) {
            "no write at a store was answered".to_string()
        } else if good().find(by_victim).is_none() {
            format!("{} served none of the clients: lose a region that serves", self.region)
        } else {
            return Ok(());
        };
        self.stop.send_replace(true);
        Err(Error::Unfit(missing))
    }

    fn succeeded(&self) -> usize {
        self.ground.records().iter().filter(|record| record.attempt.succeeded).count()
    }

    /// The names of the lost region's processes, as the supervisor knows them.
    fn victims(&self) -> Result<Vec<String>, Error> {
        let all = self.supervisor.list()?;
        let is_victim = |name: &str| name.split_whitespace().any(|word| word == self.region);
        Ok(all.into_iter().map(|process| process.process).filter(|name| is_victim(name)).collect())
    }

    /// SIGKILL to the region and all that runs in it, as close to one instant as can be.
    fn kill(&mut self) -> Result<u64, Error> {
        let mut victims = self.victims()?;
        // The store last: an application that outlived it would be answering errors meanwhile.
        victims.sort_by_key(|name| name.starts_with("region"));
        let fault_us = self.ground.now_us();
        self.fault_us = Some(fault_us);
        for victim in &victims {
            self.supervisor.kill(victim)?;
        }
        self.note(format!("SIGKILL: {}", victims.join(", ")));
        Ok(fault_us)
    }

    /// Watches the edge until it calls the region unhealthy and answers with another.
    async fn watch_recovery(&self, fault_us: u64) -> Watched {
        let mut watched = Watched::default();
        let (mut dns, mut accelerator) = (false, false);
        let bound = self.options.during.max(Duration::from_secs(1));
        while self.since(fault_us) < bound && !(dns && accelerator) {
            if let Ok(status) = fetch(&self.options.topology).await {
                let healthy = status.region(&self.region).is_none_or(|region| region.healthy);
                if !healthy && watched.detection_ms.is_none() {
                    watched.detection_ms = Some(millis(self.since(fault_us)));
                    self.note(format!("edge: {} is unhealthy", self.region));
                }
                let serves = status.edge.accelerator_serves.filter(|name| *name != self.region);
                if let Some(name) = serves.filter(|_| !accelerator) {
                    accelerator = true;
                    self.note(format!("accelerator: new connections go to {name}"));
                }
                let answer = status.edge.dns_answers.into_values().flatten().next();
                if let Some(name) = answer.filter(|name| *name != self.region && !dns) {
                    dns = true;
                    self.note(format!("DNS: the answer is {name}"));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        watched
    }

    /// What the lost region acknowledged and no survivor has, once what was on the wire has landed.
    async fn count_unreplicated(&self, fault_us: u64) -> Result<Missing, Error> {
        let longest = self.options.topology.links.iter().map(|link| link.rtt_ms).max();
        let landing = Duration::from_millis(longest.unwrap_or_default() + 200);
        self.rest_of(landing, fault_us).await;
        let of_victim: Vec<Record> = self
            .ground
            .records()
            .into_iter()
            .filter(|record| record.served_by.as_deref() == Some(&self.region))
            .collect();
        let written = of_victim.iter().filter_map(|record| record.written.as_ref());
        let suspects = Acknowledged::collect(written);
        let survivors: Vec<Place> =
            self.places.iter().filter(|place| place.name != self.region).cloned().collect();
        let writes = audit::unreplicated(&survivors, &suspects).await?;
        let is_missing = |record: &&Record| match &record.written {
            Some(Written::Order(id)) => writes.orders.contains(id),
            Some(Written::Hot(key, stamp)) => {
                writes.hot.get(key).is_some_and(|stamps| stamps.contains(stamp))
            }
            None => false,
        };
        let oldest = of_victim.iter().filter(is_missing).map(|record| record.attempt.ended_us);
        let oldest = oldest.min().unwrap_or(fault_us);
        let rpo_ms = fault_us.saturating_sub(oldest).div_ceil(1000);
        let (count, of) = (writes.len(), suspects.len());
        self.note(format!(
            "{count} of {of} writes acknowledged by {} had not left it; the oldest was {rpo_ms} ms \
             old",
            self.region
        ));
        Ok(Missing { writes, rpo_ms })
    }

    async fn bring_back(&self) -> Result<(), Error> {
        let mut victims = self.victims()?;
        victims.sort_by_key(|name| !name.starts_with("region"));
        for victim in &victims {
            self.supervisor.start(victim)?;
        }
        self.note(format!("started again: {}", victims.join(", ")));
        let until = Instant::now() + self.convergence_bound();
        while Instant::now() < until {
            let status = fetch(&self.options.topology).await?;
            if status.region(&self.region).is_some_and(|region| region.well()) {
                self.note(format!("edge: {} is healthy", self.region));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.note(format!("{} did not become healthy in time", self.region));
        Ok(())
    }

    async fn await_arrival(&self, missing: &Missing) -> Result<u64, Error> {
        let count = missing.writes.len();
        let bound = self.convergence_bound();
        match audit::arrival(&self.places, &missing.writes, bound).await {
            Ok(_) => {
                self.note(format!("the {count} unreplicated writes are in every region"));
                Ok(u64::try_from(count).unwrap_or(u64::MAX))
            }
            Err(store::Error::TooSlow(..)) => {
                let mut left = 0;
                for place in &self.places {
                    let alone = std::slice::from_ref(place);
                    left = left.max(audit::unreplicated(alone, &missing.writes).await?.len());
                }
                self.note(format!("{left} of {count} unreplicated writes did not arrive"));
                Ok(u64::try_from(count.saturating_sub(left)).unwrap_or(u64::MAX))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn converge(&self) -> Option<u64> {
        match audit::converge(&self.places, self.convergence_bound()).await {
            Ok(took) => {
                self.note("all regions have applied the same".to_string());
                Some(millis(took))
            }
            Err(error) => {
                self.note(error.to_string());
                None
            }
        }
    }

    async fn audit(&self) -> Result<Vec<RegionAudit>, Error> {
        let all = self.acknowledged();
        let mut audits = Vec::new();
        for place in &self.places {
            audits.push(audit::region(place, &all).await?);
        }
        self.note(format!("audited {} acknowledged writes in {} regions", all.len(), audits.len()));
        Ok(audits)
    }

    fn acknowledged(&self) -> Acknowledged {
        let records = self.ground.records();
        Acknowledged::collect(records.iter().filter_map(|record| record.written.as_ref()))
    }

    fn since(&self, fault_us: u64) -> Duration {
        Duration::from_micros(self.ground.now_us().saturating_sub(fault_us))
    }

    async fn rest_of(&self, phase: Duration, fault_us: u64) {
        tokio::time::sleep(phase.saturating_sub(self.since(fault_us))).await;
    }

    fn convergence_bound(&self) -> Duration {
        Duration::from_secs(self.options.topology.objectives.convergence_s)
    }

    fn conclude(
        self,
        fault_us: u64,
        watched: Watched,
        missing: &Missing,
        unreplicated_arrived: u64,
        convergence_ms: Option<u64>,
        audits: Vec<RegionAudit>,
    ) -> Report {
        let records = self.ground.records();
        let accelerator = recovered(&records, Path::Accelerator, fault_us);
        let dns = recovered(&records, Path::Dns, fault_us);
        let worst = |of: fn(&RegionAudit) -> u64| audits.iter().map(of).max().unwrap_or_default();
        let acknowledged = u64::try_from(self.acknowledged().len()).unwrap_or(u64::MAX);
        let lost = worst(|audit| audit.lost);
        let failed_requests = accelerator.failed + dns.failed;
        let rto = |recovery: &Recovery| recovery.rto_us.map(|us| us.div_ceil(1000));
        let convergence_s = convergence_ms.map(|ms| ms.div_ceil(1000));
        let objectives = &self.options.topology.objectives;
        let check = |objective, bound, measured| Check { objective, bound, measured };
        let checks = [
            check("rto_accelerator_ms", Some(objectives.rto_accelerator_ms), rto(&accelerator)),
            check("rto_dns_ms", Some(objectives.rto_dns_ms), rto(&dns)),
            check("rpo_ms", Some(objectives.rpo_ms), Some(missing.rpo_ms)),
            check("lost", Some(objectives.lost), Some(lost)),
            check("failed_requests_max", objectives.failed_requests_max, Some(failed_requests)),
            check("convergence_s", Some(objectives.convergence_s), convergence_s),
        ];
        let clients = records.iter().filter(|record| record.path != Path::Store);
        Report {
            experiment: "region-loss",
            region: self.region,
            verdict: if missed(&checks).is_empty() { "pass" } else { "fail" },
            acknowledged,
            lost,
            in_ledger: worst(|audit| audit.in_ledger),
            overwritten: worst(|audit| audit.overwritten),
            unreplicated_at_loss: u64::try_from(missing.writes.len()).unwrap_or(u64::MAX),
            unreplicated_arrived,
            rpo_ms: missing.rpo_ms,
            detection_ms: watched.detection_ms,
            rto_accelerator_ms: rto(&accelerator),
            rto_dns_ms: rto(&dns),
            failed_requests,
            failed_accelerator: accelerator.failed,
            failed_dns: dns.failed,
            requests: u64::try_from(clients.count()).unwrap_or(u64::MAX),
            convergence_ms,
            objectives: checks.iter().map(Into::into).collect(),
            audits,
            errors: errors(&records),
            events: self.events.into_inner().unwrap_or_default(),
        }
    }
}

fn recovered(records: &[Record], path: Path, fault_us: u64) -> Recovery {
    let attempts: Vec<Attempt> =
        records.iter().filter(|record| record.path == path).map(|record| record.attempt).collect();
    recovery(&attempts, fault_us)
}

fn errors(records: &[Record]) -> Vec<(String, u64)> {
    let mut counts = BTreeMap::new();
    for record in records.iter().filter(|record| record.path != Path::Store) {
        if let Some(error) = &record.error {
            *counts.entry(format!("{:?}: {error}", record.path)).or_insert(0) += 1;
        }
    }
    counts.into_iter().collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn fetch(topology: &Topology) -> Result<Status, Error> {
    let operator: SocketAddr = topology.edge.operator;
    crate::status::fetch(operator)
        .await
        .map_err(|error| Error::Region(format!("the edge does not answer: {error}")))
}

/// The experiment needs two regions, an accelerated service behind a name, and all of it healthy.
fn fit(topology: &Topology, status: &Status) -> Result<(), Error> {
    if topology.regions.len() < 2 {
        return Err(Error::Unfit("region-loss needs at least two regions".to_string()));
    }
    front_door(topology)?;
    let unwell: Vec<String> = status
        .regions
        .iter()
        .filter(|region| !region.well())
        .map(|region| match &region.reason {
            Some(reason) => format!("{} ({reason})", region.name),
            None => region.name.clone(),
        })
        .collect();
    if unwell.is_empty() {
        return Ok(());
    }
    let unwell = unwell.join(", ");
    Err(Error::Unfit(format!(
        "not everything is healthy: {unwell}; wait, or look at `pangea status`, then try again"
    )))
}

/// The name that clients look up, and the port that they connect to.
fn front_door(topology: &Topology) -> Result<(String, u16), Error> {
    let service = topology.accelerated().ok_or_else(|| {
        Error::Unfit("region-loss needs a service with `accelerated = true`".to_string())
    })?;
    let record = topology.records.iter().find(|record| record.service == service.name);
    let port = service.endpoint.values().map(SocketAddr::port).next();
    match (record, port) {
        (Some(record), Some(port)) => Ok((record.name.clone(), port)),
        _ => Err(Error::Unfit(format!("no record leads to the service {}", service.name))),
    }
}

fn choose(options: &Options, status: &Status) -> Result<String, Error> {
    let serving = status.edge.accelerator_serves.clone();
    let chosen = options.region.clone().or(serving);
    let chosen = chosen.unwrap_or_else(|| options.topology.regions[0].name.clone());
    if options.topology.region(&chosen).is_some() {
        return Ok(chosen);
    }
    let known: Vec<&str> = options.topology.regions.iter().map(|r| r.name.as_str()).collect();
    let known = known.join(", ");
    Err(Error::Unfit(format!("no region `{chosen}` in the topology; there are {known}")))
}
