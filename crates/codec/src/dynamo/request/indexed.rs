//! Query and Scan of an index.

use pangea_core::catalog::TableEntry;
use pangea_core::expr::{Condition, IndexRange, Projection};
use pangea_core::index::{Index, IndexEntry, Projected};
use pangea_core::item::Attributes;
use pangea_core::table::Schema;

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
}

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
        if select == Select::All && partial && !index.local {
            return refuse(format!(
                "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not \
                 supported for global secondary index {name} because its projection type is not ALL"
            ));
        }
        let shows = |attribute: &str| shows(index, &table.schema, attribute);
        let hidden: Vec<&str> =
            projection.into_iter().flat_map(Projection::roots).filter(|it| !shows(it)).collect();
        if !hidden.is_empty() && !index.local {
            return refuse(format!(
                "One or more parameter values were invalid: Global secondary index {name} does not \
                 project [{}]",
                hidden.join(", ")
            ));
        }
        let whole = partial && (select == Select::All || !hidden.is_empty());
        Ok(Self { index, whole })
    }

    /// The key to go on behind.
    ///
    /// # Errors
    ///
    /// A `ValidationException` if it is not made of the keys of table and index.
    pub fn start(
        &self,
        table: &TableEntry,
        start: Option<&Attributes>,
    ) -> Result<Option<IndexEntry>, ApiError> {
        let Some(start) = start else { return Ok(None) };
        let invalid = || ApiError::validation("The provided starting key is invalid");
        let mut own = start.clone();
        own.retain(|name, _| table.schema.key_names().any(|key| key == name));
        let primary = table.schema.exact_key(&own).map_err(|_| invalid())?;
        let key = self.index.key_of(start).ok_or_else(invalid)?;
        let names = |name: &String| is_key(self.index, &table.schema, name);
        if !start.keys().all(names) {
            return Err(invalid());
        }
        Ok(Some(IndexEntry { table: table.id, index: self.index.id, key, primary }))
    }

    /// The key of an item, to go on behind it.
    #[must_use]
    pub fn key_of(&self, table: &TableEntry, item: &Attributes) -> Attributes {
        let mut key = item.clone();
        key.retain(|name, _| is_key(self.index, &table.schema, name));
        key
    }
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
        let range = self.key_condition.resolve_in(index)?;
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
        let start = indexed.start(table, self.start.as_ref())?;
        if let Some(entry) = &start {
            let (exact, next) = (&range.exact, entry.key.sort.get(range.exact.len()));
            if entry.key.partition != range.partition {
                return Err(ApiError::validation(
                    "The provided starting key is outside query boundaries based on provided \
                     conditions",
                ));
            }
            let inside = next.is_none_or(|sort| range.sort.matches(sort));
            if !entry.key.sort.starts_with(exact) || !inside {
                return Err(ApiError::validation(
                    "The provided starting key does not match the range key predicate",
                ));
            }
        }
        Ok((range, start))
    }
}

impl Scan {
    /// How the request reads an index, if it names one.
    ///
    /// # Errors
    ///
    /// See [`Indexed::of`].
    pub fn indexed<'t>(&self, table: &'t TableEntry) -> Result<Option<Indexed<'t>>, ApiError> {
        let Some(name) = &self.index else { return Ok(None) };
        let projection = self.projection.as_ref();
        Indexed::of(table, name, self.select, self.consistent, projection).map(Some)
    }
}
