//! No body makes a decoder panic.

use super::{Dice, attributes};
use crate::dynamo::request::{Operation, decode};
use crate::dynamo::{attributes_to_json, decode_attributes};

const BODIES: [&str; 7] = [
    r##"{"TableName":"music","Key":{"id":{"S":"k"},"seq":{"N":"1"}},"Item":{"id":{"S":"k"}},
        "UpdateExpression":"SET #a = a + :v REMOVE b[0]","ConditionExpression":"size(a) > :v",
        "ProjectionExpression":"a.b","ExpressionAttributeNames":{"#a":"x"},
            "ExpressionAttributeValues":{":v":{"N":"1"}},"ReturnValues":"ALL_OLD"}"##,
    r#"{"TableName":"music","KeyConditionExpression":"id = :p","FilterExpression":"a = :p",
        "ExpressionAttributeValues":{":p":{"S":"k"}},"Limit":7,"Segment":0,"TotalSegments":4,
        "ExclusiveStartKey":{"id":{"B":"AQ=="}}}"#,
    r#"{"RequestItems":{"music":[{"PutRequest":{"Item":{"id":{"S":"k"}}}},
        {"DeleteRequest":{"Key":{"id":{"L":[{"M":{}}]}}}}]}}"#,
    r#"{"RequestItems":{"music":{"Keys":[{"id":{"SS":["k"]}}],"ProjectionExpression":"a",
        "ConsistentRead":true}}}"#,
    r#"{"TableName":"music","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],
        "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}"#,
    r#"{"TableName":"music","ReplicaUpdates":[{"Create":{"RegionName":"eu"}}],
        "StreamSpecification":{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"},
        "ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}"#,
    r#"{"TransactItems":[{"Put":{"TableName":"music","Item":{"id":{"S":"k"}}}},
        {"ConditionCheck":{"TableName":"music","Key":{"id":{"S":"l"}},
            "ConditionExpression":"a = :v","ExpressionAttributeValues":{":v":{"N":"1"}}}},
        {"Get":{"TableName":"music","Key":{"id":{"S":"k"}}}}],"ClientRequestToken":"t"}"#,
];

fn mutate(dice: &mut Dice, body: &mut Vec<u8>) {
    for _ in 0..=dice.below(4) {
        if body.is_empty() {
            return;
        }
        let (at, from) = (dice.below(body.len()), dice.below(body.len()));
        match dice.below(6) {
            0 => body.truncate(at),
            1 => drop(body.remove(at)),
            2 => body.insert(at, b"{}[]\",:\\0-e\xff\xc3"[dice.below(13)]),
            3 => body[at] = u8::try_from(dice.below(256)).expect("a byte"),
            4 => body[at] = body[from],
            _ => {
                let piece = body[at.min(from)..at.max(from)].to_vec();
                body.splice(at..at, piece);
            }
        }
    }
}

#[test]
fn mutated_requests_never_panic() {
    let mut dice = Dice(2);
    for _ in 0..20_000 {
        let mut body = BODIES[dice.below(BODIES.len())].as_bytes().to_vec();
        mutate(&mut dice, &mut body);
        for operation in Operation::ALL {
            if let Err(error) = decode(operation, &body) {
                assert!(error.status() == 400 && !error.body().is_empty());
            }
        }
    }
}

#[test]
fn mutated_items_never_panic() {
    let mut dice = Dice(4);
    for _ in 0..20_000 {
        let mut json = attributes_to_json(&attributes::item(&mut dice, 3));
        mutate(&mut dice, &mut json);
        if let Ok(item) = decode_attributes(&json) {
            assert_eq!(decode_attributes(&attributes_to_json(&item)), Ok(item));
        }
    }
}

#[test]
fn deep_and_strange_bodies_never_panic() {
    for piece in
        ["[", "{\"a\":", "{\"Item\":{\"a\":", "{\"RequestItems\":{\"t\":[", "{\"M\":{\"a\":"]
    {
        let body = piece.repeat(50_000);
        for operation in Operation::ALL {
            assert!(decode(operation, body.as_bytes()).is_err());
        }
    }
}
