//! Key condition expressions: which stretch of a partition a Query reads.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound;

use super::condition::{Comparator, Node, Operand};
use super::path::Path;
use super::{AttributeTest, Condition, ExprError, Kind, Operator, Placeholders};
use crate::index::Index;
use crate::item::{AttributeValue, KeyValue};
use crate::table::{KeyAttribute, Schema, check_sizes};

/// A parsed `KeyConditionExpression`, not yet held against a table's schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCondition {
    parts: Vec<(String, Part)>,
}

/// What is asked of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Range(SortRange),
    /// Compared with what no key can be.
    Mistyped,
    /// Not a stretch of keys.
    NotIndexable,
}

/// What a Query reads: one partition and a range of its sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The partition key.
    pub partition: KeyValue,
    /// The wanted sort keys.
    pub sort: SortRange,
}

/// What a Query of an index reads: one partition, and a range of its sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRange {
    /// The values of the partition key.
    pub partition: Vec<KeyValue>,
    /// Values that the first attributes of the sort key have.
    pub exact: Vec<KeyValue>,
    /// The wanted values of the next attribute; those behind it may be any.
    pub sort: SortRange,
}

/// A range of sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortRange {
    /// Every sort key, and no sort key.
    All,
    /// Exactly this one.
    Eq(KeyValue),
    /// Below this one.
    Lt(KeyValue),
    /// This one and below.
    Le(KeyValue),
    /// Above this one.
    Gt(KeyValue),
    /// This one and above.
    Ge(KeyValue),
    /// From the first to the second, both included.
    Between(KeyValue, KeyValue),
    /// Strings or binaries with this prefix.
    BeginsWith(KeyValue),
}

impl SortRange {
    /// Whether a sort key is in the range.
    #[must_use]
    pub fn matches(&self, sort: &KeyValue) -> bool {
        match self {
            Self::All => true,
            Self::Eq(value) => sort == value,
            Self::Lt(value) => sort < value,
            Self::Le(value) => sort <= value,
            Self::Gt(value) => sort > value,
            Self::Ge(value) => sort >= value,
            Self::Between(low, high) => low <= sort && sort <= high,
            Self::BeginsWith(prefix) => match (sort, prefix) {
                (KeyValue::S(text), KeyValue::S(prefix)) => text.starts_with(prefix.as_str()),
                (KeyValue::B(bytes), KeyValue::B(prefix)) => bytes.starts_with(prefix),
                _ => false,
            },
        }
    }

    /// Where the range begins, in the order of keys.
    #[must_use]
    pub fn lower(&self) -> Bound<KeyValue> {
        match self {
            Self::All | Self::Lt(_) | Self::Le(_) => Bound::Unbounded,
            Self::Gt(value) => Bound::Excluded(value.clone()),
            Self::Eq(value)
            | Self::Ge(value)
            | Self::Between(value, _)
            | Self::BeginsWith(value) => Bound::Included(value.clone()),
        }
    }

    /// Where the range ends, in the order of keys.
    #[must_use]
    pub fn upper(&self) -> Bound<KeyValue> {
        match self {
            Self::All | Self::Gt(_) | Self::Ge(_) => Bound::Unbounded,
            Self::Lt(value) => Bound::Excluded(value.clone()),
            Self::Eq(value) | Self::Le(value) | Self::Between(_, value) => {
                Bound::Included(value.clone())
            }
            Self::BeginsWith(prefix) => match after_prefix(prefix) {
                Some(value) => Bound::Excluded(value),
                None => Bound::Unbounded,
            },
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &KeyValue> {
        let (first, second) = match self {
            Self::All => (None, None),
            Self::Between(low, high) => (Some(low), Some(high)),
            Self::Eq(value)
            | Self::Lt(value)
            | Self::Le(value)
            | Self::Gt(value)
            | Self::Ge(value)
            | Self::BeginsWith(value) => (Some(value), None),
        };
        first.into_iter().chain(second)
    }
}

/// The least key that is above every key with the prefix, if there is one.
fn after_prefix(prefix: &KeyValue) -> Option<KeyValue> {
    match prefix {
        KeyValue::S(text) => {
            let mut text = text.clone();
            loop {
                let last = text.pop()?;
                // The order of UTF-8 bytes is the order of scalar values, surrogates left out.
                let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { next_char(last) };
                if let Some(next) = next {
                    text.push(next);
                    return Some(KeyValue::S(text));
                }
            }
        }
        KeyValue::B(bytes) => {
            let mut bytes = bytes.clone();
            loop {
                let last = bytes.pop()?;
                if let Some(next) = last.checked_add(1) {
                    bytes.push(next);
                    return Some(KeyValue::B(bytes));
                }
            }
        }
        KeyValue::N(_) => None,
    }
}

fn next_char(last: char) -> Option<char> {
    char::from_u32(u32::from(last) + 1)
}

impl KeyCondition {
    /// Parses a `KeyConditionExpression`.
    ///
    /// # Errors
    ///
    /// [`ExprError`] with DynamoDB's message.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExprError> {
        let condition = Condition::parse(Kind::KeyCondition, text, placeholders)?;
        let mut parts = Vec::new();
        collect(condition.root, &mut parts)?;
        Ok(Self { parts })
    }

    /// `KeyConditions`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Refused`] where there is none.
    pub fn of_tests(tests: Vec<AttributeTest>) -> Result<Self, ExprError> {
        if tests.is_empty() {
            return refuse("Conditions can be of length 1 or 2 only");
        }
        let part = |test: AttributeTest| {
            let mut values = test.values.into_iter().map(value);
            let mut next = || values.next().flatten();
            let range = match test.operator {
                Operator::Eq => next().map(SortRange::Eq),
                Operator::Lt => next().map(SortRange::Lt),
                Operator::Le => next().map(SortRange::Le),
                Operator::Gt => next().map(SortRange::Gt),
                Operator::Ge => next().map(SortRange::Ge),
                Operator::BeginsWith => next().map(SortRange::BeginsWith),
                Operator::Between => {
                    next().zip(next()).map(|(low, high)| SortRange::Between(low, high))
                }
                _ => return (test.name, Part::NotIndexable),
            };
            (test.name, range.map_or(Part::Mistyped, Part::Range))
        };
        Ok(Self { parts: tests.into_iter().map(part).collect() })
    }

    /// The stretch of a table that the condition names.
    ///
    /// # Errors
    ///
    /// [`ExprError::Refused`] where the condition does not fit the table's key.
    pub fn resolve(&self, schema: &Schema) -> Result<KeyRange, ExprError> {
        self.check_count(1 + usize::from(schema.sort.is_some()))?;
        let missed = |name: &str| {
            Err(ExprError::Refused(format!("Query condition missed key schema element: {name}")))
        };
        let find = |name: &str| self.parts.iter().find(|(other, _)| other == name);
        let Some((_, partition)) = find(&schema.partition.name) else {
            return missed(&schema.partition.name);
        };
        let partition = partition.checked(&schema.partition, None)?;
        let SortRange::Eq(value) = partition else {
            return refuse("Query key condition not supported");
        };
        let partition = value.clone();
        let sort = match schema.sort.as_ref().filter(|_| self.parts.len() > 1) {
            None => SortRange::All,
            Some(attribute) => match find(&attribute.name) {
                None => return missed(&attribute.name),
                Some((_, sort)) => sort.checked(attribute, None)?.clone(),
            },
        };
        check_lengths(&partition, sort.values())?;
        Ok(KeyRange { partition, sort })
    }
}

impl KeyCondition {
    /// Checks that no more is asked than a key of so many attributes answers.
    fn check_count(&self, attributes: usize) -> Result<(), ExprError> {
        let count = self.parts.len();
        if count <= attributes {
            return Ok(());
        }
        Err(ExprError::Refused(format!(
            "The number of query conditions ({count}) exceeds the number of key attributes \
             defined in the schema ({attributes})"
        )))
    }
}

const MISTYPED: &str = "One or more parameter values were invalid: Condition parameter type does \
                        not match schema type";

impl Part {
    /// The range, where it is one of values that the attribute may have, of the index's key or of
    /// the table's.
    fn checked(
        &self,
        attribute: &KeyAttribute,
        index: Option<&Index>,
    ) -> Result<&SortRange, ExprError> {
        match self {
            Self::NotIndexable => {
                refuse("Attempted conditional constraint is not an indexable operation")
            }
            Self::Mistyped => refuse(MISTYPED),
            Self::Range(range) => check_values(attribute, index, range).map(|()| range),
        }
    }
}

impl KeyCondition {
    /// The stretch of an index that the condition names: equalities for every attribute of the
    /// partition key and for the first of the sort key, and any condition for the next.
    ///
    /// # Errors
    ///
    /// [`ExprError::Refused`] where the condition does not fit the index's key.
    pub fn resolve_in(&self, index: &Index) -> Result<IndexRange, ExprError> {
        let find = |name: &str| {
            let found = self.parts.iter().find(|(other, _)| other == name);
            found.map(|(_, range)| range)
        };
        let missed = |name: &str| {
            Err(ExprError::Refused(format!("Query condition missed key schema element: {name}")))
        };
        self.check_count(index.attributes().count())?;
        // Of keys of several attributes it is told in words of their own (measured on the service
        // by the authors of dynoxide).
        if index.partition.len() > 1 || index.sort.len() > 1 {
            let is_exact = |name: &str| matches!(find(name), Some(Part::Range(SortRange::Eq(_))));
            let names = index.partition.iter().map(|attribute| attribute.name.as_str());
            let loose: Vec<&str> = names.filter(|name| !is_exact(name)).collect();
            if !loose.is_empty() {
                return Err(ExprError::Refused(format!(
                    "HASH key attributes {} must have equality conditions specified in the query",
                    loose.join(", ")
                )));
            }
        }
        let mut partition = Vec::new();
        for attribute in &index.partition {
            let Some(part) = find(&attribute.name) else { return missed(&attribute.name) };
            let SortRange::Eq(value) = part.checked(attribute, Some(index))? else {
                return refuse("Query key condition not supported");
            };
            partition.push(value.clone());
        }
        let named = index.sort.iter().filter(|attribute| find(&attribute.name).is_some()).count();
        if partition.len() + named < self.parts.len() {
            return match index.sort.iter().find(|attribute| find(&attribute.name).is_none()) {
                Some(attribute) => missed(&attribute.name),
                None => refuse("Query key condition not supported"),
            };
        }
        let (exact, sort) = self.resolve_sort(index)?;
        for value in &partition {
            check_lengths(value, exact.iter().chain(sort.values()))?;
        }
        Ok(IndexRange { partition, exact, sort })
    }

    fn resolve_sort(&self, index: &Index) -> Result<(Vec<KeyValue>, SortRange), ExprError> {
        let attributes = &index.sort;
        let find = |attribute: &KeyAttribute| {
            let found = self.parts.iter().find(|(other, _)| *other == attribute.name);
            found.map(|(_, range)| range)
        };
        let Some(last) = attributes.iter().rposition(|attribute| find(attribute).is_some()) else {
            return Ok((Vec::new(), SortRange::All));
        };
        let is_exact = |it: &&KeyAttribute| matches!(find(it), Some(Part::Range(SortRange::Eq(_))));
        let loose: Vec<&str> = attributes[..last]
            .iter()
            .filter(|attribute| !is_exact(attribute))
            .map(|attribute| attribute.name.as_str())
            .collect();
        if !loose.is_empty() {
            return Err(ExprError::Refused(format!(
                "RANGE key attributes {} must have equality conditions specified in the query \
                 because a condition is present on key attribute {}",
                loose.join(", "),
                attributes[last].name
            )));
        }
        let mut exact = Vec::new();
        for attribute in &attributes[..=last] {
            let Some(part) = find(attribute) else { continue };
            match part.checked(attribute, Some(index))? {
                SortRange::Eq(value) => exact.push(value.clone()),
                range => return Ok((exact, range.clone())),
            }
        }
        Ok((exact, SortRange::All))
    }
}

fn check_values(
    attribute: &KeyAttribute,
    index: Option<&Index>,
    range: &SortRange,
) -> Result<(), ExprError> {
    let unlike = matches!(range, SortRange::BeginsWith(KeyValue::N(_)));
    if unlike || range.values().any(|value| !attribute.kind.fits(value)) {
        return refuse(MISTYPED);
    }
    let empty = range.values().find_map(|value| match index {
        Some(index) => index.empty_refusal(attribute, value),
        None => attribute.empty_refusal(value),
    });
    empty.map_or(Ok(()), |message| Err(ExprError::Refused(message)))
}

/// Refuses values that are longer than keys of their role may be.
fn check_lengths<'k>(
    partition: &KeyValue,
    sorts: impl IntoIterator<Item = &'k KeyValue>,
) -> Result<(), ExprError> {
    check_sizes(partition, sorts).map_err(|refusal| ExprError::Refused(refusal.to_string()))
}

fn refuse<T>(message: &str) -> Result<T, ExprError> {
    Err(ExprError::Refused(message.to_string()))
}

fn invalid<T>(reason: &str) -> Result<T, ExprError> {
    Err(ExprError::Invalid { kind: Kind::KeyCondition, reason: reason.to_string() })
}

fn collect(node: Node, parts: &mut Vec<(String, Part)>) -> Result<(), ExprError> {
    let operator =
        |name: &str| invalid(&format!("Invalid operator used in KeyConditionExpression: {name}"));
    let (name, range) = match node {
        Node::And(nodes) => return nodes.into_iter().try_for_each(|node| collect(node, parts)),
        Node::Or(_) => return operator("OR"),
        Node::Not(_) => return operator("NOT"),
        Node::In { .. } => return operator("IN"),
        Node::Exists(_) => return operator("attribute_exists"),
        Node::NotExists(_) => return operator("attribute_not_exists"),
        Node::Type(..) => return operator("attribute_type"),
        Node::Contains(..) => return operator("contains"),
        Node::Compare { op: Comparator::Ne, .. } => return operator("<>"),
        Node::Compare { left, op, right } => comparison(left, op, right)?,
        Node::Between { operand, low, high } => {
            let name = attribute(operand, "BETWEEN")?;
            let bounds = bound(low)?.zip(bound(high)?);
            (name, bounds.map(|(low, high)| SortRange::Between(low, high)))
        }
        Node::BeginsWith(operand, prefix) => {
            let name = attribute(operand, "begins_with")?;
            (name, bound(prefix)?.map(SortRange::BeginsWith))
        }
    };
    if parts.iter().any(|(other, _)| *other == name) {
        return invalid("KeyConditionExpressions must only contain one condition per key");
    }
    parts.push((name, range.map_or(Part::Mistyped, Part::Range)));
    Ok(())
}

fn comparison(
    left: Operand,
    op: Comparator,
    right: Operand,
) -> Result<(String, Option<SortRange>), ExprError> {
    let (left, op, right) = match left {
        Operand::Value(_) => (right, op.flipped(), left),
        _ => (left, op, right),
    };
    let name = attribute(left, "")?;
    let make = match op {
        Comparator::Lt => SortRange::Lt,
        Comparator::Le => SortRange::Le,
        Comparator::Gt => SortRange::Gt,
        Comparator::Ge => SortRange::Ge,
        Comparator::Eq | Comparator::Ne => SortRange::Eq,
    };
    Ok((name, bound(right)?.map(make)))
}

/// The attribute that is compared; `first` names what must have it as its first operand.
fn attribute(operand: Operand, first: &str) -> Result<String, ExprError> {
    match operand {
        Operand::Path(Path { root, steps }) if steps.is_empty() => Ok(root),
        Operand::Path(_) => {
            invalid("KeyConditionExpressions cannot have conditions on nested attributes")
        }
        Operand::Size(_) => invalid("KeyConditionExpressions cannot contain nested operations"),
        Operand::Value(_) if !first.is_empty() => invalid(&format!(
            "Invalid condition in KeyConditionExpression: {first} operator must have the key \
             attribute as its first operand"
        )),
        Operand::Value(_) => {
            invalid("Invalid condition in KeyConditionExpression: No key attribute specified")
        }
    }
}

/// What the attribute is compared with; `None` if no key can be that.
fn bound(operand: Operand) -> Result<Option<KeyValue>, ExprError> {
    match operand {
        Operand::Value(bound) => Ok(value(AttributeValue::clone(&bound))),
        Operand::Path(_) => invalid(
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one \
             condition",
        ),
        Operand::Size(_) => invalid("KeyConditionExpressions cannot contain nested operations"),
    }
}

fn value(value: AttributeValue) -> Option<KeyValue> {
    match value {
        AttributeValue::S(text) => Some(KeyValue::S(text)),
        AttributeValue::N(number) => Some(KeyValue::N(number)),
        AttributeValue::B(bytes) => Some(KeyValue::B(bytes)),
        _ => None,
    }
}
