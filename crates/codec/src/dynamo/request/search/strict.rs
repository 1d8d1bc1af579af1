//! The first reading of the body: types, nulls and members, as strict as the service's.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::error::Category;

use crate::dynamo::ApiError;

/// The members of a value that the service's deserializer knows, in the order of its list.
const TYPES: [&str; 16] = [
    "B",
    "BOOL",
    "BS",
    "DECIMAL",
    "DECIMALSET",
    "DOUBLE",
    "DOUBLESET",
    "INT",
    "INTSET",
    "L",
    "M",
    "N",
    "NS",
    "NULL",
    "S",
    "SS",
];
/// Stands for an error that has no message.
const NOTHING: &str = "\u{0}";

/// The body; required members in the order in which the service misses them.
#[derive(Deserialize)]
pub(super) struct Raw {
    #[serde(rename = "IndexName")]
    pub(super) index: String,
    #[serde(rename = "SearchVector")]
    pub(super) vector: Vec<Value>,
    #[serde(rename = "TableName")]
    pub(super) table: String,
    #[serde(rename = "TopK")]
    pub(super) count: i32,
    #[serde(rename = "ReturnConsumedCapacity", default)]
    pub(super) capacity: Option<String>,
    #[serde(rename = "ExpressionAttributeValues", default, deserialize_with = "values")]
    pub(super) values: Option<Vec<Value>>,
    #[serde(rename = "ExpressionAttributeNames", default)]
    _names: Option<std::collections::BTreeMap<String, String>>,
    #[serde(rename = "SearchConditionExpression", default)]
    _condition: Option<String>,
    #[serde(rename = "ProjectionExpression", default)]
    _projection: Option<String>,
}

/// What of an attribute value matters here.
pub(super) enum Value {
    /// The text of a number.
    Number(String),
    /// Of a type that the service keeps for itself.
    Internal,
    /// Of any other.
    Other,
}

impl Value {
    /// As a number of 32 bits, if it is one.
    pub(super) fn number(&self) -> Option<f32> {
        let Self::Number(text) = self else { return None };
        text.parse().ok().filter(|number: &f32| number.is_finite())
    }

    pub(super) const fn is_internal(&self) -> bool {
        matches!(self, Self::Internal)
    }
}

/// Reads a body that is a JSON object.
pub(super) fn read(body: &[u8]) -> Result<Raw, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        match error.classify() {
            Category::Data if text.starts_with(NOTHING) => ApiError::serialization(""),
            Category::Data if text.starts_with("invalid type: ") => ApiError::serialization(text),
            Category::Data => ApiError::validation(text),
            _ => ApiError::serialization(""),
        }
    })
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Value>>, D::Error> {
    let values = Option::<std::collections::BTreeMap<String, Value>>::deserialize(deserializer)?;
    Ok(values.map(|values| values.into_values().collect()))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

/// A text that is Base64, in the words of the service.
struct Base64;

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a Base64-encoded string")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Base64, E> {
                Ok(Base64)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// An attribute value: exactly one member, which is known.
struct Shape;

fn shapeless<T, E: de::Error>() -> Result<T, E> {
    Err(E::custom(NOTHING))
}

impl<'de> Visitor<'de> for Shape {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some(member) = map.next_key::<String>()? else { return shapeless() };
        let value = match member.as_str() {
            "N" => Value::Number(map.next_value()?),
            "S" => other(map.next_value::<String>()?),
            "B" => other(map.next_value::<Base64>()?),
            "BOOL" | "NULL" => other(map.next_value::<bool>()?),
            "SS" | "NS" => other(map.next_value::<Vec<String>>()?),
            "BS" => other(map.next_value::<Vec<Base64>>()?),
            "L" => other(map.next_value::<Vec<Value>>()?),
            "M" => other(map.next_value::<std::collections::BTreeMap<String, Value>>()?),
            "INT" | "DECIMAL" | "DOUBLE" => {
                map.next_value::<String>()?;
                Value::Internal
            }
            "INTSET" | "DECIMALSET" | "DOUBLESET" => {
                map.next_value::<Vec<String>>()?;
                Value::Internal
            }
            _ => return Err(de::Error::unknown_variant(&member, &TYPES)),
        };
        match map.next_key::<IgnoredAny>()? {
            Some(_) => shapeless(),
            None => Ok(value),
        }
    }

    /// The name of a member without its value.
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Value, E> {
        match TYPES.contains(&name) {
            true => Err(E::invalid_type(Unexpected::UnitVariant, &"newtype variant")),
            false => Err(E::unknown_variant(name, &TYPES)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        shapeless()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Value, E> {
        shapeless()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Value, E> {
        shapeless()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Value, E> {
        shapeless()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
        shapeless()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        shapeless()
    }
}

/// A value that was read and does not matter.
fn other<T>(_: T) -> Value {
    Value::Other
}
