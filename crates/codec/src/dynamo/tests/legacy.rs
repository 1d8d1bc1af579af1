//! The parameters from before expressions.

use pangea_core::expr::KeyRange;
use pangea_core::item::Attributes;
use pangea_core::table::{Applied, KeyAttribute, KeyKind, Refusal, Schema, apply};

use crate::dynamo::request::{Operation, Query, Request, decode};
use crate::dynamo::{ApiError, attributes_to_json, decode_attributes};

const KEY: &str = r#""TableName":"music","Key":{"id":{"S":"k"}}"#;

fn schema(sort: bool) -> Schema {
    let attribute = |name: &str, kind| KeyAttribute { name: name.into(), kind };
    Schema {
        partition: attribute("id", KeyKind::S),
        sort: sort.then(|| attribute("seq", KeyKind::N)),
    }
}

fn item(json: &str) -> Attributes {
    decode_attributes(json.as_bytes()).expect("an item of the test's own")
}

fn request(operation: Operation, members: &str) -> Result<Request, String> {
    decode(operation, format!("{{{members}}}").as_bytes()).map_err(|error| error.message)
}

/// What an UpdateItem with these members makes of the item.
fn update(members: &str, before: Option<&Attributes>) -> Result<Applied<'static>, String> {
    let Request::UpdateItem(update) = request(Operation::UpdateItem, &format!("{KEY},{members}"))?
    else {
        panic!("another request")
    };
    let op = update.into_op(&schema(false)).map_err(|error| error.message)?;
    let applied = apply(&op, &schema(false), before);
    applied.map(Applied::into_owned).map_err(|refusal| ApiError::from(refusal).message)
}

/// Whether `Expected` holds for the item.
fn holds(expected: &str, before: &Attributes) -> Result<bool, String> {
    let members = format!(r#"{KEY},"Expected":{expected}"#);
    let Request::DeleteItem(delete) = request(Operation::DeleteItem, &members)? else {
        panic!("another request")
    };
    let op = delete.into_op(&schema(false)).map_err(|error| error.message)?;
    match apply(&op, &schema(false), Some(before)) {
        Ok(_) => Ok(true),
        Err(Refusal::ConditionFailed { .. }) => Ok(false),
        Err(other) => Err(other.to_string()),
    }
}

#[test]
fn expectations_hold_or_not() {
    let there = item(
        r#"{"id":{"S":"k"},"n":{"N":"5"},"s":{"S":"hello"},"ss":{"SS":["a","b"]},
            "l":{"L":[{"N":"1"}]},"nil":{"NULL":true}}"#,
    );
    let test = |operator: &str, values: &str| {
        format!(r#"{{"ComparisonOperator":"{operator}","AttributeValueList":[{values}]}}"#)
    };
    let cases = [
        ("n", test("EQ", r#"{"N":"5.0"}"#), true),
        ("n", test("NE", r#"{"N":"5"}"#), false),
        ("n", test("LT", r#"{"N":"6"}"#), true),
        ("n", test("GE", r#"{"N":"6"}"#), false),
        ("n", test("GT", r#"{"S":"6"}"#), false),
        ("n", test("IN", r#"{"N":"1"},{"N":"5"}"#), true),
        ("n", test("BETWEEN", r#"{"N":"5"},{"N":"7"}"#), true),
        ("s", test("BEGINS_WITH", r#"{"S":"he"}"#), true),
        ("s", test("CONTAINS", r#"{"S":"lo"}"#), true),
        ("s", test("NOT_CONTAINS", r#"{"S":"lo"}"#), false),
        ("ss", test("CONTAINS", r#"{"S":"a"}"#), true),
        ("ss", test("EQ", r#"{"SS":["b","a"]}"#), true),
        ("l", test("CONTAINS", r#"{"N":"1"}"#), true),
        ("nil", test("NOT_NULL", ""), true),
        ("none", test("NULL", ""), true),
        ("none", test("NE", r#"{"N":"1"}"#), true),
        ("none", test("NOT_CONTAINS", r#"{"N":"1"}"#), true),
        ("none", test("LE", r#"{"N":"1"}"#), false),
        ("none", r#"{"Exists":false}"#.to_owned(), true),
        ("n", r#"{"Exists":true,"Value":{"N":"5"}}"#.to_owned(), true),
        ("n", r#"{"Value":{"N":"4"}}"#.to_owned(), false),
        ("n", r#"{"ComparisonOperator":"GE","Value":{"N":"4"}}"#.to_owned(), true),
    ];
    for (name, test, expected) in cases {
        let found = holds(&format!(r#"{{"{name}":{test}}}"#), &there);
        assert_eq!(found, Ok(expected), "{name} {test}");
    }
    let two = r#"{"n":{"Value":{"N":"5"}},"s":{"Value":{"S":"x"}}}"#;
    assert_eq!(holds(two, &there), Ok(false));
    assert_eq!(holds(&format!(r#"{two},"ConditionalOperator":"OR""#), &there), Ok(true));
}

#[test]
fn wrong_expectations_are_refused_in_dynamodb_words() {
    let invalid = "1 validation error detected: One or more parameter values were invalid: ";
    for (test, message) in [
        ("{}".to_owned(), "Value must be provided when Exists is null for Attribute: a"),
        (
            r#"{"Exists":true}"#.to_owned(),
            "Value must be provided when Exists is true for Attribute: a",
        ),
        (
            r#"{"Exists":false,"Value":{"N":"1"}}"#.to_owned(),
            "Value cannot be used when Exists is false for Attribute: a",
        ),
        (
            r#"{"Value":{"N":"1"},"AttributeValueList":[]}"#.to_owned(),
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            r#"{"Exists":true,"ComparisonOperator":"LT"}"#.to_owned(),
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            r#"{"ComparisonOperator":"LT"}"#.to_owned(),
            "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: a",
        ),
        (
            r#"{"AttributeValueList":[]}"#.to_owned(),
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            r#"{"ComparisonOperator":"NULL","Value":{"N":"1"}}"#.to_owned(),
            "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (
            r#"{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"S":"1"}]}"#
                .to_owned(),
            "AttributeValues inside AttributeValueList must be of same type",
        ),
        (
            r#"{"ComparisonOperator":"LT","AttributeValueList":[{"BOOL":true}]}"#.to_owned(),
            "ComparisonOperator LT is not valid for BOOL AttributeValue type",
        ),
    ] {
        let found = holds(&format!(r#"{{"a":{test}}}"#), &Attributes::new());
        assert_eq!(found, Err(format!("{invalid}{message}")), "{test}");
    }
}

#[test]
fn wrong_requests_are_refused_in_dynamodb_words() {
    let one = r#"{"Value":{"N":"5"}}"#;
    for (members, message) in [
        (
            r#"{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"2"},{"N":"1"}]}}"#
                .to_owned(),
            "The BETWEEN condition was provided a range where the lower bound is greater than the \
             upper bound",
        ),
        (
            format!(r#"{{"a":{one}}},"ConditionalOperator":"OR""#),
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        ),
        (
            r#"{},"ConditionalOperator":"OR""#.to_owned(),
            "ConditionalOperator cannot be used without Filter or Expected",
        ),
        (
            r#"null,"ConditionalOperator":"OR","ConditionExpression":"a = b""#.to_owned(),
            "Can not use both expression and non-expression parameters in the same request: \
             Non-expression parameters: {ConditionalOperator} Expression parameters: \
             {ConditionExpression}",
        ),
        (
            format!(r#"{{"a":{one}}},"ConditionExpression":"a = b""#),
            "Can not use both expression and non-expression parameters in the same request: \
             Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        ),
        (
            r#"{"a":{"ComparisonOperator":"X"}}"#.to_owned(),
            "One or more parameter values were invalid: Invalid comparison operator",
        ),
        (
            format!(r#"{{"a":{one},"b":{one}}},"ConditionalOperator":"XOR""#),
            "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]",
        ),
        (r#"{"":{"Exists":false}}"#.to_owned(), "Empty attribute name"),
        (
            r#"{"a":{"Value":{"N":"x"}}}"#.to_owned(),
            "The parameter cannot be converted to a numeric value: x",
        ),
    ] {
        let message = format!("1 validation error detected: {message}");
        assert_eq!(holds(&members, &Attributes::new()), Err(message), "{members}");
    }
}

#[test]
fn attribute_updates_are_applied() {
    let before = item(
        r#"{"id":{"S":"k"},"n":{"N":"5"},"ss":{"SS":["a","b"]},"l":{"L":[{"N":"1"}]},
            "gone":{"S":"x"}}"#,
    );
    let updates = r#""AttributeUpdates":{
        "new":{"Value":{"S":"v"}},"n":{"Action":"ADD","Value":{"N":"-2"}},
        "ss":{"Action":"DELETE","Value":{"SS":["a","z"]}},"gone":{"Action":"DELETE"},
        "l":{"Action":"ADD","Value":{"L":[{"N":"2"}]}},"more":{"Action":"ADD","Value":{"NS":["1"]}},
        "tail":{"Action":"ADD","Value":{"L":[{"N":"3"}]}}},"ReturnValues":"UPDATED_NEW""#;
    let applied = update(updates, Some(&before)).expect("right updates");
    let changed = r#"{"l":{"L":[{"N":"1"},{"N":"2"}]},"more":{"NS":["1"]},"n":{"N":"3"},"new":{"S":"v"},"ss":{"SS":["b"]},"tail":{"L":[{"N":"3"}]}}"#;
    let shown = applied.returned.map(|parts| attributes_to_json(&parts));
    assert_eq!(shown.as_deref(), Some(changed.as_bytes()));
    let all = update(r#""AttributeUpdates":{}"#, None).expect("an item of its key");
    assert_eq!(all.next.as_deref(), Some(&item(r#"{"id":{"S":"k"}}"#)));
    for (change, message) in [
        (r#"{"n":{"Action":"ADD","Value":{"SS":["a"]}}}"#, "Type mismatch for attribute to update"),
        (
            r#"{"ss":{"Action":"DELETE","Value":{"NS":["1"]}}}"#,
            "Type mismatch for attribute to update",
        ),
        (
            r#"{"id":{"Value":{"S":"x"}}}"#,
            "One or more parameter values were invalid: Cannot update attribute id. This attribute \
             is part of the key",
        ),
        (
            r#"{"a":{"Action":"PUT"}}"#,
            "One or more parameter values were invalid: Only DELETE action is allowed when no \
             attribute value is specified",
        ),
        (
            r#"{"a":{"Action":"DELETE","Value":{"S":"x"}}}"#,
            "One or more parameter values were invalid: DELETE action with value is not supported \
             for the type S",
        ),
        (
            r#"{"a":{"Action":"ADD","Value":{"M":{}}}}"#,
            "One or more parameter values were invalid: ADD action is not supported for the type M",
        ),
    ] {
        let found = update(&format!(r#""AttributeUpdates":{change}"#), Some(&before));
        assert_eq!(found.map(|applied| applied.next), Err(message.to_owned()), "{change}");
    }
    let mixed = r#""AttributeUpdates":{},"UpdateExpression":"SET a = b""#;
    assert!(update(mixed, None).is_err_and(|message| message.contains("{AttributeUpdates}")));
}

fn eq(kind: &str, value: &str) -> String {
    format!(r#"{{"ComparisonOperator":"EQ","AttributeValueList":[{{"{kind}":"{value}"}}]}}"#)
}

/// A Query with these members, and the stretch that it reads.
fn query(members: &str) -> Result<(Query, KeyRange), String> {
    let members = format!(r#""TableName":"music",{members}"#);
    let Request::Query(query) = request(Operation::Query, &members)? else {
        panic!("another request")
    };
    let range = query.resolve(&schema(true)).map_err(|error| error.message)?;
    Ok((query, range.0))
}

#[test]
fn key_conditions_and_filters_become_ranges_and_conditions() {
    let id = eq("S", "k");
    let (found, range) = query(&format!(
        r#""KeyConditions":{{"id":{id},"seq":{{"ComparisonOperator":"BETWEEN",
            "AttributeValueList":[{{"N":"1"}},{{"N":"3"}}]}}}},"AttributesToGet":["a","b"],
            "QueryFilter":{{"a":{id},"b":{{"ComparisonOperator":"NULL"}}}},
            "ConditionalOperator":"OR""#
    ))
    .expect("a right query");
    assert!(range.sort.matches(&pangea_core::item::KeyValue::N(2.into())));
    let filter = found.filter.expect("a filter");
    assert!(filter.matches(Some(&item(r#"{"a":{"S":"k"},"b":{"N":"1"}}"#))));
    let projection = found.projection.expect("a projection");
    let parts = projection.apply(&item(r#"{"a":{"N":"1"},"c":{"N":"1"}}"#));
    assert_eq!(parts, item(r#"{"a":{"N":"1"}}"#));
}

#[test]
fn wrong_queries_are_refused_in_dynamodb_words() {
    let id = eq("S", "k");
    let refused = |members: &str| match query(members) {
        Ok((query, _)) => format!("{query:?}"),
        Err(message) => message,
    };
    for (members, message) in [
        (
            format!(r#""KeyConditions":{{"id":{id}}},"QueryFilter":{{"seq":{}}}"#, eq("N", "1")),
            "QueryFilter can only contain non-primary key attributes: Primary key attribute: seq",
        ),
        (r#""KeyConditions":{}"#.to_owned(), "Conditions can be of length 1 or 2 only"),
        (
            format!(r#""KeyConditions":{{"id":{id},"seq":{{"ComparisonOperator":"NULL"}}}}"#),
            "Attempted conditional constraint is not an indexable operation",
        ),
        (
            format!(r#""KeyConditions":{{"id":{}}}"#, eq("N", "1")),
            "One or more parameter values were invalid: Condition parameter type does not match \
             schema type",
        ),
        (
            format!(r#""KeyConditions":{{"id":{id}}},"AttributesToGet":["a","a"]"#),
            "One or more parameter values were invalid: Duplicate value in attribute name: a",
        ),
        (
            format!(r#""KeyConditions":{{"id":{id}}},"AttributesToGet":[]"#),
            "1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy \
             constraint: Member must have length greater than or equal to 1",
        ),
        (
            r#""KeyConditions":{"id":{}}"#.to_owned(),
            "1 validation error detected: Value null at 'keyConditions.id.member.\
             comparisonOperator' failed to satisfy constraint: Member must not be null",
        ),
        (
            format!(
                r#""KeyConditions":{{"id":{id}}},"FilterExpression":"a = b",
                "AttributesToGet":["a"]"#
            ),
            "Can not use both expression and non-expression parameters in the same request: \
             Non-expression parameters: {AttributesToGet} Expression parameters: \
             {FilterExpression}",
        ),
    ] {
        assert_eq!(refused(&members), message, "{members}");
    }
}

#[test]
fn a_conditional_operator_is_named_before_a_key_that_is_missing() {
    let members = r#""TableName":"music","ConditionalOperator":"XOR""#;
    let error = request(Operation::UpdateItem, members).expect_err("neither is right");
    assert_eq!(
        error,
        "2 validation errors detected: Value 'XOR' at 'conditionalOperator' failed to satisfy \
         constraint: Member must satisfy enum value set: [OR, AND]; Value null at 'key' failed to \
         satisfy constraint: Member must not be null"
    );
}
