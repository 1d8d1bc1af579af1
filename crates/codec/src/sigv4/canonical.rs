//! The canonical form of a request: what both sides sign.

use std::borrow::Cow;

use super::chunked::Streaming;
use super::parse::{Form, Presented};
use super::sign::{Scope, hash};
use super::{ALGORITHM, Signed, date::Date};

/// The pairs of a query string, as they stand there.
pub(super) struct Pairs<'q>(std::str::Split<'q, char>);

impl<'q> Pairs<'q> {
    pub(super) fn of(query: &'q str) -> Self {
        Self(query.split('&'))
    }
}

impl<'q> Iterator for Pairs<'q> {
    type Item = (Cow<'q, str>, &'q str);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.0.find(|pair| !pair.is_empty())?;
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name), value))
    }
}

/// Percent-decodes; what is malformed stays as it is, and so does a plus sign.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// Percent-encodes all but what RFC 3986 calls unreserved, and what `keep` says.
fn encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

/// The request that is signed, as a text.
pub(super) fn canonical_request(request: &Signed<'_>, presented: &Presented<'_>) -> String {
    let mut text = format!("{}\n{}\n", request.method, canonical_path(request.path));
    text += &canonical_query(request.query, presented.form);
    text.push('\n');
    let names: Vec<String> = presented.signed_headers().map(str::to_ascii_lowercase).collect();
    for name in &names {
        let value = (request.header)(name).unwrap_or_default();
        text += name;
        text.push(':');
        text += &trim(&value);
        text.push('\n');
    }
    text.push('\n');
    text += &names.join(";");
    text.push('\n');
    match Streaming::of(request.header) {
        Some(streaming) => text + streaming.name(),
        None => text + &hash(request.body),
    }
}

/// White space at the ends goes, and any of it inside becomes one space.
fn trim(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Dots resolved, double slashes made one, and encoded once more: every service but S3 does so.
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let ends = path.len() > 1 && (path.ends_with('/') || path.ends_with("/."));
    let slash = if ends && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", encode(&segments.join("/"), |byte| byte == b'/'))
}

/// Pairs decoded, encoded in the one right way, and sorted.
fn canonical_query(query: &str, form: Form) -> String {
    let pairs =
        Pairs::of(query).filter(|(name, _)| form == Form::Header || name != "X-Amz-Signature");
    let none = |_: u8| false;
    let mut pairs: Vec<(String, String)> =
        pairs.map(|(name, value)| (encode(&name, none), encode(&decode(value), none))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

pub(super) fn string_to_sign(date: &Date, scope: &Scope<'_>, hash: &str) -> String {
    format!("{ALGORITHM}\n{date}\n{scope}\n{hash}")
}
