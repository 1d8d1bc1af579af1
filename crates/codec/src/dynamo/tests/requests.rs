use pangea_core::expr::SortRange;
use pangea_core::item::{KeyValue, Number, PrimaryKey};
use pangea_core::table::{Action, KeyAttribute, KeyKind, ReturnValues, Schema, apply};

use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::request::{BatchWrite, Operation, Request, Segment, Select, decode};
use crate::dynamo::{ApiError, ErrorKind};

fn schema() -> Schema {
    Schema {
        partition: KeyAttribute { name: "id".into(), kind: KeyKind::S },
        sort: Some(KeyAttribute { name: "seq".into(), kind: KeyKind::N }),
    }
}

fn key(seq: i64) -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S("k".into()), sort: Some(KeyValue::N(Number::from(seq))) }
}

fn request(operation: Operation, body: &str) -> Result<Request, ApiError> {
    decode(operation, body.as_bytes())
}

/// The message of the refusal.
pub(super) fn refusal(operation: Operation, body: &str) -> String {
    match request(operation, body) {
        Ok(request) => format!("{request:?}"),
        Err(error) => error.message,
    }
}

#[test]
fn an_arn_that_is_no_tables_stands_for_none() {
    let one = "1 validation error detected: ";
    let form = "Valid ARN format is \
                'arn:<awsPartition>:<vendor>:<region>:<subscriber>:resourceType/resourceName', \
                where Resource name must have length less than or equal to 255, Resource name must \
                have length greater than or equal to 3, Resource name must satisfy regular \
                expression pattern: [a-zA-Z0-9_.-]+";
    let form = |arn: &str| {
        format!("{one}Value '{arn}' at 'tableName' failed to satisfy constraint: {form}")
    };
    let quoted = |what: &str, arn: &str| format!("{one}{what} in '{arn}'");
    let start = "arn:aws:dynamodb:us-east-1:000000000000";
    let wrong = |name: String| (name.clone(), form(&name));
    let mut cases: Vec<(String, String)> = [
        "arn:aws".into(),
        format!("{start}:tablemusic"),
        format!("{start}:table/ab"),
        format!("{start}:table/music/index/by-seq"),
        format!("{start}:table/{}", "a".repeat(256)),
    ]
    .map(wrong)
    .into();
    let other = "arn:aws-cn:dynamodb:us-east-1:000000000000:table/music";
    cases.push((other.to_owned(), quoted("Invalid AWS partition", other)));
    let other = format!("{start}:tabel/music");
    cases.push((other.clone(), quoted("Invalid resource type", &other)));
    for (arn, message) in cases {
        for (operation, more) in [
            ("GetItem", r#","Key":{"id":{"S":"k"}}"#),
            ("PutItem", r#","Item":{"id":{"S":"k"}}"#),
            ("UpdateItem", r#","Key":{"id":{"S":"k"}}"#),
            ("Query", r#","KeyConditionExpression":"a = a""#),
            ("DescribeTable", ""),
            ("DescribeTimeToLive", ""),
            ("DescribeContinuousBackups", ""),
            ("DescribeContributorInsights", ""),
        ] {
            let body = format!(r#"{{"TableName":"{arn}"{more}}}"#);
            let target = format!("DynamoDB_20120810.{operation}");
            let operation = Operation::from_target(&target).expect("an operation");
            assert_eq!(refusal(operation, &body), message, "{operation:?}");
        }
    }
}

/// The model has no values there, and DynamoDB looks at nothing that it does not have.
#[test]
fn a_get_does_not_look_at_values() {
    let body = r#"{"TableName":"tab","Key":{"id":{"S":"k"}},
        "ExpressionAttributeValues":{":unused":{"S":"x"}}}"#;
    assert!(matches!(request(Operation::GetItem, body), Ok(Request::GetItem(_))));
}

#[test]
fn operations_are_found_by_target() {
    for operation in Operation::ALL {
        let targets = ["DynamoDB", "DynamoDBStreams"];
        let targets = targets.map(|api| format!("{api}_20120810.{}", operation.name()));
        let found = targets.map(|target| Operation::from_target(&target).ok());
        assert!(found.contains(&Some(operation)) && found.contains(&None), "{found:?}");
    }
    for target in ["", "PutItem", "DynamoDB_20111205.PutItem", "DynamoDB_20120810.Nope"] {
        let error = Operation::from_target(target).map_err(|error| error.kind);
        assert_eq!(error, Err(ErrorKind::UnknownOperation), "{target}");
    }
}

#[test]
fn put_item_becomes_a_write() {
    let body = r##"{"TableName":"arn:aws:dynamodb:eu:0:table/music",
        "Item":{"id":{"S":"k"},"seq":{"N":"1"},"x":{"N":"2"}},
        "ConditionExpression":"#x < :v","ExpressionAttributeNames":{"#x":"x"},
            "ExpressionAttributeValues":{":v":{"N":"1"}},
        "ReturnValues":"ALL_OLD","ReturnValuesOnConditionCheckFailure":"ALL_OLD",
            "ReturnConsumedCapacity":"TOTAL","Unknown":[{}]}"##;
    let Ok(Request::PutItem(put)) = request(Operation::PutItem, body) else { panic!("refused") };
    assert_eq!((put.table.as_str(), put.capacity), ("music", ReturnCapacity::Total));
    let item = put.item.clone();
    let op = put.into_op(&schema()).expect("a right key");
    assert!(op.key == key(1) && op.had_condition() && op.return_on_condition_failure);
    assert_eq!(op.return_values, ReturnValues::AllOld);
    let error: ApiError =
        apply(&op, &schema(), Some(&item)).err().map(Into::into).expect("a refusal");
    assert_eq!((error.kind, error.item.as_ref()), (ErrorKind::ConditionalCheckFailed, Some(&item)));
    assert_eq!(error.message, "The conditional request failed");
}

#[test]
fn update_get_and_delete_item_are_read() {
    let key_json = r#""TableName":"music","Key":{"id":{"S":"k"},"seq":{"N":"1"}}"#;
    let body = format!(
        r#"{{{key_json},"UpdateExpression":"SET a = :v",
            "ExpressionAttributeValues":{{":v":{{"N":"1"}}}}}}"#
    );
    let Ok(Request::UpdateItem(update)) = request(Operation::UpdateItem, &body) else {
        panic!("refused")
    };
    assert!(update.update.changes("a"));
    assert!(matches!(update.into_op(&schema()).map(|op| op.action), Ok(Action::Update(_))));
    let body = format!(r#"{{{key_json},"ConsistentRead":true,"ProjectionExpression":"a.b[0]"}}"#);
    let Ok(Request::GetItem(get)) = request(Operation::GetItem, &body) else { panic!("refused") };
    assert!(get.consistent && get.projection.is_some());
    assert_eq!(get.primary_key(&schema()), Ok(key(1)));
    let body = format!("{{{key_json}}}");
    let Ok(Request::DeleteItem(delete)) = request(Operation::DeleteItem, &body) else {
        panic!("refused")
    };
    let op = delete.into_op(&schema()).expect("a right key");
    assert_eq!((op.key, op.action), (key(1), Action::Delete));
}

#[test]
fn item_requests_are_refused_in_dynamodb_words() {
    let put = r#""TableName":"music","Item":{}"#;
    let long = format!("#{}", "a".repeat(255));
    for (members, message) in [
        (
            "",
            "2 validation errors detected: Value null at 'tableName' failed to satisfy \
                constraint: Member must not be null; Value null at 'item' failed to satisfy \
                constraint: Member must not be null",
        ),
        (
            r#""TableName":"a b!","Item":{}"#,
            "1 validation error detected: Value 'a b!' at 'tableName' failed to satisfy \
                constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            r#""TableName":"ab","Item":{}"#,
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy \
                constraint: Member must have length greater than or equal to 3",
        ),
        (
            &format!(r#"{put},"ReturnValues":"X""#),
            "1 validation error detected: Failed to satisfy constraint: Member must satisfy enum \
                value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]",
        ),
        (
            &format!(r#"{put},"ReturnValues":"ALL_NEW""#),
            "1 validation error detected: ReturnValues can only be ALL_OLD or NONE",
        ),
        (
            &format!(r#"{put},"ConditionExpression":"""#),
            "1 validation error detected: Invalid ConditionExpression: The expression can not be empty;",
        ),
        (
            &format!(r##"{put},"ExpressionAttributeNames":{{"#a":"a"}}"##),
            "1 validation error detected: ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            &format!(r#"{put},"ExpressionAttributeValues":{{":a":{{"N":"1"}}}}"#),
            "1 validation error detected: ExpressionAttributeValues can only be specified when \
                using expressions",
        ),
        (
            &format!(
                r#"{put},"ConditionExpression":"a = :a",
                    "ExpressionAttributeValues":{{":a":{{"N":"x"}}}}"#
            ),
            "1 validation error detected: The parameter cannot be converted to a numeric value: x",
        ),
        (
            &format!(
                r#"{put},"ConditionExpression":"a = :a",
                    "ExpressionAttributeValues":{{":a":{{"N":"1"}},":x":{{"N":"1"}}}}"#
            ),
            "1 validation error detected: Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}",
        ),
        (
            &format!(
                r#"{put},"ConditionExpression":"a = b","ExpressionAttributeNames":{{"{long}":"a"}}"#
            ),
            "1 validation error detected: ExpressionAttributeNames contains invalid key: The expression attribute map contains \
             a key that is too long; size of key: 256",
        ),
        (r#""TableName":5,"Item":{}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#""TableName":["x"],"Item":{}"#, "Unrecognized collection type class java.lang.String"),
        (r#""TableName":"music","Item":"x""#, "Unexpected field type"),
    ] {
        assert_eq!(refusal(Operation::PutItem, &format!("{{{members}}}")), message, "{members}");
    }
}

#[test]
fn queries_resolve_against_the_schema() {
    let query = |extra: &str| {
        let body = format!(
            r#"{{"TableName":"music","KeyConditionExpression":"id = :p AND seq > :s",
                "ExpressionAttributeValues":{{":p":{{"S":"k"}},":s":{{"N":"3"}}}},"Limit":7,
                "ScanIndexForward":false{extra}}}"#
        );
        match request(Operation::Query, &body) {
            Ok(Request::Query(query)) => {
                assert!(!query.forward && query.limit == Some(7));
                query.resolve(&schema()).map_err(|error| error.message)
            }
            other => panic!("{other:?}"),
        }
    };
    let (range, start) =
        query(r#","ExclusiveStartKey":{"id":{"S":"k"},"seq":{"N":"4"}}"#).expect("a right query");
    assert_eq!(range.partition, KeyValue::S("k".into()));
    assert_eq!(range.sort, SortRange::Gt(KeyValue::N(Number::from(3))));
    assert_eq!(start, Some(key(4)));
    for (extra, message) in [
        (r#","ExclusiveStartKey":{"id":{"S":"k"}}"#, "The provided starting key is invalid"),
        (
            r#","ExclusiveStartKey":{"id":{"S":"z"},"seq":{"N":"4"}}"#,
            "The query can return at most one row and cannot be restarted",
        ),
        (
            r#","ExclusiveStartKey":{"id":{"S":"k"},"seq":{"N":"3"}}"#,
            "The provided starting key does not match the range key predicate",
        ),
        (
            r#","FilterExpression":"seq = :s""#,
            "Filter Expression can only contain non-primary key attributes: Primary key \
                attribute: seq",
        ),
    ] {
        assert_eq!(query(extra), Err(message.to_owned()));
    }
}

#[test]
fn pages_are_refused_in_dynamodb_words() {
    for (members, message) in [
        (
            r#""Limit":0"#,
            "1 validation error detected: Value at 'Limit' failed to satisfy constraint: \
                Member must have value greater than or equal to 1",
        ),
        (r#""Limit":"1""#, "STRING_VALUE cannot be converted to Integer"),
        (
            r#""Select":"SPECIFIC_ATTRIBUTES""#,
            "1 validation error detected: Must specify the AttributesToGet or \
                ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            r#""Select":"COUNT","ProjectionExpression":"a""#,
            "1 validation error detected: Cannot specify the ProjectionExpression when choosing \
                to get only the Count",
        ),
        (
            r#""Segment":1"#,
            "The TotalSegments parameter is required but was not present in the request when \
                Segment parameter is present",
        ),
        (
            r#""Segment":4,"TotalSegments":4"#,
            "The Segment parameter is zero-based and must be less than parameter TotalSegments",
        ),
    ] {
        let body = format!(r#"{{"TableName":"music",{members}}}"#);
        assert_eq!(refusal(Operation::Scan, &body), message, "{members}");
    }
    let message = "Either the KeyConditions or KeyConditionExpression parameter must be \
        specified in the request.";
    assert_eq!(refusal(Operation::Query, r#"{"TableName":"music"}"#), message);
    let body = r#"{"TableName":"music","Segment":1,"TotalSegments":4,"Select":"COUNT"}"#;
    let Ok(Request::Scan(scan)) = request(Operation::Scan, body) else { panic!("refused") };
    assert_eq!((scan.segment, scan.select), (Some(Segment { index: 1, total: 4 }), Select::Count));
}

#[test]
fn batches_are_limited_and_distinct() {
    let put = r#"{"PutRequest":{"Item":{"id":{"S":"k"},"seq":{"N":"1"}}}}"#;
    let delete = r#"{"DeleteRequest":{"Key":{"id":{"S":"k"},"seq":{"N":"1.0"}}}}"#;
    let write = |writes: &[&str]| format!(r#"{{"RequestItems":{{"Key":[{}]}}}}"#, writes.join(","));
    let Ok(Request::BatchWriteItem(batch)) =
        request(Operation::BatchWriteItem, &write(&[put, delete]))
    else {
        panic!("refused")
    };
    let writes = batch.tables["Key"].clone();
    let error = BatchWrite::into_ops(writes.clone(), &schema()).map_err(|error| error.message);
    assert_eq!(error, Err("Provided list of item keys contains duplicates".to_owned()));
    assert!(BatchWrite::into_ops(writes[..1].to_vec(), &schema()).is_ok());
    let many = refusal(Operation::BatchWriteItem, &write(&[put; 26]));
    assert!(many.ends_with(
        "at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: \
         [Member must have length less than or equal to 25, Member must have length greater than \
         or equal to 1]"
    ));
    let put = "[WriteRequest(putRequest=PutRequest(item={id=AttributeValue(s=k, n=null";
    assert!(
        many.starts_with(&format!("1 validation error detected: Value '{{Key={put}")),
        "{many}"
    );
    let get = |keys: &[String]| {
        format!(
            r#"{{"RequestItems":{{"Keys":{{"Keys":[{}],"ProjectionExpression":"a"}}}}}}"#,
            keys.join(",")
        )
    };
    let keys: Vec<String> = (0..101).map(|at| format!(r#"{{"id":{{"S":"{at}"}}}}"#)).collect();
    let Ok(Request::BatchGetItem(batch)) = request(Operation::BatchGetItem, &get(&keys[..100]))
    else {
        panic!("refused")
    };
    assert_eq!(batch.tables["Keys"].keys.len(), 100);
    assert!(refusal(Operation::BatchGetItem, &get(&keys)).contains("less than or equal to 100"));
    let twice = refusal(Operation::BatchGetItem, &get(&[keys[0].clone(), keys[0].clone()]));
    assert_eq!(twice, "Provided list of item keys contains duplicates");
    for operation in [Operation::BatchGetItem, Operation::BatchWriteItem] {
        assert!(
            refusal(operation, "{}")
                .contains("'requestItems' failed to satisfy constraint: Member must not be null")
        );
    }
    assert_eq!(
        refusal(Operation::BatchWriteItem, r#"{"RequestItems":{}}"#),
        "The requestItems parameter is required for BatchWriteItem"
    );
    assert_eq!(
        refusal(Operation::BatchGetItem, r#"{"RequestItems":{}}"#),
        "1 validation error detected: Value at 'RequestItems' failed to satisfy constraint: Member \
         must have length greater than or equal to 1"
    );
    assert!(refusal(Operation::BatchWriteItem, &write(&[])).contains("greater than or equal to 1"));
}

#[test]
fn an_empty_filter_is_refused_before_a_wrong_key_condition() {
    for (parameter, key_condition) in
        [("FilterExpression", "id = other"), ("ProjectionExpression", "id = other")]
    {
        let body = format!(
            r#"{{"TableName":"music","KeyConditionExpression":"{key_condition}","{parameter}":""}}"#
        );
        let wanted = format!("Invalid {parameter}: The expression can not be empty;");
        assert_eq!(refusal(Operation::Query, &body), wanted);
    }
}
