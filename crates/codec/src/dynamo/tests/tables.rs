use std::collections::BTreeMap;

use pangea_core::catalog::{Settings, StreamView as View, TableEntry};
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::index::Projected;
use pangea_core::table::{KeyAttribute, KeyKind, Schema};
use pangea_core::time::{Hlc, Stamp};

use super::table_updates::table;
use crate::dynamo::request::{
    ControlOperation, CreateTable, Operation, Request, StreamSpecification, StreamView, Throughput,
    decode,
};
use crate::dynamo::table::{
    IndexView, ReplicaStatus, ReplicaView, TableStatus, TableView, options,
};
use crate::dynamo::{ApiError, response};

pub(super) const ID: &str = r#"{"AttributeName":"id","AttributeType":"S"}"#;
pub(super) const SEQ: &str = r#"{"AttributeName":"seq","AttributeType":"N"}"#;
pub(super) const HASH: &str = r#"{"AttributeName":"id","KeyType":"HASH"}"#;
pub(super) const RANGE: &str = r#"{"AttributeName":"seq","KeyType":"RANGE"}"#;
pub(super) const PAY: &str = r#","BillingMode":"PAY_PER_REQUEST""#;
pub(super) const UNITS: &str =
    r#","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":6}"#;
pub(super) const WRONG: &str = "One or more parameter values were invalid: ";

pub(super) fn create(definitions: &str, keys: &str, rest: &str) -> Result<CreateTable, ApiError> {
    let body = format!(
        r#"{{"TableName":"music","AttributeDefinitions":[{definitions}],"KeySchema":[{keys}]{rest}}}"#
    );
    match decode(Operation::CreateTable, body.as_bytes())? {
        Request::CreateTable(create) => Ok(create),
        other => panic!("{other:?}"),
    }
}

pub(super) fn attribute(name: &str, kind: KeyKind) -> KeyAttribute {
    KeyAttribute { name: name.into(), kind }
}

/// The table that a request makes.
pub(super) fn entry(create: CreateTable) -> TableEntry {
    let schema = create.schema;
    TableEntry {
        id: TableId(Stamp { hlc: Hlc::ZERO, origin: Origin::MIN }),
        name: create.table,
        home: RegionSlot::MIN,
        home_since: 0,
        settings: Settings::parse(&BTreeMap::new(), &schema).expect("no settings"),
        schema,
        created_ms: 1_700_000_000_042,
        stream: None,
        on_demand: create.on_demand,
        deletion_protection: create.deletion_protection,
        replicas: Vec::new(),
        former: Vec::new(),
        deleted: false,
        tags: create.tags,
        next_index: 0,
        indexes: create.indexes,
        stream_since_ms: 0,
        ttl: None,
        history: false,
        adopts: false,
        options: create.options,
    }
}

pub(super) fn index(name: &str, keys: &[(&str, &str)], rest: &str) -> String {
    let keys = keys
        .iter()
        .map(|(name, role)| format!(r#"{{"AttributeName":"{name}","KeyType":"{role}"}}"#));
    let keys: Vec<String> = keys.collect();
    format!(r#"{{"IndexName":"{name}","KeySchema":[{}]{rest}}}"#, keys.join(","))
}

pub(super) const ALL: &str = r#","Projection":{"ProjectionType":"ALL"}"#;

#[test]
fn tables_are_created_with_a_right_schema() {
    let both = (format!("{ID},{SEQ}"), format!("{HASH},{RANGE}"));
    let stream =
        r#","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}"#;
    let table = create(&both.0, &both.1, &format!("{PAY}{stream}")).expect("a right table");
    let schema =
        Schema { partition: attribute("id", KeyKind::S), sort: Some(attribute("seq", KeyKind::N)) };
    assert_eq!((table.schema, table.on_demand), (schema, true));
    assert_eq!(table.stream, Some(StreamSpecification::Enabled(StreamView::NewAndOldImages)));
    let table = create(ID, HASH, UNITS).expect("a right table");
    assert_eq!(Throughput::of(&table.options), Throughput { read: 5, write: 6 });
}

#[test]
fn a_wrong_schema_is_refused() {
    let both = (format!("{ID},{SEQ}"), format!("{HASH},{RANGE}"));
    let id_range = r#"{"AttributeName":"id","KeyType":"RANGE"}"#;
    let three = format!("{HASH},{RANGE},{RANGE}");
    for (definitions, keys, rest, message) in [
        (
            ID,
            HASH,
            "",
            format!(
                "{WRONG}ReadCapacityUnits and WriteCapacityUnits must both be specified when \
                 BillingMode is PROVISIONED"
            ),
        ),
        (
            ID,
            RANGE,
            PAY,
            format!(
                "{WRONG}Some index key attributes are not defined in AttributeDefinitions. Keys: \
                 [seq], AttributeDefinitions: [id]"
            ),
        ),
        (
            ID,
            &format!("{HASH},{id_range}"),
            PAY,
            "Invalid KeySchema: Some index key attribute have no definition".into(),
        ),
        (
            SEQ,
            RANGE,
            PAY,
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type".into(),
        ),
        (
            &both.0,
            HASH,
            PAY,
            format!(
                "{WRONG}Number of attributes in KeySchema does not exactly match number of \
                 attributes defined in AttributeDefinitions"
            ),
        ),
        (&format!("{ID},{ID}"), HASH, PAY, "Attribute Name is duplicated: id".into()),
        (
            "",
            "",
            PAY,
            "1 validation error detected: Value '[]' at 'keySchema' failed to satisfy constraint: \
             Member must have length greater than or equal to 1"
                .into(),
        ),
        (
            &both.0,
            &three,
            PAY,
            "1 validation error detected: Value '[KeySchemaElement(attributeName=id, \
             keyType=HASH), KeySchemaElement(attributeName=seq, keyType=RANGE), \
             KeySchemaElement(attributeName=seq, keyType=RANGE)]' at 'keySchema' failed to satisfy \
             constraint: Member must have length less than or equal to 2"
                .into(),
        ),
    ] {
        let refused = create(definitions, keys, rest).map_err(|error| error.message);
        assert_eq!(refused, Err(message), "{definitions} {keys} {rest}");
    }
}

#[test]
fn a_name_is_needed_and_must_be_one() {
    for (body, message) in [
        ("{}", "The parameter 'TableName' is required but was not present in the request"),
        (
            r#"{"TableName":"ab"}"#,
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: \
             Member must have length greater than or equal to 3",
        ),
        (
            r#"{"TableName":""}"#,
            "2 validation errors detected: Value '' at 'tableName' failed to satisfy constraint: \
             Member must have length greater than or equal to 3; Value '' at 'tableName' failed to \
             satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
    ] {
        for operation in [
            Operation::DescribeTable,
            Operation::DeleteTable,
            Operation::UpdateTable,
            Operation::Control(ControlOperation::DescribeTimeToLive),
        ] {
            let error = decode(operation, body.as_bytes());
            assert_eq!(error.map_err(|error| error.message), Err(message.to_owned()));
        }
    }
    let body = br#"{"TableName":"arn:aws:dynamodb:eu:000000000000:table/music"}"#;
    let Ok(Request::DescribeTable(table)) = decode(Operation::DescribeTable, body) else {
        panic!("an ARN is a name")
    };
    assert_eq!(table.table, "music");
}

/// The members that give a table on demand global indexes, or local ones.
fn global(indexes: &str) -> String {
    format!(r#"{PAY},"GlobalSecondaryIndexes":[{indexes}]"#)
}

fn local(indexes: &str) -> String {
    format!(r#"{PAY},"LocalSecondaryIndexes":[{indexes}]"#)
}

const BY_SEQ: [(&str, &str); 2] = [("id", "HASH"), ("seq", "RANGE")];
const OTHER: [(&str, &str); 2] = [("seq", "HASH"), ("id", "RANGE")];

#[test]
fn indexes_are_made() {
    let (table, keys) = (format!("{ID},{SEQ}"), format!("{HASH},{RANGE}"));
    let wide = index("by-seq", &[("seq", "HASH"), ("id", "HASH")], ALL);
    let made = create(&table, &keys, &global(&wide)).expect("a right index");
    let [index_made] = made.indexes.as_slice() else { panic!("one index") };
    assert_eq!((index_made.partition.len(), index_made.sort.len()), (2, 0));
    let include = r#","Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["b","a"]}"#;
    let made = create(&table, &keys, &local(&index("by-seq", &BY_SEQ, include))).expect("right");
    assert_eq!(made.indexes[0].projected, Projected::Include(vec!["a".into(), "b".into()]));
}

/// Refused with the message behind the words with which most begin.
fn refuses(definitions: &str, keys: &str, rest: &str, message: &str) {
    let refused = create(definitions, keys, rest).map_err(|error| error.message);
    assert_eq!(refused, Err(format!("{WRONG}{message}")), "{rest}");
}

#[test]
fn keys_of_indexes_are_checked() {
    let (table, keys) = (format!("{ID},{SEQ}"), format!("{HASH},{RANGE}"));
    let letters = ["a", "b", "c", "d", "e"];
    let five = letters.map(|name| (name, "HASH"));
    let definition = |name| format!(r#"{{"AttributeName":"{name}","AttributeType":"S"}}"#);
    let more = format!("{table},{}", letters.map(definition).join(","));
    let message = "Table KeySchema does not have a range key, which is required when specifying a \
                   LocalSecondaryIndex";
    refuses(&table, HASH, &local(&index("one", &BY_SEQ, ALL)), message);
    let message = "Index KeySchema does not have the same leading hash key as table KeySchema for \
                   index: one. index hash key: seq, table hash key: id";
    refuses(&table, &keys, &local(&index("one", &OTHER, ALL)), message);
    let message = "Index KeySchema does not have a range key for index: one";
    refuses(&table, &keys, &local(&index("one", &[("id", "HASH")], ALL)), message);
    let message = "The KeySchema exceeds the maximum allowed number of HASH key attributes";
    refuses(&more, &keys, &global(&index("one", &five, ALL)), message);
    let message = "Some AttributeDefinitions are not used. AttributeDefinitions: [a, b, c, d, e, \
                   id, seq], keys used: [id, seq]";
    refuses(&more, &keys, &global(&index("one", &OTHER, ALL)), message);
    // In the order of Java's hash tables.
    let message = "Some index key attributes are not defined in AttributeDefinitions. Keys: [x, \
                   id], AttributeDefinitions: [seq, id]";
    let unknown = index("one", &[("id", "HASH"), ("x", "RANGE")], ALL);
    refuses(&table, &keys, &global(&unknown), message);
    // Where fewer attributes are defined than the index has keys, none is named.
    let message = "Invalid KeySchema: Some index key attribute have no definition";
    let more = index("one", &[("x", "HASH"), ("y", "HASH"), ("z", "HASH")], ALL);
    let refused = create(&table, &keys, &global(&more)).map_err(|error| error.message);
    assert_eq!(refused, Err(message.to_owned()));
}

#[test]
fn projections_throughput_and_numbers_of_indexes_are_checked() {
    let (table, keys) = (format!("{ID},{SEQ}"), format!("{HASH},{RANGE}"));
    let keys_only = r#","Projection":{"ProjectionType":"KEYS_ONLY","NonKeyAttributes":["a"]}"#;
    let bare = r#","Projection":{"ProjectionType":"INCLUDE"}"#;
    let units = format!("{ALL}{UNITS}");
    let one = |rest: &str| global(&index("one", &OTHER, rest));
    let twice = format!("{},{}", index("dup", &OTHER, ALL), index("dup", &OTHER, ALL));
    let without = index("one", &OTHER, ALL);
    let many: Vec<String> = (0..21).map(|at| index(&format!("index-{at}"), &OTHER, ALL)).collect();
    for (rest, message) in [
        (global(&twice), "Duplicate index name: dup"),
        (global(""), "List of GlobalSecondaryIndexes is empty"),
        (one(keys_only), "ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified"),
        (one(bare), "ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
        (one(r#","Projection":{}"#), "Unknown ProjectionType: null"),
        (
            one(&units),
            "ProvisionedThroughput should not be specified for index: one when BillingMode is \
             PAY_PER_REQUEST",
        ),
        (
            format!(r#"{UNITS},"GlobalSecondaryIndexes":[{without}]"#),
            "ProvisionedThroughput is not specified for index: one",
        ),
        (global(&many.join(",")), "GlobalSecondaryIndex count exceeds the per-table limit of 20"),
    ] {
        refuses(&table, &keys, &rest, message);
    }
}

#[test]
fn global_indexes_are_judged_before_local_ones() {
    let indexes = [index("aa", &BY_SEQ, ALL), index("zz", &OTHER, ALL)];
    let rest = format!(r#"{},"GlobalSecondaryIndexes":[{}]"#, local(&indexes[0]), indexes[1]);
    let refused = create(ID, HASH, &rest).map_err(|error| error.message);
    let short = |path: &str, name: &str| {
        format!(
            "Value '{name}' at '{path}.1.member.indexName' failed to satisfy constraint: Member \
             must have length greater than or equal to 3"
        )
    };
    let (global, local) =
        (short("globalSecondaryIndexes", "zz"), short("localSecondaryIndexes", "aa"));
    assert_eq!(refused, Err(format!("2 validation errors detected: {global}; {local}")));
}

#[test]
fn what_an_index_lacks_is_listed_up_to_ten() {
    let rest = format!(r#"{PAY},"GlobalSecondaryIndexes":[{{}},{{}},{{}},{{}}]"#);
    let error = create(ID, HASH, &rest).map_err(|error| error.message);
    let error = error.expect_err("nothing is there");
    let first = "10 validation errors detected: Value null at \
        'globalSecondaryIndexes.1.member.keySchema' failed to satisfy constraint: Member must not \
        be null; Value null at 'globalSecondaryIndexes.1.member.projection' ";
    assert!(error.starts_with(first), "{error}");
    assert_eq!(error.matches("Value null").count(), 10);
}

#[test]
fn features_are_refused_in_dynamodb_words() {
    for (rest, message) in [
        (
            r#","StreamSpecification":{"StreamEnabled":true}"#,
            "One or more parameter values were invalid: Table is being created with a stream \
             enabled, UpdateViewType is required",
        ),
        (
            r#","StreamSpecification":{"StreamEnabled":false,"StreamViewType":"NEW_IMAGE"}"#,
            "One or more parameter values were invalid: Table is being created with a stream \
             disabled, UpdateViewType should not be specified",
        ),
        (
            r#","SSESpecification":{"Enabled":false,"SSEType":"KMS"}"#,
            "One or more parameter values were invalid: SSEType can not be specified if Enabled \
             is false",
        ),
        (
            r#","TableClass":"BEST""#,
            "Invalid table-class parameter provided. Please try again with a valid table-class \
             value: [STANDARD, STANDARD_INFREQUENT_ACCESS].",
        ),
        (
            r#","OnDemandThroughput":{"MaxReadRequestUnits":0}"#,
            "One or more parameter values were invalid: Requested MaxReadRequestUnits for \
             OnDemandThroughput for table is outside of valid range",
        ),
        (
            r#","Tags":[{"Key":"aws:x","Value":""}]"#,
            "Tag Key cannot be prefixed with aws:, Key: aws:x",
        ),
        (r#","Tags":[{"Key":"a"}]"#, "The Tag Value provided is invalid, Value: null"),
        (
            r#","Tags":[{"Key":"a","Value":"1"},{"Key":"a","Value":"2"}]"#,
            "Duplicate Tag Keys provided as input: Duplicate Tag Key found a",
        ),
    ] {
        let refused = create(ID, HASH, &format!("{PAY}{rest}")).map_err(|error| error.message);
        assert_eq!(refused, Err(message.to_owned()), "{rest}");
    }
    let rest = format!(r#"{UNITS},"OnDemandThroughput":{{"MaxReadRequestUnits":5}}"#);
    let refused = create(ID, HASH, &rest).map_err(|error| error.message);
    let message = "MaxReadRequestUnits for OnDemandThroughput cannot be specified when table \
                   BillingMode is PROVISIONED.";
    assert_eq!(refused, Err(format!("{WRONG}{message}")));
    let rest = format!(r#"{PAY},"Tags":[{{"Key":"pangea:owner","Value":"a=eu b=us, *"}}]"#);
    assert!(create(ID, HASH, &rest).is_ok(), "settings have a grammar of their own");
}

#[test]
fn descriptions_have_all_members() {
    let mut entry = table(true);
    entry.stream = Some(View::KeysOnly);
    entry.deletion_protection = true;
    entry.options.insert(options::SSE_KEY.into(), options::of_text(""));
    entry.options.insert(options::CLASS.into(), options::of_text("STANDARD_INFREQUENT_ACCESS"));
    entry.options.insert(options::MAX_READ.into(), options::of_number(10));
    let view = TableView {
        entry: &entry,
        region: "eu".into(),
        id: "00000000-0000-0000-0000-000000000001".into(),
        status: TableStatus::Active,
        item_count: 3,
        size_bytes: 99,
        encrypting: false,
        now_ms: 0,
        indexes: vec![IndexView {
            status: TableStatus::Active,
            backfilling: false,
            item_count: 2,
            size_bytes: 1,
        }],
        replicas: vec![ReplicaView {
            region: "us".into(),
            status: ReplicaStatus::Active,
            description: None,
        }],
    };
    let body = response::table("Table", &view);
    let text = String::from_utf8(body.clone()).expect("JSON is UTF-8");
    assert!(text.contains(r#""CreationDateTime":1700000000.042,"#), "{text}");
    let tree: serde_json::Value = serde_json::from_slice(&body).expect("right JSON");
    let table = &tree["Table"];
    let arn = "arn:aws:dynamodb:eu:000000000000:table/music";
    for (pointer, expected) in [
        ("/TableArn", arn),
        ("/TableStatus", "ACTIVE"),
        ("/KeySchema/0/KeyType", "HASH"),
        ("/AttributeDefinitions/0/AttributeType", "S"),
        ("/BillingModeSummary/BillingMode", "PAY_PER_REQUEST"),
        ("/LatestStreamArn", &format!("{arn}/stream/1970-01-01T00:00:00.000")),
        ("/GlobalSecondaryIndexes/0/IndexArn", &format!("{arn}/index/by-seq")),
        ("/GlobalSecondaryIndexes/0/IndexStatus", "ACTIVE"),
        ("/GlobalSecondaryIndexes/0/Projection/ProjectionType", "ALL"),
        ("/SSEDescription/Status", "ENABLED"),
        ("/TableClassSummary/TableClass", "STANDARD_INFREQUENT_ACCESS"),
        ("/GlobalTableVersion", "2019.11.21"),
        ("/Replicas/0/ReplicaArn", "arn:aws:dynamodb:us:000000000000:table/music"),
        ("/Replicas/0/ReplicaStatus", "ACTIVE"),
    ] {
        assert_eq!(table.pointer(pointer).and_then(|v| v.as_str()), Some(expected), "{pointer}");
    }
    assert_eq!(table["ProvisionedThroughput"]["ReadCapacityUnits"], 0);
    assert_eq!(table["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"], 0);
    assert_eq!(table["WarmThroughput"]["ReadUnitsPerSecond"], 12_000);
    assert_eq!(table["OnDemandThroughput"]["MaxReadRequestUnits"], 10);
    assert_eq!(table["DeletionProtectionEnabled"], true);
}
