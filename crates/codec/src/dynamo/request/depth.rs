//! What is told of values that are nested too deeply.
//!
//! The service looks at depth twice: values of up to 62 levels are refused like others of their
//! request, those of more as they are read, without the envelope and with the name of what they are
//! values of (measured on the service by the Parity Suite).

use pangea_core::item::ItemError;

use super::envelope::ENVELOPE;
use crate::dynamo::ApiError;
use crate::dynamo::attribute::Layer;

/// Levels from which on a value is refused as it is read.
const READ_LEVELS_MAX: usize = 62;
/// Levels that no body is read to: it is then no request at all. The service gives up between 2,000
/// and 5,000.
const LEVELS_MAX: usize = 2_000;
/// JSON levels around a value's own: the body, the item or the map of values, the value.
const AROUND: usize = 3;

/// The error, in the words for the depth that the body has.
pub(super) fn judged(layer: Layer, body: &[u8], mut error: ApiError) -> ApiError {
    let told = ItemError::TooDeep.to_string();
    let Some(at) = error.message.find(&told) else { return error };
    let levels = levels(body).saturating_sub(AROUND) / 2;
    if levels > LEVELS_MAX {
        return ApiError::serialization("");
    }
    if layer == Layer::Older {
        return error;
    }
    let enveloped = error.message.starts_with(ENVELOPE);
    if levels <= READ_LEVELS_MAX {
        // Whose value it is, is not told.
        error.message.truncate(at + told.len());
        error.message.drain(if enveloped { ENVELOPE.len() } else { 0 }..at);
    } else if enveloped {
        error.message.drain(..ENVELOPE.len());
    }
    error
}

/// Whether a body has values so deep that they are refused as they are read.
pub(super) fn is_read_early(body: &[u8]) -> bool {
    levels(body).saturating_sub(AROUND) / 2 > READ_LEVELS_MAX
}

/// How deep JSON is nested.
fn levels(json: &[u8]) -> usize {
    let (mut deepest, mut depth, mut text, mut escaped) = (0, 0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            _ if text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(levels: usize) -> Vec<u8> {
        let value = ["{\"M\":{\"a\":", "}}"].map(|part| part.repeat(levels));
        format!("{{\"Item\":{{\"v\":{}{{\"S\":\"[{{\"}}{}}}}}", value[0], value[1]).into_bytes()
    }

    #[test]
    fn depth_is_told_of_in_the_words_of_where_it_was_found() {
        let told = ItemError::TooDeep.to_string();
        let named = format!("{ENVELOPE}whose: {told} for key :v");
        let told_in = |layer, levels, message: &str| {
            judged(layer, &body(levels), ApiError::validation(message)).message
        };
        let judged = |levels, message: &str| told_in(Layer::Current, levels, message);
        assert_eq!(judged(62, &named), format!("{ENVELOPE}{told}"));
        assert_eq!(judged(62, &told), told);
        assert_eq!(judged(63, &named), format!("whose: {told} for key :v"));
        assert_eq!(judged(63, &told), told);
        assert_eq!(judged(2_001, &told), "");
        assert_eq!(judged(63, "another"), "another");
        // Most regions name it in transactions.
        assert_eq!(told_in(Layer::Older, 40, &named), named);
    }
}
