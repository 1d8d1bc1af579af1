//! The errors that DynamoDB's clients know.

use pangea_core::expr::ExprError;
use pangea_core::item::{Attributes, ItemError};
use pangea_core::table::Refusal;

use super::attribute::write_attributes;
use super::json::{Array, Object, write_text};

/// The namespace of most errors in JSON.
const NAMESPACE: &str = "com.amazonaws.dynamodb.v20120810";

/// Which error: its public name, its namespace and its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the public error name without its suffix")]
pub enum ErrorKind {
    Validation,
    Serialization,
    UnknownOperation,
    AccessDenied,
    MissingAuthenticationToken,
    IncompleteSignature,
    InvalidSignature,
    UnrecognizedClient,
    ExpiredToken,
    Throttling,
    ResourceNotFound,
    ResourceInUse,
    TableNotFound,
    TableInUse,
    TableAlreadyExists,
    ConditionalCheckFailed,
    DuplicateItem,
    TransactionCanceled,
    TransactionInProgress,
    IdempotentParameterMismatch,
    ReplicatedWriteConflict,
    ReplicaNotFound,
    ReplicaAlreadyExists,
    LimitExceeded,
    ItemCollectionSizeLimitExceeded,
    ProvisionedThroughputExceeded,
    RequestLimitExceeded,
    InternalServer,
    ServiceUnavailable,
    ExpiredIterator,
    TrimmedDataAccess,
    BackupNotFound,
    BackupInUse,
    PointInTimeRecoveryUnavailable,
    InvalidRestoreTime,
    /// `InvalidExportTimeException`.
    InvalidExportTime,
    PolicyNotFound,
    GlobalTableNotFound,
    GlobalTableAlreadyExists,
    ExportNotFound,
    ImportNotFound,
    ExportConflict,
    ImportConflict,
    /// The region has not seen what the session has; another try may find that it has.
    SessionBehind,
    /// Too few regions are reached for the durability or the read that was asked for; nothing was
    /// written.
    TooFewRegions,
    /// The write is durable in its region; whether it is in as many as were asked for is not known.
    DurabilityTimeout,
}

impl ErrorKind {
    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validation => "ValidationException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::AccessDenied => "AccessDeniedException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::Throttling => "ThrottlingException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::TableNotFound => "TableNotFoundException",
            Self::TableInUse => "TableInUseException",
            Self::TableAlreadyExists => "TableAlreadyExistsException",
            Self::ConditionalCheckFailed => "ConditionalCheckFailedException",
            Self::DuplicateItem => "DuplicateItemException",
            Self::TransactionCanceled => "TransactionCanceledException",
            Self::TransactionInProgress => "TransactionInProgressException",
            Self::IdempotentParameterMismatch => "IdempotentParameterMismatchException",
            Self::ReplicatedWriteConflict => "ReplicatedWriteConflictException",
            Self::ReplicaNotFound => "ReplicaNotFoundException",
            Self::ReplicaAlreadyExists => "ReplicaAlreadyExistsException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ItemCollectionSizeLimitExceeded => "ItemCollectionSizeLimitExceededException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::RequestLimitExceeded => "RequestLimitExceeded",
            Self::InternalServer => "InternalServerError",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::TrimmedDataAccess => "TrimmedDataAccessException",
            Self::BackupNotFound => "BackupNotFoundException",
            Self::BackupInUse => "BackupInUseException",
            Self::PointInTimeRecoveryUnavailable => "PointInTimeRecoveryUnavailableException",
            Self::InvalidExportTime => "InvalidExportTimeException",
            Self::InvalidRestoreTime => "InvalidRestoreTimeException",
            Self::PolicyNotFound => "PolicyNotFoundException",
            Self::GlobalTableNotFound => "GlobalTableNotFoundException",
            Self::GlobalTableAlreadyExists => "GlobalTableAlreadyExistsException",
            Self::ExportNotFound => "ExportNotFoundException",
            Self::ImportNotFound => "ImportNotFoundException",
            Self::ExportConflict => "ExportConflictException",
            Self::ImportConflict => "ImportConflictException",
            Self::SessionBehind => "SessionBehindException",
            Self::TooFewRegions => "TooFewRegionsException",
            Self::DurabilityTimeout => "DurabilityTimeoutException",
        }
    }

    /// The namespace that stands before the name in `__type`.
    #[must_use]
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Validation => "com.amazon.coral.validate",
            Self::Serialization
            | Self::UnknownOperation
            | Self::AccessDenied
            | Self::MissingAuthenticationToken
            | Self::IncompleteSignature
            | Self::InvalidSignature
            | Self::UnrecognizedClient
            | Self::ExpiredToken
            | Self::Throttling
            | Self::ServiceUnavailable => "com.amazon.coral.service",
            _ => NAMESPACE,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InternalServer => 500,
            // Statuses that every SDK tries again.
            Self::ServiceUnavailable | Self::SessionBehind | Self::TooFewRegions => 503,
            Self::DurabilityTimeout => 504,
            _ => 400,
        }
    }
}

/// Why one item of a transaction kept it from going through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancellationReason {
    /// `None`, `ConditionalCheckFailed` and so on.
    pub code: String,
    /// What went wrong, if something did.
    pub message: Option<String>,
    /// The item, where it was asked for.
    pub item: Option<Attributes>,
}

impl CancellationReason {
    /// Of an item that would have been done.
    #[must_use]
    pub fn none() -> Self {
        Self { code: "None".to_owned(), message: None, item: None }
    }
}

/// What one item of a transaction is refused for.
impl From<ApiError> for CancellationReason {
    fn from(error: ApiError) -> Self {
        let code = match error.kind {
            ErrorKind::ConditionalCheckFailed => "ConditionalCheckFailed",
            ErrorKind::DuplicateItem => "DuplicateItem",
            ErrorKind::ResourceNotFound => "ResourceNotFound",
            _ => "ValidationError",
        };
        Self { code: code.to_owned(), message: Some(error.message), item: error.item }
    }
}

/// How the messages begin that refuse an empty value of a key attribute, of a table or an index.
const EMPTY_KEY: &str = "One or more parameter values are not valid. ";

/// A `TransactionCanceledException`, from what each item is refused for, in the order of the
/// request. That a key is empty the service sees before there is a transaction, and refuses that
/// alone.
pub fn cancelled(reasons: impl IntoIterator<Item = Option<CancellationReason>>) -> ApiError {
    let reasons = reasons.into_iter().map(|reason| reason.unwrap_or_else(CancellationReason::none));
    let reasons: Vec<CancellationReason> = reasons.collect();
    let mut messages = reasons.iter().filter_map(|reason| reason.message.as_deref());
    if let Some(message) = messages.find(|message| message.starts_with(EMPTY_KEY)) {
        return ApiError::validation(message);
    }
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    ApiError { reasons, ..ApiError::new(ErrorKind::TransactionCanceled, message) }
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct ApiError {
    /// Which error.
    pub kind: ErrorKind,
    /// The text for people; some clients match on it.
    pub message: String,
    /// The item of a failed condition, where it was asked for.
    pub item: Option<Attributes>,
    /// The reasons of a cancelled transaction, one for each of its items.
    pub reasons: Vec<CancellationReason>,
}

impl ApiError {
    /// An error without extras.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), item: None, reasons: Vec::new() }
    }

    /// A `ValidationException`.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Validation, message)
    }

    /// A `SerializationException`.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Serialization, message)
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The response body. `message` is lower case, which all SDKs accept.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut body = Object::new(&mut out);
        body.text("__type", &format!("{}#{}", self.kind.namespace(), self.kind.name()));
        // What the service's front end refuses may have no message, and spells it differently.
        match self.kind {
            _ if self.message.is_empty() => {}
            ErrorKind::Serialization | ErrorKind::AccessDenied => {
                body.text("Message", &self.message);
            }
            _ => body.text("message", &self.message),
        }
        if let Some(item) = &self.item {
            write_attributes(body.member("Item"), item);
        }
        if !self.reasons.is_empty() {
            // Upper case is what DynamoDB's model of this exception names it; it is sent as well.
            write_text(body.member("Message"), &self.message);
            let mut reasons = Array::new(body.member("CancellationReasons"));
            for reason in &self.reasons {
                let mut entry = Object::new(reasons.element());
                entry.text("Code", &reason.code);
                if let Some(message) = &reason.message {
                    entry.text("Message", message);
                }
                if let Some(item) = &reason.item {
                    write_attributes(entry.member("Item"), item);
                }
                entry.end();
            }
            reasons.end();
        }
        body.end();
        out
    }
}

impl From<ExprError> for ApiError {
    fn from(error: ExprError) -> Self {
        Self::validation(error.to_string())
    }
}

impl From<ItemError> for ApiError {
    fn from(error: ItemError) -> Self {
        Self::validation(error.to_string())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Validation(_) | Refusal::ItemTooLarge(_) => Self::validation(message),
            Refusal::ConditionFailed { item } => {
                Self { item, ..Self::new(ErrorKind::ConditionalCheckFailed, message) }
            }
        }
    }
}

/// The body of an error as Smithy's model names it, in the namespace `model`: by that name the
/// clients of Smithy's protocols find its type. None where it has another name in JSON, too.
#[must_use]
pub fn modelled(body: &[u8], model: &str) -> Option<Vec<u8>> {
    let name = body.strip_prefix(b"{\"__type\":\"")?.strip_prefix(NAMESPACE.as_bytes())?;
    Some([b"{\"__type\":\"", model.as_bytes(), name].concat())
}
