//! Getting the tables there: look, take the one step that is missing, look again.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateReplicationGroupMemberAction, KeySchemaElement,
    KeyType, ReplicationGroupUpdate, ScalarAttributeType, StreamSpecification, StreamViewType,
    TableDescription, TableStatus,
};
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::store::{self, CARTS, CHARGES, LIKES, ORDERS, StoreError};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

struct Table {
    name: &'static str,
    /// The partition key, then the sort key if there is one.
    keys: &'static [&'static str],
}

const TABLES: [Table; 4] = [
    Table { name: ORDERS, keys: &["order_id"] },
    Table { name: CARTS, keys: &["cart_id", "sku"] },
    Table { name: LIKES, keys: &["product"] },
    Table { name: CHARGES, keys: &["idempotency_key"] },
];

enum Step {
    Ready,
    /// Not yet, and why; what was missing may just have been asked for.
    Wait(String),
}

/// Returns once every table can be used here, or says what was missing at the deadline.
pub(crate) async fn ensure(
    client: &Client,
    config: &Config,
    waiting: impl Fn(String),
) -> Result<(), String> {
    let deadline = Instant::now() + config.tables_timeout;
    let mut pause = FIRST_PAUSE;
    let mut last = String::new();
    loop {
        let why = look(client, config).await.join("; ");
        if why.is_empty() {
            return Ok(());
        }
        // News is worth looking again soon, and is said once, not at every look.
        if why != last {
            pause = FIRST_PAUSE;
            waiting(why.clone());
        }
        if Instant::now() + pause > deadline {
            return Err(format!("the tables are not there: {why}"));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        last = why;
    }
}

/// Takes a step for every table, so that they come along side by side; what is not there yet.
async fn look(client: &Client, config: &Config) -> Vec<String> {
    let mut missing = Vec::new();
    for table in &TABLES {
        if let Step::Wait(why) = step(client, config, table).await {
            missing.push(why);
        }
    }
    missing
}

/// Whatever fails is looked at again: a table in use, a table another shop has just created, and
/// an endpoint not up yet all need the same patience.
async fn step(client: &Client, config: &Config, table: &Table) -> Step {
    match describe(client, table.name).await {
        Err(error) => wait(table, error),
        Ok(None) if config.create_tables => match create(client, table).await {
            Ok(()) => wait(table, "being created"),
            Err(error) => wait(table, error),
        },
        Ok(None) => wait(table, format!("does not exist in {} yet", config.region)),
        Ok(Some(found)) => advance(client, config, table, &found).await,
    }
}

async fn advance(
    client: &Client,
    config: &Config,
    table: &Table,
    found: &TableDescription,
) -> Step {
    let status = found.table_status().unwrap_or(&TableStatus::Creating);
    // A table that is being updated, say given a replica, serves all the while.
    let missing = missing_replica(config, found);
    match (status, missing) {
        (TableStatus::Active | TableStatus::Updating, None) => Step::Ready,
        (TableStatus::Active, Some(region)) => match add_replica(client, table, region).await {
            Ok(()) => wait(table, format!("getting a replica in {region}")),
            Err(error) => wait(table, error),
        },
        _ => wait(table, format!("is {status}")),
    }
}

fn wait(table: &Table, why: impl fmt::Display) -> Step {
    Step::Wait(format!("{}: {why}", table.name))
}

fn missing_replica<'a>(config: &'a Config, found: &TableDescription) -> Option<&'a str> {
    let has = |region: &str| found.replicas().iter().any(|r| r.region_name() == Some(region));
    config.replicate_to.iter().map(String::as_str).find(|region| !has(region))
}

async fn describe(client: &Client, name: &str) -> Result<Option<TableDescription>, StoreError> {
    match client.describe_table().table_name(name).send().await {
        Ok(found) => Ok(found.table),
        Err(error)
            if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) =>
        {
            Ok(None)
        }
        Err(error) => Err(store::describe("DescribeTable", &error)),
    }
}

async fn create(client: &Client, table: &Table) -> Result<(), StoreError> {
    let mut create = client.create_table().table_name(table.name);
    for (name, role) in table.keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let key = KeySchemaElement::builder().attribute_name(*name).key_type(role).build();
        let kind = ScalarAttributeType::S;
        let attribute =
            AttributeDefinition::builder().attribute_name(*name).attribute_type(kind).build();
        create = create
            .key_schema(key.expect("a key has its name and role"))
            .attribute_definitions(attribute.expect("an attribute has its name and type"));
    }
    // Replication between regions reads this stream, with both images.
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
        .expect("a stream is on or off");
    let create = create.billing_mode(BillingMode::PayPerRequest).stream_specification(stream);
    create.send().await.map(drop).map_err(|error| store::describe("CreateTable", &error))
}

/// One region at a time: DynamoDB takes a single replica per update.
async fn add_replica(client: &Client, table: &Table, region: &str) -> Result<(), StoreError> {
    let replica = CreateReplicationGroupMemberAction::builder().region_name(region).build();
    let update = ReplicationGroupUpdate::builder()
        .create(replica.expect("a replica has its region"))
        .build();
    let sent = client.update_table().table_name(table.name).replica_updates(update).send().await;
    sent.map(drop).map_err(|error| store::describe("UpdateTable", &error))
}
