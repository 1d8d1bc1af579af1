//! The parameters from before expressions, as the trees that expressions become.
//!
//! `Expected`, `QueryFilter` and `ScanFilter` are conditions on whole attributes, `KeyConditions` a
//! key condition, `AttributeUpdates` an update, `AttributesToGet` a projection. Messages are
//! DynamoDB's own.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::condition::{Comparator, Node, Operand};
use super::path::Path;
use super::{Condition, ExprError, eval};
use crate::item::AttributeValue;

/// A `ComparisonOperator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One of some values.
    In,
    /// The attribute does not exist.
    Null,
    /// From the first value to the second, both included.
    Between,
    /// Less than.
    Lt,
    /// No element and no part is the value.
    NotContains,
    /// Equal.
    Eq,
    /// Greater than.
    Gt,
    /// The attribute exists.
    NotNull,
    /// Not equal.
    Ne,
    /// Less than or equal.
    Le,
    /// Has the value as its prefix.
    BeginsWith,
    /// Greater than or equal.
    Ge,
    /// Has the value as an element or a part.
    Contains,
}

impl Operator {
    /// The public names, in the order in which DynamoDB prints them.
    pub const NAMES: [&'static str; 13] = [
        "IN",
        "NULL",
        "BETWEEN",
        "LT",
        "NOT_CONTAINS",
        "EQ",
        "GT",
        "NOT_NULL",
        "NE",
        "LE",
        "BEGINS_WITH",
        "GE",
        "CONTAINS",
    ];
    const ALL: [Self; 13] = [
        Self::In,
        Self::Null,
        Self::Between,
        Self::Lt,
        Self::NotContains,
        Self::Eq,
        Self::Gt,
        Self::NotNull,
        Self::Ne,
        Self::Le,
        Self::BeginsWith,
        Self::Ge,
        Self::Contains,
    ];

    /// The operator of a public name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let at = Self::NAMES.into_iter().position(|other| other == name)?;
        Some(Self::ALL[at])
    }

    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let at = Self::ALL.into_iter().position(|other| other == self);
        at.map_or("", |at| Self::NAMES[at])
    }

    /// Whether it compares with so many values.
    const fn takes(self, count: usize) -> bool {
        match self {
            Self::Null | Self::NotNull => count == 0,
            Self::Between => count == 2,
            Self::In => count > 0,
            _ => count == 1,
        }
    }

    /// Whether it compares with values of the type.
    fn fits(self, kind: &str) -> bool {
        match self {
            Self::Eq | Self::Ne | Self::Null | Self::NotNull => true,
            Self::BeginsWith => matches!(kind, "S" | "B"),
            Self::Contains | Self::NotContains => {
                matches!(kind, "S" | "N" | "B" | "BOOL" | "NULL")
            }
            Self::Lt | Self::Le | Self::Gt | Self::Ge | Self::In | Self::Between => {
                matches!(kind, "S" | "N" | "B")
            }
        }
    }

    const fn comparator(self) -> Option<Comparator> {
        Some(match self {
            Self::Eq => Comparator::Eq,
            Self::Ne => Comparator::Ne,
            Self::Lt => Comparator::Lt,
            Self::Le => Comparator::Le,
            Self::Gt => Comparator::Gt,
            Self::Ge => Comparator::Ge,
            _ => return None,
        })
    }
}

/// A condition on one attribute, its values counted and of right types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeTest {
    pub(super) name: String,
    pub(super) operator: Operator,
    pub(super) values: Vec<AttributeValue>,
}

impl AttributeTest {
    /// A condition on the attribute `name`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Refused`] where the operator does not take such values.
    pub fn new(
        name: String,
        operator: Operator,
        values: Vec<AttributeValue>,
    ) -> Result<Self, ExprError> {
        const PREFIX: &str = "One or more parameter values were invalid: ";
        let refuse = |message: String| Err(ExprError::Refused(message));
        let shown = operator.name();
        if !operator.takes(values.len()) {
            let what = "Invalid number of argument(s) for the";
            return refuse(format!("{PREFIX}{what} {shown} ComparisonOperator"));
        }
        let kinds = || values.iter().map(AttributeValue::type_name);
        let wrong = kinds().find(|kind| !operator.fits(kind));
        let differ = kinds().any(|kind| kinds().next() != Some(kind));
        // Of `IN` each value is looked at before they are compared (measured on the service by the
        // authors of dynoxide).
        if differ && (wrong.is_none() || operator != Operator::In) {
            let what = "AttributeValues inside AttributeValueList must be of same type";
            return refuse(format!("{PREFIX}{what}"));
        }
        if let Some(kind) = wrong {
            return refuse(format!(
                "{PREFIX}ComparisonOperator {shown} is not valid for {kind} AttributeValue type"
            ));
        }
        if let (Operator::Between, [low, high]) = (operator, &values[..])
            && eval::order(low, high).is_some_and(core::cmp::Ordering::is_gt)
        {
            let what = "The BETWEEN condition was provided a range where the lower bound is \
                        greater than the upper bound";
            return refuse(what.to_string());
        }
        Ok(Self { name, operator, values })
    }

    fn node(self) -> Node {
        let path = Path { root: self.name, steps: Vec::new() };
        let mut values = self.values.into_iter().map(|value| Operand::Value(Arc::new(value)));
        let nothing = || Operand::Value(Arc::new(AttributeValue::Null));
        let mut next = || values.next().unwrap_or_else(nothing);
        if let Some(op) = self.operator.comparator() {
            return Node::Compare { left: Operand::Path(path), op, right: next() };
        }
        match self.operator {
            Operator::Null => Node::NotExists(path),
            Operator::In => Node::In { operand: Operand::Path(path), list: values.collect() },
            Operator::Between => {
                Node::Between { operand: Operand::Path(path), low: next(), high: next() }
            }
            Operator::BeginsWith => Node::BeginsWith(Operand::Path(path), next()),
            Operator::Contains => Node::Contains(Operand::Path(path), next()),
            Operator::NotContains => {
                Node::Not(Box::new(Node::Contains(Operand::Path(path), next())))
            }
            _ => Node::Exists(path),
        }
    }
}

/// How several conditions are one: `ConditionalOperator`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// All of them hold.
    #[default]
    And,
    /// One of them holds.
    Or,
}

impl Condition {
    /// Conditions on attributes, as one.
    #[must_use]
    pub fn of_tests(tests: Vec<AttributeTest>, join: Join) -> Self {
        let nodes = tests.into_iter().map(AttributeTest::node).collect();
        Self { root: if join == Join::And { Node::And(nodes) } else { Node::Or(nodes) } }
    }
}
