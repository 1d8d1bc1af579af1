//! Anti-entropy as the admin API and the command line show it.

use std::net::SocketAddr;
use std::time::Duration;

use pangea_core::item::{KeyValue, PrimaryKey};
use pangea_core::repair::{Fate, Finding, Report, Skip, Wrong};
use serde::{Deserialize, Serialize};

use crate::http_client::{self, Ask, Client};
use crate::versions::format_stamp;

/// Where a region's admin API takes runs, and shows the last one.
pub const PATH: &str = "/v1/repair";
/// A region has this long to answer; a run takes as long as it takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is asked whether a run is over.
const POLL: Duration = Duration::from_millis(100);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// One table, by name; none for all.
    pub table: Option<String>,
    /// Whether rows are verified.
    pub verify: bool,
    /// Whether other regions are compared with.
    pub compare: bool,
}

/// What `GET /v1/repair` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Counts the runs of this process that were asked for.
    pub run: u64,
    /// Whether that run is under way.
    pub running: bool,
    /// What it found so far, or in all.
    pub report: RunReport,
}

/// A run of one region.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Tables looked at, the catalog among them.
    pub tables: u64,
    /// Buckets verified; a table has 256.
    pub buckets: u64,
    /// Rows verified.
    pub rows: u64,
    /// Buckets equal to another region's by their fingerprints.
    pub buckets_equal: u64,
    /// Versions compared one by one.
    pub versions_compared: u64,
    /// Findings that are damaged rows.
    pub damaged: u64,
    /// Findings that are differences from another region.
    pub differing: u64,
    /// Findings that are as they should be now.
    pub repaired: u64,
    /// Versions that were nowhere else.
    pub lost: u64,
    /// Findings that are still as they were.
    pub left: u64,
    /// The findings, at most a thousand.
    pub findings: Vec<FindingReport>,
    /// Tables that were not compared with a region.
    pub skipped: Vec<SkipReport>,
    /// Why the run ended early, if it did.
    pub error: Option<String>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingReport {
    /// The table's name.
    pub table: String,
    /// Its bucket.
    pub bucket: u8,
    /// The item's key, as far as it is known.
    pub key: Option<String>,
    /// The store's key of the row, hexadecimal.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// `repaired`, `lost`, `waits` or `left`.
    pub fate: String,
    /// Versions that were nowhere else, by their stamps.
    pub lost: Vec<String>,
}

/// A table that was not compared with a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipReport {
    /// The table's name.
    pub table: String,
    /// The region's name.
    pub region: String,
    /// Why.
    pub why: String,
}

impl RunReport {
    /// Of a machine's report, with the names of tables and regions.
    pub(crate) fn of(
        report: &Report,
        table: impl Fn(pangea_core::id::TableId) -> String,
        region: impl Fn(pangea_core::id::RegionSlot) -> String,
    ) -> Self {
        let mut run = Self {
            tables: report.tables,
            buckets: report.buckets,
            rows: report.rows,
            buckets_equal: report.equal,
            versions_compared: report.versions,
            left: report.unlisted,
            ..Self::default()
        };
        for finding in &report.findings {
            match finding.what {
                Wrong::Damaged(_) | Wrong::Fingerprint => run.damaged += 1,
                Wrong::Missing(_) | Wrong::Content(_) | Wrong::Stale(_) => run.differing += 1,
            }
            match &finding.fate {
                Fate::Repaired => run.repaired += 1,
                Fate::Lost(stamps) => run.lost += stamps.len() as u64,
                Fate::Waits | Fate::Left => run.left += 1,
            }
            run.findings.push(FindingReport::of(finding, table(finding.table)));
        }
        for &(id, slot, why) in &report.skipped {
            let why = match why {
                Skip::Unreachable => "the region does not answer",
                Skip::Copying => "one of the two is still being given the table",
                Skip::Damaged => "rows here are damaged and wait for a region that has them",
            };
            let (table, region) = (table(id), region(slot));
            run.skipped.push(SkipReport { table, region, why: why.to_string() });
        }
        run
    }

    /// Whether nothing was found, and the run came to its end.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged + self.differing + self.lost + self.left == 0 && self.error.is_none()
    }

    /// Adds what another run of the region found.
    pub fn add(&mut self, other: Self) {
        self.tables = self.tables.max(other.tables);
        self.buckets += other.buckets;
        self.rows += other.rows;
        self.buckets_equal += other.buckets_equal;
        self.versions_compared += other.versions_compared;
        self.damaged += other.damaged;
        self.differing += other.differing;
        self.repaired += other.repaired;
        self.lost += other.lost;
        self.left += other.left;
        self.findings.extend(other.findings);
        self.skipped.extend(other.skipped);
        self.error = self.error.take().or(other.error);
    }
}

impl FindingReport {
    pub(crate) fn of(finding: &Finding, table: String) -> Self {
        let stamp = |stamp: &pangea_core::time::Stamp| format_stamp(*stamp);
        let what = match &finding.what {
            Wrong::Damaged(why) => format!("damaged row: {why}"),
            Wrong::Fingerprint => "the fingerprint is not that of the rows".to_string(),
            Wrong::Missing(it) => format!("version {} is missing here", stamp(it)),
            Wrong::Content(it) => format!("version {} has another content here", stamp(it)),
            Wrong::Stale(it) => {
                format!("version {} is here, its writer does not have it any more", stamp(it))
            }
        };
        let (fate, lost) = match &finding.fate {
            Fate::Repaired => ("repaired", Vec::new()),
            Fate::Lost(stamps) => ("lost", stamps.iter().map(stamp).collect()),
            Fate::Waits => ("waits", Vec::new()),
            Fate::Left => ("left", Vec::new()),
        };
        let place = finding.place.iter().map(|byte| format!("{byte:02x}")).collect();
        let (bucket, key) = (finding.bucket, finding.key.as_ref().map(key_text));
        Self { table, bucket, key, place, what, fate: fate.to_string(), lost }
    }
}

pub(crate) fn key_text(key: &PrimaryKey) -> String {
    let part = |value: &KeyValue| match value {
        KeyValue::S(text) => text.clone(),
        KeyValue::N(number) => number.to_string(),
        KeyValue::B(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let sort = key.sort.as_ref().map(|sort| format!(" / {}", part(sort)));
    format!("{}{}", part(&key.partition), sort.unwrap_or_default())
}

/// Lets a region run, and waits until it is done.
///
/// # Errors
/// The region does not answer, or refuses: there is no such table, or a run is under way.
pub async fn run(region: &str, admin: SocketAddr, wish: &Wish) -> anyhow::Result<RunReport> {
    let mut client = Client::new(admin, TIMEOUT);
    let body = serde_json::to_vec(wish)?;
    let headers = [("content-type", "application/json")];
    let begun = client.ask(Ask::post(PATH, &headers, body)).await?;
    let status: Status = parsed(region, &begun)?;
    loop {
        tokio::time::sleep(POLL).await;
        let now: Status = parsed(region, &client.ask(Ask::get(PATH)).await?)?;
        anyhow::ensure!(now.run == status.run, "region {region} was started again meanwhile");
        if !now.running {
            return Ok(now.report);
        }
    }
}

fn parsed(region: &str, answer: &http_client::Answer) -> anyhow::Result<Status> {
    if !answer.status.is_success() {
        let told = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
        let why = told["error"].as_str().unwrap_or("no reason given").to_string();
        anyhow::bail!("region {region} answers {}: {why}", answer.status);
    }
    Ok(serde_json::from_slice(&answer.body)?)
}
