//! The members of operations that write one item, judged before anything else in the service's
//! order.
//!
//! Two layers do so, each in an order and in words of its own: the current one, and an older one
//! where the name or the key is missing or a value is very deep or oddly written, and of the
//! actions of a transaction (measured on the service by the Parity Suite in October 2026).

use pangea_core::expr::Condition;
use pangea_core::item::Attributes;
use pangea_core::table::ReturnValues;

use super::only_all_old;
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::request::constraints::empty_name;
use crate::dynamo::request::expressions::{
    Expressions, required_item, return_capacity, return_metrics, return_on_failure, return_values,
    return_values_at,
};
use crate::dynamo::request::legacy::{self, Operators, Tests};
use crate::dynamo::request::{Constraints, Members};

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dynamo::request) enum Operation {
    Put,
    Delete,
    Update,
}

impl Operation {
    /// The member that holds the item or its key, and its name in messages.
    const fn attributes(self) -> (&'static str, &'static str) {
        match self {
            Self::Put => ("Item", "item"),
            Self::Delete | Self::Update => ("Key", "key"),
        }
    }
}

/// What they have in common.
#[derive(Default)]
pub(in crate::dynamo::request) struct Common {
    pub(super) table: String,
    /// The item, or its key.
    pub(super) attributes: Attributes,
    pub(super) expected: Expected,
    pub(super) return_values: ReturnValues,
    pub(super) metrics: bool,
    pub(super) return_on_failure: bool,
    pub(super) capacity: ReturnCapacity,
}

impl Common {
    pub(super) fn decode(body: &mut Members, operation: Operation) -> Result<Self, ApiError> {
        let expected = Expected::take(body)?;
        let is_whole = body.has("TableName") && body.has(operation.attributes().0);
        let is_older = !is_whole || body.is_older();
        let common = match (is_older, operation) {
            (true, _) => {
                let mut constraints = Constraints::default();
                let common = Self::older(body, operation, &expected, &mut constraints)?;
                constraints.finish()?;
                if operation == Operation::Delete {
                    only_all_old(common.return_values)?;
                }
                common
            }
            _ if body.is_empty_text("TableName") => return Err(empty_name()),
            (false, Operation::Update) => Self::one_by_one(body)?,
            (false, _) => Self::together(body, operation)?,
        };
        Ok(Self { expected, ..common })
    }

    /// Those of an action of a transaction, what is wrong with which is told together with what is
    /// wrong with the others.
    pub(in crate::dynamo::request) fn of_action(
        body: &mut Members,
        operation: Operation,
        constraints: &mut Constraints,
    ) -> Result<Self, ApiError> {
        constraints.move_to(body);
        let expected = Expected::take(body)?;
        let common = Self::older(body, operation, &expected, constraints)?;
        Ok(Self { expected, ..common })
    }

    /// The older layer: all at once, and of the name only that it must be there.
    fn older(
        body: &mut Members,
        operation: Operation,
        expected: &Expected,
        constraints: &mut Constraints,
    ) -> Result<Self, ApiError> {
        let is_part = !body.path().is_empty();
        let capacity = return_capacity(body, constraints)?;
        let table = match is_part {
            true => constraints.table_name(body)?,
            false => {
                let is_whole = body.has(operation.attributes().0);
                let name = body.text("TableName")?;
                constraints.older_name(name.as_deref());
                match name {
                    // What more is wrong with a name, a missing key hides.
                    Some(name) if is_whole && !name.is_empty() => constraints.first_of_name(&name),
                    name => name.unwrap_or_default(),
                }
            }
        };
        let mut common = Self { table, capacity, ..Self::default() };
        let take = |body: &mut Members, constraints: &mut Constraints| {
            constraints.one_of(expected.operator.clone(), &["OR", "AND"], "conditionalOperator");
            let (name, path) = operation.attributes();
            required_item(body, constraints, name, path)
        };
        match operation {
            Operation::Put => {
                common.attributes = take(body, constraints)?;
                common.return_values = return_values(body, constraints)?;
                common.metrics = return_metrics(body, constraints)?;
            }
            Operation::Delete => {
                common.return_values = return_values(body, constraints)?;
                common.metrics = return_metrics(body, constraints)?;
                common.attributes = take(body, constraints)?;
            }
            Operation::Update => {
                common.return_values = return_values(body, constraints)?;
                if !is_part {
                    common.return_on_failure = return_on_failure(body, constraints)?;
                }
                common.metrics = return_metrics(body, constraints)?;
                common.attributes = take(body, constraints)?;
            }
        }
        if operation != Operation::Update || is_part {
            common.return_on_failure = return_on_failure(body, constraints)?;
        }
        Ok(common)
    }

    /// `PutItem` and `DeleteItem`: all at once.
    fn together(body: &mut Members, operation: Operation) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let (name, path) = operation.attributes();
        let table = constraints.first_of_name(&body.text("TableName")?.unwrap_or_default());
        let attributes = required_item(body, &mut constraints, name, path)?;
        let capacity = return_capacity(body, &mut constraints)?;
        let return_values = return_values_at(body, &mut constraints)?;
        let metrics = return_metrics(body, &mut constraints)?;
        let return_on_failure = return_on_failure(body, &mut constraints)?;
        if operation == Operation::Delete
            && let Err(error) = only_all_old(return_values)
        {
            constraints.say(error.message);
        }
        constraints.finish()?;
        let expected = Expected::default();
        Ok(Self {
            table,
            attributes,
            expected,
            return_values,
            metrics,
            return_on_failure,
            capacity,
        })
    }

    /// `UpdateItem`: the first alone, and two of them without the envelope.
    fn one_by_one(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.all_of_name(&body.text("TableName")?.unwrap_or_default());
        std::mem::take(&mut constraints).finish()?;
        let return_values = return_values_at(body, &mut constraints)?;
        std::mem::take(&mut constraints).finish()?;
        let return_on_failure = return_on_failure(body, &mut constraints)?;
        std::mem::take(&mut constraints).finish_bare()?;
        let metrics = return_metrics(body, &mut constraints)?;
        std::mem::take(&mut constraints).finish()?;
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish_bare()?;
        let attributes = body.item("Key")?.unwrap_or_default();
        let expected = Expected::default();
        Ok(Self {
            table,
            attributes,
            expected,
            return_values,
            metrics,
            return_on_failure,
            capacity,
        })
    }
}

/// `Expected` and `ConditionalOperator`.
#[derive(Default)]
pub(in crate::dynamo::request) struct Expected {
    tests: Option<Tests>,
    operator: Option<String>,
}

impl Expected {
    fn take(body: &mut Members) -> Result<Self, ApiError> {
        let operator = body.text("ConditionalOperator")?;
        let (name, mut unused) = (("Expected", "expected"), Constraints::default());
        let tests = Tests::take(body, &mut unused, name, Operators::Optional)?;
        Ok(Self { tests, operator })
    }

    /// The condition that it is.
    pub(super) fn legacy(self) -> Result<Option<Condition>, ApiError> {
        legacy::expected(self.tests, self.operator.as_deref())
    }

    /// The condition that it is, or that the body's `ConditionExpression` is.
    pub(super) fn condition(self, body: &mut Members) -> Result<Option<Condition>, ApiError> {
        let legacy = self.legacy()?;
        let mut expressions = Expressions::new(body)?;
        let condition = expressions.condition()?;
        expressions.finish()?;
        Ok(condition.or(legacy))
    }
}
