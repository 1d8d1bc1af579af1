//! The task: events in, effects out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pangea_core::health::{Effect, Event, Health, ProbeId};
use pangea_core::id::RegionSlot;
use pangea_core::routing::{self, RoutingConfig, RoutingSnapshot};
use pangea_core::time::Now;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::util::wall_ms;
use super::{Config, ConfigureError, LogEntry, Passive, Shared, lock};
use crate::probe::{self, Report, Timeouts};

/// Sleep of a driver that watches nothing; any event wakes it.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// A new configuration, and who waits for its fate.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) routing: RoutingConfig,
    pub(super) targets: BTreeMap<RegionSlot, probe::Url>,
    pub(super) done: oneshot::Sender<Result<(), ConfigureError>>,
}

struct ProbeEnd {
    probe: ProbeId,
    target: RegionSlot,
    report: Report,
}

pub(super) struct Driver {
    config: Config,
    health: Health,
    started: Instant,
    probes: JoinSet<ProbeEnd>,
    publish: watch::Sender<Arc<RoutingSnapshot>>,
    shared: Arc<Shared>,
}

impl Driver {
    pub(super) fn new(
        config: Config,
        publish: watch::Sender<Arc<RoutingSnapshot>>,
        shared: Arc<Shared>,
    ) -> Self {
        let health = Health::new(config.health);
        let (started, probes) = (Instant::now(), JoinSet::new());
        Self { config, health, started, probes, publish, shared }
    }

    pub(super) async fn run(
        mut self,
        mut passives: mpsc::Receiver<Passive>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        for target in self.config.targets.keys().copied().collect::<Vec<_>>() {
            self.handle(Event::Watch(target));
        }
        loop {
            let due = self.due();
            tokio::select! {
                Some(Passive { target, failure }) = passives.recv() => {
                    self.handle(Event::Passive { target, failure });
                }
                Some(end) = self.probes.join_next() => {
                    // A probe does not panic; if it did, its timeout would count as its failure.
                    if let Ok(end) = end {
                        self.probe_ended(end);
                    }
                }
                Some(command) = commands.recv() => {
                    let outcome = self.configure(command.routing, command.targets);
                    // Whoever asked may have gone; the outcome stands.
                    let _ = command.done.send(outcome);
                }
                () = tokio::time::sleep_until(due) => self.handle(Event::Tick),
            }
        }
    }

    fn due(&self) -> Instant {
        match self.health.deadline() {
            Some(mono_us) => self.started + Duration::from_micros(mono_us),
            None => Instant::now() + NOTHING_DUE,
        }
    }

    fn now(&self) -> Now {
        let mono_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { wall_ms: wall_ms(), mono_us }
    }

    fn probe_ended(&mut self, end: ProbeEnd) {
        let ProbeEnd { probe, target, report } = end;
        let outcome = report.outcome;
        if self.config.targets.contains_key(&target) {
            lock(&self.shared.reports).insert(target, report);
        }
        self.handle(Event::ProbeDone { probe, target, outcome });
    }

    fn handle(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.health.handle(self.now(), event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Probe { probe, target } => self.start_probe(probe, target),
                Effect::Changed(change) => {
                    tracing::info!(
                        target_region = %change.target,
                        from = %change.from,
                        to = %change.to,
                        reason = %change.reason,
                        generation = change.generation,
                        "traffic: region changed health"
                    );
                    self.log(LogEntry::Health(change));
                }
            }
        }
        self.refresh();
    }

    fn start_probe(&mut self, probe: ProbeId, target: RegionSlot) {
        let Some(url) = self.config.targets.get(&target).cloned() else { return };
        let total = Duration::from_micros(self.config.health.timeout_us);
        let timeouts = Timeouts { connect: total, total };
        self.probes.spawn(async move {
            let report = probe::probe(&url, timeouts).await;
            ProbeEnd { probe, target, report }
        });
    }

    fn log(&self, entry: LogEntry) {
        let mut log = lock(&self.shared.log);
        while log.len() >= self.config.log_entries_max.max(1) {
            log.pop_front();
        }
        log.push_back(entry);
    }

    /// Shows the view, and publishes a snapshot if health changed.
    fn refresh(&mut self) {
        let view = self.health.view();
        let current = Arc::clone(&self.publish.borrow());
        lock(&self.shared.view).clone_from(&view);
        if view.generation == current.generation().health {
            return;
        }
        match current.tables().snapshot(&view, Some(current.generation())) {
            Ok(next) => self.publish.send_replace(Arc::new(next)),
            // The machine's generation only grows; if not, the old snapshot is the right one.
            Err(refusal) => {
                tracing::error!(%refusal, "traffic: snapshot refused");
                current
            }
        };
    }

    fn configure(
        &mut self,
        routing: RoutingConfig,
        targets: BTreeMap<RegionSlot, probe::Url>,
    ) -> Result<(), ConfigureError> {
        let same = routing == self.config.routing && targets == self.config.targets;
        if same {
            return Ok(());
        }
        if routing.generation == self.config.routing.generation {
            return Err(ConfigureError::GenerationTaken(routing.generation));
        }
        let tables = routing::compile(&routing)?;
        let previous = self.publish.borrow().generation();
        let next = tables.snapshot(&self.health.view(), Some(previous))?;
        self.publish.send_replace(Arc::new(next));
        let old = std::mem::replace(&mut self.config.targets, targets);
        self.config.routing = routing;
        let generation = self.config.routing.generation;
        tracing::info!(generation, "traffic: configuration took effect");
        self.log(LogEntry::Configured { wall_ms: wall_ms(), generation });
        self.retarget(&old);
        Ok(())
    }

    fn retarget(&mut self, old: &BTreeMap<RegionSlot, probe::Url>) {
        for target in old.keys().filter(|target| !self.config.targets.contains_key(target)) {
            lock(&self.shared.reports).remove(target);
        }
        let gone = old.keys().filter(|target| !self.config.targets.contains_key(target));
        let gone: Vec<Event> = gone.copied().map(Event::Unwatch).collect();
        let watched: Vec<Event> = self.config.targets.keys().copied().map(Event::Watch).collect();
        for event in gone.into_iter().chain(watched) {
            self.handle(event);
        }
    }
}
