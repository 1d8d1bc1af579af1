//! The parameters from before expressions: `Expected`, `ConditionalOperator`, `AttributeUpdates`,
//! `KeyConditions`, `QueryFilter`, `ScanFilter` and `AttributesToGet`.
//!
//! Each is taken out of a body twice over, as DynamoDB does: first what its model says of it, told
//! together with all other constraints, then what is told alone.

use pangea_core::expr::{
    AttributeTest, AttributeUpdate, Condition, Join, KeyCondition, Operator, Projection, Update,
};
use pangea_core::item::AttributeValue;

use super::constraints::Constraints;
use super::members::Members;
use crate::dynamo::ApiError;

/// Names of one `AttributesToGet` (DynamoDB).
const NAMES_MAX: usize = 255;
const INVALID: &str = "One or more parameter values were invalid: ";

fn invalid<T>(what: impl std::fmt::Display) -> Result<T, ApiError> {
    Err(ApiError::validation(format!("{INVALID}{what}")))
}

/// Refuses a request that mixes the two ways of saying a thing, and placeholders for expressions
/// that are not there. `expressions` and `legacy` are those of its operation, in the order in which
/// DynamoDB names them.
pub(super) fn check_parameters(
    body: &Members,
    expressions: &[&str],
    legacy: &[&str],
) -> Result<(), ApiError> {
    let is_mixed = |name: &str| {
        let beside = name == "KeyConditions" && !body.has("KeyConditionExpression");
        body.has(name) && !beside
    };
    check_parameters_of(body, expressions, legacy.iter().copied().filter(|name| is_mixed(name)))
}

/// As [`check_parameters`], where it is known which of the legacy parameters are there.
pub(super) fn check_parameters_of<'l>(
    body: &Members,
    expressions: &[&str],
    legacy: impl IntoIterator<Item = &'l str>,
) -> Result<(), ApiError> {
    let present: Vec<&str> = expressions.iter().copied().filter(|name| body.has(name)).collect();
    let mixed: Vec<&str> = legacy.into_iter().collect();
    if !present.is_empty() && !mixed.is_empty() {
        return Err(ApiError::validation(format!(
            "Can not use both expression and non-expression parameters in the same request: \
             Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
            mixed.join(", "),
            present.join(", ")
        )));
    }
    if body.has("ExpressionAttributeNames") && present.is_empty() {
        return Err(ApiError::validation(
            "ExpressionAttributeNames can only be specified when using expressions",
        ));
    }
    if !body.has("ExpressionAttributeValues") {
        return Ok(());
    }
    let with_values: Vec<&str> =
        expressions.iter().copied().filter(|name| *name != "ProjectionExpression").collect();
    if !with_values.is_empty() && !with_values.iter().any(|name| body.has(name)) {
        // Operations that write one item do not say which expressions (measured on the service by
        // the Parity Suite).
        let missing = match with_values.contains(&"ConditionExpression") {
            true => String::new(),
            false => {
                let verb = if with_values.len() == 1 { "is" } else { "are" };
                format!(": {} {verb} null", with_values.join(" and "))
            }
        };
        return Err(ApiError::validation(format!(
            "ExpressionAttributeValues can only be specified when using expressions{missing}"
        )));
    }
    Ok(())
}

/// `AttributesToGet`, its length checked.
pub(super) fn attributes_to_get(
    body: &mut Members,
    constraints: &mut Constraints,
    path: &str,
) -> Result<Option<Vec<String>>, ApiError> {
    let names = body.text_list("AttributesToGet")?;
    if let Some(names) = &names {
        let shown = format!("'[{}]'", names.join(", "));
        if names.is_empty() {
            constraints.violated(shown, path, "have length greater than or equal to 1");
        } else if names.len() > NAMES_MAX {
            let limit = format!("have length less than or equal to {NAMES_MAX}");
            constraints.violated(shown, path, &limit);
        }
    }
    Ok(names)
}

/// The projection that `AttributesToGet` is.
pub(super) fn projection(names: Option<Vec<String>>) -> Result<Option<Projection>, ApiError> {
    if names.iter().flatten().any(String::is_empty) {
        return Err(ApiError::validation("Empty attribute name"));
    }
    Ok(names.map(Projection::of_attributes).transpose()?)
}

/// How `count` conditions are one, `operator` being what the request says.
///
/// The word is looked at last (measured on the service by the Parity Suite).
fn join(operator: Option<&str>, count: usize) -> Result<Join, ApiError> {
    let message = match (operator, count) {
        (None | Some("AND"), _) if operator.is_none() || count > 1 => return Ok(Join::And),
        (Some("OR"), 2..) => return Ok(Join::Or),
        (_, 0) => "ConditionalOperator cannot be used without Filter or Expected",
        (_, 1) => {
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
        }
        _ => "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]",
    };
    Err(ApiError::validation(message))
}

/// Whether conditions may leave their operator out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operators {
    /// As in filters and keys.
    Required,
    /// As in `Expected`.
    Optional,
}

/// Conditions by attribute.
#[derive(Debug)]
pub(super) struct Tests {
    tests: Vec<(String, Test)>,
    refused: Result<(), ApiError>,
}

/// A condition on one attribute, as it came.
#[derive(Debug)]
struct Test {
    operator: Option<String>,
    values: Option<Vec<AttributeValue>>,
    value: Option<AttributeValue>,
    exists: Option<bool>,
}

/// What a condition compares with, and how.
type Checked = Result<(Operator, Vec<AttributeValue>), ApiError>;
/// Of the name of an attribute, what the operator of its condition is, and the rest of it.
type Check = fn(&str, Option<Operator>, Test) -> Checked;

impl Tests {
    /// The conditions in the member `name`; `path` is its name in messages.
    pub(super) fn take(
        body: &mut Members,
        constraints: &mut Constraints,
        (name, path): (&str, &str),
        operators: Operators,
    ) -> Result<Option<Self>, ApiError> {
        let Some(mut object) = body.object(name)? else { return Ok(None) };
        let (mut tests, mut refused) = (Vec::new(), Ok(()));
        for attribute in object.names() {
            let Some(mut entry) = object.object(&attribute)? else { continue };
            let operator = entry.text("ComparisonOperator")?;
            if operator.is_none() && operators == Operators::Required {
                let at = format!("{path}.{attribute}.member.comparisonOperator");
                constraints.required(None::<()>, &at);
            }
            let test = Test {
                operator,
                values: entry.values("AttributeValueList")?,
                value: entry.value("Value")?,
                exists: entry.boolean("Exists")?,
            };
            if refused.is_ok() {
                refused = entry.check_values();
            }
            if attribute.is_empty() && operators == Operators::Optional {
                refused = Err(ApiError::validation("Empty attribute name"));
            }
            tests.push((attribute, test));
        }
        Ok(Some(Self { tests, refused }))
    }

    fn checked(self, check: Check) -> Result<Vec<AttributeTest>, ApiError> {
        self.refused?;
        let test = |(name, test): (String, Test)| {
            let operator = test.operator.as_deref();
            let operator = operator.map(|word| {
                Operator::parse(word).map_or_else(|| invalid("Invalid comparison operator"), Ok)
            });
            let (operator, values) = check(&name, operator.transpose()?, test)?;
            Ok(AttributeTest::new(name, operator, values)?)
        };
        self.tests.into_iter().map(test).collect()
    }

    /// What `KeyConditions` says.
    pub(super) fn key_condition(self) -> Result<KeyCondition, ApiError> {
        Ok(KeyCondition::of_tests(self.checked(plain)?)?)
    }
}

/// The filter that `QueryFilter` or `ScanFilter` is.
pub(super) fn filter(
    tests: Option<Tests>,
    operator: Option<&str>,
) -> Result<Option<Condition>, ApiError> {
    condition(tests, operator, plain)
}

/// The condition that `Expected` is.
pub(super) fn expected(
    tests: Option<Tests>,
    operator: Option<&str>,
) -> Result<Option<Condition>, ApiError> {
    condition(tests, operator, expectation)
}

fn condition(
    tests: Option<Tests>,
    operator: Option<&str>,
    check: Check,
) -> Result<Option<Condition>, ApiError> {
    let count = tests.as_ref().map_or(0, |tests| tests.tests.len());
    let join = join(operator, count)?;
    let tests = tests.map_or(Ok(Vec::new()), |tests| tests.checked(check))?;
    Ok((!tests.is_empty()).then(|| Condition::of_tests(tests, join)))
}

/// A condition of a filter or a key.
fn plain(_: &str, operator: Option<Operator>, test: Test) -> Checked {
    Ok((operator.unwrap_or(Operator::Eq), test.values.unwrap_or_default()))
}

/// A condition of `Expected`, which may say the same in the words of 2011.
fn expectation(name: &str, operator: Option<Operator>, test: Test) -> Checked {
    let Test { values, value, exists, .. } = test;
    if values.is_some() && value.is_some() {
        let what = "Value and AttributeValueList cannot be used together for Attribute";
        return invalid(format_args!("{what}: {name}"));
    }
    if let Some(operator) = operator {
        if exists.is_some() {
            let what = "Exists and ComparisonOperator cannot be used together for Attribute";
            return invalid(format_args!("{what}: {name}"));
        }
        let alone = values.is_none() && value.is_none();
        if alone && !matches!(operator, Operator::Null | Operator::NotNull) {
            return invalid(format_args!(
                "Value or AttributeValueList must be used with ComparisonOperator: {} for \
                 Attribute: {name}",
                operator.name()
            ));
        }
        let values = values.unwrap_or_else(|| value.into_iter().collect());
        return Ok((operator, values));
    }
    if values.is_some() {
        let what = "AttributeValueList can only be used with a ComparisonOperator for Attribute";
        return invalid(format_args!("{what}: {name}"));
    }
    match (exists.unwrap_or(true), value) {
        (true, Some(value)) => Ok((Operator::Eq, vec![value])),
        (true, None) => {
            let shown = exists.map_or("null", |_| "true");
            invalid(format_args!(
                "Value must be provided when Exists is {shown} for Attribute: {name}"
            ))
        }
        (false, Some(_)) => {
            invalid(format_args!("Value cannot be used when Exists is false for Attribute: {name}"))
        }
        (false, None) => Ok((Operator::Null, Vec::new())),
    }
}

/// `AttributeUpdates`.
#[derive(Debug)]
pub(super) struct Updates {
    updates: Vec<(String, Option<String>, Option<AttributeValue>)>,
    refused: Result<(), ApiError>,
}

impl Updates {
    pub(super) fn take(body: &mut Members) -> Result<Option<Self>, ApiError> {
        let Some(mut object) = body.object("AttributeUpdates")? else { return Ok(None) };
        let (mut updates, mut refused) = (Vec::new(), Ok(()));
        for attribute in object.names() {
            let Some(mut entry) = object.object(&attribute)? else { continue };
            let action = entry.text("Action")?;
            let value = entry.value("Value")?;
            if refused.is_ok() {
                refused = entry.check_values();
            }
            if attribute.is_empty() {
                refused = Err(ApiError::validation("Empty attribute name"));
            }
            updates.push((attribute, action, value));
        }
        Ok(Some(Self { updates, refused }))
    }

    /// The update that it is.
    pub(super) fn update(self) -> Result<Update, ApiError> {
        self.refused?;
        let is_action = |word: &str| ["ADD", "PUT", "DELETE"].contains(&word);
        let mut actions = self.updates.iter().filter_map(|(_, action, _)| action.as_deref());
        if !actions.all(is_action) {
            // The quotation mark is the service's own (measured by the Parity Suite).
            return Err(ApiError::validation(
                "Member must satisfy enum value set: [ADD, DELETE, PUT]' for Action",
            ));
        }
        let change = |(name, action, value): (String, Option<String>, _)| {
            Ok((name, change(action.as_deref(), value)?))
        };
        let updates = self.updates.into_iter().map(change).collect::<Result<Vec<_>, ApiError>>()?;
        Ok(Update::of_attributes(updates))
    }
}

fn change(
    action: Option<&str>,
    value: Option<AttributeValue>,
) -> Result<AttributeUpdate, ApiError> {
    let kind = value.as_ref().map_or("", AttributeValue::type_name);
    match (action, value) {
        (Some("DELETE"), value) => {
            if value.is_some() && !matches!(kind, "SS" | "NS" | "BS") {
                let what = "DELETE action with value is not supported for the type";
                return invalid(format_args!("{what} {kind}"));
            }
            Ok(AttributeUpdate::Delete(value))
        }
        (_, None) => invalid("Only DELETE action is allowed when no attribute value is specified"),
        (Some("ADD"), Some(value)) => {
            if !matches!(kind, "N" | "L" | "SS" | "NS" | "BS") {
                return invalid(format_args!("ADD action is not supported for the type {kind}"));
            }
            Ok(AttributeUpdate::Add(value))
        }
        (_, Some(value)) => Ok(AttributeUpdate::Put(value)),
    }
}
