//! The description of a table, as clients read it.

use pangea_core::table::Schema;

use super::json::{Array, Object};
use super::request::{BillingMode, StreamView};

/// The account of every ARN: Pangea has none.
const ACCOUNT: &str = "000000000000";
/// The version of global tables whose API Pangea speaks.
const GLOBAL_TABLE_VERSION: &str = "2019.11.21";

/// Where a table is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableStatus {
    /// Being made.
    Creating,
    /// Being changed.
    Updating,
    /// Being taken away.
    Deleting,
    /// Ready.
    Active,
}

impl TableStatus {
    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Active => "ACTIVE",
        }
    }
}

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaStatus {
    /// Being made.
    Creating,
    /// Could not be made.
    CreationFailed,
    /// Being changed.
    Updating,
    /// Being taken away.
    Deleting,
    /// Ready.
    Active,
    /// Its region cannot be reached or is switched off.
    RegionDisabled,
}

impl ReplicaStatus {
    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::CreationFailed => "CREATION_FAILED",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Active => "ACTIVE",
            Self::RegionDisabled => "REGION_DISABLED",
        }
    }
}

/// A replica, as a description lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Its region's name.
    pub region: String,
    /// Where it is in its life.
    pub status: ReplicaStatus,
    /// Details of the status for people.
    pub description: Option<String>,
}

/// A table's stream, as a description shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// What it carries.
    pub view: StreamView,
    /// Its label: by DynamoDB's custom the time of its creation.
    pub label: String,
}

/// All that a description says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableView {
    /// The table's name.
    pub name: String,
    /// The region that answers.
    pub region: String,
    /// The table's identity, as the text of a UUID.
    pub id: String,
    /// Where the table is in its life.
    pub status: TableStatus,
    /// Its key.
    pub schema: Schema,
    /// When it was created, milliseconds since 1970.
    pub created_ms: u64,
    /// How many items it has, roughly.
    pub item_count: u64,
    /// Their size in bytes, roughly.
    pub size_bytes: u64,
    /// How it is paid for.
    pub billing: BillingMode,
    /// Its stream, if it has one.
    pub stream: Option<StreamInfo>,
    /// Whether it may not be deleted.
    pub deletion_protection: bool,
    /// Its replicas, those that the description lists.
    pub replicas: Vec<ReplicaView>,
}

/// The ARN of a table.
#[must_use]
pub fn table_arn(region: &str, name: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}")
}

/// Milliseconds since 1970 as DynamoDB's JSON writes times: seconds with a fraction.
pub(super) fn epoch_seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Appends the `TableDescription`.
pub fn write_table_description(out: &mut Vec<u8>, view: &TableView) {
    let mut table = Object::new(out);
    write_definitions(table.member("AttributeDefinitions"), &view.schema);
    table.text("TableName", &view.name);
    write_key_schema(table.member("KeySchema"), &view.schema);
    table.text("TableStatus", view.status.name());
    table.member("CreationDateTime").extend_from_slice(epoch_seconds(view.created_ms).as_bytes());
    write_throughput(table.member("ProvisionedThroughput"), view.billing);
    table.value("TableSizeBytes", &view.size_bytes);
    table.value("ItemCount", &view.item_count);
    table.text("TableArn", &table_arn(&view.region, &view.name));
    table.text("TableId", &view.id);
    if view.billing == BillingMode::PayPerRequest {
        let mut billing = Object::new(table.member("BillingModeSummary"));
        billing.text("BillingMode", "PAY_PER_REQUEST");
        let created = epoch_seconds(view.created_ms);
        billing.member("LastUpdateToPayPerRequestDateTime").extend_from_slice(created.as_bytes());
        billing.end();
    }
    if let Some(stream) = &view.stream {
        let mut specification = Object::new(table.member("StreamSpecification"));
        specification.value("StreamEnabled", &true);
        specification.text("StreamViewType", stream.view.name());
        specification.end();
        table.text("LatestStreamLabel", &stream.label);
        let arn = format!("{}/stream/{}", table_arn(&view.region, &view.name), stream.label);
        table.text("LatestStreamArn", &arn);
    }
    if !view.replicas.is_empty() {
        table.text("GlobalTableVersion", GLOBAL_TABLE_VERSION);
        write_replicas(table.member("Replicas"), view);
    }
    table.value("DeletionProtectionEnabled", &view.deletion_protection);
    table.end();
}

fn write_definitions(out: &mut Vec<u8>, schema: &Schema) {
    let mut array = Array::new(out);
    for attribute in [Some(&schema.partition), schema.sort.as_ref()].into_iter().flatten() {
        let mut object = Object::new(array.element());
        object.text("AttributeName", &attribute.name);
        object.text("AttributeType", &attribute.kind.to_string());
        object.end();
    }
    array.end();
}

pub(super) fn write_key_schema(out: &mut Vec<u8>, schema: &Schema) {
    let mut array = Array::new(out);
    for (name, role) in schema.key_names().zip(["HASH", "RANGE"]) {
        let mut object = Object::new(array.element());
        object.text("AttributeName", name);
        object.text("KeyType", role);
        object.end();
    }
    array.end();
}

fn write_throughput(out: &mut Vec<u8>, billing: BillingMode) {
    let (read, write) = match billing {
        BillingMode::PayPerRequest => (0, 0),
        BillingMode::Provisioned { read, write } => (read, write),
    };
    let mut object = Object::new(out);
    object.value("NumberOfDecreasesToday", &0);
    object.value("ReadCapacityUnits", &read);
    object.value("WriteCapacityUnits", &write);
    object.end();
}

fn write_replicas(out: &mut Vec<u8>, view: &TableView) {
    let mut array = Array::new(out);
    for replica in &view.replicas {
        let mut object = Object::new(array.element());
        object.text("RegionName", &replica.region);
        object.text("ReplicaStatus", replica.status.name());
        if let Some(description) = &replica.description {
            object.text("ReplicaStatusDescription", description);
        }
        object.text("ReplicaArn", &table_arn(&replica.region, &view.name));
        object.end();
    }
    array.end();
}
