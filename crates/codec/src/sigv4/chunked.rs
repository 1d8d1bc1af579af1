//! Bodies in chunks that are signed one by one: the content encoding `aws-chunked`.
//!
//! A client that signs while it sends says in `x-amz-content-sha256` that and how it does so, where
//! the hash of the body would stand. A chunk is its length in hexadecimal digits, its signature,
//! its bytes and the end of a line; the last is empty, and trailers may follow. A signature covers
//! the one before it, and the first one that of the request, so no chunk can be left out, repeated,
//! exchanged or added. Source: "Signature calculations for the authorization header: transferring
//! payload in multiple chunks" (Amazon S3, where the encoding comes from).

use data_encoding::BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::sign::{Scope, SigningKey, hash};
use super::{ALGORITHM, Lookup, MISMATCH, Signed, date::Date};
use crate::dynamo::{ApiError, ErrorKind};

const HEADER: &str = "x-amz-content-sha256";
const LENGTH: &str = "x-amz-decoded-content-length";
const CHUNK_SIGNATURE: &str = "chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";
const CHECKSUM: &str = "x-amz-checksum-";

/// What of such a body is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streaming {
    /// Its chunks.
    Chunks,
    /// Its chunks, and the trailers behind them.
    ChunksAndTrailers,
    /// Nothing: the body is as sure as the connection.
    Nothing,
}

impl Streaming {
    const ALL: [Self; 3] = [Self::Chunks, Self::ChunksAndTrailers, Self::Nothing];

    /// What stands in the place of the hash of the body.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Chunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::ChunksAndTrailers => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::Nothing => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    /// Whether a body comes in chunks, as its request says.
    pub(super) fn of(header: &Lookup<'_>) -> Option<Self> {
        let name = header(HEADER)?;
        Self::ALL.into_iter().find(|streaming| streaming.name() == name.trim())
    }
}

/// A body taken apart.
struct Chunked<'b> {
    /// Bytes and signature of each chunk; the last one has no bytes.
    chunks: Vec<(&'b [u8], &'b str)>,
    /// Trailers as they are signed: a line each, with names in lower case.
    trailers: String,
    trailer_signature: &'b str,
}

/// The body without its framing; `None` if the request does not say that it has one.
///
/// # Errors
/// `SerializationException` where the body is not in chunks, not as long as the request says, or
/// not what a checksum in a trailer is of.
pub fn unchunked(header: &Lookup<'_>, body: &[u8]) -> Result<Option<Vec<u8>>, ApiError> {
    if Streaming::of(header).is_none() {
        return Ok(None);
    }
    let Chunked { chunks, trailers, .. } = parse(body)?;
    let whole = chunks.into_iter().flat_map(|(bytes, _)| bytes).copied().collect::<Vec<u8>>();
    if trailers.lines().any(|trailer| is_belied(trailer, &whole)) {
        return Err(malformed());
    }
    match header(LENGTH).map(|length| length.trim().parse::<usize>()) {
        Some(length) if length != Ok(whole.len()) => Err(malformed()),
        _ => Ok(Some(whole)),
    }
}

/// Whether a trailer is a checksum of another body, by one of the algorithms that are known here.
fn is_belied(trailer: &str, body: &[u8]) -> bool {
    let checksum = trailer.strip_prefix(CHECKSUM).and_then(|trailer| trailer.split_once(':'));
    let Some((algorithm, told)) = checksum else { return false };
    let found = match algorithm {
        "crc32" => BASE64.encode(&crc32fast::hash(body).to_be_bytes()),
        "sha1" => BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, body).as_ref()),
        "sha256" => BASE64.encode(digest(&SHA256, body).as_ref()),
        _ => return false,
    };
    found != told
}

/// Verifies the signatures in a body, where it has any; `seed` is that of the request.
///
/// # Errors
/// `InvalidSignatureException`, or `SerializationException` where the body is not in chunks.
pub(super) fn verify(
    request: &Signed<'_>,
    (date, scope): (&Date, &Scope<'_>),
    key: &SigningKey,
    seed: &str,
) -> Result<(), ApiError> {
    let streaming = match Streaming::of(request.header) {
        None | Some(Streaming::Nothing) => return Ok(()),
        Some(streaming) => streaming,
    };
    let body = parse(request.body)?;
    let agree = |kind: &str, before: &str, hashes: &str, signature: &str| {
        let text = format!("{ALGORITHM}-{kind}\n{date}\n{scope}\n{before}\n{hashes}");
        match key.agrees(&text, signature) {
            true => Ok(()),
            false => Err(ApiError::new(ErrorKind::InvalidSignature, MISMATCH)),
        }
    };
    let nothing = hash(b"");
    let mut before = seed;
    for &(bytes, signature) in &body.chunks {
        agree("PAYLOAD", before, &format!("{nothing}\n{}", hash(bytes)), signature)?;
        before = signature;
    }
    if streaming == Streaming::ChunksAndTrailers {
        agree("TRAILER", before, &hash(body.trailers.as_bytes()), body.trailer_signature)?;
    }
    Ok(())
}

fn malformed() -> ApiError {
    // Such a body is no JSON either, which has no message.
    ApiError::serialization("")
}

fn parse(body: &[u8]) -> Result<Chunked<'_>, ApiError> {
    let parts = chunks(body).and_then(|(chunks, rest)| {
        let (trailers, trailer_signature) = trailers(rest)?;
        Some(Chunked { chunks, trailers, trailer_signature })
    });
    parts.ok_or_else(malformed)
}

/// The chunks, and what follows them.
type Chunks<'b> = (Vec<(&'b [u8], &'b str)>, &'b [u8]);

fn chunks(mut rest: &[u8]) -> Option<Chunks<'_>> {
    let mut chunks = Vec::new();
    loop {
        let (head, after) = line(rest)?;
        let (length, extension) = head.split_once(';').unwrap_or((head, ""));
        if !length.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let length = usize::from_str_radix(length, 16).ok()?;
        let signature = extension.strip_prefix(CHUNK_SIGNATURE).unwrap_or_default();
        let (bytes, after) = after.split_at_checked(length)?;
        chunks.push((bytes, signature));
        if length == 0 {
            return Some((chunks, after));
        }
        rest = after.strip_prefix(b"\r\n")?;
    }
}

/// Trailers as they are signed, and their signature.
fn trailers(mut rest: &[u8]) -> Option<(String, &str)> {
    let (mut trailers, mut signature) = (String::new(), "");
    while !rest.is_empty() {
        let (text, after) = line(rest)?;
        rest = after;
        if text.is_empty() {
            continue;
        }
        let (name, value) = text.split_once(':')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == TRAILER_SIGNATURE {
            signature = value;
        } else {
            trailers += &format!("{name}:{value}\n");
        }
    }
    Some((trailers, signature))
}

/// The text up to the end of the line, and what follows it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}
