//! `pangea clock`, `pangea disk`: faults inside one region.

use std::process::ExitCode;

use clap::builder::{RangedI64ValueParser, RangedU64ValueParser};
use clap::{Args, Subcommand};

use super::{Context, Output, link, out};
use crate::config::Topology;
use crate::inject::{self, Fault, Report};

/// What to do with clocks.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Set a region's wall clock off; its disk and its other clocks keep their time
    Set {
        /// Which region
        #[arg(value_name = "REGION")]
        region: String,
        /// By how much, ms, a day (86400000) at most; negative is behind, 0 is right
        #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = offset())]
        offset_ms: i64,
        /// Get there by this many ms a second, 1 to 86400000 [default: at once]
        #[arg(long, value_name = "MS", value_parser = slew())]
        slew_ms_per_s: Option<u64>,
    },
    /// List by how much each region's clock has been set off
    List,
}

fn offset() -> RangedI64ValueParser {
    RangedI64ValueParser::new().range(-inject::OFFSET_MS_MAX..=inject::OFFSET_MS_MAX)
}

/// Milliseconds that a clock is ahead.
pub(super) fn ahead() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(0..=inject::OFFSET_MS_MAX.unsigned_abs())
}

fn slew() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=inject::SLEW_MS_PER_S_MAX)
}

/// What to do with disks.
#[derive(Debug, Subcommand)]
pub enum DiskCommand {
    /// Let a region's disk have no room: writes are refused, reads go on
    Fill(OneRegion),
    /// Let it have room again
    Free(OneRegion),
    /// Let the row of an item rot: only `pangea repair` puts that right
    Rot {
        /// Which region
        #[arg(value_name = "REGION")]
        region: String,
        /// Which table
        #[arg(long, value_name = "NAME")]
        table: String,
        /// The item's partition key, as plain text
        #[arg(long, value_name = "TEXT")]
        partition: String,
        /// Its sort key, if the table has one
        #[arg(long, value_name = "TEXT")]
        sort: Option<String>,
        /// The row is gone, while indexes still name it [default: a bit of it is flipped]
        #[arg(long)]
        gone: bool,
    },
    /// List whose disk has been told to be full
    List,
}

/// A region.
#[derive(Debug, Args)]
pub struct OneRegion {
    /// Which region
    #[arg(value_name = "REGION")]
    pub region: String,
}

/// Runs `pangea clock`.
///
/// # Errors
/// A region cannot be told.
pub fn clock(context: &Context, command: &ClockCommand) -> anyhow::Result<ExitCode> {
    let topology = context.topology()?;
    match command {
        ClockCommand::Set { region, offset_ms, slew_ms_per_s } => {
            let (offset_ms, slew_ms_per_s) = (*offset_ms, *slew_ms_per_s);
            tell(&topology, region, &Fault::Clock { offset_ms, slew_ms_per_s })?;
            out::note(&format!("the clock of {region} is set off by {offset_ms} ms"));
        }
        ClockCommand::List => {
            list(context, &topology, "OFFSET MS", |report| report.clock_offset_ms.to_string())?
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `pangea disk`.
///
/// # Errors
/// A region cannot be told.
pub fn disk(context: &Context, command: &DiskCommand) -> anyhow::Result<ExitCode> {
    let topology = context.topology()?;
    match command {
        DiskCommand::Fill(OneRegion { region }) => {
            tell(&topology, region, &Fault::Disk { full: true })?;
            out::note(&format!("full: {region} refuses writes"));
        }
        DiskCommand::Free(OneRegion { region }) => {
            tell(&topology, region, &Fault::Disk { full: false })?;
            out::note(&format!("free: {region} takes writes"));
        }
        DiskCommand::Rot { region, table, partition, sort, gone } => {
            let (table, partition, sort) = (table.clone(), partition.clone(), sort.clone());
            let gone = *gone;
            tell(&topology, region, &Fault::Rot { table, partition, sort, gone })?;
            out::note(&format!("rotten: a row in {region}"));
        }
        DiskCommand::List => list(context, &topology, "DISK", |report| {
            if report.disk_full { "full" } else { "free" }.to_string()
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(topology: &Topology, name: &str, fault: &Fault) -> anyhow::Result<()> {
    let region = link::region(topology, name)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(inject::tell(&region.name, region.admin, fault))?;
    Ok(())
}

/// One line a region; a region that does not answer has none, and is named on stderr.
fn list(
    context: &Context,
    topology: &Topology,
    title: &str,
    show: impl Fn(&Report) -> String,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut lines, mut reports) = (Vec::new(), serde_json::Map::new());
    for region in &topology.regions {
        match runtime.block_on(inject::list(&region.name, region.admin)) {
            Ok(report) => {
                lines.push(format!("{:<18}{:>10}", region.name, show(&report)));
                reports.insert(region.name.clone(), serde_json::to_value(&report)?);
            }
            Err(error) => out::note(&error.to_string()),
        }
    }
    match context.output {
        Output::Json => out::json(&reports)?,
        Output::Table => {
            out::line(&format!("{:<18}{title:>10}", "REGION"));
            lines.iter().for_each(|line| out::line(line));
        }
    }
    Ok(())
}
