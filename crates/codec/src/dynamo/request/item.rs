//! Operations on one item.

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Condition, Join, Projection, Update};
use pangea_core::index;
use pangea_core::item::{Attributes, ItemError, PrimaryKey, validate};
use pangea_core::limits::ITEM_BYTES_MAX;
use pangea_core::table::{Action, ReturnValues, Schema, WriteOp};

use super::expressions::{
    Expressions, required_item, return_capacity, return_metrics, return_on_failure, return_values,
};
use super::legacy::{self, Tests};
use super::{Constraints, Members};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

/// The parameters from before expressions of operations that replace or delete.
const EXPECTATIONS: [&str; 2] = ["Expected", "ConditionalOperator"];

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
    /// Whether to tell of the item's collection, where the table has local indexes.
    pub collection_metrics: bool,
}

impl PutItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let parameters = legacy::check_parameters(body, &["ConditionExpression"], &EXPECTATIONS);
        let mut constraints = Constraints::of(body);
        let capacity = return_capacity(body, &mut constraints)?;
        let table = constraints.table_name(body)?;
        let item = required_item(body, &mut constraints, "Item", "item")?;
        let expected = Expected::take(body, &mut constraints)?;
        let return_values = return_values(body, &mut constraints)?;
        let collection_metrics = return_metrics(body, &mut constraints)?;
        let return_on_condition_failure = return_on_failure(body, &mut constraints)?;
        constraints.finish()?;
        parameters?;
        body.check_values()?;
        only_all_old(return_values)?;
        validate(&item)?;
        let condition = expected.condition(body)?;
        Ok(Self {
            table,
            item,
            condition,
            return_values,
            return_on_condition_failure,
            capacity,
            collection_metrics,
        })
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
            restores: false,
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
    /// Whether to tell of the item's collection, where the table has local indexes.
    pub collection_metrics: bool,
}

impl DeleteItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let parameters = legacy::check_parameters(body, &["ConditionExpression"], &EXPECTATIONS);
        let mut constraints = Constraints::of(body);
        let capacity = return_capacity(body, &mut constraints)?;
        let table = constraints.table_name(body)?;
        let return_values = return_values(body, &mut constraints)?;
        let collection_metrics = return_metrics(body, &mut constraints)?;
        let key = required_item(body, &mut constraints, "Key", "key")?;
        let expected = Expected::take(body, &mut constraints)?;
        let return_on_condition_failure = return_on_failure(body, &mut constraints)?;
        constraints.finish()?;
        parameters?;
        body.check_values()?;
        only_all_old(return_values)?;
        let condition = expected.condition(body)?;
        Ok(Self {
            table,
            key,
            condition,
            return_values,
            return_on_condition_failure,
            capacity,
            collection_metrics,
        })
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
            restores: false,
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
    /// What to change; empty if the request asks for no change.
    pub update: Update,
    /// What must hold of the item before.
    pub condition: Option<Condition>,
    /// Which image to return.
    pub return_values: ReturnValues,
    /// Whether a failed condition returns the item.
    pub return_on_condition_failure: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
    /// Whether to tell of the item's collection, where the table has local indexes.
    pub collection_metrics: bool,
}

impl UpdateItem {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let parameters = legacy::check_parameters(
            body,
            &["UpdateExpression", "ConditionExpression"],
            &["AttributeUpdates", "Expected", "ConditionalOperator"],
        );
        let mut constraints = Constraints::of(body);
        let capacity = return_capacity(body, &mut constraints)?;
        let table = constraints.table_name(body)?;
        let collection_metrics = return_metrics(body, &mut constraints)?;
        let return_values = return_values(body, &mut constraints)?;
        let expected = Expected::take(body, &mut constraints)?;
        let key = required_item(body, &mut constraints, "Key", "key")?;
        let updates = legacy::Updates::take(body, &mut constraints)?;
        let return_on_condition_failure = return_on_failure(body, &mut constraints)?;
        constraints.finish()?;
        parameters?;
        body.check_values()?;
        let updates = updates.map(legacy::Updates::update).transpose()?;
        let expected = expected.legacy()?;
        let mut expressions = Expressions::new(body)?;
        let update = expressions.parse("UpdateExpression", Update::parse)?;
        let condition = expressions.condition()?;
        expressions.finish()?;
        // Not of an update in a transaction, which is measured by the item alone.
        let is_alone = body.path().is_empty();
        if is_alone && update.as_ref().is_some_and(|update| update.charge() > ITEM_BYTES_MAX) {
            return Err(ItemError::TooLargeToUpdate.into());
        }
        Ok(Self {
            table,
            key,
            update: update.or(updates).unwrap_or_default(),
            condition: condition.or(expected),
            return_values,
            return_on_condition_failure,
            capacity,
            collection_metrics,
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
            restores: false,
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
        // The model has no such member here, and what it has not is not looked at.
        body.forget(&["ExpressionAttributeValues"]);
        let allowed = ["ProjectionExpression"];
        let parameters = legacy::check_parameters(body, &allowed, &["AttributesToGet"]);
        let mut constraints = Constraints::of(body);
        let capacity = return_capacity(body, &mut constraints)?;
        let attributes = legacy::attributes_to_get(body, &mut constraints, "attributesToGet")?;
        let table = constraints.table_name(body)?;
        let key = required_item(body, &mut constraints, "Key", "key")?;
        let consistent = body.boolean("ConsistentRead")?.unwrap_or(false);
        constraints.finish()?;
        parameters?;
        body.check_values()?;
        let attributes = legacy::projection(attributes)?;
        let mut expressions = Expressions::new(body)?;
        let projection = expressions.projection()?;
        expressions.finish()?;
        Ok(Self { table, key, projection: projection.or(attributes), consistent, capacity })
    }

    /// The key in a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where the key does not fit.
    pub fn primary_key(&self, schema: &Schema) -> Result<PrimaryKey, ApiError> {
        let key = schema.exact_key(&self.key)?;
        check_projection(self.projection.as_ref(), schema)?;
        Ok(key)
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

/// Refuses a projection or a filter of parts of an attribute that is a key of the table or of one
/// of its indexes.
pub(super) fn check_paths(
    table: &TableEntry,
    projection: Option<&Projection>,
    filter: Option<&Condition>,
) -> Result<(), ApiError> {
    let projected = |name: &str| projection.is_some_and(|it| it.goes_below(name));
    let filtered = |name: &str| filter.is_some_and(|it| it.goes_below(name));
    table.schema.check_paths(projected)?;
    index::check_paths(&table.indexes, projected)?;
    table.schema.check_paths(filtered)?;
    Ok(index::check_paths(&table.indexes, filtered)?)
}

/// Refuses a projection of parts of a key attribute.
pub(super) fn check_projection(
    projection: Option<&Projection>,
    schema: &Schema,
) -> Result<(), ApiError> {
    Ok(schema.check_paths(|name| projection.is_some_and(|it| it.goes_below(name)))?)
}

/// `Expected` and `ConditionalOperator`.
struct Expected {
    tests: Option<Tests>,
    operator: Option<Join>,
}

impl Expected {
    fn take(body: &mut Members, constraints: &mut Constraints) -> Result<Self, ApiError> {
        let operator = legacy::conditional_operator(body, constraints)?;
        let tests = Tests::take(body, constraints, ("Expected", "expected"))?;
        Ok(Self { tests, operator })
    }

    /// The condition that it is.
    fn legacy(self) -> Result<Option<Condition>, ApiError> {
        legacy::expected(self.tests, self.operator)
    }

    /// The condition that it is, or that the body's `ConditionExpression` is.
    fn condition(self, body: &mut Members) -> Result<Option<Condition>, ApiError> {
        let legacy = self.legacy()?;
        let mut expressions = Expressions::new(body)?;
        let condition = expressions.condition()?;
        expressions.finish()?;
        Ok(condition.or(legacy))
    }
}

fn only_all_old(values: ReturnValues) -> Result<(), ApiError> {
    match values {
        ReturnValues::None | ReturnValues::AllOld => Ok(()),
        ReturnValues::UpdatedOld | ReturnValues::AllNew | ReturnValues::UpdatedNew => {
            Err(ApiError::validation("ReturnValues can only be ALL_OLD or NONE"))
        }
    }
}
