//! DynamoDB expressions: parsed and resolved once into owned trees; a writer only evaluates.
//!
//! A request's [`Placeholders`] are made first; each expression of the request is parsed against
//! them; [`Placeholders::finish`] then refuses names and values that no expression used. Messages
//! are DynamoDB's own. Every tree is of bounded depth, so that evaluation may recurse.

mod condition;
mod eval;
mod key;
mod legacy;
mod lexer;
mod parser;
mod path;
mod placeholders;
mod projection;
mod reserved;
mod search;
mod update;

#[cfg(test)]
mod tests;

use alloc::string::String;
use core::fmt;

pub use condition::Condition;
pub(crate) use condition::{Comparator, Node, Operand, bounds};
pub use key::{IndexRange, KeyCondition, KeyRange, SortRange};
pub use legacy::{AttributeTest, Join, Operator};
pub use path::{Path, Step};
pub(crate) use path::{descend, distinct};
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use search::SearchCondition;
pub use update::{AttributeUpdate, Update, UpdateError};
pub(crate) use update::{Change, Effect, Item, SetOperand, SetValue, Target};

/// Operators and functions of one expression (DynamoDB).
pub(crate) const OPERATORS_MAX: usize = 300;
/// Nested parentheses and calls. Those that are not redundant have an operator or a function of
/// their own each, as in `NOT (NOT (...`, so that the service's limit of these comes first.
const DEPTH_MAX: usize = OPERATORS_MAX;
/// What is wrong with parentheses around nothing but parentheses.
const REDUNDANT: &str = "The expression has redundant parentheses;";
/// Steps of a document path below its first name (DynamoDB).
const PATH_STEPS_MAX: usize = crate::limits::NESTING_DEPTH_MAX;
/// Operands of one `IN` (DynamoDB).
pub(crate) const IN_OPERANDS_MAX: usize = 100;

/// Which parameter of a request an expression came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ConditionExpression`.
    Condition,
    /// `FilterExpression`.
    Filter,
    /// `KeyConditionExpression`.
    KeyCondition,
    /// `ProjectionExpression`.
    Projection,
    /// `UpdateExpression`.
    Update,
    /// `SearchConditionExpression`.
    Search,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Condition => "ConditionExpression",
            Self::Filter => "FilterExpression",
            Self::KeyCondition => "KeyConditionExpression",
            Self::Projection => "ProjectionExpression",
            Self::Update => "UpdateExpression",
            Self::Search => "SearchConditionExpression",
        })
    }
}

/// Why an expression is refused. `Display` is DynamoDB's message to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    /// The text of one expression is wrong.
    #[error("Invalid {kind}: {reason}")]
    Invalid {
        /// The parameter that holds the text.
        kind: Kind,
        /// What is wrong with it.
        reason: String,
    },
    /// The expressions are well formed, but not together, or not for this table.
    #[error("{0}")]
    Refused(String),
}
