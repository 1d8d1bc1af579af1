//! The experiments `link-cut`, `link-cut-one-way`, `link-cut-one` and `splits`: regions that do
//! not hear each other go on serving, and every write that they take meanwhile is accounted for.
//!
//! A split is a set of cuts, each of the rows from one region to another. While it lasts, nothing
//! may cross a cut and everything else must flow; both are read off the regions' applied vectors.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pangea_core::catalog::Policy;
use pangea_core::experiment::Check;
use pangea_core::merge::VersionVector;
use pangea_core::time::{Hlc, Stamp};
use serde::Serialize;
use serde_json::json;

use super::place::Place;
use super::report::{Findings, millis};
use super::trial::{Settled, TABLE, Trial};
use super::{Error, Experiment, dynamo};
use crate::inject::{Direction, Fault};

const OBJECTIVES: &[&str] = &[
    "lost",
    "failed_writes",
    "failed_reads",
    "crossed",
    "stalled",
    "convergence_s",
    "differences",
    "wrong_values",
    "false_conflicts",
    "wrong_severity",
    "double_claims",
    "stamp_regressions",
];

pub(super) const CUT: Experiment = Experiment {
    name: "link-cut",
    does: "cut one region off from all others, both ways, and heal it",
    objectives: OBJECTIVES,
};
pub(super) const ONE_WAY: Experiment = Experiment {
    name: "link-cut-one-way",
    does: "let nobody hear one region, which hears all others, and heal it",
    objectives: OBJECTIVES,
};
pub(super) const ONE: Experiment = Experiment {
    name: "link-cut-one",
    does: "cut one link of three, both ways, and heal it",
    objectives: OBJECTIVES,
};
pub(super) const SPLITS: Experiment = Experiment {
    name: "splits",
    does: "every kind of cut in turn, and one account of all writes",
    objectives: OBJECTIVES,
};

/// Merge policies that keep concurrent writes, where this build has them.
const KEEPING: [&str; 2] = ["siblings", "crdt"];

/// What was in flight when a cut began is applied once nothing has come for so long.
const QUIET: Duration = Duration::from_millis(300);
/// It is not waited for longer.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(10);

/// A set of cuts, each from one region to another, by their places in the topology.
struct Split {
    name: &'static str,
    cuts: BTreeSet<(usize, usize)>,
    blackhole: bool,
}

/// What was measured of one split.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    split: &'static str,
    /// Writes that crossed a cut with no way around it.
    crossed: u64,
    /// Writes that came around a cut, over other regions.
    relayed: u64,
    /// Flows that no cut touched, and on which nothing came.
    stalled: u64,
    /// From the heal until every region heard every other, ms.
    healed_ms: u64,
}

impl Split {
    fn new(name: &'static str, cuts: impl IntoIterator<Item = (usize, usize)>) -> Self {
        Self { name, cuts: cuts.into_iter().collect(), blackhole: false }
    }

    /// Whether rows of `from` may reach `to` over regions between which nothing is cut.
    fn has_way(&self, from: usize, to: usize, regions: usize) -> bool {
        let mut reached = BTreeSet::from([from]);
        loop {
            let next = (0..regions).find(|at| {
                let heard = reached.iter().any(|by| !self.cuts.contains(&(*by, *at)));
                !reached.contains(at) && heard
            });
            match next {
                Some(at) => reached.insert(at),
                None => return reached.contains(&to),
            };
        }
    }

    fn silent(self) -> Self {
        Self { blackhole: true, ..self }
    }
}

/// Both ways between `one` and each of `others`.
fn both(one: usize, others: impl IntoIterator<Item = usize>) -> Vec<(usize, usize)> {
    others.into_iter().flat_map(|other| [(one, other), (other, one)]).collect()
}

/// The splits of an experiment of these regions: `at` is the one that it is about, `peer` another.
fn splits(name: &str, regions: usize, at: usize, peer: usize) -> Vec<Split> {
    let others: Vec<usize> = (0..regions).filter(|other| *other != at).collect();
    let out = |others: &[usize]| others.iter().map(|other| (at, *other)).collect::<Vec<_>>();
    if name == CUT.name {
        return vec![Split::new("cut off", both(at, others))];
    }
    if name == ONE_WAY.name {
        return vec![Split::new("unheard", out(&others))];
    }
    if name == ONE.name {
        return vec![Split::new("one link", both(at, [peer]))];
    }
    let ring = (0..regions).map(|from| (from, (from + 1) % regions));
    let all = (0..regions).flat_map(|from| (0..regions).map(move |to| (from, to)));
    let all = all.filter(|(from, to)| from != to);
    vec![
        Split::new("one link", both(at, [peer])),
        Split::new("one link, one way", [(at, peer)]),
        Split::new("one link, silent", both(at, [peer])).silent(),
        Split::new("cut off", both(at, others.clone())),
        Split::new("unheard", out(&others)),
        Split::new("ring", ring),
        Split::new("all apart", all).silent(),
    ]
}

/// Runs the experiment called `name` to the audit.
pub(super) async fn run(
    trial: &mut Trial<'_>,
    name: &'static str,
) -> Result<(Settled, Findings), Error> {
    let needed = if name == CUT.name || name == ONE_WAY.name { 2 } else { 3 };
    trial.expect_well(needed).await?;
    let subject = trial.subject(0)?;
    let place_of = |place: &Place| trial.places.iter().position(|it| it.name == place.name);
    let at = place_of(&subject).unwrap_or_default();
    let peer = trial.named(trial.options.peer.as_deref(), (at + 1) % trial.places.len())?;
    let peer = place_of(&peer).unwrap_or_default();
    if peer == at {
        return Err(Error::Unfit("--region and --peer are the same region".to_string()));
    }
    let places = trial.places.clone();
    trial.start_clients(&places, TABLE, 0, None);
    if name == SPLITS.name {
        keep_siblings(trial).await?;
    }
    trial.rest(trial.options.before).await;
    let mut measured = Vec::new();
    for split in splits(name, places.len(), at, peer) {
        if trial.fault_us.is_none() {
            trial.fault_begins();
        }
        measured.push(run_split(trial, &split).await?);
    }
    trial.ground.set_phase("after");
    trial.rest(trial.options.after).await;
    let settled = trial.settle().await?;
    if settled.audit.accounts.last().is_none_or(|all| all.in_ledger + all.merged == 0) {
        let text = "no two regions wrote the same key while they were apart: run it longer";
        return Err(Error::Unfit(text.to_string()));
    }
    let findings = findings(trial, subject.name, &measured, &settled);
    Ok((settled, findings))
}

/// Tables that keep concurrent writes instead of letting one win, so that the account has writes
/// that are merged.
async fn keep_siblings(trial: &mut Trial<'_>) -> Result<(), Error> {
    let places = trial.places.clone();
    let others: Vec<String> = places[1..].iter().map(|place| place.name.clone()).collect();
    for policy in KEEPING.into_iter().filter(|policy| Policy::WORDS.contains(policy)) {
        let table = format!("{TABLE}-{policy}");
        let (mut home, patience) = (places[0].store(), trial.patience());
        dynamo::ensure_table(&mut home, &table, &others, patience).await?;
        places[0].set_policy(&table, policy).await?;
        trial.start_clients(&places, &table, 0, Some(1));
        trial.tables.push(table);
    }
    Ok(())
}

async fn run_split(trial: &Trial<'_>, split: &Split) -> Result<Measured, Error> {
    trial.ground.set_phase(split.name);
    for (from, to) in &split.cuts {
        cut(trial, *from, *to, split.blackhole).await?;
    }
    let pairs: Vec<String> = split
        .cuts
        .iter()
        .map(|(from, to)| format!("{} to {}", trial.places[*from].name, trial.places[*to].name))
        .collect();
    let how = if split.blackhole { " in silence" } else { "" };
    trial.note(format!("{}: no rows{how} from {}", split.name, pairs.join(", ")));
    let before = quiet(trial, split).await?;
    trial.rest(trial.options.during).await;
    let after = vectors(trial).await?;
    let Flows { crossed, relayed, stalled } = flows(trial, split, &before, &after);
    trial.note(format!(
        "{}: {crossed} writes crossed, {relayed} came around, {stalled} flows stalled",
        split.name
    ));
    trial.ground.set_phase("healing");
    for place in &trial.places {
        for peer in trial.others(place) {
            place.inject(&Fault::Heal { peer: peer.name }).await?;
        }
    }
    let healed = trial.await_links().await?;
    trial.note(format!("{}: healed, all links are up after {} ms", split.name, millis(healed)));
    Ok(Measured { split: split.name, crossed, relayed, stalled, healed_ms: millis(healed) })
}

/// Stops the rows from one region to another, at both ends.
async fn cut(trial: &Trial<'_>, from: usize, to: usize, blackhole: bool) -> Result<(), Error> {
    let (from, to) = (&trial.places[from], &trial.places[to]);
    for (told, peer, direction) in [(from, to, Direction::Out), (to, from, Direction::In)] {
        let peer = peer.name.clone();
        told.inject(&Fault::Cut { peer, direction, blackhole }).await?;
    }
    Ok(())
}

/// What every region has applied, in the order of the topology.
async fn vectors(trial: &Trial<'_>) -> Result<Vec<VersionVector>, Error> {
    let mut vectors = Vec::new();
    for place in &trial.places {
        vectors.push(place.applied().await?);
    }
    Ok(vectors)
}

/// What `vector` has of a region's newest life.
fn newest(vector: &VersionVector, of: &Place) -> Hlc {
    let lives = vector.iter().filter(|(origin, _)| origin.slot().get() == of.slot);
    lives.map(|(_, hlc)| hlc).max().unwrap_or_default()
}

/// Waits until what was on its way when the cuts began has been applied.
async fn quiet(trial: &Trial<'_>, split: &Split) -> Result<Vec<VersionVector>, Error> {
    let cut = |vectors: &[VersionVector]| -> Vec<Hlc> {
        let place = |(from, to): &(usize, usize)| newest(&vectors[*to], &trial.places[*from]);
        split.cuts.iter().map(place).collect()
    };
    let began = Instant::now();
    let mut last = vectors(trial).await?;
    loop {
        trial.rest(QUIET).await;
        let now = vectors(trial).await?;
        if cut(&now) == cut(&last) || began.elapsed() > QUIET_WAIT_MAX {
            return Ok(now);
        }
        last = now;
    }
}

/// See [`Measured`].
#[derive(Clone, Copy, Debug, Default)]
struct Flows {
    crossed: u64,
    relayed: u64,
    stalled: u64,
}

/// Writes that crossed a cut or came around it, and flows beside the cuts on which nothing came.
fn flows(
    trial: &Trial<'_>,
    split: &Split,
    before: &[VersionVector],
    after: &[VersionVector],
) -> Flows {
    let stamps: Vec<Stamp> = trial.issued().iter().map(|issued| issued.stamp).collect();
    let mut flows = Flows::default();
    // What any other region had by then may still be passed on among them: it crosses nothing.
    let known = |from: usize, place: &Place| {
        let others = before.iter().enumerate().filter(|(at, _)| *at != from);
        others.map(|(_, vector)| newest(vector, place)).max().unwrap_or_default()
    };
    for (to, (had, after)) in before.iter().zip(after).enumerate() {
        for (from, place) in trial.places.iter().enumerate().filter(|(from, _)| *from != to) {
            let (then, now) = (known(from, place), newest(after, place));
            if !split.cuts.contains(&(from, to)) {
                flows.stalled += u64::from(now <= newest(had, place));
            } else if now > then {
                let came = |stamp: &&Stamp| {
                    let of_region = stamp.origin.slot().get() == place.slot;
                    of_region && stamp.hlc > then && stamp.hlc <= now
                };
                // Also where nothing of it was acknowledged yet: a region's own rows.
                let count = stamps.iter().filter(came).count().max(1);
                let around = split.has_way(from, to, trial.places.len());
                let met = if around { &mut flows.relayed } else { &mut flows.crossed };
                *met += u64::try_from(count).unwrap_or(u64::MAX);
            }
        }
    }
    flows
}

fn findings(
    trial: &Trial<'_>,
    region: String,
    measured: &[Measured],
    settled: &Settled,
) -> Findings {
    let sum = |of: fn(&Measured) -> u64| Some(measured.iter().map(of).sum());
    let check = |objective, measured| Check { objective, bound: Some(0), measured };
    let mut checks = trial.promises(settled);
    checks.splice(
        3..3,
        [check("crossed", sum(|it| it.crossed)), check("stalled", sum(|it| it.stalled))],
    );
    let failures = trial.failures();
    let figures = json!({
        "failed_writes": failures.writes,
        "failed_reads": failures.reads,
        "splits": measured,
    });
    Findings {
        region,
        checks,
        figures: figures.as_object().cloned().unwrap_or_default(),
        summary: format!(
            "{} of {} requests failed",
            failures.writes + failures.reads,
            trial.ground.records().len()
        ),
        listed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(name: &str) -> Vec<Vec<(usize, usize)>> {
        let split = |split: Split| split.cuts.into_iter().collect();
        splits(name, 3, 0, 1).into_iter().map(split).collect()
    }

    #[test]
    fn each_experiment_cuts_what_it_says() {
        assert_eq!(cuts("link-cut"), [[(0, 1), (0, 2), (1, 0), (2, 0)]]);
        assert_eq!(cuts("link-cut-one-way"), [[(0, 1), (0, 2)]]);
        assert_eq!(cuts("link-cut-one"), [[(0, 1), (1, 0)]]);
        let all = cuts("splits");
        assert_eq!(all.len(), 7);
        assert_eq!(all[1], [(0, 1)]);
        let around = |name: &str| {
            let of = |split: &Split| {
                let cuts: Vec<_> = split.cuts.iter().copied().collect();
                cuts.iter().filter(|(from, to)| split.has_way(*from, *to, 3)).count()
            };
            splits(name, 3, 0, 1).iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(around("link-cut"), [0]);
        assert_eq!(around("link-cut-one-way"), [0]);
        assert_eq!(around("link-cut-one"), [2]);
        assert_eq!(around("splits"), [2, 1, 2, 0, 0, 3, 0]);
        assert_eq!(all[5], [(0, 1), (1, 2), (2, 0)]);
        assert_eq!(all[6].len(), 6);
        let names: BTreeSet<_> = splits("splits", 3, 0, 1).iter().map(|split| split.name).collect();
        assert_eq!(names.len(), 7, "an account by phase tells them apart");
    }
}
