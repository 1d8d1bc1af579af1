//! Bodies as most are, read in one pass: no text with an escape, no value that is refused.
//!
//! Whatever is out of the ordinary ends it, and the body is read again in the general way, which
//! knows every error. What is read here is what would be read there.

use memchr::memchr2;
use pangea_core::item::{AttributeValue, Attributes};
use pangea_core::limits::ATTRIBUTE_NAME_BYTES_MAX;

use super::{Node, Place, ordered};
use crate::dynamo::attribute::{Layer, binary, number};

/// Lists and maps around a value, beyond which it is not read here.
const DEPTH_MAX: usize = 8;
/// Attributes, for which there is room from the start.
const ATTRIBUTES: usize = 16;
/// Digits of an integer that is one of 64 bits, whatever they are.
const DIGITS_MAX: usize = 18;

/// The members of a body whose values are checked in `layer`; `None` if it is not so plain.
pub(super) fn parse(body: &str, layer: Layer) -> Option<Vec<(String, Option<Node>)>> {
    let mut plain = Plain { body, at: 0, layer };
    plain.skip();
    plain.expect(b'{')?;
    let members = plain.object(Place::Body, 0)?;
    plain.skip();
    (plain.at == body.len()).then_some(members)
}

struct Plain<'b> {
    body: &'b str,
    at: usize,
    layer: Layer,
}

impl<'b> Plain<'b> {
    fn next(&self) -> Option<u8> {
        self.body.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes past a byte that must be next.
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// The same behind spaces, and past spaces behind it.
    fn punctuation(&mut self, byte: u8) -> Option<()> {
        self.skip();
        self.expect(byte)?;
        self.skip();
        Some(())
    }

    /// Goes past a comma, or past the end; whether it was a comma.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        self.skip();
        let found = self.next()?;
        self.at += 1;
        match found {
            b',' => {
                self.skip();
                Some(true)
            }
            _ => (found == end).then_some(false),
        }
    }

    fn word<T>(&mut self, word: &str, value: T) -> Option<T> {
        self.body[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    /// A text without an escape.
    fn text(&mut self) -> Option<&'b str> {
        self.expect(b'"')?;
        let len = plain_len(&self.body.as_bytes()[self.at..])?;
        let text = self.body.get(self.at..self.at + len)?;
        self.at += len;
        self.expect(b'"')?;
        Some(text)
    }

    /// What is behind the brace of an object.
    fn object(&mut self, place: Place, depth: usize) -> Option<Vec<(String, Option<Node>)>> {
        let mut nodes = Vec::new();
        self.skip();
        if self.expect(b'}').is_some() {
            return Some(nodes);
        }
        loop {
            let name = self.text()?;
            self.punctuation(b':')?;
            let node = self.node(place.member(name), depth + 1)?;
            nodes.push((name.to_owned(), Some(node)));
            if !self.goes_on(b'}')? {
                return Some(ordered(nodes));
            }
        }
    }

    fn node(&mut self, place: Place, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.next()? {
            b'"' if place != Place::Exists => Some(Node::Text(self.text()?.to_owned())),
            b'{' if matches!(place, Place::Item | Place::Values) => {
                self.at += 1;
                Some(Node::Item(self.attributes(depth)?, None))
            }
            b'{' if matches!(place, Place::Value | Place::Parameter) => {
                Some(Node::Value(self.value(depth)?, None))
            }
            b'{' => {
                self.at += 1;
                let nodes = self.object(place, depth)?;
                Some(Node::Object(super::Members { nodes, ..super::Members::default() }))
            }
            b'[' => {
                self.at += 1;
                let mut list = Vec::new();
                self.skip();
                if self.expect(b']').is_some() {
                    return Some(Node::List(list));
                }
                loop {
                    list.push(self.node(place.element(), depth + 1)?);
                    if !self.goes_on(b']')? {
                        return Some(Node::List(list));
                    }
                }
            }
            b't' => self.word("true", Node::Bool(true)),
            b'f' => self.word("false", Node::Bool(false)),
            b'n' => self.word("null", Node::Null),
            b'1'..=b'9' => self.integer(),
            _ => None,
        }
    }

    fn integer(&mut self) -> Option<Node> {
        let rest = &self.body[self.at..];
        let len = rest.find(|letter: char| !letter.is_ascii_digit())?;
        if len > DIGITS_MAX || matches!(rest.as_bytes()[len], b'.' | b'e' | b'E') {
            return None;
        }
        self.at += len;
        rest[..len].parse().ok().map(Node::Integer)
    }

    /// What is behind the brace of an item or a map.
    fn attributes(&mut self, depth: usize) -> Option<Attributes> {
        let mut attributes = Vec::with_capacity(ATTRIBUTES);
        self.skip();
        if self.expect(b'}').is_some() {
            return Some(Attributes::new());
        }
        loop {
            let name = self.text()?;
            if name.is_empty() || name.len() > ATTRIBUTE_NAME_BYTES_MAX {
                return None;
            }
            self.punctuation(b':')?;
            attributes.push((name.to_owned(), self.value(depth + 1)?));
            if !self.goes_on(b'}')? {
                // Of those of one name the last counts.
                return Some(attributes.into_iter().collect());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<AttributeValue> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.expect(b'{')?;
        self.skip();
        let tag = self.text()?;
        self.punctuation(b':')?;
        let value = match tag {
            "S" => AttributeValue::S(self.text()?.to_owned()),
            "N" => AttributeValue::N(number(self.text()?, self.layer).ok()?),
            "B" => AttributeValue::B(binary(self.text()?).ok()?),
            "BOOL" => AttributeValue::Bool(match self.next()? {
                b't' => self.word("true", true)?,
                _ => self.word("false", false)?,
            }),
            "NULL" => self.word("true", AttributeValue::Null)?,
            "M" => {
                self.expect(b'{')?;
                AttributeValue::M(self.attributes(depth)?)
            }
            "L" => AttributeValue::L(self.list(depth)?),
            _ => return None,
        };
        self.skip();
        self.expect(b'}')?;
        Some(value)
    }

    fn list(&mut self, depth: usize) -> Option<Vec<AttributeValue>> {
        let mut list = Vec::new();
        self.expect(b'[')?;
        self.skip();
        if self.expect(b']').is_some() {
            return Some(list);
        }
        loop {
            list.push(self.value(depth + 1)?);
            if !self.goes_on(b']')? {
                return Some(list);
            }
        }
    }
}

/// How many bytes come before a quote; `None` if a backslash or a control character comes first.
fn plain_len(bytes: &[u8]) -> Option<usize> {
    let len = memchr2(b'"', b'\\', bytes)?;
    let is_plain = bytes[len] == b'"' && !has_control(&bytes[..len]);
    is_plain.then_some(len)
}

/// Whether any of some bytes is a control character: eight at a time, without a branch to each.
fn has_control(bytes: &[u8]) -> bool {
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    // Borrows go from one that is less than a space to those above it, and from no other.
    let found = words.fold(0, |found, word| found | (word.wrapping_sub(SPACES) & !word));
    found & HIGH != 0 || rest.iter().any(|byte| *byte < b' ')
}

#[cfg(test)]
mod tests;
