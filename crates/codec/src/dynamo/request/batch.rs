//! Batches.

use std::collections::{BTreeMap, BTreeSet};

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Placeholders, Projection};
use pangea_core::item::{Attributes, PrimaryKey, validate};
use pangea_core::limits::{BATCH_GET_KEYS_MAX, BATCH_WRITE_ITEMS_MAX};
use pangea_core::table::{Action, ReturnValues, Schema, WriteOp};

use super::constraints::{MAP_KEYS, is_table_name, table_of};
use super::expressions::{return_capacity, return_metrics};
use super::item::{check_paths, check_projection};
use super::{Constraints, Members, echo, legacy};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

const DUPLICATES: &str = "Provided list of item keys contains duplicates";
const MAP_VALUE: &str = "Member must have length less than or equal to 25, Member must have length greater than or \
     equal to 1";
const NO_KEYS: &str = "have length greater than or equal to 1";

/// `BatchGetItem`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchGetItem {
    /// What to get from each table, by its name.
    pub tables: BTreeMap<String, BatchGetTable>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

/// One table's part of a `BatchGetItem`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchGetTable {
    /// The keys, not yet held against a schema; distinct.
    pub keys: Vec<Attributes>,
    /// Which parts to return.
    pub projection: Option<Projection>,
    /// Whether the reads must see every write acknowledged before them.
    pub consistent: bool,
    /// The `AttributesToGet` as it came, to be repeated with unprocessed keys.
    pub attributes_to_get: Option<Vec<String>>,
    /// The `ProjectionExpression` as it came, to be repeated with unprocessed keys.
    pub projection_text: Option<String>,
    /// The `ExpressionAttributeNames` as they came, to be repeated with unprocessed keys.
    pub names: Option<BTreeMap<String, String>>,
}

impl BatchGetItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let items = body.object("RequestItems")?;
        let mut items = constraints.required(items, "requestItems");
        let mut entries = Vec::new();
        for name in items.names() {
            let Some(mut entry) = items.object(&name)? else { continue };
            let keys = entry.items("Keys")?;
            let table = constraints.map_key(&name, || {
                let keys: Vec<String> = keys.iter().flatten().map(echo::json).collect();
                format!("{{\"{name}\":{{\"Keys\":[{}]}}}}", keys.join(","))
            });
            check_keys(keys.as_deref(), &table, &mut constraints);
            let path = format!("requestItems.{table}.member.attributesToGet");
            let attributes = legacy::attributes_to_get(&mut entry, &mut constraints, &path)?;
            entries.push((table, entry, keys.unwrap_or_default(), attributes));
        }
        let capacity = return_capacity(body, &mut constraints)?;
        if entries.is_empty() && constraints.is_clean() {
            constraints.violated_at("RequestItems", NO_KEYS);
        }
        constraints.finish()?;
        // One table's way of naming attributes goes for all.
        let legacy = entries.iter().any(|(.., attributes)| attributes.is_some());
        let with = ["ProjectionExpression"];
        if let Some((_, entry, ..)) = entries.iter().find(|(_, entry, ..)| entry.has(with[0])) {
            let legacy = legacy.then_some("AttributesToGet");
            legacy::check_parameters_of(entry, &with, legacy)?;
        }
        let mut tables = BTreeMap::new();
        for (name, mut entry, keys, attributes) in entries {
            let table = BatchGetTable::decode(&mut entry, keys, attributes)?;
            if tables.insert(name, table).is_some() {
                return Err(ApiError::validation(DUPLICATES));
            }
        }
        let keys: usize = tables.values().map(|table| table.keys.len()).sum();
        if keys > BATCH_GET_KEYS_MAX {
            return Err(ApiError::validation("Too many items requested for the BatchGetItem call"));
        }
        Ok(Self { tables, capacity })
    }
}

fn check_keys(keys: Option<&[Attributes]>, table: &str, constraints: &mut Constraints) {
    // The length is told in the words of another framework (measured by the Parity Suite).
    let path = format!("RequestItems.{table}.member.Keys");
    match keys {
        None => constraints.required(None, &format!("requestItems.{table}.member.keys")),
        Some([]) => constraints.violated_at(&path, NO_KEYS),
        Some(keys) if keys.len() > BATCH_GET_KEYS_MAX => {
            let limit = format!("have length less than or equal to {BATCH_GET_KEYS_MAX}");
            constraints.violated_at(&path, &limit);
        }
        Some(_) => {}
    }
}

impl BatchGetTable {
    fn decode(
        entry: &mut Members,
        keys: Vec<Attributes>,
        attributes_to_get: Option<Vec<String>>,
    ) -> Result<Self, ApiError> {
        let legacy = attributes_to_get.as_ref().map(|_| "AttributesToGet");
        let consistent = entry.boolean("ConsistentRead")?.unwrap_or(false);
        legacy::check_parameters_of(entry, &["ProjectionExpression"], legacy)?;
        let attributes = legacy::projection(attributes_to_get.clone())?;
        let projection_text = entry.text("ProjectionExpression")?;
        let names = entry.texts("ExpressionAttributeNames")?;
        let mut placeholders = Placeholders::new(names.clone(), None)?;
        let projection = match &projection_text {
            Some(text) => Some(Projection::parse(text, &mut placeholders)?),
            None => None,
        };
        placeholders.finish()?;
        entry.check_values()?;
        if keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key)) {
            return Err(ApiError::validation(DUPLICATES));
        }
        let projection = projection.or(attributes);
        Ok(Self { keys, projection, consistent, attributes_to_get, projection_text, names })
    }

    /// The keys in a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where a key does not fit.
    pub fn primary_keys(&self, schema: &Schema) -> Result<Vec<PrimaryKey>, ApiError> {
        check_projection(self.projection.as_ref(), schema)?;
        let keys = self.keys.iter().map(|key| schema.exact_key(key));
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// Refuses a projection of parts of a key attribute of the table or of an index.
    ///
    /// # Errors
    ///
    /// A `ValidationException`.
    pub fn check_paths(&self, table: &TableEntry) -> Result<(), ApiError> {
        check_paths(table, self.projection.as_ref(), None)
    }
}

/// `BatchWriteItem`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchWriteItem {
    /// What to write to each table, by its name.
    pub tables: BTreeMap<String, Vec<BatchWrite>>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
    /// Whether to tell of the items' collections, where tables have local indexes.
    pub collection_metrics: bool,
}

/// One write of a `BatchWriteItem`.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchWrite {
    /// A whole new item.
    Put(Attributes),
    /// The key of an item to delete, not yet held against a schema.
    Delete(Attributes),
}

impl BatchWriteItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let items = body.object("RequestItems")?;
        let mut items = constraints.required(items, "requestItems");
        let mut tables: BTreeMap<String, Vec<BatchWrite>> = BTreeMap::new();
        let (mut refused, mut echo, mut wrong) = (Ok(()), Vec::new(), false);
        for name in items.names() {
            let Some(entries) = items.objects(&name)? else { continue };
            let mut writes = Vec::with_capacity(entries.len());
            for (at, entry) in entries.into_iter().enumerate() {
                let path = format!("requestItems.{name}.member.{}.member", at + 1);
                match BatchWrite::decode(entry, &path, &mut constraints)? {
                    Ok(write) => writes.push(write),
                    Err(error) if refused.is_ok() => refused = Err(error),
                    Err(_) => {}
                }
            }
            wrong |= !(1..=BATCH_WRITE_ITEMS_MAX).contains(&writes.len()) && refused.is_ok();
            echo.push((name, writes));
        }
        let capacity = return_capacity(body, &mut constraints)?;
        let collection_metrics = return_metrics(body, &mut constraints)?;
        if constraints.is_clean() {
            let shown = || format!("'{{{}}}'", echo::tables(&echo));
            if wrong {
                constraints.violated_map(shown(), "requestItems", "value", MAP_VALUE);
            }
            if echo.iter().any(|(name, _)| !is_table_name(name)) {
                constraints.violated_map(shown(), "requestItems", "keys", MAP_KEYS);
            }
        }
        let is_clean = constraints.is_clean();
        constraints.finish()?;
        if echo.is_empty() && is_clean {
            // Regions answer so or, as to a `BatchGetItem`, in the words of the other framework.
            let text = "The requestItems parameter is required for BatchWriteItem";
            return Err(ApiError::validation(text));
        }
        refused?;
        for (name, writes) in echo {
            tables.entry(table_of(&name).to_owned()).or_default().extend(writes);
        }
        if tables.values().map(Vec::len).sum::<usize>() > BATCH_WRITE_ITEMS_MAX {
            return Err(ApiError::validation(
                "Too many items requested for the BatchWriteItem call",
            ));
        }
        Ok(Self { tables, capacity, collection_metrics })
    }
}

impl BatchWrite {
    /// A write, or why DynamoDB refuses it once the whole request is well formed.
    fn decode(
        mut entry: Members,
        path: &str,
        constraints: &mut Constraints,
    ) -> Result<Result<Self, ApiError>, ApiError> {
        let put = entry.object("PutRequest")?;
        let delete = entry.object("DeleteRequest")?;
        Ok(match (put, delete) {
            (Some(mut put), None) => {
                let item = put.item("Item")?;
                let item = constraints.required(item, &format!("{path}.putRequest.item"));
                let checked = put.check_values();
                checked.and_then(|()| Ok(validate(&item)?)).map(|()| Self::Put(item))
            }
            (None, Some(mut delete)) => {
                let key = delete.item("Key")?;
                let key = constraints.required(key, &format!("{path}.deleteRequest.key"));
                delete.check_values().map(|()| Self::Delete(key))
            }
            (None, None) => Err(ApiError::validation(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly \
                 one of the supported datatypes",
            )),
            (Some(_), Some(_)) => Err(ApiError::validation(
                "Supplied WriteRequest has both PutRequest and DeleteRequest set, must contain \
                 exactly one of them",
            )),
        })
    }

    /// The writes that these ask of a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where one item may not be stored, has no right key, or shares its
    /// key with another; the whole batch is then refused.
    pub fn into_ops(writes: Vec<Self>, schema: &Schema) -> Result<Vec<WriteOp>, ApiError> {
        let mut seen = BTreeSet::new();
        let mut ops = Vec::with_capacity(writes.len());
        for write in writes {
            let (key, action) = match write {
                Self::Put(item) => (schema.batch_key_of(&item)?, Action::Put(item)),
                Self::Delete(key) => (schema.exact_key(&key)?, Action::Delete),
            };
            if !seen.insert(key.clone()) {
                return Err(ApiError::validation(DUPLICATES));
            }
            ops.push(WriteOp {
                key,
                action,
                condition: None,
                return_values: ReturnValues::None,
                return_on_condition_failure: false,
                context: None,
                restores: false,
            });
        }
        Ok(ops)
    }
}
