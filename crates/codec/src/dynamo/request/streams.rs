//! Requests of the API of change streams.

use super::{Constraints, Members};
use crate::dynamo::streams::{SequenceNumber, StreamArn};
use crate::dynamo::{ApiError, ErrorKind};

/// Streams of one ListStreams page and shards of one DescribeStream page (DynamoDB).
const PAGE_MAX: i64 = 100;
/// Records of one GetRecords (DynamoDB).
const RECORDS_MAX: i64 = 1000;
/// Characters of a stream's ARN (DynamoDB).
const ARN_CHARS: (usize, usize) = (37, 1024);
/// Characters of a shard's name (DynamoDB).
const SHARD_CHARS: (usize, usize) = (28, 65);
/// Characters of a sequence number (DynamoDB).
const SEQUENCE_CHARS: (usize, usize) = (21, 40);
/// Characters of an iterator (DynamoDB).
const ITERATOR_CHARS: (usize, usize) = (1, 2048);
const INVALID: &str = "One or more parameter values were invalid";
/// In the order in which the service prints them.
const ITERATOR_TYPES: [&str; 5] =
    ["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON", "AT_TIMESTAMP"];

/// A request of the API of change streams.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the public operation name")]
pub enum StreamsRequest {
    ListStreams(ListStreams),
    DescribeStream(DescribeStream),
    GetShardIterator(GetShardIterator),
    GetRecords(GetRecords),
}

/// `ListStreams`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStreams {
    /// Streams of this table alone.
    pub table: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Behind this one.
    pub start: Option<StreamArn>,
}

/// `DescribeStream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeStream {
    /// Which stream.
    pub stream: StreamArn,
    /// At most so many shards.
    pub limit: usize,
    /// Shards behind the one of this name, which need not be there.
    pub start: Option<String>,
    /// The children of the shard of this name alone.
    pub children_of: Option<String>,
}

/// `GetShardIterator`.
#[derive(Clone, Debug, PartialEq)]
pub struct GetShardIterator {
    /// Which stream.
    pub stream: StreamArn,
    /// The name of the shard.
    pub shard: String,
    /// Where to begin.
    pub start: IteratorStart,
}

/// Where an iterator begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IteratorStart {
    /// At the oldest record that is left.
    TrimHorizon,
    /// Behind the newest record.
    Latest,
    /// At a record.
    At(SequenceNumber),
    /// Behind a record.
    After(SequenceNumber),
    /// At the first record of a moment, in ms since 1970, or later.
    Time(u64),
}

/// `GetRecords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetRecords {
    /// What GetShardIterator or GetRecords gave.
    pub iterator: String,
    /// At most so many.
    pub limit: usize,
}

impl ListStreams {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        // Here a name is a name alone (the model of this API).
        let named = |name: String| match name.starts_with("arn:") {
            true => {
                constraints.identifier(&name, "tableName");
                name
            }
            false => constraints.name(&name),
        };
        let table = body.text("TableName")?.map(named);
        let limit = limit(body, &mut constraints, PAGE_MAX)?;
        let path = "exclusiveStartStreamArn";
        let start = body.text("ExclusiveStartStreamArn")?;
        let start = start.map(|arn| sized(arn, &mut constraints, ARN_CHARS, path));
        constraints.finish()?;
        let start = start.map(|arn| StreamArn::parse(&arn)).transpose()?;
        Ok(Self { table, limit, start })
    }
}

impl DescribeStream {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let stream = stream_arn(body, &mut constraints)?;
        let limit = limit(body, &mut constraints, PAGE_MAX)?;
        let path = "exclusiveStartShardId";
        let start = body.text("ExclusiveStartShardId")?;
        let start = start.map(|shard| sized(shard, &mut constraints, SHARD_CHARS, path));
        let filter = body.object("ShardFilter")?;
        let children_of = filter.map(|mut it| children(&mut it, &mut constraints)).transpose()?;
        constraints.finish()?;
        let children_of = children_of.map(Option::unwrap_or_default);
        Ok(Self { stream: StreamArn::parse(&stream)?, limit, start, children_of })
    }
}

/// `StreamArn`, which has to be there.
fn stream_arn(body: &mut Members, constraints: &mut Constraints) -> Result<String, ApiError> {
    Ok(match body.text("StreamArn")? {
        Some(arn) => sized(arn, constraints, ARN_CHARS, "streamArn"),
        None => constraints.required(None, "streamArn"),
    })
}

/// The shard whose children are asked for.
fn children(
    filter: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<String>, ApiError> {
    constraints.one_of(filter.text("Type")?, &["CHILD_SHARDS"], "shardFilter.type");
    let shard = filter.text("ShardId")?;
    Ok(shard.map(|shard| sized(shard, constraints, SHARD_CHARS, "shardFilter.shardId")))
}

impl GetShardIterator {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let stream = stream_arn(body, &mut constraints)?;
        let shard = body.text("ShardId")?;
        let given = shard.is_some();
        let shard = constraints.required(shard, "shardId");
        if given {
            sized(shard.clone(), &mut constraints, SHARD_CHARS, "shardId");
        }
        let kind = body.text("ShardIteratorType")?;
        let kind = constraints.one_of(kind, &ITERATOR_TYPES, "shardIteratorType");
        let kind = constraints.required(kind, "shardIteratorType");
        let sequence = body.text("SequenceNumber")?;
        let path = "sequenceNumber";
        let sequence = sequence.map(|it| sized(it, &mut constraints, SEQUENCE_CHARS, path));
        let time = body.number("Timestamp")?;
        constraints.finish()?;
        let stream = StreamArn::parse(&stream)?;
        let start = start(&kind, sequence.as_deref(), time)?;
        Ok(Self { stream, shard, start })
    }
}

fn start(kind: &str, sequence: Option<&str>, time: Option<f64>) -> Result<IteratorStart, ApiError> {
    let by_sequence = kind.ends_with("_SEQUENCE_NUMBER");
    if time.is_some() != (kind == "AT_TIMESTAMP") {
        let text = "Timestamp is required for the ShardIteratorType AT_TIMESTAMP, and for no other";
        return Err(ApiError::validation(text));
    }
    let sequence = match (by_sequence, sequence) {
        (true, None) => {
            return Err(ApiError::validation(format!("{INVALID}: SequenceNumber cannot be null")));
        }
        (false, Some(_)) => {
            let text = "SequenceNumber should not be passed for this iterator type";
            return Err(ApiError::validation(format!("{INVALID}: {text}")));
        }
        (_, sequence) => sequence.map(SequenceNumber::parse).transpose()?,
    };
    Ok(match (kind, sequence) {
        ("AT_SEQUENCE_NUMBER", Some(sequence)) => IteratorStart::At(sequence),
        ("AFTER_SEQUENCE_NUMBER", Some(sequence)) => IteratorStart::After(sequence),
        ("LATEST", _) => IteratorStart::Latest,
        ("AT_TIMESTAMP", _) => IteratorStart::Time(millis(time.unwrap_or_default())),
        _ => IteratorStart::TrimHorizon,
    })
}

impl GetRecords {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let iterator = body.text("ShardIterator")?;
        let given = iterator.is_some();
        let iterator = constraints.required(iterator, "shardIterator");
        if given {
            sized(iterator.clone(), &mut constraints, ITERATOR_CHARS, "shardIterator");
        }
        let limit = limit(body, &mut constraints, RECORDS_MAX)?;
        constraints.finish()?;
        Ok(Self { iterator, limit })
    }
}

impl StreamsRequest {
    /// The table that it names, or an ARN with the table in it.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        match self {
            Self::ListStreams(list) => list.table.as_deref(),
            Self::DescribeStream(describe) => Some(&describe.stream.text),
            Self::GetShardIterator(get) => Some(&get.stream.text),
            // It begins with the stream's.
            Self::GetRecords(get) => Some(&get.iterator),
        }
    }

    pub(super) fn decode(
        operation: super::Operation,
        body: &mut Members,
    ) -> Result<Self, ApiError> {
        use super::Operation;
        Ok(match operation {
            Operation::ListStreams => Self::ListStreams(ListStreams::decode(body)?),
            Operation::DescribeStream => Self::DescribeStream(DescribeStream::decode(body)?),
            Operation::GetShardIterator => Self::GetShardIterator(GetShardIterator::decode(body)?),
            Operation::GetRecords => Self::GetRecords(GetRecords::decode(body)?),
            other => {
                let text = format!("{} is not served", other.name());
                return Err(ApiError::new(ErrorKind::UnknownOperation, text));
            }
        })
    }
}

/// `Limit`, or the most that there may be.
fn limit(body: &mut Members, constraints: &mut Constraints, max: i64) -> Result<usize, ApiError> {
    let limit = body.integer("Limit")?;
    constraints.at_least(limit, 1, "limit");
    if let Some(limit) = limit.filter(|limit| *limit > max) {
        let constraint = format!("have value less than or equal to {max}");
        constraints.violated(format_args!("'{limit}'"), "limit", &constraint);
    }
    Ok(usize::try_from(limit.unwrap_or(max)).unwrap_or_default())
}

/// The text; a violation if it is too short or too long.
pub(super) fn sized(
    text: String,
    constraints: &mut Constraints,
    (least, most): (usize, usize),
    path: &str,
) -> String {
    let chars = text.chars().count();
    if chars < least {
        let constraint = format!("have length greater than or equal to {least}");
        constraints.violated(format_args!("'{text}'"), path, &constraint);
    }
    if chars > most {
        let constraint = format!("have length less than or equal to {most}");
        constraints.violated(format_args!("'{text}'"), path, &constraint);
    }
    text
}

/// Seconds since 1970, with a fraction, in ms; never before 1970.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
pub(super) fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}
