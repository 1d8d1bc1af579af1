//! Attribute definitions and key schemas, of tables and of indexes.

use pangea_core::catalog::TableEntry;
use pangea_core::index::Index;
use pangea_core::table::{KeyAttribute, KeyKind, Schema};

use super::{INVALID, invalid};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};

/// Longest name of a key attribute (DynamoDB).
const NAME_MAX: usize = 255;
/// Most attributes of one role in the key of a global index (DynamoDB).
const ROLE_MAX: usize = 4;

/// A name and a type or role, as both `AttributeDefinitions` and `KeySchema` list them.
pub(super) type Pairs = Vec<(String, String)>;

/// `AttributeDefinitions`, where they are there.
pub(super) fn definitions(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<Pairs>, ApiError> {
    let members = ("AttributeDefinitions", ("AttributeType", ["B", "N", "S"].as_slice()));
    pairs(body, constraints, members, "attributeDefinitions")
}

/// A `KeySchema` at a path; a missing or empty one is a violation.
pub(super) fn key_schema(
    body: &mut Members,
    constraints: &mut Constraints,
    path: &str,
) -> Result<Pairs, ApiError> {
    let members = ("KeySchema", ("KeyType", ["HASH", "RANGE"].as_slice()));
    let keys = pairs(body, constraints, members, path)?;
    if keys.as_ref().is_some_and(Vec::is_empty) {
        constraints.violated("'[]'", path, "have length greater than or equal to 1");
    }
    Ok(constraints.required(keys, path))
}

fn pairs(
    body: &mut Members,
    constraints: &mut Constraints,
    (list, (second, allowed)): (&str, (&str, &[&str])),
    path: &str,
) -> Result<Option<Pairs>, ApiError> {
    let Some(elements) = body.objects(list)? else { return Ok(None) };
    let mut pairs = Vec::new();
    for (at, mut element) in elements.into_iter().enumerate() {
        let path = format!("{path}.{}.member", at + 1);
        let name_path = format!("{path}.attributeName");
        let name = element.text("AttributeName")?;
        if let Some(name) = &name {
            constraints.length(name, (1, NAME_MAX), &name_path);
        }
        let name = constraints.required(name, &name_path);
        let mut second_path = second.to_owned();
        second_path[..1].make_ascii_lowercase();
        let second_path = format!("{path}.{second_path}");
        let value = constraints.one_of(element.text(second)?, allowed, &second_path);
        pairs.push((name, constraints.required(value, &second_path)));
    }
    Ok(Some(pairs))
}

/// Names of attributes as messages list them.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn of_pairs(pairs: &Pairs) -> String {
    names(pairs.iter().map(|(name, _)| name.as_str()))
}

/// Refuses a definition that is there twice.
pub(super) fn check_definitions(definitions: &Pairs) -> Result<(), ApiError> {
    let twice = definitions
        .iter()
        .enumerate()
        .find(|(at, (name, _))| definitions.iter().take(*at).any(|(other, _)| other == name));
    twice.map_or(Ok(()), |(_, (name, _))| {
        Err(ApiError::validation(format!("Attribute Name is duplicated: {name}")))
    })
}

/// Refuses more than two key attributes, where more are not served: DynamoDB checks that behind the
/// billing mode, in the words of its model, with the list in the form of the model's classes.
pub(super) fn check_length(keys: &Pairs, path: &str) -> Result<(), ApiError> {
    if keys.len() <= 2 {
        return Ok(());
    }
    let element = |(name, role): &(String, String)| {
        format!("KeySchemaElement(attributeName={name}, keyType={role})")
    };
    let shown = keys.iter().map(element).collect::<Vec<_>>().join(", ");
    let mut constraints = Constraints::default();
    let constraint = "have length less than or equal to 2";
    constraints.violated(format_args!("'[{shown}]'"), path, constraint);
    constraints.finish()
}

/// The table's key schema, held against the attribute definitions.
pub(super) fn schema(definitions: &Pairs, keys: &Pairs) -> Result<Schema, ApiError> {
    check_length(keys, "keySchema")?;
    if keys.len() > definitions.len() {
        return refuse("Invalid KeySchema: Some index key attribute have no definition");
    }
    let mut found = defined(definitions, keys)?.into_iter();
    check_pair(keys)?;
    let (Some(partition), sort) = (found.next(), found.next()) else {
        return refuse("Invalid KeySchema: it is empty");
    };
    Ok(Schema { partition, sort })
}

/// The attributes of a key with their types.
pub(super) fn defined(definitions: &Pairs, keys: &Pairs) -> Result<Vec<KeyAttribute>, ApiError> {
    let attribute = |name: &str| {
        let (_, kind) = definitions.iter().find(|(other, _)| other == name)?;
        Some(KeyAttribute { name: name.to_owned(), kind: KeyKind::parse(kind)? })
    };
    let found: Option<Vec<KeyAttribute>> = keys.iter().map(|(name, _)| attribute(name)).collect();
    found.ok_or_else(|| {
        invalid(&format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], \
             AttributeDefinitions: [{}]",
            of_pairs(keys),
            of_pairs(definitions)
        ))
    })
}

/// As [`defined`], of the key of an index: names are told in the service's order, and not at all
/// where fewer are defined than it has (both measured by the authors of dynoxide).
pub(super) fn defined_for_index(
    definitions: &Pairs,
    keys: &Pairs,
) -> Result<Vec<KeyAttribute>, ApiError> {
    let found = defined(definitions, keys);
    if found.is_ok() {
        return found;
    }
    let keys = hashed(keys.iter().map(|(name, _)| name.as_str()), Buckets::AsMany);
    if definitions.len() < keys.len() {
        return refuse("Invalid KeySchema: Some index key attribute have no definition");
    }
    Err(invalid(&format!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], \
         AttributeDefinitions: [{}]",
        names(keys),
        names(hashed(definitions.iter().map(|(name, _)| name.as_str()), Buckets::AsMany))
    )))
}

/// How many buckets a hash table of the service's begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Buckets {
    /// One for each name, or a few more.
    AsMany,
    /// What Java begins with if nothing is said.
    Sixteen,
}

/// The names, each once, in the order in which a hash table of Java's has them: this is how the
/// service's messages list them. A name is in the bucket that its hash says; the table doubles
/// where it is more than three quarters full.
fn hashed<'n>(names: impl Iterator<Item = &'n str>, buckets: Buckets) -> Vec<&'n str> {
    let mut distinct: Vec<&str> = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    let mut count = match buckets {
        Buckets::AsMany => distinct.len().max(1).next_power_of_two(),
        Buckets::Sixteen => 16,
    };
    while distinct.len() * 4 > count * 3 {
        count *= 2;
    }
    let bucket = |name: &str| {
        let add = |hash: u32, unit: u16| hash.wrapping_mul(31).wrapping_add(unit.into());
        let hash = name.encode_utf16().fold(0, add);
        (hash ^ (hash >> 16)) as usize & (count - 1)
    };
    // Of one bucket, in the order in which they came.
    distinct.sort_by_key(|name| bucket(name));
    distinct
}

/// The key attributes of a table and its indexes, each once, in the order of their names.
pub(crate) fn of_entry(entry: &TableEntry) -> Vec<KeyAttribute> {
    let schema = [Some(&entry.schema.partition), entry.schema.sort.as_ref()].into_iter().flatten();
    let all = schema.chain(entry.indexes.iter().flat_map(Index::attributes));
    let mut attributes: Vec<KeyAttribute> = all.cloned().collect();
    attributes.sort_by(|one, other| one.name.cmp(&other.name));
    attributes.dedup_by(|one, other| one.name == other.name);
    attributes
}

/// The rules of a key of at most a HASH and a RANGE attribute.
pub(super) fn check_pair(keys: &Pairs) -> Result<(), ApiError> {
    if let [(first, _), (second, _)] = keys.as_slice()
        && first == second
    {
        let text =
            "Both the Hash Key and the Range Key element in the KeySchema have the same name";
        return refuse(text);
    }
    if keys.first().is_some_and(|(_, role)| role != "HASH") {
        return refuse("Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
    }
    if keys.get(1).is_some_and(|(_, role)| role != "RANGE") {
        return refuse("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type");
    }
    Ok(())
}

/// The rules of the key of a global index: up to four HASH attributes, then up to four RANGE ones.
pub(super) fn check_global(keys: &Pairs) -> Result<(), ApiError> {
    if let [(first, _), (second, role)] = keys.as_slice()
        && first == second
        && role == "RANGE"
    {
        return check_pair(keys);
    }
    let twice = keys
        .iter()
        .enumerate()
        .any(|(at, (name, _))| keys.iter().take(at).any(|(other, _)| other == name));
    if twice {
        return refuse("The KeySchema contains multiple key attributes with the same name");
    }
    if keys.first().is_some_and(|(_, role)| role != "HASH") {
        return refuse("Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
    }
    if keys.windows(2).any(|pair| pair[0].1 == "RANGE" && pair[1].1 == "HASH") {
        let text = "All HASH key attributes must precede RANGE key attributes in the KeySchema";
        return Err(invalid(text));
    }
    for role in ["HASH", "RANGE"] {
        if keys.iter().filter(|(_, other)| other == role).count() > ROLE_MAX {
            let text = format!(
                "The KeySchema exceeds the maximum allowed number of {role} key attributes"
            );
            return Err(invalid(&text));
        }
    }
    Ok(())
}

/// Refuses definitions that no key uses: `keys` are those of the table, then those of its indexes.
pub(super) fn check_used<'k>(
    definitions: &Pairs,
    table: &Pairs,
    indexes: impl IntoIterator<Item = &'k str>,
) -> Result<(), ApiError> {
    let mut used: Vec<&str> = table.iter().map(|(name, _)| name.as_str()).collect();
    let (of_table, mut has_indexes) = (used.len(), false);
    for name in indexes {
        has_indexes = true;
        if !used.contains(&name) {
            used.push(name);
        }
    }
    if definitions.iter().all(|(name, _)| used.contains(&name.as_str())) {
        return Ok(());
    }
    if !has_indexes && definitions.len() != of_table {
        return Err(ApiError::validation(format!(
            "{INVALID}: Number of attributes in KeySchema does not exactly match number of \
             attributes defined in AttributeDefinitions"
        )));
    }
    Err(invalid(&format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: [{}], keys used: [{}]",
        names(hashed(definitions.iter().map(|(name, _)| name.as_str()), Buckets::AsMany)),
        names(hashed(used.into_iter(), Buckets::Sixteen))
    )))
}

fn refuse<T>(message: &str) -> Result<T, ApiError> {
    Err(ApiError::validation(message))
}
