//! Wrong types in the service's words.

use super::*;
use crate::dynamo::{ApiError, ErrorKind};

fn said(operation: &str, body: &str) -> String {
    let error = judge(operation, body.as_bytes(), ApiError::validation("another"));
    match error.kind {
        ErrorKind::Serialization => error.message,
        _ => format!("not judged: {}", error.message),
    }
}

#[test]
fn every_name_leads_somewhere() {
    let shapes = Shapes::get();
    assert!(shapes.operations.len() > 60);
    let named = |shape: &Shape| {
        if let Shape::Named(name) = shape {
            assert!(shapes.composites.contains_key(name), "{name}");
        }
    };
    shapes.operations.values().flatten().flatten().for_each(named);
    for composite in shapes.composites.values() {
        match composite {
            Composite::Structure(members) => members.values().for_each(named),
            Composite::List(of) | Composite::Map(of) => named(of),
        }
    }
}

#[test]
fn scalars_of_a_wrong_type_are_named() {
    let cases = [
        ("GetItem", r#"{"TableName":23}"#, "NUMBER_VALUE cannot be converted to String"),
        ("GetItem", r#"{"TableName":34.56}"#, "DECIMAL_VALUE cannot be converted to String"),
        ("GetItem", r#"{"TableName":true}"#, "TRUE_VALUE cannot be converted to String"),
        ("GetItem", r#"{"TableName":[]}"#, "Unrecognized collection type class java.lang.String"),
        ("GetItem", r#"{"TableName":{}}"#, STRUCTURE),
        ("GetItem", r#"{"ConsistentRead":"23"}"#, "Unexpected token received from parser"),
        ("GetItem", r#"{"ConsistentRead":23}"#, "NUMBER_VALUE cannot be converted to Boolean"),
        ("Scan", r#"{"Limit":"23"}"#, "STRING_VALUE cannot be converted to Integer"),
        ("Scan", r#"{"Limit":false}"#, "FALSE_VALUE cannot be converted to Integer"),
        (
            "CreateTable",
            r#"{"ProvisionedThroughput":{"ReadCapacityUnits":"1"}}"#,
            "STRING_VALUE cannot be converted to Long",
        ),
    ];
    for (operation, body, message) in cases {
        assert_eq!(said(operation, body), message, "{body}");
    }
}

const STRUCTURE: &str = "Start of structure or map found where not expected";

#[test]
fn collections_of_a_wrong_type_are_named() {
    let value = "com.amazonaws.dynamodb.v20120810.AttributeValue";
    let cases = [
        ("GetItem", r#"{"Key":"x"}"#, "Unexpected field type".to_owned()),
        (
            "GetItem",
            r#"{"Key":[]}"#,
            format!("Unrecognized collection type java.util.Map<java.lang.String, {value}>"),
        ),
        ("GetItem", r#"{"Key":{"a":1}}"#, "Unexpected value type in payload".to_owned()),
        ("GetItem", r#"{"Key":{"a":[]}}"#, format!("Unrecognized collection type class {value}")),
        ("GetItem", r#"{"AttributesToGet":{}}"#, STRUCTURE.to_owned()),
        ("CreateTable", r#"{"KeySchema":7}"#, "Unexpected field type".to_owned()),
        (
            "BatchWriteItem",
            r#"{"RequestItems":[]}"#,
            "Unrecognized collection type java.util.Map<java.lang.String, java.util.List<\
             com.amazonaws.dynamodb.v20120810.WriteRequest>>"
                .to_owned(),
        ),
    ];
    for (operation, body, message) in cases {
        assert_eq!(said(operation, body), message, "{body}");
    }
    let cast = said("BatchWriteItem", r#"{"RequestItems":{"t":"x"}}"#);
    assert!(cast.starts_with("class sun.reflect."), "{cast}");
    let cast = said("BatchGetItem", r#"{"RequestItems":{"t":{"Keys":[true]}}}"#);
    assert!(cast.starts_with("class sun.reflect."), "{cast}");
}

#[test]
fn binary_values_are_checked_as_base64() {
    let put = |text: &str| said("PutItem", &format!(r#"{{"Item":{{"a":{{"B":{text}}}}}}}"#));
    assert_eq!(put("23"), "only base-64-encoded strings are convertible to bytes");
    let short = "Base64 encoded length is expected a multiple of 4 bytes but found: 5";
    assert_eq!(put(r#""23456""#), short);
    assert_eq!(put(r#""=+/=""#), "Invalid last non-pad Base64 character dectected");
    assert_eq!(put("[]"), "Unrecognized collection type class java.nio.ByteBuffer");
    assert_eq!(put(r#""YWJj""#), "not judged: another");
}

#[test]
fn what_is_no_json_has_no_message() {
    for body in ["", "hi", "{", "[]", "null", "7", r#"{"a":1}}"#, r#"{"TableName":}"#] {
        assert_eq!(said("GetItem", body), "", "{body}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(said("GetItem", &deep), "not judged: another");
}

#[test]
fn what_is_well_typed_keeps_its_error() {
    for body in ["{}", r#"{"TableName":null,"Nobody":[{}]}"#, r#"{"ConsistentRead":"yes"}"#] {
        assert_eq!(said("GetItem", body), "not judged: another", "{body}");
    }
    assert_eq!(said("Nobody", r#"{"TableName":7}"#), "not judged: another");
}
