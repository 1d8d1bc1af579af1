//! `pangea conflicts`: the ledger of writes that lost.

mod export;
mod report;
mod resolve;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;

use super::{Context, NO, Output, out};
use crate::config::{Region, Topology};
use crate::conflicts::{ConflictPage, ConflictReport, SideReport};
use crate::http_client::{Ask, Client};
use crate::query::encode;

/// A region that does not answer for this long is left out, with a remark.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Entries asked for at a time.
const PAGE: usize = 500;
/// Letters of an id in a list: a stamp and a half tells conflicts apart.
const SHORT_ID: usize = 30;

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum ConflictsCommand {
    /// List the conflicts, newest first
    List {
        /// Only those that this region knows [default: all regions]
        #[arg(long)]
        region: Option<String>,
        /// Only those of this table [default: all tables]
        #[arg(long)]
        table: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one conflict with both sides
    Show {
        /// Its id, as listed, or enough of its beginning to be the only one
        id: String,
    },
    /// Decide about a conflict: the kept version is written as one that has seen both
    Resolve(resolve::ResolveArgs),
    /// Print every conflict as JSON, one a line
    Export(export::ExportArgs),
    /// Which tables and keys conflict most, and which policy would have kept the updates
    Report {
        /// Only conflicts of this table [default: all tables]
        #[arg(long)]
        table: Option<String>,
        /// Tables and keys to show at most
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
}

/// Runs the command.
///
/// # Errors
/// No region can be asked.
pub fn run(context: &Context, command: &ConflictsCommand) -> anyhow::Result<ExitCode> {
    let topology = context.topology()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        ConflictsCommand::List { region, table, limit } => {
            let regions = chosen(&topology, region.as_deref())?;
            let mut found = runtime.block_on(collect(&regions, table.as_deref(), None))?;
            found.sort_by_key(|conflict| std::cmp::Reverse(conflict.loser.version.written_ms));
            found.truncate(*limit);
            list(context, &found)
        }
        ConflictsCommand::Show { id } => {
            let regions = chosen(&topology, None)?;
            let id = id.trim_end_matches('…');
            let found = runtime.block_on(collect(&regions, None, Some(id)))?;
            show(context, id, &found)
        }
        ConflictsCommand::Resolve(args) => runtime.block_on(resolve::run(context, &topology, args)),
        ConflictsCommand::Export(args) => runtime.block_on(export::run(&topology, args)),
        ConflictsCommand::Report { table, limit } => {
            let regions = chosen(&topology, None)?;
            let found = runtime.block_on(collect(&regions, table.as_deref(), None))?;
            report::run(context, &found, *limit)
        }
    }
}

fn chosen<'t>(topology: &'t Topology, name: Option<&str>) -> anyhow::Result<Vec<&'t Region>> {
    let Some(name) = name else { return Ok(topology.regions.iter().collect()) };
    let region = topology.region(name);
    Ok(vec![region.with_context(|| format!("no region `{name}` in the topology"))?])
}

/// The conflicts that any of the regions knows, each once.
async fn collect(
    regions: &[&Region],
    table: Option<&str>,
    id: Option<&str>,
) -> anyhow::Result<Vec<ConflictReport>> {
    let mut found = BTreeMap::new();
    let mut silent = Vec::new();
    for region in regions {
        match of_region(region, table, id).await {
            Ok(conflicts) => conflicts.into_iter().for_each(|it| join(&mut found, it)),
            Err(error) => silent.push(format!("{}: {error:#}", region.name)),
        }
    }
    if silent.len() == regions.len() {
        anyhow::bail!("no region answers: {}; is `pangea up` running?", silent.join("; "));
    }
    for reason in silent {
        out::note(&format!("left out: {reason}"));
    }
    Ok(found.into_values().collect())
}

/// Takes what one region tells of a conflict, unless another told more: an entry that conflicts
/// share grows, a decision is made, and the regions hear of both one after the other.
fn join(found: &mut BTreeMap<String, ConflictReport>, told: ConflictReport) {
    let news = |it: &ConflictReport| (!it.is_waiting(), it.count, it.resolved.is_some());
    match found.entry(told.id.clone()) {
        Entry::Vacant(entry) => {
            entry.insert(told);
        }
        Entry::Occupied(mut entry) if news(entry.get()) < news(&told) => {
            entry.insert(told);
        }
        Entry::Occupied(_) => {}
    }
}

async fn of_region(
    region: &Region,
    table: Option<&str>,
    id: Option<&str>,
) -> anyhow::Result<Vec<ConflictReport>> {
    let mut client = Client::new(region.admin, TIMEOUT);
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (table, id) = (encode(table.unwrap_or_default()), encode(id.unwrap_or_default()));
        let path = format!("/v1/conflicts?limit={PAGE}&table={table}&id={id}&after={after}");
        let answer = client.ask(Ask::get(&path)).await?;
        anyhow::ensure!(answer.status.is_success(), "{}", problem_of(&answer.body));
        let page: ConflictPage = serde_json::from_slice(&answer.body)?;
        found.extend(page.conflicts);
        match page.next {
            Some(next) => after = next,
            None => return Ok(found),
        }
    }
}

/// What the admin API says is wrong.
fn problem_of(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let told = parsed.as_ref().and_then(|body| body["error"].as_str()).map(str::to_string);
    told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

fn list(context: &Context, found: &[ConflictReport]) -> anyhow::Result<ExitCode> {
    if context.output == Output::Json {
        out::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        out::note("no conflicts");
        return Ok(ExitCode::SUCCESS);
    }
    let unique = |short: &str| found.iter().filter(|it| it.id.starts_with(short)).count() == 1;
    let head = ["ID", "TABLE", "KEY", "COUNT", "SEVERITY", "LOST IN", "WON BY", "RESOLVED"];
    let mut rows = vec![head.map(String::from)];
    for conflict in found {
        rows.push([
            match conflict.id.get(..SHORT_ID).filter(|short| unique(short)) {
                Some(short) => format!("{short}…"),
                None => conflict.id.clone(),
            },
            conflict.table.clone(),
            match &conflict.path {
                Some(path) => format!("{} ({path})", key_of(conflict)),
                None => key_of(conflict),
            },
            conflict.count.to_string(),
            conflict.severity.clone(),
            conflict.loser.region_name.clone(),
            winner_of(conflict),
            conflict.resolved.as_ref().map_or_else(String::new, |kept| format!("kept {kept}")),
        ]);
    }
    out::line(&out::columns(&rows));
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, id: &str, found: &[ConflictReport]) -> anyhow::Result<ExitCode> {
    let [conflict] = found else {
        out::note(&match found.len() {
            0 => format!("no conflict has an id that begins with {id}"),
            count => format!("{count} conflicts have an id that begins with {id}: give more of it"),
        });
        return Ok(ExitCode::from(NO));
    };
    if context.output == Output::Json {
        out::json(conflict)?;
        return Ok(ExitCode::SUCCESS);
    }
    out::line(&format!("conflict  {}", conflict.id));
    out::line(&format!("table     {}", conflict.table));
    out::line(&format!("key       {}", key_of(conflict)));
    if let Some(path) = &conflict.path {
        out::line(&format!("attribute {path}"));
    }
    out::line(&format!("severity  {}, merged by {}", conflict.severity, conflict.policy));
    if conflict.count > 1 {
        let (count, dropped) = (conflict.count, conflict.dropped_images);
        out::line(&format!("count     {count} in one minute, {dropped} images not kept"));
    }
    if let Some(kept) = &conflict.resolved {
        out::line(&format!("resolved  kept {kept}"));
    }
    side("lost", &conflict.loser, "(the image is not kept)")?;
    if conflict.is_orphaned() {
        let SideReport { region_name, version, .. } = &conflict.winner;
        out::line(&format!(
            "\nnothing won: {} was given up before another region had it, and told of it at {} ms, \
             when {region_name} was back",
            conflict.loser.region_name, version.written_ms
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if conflict.is_waiting() {
        out::line(&format!(
            "\nnothing won: {} has it from before it was given up, and does not know yet whether \
             another region has it. It will when all regions have said that they know of the \
             return: give up those that cannot be reached",
            conflict.winner.region_name
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let absent = if conflict.count > 1 {
        "(where conflicts share an entry, the winner's image is not kept: read the item)"
    } else {
        "(the image is too large to be kept twice: read the item)"
    };
    side("won", &conflict.winner, absent)?;
    Ok(ExitCode::SUCCESS)
}

/// One side of a conflict; `absent` says why it has no image.
fn side(word: &str, side: &SideReport, absent: &str) -> anyhow::Result<()> {
    let kind = match (side.deleted, side.conditional) {
        (true, _) => "deletion",
        (false, true) => "conditional write",
        (false, false) => "write",
    };
    let (region, at) = (&side.region_name, side.version.written_ms);
    out::line(&format!(
        "\n{word}: a {kind} in {region} at {at} ms, version {}",
        side.version.stamp
    ));
    match &side.image {
        Some(image) => out::line(&serde_json::to_string_pretty(image)?),
        None if side.deleted => {}
        None => out::line(absent),
    }
    Ok(())
}

/// The region of the side that is shown; who told of a write that was lost with its region won
/// nothing.
fn winner_of(conflict: &ConflictReport) -> String {
    let region = &conflict.winner.region_name;
    match conflict {
        _ if conflict.is_orphaned() => "(orphaned)".to_string(),
        _ if conflict.is_waiting() => format!("(waiting in {region})"),
        _ => region.clone(),
    }
}

fn key_of(conflict: &ConflictReport) -> String {
    if conflict.key.is_empty() {
        return "(the table itself)".to_string();
    }
    conflict.key.iter().map(plain).collect::<Vec<_>>().join(" / ")
}

/// A DynamoDB value as people would write it.
fn plain(value: &Value) -> String {
    let inner = value.as_object().and_then(|object| object.values().next());
    inner.and_then(Value::as_str).map_or_else(|| value.to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::VersionReport;

    /// What a region tells of the conflict `id`, which `count` conflicts share.
    pub(super) fn told(id: &str, count: u64) -> ConflictReport {
        let version =
            VersionReport { stamp: "0".repeat(20), region: 0, written_ms: 0, context: Vec::new() };
        let side = SideReport {
            version,
            region_name: "here".to_string(),
            conditional: false,
            deleted: false,
            image: None,
        };
        let pairs = (0..count).map(|n| [format!("{id}{n:018x}"), "f".repeat(20)]);
        ConflictReport {
            id: id.to_string(),
            table: "cart".to_string(),
            key: vec![serde_json::json!({"S": "hot"})],
            severity: "normal".to_string(),
            policy: "lww".to_string(),
            class: "conflict".to_string(),
            path: None,
            count,
            pairs: if count > 1 { pairs.collect() } else { Vec::new() },
            dropped_images: count.saturating_sub(2),
            resolved: None,
            loser: side.clone(),
            winner: side,
        }
    }

    #[test]
    fn of_what_regions_tell_of_one_conflict_the_newest_is_shown() {
        let decided = ConflictReport { resolved: Some("winner".to_string()), ..told("b", 1) };
        let mut found = BTreeMap::new();
        for it in [told("a", 2), told("a", 64), told("a", 3), told("b", 1), decided, told("b", 1)] {
            join(&mut found, it);
        }
        let shown: Vec<_> = found.values().map(|it| (it.count, it.resolved.is_some())).collect();
        assert_eq!(shown, [(64, false), (1, true)]);
        let mut found = BTreeMap::new();
        [told("a", 1).waiting(), told("a", 1)].into_iter().for_each(|it| join(&mut found, it));
        assert!(!found["a"].is_waiting(), "one region knows by now");
    }
}
