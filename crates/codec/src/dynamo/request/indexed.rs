//! Query and Scan of an index.

use std::collections::BTreeSet;

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Condition, IndexRange, Projection, SortRange};
use pangea_core::index::{Index, IndexEntry, IndexKey, Projected};
use pangea_core::item::Attributes;
use pangea_core::table::{Refusal, Schema};

use super::page::{Query, Scan, Select};
use crate::dynamo::ApiError;

/// How a request reads an index.
#[derive(Clone, Debug)]
pub struct Indexed<'t> {
    /// Which one.
    pub index: &'t Index,
    /// Whether items are shown whole, read from the table where the index does not have all of
    /// them (local indexes alone).
    pub whole: bool,
    /// What is told after what is wrong with the key: that the index does not have what is asked
    /// of it.
    refused: Option<String>,
}

const INVALID: &str = "The provided starting key is invalid";

impl<'t> Indexed<'t> {
    /// The index that a request names, held against what it asks for of it.
    ///
    /// # Errors
    ///
    /// A `ValidationException` if there is none, or it cannot serve the request.
    pub fn of(
        table: &'t TableEntry,
        name: &str,
        select: Select,
        consistent: bool,
        projection: Option<&Projection>,
    ) -> Result<Self, ApiError> {
        let refuse = |text: String| Err(ApiError::validation(text));
        let Some(index) = table.index(name) else {
            return refuse(format!("The table does not have the specified index: {name}"));
        };
        if consistent && !index.local {
            return refuse(
                "Consistent reads are not supported on global secondary indexes".to_string(),
            );
        }
        let partial = index.projected != Projected::All;
        let mut refused = None;
        if select == Select::All && partial && !index.local {
            refused = Some(format!(
                "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not \
                 supported for global secondary index {name} because its projection type is not ALL"
            ));
        }
        let shows = |attribute: &str| shows(index, &table.schema, attribute);
        let hidden: Vec<&str> =
            projection.into_iter().flat_map(Projection::roots).filter(|it| !shows(it)).collect();
        if !hidden.is_empty() && !index.local {
            refused = Some(format!(
                "One or more parameter values were invalid: Global secondary index {name} does not \
                 project [{}]",
                hidden.join(", ")
            ));
        }
        let whole = partial && (select == Select::All || !hidden.is_empty());
        Ok(Self { index, whole, refused })
    }

    fn check(&self) -> Result<(), ApiError> {
        self.refused.clone().map_or(Ok(()), |text| Err(ApiError::validation(text)))
    }

    /// Refuses a filter of a query that looks at what the index does not have.
    ///
    /// # Errors
    ///
    /// A `ValidationException` that names all of that.
    pub fn check_filter(
        index: &Index,
        schema: &Schema,
        filter: Option<&Condition>,
    ) -> Result<(), ApiError> {
        let roots = filter.map(Condition::roots).unwrap_or_default();
        let hidden: Vec<&str> =
            roots.into_iter().filter(|name| !shows(index, schema, name)).collect();
        if hidden.is_empty() {
            return Ok(());
        }
        Err(ApiError::validation(format!(
            "One or more parameter values were invalid: Secondary index {} does not project one or \
             more filter attributes: [{}]",
            index.name,
            hidden.join(", ")
        )))
    }

    /// Refuses a start key that has other attributes than the keys of table and index, or of other
    /// types (in these words: measured on the service by the Parity Suite).
    fn check_start(&self, schema: &Schema, start: &Attributes) -> Result<(), ApiError> {
        let mut names: BTreeSet<&str> = schema.key_names().collect();
        names.extend(self.index.attributes().map(|key| key.name.as_str()));
        if start.len() != names.len() {
            return Err(ApiError::validation(INVALID));
        }
        for key in self.index.attributes() {
            let Some(value) = start.get(&key.name) else {
                return Err(ApiError::validation(INVALID));
            };
            if value.type_name() != key.kind.to_string() {
                return Err(ApiError::validation(INVALID));
            }
        }
        Ok(())
    }

    /// The entry that a start key names.
    fn entry(&self, table: &TableEntry, start: &Attributes) -> Result<IndexEntry, ApiError> {
        let mut own = start.clone();
        own.retain(|name, _| table.schema.key_names().any(|key| key == name));
        let primary = table.schema.exact_key(&own);
        let primary = primary.map_err(|why| invalid_start(&why))?;
        let key = self.index.key_of(start);
        let key = key.ok_or_else(|| ApiError::validation(INVALID))?;
        Ok(IndexEntry { table: table.id, index: self.index.id, key, primary })
    }

    /// The key that a Scan goes on behind.
    ///
    /// # Errors
    ///
    /// A `ValidationException` if it is not made of the keys of table and index, or the index does
    /// not have what is asked of it.
    pub fn start(
        &self,
        table: &TableEntry,
        start: Option<&Attributes>,
    ) -> Result<Option<IndexEntry>, ApiError> {
        self.check()?;
        if let Some(start) = start {
            check_types(table, self.index, start)?;
            self.check_start(&table.schema, start)?;
        }
        start.map(|start| self.entry(table, start)).transpose()
    }

    /// The key of an item, to go on behind it.
    #[must_use]
    pub fn key_of(&self, table: &TableEntry, item: &Attributes) -> Attributes {
        let mut key = item.clone();
        key.retain(|name, _| is_key(self.index, &table.schema, name));
        key
    }
}

/// Refuses an index of vectors, which is only searched.
fn refuse_vectors(table: &TableEntry, name: &str, text: &str) -> Result<(), ApiError> {
    match table.index(name) {
        Some(index) if index.vector.is_some() => Err(ApiError::validation(text)),
        _ => Ok(()),
    }
}

/// What is told of a start key that is no key.
pub(super) fn invalid_start(why: &Refusal) -> ApiError {
    let why = why.to_string();
    match why.as_str() {
        "The provided key element does not match the schema" => ApiError::validation(INVALID),
        _ => ApiError::validation(format!("{INVALID}: {why}")),
    }
}

/// Refuses a start key of a Scan that has a key attribute of the table, or of any of its indexes,
/// of another type. The service tells of it as of a key of the index that is read, or else of the
/// table's first (measured by the Parity Suite).
fn check_types(table: &TableEntry, index: &Index, start: &Attributes) -> Result<(), ApiError> {
    let keys = table.schema.key_attributes();
    let keys = keys.chain(table.indexes.iter().flat_map(Index::attributes));
    for key in keys {
        let Some(value) = start.get(&key.name) else { continue };
        let (expected, actual) = (key.kind.to_string(), value.type_name());
        if actual != expected {
            return Err(ApiError::validation(format!(
                "One or more parameter values were invalid: Type mismatch for Index Key {} \
                 Expected: {expected} Actual: {actual} IndexName: {}",
                key.name, index.name
            )));
        }
    }
    Ok(())
}

fn is_key(index: &Index, schema: &Schema, name: &str) -> bool {
    schema.key_names().any(|key| key == name) || index.attributes().any(|key| key.name == name)
}

/// Whether a query of the index shows an attribute.
fn shows(index: &Index, schema: &Schema, name: &str) -> bool {
    match &index.projected {
        Projected::All => true,
        Projected::Keys => is_key(index, schema, name),
        Projected::Include(names) => {
            is_key(index, schema, name) || names.iter().any(|it| it == name)
        }
    }
}

impl Query {
    /// How the request reads an index, if it names one.
    ///
    /// # Errors
    ///
    /// See [`Indexed::of`].
    pub fn indexed<'t>(&self, table: &'t TableEntry) -> Result<Option<Indexed<'t>>, ApiError> {
        let Some(name) = &self.index else { return Ok(None) };
        // The full stop is in the one refusal and not in the other (measured on the service by
        // dynoxide's authors).
        refuse_vectors(table, name, "Query operation not supported on this index type.")?;
        let projection = self.projection.as_ref();
        Indexed::of(table, name, self.select, self.consistent, projection).map(Some)
    }

    /// The stretch of the index, and the key to go on behind.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where condition, filter or start key do not fit the index.
    pub fn resolve_in(
        &self,
        table: &TableEntry,
        indexed: &Indexed<'_>,
    ) -> Result<(IndexRange, Option<IndexEntry>), ApiError> {
        let index = indexed.index;
        if let Some(start) = &self.start {
            indexed.check_start(&table.schema, start)?;
        }
        let range = self.key_condition.resolve_in(index)?;
        let start = self.start.as_ref().map(|start| indexed.entry(table, start)).transpose()?;
        if let Some(entry) = &start {
            check_place(&range, &entry.key)?;
        }
        let mentioned = |filter: &Condition| {
            let mut keys = index.attributes();
            keys.find(|key| filter.mentions(&key.name)).map(|key| key.name.clone())
        };
        if let Some(name) = self.filter.as_ref().and_then(mentioned) {
            return Err(ApiError::validation(format!(
                "{} can only contain non-primary key attributes: Primary key attribute: {name}",
                self.filter_name
            )));
        }
        Indexed::check_filter(index, &table.schema, self.filter.as_ref())?;
        indexed.check()?;
        Ok((range, start))
    }
}

/// Refuses a place that the range does not hold.
fn check_place(range: &IndexRange, key: &IndexKey) -> Result<(), ApiError> {
    let next = key.sort.get(range.exact.len());
    let inside =
        key.sort.starts_with(&range.exact) && next.is_none_or(|sort| range.sort.matches(sort));
    let is_open = range.exact.is_empty() && range.sort == SortRange::All;
    Err(ApiError::validation(match (inside, key.partition == range.partition) {
        (true, true) => return Ok(()),
        (false, _) => "The provided starting key does not match the range key predicate",
        (true, false) if is_open => {
            "The provided starting key is outside query boundaries based on provided conditions"
        }
        (true, false) => "The query can return at most one row and cannot be restarted",
    }))
}

impl Scan {
    /// Refuses a start key of the table itself that has an attribute of another type than the
    /// table or an index of it says.
    ///
    /// # Errors
    ///
    /// A `ValidationException`.
    pub fn check_start(&self, table: &TableEntry) -> Result<(), ApiError> {
        let global = table.indexes.iter().find(|index| !index.local);
        match (global.or_else(|| table.indexes.first()), &self.start) {
            (Some(index), Some(start)) => check_types(table, index, start),
            _ => Ok(()),
        }
    }

    /// How the request reads an index, if it names one.
    ///
    /// # Errors
    ///
    /// See [`Indexed::of`].
    pub fn indexed<'t>(&self, table: &'t TableEntry) -> Result<Option<Indexed<'t>>, ApiError> {
        let Some(name) = &self.index else { return Ok(None) };
        refuse_vectors(table, name, "Scan operation not supported on this index type")?;
        let projection = self.projection.as_ref();
        Indexed::of(table, name, self.select, self.consistent, projection).map(Some)
    }
}
