use data_encoding::HEXLOWER as HEX;

use super::*;

fn json(hex: &str) -> Result<String, Malformed> {
    let bytes = HEX.decode(hex.as_bytes()).expect("hexadecimal digits");
    to_json(&bytes, Times::Seconds).map(|json| String::from_utf8(json).expect("JSON is text"))
}

/// Examples of RFC 8949, appendix A.
#[test]
fn the_examples_of_the_rfc_are_read() {
    let cases = [
        ("00", "0"),
        ("1864", "100"),
        ("1bffffffffffffffff", "18446744073709551615"),
        ("20", "-1"),
        ("3863", "-100"),
        ("3bffffffffffffffff", "-18446744073709551616"),
        ("f93c00", "1.0"),
        ("f93e00", "1.5"),
        ("f90001", "5.960464477539063e-8"),
        ("f9c400", "-4.0"),
        ("fa47c35000", "100000.0"),
        ("fb3ff199999999999a", "1.1"),
        ("f4", "false"),
        ("f5", "true"),
        ("f6", "null"),
        ("f7", "null"),
        ("c11a514b67b0", "1363896240"),
        ("c1fb41d452d9ec200000", "1363896240.5"),
        ("4401020304", "\"AQIDBA==\""),
        ("62225c", "\"\\\"\\\\\""),
        ("83010203", "[1,2,3]"),
        ("a26161016162820203", "{\"a\":1,\"b\":[2,3]}"),
        ("5f42010243030405ff", "\"AQIDBAU=\""),
        ("7f657374726561646d696e67ff", "\"streaming\""),
        ("9f018202039f0405ffff", "[1,[2,3],[4,5]]"),
        ("bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"),
    ];
    for (hex, text) in cases {
        assert_eq!(json(hex).as_deref(), Ok(text), "{hex}");
    }
}

#[test]
fn what_is_no_request_is_refused() {
    for (hex, why) in [
        ("", Malformed::Length),
        ("0000", Malformed::Length),
        ("18", Malformed::Length),
        ("5bffffffffffffffff00", Malformed::Length),
        ("9b7fffffffffffffff", Malformed::Length),
        ("1c", Malformed::Kind),
        ("1f", Malformed::Kind),
        ("ff", Malformed::Kind),
        ("f8ff", Malformed::Kind),
        ("5f6161ff", Malformed::Kind),
        ("61ff", Malformed::Text),
        ("a10101", Malformed::Text),
        ("a140f5", Malformed::Text),
    ] {
        assert_eq!(json(hex), Err(why), "{hex}");
    }
    assert_eq!(json(&"81".repeat(100_000)), Err(Malformed::Depth));
    assert_eq!(json(&"c1".repeat(100_000)), Err(Malformed::Depth));
}

#[test]
fn the_model_says_what_is_binary_and_what_is_a_time() {
    let shape = Shapes::get().response("GetItem");
    let text = r#"{"Item":{"B":{"B":"AQI="},"S":{"S":"AQI="},"BS":{"BS":["AQI="]}}}"#;
    let cbor = from_json(text.as_bytes(), shape, Times::Seconds).expect("it is JSON");
    let expected = "bf644974656dbf6142bf6142420102ff6153bf61536441514 93dff6242 53bf624253\
                    9f420102ffffffff";
    assert_eq!(HEX.encode(&cbor), expected.replace(' ', ""));
    let shape = Shapes::get().response("DescribeTable");
    let text = r#"{"Table":{"CreationDateTime":1.5,"ItemCount":-3,"TableName":null}}"#;
    let cbor = from_json(text.as_bytes(), shape, Times::Seconds).expect("it is JSON");
    let back = to_json(&cbor, Times::Seconds).expect("it is CBOR");
    assert_eq!(std::str::from_utf8(&back), Ok(text));
    let time = HEX.encode(&cbor);
    assert!(time.contains("4372656174696f6e4461746554696d65c1fb3ff8000000000000"), "{time}");
}

#[test]
fn noise_never_panics() {
    let mut state = 0x9e37_79b9_u32;
    for _ in 0..20_000 {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let length = usize::from(next()) % 40;
        let bytes: Vec<u8> = (0..length).map(|_| next()).collect();
        if let Ok(json) = to_json(&bytes, Times::Seconds) {
            let cbor = from_json(&json, None, Times::Seconds);
            assert!(cbor.is_ok_and(|cbor| to_json(&cbor, Times::Seconds).is_ok()), "{bytes:?}");
        }
    }
}

#[test]
fn times_may_be_whole_milliseconds() {
    let json = br#"{"Table":{"CreationDateTime":1795733251.287,"ItemCount":3}}"#;
    let shape = Shapes::get().response("DescribeTable");
    let cbor = from_json(json, shape, Times::Milliseconds).expect("it is JSON");
    let moment = [&[0xc1, 0x1b][..], &1_795_733_251_287_u64.to_be_bytes()].concat();
    assert!(cbor.windows(moment.len()).any(|bytes| bytes == moment), "{cbor:02x?}");
    assert_eq!(to_json(&cbor, Times::Milliseconds).ok().as_deref(), Some(json.as_slice()));
}

/// As scores of searches are: the nearest number, not one beside it.
#[test]
fn fractions_are_what_the_text_says() {
    for text in ["0.14250707626342773", "0.02985749952495098", "1795809263.2", "1e-7"] {
        let number: f64 = text.parse().expect("it is a number");
        let cbor = from_json(text.as_bytes(), None, Times::Seconds).expect("it is JSON");
        assert_eq!(cbor, [&[0xfb][..], &number.to_bits().to_be_bytes()].concat(), "{text}");
    }
}
