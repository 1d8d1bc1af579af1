//! `pangea region`: one region's process, and which regions take part.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::{Context, NO, Output, out};
use crate::config::{Region, Topology};
use crate::http_client::{Ask, Client};
use crate::regions::{self, Member, Newcomer, Report, Verb, Wish};

/// A region has this long to answer what it knows.
const TIMEOUT: Duration = Duration::from_secs(5);
/// And this long for what a majority has to decide: longer than regions try.
const DECISION_TIMEOUT: Duration = Duration::from_secs(15);
/// Regions that are busy, or do not hear each other yet, are asked again for so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A region's process, or what to do with the regions.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct RegionCommand {
    /// Run this region of the topology (`up` starts these)
    #[arg(long)]
    pub(super) name: Option<String>,
    #[command(subcommand)]
    pub(super) command: Option<RegionsCommand>,
}

/// What to do with the regions.
#[derive(Debug, Subcommand)]
pub(super) enum RegionsCommand {
    /// List the regions that take part, as every region knows them
    List,
    /// Take in a region that was never there; it copies, and then serves
    ///
    /// It is in the topology that this command reads, with `joins = true`, and not yet in that of
    /// the regions that run. Start it with `pangea region --name`.
    Add(One),
    /// Let a region serve nothing for a while; it keeps taking what others write
    Suspend(One),
    /// Let a suspended region serve again
    Resume(One),
    /// Give a region up, dead or alive: the others go on without it and collect deletes again
    ///
    /// Decided by a majority of the regions without it. They level what they have of its writes;
    /// what it wrote and none of them has is exported to the ledger when it rejoins.
    Evict(One),
    /// Let a region go in an orderly way: it hands over what it wrote, and leaves
    Remove(One),
    /// Take a region back that was evicted or removed, with its data directory or an empty one
    Rejoin(One),
}

/// A region.
#[derive(Debug, Args)]
pub(super) struct One {
    /// Which region
    #[arg(value_name = "REGION")]
    region: String,
}

/// Runs the command.
///
/// # Errors
/// No region answers.
pub(super) fn run(context: &Context, command: &RegionsCommand) -> anyhow::Result<ExitCode> {
    let topology = context.topology()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (verb, one) = match command {
        RegionsCommand::List => return runtime.block_on(list(context, &topology)),
        RegionsCommand::Add(one) => (Verb::Add, one),
        RegionsCommand::Suspend(one) => (Verb::Suspend, one),
        RegionsCommand::Resume(one) => (Verb::Resume, one),
        RegionsCommand::Evict(one) => (Verb::Evict, one),
        RegionsCommand::Remove(one) => (Verb::Remove, one),
        RegionsCommand::Rejoin(one) => (Verb::Rejoin, one),
    };
    runtime.block_on(change(context, &topology, verb, &one.region))
}

/// What every region that answers knows; the newest knowledge is shown.
async fn list(context: &Context, topology: &Topology) -> anyhow::Result<ExitCode> {
    let (mut reports, mut silent) = (Vec::new(), Vec::new());
    for region in &topology.regions {
        match known_by(region).await {
            Ok(report) => reports.push(report),
            Err(error) => silent.push(format!("{}: {error:#}", region.name)),
        }
    }
    anyhow::ensure!(!reports.is_empty(), "no region answers: {}", silent.join("; "));
    if context.output == Output::Json {
        out::json(&reports)?;
        return Ok(ExitCode::SUCCESS);
    }
    reports.sort_by_key(|report| std::cmp::Reverse(report.generation));
    if let Some(newest) = reports.first() {
        show(newest);
        let behind = reports.iter().filter(|report| report.generation < newest.generation);
        for report in behind {
            let known = report.generation;
            out::note(&format!("{} knows generation {known} so far", report.told_by));
        }
    }
    for reason in silent {
        out::note(&format!("silent: {reason}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn known_by(region: &Region) -> anyhow::Result<Report> {
    let answer = Client::new(region.admin, TIMEOUT).ask(Ask::get(regions::PATH)).await?;
    anyhow::ensure!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
    Ok(serde_json::from_slice(&answer.body)?)
}

fn show(report: &Report) {
    let mut rows =
        vec![["REGION", "ID", "STATE", "SINCE", "LIVES THAT ARE OVER"].map(String::from)];
    let over = |member: &Member| {
        let lives = member.over.iter().map(|over| {
            let levelled = if over.levelled { "levelled" } else { "being levelled" };
            format!("{} {levelled}", over.life)
        });
        lives.collect::<Vec<_>>().join(", ")
    };
    for member in &report.regions {
        let (id, since) = (member.id.to_string(), member.since.to_string());
        rows.push([member.name.clone(), id, member.state.clone(), since, over(member)]);
    }
    out::line(&format!("generation {}", report.generation));
    out::line(&out::columns(&rows));
}

/// Asks the regions in turn until one has had it decided, or says that it cannot be.
async fn change(
    context: &Context,
    topology: &Topology,
    verb: Verb,
    name: &str,
) -> anyhow::Result<ExitCode> {
    let newcomer = topology.region(name).filter(|_| verb == Verb::Add);
    if verb == Verb::Add && newcomer.is_none() {
        anyhow::bail!("region `{name}` is not in the topology: add it there, with `joins = true`");
    }
    if let Some(newcomer) = newcomer {
        introduce(topology, newcomer).await;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let mut reasons = Vec::new();
        for region in asked(topology, verb, name) {
            let wish = Wish { action: verb, region: name.to_string(), newcomer: None };
            match ask(region, &wish).await {
                Answer::Done(report) => return done(context, verb, name, &report),
                Answer::No(reason) => {
                    out::note(&format!("refused by {}: {reason}", region.name));
                    return Ok(ExitCode::from(NO));
                }
                Answer::NotNow(reason) => reasons.push(format!("{}: {reason}", region.name)),
            }
        }
        if Instant::now() >= until {
            out::note(&format!("not decided: {}", reasons.join("; ")));
            return Ok(ExitCode::from(NO));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Tells every region that runs where the new one is; which changes nothing else.
async fn introduce(topology: &Topology, newcomer: &Region) {
    for region in topology.regions.iter().filter(|region| region.name != newcomer.name) {
        let wish = Wish {
            action: Verb::Meet,
            region: newcomer.name.clone(),
            newcomer: Some(Newcomer {
                id: newcomer.id.get(),
                peer: newcomer.peer.to_string(),
                rtt_ms: topology.rtt_ms(&region.name, &newcomer.name),
            }),
        };
        if let Answer::No(reason) | Answer::NotNow(reason) = ask(region, &wish).await {
            out::note(&format!("{} was not told of it: {reason}", region.name));
        }
    }
}

fn done(context: &Context, verb: Verb, name: &str, report: &Report) -> anyhow::Result<ExitCode> {
    match context.output {
        Output::Json => out::json(report)?,
        Output::Table => {
            let state = report.regions.iter().find(|member| member.name == name);
            let state = state.map_or("unknown", |member| member.state.as_str());
            let generation = report.generation;
            out::note(&format!("{}: {name} is {state} in generation {generation}", verb.as_str()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whom to ask: others than the one that it is about, which may be dead or not believe it.
fn asked<'t>(
    topology: &'t Topology,
    verb: Verb,
    name: &'t str,
) -> impl Iterator<Item = &'t Region> {
    let itself = matches!(verb, Verb::Suspend | Verb::Resume | Verb::Remove);
    let others = topology.regions.iter().filter(move |region| region.name != name);
    others.chain(topology.regions.iter().filter(move |region| itself && region.name == name))
}

enum Answer {
    Done(Report),
    /// It cannot be.
    No(String),
    /// This region cannot have it decided, now.
    NotNow(String),
}

async fn ask(region: &Region, wish: &Wish) -> Answer {
    let body = match serde_json::to_string(wish) {
        Ok(body) => body,
        Err(error) => return Answer::No(error.to_string()),
    };
    let ask = Ask::post(regions::PATH, &[("content-type", "application/json")], body);
    let answer = match Client::new(region.admin, DECISION_TIMEOUT).ask(ask).await {
        Ok(answer) => answer,
        Err(error) => return Answer::NotNow(error.to_string()),
    };
    if answer.status.is_success() {
        return match serde_json::from_slice(&answer.body) {
            Ok(report) => Answer::Done(report),
            Err(error) => Answer::No(format!("the answer is unreadable: {error}")),
        };
    }
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let told: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let told = told.and_then(|told| Some(told.get("error")?.as_str()?.to_string()));
    let reason = told.unwrap_or(text);
    match answer.status.is_server_error() {
        true => Answer::NotNow(reason),
        false => Answer::No(reason),
    }
}
