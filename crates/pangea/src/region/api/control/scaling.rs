//! Scaling of capacity: settings that are kept and shown. Nothing scales by itself here.

use pangea_codec::dynamo::request::Scaling;
use pangea_codec::dynamo::table::{ACCOUNT, options};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::TableEntry;
use pangea_core::item::{AttributeValue, Attributes};
use serde_json::{Map, Value, json};

use super::global::{group, is_global};
use super::{one, set_options, table};
use crate::region::Region;
use crate::region::api::Trouble;
use crate::region::api::tables::{replica_missing, status_of};

/// `UpdateTableReplicaAutoScaling`: what is not named stays as it is.
pub(super) async fn set(
    region: &Region,
    name: &str,
    settings: Vec<Scaling>,
) -> Result<Value, Trouble> {
    let entry = global_table(region, name)?;
    let catalog = region.catalog();
    let regions = group(region, &catalog, &entry);
    let mut kept = options::map(&entry.options, options::SCALING).cloned().unwrap_or_default();
    for scaling in settings {
        if let Some(named) = &scaling.region
            && !regions.iter().any(|(region, _)| region == named)
        {
            return Err(replica_missing(named).into());
        }
        if let Some(index) = scaling.index.as_deref().filter(|name| !has_index(&entry, name)) {
            let text = format!("Requested resource not found: Index {index} for table {name}");
            return Err(ApiError::new(ErrorKind::ResourceNotFound, text).into());
        }
        let key = key(scaling.region.as_deref(), scaling.index.as_deref());
        let mut all = of_key(&kept, &key);
        all.extend(scaling.set);
        kept.insert(key, AttributeValue::S(Value::Object(all).to_string()));
    }
    set_options(region, name, one(options::SCALING, Some(AttributeValue::M(kept)))).await?;
    describe(region, name)
}

/// The table, if it is a global one: any other has no scaling here (measured on the service by the
/// ACK project's users, October 2026).
fn global_table(region: &Region, name: &str) -> Result<TableEntry, Trouble> {
    let entry = table(region, name).ok().filter(is_global);
    entry.ok_or_else(|| {
        let text = format!("Global table with name: '{name}' does not exist.");
        ApiError::new(ErrorKind::ResourceNotFound, text).into()
    })
}

fn has_index(entry: &TableEntry, name: &str) -> bool {
    entry.index(name).is_some_and(|index| index.is_global())
}

fn key(region: Option<&str>, index: Option<&str>) -> String {
    format!("{}/{}", region.unwrap_or_default(), index.unwrap_or_default())
}

fn of_key(kept: &Attributes, key: &str) -> Map<String, Value> {
    let known = options::text(kept, key).and_then(|text| serde_json::from_str(text).ok());
    known.unwrap_or_default()
}

/// `DescribeTableReplicaAutoScaling`.
pub(super) fn describe(region: &Region, name: &str) -> Result<Value, Trouble> {
    let entry = global_table(region, name)?;
    let catalog = region.catalog();
    let nothing = Attributes::new();
    let kept = options::map(&entry.options, options::SCALING).unwrap_or(&nothing);
    let shown = |region: Option<&str>, index: Option<&str>| {
        shown(of_key(kept, &key(region, index)), &entry.name, (region.is_some(), index))
    };
    let group = group(region, &catalog, &entry);
    let replicas = group.iter().map(|(region, status)| {
        let indexes = entry.indexes.iter().filter(|index| index.is_global()).map(|index| {
            let index = index.name.as_str();
            json!({
                "IndexName": index,
                "IndexStatus": "ACTIVE",
                "ProvisionedReadCapacityAutoScalingSettings": shown(Some(region), Some(index)),
                "ProvisionedWriteCapacityAutoScalingSettings": shown(None, Some(index)),
            })
        });
        json!({
            "RegionName": region,
            "GlobalSecondaryIndexes": indexes.collect::<Vec<Value>>(),
            "ReplicaProvisionedReadCapacityAutoScalingSettings": shown(Some(region), None),
            "ReplicaProvisionedWriteCapacityAutoScalingSettings": shown(None, None),
            "ReplicaStatus": status.name(),
        })
    });
    let replicas: Vec<Value> = replicas.collect();
    Ok(json!({ "TableAutoScalingDescription": {
        "TableName": entry.name,
        "TableStatus": status_of(region, &catalog, &entry).name(),
        "Replicas": replicas,
    }}))
}

/// Settings as the service shows them, with the role and the name of a policy that it gives to
/// those that have none.
fn shown(mut set: Map<String, Value>, table: &str, (reads, index): (bool, Option<&str>)) -> Value {
    let is_off = set.get("AutoScalingDisabled").and_then(Value::as_bool);
    if is_off.unwrap_or_else(|| set.is_empty()) {
        return json!({ "AutoScalingDisabled": true, "ScalingPolicies": [] });
    }
    let role = format!(
        "arn:aws:iam::{ACCOUNT}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.\
         com/AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    );
    set.entry("AutoScalingRoleArn").or_insert_with(|| json!(role));
    let policies = set.entry("ScalingPolicies").or_insert_with(|| json!([]));
    let what = if reads { "Read" } else { "Write" };
    let of_index = index.map_or_else(String::new, |index| format!("/index/{index}"));
    for policy in policies.as_array_mut().into_iter().flatten() {
        if let Some(policy) = policy.as_object_mut() {
            let name = format!("DynamoDB{what}CapacityUtilization:table/{table}{of_index}");
            policy.entry("PolicyName").or_insert_with(|| json!(name));
        }
    }
    Value::Object(set)
}
