//! What is told of several things that are wrong at once, in the two layers that check requests.
//!
//! The answers are the service's, as the Parity Suite and dynoxide's authors measured them in
//! October 2026.

use super::requests::refusal;
use crate::dynamo::request::Operation;

const NAME_NULL: &str = "Value null at 'tableName' must not be null";
const KEY_NULL: &str = "Value null at 'key' must not be null";
const NAME_EMPTY: &str = "Value at 'TableName' must have length greater than or equal to 1";
const SHORT: &str = "Value 'ab' at 'tableName' must have length greater than or equal to 3";
const CAPACITY: &str =
    "Value 'X' at 'returnConsumedCapacity' must satisfy enum value set: [INDEXES, TOTAL, NONE]";
const METRICS: &str =
    "Value 'X' at 'returnItemCollectionMetrics' must satisfy enum value set: [SIZE, NONE]";
const ON_FAILURE: &str = "Value 'X' at 'returnValuesOnConditionCheckFailure' must satisfy enum value \
                          set: [ALL_OLD, NONE]";
const RETURNED: &str = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, \
                        UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]";
const RETURNED_SHOWN: &str = "Value 'X' at 'returnValues' must satisfy enum value set: [ALL_NEW, \
                              UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]";
const SELECT: &str = "Value 'X' at 'select' must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, \
                      ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]";
const LIMIT: &str = "Value at 'Limit' must have value greater than or equal to 1";
const LIMIT_SHOWN: &str = "Value '0' at 'limit' must have value greater than or equal to 1";

/// A message of violations, each with the words that all of them have.
fn told(violations: &[&str]) -> String {
    let whole =
        |it: &&str| it.replacen("' must ", "' failed to satisfy constraint: Member must ", 1);
    let plural = if violations.len() == 1 { "" } else { "s" };
    let all: Vec<String> = violations.iter().map(whole).collect();
    format!("{} validation error{plural} detected: {}", all.len(), all.join("; "))
}

fn check(operation: Operation, cases: &[(&str, &[&str])]) {
    for (members, violations) in cases {
        let body = format!("{{{members}}}");
        assert_eq!(refusal(operation, &body), told(violations), "{members}");
    }
}

#[test]
fn puts_and_deletes_tell_of_all_their_members() {
    for (operation, key) in
        [(Operation::PutItem, r#""Item":{}"#), (Operation::DeleteItem, r#""Key":{}"#)]
    {
        let all = r#""ReturnValuesOnConditionCheckFailure":"X","ReturnValues":"X",
            "ReturnItemCollectionMetrics":"X","ReturnConsumedCapacity":"X""#;
        let cases: [(String, &[&str]); 4] = [
            (format!(r#""TableName":"",{key},{all}"#), &[NAME_EMPTY]),
            (
                format!(r#""TableName":"abc",{key},{all}"#),
                &[CAPACITY, RETURNED, METRICS, ON_FAILURE],
            ),
            (format!(r#""TableName":"ab",{key},"ReturnConsumedCapacity":"X""#), &[SHORT, CAPACITY]),
            (format!(r#"{key},"ReturnConsumedCapacity":"X""#), &[CAPACITY, NAME_NULL]),
        ];
        for (members, violations) in cases {
            check(operation, &[(&members, violations)]);
        }
    }
    let never = "ReturnValues can only be ALL_OLD or NONE";
    check(
        Operation::DeleteItem,
        &[
            (r#""TableName":"ab","Key":{},"ReturnValues":"ALL_NEW""#, &[SHORT, never]),
            (r#""TableName":"abc","ReturnValues":"ALL_NEW""#, &[KEY_NULL]),
        ],
    );
}

#[test]
fn updates_tell_of_one_member_but_without_a_key_of_all() {
    check(
        Operation::UpdateItem,
        &[
            (r#""TableName":"","Key":{}"#, &[NAME_EMPTY]),
            (r#""TableName":"ab","Key":{},"ReturnValues":"X""#, &[SHORT]),
            (
                r#""TableName":"abc","Key":{},"ReturnValues":"X","ReturnConsumedCapacity":"X""#,
                &[RETURNED],
            ),
            (
                r#""TableName":"abc","Key":{},"ReturnItemCollectionMetrics":"X",
                    "ReturnConsumedCapacity":"X""#,
                &[METRICS],
            ),
            (
                r#""TableName":"","ReturnValues":"X","ReturnConsumedCapacity":"X""#,
                &[
                    CAPACITY,
                    "Value '' at 'tableName' must have length greater than or equal to 1",
                    RETURNED_SHOWN,
                    KEY_NULL,
                ],
            ),
            (
                r#""TableName":"abc","ConditionalOperator":"X","Expected":{}"#,
                &[
                    "Value 'X' at 'conditionalOperator' must satisfy enum value set: [OR, AND]",
                    KEY_NULL,
                ],
            ),
            (r#""ReturnValues":"X","Key":{}"#, &[NAME_NULL, RETURNED_SHOWN]),
        ],
    );
    // Two of them have no envelope.
    let bare = r#"{"TableName":"abc","Key":{},"ReturnConsumedCapacity":"X"}"#;
    let alone = told(&[CAPACITY]).replacen("1 validation error detected: ", "", 1);
    assert_eq!(refusal(Operation::UpdateItem, bare), alone);
}

#[test]
fn pages_are_judged_in_stages() {
    let query = |rest: &str| format!(r#""KeyConditionExpression":"a = b",{rest}"#);
    let both: [(&str, &[&str]); 7] = [
        (r#""TableName":"","Limit":0,"Select":"X""#, &[LIMIT, NAME_EMPTY]),
        (r#""TableName":"ab","ReturnConsumedCapacity":"X","Select":"X""#, &[SHORT, CAPACITY]),
        (r#""TableName":"abc","Select":"X""#, &[SELECT]),
        (r#""Limit":0,"Select":"X""#, &[SELECT, NAME_NULL, LIMIT_SHOWN]),
        // A number that is not of 32 bits is judged in the older layer.
        (r#""TableName":"abc","Limit":0.5,"Select":"X""#, &[SELECT, LIMIT_SHOWN]),
        (
            r#""TableName":"abc","Limit":-2147483649"#,
            &["Value '-2147483648' at 'limit' must have value greater than or equal to 1"],
        ),
        (
            r#""TableName":"","Limit":4294967296"#,
            &["Value '' at 'tableName' must have length greater than or equal to 1"],
        ),
    ];
    for (members, violations) in both {
        check(Operation::Query, &[(&query(members), violations)]);
        check(Operation::Scan, &[(members, violations)]);
    }
    check(
        Operation::Scan,
        &[
            (
                r#""TableName":"abc","Segment":-1,"TotalSegments":0"#,
                &[
                    "Value at 'Segment' must have value greater than or equal to 0",
                    "Value at 'TotalSegments' must have value greater than or equal to 1",
                ],
            ),
            (
                r#""TableName":"abc","Segment":1000000,"TotalSegments":1000001"#,
                &[
                    "Value at 'Segment' must have value less than or equal to 999999",
                    "Value at 'TotalSegments' must have value less than or equal to 1000000",
                ],
            ),
            (
                r#""TableName":"abc","ScanFilter":{"a":{}},"Limit":0"#,
                &[
                    "Value null at 'scanFilter.a.member.comparisonOperator' must not be null",
                    LIMIT_SHOWN,
                ],
            ),
        ],
    );
    // What joins conditions is told of before what is selected.
    let filter = r#""QueryFilter":{"a":{"ComparisonOperator":"NULL"},
        "b":{"ComparisonOperator":"NULL"}},"ConditionalOperator":"XOR""#;
    let body = format!(r#"{{"TableName":"abc","KeyConditions":{{}},{filter},"Select":"X"}}"#);
    assert_eq!(
        refusal(Operation::Query, &body),
        "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"
    );
}

#[test]
fn very_deep_requests_are_judged_in_the_older_layer() {
    let deep = |levels: usize| {
        let open = r#"{"M":{"a":"#.repeat(levels);
        format!(r#"{open}{{"S":"x"}}{}"#, "}}".repeat(levels))
    };
    let told_of_depth = "Nesting Levels have exceeded supported limits: Attributes in the item have \
                         nested levels beyond supported limit";
    let put = |levels, more: &str| {
        let body = format!(r#"{{"TableName":"abc","Item":{{"a":{}}}{more}}}"#, deep(levels));
        refusal(Operation::PutItem, &body)
    };
    assert_eq!(put(62, ""), told(&[told_of_depth]));
    assert_eq!(put(63, ""), told_of_depth);
    assert_eq!(put(62, r#","ReturnValues":"X""#), told(&[RETURNED]));
    assert_eq!(put(63, r#","ReturnValues":"X""#), told(&[RETURNED_SHOWN]));
    let scan = |levels| {
        let body = format!(r#"{{"TableName":"abc","ExclusiveStartKey":{{"a":{}}}}}"#, deep(levels));
        refusal(Operation::Scan, &body)
    };
    assert_eq!(scan(62), told_of_depth);
    assert_eq!(scan(63), format!("The provided starting key is invalid: {told_of_depth}"));
    let transaction = |levels, name: &str, more: &str| {
        let body = format!(
            r#"{{"TransactItems":[{{"Put":{{"TableName":"abc","Item":{{"d":{},"{name}":{{"S":"x"}}}}}}}}
                {more}]}}"#,
            deep(levels)
        );
        refusal(Operation::TransactWriteItems, &body)
    };
    // A name of no characters goes before depth, but one inside a value behind it.
    assert_eq!(transaction(100, "", ""), "Empty attribute name");
    assert_eq!(transaction(40, "b", ""), told_of_depth);
    let inside = format!(
        r#"{{"TransactItems":[{{"Put":{{"TableName":"abc","Item":{{"b":{{"M":{{"":{{"S":"x"}}}}}},
            "d":{}}}}}}}]}}"#,
        deep(40)
    );
    assert_eq!(refusal(Operation::TransactWriteItems, &inside), told_of_depth);
    let delete = format!(
        r#"{{"TransactItems":[{{"Delete":{{"TableName":"abc","Key":{{"a":{}}},
            "ConditionExpression":"a = = b"}}}}]}}"#,
        deep(100)
    );
    assert_eq!(
        refusal(Operation::TransactWriteItems, &delete),
        "Invalid ConditionExpression: Syntax error; token: \"=\", near: \"= = b\""
    );
}
