//! Batches.

use std::collections::{BTreeMap, BTreeSet};

use pangea_core::expr::{Placeholders, Projection};
use pangea_core::item::{Attributes, PrimaryKey, validate};
use pangea_core::limits::{BATCH_GET_KEYS_MAX, BATCH_WRITE_ITEMS_MAX};
use pangea_core::table::{Action, ReturnValues, Schema, WriteOp};

use super::expressions::{refuse_legacy, return_capacity};
use super::{Constraints, Members};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

const DUPLICATES: &str = "Provided list of item keys contains duplicates";
const NO_TABLES: &str = "have length greater than or equal to 1";

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
    /// The `ProjectionExpression` as it came, to be repeated with unprocessed keys.
    pub projection_text: Option<String>,
    /// The `ExpressionAttributeNames` as they came, to be repeated with unprocessed keys.
    pub names: Option<BTreeMap<String, String>>,
}

impl BatchGetItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let capacity = return_capacity(body, &mut constraints)?;
        let items = body.object("RequestItems")?;
        let mut items = constraints.required(items, "requestItems");
        let mut tables = BTreeMap::new();
        for name in items.names() {
            let Some(mut entry) = items.object(&name)? else { continue };
            let table = BatchGetTable::decode(&mut entry, &name, &mut constraints)?;
            let name = constraints.name(&name);
            if tables.insert(name, table).is_some() {
                return Err(ApiError::validation(DUPLICATES));
            }
        }
        finish_tables(constraints, tables.is_empty())?;
        let keys: usize = tables.values().map(|table| table.keys.len()).sum();
        if keys > BATCH_GET_KEYS_MAX {
            return Err(ApiError::validation("Too many items requested for the BatchGetItem call"));
        }
        Ok(Self { tables, capacity })
    }
}

impl BatchGetTable {
    fn decode(
        entry: &mut Members,
        name: &str,
        constraints: &mut Constraints,
    ) -> Result<Self, ApiError> {
        refuse_legacy(entry)?;
        let keys = entry.items("Keys")?;
        let path = format!("requestItems.{name}.member.keys");
        let keys = constraints.required(keys, &path);
        if keys.is_empty() {
            constraints.violated("'[]'", &path, NO_TABLES);
        } else if keys.len() > BATCH_GET_KEYS_MAX {
            let limit = format!("have length less than or equal to {BATCH_GET_KEYS_MAX}");
            let shown = format!("'[{} keys]'", keys.len());
            constraints.violated(shown, &path, &limit);
        } else if keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key)) {
            return Err(ApiError::validation(DUPLICATES));
        }
        let consistent = entry.boolean("ConsistentRead")?.unwrap_or(false);
        let projection_text = entry.text("ProjectionExpression")?;
        let names = entry.texts("ExpressionAttributeNames")?;
        if names.is_some() && projection_text.is_none() {
            return Err(ApiError::validation(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        let mut placeholders = Placeholders::new(names.clone(), None)?;
        let projection = match &projection_text {
            Some(text) => Some(Projection::parse(text, &mut placeholders)?),
            None => None,
        };
        placeholders.finish()?;
        Ok(Self { keys, projection, consistent, projection_text, names })
    }

    /// The keys in a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where a key does not fit.
    pub fn primary_keys(&self, schema: &Schema) -> Result<Vec<PrimaryKey>, ApiError> {
        let keys = self.keys.iter().map(|key| schema.exact_key(key));
        Ok(keys.collect::<Result<_, _>>()?)
    }
}

/// `BatchWriteItem`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchWriteItem {
    /// What to write to each table, by its name.
    pub tables: BTreeMap<String, Vec<BatchWrite>>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
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
        let capacity = return_capacity(body, &mut constraints)?;
        let items = body.object("RequestItems")?;
        let mut items = constraints.required(items, "requestItems");
        let mut tables: BTreeMap<String, Vec<BatchWrite>> = BTreeMap::new();
        for name in items.names() {
            let Some(entries) = items.objects(&name)? else { continue };
            if entries.is_empty() {
                let path = format!("requestItems.{name}.member");
                constraints.violated("'[]'", &path, NO_TABLES);
            }
            let writes = entries.into_iter().map(BatchWrite::decode);
            let writes = writes.collect::<Result<Vec<_>, _>>()?;
            tables.entry(constraints.name(&name)).or_default().extend(writes);
        }
        finish_tables(constraints, tables.is_empty())?;
        if tables.values().map(Vec::len).sum::<usize>() > BATCH_WRITE_ITEMS_MAX {
            return Err(ApiError::validation(
                "Too many items requested for the BatchWriteItem call",
            ));
        }
        Ok(Self { tables, capacity })
    }
}

impl BatchWrite {
    fn decode(mut entry: Members) -> Result<Self, ApiError> {
        let put = entry.object("PutRequest")?;
        let delete = entry.object("DeleteRequest")?;
        let mut constraints = Constraints::default();
        let write = match (put, delete) {
            (Some(mut put), None) => {
                let item = put.item("Item")?;
                Self::Put(constraints.required(item, "putRequest.item"))
            }
            (None, Some(mut delete)) => {
                let key = delete.item("Key")?;
                Self::Delete(constraints.required(key, "deleteRequest.key"))
            }
            (None, None) => {
                return Err(ApiError::validation(
                    "Supplied AttributeValue has more than one datatypes set, must contain \
                     exactly one of the supported datatypes",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(ApiError::validation(
                    "Supplied WriteRequest has both PutRequest and DeleteRequest set, must \
                     contain exactly one of them",
                ));
            }
        };
        constraints.finish()?;
        Ok(write)
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
                Self::Put(item) => {
                    validate(&item)?;
                    (schema.key_of(&item)?, Action::Put(item))
                }
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
            });
        }
        Ok(ops)
    }
}

fn finish_tables(mut constraints: Constraints, empty: bool) -> Result<(), ApiError> {
    if empty && constraints.is_clean() {
        constraints.violated("'{}'", "requestItems", NO_TABLES);
    }
    constraints.finish()
}
