//! Kinesis destinations: kept and shown; nothing is sent.

use std::collections::BTreeMap;

use pangea_codec::dynamo::ApiError;
use pangea_codec::dynamo::request::Sending;
use pangea_codec::dynamo::table::options;
use pangea_core::catalog::TableEntry;
use pangea_core::item::{AttributeValue, Attributes};
use serde_json::{Value, json};

use super::{one, set_options, table};
use crate::region::Region;
use crate::region::api::Trouble;
use crate::region::api::tables::table_uuid;

const STATUS: &str = "status";
const PRECISION: &str = "precision";
const ACTIVE: &str = "ACTIVE";
/// The precision of a destination of which nobody said one.
const MILLISECOND: &str = "MILLISECOND";
/// What begins the refusals of both, as the service words them.
const STATE: &str = "Table is not in a valid state to enable Kinesis Streaming Destination: ";

/// Whether it has the form of a stream's ARN; whether there is such a stream is not looked at.
fn is_stream_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else { return false };
    let name = resource.strip_prefix("stream/").unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    arn == "arn"
        && partition.starts_with("aws")
        && service == "kinesis"
        && !region.is_empty()
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=128).contains(&name.len())
        && name.bytes().all(fits)
}

fn destinations(entry: &TableEntry) -> Attributes {
    options::map(&entry.options, options::KINESIS).cloned().unwrap_or_default()
}

fn field<'d>(destinations: &'d Attributes, stream: &str, name: &str) -> Option<&'d str> {
    options::text(options::map(destinations, stream)?, name)
}

pub(super) async fn send(
    region: &Region,
    name: &str,
    stream: &str,
    action: Sending,
) -> Result<Value, Trouble> {
    if !is_stream_arn(stream) {
        return Err(ApiError::validation(format!("Invalid Kinesis stream ARN: {stream}")).into());
    }
    let entry = table(region, name)?;
    let mut all = destinations(&entry);
    let is_active = field(&all, stream, STATUS) == Some(ACTIVE);
    let now = field(&all, stream, PRECISION).map(str::to_owned);
    let has_active = all.keys().any(|stream| field(&all, stream, STATUS) == Some(ACTIVE));
    let refuse = |text: String| Err(ApiError::validation(text).into());
    let (status, shown, member, precision) = match action {
        Sending::Enable(_) if has_active => {
            return refuse(format!(
                "{STATE}EnableKinesisStreamingDestination must be DISABLED or ENABLE_FAILED to \
                 perform ENABLE operation."
            ));
        }
        Sending::Enable(precision) => {
            (ACTIVE, "ENABLING", "EnableKinesisStreamingConfiguration", precision)
        }
        Sending::Disable if !is_active => {
            return refuse(format!(
                "{STATE}KinesisStreamingDestination must be ACTIVE to perform DISABLE operation."
            ));
        }
        Sending::Disable => ("DISABLED", "DISABLING", "", now),
        Sending::Update(_) if !all.contains_key(stream) => {
            return refuse(format!(
                "{STATE}No streaming destination with streamArn: {stream} found for table with \
                 tableName: {}",
                entry.name
            ));
        }
        Sending::Update(_) if !is_active => {
            return refuse(format!(
                "{STATE}Kinesis streaming is not in ACTIVE state. Updates are only allowed in \
                 ACTIVE state. TableName: {name}, kdsArn: {stream}"
            ));
        }
        Sending::Update(precision) if now.as_deref().unwrap_or(MILLISECOND) == precision => {
            return refuse(format!(
                "Invalid Request: Precision is already set to the desired value of {precision} for \
                 tableId: {}, kdsArn: {stream}",
                table_uuid(&entry)
            ));
        }
        Sending::Update(precision) => {
            (ACTIVE, "UPDATING", "UpdateKinesisStreamingConfiguration", Some(precision))
        }
    };
    let mut destination = Attributes::from([(STATUS.to_owned(), options::of_text(status))]);
    if let Some(precision) = &precision {
        destination.insert(PRECISION.to_owned(), options::of_text(precision));
    }
    all.insert(stream.to_owned(), AttributeValue::M(destination));
    let changes = one(options::KINESIS, Some(AttributeValue::M(all)));
    set_options(region, &entry.name, changes).await?;
    let mut body =
        json!({ "TableName": entry.name, "StreamArn": stream, "DestinationStatus": shown });
    if !member.is_empty() {
        let named = precision.map(|it| ("ApproximateCreationDateTimePrecision".to_owned(), it));
        body[member] = json!(named.into_iter().collect::<BTreeMap<_, _>>());
    }
    Ok(body)
}

pub(super) fn describe(region: &Region, name: &str) -> Result<Value, Trouble> {
    let entry = table(region, name)?;
    let all = destinations(&entry);
    let shown = all.keys().map(|stream| {
        let status = field(&all, stream, STATUS);
        let mut shown = json!({ "StreamArn": stream, "DestinationStatus": status });
        if let Some(precision) = field(&all, stream, PRECISION) {
            shown["ApproximateCreationDateTimePrecision"] = json!(precision);
        }
        shown
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "TableName": entry.name, "KinesisDataStreamDestinations": shown }))
}

#[cfg(test)]
mod tests {
    use super::is_stream_arn;

    #[test]
    fn a_destination_is_the_arn_of_a_stream_of_kinesis() {
        assert!(is_stream_arn("arn:aws:kinesis:us-east-1:000000000000:stream/changes"));
        assert!(is_stream_arn("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a.b-c_d"));
        for wrong in [
            "changes",
            "arn:aws:kinesis:us-east-1:000000000000:stream/",
            "arn:aws:kinesis:us-east-1:0:stream/changes",
            "arn:aws:kinesis:us-east-1:000000000000:changes",
            "arn:aws:kinesis:us-east-1:000000000000:stream/a/b",
            "arn:aws:dynamodb:us-east-1:000000000000:stream/changes",
            "arn:aws:dynamodb:us-east-1:000000000000:table/music/stream/2026-11-27T08:00:00.000",
        ] {
            assert!(!is_stream_arn(wrong), "{wrong}");
        }
    }
}
