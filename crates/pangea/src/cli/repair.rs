//! `pangea repair`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{Context, NO, Output, out};
use crate::config::Region;
use crate::repair::{self, FindingReport, RunReport, Wish};

#[derive(Debug, Args)]
pub(super) struct RepairArgs {
    /// Exit code 1 if anything was found, also if all of it was repaired
    #[arg(long)]
    verify: bool,
    /// Only this table [default: all tables, and the catalog]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Only the rows of this region, against all others [default: each region]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
}

pub(super) fn run(context: &Context, args: &RepairArgs) -> anyhow::Result<ExitCode> {
    let topology = context.topology()?;
    let regions: Vec<&Region> = match &args.region {
        None => topology.regions.iter().collect(),
        Some(name) => {
            let region = topology.region(name);
            vec![region.with_context(|| format!("no region `{name}` in the topology"))?]
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reports = runtime.block_on(all(&regions, args.table.as_deref()))?;
    print(context, &reports)?;
    let clean = reports.iter().all(|(_, report)| report.is_clean());
    let done = reports.iter().all(|(_, report)| report.lost + report.left == 0);
    let done = done && reports.iter().all(|(_, report)| report.error.is_none());
    let good = if args.verify { clean } else { done };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// Every region heals what is damaged before any is compared with: what one cannot read, another
/// would take for deleted.
async fn all<'r>(
    regions: &[&'r Region],
    table: Option<&str>,
) -> anyhow::Result<Vec<(&'r str, RunReport)>> {
    let mut reports: Vec<(&str, RunReport)> = Vec::new();
    for (verify, compare) in [(true, false), (false, true)] {
        for region in regions {
            let wish = Wish { table: table.map(str::to_string), verify, compare };
            let report = repair::run(&region.name, region.admin, &wish).await?;
            match reports.iter_mut().find(|(name, _)| *name == region.name) {
                Some((_, known)) => known.add(report),
                None => reports.push((&region.name, report)),
            }
        }
    }
    Ok(reports)
}

fn print(context: &Context, reports: &[(&str, RunReport)]) -> anyhow::Result<()> {
    if context.output == Output::Json {
        let regions = reports.iter().map(|(name, report)| ((*name).to_string(), json!(report)));
        let regions: serde_json::Map<_, _> = regions.collect();
        return Ok(out::json(&json!({ "regions": regions }))?);
    }
    let titles = ["REGION", "TABLES", "ROWS", "EQUAL", "COMPARED", "DAMAGED", "DIFFERING"];
    let rest = ["REPAIRED", "LOST", "LEFT"];
    let mut rows = vec![[titles.as_slice(), &rest].concat().cells()];
    for (name, report) in reports {
        let figures = [
            report.tables,
            report.rows,
            report.buckets_equal,
            report.versions_compared,
            report.damaged,
            report.differing,
            report.repaired,
            report.lost,
            report.left,
        ];
        let mut row = vec![(*name).to_string()];
        row.extend(figures.iter().map(ToString::to_string));
        rows.push(row.cells());
    }
    out::line(&out::columns(&rows));
    for (name, report) in reports {
        report.findings.iter().for_each(|finding| out::line(&line(name, finding)));
        for skip in &report.skipped {
            let (table, region, why) = (&skip.table, &skip.region, &skip.why);
            out::note(&format!("{name}: {table} was not compared with {region}: {why}"));
        }
        if let Some(error) = &report.error {
            out::note(&format!("{name}: ended early: {error}"));
        }
    }
    Ok(())
}

fn line(region: &str, finding: &FindingReport) -> String {
    let FindingReport { table, key, place, what, fate, lost, .. } = finding;
    let key = key.as_ref().map_or_else(|| format!("row {place}"), |key| format!("`{key}`"));
    let lost = if lost.is_empty() { String::new() } else { format!(" ({})", lost.join(", ")) };
    format!("{region}: {table} {key}: {what}: {fate}{lost}")
}

/// A row of the report.
trait Row {
    fn cells(self) -> [String; 10];
}

impl<T: ToString> Row for Vec<T> {
    fn cells(self) -> [String; 10] {
        let mut cells = self.into_iter();
        std::array::from_fn(|_| cells.next().map(|cell| cell.to_string()).unwrap_or_default())
    }
}
