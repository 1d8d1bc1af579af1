//! Statements of right syntax that are refused, in the words that the service was measured to say
//! in October 2026 (by dynoxide's authors, in two regions).

use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use super::message;
use crate::partiql::{Statement, parse};

const INSERT: &str = "INSERT INTO T VALUE {'pk': 'a', ";
const BAG: &str =
    "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags";
const DISTINCT: &str = "The first operand must be distinct from the remaining operands for this \
                        operator or function; operator";

#[test]
fn what_is_no_statement_is_named() {
    for (text, reason) in [
        ("FOO", "Unsupported operation: Id"),
        ("FOO.BAR", "Unsupported operation: Path"),
        ("[1]", "Unsupported operation: List"),
        ("{'a': 1}", "Unsupported operation: Struct"),
        ("'x'", "Unsupported operation: Lit"),
        ("x IS NULL", "Unsupported operation: IsType"),
        ("1 + 1", "EXISTS can only be used in ExecuteTransaction write requests."),
        ("FOO(1)", "EXISTS can only be used in ExecuteTransaction write requests."),
        ("REMOVE a", "Only select from a single table or index is supported."),
        ("SET a = 1", "Only select from a single table or index is supported."),
    ] {
        assert_eq!(message(text), reason, "{text}");
    }
}

#[test]
fn conditions() {
    let many = format!("{} = 1", vec!["n = 1 AND n"; 150].join(" = 1 AND n"));
    let listed = format!("n IN [{}]", vec!["1"; 101].join(","));
    for (condition, reason) in [
        (
            "pk = 'a' AND x BETWEEN 2 AND 1",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
             lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
        ),
        ("x = MISSING", "MISSING must be compared using IS operator"),
        ("size(x)", "WHERE clause must contain an expression that resolves to a boolean"),
        ("x IN [1, x]", &format!("{DISTINCT}: IN, first operand: [x]")),
        ("m.x = m.x", &format!("{DISTINCT}: =, first operand: [m, x]")),
        ("x BETWEEN 1 AND x", &format!("{DISTINCT}: BETWEEN, first operand: [x]")),
        ("EXISTS(SELECT * FROM T)", "Unsupported token in expression: SELECT at 1:30:6"),
        (
            "pk = 'a' ORDER BY m.x",
            "Argument to ORDER BY must be of type VariableReference. Type: PATH at 1:41:1",
        ),
        (&many, "The expression contains too many operators; operator count: 301"),
        (&listed, "The IN operator is provided with too many operands; number of operands: 101"),
    ] {
        assert_eq!(message(&format!("SELECT * FROM T WHERE {condition}")), reason, "{condition}");
    }
}

/// What a statement wants of an index is told after what is wrong with the index, so it waits.
#[test]
fn a_projection_that_is_no_path() {
    let count = "Unexpected path component at 1:8:5";
    for table in ["T", "T.i"] {
        let text = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(message(&text), count, "{text}");
    }
    let refusal = |text: &str| match parse(text, vec![]) {
        Ok(Statement::Select(select)) => select.refusal().map(ToString::to_string),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal("SELECT COUNT(*) FROM T.i"), Some(count.to_string()));
    assert_eq!(refusal("SELECT n FROM T.i"), None);
    // What is wrong before it is told before it.
    assert_eq!(message("SELECT 1e126, COUNT(*) FROM T.i").split(' ').next(), Some("Number"));
}

#[test]
fn values_and_keys() {
    let invalid = "One or more parameter values were invalid:";
    for (text, reason) in [
        (format!("{INSERT}'s': <<'x', 1>>}}"), format!("{BAG} at 1:45:1")),
        (format!("{INSERT}'s': <<TRUE>>}}"), format!("{BAG} at 1:40:4")),
        (format!("{INSERT}'s': <<1, 'x'>>}}"), BAG.into()),
        (
            format!("{INSERT}'s': <<1, NULL>>}}"),
            format!("{invalid} Numeric sets may not contain null under root"),
        ),
        (
            format!("{INSERT}'m': {{'s': <<1, 1>>}}}}"),
            format!("{invalid} Input collection [1, 1] contains duplicates! under root.s"),
        ),
        (format!("{INSERT}'': 1}}"), "Path component cannot be an empty string".into()),
        (
            "UPDATE T SET l = list_append(l, 7) WHERE pk = 'a'".into(),
            "Incorrect operand type for operator or function; operator or function: list_append, \
             operand type: N"
                .into(),
        ),
        (
            "UPDATE T SET m.x = 1, m = {} WHERE pk = 'a'".into(),
            "Two document paths overlap with each other; must remove or rewrite one of these \
             paths; path one: [m, x], path two: [m]"
                .into(),
        ),
        (
            "DELETE FROM T WHERE pk = 'a' AND pk = 'b'".into(),
            "Multiple conditions on same key pk. Only single item Update/Insert/Delete are \
             supported"
                .into(),
        ),
        (
            format!("SELECT * FROM T WHERE pk = '{}'", "x".repeat(2049)),
            format!("{invalid} Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ),
    ] {
        assert_eq!(message(&text), reason, "{text}");
    }
}
