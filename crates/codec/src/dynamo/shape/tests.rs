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

/// What is said of a body that its decoder took, or refused in these words.
fn completed_by(operation: &str, body: &str, told: &str) -> String {
    let decoded = match told {
        "" => Ok(()),
        told => Err(ApiError::validation(told)),
    };
    match completed(operation, body.as_bytes(), decoded) {
        Ok(()) => "taken".to_owned(),
        Err(error) => format!("{}: {}", error.kind.name(), error.message),
    }
}

const MUST: &str = "failed to satisfy constraint: Member must";

#[test]
fn constraints_of_the_model_are_told_of_at_any_depth() {
    let pattern = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
    let cases = [
        (
            "UpdateTableReplicaAutoScaling",
            r#"{"TableName":"t","ReplicaUpdates":[{}]}"#,
            format!("Value null at 'replicaUpdates.1.member.regionName' {MUST} not be null"),
        ),
        (
            "UpdateGlobalTableSettings",
            r#"{"GlobalTableName":"tab","ReplicaSettingsUpdate":[]}"#,
            format!(
                "Value '[]' at 'replicaSettingsUpdate' {MUST} have length greater than or equal \
                 to 1"
            ),
        ),
        (
            "RestoreTableToPointInTime",
            r#"{"TargetTableName":"tab","SourceTableName":"a$b"}"#,
            format!("Value 'a$b' at 'sourceTableName' {MUST} {pattern}"),
        ),
        (
            "ImportTable",
            r#"{"S3BucketSource":{"S3Bucket":"bb"},"InputFormat":"CSV","TableCreationParameters":
                {"TableName":"tab","AttributeDefinitions":[],"KeySchema":
                [{"AttributeName":"a","KeyType":"X"}]}}"#,
            format!(
                "Value 'X' at 'tableCreationParameters.keySchema.1.member.keyType' {MUST} satisfy \
                 enum value set: [HASH, RANGE]"
            ),
        ),
        (
            "UpdateContinuousBackups",
            r#"{"TableName":"t","PointInTimeRecoverySpecification":
                {"PointInTimeRecoveryEnabled":true,"RecoveryPeriodInDays":36}}"#,
            format!(
                "Value '36' at 'pointInTimeRecoverySpecification.recoveryPeriodInDays' {MUST} \
                 have value less than or equal to 35"
            ),
        ),
    ];
    for (operation, body, violation) in cases {
        let wanted = format!("ValidationException: 1 validation error detected: {violation}");
        assert_eq!(completed_by(operation, body, ""), wanted, "{operation}");
    }
    let delimiter = "at 'inputFormatOptions.csv.delimiter'";
    let body = r#"{"S3BucketSource":{"S3Bucket":"bb"},"InputFormat":"CSV","InputFormatOptions":
        {"Csv":{"Delimiter":";;"}},"TableCreationParameters":{"TableName":"tab","KeySchema":
        [{"AttributeName":"a","KeyType":"HASH"}],"AttributeDefinitions":[]}}"#;
    let wanted = format!(
        "ValidationException: 2 validation errors detected: Value ';;' {delimiter} {MUST} satisfy \
         regular expression pattern: [,;:|\\t ]; Value ';;' {delimiter} {MUST} have length less \
         than or equal to 1"
    );
    assert_eq!(completed_by("ImportTable", body, ""), wanted);
    let export = r#"{"TableArn":"","S3Bucket":"bb"}"#;
    assert_eq!(completed_by("ExportTableToPointInTime", export, ""), "taken");
    // Operations whose decoders know all of it.
    assert_eq!(completed_by("PutItem", "{}", ""), "taken");
    assert_eq!(completed_by("TagResource", "{}", ""), "taken");
}

#[test]
fn what_a_decoder_told_of_stays_first_and_is_told_once() {
    let body = r#"{"GlobalTableName":"tab","GlobalTableBillingMode":"x",
        "GlobalTableProvisionedWriteCapacityUnits":0}"#;
    let units = format!(
        "Value '0' at 'globalTableProvisionedWriteCapacityUnits' {MUST} have value greater than \
         or equal to 1"
    );
    let mode = format!(
        "Value 'x' at 'globalTableBillingMode' {MUST} satisfy enum value set: [PROVISIONED, \
         PAY_PER_REQUEST]"
    );
    let told = format!("1 validation error detected: {units}");
    assert_eq!(
        completed_by("UpdateGlobalTableSettings", body, &told),
        format!("ValidationException: 2 validation errors detected: {units}; {mode}")
    );
    // Whatever else was refused comes after the model; a table without a name before it.
    assert_eq!(
        completed_by("UpdateGlobalTableSettings", body, "something else"),
        format!("ValidationException: 2 validation errors detected: {mode}; {units}")
    );
    let nameless = "The parameter 'TableName' is required but was not present in the request";
    assert_eq!(
        completed_by("UpdateTimeToLive", "{}", nameless),
        format!("ValidationException: {nameless}")
    );
}

#[test]
fn types_of_members_that_nobody_asks_for_are_judged() {
    let body = r#"{"TableName":"tab","AttributeDefinitions":[],"KeySchema":[],
        "GlobalTableSourceArn":7}"#;
    assert_eq!(
        completed_by("CreateTable", body, ""),
        "SerializationException: NUMBER_VALUE cannot be converted to String"
    );
}
