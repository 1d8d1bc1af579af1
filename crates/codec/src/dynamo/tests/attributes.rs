use std::collections::BTreeMap;

use pangea_core::item::{AttributeValue, Attributes, Number};

use super::Dice;
use crate::dynamo::{attributes_to_json, decode_attributes};

fn text(json: &str) -> String {
    match decode_attributes(json.as_bytes()) {
        Ok(item) => String::from_utf8(attributes_to_json(&item)).expect("JSON is UTF-8"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_are_read_and_written_back() {
    for (json, expected) in [
        ("{}", "{}"),
        (r#" { "a" : { "S" : "x\"\u00e9\ud83d\ude00" } } "#, r#"{"a":{"S":"x\"é😀"}}"#),
        (r#"{"a":{"S":""},"b":{"B":""}}"#, r#"{"a":{"S":""},"b":{"B":""}}"#),
        (r#"{"a":{"N":"1.50e3"}}"#, r#"{"a":{"N":"1500"}}"#),
        (r#"{"a":{"B":"AQID"}}"#, r#"{"a":{"B":"AQID"}}"#),
        (r#"{"a":{"BOOL":false},"b":{"NULL":true}}"#, r#"{"a":{"BOOL":false},"b":{"NULL":true}}"#),
        (r#"{"a":{"SS":["b","a"]}}"#, r#"{"a":{"SS":["a","b"]}}"#),
        (
            r#"{"a":{"NS":["10","9","1e1000000e"]}}"#,
            "ValidationException: The parameter cannot be converted to a numeric value: 1e1000000e",
        ),
        (r#"{"a":{"NS":["10","9"]}}"#, r#"{"a":{"NS":["9","10"]}}"#),
        (r#"{"a":{"BS":["Ag==","AQ=="]}}"#, r#"{"a":{"BS":["AQ==","Ag=="]}}"#),
        (r#"{"a":{"L":[{"M":{"b":{"L":[]}}}]}}"#, r#"{"a":{"L":[{"M":{"b":{"L":[]}}}]}}"#),
        // Null members count as absent, unknown ones are ignored.
        (r#"{"a":{"S":"x","N":null,"X":[1,{}]}}"#, r#"{"a":{"S":"x"}}"#),
    ] {
        assert_eq!(text(json), expected, "{json}");
    }
}

#[test]
fn wrong_values_are_refused_in_dynamodb_words() {
    let empty = "ValidationException: Supplied AttributeValue is empty, must contain exactly one \
        of the supported datatypes";
    let many = "ValidationException: Supplied AttributeValue has more than one datatypes set, \
        must contain exactly one of the supported datatypes";
    let invalid = "ValidationException: One or more parameter values were invalid: ";
    for (value, message) in [
        ("{}", empty.to_owned()),
        (r#"{"S":null}"#, empty.to_owned()),
        (r#"{"X":"y"}"#, empty.to_owned()),
        (r#"{"S":"x","N":"1"}"#, many.to_owned()),
        (
            r#"{"NULL":false}"#,
            format!(
                "{invalid}Null attribute value types must have the value \
            of true"
            ),
        ),
        (r#"{"SS":[]}"#, format!("{invalid}An string set  may not be empty")),
        (r#"{"NS":[]}"#, format!("{invalid}An number set  may not be empty")),
        (r#"{"BS":[]}"#, format!("{invalid}Binary sets should not be empty")),
        (
            r#"{"SS":["a","a"]}"#,
            format!(r#"{invalid}Input collection ["a", "a"] contains duplicates."#),
        ),
        (
            r#"{"BS":["AQ==","AQ=="]}"#,
            format!(r#"{invalid}Input collection ["AQ==","AQ=="]of type BS contains duplicates."#),
        ),
        (
            r#"{"SS":["a",null]}"#,
            format!("{invalid}An string set may not have a null string as a member"),
        ),
        (r#"{"NS":["1","1.0"]}"#, format!("{invalid}Input collection contains duplicates.")),
        (
            r#"{"N":"x"}"#,
            "ValidationException: The parameter cannot be converted to a numeric \
            value: x"
                .to_owned(),
        ),
        (
            r#"{"N":""}"#,
            "ValidationException: The parameter cannot be converted to a numeric value: "
                .to_owned(),
        ),
        (
            r#"{"N":"1e126"}"#,
            "ValidationException: Number overflow. Attempting to store a number \
            with magnitude larger than supported range"
                .to_owned(),
        ),
    ] {
        assert_eq!(text(&format!(r#"{{"a":{value}}}"#)), message, "{value}");
    }
}

#[test]
fn a_value_that_is_null_says_nothing() {
    let empty = "ValidationException: Supplied AttributeValue is empty, must contain exactly one \
                 of the supported datatypes";
    for json in [r#"{"a":null}"#, r#"{"a":{"L":[null]}}"#, r#"{"a":{}}"#] {
        assert_eq!(text(json), empty, "{json}");
    }
    for flag in ["t", "YES", "y", "1"] {
        let json = format!(r#"{{"a":{{"BOOL":"{flag}"}}}}"#);
        assert_eq!(text(&json), r#"{"a":{"BOOL":true}}"#);
    }
}

#[test]
fn wrong_json_is_a_serialization_exception() {
    for json in [
        "",
        "{",
        "[]",
        "null",
        "{} {}",
        r#"{"a":"x"}"#,
        r#"{"a":{"S":5}}"#,
        r#"{"a":{"N":5}}"#,
        r#"{"a":{"BOOL":"maybe"}}"#,
        r#"{"a":{"SS":"x"}}"#,
        r#"{"a":{"L":{}}}"#,
        r#"{"a":{"M":[]}}"#,
        r#"{"a":{"SS":[1]}}"#,
        r#"{"a":{"B":"AQI"}}"#,
        r#"{"a":{"B":"AQJ="}}"#,
        r#"{"a":{"B":"*"}}"#,
        "{\"a\":{\"S\":\"\u{1}\"}}",
        r#"{"a":{"S":"\ud800"}}"#,
    ] {
        assert!(text(json).starts_with("SerializationException"), "{json}: {}", text(json));
    }
    let bytes = decode_attributes(b"{\"a\":{\"S\":\"\xff\"}}");
    assert!(bytes.is_err_and(|error| error.status() == 400));
}

#[test]
fn nesting_is_limited() {
    let nest = |depth: usize| {
        format!(r#"{{"a":{}{{"NULL":true}}{}}}"#, r#"{"L":["#.repeat(depth), "]}".repeat(depth))
    };
    assert!(decode_attributes(nest(31).as_bytes()).is_ok());
    assert!(text(&nest(32)).contains("Nesting Levels have exceeded supported limits"));
    assert!(text(&nest(100_000)).contains("Nesting Levels"));
}

fn value(dice: &mut Dice, depth: usize) -> AttributeValue {
    let kinds = if depth == 0 { 8 } else { 10 };
    let word = |dice: &mut Dice| -> String {
        (0..dice.below(6))
            .map(|_| ['a', '"', '\\', '\n', 'é', '😀', '\u{7f}'][dice.below(7)])
            .collect()
    };
    let bytes = |dice: &mut Dice| -> Vec<u8> {
        (0..dice.below(6)).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect()
    };
    let number = |dice: &mut Dice| {
        let exponent = i16::try_from(dice.below(200)).expect("small") - 120;
        Number::from_parts(
            i128::try_from(dice.below(1 << 30)).expect("small") - (1 << 29),
            exponent,
        )
        .expect("within range")
    };
    match dice.below(kinds) {
        0 => AttributeValue::S(word(dice)),
        1 => AttributeValue::N(number(dice)),
        2 => AttributeValue::B(bytes(dice)),
        3 => AttributeValue::Bool(dice.below(2) == 0),
        4 => AttributeValue::Null,
        5 => AttributeValue::Ss((0..=dice.below(3)).map(|_| format!("x{}", word(dice))).collect()),
        6 => AttributeValue::Ns((0..=dice.below(3)).map(|_| number(dice)).collect()),
        7 => AttributeValue::Bs((0..=dice.below(3)).map(|_| bytes(dice)).collect()),
        8 => AttributeValue::L((0..dice.below(4)).map(|_| value(dice, depth - 1)).collect()),
        _ => AttributeValue::M(item(dice, depth - 1)),
    }
}

pub(super) fn item(dice: &mut Dice, depth: usize) -> Attributes {
    let names = (0..dice.below(4)).map(|at| format!("n{at}é\""));
    names
        .collect::<Vec<_>>()
        .into_iter()
        .map(|name| (name, value(dice, depth)))
        .collect::<BTreeMap<_, _>>()
}

#[test]
fn what_is_written_is_read_back() {
    let mut dice = Dice(1);
    for _ in 0..5_000 {
        let item = item(&mut dice, 4);
        let json = attributes_to_json(&item);
        assert_eq!(decode_attributes(&json), Ok(item));
        let tree: Result<serde_json::Value, _> = serde_json::from_slice(&json);
        assert!(tree.is_ok_and(|tree| tree.is_object()));
    }
}

#[test]
fn of_attributes_of_one_name_the_last_counts() {
    let json =
        br#"{"b":{"S":"1"},"a":{"S":"1"},"b":{"S":"2"},"c":{"M":{"x":{"N":"1"},"x":{"N":"2"}}}}"#;
    let attributes = decode_attributes(json).expect("values");
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let map = AttributeValue::M([("x".to_owned(), AttributeValue::N(Number::from(2)))].into());
    let expected = [("a", text("1")), ("b", text("2")), ("c", map)];
    assert_eq!(attributes, expected.map(|(name, value)| (name.to_owned(), value)).into());
}
