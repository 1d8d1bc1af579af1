//! Statements as trees. Every tree is of bounded depth, so that walks may recurse.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::lexer::Span;
use crate::expr::{Comparator, Path};
use crate::item::{AttributeValue, Attributes};

/// A parsed statement, its parameters substituted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `SELECT`.
    Select(Select),
    /// `EXISTS(SELECT …)`: a condition of a transaction.
    Exists(Select),
    /// `INSERT INTO … VALUE …`.
    Insert(Insert),
    /// `UPDATE … SET … WHERE …`, or `FROM … WHERE … SET …`.
    Update(Change),
    /// `DELETE FROM … WHERE …`.
    Delete(Change),
}

/// The table, and the index if one is named, of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The table's name.
    pub table: String,
    /// The index's name.
    pub index: Option<String>,
    pub(super) span: Span,
}

/// `SELECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// What it reads.
    pub target: Target,
    /// The wanted paths; `None` is all.
    pub(super) paths: Option<Vec<Path>>,
    pub(super) filter: Option<Expr>,
    pub(super) order: Vec<Order>,
    /// Why it is refused, unless its index may not be read at all.
    pub(super) refusal: Option<String>,
}

impl Select {
    /// Why it is refused, if nothing is wrong with the index that it names: of such a statement
    /// that is told before (the Parity Suite, October 2026).
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

/// A term of `ORDER BY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) path: Path,
    pub(super) descending: bool,
    /// Why it is refused, if it is not the name of an attribute.
    pub(super) refusal: Option<String>,
}

/// `INSERT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    pub(super) target: Target,
    pub(super) item: Attributes,
}

/// `UPDATE` or `DELETE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub(super) target: Target,
    pub(super) filter: Option<Expr>,
    /// Of an `UPDATE`.
    pub(super) clauses: Vec<Clause>,
    pub(super) returning: Option<Returning>,
}

/// One change of an `UPDATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Clause {
    Set(Path, Expr),
    Remove(Path),
}

/// A `RETURNING` clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returning {
    /// The whole item before.
    AllOld,
    /// The changed parts before.
    ModifiedOld,
    /// The whole item after.
    AllNew,
    /// The changed parts after.
    ModifiedNew,
}

impl Returning {
    /// Its words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::AllOld => "ALL OLD",
            Self::ModifiedOld => "MODIFIED OLD",
            Self::AllNew => "ALL NEW",
            Self::ModifiedNew => "MODIFIED NEW",
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Value(AttributeValue),
    Missing,
    Path(Path),
    Call(Call),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare {
        left: Box<Expr>,
        op: Comparator,
        right: Box<Expr>,
    },
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
    },
    In {
        operand: Box<Expr>,
        list: Vec<Expr>,
    },
    Is {
        operand: Box<Expr>,
        kinds: &'static [&'static str],
    },
    Sum {
        left: Box<Expr>,
        right: Box<Expr>,
        minus: bool,
    },
    /// An operation that DynamoDB names when it refuses it.
    Unsupported(&'static str),
}

impl Expr {
    /// Whether it says what an attribute is equal to.
    pub(super) fn names(&self, attribute: &str) -> bool {
        let is_it = |one: &Self| match one {
            Self::Path(path) => path.steps.is_empty() && path.root == attribute,
            _ => false,
        };
        let is_value = |one: &Self| matches!(one, Self::Value(_));
        match self {
            Self::Compare { left, op: Comparator::Eq, right } => {
                is_it(left) && is_value(right) || is_value(left) && is_it(right)
            }
            _ => false,
        }
    }
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// As it is written.
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) arguments: Vec<(Expr, Span)>,
}

impl Statement {
    /// What the statement reads or writes.
    #[must_use]
    pub const fn target(&self) -> &Target {
        match self {
            Self::Select(select) | Self::Exists(select) => &select.target,
            Self::Insert(insert) => &insert.target,
            Self::Update(change) | Self::Delete(change) => &change.target,
        }
    }

    /// Whether it changes nothing and is no condition of a transaction.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Select(_))
    }

    /// What it returns, if it says so.
    #[must_use]
    pub const fn returning(&self) -> Option<Returning> {
        match self {
            Self::Update(change) | Self::Delete(change) => change.returning,
            Self::Select(_) | Self::Exists(_) | Self::Insert(_) => None,
        }
    }
}
