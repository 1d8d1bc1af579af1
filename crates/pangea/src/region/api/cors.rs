//! Cross-origin requests of browsers, which the service answers for every origin.

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
};

use super::rare::Rare;

/// What a script may read of an answer: the service's own list, and ours.
const EXPOSED: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,x-amz-crc32,Date,\
                       x-pangea-session,x-pangea-version,x-pangea-context";
/// How long a browser may remember a preflight, in s (the service: two days).
const MAX_AGE: &str = "172800";

/// What the answers to one request say of origins.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    asked: bool,
}

impl Cors {
    pub(super) const fn of(rare: Rare) -> Self {
        Self { asked: rare.origin }
    }

    /// Nothing, to requests of others.
    pub(super) fn answer(&self, headers: &mut HeaderMap) {
        if self.asked {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// Allows whatever a preflight asks for.
pub(super) fn preflight(request: &HeaderMap, answer: &mut HeaderMap) {
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    for (asked, allowed) in [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(value) = request.get(asked) {
            answer.insert(allowed, value.clone());
        }
    }
}
