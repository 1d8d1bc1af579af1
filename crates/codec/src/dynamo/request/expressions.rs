//! The parameters that several item operations share.

use pangea_core::expr::{Condition, ExprError, Kind, Placeholders, Projection};
use pangea_core::item::Attributes;
use pangea_core::table::ReturnValues;

use super::constraints::Constraints;
use super::members::Members;
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

/// The parameters from before expressions, and what replaces each.
const LEGACY: [(&str, &str); 9] = [
    ("AttributesToGet", "ProjectionExpression"),
    ("AttributeUpdates", "UpdateExpression"),
    ("ConditionalOperator", "AND and OR in expressions"),
    ("Expected", "ConditionExpression"),
    ("KeyConditions", "KeyConditionExpression"),
    ("QueryFilter", "FilterExpression"),
    ("ScanFilter", "FilterExpression"),
    ("FilterConditions", "FilterExpression"),
    ("ScanConditions", "FilterExpression"),
];

/// Refuses the parameters from before expressions, rather than ignoring them.
pub(super) fn refuse_legacy(body: &Members) -> Result<(), ApiError> {
    match LEGACY.into_iter().find(|(name, _)| body.has(name)) {
        None => Ok(()),
        Some((name, instead)) => Err(ApiError::validation(format!(
            "The legacy parameter {name} is not supported; use {instead} instead"
        ))),
    }
}

/// One request's placeholders, on the way through its expressions.
pub(super) struct Expressions<'b> {
    body: &'b mut Members,
    placeholders: Placeholders,
}

impl<'b> Expressions<'b> {
    /// Takes the placeholders out of a body; `allowed` are the expressions of its operation.
    pub(super) fn new(body: &'b mut Members, allowed: &[&str]) -> Result<Self, ApiError> {
        refuse_legacy(body)?;
        let names = body.texts("ExpressionAttributeNames")?;
        let values = body.item("ExpressionAttributeValues")?;
        if names.is_some() && !allowed.iter().any(|name| body.has(name)) {
            return Err(ApiError::validation(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        let with_values: Vec<&str> =
            allowed.iter().copied().filter(|name| *name != "ProjectionExpression").collect();
        if values.is_some() && !with_values.iter().any(|name| body.has(name)) {
            let verb = if with_values.len() == 1 { "is" } else { "are" };
            return Err(ApiError::validation(format!(
                "ExpressionAttributeValues can only be specified when using expressions: {} {verb} \
                 null",
                with_values.join(" and ")
            )));
        }
        Ok(Self { body, placeholders: Placeholders::new(names, values)? })
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
    Ok(match constraints.one_of(text, &allowed, "returnValues").as_deref() {
        Some("ALL_OLD") => ReturnValues::AllOld,
        Some("UPDATED_OLD") => ReturnValues::UpdatedOld,
        Some("ALL_NEW") => ReturnValues::AllNew,
        Some("UPDATED_NEW") => ReturnValues::UpdatedNew,
        _ => ReturnValues::None,
    })
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
    let allowed = ["INDEXES", "TOTAL", "NONE"];
    let text = body.text("ReturnConsumedCapacity")?;
    Ok(match constraints.one_of(text, &allowed, "returnConsumedCapacity").as_deref() {
        Some("INDEXES") => ReturnCapacity::Indexes,
        Some("TOTAL") => ReturnCapacity::Total,
        _ => ReturnCapacity::None,
    })
}
