//! `SearchVectors`.
//!
//! The service has another part for it than for everything else: one whose deserializer is strict
//! about types and nulls and tells where in the body something is wrong, and whose checks have an
//! order and words of their own (measured by the Parity Suite, in part by dynoxide's authors).

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Placeholders, Projection, SearchCondition};
use pangea_core::index::{Index, IndexKey, Vector};
use pangea_core::item::{AttributeValue, Attributes, KeyValue};

use super::constraints::{Constraints, is_table_name, table_of};
use super::members::Members;
use crate::dynamo::ApiError;
use crate::dynamo::attribute::Layer;
use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::shape::is_json;

mod strict;

/// Most results of a search (DynamoDB).
const RESULTS_MAX: usize = 100;
/// Shortest and longest name (DynamoDB).
const NAME_CHARS: (usize, usize) = (3, 255);

/// `SearchVectors`.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchVectors {
    /// The table's name.
    pub table: String,
    /// The index to search.
    pub index: String,
    /// What to look for.
    pub vector: Vec<f32>,
    /// How many results to return at most: 1 to 100.
    pub count: usize,
    /// What narrows the search; `None` where the request says nothing of it.
    pub condition: Option<SearchCondition>,
    /// Which parts of the items to return.
    pub projection: Option<Projection>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl SearchVectors {
    pub(super) fn decode(body: &[u8]) -> Result<Self, ApiError> {
        if !is_json(body) {
            return Err(ApiError::serialization(""));
        }
        let raw = strict::read(body)?;
        let table = table_of(&raw.table).to_owned();
        if raw.table.is_empty() {
            let mut constraints = Constraints::default();
            constraints.violated_at("TableName", "have length greater than or equal to 1");
            constraints.finish()?;
        }
        check_members(&raw)?;
        check_table(&table)?;
        let capacity = match raw.capacity.as_deref() {
            None | Some("NONE") => ReturnCapacity::None,
            Some("TOTAL") => ReturnCapacity::Total,
            Some("INDEXES") => ReturnCapacity::Indexes,
            Some(other) => {
                return Err(ApiError::validation(format!(
                    "Value '{other}' at 'returnConsumedCapacity' failed to satisfy constraint: \
                     Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
                )));
            }
        };
        let count = usize::try_from(raw.count).unwrap_or_default();
        if count > RESULTS_MAX {
            return Err(ApiError::validation(format!(
                "Provided TopK value '{count}' is out of valid range. The value must be between 1 \
                 and {RESULTS_MAX} inclusive"
            )));
        }
        let vector = raw.vector.iter().map(strict::Value::number).collect::<Option<Vec<f32>>>();
        let vector = vector.ok_or_else(|| {
            ApiError::validation(
                "Search vector contains invalid values. All values in the search vector must be a \
                 32-bit floating-point number attribute",
            )
        })?;
        if raw.values.iter().flatten().any(strict::Value::is_internal) {
            return Err(ApiError::validation("This type mapping is not supported"));
        }
        let (condition, projection) = expressions(body)?;
        let index = raw.index;
        Ok(Self { table, index, vector, count, condition, projection, capacity })
    }

    /// Holds the search against the table: the index, and the key of the partition to search.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where there is no such index, or the search does not fit it.
    pub fn resolve<'t>(&self, table: &'t TableEntry) -> Result<Searched<'t>, ApiError> {
        let missing = || {
            let text = format!("The table does not have the specified index: {}", self.index);
            ApiError::validation(text)
        };
        let index = table.index(&self.index).ok_or_else(missing)?;
        let vector = index.vector.as_ref().ok_or_else(missing)?;
        Ok(Searched { index, vector })
    }
}

/// The index that a search is of.
#[derive(Clone, Copy, Debug)]
pub struct Searched<'t> {
    /// It.
    pub index: &'t Index,
    /// What makes it one of vectors.
    pub vector: &'t Vector,
}

impl Searched<'_> {
    /// Which partition a search looks at.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where vector and condition do not fit the index.
    pub fn key(&self, search: &SearchVectors) -> Result<IndexKey, ApiError> {
        let refuse = |text: String| Err(ApiError::validation(text));
        let (has, wants) = (search.vector.len(), self.vector.dimensions);
        if u32::try_from(has) != Ok(wants) {
            return refuse(format!(
                "Input search vector dimension {has} does not match vector index dimension {wants}"
            ));
        }
        let condition = search.condition.as_ref();
        let equal = condition.map(|condition| condition.equal.as_slice()).unwrap_or_default();
        let element = |name: &str| self.vector.schema.iter().find(|it| it.key.name == name);
        if let Some((name, _)) = equal.iter().find(|(name, _)| element(name).is_none()) {
            return refuse(format!(
                "SearchConditionExpression must not contain any attributes that is not in \
                 SearchSchema. Invalid attribute: {name}"
            ));
        }
        let hash = self.vector.hash();
        let value = hash.and_then(|hash| condition?.value(&hash.name));
        if hash.is_some() && value.is_none() {
            let text =
                "SearchConditionExpression must be provided when SearchSchema has a HASH key";
            return refuse(text.to_owned());
        }
        for (name, value) in equal {
            let Some(kind) = element(name).map(|it| it.key.kind) else { continue };
            if !kind.is_of(value) {
                return refuse(format!(
                    "Type of '{name}' attribute in SearchConditionExpression ({}) does not match \
                     type in search schema ({kind})",
                    value.type_name()
                ));
            }
        }
        if let (Some(AttributeValue::S(text)), Some(hash)) = (value, hash)
            && text.is_empty()
        {
            return refuse(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute \
                 cannot contain an empty string value. Key: {}",
                hash.name
            ));
        }
        let partition = value.and_then(|value| match value {
            AttributeValue::S(text) => Some(KeyValue::S(text.clone())),
            AttributeValue::N(number) => Some(KeyValue::N(*number)),
            AttributeValue::B(bytes) => Some(KeyValue::B(bytes.clone())),
            _ => None,
        });
        Ok(IndexKey { partition: partition.into_iter().collect(), sort: Vec::new() })
    }

    /// Whether an item has what the search asks of it.
    #[must_use]
    pub fn has(&self, search: &SearchVectors, item: &Attributes) -> bool {
        let equal = search.condition.iter().flat_map(|condition| &condition.equal);
        equal.into_iter().all(|(name, value)| item.get(name) == Some(&**value))
    }

    /// What a search returns of an item that the index projects so: without the vector, unless a
    /// projection names it, and then as the index has it.
    #[must_use]
    pub fn shown(&self, search: &SearchVectors, mut projected: Attributes) -> Attributes {
        match &search.projection {
            Some(projection) => projection.apply(&projected),
            None => {
                projected.remove(&self.vector.attribute);
                projected
            }
        }
    }
}

/// What the model says of members, told together and without the values.
fn check_members(raw: &strict::Raw) -> Result<(), ApiError> {
    let mut constraints = Constraints::default();
    let (least, most) = NAME_CHARS;
    if raw.index.chars().count() < least {
        let constraint = format!("have length greater than or equal to {least}");
        constraints.violated_at("IndexName", &constraint);
    } else if raw.index.chars().count() > most {
        let constraint = format!("have length less than or equal to {most}");
        constraints.violated_at("IndexName", &constraint);
    }
    if raw.vector.is_empty() {
        constraints.violated_at("SearchVector", "have length greater than or equal to 1");
    }
    if raw.count < 1 {
        constraints.violated_at("TopK", "have value greater than or equal to 1");
    }
    constraints.finish()
}

/// One thing that is wrong with the name of the table, and nothing around it.
fn check_table(table: &str) -> Result<(), ApiError> {
    if is_table_name(table) {
        return Ok(());
    }
    let (least, most) = NAME_CHARS;
    let constraint = match table.len() {
        length if length < least => format!("have length greater than or equal to {least}"),
        length if length > most => format!("have length less than or equal to {most}"),
        _ => "satisfy regular expression pattern: [a-zA-Z0-9_.-]+".to_owned(),
    };
    Err(ApiError::validation(format!(
        "Value '{table}' at 'tableName' failed to satisfy constraint: Member must {constraint}"
    )))
}

fn expressions(body: &[u8]) -> Result<(Option<SearchCondition>, Option<Projection>), ApiError> {
    let mut body = Members::parse(body, Layer::Current).map_err(bare)?;
    let names = body.texts("ExpressionAttributeNames")?;
    let values = body.item("ExpressionAttributeValues")?;
    body.check_values().map_err(bare)?;
    let condition = body.text("SearchConditionExpression")?;
    let projection = body.text("ProjectionExpression")?;
    let has = (names.is_some(), values.is_some());
    let mut placeholders = Placeholders::new(names, values)?;
    let idle = |name| format!("{name} can only be specified when using expressions");
    if has.0 && condition.is_none() && projection.is_none() {
        return Err(ApiError::validation(idle("ExpressionAttributeNames")));
    }
    if has.1 && condition.is_none() {
        return Err(ApiError::validation(idle("ExpressionAttributeValues")));
    }
    let condition = condition.map(|text| SearchCondition::parse(&text, &mut placeholders));
    let condition = condition.transpose()?;
    let projection = projection.map(|text| Projection::parse(&text, &mut placeholders));
    let projection = projection.transpose()?;
    placeholders.finish()?;
    Ok((condition, projection))
}

/// What is wrong with a value, without where it stands.
fn bare(error: ApiError) -> ApiError {
    let message = error.message.strip_prefix("ExpressionAttributeValues contains invalid value: ");
    let message = message.and_then(|rest| rest.rsplit_once(" for key "));
    match message.map(|(message, _)| message.to_owned()) {
        Some(message) => ApiError { message, ..error },
        None => error,
    }
}
