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

/// What breaks off, or stands where it may not.
#[test]
fn syntax() {
    for (text, reason) in [
        ("SELECT", "Unexpected term"),
        (
            "SELECT FROM T",
            "Expected identifier or an expression but found unexpected keyword 'from' in a select \
             list.",
        ),
        ("INSERT", "Unexpected keyword"),
        ("DELETE T WHERE pk = 'a'", "Expected FROM after DELETE"),
        ("FROM", "Unexpected term"),
        ("FROM T WHERE SET n = 1", "Expected data manipulation"),
        ("FROM T WHERE pk = 'a'", "Expected data manipulation"),
        ("INSERT INTO T VALUE {'pk': 'a', 'm': {'x': 1}", "Expected RIGHT_CURLY"),
        ("INSERT INTO T VALUE {'pk' 'a'}", "Expected COLON"),
        ("INSERT INTO T VALUE {'pk': 'a', 'l': [1}", "Expected RIGHT_BRACKET"),
        ("INSERT INTO T VALUE {'pk': 'a', 's': <<1}", "Expected RIGHT_DOUBLE_ANGLE_BRACKET"),
        ("SELECT * FROM T WHERE (n = 1", "Expected RIGHT_PAREN"),
        ("SELECT * FROM T WHERE n BETWEEN 1", "Expected AND keyword"),
        ("SELECT * FROM T WHERE n BETWEEN 1 AND", "Expected expression after AND"),
        ("SELECT * FROM T WHERE n <>;", "Missing right-hand side expression of infix operator"),
        ("SELECT * FROM T WHERE x IS DECIMAL(1; 2)", "Expected type name"),
        // Words of SQL are steps where they are quoted.
        ("SELECT m.key FROM T", "Invalid path dot component"),
        ("UPDATE T SET m.Time.x = 1 WHERE pk = 'a'", "Invalid path dot component"),
    ] {
        let malformed = "Statement wasn't well formed, can't be processed: ";
        assert_eq!(message(text), format!("{malformed}{reason}"), "{text}");
    }
    for text in ["SELECT m.\"key\", m.year, l.data FROM T", "SELECT name, count FROM T"] {
        assert_eq!(message(text), "", "{text}");
    }
}

/// Of several things that are wrong, the first of the clause that the service reads first is told.
#[test]
fn what_is_told_first() {
    let known = "Supported data types are [MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, \
                 TUPLE, LIST]";
    let bag = format!("Unsupported data type for IS operator: BagType. {known}");
    let few = "Number of parameters in request and statement don't match.";
    let missing = "MISSING must be compared using IS operator";
    let operand = "Incorrect operand type for operator or function; operator or function";
    for (text, reason) in [
        ("UPDATE T SET s = <<>> WHERE pk = 'a' AND m.x IS BAG", format!("{bag} at 1:42:1")),
        ("UPDATE T SET s = <<>> WHERE pk = ?", "Empty bags are not supported".into()),
        ("UPDATE T SET s = foo(1) WHERE pk = ?", few.into()),
        ("SELECT * FROM T WHERE n < TRUE AND x = MISSING", missing.into()),
        ("SELECT * FROM T WHERE n < TRUE AND x = ?", few.into()),
        (
            "SELECT * FROM T WHERE attribute_exists('x') AND foo(n) = 1",
            "Unrecognized function: foo at 1:49:3".into(),
        ),
        // Before what its key is.
        (
            "DELETE FROM T WHERE pk = 1 AND begins_with(s, 1)",
            format!("{operand}: begins_with, operand type: N"),
        ),
        (
            "DELETE FROM T WHERE pk = 1 AND x = 1 AND size(s)",
            format!("{operand}: AND, operand type: N"),
        ),
        ("SELECT * FROM T WHERE NOT 'x'", format!("{operand}: NOT, operand type: S")),
        (
            "SELECT * FROM T WHERE attribute_exists(x) < TRUE",
            format!("{operand}: <, operand type: BOOL"),
        ),
        (
            "INSERT INTO T VALUE {'pk': 'a', 'm': {'x': foo(1)}}",
            "Unsupported data type: Call under key root.x at 1:44:3".into(),
        ),
        (
            "INSERT INTO \"T\".i VALUE {'pk': 'a'}",
            "FROM clause may only contain a single table name in data manipulation statements at \
             1:13:3"
                .into(),
        ),
    ] {
        assert_eq!(message(text), reason, "{text}");
    }
}

#[test]
fn what_is_no_statement_is_named() {
    for (text, reason) in [
        ("EXISTS(1)", "EXISTS can only be used in ExecuteTransaction write requests."),
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
            "pk = 'a' ORDER BY 'n'",
            "Argument to ORDER BY must be of type VariableReference. Type: n at 1:41:3",
        ),
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

/// Literals of Ion are refused by their types; what is no Ion is no statement.
#[test]
fn ion() {
    for (literal, kind) in [
        ("{{YWJj}}", "BLOB"),
        ("{{\"text\"}}", "CLOB"),
        ("-0x1F", "INT"),
        ("1_000", "INT"),
        ("1.5", "DECIMAL"),
        ("1d3", "DECIMAL"),
        ("1e3", "FLOAT"),
        ("+inf", "FLOAT"),
        ("\"x\"", "STRING"),
        ("'''x'''", "STRING"),
        ("'x'", "SYMBOL"),
        ("abc", "SYMBOL"),
        ("{a: 1}", "STRUCT"),
        ("[1]", "LIST"),
        ("(+ 1)", "SEXP"),
        ("2020-01-01T", "TIMESTAMP"),
        ("null.int", "NULL"),
        ("true", "BOOL"),
    ] {
        let text = format!("{INSERT}'l': [1, `{literal}`]}}");
        let (length, under) = (literal.len() + 2, "under key root[1]");
        let reason = format!("Ion Literals are not supported: {kind} {under} at 1:42:{length}");
        assert_eq!(message(&text), reason, "{literal}");
    }
    for literal in ["", "{{{", "{{*}}", "a b", "0xg", "--1", "?"] {
        let reason = "Statement wasn't well formed, can't be processed: ";
        assert_eq!(message(&format!("{INSERT}'l': `{literal}`}}")), reason, "{literal}");
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
        (
            format!("{INSERT}'m': {{'s': <<1, `2`>>}}}}"),
            "Ion Literals are not supported: INT under key root.s at 1:49:3".into(),
        ),
        (format!("{INSERT}'s': <<`1`, 1>>}}"), format!("{BAG} at 1:40:3")),
        (
            format!("{INSERT}'s': <<'x', ?>>}}"),
            "Unsupported data type: Parameter under key root at 1:45:1".into(),
        ),
        (
            format!("{INSERT}'s': 1e2147483646}}"),
            "Number underflow. Attempting to store a number with magnitude smaller than supported \
             range under root"
                .into(),
        ),
        (
            "INSERT INTO T VALUE {'pk': [1]}".into(),
            "Key attribute's data type should match its data type in table's schema: Key pk".into(),
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
             paths; path one: [m], path two: [m, x]"
                .into(),
        ),
        (
            "UPDATE T SET n = 1 WHERE pk IN ['a']".into(),
            "Where clause does not contain a mandatory equality on all key attributes".into(),
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

#[test]
fn attributes_of_an_inserted_item_are_as_deep_as_those_of_one_that_is_put() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&format!("{INSERT}'l': {}}}", nested(31)), [].into()).is_ok());
    assert!(parse(&format!("{INSERT}'m': {{'l': {}}}}}", nested(30)), [].into()).is_ok());
    let told = "Nesting Levels have exceeded supported limits";
    assert!(message(&format!("{INSERT}'l': {}}}", nested(32))).starts_with(told));
    assert!(message(&format!("{INSERT}'m': {{'l': {}}}}}", nested(31))).starts_with(told));
}
