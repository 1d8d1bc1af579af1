//! Indexes of vectors, in requests on tables and in `SearchVectors`.

use pangea_core::catalog::TableEntry;
use pangea_core::index::Distance;
use pangea_core::item::{AttributeValue, KeyValue, Number};

use super::tables::{HASH, ID, PAY, UNITS, WRONG, create, entry};
use crate::dynamo::backup::{BackupArn, BackupStatus, BackupView, described};
use crate::dynamo::capacity::{Consumed, ReturnCapacity, UnitKind};
use crate::dynamo::request::{Operation, Request, SearchVectors, UpdateTable, decode};
use crate::dynamo::{ApiError, ErrorKind, decode_attributes, response};

fn given(name: &str, rest: &str) -> String {
    format!(
        r#"{{"IndexName":"{name}","VectorAttribute":{{"AttributeName":"e"}},
            "DistanceFunction":"EUCLIDEAN","Projection":{{"ProjectionType":"KEYS_ONLY"}}{rest}}}"#
    )
}

const SCHEMA: &str = r#","Dimensions":3,"SearchSchema":[
    {"AttributeName":"kind","SearchSchemaElementType":"INLINE_FILTER"},
    {"AttributeName":"tenant","SearchSchemaElementType":"HASH"}]"#;
const KINDS: &str = r#",{"AttributeName":"kind","AttributeType":"N"},
    {"AttributeName":"tenant","AttributeType":"S"}"#;

/// A table with `near`, which is partitioned and filtered.
fn table() -> TableEntry {
    let rest = format!(r#"{PAY},"VectorIndexes":[{}]"#, given("near", SCHEMA));
    entry(create(&format!("{ID}{KINDS}"), HASH, &rest).expect("right"))
}

#[test]
fn indexes_of_vectors_are_decoded_and_described() {
    let table = table();
    let [index] = table.indexes.as_slice() else { panic!("{:?}", table.indexes) };
    let vector = index.vector.as_ref().expect("one of vectors");
    assert_eq!((vector.dimensions, vector.distance), (3, Distance::Euclidean));
    assert_eq!(vector.hash(), index.partition.first());
    let names: Vec<&str> = index.attributes().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["tenant", "kind"]);
    // What is cut off a number is not told.
    let cut = create(
        ID,
        HASH,
        &format!(r#"{PAY},"VectorIndexes":[{}]"#, given("near", r#","Dimensions":3.9"#)),
    );
    let cut = cut.expect("right").indexes.remove(0).vector.expect("one of vectors");
    assert_eq!(cut.dimensions, 3);
    let shown = described(&BackupView {
        arn: BackupArn::new("us", "music", 1, 2),
        name: "kept".to_owned(),
        status: BackupStatus::Available,
        made_ms: 1,
        expires_ms: None,
        bytes: 0,
        items: 0,
        region: "us".to_owned(),
        entry: table,
        table_id: String::new(),
    });
    let shown = String::from_utf8(shown).expect("a text");
    let wanted = r#""VectorIndexes":[{"IndexName":"near","SearchSchema":[{"AttributeName":"kind","SearchSchemaElementType":"INLINE_FILTER"},{"AttributeName":"tenant","SearchSchemaElementType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"},"VectorAttribute":{"AttributeName":"e"},"Dimensions":3,"DistanceFunction":"EUCLIDEAN"}]"#;
    assert!(shown.contains(wanted), "{shown}");
    assert!(!shown.contains("GlobalSecondaryIndexes"), "{shown}");
}

#[test]
fn indexes_of_vectors_are_refused_as_the_model_and_the_service_say() {
    let three = r#","Dimensions":3"#;
    let path = "vectorIndexes.1.member";
    for (definitions, billing, indexes, message) in [
        (
            ID,
            PAY,
            given("ab", three),
            format!(
                "1 validation error detected: Value 'ab' at '{path}.indexName' failed to satisfy \
             constraint: Member must have length greater than or equal to 3"
            ),
        ),
        (
            ID,
            PAY,
            given("near", r#","Dimensions":0"#),
            format!(
                "1 validation error detected: Value '0' at '{path}.dimensions' failed to satisfy \
             constraint: Member must have value greater than or equal to 1"
            ),
        ),
        (
            ID,
            PAY,
            given("near", ""),
            format!(
                "1 validation error detected: Value null at '{path}.dimensions' failed to satisfy \
             constraint: Member must not be null"
            ),
        ),
        (
            ID,
            UNITS,
            given("near", three),
            format!("{WRONG}Vector indexes are only supported for PAY_PER_REQUEST tables"),
        ),
        (
            ID,
            PAY,
            given("near", SCHEMA),
            format!("{WRONG}One element in SearchSchema is not defined in attribute definitions"),
        ),
    ] {
        let rest = format!(r#"{billing},"VectorIndexes":[{indexes}]"#);
        let refused = create(definitions, HASH, &rest).expect_err("refused");
        assert_eq!(refused.message, message);
    }
}

fn update(members: &str) -> Result<UpdateTable, ApiError> {
    let body = format!(r#"{{"TableName":"music",{members}}}"#);
    match decode(Operation::UpdateTable, body.as_bytes())? {
        Request::UpdateTable(update) => Ok(update),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_gets_and_loses_indexes_of_vectors() {
    let table = table();
    let made = |index: &str| {
        update(&format!(r#""VectorIndexUpdates":[{{"Create":{index}}}]"#))?.change(&table, 77)
    };
    let change = made(&given("other", r#","Dimensions":3"#)).expect("right");
    assert_eq!(change.add_indexes.len(), 1);
    let since = change.add_indexes[0].options.get("since_ms");
    assert_eq!(since, Some(&AttributeValue::N(Number::from(77))));
    let gone = update(r#""VectorIndexUpdates":[{"Delete":{"IndexName":"near"}}]"#).expect("right");
    assert!(gone.takes_time());
    assert_eq!(gone.change(&table, 77).expect("right").remove_indexes, ["near"]);
    let refused = made(&given("near", r#","Dimensions":3"#)).expect_err("refused");
    assert_eq!(refused.message, "Attempting to create an index which already exists");
    let refused = made(&given("other", r#","Dimensions":4"#)).expect_err("refused");
    assert!(refused.message.contains("must use the same dimensions"), "{refused}");
    let path = "vectorIndexUpdates.1.member.create.dimensions";
    let refused = made(&given("other", "")).expect_err("refused");
    assert!(refused.message.contains(&format!("Value null at '{path}'")), "{refused}");
    // A global index of this name is no index of vectors, and the other way round.
    let refused = update(r#""GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"near"}}]"#);
    let refused = refused.expect("right").change(&table, 77).expect_err("refused");
    assert!(
        refused.message.starts_with("Cannot delete an index that is not a Global"),
        "{refused}"
    );
}

fn search(members: &str) -> Result<SearchVectors, ApiError> {
    let body = format!(
        r#"{{"TableName":"music","IndexName":"near","TopK":2,
            "SearchVector":[{{"N":"1"}},{{"N":"2.5"}},{{"N":"-3"}}]{members}}}"#
    );
    match decode(Operation::SearchVectors, body.as_bytes())? {
        Request::SearchVectors(search) => Ok(search),
        other => panic!("{other:?}"),
    }
}

const OF_TENANT: &str = r#","SearchConditionExpression":"tenant = :t AND kind = :k",
    "ExpressionAttributeValues":{":t":{"S":"a"},":k":{"N":"1.0"}}"#;

#[test]
fn a_search_is_of_a_partition() {
    let table = table();
    let asked = search(OF_TENANT).expect("right");
    assert_eq!((asked.vector.as_slice(), asked.count), ([1.0, 2.5, -3.0].as_slice(), 2));
    let searched = asked.resolve(&table).expect("an index");
    let key = searched.key(&asked).expect("right");
    assert_eq!(
        (key.partition.as_slice(), key.sort.len()),
        ([KeyValue::S("a".into())].as_slice(), 0)
    );
    let item = |text: &str| decode_attributes(text.as_bytes()).expect("an item");
    let has = |text: &str| searched.has(&asked, &item(text));
    assert!(has(r#"{"tenant":{"S":"a"},"kind":{"N":"1"}}"#));
    assert!(!has(r#"{"tenant":{"S":"a"},"kind":{"N":"2"}}"#) && !has(r#"{"tenant":{"S":"a"}}"#));
    let shown = searched.shown(&asked, item(r#"{"tenant":{"S":"a"},"e":{"L":[{"N":"1"}]}}"#));
    assert_eq!(shown, item(r#"{"tenant":{"S":"a"}}"#), "the vector is told of on request alone");
}

#[test]
fn a_search_is_read_strictly() {
    let whole = r#""TableName":"ab","IndexName":"a","SearchVector":[],"TopK":0,"#;
    let body =
        |members: &str| decode(Operation::SearchVectors, format!("{{{members}}}").as_bytes());
    for (members, kind, message) in [
        ("", ErrorKind::Validation, "missing field `IndexName` at line 1 column "),
        (
            r#""IndexName":"near""#,
            ErrorKind::Validation,
            "missing field `SearchVector` at line 1 column ",
        ),
        (
            r#""IndexName":7"#,
            ErrorKind::Serialization,
            "invalid type: integer `7`, expected a string at line 1 column ",
        ),
        (
            r#""TopK":3000000000"#,
            ErrorKind::Validation,
            "invalid value: integer `3000000000`, expected i32 at line 1 column ",
        ),
        (r#""SearchVector":[{}]"#, ErrorKind::Serialization, ""),
        (r#""SearchVector":[{"N":"1","S":"2"}]"#, ErrorKind::Serialization, ""),
        (
            r#""SearchVector":[{"X":"1"}]"#,
            ErrorKind::Validation,
            "unknown variant `X`, expected one of `B`, `BOOL`, `BS`, `DECIMAL`, ",
        ),
        (
            r#""SearchVector":[{"B":1}]"#,
            ErrorKind::Serialization,
            "invalid type: integer `1`, expected a Base64-encoded string at line 1 column ",
        ),
        (
            whole.trim_end_matches(','),
            ErrorKind::Validation,
            "3 validation errors detected: Value at 'IndexName' failed to satisfy constraint: \
             Member must have length greater than or equal to 3; Value at 'SearchVector' failed to \
             satisfy constraint: Member must have length greater than or equal to 1; Value at \
             'TopK' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
    ] {
        let refused = body(members).expect_err("refused");
        assert_eq!(refused.kind, kind, "{members}: {refused}");
        assert!(refused.message.starts_with(message), "{members}: {refused}");
        assert_eq!(refused.message.is_empty(), message.is_empty(), "{members}");
    }
}

#[test]
fn a_search_is_refused_for_its_expressions_and_its_index() {
    let table = table();
    for (members, message) in [
        (r#","ReturnConsumedCapacity":"ALL""#, "Value 'ALL' at 'returnConsumedCapacity' failed to"),
        (r#","ExpressionAttributeNames":{}"#, "ExpressionAttributeNames must not be empty"),
        (
            r##","ExpressionAttributeNames":{"#a":"a"}"##,
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            r#","SearchConditionExpression":"tenant = :t""#,
            "Invalid SearchConditionExpression: An expression attribute value used in expression is \
             not defined; attribute value: :t",
        ),
        (
            r#","SearchConditionExpression":"tenant = :t","ExpressionAttributeValues":{":t":{"INT":"1"}}"#,
            "This type mapping is not supported",
        ),
        (
            r#","SearchConditionExpression":"tenant = :t","ExpressionAttributeValues":{":t":{"N":"x"}}"#,
            "The parameter cannot be converted to a numeric value",
        ),
        (
            r#","SearchConditionExpression":"song = :t","ExpressionAttributeValues":{":t":{"S":"x"}}"#,
            "SearchConditionExpression must not contain any attributes that is not in SearchSchema. \
             Invalid attribute: song",
        ),
        (
            r#","SearchConditionExpression":"kind = :t","ExpressionAttributeValues":{":t":{"N":"1"}}"#,
            "SearchConditionExpression must be provided when SearchSchema has a HASH key",
        ),
        ("", "SearchConditionExpression must be provided when SearchSchema has a HASH key"),
    ] {
        let result = search(members);
        let result = result.and_then(|asked| asked.resolve(&table)?.key(&asked));
        let refused = result.expect_err("refused").message;
        assert!(refused.starts_with(message), "{members}: {refused}");
    }
}

#[test]
fn results_and_charges_are_what_clients_read() {
    let item = decode_attributes(
        br#"{"id":{"S":"k"},"e":{"L":[{"N":"1"},{"N":"0.1"},{"N":"16777217"}]}}"#,
    );
    let found = [(0.5, item.expect("an item"))];
    let told = |bytes| String::from_utf8(response::searched(&found, "e", bytes)).expect("a text");
    let results = r#"{"SearchResults":[{"Item":{"e":{"L":[{"N":"1.0"},{"N":"0.1"},{"N":"16777216.0"}]},"id":{"S":"k"}},"Score":0.5}]"#;
    assert_eq!(told(None), format!("{results}}}"));
    let capacity = r#","ConsumedCapacity":{"VectorSearchRequestBytes":1024.0}}"#;
    assert_eq!(told(Some(1024.0)), format!("{results}{capacity}"));
    let mut consumed = Consumed {
        table: "t".into(),
        units: 1.0,
        indexes: Vec::new(),
        vectors: Vec::new(),
        detail: ReturnCapacity::Indexes,
        kind: UnitKind::Unnamed,
        failed: 0.0,
    };
    consumed.add_vector("near", 1024.0);
    consumed.join(consumed.clone());
    let written =
        String::from_utf8(response::written(None, Some(&consumed), None)).expect("a text");
    let own = r#""TableName":"t","CapacityUnits":2.0,"Table":{"CapacityUnits":2.0}"#;
    let vectors = r#""VectorIndexes":{"near":{"VectorWriteRequestBytes":2048.0}}"#;
    assert_eq!(written, format!(r#"{{"ConsumedCapacity":{{{own},{vectors}}}}}"#));
    consumed.detail = ReturnCapacity::Total;
    let total = String::from_utf8(response::written(None, Some(&consumed), None)).expect("a text");
    assert!(!total.contains("near"), "{total}");
}
