//! Operations on one item.

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Condition, Projection, Update};
use pangea_core::index;
use pangea_core::item::{Attributes, ItemError, PrimaryKey, validate};
use pangea_core::limits::ITEM_BYTES_MAX;
use pangea_core::table::{Action, ReturnValues, Schema, WriteOp};

mod members;

pub(super) use members::{Common, Operation};

use super::constraints::empty_name;
use super::envelope::enveloped;
use super::expressions::{Expressions, required_item, return_capacity};
use super::{Constraints, Members, legacy};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

/// The parameters from before expressions of operations that replace or delete.
const EXPECTATIONS: [&str; 2] = ["Expected", "ConditionalOperator"];

/// What is wrong with a request, in its envelope; one that is read in the older layer has none.
fn told<T>(body: &Members, decoded: Result<T, ApiError>) -> Result<T, ApiError> {
    if body.is_older() { decoded } else { decoded.map_err(enveloped) }
}

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
        let common = Common::decode(body, Operation::Put)?;
        let decoded = parameters.and_then(|()| Self::checked(body, common));
        told(body, decoded)
    }

    /// The rest of an action of a transaction.
    pub(super) fn of_action(body: &mut Members, common: Common) -> Result<Self, ApiError> {
        legacy::check_parameters(body, &["ConditionExpression"], &[])?;
        Self::checked(body, common)
    }

    fn checked(body: &mut Members, common: Common) -> Result<Self, ApiError> {
        body.check_values()?;
        only_all_old(common.return_values)?;
        validate(&common.attributes)?;
        let condition = common.expected.condition(body)?;
        Ok(Self {
            table: common.table,
            item: common.attributes,
            condition,
            return_values: common.return_values,
            return_on_condition_failure: common.return_on_failure,
            capacity: common.capacity,
            collection_metrics: common.metrics,
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
        let common = Common::decode(body, Operation::Delete)?;
        let decoded = parameters.and_then(|()| Self::checked(body, common));
        told(body, decoded)
    }

    /// The rest of an action of a transaction.
    pub(super) fn of_action(body: &mut Members, common: Common) -> Result<Self, ApiError> {
        legacy::check_parameters(body, &["ConditionExpression"], &[])?;
        Self::checked(body, common)
    }

    fn checked(body: &mut Members, common: Common) -> Result<Self, ApiError> {
        let is_deep = body.is_older() && !body.path().is_empty();
        // In a transaction a value that is refused as it is read is so after the condition.
        let late = if is_deep { body.set_aside() } else { None };
        body.check_values()?;
        let condition = common.expected.condition(body)?;
        late.map_or(Ok(()), Err)?;
        Ok(Self {
            table: common.table,
            key: common.attributes,
            condition,
            return_values: common.return_values,
            return_on_condition_failure: common.return_on_failure,
            capacity: common.capacity,
            collection_metrics: common.metrics,
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
        let updates = legacy::Updates::take(body)?;
        let common = Common::decode(body, Operation::Update)?;
        let decoded = parameters.and_then(|()| Self::checked(body, common, updates));
        told(body, decoded)
    }

    /// The rest of an action of a transaction.
    pub(super) fn of_action(body: &mut Members, common: Common) -> Result<Self, ApiError> {
        legacy::check_parameters(body, &["UpdateExpression", "ConditionExpression"], &[])?;
        Self::checked(body, common, None)
    }

    fn checked(
        body: &mut Members,
        common: Common,
        updates: Option<legacy::Updates>,
    ) -> Result<Self, ApiError> {
        body.check_values()?;
        let expected = common.expected.legacy()?;
        let updates = updates.map(legacy::Updates::update).transpose()?;
        let mut expressions = Expressions::new(body)?;
        expressions.refuse_empty(&["ConditionExpression"])?;
        let update = expressions.parse("UpdateExpression", Update::parse)?;
        let condition = expressions.condition()?;
        expressions.finish()?;
        // Not of an update in a transaction, which is measured by the item alone.
        let is_alone = body.path().is_empty();
        if is_alone && update.as_ref().is_some_and(|update| update.charge() > ITEM_BYTES_MAX) {
            return Err(ItemError::TooLargeToUpdate.into());
        }
        Ok(Self {
            table: common.table,
            key: common.attributes,
            update: update.or(updates).unwrap_or_default(),
            condition: condition.or(expected),
            return_values: common.return_values,
            return_on_condition_failure: common.return_on_failure,
            capacity: common.capacity,
            collection_metrics: common.metrics,
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
        let is_whole = body.has("TableName");
        if is_whole && body.is_empty_text("TableName") {
            return Err(empty_name());
        }
        let mut constraints = Constraints::default();
        let mut capacity = ReturnCapacity::None;
        let mut named = Constraints::default();
        let table = match is_whole {
            true => named.first_of_name(&body.text("TableName")?.unwrap_or_default()),
            false => {
                capacity = return_capacity(body, &mut constraints)?;
                String::new()
            }
        };
        let mut attributes_wrong = Constraints::default();
        let attributes = legacy::attributes_to_get(body, &mut attributes_wrong, "attributesToGet")?;
        let (table, key) = if is_whole {
            let key = required_item(body, &mut constraints, "Key", "key")?;
            constraints.extend(&named);
            capacity = return_capacity(body, &mut constraints)?;
            constraints.extend(&attributes_wrong);
            (table, key)
        } else {
            // Without a name the request is judged in an older order.
            constraints.extend(&attributes_wrong);
            let table = constraints.table_name(body)?;
            (table, required_item(body, &mut constraints, "Key", "key")?)
        };
        let consistent = body.boolean("ConsistentRead")?.unwrap_or(false);
        constraints.finish()?;
        parameters?;
        body.check_values()?;
        let attributes = legacy::projection(attributes)?;
        let projection = Self::projection(body)?.or(attributes);
        Ok(Self { table, key, projection, consistent, capacity })
    }

    fn projection(body: &mut Members) -> Result<Option<Projection>, ApiError> {
        let mut expressions = Expressions::new(body)?;
        let projection = expressions.projection()?;
        expressions.finish()?;
        Ok(projection)
    }

    /// Which item an action of a transaction gets; what is wrong with its members is told together
    /// with what is wrong with the others.
    pub(super) fn target(
        body: &mut Members,
        constraints: &mut Constraints,
    ) -> Result<(String, Attributes), ApiError> {
        constraints.move_to(body);
        let table = constraints.table_name(body)?;
        Ok((table, required_item(body, constraints, "Key", "key")?))
    }

    /// The rest of an action of a transaction.
    pub(super) fn of_action(
        body: &mut Members,
        (table, key): (String, Attributes),
    ) -> Result<Self, ApiError> {
        body.forget(&["ExpressionAttributeValues"]);
        legacy::check_parameters(body, &["ProjectionExpression"], &[])?;
        body.check_values()?;
        let projection = Self::projection(body)?;
        Ok(Self { table, key, projection, consistent: false, capacity: ReturnCapacity::None })
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

fn only_all_old(values: ReturnValues) -> Result<(), ApiError> {
    match values {
        ReturnValues::None | ReturnValues::AllOld => Ok(()),
        ReturnValues::UpdatedOld | ReturnValues::AllNew | ReturnValues::UpdatedNew => {
            Err(ApiError::validation("ReturnValues can only be ALL_OLD or NONE"))
        }
    }
}
