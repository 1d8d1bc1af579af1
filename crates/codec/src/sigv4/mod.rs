//! AWS Signature Version 4: what a request says of who sent it, and whether that is so.
//!
//! Pure: keys and the time of day are arguments. Errors are in the service's words and come in its
//! order: what is missing, the date, the scope, the key, the signature. Two forms are known, the
//! `Authorization` header and the query string of a presigned URL.

mod canonical;
mod chunked;
mod date;
mod parse;
mod sign;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use chunked::unchunked;
pub use date::{Date, SKEW_S};
pub use parse::{Form, Presented};
pub use sign::{Scope, authorization};

use crate::dynamo::{ApiError, ErrorKind};
use canonical::{canonical_request, string_to_sign};
use sign::{hash, signing_key};

/// The only algorithm that is served.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The signature of a client that signs nothing: no date is too old for it.
pub const PLACEHOLDER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The header values of a request: all values of one name, joined by commas.
pub type Lookup<'a> = dyn Fn(&str) -> Option<Cow<'a, str>> + 'a;

/// A request as it came, as far as it is signed.
pub struct Signed<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As on the wire.
    pub path: &'a str,
    /// As on the wire, without the question mark.
    pub query: &'a str,
    /// By lower-case name.
    pub header: &'a Lookup<'a>,
    /// As it was sent, compressed if it was.
    pub body: &'a [u8],
}

impl std::fmt::Debug for Signed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}?{}", self.method, self.path, self.query)
    }
}

/// What is known of an access key.
#[derive(Clone, Copy)]
pub struct Secret<'k> {
    /// The secret access key.
    pub key: &'k str,
    /// The session token that has to come with it.
    pub token: Option<&'k str>,
    /// When it ends, seconds since 1970.
    pub expires: Option<u64>,
}

impl std::fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is demanded beyond the form.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The service in the credential's scope.
    pub service: &'a str,
    /// The regions that it may be scoped to.
    pub regions: &'a [String],
}

const UNKNOWN: &str = "The security token included in the request is invalid.";
const MISMATCH: &str = "The request signature we calculated does not match the signature you \
                        provided. Check your AWS Secret Access Key and signing method. Consult \
                        the service documentation for details.";
const EXPIRED: &str = "The security token included in the request is expired";

/// Reads and checks the form of what a request presents, and that its date is about `now`, in
/// seconds since 1970.
///
/// # Errors
/// `MissingAuthenticationToken`, `IncompleteSignature` or `InvalidSignature`.
pub fn presented<'a>(request: &'a Signed<'a>, now: u64) -> Result<Presented<'a>, ApiError> {
    let presented = parse::read(request)?;
    if presented.signature != PLACEHOLDER {
        presented.date.within(now, presented.lifetime_s)?;
    }
    // By bytes, as below: this is in every request. HTTP/2 has the host in a pseudo-header, and a
    // client that sends it alone signs that.
    let mut names = presented.names.as_bytes().split(|byte| *byte == b';');
    if !names.any(|name| match name {
        b":authority" => (request.header)(":authority").is_some(),
        name => name.eq_ignore_ascii_case(b"host"),
    }) {
        let text = "'Host' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(ApiError::new(ErrorKind::InvalidSignature, text));
    }
    if presented.algorithm != ALGORITHM {
        let text = format!(
            "Unsupported AWS 'algorithm': '{}' (only {ALGORITHM} for now). ",
            presented.algorithm
        );
        return Err(ApiError::new(ErrorKind::IncompleteSignature, text));
    }
    let credential = presented.credential.as_bytes();
    let end = credential.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    if memchr::memchr_iter(b'/', &credential[..end]).count() != 4 {
        let text = format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got '{}'",
            presented.credential
        );
        return Err(ApiError::new(ErrorKind::IncompleteSignature, text));
    }
    Ok(presented)
}

/// Checks the signature against the key that `find` knows.
///
/// # Errors
/// `InvalidSignature`, `UnrecognizedClient` or `ExpiredToken`.
pub fn verify<'k>(
    request: &Signed<'_>,
    presented: &Presented<'_>,
    demand: &Demand<'_>,
    now: u64,
    find: impl FnOnce(&str) -> Option<Secret<'k>>,
) -> Result<(), ApiError> {
    let [access, scope @ ..] = presented.elements();
    let scope = Scope { date: scope[0], region: scope[1], service: scope[2], terminator: scope[3] };
    scope.check(&presented.date, demand)?;
    let secret =
        find(access).ok_or_else(|| ApiError::new(ErrorKind::UnrecognizedClient, UNKNOWN))?;
    let canonical = canonical_request(request, presented);
    let text = string_to_sign(&presented.date, &scope, &hash(canonical.as_bytes()));
    let key = signing_key(secret.key, &scope);
    if !key.agrees(&text, &presented.signature) {
        return Err(ApiError::new(ErrorKind::InvalidSignature, MISMATCH));
    }
    chunked::verify(request, (&presented.date, &scope), &key, &presented.signature)?;
    // A token that is not signed could have been put in by anyone, but only the right one is taken.
    if secret.token != presented.token.as_deref() {
        // Without the full stop, as measured at the service.
        let text = UNKNOWN.trim_end_matches('.');
        return Err(ApiError::new(ErrorKind::UnrecognizedClient, text));
    }
    if secret.expires.is_some_and(|expires| now >= expires) {
        return Err(ApiError::new(ErrorKind::ExpiredToken, EXPIRED));
    }
    Ok(())
}
