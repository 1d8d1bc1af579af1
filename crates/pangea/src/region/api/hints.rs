//! What a request says in headers that no AWS client knows, and a response answers there.

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use pangea_codec::dynamo::ApiError;
use pangea_core::merge::VersionVector;

use crate::versions::{format_vector, parse_stamp};

/// Of a table that keeps concurrent versions: everything that the client has seen of the item.
/// Opaque to clients: given in responses, sent back with the write that shall replace all of it.
pub(super) const CONTEXT: &str = "x-pangea-context";
/// In a response: how many versions the item has. In a request, `all` asks for all of them.
pub(super) const SIBLINGS: &str = "x-pangea-siblings";

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    /// What the client had seen of the item that it writes.
    pub(super) context: Option<VersionVector>,
    /// Whether all versions are asked for.
    pub(super) all_siblings: bool,
}

impl Hints {
    /// # Errors
    /// A header that is not what a response gave.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let context = headers.get(CONTEXT).map(parse_context).transpose()?;
        let all_siblings = headers.get(SIBLINGS).is_some_and(|value| value == "all");
        Ok(Self { context, all_siblings })
    }
}

/// Stamps with a dot between; stamps are hexadecimal digits.
pub(super) fn format_context(seen: &VersionVector) -> String {
    format_vector(seen).join(".")
}

fn parse_context(value: &HeaderValue) -> Result<VersionVector, ApiError> {
    let stamps = value.to_str().ok().and_then(|text| {
        let stamps = text.split('.').map(parse_stamp);
        stamps.collect::<Option<Vec<_>>>()
    });
    let stamps = stamps.ok_or_else(|| {
        let text = "is not a context: send back what a response of this cluster gave there";
        ApiError::validation(format!("The header {CONTEXT} {text}"))
    })?;
    Ok(VersionVector::from_entries(stamps.into_iter().map(|stamp| (stamp.origin, stamp.hlc))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangea_core::id::Origin;
    use pangea_core::time::Hlc;

    #[test]
    fn contexts_round_trip_and_garbage_is_refused() {
        let seen = VersionVector::from_entries([
            (Origin::from_bits(1), Hlc::from_bits(7)),
            (Origin::from_bits(1025), Hlc::from_bits(9)),
        ]);
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format_context(&seen)).expect("digits and dots");
        headers.insert(CONTEXT, value);
        assert_eq!(Hints::of(&headers).expect("a context").context, Some(seen));
        for garbage in ["", "x", "00.11", "0123456789abcdef0123.", "..", "0123456789abcdef012g"] {
            headers.insert(CONTEXT, HeaderValue::from_static(garbage));
            assert!(Hints::of(&headers).is_err(), "{garbage}");
        }
    }
}
