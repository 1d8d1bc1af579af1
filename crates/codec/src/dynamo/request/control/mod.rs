//! Operations on what a table has beside its items: tags, expiry, continuous backups, policies,
//! insights, destinations, scaling, and the view of 2017 on global tables.

mod decode;
mod resource;
mod scale;
mod transfer;

use super::Members;
use crate::dynamo::ApiError;

pub use resource::{Resource, not_allowed, resource_of, unauthorized};
pub use scale::Scaling;
pub use transfer::{Transfer, TransferKind};

/// Which of these operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the public operation name")]
pub enum ControlOperation {
    DescribeLimits,
    DescribeEndpoints,
    TagResource,
    UntagResource,
    ListTagsOfResource,
    UpdateTimeToLive,
    DescribeTimeToLive,
    UpdateContinuousBackups,
    DescribeContinuousBackups,
    PutResourcePolicy,
    GetResourcePolicy,
    DeleteResourcePolicy,
    UpdateContributorInsights,
    DescribeContributorInsights,
    ListContributorInsights,
    EnableKinesisStreamingDestination,
    DisableKinesisStreamingDestination,
    UpdateKinesisStreamingDestination,
    DescribeKinesisStreamingDestination,
    UpdateTableReplicaAutoScaling,
    DescribeTableReplicaAutoScaling,
    CreateGlobalTable,
    DescribeGlobalTable,
    ListGlobalTables,
    UpdateGlobalTable,
    DescribeGlobalTableSettings,
    UpdateGlobalTableSettings,
    ExportTableToPointInTime,
    DescribeExport,
    ListExports,
    ImportTable,
    DescribeImport,
    ListImports,
    StartBulkPutItems,
    DescribeBulkOperation,
    CancelBulkOperation,
    ListBulkOperations,
}

impl ControlOperation {
    /// Every one.
    pub const ALL: [Self; 37] = [
        Self::DescribeLimits,
        Self::DescribeEndpoints,
        Self::TagResource,
        Self::UntagResource,
        Self::ListTagsOfResource,
        Self::UpdateTimeToLive,
        Self::DescribeTimeToLive,
        Self::UpdateContinuousBackups,
        Self::DescribeContinuousBackups,
        Self::PutResourcePolicy,
        Self::GetResourcePolicy,
        Self::DeleteResourcePolicy,
        Self::UpdateContributorInsights,
        Self::DescribeContributorInsights,
        Self::ListContributorInsights,
        Self::EnableKinesisStreamingDestination,
        Self::DisableKinesisStreamingDestination,
        Self::UpdateKinesisStreamingDestination,
        Self::DescribeKinesisStreamingDestination,
        Self::UpdateTableReplicaAutoScaling,
        Self::DescribeTableReplicaAutoScaling,
        Self::CreateGlobalTable,
        Self::DescribeGlobalTable,
        Self::ListGlobalTables,
        Self::UpdateGlobalTable,
        Self::DescribeGlobalTableSettings,
        Self::UpdateGlobalTableSettings,
        Self::ExportTableToPointInTime,
        Self::DescribeExport,
        Self::ListExports,
        Self::ImportTable,
        Self::DescribeImport,
        Self::ListImports,
        Self::StartBulkPutItems,
        Self::DescribeBulkOperation,
        Self::CancelBulkOperation,
        Self::ListBulkOperations,
    ];

    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DescribeLimits => "DescribeLimits",
            Self::DescribeEndpoints => "DescribeEndpoints",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::ListTagsOfResource => "ListTagsOfResource",
            Self::UpdateTimeToLive => "UpdateTimeToLive",
            Self::DescribeTimeToLive => "DescribeTimeToLive",
            Self::UpdateContinuousBackups => "UpdateContinuousBackups",
            Self::DescribeContinuousBackups => "DescribeContinuousBackups",
            Self::PutResourcePolicy => "PutResourcePolicy",
            Self::GetResourcePolicy => "GetResourcePolicy",
            Self::DeleteResourcePolicy => "DeleteResourcePolicy",
            Self::UpdateContributorInsights => "UpdateContributorInsights",
            Self::DescribeContributorInsights => "DescribeContributorInsights",
            Self::ListContributorInsights => "ListContributorInsights",
            Self::EnableKinesisStreamingDestination => "EnableKinesisStreamingDestination",
            Self::DisableKinesisStreamingDestination => "DisableKinesisStreamingDestination",
            Self::UpdateKinesisStreamingDestination => "UpdateKinesisStreamingDestination",
            Self::DescribeKinesisStreamingDestination => "DescribeKinesisStreamingDestination",
            Self::UpdateTableReplicaAutoScaling => "UpdateTableReplicaAutoScaling",
            Self::DescribeTableReplicaAutoScaling => "DescribeTableReplicaAutoScaling",
            Self::CreateGlobalTable => "CreateGlobalTable",
            Self::DescribeGlobalTable => "DescribeGlobalTable",
            Self::ListGlobalTables => "ListGlobalTables",
            Self::UpdateGlobalTable => "UpdateGlobalTable",
            Self::DescribeGlobalTableSettings => "DescribeGlobalTableSettings",
            Self::UpdateGlobalTableSettings => "UpdateGlobalTableSettings",
            Self::ExportTableToPointInTime => "ExportTableToPointInTime",
            Self::DescribeExport => "DescribeExport",
            Self::ListExports => "ListExports",
            Self::ImportTable => "ImportTable",
            Self::DescribeImport => "DescribeImport",
            Self::ListImports => "ListImports",
            Self::StartBulkPutItems => "StartBulkPutItems",
            Self::DescribeBulkOperation => "DescribeBulkOperation",
            Self::CancelBulkOperation => "CancelBulkOperation",
            Self::ListBulkOperations => "ListBulkOperations",
        }
    }
}

/// One of these requests; those that only name a table or a thing carry that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `DescribeLimits`.
    Limits,
    /// `DescribeEndpoints`.
    Endpoints,
    /// `TagResource`: tags to set (`Some`) or, for `UntagResource`, to take away.
    Tag {
        /// Whose.
        resource: Resource,
        /// Key and value.
        tags: Vec<(String, Option<String>)>,
    },
    /// `ListTagsOfResource`.
    ListTags(Resource),
    /// `UpdateTimeToLive`.
    Expire {
        /// Whose items.
        table: String,
        /// Whether they shall expire.
        enabled: bool,
        /// By which attribute.
        attribute: String,
    },
    /// `DescribeTimeToLive`.
    Expiry(String),
    /// `UpdateContinuousBackups`.
    KeepHistory {
        /// Of which table.
        table: String,
        /// Whether its past shall be kept.
        enabled: bool,
        /// For how many days.
        days: Option<u64>,
    },
    /// `DescribeContinuousBackups`.
    History(String),
    /// `PutResourcePolicy`, or `DeleteResourcePolicy` where there is no text.
    SetPolicy {
        /// Whose.
        resource: Resource,
        /// The policy.
        policy: Option<String>,
        /// The revision that it shall take the place of.
        expected: Option<String>,
    },
    /// `GetResourcePolicy`.
    Policy(Resource),
    /// `UpdateContributorInsights`.
    Watch {
        /// Which table.
        table: String,
        /// Which of its indexes, if one is named.
        index: Option<String>,
        /// The mode, or `None` to end it.
        mode: Option<String>,
    },
    /// `DescribeContributorInsights`: table and index.
    Insights(String, Option<String>),
    /// `ListContributorInsights`.
    ListInsights {
        /// Of this table alone.
        table: Option<String>,
        /// At most so many.
        limit: usize,
        /// Behind the one that this names, which the page before gave.
        after: Option<String>,
    },
    /// `Enable`, `Disable` and `UpdateKinesisStreamingDestination`.
    Send {
        /// Whose changes.
        table: String,
        /// To which stream.
        stream: String,
        /// What to do.
        action: Sending,
    },
    /// `DescribeKinesisStreamingDestination`.
    Destinations(String),
    /// `UpdateTableReplicaAutoScaling`, whose settings are kept and have no effect.
    Scale {
        /// Whose.
        table: String,
        /// What is set.
        settings: Vec<Scaling>,
    },
    /// `DescribeTableReplicaAutoScaling`.
    Scaling(String),
    /// `CreateGlobalTable` and `UpdateGlobalTable`.
    Globe {
        /// Which table.
        table: String,
        /// Whether it is to become a global one.
        creates: bool,
        /// Regions to add.
        add: Vec<String>,
        /// Regions to take away.
        remove: Vec<String>,
    },
    /// `DescribeGlobalTable`.
    Global(String),
    /// `ListGlobalTables`.
    ListGlobal {
        /// The last name of the page before.
        start: Option<String>,
        /// How many names at most.
        limit: usize,
        /// Only those with a replica there.
        region: Option<String>,
    },
    /// `DescribeGlobalTableSettings`.
    GlobalSettings(String),
    /// `UpdateGlobalTableSettings`.
    SetGlobal {
        /// Whose.
        table: String,
        /// Paid for by request, or not any more.
        on_demand: Option<bool>,
        /// Provisioned write units of every replica.
        write: Option<u64>,
    },
    /// `ExportTableToPointInTime`, `ImportTable` and `StartBulkPutItems`.
    Transfer(Transfer),
    /// `DescribeExport`, `DescribeImport` and `DescribeBulkOperation`: what kind of transfer, and
    /// its ARN.
    Transferred(TransferKind, String),
    /// `CancelBulkOperation`: the ARN.
    CancelTransfer(String),
    /// `ListExports`, `ListImports` and `ListBulkOperations`.
    ListTransfers {
        /// Of which kind.
        kind: TransferKind,
        /// Of this table alone.
        table: Option<String>,
        /// At most so many.
        limit: usize,
        /// How many to leave out, which the page before told.
        skip: usize,
    },
}

/// What to do with a Kinesis destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Begin, in this precision of times.
    Enable(Option<String>),
    /// End.
    Disable,
    /// Go on in this precision.
    Update(String),
}

impl Control {
    pub(super) fn decode(
        operation: ControlOperation,
        body: &mut Members,
    ) -> Result<Self, ApiError> {
        decode::decode(operation, body)
    }

    /// The tables that it names.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        match self {
            Self::Limits
            | Self::Endpoints
            | Self::ListInsights { table: None, .. }
            | Self::ListGlobal { .. }
            | Self::Transferred(..)
            | Self::CancelTransfer(_)
            | Self::ListTransfers { table: None, .. } => Vec::new(),
            Self::Tag { resource, .. }
            | Self::ListTags(resource)
            | Self::SetPolicy { resource, .. }
            | Self::Policy(resource) => vec![&resource.table],
            Self::Transfer(transfer) => vec![&transfer.table],
            Self::Expire { table, .. }
            | Self::Expiry(table)
            | Self::KeepHistory { table, .. }
            | Self::History(table)
            | Self::Watch { table, .. }
            | Self::Insights(table, _)
            | Self::ListInsights { table: Some(table), .. }
            | Self::Send { table, .. }
            | Self::Destinations(table)
            | Self::Scale { table, .. }
            | Self::Scaling(table)
            | Self::Globe { table, .. }
            | Self::Global(table)
            | Self::GlobalSettings(table)
            | Self::SetGlobal { table, .. }
            | Self::ListTransfers { table: Some(table), .. } => vec![table],
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        !matches!(
            self,
            Self::Tag { .. }
                | Self::Expire { .. }
                | Self::KeepHistory { .. }
                | Self::SetPolicy { .. }
                | Self::Watch { .. }
                | Self::Send { .. }
                | Self::Scale { .. }
                | Self::Globe { .. }
                | Self::SetGlobal { .. }
                | Self::Transfer(_)
        )
    }
}
