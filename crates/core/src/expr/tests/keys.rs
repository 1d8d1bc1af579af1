use alloc::string::ToString;
use alloc::vec;
use core::ops::{Bound, RangeBounds as _};

use super::{map, n, s};
use crate::expr::{KeyCondition, KeyRange, Placeholders, SortRange};
use crate::item::{AttributeValue, KeyValue, Number};
use crate::table::{KeyAttribute, KeyKind, Schema};

fn placeholders() -> Placeholders {
    let values = map([
        (":p", s("k")),
        (":e", s("")),
        (":n1", n(1)),
        (":n9", n(9)),
        (":b", AttributeValue::Bool(true)),
        (":long", s(&"x".repeat(2049))),
    ]);
    Placeholders::new(None, Some(values)).expect("placeholders of the test's own")
}

fn schema(sort: KeyKind) -> Schema {
    Schema {
        partition: KeyAttribute { name: "id".into(), kind: KeyKind::S },
        sort: Some(KeyAttribute { name: "at".to_string() + "x", kind: sort }),
    }
}

fn resolve(text: &str) -> Result<KeyRange, alloc::string::String> {
    let condition =
        KeyCondition::parse(text, &mut placeholders()).map_err(|error| error.to_string())?;
    condition.resolve(&schema(KeyKind::N)).map_err(|error| error.to_string())
}

#[test]
fn key_conditions_become_ranges() {
    let k = |value: i64| KeyValue::N(Number::from(value));
    let cases = [
        ("id = :p", SortRange::All),
        (":p = id AND atx < :n9", SortRange::Lt(k(9))),
        ("atx >= :n1 AND id = :p", SortRange::Ge(k(1))),
        ("id = :p AND :n1 < atx", SortRange::Gt(k(1))),
        ("(id = :p) AND (atx BETWEEN :n1 AND :n9)", SortRange::Between(k(1), k(9))),
    ];
    for (text, sort) in cases {
        let partition = KeyValue::S("k".into());
        assert_eq!(resolve(text), Ok(KeyRange { partition, sort }), "{text}");
    }
}

#[test]
fn wrong_key_conditions_are_refused() {
    let invalid = "Invalid KeyConditionExpression: ";
    let kind = "One or more parameter values were invalid: Condition parameter type does not \
        match schema type";
    for (text, message) in [
        (
            "id = :p OR atx = :n1",
            "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: OR",
        ),
        (
            "id <> :p",
            "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: <>",
        ),
        (
            "id = :p AND id = :p",
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one \
                condition per key",
        ),
        (
            "id.x = :p",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on \
                nested attributes",
        ),
        ("atx = :n1", "Query condition missed key schema element: id"),
        ("id = :p AND elsewhere = :n1", "Query condition missed key schema element: atx"),
        (
            "id = :p AND elsewhere = :n1 AND atx = :n1",
            "The number of query conditions (3) exceeds the number of key attributes defined in \
                the schema (2)",
        ),
        ("id < :p", "Query key condition not supported"),
        ("id = :n1", kind),
        ("id = :b", kind),
        ("id = :p AND begins_with(atx, :p)", kind),
        (
            "id = :e",
            "One or more parameter values are not valid. The AttributeValue for a key attribute \
                cannot contain an empty string value. Key: id",
        ),
        (
            "id = :long",
            "One or more parameter values were invalid: Size of hashkey has exceeded \
            the maximum size limit of2048 bytes",
        ),
    ] {
        assert_eq!(resolve(text), Err(message.to_string()), "{text}, {invalid}");
    }
}

#[test]
fn no_key_is_compared_with_what_no_key_can_be() {
    let resolve = |text: &str| {
        let condition = KeyCondition::parse(text, &mut placeholders()).expect("a condition");
        condition.resolve(&schema(KeyKind::S)).map(|_| ()).map_err(|error| error.to_string())
    };
    let empty = "One or more parameter values are not valid. The AttributeValue for a key \
        attribute cannot contain an empty string value. Key: atx";
    let long = "One or more parameter values were invalid: Aggregated size of all range keys has \
        exceeded the size limit of 1024 bytes";
    for (value, message) in [(":e", empty), (":long", long)] {
        for sort in ["atx = ", "atx > ", "atx <= ", "atx BETWEEN :p AND ", "begins_with(atx, "] {
            let end = if sort.contains('(') { ")" } else { "" };
            let text = alloc::format!("id = :p AND {sort}{value}{end}");
            // No bound may be below the other.
            let text = text.replace(":p AND :e", ":e AND :p");
            assert_eq!(resolve(&text), Err(message.to_string()), "{text}");
        }
    }
}

/// A range's bounds must admit every key it matches, and for all but prefixes of numbers no other.
#[test]
fn bounds_agree_with_matches() {
    let b = |bytes: &[u8]| KeyValue::B(bytes.to_vec());
    let t = |text: &str| KeyValue::S(text.into());
    let texts = ["", "a", "ab", "ab\u{10ffff}", "ac", "b", "\u{d7ff}x", "\u{e000}", "\u{10ffff}"];
    let binaries: [&[u8]; 6] = [&[], &[1], &[1, 255], &[1, 255, 3], &[2], &[255, 255]];
    let strings: vec::Vec<KeyValue> = texts.iter().map(|text| t(text)).collect();
    let bytes: vec::Vec<KeyValue> = binaries.iter().map(|bytes| b(bytes)).collect();
    for keys in [strings, bytes] {
        for one in &keys {
            for make in [
                SortRange::Eq,
                SortRange::Lt,
                SortRange::Le,
                SortRange::Gt,
                SortRange::Ge,
                SortRange::BeginsWith,
            ] {
                let range = make(one.clone());
                let bounds: (Bound<KeyValue>, Bound<KeyValue>) = (range.lower(), range.upper());
                for key in &keys {
                    assert_eq!(bounds.contains(key), range.matches(key), "{range:?} {key:?}");
                }
            }
        }
    }
}
