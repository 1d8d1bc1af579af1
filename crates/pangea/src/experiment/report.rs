//! What an experiment says at its end: a timeline, accounts, and a verdict.

use std::collections::BTreeMap;
use std::fmt;

use pangea_core::experiment::{Check, missed};
use serde::Serialize;
use serde_json::{Map, Value};

use super::audit::{Account, RegionAudit, Wrong};
use super::load::Record;
use super::trial::{Settled, Trial};
use super::view::Comparison;
use super::{Error, Experiment};

/// Something that happened, on the experiment's clock.
#[derive(Clone, Debug, Serialize)]
pub struct TimelineEvent {
    /// Milliseconds since the experiment began.
    pub at_ms: u64,
    /// Milliseconds since the fault; none before it.
    pub since_fault_ms: Option<i64>,
    /// What happened.
    pub event: String,
}

impl fmt::Display for TimelineEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since_fault_ms.map(|ms| format!("{ms:+} ms")).unwrap_or_default();
        write!(f, "{:>8.3} s {since:>10}  {}", seconds(self.at_ms), self.event)
    }
}

/// An objective and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectiveReport {
    /// The objective's key.
    pub objective: &'static str,
    /// The bound; none where the topology sets none.
    pub bound: Option<u64>,
    /// What was measured; none if it never happened.
    pub measured: Option<u64>,
    /// Whether it was met.
    pub met: bool,
}

impl From<&Check> for ObjectiveReport {
    fn from(check: &Check) -> Self {
        let met = check.is_met();
        Self { objective: check.objective, bound: check.bound, measured: check.measured, met }
    }
}

/// What one experiment found beside what all of them do.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The region that it was about.
    pub(super) region: String,
    /// Its objectives, those of every experiment included, in the order in which they are shown.
    pub(super) checks: Vec<Check>,
    /// Its figures, as members of the report.
    pub(super) figures: Map<String, Value>,
    /// The end of its last line.
    pub(super) summary: String,
    /// Which failed requests are listed with their errors.
    pub(super) listed: Option<fn(&Record) -> bool>,
}

/// Everything that `--output json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the experiment.
    pub experiment: &'static str,
    /// The region that it was about.
    pub region: String,
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// Writes whose success was told to a client.
    pub acknowledged: u64,
    /// Of those, what is shown or in the causal past of what is shown, by the worst region.
    pub causal: u64,
    /// Of those, kept beside what is shown first.
    pub merged: u64,
    /// Of those, in the conflict ledger.
    pub in_ledger: u64,
    /// Of those, in some region none of these.
    pub lost: u64,
    /// Of those, replaced by a write that had seen them.
    pub overwritten: u64,
    /// From the end of the load until all regions had applied the same, ms.
    pub convergence_ms: Option<u64>,
    /// What this experiment measures.
    #[serde(flatten)]
    pub figures: Map<String, Value>,
    /// The objectives.
    pub objectives: Vec<ObjectiveReport>,
    /// The same account by phase, by kind of write, and of all.
    #[serde(rename = "accounts")]
    pub(super) accounts: Vec<Account>,
    /// One audit for each region.
    #[serde(rename = "audit")]
    pub(super) audits: Vec<RegionAudit>,
    /// What must not be.
    pub(super) wrong: Wrong,
    /// Whether all regions show the same.
    pub(super) comparison: Comparison,
    /// Errors that failed requests met, with their counts.
    pub errors: Vec<(String, u64)>,
    /// The timeline.
    pub events: Vec<TimelineEvent>,
    #[serde(skip)]
    summary: String,
}

impl Trial<'_> {
    /// The verdict.
    pub(super) fn report(
        &self,
        experiment: &Experiment,
        settled: Settled,
        findings: Findings,
    ) -> Result<Report, Error> {
        let Findings { region, mut checks, figures, summary, listed } = findings;
        for check in &mut checks {
            let wanted = self.options.objectives.iter().rev();
            let wanted = wanted.clone().find(|(name, _)| name == check.objective);
            check.bound = wanted.map(|(_, bound)| *bound).or(check.bound);
        }
        let named: Vec<&str> = checks.iter().map(|check| check.objective).collect();
        assert_eq!(named, experiment.objectives, "what is listed is what is checked");
        let audits = settled.audit.regions;
        let worst = |of: fn(&RegionAudit) -> u64| audits.iter().map(of).max().unwrap_or_default();
        let total = settled.audit.accounts.last().cloned().unwrap_or_default();
        let records = self.ground.records();
        let listed = listed.unwrap_or(|_| true);
        Ok(Report {
            experiment: experiment.name,
            region,
            verdict: if missed(&checks).is_empty() { "pass" } else { "fail" },
            acknowledged: settled.acknowledged,
            causal: total.causal,
            merged: total.merged,
            in_ledger: total.in_ledger,
            lost: total.lost,
            overwritten: worst(|audit| audit.overwritten),
            convergence_ms: settled.convergence.map(millis),
            figures,
            objectives: checks.iter().map(Into::into).collect(),
            accounts: settled.audit.accounts,
            audits,
            wrong: settled.audit.wrong,
            comparison: settled.comparison,
            errors: errors(records.iter().filter(|record| listed(record))),
            events: self.events(),
            summary,
        })
    }
}

/// Errors with their counts, by who met them.
fn errors<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<(String, u64)> {
    let mut counts = BTreeMap::new();
    for record in records {
        if let Some(error) = &record.error {
            let at = record.asked.as_deref().map(|name| format!(" at {name}")).unwrap_or_default();
            *counts.entry(format!("{}{at}: {error}", record.path.as_str())).or_insert(0) += 1;
        }
    }
    counts.into_iter().collect()
}

/// Whole milliseconds.
pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds, begun ones included: what took any time took one.
pub(super) fn seconds_begun(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Report {
    /// Whether every objective was met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == "pass"
    }

    /// For people who have seen the timeline: objectives, accounts, audit, verdict.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        lines.push(format!("{:<26} {:>10} {:>10}", "objective", "bound", "measured"));
        for objective in &self.objectives {
            let show =
                |value: Option<u64>| value.map_or_else(|| "-".to_string(), |v| v.to_string());
            let mark = if objective.met { "met" } else { "MISSED" };
            let (bound, measured) = (show(objective.bound), show(objective.measured));
            lines.push(format!("{:<26} {bound:>10} {measured:>10}  {mark}", objective.objective));
        }
        lines.push(String::new());
        lines.extend(self.account_lines());
        lines.push(String::new());
        let header = ["present", "overwritten", "merged", "in ledger", "lost"];
        lines.push(table_line("audit", header));
        for audit in &self.audits {
            let RegionAudit { present, overwritten, merged, in_ledger, lost, .. } = audit;
            let counts = [present, overwritten, merged, in_ledger, lost];
            lines.push(table_line(&audit.region, counts.map(|count| count.to_string())));
            lines.extend(audit.examples.iter().map(|what| format!("  lost: {what}")));
        }
        let wrong = self.wrong.examples.iter().chain(&self.comparison.examples);
        lines.extend(wrong.map(|what| format!("  wrong: {what}")));
        lines.push(String::new());
        lines.push(self.last_line());
        lines.join("\n")
    }

    /// The account by phase and in all.
    fn account_lines(&self) -> Vec<String> {
        let header = ["acknowledged", "causal", "merged", "in ledger", "lost"];
        let mut lines = vec![table_line("writes", header)];
        let tables = self.accounts.iter().filter(|account| account.by == "table").count();
        let told = |account: &&Account| match account.by {
            "kind" => false,
            "table" => tables > 1,
            _ => true,
        };
        for account in self.accounts.iter().filter(told) {
            let Account { acknowledged, causal, merged, in_ledger, lost, .. } = account;
            let counts = [acknowledged, causal, merged, in_ledger, lost];
            lines.push(table_line(&account.name, counts.map(|count| count.to_string())));
        }
        lines
    }

    fn last_line(&self) -> String {
        format!(
            "{}: {} acknowledged, {} lost, {} in the ledger, {}",
            self.verdict.to_uppercase(),
            self.acknowledged,
            self.lost,
            self.in_ledger,
            self.summary,
        )
    }
}

fn table_line(name: &str, cells: [impl AsRef<str>; 5]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{:>13}", cell.as_ref())).collect();
    format!("{name:<27}{}", cells.concat())
}

#[expect(clippy::cast_precision_loss, reason = "a time of day for people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
