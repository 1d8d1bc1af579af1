//! PartiQL: statements parsed into the operations that the rest of the code knows.
//!
//! A text with its parameters becomes a [`Statement`]; held against a table's schema it becomes a
//! [`WriteOp`](crate::table::WriteOp) or a [`Read`]. Messages are DynamoDB's own, as the Parity
//! Suite has measured them. A syntax error ends a parse at once; what is wrong with a statement of
//! right syntax is told after it. Recursion is bounded before it is gone into.

mod ast;
mod change;
mod ion;
mod keys;
mod keywords;
mod lexer;
mod literal;
mod lower;
mod parser;
mod plan;
mod term;
mod write;

#[cfg(test)]
mod tests;

use alloc::string::String;

pub use ast::{Returning, Select, Statement, Target};
pub use parser::parse;
pub use plan::{Output, Read};

/// Characters of one statement (DynamoDB).
pub const STATEMENT_CHARS_MAX: usize = 8192;
/// Nested parentheses, negations, lists and maps: keeps every recursion far from a thread's stack.
const DEPTH_MAX: usize = 64;
/// What an `EXISTS` is told anywhere but in a transaction that writes.
pub const EXISTS_ELSEWHERE: &str = "EXISTS can only be used in ExecuteTransaction write requests.";
const TOO_DEEP: &str = "Expression is nested too deeply";

/// Why a statement is refused. `Display` is DynamoDB's message to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no statement.
    #[error("Statement wasn't well formed, can't be processed: {0}")]
    Malformed(String),
    /// The statement is well formed, but is not one that can be done.
    #[error("{0}")]
    Refused(String),
    /// What a `SELECT` wants is no path.
    #[error("{0}")]
    Projection(String),
    /// What is to be a key is of another type than the table's key of that name.
    #[error("Key attribute's data type should match its data type in table's schema: Key {0}")]
    KeyType(String),
    /// What is to be the key of that name is of a type that no key has.
    #[error("Key value must be of type S, N, or B. Key name: {0}, Key type: {1}")]
    KeyKind(String, &'static str),
}

fn malformed<T>(reason: &str) -> Result<T, Error> {
    Err(Error::Malformed(reason.into()))
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::Refused(reason.into()))
}
