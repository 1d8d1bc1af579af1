//! Attribute values: strict decoding, straight encoding.

use std::cell::{Cell, RefCell};
use std::fmt;

use data_encoding::BASE64;
use pangea_core::index::to_f32;
use pangea_core::item::{AttributeValue, Attributes, ItemError, value_size};
use pangea_core::limits::{ATTRIBUTE_NAME_BYTES_MAX, NESTING_DEPTH_MAX};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

mod values;

use values::null_in;
pub(super) use values::{Layer, binary, number};

use super::error::{ApiError, ErrorKind};
use super::json::{Array, Object, write_text, write_utf8};
use crate::binary::{DecodeError, Reader, ValueRef};

/// Where visitors leave the errors that serde's own cannot carry.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// What ended the decode.
    fatal: RefCell<Option<ApiError>>,
    /// The first value that DynamoDB refuses. The decode goes on: what is wrong with a value is
    /// told only after what is wrong with the request around it.
    refused: RefCell<Option<ApiError>>,
    layer: Layer,
    /// Whether a value was too deep.
    deep: Cell<bool>,
    /// Whether an attribute itself has a name of no characters.
    unnamed: Cell<bool>,
    /// Whether a boolean was a text, or a value had several members.
    odd: Cell<bool>,
}

const EMPTY_NAME: &str = "Empty attribute name";

impl Sink {
    /// For the values of an operation that checks them in `layer`.
    pub(super) fn of(layer: Layer) -> Self {
        Self { layer, ..Self::default() }
    }

    /// Leaves `error` for the caller and gives serde a reason to stop.
    fn fail<E: de::Error>(&self, error: ApiError) -> E {
        self.fatal.borrow_mut().get_or_insert(error);
        E::custom("refused")
    }

    fn refuse(&self, error: ApiError) {
        self.refused.borrow_mut().get_or_insert(error);
    }

    /// Refuses a name of no characters, `depth` levels down. At the top it goes before depth.
    fn refuse_empty_name(&self, depth: usize) {
        let mut refused = self.refused.borrow_mut();
        let is_first = depth == 0
            && refused.as_ref().is_some_and(|it| it.message == ItemError::TooDeep.to_string());
        let error = ApiError::validation(EMPTY_NAME);
        if depth == 0 {
            self.unnamed.set(true);
        }
        if is_first {
            *refused = Some(error);
        } else {
            refused.get_or_insert(error);
        }
    }

    /// Refuses depth; it goes before names of no characters further down (both measured on the
    /// service by the Parity Suite).
    fn refuse_depth(&self) {
        self.deep.set(true);
        let mut refused = self.refused.borrow_mut();
        if !self.unnamed.get() && refused.as_ref().is_some_and(|it| it.message == EMPTY_NAME) {
            *refused = None;
        }
        refused.get_or_insert(ItemError::TooDeep.into());
    }

    /// Refuses what is already an error of a value, in the order of [`Sink::refuse_depth`].
    fn refuse_as(&self, error: ApiError) {
        match error.message == ItemError::TooDeep.to_string() {
            true => self.refuse_depth(),
            false => self.refuse(error),
        }
    }

    /// Puts back what was taken to look at a value alone.
    fn put_back(&self, refused: Option<ApiError>) {
        *self.refused.borrow_mut() = refused;
    }

    /// Notes a boolean that is a text, or a value of several members: the service reads such a
    /// request in its older layer (measured by the authors of dynoxide).
    pub(super) fn set_odd(&self) {
        self.odd.set(true);
    }

    fn note(&self, flag: &Flag) {
        if flag.is_text {
            self.set_odd();
        }
    }

    /// Whether there was one.
    pub(super) fn is_odd(&self) -> bool {
        self.odd.get()
    }

    /// Whether a value was too deep.
    pub(super) fn is_deep(&self) -> bool {
        self.deep.get()
    }

    /// What was refused since this was asked last.
    pub(super) fn take_refused(&self) -> Option<ApiError> {
        self.refused.borrow_mut().take()
    }

    /// The value, or what stands in for a refused one; a wrong encoding ends the decode.
    fn settle<T, E: de::Error>(&self, value: Result<T, ApiError>, or: T) -> Result<T, E> {
        match value {
            Ok(value) => Ok(value),
            Err(error) if error.kind == ErrorKind::Validation => {
                self.refuse(error);
                Ok(or)
            }
            Err(error) => Err(self.fail(error)),
        }
    }
}

/// The error of a failed decode: what a visitor left, or that the JSON itself is wrong.
pub(super) fn decode_error(sink: Sink, error: &serde_json::Error) -> ApiError {
    sink.fatal.into_inner().unwrap_or_else(|| match error.classify() {
        serde_json::error::Category::Data => ApiError::serialization(error.to_string()),
        // It has no message.
        _ => ApiError::serialization(""),
    })
}

/// Decodes a map of attribute values, such as an item or a key.
///
/// # Errors
///
/// [`ApiError`]: a `SerializationException` or `ValidationException` in DynamoDB's words.
pub fn decode_attributes(json: &[u8]) -> Result<Attributes, ApiError> {
    let sink = Sink::default();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let seed = AttributesSeed { sink: &sink, depth: 0, values: false };
    let result = seed.deserialize(&mut deserializer);
    match result.and_then(|attributes| deserializer.end().map(|()| attributes)) {
        Ok(attributes) => sink.take_refused().map_or(Ok(attributes), Err),
        Err(error) => Err(decode_error(sink, &error)),
    }
}

/// A map of attribute values.
#[derive(Clone, Copy)]
pub(super) struct AttributesSeed<'s> {
    pub(super) sink: &'s Sink,
    pub(super) depth: usize,
    /// Whether these are `ExpressionAttributeValues`, whose errors name the key.
    pub(super) values: bool,
}

impl<'de> DeserializeSeed<'de> for AttributesSeed<'_> {
    type Value = Attributes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Attributes, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AttributesSeed<'_> {
    type Value = Attributes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of attribute values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        // A tree is made for less of all of them than of one after the other.
        let mut attributes = Vec::new();
        if self.depth == 0 {
            self.sink.unnamed.set(false);
        }
        while let Some(name) = map.next_key::<String>()? {
            let before = self.sink.refused.borrow().is_some();
            if name.is_empty() && !self.values {
                self.sink.refuse_empty_name(self.depth);
            } else if name.len() > ATTRIBUTE_NAME_BYTES_MAX && !self.values {
                self.sink.refuse(ItemError::NameTooLarge.into());
            }
            let seed = ValueSeed { sink: self.sink, depth: self.depth };
            let value = map.next_value_seed(seed)?;
            if self.values && !before {
                name_the_key(self.sink, &name);
            }
            attributes.push((name, value));
        }
        // Of those of one name the last counts.
        Ok(attributes.into_iter().collect())
    }
}

fn name_the_key(sink: &Sink, key: &str) {
    let too_large = ItemError::NameTooLarge.to_string();
    let mut refused = sink.refused.borrow_mut();
    // That a name is too large is told as it is, wherever the name stands; of numbers, repeated
    // members of sets and depth the current layer does not say whose they are (measured on the
    // service by the Parity Suite).
    let is_named = |message: &str| match sink.layer {
        Layer::Older => message != too_large,
        // Whether depth is told of so, the body as a whole decides: see `request::depth`.
        Layer::Current if message == ItemError::TooDeep.to_string() => true,
        Layer::Current => {
            message.starts_with("Supplied AttributeValue")
                || message.ends_with("as a member")
                || message.ends_with("not be empty")
        }
    };
    if let Some(error) = refused.as_mut().filter(|error| is_named(&error.message)) {
        let message = &error.message;
        error.message =
            format!("ExpressionAttributeValues contains invalid value: {message} for key {key}");
    }
}

/// One attribute value: an object with exactly one type as its key.
#[derive(Clone, Copy)]
pub(super) struct ValueSeed<'s> {
    pub(super) sink: &'s Sink,
    /// Lists and maps around this value.
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = AttributeValue;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<AttributeValue, D::Error> {
        d.deserialize_any(self)
    }
}

const EMPTY: &str =
    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
const MANY: &str = "Supplied AttributeValue has more than one datatypes set, must contain exactly \
                    one of the supported datatypes";

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    /// Null is a value that says nothing.
    fn visit_unit<E: de::Error>(self) -> Result<AttributeValue, E> {
        self.sink.refuse(ApiError::validation(EMPTY));
        Ok(AttributeValue::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeValue, A::Error> {
        let (mut found, mut wrong) = (None, Vec::new());
        let before = self.sink.take_refused();
        while let Some(tag) = map.next_key::<Tag>()? {
            // A member that is null counts as absent.
            let member = self.member(tag, &mut map)?;
            wrong.extend(self.sink.take_refused());
            let Some(value) = member else { continue };
            if found.replace(value).is_some() {
                self.sink.set_odd();
                wrong.push(ApiError::validation(MANY));
            }
        }
        if found.is_none() {
            wrong.push(ApiError::validation(EMPTY));
        }
        self.sink.put_back(before);
        if let Some(error) = wrong.into_iter().min_by_key(values::rank) {
            self.sink.refuse_as(error);
        }
        Ok(found.unwrap_or(AttributeValue::Null))
    }
}

impl ValueSeed<'_> {
    /// The value behind a type's name; `None` if it is null or the name is none of a type.
    fn member<'de, A: MapAccess<'de>>(
        self,
        tag: Tag,
        map: &mut A,
    ) -> Result<Option<AttributeValue>, A::Error> {
        let (sink, inside) = (self.sink, self.depth + 1);
        if matches!(tag, Tag::L | Tag::M) && inside > CONTAINERS_MAX {
            // Not gone into: this is where recursion ends, however deep the body is.
            map.next_value::<de::IgnoredAny>()?;
            sink.refuse_depth();
            return Ok(Some(AttributeValue::Null));
        }
        let nothing = AttributeValue::Null;
        Ok(match tag {
            Tag::S => map.next_value::<Option<String>>()?.map(AttributeValue::S),
            Tag::N => match map.next_value::<Option<String>>()? {
                Some(text) => {
                    let number = number(&text, sink.layer);
                    Some(sink.settle(number.map(AttributeValue::N), nothing)?)
                }
                None => None,
            },
            Tag::B => match map.next_value::<Option<String>>()? {
                Some(text) => Some(sink.settle(binary(&text).map(AttributeValue::B), nothing)?),
                None => None,
            },
            Tag::Bool => map.next_value::<Option<Flag>>()?.map(|flag| {
                sink.note(&flag);
                AttributeValue::Bool(flag.is_true)
            }),
            Tag::Null => map.next_value::<Option<Flag>>()?.map(|flag| {
                sink.note(&flag);
                if !flag.is_true {
                    sink.refuse(ApiError::validation(NOT_NULL));
                }
                AttributeValue::Null
            }),
            Tag::Ss | Tag::Ns | Tag::Bs => match map.next_value::<Option<Vec<Option<String>>>>()? {
                Some(texts) => {
                    let texts: Option<Vec<String>> = texts.into_iter().collect();
                    let set = texts.ok_or_else(|| null_in(tag));
                    let set = set.and_then(|texts| values::set(tag, texts, sink.layer));
                    Some(sink.settle(set, nothing)?)
                }
                None => None,
            },
            Tag::L => {
                let seed = ListSeed(ValueSeed { depth: inside, ..self });
                map.next_value_seed(Nullable(seed))?.map(AttributeValue::L)
            }
            Tag::M => {
                let seed = AttributesSeed { sink: self.sink, depth: inside, values: false };
                map.next_value_seed(Nullable(seed))?.map(AttributeValue::M)
            }
            Tag::Unknown => {
                map.next_value::<de::IgnoredAny>()?;
                None
            }
        })
    }
}

/// A boolean, which may be a text that says so.
struct Flag {
    is_true: bool,
    is_text: bool,
}

impl<'de> de::Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
        Ok(Flag { is_true: value, is_text: false })
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Flag, E> {
        let is_true = match value.to_ascii_uppercase().as_str() {
            "TRUE" | "T" | "YES" | "Y" | "1" => true,
            "FALSE" | "F" | "NO" | "N" | "0" => false,
            _ => return Err(E::custom("Unexpected token received from parser")),
        };
        Ok(Flag { is_true, is_text: true })
    }
}

const NOT_NULL: &str = "One or more parameter values were invalid: Null attribute value types must \
                        have the value of true";
/// Lists and maps in each other: what is in the innermost is a level of its own.
const CONTAINERS_MAX: usize = NESTING_DEPTH_MAX - 1;

/// The name of a type; `Unknown` members are ignored, as everywhere.
#[derive(Clone, Copy, serde::Deserialize)]
enum Tag {
    S,
    N,
    B,
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "NULL")]
    Null,
    #[serde(rename = "SS")]
    Ss,
    #[serde(rename = "NS")]
    Ns,
    #[serde(rename = "BS")]
    Bs,
    L,
    M,
    #[serde(other)]
    Unknown,
}

struct ListSeed<'s>(ValueSeed<'s>);

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = Vec<AttributeValue>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = Vec<AttributeValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of attribute values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self.0)? {
            list.push(value);
        }
        Ok(list)
    }
}

/// What another seed makes, or `None` for null.
pub(super) struct Nullable<S>(pub(super) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(d).map(Some)
    }
}

/// The DynamoDB JSON of an item or a key.
#[must_use]
pub fn attributes_to_json(attributes: &Attributes) -> Vec<u8> {
    let mut out = Vec::new();
    write_attributes(&mut out, attributes);
    out
}

/// Appends the DynamoDB JSON of an item or a key.
pub fn write_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    let mut object = Object::new(out);
    for (name, value) in attributes {
        write_value(object.member(name), value);
    }
    object.end();
}

/// Writes attributes as they are read, and returns the item's size in bytes.
pub(super) fn write_read(out: &mut Vec<u8>, reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let (mut object, mut bytes) = (Object::new(out), 0);
    reader.each_attribute(|name, value| {
        let out = object.element();
        write_utf8(out, name)?;
        out.push(b':');
        bytes += name.len();
        bytes += match value {
            ValueRef::S(text) => {
                out.extend_from_slice(b"{\"S\":");
                write_utf8(out, text)?;
                out.push(b'}');
                text.len()
            }
            ValueRef::B(binary) => {
                out.extend_from_slice(b"{\"B\":");
                write_binary(out, binary);
                out.push(b'}');
                binary.len()
            }
            ValueRef::Other(value) => {
                write_value(out, &value);
                value_size(&value)
            }
        };
        Ok(())
    })?;
    object.end();
    Ok(bytes)
}

/// As [`write_attributes`], but for the numbers in one attribute, which are written as numbers of
/// 32 bits are: `1.0` rather than `1` (measured on the service by the Parity Suite).
pub(super) fn write_narrow(out: &mut Vec<u8>, attributes: &Attributes, narrow: &str) {
    let mut object = Object::new(out);
    for (name, value) in attributes {
        let out = object.member(name);
        if name == narrow { write_narrow_value(out, value) } else { write_value(out, value) }
    }
    object.end();
}

fn write_narrow_value(out: &mut Vec<u8>, value: &AttributeValue) {
    let mut object = Object::new(out);
    let out = object.member(value.type_name());
    match value {
        AttributeValue::N(number) => match to_f32(*number) {
            Some(number) => write_text(out, &narrow_text(number)),
            None => write_text(out, &number.to_string()),
        },
        AttributeValue::L(list) => write_list(out, list, write_narrow_value),
        _ => write_text(out, ""),
    }
    object.end();
}

/// The shortest digits that name it, with a point.
fn narrow_text(number: f32) -> String {
    let mut text = Vec::new();
    super::json::write_value(&mut text, &number);
    String::from_utf8(text).unwrap_or_default()
}

fn write_value(out: &mut Vec<u8>, value: &AttributeValue) {
    let mut object = Object::new(out);
    let out = object.member(value.type_name());
    match value {
        AttributeValue::S(text) => write_text(out, text),
        AttributeValue::N(number) => write_text(out, &number.to_string()),
        AttributeValue::B(bytes) => write_binary(out, bytes),
        AttributeValue::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        AttributeValue::Null => out.extend_from_slice(b"true"),
        AttributeValue::Ss(set) => write_list(out, set, |out, text| write_text(out, text)),
        AttributeValue::Ns(set) => {
            write_list(out, set, |out, number| write_text(out, &number.to_string()));
        }
        AttributeValue::Bs(set) => write_list(out, set, |out, bytes| write_binary(out, bytes)),
        AttributeValue::L(list) => write_list(out, list, write_value),
        AttributeValue::M(map) => write_attributes(out, map),
    }
    object.end();
}

fn write_list<'a, T: 'a>(
    out: &mut Vec<u8>,
    values: impl IntoIterator<Item = &'a T>,
    write: impl Fn(&mut Vec<u8>, &T),
) {
    let mut array = Array::new(out);
    for value in values {
        write(array.element(), value);
    }
    array.end();
}

fn write_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}
