//! The experiment `skew`: one region's wall clock is wrong while it serves.
//!
//! It drifts ahead within the bound, steps ahead beyond it, is right again, races ahead without a
//! step, is killed and starts again with the right time, falls behind within the bound, then far
//! behind, and is right again. The region must notice each time by what it hears of its peers: no
//! region, that one included, may ever issue stamps beyond real time and the bound, so that no
//! stream is ever held and no write elsewhere that came later by more than the bound loses to it;
//! no region's stamps may run backwards; whoever has seen a write must win against it; and every
//! acknowledged write must be there or in the ledger when all is over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pangea_core::experiment::{Check, Issued, ahead_ms};
use pangea_core::limits::CLOCK_SKEW_MS_MAX;
use pangea_core::time::Stamp;
use serde_json::json;

use super::place::Place;
use super::report::{Findings, millis};
use super::trial::{Settled, TABLE, Trial};
use super::watch::{self, Sample, Watch};
use super::{Error, Experiment, dynamo};
use crate::inject::Fault;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "skew",
    does: "set one region's clock ahead and behind while it serves",
    objectives: &[
        "lost",
        "failed_writes",
        "failed_reads",
        "ahead_ms_of_others",
        "ahead_ms_of_region",
        "held",
        "unnoticed",
        "inversions",
        "overtaken_by_the_future",
        "convergence_s",
        "differences",
        "wrong_values",
        "false_conflicts",
        "wrong_severity",
        "double_claims",
        "stamp_regressions",
    ],
};

/// Within the bound, with room for the milliseconds that pass while a clock is set.
const TOLERATED_MS: i64 = 400;
/// Far behind.
const BEHIND_MS: i64 = -600_000;
/// Chains of writes that each have seen the one before.
const CHAINS: usize = 3;
/// Keys, each time, that are written early by the fast clock, and later by a right one.
const RACES: usize = 3;

/// How fast the clock races, ms a second: too slow for a step, fast enough to be there soon.
const RACING_MS_PER_S: u64 = 4_000;

/// Runs it to the audit.
pub(super) async fn run(trial: &mut Trial<'_>) -> Result<(Settled, Findings), Error> {
    trial.expect_well(2).await?;
    let offset_ms = i64::try_from(millis(trial.options.offset)).unwrap_or(i64::MAX);
    if millis(trial.options.offset) <= CLOCK_SKEW_MS_MAX {
        let text = format!("--offset-ms must be above the bound, {CLOCK_SKEW_MS_MAX} ms");
        return Err(Error::Unfit(text));
    }
    let wrong = trial.subject(0)?;
    let places = trial.places.clone();
    let watch = watch::start(&trial.ground, &places);
    trial.start_clients(&places, TABLE, 0, None);
    trial.rest(trial.options.before).await;
    let mut seen = Seen::default();

    let from_us = trial.fault_begins();
    let during_ms = millis(trial.options.during).max(1);
    let slew = TOLERATED_MS.unsigned_abs() * 1000 / during_ms + 1;
    set(trial, &wrong, TOLERATED_MS, Some(slew), "drifting").await?;
    trial.rest(trial.options.during).await;

    for (phase, slew) in [("ahead", None), ("racing ahead", Some(RACING_MS_PER_S))] {
        let from_us = trial.ground.now_us();
        set(trial, &wrong, offset_ms, slew, phase).await?;
        seen.unnoticed += await_noticed(trial, &watch, from_us, &wrong, offset_ms).await;
        seen.later.extend(race_the_future(trial, &wrong, phase).await?);
        trial.rest(trial.options.during).await;
        if slew.is_none() {
            set(trial, &wrong, 0, None, "right again").await?;
            trial.rest(trial.options.during).await;
        }
    }

    trial.ground.set_phase("restarting");
    trial.kill(&wrong)?;
    trial.start(&wrong).await?;
    trial.rest(trial.options.during).await;

    set(trial, &wrong, -TOLERATED_MS, None, "behind").await?;
    seen.inversions = chains(trial, &wrong).await?;

    let far_us = trial.ground.now_us();
    set(trial, &wrong, BEHIND_MS, None, "far behind").await?;
    seen.unnoticed += await_noticed(trial, &watch, far_us, &wrong, BEHIND_MS).await;
    trial.rest(trial.options.during).await;

    set(trial, &wrong, 0, None, "after").await?;
    trial.rest(trial.options.after).await;
    seen.held = held(&watch.between(from_us, trial.ground.now_us()));
    let settled = trial.settle().await?;
    let lost = settled.views.iter().flat_map(|view| &view.conflicts);
    let lost = lost.flat_map(|entry| entry.losers());
    let lost: BTreeSet<Stamp> = lost.map(|loser| loser.stamp).collect();
    let overtaken = seen.later.iter().filter(|stamp| lost.contains(stamp)).count();
    seen.overtaken = u64::try_from(overtaken).unwrap_or(u64::MAX);
    trial.note(format!("{overtaken} of {} later writes lost to the future", seen.later.len()));
    let findings = findings(trial, &wrong, &seen, &settled);
    Ok((settled, findings))
}

/// What was seen on the way.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Links whose stream was held for its stamps.
    held: u64,
    /// Wrong clocks that the region did not notice by those of its peers.
    unnoticed: u64,
    /// Versions of writes elsewhere that came later by more than the bound, and how many lost.
    later: Vec<Stamp>,
    overtaken: u64,
    inversions: u64,
}

async fn set(
    trial: &Trial<'_>,
    place: &Place,
    offset_ms: i64,
    slew_ms_per_s: Option<u64>,
    phase: &'static str,
) -> Result<(), Error> {
    trial.ground.set_phase(phase);
    place.inject(&Fault::Clock { offset_ms, slew_ms_per_s }).await?;
    let how = slew_ms_per_s.map(|rate| format!(" by {rate} ms a second")).unwrap_or_default();
    trial.note(format!("{phase}: the clock of {} is set off by {offset_ms} ms{how}", place.name));
    Ok(())
}

/// How many links were held, in what was seen.
fn held(seen: &[Sample]) -> u64 {
    let held = seen.iter().filter(|sample| sample.link.held_ms.is_some());
    let links: BTreeSet<(&str, &str)> =
        held.map(|sample| (sample.link.from.as_str(), sample.link.to.as_str())).collect();
    u64::try_from(links.len()).unwrap_or(u64::MAX)
}

/// Waits until the region shows, against every peer, that its clock is off by most of `offset_ms`;
/// how many it does not show it against.
async fn await_noticed(
    trial: &Trial<'_>,
    watch: &Watch,
    from_us: u64,
    wrong: &Place,
    offset_ms: i64,
) -> u64 {
    let wanted = trial.places.len() - 1;
    let began = Instant::now();
    loop {
        let seen = watch.between(from_us, trial.ground.now_us());
        let off = |sample: &&Sample| {
            let ahead_ms = sample.link.clock_offset_ms.unwrap_or_default().saturating_neg();
            sample.link.to == wrong.name
                && ahead_ms.signum() == offset_ms.signum()
                && ahead_ms.unsigned_abs() > offset_ms.unsigned_abs() / 10 * 9
        };
        let noticed: BTreeSet<&str> =
            seen.iter().filter(off).map(|sample| sample.link.from.as_str()).collect();
        if noticed.len() == wanted || began.elapsed() > trial.patience() {
            trial.note(format!("{} of {wanted} peers show that the clock is off", noticed.len()));
            return u64::try_from(wanted - noticed.len()).unwrap_or(u64::MAX);
        }
        trial.rest(Duration::from_millis(20)).await;
    }
}

/// Writes to keys of their own, in turn elsewhere and in the region whose clock is wrong, each
/// having seen the one before: how often one did not win against what it had seen.
async fn chains(trial: &Trial<'_>, wrong: &Place) -> Result<u64, Error> {
    let other = &trial.others(wrong)[0];
    let mut inversions = 0;
    for chain in 0..CHAINS {
        let key = format!("{}-chain-{chain}", trial.run);
        let mut before: Option<Stamp> = None;
        for (turn, place) in [other, wrong, other, wrong].into_iter().enumerate() {
            let value = format!("{turn} by {}", place.name);
            if let Some(before) = before {
                await_applied(trial, place, before).await?;
            }
            let put = Some(trial.put(place, &key, &value).await?);
            inversions += u64::from(put <= before);
            let shown = dynamo::get(&mut place.store(), TABLE, &key).await?;
            inversions += u64::from(shown.as_ref() != Some(&value));
            before = put;
        }
    }
    trial.note(format!("{CHAINS} chains of writes across the regions: {inversions} inversions"));
    Ok(inversions)
}

async fn await_applied(trial: &Trial<'_>, place: &Place, stamp: Stamp) -> Result<(), Error> {
    let began = Instant::now();
    while !place.applied().await?.covers(stamp) {
        if began.elapsed() > trial.patience() {
            return Err(Error::Region(format!("{} does not receive {stamp}", place.name)));
        }
        trial.rest(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Writes keys where the clock is ahead, and elsewhere when more than the bound has passed; the
/// versions of the later writes.
async fn race_the_future(
    trial: &Trial<'_>,
    wrong: &Place,
    phase: &str,
) -> Result<Vec<Stamp>, Error> {
    let other = &trial.others(wrong)[0];
    let key = |race: usize| format!("{}-future-{phase}-{race}", trial.run).replace(' ', "-");
    for race in 0..RACES {
        trial.put(wrong, &key(race), "early, by a fast clock").await?;
    }
    trial.rest(Duration::from_millis(CLOCK_SKEW_MS_MAX + 100)).await;
    let mut later = Vec::new();
    for race in 0..RACES {
        later.push(trial.put(other, &key(race), "later, by a clock that is right").await?);
    }
    Ok(later)
}

fn findings(trial: &Trial<'_>, wrong: &Place, seen: &Seen, settled: &Settled) -> Findings {
    let issued = trial.issued();
    let by_wrong = |write: &&Issued| write.stamp.origin.slot().get() == wrong.slot;
    let (own, others): (Vec<&Issued>, Vec<&Issued>) = issued.iter().partition(by_wrong);
    let (own_ms, others_ms) = (ahead_ms(own), ahead_ms(others));
    let check = |objective, bound, measured| Check { objective, bound, measured: Some(measured) };
    let mut checks = trial.promises(settled);
    checks.splice(
        3..3,
        [
            check("ahead_ms_of_others", Some(CLOCK_SKEW_MS_MAX), others_ms),
            check("ahead_ms_of_region", Some(CLOCK_SKEW_MS_MAX), own_ms),
            check("held", Some(0), seen.held),
            check("unnoticed", Some(0), seen.unnoticed),
            check("inversions", Some(0), seen.inversions),
            check("overtaken_by_the_future", Some(0), seen.overtaken),
        ],
    );
    let failures = trial.failures();
    let figures = json!({
        "failed_writes": failures.writes,
        "failed_reads": failures.reads,
        "excused": failures.excused,
        "offset_ms": millis(trial.options.offset),
        "ahead_ms_of_region": own_ms,
        "ahead_ms_of_others": others_ms,
        "overtaken_by_the_future": seen.overtaken,
    });
    Findings {
        region: wrong.name.clone(),
        checks,
        figures: figures.as_object().cloned().unwrap_or_default(),
        summary: format!(
            "{} issued stamps {own_ms} ms ahead of real time, the others {others_ms} ms; \
             {} of {} later writes lost to it",
            wrong.name,
            seen.overtaken,
            seen.later.len()
        ),
        listed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::LinkStatus;

    #[test]
    fn a_link_that_was_held_once_was_held() {
        let sample = |from: &str, held_ms| {
            let (from, to) = (from.to_string(), "b".to_string());
            Sample { at_us: 0, link: LinkStatus { from, to, held_ms, ..LinkStatus::default() } }
        };
        let seen = [sample("a", None), sample("a", Some(0)), sample("a", None), sample("c", None)];
        assert_eq!(held(&seen), 1);
        assert_eq!(held(&seen[2..]), 0);
    }
}
