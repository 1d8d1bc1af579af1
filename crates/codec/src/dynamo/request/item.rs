//! Operations on one item.

use pangea_core::expr::{Condition, Projection, Update};
use pangea_core::item::{Attributes, PrimaryKey};
use pangea_core::table::{Action, ReturnValues, Schema, WriteOp};

use super::expressions::{
    Expressions, required_item, return_capacity, return_on_failure, return_values,
};
use super::{Constraints, Members};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

/// `PutItem`.
#[derive(Clone, Debug, PartialEq)]
pub struct PutItem {
    /// The table's name.
    pub table: String,
    /// The whole new item.
    pub item: Attributes,
    /// What must hold of the item before.
    pub condition: Option<Condition>,
    /// `None` or `AllOld`.
    pub return_values: ReturnValues,
    /// Whether a failed condition returns the item.
    pub return_on_condition_failure: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl PutItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let item = required_item(body, &mut constraints, "Item", "item")?;
        let return_values = return_values(body, &mut constraints)?;
        let return_on_condition_failure = return_on_failure(body, &mut constraints)?;
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish()?;
        only_all_old(return_values)?;
        let condition = condition(body)?;
        Ok(Self { table, item, condition, return_values, return_on_condition_failure, capacity })
    }

    /// The write that this asks of a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where the item has no right key.
    pub fn into_op(self, schema: &Schema) -> Result<WriteOp, ApiError> {
        Ok(WriteOp {
            key: schema.key_of(&self.item)?,
            action: Action::Put(self.item),
            condition: self.condition,
            return_values: self.return_values,
            return_on_condition_failure: self.return_on_condition_failure,
            context: None,
        })
    }
}

/// `DeleteItem`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteItem {
    /// The table's name.
    pub table: String,
    /// The key, not yet held against a schema.
    pub key: Attributes,
    /// What must hold of the item before.
    pub condition: Option<Condition>,
    /// `None` or `AllOld`.
    pub return_values: ReturnValues,
    /// Whether a failed condition returns the item.
    pub return_on_condition_failure: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl DeleteItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let key = required_item(body, &mut constraints, "Key", "key")?;
        let return_values = return_values(body, &mut constraints)?;
        let return_on_condition_failure = return_on_failure(body, &mut constraints)?;
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish()?;
        only_all_old(return_values)?;
        let condition = condition(body)?;
        Ok(Self { table, key, condition, return_values, return_on_condition_failure, capacity })
    }

    /// The write that this asks of a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where the key does not fit.
    pub fn into_op(self, schema: &Schema) -> Result<WriteOp, ApiError> {
        Ok(WriteOp {
            key: schema.exact_key(&self.key)?,
            action: Action::Delete,
            condition: self.condition,
            return_values: self.return_values,
            return_on_condition_failure: self.return_on_condition_failure,
            context: None,
        })
    }
}

/// `UpdateItem`.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateItem {
    /// The table's name.
    pub table: String,
    /// The key, not yet held against a schema.
    pub key: Attributes,
    /// What to change; empty if the request has no `UpdateExpression`.
    pub update: Update,
    /// What must hold of the item before.
    pub condition: Option<Condition>,
    /// Which image to return.
    pub return_values: ReturnValues,
    /// Whether a failed condition returns the item.
    pub return_on_condition_failure: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl UpdateItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let key = required_item(body, &mut constraints, "Key", "key")?;
        let return_values = return_values(body, &mut constraints)?;
        let return_on_condition_failure = return_on_failure(body, &mut constraints)?;
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish()?;
        let mut expressions = Expressions::new(body, &["UpdateExpression", "ConditionExpression"])?;
        let update = expressions.parse("UpdateExpression", Update::parse)?.unwrap_or_default();
        let condition = expressions.condition()?;
        expressions.finish()?;
        Ok(Self {
            table,
            key,
            update,
            condition,
            return_values,
            return_on_condition_failure,
            capacity,
        })
    }

    /// The write that this asks of a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where the key does not fit. That the update leaves the key alone is
    /// checked when the write is applied.
    pub fn into_op(self, schema: &Schema) -> Result<WriteOp, ApiError> {
        Ok(WriteOp {
            key: schema.exact_key(&self.key)?,
            action: Action::Update(self.update),
            condition: self.condition,
            return_values: self.return_values,
            return_on_condition_failure: self.return_on_condition_failure,
            context: None,
        })
    }
}

/// `GetItem`.
#[derive(Clone, Debug, PartialEq)]
pub struct GetItem {
    /// The table's name.
    pub table: String,
    /// The key, not yet held against a schema.
    pub key: Attributes,
    /// Which parts to return.
    pub projection: Option<Projection>,
    /// Whether the read must see every write acknowledged before it.
    pub consistent: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl GetItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let key = required_item(body, &mut constraints, "Key", "key")?;
        let consistent = body.boolean("ConsistentRead")?.unwrap_or(false);
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish()?;
        let mut expressions = Expressions::new(body, &["ProjectionExpression"])?;
        let projection = expressions.projection()?;
        expressions.finish()?;
        Ok(Self { table, key, projection, consistent, capacity })
    }

    /// The key in a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where the key does not fit.
    pub fn primary_key(&self, schema: &Schema) -> Result<PrimaryKey, ApiError> {
        Ok(schema.exact_key(&self.key)?)
    }
}

fn condition(body: &mut Members) -> Result<Option<Condition>, ApiError> {
    let mut expressions = Expressions::new(body, &["ConditionExpression"])?;
    let condition = expressions.condition()?;
    expressions.finish()?;
    Ok(condition)
}

fn only_all_old(values: ReturnValues) -> Result<(), ApiError> {
    match values {
        ReturnValues::None | ReturnValues::AllOld => Ok(()),
        ReturnValues::UpdatedOld | ReturnValues::AllNew | ReturnValues::UpdatedNew => {
            Err(ApiError::validation("ReturnValues can only be ALL_OLD or NONE"))
        }
    }
}
