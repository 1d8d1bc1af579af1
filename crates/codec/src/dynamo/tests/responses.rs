use std::collections::BTreeMap;

use pangea_core::id::Origin;
use pangea_core::item::{KeyValue, PrimaryKey, item_size};
use pangea_core::merge::{Body, Origins, VersionVector, Write, overwrite};
use pangea_core::table::PageResult;
use pangea_core::time::{Hlc, Stamp};

use crate::disk::{Image, encode_row, plain_row};
use crate::dynamo::capacity::{Consumed, ReturnCapacity, UnitKind, read_units, write_units};
use crate::dynamo::error::{ApiError, CancellationReason, ErrorKind, modelled};
use crate::dynamo::request::BatchWrite;
use crate::dynamo::{decode_attributes, response};

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).expect("JSON is UTF-8")
}

/// The text without the breaks that keep this file narrow.
fn flat(text: &str) -> String {
    text.lines().map(str::trim_start).collect()
}

#[test]
fn errors_name_their_type() {
    for (kind, name, status) in [
        (
            ErrorKind::ResourceNotFound,
            "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
            400,
        ),
        (ErrorKind::Serialization, "com.amazon.coral.service#SerializationException", 400),
        (ErrorKind::Validation, "com.amazon.coral.validate#ValidationException", 400),
        (ErrorKind::UnknownOperation, "com.amazon.coral.service#UnknownOperationException", 400),
        (ErrorKind::InternalServer, "com.amazonaws.dynamodb.v20120810#InternalServerError", 500),
        (
            ErrorKind::ReplicatedWriteConflict,
            "com.amazonaws.dynamodb.v20120810#ReplicatedWriteConflictException",
            400,
        ),
    ] {
        let error = ApiError::new(kind, "why \"so\"");
        assert_eq!(error.status(), status);
        let member = if kind == ErrorKind::Serialization { "Message" } else { "message" };
        let expected = format!(r#"{{"__type":"{name}","{member}":"why \"so\""}}"#);
        assert_eq!(text(error.body()), expected);
    }
    let modelled = |kind| modelled(&ApiError::new(kind, "no").body(), "a.model").map(text);
    let named = r#"{"__type":"a.model#ResourceNotFoundException","message":"no"}"#;
    assert_eq!(modelled(ErrorKind::ResourceNotFound).as_deref(), Some(named));
    assert_eq!(modelled(ErrorKind::Validation), None);
    let item = decode_attributes(br#"{"id":{"S":"k"}}"#).ok();
    let mut error = ApiError::new(ErrorKind::ConditionalCheckFailed, "no");
    error.item.clone_from(&item);
    assert!(text(error.body()).ends_with(r#""message":"no","Item":{"id":{"S":"k"}}}"#));
    let mut error = ApiError::new(ErrorKind::TransactionCanceled, "no");
    error.reasons = vec![CancellationReason { code: "None".into(), message: None, item }];
    assert!(
        text(error.body())
            .ends_with(r#""CancellationReasons":[{"Code":"None","Item":{"id":{"S":"k"}}}]}"#)
    );
}

#[test]
fn capacity_is_rounded_up() {
    for (bytes, eventual, strong, write) in
        [(0, 0.5, 1.0, 1.0), (1024, 0.5, 1.0, 1.0), (1025, 0.5, 1.0, 2.0), (4097, 1.0, 2.0, 5.0)]
    {
        let units = (read_units(bytes, false), read_units(bytes, true), write_units(bytes));
        assert_eq!(units, (eventual, strong, write), "{bytes}");
    }
}

#[test]
fn bodies_are_what_clients_read() {
    let item = decode_attributes(br#"{"id":{"S":"k"}}"#).expect("a right item");
    let consumed = Consumed {
        table: "t".into(),
        units: 0.5,
        indexes: Vec::new(),
        vectors: Vec::new(),
        detail: ReturnCapacity::Total,
        kind: UnitKind::Unnamed,
        failed: 0.0,
    };
    assert_eq!(text(response::get_item(None, None)), "{}");
    let body = text(response::get_item(Some(&item), Some(&consumed)));
    assert_eq!(
        body,
        r#"{"Item":{"id":{"S":"k"}},"ConsumedCapacity":{"TableName":"t","CapacityUnits":0.5}}"#
    );
    assert_eq!(
        text(response::written(Some(&item), None, None)),
        r#"{"Attributes":{"id":{"S":"k"}}}"#
    );
    let result = PageResult {
        items: vec![item.clone()],
        count: 1,
        scanned_count: 2,
        scanned_bytes: 9,
        fetched_bytes: 0,
        last_evaluated: None,
    };
    let body = text(response::page(&result, Some(&item), false, None));
    assert_eq!(
        body,
        flat(
            r#"{"Items":[{"id":{"S":"k"}}],"Count":1,"ScannedCount":2,
            "LastEvaluatedKey":{"id":{"S":"k"}}}"#
        )
    );
    let found = BTreeMap::from([("t".to_owned(), vec![item.clone()])]);
    let body = text(response::batch_get(&found, &BTreeMap::new(), &[]));
    assert_eq!(body, r#"{"Responses":{"t":[{"id":{"S":"k"}}]},"UnprocessedKeys":{}}"#);
    let left = BTreeMap::from([(
        "t".to_owned(),
        vec![BatchWrite::Put(item.clone()), BatchWrite::Delete(item)],
    )]);
    let body = text(response::batch_write(&left, &[consumed], &Default::default()));
    assert_eq!(
        body,
        flat(
            r#"{"UnprocessedItems":{"t":[{"PutRequest":{"Item":{"id":{"S":"k"}}}},
            {"DeleteRequest":{"Key":{"id":{"S":"k"}}}}]},"ConsumedCapacity":[{"TableName":"t",
            "CapacityUnits":0.5}]}"#
        )
    );
    let names = ["a".to_owned()];
    assert_eq!(
        text(response::list_tables(&names, Some("a"))),
        r#"{"TableNames":["a"],"LastEvaluatedTableName":"a"}"#
    );
}

#[test]
fn a_row_is_shown_as_the_item_in_it() {
    let items = [
        r#"{"id":{"S":"k"}}"#,
        r#"{"a":{"S":"\"\\\n\u0001é"},"b":{"B":"AAEC"},"id":{"S":"k"},"n":{"N":"-12.5"}}"#,
        r#"{"bs":{"BS":["AA==","AQ=="]},"id":{"S":"k"},"no":{"BOOL":false},"ns":{"NS":["1","2"]},
            "nul":{"NULL":true},"ss":{"SS":["a","b"]},"yes":{"BOOL":true}}"#,
        r#"{"id":{"S":"k"},"l":{"L":[{"M":{"x":{"S":""}}},{"B":""}]},"m":{"M":{}}}"#,
    ];
    let key = PrimaryKey { partition: KeyValue::S("k".into()), sort: None };
    for json in items {
        let item = decode_attributes(flat(json).as_bytes()).expect("an item");
        let stamp = Stamp { hlc: Hlc::from_parts(7, 0), origin: Origin::from_bits(1025) };
        let body = Body::live(item.clone());
        let write = Write { stamp, body, origins: Origins::PLAIN, context: None };
        let (stored, _) = overwrite(None, &VersionVector::default(), write);
        let row = encode_row(&key, &stored);
        let plain = plain_row(&row).expect("a whole row").expect("of one version");
        assert_eq!((&plain.key, &plain.seen), (&key, &stored.seen));
        let rest = plain.attributes.expect("it is live");
        for capacity in [ReturnCapacity::None, ReturnCapacity::Total] {
            let detail = capacity;
            let (table, indexes, kind) = ("t".into(), Vec::new(), UnitKind::Unnamed);
            let consumed = Consumed {
                table,
                units: 0.5,
                indexes,
                vectors: Vec::new(),
                detail,
                kind,
                failed: 0.0,
            };
            let wanted = text(response::get_item(Some(&item), Some(&consumed)));
            for image in [Image::Row(rest), Image::Item(item.clone())] {
                let shown = response::show(image, row.len()).expect("it is well formed");
                assert_eq!(shown.bytes, item_size(&item));
                assert_eq!(text(response::get_shown(Some(shown), Some(&consumed))), wanted);
            }
        }
        assert!(plain_row(&row[..row.len() - 1]).is_err(), "a cut is noticed");
    }
    assert_eq!(text(response::get_shown(None, None)), "{}");
}
