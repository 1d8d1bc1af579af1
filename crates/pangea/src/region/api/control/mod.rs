//! Operations on what a table has beside its items; see [`Control`].

mod features;
mod global;
mod insights;
mod kinesis;
mod period;
mod policy;
mod scaling;
mod tags;
mod transfer;

use std::sync::Arc;

use pangea_codec::dynamo::request::Control;
use pangea_codec::dynamo::table::options::Changes;
use pangea_core::catalog::TableEntry;
use pangea_core::item::AttributeValue;
use pangea_core::node::{Change, TableUpdate};
use serde_json::{Value, json};

pub(in crate::region) use transfer::Transfers;

use super::Trouble;
use super::tables::{TABLE_UNITS_MAX, define, is_restoring, made_of};
use crate::region::Region;

pub(super) async fn answer(region: &Arc<Region>, control: Control) -> Result<Vec<u8>, Trouble> {
    let body = match control {
        Control::Limits => json!({
            "AccountMaxReadCapacityUnits": 80_000,
            "AccountMaxWriteCapacityUnits": 80_000,
            "TableMaxReadCapacityUnits": TABLE_UNITS_MAX,
            "TableMaxWriteCapacityUnits": TABLE_UNITS_MAX,
        }),
        Control::Endpoints => endpoints(region),
        Control::Tag { resource, tags } => return tags::change(region, &resource, tags).await,
        Control::ListTags(resource) => tags::list(region, &resource)?,
        Control::Expire { table, enabled, attribute } => {
            features::expire(region, &table, enabled, attribute).await?
        }
        Control::Expiry(table) => features::expiry(region, &table)?,
        Control::KeepHistory { table, enabled, days } => {
            features::keep_history(region, &table, enabled, days).await?
        }
        Control::History(table) => features::history(region, &table)?,
        Control::SetPolicy { resource, policy, expected } => {
            policy::set(region, &resource, policy, expected.as_deref()).await?
        }
        Control::Policy(resource) => policy::get(region, &resource)?,
        Control::Watch { table, index, mode } => {
            insights::watch(region, &table, index, mode).await?
        }
        Control::Insights(table, index) => insights::describe(region, &table, index.as_deref())?,
        Control::ListInsights { table, limit, after } => {
            insights::list(region, table.as_deref(), limit, after.as_deref())?
        }
        Control::Send { table, stream, action } => {
            kinesis::send(region, &table, &stream, action).await?
        }
        Control::Destinations(table) => kinesis::describe(region, &table)?,
        Control::Scale { table, settings } => scaling::set(region, &table, settings).await?,
        Control::Scaling(table) => scaling::describe(region, &table)?,
        Control::Globe { table, creates, add, remove } => {
            global::change(region, &table, creates, (add, remove)).await?
        }
        Control::Global(table) => global::describe(region, &table)?,
        Control::ListGlobal { start, limit, region: within } => {
            global::list(region, start.as_deref(), limit, within.as_deref())
        }
        Control::GlobalSettings(table) => global::settings(region, &table)?,
        Control::SetGlobal { table, on_demand, write } => {
            global::set(region, &table, on_demand, write).await?
        }
        Control::Transfer(asked) => transfer::begin(region, asked)?,
        Control::Transferred(kind, arn) => transfer::describe(region, kind, &arn)?,
        Control::CancelTransfer(arn) => transfer::cancel(region, &arn)?,
        Control::ListTransfers { kind, table, limit, skip } => {
            transfer::list(region, kind, table.as_deref(), (limit, skip))
        }
    };
    Ok(body.to_string().into_bytes())
}

/// A client that looks for its endpoint finds this region again.
fn endpoints(region: &Region) -> Value {
    let known = region.topology.regions.iter().find(|known| known.id == region.slot);
    let address = known.map(|known| known.dynamodb.to_string()).unwrap_or_default();
    json!({ "Endpoints": [{ "Address": address, "CachePeriodInMinutes": 1440 }] })
}

/// Sets and takes away options of a table.
async fn set_options(
    region: &Region,
    table: &str,
    options: Changes,
) -> Result<TableEntry, Trouble> {
    update(region, TableUpdate { name: table.to_owned(), options, ..TableUpdate::default() }).await
}

async fn update(region: &Region, update: TableUpdate) -> Result<TableEntry, Trouble> {
    let name = update.name.clone();
    define(region, &name, Change::Update(update)).await
}

/// The table that this region holds under a name, unless it is being restored.
fn table(region: &Region, name: &str) -> Result<TableEntry, Trouble> {
    Ok(made_of(region, &region.catalog(), name)?.clone())
}

/// One change of options.
fn one(name: &str, value: Option<AttributeValue>) -> Changes {
    Changes::from([(name.to_owned(), value)])
}

/// A time as DynamoDB's JSON has it: seconds with a fraction.
fn seconds(ms: u64) -> Value {
    // Milliseconds of any year that matters are exact in a double.
    #[expect(clippy::cast_precision_loss, reason = "times are below 2^53 ms")]
    let seconds = ms as f64 / 1000.0;
    json!(seconds)
}
