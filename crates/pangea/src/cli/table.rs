//! `pangea table`: what Pangea knows of tables beyond the DynamoDB API.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use data_encoding::BASE64;
use pangea_core::catalog::{MERGE, PREFIX};
use serde_json::json;

use super::{Context, NO, Output, out};
use crate::config::{Region, Topology};
use crate::http_client::{Ask, Client};
use crate::tables::{IndexReport, TableReport, VERIFY, VerifyReport};

/// A region has this long to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Every item of a table is read.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(600);

/// As long again as a merge function may be checked.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// What to do with tables.
#[derive(Debug, Subcommand)]
pub enum TableCommand {
    /// List the tables of every region with their settings
    List,
    /// Choose what becomes of concurrent writes: lww, crdt [OPTION...], siblings, owner, wasm FILE
    ///
    /// The switch of a table in use is ordered: each version says under which settings it was
    /// written. Switches that would drop what is stored are refused with the reason.
    SetMerge {
        /// The table's name
        table: String,
        /// The policy and its options
        #[arg(required = true)]
        policy: Vec<String>,
    },
    /// Hold the secondary indexes of a table against its items, in every region that has it
    ///
    /// Ends with 1 if an index lacks an item, or has an entry that it should not have.
    Verify {
        /// The table's name
        table: String,
    },
    /// Set or remove other settings: KEY=VALUE sets the tag pangea:KEY, KEY= removes it
    Set {
        /// The table's name
        table: String,
        /// For example durability=majority
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
}

/// Runs the command.
///
/// # Errors
/// No region can be asked.
pub fn run(context: &Context, command: &TableCommand) -> anyhow::Result<ExitCode> {
    let topology = context.topology()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        TableCommand::List => {
            let tables = runtime.block_on(all(&topology))?;
            list(context, &tables)
        }
        TableCommand::SetMerge { table, policy } => {
            let (policy, module) = match &policy[..] {
                [wasm, file] if wasm == "wasm" => {
                    (wasm.clone(), Some(super::merge::read(file.as_ref())?))
                }
                words => (words.join(" "), None),
            };
            let tags = BTreeMap::from([("pangea:merge".to_string(), Some(policy))]);
            runtime.block_on(set(context, &topology, table, (tags, module)))
        }
        TableCommand::Verify { table } => {
            let reports = runtime.block_on(verify(&topology, table))?;
            tell_verified(context, &reports)
        }
        TableCommand::Set { table, settings } => {
            let tags = settings.iter().map(|setting| assignment(setting));
            let tags = tags.collect::<anyhow::Result<_>>()?;
            runtime.block_on(set(context, &topology, table, (tags, None)))
        }
    }
}

fn assignment(text: &str) -> anyhow::Result<(String, Option<String>)> {
    let (key, value) = text.split_once('=').with_context(|| format!("{text} is not KEY=VALUE"))?;
    let key = key.strip_prefix("pangea:").unwrap_or(key);
    let value = Some(value.to_string()).filter(|value| !value.is_empty());
    Ok((format!("pangea:{key}"), value))
}

/// The tables that any region knows, each once; regions that do not answer are named.
async fn all(topology: &Topology) -> anyhow::Result<Vec<TableReport>> {
    let (mut found, mut silent) = (BTreeMap::new(), Vec::new());
    for region in &topology.regions {
        match of_region(region).await {
            Ok(tables) => {
                for table in tables {
                    found.entry((table.name.clone(), table.id.clone())).or_insert(table);
                }
            }
            Err(error) => silent.push(format!("{}: {error:#}", region.name)),
        }
    }
    let answered = silent.len() < topology.regions.len();
    anyhow::ensure!(answered, "no region answers: {}", silent.join("; "));
    for reason in silent {
        out::note(&format!("left out: {reason}"));
    }
    Ok(found.into_values().collect())
}

async fn of_region(region: &Region) -> anyhow::Result<Vec<TableReport>> {
    let answer = Client::new(region.admin, TIMEOUT).ask(Ask::get("/v1/tables")).await?;
    anyhow::ensure!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
    Ok(serde_json::from_slice(&answer.body)?)
}

fn list(context: &Context, tables: &[TableReport]) -> anyhow::Result<ExitCode> {
    if context.output == Output::Json {
        out::json(&tables)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["TABLE", "HOME", "REPLICAS", "SETTINGS"].map(String::from)];
    for table in tables {
        let settings = table
            .tags
            .iter()
            .filter_map(|(tag, value)| Some(format!("{}={value}", tag.strip_prefix("pangea:")?)));
        let settings: Vec<String> = settings.collect();
        let settings = if settings.is_empty() { "merge=lww".into() } else { settings.join(", ") };
        rows.push([table.name.clone(), table.home.clone(), table.replicas.join(" "), settings]);
    }
    out::line(&out::columns(&rows));
    Ok(ExitCode::SUCCESS)
}

/// What every region that has the table says of its indexes.
async fn verify(topology: &Topology, table: &str) -> anyhow::Result<Vec<VerifyReport>> {
    let mut reports = Vec::new();
    let query: String = table.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for region in &topology.regions {
        let mut client = Client::new(region.admin, VERIFY_TIMEOUT);
        let answer = client.ask(Ask::get(&format!("{VERIFY}?table={query}"))).await;
        match answer {
            Ok(answer) if answer.status.is_success() => {
                reports.push(serde_json::from_slice(&answer.body)?);
            }
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                out::note(&format!("left out: {}: {text}", region.name));
            }
            Err(error) => out::note(&format!("left out: {}: {error:#}", region.name)),
        }
    }
    anyhow::ensure!(!reports.is_empty(), "no region that answers has a table `{table}`");
    Ok(reports)
}

fn tell_verified(context: &Context, reports: &[VerifyReport]) -> anyhow::Result<ExitCode> {
    let wrong = |it: &IndexReport| it.ready && it.missing + it.surplus > 0;
    let code = if reports.iter().flat_map(|it| &it.indexes).any(wrong) { NO } else { 0 };
    if context.output == Output::Json {
        out::json(&reports)?;
        return Ok(ExitCode::from(code));
    }
    let heads = ["REGION", "INDEX", "STATE", "ITEMS", "MISSING", "SURPLUS"];
    let mut rows = vec![heads.map(String::from)];
    for report in reports {
        for index in &report.indexes {
            let state = if index.ready { "ACTIVE" } else { "CREATING" };
            let counts = [index.items, index.missing, index.surplus].map(|it| it.to_string());
            let [items, missing, surplus] = counts;
            let (region, name) = (report.region.clone(), index.index.clone());
            rows.push([region, name, state.to_string(), items, missing, surplus]);
        }
    }
    if rows.len() == 1 {
        out::note("the table has no secondary indexes");
    }
    out::line(&out::columns(&rows));
    Ok(ExitCode::from(code))
}

/// Asks the table's home region, which alone changes its settings.
async fn set(
    context: &Context,
    topology: &Topology,
    name: &str,
    (tags, module): (BTreeMap<String, Option<String>>, Option<Vec<u8>>),
) -> anyhow::Result<ExitCode> {
    let tables = all(topology).await?;
    let of_name: Vec<&TableReport> = tables.iter().filter(|table| table.name == name).collect();
    let [table] = of_name[..] else {
        anyhow::bail!(match of_name.len() {
            0 => format!("no table is called `{name}`: `pangea table list` shows those there are"),
            count => format!(
                "{count} tables are called `{name}`, one in each of several homes: delete or \
                 rename all but one"
            ),
        });
    };
    let home = topology.region(&table.home);
    let home = home.with_context(|| format!("home {} is not in the topology", table.home))?;
    let headers = [("content-type", "application/json")];
    let module = module.map(|bytes| BASE64.encode(&bytes));
    let body = json!({"table": name, "tags": tags, "module": module}).to_string();
    let ask = Ask::post("/v1/tables", &headers, body);
    let answer = Client::new(home.admin, CHECK_TIMEOUT).ask(ask).await;
    let answer = answer.with_context(|| format!("cannot ask {}", home.name))?;
    if !answer.status.is_success() {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body)?;
        out::note(&format!("refused: {}", problem["error"].as_str().unwrap_or("no reason given")));
        return Ok(ExitCode::from(NO));
    }
    let changed: TableReport = serde_json::from_slice(&answer.body)?;
    if context.output == Output::Json {
        out::json(&changed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let others = changed.tags.iter().filter(|(tag, _)| *tag != MERGE);
    let others = others.filter_map(|(tag, value)| Some((tag.strip_prefix(PREFIX)?, value)));
    let others: String = others.map(|(tag, value)| format!(", {tag} {value}")).collect();
    out::note(&format!("{name}: merge policy {}{others}; epoch {}", changed.merge, changed.epoch));
    Ok(ExitCode::SUCCESS)
}
