//! Kinesis destinations: kept and shown; nothing is sent.

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
    if let (false, Some(precision)) = (member.is_empty(), precision) {
        body[member] = json!({ "ApproximateCreationDateTimePrecision": precision });
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
