//! The experiment `kill-during-bootstrap`: a new replica copies a table that is being written, and
//! both ends of the copy are killed in the middle of it, several times.
//!
//! The copy is made slow by distance, so that there is a middle on any machine, and how far it is
//! is asked of the joining region, row by row of a sample.

use std::time::{Duration, Instant};

use pangea_core::experiment::Check;
use serde_json::json;
use tokio::task::JoinSet;

use super::audit::Acknowledged;
use super::place::Place;
use super::report::{Findings, seconds_begun};
use super::trial::{Settled, Trial};
use super::view::View;
use super::writer::row_key;
use super::{Error, Experiment, dynamo};
use crate::inject::Fault;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "kill-during-bootstrap",
    does: "kill both ends of a new replica's copy in the middle of it",
    objectives: &[
        "lost",
        "failed_writes",
        "failed_reads",
        "missed_kills",
        "rows_missing",
        "bootstrap_s",
        "convergence_s",
        "differences",
        "wrong_values",
        "false_conflicts",
        "wrong_severity",
        "double_claims",
        "stamp_regressions",
    ],
};

/// Distance while the copy shall last: each chunk of 512 rows takes twice this.
const DISTANCE_MS: u64 = 400;
/// Rows that are asked for to see how far the copy is.
const SAMPLE: usize = 40;
/// Clients that fill the table.
const FILLERS: usize = 4;
/// How long a killed region is away.
const AWAY: Duration = Duration::from_millis(300);

struct Bootstrap<'t, 'a> {
    trial: &'t mut Trial<'a>,
    table: String,
    joiner: Place,
    donor: Place,
    missed_kills: u64,
}

/// Runs it to the audit.
pub(super) async fn run(trial: &mut Trial<'_>) -> Result<(Settled, Findings), Error> {
    trial.expect_well(2).await?;
    let joiner = trial.subject(trial.places.len() - 1)?;
    let holders = trial.others(&joiner);
    let (donor, table) = (holders[0].clone(), format!("{}-{}", super::trial::TABLE, trial.run));
    let mut bootstrap = Bootstrap { trial, table, joiner, donor, missed_kills: 0 };
    let outcome = bootstrap.run(&holders).await;
    bootstrap.clean_up(&holders).await;
    outcome
}

impl Bootstrap<'_, '_> {
    async fn run(&mut self, holders: &[Place]) -> Result<(Settled, Findings), Error> {
        let rows = self.trial.options.rows;
        self.fill(holders, rows).await?;
        self.trial.start_clients(holders, &self.table, rows, None);
        self.trial.rest(self.trial.options.before).await;
        self.distance(true).await?;
        self.trial.ground.set_phase("copying");
        self.trial.fault_begins();
        let mut home = self.donor.store();
        dynamo::change_replica(&mut home, &self.table, "Create", &self.joiner.name).await?;
        self.trial.note(format!("{} copies the table from {rows} rows on", self.joiner.name));
        let kills = self.trial.options.kills * 2;
        for kill in 0..kills {
            let victim = if kill % 2 == 0 { self.joiner.clone() } else { self.donor.clone() };
            // All in the first half: a region that comes back is near until it is moved away again,
            // and what is left of the copy must outlast that.
            self.kill_at((kill + 1) * SAMPLE / (2 * (kills + 1)), &victim).await?;
        }
        self.distance(false).await?;
        let took = self.await_active().await?;
        self.trial.ground.set_phase("after");
        let joiner = [self.joiner.clone()];
        self.trial.start_clients(&joiner, &self.table, rows, None);
        self.trial.rest(self.trial.options.after).await;
        self.trial.tables.push(self.table.clone());
        let settled = self.trial.settle().await?;
        let all = self.trial.acknowledged();
        let missing = missing(&settled.views, &self.table, &self.trial.run, rows, &all);
        let findings = self.findings(took, missing, &settled);
        Ok((settled, findings))
    }

    async fn fill(&self, holders: &[Place], rows: usize) -> Result<(), Error> {
        let others: Vec<String> = holders[1..].iter().map(|place| place.name.clone()).collect();
        let (mut home, patience) = (self.donor.store(), self.trial.patience());
        dynamo::ensure_table(&mut home, &self.table, &others, patience).await?;
        let run = &self.trial.run;
        let all: Vec<_> = (0..rows).map(|row| (row_key(run, row), filler(row))).collect();
        let mut filling = JoinSet::new();
        for share in all.chunks(rows.div_ceil(FILLERS).max(1)) {
            let (mut store, table, share) =
                (self.donor.store(), self.table.clone(), share.to_vec());
            filling.spawn(async move { dynamo::fill(&mut store, &table, &share).await });
        }
        while let Some(filled) = filling.join_next().await {
            filled.map_err(|error| Error::Region(error.to_string()))??;
        }
        self.trial.note(format!("{rows} rows in a table of {}", self.donor.name));
        Ok(())
    }

    /// Moves the joining region away from all others, or back.
    async fn distance(&self, far: bool) -> Result<(), Error> {
        for other in self.trial.others(&self.joiner) {
            for (told, peer) in [(&self.joiner, &other), (&other, &self.joiner)] {
                let peer = peer.name.clone();
                let fault = match far {
                    true => Fault::Delay { peer, delay_ms: DISTANCE_MS },
                    false => Fault::Heal { peer },
                };
                told.inject(&fault).await?;
            }
        }
        Ok(())
    }

    /// How many rows of the sample the joining region has.
    async fn copied(&self) -> Result<usize, Error> {
        let rows = self.trial.options.rows;
        let row = |at: usize| row_key(&self.trial.run, at * rows / SAMPLE);
        let sample = (0..SAMPLE).map(|at| (self.table.clone(), row(at))).collect();
        let kept = self.joiner.kept(sample).await;
        match kept {
            Ok(kept) => Ok(kept.values().filter(|kept| !kept.versions.is_empty()).count()),
            // It has not heard of the table yet.
            Err(dynamo::Error::Refused { status: 404, .. }) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the joining region serves the table.
    async fn is_active(&self) -> Result<bool, Error> {
        match dynamo::describe(&mut self.joiner.store(), &self.table).await {
            Ok(described) => Ok(described["TableStatus"] == "ACTIVE"),
            Err(dynamo::Error::Refused { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Kills a region once so much of the sample is copied, and starts it again.
    async fn kill_at(&mut self, wanted: usize, victim: &Place) -> Result<(), Error> {
        let began = Instant::now();
        let mut copied = self.copied().await?;
        while copied < wanted && began.elapsed() < self.trial.patience() {
            self.trial.rest(Duration::from_millis(20)).await;
            copied = self.copied().await?;
        }
        if copied == 0 || copied == SAMPLE || self.is_active().await? {
            self.missed_kills += 1;
        }
        self.trial.note(format!("{copied} of {SAMPLE} sampled rows are copied"));
        self.trial.kill(victim)?;
        self.trial.rest(AWAY).await;
        self.trial.start(victim).await?;
        self.distance(true).await
    }

    async fn await_active(&self) -> Result<Option<Duration>, Error> {
        let bound = Duration::from_secs(self.trial.options.topology.objectives.bootstrap_s);
        let began = Instant::now();
        while !self.is_active().await? {
            if began.elapsed() > bound.max(self.trial.patience()) {
                self.trial.note(format!("{} does not serve the table", self.joiner.name));
                return Ok(None);
            }
            self.trial.rest(Duration::from_millis(20)).await;
        }
        self.trial.note(format!("{} serves the table", self.joiner.name));
        Ok(Some(began.elapsed()))
    }

    fn findings(&self, took: Option<Duration>, missing: u64, settled: &Settled) -> Findings {
        let objectives = &self.trial.options.topology.objectives;
        let check = |objective, bound, measured| Check { objective, bound: Some(bound), measured };
        let mut checks = self.trial.promises(settled);
        checks.splice(
            3..3,
            [
                check("missed_kills", 0, Some(self.missed_kills)),
                check("rows_missing", 0, Some(missing)),
                check("bootstrap_s", objectives.bootstrap_s, took.map(seconds_begun)),
            ],
        );
        let (failures, kills) = (self.trial.failures(), self.trial.options.kills * 2);
        let rows = self.trial.options.rows;
        let figures = json!({
            "donor": self.donor.name,
            "rows": rows,
            "kills": kills,
            "failed_writes": failures.writes,
            "failed_reads": failures.reads,
            "excused": failures.excused,
        });
        Findings {
            region: self.joiner.name.clone(),
            checks,
            figures: figures.as_object().cloned().unwrap_or_default(),
            summary: format!("{missing} of {rows} rows missing after {kills} kills"),
            listed: None,
        }
    }

    /// Takes the table away again; what cannot be is left, and said.
    async fn clean_up(&self, holders: &[Place]) {
        let (mut home, began) = (self.donor.store(), Instant::now());
        let replicas = holders[1..].iter().chain([&self.joiner]);
        for place in replicas {
            // It may never have been made.
            let _ = dynamo::change_replica(&mut home, &self.table, "Delete", &place.name).await;
        }
        let body = json!({"TableName": self.table});
        while let Err(error) = dynamo::dynamodb(&mut home, "DeleteTable", &body).await {
            if began.elapsed() > self.trial.patience() {
                return self.trial.note(format!("table {} is left: {error}", self.table));
            }
            self.trial.rest(Duration::from_millis(200)).await;
        }
    }
}

/// What a row holds before anyone changes it.
fn filler(row: usize) -> String {
    format!("row {row} {}", "filler ".repeat(30))
}

/// Rows that some region does not have, or has as they were although someone changed them, or the
/// other way round.
fn missing(views: &[View], table: &str, run: &str, rows: usize, all: &Acknowledged) -> u64 {
    let changed = all.items();
    let mut missing = 0;
    for view in views {
        for row in 0..rows {
            let key = row_key(run, row);
            let item = view.contents.get(table).and_then(|items| items.get(&key));
            let shown = item.and_then(|item| item["v"]["S"].as_str());
            let is_changed = changed.binary_search(&(table.to_string(), key)).is_ok();
            let right = match shown {
                None => false,
                Some(value) => is_changed || value == filler(row),
            };
            missing += u64::from(!right);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_gone_or_not_as_written_are_missing() {
        let key = |row| row_key("x", row);
        let mut view = View::default();
        let items = view.contents.entry("t".to_string()).or_default();
        items.insert(key(0), json!({"v": {"S": filler(0)}}));
        items.insert(key(1), json!({"v": {"S": "changed by nobody"}}));
        let none = Acknowledged::default();
        assert_eq!(missing(&[view.clone()], "t", "x", 1, &none), 0);
        assert_eq!(missing(&[view], "t", "x", 3, &none), 2);
    }
}
