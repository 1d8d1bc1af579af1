//! Query and Scan.

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Condition, Join, KeyCondition, KeyRange, Projection, SortRange};
use pangea_core::item::{Attributes, PrimaryKey};
use pangea_core::table::{Page, Schema};

use super::expressions::{Expressions, return_capacity};
use super::item::{check_paths, check_projection};
use super::legacy::{self, Tests};
use super::{Constraints, Members};
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
        let legacy_filter = legacy::filter(common.filter.take(), common.operator)?;
        let attributes = legacy::projection(common.attributes.take())?;
        common.check_start(body)?;
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
            select: common.select,
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
        let attributes = legacy::projection(common.attributes.take())?;
        let legacy_filter = legacy::filter(common.filter.take(), common.operator)?;
        common.check_start(body)?;
        let segment = segment(common.segment)?;
        let mut expressions = Expressions::new(body)?;
        let filter = expressions.filter()?;
        let projection = expressions.projection()?;
        expressions.finish()?;
        Ok(Self {
            table: common.table,
            index: common.index,
            select: common.select,
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
        return Ok(schema.exact_key(start).map(|_| ())?);
    }
    Err(ApiError::validation("The provided starting key is invalid"))
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
    forward: bool,
    start: Option<Attributes>,
    consistent: bool,
    capacity: ReturnCapacity,
    attributes: Option<Vec<String>>,
    filter: Option<Tests>,
    operator: Option<Join>,
    key_conditions: Option<Tests>,
    segment: (Option<i64>, Option<i64>),
}

impl Common {
    /// In the order in which DynamoDB tells what is wrong.
    fn decode(body: &mut Members, is_query: bool) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let allowed =
            ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"];
        let select = constraints.one_of(body.text("Select")?, &allowed, "select");
        let index = constraints.index_name(body)?;
        let total = constraints.segments(body)?;
        let capacity = return_capacity(body, &mut constraints)?;
        let (query_filter, scan_filter) =
            (("QueryFilter", "queryFilter"), ("ScanFilter", "scanFilter"));
        let mut filter = None;
        if is_query {
            filter = Tests::take(body, &mut constraints, query_filter)?;
        }
        let table = constraints.table_name(body)?;
        let operator = legacy::conditional_operator(body, &mut constraints)?;
        if !is_query {
            filter = Tests::take(body, &mut constraints, scan_filter)?;
        }
        let segment = constraints.at_least(body.integer("Segment")?, 0, "segment");
        let is_clean = constraints.is_clean();
        let projects = body.has("AttributesToGet") || body.has("ProjectionExpression");
        let attributes = legacy::attributes_to_get(body, &mut constraints, "attributesToGet")?;
        let limit = body.integer("Limit")?;
        if is_query && is_clean && limit.is_some_and(|limit| limit < 1) {
            // Alone it is told in the words of another framework (measured by the Parity Suite).
            return Err(ApiError::validation(
                "1 validation error detected: Value at 'Limit' failed to satisfy constraint: \
                 Member must have value greater than or equal to 1",
            ));
        }
        let limit = constraints.at_least(limit, 1, "limit");
        let mut key_conditions = None;
        if is_query {
            let name = ("KeyConditions", "keyConditions");
            key_conditions = Tests::take(body, &mut constraints, name)?;
        }
        let forward = body.boolean("ScanIndexForward")?.unwrap_or(true);
        let consistent = body.boolean("ConsistentRead")?.unwrap_or(false);
        let start = body.item("ExclusiveStartKey")?;
        constraints.finish()?;
        check_select(select.as_deref(), (projects, attributes.is_some()), index.is_some())?;
        let select = Select::of(select.as_deref());
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        let segment = (segment, total);
        Ok(Self {
            table,
            index,
            select,
            limit,
            forward,
            start,
            consistent,
            capacity,
            attributes,
            filter,
            operator,
            key_conditions,
            segment,
        })
    }

    /// Refuses a start key of wrong values.
    fn check_start(&self, body: &mut Members) -> Result<(), ApiError> {
        body.check_values().map_err(|error| {
            // These are told without what they are values of.
            let bare = [
                "contains duplicates",
                "number set",
                "numeric value",
                "significant digits",
                "number with magnitude",
            ];
            match bare.into_iter().any(|text| error.message.contains(text)) {
                true => error,
                false => ApiError::validation(format!(
                    "The provided starting key is invalid: {}",
                    error.message
                )),
            }
        })
    }
}

/// Whether `Select` goes with what is asked for: whether parts are, and by `AttributesToGet`.
fn check_select(
    select: Option<&str>,
    (parts, legacy): (bool, bool),
    index: bool,
) -> Result<(), ApiError> {
    let parameter = if legacy { "AttributesToGet" } else { "ProjectionExpression" };
    let message = match (select, parts) {
        (Some("ALL_PROJECTED_ATTRIBUTES"), true) if index => {
            format!("Cannot specify the {parameter} when choosing to get ALL_PROJECTED_ATTRIBUTES")
        }
        (Some("ALL_PROJECTED_ATTRIBUTES"), _) if !index => {
            // In these words since 2026 at the latest (verified against the service by moto's
            // `test_all_projected_attributes_rejected_for_table`).
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName".to_owned()
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
    Err(ApiError::validation(message))
}

fn segment((index, total): (Option<i64>, Option<i64>)) -> Result<Option<Segment>, ApiError> {
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
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: \
             Segment: {index} is not less than TotalSegments: {total}"
        ))),
        (Some(index), Some(total)) => {
            let narrow = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
            Ok(Some(Segment { index: narrow(index), total: narrow(total) }))
        }
    }
}
