//! The constraints of DynamoDB's model, reported together as DynamoDB does.

use std::fmt::Display;

use super::arn;
use super::envelope::enveloped;
use super::members::{Int32, Members};
use crate::dynamo::ApiError;

/// Shortest and longest name of a table (DynamoDB).
pub(super) const TABLE_NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=255;

/// Violations told of at a time (DynamoDB).
const VIOLATIONS_MAX: usize = 10;

/// The violations found so far.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    violations: Vec<String>,
    /// What stands before every path.
    prefix: String,
}

impl Constraints {
    /// For the members of a body, or of a part of it.
    pub(super) fn of(body: &Members) -> Self {
        Self { prefix: body.path().to_owned(), ..Self::default() }
    }

    /// Goes on with the members of another part of the body.
    pub(super) fn move_to(&mut self, body: &Members) {
        self.prefix = body.path().to_owned();
    }

    /// Notes that `value` at `path` (lower camel case) violates `constraint`.
    ///
    /// DynamoDB tells of ten at most.
    pub(super) fn violated(&mut self, value: impl Display, path: &str, constraint: &str) {
        if self.violations.len() >= VIOLATIONS_MAX {
            return;
        }
        let prefix = &self.prefix;
        self.violations.push(format!(
            "Value {value} at '{prefix}{path}' failed to satisfy constraint: Member must \
             {constraint}"
        ));
    }

    /// Notes that what stands at `path` violates `constraint`, in the words of the framework that
    /// does not show it.
    pub(super) fn violated_at(&mut self, path: &str, constraint: &str) {
        self.violations.push(format!(
            "Value at '{path}' failed to satisfy constraint: Member must {constraint}"
        ));
    }

    /// Notes that the keys or values (`what`) of the map at `path` violate `constraints`.
    pub(super) fn violated_map(
        &mut self,
        shown: impl Display,
        path: &str,
        what: &str,
        constraints: &str,
    ) {
        self.violations.push(format!(
            "Value {shown} at '{path}' failed to satisfy constraint: Map {what} must satisfy \
             constraint: [{constraints}]"
        ));
    }

    /// The name of a table that is a key of `RequestItems`.
    pub(super) fn map_key(&mut self, name: &str, shown: impl FnOnce() -> String) -> String {
        if !is_table_name(name) {
            let shown = shown();
            self.violated_map(format_args!("'{shown}'"), "requestItems", "keys", MAP_KEYS);
        }
        table_of(name).to_owned()
    }

    /// The value, or a violation and a default.
    pub(super) fn required<T: Default>(&mut self, value: Option<T>, path: &str) -> T {
        value.unwrap_or_else(|| {
            self.violated("null", path, "not be null");
            T::default()
        })
    }

    /// An integer of at least `least`.
    pub(super) fn at_least(&mut self, value: Option<i64>, least: i64, path: &str) -> Option<i64> {
        if let Some(value) = value.filter(|value| *value < least) {
            let constraint = format!("have value greater than or equal to {least}");
            self.violated(format_args!("'{value}'"), path, &constraint);
        }
        value
    }

    /// A text that is one of `allowed`, in the order in which DynamoDB prints them.
    pub(super) fn one_of(
        &mut self,
        value: Option<String>,
        allowed: &[&str],
        path: &str,
    ) -> Option<String> {
        if let Some(text) = value.as_deref().filter(|text| !allowed.contains(text)) {
            let constraint = format!("satisfy enum value set: [{}]", allowed.join(", "));
            self.violated(format_args!("'{text}'"), path, &constraint);
        }
        value
    }

    /// The `TableName` of a body: a name, or an ARN that ends in one.
    pub(super) fn table_name(&mut self, body: &mut Members) -> Result<String, ApiError> {
        match body.text("TableName")? {
            // Nothing else is told beside it.
            Some(name) if name.is_empty() && self.prefix.is_empty() => Err(empty_name()),
            Some(name) if self.prefix.is_empty() => Ok(self.name(&name)),
            Some(name) => {
                Ok(self.table_in(&name).map_or_else(String::new, |it| self.inner_name(it)))
            }
            None => Ok(self.required(None, "tableName")),
        }
    }

    /// The name in `text`, with the first constraint that it violates: its length goes before the
    /// pattern (measured on the service by the Parity Suite).
    pub(super) fn first_of_name(&mut self, text: &str) -> String {
        let Some(name) = self.table_in(text) else { return String::new() };
        let before = self.violations.len();
        self.length(name, (*TABLE_NAME_BYTES.start(), *TABLE_NAME_BYTES.end()), "tableName");
        if self.violations.len() == before {
            self.identifier(name, "tableName");
        }
        name.to_owned()
    }

    /// The name in `text` as `UpdateItem` judges it: with all that it violates, the pattern first.
    pub(super) fn all_of_name(&mut self, text: &str) -> String {
        let Some(name) = self.table_in(text) else { return String::new() };
        self.identifier(name, "tableName");
        name.to_owned()
    }

    /// The name of a table in the older layer, which knows of it only that there must be one.
    pub(super) fn older_name(&mut self, name: Option<&str>) {
        match name {
            None => {
                self.required(None::<String>, "tableName");
            }
            Some("") => self.violated("''", "tableName", "have length greater than or equal to 1"),
            Some(_) => {}
        }
    }

    /// A number that is not outside of `least` to `most`, shown.
    pub(super) fn bounded(&mut self, number: Option<Int32>, (least, most): (i64, i64), path: &str) {
        let Some(Int32 { value, .. }) = number else { return };
        let shown = format!("'{value}'");
        if value < least {
            self.violated(&shown, path, &format!("have value greater than or equal to {least}"));
        }
        if value > most {
            self.violated(&shown, path, &format!("have value less than or equal to {most}"));
        }
    }

    /// As [`Constraints::bounded`], in the words of the framework that does not show it.
    pub(super) fn bounded_at(&mut self, number: Option<Int32>, bounds: (i64, i64), path: &str) {
        let Some(Int32 { value, .. }) = number else { return };
        if value < bounds.0 {
            let constraint = format!("have value greater than or equal to {}", bounds.0);
            self.violated_at(path, &constraint);
        }
        if value > bounds.1 {
            self.violated_at(path, &format!("have value less than or equal to {}", bounds.1));
        }
    }

    /// Notes a violation in words of its own.
    pub(super) fn say(&mut self, violation: impl Into<String>) {
        self.violations.push(violation.into());
    }

    /// Notes what others noted.
    pub(super) fn extend(&mut self, others: &Self) {
        self.violations.extend_from_slice(&others.violations);
    }

    /// The name of a table in a part of a body, of which the model says more.
    fn inner_name(&mut self, name: &str) -> String {
        let (least, most) = (*TABLE_NAME_BYTES.start(), *TABLE_NAME_BYTES.end());
        self.length(name, (least, most), "tableName");
        if name.is_empty() || !name.bytes().all(fits) {
            let constraint = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
            self.violated(format_args!("'{name}'"), "tableName", constraint);
        }
        name.to_owned()
    }

    /// The `TableName` of an operation on tables, which refuses a missing one in words of its own.
    pub(super) fn named_table(&mut self, body: &mut Members) -> Result<String, ApiError> {
        let Some(name) = body.text("TableName")? else {
            let text = "The parameter 'TableName' is required but was not present in the request";
            return Err(ApiError::validation(text));
        };
        // Of nothing at all, these operations tell otherwise than those on items (measured by the
        // ACK project's users in October 2026).
        Ok(if name.is_empty() { self.inner_name(&name) } else { self.name(&name) })
    }

    /// A text of `least` to `most` characters.
    pub(super) fn length(&mut self, text: &str, (least, most): (usize, usize), path: &str) {
        let (shown, count) = (format!("'{text}'"), text.chars().count());
        if count < least {
            let constraint = format!("have length greater than or equal to {least}");
            self.violated(&shown, path, &constraint);
        }
        if count > most {
            let constraint = format!("have length less than or equal to {most}");
            self.violated(&shown, path, &constraint);
        }
    }

    /// The name in `text`, which may be an ARN.
    pub(super) fn name(&mut self, text: &str) -> String {
        let Some(name) = self.table_in(text) else { return String::new() };
        if name.is_empty() {
            // A name may be an ARN, so this is all that the model says of its length.
            self.violated("''", "tableName", "have length greater than or equal to 1");
            return String::new();
        }
        self.identifier(name, "tableName");
        name.to_owned()
    }

    /// The name in `text`, unless it is an ARN of something else, which is noted.
    fn table_in<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        arn::table_in(text).map_err(|violation| self.say(violation)).ok()
    }

    /// The name of an index or a table: pattern and length.
    pub(super) fn identifier(&mut self, name: &str, path: &str) {
        let shown = format_args!("'{name}'");
        if !name.bytes().all(fits) || name.is_empty() {
            let constraint = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
            self.violated(shown, path, constraint);
        }
        if name.len() < *TABLE_NAME_BYTES.start() {
            self.violated(shown, path, "have length greater than or equal to 3");
        }
        if name.len() > *TABLE_NAME_BYTES.end() {
            self.violated(shown, path, "have length less than or equal to 255");
        }
    }

    /// Whether nothing was violated so far.
    pub(super) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Refuses what was violated, in the words of the one violation alone.
    pub(super) fn finish_bare(mut self) -> Result<(), ApiError> {
        self.violations.pop().map_or(Ok(()), |violation| Err(ApiError::validation(violation)))
    }

    /// Refuses if anything was violated.
    pub(super) fn finish(mut self) -> Result<(), ApiError> {
        self.violations.truncate(VIOLATIONS_MAX);
        let count = self.violations.len();
        let plural = if count == 1 { "" } else { "s" };
        match count {
            0 => Ok(()),
            _ => Err(ApiError::validation(format!(
                "{count} validation error{plural} detected: {}",
                self.violations.join("; ")
            ))),
        }
    }
}

/// What is wrong with a name of no characters, in the words of the framework that does not show it.
pub(super) const EMPTY_NAME: &str = "Value at 'TableName' failed to satisfy constraint: Member \
                                     must have length greater than or equal to 1";

/// The refusal of a name of no characters, which is told alone.
pub(super) fn empty_name() -> ApiError {
    enveloped(ApiError::validation(EMPTY_NAME))
}

/// What DynamoDB's model says of the names of tables that are keys of a map.
pub(super) const MAP_KEYS: &str = "Member must have length less than or equal to 255, Member must have length greater than or \
     equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";

pub(super) fn fits(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// The name in `text`, which may be an ARN.
pub(in crate::dynamo) fn table_of(text: &str) -> &str {
    match text.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":table/").map_or(text, |(_, name)| name),
        None => text,
    }
}

/// Whether it is the name or the ARN of a table that there may be.
pub(super) fn is_table_name(text: &str) -> bool {
    let name = table_of(text);
    TABLE_NAME_BYTES.contains(&name.len()) && name.bytes().all(fits)
}
