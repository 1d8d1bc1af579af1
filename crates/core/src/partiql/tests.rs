//! Statements against what the service answers.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{Statement, parse};
use crate::expr::{KeyRange, SortRange};
use crate::item::{AttributeValue, Attributes, KeyValue, Number};
use crate::table::{Action, Applied, KeyAttribute, KeyKind, Refusal, Schema, apply};

mod garbage;
mod refusals;

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(Number::from(value))
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn map<const N: usize>(entries: [(&str, AttributeValue); N]) -> Attributes {
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn schema(sort: Option<KeyKind>) -> Schema {
    let attribute = |name: &str, kind| KeyAttribute { name: name.into(), kind };
    Schema { partition: attribute("pk", KeyKind::S), sort: sort.map(|kind| attribute("sk", kind)) }
}

fn item() -> Attributes {
    let texts =
        |texts: &[&str]| AttributeValue::Ss(texts.iter().map(ToString::to_string).collect());
    map([
        ("pk", s("a")),
        ("n", n(5)),
        ("s", s("str")),
        ("ss", texts(&["a", "b"])),
        ("nul", AttributeValue::Null),
        ("flag", AttributeValue::Bool(true)),
        ("l", AttributeValue::L(vec![n(1), s("x")])),
        ("m", AttributeValue::M(map([("sub", s("x"))]))),
    ])
}

/// What the statement makes of the item.
fn applied(text: &str, before: Option<&Attributes>) -> Result<Applied<'static>, String> {
    let statement = parse(text, Vec::new()).map_err(|error| error.to_string())?;
    let op = statement.write(&schema(None)).map_err(|error| error.to_string())?;
    let applied = apply(&op, &schema(None), before).map_err(|refusal| refusal.to_string())?;
    Ok(applied.into_owned())
}

fn message(text: &str) -> String {
    let statement = match parse(text, Vec::new()) {
        Ok(statement) => statement,
        Err(error) => return error.to_string(),
    };
    let lowered = match &statement {
        Statement::Select(select) => select.resolve(&schema(None)).map(|_| ()),
        other => other.write(&schema(None)).map(|_| ()),
    };
    lowered.err().map_or_else(String::new, |error| error.to_string())
}

/// Whether a `SELECT` with the condition returns the item.
fn selects(condition: &str) -> bool {
    let text = format!("SELECT * FROM \"T\" WHERE pk = 'a' AND {condition}");
    let statement = parse(&text, Vec::new()).expect("a statement of the test's own");
    let Statement::Select(select) = statement else { panic!("another statement") };
    let read = select.resolve(&schema(None)).expect("a condition of the test's own");
    read.filter.is_none_or(|filter| filter.matches(Some(&item())))
}

#[test]
fn conditions_hold_or_not() {
    for (condition, holds) in [
        ("n = 5", true),
        ("n <> 5", false),
        ("5 <= n", true),
        ("n BETWEEN 1 AND 5 AND s = 'str'", true),
        ("n IN [1, 5]", true),
        ("n IN (1, 2)", false),
        ("n NOT IN [1, 2]", true),
        ("begins_with(s, 'st')", true),
        ("contains(ss, 'b')", true),
        ("contains(l, 1)", true),
        ("attribute_exists(m.sub)", true),
        ("ATTRIBUTE_EXISTS(m.nope)", false),
        ("NOT attribute_exists(nope)", true),
        ("attribute_not_exists(nope) = true", true),
        ("attribute_exists(ss) = false", false),
        ("(attribute_exists(nope) OR attribute_exists(\"ss\"))", true),
        ("size(s) = 3", true),
        ("attribute_type(ss, 'SS')", true),
        ("nul IS NULL", true),
        ("s IS NULL", false),
        ("s IS NOT NULL", true),
        ("nope IS MISSING", true),
        ("s IS NOT MISSING", true),
        ("flag IS BOOL", true),
        ("s IS STRING", true),
        ("n IS NUMERIC", true),
        ("ss IS NOT LIST", true),
        ("attribute_exists(ss) = flag", true),
        ("flag = attribute_exists(nope)", false),
        ("nope = attribute_exists(nope)", false),
        ("attribute_exists(ss) = contains(ss, 'a')", true),
        ("attribute_exists(ss) <> 'x' AND NOT attribute_exists(ss) = size(s)", true),
        ("flag IN [FALSE, attribute_exists(n)]", true),
        ("m['sub'] = 'x' AND l[1] = 'x'", true),
        ("ss = <<'b', 'a'>>", true),
        ("m = {'sub': 'x'}", true),
        ("l = [1, 'x']", true),
        ("n = 5e0 AND n = .5e1 AND -1 < n", true),
    ] {
        assert_eq!(selects(condition), holds, "{condition}");
    }
}

#[test]
fn parameters_take_their_places() {
    let text = "UPDATE T SET x = ?, l = [?, 2] WHERE pk = ? AND n = ?";
    let parameters = vec![s("new"), n(1), s("a"), n(5)];
    let statement = parse(text, parameters).expect("a statement");
    let op = statement.write(&schema(None)).expect("a write");
    let before = item();
    let after = apply(&op, &schema(None), Some(&before)).expect("it holds").next.expect("an item");
    assert_eq!((&after["x"], &after["l"]), (&s("new"), &AttributeValue::L(vec![n(1), n(2)])));
    let error = parse(text, vec![s("new")]).map_err(|error| error.to_string());
    let few = "Number of parameters in request and statement don't match.";
    assert_eq!(error, Err(few.to_string()));
    // What is left over is not looked at.
    assert!(parse(text, vec![n(1); 9]).is_ok());
}

#[test]
fn updates_change_what_is_there() {
    let set = |texts: &[&str]| {
        AttributeValue::Ss(texts.iter().map(ToString::to_string).collect::<BTreeSet<_>>())
    };
    for (clauses, name, value) in [
        ("SET n = n + 2", "n", Some(n(7))),
        ("SET n = 10 - n", "n", Some(n(5))),
        ("SET l = list_append(l, [3])", "l", Some(AttributeValue::L(vec![n(1), s("x"), n(3)]))),
        ("SET l[0] = 9 SET m.sub = 'y'", "l", Some(AttributeValue::L(vec![n(9), s("x")]))),
        ("SET ss = set_add(ss, <<'c'>>)", "ss", Some(set(&["a", "b", "c"]))),
        ("SET ss = SET_DELETE(ss, <<'a', 'b'>>)", "ss", None),
        ("REMOVE n", "n", None),
        ("SET z = if_not_exists(n, 1) REMOVE s", "z", Some(n(5))),
    ] {
        let text = format!("UPDATE \"T\" {clauses} WHERE pk = 'a'");
        let after = applied(&text, Some(&item())).expect("it holds").next.expect("an item");
        assert_eq!(after.get(name), value.as_ref(), "{text}");
        let first = format!("FROM \"T\" WHERE pk = 'a' {clauses}");
        assert_eq!(applied(&first, Some(&item())).map(|it| it.next), Ok(Some(after)), "{first}");
        let refused = applied(&text, None).map(|applied| applied.next);
        assert_eq!(refused, Err("The conditional request failed".to_string()), "{text}");
    }
    let returning = "UPDATE T SET n = 6 WHERE pk = 'a' RETURNING MODIFIED OLD *";
    let returned = applied(returning, Some(&item())).expect("it holds").returned;
    assert_eq!(returned, Some(map([("n", n(5))])));
}

#[test]
fn inserts_and_deletes() {
    let insert =
        "INSERT INTO T VALUE {'pk': 'new', 'l': [1, {'x': TRUE}], 's': <<1, 2>>, 'z': NULL}";
    let after = applied(insert, None).expect("nothing is there").next.expect("an item");
    assert_eq!((after.len(), &after["z"]), (4, &AttributeValue::Null));
    let statement = parse(insert, Vec::new()).expect("a statement");
    assert!(statement.is_insert());
    let op = statement.write(&schema(None)).expect("a write");
    let before = item();
    let refused = apply(&op, &schema(None), Some(&before));
    assert!(matches!(refused, Err(Refusal::ConditionFailed { .. })));
    let delete = "DELETE FROM T WHERE pk = 'a' AND n > 4 RETURNING ALL OLD *";
    let applied_delete = applied(delete, Some(&item())).expect("it holds");
    assert_eq!((applied_delete.next, applied_delete.returned), (None, Some(item())));
    assert!(applied("DELETE FROM T WHERE pk = 'b'", None).is_ok());
    // Of an item that is not there a condition demands nothing.
    assert!(applied("DELETE FROM T WHERE pk = 'b' AND n > 4", None).is_ok());
    let failed = applied("DELETE FROM T WHERE pk = 'a' AND n > 5", Some(&item()));
    assert_eq!(failed.map(|_| ()), Err("The conditional request failed".to_string()));
    let exists = "EXISTS(SELECT * FROM T WHERE pk = 'a' AND n = 5)";
    let op = parse(exists, Vec::new()).expect("a statement").write(&schema(None));
    assert_eq!(op.map(|op| op.action), Ok(Action::Check));
}

const KEY_TYPE: &str =
    "Key attribute's data type should match its data type in table's schema: Key pk";

type Ranges = Vec<(KeyValue, SortRange)>;

/// What a `SELECT` with the condition reads, and whether forward.
fn resolve(condition: &str) -> Result<(Option<Ranges>, bool), String> {
    let text = format!("SELECT * FROM T WHERE {condition}");
    let Ok(Statement::Select(select)) = parse(&text, Vec::new()) else { panic!("{text}") };
    let read = select.resolve(&schema(Some(KeyKind::S)));
    let read = read.map_err(|error| error.to_string())?;
    let of = |ranges: Vec<KeyRange>| {
        ranges.into_iter().map(|range| (range.partition, range.sort)).collect()
    };
    Ok((read.ranges.map(of), read.forward))
}

#[test]
fn selects_read_what_they_must() {
    let k = |text: &str| KeyValue::S(text.into());
    let all = |texts: &[&str]| texts.iter().map(|it| (k(it), SortRange::All)).collect::<Vec<_>>();
    let eq = |one: &str, two: &str| (k(one), SortRange::Eq(k(two)));
    for (condition, ranges, forward) in [
        ("pk = 'a'", Some(all(&["a"])), true),
        ("'a' = pk AND sk = 's' AND x = 1", Some(vec![eq("a", "s")]), true),
        ("pk = 'a' AND sk > 's'", Some(vec![(k("a"), SortRange::Gt(k("s")))]), true),
        ("pk IN ['b', 'a']", Some(all(&["a", "b"])), true),
        ("pk IN ['a', 'b'] AND sk = 's'", Some(vec![eq("a", "s"), eq("b", "s")]), true),
        ("pk = 'a' OR pk = 'b'", Some(all(&["a", "b"])), true),
        ("pk = 'a' OR x = 1", None, true),
        ("sk = 's'", None, true),
        // Of a type that matters only where it is a key that is read.
        ("sk = 1", None, true),
        ("pk > 1", None, true),
        ("pk = 'a' ORDER BY pk", Some(all(&["a"])), false),
        ("pk IN ['b', 'a'] ORDER BY pk, sk", Some(all(&["a", "b"])), true),
        ("pk <> 'a'", None, true),
        ("pk = 'a' AND NOT sk = '1' OR pk = 'a' AND sk = '2'", Some(all(&["a"])), true),
        ("pk = 'a' OR pk = 'a' AND NOT sk = '1'", Some(all(&["a"])), true),
        // Of what type a key is matters where it is all that is said of it.
        ("pk = 'a' AND pk = 1", None, true),
        ("pk = 'a' AND pk IN ['a']", Some(all(&["a"])), true),
        ("pk = 'a' AND sk = 's' AND sk > 1", Some(Vec::new()), true),
        ("x = 1 OR pk = 1", None, true),
        ("pk = 'a' AND (x = 1 OR x = 2)", Some(all(&["a"])), true),
        ("(pk = 'a' OR pk = 'b') AND sk = 's'", Some(vec![eq("a", "s"), eq("b", "s")]), true),
        ("pk = 'a' ORDER BY sk DESC", Some(all(&["a"])), false),
        ("pk IN ['a', 'b'] ORDER BY pk DESC", Some(all(&["b", "a"])), false),
        // Several stretches of a partition are read in the order that is asked for.
        (
            "pk = 'a' AND sk IN ['1', '3', '2'] ORDER BY sk DESC",
            Some(vec![eq("a", "3"), eq("a", "2"), eq("a", "1")]),
            false,
        ),
        (
            "pk = 'a' AND (sk = '3' OR sk = '1') ORDER BY sk",
            Some(vec![eq("a", "1"), eq("a", "3")]),
            true,
        ),
        (
            "pk = 'a' AND (sk > '3' OR sk < '1' OR sk = '3') ORDER BY sk",
            Some(vec![
                (k("a"), SortRange::Lt(k("1"))),
                eq("a", "3"),
                (k("a"), SortRange::Gt(k("3"))),
            ]),
            true,
        ),
        (
            "pk IN ['a', 'b'] AND sk IN ['1', '2'] ORDER BY pk DESC, sk",
            Some(vec![eq("b", "1"), eq("b", "2"), eq("a", "1"), eq("a", "2")]),
            true,
        ),
        (
            "pk IN ['a', 'b'] AND sk IN ['1', '2'] ORDER BY pk, sk DESC",
            Some(vec![eq("a", "2"), eq("a", "1"), eq("b", "2"), eq("b", "1")]),
            false,
        ),
    ] {
        assert_eq!(resolve(condition), Ok((ranges, forward)), "{condition}");
    }
}

const OVERLAPPING: &str =
    "Overlapping conditions with range keys are not supported in where clause";

#[test]
fn keys_that_make_no_reads_are_refused() {
    for (condition, message) in [
        ("pk = 'a' AND x = '1' OR pk = 'a' AND sk = '2'", OVERLAPPING),
        ("pk = 'a' OR pk = 'a'", OVERLAPPING),
        ("pk = 'a' AND (sk = 's' OR x = 2)", OVERLAPPING),
        ("pk = 'a' AND pk IN ['a', 'a']", OVERLAPPING),
        ("pk IN ['a', 'a']", OVERLAPPING),
        ("pk = 1", KEY_TYPE),
        (
            "pk = 'a' AND sk = 1",
            "Key attribute's data type should match its data type in table's schema: Key sk",
        ),
        ("pk = {}", "Key value must be of type S, N, or B. Key name: pk, Key type: M"),
        ("pk = 1 OR x = 1", KEY_TYPE),
        // What it is ordered by is told before what its keys are.
        ("pk = 1 ORDER BY x", "Attribute x in ORDER BY clause must be part of the primary key"),
        ("pk = 'a' ORDER BY x", "Attribute x in ORDER BY clause must be part of the primary key"),
        (
            "pk IN ['a', 'b'] ORDER BY sk",
            "Must have hash key in ORDER BY clause when more than one hash key condition specified \
             in WHERE clause.",
        ),
    ] {
        assert_eq!(resolve(condition).map(|_| ()), Err(message.to_string()), "{condition}");
    }
}

#[test]
fn columns_are_named_by_their_path_from_its_last_name_on() {
    let text = "SELECT s, m.sub, l[1], nope FROM T";
    let Ok(Statement::Select(select)) = parse(text, Vec::new()) else { panic!("refused") };
    let found = select.output().apply(item());
    assert_eq!(found, map([("s", s("str")), ("sub", s("x")), ("l[1]", s("x"))]));
}

/// Texts and messages as the Parity Suite has measured them.
#[test]
fn wrong_statements_are_refused_in_dynamodb_words() {
    let malformed = "Statement wasn't well formed, can't be processed: ";
    for (text, reason) in [
        ("SELECT * FROM \"T\" WHERE pk = 1 foo", "Unexpected token after expression"),
        ("SELECT * FROM \"T\" WHERE pk = 1 e5", "Unexpected token after expression"),
        ("INSERT INTO \"T\" VALUE {'pk': 1} foo", "Unexpected token after expression"),
        ("UPDATE \"T\" SET a = 9 WHERE pk = 2 foo", "Unexpected token after expression"),
        ("SELECT * FROM \"T\" WHERE pk = 1)", "Unexpected token after expression"),
        ("DELETE FROM \"T\" WHERE pk = 4 ORDER BY pk", "Unexpected token after expression"),
        ("SELECT * FROM \"T\" ORDER BY pk WHERE pk = 1", "Unexpected token after expression"),
        ("INSERT INTO \"T\" t VALUE {'pk': 'x'}", "Unexpected token after expression"),
        ("SELECTT * FROMM \"T\"", "Unexpected token after expression"),
        ("SLECT * FROM \"T\"", "Expected data manipulation"),
        ("UPDATE T REMOVE a, b WHERE pk = 'a'", "Unexpected token after expression"),
        (
            "SELECT * FROM T; SELECT * FROM T",
            "Unexpected token after semicolon. (Only one query is allowed.)",
        ),
        ("FROM \"T\" SET c = 1 WHERE pk = 'x'", "Unexpected token after expression"),
        ("SELECT * FROM \"T\" WHERE pk = 1e2147483648", ""),
        ("SELECT * FROM \"T\" WHERE pk = 1.5e-2147483647", ""),
        ("SELECT * FROM \"T\" WHERE pk = 1 # note", ""),
        ("SELECT * FROM \"T\" WHERE pk = 1 /* note", ""),
        ("SELECT * FROM \"T\" WHERE pk = 'x", ""),
        ("SELECT * FROM \"T\" WHERE", "Unexpected term"),
        ("SELECT * FROM \"T\" WHERE;", "Unexpected term"),
        ("UPDATE \"T\" SET a = 1 WHERE", "Unexpected term"),
        ("SELECT * FROM \"T\" WHERE NOT", "Unexpected term"),
        ("SELECT * FROM \"T\" WHERE (", "Unexpected term"),
        ("SELECT * FROM", "Unexpected term"),
        (
            "SELECT * FROM \"T\" WHERE pk = 'p1' AND",
            "Missing right-hand side expression of infix operator",
        ),
        ("SELECT * FROM \"T\" WHERE ORDER BY pk", "Unexpected keyword"),
        ("SELECT * FROM \"T\" WHERE pk = 'a' AND x IS FOO", "Expected type name"),
        ("SELECT * FROM \"T\" WHERE IS NULL", "Unexpected operator"),
        ("SELECT * FROM \"T\" WHERE pk = LIKE", "Unexpected operator"),
        ("DELETE FROM", "Expected identifier for simple path"),
        ("DELETE FROM;", "Expected identifier for simple path"),
        ("DELETE FROM WHERE pk = 'a'", "Expected identifier for simple path"),
        ("SELECT * FROM T WHERE attribute_exists(m.inner)", "Invalid path dot component"),
    ] {
        assert_eq!(message(text), format!("{malformed}{reason}"), "{text}");
    }
}

/// As the texts above.
#[test]
fn names_are_not_empty() {
    for table in ["\"\"", "T.\"\"", "\"\".i"] {
        let found = message(&format!("SELECT * FROM {table} WHERE pk = 'p'"));
        assert_eq!(found, "Path component cannot be an empty string", "{table}");
    }
}

#[test]
fn statements_of_right_syntax_are_refused_in_dynamodb_words() {
    let operands = "Incorrect number of operands for operator or function; operator or function: \
                    attribute_exists, number of operands";
    let no_key = "Where clause does not contain a mandatory equality on all key attributes";
    let set = |text: &str| format!("UPDATE T SET {text} WHERE pk = 'a'");
    for (text, reason) in [
        ("SELECT * FROM \"T\" t WHERE pk = 'x'", "Aliasing is not supported".to_string()),
        ("SELECT * FROM \"T\" AS t WHERE pk = 'x'", "Aliasing is not supported".to_string()),
        ("UPDATE \"T\" t SET a = 3 WHERE pk = 'x'", "Aliasing is not supported".to_string()),
        ("DELETE FROM \"T\" t WHERE pk = 'x'", "Aliasing is not supported".to_string()),
        (
            "SELECT * FROM T WHERE pk = 1e126",
            "Number overflow. Attempting to store a number with magnitude larger than supported \
             range under root"
                .to_string(),
        ),
        (
            "INSERT INTO T VALUE {'pk': 'a', 'm': {'x': 1e-131}}",
            "Number underflow. Attempting to store a number with magnitude smaller than supported \
             range under root.x"
                .to_string(),
        ),
        (
            "INSERT INTO T VALUE {'pk': 'a', 'l': [1, 1e126]}",
            "Number overflow. Attempting to store a number with magnitude larger than supported \
             range under root[1]"
                .to_string(),
        ),
        ("x IS DOUBLE PRECISION", "Unsupported operation: IsType".to_string()),
        ("FROM T SET c = 1", no_key.to_string()),
        ("DELETE FROM T WHERE x = 1", no_key.to_string()),
        ("SELECT * FROM T WHERE attribute_exists()", format!("{operands}: 0")),
        ("SELECT * FROM T WHERE attribute_exists(a, b)", format!("{operands}: 2")),
        ("SELECT COUNT(*) FROM T", "Unexpected path component at 1:8:5".to_string()),
        ("SELECT * FROM T WHERE EXISTS(a)", "Unrecognized function: exists at 1:23:6".to_string()),
        (
            &set("t = set_add(ss, <<'x'>>)"),
            "The first argument to SET_ADD must equal the assignment value at 1:18:7".to_string(),
        ),
        (
            &set("ss = set_add(ss, 'x')"),
            "The second argument to SET_ADD must be a value with type SET at 1:27:2".to_string(),
        ),
        (&set("ss = set_add(ss)"), "SET_ADD must have exactly two arguments at 1:19:7".to_string()),
        (
            &set("ss = set_add(ss, <<'x', 'x'>>)"),
            "One or more parameter values were invalid: Input collection [x, x] contains \
             duplicates."
                .to_string(),
        ),
        (&set("ss = set_add(ss, <<>>)"), "Empty bags are not supported".to_string()),
        (
            "INSERT INTO T VALUE {'pk': 'x', 'ss': set_add(<<'a'>>, <<'b'>>)}",
            "Unsupported data type: set_add under key root at 1:39:7".to_string(),
        ),
        (
            "SELECT * FROM T WHERE n < TRUE",
            "Incorrect operand type for operator or function; operator or function: <, operand \
             type: BOOL"
                .to_string(),
        ),
    ] {
        assert_eq!(message(text), reason, "{text}");
    }
}
