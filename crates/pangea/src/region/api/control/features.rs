//! Expiry of items, and the past of a table.

use pangea_codec::dynamo::table::{TableStatus, options};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::TableEntry;
use pangea_core::node::TableUpdate;
use serde_json::{Value, json};

use super::{is_restoring, one, seconds, table, update};
use crate::region::Region;
use crate::region::api::tables::status_of;
use crate::region::api::{Trouble, restore};

/// How far continuous backups reach back, in days, where nobody says.
const HISTORY_DAYS: u64 = 35;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How long after a change of a table's expiry another is refused: the service was measured to
/// refuse one after 1,811 s, and to take one after 1,872 s. Its documentation says an hour.
const EXPIRY_KEPT_MS: u64 = 31 * 60 * 1000;

pub(super) async fn expire(
    region: &Region,
    name: &str,
    enabled: bool,
    attribute: String,
) -> Result<Value, Trouble> {
    let entry = table(region, name)?;
    let refuse = |text: String| Err(ApiError::validation(text).into());
    match (&entry.ttl, enabled) {
        (Some(now), _) if *now != attribute => {
            return refuse(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is {now}"
            ));
        }
        (Some(_), true) => return refuse("TimeToLive is already enabled".to_owned()),
        (None, false) => return refuse("TimeToLive is already disabled".to_owned()),
        (Some(_), false) | (None, true) => {}
    }
    let now_ms = region.clock.now().wall_ms;
    let changed_ms = options::number(&entry.options, options::TTL_MS);
    if changed_ms.is_some_and(|changed_ms| now_ms.saturating_sub(changed_ms) < EXPIRY_KEPT_MS) {
        let text = "Time to live has been modified multiple times within a fixed interval";
        return refuse(text.to_owned());
    }
    let ttl = Some(enabled.then(|| attribute.clone()));
    let options = one(options::TTL_MS, Some(options::of_number(now_ms)));
    let change = TableUpdate { name: entry.name, ttl, options, ..TableUpdate::default() };
    update(region, change).await?;
    Ok(json!({ "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": attribute } }))
}

pub(super) fn expiry(region: &Region, name: &str) -> Result<Value, Trouble> {
    let entry = table(region, name)?;
    if status_of(region, &region.catalog(), &entry) == TableStatus::Creating {
        let text = "Cannot describe time to live while table is in CREATING state: Current table \
                    state is CREATING";
        return Err(ApiError::validation(text).into());
    }
    let description = match entry.ttl {
        Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
        None => json!({ "TimeToLiveStatus": "DISABLED" }),
    };
    Ok(json!({ "TimeToLiveDescription": description }))
}

/// The table, in the words of the operations on backups.
fn backed_up(region: &Region, name: &str) -> Result<TableEntry, ApiError> {
    let catalog = region.catalog();
    catalog
        .find(region.slot, name)
        .filter(|entry| !is_restoring(entry))
        .cloned()
        .ok_or_else(|| ApiError::new(ErrorKind::TableNotFound, format!("Table not found: {name}")))
}

pub(super) async fn keep_history(
    region: &Region,
    name: &str,
    enabled: bool,
    days: Option<u64>,
) -> Result<Value, Trouble> {
    let entry = backed_up(region, name)?;
    let mut changes = options::Changes::new();
    if enabled != entry.history || days.is_some() {
        changes.insert(options::HISTORY_DAYS.to_owned(), days.map(options::of_number));
    }
    let change = TableUpdate {
        name: entry.name,
        history: Some(enabled),
        options: changes,
        ..TableUpdate::default()
    };
    let entry = update(region, change).await?;
    Ok(describe_history(region, &entry))
}

pub(super) fn history(region: &Region, name: &str) -> Result<Value, Trouble> {
    Ok(describe_history(region, &backed_up(region, name)?))
}

fn describe_history(region: &Region, entry: &TableEntry) -> Value {
    if !entry.history {
        // The service has this enabled for every table; what can be switched is the recovery.
        return json!({ "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": "DISABLED" },
        }});
    }
    let latest_ms = restore::latest_ms(region);
    let now_ms = latest_ms.unwrap_or_else(|_| region.clock.now().wall_ms);
    let days = options::number(&entry.options, options::HISTORY_DAYS).unwrap_or(HISTORY_DAYS);
    let since_ms = entry.history_since_ms().unwrap_or(entry.created_ms);
    let earliest_ms = since_ms.max(now_ms.saturating_sub(days * DAY_MS));
    json!({ "ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": days,
            "EarliestRestorableDateTime": seconds(earliest_ms),
            "LatestRestorableDateTime": seconds(now_ms),
        },
    }})
}
