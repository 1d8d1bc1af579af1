//! Items: attribute values, numbers, keys and sizes, with DynamoDB's semantics.

mod number;
mod value;

pub use number::{Number, NumberError};
pub use value::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
