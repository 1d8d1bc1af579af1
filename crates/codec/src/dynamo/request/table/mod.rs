//! Operations on tables.

mod canonical;
mod capacity;
mod change;
mod create;
mod features;
mod index;
mod kept;
mod keys;
mod policy;
mod regions;
mod replica;
mod update;
mod vector;

pub use change::busy;
pub use create::CreateTable;
pub use features::{Encryption, TAGS_MAX, Throughput, Units, too_many_tags};
pub use kept::{KeptIndex, fit_capacity, foreign, keep};
pub use replica::{ReplicaAction, ReplicaUpdate, WitnessUpdate};
pub use update::UpdateTable;

pub(crate) use features::warm_of;
pub(super) use features::{Sse, check_tag_key, checked_tags, limits_of, sse_of, tags};
pub(crate) use keys::of_entry as key_attributes;
pub(super) use policy::checked_policy;
pub(crate) use update::OVERRIDES;

use super::{Constraints, Members};
use crate::dynamo::ApiError;

/// Table names of one ListTables page (DynamoDB).
const LIST_TABLES_MAX: usize = 100;
const INVALID: &str = "One or more parameter values were invalid";
pub(super) const NO_CAPACITY: &str = "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                           BillingMode is PAY_PER_REQUEST";
pub(super) const CAPACITY_NEEDED: &str = "ReadCapacityUnits and WriteCapacityUnits must both be \
                                          specified when BillingMode is PROVISIONED";

/// What a table's stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamView {
    /// `KEYS_ONLY`.
    KeysOnly,
    /// `NEW_IMAGE`.
    NewImage,
    /// `OLD_IMAGE`.
    OldImage,
    /// `NEW_AND_OLD_IMAGES`.
    NewAndOldImages,
}

impl StreamView {
    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeysOnly => "KEYS_ONLY",
            Self::NewImage => "NEW_IMAGE",
            Self::OldImage => "OLD_IMAGE",
            Self::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::KeysOnly, Self::NewImage, Self::OldImage, Self::NewAndOldImages]
            .into_iter()
            .find(|view| view.name() == text)
    }
}

impl From<StreamView> for pangea_core::catalog::StreamView {
    fn from(view: StreamView) -> Self {
        match view {
            StreamView::KeysOnly => Self::KeysOnly,
            StreamView::NewImage => Self::NewImage,
            StreamView::OldImage => Self::OldImage,
            StreamView::NewAndOldImages => Self::NewAndOldImages,
        }
    }
}

impl From<pangea_core::catalog::StreamView> for StreamView {
    fn from(view: pangea_core::catalog::StreamView) -> Self {
        use pangea_core::catalog::StreamView as View;
        match view {
            View::KeysOnly => Self::KeysOnly,
            View::NewImage => Self::NewImage,
            View::OldImage => Self::OldImage,
            View::NewAndOldImages => Self::NewAndOldImages,
        }
    }
}

/// `StreamSpecification`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSpecification {
    /// No stream.
    Disabled,
    /// A stream of these.
    Enabled(StreamView),
}

/// `DescribeTable` and `DeleteTable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRequest {
    /// The table's name.
    pub table: String,
}

impl TableRequest {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.named_table(body)?;
        constraints.finish()?;
        Ok(Self { table })
    }
}

/// `ListTables`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTables {
    /// The last name of the page before.
    pub start: Option<String>,
    /// How many names to return at most: 1 to 100.
    pub limit: usize,
}

impl ListTables {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let start = body.text("ExclusiveStartTableName")?;
        if let Some(start) = &start {
            constraints.identifier(start, "exclusiveStartTableName");
        }
        let limit = constraints.at_least(body.integer("Limit")?, 1, "limit");
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if let Some(limit) = limit.filter(|limit| *limit > LIST_TABLES_MAX && *limit < usize::MAX) {
            let constraint = "have value less than or equal to 100";
            constraints.violated(format_args!("'{limit}'"), "limit", constraint);
        }
        constraints.finish()?;
        Ok(Self { start, limit: limit.unwrap_or(LIST_TABLES_MAX) })
    }
}

/// A `ValidationException` in the words with which most of DynamoDB's begin.
pub(super) fn invalid(text: &str) -> ApiError {
    ApiError::validation(format!("{INVALID}: {text}"))
}
