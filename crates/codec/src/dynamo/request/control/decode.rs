//! Decoding of these requests.

use super::{
    Control, ControlOperation as Op, Resource, Sending, TransferKind, resource_of, scale, transfer,
    unauthorized,
};
use crate::dynamo::ApiError;
use crate::dynamo::request::table::{self, TAGS_MAX, too_many_tags};
use crate::dynamo::request::{Constraints, Members};

/// Shortest and longest ARN of a stream, an export or an import (DynamoDB).
pub(super) const ARN_BYTES: (usize, usize) = (37, 1024);
/// Tables and indexes of one ListContributorInsights page (DynamoDB).
const INSIGHTS_PAGE_MAX: i64 = 100;
/// What contributor insights look at where a request does not say.
const INSIGHTS_MODE: &str = "ACCESSED_AND_THROTTLED_KEYS";

pub(super) fn decode(operation: Op, body: &mut Members) -> Result<Control, ApiError> {
    match operation {
        Op::DescribeLimits => Ok(Control::Limits),
        Op::DescribeEndpoints => Ok(Control::Endpoints),
        Op::TagResource => tag(body),
        Op::UntagResource => untag(body),
        Op::ListTagsOfResource => Ok(Control::ListTags(tagged(operation, body)?)),
        Op::UpdateTimeToLive => expire(body),
        Op::DescribeTimeToLive => named(body, Control::Expiry),
        Op::UpdateContinuousBackups => keep_history(body),
        Op::DescribeContinuousBackups => named(body, Control::History),
        Op::PutResourcePolicy => put_policy(body),
        Op::GetResourcePolicy => Ok(Control::Policy(resource(body)?)),
        Op::DeleteResourcePolicy => {
            let expected = revision(body)?;
            Ok(Control::SetPolicy { resource: resource(body)?, policy: None, expected })
        }
        Op::UpdateContributorInsights => watch(body),
        Op::DescribeContributorInsights => {
            let mut constraints = Constraints::default();
            let table = constraints.named_table(body)?;
            let index = index_name(body, &mut constraints)?;
            constraints.finish()?;
            Ok(Control::Insights(table, index))
        }
        Op::ListContributorInsights => list_insights(body),
        Op::EnableKinesisStreamingDestination
        | Op::DisableKinesisStreamingDestination
        | Op::UpdateKinesisStreamingDestination => send(operation, body),
        Op::DescribeKinesisStreamingDestination => named(body, Control::Destinations),
        Op::UpdateTableReplicaAutoScaling => scale::decode(body),
        Op::DescribeTableReplicaAutoScaling => named(body, Control::Scaling),
        Op::CreateGlobalTable
        | Op::DescribeGlobalTable
        | Op::ListGlobalTables
        | Op::UpdateGlobalTable
        | Op::DescribeGlobalTableSettings
        | Op::UpdateGlobalTableSettings => global(operation, body),
        Op::ExportTableToPointInTime => transfer::export(body),
        Op::ImportTable => transfer::import(body),
        Op::StartBulkPutItems => transfer::bulk(body),
        Op::DescribeExport => transfer::described(TransferKind::Export, body),
        Op::DescribeImport => transfer::described(TransferKind::Import, body),
        Op::DescribeBulkOperation => transfer::described(TransferKind::Bulk, body),
        Op::CancelBulkOperation => {
            let arn = transfer::arn(TransferKind::Bulk, body)?;
            Ok(Control::CancelTransfer(arn))
        }
        Op::ListExports => transfer::list(TransferKind::Export, body),
        Op::ListImports => transfer::list(TransferKind::Import, body),
        Op::ListBulkOperations => transfer::list(TransferKind::Bulk, body),
    }
}

fn named(body: &mut Members, make: fn(String) -> Control) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let table = constraints.named_table(body)?;
    constraints.finish()?;
    Ok(make(table))
}

/// The `ResourceArn` of the operations on tags, which refuse a missing one in words of their own.
fn tagged(operation: Op, body: &mut Members) -> Result<Resource, ApiError> {
    let arn = body.text("ResourceArn")?;
    let arn = arn.ok_or_else(|| ApiError::validation("Invalid TableArn"))?;
    let service = arn.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(1));
    match service {
        Some(service) if service != "dynamodb" => Err(unauthorized(operation.name(), &arn)),
        _ => resource_of(&arn),
    }
}

/// The `ResourceArn` of the operations on policies.
fn resource(body: &mut Members) -> Result<Resource, ApiError> {
    let mut constraints = Constraints::default();
    let arn = constraints.required(body.text("ResourceArn")?, "resourceArn");
    constraints.finish()?;
    resource_of(&arn)
}

fn tag(body: &mut Members) -> Result<Control, ApiError> {
    let tags = table::tags(body)?;
    let mut constraints = Constraints::default();
    let has_arn = body.has("ResourceArn");
    let tags = if has_arn { constraints.required(tags, "tags") } else { Vec::new() };
    constraints.finish()?;
    let resource = tagged(Op::TagResource, body)?;
    if tags.is_empty() {
        return Err(ApiError::validation("Atleast one Tag needs to be provided as Input."));
    }
    let tags = table::checked_tags(tags)?.into_iter();
    Ok(Control::Tag { resource, tags: tags.map(|(key, value)| (key, Some(value))).collect() })
}

fn untag(body: &mut Members) -> Result<Control, ApiError> {
    let keys = body.text_list("TagKeys")?;
    let mut constraints = Constraints::default();
    let has_arn = body.has("ResourceArn");
    let keys = if has_arn { constraints.required(keys, "tagKeys") } else { Vec::new() };
    constraints.finish()?;
    let resource = tagged(Op::UntagResource, body)?;
    if keys.is_empty() {
        return Err(ApiError::validation("Atleast one Tag Key needs to be provided as Input."));
    }
    if keys.len() > TAGS_MAX {
        return Err(too_many_tags());
    }
    for key in &keys {
        table::check_tag_key(key)?;
    }
    Ok(Control::Tag { resource, tags: keys.into_iter().map(|key| (key, None)).collect() })
}

fn expire(body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let table = constraints.named_table(body)?;
    let path = "timeToLiveSpecification";
    let Some(mut given) = body.object("TimeToLiveSpecification")? else {
        constraints.violated("null", path, "not be null");
        constraints.finish()?;
        return Err(ApiError::validation("TimeToLiveSpecification is missing"));
    };
    let (attribute, enabled) = (given.text("AttributeName")?, given.boolean("Enabled")?);
    let attribute_path = format!("{path}.attributeName");
    if let Some(attribute) = &attribute {
        constraints.length(attribute, (1, 255), &attribute_path);
    }
    let attribute = constraints.required(attribute, &attribute_path);
    let enabled = constraints.required(enabled, &format!("{path}.enabled"));
    constraints.finish()?;
    Ok(Control::Expire { table, enabled, attribute })
}

fn keep_history(body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let table = constraints.named_table(body)?;
    let path = "pointInTimeRecoverySpecification";
    let given = body.object("PointInTimeRecoverySpecification")?;
    let is_there = given.is_some();
    let mut given = constraints.required(given, path);
    let enabled = given.boolean("PointInTimeRecoveryEnabled")?;
    let enabled_path = format!("{path}.pointInTimeRecoveryEnabled");
    let enabled = if is_there { constraints.required(enabled, &enabled_path) } else { false };
    let days = given.integer("RecoveryPeriodInDays")?;
    let days_path = format!("{path}.recoveryPeriodInDays");
    let days = constraints.at_least(days, 1, &days_path);
    if let Some(days) = days.filter(|days| *days > 35) {
        let constraint = "have value less than or equal to 35";
        constraints.violated(format_args!("'{days}'"), &days_path, constraint);
    }
    constraints.finish()?;
    if !enabled && days.is_some() {
        return Err(ApiError::validation(
            "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time \
             recovery.",
        ));
    }
    let days = days.and_then(|days| u64::try_from(days).ok());
    Ok(Control::KeepHistory { table, enabled, days })
}

fn revision(body: &mut Members) -> Result<Option<String>, ApiError> {
    let mut constraints = Constraints::default();
    let expected = body.text("ExpectedRevisionId")?;
    if let Some(expected) = &expected {
        constraints.length(expected, (1, 255), "expectedRevisionId");
    }
    constraints.finish()?;
    Ok(expected)
}

fn put_policy(body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let policy = constraints.required(body.text("Policy")?, "policy");
    if !body.has("ResourceArn") {
        constraints.violated("null", "resourceArn", "not be null");
    }
    constraints.finish()?;
    let expected = revision(body)?;
    let resource = resource(body)?;
    let policy = table::checked_policy(&policy, resource.is_stream)?;
    Ok(Control::SetPolicy { resource, policy: Some(policy), expected })
}

fn index_name(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<String>, ApiError> {
    let index = body.text("IndexName")?;
    if let Some(index) = &index {
        constraints.identifier(index, "indexName");
    }
    Ok(index)
}

fn watch(body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let table = constraints.named_table(body)?;
    let index = index_name(body, &mut constraints)?;
    let path = "contributorInsightsAction";
    let action = body.text("ContributorInsightsAction")?;
    let action = constraints.one_of(action, &["ENABLE", "DISABLE"], path);
    let action = constraints.required(action, path);
    let modes = [INSIGHTS_MODE, "THROTTLED_KEYS"];
    let mode = body.text("ContributorInsightsMode")?;
    let mode = constraints.one_of(mode, &modes, "contributorInsightsMode");
    constraints.finish()?;
    let mode = mode.unwrap_or_else(|| INSIGHTS_MODE.to_owned());
    Ok(Control::Watch { table, index, mode: (action == "ENABLE").then_some(mode) })
}

fn list_insights(body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let table = if body.has("TableName") { Some(constraints.named_table(body)?) } else { None };
    let count = body.integer("MaxResults")?;
    if let Some(count) = count.filter(|count| *count > INSIGHTS_PAGE_MAX) {
        let constraint = format!("have value less than or equal to {INSIGHTS_PAGE_MAX}");
        constraints.violated(format_args!("'{count}'"), "maxResults", &constraint);
    }
    let after = body.text("NextToken")?;
    constraints.finish()?;
    // As a page tells it: a table, and one of its indexes or none.
    if let Some(after) = after.as_ref().filter(|after| after.split('/').count() != 2) {
        let text = format!("Invalid Request: Provided nextToken is invalid: {after}");
        return Err(ApiError::validation(text));
    }
    // The model bounds it above alone: what is less than one counts as left out.
    let count = count.filter(|count| *count > 0).unwrap_or(INSIGHTS_PAGE_MAX);
    let limit = usize::try_from(count).unwrap_or_default();
    Ok(Control::ListInsights { table, limit, after })
}

fn send(operation: Op, body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let table = constraints.named_table(body)?;
    let stream = body.text("StreamArn")?;
    if let Some(stream) = &stream {
        constraints.length(stream, ARN_BYTES, "streamArn");
    }
    let stream = constraints.required(stream, "streamArn");
    let member = match operation {
        Op::UpdateKinesisStreamingDestination => "UpdateKinesisStreamingConfiguration",
        _ => "EnableKinesisStreamingConfiguration",
    };
    let mut precision = None;
    if let Some(mut given) = body.object(member)? {
        let mut path = format!("{member}.approximateCreationDateTimePrecision");
        path[..1].make_ascii_lowercase();
        let text = given.text("ApproximateCreationDateTimePrecision")?;
        precision = constraints.one_of(text, &["MILLISECOND", "MICROSECOND"], &path);
    }
    constraints.finish()?;
    let action = match (operation, precision) {
        (Op::EnableKinesisStreamingDestination, precision) => Sending::Enable(precision),
        (Op::UpdateKinesisStreamingDestination, Some(precision)) => Sending::Update(precision),
        (Op::UpdateKinesisStreamingDestination, None) => {
            return Err(ApiError::validation(
                "Streaming destination cannot be updated with given parameters: \
                 UpdateKinesisStreamingConfiguration cannot be null or contain only null values",
            ));
        }
        (_, None) => Sending::Disable,
        (_, Some(_)) => {
            return Err(ApiError::validation(
                "Stream cannot be disabled using EnableKinesisStreamingConfiguration parameters",
            ));
        }
    };
    Ok(Control::Send { table, stream, action })
}

/// The requests of the API of 2017.
fn global(operation: Op, body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    if operation == Op::ListGlobalTables {
        let start = body.text("ExclusiveStartGlobalTableName")?;
        if let Some(start) = &start {
            constraints.identifier(start, "exclusiveStartGlobalTableName");
        }
        let limit = constraints.at_least(body.integer("Limit")?, 1, "limit");
        constraints.finish()?;
        let limit = limit.map_or(100, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        return Ok(Control::ListGlobal { start, limit, region: body.text("RegionName")? });
    }
    let table = body.text("GlobalTableName")?;
    if let Some(table) = &table {
        constraints.identifier(table, "globalTableName");
    }
    let table = constraints.required(table, "globalTableName");
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    if operation == Op::CreateGlobalTable {
        let group = body.objects("ReplicationGroup")?;
        for mut replica in constraints.required(group, "replicationGroup") {
            add.extend(replica.text("RegionName")?);
        }
    }
    if operation == Op::UpdateGlobalTable {
        let updates = body.objects("ReplicaUpdates")?;
        for mut update in constraints.required(updates, "replicaUpdates") {
            for (name, regions) in [("Create", &mut add), ("Delete", &mut remove)] {
                let Some(mut given) = update.object(name)? else { continue };
                regions.extend(given.text("RegionName")?);
            }
        }
    }
    let modes = ["PROVISIONED", "PAY_PER_REQUEST"];
    let mode = body.text("GlobalTableBillingMode")?;
    let mode = constraints.one_of(mode, &modes, "globalTableBillingMode");
    let write = body.integer("GlobalTableProvisionedWriteCapacityUnits")?;
    let path = "globalTableProvisionedWriteCapacityUnits";
    let write = constraints.at_least(write, 1, path);
    constraints.finish()?;
    let creates = operation == Op::CreateGlobalTable;
    Ok(match operation {
        Op::CreateGlobalTable | Op::UpdateGlobalTable => {
            Control::Globe { table, creates, add, remove }
        }
        Op::DescribeGlobalTable => Control::Global(table),
        Op::UpdateGlobalTableSettings => {
            let on_demand = mode.map(|mode| mode == "PAY_PER_REQUEST");
            let write = write.and_then(|units| u64::try_from(units).ok());
            Control::SetGlobal { table, on_demand, write }
        }
        _ => Control::GlobalSettings(table),
    })
}
