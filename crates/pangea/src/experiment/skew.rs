//! The experiment `skew`: one region's wall clock is wrong while it serves.
//!
//! It drifts ahead within the bound, steps ahead beyond it, is killed and starts again with the
//! right time, falls behind within the bound, then far behind, and is right again. A region beyond
//! the bound must have its stream held by the others; no other region may ever issue stamps beyond
//! real time and the bound; no region's stamps may run backwards; whoever has seen a write must win
//! against it; and every acknowledged write must be there or in the ledger when all is over.
//!
//! What it measures and does not judge: writes elsewhere that lose to one of the fast clock
//! although they came later by more than the bound. A region that is ahead wins against what it
//! had not seen; only fencing itself would end that, and it does not yet. They are in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pangea_core::experiment::{Check, Issued, ahead_ms};
use pangea_core::limits::CLOCK_SKEW_MS_MAX;
use pangea_core::time::Stamp;
use serde_json::json;

use super::load::wall_ms;
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
        "held_within_bound",
        "not_held",
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
/// Keys that are written early by the fast clock, and later by a right one.
const RACES: usize = 3;

/// What was seen of the holds.
#[derive(Clone, Copy, Debug, Default)]
struct Holds {
    /// Streams that were held although the clock was within the bound.
    within_bound: u64,
    /// Streams that were not although it was beyond.
    missing: u64,
}

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
    let mut holds = Holds::default();

    let from_us = trial.fault_begins();
    let during_ms = millis(trial.options.during).max(1);
    let slew = TOLERATED_MS.unsigned_abs() * 1000 / during_ms + 1;
    set(trial, &wrong, TOLERATED_MS, Some(slew), "drifting").await?;
    trial.rest(trial.options.during).await;
    let seen = watch.between(from_us, trial.ground.now_us());
    holds.within_bound += held(&seen, |link| link.from == wrong.name);

    let from_us = trial.ground.now_us();
    set(trial, &wrong, offset_ms, None, "ahead").await?;
    let later = race_the_future(trial, &wrong).await?;
    trial.rest(trial.options.during).await;
    let hears = |link: &crate::status::LinkStatus| link.from == wrong.name;
    holds.missing += await_held(trial, &watch, from_us, hears).await;

    trial.ground.set_phase("restarting");
    trial.kill(&wrong)?;
    trial.start(&wrong).await?;
    catch_up(trial, &wrong).await?;

    set(trial, &wrong, -TOLERATED_MS, None, "behind").await?;
    let inversions = chains(trial, &wrong).await?;

    let from_us = trial.ground.now_us();
    set(trial, &wrong, BEHIND_MS, None, "far behind").await?;
    trial.rest(trial.options.during).await;
    let hears = |link: &crate::status::LinkStatus| link.to == wrong.name;
    holds.missing += await_held(trial, &watch, from_us, hears).await;

    set(trial, &wrong, 0, None, "after").await?;
    trial.rest(trial.options.after).await;
    let settled = trial.settle().await?;
    let lost = settled.views.iter().flat_map(|view| &view.conflicts);
    let lost = lost.flat_map(|entry| entry.losers());
    let lost: BTreeSet<Stamp> = lost.map(|loser| loser.stamp).collect();
    let overtaken = later.iter().filter(|stamp| lost.contains(stamp)).count();
    let overtaken = u64::try_from(overtaken).unwrap_or(u64::MAX);
    trial.note(format!("{overtaken} of {} later writes lost to the future", later.len()));
    let findings = findings(trial, &wrong, holds, inversions, overtaken, &settled);
    Ok((settled, findings))
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

/// How many of the links that are meant were held, in what was seen.
fn held(seen: &[Sample], meant: impl Fn(&crate::status::LinkStatus) -> bool) -> u64 {
    let mut links: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for Sample { link, .. } in seen.iter().filter(|sample| meant(&sample.link)) {
        *links.entry((&link.from, &link.to)).or_default() |= link.held_ms.is_some();
    }
    links.into_values().map(u64::from).sum()
}

/// Waits a while for all links that are meant to be held; how many were not.
async fn await_held(
    trial: &Trial<'_>,
    watch: &Watch,
    from_us: u64,
    meant: impl Fn(&crate::status::LinkStatus) -> bool + Copy,
) -> u64 {
    let wanted = u64::try_from(trial.places.len() - 1).unwrap_or(u64::MAX);
    let began = Instant::now();
    loop {
        let missing = wanted - held(&watch.between(from_us, trial.ground.now_us()), meant);
        // Long enough for a busy machine, too short for real time to reach the stamps.
        if missing == 0 || began.elapsed() > trial.options.offset / 2 {
            trial.note(format!("{} of {wanted} streams were held", wanted - missing));
            return missing;
        }
        trial.rest(Duration::from_millis(20)).await;
    }
}

/// Waits until real time has reached the stamps that the region issued while it was ahead.
async fn catch_up(trial: &Trial<'_>, wrong: &Place) -> Result<(), Error> {
    trial.ground.set_phase("catching up");
    let began = Instant::now();
    loop {
        let own = wrong.applied().await?;
        let own = own.iter().filter(|(origin, _)| origin.slot().get() == wrong.slot);
        let newest_ms = own.map(|(_, hlc)| hlc.wall_ms()).max().unwrap_or_default();
        let mut held = false;
        for place in trial.others(wrong) {
            let report = place.report().await?;
            held |= report.links.iter().any(|link| link.held_ms.is_some());
        }
        if newest_ms <= wall_ms() && !held {
            trial.note(format!("real time has caught up with {}", wrong.name));
            return Ok(());
        }
        if began.elapsed() > trial.options.offset + trial.patience() {
            return Err(Error::Region(format!("{} is held for ever", wrong.name)));
        }
        trial.rest(Duration::from_millis(50)).await;
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
async fn race_the_future(trial: &Trial<'_>, wrong: &Place) -> Result<Vec<Stamp>, Error> {
    let other = &trial.others(wrong)[0];
    let key = |race: usize| format!("{}-future-{race}", trial.run);
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

fn findings(
    trial: &Trial<'_>,
    wrong: &Place,
    holds: Holds,
    inversions: u64,
    overtaken: u64,
    settled: &Settled,
) -> Findings {
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
            check("held_within_bound", Some(0), holds.within_bound),
            check("not_held", Some(0), holds.missing),
            check("inversions", Some(0), inversions),
            check("overtaken_by_the_future", None, overtaken),
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
        "overtaken_by_the_future": overtaken,
    });
    Findings {
        region: wrong.name.clone(),
        checks,
        figures: figures.as_object().cloned().unwrap_or_default(),
        summary: format!(
            "{} issued stamps {own_ms} ms ahead of real time, the others {others_ms} ms; \
             {overtaken} of {RACES} later writes lost to it",
            wrong.name
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
        assert_eq!(held(&seen, |_| true), 1);
        assert_eq!(held(&seen, |link| link.from == "c"), 0);
    }
}
