//! Change streams: names, iterators that cannot be made up, records as each view shows them.

use pangea_core::catalog::StreamView;
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
use pangea_core::journal::{Record, Shard, Stream, sequence_at};
use pangea_core::table::{KeyAttribute, KeyKind, Schema};
use pangea_core::time::{Hlc, Stamp};

use crate::dynamo::request::{IteratorStart, Operation, Request, StreamsRequest, decode};
use crate::dynamo::streams::{
    Position, SequenceNumber, Shown, ShownRecord, StreamArn, describe, list, records,
};
use crate::session::Key;

const ARN: &str = "arn:aws:dynamodb:eu-west-1:000000000000:table/t/stream/2026-11-26T00:00:00.000";

fn arn() -> StreamArn {
    StreamArn::new("eu-west-1", "t", "2026-11-26T00:00:00.000".to_string())
}

fn stamp() -> Stamp {
    let slot = RegionSlot::new(1).expect("small");
    Stamp { hlc: Hlc::from_parts(1_700_000_000_000, 7), origin: Origin::new(slot, 3) }
}

fn schema() -> Schema {
    Schema { partition: KeyAttribute { name: "id".into(), kind: KeyKind::S }, sort: None }
}

fn refused(operation: Operation, body: &str) -> String {
    match decode(operation, body.as_bytes()) {
        Ok(request) => panic!("{request:?}"),
        Err(error) => format!("{}: {}", error.kind.name(), error.message),
    }
}

#[test]
fn names_are_read_back() {
    assert_eq!(StreamArn::parse(ARN), Ok(arn()));
    for text in
        ["", "fake-stream", "arn:aws:dynamodb:eu:0:table/t", "arn:aws:sqs:eu:0:table/t/stream/l"]
    {
        let refused = StreamArn::parse(text).map_err(|error| error.message);
        assert_eq!(refused, Err("Invalid StreamArn".to_string()), "{text}");
    }
    let (shard, child) = (arn().shard_name(1_789_000_000_000), arn().shard_name(1_789_014_400_000));
    assert!(shard.starts_with("shardId-00000001789000000000-") && shard.len() == 37, "{shard}");
    assert!(shard < child);
}

#[test]
fn sequence_numbers_are_digits_in_order() {
    for (sequence, text) in [(0, "100000000000000000000"), (u64::MAX, "118446744073709551615")] {
        assert_eq!(SequenceNumber(sequence).to_string(), text);
        assert_eq!(SequenceNumber::parse(text), Ok(SequenceNumber(sequence)));
    }
    for text in ["", "1", "200000000000000000000", "10000000000000000000x", "199999999999999999999"]
    {
        assert!(SequenceNumber::parse(text).is_err(), "{text}");
    }
}

#[test]
fn iterators_cannot_be_made_up() {
    let key = Key::derive(b"secret");
    let (since_ms, from_ms, next, made_ms) = (1, 2, 3, 4);
    let position = Position { table: TableId(stamp()), since_ms, from_ms, next, made_ms };
    let iterator = position.to_iterator(ARN, &key);
    assert!(iterator.starts_with(ARN) && iterator.len() < 2048);
    assert_eq!(Position::of_iterator(&iterator, &key), Ok((arn(), position)));
    for at in 0..iterator.len() {
        let mut forged = iterator.clone().into_bytes();
        forged[at] ^= 1;
        let forged = String::from_utf8_lossy(&forged).into_owned();
        assert!(Position::of_iterator(&forged, &key).is_err(), "{forged}");
        assert!(Position::of_iterator(&iterator[..at], &key).is_err());
    }
    assert!(Position::of_iterator(&iterator, &Key::derive(b"other")).is_err());
}

#[test]
fn requests_are_held_against_the_model() {
    let one = "ValidationException: 1 validation error detected: Value ";
    let must = "failed to satisfy constraint: Member must";
    let cases = [
        (
            Operation::DescribeStream,
            "{}".to_string(),
            format!("{one}null at 'streamArn' {must} not be null"),
        ),
        (
            Operation::GetRecords,
            "{}".to_string(),
            format!("{one}null at 'shardIterator' {must} not be null"),
        ),
        (
            Operation::ListStreams,
            r#"{"Limit":0}"#.to_string(),
            format!("{one}'0' at 'limit' {must} have value greater than or equal to 1"),
        ),
        (
            Operation::ListStreams,
            r#"{"Limit":101}"#.to_string(),
            format!("{one}'101' at 'limit' {must} have value less than or equal to 100"),
        ),
        (
            Operation::GetRecords,
            r#"{"ShardIterator":"x","Limit":1001}"#.to_string(),
            format!("{one}'1001' at 'limit' {must} have value less than or equal to 1000"),
        ),
        (
            Operation::GetShardIterator,
            format!(
                r#"{{"StreamArn":"{ARN}","ShardId":"{}","ShardIteratorType":"X"}}"#,
                arn().shard_name(1)
            ),
            format!(
                "{one}'X' at 'shardIteratorType' {must} satisfy enum value set: \
                 [AFTER_SEQUENCE_NUMBER, LATEST, AT_SEQUENCE_NUMBER, TRIM_HORIZON, AT_TIMESTAMP]"
            ),
        ),
    ];
    for (operation, body, wanted) in cases {
        assert_eq!(refused(operation, &body), wanted);
    }
}

#[test]
fn sequence_numbers_are_for_the_types_that_want_them() {
    let ask = |kind: &str, more: &str| {
        let shard = arn().shard_name(1);
        let body = format!(
            r#"{{"StreamArn":"{ARN}","ShardId":"{shard}","ShardIteratorType":"{kind}"{more}}}"#
        );
        match decode(Operation::GetShardIterator, body.as_bytes()) {
            Ok(Request::Streams(StreamsRequest::GetShardIterator(get))) => Some(get.start),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    };
    let sequence = r#","SequenceNumber":"100000000000000000007""#;
    let seven = SequenceNumber(7);
    assert_eq!(ask("AT_SEQUENCE_NUMBER", sequence), Some(IteratorStart::At(seven)));
    assert_eq!(ask("AFTER_SEQUENCE_NUMBER", sequence), Some(IteratorStart::After(seven)));
    assert_eq!(ask("LATEST", ""), Some(IteratorStart::Latest));
    assert_eq!(ask("TRIM_HORIZON", ""), Some(IteratorStart::TrimHorizon));
    assert_eq!(ask("AT_TIMESTAMP", r#","Timestamp":1.5"#), Some(IteratorStart::Time(1500)));
    let refused = [
        ("AT_SEQUENCE_NUMBER", ""),
        ("LATEST", sequence),
        ("TRIM_HORIZON", sequence),
        ("AT_TIMESTAMP", ""),
        ("AT_SEQUENCE_NUMBER", r#","SequenceNumber":"1""#),
    ];
    for (kind, more) in refused {
        assert_eq!(ask(kind, more), None, "{kind} {more}");
    }
}

#[test]
fn descriptions_page_by_the_last_shard() {
    let stream = Stream { view: StreamView::KeysOnly, since_ms: 1000, until_ms: None };
    let shards = [
        Shard { from_ms: 1000, parent_ms: None, closed_ms: Some(1999) },
        Shard { from_ms: 2000, parent_ms: Some(1000), closed_ms: None },
    ];
    let text = |more| {
        let body = describe(&arn(), &stream, &schema(), &shards, more);
        String::from_utf8(body).expect("JSON is text")
    };
    let (first, second) = (arn().shard_name(1000), arn().shard_name(2000));
    let (start, end) = (SequenceNumber(sequence_at(1000)), SequenceNumber(sequence_at(2000) - 1));
    let wanted = format!(
        r#"{{"ShardId":"{first}","SequenceNumberRange":{{"StartingSequenceNumber":"{start}","EndingSequenceNumber":"{end}"}}}}"#
    );
    assert!(text(false).contains(&wanted), "{}", text(false));
    assert!(text(false).contains(&format!(r#""ParentShardId":"{first}""#)));
    assert!(!text(false).contains("LastEvaluatedShardId"));
    assert!(text(true).contains(&format!(r#""LastEvaluatedShardId":"{second}""#)));
    let listed = String::from_utf8(list(&[arn()], true)).expect("JSON is text");
    assert!(listed.contains(&format!(r#""LastEvaluatedStreamArn":"{ARN}""#)));
}

fn item(value: &str) -> Attributes {
    [("id", "k"), ("v", value)].map(|(n, v)| (n.into(), AttributeValue::S(v.into()))).into()
}

fn shown(view: StreamView, before: Option<Attributes>, after: Option<Attributes>) -> String {
    let primary = PrimaryKey { partition: KeyValue::S("k".into()), sort: None };
    let expired = after.is_none();
    let record = Record {
        sequence: sequence_at(1_700_000_000_500),
        wall_ms: 1_700_000_000_500,
        stream_ms: 1,
        expired,
        key: ItemKey { table: TableId(stamp()), primary },
        stamp: stamp(),
        before,
        after,
    };
    let record = ShownRecord { record, origin: "us-east-1".into(), stamp: "s".into() };
    let shown = Shown { region: "eu-west-1", arn: &arn(), view, schema: &schema() };
    String::from_utf8(records(&shown, &[record], None)).expect("JSON is text")
}

#[test]
fn each_view_shows_its_images() {
    let [old, new] = [
        r#""OldImage":{"id":{"S":"k"},"v":{"S":"o"}}"#,
        r#""NewImage":{"id":{"S":"k"},"v":{"S":"nn"}}"#,
    ];
    let cases = [
        (StreamView::KeysOnly, false, false, 3),
        (StreamView::NewImage, false, true, 3 + 6),
        (StreamView::OldImage, true, false, 3 + 5),
        (StreamView::NewAndOldImages, true, true, 3 + 5 + 6),
    ];
    for (view, has_old, has_new, bytes) in cases {
        let text = shown(view, Some(item("o")), Some(item("nn")));
        assert_eq!((text.contains(old), text.contains(new)), (has_old, has_new), "{text}");
        assert!(
            text.contains(&format!(r#""SizeBytes":{bytes},"StreamViewType":"{}""#, view.as_str())),
            "{text}"
        );
        assert!(text.contains(r#""eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-west-1""#));
        assert!(
            text.contains(r#""ApproximateCreationDateTime":1700000000,"Keys":{"id":{"S":"k"}}"#)
        );
        assert!(text.contains(r#""pangea":{"region":"us-east-1","stamp":"s"}"#));
        assert!(!text.contains("userIdentity") && !text.contains("NextShardIterator"));
    }
    assert!(shown(StreamView::KeysOnly, None, Some(item("n"))).contains(r#""eventName":"INSERT""#));
    let removed = shown(StreamView::KeysOnly, Some(item("o")), None);
    assert!(removed.contains(r#""eventName":"REMOVE""#));
    let identity = r#""userIdentity":{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#;
    assert!(removed.contains(identity), "{removed}");
}
