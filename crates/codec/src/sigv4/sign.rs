//! Keys and signatures.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256, Key};

use super::canonical::{canonical_request, string_to_sign};
use super::date::Date;
use super::parse::{Form, Presented};
use super::{ALGORITHM, Demand, Signed};
use crate::dynamo::{ApiError, ErrorKind};

/// The end of every scope.
const TERMINATOR: &str = "aws4_request";

/// What a signing key is good for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `20130524`.
    pub date: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
    /// `aws4_request`.
    pub terminator: &'a str,
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.date, self.region, self.service, self.terminator)
    }
}

impl Scope<'_> {
    /// All that is wrong with it, in one error.
    pub(super) fn check(&self, date: &Date, demand: &Demand<'_>) -> Result<(), ApiError> {
        let mut wrong = Vec::new();
        if !demand.regions.iter().any(|region| region == self.region) {
            wrong.push("Credential should be scoped to a valid region. ".to_owned());
        }
        if self.service != demand.service {
            let service = demand.service;
            wrong.push(format!("Credential should be scoped to correct service: '{service}'. "));
        }
        if self.terminator != TERMINATOR {
            wrong.push(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
                self.terminator
            ));
        }
        let day = date.day();
        if self.date != day {
            wrong.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{day}', from '{date}'. ",
                self.date
            ));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(ApiError::new(ErrorKind::InvalidSignature, wrong.concat())),
        }
    }
}

/// SHA-256, in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    HEX.encode(digest(&SHA256, bytes).as_ref())
}

pub(super) struct SigningKey(Key);

pub(super) fn signing_key(secret: &str, scope: &Scope<'_>) -> SigningKey {
    let mut key = Key::new(HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    for part in [scope.date, scope.region, scope.service, scope.terminator] {
        key = Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    SigningKey(key)
}

impl SigningKey {
    /// Whether `signature` is that of `text`; how long this takes does not depend on where they
    /// differ.
    pub(super) fn agrees(&self, text: &str, signature: &str) -> bool {
        let bytes = HEX.decode(signature.as_bytes());
        bytes.is_ok_and(|bytes| hmac::verify(&self.0, text.as_bytes(), &bytes).is_ok())
    }

    pub(super) fn sign(&self, text: &str) -> String {
        HEX.encode(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }
}

/// The `Authorization` header for a request that is signed now with the headers `names`, which are
/// in order, lower case, and there.
#[must_use]
pub fn authorization(
    request: &Signed<'_>,
    names: &str,
    [access, secret]: [&str; 2],
    [region, service]: [&str; 2],
    now: u64,
) -> String {
    let date = Date::from_unix(now);
    let day = date.day();
    let scope = Scope { date: &day, region, service, terminator: TERMINATOR };
    let presented = Presented {
        form: Form::Header,
        algorithm: ALGORITHM.into(),
        credential: format!("{access}/{scope}").into(),
        names: names.into(),
        signature: "".into(),
        date,
        lifetime_s: 0,
        token: None,
    };
    let canonical = canonical_request(request, &presented);
    let text = string_to_sign(&date, &scope, &hash(canonical.as_bytes()));
    let signature = signing_key(secret, &scope).sign(&text);
    format!("{ALGORITHM} Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}")
}
