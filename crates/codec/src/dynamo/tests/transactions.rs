//! Transactions: what is asked, and how they are refused.

use pangea_core::id::TableId;
use pangea_core::table::{Action, KeyAttribute, KeyKind, Refusal, Schema};

use crate::dynamo::capacity::{Consumed, ReturnCapacity, UnitKind};
use crate::dynamo::request::{Operation, Request, TransactWriteItems, decode};
use crate::dynamo::{ApiError, ErrorKind, cancelled, decode_attributes, response};

fn schema() -> Schema {
    Schema { partition: KeyAttribute { name: "id".into(), kind: KeyKind::S }, sort: None }
}

fn transaction(items: &str) -> Result<TransactWriteItems, ApiError> {
    let body = format!(r#"{{"TransactItems":[{items}],"ClientRequestToken":"once"}}"#);
    match decode(Operation::TransactWriteItems, body.as_bytes())? {
        Request::TransactWriteItems(transaction) => Ok(transaction),
        other => panic!("{other:?}"),
    }
}

fn error(items: &str) -> ApiError {
    let schema = schema();
    let decoded = transaction(items);
    let ops = decoded.and_then(|it| it.into_ops(|_| Ok((TableId::CATALOG, &schema))));
    ops.expect_err("a refusal")
}

const PUT: &str = r#"{"Put":{"TableName":"music","Item":{"id":{"S":"a"}}}}"#;
const CHECK: &str = r##"{"ConditionCheck":{"TableName":"music","Key":{"id":{"S":"b"}},
    "ConditionExpression":"#v = :v","ExpressionAttributeNames":{"#v":"v"},
    "ExpressionAttributeValues":{":v":{"N":"1"}},
    "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}"##;

#[test]
fn the_four_actions_become_operations_in_order() {
    let update = r#"{"Update":{"TableName":"other","Key":{"id":{"S":"a"}},
        "UpdateExpression":"SET v = :v","ExpressionAttributeValues":{":v":{"N":"1"}}}}"#;
    let delete = r#"{"Delete":{"TableName":"music","Key":{"id":{"S":"c"}}}}"#;
    let asked = transaction(&[PUT, CHECK, update, delete].join(",")).expect("right");
    assert_eq!((asked.tables(), asked.token.as_deref()), (vec!["music", "other"], Some("once")));
    let schema = schema();
    let tables = |name: &str| {
        let id = if name == "music" { TableId::CATALOG } else { TableId::LEDGER };
        Ok((id, &schema))
    };
    let ops = asked.into_ops(tables).expect("right keys");
    let [(_, put), (_, check), (other, update), (_, delete)] = &ops[..] else { panic!("{ops:?}") };
    assert!(matches!(put.action, Action::Put(_)) && matches!(update.action, Action::Update(_)));
    assert_eq!((&check.action, &delete.action), (&Action::Check, &Action::Delete));
    assert!(check.had_condition() && check.return_on_condition_failure);
    assert_eq!(*other, TableId::LEDGER);
}

#[test]
fn wrong_transactions_are_refused_in_dynamodb_words() {
    let refused = |items: &str| error(items).message;
    assert_eq!(
        refused(&[PUT, PUT].join(",")),
        "Transaction request cannot include multiple operations on one item"
    );
    assert_eq!(
        refused(""),
        "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: \
         Member must have length greater than or equal to 1"
    );
    let many = refused(&[PUT; 101].join(","));
    assert!(many.ends_with("Member must have length less than or equal to 100"), "{many}");
    let both = r#"{"Put":{"TableName":"music","Item":{"id":{"S":"a"}}},
        "Delete":{"TableName":"music","Key":{"id":{"S":"a"}}}}"#;
    let one = "TransactItems can only contain one of Check, Put, Update or Delete";
    assert_eq!(refused(both), one);
    assert!(refused("{}").starts_with("Invalid Request: TransactWriteRequest should contain"));
    let unconditional = r#"{"ConditionCheck":{"TableName":"music","Key":{"id":{"S":"b"}}}}"#;
    assert_eq!(
        refused(&[PUT, unconditional].join(",")),
        "1 validation error detected: Value null at \
         'transactItems.2.member.conditionCheck.conditionExpression' failed to satisfy \
         constraint: Member must not be null"
    );
    let update = r#"{"Update":{"TableName":"music","Key":{"id":{"S":"c"}}}}"#;
    let worse = r#"{"Put":{"TableName":"music","Item":{"id":{}}}}"#;
    let null = |path: &str| {
        format!("Value null at '{path}' failed to satisfy constraint: Member must not be null")
    };
    assert_eq!(
        refused(&[update, worse, "{}", unconditional].join(",")),
        format!(
            "2 validation errors detected: {}; {}",
            null("transactItems.1.member.update.updateExpression"),
            null("transactItems.4.member.conditionCheck.conditionExpression")
        )
    );
    let gets = r#"{"TransactItems":[{"Get":{"TableName":"music"}},{},{"Get":{"TableName":"music",
        "Key":{"id":{}}}}]}"#;
    let error = decode(Operation::TransactGetItems, gets.as_bytes()).expect_err("members lack");
    assert_eq!(
        error.message,
        format!(
            "2 validation errors detected: {}; {}",
            null("transactItems.1.member.get.key"),
            null("transactItems.2.member.get")
        )
    );
    for (token, wrong) in [("t".repeat(36), false), ("t".repeat(37), true), (String::new(), true)] {
        let body = format!(r#"{{"TransactItems":[{PUT}],"ClientRequestToken":"{token}"}}"#);
        let decoded = decode(Operation::TransactWriteItems, body.as_bytes());
        assert_eq!(decoded.is_err(), wrong, "{token}");
    }
}

#[test]
fn a_wrong_key_is_the_reason_of_its_item() {
    let keyless = r#"{"Put":{"TableName":"music","Item":{"a":{"S":"a"}}}}"#;
    let error = error(&[PUT, keyless, keyless].join(","));
    assert_eq!(error.kind, ErrorKind::TransactionCanceled);
    let codes: Vec<&str> = error.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["None", "ValidationError", "None"], "the first alone");
    let message = error.reasons[1].message.as_deref().unwrap_or_default();
    assert!(message.contains("Missing the key id in the item"), "{message}");
}

#[test]
fn placeholders_without_an_expression_are_not_looked_at() {
    let put = r##"{"Put":{"TableName":"music","Item":{"id":{"S":"a"}},
        "ExpressionAttributeNames":{"#a":"b"}}}"##;
    let delete = r#"{"Delete":{"TableName":"music","Key":{"id":{"S":"b"}},
        "ExpressionAttributeValues":{":a":{"S":"b"}}}}"#;
    assert!(transaction(&[put, delete].join(",")).is_ok());
    let get = r##"{"TransactItems":[{"Get":{"TableName":"music","Key":{"id":{"S":"a"}},
        "ExpressionAttributeNames":{"#a":"b"}}}]}"##;
    assert!(decode(Operation::TransactGetItems, get.as_bytes()).is_ok());
    let unused = r##"{"Put":{"TableName":"music","Item":{"id":{"S":"a"}},
        "ConditionExpression":"attribute_not_exists(id)",
        "ExpressionAttributeNames":{"#a":"b"}}}"##;
    let text = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}";
    assert_eq!(error(unused).message, text);
}

#[test]
fn an_empty_key_is_refused_before_there_is_a_transaction() {
    let empty = "One or more parameter values are not valid. The update expression attempted to \
                 update a secondary index key to a value that is not supported.";
    let reasons = [ApiError::validation("another"), ApiError::validation(empty)];
    let error = cancelled(reasons.map(|reason| Some(reason.into())));
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Validation, empty));
}

#[test]
fn a_cancelled_transaction_lists_reasons_in_order() {
    let item = decode_attributes(br#"{"id":{"S":"b"}}"#).expect("an item");
    let failed = ApiError::from(Refusal::ConditionFailed { item: Some(item) });
    let body = cancelled([None, Some(failed.into())]).body();
    let text = "Transaction cancelled, please refer cancellation reasons for specific reasons \
                [None, ConditionalCheckFailed]";
    let expected = format!(
        "{{\"__type\":\"com.amazonaws.dynamodb.v20120810#TransactionCanceledException\",\
         \"message\":\"{text}\",\"Message\":\"{text}\",\"CancellationReasons\":[\
         {{\"Code\":\"None\"}},{{\"Code\":\"ConditionalCheckFailed\",\
         \"Message\":\"The conditional request failed\",\"Item\":{{\"id\":{{\"S\":\"b\"}}}}}}]}}"
    );
    assert_eq!(String::from_utf8_lossy(&body), expected);
}

#[test]
fn reads_are_answered_in_order() {
    let body = br#"{"TransactItems":[
        {"Get":{"TableName":"music","Key":{"id":{"S":"a"}},"ProjectionExpression":"v"}},
        {"Get":{"TableName":"music","Key":{"id":{"S":"b"}}}}]}"#;
    let decoded = decode(Operation::TransactGetItems, body);
    let Ok(Request::TransactGetItems(asked)) = decoded else { panic!("refused: {decoded:?}") };
    assert!(asked.gets[0].projection.is_some() && asked.tables() == ["music"]);
    let schema = schema();
    let keys = asked.primary_keys(|_| Ok((TableId::CATALOG, &schema))).expect("right keys");
    assert_eq!(keys.len(), 2);
    let wrong = decode(Operation::TransactGetItems, br#"{"TransactItems":[{"Put":{}}]}"#);
    assert!(wrong.is_err());
    let item = decode_attributes(br#"{"v":{"N":"1"}}"#).expect("an item");
    let detail = ReturnCapacity::Total;
    let consumed = [Consumed {
        table: "music".into(),
        units: 4.0,
        indexes: Vec::new(),
        vectors: Vec::new(),
        detail,
        kind: UnitKind::Read,
        failed: 0.0,
    }];
    assert_eq!(
        String::from_utf8_lossy(&response::transact_get(&[Some(item), None], &consumed)),
        r#"{"Responses":[{"Item":{"v":{"N":"1"}}},{}],"ConsumedCapacity":[{"TableName":"music","ReadCapacityUnits":4.0,"CapacityUnits":4.0}]}"#
    );
    assert_eq!(response::transact_write(&[], &Default::default()), b"{}");
}
