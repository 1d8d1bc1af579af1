//! Compressed bodies, both ways.
//!
//! The service takes gzip and deflate, and compresses answers of 4 KB and more where a client asks.
//! What it makes of odd headers was measured by the tests of ScyllaDB's Alternator.

use std::io::Read as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{GzEncoder, MultiGzDecoder, ZlibDecoder, ZlibEncoder};
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

/// Answers that are smaller are not compressed (the service).
const COMPRESSED_BYTES_MIN: usize = 4096;

/// The encoding of bodies that are signed in chunks, beside which another may be named.
const CHUNKED: &str = "aws-chunked";

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
}

impl Encoding {
    const ALL: [Self; 2] = [Self::Gzip, Self::Deflate];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// An encoding of another name, or bytes that are not of that encoding.
    Broken,
    /// It is larger than a body may be.
    TooLarge,
}

/// The body as it was before it was compressed, at most `limit` bytes.
pub(super) fn decoded(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Unreadable> {
    let names = headers.get(CONTENT_ENCODING).map_or("", |names| names.to_str().unwrap_or("?"));
    // Chunks are put together before.
    let mut names = names.split(',').map(str::trim).filter(|it| !it.eq_ignore_ascii_case(CHUNKED));
    let name = match (names.next(), names.next()) {
        (name, None) => name,
        (_, Some(_)) => return Err(Unreadable::Broken),
    };
    let read: Box<dyn std::io::Read + '_> = match name {
        None | Some("" | "identity") => return Ok(body),
        Some(name) if name.eq_ignore_ascii_case("gzip") => {
            Box::new(MultiGzDecoder::new(body.as_ref()))
        }
        Some(name) if name.eq_ignore_ascii_case("deflate") => {
            Box::new(ZlibDecoder::new(body.as_ref()))
        }
        Some(_) => return Err(Unreadable::Broken),
    };
    let mut whole = Vec::with_capacity((4 * body.len()).min(limit));
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    read.take(bound).read_to_end(&mut whole).map_err(|_| Unreadable::Broken)?;
    match whole.len() {
        length if length > limit => Err(Unreadable::TooLarge),
        _ => Ok(whole.into()),
    }
}

/// The encoding that a request would have its answer in; `None` for none.
pub(super) fn wanted(headers: &HeaderMap) -> Option<Encoding> {
    // Of several headers the service reads the first.
    choose(headers.get(ACCEPT_ENCODING)?.to_str().ok()?)
}

/// The one of greatest quality: of equals the one that is named first, and a name before a star.
fn choose(accepted: &str) -> Option<Encoding> {
    let (mut named, mut star) = (Vec::<(Encoding, f64)>::new(), None);
    for entry in accepted.split(',') {
        let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let (name, quality) = (name.trim(), quality(parameters));
        if name == "*" {
            star = star.or(Some(quality));
        }
        let known = Encoding::ALL.into_iter().find(|it| name.eq_ignore_ascii_case(it.name()));
        named.extend(known.map(|encoding| (encoding, quality)));
    }
    for encoding in Encoding::ALL {
        if let (Some(quality), false) = (star, named.iter().any(|(it, _)| *it == encoding)) {
            named.push((encoding, quality));
        }
    }
    let mut best = None::<(Encoding, f64)>;
    for (encoding, quality) in named {
        if quality > best.map_or(0.0, |(_, quality)| quality) {
            best = Some((encoding, quality));
        }
    }
    best.map(|(encoding, _)| encoding)
}

/// What follows the first `q=`, wherever that stands; 1 if there is none, or it is no number.
fn quality(parameters: &str) -> f64 {
    let Some((_, value)) = parameters.split_once("q=") else { return 1.0 };
    let value = value.split(';').next().unwrap_or_default().trim();
    value.parse().map_or(1.0, |quality: f64| quality.clamp(0.0, 1.0))
}

/// The body in this encoding; `None` where that is not worth its while, or makes it no smaller.
pub(super) fn encoded(encoding: Encoding, body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < COMPRESSED_BYTES_MIN {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() / 2);
    let level = Compression::fast();
    let done = match encoding {
        Encoding::Gzip => GzEncoder::new(body, level).read_to_end(&mut out),
        Encoding::Deflate => ZlibEncoder::new(body, level).read_to_end(&mut out),
    };
    done.ok().map(|_| out)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn what_clients_accept_is_read_as_the_service_reads_it() {
        let cases = [
            ("identity", None),
            ("", None),
            ("br", None),
            ("x-gzip", None),
            ("gzip, deflate", Some("gzip")),
            ("br, identity, deflate, gzip", Some("deflate")),
            ("GZIP, identity", Some("gzip")),
            ("dog, gzip ,, cat", Some("gzip")),
            ("gzip;q=0.8, deflate;q=0.5", Some("gzip")),
            ("br, gzip;q=0, deflate; q = 0.5 , identity;q=0", Some("deflate")),
            ("*", Some("gzip")),
            ("*, deflate;q=0.5", Some("gzip")),
            ("*, deflate", Some("deflate")),
            ("*, gzip;q=0.5", Some("deflate")),
            ("gzip ;q=0", None),
            ("*;q=0", None),
            ("*;q=0.5,identity", Some("gzip")),
            ("br;q=0.8,identity;q=0.5,*;q=0", None),
            ("\"gzip\"", None),
            ("gzip br", None),
            ("gzip:q=1", None),
            ("gzip;q=31,deflate;q=51", Some("gzip")),
            ("deflate;q=0.5, gzip;q=1;q=0.2", Some("gzip")),
            ("deflate;q=0.5,gzip;q=0.", Some("deflate")),
            ("deflate;q=0.5,gzip;q=0. x", Some("gzip")),
            ("deflate;q=-0.5,gzip;q=0.2", Some("gzip")),
            ("gzip;q= 0;q=1", None),
            ("gzip;q =0;q=1", Some("gzip")),
            ("gzip;nq=0;q=1", None),
            ("gzip;q=0, gzip;q=1, gzip;q=0", Some("gzip")),
            ("br,identity;q=0.5,gzip;q=0.0001", Some("gzip")),
        ];
        for (accepted, chosen) in cases {
            assert_eq!(choose(accepted).map(Encoding::name), chosen, "{accepted}");
        }
    }

    fn read(encoding: &'static str, body: Vec<u8>, limit: usize) -> Result<Bytes, Unreadable> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        decoded(&headers, body.into(), limit)
    }

    #[test]
    fn bodies_come_back_and_are_bounded() {
        let text = "x".repeat(10_000);
        for encoding in Encoding::ALL {
            let packed = encoded(encoding, text.as_bytes()).expect("it is large enough");
            assert!(packed.len() < 200, "{}", packed.len());
            assert_eq!(read(encoding.name(), packed.clone(), 10_000), Ok(text.clone().into()));
            assert_eq!(read(encoding.name(), packed.clone(), 9_999), Err(Unreadable::TooLarge));
            let cut = packed[..packed.len() - 1].to_vec();
            assert_eq!(read(encoding.name(), cut, 10_000), Err(Unreadable::Broken));
            assert_eq!(read(encoding.name(), Vec::new(), 10), Err(Unreadable::Broken));
            assert_eq!(read(encoding.name(), b"{}".to_vec(), 10), Err(Unreadable::Broken));
        }
        assert_eq!(encoded(Encoding::Gzip, &[b'x'; 4095]), None);
        assert_eq!(read("br", b"{}".to_vec(), 10), Err(Unreadable::Broken));
        assert_eq!(read("identity", b"{}".to_vec(), 10), Ok(Bytes::from_static(b"{}")));
    }

    #[test]
    fn gzip_members_may_follow_each_other_and_nothing_else_may() {
        let [a, b] = ["x", "y"].map(|text| text.repeat(5000));
        let pack = |text: &str| encoded(Encoding::Gzip, text.as_bytes()).expect("large enough");
        let both = [pack(&a), pack(&b)].concat();
        assert_eq!(read("gzip", both, 10_000), Ok((a.clone() + &b).into()));
        let junk = [pack(&a), b"junk".to_vec()].concat();
        assert_eq!(read("gzip", junk, 10_000), Err(Unreadable::Broken));
    }
}
