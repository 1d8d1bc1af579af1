//! Requests: typed, validated as far as that goes without a schema, their expressions parsed.

mod arn;
mod backup;
mod batch;
mod constraints;
mod control;
mod depth;
mod echo;
mod envelope;
mod expressions;
mod indexed;
mod item;
mod legacy;
mod members;
mod page;
mod search;
mod statement;
mod streams;
mod table;
mod transact;

pub use backup::{
    BackupOperation, BackupRequest, CreateBackup, ListBackups, Overrides, RestoreTableFromBackup,
    RestoreTableToPointInTime,
};
pub use batch::{BatchGetItem, BatchGetTable, BatchWrite, BatchWriteItem};
pub use control::{
    Control, ControlOperation, Resource, Scaling, Sending, Transfer, TransferKind, not_allowed,
    resource_of, unauthorized,
};
pub use indexed::Indexed;
pub use item::{DeleteItem, GetItem, PutItem, UpdateItem};
pub use page::{Query, Scan, Segment, Select};
pub use search::{SearchVectors, Searched};
pub use statement::{
    BatchExecuteStatement, BatchStatement, ExecuteStatement, ExecuteTransaction, StatementAnswer,
    duplicate,
};
pub use streams::{
    DescribeStream, GetRecords, GetShardIterator, IteratorStart, ListStreams, StreamsRequest,
};
pub use table::{
    CreateTable, Encryption, KeptIndex, ListTables, ReplicaAction, ReplicaUpdate,
    StreamSpecification, StreamView, TAGS_MAX, TableRequest, Throughput, Units, UpdateTable,
    WitnessUpdate, busy, fit_capacity, foreign, keep, too_many_tags,
};
pub(crate) use table::{OVERRIDES, key_attributes, warm_of};
pub use transact::{ConditionCheck, TransactGetItems, TransactWrite, TransactWriteItems};

use super::attribute::Layer;
use super::capacity::ReturnCapacity;
use super::error::{ApiError, ErrorKind};
use super::shape;
use constraints::Constraints;
pub(super) use constraints::table_of;
use members::Members;

/// What the targets of DynamoDB's operations begin with, and those of its streams'.
const API: &str = "DynamoDB_20120810";
const STREAMS_API: &str = "DynamoDBStreams_20120810";

/// The operations that Pangea serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the public operation name")]
pub enum Operation {
    CreateTable,
    DescribeTable,
    ListTables,
    DeleteTable,
    UpdateTable,
    PutItem,
    GetItem,
    UpdateItem,
    DeleteItem,
    Query,
    Scan,
    BatchGetItem,
    BatchWriteItem,
    TransactGetItems,
    TransactWriteItems,
    ListStreams,
    DescribeStream,
    GetShardIterator,
    GetRecords,
    ExecuteStatement,
    BatchExecuteStatement,
    ExecuteTransaction,
    SearchVectors,
    /// One of those on what a table has beside its items.
    Control(ControlOperation),
    /// One of those on backups.
    Backup(BackupOperation),
}

impl Operation {
    /// Every operation, but those of [`ControlOperation`] and [`BackupOperation`].
    pub const ALL: [Self; 23] = [
        Self::CreateTable,
        Self::DescribeTable,
        Self::ListTables,
        Self::DeleteTable,
        Self::UpdateTable,
        Self::PutItem,
        Self::GetItem,
        Self::UpdateItem,
        Self::DeleteItem,
        Self::Query,
        Self::Scan,
        Self::BatchGetItem,
        Self::BatchWriteItem,
        Self::TransactGetItems,
        Self::TransactWriteItems,
        Self::ListStreams,
        Self::DescribeStream,
        Self::GetShardIterator,
        Self::GetRecords,
        Self::ExecuteStatement,
        Self::BatchExecuteStatement,
        Self::ExecuteTransaction,
        Self::SearchVectors,
    ];

    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateTable => "CreateTable",
            Self::DescribeTable => "DescribeTable",
            Self::ListTables => "ListTables",
            Self::DeleteTable => "DeleteTable",
            Self::UpdateTable => "UpdateTable",
            Self::PutItem => "PutItem",
            Self::GetItem => "GetItem",
            Self::UpdateItem => "UpdateItem",
            Self::DeleteItem => "DeleteItem",
            Self::Query => "Query",
            Self::Scan => "Scan",
            Self::BatchGetItem => "BatchGetItem",
            Self::BatchWriteItem => "BatchWriteItem",
            Self::TransactGetItems => "TransactGetItems",
            Self::TransactWriteItems => "TransactWriteItems",
            Self::ListStreams => "ListStreams",
            Self::DescribeStream => "DescribeStream",
            Self::GetShardIterator => "GetShardIterator",
            Self::GetRecords => "GetRecords",
            Self::Control(operation) => operation.name(),
            Self::Backup(operation) => operation.name(),
            Self::ExecuteStatement => "ExecuteStatement",
            Self::BatchExecuteStatement => "BatchExecuteStatement",
            Self::ExecuteTransaction => "ExecuteTransaction",
            Self::SearchVectors => "SearchVectors",
        }
    }

    /// In whose words values are refused.
    const fn layer(self) -> Layer {
        match self {
            Self::BatchWriteItem
            | Self::TransactGetItems
            | Self::TransactWriteItems
            | Self::ExecuteStatement
            | Self::BatchExecuteStatement
            | Self::ExecuteTransaction => Layer::Older,
            _ => Layer::Current,
        }
    }

    /// Which API it is of, as targets begin.
    const fn api(self) -> &'static str {
        match self {
            Self::ListStreams
            | Self::DescribeStream
            | Self::GetShardIterator
            | Self::GetRecords => STREAMS_API,
            _ => API,
        }
    }

    /// The operation that an `X-Amz-Target` header names.
    ///
    /// # Errors
    ///
    /// `UnknownOperationException` where it names none.
    pub fn from_target(target: &str) -> Result<Self, ApiError> {
        let (api, name) = target.split_once('.').unwrap_or_default();
        let name = if [API, STREAMS_API].contains(&api) { name } else { "" };
        let control = ControlOperation::ALL.into_iter().map(Self::Control);
        let backup = BackupOperation::ALL.into_iter().map(Self::Backup);
        let mut all = Self::ALL.into_iter().chain(control).chain(backup);
        let found = all.find(|operation| operation.name() == name && operation.api() == api);
        found.ok_or_else(|| {
            let text = match name {
                "" => "X-Amz-Target names no operation of DynamoDB_20120810".to_string(),
                name => format!("{name} is not served"),
            };
            ApiError::new(ErrorKind::UnknownOperation, text)
        })
    }
}

/// A decoded request.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the public operation name")]
pub enum Request {
    CreateTable(CreateTable),
    DescribeTable(TableRequest),
    ListTables(ListTables),
    DeleteTable(TableRequest),
    UpdateTable(UpdateTable),
    PutItem(PutItem),
    GetItem(GetItem),
    UpdateItem(UpdateItem),
    DeleteItem(DeleteItem),
    Query(Query),
    Scan(Scan),
    BatchGetItem(BatchGetItem),
    BatchWriteItem(BatchWriteItem),
    TransactGetItems(TransactGetItems),
    TransactWriteItems(TransactWriteItems),
    Streams(StreamsRequest),
    Control(Control),
    Backup(BackupRequest),
    ExecuteStatement(ExecuteStatement),
    BatchExecuteStatement(BatchExecuteStatement),
    ExecuteTransaction(ExecuteTransaction),
    SearchVectors(SearchVectors),
}

impl Request {
    /// The tables that it names.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        match self {
            Self::CreateTable(create) => vec![&create.table],
            Self::DescribeTable(table) | Self::DeleteTable(table) => vec![&table.table],
            Self::ListTables(_) => Vec::new(),
            Self::Streams(request) => request.table().into_iter().collect(),
            Self::UpdateTable(update) => vec![&update.table],
            Self::PutItem(put) => vec![&put.table],
            Self::GetItem(get) => vec![&get.table],
            Self::UpdateItem(update) => vec![&update.table],
            Self::DeleteItem(delete) => vec![&delete.table],
            Self::Query(query) => vec![&query.table],
            Self::Scan(scan) => vec![&scan.table],
            Self::BatchGetItem(batch) => batch.tables.keys().map(String::as_str).collect(),
            Self::BatchWriteItem(batch) => batch.tables.keys().map(String::as_str).collect(),
            Self::TransactGetItems(transaction) => transaction.tables(),
            Self::TransactWriteItems(transaction) => transaction.tables(),
            Self::SearchVectors(search) => vec![&search.table],
            Self::Control(control) => control.tables(),
            Self::Backup(request) => request.tables(),
            Self::ExecuteStatement(execute) => vec![&execute.statement.target().table],
            Self::BatchExecuteStatement(batch) => {
                let parsed = batch.statements.iter().filter_map(|it| it.statement.as_ref().ok());
                distinct(parsed.map(|statement| statement.target().table.as_str()))
            }
            Self::ExecuteTransaction(transaction) => {
                let statements = transaction.statements.iter();
                distinct(statements.map(|(statement, _)| statement.target().table.as_str()))
            }
        }
    }

    /// Whether the answer may name tables in the words of the request.
    #[must_use]
    pub fn is_told_of_tables(&self) -> bool {
        let tells = |capacity: ReturnCapacity| capacity != ReturnCapacity::None;
        match self {
            Self::BatchGetItem(_) => true,
            Self::GetItem(get) => tells(get.capacity),
            Self::PutItem(put) => tells(put.capacity),
            Self::UpdateItem(update) => tells(update.capacity),
            Self::DeleteItem(delete) => tells(delete.capacity),
            Self::Query(query) => tells(query.capacity),
            Self::Scan(scan) => tells(scan.capacity),
            Self::BatchWriteItem(batch) => tells(batch.capacity) || batch.collection_metrics,
            Self::TransactGetItems(get) => tells(get.capacity),
            Self::TransactWriteItems(write) => tells(write.capacity) || write.collection_metrics,
            _ => false,
        }
    }

    /// Whether it changes nothing, so that it may be tried again wherever it got to.
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self {
            Self::Control(control) => return control.is_read(),
            Self::Backup(request) => return request.is_read(),
            Self::ExecuteStatement(execute) => return execute.statement.is_read(),
            Self::ExecuteTransaction(transaction) => return transaction.is_read(),
            Self::BatchExecuteStatement(batch) => {
                let mut parsed =
                    batch.statements.iter().filter_map(|it| it.statement.as_ref().ok());
                return parsed.all(pangea_core::partiql::Statement::is_read);
            }
            _ => {}
        }
        matches!(
            self,
            Self::DescribeTable(_)
                | Self::ListTables(_)
                | Self::Streams(_)
                | Self::GetItem(_)
                | Self::Query(_)
                | Self::Scan(_)
                | Self::BatchGetItem(_)
                | Self::TransactGetItems(_)
                | Self::SearchVectors(_)
        )
    }
}

fn distinct<'t>(tables: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    tables.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Decodes the body of a request.
///
/// # Errors
///
/// [`ApiError`], in DynamoDB's words.
pub fn decode(operation: Operation, body: &[u8]) -> Result<Request, ApiError> {
    let (name, decoded) = (operation.name(), read(operation, body));
    match operation {
        // Few, and large: the model says more of them than their decoders look at.
        Operation::CreateTable
        | Operation::UpdateTable
        | Operation::ListTables
        | Operation::Backup(_)
        | Operation::Control(_) => shape::completed(name, body, decoded),
        // Read and judged by another part of the service, in words of its own.
        Operation::SearchVectors => decoded,
        // Only what is refused is looked at twice.
        _ => decoded.map_err(|error| {
            let error = depth::judged(operation.layer(), body, shape::judge(name, body, error));
            match operation.layer() {
                Layer::Current => envelope::unsized_expression(error),
                Layer::Older => error,
            }
        }),
    }
}

fn read(operation: Operation, body: &[u8]) -> Result<Request, ApiError> {
    if operation == Operation::SearchVectors {
        return SearchVectors::decode(body).map(Request::SearchVectors);
    }
    let mut body = Members::parse(body, operation.layer())?;
    let body = &mut body;
    Ok(match operation {
        Operation::CreateTable => Request::CreateTable(CreateTable::decode(body)?),
        Operation::DescribeTable => Request::DescribeTable(TableRequest::decode(body)?),
        Operation::ListTables => Request::ListTables(ListTables::decode(body)?),
        Operation::DeleteTable => Request::DeleteTable(TableRequest::decode(body)?),
        Operation::UpdateTable => Request::UpdateTable(UpdateTable::decode(body)?),
        Operation::PutItem => Request::PutItem(PutItem::decode(body)?),
        Operation::GetItem => Request::GetItem(GetItem::decode(body)?),
        Operation::UpdateItem => Request::UpdateItem(UpdateItem::decode(body)?),
        Operation::DeleteItem => Request::DeleteItem(DeleteItem::decode(body)?),
        Operation::Query => Request::Query(Query::decode(body)?),
        Operation::Scan => Request::Scan(Scan::decode(body)?),
        Operation::BatchGetItem => Request::BatchGetItem(BatchGetItem::decode(body)?),
        Operation::BatchWriteItem => Request::BatchWriteItem(BatchWriteItem::decode(body)?),
        Operation::TransactGetItems => Request::TransactGetItems(TransactGetItems::decode(body)?),
        Operation::TransactWriteItems => {
            Request::TransactWriteItems(TransactWriteItems::decode(body)?)
        }
        Operation::ListStreams
        | Operation::DescribeStream
        | Operation::GetShardIterator
        | Operation::GetRecords => Request::Streams(StreamsRequest::decode(operation, body)?),
        Operation::Backup(operation) => Request::Backup(BackupRequest::decode(operation, body)?),
        Operation::Control(operation) => Request::Control(Control::decode(operation, body)?),
        Operation::ExecuteStatement => Request::ExecuteStatement(ExecuteStatement::decode(body)?),
        Operation::BatchExecuteStatement => {
            Request::BatchExecuteStatement(BatchExecuteStatement::decode(body)?)
        }
        Operation::ExecuteTransaction => {
            Request::ExecuteTransaction(ExecuteTransaction::decode(body)?)
        }
        Operation::SearchVectors => return Err(ApiError::serialization("")),
    })
}
