//! What a request says in headers that no AWS client knows, and a response answers there.

use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use pangea_codec::dynamo::ApiError;
use pangea_core::merge::VersionVector;

use super::rare::Rare;
use crate::region::durable::Told;
use crate::region::{Region, durable, forward, reads, session};
use crate::versions::{format_vector, parse_stamp};

/// Of a table that keeps concurrent versions: everything that the client has seen of the item.
/// Opaque to clients: given in responses, sent back with the write that shall replace all of it.
pub(super) const CONTEXT: &str = "x-pangea-context";
/// In a response: how many versions the item has. In a request, `all` asks for all of them.
pub(super) const SIBLINGS: &str = "x-pangea-siblings";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// What the client had seen of the item that it writes.
    pub(super) context: Option<VersionVector>,
    /// Whether all versions are asked for.
    pub(super) all_siblings: bool,
    /// What the client has seen, and what the response lets it see.
    pub(super) session: session::Asked,
    /// In how many regions a write shall be.
    pub(super) durability: durable::Asked,
    /// Into how many regions a read shall look.
    pub(super) read: reads::Asked,
    /// Another region forwarded the request.
    pub(super) forwarded: bool,
    told: Mutex<Told>,
}

impl Hints {
    /// # Errors
    /// A header that is not what a response gave, or says nothing of its kind.
    pub(super) fn of(region: &Region, headers: &HeaderMap, rare: Rare) -> Result<Self, ApiError> {
        if !rare.ours {
            return Ok(Self::default());
        }
        Ok(Self {
            context: context_of(headers)?,
            all_siblings: headers.get(SIBLINGS).is_some_and(|value| value == "all"),
            session: session::Asked::of(&region.sessions, headers)?,
            durability: durable::Asked::of(headers)?,
            read: reads::Asked::of(headers)?,
            forwarded: forward::was_forwarded(headers),
            told: Mutex::default(),
        })
    }

    /// The response shall have these headers, whatever becomes of the request.
    pub(super) fn tell(&self, headers: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend(headers);
    }

    /// Puts what there is to tell into the headers of the response.
    pub(super) fn answer(&self, region: &Region, headers: &mut HeaderMap) {
        for (name, value) in self.told.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let value = HeaderValue::from_str(&value);
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        }
        headers.insert(session::TOKEN_NAME, self.session.token(&region.sessions));
    }
}

/// What a request says that the client had seen of its item.
fn context_of(headers: &HeaderMap) -> Result<Option<VersionVector>, ApiError> {
    headers.get(CONTEXT).map(parse_context).transpose()
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
        assert_eq!(context_of(&headers), Ok(Some(seen)));
        for garbage in ["", "x", "00.11", "0123456789abcdef0123.", "..", "0123456789abcdef012g"] {
            headers.insert(CONTEXT, HeaderValue::from_static(garbage));
            assert!(context_of(&headers).is_err(), "{garbage}");
        }
    }
}
