//! Tables: key schemas, writes to single items, and pages of Query and Scan. All pure.

mod page;
mod write;

#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use crate::item::{AttributeValue, Attributes, KeyValue, PrimaryKey};
use crate::limits::{PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};

pub use page::{Page, PageResult};
pub(crate) use write::key_update;
pub use write::{Action, Applied, Refusal, ReturnValues, WriteOp, apply, check_update};

/// The type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// String.
    S,
    /// Number.
    N,
    /// Binary.
    B,
}

impl KeyKind {
    /// Whether a key value is of this type.
    #[must_use]
    pub const fn fits(self, value: &KeyValue) -> bool {
        matches!(
            (self, value),
            (Self::S, KeyValue::S(_)) | (Self::N, KeyValue::N(_)) | (Self::B, KeyValue::B(_))
        )
    }

    /// Whether a value is of this type.
    #[must_use]
    pub const fn is_of(self, value: &AttributeValue) -> bool {
        matches!(
            (self, value),
            (Self::S, AttributeValue::S(_))
                | (Self::N, AttributeValue::N(_))
                | (Self::B, AttributeValue::B(_))
        )
    }

    /// The type that `text` names: `S`, `N` or `B`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "S" => Some(Self::S),
            "N" => Some(Self::N),
            "B" => Some(Self::B),
            _ => None,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        })
    }
}

/// An attribute that is part of a table's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: KeyKind,
}

impl KeyAttribute {
    /// The message that refuses an empty key value, if this one is empty.
    pub(crate) fn empty_refusal(&self, value: &KeyValue) -> Option<String> {
        let what = value.emptiness()?;
        Some(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute \
             cannot contain an empty {what} value. Key: {}",
            self.name
        ))
    }
}

/// The primary key of a table: which attributes, of which types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The partition (hash) key.
    pub partition: KeyAttribute,
    /// The sort (range) key, where the table has one.
    pub sort: Option<KeyAttribute>,
}

impl Schema {
    /// The key of a whole item, as `PutItem` needs it.
    ///
    /// # Errors
    ///
    /// [`Refusal::Validation`] where a key attribute is missing, mistyped, empty or too long.
    pub fn key_of(&self, item: &Attributes) -> Result<PrimaryKey, Refusal> {
        let partition = attribute_of(&self.partition, item)?;
        let sort = self.sort.as_ref().map(|sort| attribute_of(sort, item)).transpose()?;
        self.checked(PrimaryKey { partition, sort })
    }

    /// The key of a whole item, as `BatchWriteItem` needs it: it refuses in other words.
    ///
    /// # Errors
    ///
    /// [`Refusal::Validation`], as of [`Schema::exact_key`].
    pub fn batch_key_of(&self, item: &Attributes) -> Result<PrimaryKey, Refusal> {
        let names: alloc::vec::Vec<&str> = self.key_names().collect();
        let key = item.iter().filter(|(name, _)| names.contains(&name.as_str()));
        self.exact_key(&key.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The key from a map that holds the key attributes and nothing else, as `GetItem` needs it.
    ///
    /// # Errors
    ///
    /// [`Refusal::Validation`] where the map is not such a key.
    pub fn exact_key(&self, key: &Attributes) -> Result<PrimaryKey, Refusal> {
        let mismatch = || {
            let message = "The provided key element does not match the schema";
            Refusal::Validation(message.to_string())
        };
        if key.len() != 1 + usize::from(self.sort.is_some()) {
            return Err(mismatch());
        }
        let value = |attribute: &KeyAttribute| {
            let value = key.get(&attribute.name).and_then(key_value);
            value.filter(|value| attribute.kind.fits(value)).ok_or_else(mismatch)
        };
        let partition = value(&self.partition)?;
        let sort = self.sort.as_ref().map(value).transpose()?;
        self.checked(PrimaryKey { partition, sort })
    }

    /// The key attributes of an item, by name.
    #[must_use]
    pub fn attributes_of(&self, key: &PrimaryKey) -> Attributes {
        let mut item = Attributes::new();
        item.insert(self.partition.name.clone(), key.partition.clone().into());
        if let (Some(attribute), Some(value)) = (&self.sort, &key.sort) {
            item.insert(attribute.name.clone(), value.clone().into());
        }
        item
    }

    /// The key attributes.
    pub fn key_attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        [Some(&self.partition), self.sort.as_ref()].into_iter().flatten()
    }

    /// The names of the key attributes.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key_attributes().map(|attribute| attribute.name.as_str())
    }

    /// Refuses paths below key attributes, which are scalars; `goes_below` says of a name whether
    /// there is one.
    ///
    /// # Errors
    ///
    /// [`Refusal::Validation`] that names the first such attribute.
    pub fn check_paths(&self, goes_below: impl Fn(&str) -> bool) -> Result<(), Refusal> {
        match self.key_names().find(|name| goes_below(name)) {
            None => Ok(()),
            Some(name) => Err(Refusal::Validation(format!(
                "Key attributes must be scalars; list random access '[]' and map lookup '.' are \
                 not allowed: Key: {name}"
            ))),
        }
    }

    fn checked(&self, key: PrimaryKey) -> Result<PrimaryKey, Refusal> {
        let attributes =
            [Some((&self.partition, &key.partition)), self.sort.as_ref().zip(key.sort.as_ref())];
        let mut attributes = attributes.into_iter().flatten();
        let empty = attributes.find_map(|(attribute, value)| attribute.empty_refusal(value));
        drop(attributes);
        if let Some(message) = empty {
            return Err(Refusal::Validation(message));
        }
        check_sizes(&key.partition, key.sort.as_ref())?;
        Ok(key)
    }
}

/// Refuses values that are longer than keys of their role may be.
pub(crate) fn check_sizes<'k>(
    partition: &KeyValue,
    sorts: impl IntoIterator<Item = &'k KeyValue>,
) -> Result<(), Refusal> {
    let too_long = |message: &str| {
        let prefix = "One or more parameter values were invalid";
        Err(Refusal::Validation(format!("{prefix}: {message}")))
    };
    if length(partition) > PARTITION_KEY_BYTES_MAX {
        // The missing space is DynamoDB's own.
        return too_long("Size of hashkey has exceeded the maximum size limit of2048 bytes");
    }
    if sorts.into_iter().any(|sort| length(sort) > SORT_KEY_BYTES_MAX) {
        return too_long(
            "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        );
    }
    Ok(())
}

fn length(value: &KeyValue) -> usize {
    match value {
        KeyValue::S(text) => text.len(),
        KeyValue::B(bytes) => bytes.len(),
        KeyValue::N(_) => 0,
    }
}

/// The value as a key, if it is of a type that can be one.
fn key_value(value: &AttributeValue) -> Option<KeyValue> {
    match value {
        AttributeValue::S(text) => Some(KeyValue::S(text.clone())),
        AttributeValue::N(number) => Some(KeyValue::N(*number)),
        AttributeValue::B(bytes) => Some(KeyValue::B(bytes.clone())),
        _ => None,
    }
}

fn attribute_of(attribute: &KeyAttribute, item: &Attributes) -> Result<KeyValue, Refusal> {
    let prefix = "One or more parameter values were invalid";
    let name = &attribute.name;
    let Some(value) = item.get(name) else {
        let message = format!("{prefix}: Missing the key {name} in the item");
        return Err(Refusal::Validation(message));
    };
    key_value(value).filter(|value| attribute.kind.fits(value)).ok_or_else(|| {
        let (expected, actual) = (attribute.kind, value.type_name());
        Refusal::Validation(format!(
            "{prefix}: Type mismatch for key {name} expected: {expected} actual: {actual}"
        ))
    })
}
