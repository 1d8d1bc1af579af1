//! The envelope that operations on one item put around what is wrong with their requests.
//!
//! Since 2026 the service's checks of `PutItem`, `UpdateItem` and `DeleteItem` tell of one thing,
//! as the constraints of its model are told of (measured on the service by the Parity Suite in all
//! but two of its regions). What is found with the table at hand is not among them.

use pangea_core::item::ItemError;

use crate::dynamo::ApiError;
use crate::dynamo::error::ErrorKind;

/// What such a message begins with.
pub(super) const ENVELOPE: &str = "1 validation error detected: ";

/// How the messages begin that have no envelope all the same.
const BARE: [&str; 4] = [
    "Supplied AttributeValue ",
    "ExpressionAttributeValues contains invalid value: Supplied AttributeValue ",
    "One or more parameter values were invalid: Only DELETE action is allowed",
    "Item size",
];
/// What they hold, of the actions of `AttributeUpdates`.
const OF_ACTIONS: &str = "is not supported for the type";
/// How the messages begin that say what is wrong with the name of a placeholder. Only those of
/// letters beyond ASCII have an envelope.
const OF_KEYS: [&str; 2] = [
    "ExpressionAttributeNames contains invalid key: Syntax",
    "ExpressionAttributeValues contains invalid key: Syntax",
];

/// What the older layer tells of an expression that is too long, and the current one does not.
const SIZE: &str = " expression size: ";

/// The error of the current layer.
pub(super) fn unsized_expression(mut error: ApiError) -> ApiError {
    if let Some(at) = error.message.find(SIZE) {
        error.message.truncate(at);
    }
    error
}

/// The error in its envelope, where it has one.
pub(super) fn enveloped(mut error: ApiError) -> ApiError {
    let message = error.message.as_str();
    let is_told =
        message.contains(" detected: ") && message.starts_with(|it: char| it.is_ascii_digit());
    let is_bare = is_told
        || BARE.iter().any(|start| message.starts_with(start))
        || message.contains(OF_ACTIONS)
        || message == ItemError::TooLargeToUpdate.to_string()
        || OF_KEYS.iter().any(|start| message.starts_with(start)) && message.is_ascii();
    if error.kind == ErrorKind::Validation && !is_bare {
        error.message.insert_str(0, ENVELOPE);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_what_is_wrong_with_a_request_has_an_envelope() {
        let told = |message: &str| enveloped(ApiError::validation(message)).message;
        let key = |key: &str| format!("{}; key: \"{key}\"", OF_KEYS[1]);
        assert_eq!(told("Empty attribute name"), format!("{ENVELOPE}Empty attribute name"));
        assert_eq!(told(&key("v")), key("v"));
        assert_eq!(told(&key(":é")), format!("{ENVELOPE}{}", key(":é")));
        for bare in BARE {
            assert_eq!(told(bare), bare);
        }
        let serialization = ApiError::serialization("a");
        assert_eq!(enveloped(serialization.clone()), serialization);
    }
}
