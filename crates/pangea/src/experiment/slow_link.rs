//! The experiment `slow-link`: more distance and little bandwidth between two regions.
//!
//! No request may wait for another region, and no other link may feel it. A write that waited for
//! the far end of the slow link would take a round trip of it: so half of that is the bound on the
//! median write, whatever the machine.

use std::time::Duration;

use pangea_core::experiment::Check;
use serde_json::json;

use super::load::{Path, Record};
use super::report::{Findings, millis};
use super::trial::{Settled, TABLE, Trial};
use super::watch::{self, Sample};
use super::{Error, Experiment};
use crate::inject::Fault;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "slow-link",
    does: "add distance and take bandwidth from one link, and see that nothing waits for it",
    objectives: &[
        "lost",
        "failed_writes",
        "failed_reads",
        "write_ms_median",
        "lag_ms",
        "convergence_s",
        "differences",
        "wrong_values",
        "false_conflicts",
        "wrong_severity",
        "double_claims",
        "stamp_regressions",
    ],
};

/// Runs it to the audit.
pub(super) async fn run(trial: &mut Trial<'_>) -> Result<(Settled, Findings), Error> {
    trial.expect_well(3).await?;
    let one = trial.subject(0)?;
    let at = trial.places.iter().position(|place| place.name == one.name).unwrap_or_default();
    let next = (at + 1) % trial.places.len();
    let other = trial.named(trial.options.peer.as_deref(), next)?;
    if one.name == other.name {
        return Err(Error::Unfit("--region and --peer are the same region".to_string()));
    }
    let places = trial.places.clone();
    let watch = watch::start(&trial.ground, &places);
    trial.start_clients(&places, TABLE, 0, None);
    trial.rest(trial.options.before).await;
    let base = trial.options.topology.rtt_ms(&one.name, &other.name) / 2;
    let (delay_ms, rate) = (base + millis(trial.options.delay), trial.options.bytes_per_s);
    let slow_us = trial.fault_begins();
    for (told, peer) in [(&one, &other), (&other, &one)] {
        let (of, at) = (peer.name.clone(), peer.name.clone());
        told.inject(&Fault::Delay { peer: of, delay_ms }).await?;
        told.inject(&Fault::Limit { peer: at, bytes_per_s: Some(rate) }).await?;
    }
    trial.ground.set_phase("slow");
    trial.note(format!(
        "{} and {}: {delay_ms} ms one way, {rate} bytes a second",
        one.name, other.name
    ));
    trial.rest(trial.options.during).await;
    let healed_us = trial.ground.now_us();
    for (told, peer) in [(&one, &other), (&other, &one)] {
        told.inject(&Fault::Heal { peer: peer.name.clone() }).await?;
    }
    trial.ground.set_phase("after");
    trial.note("healed");
    trial.rest(trial.options.after).await;
    let during = watch.between(slow_us, healed_us);
    let is_slow = |sample: &&Sample| {
        let link = [sample.link.from.as_str(), sample.link.to.as_str()];
        link.contains(&one.name.as_str()) && link.contains(&other.name.as_str())
    };
    let (slow, others): (Vec<&Sample>, Vec<&Sample>) = during.iter().partition(is_slow);
    let (slow, others) = (watch::lag_ms_max(slow), watch::lag_ms_max(others));
    let settled = trial.settle().await?;
    if slow.is_none_or(|lag| lag < delay_ms) {
        let lagged = match slow {
            Some(ms) => format!("lagged {ms} ms at most"),
            None => "was not seen to lag".to_owned(),
        };
        let text = format!("the link was not slow: it {lagged}");
        return Err(Error::Unfit(text));
    }
    let findings = findings(trial, [one.name, other.name], (slow, others), &settled);
    Ok((settled, findings))
}

fn findings(
    trial: &Trial<'_>,
    [one, other]: [String; 2],
    (slow_ms, others_ms): (Option<u64>, Option<u64>),
    settled: &Settled,
) -> Findings {
    let records = trial.ground.records();
    let before = Latency::of(records.iter().filter(|record| record.phase == "before"));
    let slow = Latency::of(records.iter().filter(|record| record.phase == "slow"));
    let objectives = &trial.options.topology.objectives;
    let check = |objective, bound, measured| Check { objective, bound: Some(bound), measured };
    let mut checks = trial.promises(settled);
    checks.splice(
        3..3,
        [
            check("write_ms_median", millis(trial.options.delay), slow.median_ms),
            check("lag_ms", objectives.lag_ms, others_ms),
        ],
    );
    let failures = trial.failures();
    let show = |ms: Option<u64>| ms.map_or_else(|| "-".to_string(), |ms| ms.to_string());
    let figures = json!({
        "peer": other,
        "failed_writes": failures.writes,
        "failed_reads": failures.reads,
        "lag_slow_ms": slow_ms,
        "lag_others_ms": others_ms,
        "write_ms_median_before": before.median_ms,
        "write_ms_p99_before": before.p99_ms,
        "write_ms_median_slow": slow.median_ms,
        "write_ms_p99_slow": slow.p99_ms,
    });
    Findings {
        region: one,
        checks,
        figures: figures.as_object().cloned().unwrap_or_default(),
        summary: format!(
            "lag {} ms on the slow link and {} ms elsewhere, median write {} ms before and {} ms \
             during",
            show(slow_ms),
            show(others_ms),
            show(before.median_ms),
            show(slow.median_ms)
        ),
        listed: None,
    }
}

/// How long acknowledged writes took, begun milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Latency {
    median_ms: Option<u64>,
    p99_ms: Option<u64>,
}

impl Latency {
    fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let writes = records.filter(|it| it.path == Path::Store && it.attempt.succeeded);
        let took = |it: &Record| it.attempt.ended_us.saturating_sub(it.attempt.started_us);
        let mut took: Vec<u64> = writes.map(took).collect();
        took.sort_unstable();
        let at = |percent: usize| {
            let place = (took.len() * percent).div_ceil(100).saturating_sub(1);
            let us = took.get(place)?;
            Some(millis(Duration::from_micros(us.div_ceil(1000) * 1000)))
        };
        Self { median_ms: at(50), p99_ms: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangea_core::experiment::Attempt;

    fn record(took_us: u64, succeeded: bool) -> Record {
        Record {
            path: Path::Store,
            attempt: Attempt { started_us: 5, ended_us: 5 + took_us, succeeded },
            ended_wall_ms: 0,
            phase: "slow",
            asked: None,
            served_by: None,
            written: None,
            error: None,
            perhaps_deleted: None,
        }
    }

    #[test]
    fn percentiles_are_of_acknowledged_writes() {
        assert_eq!(Latency::of([].iter()), Latency::default());
        let mut records: Vec<Record> = (1..=100).map(|ms| record(ms * 1000 - 1, true)).collect();
        records.push(record(9_000_000, false));
        let latency = Latency::of(records.iter());
        assert_eq!(latency, Latency { median_ms: Some(50), p99_ms: Some(99) });
        assert_eq!(Latency::of([record(1, true)].iter()).p99_ms, Some(1));
    }
}
