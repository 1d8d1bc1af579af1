//! Whether the values of a body have the JSON types that their shapes want.
//!
//! The words are the real service's, as dynalite's tests have recorded them.

use std::cell::RefCell;
use std::fmt;

use data_encoding::BASE64;
use serde::Deserialize as _;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Composite, Shape, Shapes};
use crate::dynamo::ApiError;
use crate::dynamo::error::ErrorKind;

/// What the service's own deserializer falls over where one parameterised type is inside another.
const CAST: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be \
                    cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.\
                    ParameterizedTypeImpl and java.lang.Class are in module java.base of loader \
                    'bootstrap')";
const STRUCTURE: &str = "Start of structure or map found where not expected";

/// The error for a body that was refused with `error`: wrong syntax and wrong types go before
/// whatever else is wrong with it.
#[must_use]
pub fn judge(operation: &str, body: &[u8], error: ApiError) -> ApiError {
    if !is_json(body) {
        return ApiError::serialization("");
    }
    let shapes = Shapes::get();
    let Some(shape) = shapes.request(operation) else { return error };
    let found = RefCell::new(None);
    let seed = Check { shapes, shape, place: Place::Field, found: &found };
    // Fails where something is found, and where values are nested deeper than anything known.
    let read = seed.deserialize(&mut serde_json::Deserializer::from_slice(body));
    match (found.into_inner(), read) {
        (Some(message), _) => ApiError::serialization(message),
        (None, Err(_)) if error.kind == ErrorKind::Serialization => ApiError::serialization(""),
        (None, _) => error,
    }
}

/// Whether `body` is one JSON value, and an object.
#[must_use]
pub fn is_json(body: &[u8]) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = IgnoredAny::deserialize(&mut deserializer).and_then(|_| deserializer.end());
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    read.is_ok() && first == Some(&b'{') && std::str::from_utf8(body).is_ok()
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A member of a structure.
    Field,
    /// An element of a list, or a value of a map.
    Value,
    /// A type of an attribute value.
    Type,
}

#[derive(Clone, Copy)]
struct Check<'s> {
    shapes: &'static Shapes,
    shape: Shape,
    place: Place,
    /// What is wrong.
    found: &'s RefCell<Option<String>>,
}

impl<'s> Check<'s> {
    fn wrong<E: de::Error>(self, message: impl Into<String>) -> Result<(), E> {
        self.found.borrow_mut().get_or_insert_with(|| message.into());
        Err(E::custom("a wrong type"))
    }

    /// A value that is neither a list nor an object, where one of them is wanted.
    fn scalar<E: de::Error>(self) -> Result<(), E> {
        let structure = matches!(self.shapes.composite(self.shape), Some(Composite::Structure(_)));
        self.wrong(match (self.place, structure) {
            (Place::Field | Place::Type, _) => "Unexpected field type",
            (Place::Value, true) => "Unexpected value type in payload",
            (Place::Value, false) => CAST,
        })
    }

    /// A number or a boolean.
    fn token<E: de::Error>(self, token: &str) -> Result<(), E> {
        match (self.shape, token) {
            (Shape::Named(_), _) => self.scalar(),
            (Shape::Boolean, "TRUE_VALUE" | "FALSE_VALUE") => Ok(()),
            (
                Shape::Integer | Shape::Long | Shape::Double | Shape::Timestamp,
                "NUMBER_VALUE" | "DECIMAL_VALUE",
            ) => Ok(()),
            (Shape::Blob, _) => self.wrong("only base-64-encoded strings are convertible to bytes"),
            _ => self.wrong(format!("{token} cannot be converted to {}", self.word())),
        }
    }

    /// The class without its package.
    fn word(self) -> String {
        let class = self.shapes.class(self.shape);
        class.rsplit('.').next().unwrap_or_default().to_owned()
    }

    fn at(self, shape: Shape, place: Place) -> Check<'s> {
        Check { shape, place, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the model")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.token(if value { "TRUE_VALUE" } else { "FALSE_VALUE" })
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.token("NUMBER_VALUE")
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.token("NUMBER_VALUE")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.token("DECIMAL_VALUE")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        match self.shape {
            Shape::Text => Ok(()),
            Shape::Named(_) => self.scalar(),
            Shape::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "1" | "false" | "f" | "no" | "n" | "0" => Ok(()),
                _ => self.wrong("Unexpected token received from parser"),
            },
            Shape::Blob if !text.len().is_multiple_of(4) => self.wrong(format!(
                "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
                text.len()
            )),
            Shape::Blob => match BASE64.decode(text.as_bytes()) {
                Ok(_) => Ok(()),
                // The service's own spelling.
                Err(_) => self.wrong("Invalid last non-pad Base64 character dectected"),
            },
            _ => self.wrong(format!("STRING_VALUE cannot be converted to {}", self.word())),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match self.shapes.composite(self.shape) {
            Some(Composite::List(of)) => {
                let element = self.at(*of, Place::Value);
                while seq.next_element_seed(element)?.is_some() {}
                Ok(())
            }
            Some(Composite::Map(_)) => {
                let class = self.shapes.class(self.shape);
                self.wrong(format!("Unrecognized collection type {class}"))
            }
            // Of these there is no word (measured on the service by the authors of dynoxide).
            _ if self.place == Place::Type && self.shape == Shape::Boolean => self.wrong(""),
            _ => {
                let class = self.shapes.class(self.shape);
                self.wrong(format!("Unrecognized collection type class {class}"))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if !matches!(
            self.shapes.composite(self.shape),
            Some(Composite::Structure(_) | Composite::Map(_))
        ) {
            return self.wrong(STRUCTURE);
        }
        let structure = matches!(self.shapes.composite(self.shape), Some(Composite::Structure(_)));
        let place = match self.shape {
            Shape::Named("AttributeValue") => Place::Type,
            _ if structure => Place::Field,
            _ => Place::Value,
        };
        while let Some(name) = map.next_key::<String>()? {
            match self.shapes.member(self.shape, &name) {
                Some(shape) => map.next_value_seed(self.at(shape, place))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
