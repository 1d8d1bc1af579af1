//! How large an item is by DynamoDB's accounting, and whether it may be stored.

use super::{AttributeValue, Attributes, Number};
use crate::limits::{ITEM_BYTES_MAX, NESTING_DEPTH_MAX};

#[cfg(test)]
mod tests;

/// Bytes of overhead of a list or a map (DynamoDB).
const CONTAINER_BYTES: usize = 3;
/// Bytes of overhead of each element of a list or a map (DynamoDB).
const ELEMENT_BYTES: usize = 1;

/// Why an item may not be stored. `Display` is DynamoDB's message to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Larger than [`ITEM_BYTES_MAX`].
    #[error("Item size has exceeded the maximum allowed size")]
    TooLarge,
    /// An update would make the item larger than [`ITEM_BYTES_MAX`].
    #[error("Item size to update has exceeded the maximum allowed size")]
    TooLargeToUpdate,
    /// Lists and maps nested deeper than [`NESTING_DEPTH_MAX`].
    #[error(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels \
         beyond supported limit"
    )]
    TooDeep,
    /// The name of an attribute, at any depth, of more than [`ATTRIBUTE_NAME_BYTES_MAX`].
    ///
    /// [`ATTRIBUTE_NAME_BYTES_MAX`]: crate::limits::ATTRIBUTE_NAME_BYTES_MAX
    #[error(
        "1 validation error detected: Attribute name is too large, must be less than 65536 bytes"
    )]
    NameTooLarge,
    /// A string set without elements.
    #[error("One or more parameter values were invalid: An string set  may not be empty")]
    EmptyStringSet,
    /// A number set without elements.
    #[error("One or more parameter values were invalid: An number set  may not be empty")]
    EmptyNumberSet,
    /// A binary set without elements.
    #[error("One or more parameter values were invalid: Binary sets should not be empty")]
    EmptyBinarySet,
}

/// The size of an item in bytes: names and values (DynamoDB, "Item sizes and formats").
#[must_use]
pub fn item_size(item: &Attributes) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

/// The size of one value in bytes, its name not included.
#[must_use]
pub fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_size(*number),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Bool(_) | AttributeValue::Null => 1,
        AttributeValue::Ss(set) => set.iter().map(alloc::string::String::len).sum(),
        AttributeValue::Ns(set) => set.iter().map(|number| number_size(*number)).sum(),
        AttributeValue::Bs(set) => set.iter().map(alloc::vec::Vec::len).sum(),
        AttributeValue::L(list) => {
            let elements = list.iter().map(|value| ELEMENT_BYTES + value_size(value));
            CONTAINER_BYTES + elements.sum::<usize>()
        }
        AttributeValue::M(map) => {
            let members = map.iter().map(|(name, value)| name.len() + value_size(value));
            CONTAINER_BYTES + members.map(|bytes| bytes + ELEMENT_BYTES).sum::<usize>()
        }
    }
}

/// One byte, a byte for every two significant digits before the point and for every two behind it,
/// and a byte for a minus sign (measured by the Parity Suite); zero has no digits.
fn number_size(number: Number) -> usize {
    if number == Number::ZERO {
        return 1;
    }
    let digits = i64::from(number.digits());
    let whole = (i64::from(number.exponent()) + digits).clamp(0, digits);
    let bytes = whole.unsigned_abs().div_ceil(2) + (digits - whole).unsigned_abs().div_ceil(2);
    1 + usize::try_from(bytes).unwrap_or(usize::MAX) + usize::from(number.mantissa() < 0)
}

/// Whether an item may be stored: its size, its depth and its sets.
///
/// # Errors
///
/// [`ItemError`], whose `Display` is DynamoDB's message.
pub fn validate(item: &Attributes) -> Result<(), ItemError> {
    item.values().try_for_each(validate_value)?;
    if item_size(item) > ITEM_BYTES_MAX { Err(ItemError::TooLarge) } else { Ok(()) }
}

/// Whether an attribute's value may be stored: its depth and its sets.
///
/// # Errors
///
/// [`ItemError`], whose `Display` is DynamoDB's message.
pub fn validate_value(value: &AttributeValue) -> Result<(), ItemError> {
    validate_below(value, 0)
}

fn validate_below(value: &AttributeValue, depth: usize) -> Result<(), ItemError> {
    let inside = |values: &mut dyn Iterator<Item = &AttributeValue>| {
        // What is in the innermost list or map is a level of its own.
        if depth + 1 >= NESTING_DEPTH_MAX {
            return Err(ItemError::TooDeep);
        }
        for value in values {
            validate_below(value, depth + 1)?;
        }
        Ok(())
    };
    match value {
        AttributeValue::Ss(set) if set.is_empty() => Err(ItemError::EmptyStringSet),
        AttributeValue::Ns(set) if set.is_empty() => Err(ItemError::EmptyNumberSet),
        AttributeValue::Bs(set) if set.is_empty() => Err(ItemError::EmptyBinarySet),
        AttributeValue::L(list) => inside(&mut list.iter()),
        AttributeValue::M(map) => inside(&mut map.values()),
        _ => Ok(()),
    }
}
