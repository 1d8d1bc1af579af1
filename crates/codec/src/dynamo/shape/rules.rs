//! The constraints that the service's model puts on the members of requests.
//!
//! Decoders judge by hand what the service judges in words or in an order of its own; this finds
//! what they left out, which for the operations on tables and on what belongs to them is most of
//! what is nested. Operations on items are not here: their decoders know all of it, and they are
//! many.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::{Composite, Shape, Shapes, judge};
use crate::dynamo::{ApiError, ErrorKind};

/// Made by `generate.py`.
const TEXT: &str = include_str!("rules.txt");
/// Violations told of at a time (DynamoDB).
const VIOLATIONS_MAX: usize = 10;
/// What every message of these begins with, behind a number.
const DETECTED: &str = " detected: ";
/// Bytes of a value that are shown: a message may be as long as a request else.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
enum Rule {
    Required,
    Length(usize, Option<usize>),
    Value(Option<i64>, Option<i64>),
    Enum(Vec<&'static str>),
    Pattern(&'static str),
}

/// Rules by the name of a shape, and in it by member: `#` for the number of parts of a list or map,
/// `*` for each of them.
type Rules = BTreeMap<&'static str, Vec<(&'static str, Rule)>>;

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let mut rules = Rules::new();
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            if let Some((owner, member, rule)) = parse(line) {
                rules.entry(owner).or_default().push((member, rule));
            }
        }
        rules
    })
}

fn parse(line: &'static str) -> Option<(&'static str, &'static str, Rule)> {
    let mut parts = line.splitn(4, ' ');
    let (owner, member, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let rest = parts.next().unwrap_or_default();
    let (least, most) = rest.split_once(' ').unwrap_or((rest, ""));
    let rule = match kind {
        "required" => Rule::Required,
        "length" => Rule::Length(least.parse().ok()?, most.parse().ok()),
        "value" => Rule::Value(least.parse().ok(), most.parse().ok()),
        "enum" => Rule::Enum(rest.split(' ').collect()),
        _ => Rule::Pattern(rest),
    };
    Some((owner, member, rule))
}

/// The outcome of decoding a body, with what of the model's types and constraints was not looked
/// at.
///
/// They go before all that is judged by hand, but for a table that is not named.
///
/// # Errors
///
/// `SerializationException`, `ValidationException`, or the error that there was.
pub fn completed<T>(
    operation: &str,
    body: &[u8],
    decoded: Result<T, ApiError>,
) -> Result<T, ApiError> {
    let error = decoded.as_ref().err().cloned().unwrap_or_else(|| ApiError::validation(""));
    let error = judge(operation, body, error);
    if error.kind == ErrorKind::Serialization {
        return Err(error);
    }
    let told = decoded.as_ref().err().map(|error| error.message.as_str()).unwrap_or_default();
    if told.starts_with("The parameter '") {
        return decoded;
    }
    let missed = violations(operation, body);
    let known: Vec<&str> = match told.split_once(DETECTED) {
        Some((count, rest)) if count.ends_with("validation error") || count.ends_with("errors") => {
            rest.split("; Value ").collect()
        }
        _ => Vec::new(),
    };
    let is_known = |one: &&String| {
        let known = known.iter().any(|it| subject(it) == subject(one));
        !known
    };
    let missed: Vec<&String> = missed.iter().filter(is_known).collect();
    if missed.is_empty() {
        return decoded;
    }
    let known = known.iter().enumerate().map(|(at, it)| match at {
        0 => (*it).to_owned(),
        _ => format!("Value {it}"),
    });
    let mut all: Vec<String> = known.chain(missed.into_iter().cloned()).collect();
    all.truncate(VIOLATIONS_MAX);
    let plural = if all.len() == 1 { "" } else { "s" };
    let text = format!("{} validation error{plural}{DETECTED}{}", all.len(), all.join("; "));
    Err(ApiError::validation(text))
}

/// What a violation is of: path and constraint, without the value and what it might have been.
fn subject(violation: &str) -> &str {
    let at = violation.rfind(" at '").unwrap_or_default();
    let subject = &violation[at..];
    subject.find(": [").map_or(subject, |end| &subject[..end])
}

/// What a body violates, in the order of the model.
fn violations(operation: &str, body: &[u8]) -> Vec<String> {
    let shapes = Shapes::get();
    let Some(shape) = shapes.request(operation) else { return Vec::new() };
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return Vec::new() };
    let mut walk = Walk { shapes, rules: rules(), found: Vec::new() };
    walk.value(shape, &Value::Object(members), "");
    walk.found
}

struct Walk {
    shapes: &'static Shapes,
    rules: &'static Rules,
    found: Vec<String>,
}

impl Walk {
    fn value(&mut self, shape: Shape, value: &Value, path: &str) {
        let Shape::Named(name) = shape else { return };
        let rules = self.rules.get(name).map(Vec::as_slice).unwrap_or_default();
        let none = Map::new();
        let of = |wanted: &'static str| rules.iter().filter(move |(member, _)| *member == wanted);
        match (self.shapes.composite(shape), value) {
            (Some(Composite::Structure(shapes)), Value::Object(members)) => {
                for (member, rule) in rules {
                    let inner = below(path, &lowered(member));
                    self.judge(rule, members.get(*member).unwrap_or(&Value::Null), &inner);
                }
                for (member, shape) in shapes {
                    let Some(value) = members.get(*member) else { continue };
                    self.value(*shape, value, &below(path, &lowered(member)));
                }
            }
            (Some(Composite::List(shape)), Value::Array(values)) => {
                of("#").for_each(|(_, rule)| self.judge(rule, value, path));
                for (at, value) in values.iter().enumerate() {
                    let inner = format!("{path}.{}.member", at + 1);
                    of("*").for_each(|(_, rule)| self.judge(rule, value, &inner));
                    self.value(*shape, value, &inner);
                }
            }
            (Some(Composite::Map(shape)), value) => {
                for (key, value) in value.as_object().unwrap_or(&none) {
                    let inner = format!("{path}.{key}.member");
                    of("*").for_each(|(_, rule)| self.judge(rule, value, &inner));
                    self.value(*shape, value, &inner);
                }
            }
            _ => {}
        }
    }

    fn judge(&mut self, rule: &Rule, value: &Value, path: &str) {
        let count = match value {
            Value::String(text) => text.chars().count(),
            Value::Array(values) => values.len(),
            _ => 0,
        };
        let constraint = match (rule, value) {
            (Rule::Required, Value::Null) => "not be null".to_owned(),
            (Rule::Required, _) | (_, Value::Null) => return,
            (Rule::Length(least, _), _) if count < *least => {
                format!("have length greater than or equal to {least}")
            }
            (Rule::Length(_, Some(most)), _) if count > *most => {
                format!("have length less than or equal to {most}")
            }
            (Rule::Value(Some(least), _), value)
                if value.as_i64().is_some_and(|it| it < *least) =>
            {
                format!("have value greater than or equal to {least}")
            }
            (Rule::Value(_, Some(most)), value) if value.as_i64().is_some_and(|it| it > *most) => {
                format!("have value less than or equal to {most}")
            }
            (Rule::Enum(words), Value::String(text)) if !words.contains(&text.as_str()) => {
                format!("satisfy enum value set: [{}]", words.join(", "))
            }
            (Rule::Pattern(pattern), Value::String(text)) if !fits(pattern, text) => {
                format!("satisfy regular expression pattern: {pattern}")
            }
            _ => return,
        };
        let shown = if value.is_null() { "null".to_owned() } else { format!("'{}'", java(value)) };
        self.found.push(format!(
            "Value {shown} at '{path}' failed to satisfy constraint: Member must {constraint}"
        ));
    }
}

fn below(path: &str, member: &str) -> String {
    if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") }
}

fn lowered(member: &str) -> String {
    let (first, rest) = member.split_at(1);
    format!("{}{rest}", first.to_ascii_lowercase())
}

/// Whether a whole text is of one of the model's patterns.
fn fits(pattern: &str, text: &str) -> bool {
    let all = |fits: fn(char) -> bool| text.chars().all(fits);
    match pattern {
        "[a-zA-Z0-9_.-]+" => {
            !text.is_empty() && all(|it| it.is_ascii_alphanumeric() || "_.-".contains(it))
        }
        "([0-9a-f]{16})+" => {
            !text.is_empty()
                && text.len().is_multiple_of(16)
                && all(|it| "0123456789abcdef".contains(it))
        }
        "[0-9]{12}" => text.len() == 12 && all(|it| it.is_ascii_digit()),
        r"^[^\$]+$" => !text.is_empty() && all(|it| it != '$'),
        r"^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$" => {
            let ends = |end: Option<char>| end.is_some_and(|it| it.is_ascii_alphanumeric());
            text.len() > 1
                && ends(text.chars().next())
                && ends(text.chars().last())
                && all(|it| it.is_ascii_alphanumeric() || "._-".contains(it))
        }
        r"[,;:|\t ]" => text.len() == 1 && all(|it| ",;:|\t ".contains(it)),
        r"[\x20-\x21\x23-\x2B\x2D-\x7E]*" => {
            all(|it| matches!(it, ' '..='~') && !"\",".contains(it))
        }
        r"\p{Print}+" => !text.is_empty() && all(|it| matches!(it, ' '..='~')),
        // Of roles: nearly everything that is text.
        _ => all(|it| it >= ' ' || matches!(it, '\r' | '\n' | '\t')),
    }
}

/// A value as Java shows it.
fn java(value: &Value) -> String {
    let mut shown = String::new();
    show(value, &mut shown);
    if shown.len() > SHOWN_BYTES_MAX { "...".to_owned() } else { shown }
}

fn show(value: &Value, to: &mut String) {
    if to.len() > SHOWN_BYTES_MAX {
        return;
    }
    match value {
        Value::String(text) => to.push_str(text),
        Value::Array(values) => {
            to.push('[');
            for (at, value) in values.iter().enumerate() {
                to.push_str(if at == 0 { "" } else { ", " });
                show(value, to);
            }
            to.push(']');
        }
        Value::Object(members) => {
            to.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                let _ = write!(to, "{}{name}=", if at == 0 { "" } else { ", " });
                show(value, to);
            }
            to.push('}');
        }
        other => {
            let _ = write!(to, "{other}");
        }
    }
}
