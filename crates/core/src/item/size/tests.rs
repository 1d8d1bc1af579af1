use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;

use super::{ItemError, item_size, validate, value_size};
use crate::item::{AttributeValue, Attributes, Number};

fn n(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).expect("a number of the test's own"))
}

fn item(value: AttributeValue) -> Attributes {
    Attributes::from([(String::from("a"), value)])
}

#[test]
fn counts_as_dynamodb() {
    let cases = [
        (AttributeValue::S("héllo".into()), 6),
        (AttributeValue::S(String::new()), 0),
        (AttributeValue::B(vec![1, 2, 3]), 3),
        (AttributeValue::Null, 1),
        (AttributeValue::Bool(true), 1),
        (n("0"), 1),
        (n("3.14159"), 5),
        (n("100.5"), 4),
        (n("0.0012"), 2),
        (n("1e125"), 2),
        (n("1"), 2),
        (n("12"), 2),
        (n("123"), 3),
        (n("-123"), 4),
        (n("1000000"), 2),
        (AttributeValue::L(vec![]), 3),
        (AttributeValue::L(vec![AttributeValue::Null, AttributeValue::S("ab".into())]), 8),
        (AttributeValue::M(item(AttributeValue::Null)), 6),
        (AttributeValue::Ss(BTreeSet::from(["a".into(), "bc".into()])), 3),
    ];
    for (value, bytes) in cases {
        assert_eq!(value_size(&value), bytes, "{value:?}");
        assert_eq!(item_size(&item(value)), bytes + 1);
    }
}

#[test]
fn refuses_what_may_not_be_stored() {
    let text = |bytes: usize| item(AttributeValue::S("x".repeat(bytes)));
    assert_eq!(validate(&text(400 * 1024 - 1)), Ok(()));
    assert_eq!(validate(&text(400 * 1024)), Err(ItemError::TooLarge));
    let empty = AttributeValue::L(vec![AttributeValue::Ss(BTreeSet::new())]);
    assert_eq!(validate(&item(empty)), Err(ItemError::EmptyStringSet));
    let nest = |depth: usize| {
        (0..depth).fold(AttributeValue::Null, |inner, _| AttributeValue::L(vec![inner]))
    };
    assert_eq!(validate(&item(nest(31))), Ok(()));
    assert_eq!(validate(&item(nest(32))), Err(ItemError::TooDeep));
}
