//! What is read in one pass is what is read in the general way.

use std::path::Path;

use super::super::Members;
use super::*;

/// What is read of a body in one pass, after a comparison with the general way.
fn read(body: &str) -> Option<String> {
    let plain = format!("{:?}", parse(body, Layer::Current)?);
    let mut general = serde_json::Deserializer::from_str(body);
    let general = Members::read(&mut general, body.as_bytes(), Layer::Current);
    let general = general.unwrap_or_else(|error| panic!("{body}: {error:?}"));
    assert!(!general.older && general.refused.is_none() && general.path.is_empty(), "{body}");
    assert_eq!(plain, format!("{:?}", general.nodes), "{body}");
    Some(plain)
}

#[test]
fn most_bodies_are_read_in_one_pass() {
    let many = r#"{"Key": {"pk": {"S": "ä\u0041"}}}"#;
    for (body, is_plain) in [
        (r#"{"TableName":"t","Item":{"pk":{"S":"a"},"n":{"N":"-1.5e3"},"b":{"B":"AAE="}}}"#, true),
        (
            r#" {"Item" : { "m": {"M" : {"l": {"L": [ {"BOOL":true} , {"NULL":true}, {"L":[]}]}}} } } "#,
            true,
        ),
        (
            r#"{"Key":{"a":{"S":"1"},"a":{"S":"2"}},"Limit":10,"X":{"Y":[1,{"Z":null}],"W":false}}"#,
            true,
        ),
        (r#"{"Item":{"a":{"S":"über 漢字 and some more that is long enough"}}}"#, true),
        (r#"{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"a"}}}}]}}"#, true),
        ("{}", true),
        (many, false),
        (r#"{"Item":{"a":{"S":"1","N":"1"}}}"#, false),
        (r#"{"Item":{"a":{}}}"#, false),
        (r#"{"Item":{"a":{"N":"x"}}}"#, false),
        (r#"{"Item":{"":{"S":"x"}}}"#, false),
        (r#"{"Item":{"a":{"BOOL":"true"}}}"#, false),
        (r#"{"Item":{"a":{"NULL":false}}}"#, false),
        (r#"{"Limit":1.5}"#, false),
        (r#"{"Limit":01}"#, false),
        (r#"{"Limit":1234567890123456789}"#, false),
        ("{\"a\":\"\n\"}", false),
        ("{} x", false),
        ("[]", false),
        ("", false),
    ] {
        assert_eq!(read(body).is_some(), is_plain, "{body}");
    }
    let deep = format!("{{\"Item\":{{\"a\":{}{}}}}}", r#"{"L":["#.repeat(40), "]}".repeat(40));
    assert!(read(&deep).is_none());
}

/// Each body of the corpus, and what it is with a byte less or another one.
#[test]
fn what_is_almost_a_body_is_read_alike() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz-corpus/body");
    let (mut plain, mut bodies) = (0, 0);
    for file in std::fs::read_dir(corpus).expect("it is in the repository").flatten() {
        let body = std::fs::read(file.path()).expect("it can be read");
        let mut all = vec![body.clone()];
        for at in 0..body.len() {
            let mut less = body.clone();
            less.remove(at);
            all.push(less);
            for byte in *b"\"\\{}[],: 0a\x01" {
                let mut other = body.clone();
                other[at] = byte;
                all.push(other);
            }
        }
        for body in all.iter().filter_map(|body| str::from_utf8(body).ok()) {
            bodies += 1;
            plain += usize::from(read(body).is_some());
        }
    }
    assert!(plain > 1000 && plain < bodies, "{plain} of {bodies}");
}

#[test]
fn a_text_ends_with_a_quote_and_has_nothing_odd() {
    for len in 0..20 {
        for odd in 0..=u8::MAX {
            let mut bytes = vec![b'a'; len];
            bytes.extend([odd, 0xff, b'!', b' ', 0x80, b'"', 0x1f, b'\\', b'"']);
            let expected = match odd {
                b'"' => Some(len),
                b'\\' | ..b' ' => None,
                _ => Some(len + 5),
            };
            assert_eq!(plain_len(&bytes), expected, "{odd} at {len}");
        }
    }
    assert_eq!(plain_len(b"no end"), None);
}
