//! Indexes of vectors as requests ask for them.

use pangea_core::catalog::TableEntry;
use pangea_core::index::{Distance, Index, IndexId, SearchAttribute, Vector};
use pangea_core::item::Attributes;

use super::index::{Projection, projection};
use super::invalid;
use super::keys::{self, Pairs};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};

/// Most indexes of vectors of a table (DynamoDB).
pub(super) const VECTORS_MAX: usize = 5;
/// Most dimensions (DynamoDB).
const DIMENSIONS_MAX: u32 = 4096;

/// An index of vectors as it stands in a request.
///
/// What the model says of its members is held against the request afterwards
/// ([`crate::dynamo::shape::completed`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) name: String,
    attribute: String,
    dimensions: u32,
    distance: Option<Distance>,
    /// Names, and whether they are of the `HASH` element.
    schema: Vec<(String, bool)>,
    projection: Projection,
}

/// `VectorIndexes`, where there are.
pub(super) fn list(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<Vec<Given>>, ApiError> {
    let Some(elements) = body.objects("VectorIndexes")? else { return Ok(None) };
    let mut given = Vec::new();
    for (at, mut element) in elements.into_iter().enumerate() {
        let path = format!("vectorIndexes.{}.member", at + 1);
        given.push(Given::decode(&mut element, constraints, &path)?);
    }
    Ok(Some(given))
}

impl Given {
    pub(super) fn decode(
        body: &mut Members,
        constraints: &mut Constraints,
        path: &str,
    ) -> Result<Self, ApiError> {
        let name = body.text("IndexName")?.unwrap_or_default();
        let attribute = match body.object("VectorAttribute")? {
            Some(mut attribute) => attribute.text("AttributeName")?.unwrap_or_default(),
            None => String::new(),
        };
        let mut schema = Vec::new();
        for mut element in body.objects("SearchSchema")?.unwrap_or_default() {
            let name = element.text("AttributeName")?.unwrap_or_default();
            let role = element.text("SearchSchemaElementType")?;
            schema.push((name, role.as_deref() == Some("HASH")));
        }
        let projection = projection(body, constraints, &format!("{path}.projection"))?;
        // A fraction is cut off (measured on the service by dynoxide's authors).
        let dimensions = body.number("Dimensions")?.unwrap_or_default();
        let distance = body.text("DistanceFunction")?;
        Ok(Self {
            name,
            attribute,
            #[expect(clippy::cast_possible_truncation, reason = "what is too much stays so")]
            #[expect(clippy::cast_sign_loss, reason = "what is below one is refused")]
            dimensions: dimensions as u32,
            distance: distance.as_deref().and_then(Distance::parse),
            schema,
            projection,
        })
    }

    /// The attributes of its search schema.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.schema.iter().map(|(name, _)| name.as_str())
    }

    /// The index, as the catalog has it, held against the definitions of the same request.
    pub(super) fn index(&self, definitions: &Pairs) -> Result<Index, ApiError> {
        if !(1..=DIMENSIONS_MAX).contains(&self.dimensions) {
            return Err(invalid(&format!(
                "Number of dimensions must be between 1 and {DIMENSIONS_MAX} inclusive."
            )));
        }
        let projected = self.projection.projected()?;
        let pairs = |(name, is_hash): &(String, bool)| {
            let role = if *is_hash { "HASH" } else { "INLINE_FILTER" };
            (name.clone(), role.to_owned())
        };
        let keys = keys::defined(definitions, &self.schema.iter().map(pairs).collect());
        let keys = keys.map_err(|_| {
            invalid("One element in SearchSchema is not defined in attribute definitions")
        })?;
        let hashes = self.schema.iter().filter(|(_, is_hash)| *is_hash).count();
        if hashes > 1 {
            return Err(invalid(&format!(
                "Value '{hashes}' at 'SearchSchema' failed to satisfy constraint: Member must have \
                 HASH count less than or equal to 1"
            )));
        }
        let names: Vec<&str> = self.names().collect();
        if names.iter().enumerate().any(|(at, name)| names[..at].contains(name)) {
            return Err(invalid("SearchSchema contains a duplicate AttributeName"));
        }
        let elements = keys.into_iter().zip(&self.schema);
        let vector = Vector {
            attribute: self.attribute.clone(),
            dimensions: self.dimensions,
            distance: self.distance.unwrap_or(Distance::Cosine),
            schema: elements
                .map(|(key, (_, is_hash))| SearchAttribute { key, is_hash: *is_hash })
                .collect(),
        };
        Ok(Index {
            id: IndexId(0),
            name: self.name.clone(),
            local: false,
            partition: vector.hash().cloned().into_iter().collect(),
            sort: Vec::new(),
            projected,
            options: Attributes::new(),
            vector: Some(vector),
        })
    }
}

/// Those of a new table, in the order in which the service tells what is wrong with them (measured
/// by the Parity Suite, in part by dynoxide's authors).
pub(super) fn checked(
    given: &[Given],
    definitions: &Pairs,
    on_demand: bool,
) -> Result<Vec<Index>, ApiError> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    check_billing(on_demand)?;
    let indexes = given.iter().map(|given| given.index(definitions));
    let indexes = indexes.collect::<Result<Vec<Index>, ApiError>>()?;
    for (at, index) in indexes.iter().enumerate() {
        if indexes.iter().take(at).any(|other| other.name == index.name) {
            return Err(invalid(&format!("Duplicate index name: {}", index.name)));
        }
    }
    if indexes.len() > VECTORS_MAX {
        return Err(too_many());
    }
    let mut before: Vec<&Index> = Vec::new();
    for index in &indexes {
        check_beside(index, &before)?;
        before.push(index);
    }
    indexes.iter().try_for_each(|index| check_undefined(index, definitions))?;
    Ok(indexes)
}

/// Indexes of vectors are of tables that are paid for by the request.
pub(super) fn check_billing(on_demand: bool) -> Result<(), ApiError> {
    match on_demand {
        true => Ok(()),
        false => Err(invalid("Vector indexes are only supported for PAY_PER_REQUEST tables")),
    }
}

/// The refusal of one more.
pub(super) fn too_many() -> ApiError {
    invalid(&format!("VectorIndex count exceeds the per-table limit of {VECTORS_MAX}"))
}

/// Refuses other dimensions than another index of the same attribute has.
pub(super) fn check_beside(index: &Index, others: &[&Index]) -> Result<(), ApiError> {
    let Some(vector) = &index.vector else { return Ok(()) };
    let conflicts = |other: &&Index| {
        let other = other.vector.as_ref().filter(|it| it.attribute == vector.attribute);
        other.is_some_and(|other| other.dimensions != vector.dimensions)
    };
    match others.iter().any(conflicts) {
        false => Ok(()),
        true => Err(invalid(&format!(
            "Conflicting attribute definition for '{}'. All VectorIndexes on the same vector \
             attribute must use the same dimensions.",
            vector.attribute
        ))),
    }
}

/// Refuses an attribute of vectors that is defined as one of a key.
pub(super) fn check_undefined(index: &Index, definitions: &Pairs) -> Result<(), ApiError> {
    let Some(vector) = &index.vector else { return Ok(()) };
    if definitions.iter().all(|(name, _)| *name != vector.attribute) {
        return Ok(());
    }
    Err(invalid(&format!(
        "Conflicting attribute definition for '{}'. An attribute cannot be defined in \
         AttributeDefinitions when used as a VectorAttribute.",
        vector.attribute
    )))
}

/// Refuses a key of another index that has an attribute of vectors in it.
pub(super) fn check_key(
    entry: &TableEntry,
    keys: &Pairs,
    definitions: &Pairs,
) -> Result<(), ApiError> {
    for (name, role) in keys {
        let mut vectors = entry.indexes.iter().filter_map(|index| index.vector.as_ref());
        let Some(vector) = vectors.find(|vector| vector.attribute == *name) else { continue };
        let Some((_, kind)) = definitions.iter().find(|(other, _)| other == name) else { continue };
        return Err(invalid(&format!(
            "Attributes cannot be redefined. Please check that your attribute has the same type as \
             previously defined. Existing schema: VectorIndexSchema:[VectorAttribute: \
             key{{{name}:L:{}}}] New schema: Schema:[SchemaElement: key{{{name}:{kind}:{role}}}]",
            vector.dimensions
        )));
    }
    Ok(())
}
