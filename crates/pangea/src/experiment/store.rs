//! What an experiment asks of regions: DynamoDB requests, and the admin API's view of versions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pangea_core::experiment::Seen;
use pangea_core::merge::VersionVector;
use pangea_core::time::Stamp;
use serde_json::{Value, json};

use crate::conflicts::ConflictPage;
use crate::http_client::{Answer, Ask, Client};
use crate::versions::{ItemReport, parse_stamp};

/// The experiment's own global table.
pub(super) const HOT_TABLE: &str = "pangea-experiment";
/// The sample application's table of orders.
pub(super) const ORDERS_TABLE: &str = "shop-orders";
/// Keys of one BatchGetItem.
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
    TooSlow(&'static str, Duration),
}

/// One DynamoDB request. The signature is a placeholder: the development endpoint takes any.
pub(super) async fn dynamodb(
    client: &mut Client,
    action: &'static str,
    body: &Value,
) -> Result<(Value, Answer), Error> {
    let target = format!("DynamoDB_20120810.{action}");
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &*target)];
    let answer = client.ask(Ask::post("/", &headers, body.to_string())).await?;
    if !answer.status.is_success() {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Error::Refused { action, status: answer.status.as_u16(), body });
    }
    let value = serde_json::from_slice(&answer.body);
    let value = value.map_err(|error| Error::Unreadable(action, error.to_string()))?;
    Ok((value, answer))
}

/// Writes a hot key and says as which version.
pub(super) async fn put_hot(client: &mut Client, key: usize, value: &str) -> Result<Stamp, Error> {
    let body = json!({"TableName": HOT_TABLE, "Item": {"k": hot_key(key), "v": {"S": value}}});
    let (_, answer) = dynamodb(client, "PutItem", &body).await?;
    let header = answer.headers.get(crate::versions::STAMP_HEADER);
    let stamp = header.and_then(|value| parse_stamp(value.to_str().ok()?));
    stamp.ok_or_else(|| Error::Unreadable("PutItem", "no version in the response".to_string()))
}

fn hot_key(key: usize) -> Value {
    json!({"S": format!("hot-{key}")})
}

/// Makes the experiment's table in its home region with replicas in the others, unless it is there.
pub(super) async fn ensure_hot_table(
    home: &mut Client,
    others: &[String],
    patience: Duration,
) -> Result<(), Error> {
    let until = Instant::now() + patience;
    loop {
        let described = dynamodb(home, "DescribeTable", &json!({"TableName": HOT_TABLE})).await;
        match described {
            Ok((table, _)) if all_active(&table["Table"], others) => return Ok(()),
            Ok((table, _)) => add_missing(home, &table["Table"], others).await?,
            Err(Error::Refused { body, .. }) if body.contains("ResourceNotFound") => {
                dynamodb(home, "CreateTable", &new_table()).await?;
            }
            Err(error) => return Err(error),
        }
        if Instant::now() > until {
            return Err(Error::TooSlow("the experiment's table is not active", patience));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn new_table() -> Value {
    json!({
        "TableName": HOT_TABLE,
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    })
}

fn replica_status<'a>(table: &'a Value, region: &str) -> Option<&'a str> {
    let replicas = table["Replicas"].as_array()?;
    let replica = replicas.iter().find(|replica| replica["RegionName"] == region)?;
    replica["ReplicaStatus"].as_str()
}

fn all_active(table: &Value, others: &[String]) -> bool {
    others.iter().all(|region| replica_status(table, region) == Some("ACTIVE"))
}

async fn add_missing(home: &mut Client, table: &Value, others: &[String]) -> Result<(), Error> {
    for region in others.iter().filter(|region| replica_status(table, region).is_none()) {
        let update = json!({"Create": {"RegionName": region}});
        let body = json!({"TableName": HOT_TABLE, "ReplicaUpdates": [update]});
        dynamodb(home, "UpdateTable", &body).await?;
    }
    Ok(())
}

/// Which of `ids` a region's table of orders has.
pub(super) async fn orders_present(
    client: &mut Client,
    ids: &[String],
) -> Result<BTreeSet<String>, Error> {
    let mut present = BTreeSet::new();
    for chunk in ids.chunks(BATCH) {
        let mut keys: Vec<Value> = chunk.iter().map(|id| json!({"order_id": {"S": id}})).collect();
        while !keys.is_empty() {
            let request = json!({"Keys": keys, "ProjectionExpression": "order_id"});
            let body = json!({"RequestItems": {ORDERS_TABLE: request}});
            let (value, _) = dynamodb(client, "BatchGetItem", &body).await?;
            let items = value["Responses"][ORDERS_TABLE].as_array();
            let ids = items.into_iter().flatten().filter_map(|item| item["order_id"]["S"].as_str());
            present.extend(ids.map(str::to_string));
            let left = value["UnprocessedKeys"][ORDERS_TABLE]["Keys"].as_array();
            keys = left.cloned().unwrap_or_default();
        }
    }
    Ok(present)
}

async fn admin(client: &mut Client, what: &'static str, path: &str) -> Result<Answer, Error> {
    let answer = client.ask(Ask::get(path)).await?;
    if answer.status.is_success() {
        return Ok(answer);
    }
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    Err(Error::Refused { action: what, status: answer.status.as_u16(), body })
}

/// The current version of a hot key in a region, from its admin API.
pub(super) async fn hot_version(client: &mut Client, key: usize) -> Result<Option<Seen>, Error> {
    let path = format!("/v1/item?table={HOT_TABLE}&partition=hot-{key}");
    let answer = admin(client, "item", &path).await?;
    let report: ItemReport = serde_json::from_slice(&answer.body)
        .map_err(|error| Error::Unreadable("item", error.to_string()))?;
    Ok(report.version.and_then(|version| version.seen()))
}

/// The losing sides of the hot keys' conflicts, by key, from one region's ledger.
pub(super) async fn hot_losers(client: &mut Client) -> Result<Vec<(String, Seen)>, Error> {
    let mut losers = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/conflicts?table={HOT_TABLE}&limit=500&after={after}");
        let answer = admin(client, "conflicts", &path).await?;
        let page: ConflictPage = serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Unreadable("conflicts", error.to_string()))?;
        for entry in page.conflicts {
            let key = entry.key.first().and_then(|part| part["S"].as_str()).map(str::to_string);
            let seen = entry.loser.version.seen();
            losers.extend(key.zip(seen));
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(losers),
        }
    }
}

/// What a region has applied of each origin, itself included, by the region's number.
pub(super) async fn applied(client: &mut Client) -> Result<VersionVector, Error> {
    let answer = admin(client, "vector", "/v1/vector").await?;
    let stamps: Vec<String> = serde_json::from_slice(&answer.body)
        .map_err(|error| Error::Unreadable("vector", error.to_string()))?;
    let stamps = stamps.iter().filter_map(|text| parse_stamp(text));
    Ok(VersionVector::from_entries(stamps.map(|stamp| (stamp.origin, stamp.hlc))))
}

/// The name that a hot key has in the ledger.
pub(super) fn hot_name(key: usize) -> String {
    format!("hot-{key}")
}
