//! CBOR (RFC 8949) as Smithy's RPC v2 speaks it, from and to the JSON that the API knows.
//!
//! What CBOR knows and JSON does not: bytes are Base64 in JSON, times are tagged with 1. On the way
//! out the service's model says which texts are bytes and which numbers are times. Arrays and maps
//! are written with indefinite lengths, so that nothing is counted before it is written; both forms
//! are read. Nesting is bounded before anything recurses.

use std::fmt;

use data_encoding::BASE64;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::dynamo::shape::{Shape, Shapes};

/// Lists and maps inside of each other. An item may have 32, each of two maps, in a request of a
/// few more.
pub const DEPTH_MAX: usize = 128;

/// Why bytes are not the CBOR of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends within a value, or goes on behind it.
    #[error("the document does not end where its value does")]
    Length,
    /// A byte that begins nothing that a request may have.
    #[error("a value of an unknown kind")]
    Kind,
    /// A text that is not UTF-8, or a key that is no text.
    #[error("a text that is none")]
    Text,
    /// Values are nested too deep.
    #[error("values are nested too deep")]
    Depth,
}

/// How times are counted, since 1970; they are tagged with 1 in either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// In seconds, with a fraction: Smithy's RPC v2.
    Seconds,
    /// In whole milliseconds: AWS's `application/x-amz-cbor-1.1`.
    Milliseconds,
}

/// The JSON of the one value that `bytes` are.
///
/// # Errors
/// See [`Malformed`].
pub fn to_json(bytes: &[u8], times: Times) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader { rest: bytes, out: Vec::with_capacity(bytes.len() * 2), times };
    reader.value(0)?;
    match reader.rest.is_empty() {
        true => Ok(reader.out),
        false => Err(Malformed::Length),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
    times: Times,
}

/// The kind of a value, and what its first bytes say beside it.
#[derive(Clone, Copy)]
struct Head {
    major: u8,
    /// The five bits beside the kind.
    minor: u8,
    /// `None` for an indefinite length.
    argument: Option<u64>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed::Length)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, Malformed> {
        let first = self.take(1)?[0];
        let (major, minor) = (first >> 5, first & 31);
        let argument = match minor {
            0..=23 => Some(u64::from(minor)),
            24..=27 => {
                let bytes = self.take(1 << (minor - 24))?;
                Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
            }
            31 => None,
            _ => return Err(Malformed::Kind),
        };
        Ok(Head { major, minor, argument })
    }

    /// Whether the end of something of indefinite length is next; it is taken.
    fn at_break(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix(&[0xff]) else { return false };
        self.rest = rest;
        true
    }

    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed::Depth);
        }
        let head = self.head()?;
        match (head.major, head.argument) {
            (0, Some(number)) => self.text(&number.to_string()),
            (1, Some(number)) => self.text(&(-1 - i128::from(number)).to_string()),
            (2, _) => {
                let bytes = self.string(head)?;
                self.quoted(&BASE64.encode(&bytes));
            }
            (3, _) => {
                let text = self.string(head)?;
                self.quoted(std::str::from_utf8(&text).map_err(|_| Malformed::Text)?);
            }
            (4, _) => {
                let each = |reader: &mut Self| reader.value(depth + 1);
                self.series(head, [b'[', b']'], each)?;
            }
            (5, _) => {
                let each = |reader: &mut Self| {
                    let key = reader.head()?;
                    if key.major != 3 {
                        return Err(Malformed::Text);
                    }
                    let key = reader.string(key)?;
                    reader.quoted(std::str::from_utf8(&key).map_err(|_| Malformed::Text)?);
                    reader.out.push(b':');
                    reader.value(depth + 1)
                };
                self.series(head, [b'{', b'}'], each)?;
            }
            (6, Some(1)) if self.times == Times::Milliseconds => {
                let start = self.out.len();
                self.value(depth + 1)?;
                let text = std::str::from_utf8(&self.out[start..]).unwrap_or_default();
                if let Ok(milliseconds) = text.parse::<f64>() {
                    self.out.truncate(start);
                    self.text(&(milliseconds / 1000.0).to_string());
                }
            }
            // Times are numbers here, and other tags say nothing that a request needs.
            (6, Some(_)) => self.value(depth + 1)?,
            (7, Some(bits)) => self.simple(head.minor, bits)?,
            _ => return Err(Malformed::Kind),
        }
        Ok(())
    }

    fn simple(&mut self, minor: u8, bits: u64) -> Result<(), Malformed> {
        let float = match minor {
            25 => half(u16::try_from(bits).unwrap_or(0)),
            26 => f64::from(f32::from_bits(u32::try_from(bits).unwrap_or(0))),
            27 => f64::from_bits(bits),
            _ => {
                self.text(match minor {
                    20 => "false",
                    21 => "true",
                    22 | 23 => "null",
                    _ => return Err(Malformed::Kind),
                });
                return Ok(());
            }
        };
        // JSON has no infinities: they become null.
        let text = serde_json::to_string(&float).map_err(|_| Malformed::Kind)?;
        self.text(&text);
        Ok(())
    }

    /// A string of bytes or of text, which may come in chunks of its own kind.
    fn string(&mut self, head: Head) -> Result<Vec<u8>, Malformed> {
        if let Some(length) = head.argument {
            return Ok(self.take(length)?.to_vec());
        }
        let mut whole = Vec::new();
        while !self.at_break() {
            let chunk = self.head()?;
            let length = chunk.argument.filter(|_| chunk.major == head.major);
            whole.extend_from_slice(self.take(length.ok_or(Malformed::Kind)?)?);
        }
        Ok(whole)
    }

    fn series(
        &mut self,
        head: Head,
        [open, close]: [u8; 2],
        each: impl Fn(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.out.push(open);
        let mut left = head.argument;
        let mut first = true;
        loop {
            match left.as_mut() {
                Some(0) => break,
                Some(left) => *left -= 1,
                None if self.at_break() => break,
                None => {}
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            each(self)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn quoted(&mut self, text: &str) {
        serde_json::to_writer(&mut self.out, text).expect("a vector takes every byte");
    }
}

/// A number of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = ((bits >> 10) & 31, f64::from(bits & 1023));
    let value = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2_f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 0 { value } else { -value }
}

/// The CBOR of a JSON value of this shape; without one, of an error.
///
/// # Errors
/// It is no JSON.
pub fn from_json(
    json: &[u8],
    shape: Option<Shape>,
    times: Times,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(json.len());
    let seed = Writer { out: &mut out, shapes: Shapes::get(), shape, times };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    shapes: &'static Shapes,
    shape: Option<Shape>,
    times: Times,
}

impl Writer<'_> {
    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        match argument {
            0..=23 => self.out.push(major | argument.to_be_bytes()[7]),
            24..=0xff => self.out.extend_from_slice(&[major | 24, argument.to_be_bytes()[7]]),
            0x100..=0xffff => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&argument.to_be_bytes()[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&argument.to_be_bytes()[4..]);
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&argument.to_be_bytes());
            }
        }
    }

    fn string(&mut self, major: u8, bytes: &[u8]) {
        self.head(major, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn tag(&mut self) {
        if self.shape == Some(Shape::Timestamp) {
            self.head(6, 1);
        }
    }

    /// A time in seconds, as whole milliseconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
    fn milliseconds(&mut self, seconds: f64) {
        self.tag();
        self.head(0, (seconds * 1000.0).round() as u64);
    }

    fn in_milliseconds(&self) -> bool {
        self.shape == Some(Shape::Timestamp) && self.times == Times::Milliseconds
    }

    /// The shape of a member; the items in errors have one although errors have none.
    fn member(&self, name: &str) -> Option<Shape> {
        match (self.shape, name) {
            (None, "Item") => Some(Shape::Named("AttributeMap")),
            (shape, name) => self.shapes.member(shape?, name),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.out.push(0xf6);
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.out.push(if value { 0xf5 } else { 0xf4 });
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "moments are small")]
    fn visit_u64<E: de::Error>(mut self, value: u64) -> Result<(), E> {
        if self.in_milliseconds() {
            self.milliseconds(value as f64);
            return Ok(());
        }
        self.tag();
        self.head(0, value);
        Ok(())
    }

    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<(), E> {
        self.tag();
        match u64::try_from(value) {
            Ok(value) => self.head(0, value),
            Err(_) => self.head(1, value.unsigned_abs() - 1),
        }
        Ok(())
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        if self.in_milliseconds() {
            self.milliseconds(value);
            return Ok(());
        }
        self.tag();
        self.out.push(0xfb);
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        if self.shape == Some(Shape::Blob)
            && let Ok(bytes) = BASE64.decode(text.as_bytes())
        {
            self.string(2, &bytes);
        } else {
            self.string(3, text.as_bytes());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.out.push(0x9f);
        let shape = self.shape.and_then(|shape| self.shapes.element(shape));
        loop {
            let seed = Writer { out: self.out, shapes: self.shapes, shape, times: self.times };
            if seq.next_element_seed(seed)?.is_none() {
                break;
            }
        }
        self.out.push(0xff);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.out.push(0xbf);
        while let Some(name) = map.next_key::<String>()? {
            self.string(3, name.as_bytes());
            let shape = self.member(&name);
            map.next_value_seed(Writer {
                out: self.out,
                shapes: self.shapes,
                shape,
                times: self.times,
            })?;
        }
        self.out.push(0xff);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
