use alloc::string::{String, ToString};
use alloc::{format, vec};

use super::{item, map, n, placeholders, s};
use crate::expr::{Condition, Kind, Placeholders, Projection};
use crate::item::AttributeValue;

/// Conditions and whether they hold for the item.
const CONDITIONS: &[(&str, bool)] = &[
    ("n5 = :n5", true),
    ("n5 <> :n5", false),
    ("n5 < n7 AND n7 >= n5", true),
    (":n1 < n5", true),
    ("gone = :n5", false),
    ("gone <> :n5", true),
    ("NOT gone = :n5", true),
    ("gone < :n5", false),
    ("n5 = :hello", false),
    ("n5 <> :hello", true),
    ("n5 < :hello", false),
    ("yes = :bool AND nil = :null", true),
    ("tags = :ab", true),
    ("doc.a = :n1 AND arr[0] = :n1 AND arr[2].deep = :n9", true),
    ("#t = :hello", true),
    ("attribute_exists(doc.b.c)", true),
    ("attribute_exists(doc.b.d)", false),
    ("attribute_not_exists(arr[3])", true),
    ("attribute_not_exists(#dot)", true),
    ("attribute_type(#t, :tS) AND attribute_type(n5, :tN)", true),
    ("attribute_type(gone, :tS)", false),
    ("begins_with(#t, :he)", true),
    ("begins_with(bin, :b)", true),
    ("begins_with(n5, :he)", false),
    ("contains(#t, :he)", true),
    ("contains(bin, :b)", true),
    ("contains(tags, :a)", true),
    ("contains(nums, :n1)", true),
    ("contains(arr, :n1)", true),
    ("contains(arr, :n5)", false),
    ("contains(:hello, :he)", true),
    ("size(#t) = :n5", true),
    // Units of UTF-16: one and two.
    ("size(wide) BETWEEN :n1 AND :n5 AND NOT size(wide) IN (:n1, :n5)", true),
    ("size(wide) >= :n5", false),
    ("size(n5) <> :n1", true),
    ("size(tags) > :n1 and size(bin) > :n1", true),
    ("size(n5) > :n1", false),
    ("n5 BETWEEN :n1 AND :n9", true),
    ("n5 between :n9 and n7", false),
    ("#t BETWEEN :he AND :z", true),
    ("n5 IN (:n1, :n5)", true),
    ("n5 IN (:n1)", false),
    // AND binds closer than OR, NOT closer than AND.
    ("n5 = :n5 OR n5 = :n1 AND n5 = :n1", true),
    ("(n5 = :n5 OR n5 = :n1) AND n5 = :n1", false),
    ("NOT n5 = :n1 AND n5 = :n5", true),
    ("NOT (n5 = :n1 OR n5 = :n5)", false),
    ("NOT NOT n5 = :n5", true),
    ("(n5) = (:n5)", true),
    ("n5=:n5 AND\t\nn7>:n5", true),
];

#[test]
fn conditions_hold_as_in_dynamodb() {
    for &(text, expected) in CONDITIONS {
        let condition = Condition::parse(Kind::Condition, text, &mut placeholders());
        let condition = condition.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(condition.matches(Some(&item())), expected, "{text}");
    }
}

#[test]
fn bytes_are_found_as_by_comparing_windows() {
    let pick = |seed: u32, length: u32| -> vec::Vec<u8> {
        (0..length).map(|at| u8::from((seed >> (at % 16)) & 1 == 1)).collect()
    };
    for seed in 0..2_000u32 {
        let (bytes, part) = (pick(seed * 33, 12), pick(seed, seed % 6 + 1));
        let expected = bytes.windows(part.len()).any(|window| window == part);
        let values = map([(":p", AttributeValue::B(part))]);
        let mut placeholders =
            Placeholders::new(None, Some(values)).expect("placeholders of the test's own");
        let condition = Condition::parse(Kind::Condition, "contains(b, :p)", &mut placeholders);
        let item = map([("b", AttributeValue::B(bytes))]);
        assert_eq!(condition.map(|c| c.matches(Some(&item))), Ok(expected), "{seed}");
    }
}

#[test]
fn an_absent_item_has_no_attributes() {
    for (text, expected) in
        [("attribute_not_exists(id)", true), ("attribute_exists(id)", false), ("n5 = :n5", false)]
    {
        let condition = Condition::parse(Kind::Condition, text, &mut placeholders());
        assert_eq!(condition.map(|condition| condition.matches(None)), Ok(expected), "{text}");
    }
}

/// Wrong conditions and the reasons of their refusals.
const WRONG: &[(&str, &str)] = &[
    ("", "The expression can not be empty;"),
    ("a = = b", "Syntax error; token: \"=\", near: \"= = b\""),
    ("a", "Syntax error; token: \"<EOF>\", near: \"a\""),
    ("a = :n5 AND", "Syntax error; token: \"<EOF>\", near: \"AND\""),
    ("a = :n5 b", "Syntax error; token: \"b\", near: \":n5 b\""),
    ("a = ?", "Syntax error; token: \"?\", near: \"= ?\""),
    ("(a = :n5", "Syntax error; token: \"<EOF>\", near: \":n5\""),
    ("a AND b = :n5", "Syntax error; token: \"AND\", near: \"a AND b\""),
    ("((a = :n5))", "The expression has redundant parentheses;"),
    ("status = :n5", "Attribute name is a reserved keyword; reserved keyword: status"),
    (
        "a = :none",
        "An expression attribute value used in expression is not defined; attribute value: \
                :none",
    ),
    (
        "#none = :n5",
        "An expression attribute name used in the document path is not defined; attribute \
                name: #none",
    ),
    ("foo(a)", "Invalid function name; function: foo"),
    (
        "attribute_exists(a) < :n1",
        "The function is not allowed to be used this way in an expression; \
         function: attribute_exists",
    ),
    (
        "list_append(a, b) = :n1",
        "The function is not allowed in a condition expression; function: list_append",
    ),
    ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
    (
        "a = attribute_exists(b)",
        "The function is not allowed to be used this way in an expression; function: \
                attribute_exists",
    ),
    (
        "begins_with(a)",
        "Incorrect number of operands for operator or function; operator or function: \
                begins_with, number of operands: 1",
    ),
    (
        "begins_with(a, :n5)",
        "Incorrect operand type for operator or function; operator or function: begins_with, \
                operand type: N",
    ),
    (
        "a < :bool",
        "Incorrect operand type for operator or function; operator or function: <, operand \
                type: BOOL",
    ),
    (
        "size(:n5) = :n5",
        "Incorrect operand type for operator or function; operator or function: size, \
                operand type: N",
    ),
    (
        "attribute_exists(:n5)",
        "Operator or function requires a document path; operator or function: attribute_exists",
    ),
    (
        "attribute_type(a, :a)",
        "Invalid attribute type name found; type: a, valid types: \
                {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
    ),
    (
        "a = a",
        "The first operand must be distinct from the remaining operands for this operator or \
                function; operator: =, first operand: [a]",
    ),
    (
        "a BETWEEN :n9 AND :n1",
        "The BETWEEN operator requires upper bound to be greater than or equal to lower \
                bound; lower bound operand: AttributeValue: {N:9}, upper bound operand: \
                AttributeValue: {N:1}",
    ),
    (
        "a BETWEEN :n9 AND :a",
        "The BETWEEN operator requires same data type for lower and upper bounds; lower \
                bound operand: AttributeValue: {N:9}, upper bound operand: AttributeValue: {S:a}",
    ),
    // Syntax errors come before all others.
    ("status = :none AND", "Syntax error; token: \"<EOF>\", near: \"AND\""),
    (
        "a[99999999999999999999] = :n5",
        "List index is not within the allowable range; index: [99999999999999999999]",
    ),
];

#[test]
fn wrong_conditions_are_refused_in_dynamodb_words() {
    for &(text, reason) in WRONG {
        let error = Condition::parse(Kind::Filter, text, &mut placeholders()).err();
        let error = error.map(|error| error.to_string());
        assert_eq!(error, Some(format!("Invalid FilterExpression: {reason}")), "{text}");
    }
}

#[test]
fn texts_beyond_the_limits_are_refused() {
    let long = format!("{} = :n5", "a".repeat(5000));
    let many = vec!["a = :n5"; 301].join(" OR ");
    let deep = format!("{}a = :n5{}", "NOT (".repeat(300), ")".repeat(300));
    let nots = format!("{}a = :n5", "NOT ".repeat(300));
    let path = format!("a{} = :n5", ".a".repeat(33));
    let sizes = format!("{}a{} = :n5", "size(".repeat(200), ")".repeat(200));
    for text in [long, many, deep, nots, path, sizes] {
        let parsed = Condition::parse(Kind::Condition, &text, &mut placeholders());
        assert!(parsed.is_err(), "{text}");
    }
    let wide = vec!["a = :n5"; 150].join(" OR ");
    assert!(Condition::parse(Kind::Condition, &wide, &mut placeholders()).is_ok());
}

/// As deep as DynamoDB takes them, on half the stack of the threads that serve requests.
#[test]
fn deep_texts_are_taken_and_deeper_ones_are_redundant() {
    let check = || {
        for (inner, times) in [("NOT (", 299), ("NOT ", 299), ("(a <> :n5 AND ", 149)] {
            let ends = if inner.contains('(') { ")".repeat(times) } else { String::new() };
            let text = format!("{}n5 = :n5{ends}", inner.repeat(times));
            let parsed = Condition::parse(Kind::Filter, &text, &mut placeholders());
            let holds = parsed.expect(&text).matches(Some(&item()));
            assert_eq!(holds, inner.starts_with('('), "{inner}");
        }
        for times in [2, 300, 2000] {
            let text = format!("{}a = :n5{}", "(".repeat(times), ")".repeat(times));
            let error = Condition::parse(Kind::Filter, &text, &mut placeholders()).err();
            let message = "Invalid FilterExpression: The expression has redundant parentheses;";
            assert_eq!(error.map(|error| error.to_string()), Some(message.into()), "{times}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(check);
    thread.expect("a thread").join().expect("no text is too deep for it");
}

#[test]
fn projections_select_as_in_dynamodb() {
    let cases = [
        ("#t", map([("text", s("hello"))])),
        ("gone", map([])),
        ("n5, n7", map([("n5", n(5)), ("n7", n(7))])),
        ("arr[2], arr[0]", {
            let deep = AttributeValue::M(map([("deep", n(9))]));
            map([("arr", AttributeValue::L(vec![n(1), deep]))])
        }),
        ("doc.b.c, doc.gone", {
            let b = AttributeValue::M(map([("c", n(2))]));
            map([("doc", AttributeValue::M(map([("b", b)])))])
        }),
        ("arr[9], n5.x, #dot", map([])),
    ];
    for (text, expected) in cases {
        let projection = Projection::parse(text, &mut placeholders());
        assert_eq!(projection.map(|projection| projection.apply(&item())), Ok(expected), "{text}");
    }
}

#[test]
fn overlapping_projections_are_refused() {
    let tail = |how: &str, one: &str, two: &str| {
        format!(
            "Invalid ProjectionExpression: Two document paths {how} with each other; must remove \
                or rewrite one of these paths; path one: {one}, path two: {two}"
        )
    };
    for (text, how, one, two) in [
        ("a, a", "overlap", "[a]", "[a]"),
        ("b[1], b.a, a.b, a", "overlap", "[a, b]", "[a]"),
        ("b[1], b.a, a.b", "conflict", "[b, [1]]", "[b, a]"),
        ("a.b, a", "overlap", "[a, b]", "[a]"),
        ("a, a[1]", "overlap", "[a]", "[a, [1]]"),
        ("a.b[1], a[1]", "conflict", "[a, b, [1]]", "[a, [1]]"),
    ] {
        let error = Projection::parse(text, &mut placeholders()).err();
        assert_eq!(error.map(|error| error.to_string()), Some(tail(how, one, two)), "{text}");
    }
}
