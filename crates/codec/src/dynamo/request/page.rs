//! Query and Scan.

use pangea_core::expr::{Condition, KeyCondition, KeyRange, Projection};
use pangea_core::item::{Attributes, PrimaryKey};
use pangea_core::table::{Page, Schema};

use super::expressions::{Expressions, return_capacity};
use super::{Constraints, Members};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

/// Greatest number of segments of a parallel scan (DynamoDB).
const SEGMENTS_MAX: i64 = 1_000_000;

/// `Query`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The table's name.
    pub table: String,
    /// The index to read, if not the table itself.
    pub index: Option<String>,
    /// What of each item is asked for.
    pub select: Select,
    /// Which stretch to read, not yet held against a schema.
    pub key_condition: KeyCondition,
    /// Which items of it to return.
    pub filter: Option<Condition>,
    /// Which parts of them.
    pub projection: Option<Projection>,
    /// How many items to read at most.
    pub limit: Option<usize>,
    /// Whether to read in ascending order of sort keys.
    pub forward: bool,
    /// The last key of the page before.
    pub start: Option<Attributes>,
    /// Whether the read must see every write acknowledged before it.
    pub consistent: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl Query {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let common = Common::decode(body)?;
        let forward = body.boolean("ScanIndexForward")?.unwrap_or(true);
        let allowed = ["ProjectionExpression", "FilterExpression", "KeyConditionExpression"];
        let mut expressions = Expressions::new(body, &allowed)?;
        let key_condition = expressions.parse("KeyConditionExpression", KeyCondition::parse)?;
        let filter = expressions.filter()?;
        let projection = expressions.projection()?;
        let Some(key_condition) = key_condition else {
            return Err(ApiError::validation(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in \
                 the request.",
            ));
        };
        expressions.finish()?;
        let Common { table, index, select, limit, start, consistent, capacity } = common;
        Ok(Self {
            table,
            index,
            select,
            key_condition,
            filter,
            projection,
            limit,
            forward,
            start,
            consistent,
            capacity,
        })
    }

    /// The stretch of a table of the given schema, and the key to go on behind.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where condition, filter or start key do not fit the schema.
    pub fn resolve(&self, schema: &Schema) -> Result<(KeyRange, Option<PrimaryKey>), ApiError> {
        let range = self.key_condition.resolve(schema)?;
        if let Some(filter) = &self.filter
            && let Some(name) = schema.key_names().find(|name| filter.mentions(name))
        {
            return Err(ApiError::validation(format!(
                "Filter Expression can only contain non-primary key attributes: Primary key \
                 attribute: {name}"
            )));
        }
        let start = start_key(self.start.as_ref(), schema)?;
        if let Some(key) = &start {
            let inside = key.sort.as_ref().is_none_or(|sort| range.sort.matches(sort));
            if key.partition != range.partition {
                return Err(ApiError::validation(
                    "The provided starting key is outside query boundaries based on provided \
                     conditions",
                ));
            }
            if !inside {
                return Err(ApiError::validation(
                    "The provided starting key does not match the range key predicate",
                ));
            }
        }
        Ok((range, start))
    }

    /// An empty page that evaluates this request.
    #[must_use]
    pub fn page(&self) -> Page {
        let count_only = self.select == Select::Count;
        Page::new(self.filter.clone(), self.projection.clone(), self.limit, count_only)
    }
}

/// One part of a parallel scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which part, from 0.
    pub index: u32,
    /// How many parts.
    pub total: u32,
}

/// `Scan`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The table's name.
    pub table: String,
    /// The index to read, if not the table itself.
    pub index: Option<String>,
    /// What of each item is asked for.
    pub select: Select,
    /// Which items to return.
    pub filter: Option<Condition>,
    /// Which parts of them.
    pub projection: Option<Projection>,
    /// How many items to read at most.
    pub limit: Option<usize>,
    /// The last key of the page before.
    pub start: Option<Attributes>,
    /// Which part of the table to read, if not all.
    pub segment: Option<Segment>,
    /// Whether the read must see every write acknowledged before it.
    pub consistent: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl Scan {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let common = Common::decode(body)?;
        let segment = segment(body)?;
        let mut expressions =
            Expressions::new(body, &["ProjectionExpression", "FilterExpression"])?;
        let filter = expressions.filter()?;
        let projection = expressions.projection()?;
        expressions.finish()?;
        let Common { table, index, select, limit, start, consistent, capacity } = common;
        Ok(Self {
            table,
            index,
            select,
            filter,
            projection,
            limit,
            start,
            segment,
            consistent,
            capacity,
        })
    }

    /// The key to go on behind, in a table of the given schema.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where the start key does not fit.
    pub fn start_key(&self, schema: &Schema) -> Result<Option<PrimaryKey>, ApiError> {
        start_key(self.start.as_ref(), schema)
    }

    /// An empty page that evaluates this request.
    #[must_use]
    pub fn page(&self) -> Page {
        let count_only = self.select == Select::Count;
        Page::new(self.filter.clone(), self.projection.clone(), self.limit, count_only)
    }
}

fn start_key(start: Option<&Attributes>, schema: &Schema) -> Result<Option<PrimaryKey>, ApiError> {
    let Some(start) = start else { return Ok(None) };
    let key = schema.exact_key(start).map_err(|refusal| {
        ApiError::validation(format!("The provided starting key is invalid: {refusal}"))
    })?;
    Ok(Some(key))
}

/// What of each item is asked for (DynamoDB `Select`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// What the table or the index shows, or what a projection names.
    #[default]
    Shown,
    /// The whole item, also where an index does not show it.
    All,
    /// Only how many there are.
    Count,
}

impl Select {
    fn of(word: Option<&str>) -> Self {
        match word {
            Some("COUNT") => Self::Count,
            Some("ALL_ATTRIBUTES") => Self::All,
            _ => Self::Shown,
        }
    }
}

/// What Query and Scan have in common, expressions aside.
struct Common {
    table: String,
    index: Option<String>,
    select: Select,
    limit: Option<usize>,
    start: Option<Attributes>,
    consistent: bool,
    capacity: ReturnCapacity,
}

impl Common {
    fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let limit = constraints.at_least(body.integer("Limit")?, 1, "limit");
        let allowed =
            ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"];
        let select = constraints.one_of(body.text("Select")?, &allowed, "select");
        let capacity = return_capacity(body, &mut constraints)?;
        let start = body.item("ExclusiveStartKey")?;
        let consistent = body.boolean("ConsistentRead")?.unwrap_or(false);
        constraints.finish()?;
        let index = body.text("IndexName")?;
        check_select(select.as_deref(), body.has("ProjectionExpression"), index.is_some())?;
        let select = Select::of(select.as_deref());
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Ok(Self { table, index, select, limit, start, consistent, capacity })
    }
}

fn check_select(select: Option<&str>, projection: bool, index: bool) -> Result<(), ApiError> {
    let message = match (select, projection) {
        (Some("ALL_PROJECTED_ATTRIBUTES"), true) => {
            "Cannot specify the ProjectionExpression when choosing to get ALL_PROJECTED_ATTRIBUTES"
        }
        (Some("ALL_PROJECTED_ATTRIBUTES"), false) if !index => {
            "One or more parameter values were invalid: ALL_PROJECTED_ATTRIBUTES can be used only \
             when Querying using an IndexName"
        }
        (Some("SPECIFIC_ATTRIBUTES"), false) => {
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get \
             SPECIFIC_ATTRIBUTES"
        }
        (Some("COUNT"), true) => {
            "Cannot specify the ProjectionExpression when choosing to get only the Count"
        }
        (Some("ALL_ATTRIBUTES"), true) => {
            "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"
        }
        _ => return Ok(()),
    };
    Err(ApiError::validation(message))
}

fn segment(body: &mut Members) -> Result<Option<Segment>, ApiError> {
    let mut constraints = Constraints::default();
    let index = constraints.at_least(body.integer("Segment")?, 0, "segment");
    let total = constraints.at_least(body.integer("TotalSegments")?, 1, "totalSegments");
    if let Some(total) = total.filter(|total| *total > SEGMENTS_MAX) {
        let constraint = "have value less than or equal to 1000000";
        constraints.violated(format_args!("'{total}'"), "totalSegments", constraint);
    }
    constraints.finish()?;
    match (index, total) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(ApiError::validation(
            "The TotalSegments parameter is required but was not present in the request when \
             Segment parameter is present",
        )),
        (None, Some(_)) => Err(ApiError::validation(
            "The Segment parameter is required but was not present in the request when parameter \
             TotalSegments is present",
        )),
        (Some(index), Some(total)) if index >= total => Err(ApiError::validation(format!(
            "The Segment parameter is zero-based and must be less than parameter \
                 TotalSegments: Segment: {index} is not less than TotalSegments: {total}"
        ))),
        (Some(index), Some(total)) => {
            let narrow = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
            Ok(Some(Segment { index: narrow(index), total: narrow(total) }))
        }
    }
}
