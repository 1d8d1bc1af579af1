//! Attribute values and keys.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::Number;
use crate::id::TableId;

/// An item's attributes by name, key attributes included.
pub type Attributes = BTreeMap<String, AttributeValue>;

/// A DynamoDB attribute value. Equality of `N` is numeric.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttributeValue {
    /// String, UTF-8.
    S(String),
    /// Number of up to 38 significant digits.
    N(Number),
    /// Binary.
    B(Vec<u8>),
    /// Boolean.
    Bool(bool),
    /// Null.
    Null,
    /// String set, never empty in a stored item.
    Ss(BTreeSet<String>),
    /// Number set, never empty in a stored item.
    Ns(BTreeSet<Number>),
    /// Binary set, never empty in a stored item.
    Bs(BTreeSet<Vec<u8>>),
    /// List.
    L(Vec<AttributeValue>),
    /// Map.
    M(Attributes),
}

impl AttributeValue {
    /// The name of the value's type, as on the wire.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::Ss(_) => "SS",
            Self::Ns(_) => "NS",
            Self::Bs(_) => "BS",
            Self::L(_) => "L",
            Self::M(_) => "M",
        }
    }
}

/// A value that can be a key: string, number or binary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyValue {
    /// String; ordered by UTF-8 bytes.
    S(String),
    /// Number; ordered numerically.
    N(Number),
    /// Binary; ordered as unsigned bytes.
    B(Vec<u8>),
}

impl KeyValue {
    /// What is empty of it, in DynamoDB's words.
    pub(crate) fn emptiness(&self) -> Option<&'static str> {
        match self {
            Self::S(text) => text.is_empty().then_some("string"),
            Self::B(bytes) => bytes.is_empty().then_some("binary"),
            Self::N(_) => None,
        }
    }
}

impl From<KeyValue> for AttributeValue {
    fn from(key: KeyValue) -> Self {
        match key {
            KeyValue::S(text) => Self::S(text),
            KeyValue::N(number) => Self::N(number),
            KeyValue::B(bytes) => Self::B(bytes),
        }
    }
}

/// The primary key of an item inside its table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrimaryKey {
    /// The partition (hash) key.
    pub partition: KeyValue,
    /// The sort (range) key, where the table has one.
    pub sort: Option<KeyValue>,
}

/// The primary key of an item across all tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// The table.
    pub table: TableId,
    /// The key inside the table.
    pub primary: PrimaryKey,
}

impl PrimaryKey {
    /// Appends a self-delimiting, injective form of the key; for identities, not for ordering.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        self.partition.write_canonical(out);
        if let Some(sort) = &self.sort {
            sort.write_canonical(out);
        }
    }
}

impl KeyValue {
    /// The same of one of the two.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        let mut tagged = |tag: u8, bytes: &[u8]| {
            out.reserve(1 + size_of::<u64>() + bytes.len());
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Self::S(text) => tagged(b'S', text.as_bytes()),
            Self::N(number) => {
                tagged(b'N', &number.mantissa().to_be_bytes());
                out.extend_from_slice(&number.exponent().to_be_bytes());
            }
            Self::B(bytes) => tagged(b'B', bytes),
        }
    }
}
