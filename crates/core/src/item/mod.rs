//! Items: attribute values, numbers, keys and sizes, with DynamoDB's semantics.

mod number;
mod value;

pub use number::{Number, NumberError};
pub use value::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};

/// Replaced by the size module.
#[must_use]
pub fn item_size(item: &Attributes) -> usize {
    item.len() * 16
}
