//! Contributor insights: switched on and off, shown, and without rules that run.

use pangea_codec::dynamo::table::options;
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::TableEntry;
use pangea_core::item::Attributes;
use pangea_core::node::TableUpdate;
use serde_json::{Value, json};

use super::{seconds, table, update};
use crate::region::Region;
use crate::region::api::Trouble;

/// The mode that counts what is refused alone.
const THROTTLED_ONLY: &str = "THROTTLED_KEYS";

/// The options of the table, or of one of its indexes.
fn options_of<'e>(entry: &'e TableEntry, index: Option<&str>) -> Result<&'e Attributes, ApiError> {
    let Some(name) = index else { return Ok(&entry.options) };
    let index = entry.index(name).filter(|index| index.is_global()).map(|index| &index.options);
    index.ok_or_else(|| {
        let table = &entry.name;
        let text =
            format!("Requested resource not found: Index: {name} not found for table: {table}");
        ApiError::new(ErrorKind::ResourceNotFound, text)
    })
}

pub(super) async fn watch(
    region: &Region,
    name: &str,
    index: Option<String>,
    mode: Option<String>,
) -> Result<Value, Trouble> {
    let entry = table(region, name)?;
    let of_it = options_of(&entry, index.as_deref())?;
    if mode_of(of_it) == mode.as_deref() {
        // Nothing begins (measured on the service by the ACK project's users, October 2026).
        return Ok(summary(&entry, index.as_deref(), of_it));
    }
    let status = if mode.is_some() { "ENABLING" } else { "DISABLING" };
    let mode = mode.unwrap_or_default();
    let set = Attributes::from([
        (options::INSIGHTS.to_owned(), options::of_text(&mode)),
        (options::INSIGHTS_MS.to_owned(), options::of_number(region.clock.now().wall_ms)),
    ]);
    let mut change = TableUpdate { name: entry.name.clone(), ..TableUpdate::default() };
    match &index {
        Some(index) => {
            change.index_options.insert(index.clone(), set);
        }
        None => {
            change.options = set.into_iter().map(|(name, value)| (name, Some(value))).collect();
        }
    }
    update(region, change).await?;
    let mut shown = json!({ "TableName": entry.name, "ContributorInsightsStatus": status });
    if let Some(index) = index {
        shown["IndexName"] = json!(index);
    }
    if !mode.is_empty() {
        shown["ContributorInsightsMode"] = json!(mode);
    }
    Ok(shown)
}

pub(super) fn describe(region: &Region, name: &str, index: Option<&str>) -> Result<Value, Trouble> {
    let entry = table(region, name)?;
    let of_it = options_of(&entry, index)?;
    let mut shown = summary(&entry, index, of_it);
    let since_ms = options::number(of_it, options::INSIGHTS_MS).unwrap_or_default();
    if let Some(mode) = mode_of(of_it) {
        shown["ContributorInsightsRuleList"] = rules(&entry, index, mode, since_ms).into();
    }
    if let Some(ms) = options::number(of_it, options::INSIGHTS_MS) {
        shown["LastUpdateDateTime"] = seconds(ms);
    }
    Ok(shown)
}

/// The names of the rules that there would be: what is read and written most, and what is refused
/// most, by the partition key and by both keys where there are two.
fn rules(entry: &TableEntry, index: Option<&str>, mode: &str, since_ms: u64) -> Vec<String> {
    let what = index.map_or_else(|| entry.name.clone(), |index| format!("{}-{index}", entry.name));
    let has_sort = match index.and_then(|name| entry.index(name)) {
        Some(index) => !index.sort.is_empty(),
        None => entry.schema.sort.is_some(),
    };
    let counted = if mode == THROTTLED_ONLY { "T" } else { "CT" };
    let keys = if has_sort { "PS" } else { "P" };
    let kinds = counted.chars().flat_map(|counted| keys.chars().map(move |key| (key, counted)));
    let named = kinds.map(|(key, counted)| {
        format!("DynamoDBContributorInsights-{key}K{counted}-{what}-{since_ms}")
    });
    named.collect()
}

/// The mode, where contributor insights are enabled.
fn mode_of(of_it: &Attributes) -> Option<&str> {
    options::text(of_it, options::INSIGHTS).filter(|mode| !mode.is_empty())
}

pub(super) fn list(
    region: &Region,
    name: Option<&str>,
    limit: usize,
    after: Option<&str>,
) -> Result<Value, Trouble> {
    let catalog = region.catalog();
    if let Some(name) = name {
        table(region, name)?;
    }
    let wanted = |entry: &&TableEntry| name.is_none_or(|name| entry.name == name);
    let mut found: Vec<(String, Value)> = Vec::new();
    for entry in catalog.held_by(region.slot).filter(wanted) {
        let of_indexes =
            entry.indexes.iter().map(|index| (Some(index.name.as_str()), &index.options));
        for (index, of_it) in std::iter::once((None, &entry.options)).chain(of_indexes) {
            if mode_of(of_it).is_some() {
                found.push((token(entry, index), summary(entry, index, of_it)));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.retain(|(token, _)| after.is_none_or(|after| token.as_str() > after));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(token, _)| token.clone());
    let summaries: Vec<Value> = found.into_iter().map(|(_, summary)| summary).collect();
    let mut body = json!({ "ContributorInsightsSummaries": summaries });
    if let Some(next) = next {
        body["NextToken"] = json!(next);
    }
    Ok(body)
}

/// The place of a table or an index in the list: a table stands before its indexes. No name has a
/// slash.
fn token(entry: &TableEntry, index: Option<&str>) -> String {
    format!("{}/{}", entry.name, index.unwrap_or_default())
}

fn summary(entry: &TableEntry, index: Option<&str>, of_it: &Attributes) -> Value {
    let mode = mode_of(of_it);
    let status = if mode.is_some() { "ENABLED" } else { "DISABLED" };
    let mut shown = json!({ "TableName": entry.name, "ContributorInsightsStatus": status });
    if let Some(index) = index {
        shown["IndexName"] = json!(index);
    }
    if let Some(mode) = mode {
        shown["ContributorInsightsMode"] = json!(mode);
    }
    shown
}
