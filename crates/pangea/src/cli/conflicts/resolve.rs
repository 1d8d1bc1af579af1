//! `pangea conflicts resolve`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Context, NO, Output, TIMEOUT, out};
use crate::config::{Region, Topology};
use crate::http_client::{Ask, Client};

/// What to decide.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The conflict's id, as listed, or enough of its beginning to be the only one
    pub id: String,
    /// Which side to keep
    #[arg(long, value_enum, required_unless_present = "item")]
    pub keep: Option<Side>,
    /// A whole item in DynamoDB JSON to write instead of either side
    #[arg(long, value_name = "JSON", conflicts_with = "keep")]
    pub item: Option<String>,
    /// Why, for the ledger
    #[arg(long, default_value = "")]
    pub note: String,
    /// Write over what came after the conflict
    #[arg(long)]
    pub anyway: bool,
    /// The region that writes [default: the first that knows the conflict]
    #[arg(long)]
    pub region: Option<String>,
}

/// A side of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    // No docs on the variants: clap would spread the help over a page for them.
    Winner,
    Loser,
}

pub(super) async fn run(
    context: &Context,
    topology: &Topology,
    args: &ResolveArgs,
) -> anyhow::Result<ExitCode> {
    let keep = match args.keep {
        Some(Side::Winner) => "winner",
        Some(Side::Loser) => "loser",
        None => "item",
    };
    let item = args.item.as_deref().map(serde_json::from_str::<Value>).transpose();
    let item = item.context("--item is not JSON")?;
    let id = args.id.trim_end_matches('…');
    let wish =
        json!({"id": id, "keep": keep, "item": item, "note": args.note, "anyway": args.anyway});
    let wish = wish.to_string();
    let regions = super::chosen(topology, args.region.as_deref())?;
    let mut refusals: Vec<(&str, String)> = Vec::new();
    for region in regions {
        match ask(region, &wish).await {
            Ok(Ok(answer)) => {
                if context.output == Output::Json {
                    out::json(&answer)?;
                } else {
                    let version = answer["version"].as_str().unwrap_or("what is shown");
                    out::note(&format!("resolved in {}: {keep} is kept, {version}", region.name));
                }
                return Ok(ExitCode::SUCCESS);
            }
            Ok(Err(refusal)) => refusals.push((&region.name, refusal)),
            Err(error) => refusals.push((&region.name, format!("{error:#}"))),
        }
    }
    out::note(&format!("refused: {}", refused(refusals)));
    Ok(ExitCode::from(NO))
}

/// What the regions say; once, where all say the same.
fn refused(refusals: Vec<(&str, String)>) -> String {
    let first = refusals.first().map(|it| it.1.clone()).unwrap_or_default();
    if refusals.iter().all(|(_, why)| *why == first) {
        return first;
    }
    let each = refusals.into_iter().map(|(region, why)| format!("{region}: {why}"));
    each.collect::<Vec<_>>().join("; ")
}

/// The region's answer, or why it refuses.
async fn ask(region: &Region, wish: &str) -> anyhow::Result<Result<Value, String>> {
    let headers = [("content-type", "application/json")];
    let ask = Ask::post("/v1/conflicts/resolve", &headers, wish.to_string());
    let answer = Client::new(region.admin, TIMEOUT).ask(ask).await?;
    let body: Value = serde_json::from_slice(&answer.body)?;
    if answer.status.is_success() {
        return Ok(Ok(body));
    }
    Ok(Err(body["error"].as_str().unwrap_or("no reason given").to_string()))
}
