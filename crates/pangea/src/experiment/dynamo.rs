//! DynamoDB requests of an experiment's clients and of its audit.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pangea_codec::sigv4::{self, ALGORITHM, Date, PLACEHOLDER, Signed};
use pangea_core::time::Stamp;
use serde_json::{Value, json};

use super::load::Kind;
use crate::config::Topology;
use crate::http_client::{Answer, Ask, Client};
use crate::versions::parse_stamp;

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// Keys of one BatchGetItem (DynamoDB's limit).
const BATCH: usize = 100;

/// Why a region could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No answer.
    #[error(transparent)]
    Http(#[from] crate::http_client::Error),
    /// An answer that says no.
    #[error("{action}: {status}: {body}")]
    Refused { action: &'static str, status: u16, body: String },
    /// An answer that cannot be read.
    #[error("{0}: unreadable answer: {1}")]
    Unreadable(&'static str, String),
    /// It took too long.
    #[error("{0} within {1:?}")]
    TooSlow(String, Duration),
}

/// What the requests of this process are signed with; a placeholder where it is not set.
static KEY: OnceLock<[String; 3]> = OnceLock::new();
/// The placeholder has no date, so that any will do.
const DATE: &str = "20260101T000000Z";
const SIGNED: &str = "content-type;host;x-amz-date;x-amz-target";

/// Signs every request from now on with a key of the topology, if it has any: with one that may do
/// everything, if there is one.
///
/// # Errors
/// The file with its secret cannot be read.
pub(super) fn use_key_of(topology: &Topology) -> std::io::Result<()> {
    let keys = &topology.credentials;
    let key = keys.iter().find(|key| key.allow.is_empty()).or_else(|| keys.first());
    if let Some(key) = key {
        let region = topology.regions[0].name.clone();
        // A process runs the experiments of one topology.
        let _ = KEY.set([key.access_key.clone(), key.secret()?, region]);
    }
    Ok(())
}

/// The values of `Authorization` and `X-Amz-Date`.
fn authorization(host: &str, target: &str, body: &[u8]) -> [String; 2] {
    let Some([access, secret, region]) = KEY.get() else {
        let scope = "20260101/us-east-1/dynamodb/aws4_request";
        let text = format!(
            "{ALGORITHM} Credential=pangea/{scope}, SignedHeaders={SIGNED}, Signature={PLACEHOLDER}"
        );
        return [text, DATE.to_owned()];
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let date = Date::from_unix(now).to_string();
    let header = |name: &str| {
        Some(Cow::Borrowed(match name {
            "content-type" => CONTENT_TYPE,
            "host" => host,
            "x-amz-date" => &date,
            "x-amz-target" => target,
            _ => return None,
        }))
    };
    let signed = Signed { method: "POST", path: "/", query: "", header: &header, body };
    let text = sigv4::authorization(&signed, SIGNED, [access, secret], [region, "dynamodb"], now);
    [text, date]
}

/// One DynamoDB request.
pub(super) async fn dynamodb(
    client: &mut Client,
    action: &'static str,
    body: &Value,
) -> Result<(Value, Answer), Error> {
    let target = format!("DynamoDB_20120810.{action}");
    let body = body.to_string();
    let host = client.address().to_string();
    let [authorization, date] = authorization(&host, &target, body.as_bytes());
    let headers = [
        ("content-type", CONTENT_TYPE),
        ("x-amz-target", &*target),
        ("authorization", &*authorization),
        ("x-amz-date", &*date),
    ];
    let answer = client.ask(Ask::post("/", &headers, body)).await?;
    if !answer.status.is_success() {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Error::Refused { action, status: answer.status.as_u16(), body });
    }
    let value = serde_json::from_slice(&answer.body);
    let value = value.map_err(|error| Error::Unreadable(action, error.to_string()))?;
    Ok((value, answer))
}

/// Writes `value` under `key`, or deletes it, and says as which version; `None` if nothing changed.
pub(super) async fn write(
    client: &mut Client,
    table: &str,
    key: &str,
    kind: Kind,
    value: &str,
    condition: Value,
) -> Result<Option<Stamp>, Error> {
    let mut body = condition;
    body["TableName"] = table.into();
    let action = match kind {
        Kind::Put | Kind::Conditional => {
            body["Item"] = json!({"k": {"S": key}, "v": {"S": value}});
            "PutItem"
        }
        Kind::Update => {
            body["Key"] = json!({"k": {"S": key}});
            body["UpdateExpression"] = "SET v = :v".into();
            body["ExpressionAttributeValues"] = json!({":v": {"S": value}});
            "UpdateItem"
        }
        Kind::Delete => {
            body["Key"] = json!({"k": {"S": key}});
            "DeleteItem"
        }
    };
    let (_, answer) = dynamodb(client, action, &body).await?;
    let header = answer.headers.get(crate::versions::STAMP_HEADER);
    let stamp = header.and_then(|value| parse_stamp(value.to_str().ok()?));
    if stamp.is_none() && kind != Kind::Delete {
        let why = "no version in the response".to_string();
        return Err(Error::Unreadable(action, why));
    }
    Ok(stamp)
}

/// The value under `key`, read strongly.
pub(super) async fn get(
    client: &mut Client,
    table: &str,
    key: &str,
) -> Result<Option<String>, Error> {
    let body = json!({"TableName": table, "Key": {"k": {"S": key}}, "ConsistentRead": true});
    let (answer, _) = dynamodb(client, "GetItem", &body).await?;
    Ok(answer["Item"]["v"]["S"].as_str().map(str::to_string))
}

/// Puts items of `k` and `v`, 25 at a time (DynamoDB's limit).
pub(super) async fn fill(
    client: &mut Client,
    table: &str,
    rows: &[(String, String)],
) -> Result<(), Error> {
    for chunk in rows.chunks(25) {
        let mut left: Vec<Value> = chunk.iter().map(put_request).collect();
        while !left.is_empty() {
            let body = json!({"RequestItems": {table: left}});
            let (answer, _) = dynamodb(client, "BatchWriteItem", &body).await?;
            left = answer["UnprocessedItems"][table].as_array().cloned().unwrap_or_default();
        }
    }
    Ok(())
}

fn put_request((key, value): &(String, String)) -> Value {
    json!({"PutRequest": {"Item": {"k": {"S": key}, "v": {"S": value}}}})
}

/// Every item of a table, by the JSON of its key attributes, or plainly by a key that is one text.
pub(super) async fn scan(
    client: &mut Client,
    table: &str,
) -> Result<BTreeMap<String, Value>, Error> {
    let described = describe(client, table).await?;
    let schema = described["KeySchema"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = schema.iter().filter_map(|key| key["AttributeName"].as_str()).collect();
    let (mut items, mut after) = (BTreeMap::new(), None);
    loop {
        let mut body = json!({"TableName": table, "ConsistentRead": true});
        if let Some(after) = after {
            body["ExclusiveStartKey"] = after;
        }
        let (mut page, _) = dynamodb(client, "Scan", &body).await?;
        for item in page["Items"].as_array().into_iter().flatten() {
            items.insert(key_of(item, &names), item.clone());
        }
        match page["LastEvaluatedKey"].take() {
            Value::Null => return Ok(items),
            key => after = Some(key),
        }
    }
}

fn key_of(item: &Value, names: &[&str]) -> String {
    match names {
        [name] if item[*name]["S"].is_string() => {
            item[*name]["S"].as_str().unwrap_or_default().to_string()
        }
        names => names.iter().map(|name| item[*name].to_string()).collect::<Vec<_>>().join(" "),
    }
}

/// Which of `ids` a table has, by the attribute `key`.
pub(super) async fn present(
    client: &mut Client,
    table: &str,
    key: &str,
    ids: &[String],
) -> Result<BTreeSet<String>, Error> {
    let mut present = BTreeSet::new();
    for chunk in ids.chunks(BATCH) {
        let mut keys: Vec<Value> = chunk.iter().map(|id| json!({key: {"S": id}})).collect();
        while !keys.is_empty() {
            let request = json!({"Keys": keys, "ProjectionExpression": key});
            let body = json!({"RequestItems": {table: request}});
            let (value, _) = dynamodb(client, "BatchGetItem", &body).await?;
            let items = value["Responses"][table].as_array();
            let ids = items.into_iter().flatten().filter_map(|item| item[key]["S"].as_str());
            present.extend(ids.map(str::to_string));
            let left = value["UnprocessedKeys"][table]["Keys"].as_array();
            keys = left.cloned().unwrap_or_default();
        }
    }
    Ok(present)
}

/// The description of a table.
pub(super) async fn describe(client: &mut Client, table: &str) -> Result<Value, Error> {
    let body = json!({"TableName": table});
    let (mut described, _) = dynamodb(client, "DescribeTable", &body).await?;
    Ok(described["Table"].take())
}

/// Makes a table in its home region with replicas in the others, unless it is there.
pub(super) async fn ensure_table(
    home: &mut Client,
    table: &str,
    others: &[String],
    patience: Duration,
) -> Result<(), Error> {
    let until = Instant::now() + patience;
    loop {
        match describe(home, table).await {
            Ok(described) if all_active(&described, others) => return Ok(()),
            Ok(described) => add_missing(home, table, &described, others).await?,
            Err(Error::Refused { body, .. }) if body.contains("ResourceNotFound") => {
                dynamodb(home, "CreateTable", &new_table(table)).await?;
            }
            Err(error) => return Err(error),
        }
        if Instant::now() > until {
            return Err(Error::TooSlow(format!("table {table} is not active"), patience));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn new_table(table: &str) -> Value {
    json!({
        "TableName": table,
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    })
}

/// How a description shows the replica in `region`.
pub(super) fn replica_status<'a>(table: &'a Value, region: &str) -> Option<&'a str> {
    let replicas = table["Replicas"].as_array()?;
    let replica = replicas.iter().find(|replica| replica["RegionName"] == region)?;
    replica["ReplicaStatus"].as_str()
}

fn all_active(table: &Value, others: &[String]) -> bool {
    others.iter().all(|region| replica_status(table, region) == Some("ACTIVE"))
}

async fn add_missing(
    home: &mut Client,
    name: &str,
    table: &Value,
    others: &[String],
) -> Result<(), Error> {
    for region in others.iter().filter(|region| replica_status(table, region).is_none()) {
        change_replica(home, name, "Create", region).await?;
    }
    Ok(())
}

/// Asks for a replica (`Create`), or for its end (`Delete`).
pub(super) async fn change_replica(
    home: &mut Client,
    table: &str,
    change: &str,
    region: &str,
) -> Result<(), Error> {
    let update = json!({change: {"RegionName": region}});
    let body = json!({"TableName": table, "ReplicaUpdates": [update]});
    dynamodb(home, "UpdateTable", &body).await.map(drop)
}
