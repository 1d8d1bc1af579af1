//! What an ARN names.

use crate::dynamo::table::ACCOUNT;
use crate::dynamo::{ApiError, ErrorKind};

const INVALID: &str = "One or more parameter values were invalid";

/// A table, or a stream of one, by its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The ARN as it was given.
    pub arn: String,
    /// The table's name.
    pub table: String,
    /// Whether the ARN is that of a stream of the table.
    pub is_stream: bool,
}

/// What an ARN names, in DynamoDB's words where it names nothing that can be.
///
/// # Errors
///
/// `ValidationException`.
pub fn resource_of(arn: &str) -> Result<Resource, ApiError> {
    let refuse = |text: &str| Err(ApiError::validation(format!("{INVALID}: {text}{arn}")));
    if !arn.starts_with("arn:") {
        return refuse("ARNs must start with 'arn:': ");
    }
    let mut parts = arn.splitn(6, ':');
    let (service, rest) = (parts.nth(2).unwrap_or_default(), parts.nth(2).unwrap_or_default());
    let mut path = rest.split('/');
    let (kind, table) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    if service != "dynamodb" || kind != "table" || table.is_empty() {
        return refuse("Provided Arn is not a DynamoDB resource arn: ");
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if table.len() < 3 || table.len() > 255 || !table.bytes().all(fits) {
        let text = format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}");
        return Err(ApiError::validation(text));
    }
    let is_stream = match path.next() {
        None => false,
        Some("stream") => true,
        Some("index") => {
            return refuse(
                "Invalid resource arn provided, only table or stream is accepted. Provided \
                 resource arn: ",
            );
        }
        Some(_) => return refuse("Provided Arn is not a DynamoDB resource arn: "),
    };
    Ok(Resource { arn: arn.to_owned(), table: table.to_owned(), is_stream })
}

/// The refusal of an operation on what is not there, or another's, without saying which.
#[must_use]
pub fn unauthorized(operation: &str, arn: &str) -> ApiError {
    let text = format!(
        "User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: dynamodb:{operation} on \
         resource: {arn}"
    );
    ApiError::new(ErrorKind::AccessDenied, text)
}

/// The refusal of an operation on what belongs to another account, which would have to allow it by
/// a policy (the form is that of the user guide of IAM).
#[must_use]
pub fn not_allowed(operation: &str, arn: &str) -> ApiError {
    let mut error = unauthorized(operation, arn);
    error.message +=
        &format!(" because no resource-based policy allows the dynamodb:{operation} action");
    error
}
