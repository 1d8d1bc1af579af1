//! Secondary indexes: which entry an item has in an index, as a pure function of what readers see.
//!
//! An entry is a key and nothing else: the values of the index's key attributes, then the item's
//! primary key. What a query returns is read from the item, so that an entry changes only with the
//! key attributes, and projected attributes are never older than the item. Every change of an item
//! puts and removes its entries in the same batch ([`crate::node`]), whoever wrote it: an index is
//! a function of the merged view, the same in every region.
//!
//! An item that lacks a key attribute of an index, or has one of another type or too long a one, is
//! not in it: such an item was written before the index was made.
//!
//! An index of vectors ([`Vector`]) has its entries by the same rules, from another set of
//! attributes.

mod vector;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::id::TableId;
use crate::item::{AttributeValue, Attributes, KeyValue, PrimaryKey, item_size, value_size};
use crate::limits::{PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};
use crate::table::{KeyAttribute, KeyKind, Refusal, Schema};

pub use vector::{Distance, Nearest, REQUEST_BYTES_MIN, SearchAttribute, Vector, to_f32};

/// Bytes of one write unit (DynamoDB).
const WRITE_UNIT_BYTES: usize = 1024;

/// What a write costs indexes, in write units, or bytes of one of vectors; those that it costs
/// nothing are not named.
pub type IndexUnits = Vec<(IndexId, u32)>;

/// Names an index of a table; never used again for another one of that table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexId(pub u32);

/// Which attributes a query of an index may return (DynamoDB `Projection`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projected {
    /// All.
    All,
    /// The keys of table and index.
    Keys,
    /// Those, and the attributes named.
    Include(Vec<String>),
}

/// A secondary index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Identity.
    pub id: IndexId,
    /// Name, unique among the indexes of its table.
    pub name: String,
    /// Local: its partition key is the table's. Global else.
    pub local: bool,
    /// The attributes of the partition key: at least one, or at most one of an index of vectors.
    pub partition: Vec<KeyAttribute>,
    /// The attributes of the sort key.
    pub sort: Vec<KeyAttribute>,
    /// What it projects.
    pub projected: Projected,
    /// What is shown of it and has no effect here, such as its throughput.
    pub options: Attributes,
    /// What makes it an index of vectors, which is neither local nor global.
    pub vector: Option<Vector>,
}

/// The values of the key attributes of an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexKey {
    /// Those of the partition key.
    pub partition: Vec<KeyValue>,
    /// Those of the sort key.
    pub sort: Vec<KeyValue>,
}

/// That an item is in an index, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// Whose index.
    pub table: TableId,
    /// Which index.
    pub index: IndexId,
    /// Where in it.
    pub key: IndexKey,
    /// The item.
    pub primary: PrimaryKey,
}

/// How far a region is with the entries of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Entries of items that were there before the index are still being made.
    Filling,
    /// Every item that belongs in it is in it.
    Ready,
}

/// How far a region is with each index.
pub type Fills = BTreeMap<(TableId, IndexId), Fill>;

impl Index {
    /// Its key attributes, those of the partition key first; of an index of vectors, those by which
    /// searches are narrowed.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        let filters = self.vector.iter().flat_map(Vector::filters);
        self.partition.iter().chain(&self.sort).chain(filters)
    }

    /// Whether it is a global secondary index.
    #[must_use]
    pub const fn is_global(&self) -> bool {
        !self.local && self.vector.is_none()
    }

    /// Where the item is in the index, if it is.
    #[must_use]
    pub fn key_of(&self, item: &Attributes) -> Option<IndexKey> {
        if self.vector.as_ref().is_some_and(|vector| !vector.has(item)) {
            return None;
        }
        self.key_beside_vector(item)
    }

    /// Where an item is in an index of vectors, if its vector can be in it and it
    /// [fits](Vector::fits): then the vector need not be there.
    #[must_use]
    pub fn key_beside_vector(&self, item: &Attributes) -> Option<IndexKey> {
        let values = |attributes: &[KeyAttribute]| {
            let values = attributes.iter().map(|attribute| key_value(attribute, item));
            values.collect::<Option<Vec<KeyValue>>>()
        };
        let key = IndexKey { partition: values(&self.partition)?, sort: values(&self.sort)? };
        let sort = key.sort.iter().map(key_length).sum::<usize>();
        let fits = key.partition.iter().all(|value| key_length(value) <= PARTITION_KEY_BYTES_MAX)
            && sort <= SORT_KEY_BYTES_MAX;
        fits.then_some(key)
    }

    /// The part of an item that the index projects.
    #[must_use]
    pub fn project(&self, schema: &Schema, mut item: Attributes) -> Attributes {
        if self.projected != Projected::All {
            item.retain(|name, _| self.projects(schema, name));
        }
        item
    }

    /// The same where it is.
    fn projected_of<'a>(
        &'a self,
        schema: &'a Schema,
        item: &'a Attributes,
    ) -> impl Iterator<Item = (&'a String, &'a AttributeValue)> {
        item.iter().filter(|(name, _)| self.projects(schema, name))
    }

    fn projects(&self, schema: &Schema, name: &str) -> bool {
        let included = match &self.projected {
            Projected::All => return true,
            Projected::Keys => [].as_slice(),
            Projected::Include(names) => names.as_slice(),
        };
        schema.key_names().any(|key| key == name)
            || self.attributes().any(|key| key.name == *name)
            || included.iter().any(|it| it == name)
    }

    /// What a write costs the index, in write units, or bytes where it is one of vectors: nothing
    /// unless it changes what the index shows (measured on the service by the Parity Suite).
    #[must_use]
    pub fn write_units(
        &self,
        schema: &Schema,
        before: Option<&Attributes>,
        after: Option<&Attributes>,
    ) -> u32 {
        if let Some(vector) = &self.vector {
            return self.vector_bytes(vector, schema, (before, after));
        }
        let units = |item: &Attributes| {
            let shown = self.projected_of(schema, item);
            let bytes = shown.map(|(name, value)| name.len() + value_size(value));
            let units = bytes.sum::<usize>().div_ceil(WRITE_UNIT_BYTES).max(1);
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        let was = before.and_then(|item| Some((self.key_of(item)?, item)));
        let is = after.and_then(|item| Some((self.key_of(item)?, item)));
        match (was, is) {
            (None, None) => 0,
            (Some((_, only)), None) | (None, Some((_, only))) => units(only),
            (Some((was, before)), Some((is, after))) if was == is => {
                if self.projected_of(schema, before).eq(self.projected_of(schema, after)) {
                    0
                } else {
                    units(before).max(units(after))
                }
            }
            (Some((_, before)), Some((_, after))) => units(before) + units(after),
        }
    }

    /// As [`Index::write_units`], of an index of vectors: what it has of the item, before or after,
    /// whichever is more.
    fn vector_bytes(
        &self,
        vector: &Vector,
        schema: &Schema,
        (before, after): (Option<&Attributes>, Option<&Attributes>),
    ) -> u32 {
        let shown = |item: Option<&Attributes>| {
            let key = self.key_of(item?)?;
            let mut rest = self.project(schema, item?.clone());
            rest.remove(&vector.attribute);
            Some((key, vector.of(item?)?, rest))
        };
        let (was, is) = (shown(before), shown(after));
        if was == is {
            return 0;
        }
        let bytes = [was, is].into_iter().flatten().map(|(_, _, rest)| vector.entry_bytes(&rest));
        let bytes = bytes.max().unwrap_or_default().max(REQUEST_BYTES_MIN);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Refuses an item whose attributes cannot be keys of the index: a client that writes one has
    /// made a mistake, where one that leaves them out wants the item not to be in the index.
    ///
    /// # Errors
    /// [`Refusal::Validation`].
    pub fn check(&self, item: &Attributes) -> Result<(), Refusal> {
        if let Some(vector) = &self.vector {
            return vector.check(&self.name, None, item);
        }
        for attribute in self.attributes() {
            let Some(value) = item.get(&attribute.name) else { continue };
            self.check_value(attribute, value)?;
        }
        self.check_sort(item)
    }

    /// Refuses sort keys whose attributes are too long together, if each of them is not.
    fn check_sort(&self, item: &Attributes) -> Result<(), Refusal> {
        let sort = self.sort.iter().filter_map(|attribute| item.get(&attribute.name));
        if sort.map(length).sum::<usize>() > SORT_KEY_BYTES_MAX {
            return refuse(
                "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
            );
        }
        Ok(())
    }

    /// As [`Index::check`], of an item that was updated: what was there before may stay, also
    /// where it can be no key, and the words are others.
    ///
    /// # Errors
    /// [`Refusal::Validation`].
    pub fn check_change(
        &self,
        before: Option<&Attributes>,
        after: &Attributes,
    ) -> Result<(), Refusal> {
        if let Some(vector) = &self.vector {
            return vector.check(&self.name, Some(before.unwrap_or(&Attributes::new())), after);
        }
        let mut changed = false;
        for attribute in self.attributes() {
            let Some(value) = after.get(&attribute.name) else { continue };
            if before.and_then(|item| item.get(&attribute.name)) == Some(value) {
                continue;
            }
            changed = true;
            if !attribute.kind.is_of(value) {
                let text = "The update expression attempted to update the secondary index key to \
                            unsupported type";
                return Err(Refusal::Validation(text.to_string()));
            }
            if let Some(what) = emptiness(value) {
                return Err(Refusal::Validation(format!(
                    "One or more parameter values are not valid. The update expression attempted \
                     to update a secondary index key to a value that is not supported. The \
                     AttributeValue for a key attribute cannot contain an empty {what} value."
                )));
            }
            self.check_value(attribute, value)?;
        }
        if changed { self.check_sort(after) } else { Ok(()) }
    }

    /// Refuses what an update gives key attributes of other types than theirs, as far as its text
    /// tells: `given` says which type it gives an attribute.
    ///
    /// # Errors
    /// [`Refusal::Validation`].
    pub(crate) fn check_types<'t>(
        &self,
        given: impl Fn(&str) -> Option<&'t str>,
    ) -> Result<(), Refusal> {
        // What is wrong for an index of vectors is told when the item is there.
        let keys = self.attributes().filter(|_| self.vector.is_none());
        for KeyAttribute { name, kind } in keys {
            let Some(actual) = given(name) else { continue };
            if kind.to_string() != actual {
                return self.mismatch(name, *kind, actual);
            }
        }
        Ok(())
    }

    fn mismatch(&self, name: &str, expected: KeyKind, actual: &str) -> Result<(), Refusal> {
        let index = &self.name;
        refuse(&format!(
            "Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} IndexName: \
             {index}"
        ))
    }

    /// The message that refuses an empty value of a key attribute, if this one is empty.
    pub(crate) fn empty_refusal(
        &self,
        attribute: &KeyAttribute,
        value: &KeyValue,
    ) -> Option<String> {
        if self.local && self.partition.contains(attribute) {
            return attribute.empty_refusal(value);
        }
        value.emptiness().map(|what| self.empty_words(&attribute.name, what))
    }

    fn empty_words(&self, name: &str, what: &str) -> String {
        format!(
            "One or more parameter values are not valid. A value specified for a secondary index \
             key is not supported. The AttributeValue for a key attribute cannot contain an empty \
             {what} value. IndexName: {}, IndexKey: {name}",
            self.name
        )
    }

    fn check_value(&self, attribute: &KeyAttribute, value: &AttributeValue) -> Result<(), Refusal> {
        let (name, index) = (&attribute.name, &self.name);
        if !attribute.kind.is_of(value) {
            return self.mismatch(name, attribute.kind, value.type_name());
        }
        if let Some(what) = emptiness(value) {
            return Err(Refusal::Validation(self.empty_words(name, what)));
        }
        let is_partition = self.partition.iter().any(|key| key.name == *name);
        let most = if is_partition { PARTITION_KEY_BYTES_MAX } else { SORT_KEY_BYTES_MAX };
        match length(value) {
            bytes if bytes <= most => Ok(()),
            bytes => refuse(&format!(
                "Size limit exceeded for Index Key {name} Actual Size: {bytes} bytes Max Size: \
                 {most} bytes IndexName: {index}"
            )),
        }
    }
}

/// Refuses a value that is too long for the partition key of an index of vectors.
fn check_length(value: &AttributeValue) -> Result<(), Refusal> {
    if length(value) > PARTITION_KEY_BYTES_MAX {
        // The missing space is DynamoDB's own.
        return refuse("Size of hashkey has exceeded the maximum size limit of2048 bytes");
    }
    Ok(())
}

/// What `check` refuses of indexes: of several refusals that of the first index by name, as the
/// service names it.
///
/// # Errors
/// As `check`.
pub fn check_each(
    indexes: &[Index],
    check: impl Fn(&Index) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let refused = indexes.iter().filter_map(|index| Some((&index.name, check(index).err()?)));
    refused.min_by_key(|(name, _)| *name).map_or(Ok(()), |(_, refusal)| Err(refusal))
}

/// Refuses paths below key attributes of indexes, as [`Schema::check_paths`] does of a table's own.
///
/// # Errors
/// [`Refusal::Validation`] that names the first such attribute.
pub fn check_paths(indexes: &[Index], goes_below: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let mut keys = indexes.iter().flat_map(Index::attributes);
    match keys.find(|key| goes_below(&key.name)) {
        None => Ok(()),
        Some(key) => Err(Refusal::Validation(format!(
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not \
             allowed: IndexKey: {}",
            key.name
        ))),
    }
}

/// What is empty of it, in DynamoDB's words.
fn emptiness(value: &AttributeValue) -> Option<&'static str> {
    match value {
        AttributeValue::S(text) if text.is_empty() => Some("string"),
        AttributeValue::B(bytes) if bytes.is_empty() => Some("binary"),
        _ => None,
    }
}

/// The size of an item as a write of it is charged for: an attribute that is a vector of an index
/// counts four bytes a dimension, whatever its numbers are (measured on the service by the Parity
/// Suite). Reads, and the limit of an item, go by [`item_size`].
#[must_use]
pub fn billed_size(indexes: &[Index], item: &Attributes) -> usize {
    let mut seen: Vec<&str> = Vec::new();
    let mut bytes = item_size(item);
    for vector in indexes.iter().filter_map(|index| index.vector.as_ref()) {
        if seen.contains(&vector.attribute.as_str()) {
            continue;
        }
        let Some((stored, billed)) = vector.spared(item) else { continue };
        seen.push(&vector.attribute);
        bytes = bytes - stored + billed;
    }
    bytes
}

/// How the entries of an item change with it.
#[must_use]
pub fn changed(
    index: &Index,
    before: Option<&Attributes>,
    after: Option<&Attributes>,
) -> (Option<IndexKey>, Option<IndexKey>) {
    let (before, after) =
        (before.and_then(|it| index.key_of(it)), after.and_then(|it| index.key_of(it)));
    if before == after { (None, None) } else { (before, after) }
}

fn refuse(text: &str) -> Result<(), Refusal> {
    Err(Refusal::Validation(["One or more parameter values were invalid: ", text].concat()))
}

fn key_value(attribute: &KeyAttribute, item: &Attributes) -> Option<KeyValue> {
    let value = match item.get(&attribute.name)? {
        AttributeValue::S(text) if !text.is_empty() => KeyValue::S(text.clone()),
        AttributeValue::B(bytes) if !bytes.is_empty() => KeyValue::B(bytes.clone()),
        AttributeValue::N(number) => KeyValue::N(*number),
        _ => return None,
    };
    attribute.kind.fits(&value).then_some(value)
}

fn key_length(value: &KeyValue) -> usize {
    match value {
        KeyValue::S(text) => text.len(),
        KeyValue::B(bytes) => bytes.len(),
        KeyValue::N(_) => 0,
    }
}

fn length(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.len(),
        _ => 0,
    }
}

/// The catalog row's form of a projection: `ALL`, `KEYS_ONLY`, or `INCLUDE` and names.
pub(crate) fn encode_projected(projected: &Projected) -> AttributeValue {
    let text = |word: &str| AttributeValue::S(word.to_string());
    match projected {
        Projected::All => text("ALL"),
        Projected::Keys => text("KEYS_ONLY"),
        Projected::Include(names) => AttributeValue::L(names.iter().map(|it| text(it)).collect()),
    }
}

/// The inverse of [`encode_projected`].
pub(crate) fn decode_projected(value: &AttributeValue) -> Option<Projected> {
    match value {
        AttributeValue::S(word) if word == "ALL" => Some(Projected::All),
        AttributeValue::S(word) if word == "KEYS_ONLY" => Some(Projected::Keys),
        AttributeValue::L(names) => {
            let name = |value: &AttributeValue| match value {
                AttributeValue::S(name) => Some(name.clone()),
                _ => None,
            };
            Some(Projected::Include(names.iter().map(name).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
