//! Tags of tables. Those that are settings take effect as at `CreateTable`.

use std::sync::Arc;

use pangea_codec::dynamo::request::{Resource, TAGS_MAX, too_many_tags};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::node::TableUpdate;
use serde_json::{Value, json};

use super::update;
use crate::region::Region;
use crate::region::api::Trouble;

pub(super) async fn change(
    region: &Arc<Region>,
    resource: &Resource,
    tags: Vec<(String, Option<String>)>,
) -> Result<Vec<u8>, Trouble> {
    let catalog = region.catalog();
    let entry = catalog.find(region.slot, &resource.table);
    let entry = entry.ok_or_else(|| missing(resource))?;
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

/// All tags: a table has at most as many as one page.
pub(super) fn list(region: &Region, resource: &Resource) -> Result<Value, ApiError> {
    let catalog = region.catalog();
    let entry = catalog.find(region.slot, &resource.table);
    let entry = entry.ok_or_else(|| missing(resource))?;
    let tags = entry.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
    Ok(json!({ "Tags": tags.collect::<Vec<Value>>() }))
}

/// There is no such table; the spelling is the service's own.
fn missing(resource: &Resource) -> ApiError {
    let text = format!("Requested resource not found: ResourcArn: {} not found", resource.arn);
    ApiError::new(ErrorKind::ResourceNotFound, text)
}
