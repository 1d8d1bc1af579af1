//! Bytes to values.

use std::collections::BTreeSet;
use std::sync::Arc;

use pangea_core::fingerprint::Teller;
use pangea_core::id::{Origin, Place, TableId};
use pangea_core::item::{
    AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey, value_size,
};
use pangea_core::merge::{Body, Origins, Stored, Version, VersionVector};
use pangea_core::replica::Outline;
use pangea_core::time::{Hlc, Stamp};

use super::{DEPTH_MAX, DecodeError, tag};

type Result<T> = std::result::Result<T, DecodeError>;

/// An attribute value, its text or bytes where they stand.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A text: UTF-8, unless the bytes are not what a [`super::Writer`] made; not looked at yet.
    S(&'a [u8]),
    /// Bytes.
    B(&'a [u8]),
    /// Anything else.
    Other(AttributeValue),
}

/// A version without its body.
struct VersionHead {
    stamp: Stamp,
    context: VersionVector,
    origins: Origins,
}

/// Takes values off the front of a slice; the mirror of [`super::Writer`].
///
/// Every method fails with a [`DecodeError`] and never panics, whatever the bytes. After an error
/// the position is unspecified.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that were not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Fails unless everything was read.
    pub fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.rest.len())) }
    }

    /// The next `count` bytes.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.truncated(count as u64));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.fixed::<1>()?[0])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// LEB128 in its shortest form.
    pub fn varint(&mut self) -> Result<u64> {
        // As most lengths are.
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        u64::try_from(self.varint128()?).map_err(|_| DecodeError::Integer)
    }

    /// A length or count, of things of at least one byte each: never more than what remains.
    pub fn length(&mut self) -> Result<usize> {
        let wanted = self.varint()?;
        match usize::try_from(wanted) {
            Ok(length) if length <= self.rest.len() => Ok(length),
            _ => Err(self.truncated(wanted)),
        }
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.raw(length)
    }

    /// A text behind its length.
    pub fn text(&mut self) -> Result<&'a str> {
        str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8)
    }

    /// A flag: one byte, 0 or 1.
    pub fn flag(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::Tag { what: "flag", tag }),
        }
    }

    /// A clock reading.
    pub fn hlc(&mut self) -> Result<Hlc> {
        self.u64().map(Hlc::from_bits)
    }

    /// An origin.
    pub fn origin(&mut self) -> Result<Origin> {
        self.u16().map(Origin::from_bits)
    }

    /// A stamp.
    pub fn stamp(&mut self) -> Result<Stamp> {
        Ok(Stamp { hlc: self.hlc()?, origin: self.origin()? })
    }

    /// A number in its normal form.
    pub fn number(&mut self) -> Result<Number> {
        let mantissa = unzigzag(self.varint128()?);
        let exponent = i16::try_from(unzigzag(self.varint128()?));
        let exponent = exponent.map_err(|_| DecodeError::Number)?;
        let number = Number::from_parts(mantissa, exponent).map_err(|_| DecodeError::Number)?;
        let normal = number.mantissa() == mantissa && number.exponent() == exponent;
        if normal { Ok(number) } else { Err(DecodeError::Number) }
    }

    /// An attribute value.
    pub fn value(&mut self) -> Result<AttributeValue> {
        self.value_below(DEPTH_MAX)
    }

    /// Attributes.
    pub fn attributes(&mut self) -> Result<Attributes> {
        self.attributes_below(DEPTH_MAX)
    }

    /// A primary key.
    pub fn primary_key(&mut self) -> Result<PrimaryKey> {
        let partition = self.key_value()?;
        let partition = partition.ok_or(DecodeError::Tag { what: "key", tag: tag::NONE })?;
        Ok(PrimaryKey { partition, sort: self.key_value()? })
    }

    /// An item's key across tables.
    pub fn item_key(&mut self) -> Result<ItemKey> {
        Ok(ItemKey { table: TableId(self.stamp()?), primary: self.primary_key()? })
    }

    /// A version vector.
    pub fn version_vector(&mut self) -> Result<VersionVector> {
        let count = self.length()?;
        let (mut vector, mut before) = (VersionVector::default(), None);
        for _ in 0..count {
            let (origin, hlc) = (self.origin()?, self.hlc()?);
            if before.replace(origin).is_some_and(|before| before >= origin) {
                return Err(DecodeError::Order);
            }
            vector.record(Stamp { hlc, origin });
        }
        Ok(vector)
    }

    /// Visits attributes in their order, their names, texts and bytes where they stand.
    pub fn each_attribute(
        &mut self,
        mut visit: impl FnMut(&'a [u8], ValueRef<'a>) -> Result<()>,
    ) -> Result<()> {
        self.visit_attributes(|name, reader| {
            let value = match reader.rest.first() {
                Some(&tag::S) => {
                    reader.u8()?;
                    ValueRef::S(reader.bytes()?)
                }
                Some(&tag::B) => {
                    reader.u8()?;
                    ValueRef::B(reader.bytes()?)
                }
                _ => ValueRef::Other(reader.value_below(DEPTH_MAX)?),
            };
            visit(name, value)
        })
    }

    /// A version.
    pub fn version(&mut self) -> Result<Version> {
        let (head, body) = self.version_head()?;
        let body = match body {
            tag::TOMBSTONE => Body::Tombstone,
            tag::LIVE => Body::live(self.attributes()?),
            _ => Body::Crdt(Arc::new(self.crdt_state(head.stamp)?)),
        };
        let VersionHead { stamp, context, origins } = head;
        Ok(Version { stamp, context, body, origins })
    }

    /// A version whose body is attributes or nothing: what it has seen, and the attributes, which
    /// are to be read next. `None` if it is a state.
    pub fn plain_version(&mut self) -> Result<Option<(VersionVector, bool)>> {
        let (head, body) = self.version_head()?;
        Ok((body != tag::CRDT).then_some((head.context, body == tag::LIVE)))
    }

    /// The outline of an item whose only version comes next; `None` if its body is a state, and the
    /// position is unspecified then.
    pub fn outline(&mut self, key: &PrimaryKey) -> Result<Option<Outline>> {
        let (head, body) = self.version_head()?;
        let VersionHead { stamp, context, origins } = head;
        let (mut bytes, mut fingerprint) = (0, 0);
        let body = match body {
            tag::TOMBSTONE => Body::Tombstone,
            tag::LIVE => {
                let count = Self { rest: self.rest }.length()?;
                let mut teller = Teller::new(key, stamp, origins, count);
                self.each_attribute(|name, value| {
                    teller.name(name);
                    bytes += name.len();
                    match value {
                        ValueRef::S(text) => teller.text(text),
                        ValueRef::B(bytes) => teller.bytes(bytes),
                        ValueRef::Other(ref value) => teller.value(value),
                    }
                    bytes += match value {
                        ValueRef::S(bytes) | ValueRef::B(bytes) => bytes.len(),
                        ValueRef::Other(value) => value_size(&value),
                    };
                    Ok(())
                })?;
                fingerprint = teller.sum();
                Body::Live(Arc::default())
            }
            _ => return Ok(None),
        };
        let stored = Stored::single(Version { stamp, context, body, origins });
        Ok(Some(Outline { stored, bytes, fingerprint }))
    }

    /// What stands before a version's body, and the body's tag.
    fn version_head(&mut self) -> Result<(VersionHead, u8)> {
        let head = self.u8()?;
        let has = |flag: u8| head & flag != 0;
        let unknown = DecodeError::Tag { what: "version", tag: head };
        let stamp = self.stamp()?;
        let mut context = if has(tag::CONTEXT) { self.others(stamp)? } else { <_>::default() };
        context.record(stamp);
        let rows = if has(tag::ROWS) { self.u8()? } else { 1 };
        let epoch = if has(tag::EPOCH) { self.u16()? } else { 0 };
        let place = if has(tag::PLACE) { Place(self.u8()?) } else { Place::ANYWHERE };
        // What is as usual is not said: one version has one spelling.
        let said = [(tag::ROWS, rows == 1), (tag::EPOCH, epoch == 0), (tag::PLACE, place.0 == 0)];
        if said.into_iter().any(|(flag, usual)| has(flag) && usual) {
            return Err(unknown);
        }
        let body = head & tag::BODY;
        if !matches!(body, tag::TOMBSTONE | tag::LIVE | tag::CRDT) {
            return Err(unknown);
        }
        let (conditional, expired) = (has(tag::CONDITIONAL), has(tag::EXPIRED));
        let origins = Origins { conditional, rows, epoch, place, expired };
        Ok((VersionHead { stamp, context, origins }, body))
    }

    /// The entries of a context beside the version's own; at least one.
    fn others(&mut self, own: Stamp) -> Result<VersionVector> {
        let others = self.version_vector()?;
        if others.iter().len() == 0 || others.get(own.origin) > Hlc::ZERO {
            return Err(DecodeError::Order);
        }
        Ok(others)
    }

    /// `depth` more levels may open.
    pub(super) fn value_below(&mut self, depth: usize) -> Result<AttributeValue> {
        let inner = || depth.checked_sub(1).ok_or(DecodeError::Depth);
        Ok(match self.u8()? {
            tag::S => AttributeValue::S(self.text()?.to_owned()),
            tag::N => AttributeValue::N(self.number()?),
            tag::B => AttributeValue::B(self.bytes()?.to_vec()),
            tag::FALSE => AttributeValue::Bool(false),
            tag::TRUE => AttributeValue::Bool(true),
            tag::NULL => AttributeValue::Null,
            tag::SS => AttributeValue::Ss(self.set(|reader| reader.text().map(str::to_owned))?),
            tag::NS => AttributeValue::Ns(self.set(Self::number)?),
            tag::BS => AttributeValue::Bs(self.set(|reader| reader.bytes().map(<[u8]>::to_vec))?),
            tag::L => AttributeValue::L(self.list_below(inner()?)?),
            tag::M => AttributeValue::M(self.attributes_below(inner()?)?),
            tag => return Err(DecodeError::Tag { what: "attribute value", tag }),
        })
    }

    fn list_below(&mut self, depth: usize) -> Result<Vec<AttributeValue>> {
        // Grows as values really come, because a value takes more memory than bytes.
        let mut list = Vec::new();
        for _ in 0..self.length()? {
            list.push(self.value_below(depth)?);
        }
        Ok(list)
    }

    fn attributes_below(&mut self, depth: usize) -> Result<Attributes> {
        let length = self.length()?;
        // A tree that is built of what is in order is built at once; a length may lie.
        let mut attributes = Vec::<(String, AttributeValue)>::with_capacity(length.min(64));
        for _ in 0..length {
            let name = self.text()?;
            if attributes.last().is_some_and(|(before, _)| before.as_str() >= name) {
                return Err(DecodeError::Order);
            }
            attributes.push((name.to_owned(), self.value_below(depth)?));
        }
        Ok(attributes.into_iter().collect())
    }

    fn set<T: Ord>(&mut self, one: impl Fn(&mut Self) -> Result<T>) -> Result<BTreeSet<T>> {
        let mut set = BTreeSet::new();
        for _ in 0..self.length()? {
            let member = one(self)?;
            if set.last().is_some_and(|before| *before >= member) {
                return Err(DecodeError::Order);
            }
            set.insert(member);
        }
        Ok(set)
    }

    pub(super) fn key_value(&mut self) -> Result<Option<KeyValue>> {
        Ok(Some(match self.u8()? {
            tag::NONE => return Ok(None),
            tag::S => KeyValue::S(self.text()?.to_owned()),
            tag::N => KeyValue::N(self.number()?),
            tag::B => KeyValue::B(self.bytes()?.to_vec()),
            tag => return Err(DecodeError::Tag { what: "key", tag }),
        }))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated(N as u64));
        };
        self.rest = rest;
        Ok(*taken)
    }

    fn varint128(&mut self) -> Result<u128> {
        /// Bytes of what fits 64 bits for certain.
        const NARROW: usize = 9;
        // As most mantissas are: arithmetic of 128 bits takes several times as long.
        let mut narrow = 0_u64;
        for (at, byte) in self.rest.iter().take(NARROW).enumerate() {
            narrow |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if *byte == 0 && at > 0 {
                    return Err(DecodeError::Integer);
                }
                self.rest = &self.rest[at + 1..];
                return Ok(narrow.into());
            }
        }
        let mut value = 0_u128;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7f);
            let overlong = byte == 0 && shift > 0;
            if overlong || (bits << shift) >> shift != bits {
                return Err(DecodeError::Integer);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Integer)
    }

    fn truncated(&self, wanted: u64) -> DecodeError {
        DecodeError::Truncated { wanted, left: self.rest.len() }
    }
}

fn unzigzag(value: u128) -> i128 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
