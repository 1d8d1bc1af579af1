//! Operations on tables.

use std::collections::BTreeMap;

use pangea_core::table::{KeyAttribute, KeyKind, Schema};

use super::{Constraints, Members};
use crate::dynamo::ApiError;

/// Table names of one ListTables page (DynamoDB).
const LIST_TABLES_MAX: usize = 100;
const INVALID: &str = "One or more parameter values were invalid";

/// How a table is paid for; Pangea only remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillingMode {
    /// `PAY_PER_REQUEST`.
    PayPerRequest,
    /// `PROVISIONED`, with capacity units.
    Provisioned {
        /// Read units per second.
        read: u64,
        /// Write units per second.
        write: u64,
    },
}

/// What a table's stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamView {
    /// `KEYS_ONLY`.
    KeysOnly,
    /// `NEW_IMAGE`.
    NewImage,
    /// `OLD_IMAGE`.
    OldImage,
    /// `NEW_AND_OLD_IMAGES`.
    NewAndOldImages,
}

impl StreamView {
    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeysOnly => "KEYS_ONLY",
            Self::NewImage => "NEW_IMAGE",
            Self::OldImage => "OLD_IMAGE",
            Self::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::KeysOnly, Self::NewImage, Self::OldImage, Self::NewAndOldImages]
            .into_iter()
            .find(|view| view.name() == text)
    }
}

/// `StreamSpecification`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSpecification {
    /// No stream.
    Disabled,
    /// A stream of these.
    Enabled(StreamView),
}

/// `CreateTable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// The new table's name.
    pub table: String,
    /// Its key.
    pub schema: Schema,
    /// How it is paid for.
    pub billing: BillingMode,
    /// Its stream, if the request says anything of one.
    pub stream: Option<StreamSpecification>,
    /// Whether it may not be deleted.
    pub deletion_protection: bool,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

impl CreateTable {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        refuse_indexes(body)?;
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let definitions = definitions(body, &mut constraints)?;
        let keys = key_schema(body, &mut constraints)?;
        let billing = billing(body, &mut constraints)?;
        let stream = stream(body, &mut constraints)?;
        let deletion_protection = body.boolean("DeletionProtectionEnabled")?.unwrap_or(false);
        let tags = tags(body, &mut constraints)?;
        constraints.finish()?;
        let billing = billing.ok_or_else(|| {
            ApiError::validation(format!(
                "{INVALID}: ReadCapacityUnits and WriteCapacityUnits must both be specified when \
                 BillingMode is PROVISIONED"
            ))
        })?;
        let schema = schema(&definitions, &keys)?;
        Ok(Self { table, schema, billing, stream, deletion_protection, tags })
    }
}

/// `DescribeTable` and `DeleteTable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRequest {
    /// The table's name.
    pub table: String,
}

impl TableRequest {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        constraints.finish()?;
        Ok(Self { table })
    }
}

/// `ListTables`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTables {
    /// The last name of the page before.
    pub start: Option<String>,
    /// How many names to return at most: 1 to 100.
    pub limit: usize,
}

impl ListTables {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let start = body.text("ExclusiveStartTableName")?;
        let limit = constraints.at_least(body.integer("Limit")?, 1, "limit");
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if let Some(limit) = limit.filter(|limit| *limit > LIST_TABLES_MAX && *limit < usize::MAX) {
            let constraint = "have value less than or equal to 100";
            constraints.violated(format_args!("'{limit}'"), "limit", constraint);
        }
        constraints.finish()?;
        Ok(Self { start, limit: limit.unwrap_or(LIST_TABLES_MAX) })
    }
}

/// One change to the set of regions that hold a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaUpdate {
    /// Adds a replica in this region.
    Create(String),
    /// Changes settings of the replica in this region; Pangea has none.
    Update(String),
    /// Takes the replica in this region away.
    Delete(String),
}

impl ReplicaUpdate {
    /// The region in question.
    #[must_use]
    pub fn region(&self) -> &str {
        match self {
            Self::Create(region) | Self::Update(region) | Self::Delete(region) => region,
        }
    }
}

/// `UpdateTable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateTable {
    /// The table's name.
    pub table: String,
    /// How it is to be paid for.
    pub billing: Option<BillingMode>,
    /// Its stream.
    pub stream: Option<StreamSpecification>,
    /// Whether it may be deleted.
    pub deletion_protection: Option<bool>,
    /// Regions to add or take away.
    pub replicas: Vec<ReplicaUpdate>,
}

impl UpdateTable {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        refuse_indexes(body)?;
        if body.text("MultiRegionConsistency")?.is_some_and(|mode| mode != "EVENTUAL") {
            return Err(ApiError::validation(
                "MultiRegionConsistency other than EVENTUAL is not supported yet",
            ));
        }
        let accepted = ["TableClass", "SSESpecification", "OnDemandThroughput", "WarmThroughput"];
        let mut something = accepted.into_iter().any(|name| body.has(name));
        let pays = body.has("BillingMode") || body.has("ProvisionedThroughput");
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let billing = if pays { billing(body, &mut constraints)? } else { None };
        let stream = stream(body, &mut constraints)?;
        let deletion_protection = body.boolean("DeletionProtectionEnabled")?;
        let replicas = replicas(body, &mut constraints)?;
        constraints.finish()?;
        something |= pays || stream.is_some() || deletion_protection.is_some();
        if !something && replicas.is_empty() {
            return Err(ApiError::validation(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
                 GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
            ));
        }
        Ok(Self { table, billing, stream, deletion_protection, replicas })
    }
}

fn refuse_indexes(body: &Members) -> Result<(), ApiError> {
    let names = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes", "GlobalSecondaryIndexUpdates"];
    match names.into_iter().find(|name| body.has(name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::validation(format!("{INVALID}: {name} is not supported yet"))),
    }
}

fn tags(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for (at, mut tag) in body.objects("Tags")?.unwrap_or_default().into_iter().enumerate() {
        let path = |member: &str| format!("tags.{}.member.{member}", at + 1);
        let (key, value) = (tag.text("Key")?, tag.text("Value")?);
        let key = constraints.required(key, &path("key"));
        let value = constraints.required(value, &path("value"));
        if tags.insert(key.clone(), value).is_some() {
            let text = format!("{INVALID}: Duplicate tag key {key} is not allowed");
            return Err(ApiError::validation(text));
        }
    }
    Ok(tags)
}

/// A name and a type or role, as both `AttributeDefinitions` and `KeySchema` list them.
type Pairs = Vec<(String, String)>;

fn definitions(body: &mut Members, constraints: &mut Constraints) -> Result<Pairs, ApiError> {
    let path = "attributeDefinitions";
    pairs(body, constraints, ("AttributeDefinitions", path), ("AttributeType", &["B", "N", "S"]))
}

fn key_schema(body: &mut Members, constraints: &mut Constraints) -> Result<Pairs, ApiError> {
    let path = "keySchema";
    let present = body.has("KeySchema");
    let pairs = pairs(body, constraints, ("KeySchema", path), ("KeyType", &["HASH", "RANGE"]))?;
    if present && pairs.is_empty() {
        constraints.violated("'[]'", path, "have length greater than or equal to 1");
    }
    if pairs.len() > 2 {
        let shown = format!("'[{} elements]'", pairs.len());
        constraints.violated(shown, path, "have length less than or equal to 2");
    }
    Ok(pairs)
}

fn pairs(
    body: &mut Members,
    constraints: &mut Constraints,
    (list, path): (&str, &str),
    (second, allowed): (&str, &[&str]),
) -> Result<Pairs, ApiError> {
    let elements = body.objects(list)?;
    let elements = constraints.required(elements, path);
    let mut pairs = Vec::new();
    for (at, mut element) in elements.into_iter().enumerate() {
        let path = format!("{path}.{}.member", at + 1);
        let name = element.text("AttributeName")?;
        let name = constraints.required(name, &format!("{path}.attributeName"));
        if name.len() > 255 {
            let constraint = "have length less than or equal to 255";
            constraints.violated(
                format_args!("'{name}'"),
                &format!("{path}.attributeName"),
                constraint,
            );
        }
        let mut second_path = second.to_owned();
        second_path[..1].make_ascii_lowercase();
        let second_path = format!("{path}.{second_path}");
        let value = constraints.one_of(element.text(second)?, allowed, &second_path);
        pairs.push((name, constraints.required(value, &second_path)));
    }
    Ok(pairs)
}

/// The key schema, held against the attribute definitions.
fn schema(definitions: &Pairs, keys: &Pairs) -> Result<Schema, ApiError> {
    let refuse = |message: String| Err(ApiError::validation(message));
    let names =
        |pairs: &Pairs| pairs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let attribute = |name: &str| {
        let (_, kind) = definitions.iter().find(|(other, _)| other == name)?;
        Some(KeyAttribute { name: name.to_owned(), kind: KeyKind::parse(kind)? })
    };
    let found: Option<Vec<KeyAttribute>> = keys.iter().map(|(name, _)| attribute(name)).collect();
    let Some(found) = found else {
        return refuse(format!(
            "{INVALID}: Some index key attributes are not defined in AttributeDefinitions. Keys: \
             [{}], AttributeDefinitions: [{}]",
            names(keys),
            names(definitions)
        ));
    };
    let roles: Vec<&str> = keys.iter().map(|(_, role)| role.as_str()).collect();
    if roles.first() != Some(&"HASH") {
        let reason = "The first KeySchemaElement is not a HASH key type";
        return refuse(format!("Invalid KeySchema: {reason}"));
    }
    if roles.get(1).is_some_and(|role| *role != "RANGE") {
        let reason = "The second KeySchemaElement is not a RANGE key type";
        return refuse(format!("Invalid KeySchema: {reason}"));
    }
    let mut found = found.into_iter();
    let (Some(partition), sort) = (found.next(), found.next()) else {
        return refuse("Invalid KeySchema: it is empty".to_owned());
    };
    if sort.as_ref().is_some_and(|sort| sort.name == partition.name) {
        return refuse(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name"
                .to_owned(),
        );
    }
    if definitions.len() != keys.len() {
        return refuse(format!(
            "{INVALID}: Number of attributes in KeySchema does not exactly match number of \
             attributes defined in AttributeDefinitions"
        ));
    }
    Ok(Schema { partition, sort })
}

/// The billing mode; `None` where it is provisioned without saying how much.
fn billing(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<BillingMode>, ApiError> {
    let allowed = ["PROVISIONED", "PAY_PER_REQUEST"];
    let mode = constraints.one_of(body.text("BillingMode")?, &allowed, "billingMode");
    let throughput = body.object("ProvisionedThroughput")?;
    if mode.as_deref() == Some("PAY_PER_REQUEST") {
        if throughput.is_some() {
            return Err(ApiError::validation(format!(
                "{INVALID}: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                 BillingMode is PAY_PER_REQUEST"
            )));
        }
        return Ok(Some(BillingMode::PayPerRequest));
    }
    let Some(mut throughput) = throughput else { return Ok(None) };
    let mut units = |name: &str, path: &str| -> Result<u64, ApiError> {
        let path = format!("provisionedThroughput.{path}");
        let units = constraints.at_least(throughput.integer(name)?, 1, &path);
        Ok(u64::try_from(constraints.required(units, &path)).unwrap_or(0))
    };
    let read = units("ReadCapacityUnits", "readCapacityUnits")?;
    let write = units("WriteCapacityUnits", "writeCapacityUnits")?;
    Ok(Some(BillingMode::Provisioned { read, write }))
}

fn stream(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<StreamSpecification>, ApiError> {
    let Some(mut stream) = body.object("StreamSpecification")? else { return Ok(None) };
    let enabled = stream.boolean("StreamEnabled")?;
    let enabled = constraints.required(enabled, "streamSpecification.streamEnabled");
    let allowed = ["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"];
    let path = "streamSpecification.streamViewType";
    let view = constraints.one_of(stream.text("StreamViewType")?, &allowed, path);
    match (enabled, view.as_deref().and_then(StreamView::parse)) {
        (false, None) => Ok(Some(StreamSpecification::Disabled)),
        (true, Some(view)) => Ok(Some(StreamSpecification::Enabled(view))),
        (true, None) if view.is_some() => Ok(None),
        _ => Err(ApiError::validation(format!(
            "{INVALID}: StreamViewType must be specified exactly when StreamEnabled is true"
        ))),
    }
}

fn replicas(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Vec<ReplicaUpdate>, ApiError> {
    let elements = body.objects("ReplicaUpdates")?.unwrap_or_default();
    let mut updates: Vec<ReplicaUpdate> = Vec::new();
    for (at, mut element) in elements.into_iter().enumerate() {
        let mut actions = Vec::new();
        let names = ["Create", "Update", "Delete"];
        let makers = [ReplicaUpdate::Create, ReplicaUpdate::Update, ReplicaUpdate::Delete];
        for (name, make) in names.into_iter().zip(makers) {
            let Some(mut action) = element.object(name)? else { continue };
            let region = action.text("RegionName")?;
            let path = format!(
                "replicaUpdates.{}.member.{}.regionName",
                at + 1,
                name.to_ascii_lowercase()
            );
            actions.push(make(constraints.required(region, &path)));
        }
        let (Some(update), true) = (actions.pop(), actions.is_empty()) else {
            return Err(ApiError::validation(format!(
                "{INVALID}: Each ReplicaUpdate must have exactly one of Create, Update and Delete"
            )));
        };
        if updates.iter().any(|other| other.region() == update.region()) {
            return Err(ApiError::validation(format!(
                "{INVALID}: Only one ReplicaUpdate is allowed for each region"
            )));
        }
        updates.push(update);
    }
    Ok(updates)
}
