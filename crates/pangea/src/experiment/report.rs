//! What an experiment says at its end: a timeline and a verdict.

use std::fmt;

use pangea_core::experiment::Check;
use serde::Serialize;

use super::audit::RegionAudit;

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
    /// The objective's key in the topology.
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

/// Everything that `--output json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the experiment.
    pub experiment: &'static str,
    /// The region that was lost.
    pub region: String,
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// Writes whose success was told to a client.
    pub acknowledged: u64,
    /// Of those, in some region neither present, nor overwritten, nor in the ledger.
    pub lost: u64,
    /// Of those, in the conflict ledger.
    pub in_ledger: u64,
    /// Of those, replaced by a write that had seen them.
    pub overwritten: u64,
    /// Acknowledged by the lost region and in no other region when it died.
    pub unreplicated_at_loss: u64,
    /// Of those, in every region after its return.
    pub unreplicated_arrived: u64,
    /// Age of the oldest of those when the region died, ms.
    pub rpo_ms: u64,
    /// From the kill until the edge called the region unhealthy, ms.
    pub detection_ms: Option<u64>,
    /// Recovery as clients of the accelerator saw it, ms.
    pub rto_accelerator_ms: Option<u64>,
    /// Recovery as clients of the DNS name saw it, ms.
    pub rto_dns_ms: Option<u64>,
    /// Failed requests of both kinds of clients.
    pub failed_requests: u64,
    /// Of those, through the accelerator.
    pub failed_accelerator: u64,
    /// Of those, through DNS.
    pub failed_dns: u64,
    /// All requests of both kinds of clients.
    pub requests: u64,
    /// From the end of the load until all regions had applied the same, ms.
    pub convergence_ms: Option<u64>,
    /// The objectives.
    pub objectives: Vec<ObjectiveReport>,
    /// One audit for each region.
    #[serde(rename = "audit")]
    pub(super) audits: Vec<RegionAudit>,
    /// Errors that failed requests met, with their counts.
    pub errors: Vec<(String, u64)>,
    /// The timeline.
    pub events: Vec<TimelineEvent>,
}

impl Report {
    /// Whether every objective was met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == "pass"
    }

    /// For people who have seen the timeline: objectives, audit, verdict.
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
        let header = ("audit", "present", "overwritten", "in ledger", "lost");
        lines.push(audit_line(header.0, [header.1, header.2, header.3, header.4]));
        for audit in &self.audits {
            let counts = [audit.present, audit.overwritten, audit.in_ledger, audit.lost];
            lines.push(audit_line(&audit.region, counts.map(|count| count.to_string())));
            lines.extend(audit.examples.iter().map(|what| format!("  lost: {what}")));
        }
        lines.push(String::new());
        lines.push(self.summary());
        lines.join("\n")
    }

    fn summary(&self) -> String {
        format!(
            "{}: {} acknowledged, {} lost, {} in the ledger, {} unreplicated at the loss and {} \
             of them arrived, {} of {} requests failed",
            self.verdict.to_uppercase(),
            self.acknowledged,
            self.lost,
            self.in_ledger,
            self.unreplicated_at_loss,
            self.unreplicated_arrived,
            self.failed_requests,
            self.requests,
        )
    }
}

fn audit_line(region: &str, cells: [impl AsRef<str>; 4]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{:>12}", cell.as_ref())).collect();
    format!("{region:<18}{}", cells.concat())
}

#[expect(clippy::cast_precision_loss, reason = "a time of day for people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
