//! The experiment `region-loss`: a region dies and returns, seen through the front door.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pangea_core::experiment::{Attempt, Check, Recovery, recovery};
use pangea_core::merge::VersionVector;
use serde_json::json;

use super::audit::Acknowledged;
use super::dns::Resolver;
use super::load::{Path, Record, Written};
use super::place::Place;
use super::report::{Findings, millis, seconds_begun};
use super::trial::{Settled, TABLE, Trial};
use super::view::ORDERS;
use super::writer::{self, Site};
use super::{Error, Experiment, Options, dynamo, front};
use crate::config::Topology;
use crate::status::Status;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "region-loss",
    does: "kill one region under load, bring it back, audit every write",
    objectives: &[
        "rto_accelerator_ms",
        "rto_dns_ms",
        "rpo_ms",
        "lost",
        "failed_requests_max",
        "convergence_s",
        "differences",
        "wrong_values",
        "false_conflicts",
        "wrong_severity",
        "double_claims",
        "stamp_regressions",
    ],
};

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
    arrived: u64,
}

struct Loss<'t, 'a> {
    trial: &'t mut Trial<'a>,
    victim: Place,
}

/// Runs it to the audit.
pub(super) async fn run(trial: &mut Trial<'_>) -> Result<(Settled, Findings), Error> {
    let status = fetch(&trial.options.topology).await?;
    let serving = status.edge.accelerator_serves.as_deref();
    let wanted = trial.options.region.as_deref().or(serving);
    let victim = trial.named(wanted, 0)?;
    trial.tables.push(ORDERS.0.to_string());
    let mut loss = Loss { trial, victim };
    loss.start_load()?;
    loss.trial.rest(loss.trial.options.before).await;
    loss.trial.note(format!("steady: {} requests answered", loss.succeeded()));
    loss.has_evidence()?;
    let fault_us = loss.kill()?;
    let watched = loss.watch_recovery(fault_us).await;
    let mut missing = loss.count_unreplicated(fault_us).await?;
    loss.rest_of(loss.trial.options.during, fault_us).await;
    loss.bring_back().await?;
    missing.arrived = loss.await_arrival(&missing.writes).await?;
    loss.trial.rest(loss.trial.options.after).await;
    let settled = loss.trial.settle().await?;
    let findings = loss.findings(fault_us, watched, &missing, &settled);
    Ok((settled, findings))
}

impl Loss<'_, '_> {
    fn start_load(&mut self) -> Result<(), Error> {
        let options = self.trial.options;
        let (name, port) = front_door(&options.topology)?;
        let clients = options.clients.unwrap_or(8);
        let edge = &options.topology.edge;
        for _ in 0..clients {
            let ground = self.trial.ground.clone();
            self.trial.spawn(front::through_accelerator(ground, edge.accelerator));
            let resolver = Resolver::new(edge.dns, &name);
            let resolver = resolver.map_err(|error| Error::Unfit(error.to_string()))?;
            let ground = self.trial.ground.clone();
            self.trial.spawn(front::through_dns(ground, resolver, port));
        }
        for place in self.trial.places.clone() {
            let site = Site {
                region: place.name,
                address: place.dynamodb,
                table: TABLE.into(),
                run: self.trial.run.clone(),
                client: 0,
                rows: 0,
            };
            let ground = self.trial.ground.clone();
            self.trial.spawn(writer::writer(ground, site));
        }
        self.trial.note(format!(
            "load started: {clients} clients through the accelerator, {clients} through DNS \
             ({name}), one at each store"
        ));
        Ok(())
    }

    /// A verdict rests on what clients were told: without answers from the region that is about to
    /// be lost, and on every path, there is nothing to judge.
    fn has_evidence(&self) -> Result<(), Error> {
        let records = self.trial.ground.records();
        let good = || records.iter().filter(|record| record.attempt.succeeded);
        let on = |path: Path| good().any(|record| record.path == path);
        let by_victim = |record: &&Record| {
            record.path != Path::Store && record.served_by.as_ref() == Some(&self.victim.name)
        };
        let missing = if !on(Path::Accelerator) {
            "no request through the accelerator was answered".to_string()
        } else if !on(Path::Dns) {
            "no request through DNS was answered".to_string()
        } else if !on(Path::Store) {
            "no write at a store was answered".to_string()
        } else if good().find(by_victim).is_none() {
            format!("{} served none of the clients: lose a region that serves", self.victim.name)
        } else {
            return Ok(());
        };
        Err(Error::Unfit(missing))
    }

    fn succeeded(&self) -> usize {
        self.trial.ground.records().iter().filter(|record| record.attempt.succeeded).count()
    }

    /// The names of the lost region's processes, as the supervisor knows them.
    fn victims(&self) -> Result<Vec<String>, Error> {
        let all = self.trial.supervisor.list()?;
        let is_victim = |name: &str| name.split_whitespace().any(|word| word == self.victim.name);
        Ok(all.into_iter().map(|process| process.process).filter(|name| is_victim(name)).collect())
    }

    /// SIGKILL to the region and all that runs in it, as close to one instant as can be.
    fn kill(&mut self) -> Result<u64, Error> {
        let mut victims = self.victims()?;
        // The store last: an application that outlived it would be answering errors meanwhile.
        victims.sort_by_key(|name| name.starts_with("region"));
        let fault_us = self.trial.fault_begins();
        self.trial.ground.set_phase("during");
        self.trial.kill_all(&victims)?;
        Ok(fault_us)
    }

    /// Watches the edge until it calls the region unhealthy and answers with another.
    async fn watch_recovery(&self, fault_us: u64) -> Watched {
        let (trial, victim) = (&*self.trial, &self.victim.name);
        let mut watched = Watched::default();
        let (mut dns, mut accelerator) = (false, false);
        let bound = trial.options.during.max(Duration::from_secs(1));
        while self.since(fault_us) < bound && !(dns && accelerator) {
            if let Ok(status) = fetch(&trial.options.topology).await {
                let healthy = status.region(victim).is_none_or(|region| region.healthy);
                if !healthy && watched.detection_ms.is_none() {
                    watched.detection_ms = Some(millis(self.since(fault_us)));
                    trial.note(format!("edge: {victim} is unhealthy"));
                }
                let serves = status.edge.accelerator_serves.filter(|name| name != victim);
                if let Some(name) = serves.filter(|_| !accelerator) {
                    accelerator = true;
                    trial.note(format!("accelerator: new connections go to {name}"));
                }
                let answer = status.edge.dns_answers.into_values().flatten().next();
                if let Some(name) = answer.filter(|name| name != victim && !dns) {
                    dns = true;
                    trial.note(format!("DNS: the answer is {name}"));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        watched
    }

    /// What the lost region acknowledged and no survivor has, once what was on the wire has landed.
    async fn count_unreplicated(&self, fault_us: u64) -> Result<Missing, Error> {
        let longest = self.trial.options.topology.links.iter().map(|link| link.rtt_ms).max();
        let landing = Duration::from_millis(longest.unwrap_or_default() + 200);
        self.rest_of(landing, fault_us).await;
        let records = self.trial.ground.records();
        let by_victim = |record: &Record| record.served_by.as_ref() == Some(&self.victim.name);
        let of_victim: Vec<Record> = records.into_iter().filter(by_victim).collect();
        let suspects = Acknowledged::collect(&of_victim);
        let writes = unreplicated(&self.trial.others(&self.victim), &suspects).await?;
        let orders: BTreeSet<&String> = writes.orders.iter().map(|(_, id)| id).collect();
        let stamps: BTreeSet<_> = writes.writes.iter().map(|(_, _, write)| write.stamp).collect();
        let is_missing = |record: &&Record| match &record.written {
            Some(Written::Order(id)) => orders.contains(id),
            Some(Written::Version(write)) => stamps.contains(&write.stamp),
            None => false,
        };
        let oldest = of_victim.iter().filter(is_missing).map(|record| record.attempt.ended_us);
        let oldest = oldest.min().unwrap_or(fault_us);
        let rpo_ms = fault_us.saturating_sub(oldest).div_ceil(1000);
        let (count, of) = (writes.len(), suspects.len());
        self.trial.note(format!(
            "{count} of {of} writes acknowledged by {} had not left it; the oldest was {rpo_ms} ms \
             old",
            self.victim.name
        ));
        Ok(Missing { writes, rpo_ms, arrived: 0 })
    }

    async fn bring_back(&mut self) -> Result<(), Error> {
        let mut victims = self.victims()?;
        victims.sort_by_key(|name| !name.starts_with("region"));
        self.trial.start_all(&victims)?;
        let name = &self.victim.name;
        let until = Instant::now() + self.bound();
        while Instant::now() < until {
            let status = fetch(&self.trial.options.topology).await?;
            if status.region(name).is_some_and(|region| region.well()) {
                self.trial.note(format!("edge: {name} is healthy"));
                self.trial.ground.set_phase("after");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.trial.note(format!("{name} did not become healthy in time"));
        Ok(())
    }

    /// Waits until every region has all of `missing`; how many of them arrived.
    async fn await_arrival(&self, missing: &Acknowledged) -> Result<u64, Error> {
        let (began, count) = (Instant::now(), missing.len());
        loop {
            let mut left = 0;
            for place in &self.trial.places {
                let alone = std::slice::from_ref(place);
                left = left.max(unreplicated(alone, missing).await?.len());
            }
            if left == 0 {
                self.trial.note(format!("the {count} unreplicated writes are in every region"));
                return Ok(u64::try_from(count).unwrap_or(u64::MAX));
            }
            if began.elapsed() > self.bound() {
                let text = format!("{left} of {count} unreplicated writes did not arrive");
                self.trial.note(text);
                return Ok(u64::try_from(count - left).unwrap_or(u64::MAX));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn since(&self, fault_us: u64) -> Duration {
        Duration::from_micros(self.trial.ground.now_us().saturating_sub(fault_us))
    }

    async fn rest_of(&self, phase: Duration, fault_us: u64) {
        tokio::time::sleep(phase.saturating_sub(self.since(fault_us))).await;
    }

    fn bound(&self) -> Duration {
        Duration::from_secs(self.trial.options.topology.objectives.convergence_s)
    }

    fn findings(
        &self,
        fault_us: u64,
        watched: Watched,
        missing: &Missing,
        settled: &Settled,
    ) -> Findings {
        let records = self.trial.ground.records();
        let accelerator = recovered(&records, Path::Accelerator, fault_us);
        let dns = recovered(&records, Path::Dns, fault_us);
        let failed_requests = accelerator.failed + dns.failed;
        let rto = |recovery: &Recovery| recovery.rto_us.map(|us| us.div_ceil(1000));
        let objectives = &self.trial.options.topology.objectives;
        let check = |objective, bound, measured| Check { objective, bound, measured };
        let lost = settled.audit.accounts.last().map(|all| all.lost);
        let convergence_s = settled.convergence.map(seconds_begun);
        let mut checks = vec![
            check("rto_accelerator_ms", Some(objectives.rto_accelerator_ms), rto(&accelerator)),
            check("rto_dns_ms", Some(objectives.rto_dns_ms), rto(&dns)),
            check("rpo_ms", Some(objectives.rpo_ms), Some(missing.rpo_ms)),
            check("lost", Some(objectives.lost), lost),
            check("failed_requests_max", objectives.failed_requests_max, Some(failed_requests)),
            check("convergence_s", Some(objectives.convergence_s), convergence_s),
        ];
        checks.extend(self.trial.invariants(settled));
        let front = |record: &&Record| matches!(record.path, Path::Accelerator | Path::Dns);
        let (requests, unreplicated) = (records.iter().filter(front).count(), missing.writes.len());
        let figures = json!({
            "unreplicated_at_loss": unreplicated,
            "unreplicated_arrived": missing.arrived,
            "rpo_ms": missing.rpo_ms,
            "detection_ms": watched.detection_ms,
            "rto_accelerator_ms": rto(&accelerator),
            "rto_dns_ms": rto(&dns),
            "failed_requests": failed_requests,
            "failed_accelerator": accelerator.failed,
            "failed_dns": dns.failed,
            "requests": requests,
        });
        Findings {
            region: self.victim.name.clone(),
            checks,
            figures: figures.as_object().cloned().unwrap_or_default(),
            summary: format!(
                "{unreplicated} unreplicated at the loss and {} of them arrived, \
                 {failed_requests} of {requests} requests failed",
                missing.arrived
            ),
            listed: Some(|record| matches!(record.path, Path::Accelerator | Path::Dns)),
        }
    }
}

/// The writes of `suspects` that none of the `survivors` has.
async fn unreplicated(survivors: &[Place], suspects: &Acknowledged) -> Result<Acknowledged, Error> {
    let mut missing = suspects.clone();
    let mut seen = VersionVector::default();
    for place in survivors {
        let asked: Vec<String> = missing.orders.iter().map(|(_, id)| id.clone()).collect();
        let found = dynamo::present(&mut place.store(), ORDERS.0, ORDERS.1, &asked).await?;
        missing.orders.retain(|(_, id)| !found.contains(id));
        seen.join(&place.applied().await?);
    }
    missing.writes.retain(|(_, _, write)| !seen.covers(write.stamp));
    Ok(missing)
}

fn recovered(records: &[Record], path: Path, fault_us: u64) -> Recovery {
    let attempts: Vec<Attempt> =
        records.iter().filter(|record| record.path == path).map(|record| record.attempt).collect();
    recovery(&attempts, fault_us)
}

async fn fetch(topology: &Topology) -> Result<Status, Error> {
    let operator: SocketAddr = topology.edge.operator;
    crate::status::fetch(operator)
        .await
        .map_err(|error| Error::Region(format!("the edge does not answer: {error}")))
}

/// The experiment needs two regions, an accelerated service behind a name, and all of it healthy.
pub(super) async fn expect_front(options: &Options) -> Result<(), Error> {
    let topology = &options.topology;
    if topology.regions.len() < 2 {
        return Err(Error::Unfit("region-loss needs at least two regions".to_string()));
    }
    front_door(topology)?;
    let status = fetch(topology).await?;
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
