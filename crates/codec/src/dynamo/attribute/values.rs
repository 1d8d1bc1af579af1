//! Numbers, sets and binaries out of their texts, and what is wrong with them.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use pangea_core::item::{AttributeValue, ItemError, Number, NumberError};
use serde_json::Value;

use super::Tag;
use crate::dynamo::error::ApiError;

/// Which of the things that are wrong with a value of several members is told of: the least.
pub(super) fn rank(error: &ApiError) -> usize {
    let kinds = ["not be empty", "numeric value", "Number ", "significant digits", "value of true"];
    let message = &error.message;
    kinds.iter().position(|kind| message.contains(kind)).unwrap_or(kinds.len())
}

/// In whose words values are refused: the service moves its operations from one layer of checks to
/// another, and which one an operation has reached decides (measured on the service by the Parity
/// Suite in October 2026).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dynamo) enum Layer {
    /// Of operations on one item, `BatchGetItem`, `Query` and `Scan`.
    #[default]
    Current,
    /// Of `BatchWriteItem`, of transactions and of PartiQL's parameters. Numbers are read as Java's
    /// `BigDecimal` reads them: exponents are 32 bits wide.
    Older,
}

const INVALID: &str = "One or more parameter values were invalid: Input collection";

pub(in crate::dynamo) fn number(text: &str, layer: Layer) -> Result<Number, ApiError> {
    let parsed = match layer {
        Layer::Current => Number::parse(text),
        Layer::Older => Number::parse_narrow(text),
    };
    parsed.map_err(|error| {
        let message = error.client_message();
        ApiError::validation(match error {
            NumberError::Malformed if layer == Layer::Current || !text.is_empty() => {
                format!("{message}: {text}")
            }
            _ => message.to_owned(),
        })
    })
}

pub(in crate::dynamo) fn binary(text: &str) -> Result<Vec<u8>, ApiError> {
    BASE64
        .decode(text.as_bytes())
        .map_err(|_| ApiError::serialization("The value of a binary attribute is not Base64"))
}

/// The refusal of a set that has null as a member.
pub(super) fn null_in(tag: Tag) -> ApiError {
    let (of, what) = match tag {
        Tag::Ns => ("number", "number"),
        Tag::Bs => ("binary", "binary"),
        _ => ("string", "string"),
    };
    ApiError::validation(format!(
        "One or more parameter values were invalid: An {of} set may not have a null {what} as a \
         member"
    ))
}

pub(super) fn set(tag: Tag, texts: Vec<String>, layer: Layer) -> Result<AttributeValue, ApiError> {
    match tag {
        Tag::Ns => {
            let numbers = texts.iter().map(|text| number(text, layer));
            let set = numbers.collect::<Result<BTreeSet<_>, _>>()?;
            match texts.len() {
                0 => Err(ItemError::EmptyNumberSet.into()),
                count if set.len() < count => Err(ApiError::validation(match layer {
                    Layer::Current => format!("{INVALID} contains duplicates."),
                    Layer::Older => "Input collection contains duplicates".to_owned(),
                })),
                _ => Ok(AttributeValue::Ns(set)),
            }
        }
        Tag::Bs => {
            let binaries = texts.iter().map(|text| binary(text)).collect::<Result<Vec<_>, _>>()?;
            let set: BTreeSet<_> = binaries.iter().cloned().collect();
            match texts.len() {
                0 => Err(ItemError::EmptyBinarySet.into()),
                count if set.len() < count => {
                    let encoded = |binary: &Vec<u8>| BASE64.encode(binary);
                    let shown = match layer {
                        Layer::Current => quoted(&binaries, ",", encoded),
                        Layer::Older => texts.join(", "),
                    };
                    Err(ApiError::validation(format!(
                        "{INVALID} [{shown}]of type BS contains duplicates."
                    )))
                }
                _ => Ok(AttributeValue::Bs(set)),
            }
        }
        _ => {
            let set: BTreeSet<String> = texts.iter().cloned().collect();
            match texts.len() {
                0 => Err(ItemError::EmptyStringSet.into()),
                count if set.len() < count => {
                    let shown = match layer {
                        Layer::Current => quoted(&texts, ", ", String::clone),
                        Layer::Older => texts.join(", "),
                    };
                    Err(ApiError::validation(format!("{INVALID} [{shown}] contains duplicates.")))
                }
                _ => Ok(AttributeValue::Ss(set)),
            }
        }
    }
}

/// Members of a set as the current layer shows them: up to the first that is there twice in their
/// order, then it and the rest as they came, each as JSON.
fn quoted<T: Ord>(members: &[T], between: &str, shown: impl Fn(&T) -> String) -> String {
    let mut seen = BTreeSet::new();
    let first = members.iter().position(|member| !seen.insert(member));
    let rest = first.map_or(&[][..], |first| &members[first..]);
    let all = seen.into_iter().take(first.unwrap_or(members.len())).chain(rest);
    let all: Vec<String> = all.map(|member| Value::from(shown(member)).to_string()).collect();
    all.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T>(result: Result<T, ApiError>) -> String {
        result.err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn a_repeated_member_is_shown_behind_those_before_it_in_order() {
        let shown = |tag, texts: &[&str], layer| {
            message(set(tag, texts.iter().map(|&it| it.to_owned()).collect(), layer))
        };
        let twice = ["b", "a", "b", "0"];
        assert_eq!(
            shown(Tag::Ss, &twice, Layer::Current),
            format!("{INVALID} [\"a\", \"b\", \"b\", \"0\"] contains duplicates.")
        );
        assert_eq!(
            shown(Tag::Ss, &twice, Layer::Older),
            format!("{INVALID} [b, a, b, 0] contains duplicates.")
        );
        let twice = ["/w==", "AA==", "AA=="];
        assert_eq!(
            shown(Tag::Bs, &twice, Layer::Current),
            format!("{INVALID} [\"AA==\",\"/w==\",\"AA==\"]of type BS contains duplicates.")
        );
        assert_eq!(
            shown(Tag::Ns, &["2", "1", "2.0"], Layer::Current),
            format!("{INVALID} contains duplicates.")
        );
        assert_eq!(
            shown(Tag::Ns, &["2", "1", "2"], Layer::Older),
            "Input collection contains duplicates"
        );
    }

    #[test]
    fn numbers_are_refused_in_the_words_of_the_layer() {
        let current = |text| message(number(text, Layer::Current));
        let older = |text| message(number(text, Layer::Older));
        let overflow = NumberError::Overflow.client_message();
        let underflow = NumberError::Underflow.client_message();
        for text in ["1e2147483647", "1e2147483648", "1e99999999999", "-1e99999999999"] {
            assert_eq!(current(text), overflow, "{text}");
        }
        assert_eq!(current("1e-99999999999"), underflow);
        assert_eq!(older("1e2147483647"), underflow);
        let malformed = NumberError::Malformed.client_message();
        assert_eq!(current(""), format!("{malformed}: "));
        assert_eq!(older(""), malformed);
        for text in ["abc", " 1", "1 ", "1e", "NaN", "Infinity", "0x10"] {
            assert_eq!(current(text), format!("{malformed}: {text}"));
        }
    }
}
