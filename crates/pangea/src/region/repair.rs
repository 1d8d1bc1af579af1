//! Drives anti-entropy: a paced run after the other, runs on demand, and at once where damage was
//! met.
//!
//! State: the run under way, of which there is one at a time; the question that it waits for; what
//! was counted. Machines decide; here is their IO. Runs read durable snapshots on threads of their
//! own; only what is to be put right passes through the writer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use pangea_core::catalog::Catalog;
use pangea_core::id::{RegionSlot, TableId};
use pangea_core::merge::VersionVector;
use pangea_core::node::{Heal, Outcome};
use pangea_core::repair::{
    Answer, Ask, Effect, Fate, Finding, Here, Input, Moment, Repair, Report, Scope, Wrong,
};
use pangea_core::replica::{Progress, Request};
use pangea_core::time::Stamp;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::Region;
use super::admin::problem;
use crate::http::{self, Reply, json as json_reply};
use crate::metrics::Scrape;
use crate::repair::{FindingReport, RunReport, Status, Wish};
use crate::storage::{Fault, Store, StoreView};

/// Largest request body: the name of a table.
const BODY_BYTES_MAX: usize = 4096;
/// A peer that has not answered by then is passed by: the longest round trips, and a busy disk.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A link that is not open is looked at again after this.
const LINK_PAUSE: Duration = Duration::from_secs(1);
/// Damage that is met again and again is looked after no more often than this.
const SUSPICION_PAUSE: Duration = Duration::from_secs(5);
/// What could not be put right may be once other regions are back: it is tried again after so many
/// times what the run took, so that no more than a tenth of the disk's time goes there.
const AGAIN_TIMES: u32 = 9;
/// A cycle of anti-entropy begins so long after the process, so that links are open.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// A writer that pauses for a fault is asked so often, after so long.
const HEALS_MAX: usize = 5;
const HEAL_PAUSE: Duration = Duration::from_millis(700);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// Held while a run is under way.
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Option<Waiting>>,
    status: Mutex<Status>,
    counts: Counts,
    suspicion: Suspicion,
}

/// Damage that reads or commits have met.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspicion(Arc<Notify>);

impl Suspicion {
    /// Takes note of a fault, if it is damage that peers can heal.
    pub(super) fn of(&self, fault: &Fault) {
        if fault.is_damage() {
            self.0.notify_one();
        }
    }
}

#[derive(Debug)]
struct Waiting {
    peer: RegionSlot,
    ask: Ask,
    reply: oneshot::Sender<Answer>,
}

/// Since the process began.
#[derive(Debug, Default)]
struct Counts {
    runs: AtomicU64,
    rows: AtomicU64,
    damaged: AtomicU64,
    differing: AtomicU64,
    repaired: AtomicU64,
    lost: AtomicU64,
    left: AtomicU64,
}

impl Repairs {
    /// Where faults are told.
    pub(super) fn suspicion(&self) -> Suspicion {
        self.suspicion.clone()
    }

    /// A peer's answer; one that nobody waits for is dropped.
    pub(super) fn answered(&self, peer: RegionSlot, answer: Answer) {
        let mut waiting = lock(&self.waiting);
        if let Some(it) = waiting.take_if(|it| it.peer == peer && it.ask == answer.ask) {
            let _ = it.reply.send(answer);
        }
    }

    pub(super) fn scrape(&self, scrape: &mut Scrape) {
        let counts = &self.counts;
        let all = [
            ("pangea_repair_runs", "Runs of anti-entropy that ended", &counts.runs),
            ("pangea_repair_rows", "Rows verified", &counts.rows),
            ("pangea_repair_damaged", "Damaged rows found", &counts.damaged),
            ("pangea_repair_differences", "Differences from peers found", &counts.differing),
            ("pangea_repair_repaired", "Findings put right", &counts.repaired),
            ("pangea_repair_lost_versions", "Versions that were nowhere else", &counts.lost),
            ("pangea_repair_left", "Findings that could not be put right", &counts.left),
        ];
        for (name, help, count) in all {
            scrape.counter(name, help, [(Vec::new(), count.load(Relaxed))]);
        }
    }

    fn note(&self, report: &RunReport) {
        let counts = &self.counts;
        counts.runs.fetch_add(1, Relaxed);
        counts.rows.fetch_add(report.rows, Relaxed);
        counts.damaged.fetch_add(report.damaged, Relaxed);
        counts.differing.fetch_add(report.differing, Relaxed);
        counts.repaired.fetch_add(report.repaired, Relaxed);
        counts.lost.fetch_add(report.lost, Relaxed);
        counts.left.fetch_add(report.left, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers `GET /v1/repair`.
pub(super) fn show(region: &Region) -> Reply {
    json_reply(StatusCode::OK, &*lock(&region.repairs.status))
}

/// Answers `POST /v1/repair`: a run begins.
pub(super) async fn begin(region: &Arc<Region>, body: Incoming) -> Reply {
    let Ok(body) = http::body(body, BODY_BYTES_MAX).await else {
        return problem(StatusCode::BAD_REQUEST, "no body, or too large a one");
    };
    let wish: Wish = match serde_json::from_slice(&body) {
        Ok(wish) => wish,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let named = |name: &String| region.catalog().find(region.slot, name).map(|entry| entry.id);
    let table = match wish.table.as_ref().map(|name| (name, named(name))) {
        Some((name, None)) => {
            let text = format!("no table `{name}` in this region");
            return problem(StatusCode::NOT_FOUND, &text);
        }
        named => named.and_then(|(_, table)| table),
    };
    let mut status = lock(&region.repairs.status);
    if status.running {
        return problem(StatusCode::CONFLICT, "a run is under way: wait for its end");
    }
    *status = Status { run: status.run + 1, running: true, report: RunReport::default() };
    tokio::spawn(on_demand(Arc::clone(region), table, (wish.verify, wish.compare)));
    json_reply(StatusCode::OK, &*status)
}

async fn on_demand(region: Arc<Region>, table: Option<TableId>, parts: (bool, bool)) {
    let report = run(&region, table, parts, Duration::ZERO).await;
    let mut status = lock(&region.repairs.status);
    (status.running, status.report) = (false, report);
}

/// One paced cycle after the other, and rows are verified at once where damage was met.
pub(super) async fn keep(region: Arc<Region>) {
    let cycle = Duration::from_secs(region.topology.replication.repair_cycle_s);
    let watching = watch(Arc::clone(&region));
    let cycles = async {
        sleep(FIRST_PAUSE.min(cycle)).await;
        while !cycle.is_zero() {
            let tables = region.catalog().held_by(region.slot).count() + 1;
            let steps = tables * pangea_core::fingerprint::BUCKETS;
            let pause = cycle / u32::try_from(steps).unwrap_or(u32::MAX);
            run(&region, None, (true, true), pause).await;
        }
    };
    tokio::join!(watching, cycles);
}

async fn watch(region: Arc<Region>) {
    let mut again_after = None;
    loop {
        let met = region.repairs.suspicion.0.notified();
        match again_after {
            Some(pause) => drop(timeout(pause, met).await),
            None => met.await,
        }
        tracing::warn!("damage was met, or is left: verifying all rows");
        let began = Instant::now();
        let report = run(&region, None, (true, false), Duration::ZERO).await;
        sleep(SUSPICION_PAUSE).await;
        let is_left = report.left > 0 || report.error.is_some();
        again_after = is_left.then(|| began.elapsed() * AGAIN_TIMES);
    }
}

/// A run to its end. One that is paced makes way for others between two steps.
async fn run(
    region: &Arc<Region>,
    table: Option<TableId>,
    (verify, compare): (bool, bool),
    pause: Duration,
) -> RunReport {
    let mut turn = region.repairs.turn.lock().await;
    let machine = Repair::new(scope(region, table, (verify, compare)));
    let (mut machine, mut input, mut then) = (machine, Input::Begin, None);
    let mut told = 0;
    let error = loop {
        let (stepped, effect) = step(region, machine, input, then.take()).await;
        machine = stepped;
        let effect = match effect {
            Ok(effect) => effect,
            Err(fault) => break Some(fault.to_string()),
        };
        told = tell(region, machine.report(), told);
        (input, then) = match effect {
            Effect::Done => break None,
            Effect::Verify { table, bucket } => {
                if !pause.is_zero() {
                    drop(turn);
                    sleep(pause).await;
                    turn = region.repairs.turn.lock().await;
                }
                match verified(region, table, bucket).await {
                    Ok(input) => (input, None),
                    Err(fault) => break Some(fault.to_string()),
                }
            }
            Effect::Ask { peer, ask } => match ask_peer(region, peer, ask).await {
                Ok((input, then)) => (input, Some(then)),
                Err(fault) => break Some(fault.to_string()),
            },
            Effect::Heal(heal) => (Input::Healed(put_right(region, heal).await), None),
        };
    };
    drop(turn);
    let mut report = report_of(region, machine.report());
    report.error = error;
    region.repairs.note(&report);
    conclude(&report);
    report
}

fn scope(region: &Region, table: Option<TableId>, (verify, compare): (bool, bool)) -> Scope {
    let others = region.topology.regions.iter().filter(|other| other.id != region.slot);
    // Above those of every earlier run of this process; links do not outlive it.
    let number = region.repairs.counts.runs.load(Relaxed) << 40;
    let number = number + (region.clock.now().mono_us & ((1 << 40) - 1));
    Scope {
        me: region.slot,
        catalog: region.catalog(),
        peers: others.map(|other| (other.id, region.links.is_open(other.id))).collect(),
        table,
        verify,
        compare,
        number,
    }
}

/// What was durable before a question, and how far it had applied.
type Then = (VersionVector, StoreView);

/// Lets the machine decide, off the threads that answer requests; a fault of what it read.
async fn step(
    region: &Arc<Region>,
    mut machine: Repair,
    input: Input,
    then: Option<Then>,
) -> (Repair, Result<Effect, Fault>) {
    // Before the view: it must not be beyond it.
    let (catalog, store) = (region.catalog(), Arc::clone(&region.store));
    let stepped = spawn_blocking(move || {
        let effect = stepped((&catalog, &store), &mut machine, input, then.as_ref());
        (machine, effect)
    });
    stepped.await.expect("the machine does not panic, and nobody aborts it")
}

fn stepped(
    (catalog, store): (&Catalog, &Store),
    machine: &mut Repair,
    input: Input,
    then: Option<&Then>,
) -> Result<Effect, Fault> {
    let here = store.snapshot()?;
    let nothing = VersionVector::EMPTY;
    let (applied, old) = then.map_or((&nothing, &here), |(applied, old)| (applied, old));
    let now = Here { catalog, store: &here };
    let effect = machine.step(input, &Moment { applied, store: old }, &now);
    old.check()?;
    here.check()?;
    Ok(effect)
}

async fn verified(region: &Arc<Region>, table: TableId, bucket: u8) -> Result<Input, Fault> {
    let (me, store) = (region.writer.observed().origin, Arc::clone(&region.store));
    let verified = spawn_blocking(move || store.snapshot()?.verify(me, (table, bucket))).await;
    verified.expect("reads do not panic, and nobody aborts them").map(Input::Verified)
}

/// Notes what is durable, and then asks.
async fn ask_peer(
    region: &Arc<Region>,
    peer: RegionSlot,
    ask: Ask,
) -> Result<(Input, Then), Fault> {
    // Before the view: it must have all that counts as applied.
    let progress = region.writer.progress().borrow().clone();
    let own = region.writer.observed().origin;
    let store: Arc<Store> = Arc::clone(&region.store);
    let view = spawn_blocking(move || store.snapshot()).await.expect("as above")?;
    let then = (applied(&progress, own), view);
    let (reply, answer) = oneshot::channel();
    *lock(&region.repairs.waiting) = Some(Waiting { peer, ask: ask.clone(), reply });
    let answered = match region.links.ask(peer, Request::Compare(ask)) {
        true => timeout(ANSWER_MAX, answer).await.ok().and_then(Result::ok),
        false => {
            sleep(LINK_PAUSE).await;
            None
        }
    };
    lock(&region.repairs.waiting).take();
    Ok((answered.map_or(Input::Unanswered, Input::Answered), then))
}

fn applied(progress: &Progress, own: pangea_core::id::Origin) -> VersionVector {
    let mut applied =
        VersionVector::from_entries(progress.applied.iter().map(|(&of, &hlc)| (of, hlc)));
    applied.record(Stamp { hlc: progress.closed, origin: own });
    applied
}

/// Whether it is done. A writer that has met the damage itself pauses for a while.
async fn put_right(region: &Arc<Region>, heal: Heal) -> bool {
    for _ in 0..HEALS_MAX {
        match region.writer.heal(heal.clone()).await {
            Ok(outcome) => return outcome == Outcome::Healed { done: true },
            Err(fault) => tracing::warn!(%fault, "repairing again in a moment"),
        }
        sleep(HEAL_PAUSE).await;
    }
    false
}

fn report_of(region: &Region, report: &Report) -> RunReport {
    RunReport::of(report, |table| table_name(region, table), |slot| region.region_name(slot))
}

fn table_name(region: &Region, table: TableId) -> String {
    let catalog = region.catalog();
    catalog.get(table).map_or_else(|| table.to_string(), |entry| entry.name.clone())
}

/// Names each finding in the log, once.
fn tell(region: &Region, report: &Report, told: usize) -> usize {
    for finding in report.findings.iter().skip(told) {
        let table = table_name(region, finding.table);
        let FindingReport { table, key, place, what, lost, .. } = FindingReport::of(finding, table);
        let key = key.unwrap_or_else(|| "unreadable".to_string());
        match &finding.fate {
            Fate::Lost(_) => {
                let text = "acknowledged writes were in a damaged row and nowhere else: LOST";
                let lost = lost.join(" ");
                tracing::error!(table, key, place, what, lost, "{text}");
            }
            Fate::Repaired if is_damage(finding) => {
                tracing::warn!(table, key, place, what, "repaired from a peer");
            }
            Fate::Repaired => tracing::error!(table, key, what, "repaired a difference"),
            Fate::Waits | Fate::Left => {
                tracing::error!(table, key, place, what, "not repaired");
            }
        }
    }
    report.findings.len()
}

fn is_damage(finding: &Finding) -> bool {
    matches!(finding.what, Wrong::Damaged(_) | Wrong::Fingerprint)
}

fn conclude(report: &RunReport) {
    let RunReport { rows, buckets_equal, versions_compared, damaged, differing, .. } = report;
    let RunReport { repaired, lost, left, error, .. } = report;
    tracing::info!(
        rows,
        buckets_equal,
        versions_compared,
        damaged,
        differing,
        repaired,
        lost,
        left,
        error = error.as_deref(),
        "anti-entropy: a run has ended"
    );
}
