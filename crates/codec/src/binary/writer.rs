//! Values to bytes.

use pangea_core::id::{Origin, Place};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::merge::{Body, Version, VersionVector};
use pangea_core::time::{Hlc, Stamp};

use super::tag;

/// Appends values to a buffer; the mirror of [`super::Reader`].
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl From<Vec<u8>> for Writer {
    /// Appends to what is there.
    fn from(out: Vec<u8>) -> Self {
        Self { out }
    }
}

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    /// LEB128, shortest form.
    pub fn varint(&mut self, value: u64) {
        self.varint128(value.into());
    }

    /// A length or count as a varint.
    pub fn length(&mut self, value: usize) {
        self.varint128(value as u128);
    }

    /// Bytes without their length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    /// A text behind its length in bytes.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A flag: one byte, 0 or 1.
    pub fn flag(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// A clock reading: eight bytes.
    pub fn hlc(&mut self, hlc: Hlc) {
        self.u64(hlc.to_bits());
    }

    /// An origin: two bytes.
    pub fn origin(&mut self, origin: Origin) {
        self.u16(origin.to_bits());
    }

    /// A stamp: ten bytes that sort as stamps do.
    pub fn stamp(&mut self, stamp: Stamp) {
        self.hlc(stamp.hlc);
        self.origin(stamp.origin);
    }

    /// A number: zigzag mantissa and exponent.
    pub fn number(&mut self, number: Number) {
        let mantissa = number.mantissa();
        self.varint128(((mantissa << 1) ^ (mantissa >> 127)).cast_unsigned());
        let exponent = i128::from(number.exponent());
        self.varint128(((exponent << 1) ^ (exponent >> 127)).cast_unsigned());
    }

    /// An attribute value behind its tag.
    pub fn value(&mut self, value: &AttributeValue) {
        match value {
            AttributeValue::S(text) => {
                self.u8(tag::S);
                self.text(text);
            }
            AttributeValue::N(number) => {
                self.u8(tag::N);
                self.number(*number);
            }
            AttributeValue::B(bytes) => {
                self.u8(tag::B);
                self.bytes(bytes);
            }
            AttributeValue::Bool(false) => self.u8(tag::FALSE),
            AttributeValue::Bool(true) => self.u8(tag::TRUE),
            AttributeValue::Null => self.u8(tag::NULL),
            AttributeValue::Ss(set) => self.many(tag::SS, set, |out, text| out.text(text)),
            AttributeValue::Ns(set) => self.many(tag::NS, set, |out, number| out.number(*number)),
            AttributeValue::Bs(set) => self.many(tag::BS, set, |out, bytes| out.bytes(bytes)),
            AttributeValue::L(list) => self.many(tag::L, list, Self::value),
            AttributeValue::M(map) => {
                self.u8(tag::M);
                self.attributes(map);
            }
        }
    }

    /// Attributes behind their count, in the order of their names.
    pub fn attributes(&mut self, attributes: &Attributes) {
        self.length(attributes.len());
        for (name, value) in attributes {
            self.text(name);
            self.value(value);
        }
    }

    /// A primary key: partition key, then sort key or nothing.
    pub fn primary_key(&mut self, key: &PrimaryKey) {
        self.key_value(&key.partition);
        match &key.sort {
            Some(sort) => self.key_value(sort),
            None => self.u8(tag::NONE),
        }
    }

    /// An item's key across tables.
    pub fn item_key(&mut self, key: &ItemKey) {
        self.stamp(key.table.0);
        self.primary_key(&key.primary);
    }

    /// A version vector behind its count, in the order of origins.
    pub fn version_vector(&mut self, vector: &VersionVector) {
        let entries = vector.iter();
        self.length(entries.len());
        for (origin, hlc) in entries {
            self.origin(origin);
            self.hlc(hlc);
        }
    }

    /// A version: what follows, stamp, then only what is not as usual, attributes if live.
    ///
    /// The context names the version itself without saying so: a cold item pays for its stamp and
    /// one byte.
    pub fn version(&mut self, version: &Version) {
        let Version { stamp, context, body, origins } = version;
        let others = context.iter().len() > 1;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let head = match body {
            Body::Live(_) => tag::LIVE,
            Body::Tombstone => tag::TOMBSTONE,
            Body::Crdt(_) => tag::CRDT,
        } | flag(origins.conditional, tag::CONDITIONAL)
            | flag(others, tag::CONTEXT)
            | flag(origins.rows != 1, tag::ROWS)
            | flag(origins.epoch != 0, tag::EPOCH)
            | flag(origins.place != Place::ANYWHERE, tag::PLACE)
            | flag(origins.expired, tag::EXPIRED);
        self.u8(head);
        self.stamp(*stamp);
        if others {
            self.length(context.iter().len() - 1);
            for (origin, hlc) in context.iter().filter(|entry| entry.0 != stamp.origin) {
                self.origin(origin);
                self.hlc(hlc);
            }
        }
        if origins.rows != 1 {
            self.u8(origins.rows);
        }
        if origins.epoch != 0 {
            self.u16(origins.epoch);
        }
        if origins.place != Place::ANYWHERE {
            self.u8(origins.place.0);
        }
        match body {
            Body::Live(attributes) => self.attributes(attributes),
            Body::Tombstone => {}
            Body::Crdt(state) => self.crdt_state(state, *stamp),
        }
    }

    pub(super) fn key_value(&mut self, key: &KeyValue) {
        match key {
            KeyValue::S(text) => {
                self.u8(tag::S);
                self.text(text);
            }
            KeyValue::N(number) => {
                self.u8(tag::N);
                self.number(*number);
            }
            KeyValue::B(bytes) => {
                self.u8(tag::B);
                self.bytes(bytes);
            }
        }
    }

    fn many<'v, T: 'v>(
        &mut self,
        tag: u8,
        members: impl IntoIterator<Item = &'v T, IntoIter: ExactSizeIterator>,
        mut one: impl FnMut(&mut Self, &T),
    ) {
        let members = members.into_iter();
        self.u8(tag);
        self.length(members.len());
        members.for_each(|member| one(self, member));
    }

    fn varint128(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push((value & 0x7f) as u8);
    }
}
