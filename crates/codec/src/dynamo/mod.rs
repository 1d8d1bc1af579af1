//! DynamoDB JSON 1.0: requests in, responses and errors out.
//!
//! Items take the straight way: a request's bytes become `Attributes` without a tree in between,
//! and `Attributes` become a response's bytes. Whatever is refused is an [`ApiError`] in DynamoDB's
//! words. Nothing here knows of tables that exist: what needs a schema is a method that takes one.

mod arns;
pub mod attribute;
pub mod backup;
pub mod capacity;
pub mod error;
mod json;
pub mod request;
pub mod response;
pub mod shape;
pub mod streams;
pub mod table;

#[cfg(test)]
mod tests;

pub use arns::{Arns, NamedArn};
pub use attribute::{attributes_to_json, decode_attributes, write_attributes};
pub use error::{ApiError, CancellationReason, ErrorKind, cancelled, modelled};
pub use request::{Operation, Request, decode};
pub use table::{ReplicaView, TableView};
