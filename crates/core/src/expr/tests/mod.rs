//! Expressions against DynamoDB's behaviour, in tables of cases.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec;

use super::Placeholders;
use crate::item::{AttributeValue, Attributes, Number};

mod conditions;
mod garbage;
mod keys;
mod updates;

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(Number::from(value))
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn ss(texts: &[&str]) -> AttributeValue {
    AttributeValue::Ss(texts.iter().map(ToString::to_string).collect())
}

fn l(values: &[AttributeValue]) -> AttributeValue {
    AttributeValue::L(values.to_vec())
}

fn map<const N: usize>(entries: [(&str, AttributeValue); N]) -> Attributes {
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// An item with an attribute of every type.
fn item() -> Attributes {
    map([
        ("id", s("k")),
        ("n5", n(5)),
        ("n7", n(7)),
        ("text", s("hello")),
        ("wide", s("é𝄞")),
        ("bin", AttributeValue::B(vec![1, 2, 3])),
        ("yes", AttributeValue::Bool(true)),
        ("nil", AttributeValue::Null),
        ("tags", ss(&["a", "b"])),
        ("nums", AttributeValue::Ns(BTreeSet::from([Number::from(1), Number::from(2)]))),
        ("bins", AttributeValue::Bs(BTreeSet::from([vec![1], vec![2]]))),
        ("arr", l(&[n(1), s("x"), AttributeValue::M(map([("deep", n(9))]))])),
        (
            "doc",
            AttributeValue::M(map([("a", n(1)), ("b", AttributeValue::M(map([("c", n(2))])))])),
        ),
    ])
}

/// `#t`, `#dot` and a value of every type.
fn placeholders() -> Placeholders {
    let names = [("#t", "text"), ("#dot", "a.b"), ("#id", "id")];
    let names: BTreeMap<String, String> =
        names.map(|(key, name)| (key.to_string(), name.to_string())).into();
    let values = map([
        (":n1", n(1)),
        (":n5", n(5)),
        (":n9", n(9)),
        (":he", s("he")),
        (":a", s("a")),
        (":z", s("z")),
        (":hello", s("hello")),
        (":b", AttributeValue::B(vec![1, 2])),
        (":bool", AttributeValue::Bool(true)),
        (":null", AttributeValue::Null),
        (":list", l(&[n(8)])),
        (":map", AttributeValue::M(map([("k", n(1))]))),
        (":ss", ss(&["b", "c"])),
        (":ab", ss(&["a", "b"])),
        (":tS", s("S")),
        (":tN", s("N")),
    ]);
    Placeholders::new(Some(names), Some(values)).expect("placeholders of the test's own")
}

#[test]
fn unused_and_malformed_placeholders_are_refused() {
    let one = |key: &str| Some(BTreeMap::from([(key.to_string(), "name".to_string())]));
    let values = |key: &str| Some(map([(key, n(1))]));
    let message = |names, values| match Placeholders::new(names, values) {
        Ok(placeholders) => placeholders.finish().map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let cases = [
        (None, None, Ok(())),
        (
            one("#a"),
            None,
            Err("Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}"),
        ),
        (
            None,
            values(":x"),
            Err("Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}"),
        ),
        (
            one("a"),
            None,
            Err("ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\""),
        ),
        (
            None,
            values(":"),
            Err("ExpressionAttributeValues contains invalid key: Syntax error; key: \":\""),
        ),
        (Some(BTreeMap::new()), None, Err("ExpressionAttributeNames must not be empty")),
        (None, Some(Attributes::new()), Err("ExpressionAttributeValues must not be empty")),
    ];
    for (names, values, expected) in cases {
        assert_eq!(message(names, values), expected.map_err(ToString::to_string));
    }
}
