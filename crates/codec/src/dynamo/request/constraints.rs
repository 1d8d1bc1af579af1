//! The constraints of DynamoDB's model, reported together as DynamoDB does.

use std::fmt::Display;

use super::members::Members;
use crate::dynamo::ApiError;

/// Shortest and longest name of a table (DynamoDB).
const TABLE_NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=255;

/// How many violations DynamoDB reports at once.
const VIOLATIONS_MAX: usize = 10;

/// The violations found so far.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    violations: Vec<String>,
}

impl Constraints {
    /// Notes that `value` at `path` (lower camel case) violates `constraint`.
    pub(super) fn violated(&mut self, value: impl Display, path: &str, constraint: &str) {
        self.violations.push(format!(
            "Value {value} at '{path}' failed to satisfy constraint: Member must {constraint}"
        ));
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
        let name = body.text("TableName")?;
        let name = self.required(name, "tableName");
        if self.violations.is_empty() { Ok(self.name(&name)) } else { Ok(name) }
    }

    /// The `TableName` of an operation on tables, which refuses a missing one in words of its own.
    pub(super) fn named_table(&mut self, body: &mut Members) -> Result<String, ApiError> {
        let Some(name) = body.text("TableName")? else {
            let text = "The parameter 'TableName' is required but was not present in the request";
            return Err(ApiError::validation(text));
        };
        Ok(self.name(&name))
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

    /// The name of an index or a table: pattern and length.
    pub(super) fn identifier(&mut self, text: &str, path: &str) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !text.bytes().all(fits) || text.is_empty() {
            let constraint = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
            self.violated(format_args!("'{text}'"), path, constraint);
        }
        self.length(text, (*TABLE_NAME_BYTES.start(), *TABLE_NAME_BYTES.end()), path);
    }

    /// The name in `text`, which may be an ARN.
    pub(super) fn name(&mut self, text: &str) -> String {
        let name = match text.strip_prefix("arn:") {
            Some(arn) => arn.split_once(":table/").map_or(text, |(_, name)| name),
            None => text,
        };
        self.identifier(name, "tableName");
        name.to_owned()
    }

    /// Whether nothing was violated so far.
    pub(super) fn is_clean(&self) -> bool {
        self.violations.is_empty()
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
