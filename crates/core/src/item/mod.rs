//! Items: attribute values, numbers, keys and sizes, with DynamoDB's semantics.

mod number;
mod size;
mod value;

pub use number::{Number, NumberError};
pub use size::{ItemError, item_size, validate, validate_value, value_size};
pub use value::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
