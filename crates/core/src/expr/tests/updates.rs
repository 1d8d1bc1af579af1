use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{item, l, map, n, placeholders, s, ss};
use crate::expr::{Placeholders, Update, UpdateError};
use crate::item::{AttributeValue, Attributes, Number};

/// The parts of the item that differ after the update: new values, or `None` where it is gone.
fn differences(text: &str) -> Result<Vec<(String, Option<AttributeValue>)>, String> {
    let update = Update::parse(text, &mut placeholders()).map_err(|error| error.to_string())?;
    let before = item();
    let after = update.apply(&before).map_err(|error| error.to_string())?;
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    Ok(changed.map(|name| (name.clone(), after.get(name).cloned())).collect())
}

#[test]
fn updates_change_items_as_in_dynamodb() {
    let deep = || AttributeValue::M(map([("deep", n(9))]));
    let doc = |a: AttributeValue| {
        let b = AttributeValue::M(map([("c", n(2))]));
        AttributeValue::M(map([("a", a), ("b", b)]))
    };
    let cases = [
        ("SET n5 = :n9", ("n5", Some(n(9)))),
        ("set fresh = :list", ("fresh", Some(l(&[n(8)])))),
        ("SET n5 = n5 + :n1", ("n5", Some(n(6)))),
        ("SET n5 = n7 - n5", ("n5", Some(n(2)))),
        ("SET n5 = (n5 + :n1)", ("n5", Some(n(6)))),
        ("SET fresh = if_not_exists(fresh, :n1) + :n5", ("fresh", Some(n(6)))),
        ("SET n5 = if_not_exists(n7, :n1)", ("n5", Some(n(7)))),
        ("SET doc.a = :he", ("doc", Some(doc(s("he"))))),
        ("SET arr = list_append(arr, :list)", ("arr", Some(l(&[n(1), s("x"), deep(), n(8)])))),
        ("SET arr = list_append(:list, arr)", ("arr", Some(l(&[n(8), n(1), s("x"), deep()])))),
        (
            "SET fresh = list_append(if_not_exists(fresh, :list), :list)",
            ("fresh", Some(l(&[n(8), n(8)]))),
        ),
        ("SET arr[1] = :n9", ("arr", Some(l(&[n(1), n(9), deep()])))),
        ("SET arr[9] = :n9, arr[7] = :n1", ("arr", Some(l(&[n(1), s("x"), deep(), n(1), n(9)])))),
        ("REMOVE n5", ("n5", None)),
        ("REMOVE arr[0], arr[1]", ("arr", Some(l(&[deep()])))),
        ("REMOVE arr[0] SET arr[1] = :n9", ("arr", Some(l(&[n(9), deep()])))),
        ("SET arr[9] = :n9 REMOVE arr[3]", ("arr", Some(l(&[n(1), s("x"), deep(), n(9)])))),
        (
            "REMOVE doc.b.c",
            ("doc", Some(AttributeValue::M(map([("a", n(1)), ("b", AttributeValue::M(map([])))])))),
        ),
        ("ADD n5 :n1", ("n5", Some(n(6)))),
        ("ADD fresh :n1", ("fresh", Some(n(1)))),
        ("ADD doc.a :n1", ("doc", Some(doc(n(2))))),
        ("ADD tags :ss", ("tags", Some(ss(&["a", "b", "c"])))),
        ("ADD fresh :ss", ("fresh", Some(ss(&["b", "c"])))),
        ("DELETE tags :ss", ("tags", Some(ss(&["a"])))),
        ("DELETE tags :ab", ("tags", None)),
    ];
    for (text, (name, value)) in cases {
        assert_eq!(differences(text), Ok(Vec::from([(name.to_string(), value)])), "{text}");
    }
    for text in
        ["REMOVE gone", "REMOVE arr[9]", "REMOVE doc.x", "DELETE gone :ss", "DELETE doc.x :ss"]
    {
        assert_eq!(differences(text), Ok(Vec::new()), "{text}");
    }
}

#[test]
fn operands_read_the_item_before_the_update() {
    let swapped = Vec::from([("n5".to_string(), Some(n(7))), ("n7".to_string(), Some(n(5)))]);
    assert_eq!(differences("SET n5 = n7, n7 = n5"), Ok(swapped));
    let moved = Vec::from([("fresh".to_string(), Some(n(5))), ("n5".to_string(), None)]);
    assert_eq!(differences("REMOVE n5 SET fresh = n5"), Ok(moved));
}

#[test]
fn updates_that_do_not_fit_the_item_are_refused() {
    let missing = "The provided expression refers to an attribute that does not exist in the item";
    let path = "The document path provided in the update expression is invalid for update";
    let operand = "An operand in the update expression has an incorrect data type";
    for (text, message) in [
        ("SET a = gone", missing),
        ("SET a = gone + :n1", missing),
        ("SET a.b = :n1", path),
        ("SET n5.b = :n1", path),
        ("SET doc[0] = :n1", path),
        ("REMOVE gone.x", path),
        ("REMOVE n5[0]", path),
        ("ADD gone.x :n1", path),
        ("DELETE gone.x :ss", path),
        ("DELETE n5.x :ss", path),
        ("DELETE doc[0] :ss", path),
        ("SET a = #t + :n1", operand),
        ("SET a = list_append(n5, :list)", operand),
        ("ADD #t :n1", operand),
        ("ADD tags :n1", operand),
        ("DELETE n5 :ss", operand),
        ("DELETE nums :ss", operand),
    ] {
        assert_eq!(differences(text), Err(message.to_string()), "{text}");
    }
}

/// Wrong updates and the reasons of their refusals.
const WRONG: &[(&str, &str)] = &[
    ("", "The expression can not be empty;"),
    ("x", "Syntax error; token: \"x\", near: \"x\""),
    ("SET", "Syntax error; token: \"<EOF>\", near: \"SET\""),
    ("SET a = :n1,", "Syntax error; token: \"<EOF>\", near: \",\""),
    ("SET a :n1", "Syntax error; token: \":n1\", near: \"a :n1\""),
    ("ADD a b", "Syntax error; token: \"b\", near: \"a b\""),
    ("SET a = :n1 + :n5 + :n9", "Syntax error; token: \"+\", near: \":n5 + :n9\""),
    (
        "SET a = :n1 SET b = :n1",
        "The \"SET\" section can only be used once in an update expression;",
    ),
    ("SET name = :n1", "Attribute name is a reserved keyword; reserved keyword: name"),
    (
        "SET a = :n1, a.b = :n5",
        "Two document paths overlap with each other; must remove or rewrite one of these \
                paths; path one: [a], path two: [a, b]",
    ),
    (
        "SET a.b = :n1 REMOVE a[0]",
        "Two document paths conflict with each other; must remove or rewrite one of these \
                paths; path one: [a, b], path two: [a, [0]]",
    ),
    (
        "ADD a :he",
        "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, \
         typeSet: ALLOWED_FOR_ADD_OPERAND",
    ),
    (
        "DELETE a :n1",
        "Incorrect operand type for operator or function; operator: DELETE, operand type: \
                NUMBER, typeSet: ALLOWED_FOR_ADD_OPERAND",
    ),
    (
        "SET a = :he + :n1",
        "Incorrect operand type for operator or function; operator or function: +, operand \
                type: S",
    ),
    (
        "SET a = list_append(b, :n1)",
        "Incorrect operand type for operator or function; operator or function: list_append, \
                operand type: N",
    ),
    (
        "SET a = if_not_exists(:n1, :n5)",
        "Operator or function requires a document path; operator or function: if_not_exists",
    ),
    (
        "SET a = if_not_exists(b)",
        "Incorrect number of operands for operator or function; operator or function: \
                if_not_exists, number of operands: 1",
    ),
    ("SET a = nope(b)", "Invalid function name; function: nope"),
    (
        "SET a = list_append(b, list_append(c, d))",
        "The function is not allowed to be used this way in an expression; function: list_append",
    ),
    ("SET a = size(b)", "The function is not allowed in an update expression; function: size"),
];

#[test]
fn wrong_updates_are_refused_in_dynamodb_words() {
    for &(text, reason) in WRONG {
        let expected = format!("Invalid UpdateExpression: {reason}");
        assert_eq!(differences(text), Err(expected), "{text}");
    }
}

#[test]
fn a_short_expression_cannot_make_a_large_copy() {
    let values = map([(":v", l(&[s(&"x".repeat(300_000))]))]);
    for text in ["SET a = :v, b = :v", "SET a = list_append(:v, :v)"] {
        let placeholders = Placeholders::new(None, Some(values.clone()));
        let mut placeholders = placeholders.expect("right placeholders");
        let update = Update::parse(text, &mut placeholders).expect("a right update");
        assert_eq!(update.apply(&item()), Err(UpdateError::TooLarge), "{text}");
    }
    let values = map([(":v", s(&"x".repeat(2 * 1024 * 1024)))]);
    assert!(Placeholders::new(None, Some(values)).is_err());
}

#[test]
fn updated_parts_are_those_that_the_update_names() {
    let update = Update::parse("SET doc.a = :n9 REMOVE n5", &mut placeholders());
    let update = update.expect("a right expression");
    let old = map([("doc", AttributeValue::M(map([("a", n(1))]))), ("n5", n(5))]);
    assert_eq!(update.updated_parts(&item()), old);
    let after = update.apply(&item()).expect("a right update");
    let new = map([("doc", AttributeValue::M(map([("a", n(9))])))]);
    assert_eq!(update.updated_parts(&after), new);
    assert_eq!(update.updated_parts(&Attributes::new()), map([]));
    assert!(update.changes("doc") && !update.changes("a"));
}

#[test]
fn an_update_that_is_too_long_is_refused_without_its_size() {
    let text = format!("SET a = {}", "b".repeat(4096));
    let error = Update::parse(&text, &mut Placeholders::default()).expect_err("it is too long");
    assert_eq!(
        error.to_string(),
        "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size;"
    );
}

/// The costs of statements, as they were measured on the service.
#[test]
fn requests_are_charged_for_what_they_write() {
    let text = |length: usize| AttributeValue::S("x".repeat(length));
    let charge = |expression: &str| {
        let values = [(":v", text(10)), (":n", AttributeValue::N(Number::from(1)))];
        let values = values.map(|(name, value)| (name.to_string(), value)).into();
        let mut placeholders = Placeholders::new(None, Some(values)).expect("placeholders");
        Update::parse(expression, &mut placeholders).expect("an update").charge()
    };
    for (expression, bytes) in [
        ("SET b = :v", 3 + 19 + 1 + 10),
        ("SET b = :v, c = :v", 3 + 2 * (19 + 1 + 10)),
        ("SET l[10] = :v", 3 + 19 + 7 + 10),
        ("SET m.a.x = :v", 3 + 19 + 11 + 10),
        ("ADD abcdefghij :n", 3 + 19 + 10 + 2),
        ("REMOVE l[1]", 3 + 1 + 6),
        ("SET c = l[10]", 3 + 19 + 1 + 32),
        ("SET n = n + :n", 3 + 19 + 1 + 34 + 16 + 2),
        ("SET n = n - :n", 3 + 19 + 1 + 37 + 16 + 2),
        ("SET c = if_not_exists(c, :v)", 3 + 19 + 1 + 39 + 16 + 10),
        ("SET l = list_append(l, m.z)", 3 + 19 + 1 + 37 + 16 + 31),
    ] {
        assert_eq!(charge(expression), bytes, "{expression}");
    }
}
