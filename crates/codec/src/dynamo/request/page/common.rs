//! The members of `Query` and `Scan` that are judged before anything else, in the service's stages
//! (measured on the service by the Parity Suite in October 2026).

use pangea_core::item::{Attributes, ItemError};

use super::Segment;
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::request::Constraints;
use crate::dynamo::request::constraints::EMPTY_NAME;
use crate::dynamo::request::envelope::enveloped;
use crate::dynamo::request::expressions::capacity_in;
use crate::dynamo::request::legacy::{self, Operators, Tests};
use crate::dynamo::request::members::{Int32, Members};

/// Greatest number of segments of a parallel scan (DynamoDB).
const SEGMENTS_MAX: i64 = 1_000_000;
/// What `Select` may be, in the order in which DynamoDB prints it.
const SELECTS: [&str; 4] =
    ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"];

/// What `Query` and `Scan` have in common, expressions aside.
pub(super) struct Common {
    pub(super) table: String,
    pub(super) index: Option<String>,
    pub(super) select: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) forward: bool,
    pub(super) start: Option<Attributes>,
    pub(super) consistent: bool,
    pub(super) capacity: ReturnCapacity,
    pub(super) attributes: Option<Vec<String>>,
    pub(super) filter: Option<Tests>,
    pub(super) operator: Option<String>,
    pub(super) key_conditions: Option<Tests>,
    segment: Option<i64>,
    segments: Option<i64>,
    /// Whether parts of items are asked for, and by `AttributesToGet`.
    projects: (bool, bool),
}

/// The numbers of a request, each as an integer of 32 bits.
struct Numbers {
    limit: Option<Int32>,
    segment: Option<Int32>,
    segments: Option<Int32>,
}

impl Numbers {
    fn take(body: &mut Members, is_query: bool) -> Result<Self, ApiError> {
        let (segment, segments) = match is_query {
            true => (None, None),
            false => (body.int32("Segment")?, body.int32("TotalSegments")?),
        };
        Ok(Self { limit: body.int32("Limit")?, segment, segments })
    }

    fn are_exact(&self) -> bool {
        let all = [&self.limit, &self.segment, &self.segments];
        all.into_iter().flatten().all(|number| number.exact)
    }
}

/// What the layers judge of a request, each in its order.
struct Words {
    numbers: Numbers,
    name: Option<String>,
    select: Option<String>,
    index: Option<String>,
    operator: Option<String>,
    capacity: Option<String>,
    /// What is wrong with `AttributesToGet`.
    attributes: Constraints,
    /// And with the operators of conditions.
    operators: Constraints,
}

impl Words {
    fn take(body: &mut Members, is_query: bool) -> Result<Self, ApiError> {
        Ok(Self {
            numbers: Numbers::take(body, is_query)?,
            name: body.text("TableName")?,
            select: body.text("Select")?,
            index: body.text("IndexName")?,
            operator: body.text("ConditionalOperator")?,
            capacity: body.text("ReturnConsumedCapacity")?,
            attributes: Constraints::default(),
            operators: Constraints::default(),
        })
    }

    /// A name or an operator that is not there, or a number that is not of 32 bits, hands the
    /// request to the older layer, which tells of everything at once.
    fn judge_older(&self) -> Result<(), ApiError> {
        let numbers = &self.numbers;
        if self.name.is_some() && self.operators.is_clean() && numbers.are_exact() {
            return Ok(());
        }
        let mut all = Constraints::default();
        all.one_of(self.select.clone(), &SELECTS, "select");
        self.index.iter().for_each(|name| all.identifier(name, "indexName"));
        all.bounded(numbers.segments, (1, SEGMENTS_MAX), "totalSegments");
        all.one_of(self.capacity.clone(), &ReturnCapacity::NAMES, "returnConsumedCapacity");
        all.older_name(self.name.as_deref());
        all.one_of(self.operator.clone(), &["OR", "AND"], "conditionalOperator");
        all.extend(&self.operators);
        all.bounded(numbers.segment, (0, SEGMENTS_MAX - 1), "segment");
        all.extend(&self.attributes);
        all.bounded(numbers.limit, (1, i64::MAX), "limit");
        all.finish()
    }

    /// The table, and what is to be told of capacity, as the current layer judges the request.
    fn judge(&mut self) -> Result<(String, ReturnCapacity), ApiError> {
        let numbers = &self.numbers;
        let mut first = Constraints::default();
        first.bounded_at(numbers.limit, (1, i64::MAX), "Limit");
        first.bounded_at(numbers.segment, (0, SEGMENTS_MAX - 1), "Segment");
        first.bounded_at(numbers.segments, (1, SEGMENTS_MAX), "TotalSegments");
        let name = self.name.take().unwrap_or_default();
        if name.is_empty() {
            first.say(EMPTY_NAME);
        }
        first.finish()?;
        let mut second = Constraints::default();
        let table = second.first_of_name(&name);
        self.index.iter().for_each(|name| second.identifier(name, "indexName"));
        let capacity = capacity_in(self.capacity.take(), &mut second);
        second.extend(&self.attributes);
        second.finish()?;
        Ok((table, capacity))
    }
}

impl Common {
    /// In the order in which DynamoDB tells what is wrong.
    pub(super) fn decode(body: &mut Members, is_query: bool) -> Result<Self, ApiError> {
        let projects = (
            body.has("AttributesToGet") || body.has("ProjectionExpression"),
            body.has("AttributesToGet"),
        );
        let mut words = Words::take(body, is_query)?;
        let path = "attributesToGet";
        let attributes = legacy::attributes_to_get(body, &mut words.attributes, path)?;
        let operators = &mut words.operators;
        let mut tests =
            |body: &mut Members, name| Tests::take(body, operators, name, Operators::Required);
        let (filter, key_conditions) = match is_query {
            true => (
                tests(body, ("QueryFilter", "queryFilter"))?,
                tests(body, ("KeyConditions", "keyConditions"))?,
            ),
            false => (tests(body, ("ScanFilter", "scanFilter"))?, None),
        };
        let forward = body.boolean("ScanIndexForward")?.unwrap_or(true);
        let consistent = body.boolean("ConsistentRead")?.unwrap_or(false);
        let start = body.item("ExclusiveStartKey")?;
        words.judge_older()?;
        let (table, capacity) = words.judge()?;
        if attributes.iter().flatten().any(String::is_empty) {
            return Err(ApiError::validation("Empty attribute name"));
        }
        let value = |number: Option<Int32>| number.map(|number| number.value);
        let Words { index, select, operator, numbers, .. } = words;
        Ok(Self {
            table,
            index,
            select,
            limit: value(numbers.limit).and_then(|limit| usize::try_from(limit).ok()),
            forward,
            start,
            consistent,
            capacity,
            attributes,
            filter,
            operator,
            key_conditions,
            segment: value(numbers.segment),
            segments: value(numbers.segments),
            projects,
        })
    }

    /// Refuses a `Select` that is none.
    pub(super) fn check_select_word(&self) -> Result<(), ApiError> {
        let mut constraints = Constraints::default();
        constraints.one_of(self.select.clone(), &SELECTS, "select");
        constraints.finish()
    }

    /// Whether `Select` goes with what is asked for.
    pub(super) fn check_select(&self) -> Result<(), ApiError> {
        let (parts, legacy) = self.projects;
        let parameter = if legacy { "AttributesToGet" } else { "ProjectionExpression" };
        let (select, index) = (self.select.as_deref(), self.index.is_some());
        let message = match (select, parts) {
            (Some("ALL_PROJECTED_ATTRIBUTES"), true) => format!(
                "Cannot specify the {parameter} when choosing to get ALL_PROJECTED_ATTRIBUTES"
            ),
            (Some("ALL_PROJECTED_ATTRIBUTES"), false) if !index => {
                "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
                    .to_owned()
            }
            (Some("SPECIFIC_ATTRIBUTES"), false) => {
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get \
                 SPECIFIC_ATTRIBUTES"
                    .to_owned()
            }
            (Some("COUNT"), true) => {
                format!("Cannot specify the {parameter} when choosing to get only the Count")
            }
            (Some("ALL_ATTRIBUTES"), true) => {
                format!("Cannot specify the {parameter} when choosing to get ALL_ATTRIBUTES")
            }
            _ => return Ok(()),
        };
        Err(enveloped(ApiError::validation(message)))
    }

    /// Which part of a parallel scan is asked for.
    pub(super) fn segment(&self) -> Result<Option<Segment>, ApiError> {
        match (self.segment, self.segments) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(ApiError::validation(
                "The TotalSegments parameter is required but was not present in the request when \
                 Segment parameter is present",
            )),
            (None, Some(_)) => Err(ApiError::validation(
                "The Segment parameter is required but was not present in the request when \
                 parameter TotalSegments is present",
            )),
            (Some(index), Some(total)) if index >= total => Err(ApiError::validation(
                "The Segment parameter is zero-based and must be less than parameter TotalSegments",
            )),
            (Some(index), Some(total)) => {
                let narrow = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
                Ok(Some(Segment { index: narrow(index), total: narrow(total) }))
            }
        }
    }
}

/// Refuses a start key of wrong values.
pub(super) fn check_start(body: &mut Members) -> Result<(), ApiError> {
    body.check_values().map_err(|mut error| {
        let deep = ItemError::TooDeep.to_string();
        // Of depth it is told so only where it is found early: see `depth`.
        if error.message.starts_with("Supplied AttributeValue") || error.message == deep {
            error.message.insert_str(0, "The provided starting key is invalid: ");
        }
        error
    })
}
