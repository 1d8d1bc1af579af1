//! The parameters that several item operations share.

use pangea_core::expr::{Condition, ExprError, Kind, Placeholders, Projection};
use pangea_core::item::Attributes;
use pangea_core::table::ReturnValues;

use super::constraints::Constraints;
use super::members::Members;
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

/// One request's placeholders, on the way through its expressions.
pub(super) struct Expressions<'b> {
    body: &'b mut Members,
    placeholders: Placeholders,
}

impl<'b> Expressions<'b> {
    /// Takes the placeholders out of a body.
    pub(super) fn new(body: &'b mut Members) -> Result<Self, ApiError> {
        let names = body.texts("ExpressionAttributeNames")?;
        let values = body.item("ExpressionAttributeValues")?;
        let placeholders = Placeholders::new(names, values)?;
        body.check_values()?;
        Ok(Self { body, placeholders })
    }

    /// Parses one expression, if it is there.
    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str, &mut Placeholders) -> Result<T, ExprError>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.body.text(name)? else { return Ok(None) };
        Ok(Some(parse(&text, &mut self.placeholders)?))
    }

    /// Refuses expressions of these names that are there and without text.
    pub(super) fn refuse_empty(&self, names: &[&str]) -> Result<(), ApiError> {
        match names.iter().find(|name| self.body.is_empty_text(name)) {
            Some(name) => Err(ApiError::validation(format!(
                "Invalid {name}: The expression can not be empty;"
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn condition(&mut self) -> Result<Option<Condition>, ApiError> {
        self.parse("ConditionExpression", |text, placeholders| {
            Condition::parse(Kind::Condition, text, placeholders)
        })
    }

    pub(super) fn filter(&mut self) -> Result<Option<Condition>, ApiError> {
        self.parse("FilterExpression", |text, placeholders| {
            Condition::parse(Kind::Filter, text, placeholders)
        })
    }

    pub(super) fn projection(&mut self) -> Result<Option<Projection>, ApiError> {
        self.parse("ProjectionExpression", Projection::parse)
    }

    /// Refuses placeholders that no expression used.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        Ok(self.placeholders.finish()?)
    }
}

/// `Key` or `Item`, required.
pub(super) fn required_item(
    body: &mut Members,
    constraints: &mut Constraints,
    name: &str,
    path: &str,
) -> Result<Attributes, ApiError> {
    let item = body.item(name)?;
    Ok(constraints.required(item, path))
}

/// `ReturnValues`, of those that DynamoDB knows.
pub(super) fn return_values(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<ReturnValues, ApiError> {
    let allowed = ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"];
    let text = body.text("ReturnValues")?;
    let text = constraints.one_of(text, &allowed, "returnValues");
    Ok(values_of(text.as_deref()).unwrap_or_default())
}

/// What the word says, if it says anything; nothing is returned without a word.
fn values_of(word: Option<&str>) -> Option<ReturnValues> {
    Some(match word {
        None | Some("NONE") => ReturnValues::None,
        Some("ALL_OLD") => ReturnValues::AllOld,
        Some("UPDATED_OLD") => ReturnValues::UpdatedOld,
        Some("ALL_NEW") => ReturnValues::AllNew,
        Some("UPDATED_NEW") => ReturnValues::UpdatedNew,
        Some(_) => return None,
    })
}

/// As [`return_values`], in the words of the framework that does not show it, which misspells one
/// of them (measured on the service by the Parity Suite in all but two of its regions).
pub(super) fn return_values_at(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<ReturnValues, ApiError> {
    let values = values_of(body.text("ReturnValues")?.as_deref());
    if values.is_none() {
        constraints.say(
            "Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, \
             UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]",
        );
    }
    Ok(values.unwrap_or_default())
}

/// `ReturnValuesOnConditionCheckFailure`.
pub(super) fn return_on_failure(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<bool, ApiError> {
    let name = "ReturnValuesOnConditionCheckFailure";
    let path = "returnValuesOnConditionCheckFailure";
    let text = constraints.one_of(body.text(name)?, &["ALL_OLD", "NONE"], path);
    Ok(text.as_deref() == Some("ALL_OLD"))
}

/// `ReturnConsumedCapacity`.
pub(super) fn return_capacity(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<ReturnCapacity, ApiError> {
    Ok(capacity_in(body.text("ReturnConsumedCapacity")?, constraints))
}

/// What the text says that was given as `ReturnConsumedCapacity`.
pub(super) fn capacity_in(text: Option<String>, constraints: &mut Constraints) -> ReturnCapacity {
    let path = "returnConsumedCapacity";
    match constraints.one_of(text, &ReturnCapacity::NAMES, path).as_deref() {
        Some("INDEXES") => ReturnCapacity::Indexes,
        Some("TOTAL") => ReturnCapacity::Total,
        _ => ReturnCapacity::None,
    }
}

/// `ReturnItemCollectionMetrics`: whether it is `SIZE`.
pub(super) fn return_metrics(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<bool, ApiError> {
    let path = "returnItemCollectionMetrics";
    let text = body.text("ReturnItemCollectionMetrics")?;
    Ok(constraints.one_of(text, &["SIZE", "NONE"], path).as_deref() == Some("SIZE"))
}
