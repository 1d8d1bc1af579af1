//! Tags of tables. Those that are settings take effect as at `CreateTable`.

use std::sync::Arc;

use pangea_codec::dynamo::request::{Resource, TAGS_MAX, too_many_tags, unauthorized};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::node::TableUpdate;
use serde_json::{Value, json};

use super::update;
use crate::region::Region;
use crate::region::api::Trouble;
use crate::region::api::tables::{is_restoring, not_found};

pub(super) async fn change(
    region: &Arc<Region>,
    resource: &Resource,
    tags: Vec<(String, Option<String>)>,
) -> Result<Vec<u8>, Trouble> {
    check_region(region, resource)?;
    let catalog = region.catalog();
    let Some(entry) = catalog.find(region.slot, &resource.table) else {
        // The spelling is the service's own.
        let text = format!("Requested resource not found: ResourcArn: {} not found", resource.arn);
        return Err(ApiError::new(ErrorKind::ResourceNotFound, text).into());
    };
    if is_restoring(entry) {
        return Err(not_found(&entry.name).into());
    }
    let mut after = entry.tags.clone();
    for (key, value) in &tags {
        match value {
            Some(value) => after.insert(key.clone(), value.clone()),
            None => after.remove(key),
        };
    }
    if after.len() > TAGS_MAX && after.len() > entry.tags.len() {
        return Err(too_many_tags().into());
    }
    if after != entry.tags {
        let (name, tags) = (entry.name.clone(), tags.into_iter().collect());
        update(region, TableUpdate { name, tags, ..TableUpdate::default() }).await?;
    }
    Ok(Vec::new())
}

/// Refuses the ARN of a region that there is not; one of another region may be a request's that was
/// sent on.
fn check_region(region: &Region, resource: &Resource) -> Result<(), ApiError> {
    let named = resource.arn.split(':').nth(3).unwrap_or_default();
    if region.slot_of(named).is_some() {
        return Ok(());
    }
    let text = format!("Invalid TableArn: Invalid ResourceArn provided as input {}", resource.arn);
    Err(ApiError::validation(text))
}

/// All tags: a table has at most as many as one page.
pub(super) fn list(region: &Region, resource: &Resource) -> Result<Value, ApiError> {
    check_region(region, resource)?;
    let catalog = region.catalog();
    let Some(entry) = catalog.find(region.slot, &resource.table) else {
        // What a table looks like that is not there or another's. (The service tells its own
        // account `ResourceNotFoundException`; clients that make up an account make up this one.)
        return Err(unauthorized("ListTagsOfResource", &resource.arn));
    };
    if is_restoring(entry) {
        return Err(not_found(&entry.name));
    }
    let tags = entry.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
    Ok(json!({ "Tags": tags.collect::<Vec<Value>>() }))
}
