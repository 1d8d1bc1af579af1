//! The experiment `disk-full`: one region's disk has no room for a while.
//!
//! Its writes are refused, and say why; its reads, and the other regions, go on. Once there is
//! room it takes writes again by itself, and nothing that it had acknowledged is gone.

use std::time::{Duration, Instant};

use pangea_core::experiment::Check;
use serde_json::json;

use super::load::{Path, Record};
use super::place::Place;
use super::report::{Findings, millis, seconds_begun};
use super::trial::{Settled, TABLE, Trial};
use super::{Error, Experiment};
use crate::inject::Fault;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "disk-full",
    does: "let one region's disk be full for a while, then give it room",
    objectives: &[
        "lost",
        "failed_writes",
        "failed_reads",
        "accepted_while_full",
        "unclear_refusals",
        "writable_s",
        "convergence_s",
        "differences",
        "wrong_values",
        "false_conflicts",
        "wrong_severity",
        "double_claims",
        "stamp_regressions",
    ],
};

/// What a refused client must be able to read.
const CLEAR: &str = "disk is full";

/// When there was no room, on the experiment's clock.
#[derive(Clone, Copy, Debug)]
struct Full {
    from_us: u64,
    to_us: u64,
}

/// What was seen from outside.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// From the full disk until the edge called the region unhealthy.
    detection_ms: Option<u64>,
    /// From room on the disk until the region acknowledged a write.
    writable: Option<Duration>,
}

/// Runs it to the audit.
pub(super) async fn run(trial: &mut Trial<'_>) -> Result<(Settled, Findings), Error> {
    trial.expect_well(2).await?;
    let victim = trial.subject(0)?;
    let places = trial.places.clone();
    trial.start_clients(&places, TABLE, 0, None);
    trial.rest(trial.options.before).await;
    trial.fault_begins();
    trial.excuse_writes(&victim.name);
    victim.inject(&Fault::Disk { full: true }).await?;
    let from_us = trial.ground.now_us();
    trial.ground.set_phase("full");
    trial.note(format!("the disk of {} is full", victim.name));
    let mut watched = Watched { detection_ms: detect(trial, &victim).await, ..Watched::default() };
    let full = Full { from_us, to_us: trial.ground.now_us() };
    victim.inject(&Fault::Disk { full: false }).await?;
    trial.ground.set_phase("after");
    trial.note(format!("the disk of {} has room", victim.name));
    watched.writable = writable(trial, &victim, full.to_us).await;
    trial.end_excuses(&victim.name);
    trial.rest(trial.options.after).await;
    let settled = trial.settle().await?;
    let findings = findings(trial, &victim, full, watched, &settled)?;
    Ok((settled, findings))
}

/// Lets the time with a full disk pass, and notes when the edge has noticed.
async fn detect(trial: &Trial<'_>, victim: &Place) -> Option<u64> {
    let (began, mut detection_ms) = (Instant::now(), None);
    while began.elapsed() < trial.options.during {
        trial.rest(Duration::from_millis(20)).await;
        let status = crate::status::fetch(trial.options.topology.edge.operator).await;
        let region = status.as_ref().ok().and_then(|status| status.region(&victim.name));
        if detection_ms.is_none() && region.is_some_and(|region| !region.healthy) {
            detection_ms = Some(millis(began.elapsed()));
            trial.note(format!("edge: {} is unhealthy", victim.name));
        }
    }
    detection_ms
}

/// Waits for the region to acknowledge a write that was sent since.
async fn writable(trial: &Trial<'_>, victim: &Place, since_us: u64) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < trial.patience() {
        let records = trial.ground.records();
        let taken = records.iter().find(|record| {
            record.asked.as_ref() == Some(&victim.name)
                && record.write().is_some()
                && record.attempt.started_us >= since_us
        });
        if let Some(record) = taken {
            let took = Duration::from_micros(record.attempt.ended_us.saturating_sub(since_us));
            trial.note(format!("{} takes writes again, after {} ms", victim.name, millis(took)));
            return Some(took);
        }
        trial.rest(Duration::from_millis(20)).await;
    }
    None
}

fn findings(
    trial: &Trial<'_>,
    victim: &Place,
    full: Full,
    watched: Watched,
    settled: &Settled,
) -> Result<Findings, Error> {
    let Verdicts { refused, accepted, unclear } =
        judge(&trial.ground.records(), &victim.name, full);
    if refused == 0 {
        let text = format!("{} was asked for no write while its disk was full", victim.name);
        return Err(Error::Unfit(text));
    }
    let objectives = &trial.options.topology.objectives;
    let check = |objective, bound, measured| Check { objective, bound: Some(bound), measured };
    let mut checks = trial.promises(settled);
    let writable_s = watched.writable.map(seconds_begun);
    checks.splice(
        3..3,
        [
            check("accepted_while_full", 0, Some(accepted)),
            check("unclear_refusals", 0, Some(unclear)),
            check("writable_s", objectives.convergence_s, writable_s),
        ],
    );
    let failures = trial.failures();
    let figures = json!({
        "failed_writes": failures.writes,
        "failed_reads": failures.reads,
        "refused": refused,
        "detection_ms": watched.detection_ms,
        "writable_ms": watched.writable.map(millis),
    });
    Ok(Findings {
        region: victim.name.clone(),
        checks,
        figures: figures.as_object().cloned().unwrap_or_default(),
        summary: format!("{refused} writes refused while the disk was full"),
        listed: None,
    })
}

/// Writes at the region while it had no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdicts {
    refused: u64,
    /// Taken, by a region that could not keep them.
    accepted: u64,
    /// Refused in other words.
    unclear: u64,
}

fn judge(records: &[Record], victim: &str, full: Full) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let within = |record: &&Record| {
        record.path == Path::Store
            && record.asked.as_deref() == Some(victim)
            && record.attempt.started_us >= full.from_us
            && record.attempt.ended_us <= full.to_us
    };
    for record in records.iter().filter(within) {
        match &record.error {
            Some(error) => {
                verdicts.refused += 1;
                verdicts.unclear += u64::from(!error.contains(CLEAR));
            }
            // A condition that does not hold is no write.
            None => verdicts.accepted += u64::from(record.written.is_some()),
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangea_core::experiment::Attempt;

    fn record(asked: &str, started_us: u64, error: Option<&str>, taken: bool) -> Record {
        let written = taken.then(|| super::super::load::Written::Order("o".to_string()));
        Record {
            path: Path::Store,
            attempt: Attempt { started_us, ended_us: started_us + 5, succeeded: error.is_none() },
            ended_wall_ms: 0,
            phase: "full",
            asked: Some(asked.to_string()),
            served_by: None,
            written,
            error: error.map(str::to_string),
            perhaps_deleted: None,
        }
    }

    #[test]
    fn only_what_was_asked_and_answered_while_the_disk_was_full_counts() {
        let full = Full { from_us: 100, to_us: 200 };
        let records = [
            record("a", 90, None, true),
            record("a", 110, Some("the disk is full: 0 bytes are left"), false),
            record("a", 120, Some("timed out"), false),
            record("a", 130, None, true),
            record("a", 140, None, false),
            record("b", 150, None, true),
            record("a", 198, None, true),
        ];
        let expected = Verdicts { refused: 2, accepted: 1, unclear: 1 };
        assert_eq!(judge(&records, "a", full), expected);
    }
}
