//! The settings of tables, for the admin API: `GET /v1/tables`, `POST /v1/tables`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use data_encoding::BASE64;
use hyper::StatusCode;
use hyper::body::Incoming;
use pangea_core::catalog::{PLACEMENT, Placement, Tags};
use pangea_core::item::{Attributes, PrimaryKey};
use pangea_core::node::{Change, Outcome, TableUpdate};
use serde::Deserialize;
use serde_json::json;

use super::{Region, functions};
use crate::http::{self, Reply, json as json_reply};
use crate::query::Query;
use crate::storage::{Fault, IndexCheck};
use crate::tables::{IndexReport, TableReport, VerifyReport};

/// Largest request body: a table's tags, and a merge function.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A change of a table's tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    table: String,
    /// A value to set, or `null` to take the tag away.
    tags: BTreeMap<String, Option<String>>,
    /// A merge function, as base64.
    module: Option<String>,
}

/// The tables that this region holds.
pub(super) fn list(region: &Region) -> Reply {
    let catalog = region.catalog();
    let reports: Vec<TableReport> = catalog
        .held_by(region.slot)
        .map(|entry| TableReport::of(&catalog, entry, |slot| region.region_name(slot)))
        .collect();
    json_reply(StatusCode::OK, &reports)
}

/// Holds the indexes of a table against its items, in this region.
pub(super) fn verify(region: &Region, query: &Query) -> Reply {
    let catalog = region.catalog();
    let name = query.get("table").unwrap_or_default();
    let Some(entry) = catalog.find(region.slot, name) else {
        let text = format!("{} holds no table `{name}`", region.name);
        return json_reply(StatusCode::NOT_FOUND, &json!({ "error": text }));
    };
    let check = || {
        let view = region.store.snapshot()?;
        let checks = entry.indexes.iter().map(|index| {
            let ready = view.is_index_ready(entry.id, index.id)?;
            let IndexCheck { items, missing, surplus } = view.check_index(entry, index)?;
            Ok(IndexReport { index: index.name.clone(), ready, items, missing, surplus })
        });
        checks.collect::<Result<Vec<_>, Fault>>()
    };
    match check() {
        Ok(indexes) => {
            let region = region.name.clone();
            json_reply(StatusCode::OK, &VerifyReport { region, table: name.to_string(), indexes })
        }
        Err(fault) => super::admin::fault(&fault),
    }
}

/// Changes the tags of a table whose home this region is.
pub(super) async fn change(region: &Arc<Region>, body: Incoming) -> Reply {
    let refuse = |status, text: String| json_reply(status, &json!({ "error": text }));
    let Ok(body) = http::body(body, BODY_BYTES_MAX).await else {
        return refuse(StatusCode::BAD_REQUEST, "no body, or too large a one".to_string());
    };
    let wish: Wish = match serde_json::from_slice(&body) {
        Ok(wish) => wish,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let module = match wish.module.as_deref().map(|text| BASE64.decode(text.as_bytes())) {
        None => None,
        Some(Err(_)) => {
            return refuse(StatusCode::BAD_REQUEST, "the module is not base64".to_string());
        }
        Some(Ok(bytes)) => match functions::checked(bytes).await {
            Ok(module) => Some(module),
            Err(error) => {
                let text = format!("the module is no merge function: {error}");
                return refuse(StatusCode::CONFLICT, text);
            }
        },
    };
    let update =
        TableUpdate { name: wish.table, tags: wish.tags, module, ..TableUpdate::default() };
    let change = Change::Update(update);
    match check_rules(region, &change).await {
        Ok(()) => {}
        Err(Unruly::Refused(text)) => return refuse(StatusCode::CONFLICT, text),
        Err(Unruly::Fault(fault)) => return super::admin::fault(&fault),
    }
    match region.writer.define(change).await {
        Ok(Outcome::Defined(entry)) => {
            let catalog = region.catalog();
            let report = TableReport::of(&catalog, &entry, |slot| region.region_name(slot));
            json_reply(StatusCode::OK, &report)
        }
        Ok(Outcome::Denied(why)) => refuse(StatusCode::CONFLICT, why.to_string()),
        Ok(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "no change was made".to_string()),
        Err(fault) => refuse(StatusCode::SERVICE_UNAVAILABLE, fault.to_string()),
    }
}

/// Why a placement rule is not added.
#[derive(Debug)]
pub(super) enum Unruly {
    Refused(String),
    Fault(Fault),
}

/// Refuses a placement rule that is about items which are there. A version says which rule it was
/// written under: those of none are where the rule does not let them be, stay there when they are
/// overwritten or deleted elsewhere, and go on to new replicas.
pub(super) async fn check_rules(region: &Region, change: &Change) -> Result<(), Unruly> {
    let Change::Update(update) = change else { return Ok(()) };
    let Some(Some(text)) = update.tags.get(PLACEMENT) else { return Ok(()) };
    let catalog = region.catalog();
    let entry = catalog.find(region.slot, &update.name).filter(|it| it.home == region.slot);
    let (Some(entry), Some(next)) = (entry, Placement::parse(text)) else { return Ok(()) };
    let rules = entry.settings.placement.clone();
    if next.0.len() <= rules.0.len() {
        return Ok(());
    }
    let (table, policy) = (entry.id, entry.settings.policy.clone());
    let view = region.store.snapshot().map_err(Unruly::Fault)?;
    let search = move || {
        let mut found = None;
        let visit = |key: &PrimaryKey, item: &Attributes, _| {
            if rules.place(key, item) != next.place(key, item) {
                found = Some(key.clone());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        view.scan((table, &policy), None, None, visit).map(|()| found)
    };
    let found = tokio::task::spawn_blocking(search).await;
    let found = found.unwrap_or_else(|_| Err(Fault::Read("the region is stopping".to_string())));
    let Some(key) = found.map_err(Unruly::Fault)? else { return Ok(()) };
    Err(Unruly::Refused(format!(
        "a new placement rule is about items that are there, such as {}: where they are already \
         they would stay. Delete these items, add the rule and write them again, or copy them to a \
         new table that has the rule from the beginning",
        crate::repair::key_text(&key)
    )))
}

/// The tags of a new table: those of the topology, under those of the request.
pub(super) fn tags_of(region: &Region, name: &str, asked: Tags) -> Tags {
    let declared = region.topology.tables.iter().find(|table| table.name == name);
    let mut tags = declared.map(|table| table.tags()).unwrap_or_default();
    tags.extend(asked);
    tags
}
