//! Query and Scan.

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Condition, KeyCondition, KeyRange, Projection, SortRange};
use pangea_core::item::{Attributes, PrimaryKey};
use pangea_core::table::{Page, Refusal, Schema};

mod common;

use common::Common;

use super::Members;
use super::expressions::Expressions;
use super::indexed::invalid_start;
use super::item::{check_paths, check_projection};
use super::legacy;
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;

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
    /// Which parameter the filter came in, in the words of messages.
    pub filter_name: &'static str,
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
        let parameters = legacy::check_parameters(
            body,
            &["ProjectionExpression", "FilterExpression", "KeyConditionExpression"],
            &["AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"],
        );
        let mut common = Common::decode(body, true)?;
        parameters?;
        let filter_name = if common.filter.is_some() { "QueryFilter" } else { "Filter Expression" };
        let legacy_filter = legacy::filter(common.filter.take(), common.operator.as_deref())?;
        let attributes = legacy::projection(common.attributes.take())?;
        common.check_select_word()?;
        common::check_start(body)?;
        if common.key_conditions.is_none() && !body.has("KeyConditionExpression") {
            return Err(ApiError::validation(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in \
                 the request.",
            ));
        }
        let mut expressions = Expressions::new(body)?;
        // Before what is wrong with the key condition (verified against the service by moto's
        // `test_query_with_empty_filter_expression`).
        expressions.refuse_empty(&["FilterExpression", "ProjectionExpression"])?;
        common.check_select()?;
        let key_condition = expressions.parse("KeyConditionExpression", KeyCondition::parse)?;
        let filter = expressions.filter()?;
        let projection = expressions.projection()?;
        expressions.finish()?;
        let key_condition = match (key_condition, common.key_conditions) {
            (Some(condition), _) => condition,
            (None, Some(tests)) => tests.key_condition()?,
            (None, None) => KeyCondition::of_tests(Vec::new())?,
        };
        Ok(Self {
            table: common.table,
            index: common.index,
            select: Select::of(common.select.as_deref()),
            key_condition,
            filter: filter.or(legacy_filter),
            filter_name,
            projection: projection.or(attributes),
            limit: common.limit,
            forward: common.forward,
            start: common.start,
            consistent: common.consistent,
            capacity: common.capacity,
        })
    }

    /// The stretch of a table of the given schema, and the key to go on behind.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where condition, filter or start key do not fit the schema.
    pub fn resolve(&self, schema: &Schema) -> Result<(KeyRange, Option<PrimaryKey>), ApiError> {
        if let Some(start) = &self.start {
            check_start(start, schema)?;
        }
        let range = self.key_condition.resolve(schema)?;
        if let Some(filter) = &self.filter
            && let Some(name) = schema.key_names().find(|name| filter.mentions(name))
        {
            return Err(ApiError::validation(format!(
                "{} can only contain non-primary key attributes: Primary key attribute: {name}",
                self.filter_name
            )));
        }
        check_projection(self.projection.as_ref(), schema)?;
        check_filter(self.filter.as_ref(), schema)?;
        let start = start_key(self.start.as_ref(), schema)?;
        if let Some(key) = &start {
            let inside = key.sort.as_ref().is_none_or(|sort| range.sort.matches(sort));
            let message = match (inside, key.partition == range.partition) {
                (true, true) => return Ok((range, start)),
                (false, _) => "The provided starting key does not match the range key predicate",
                (true, false) if range.sort == SortRange::All => {
                    "The provided starting key is outside query boundaries based on provided \
                     conditions"
                }
                (true, false) => "The query can return at most one row and cannot be restarted",
            };
            return Err(ApiError::validation(message));
        }
        Ok((range, start))
    }

    /// Refuses a projection or a filter of parts of a key attribute of the table or of an index.
    ///
    /// # Errors
    ///
    /// A `ValidationException`.
    pub fn check_paths(&self, table: &TableEntry) -> Result<(), ApiError> {
        check_paths(table, self.projection.as_ref(), self.filter.as_ref())
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
        let parameters = legacy::check_parameters(
            body,
            &["ProjectionExpression", "FilterExpression"],
            &["AttributesToGet", "ScanFilter", "ConditionalOperator"],
        );
        let mut common = Common::decode(body, false)?;
        parameters?;
        let legacy_filter = legacy::filter(common.filter.take(), common.operator.as_deref())?;
        let attributes = legacy::projection(common.attributes.take())?;
        common::check_start(body)?;
        let mut expressions = Expressions::new(body)?;
        let filter = expressions.filter()?;
        expressions.refuse_empty(&["ProjectionExpression"])?;
        common.check_select_word()?;
        common.check_select()?;
        let segment = common.segment()?;
        let projection = expressions.projection()?;
        expressions.finish()?;
        Ok(Self {
            table: common.table,
            index: common.index,
            select: Select::of(common.select.as_deref()),
            filter: filter.or(legacy_filter),
            projection: projection.or(attributes),
            limit: common.limit,
            start: common.start,
            segment,
            consistent: common.consistent,
            capacity: common.capacity,
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

    /// Refuses a projection or a filter of parts of a key attribute of the table or of an index.
    ///
    /// # Errors
    ///
    /// A `ValidationException`.
    pub fn check_paths(&self, table: &TableEntry) -> Result<(), ApiError> {
        check_paths(table, self.projection.as_ref(), self.filter.as_ref())
    }

    /// An empty page that evaluates this request.
    #[must_use]
    pub fn page(&self) -> Page {
        let count_only = self.select == Select::Count;
        Page::new(self.filter.clone(), self.projection.clone(), self.limit, count_only)
    }
}

/// Refuses a filter of parts of a key attribute.
fn check_filter(filter: Option<&Condition>, schema: &Schema) -> Result<(), ApiError> {
    Ok(schema.check_paths(|name| filter.is_some_and(|it| it.goes_below(name)))?)
}

/// Refuses a start key that is not one of such a table at all, before the condition is looked at.
fn check_start(start: &Attributes, schema: &Schema) -> Result<(), ApiError> {
    let fits = start.len() == schema.key_names().count()
        && schema.key_names().all(|name| start.contains_key(name));
    if fits {
        let key = schema.exact_key(start);
        return key.map(|_| ()).map_err(|why| match why {
            Refusal::Validation(text) if !text.contains("does not match the schema") => {
                ApiError::validation(text)
            }
            why => invalid_start(&why),
        });
    }
    Err(ApiError::validation("The provided starting key is invalid"))
}

fn start_key(start: Option<&Attributes>, schema: &Schema) -> Result<Option<PrimaryKey>, ApiError> {
    let Some(start) = start else { return Ok(None) };
    let key = schema.exact_key(start).map_err(|why| invalid_start(&why))?;
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
    /// What the word says; a word that is none is refused elsewhere.
    fn of(word: Option<&str>) -> Self {
        match word {
            Some("COUNT") => Self::Count,
            Some("ALL_ATTRIBUTES") => Self::All,
            _ => Self::Shown,
        }
    }
}
