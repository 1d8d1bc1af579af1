//! Change streams as clients see them: names, iterators, descriptions, records.

use data_encoding::{BASE64, HEXLOWER};
use pangea_core::catalog::StreamView;
use pangea_core::id::TableId;
use pangea_core::item::{Attributes, item_size};
use pangea_core::journal::{Record, Shard, Stream, moment_of, sequence_at};
use pangea_core::table::Schema;

use super::json::{Array, Object};
use super::table::{epoch_seconds, parse_part_arn, table_arn, write_key_schema};
use super::{ApiError, ErrorKind, write_attributes};
use crate::binary::{Reader, Writer};
use crate::session::Key;

/// How long an iterator is good for (DynamoDB: 15 minutes), ms.
pub const ITERATOR_MS: u64 = 15 * 60 * 1000;
/// Bytes of the images in one answer (DynamoDB: 1 MB).
pub const RECORDS_BYTES_MAX: usize = 1024 * 1024;

/// What stands before the moment in a shard's name.
const SHARD: &str = "shardId-";
/// Characters of a moment in a shard's name.
const MOMENT_CHARS: usize = 20;
/// Bytes of the hash in a shard's name.
const SHARD_HASH_BYTES: usize = 4;
/// Bytes of the signature of an iterator.
const MAC_BYTES: usize = 12;
/// The format of iterators.
const ITERATOR: u8 = 1;

/// The name of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamArn {
    /// The table.
    pub table: String,
    /// Which of its streams.
    pub label: String,
    /// As it was spelled.
    pub text: String,
}

impl StreamArn {
    /// The name of a table's stream in a region.
    #[must_use]
    pub fn new(region: &str, table: &str, label: String) -> Self {
        let text = format!("{}/stream/{label}", table_arn(region, table));
        Self { table: table.to_owned(), label, text }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// A `ValidationException` where it is none.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let (table, label) = parse_part_arn(text, "/stream/")
            .ok_or_else(|| ApiError::validation("Invalid StreamArn"))?;
        Ok(Self { table: table.into(), label: label.into(), text: text.into() })
    }

    /// The name of a shard of the stream, which tells its first moment.
    #[must_use]
    pub fn shard_name(&self, from_ms: u64) -> String {
        let named = format!("{}/{from_ms}", self.text);
        let hash = HEXLOWER.encode(&blake3::hash(named.as_bytes()).as_bytes()[..SHARD_HASH_BYTES]);
        format!("{SHARD}{from_ms:0MOMENT_CHARS$}-{hash}")
    }

    /// There is no such stream.
    #[must_use]
    pub fn missing(&self) -> ApiError {
        let text = format!("Requested resource not found: Stream: {} not found", self.text);
        ApiError::new(ErrorKind::ResourceNotFound, text)
    }

    /// There is no such shard in the stream.
    #[must_use]
    pub fn missing_shard() -> ApiError {
        let text = "Requested resource not found: Shard does not exist";
        ApiError::new(ErrorKind::ResourceNotFound, text)
    }
}

/// The place of a record as clients see it: digits whose order is that of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceNumber(pub u64);

impl SequenceNumber {
    /// What stands before the digits of every sequence: clients want at least 21.
    const LEAD: char = '1';

    /// Reads what [`std::fmt::Display`] writes.
    ///
    /// # Errors
    /// A `ValidationException` where it is none.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let digits = text.strip_prefix(Self::LEAD).filter(|digits| digits.len() == 20);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let sequence = digits.and_then(|digits| digits.parse().ok());
        sequence
            .map(Self)
            .ok_or_else(|| ApiError::validation("Invalid SequenceNumber for the shard"))
    }
}

impl std::fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:020}", Self::LEAD, self.0)
    }
}

/// Where a reader of a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The table.
    pub table: TableId,
    /// Which of its streams, by [`Stream::since_ms`].
    pub since_ms: u64,
    /// The shard, by its first moment.
    pub from_ms: u64,
    /// The least sequence that was not read yet.
    pub next: u64,
    /// When the iterator was made, ms since 1970.
    pub made_ms: u64,
}

impl Position {
    /// An iterator that begins here; signed, so that it cannot be made up.
    #[must_use]
    pub fn to_iterator(self, arn: &str, key: &Key) -> String {
        let mut writer = Writer::from(vec![ITERATOR]);
        writer.stamp(self.table.0);
        for number in [self.since_ms, self.from_ms, self.next, self.made_ms] {
            writer.u64(number);
        }
        let mut bytes = writer.into_bytes();
        let mac = key.sign(&[arn.as_bytes(), &bytes].concat());
        bytes.extend_from_slice(&mac);
        format!("{arn}|{ITERATOR}|{}", BASE64.encode(&bytes))
    }

    /// The inverse of [`Position::to_iterator`], and the stream's name.
    ///
    /// # Errors
    /// A `ValidationException` for whatever this cluster did not sign.
    pub fn of_iterator(text: &str, key: &Key) -> Result<(StreamArn, Self), ApiError> {
        let parsed = || {
            let (arn, rest) = text.split_once('|')?;
            let signed = rest.strip_prefix(&format!("{ITERATOR}|"))?;
            let bytes = BASE64.decode(signed.as_bytes()).ok()?;
            let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
            if !key.has_signed(&[arn.as_bytes(), signed].concat(), mac) {
                return None;
            }
            let mut reader = Reader::new(signed);
            let format = reader.u8().ok()?;
            let table = reader.stamp().map(TableId).ok()?;
            let (since_ms, from_ms) = (reader.u64().ok()?, reader.u64().ok()?);
            let (next, made_ms) = (reader.u64().ok()?, reader.u64().ok()?);
            reader.finish().ok()?;
            let position = Self { table, since_ms, from_ms, next, made_ms };
            (format == ITERATOR).then_some((StreamArn::parse(arn).ok()?, position))
        };
        parsed().ok_or_else(|| ApiError::validation("Invalid ShardIterator"))
    }
}

/// The iterator was made too long ago.
#[must_use]
pub fn expired() -> ApiError {
    ApiError::new(
        ErrorKind::ExpiredIterator,
        "The shard iterator has expired and can no longer be used to retrieve stream records. A \
         shard iterator expires 15 minutes after it is retrieved using the GetShardIterator action",
    )
}

/// There is no record of a moment that is not yet.
#[must_use]
pub fn future() -> ApiError {
    ApiError::validation("Timestamp must not be in the future")
}

/// What is asked for is not kept any more.
#[must_use]
pub fn trimmed() -> ApiError {
    let text = "The data you are trying to access has been trimmed";
    ApiError::new(ErrorKind::TrimmedDataAccess, text)
}

/// The body for `ListStreams`.
#[must_use]
pub fn list(streams: &[StreamArn], more: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Object::new(&mut out);
    let mut list = Array::new(body.member("Streams"));
    for arn in streams {
        let mut stream = Object::new(list.element());
        stream.text("StreamArn", &arn.text);
        stream.text("TableName", &arn.table);
        stream.text("StreamLabel", &arn.label);
        stream.end();
    }
    list.end();
    if let Some(last) = streams.last().filter(|_| more) {
        body.text("LastEvaluatedStreamArn", &last.text);
    }
    body.end();
    out
}

/// The body for `DescribeStream`.
#[must_use]
pub fn describe(
    arn: &StreamArn,
    stream: &Stream,
    schema: &Schema,
    shards: &[Shard],
    more: bool,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Object::new(&mut out);
    let mut description = Object::new(body.member("StreamDescription"));
    description.text("StreamArn", &arn.text);
    description.text("StreamLabel", &arn.label);
    let status = if stream.until_ms.is_some() { "DISABLED" } else { "ENABLED" };
    description.text("StreamStatus", status);
    description.text("StreamViewType", stream.view.as_str());
    let created = epoch_seconds(stream.since_ms);
    description.member("CreationRequestDateTime").extend_from_slice(created.as_bytes());
    description.text("TableName", &arn.table);
    write_key_schema(description.member("KeySchema"), schema.key_names().zip(["HASH", "RANGE"]));
    let mut list = Array::new(description.member("Shards"));
    for shard in shards {
        write_shard(list.element(), arn, shard);
    }
    list.end();
    if let Some(last) = shards.last().filter(|_| more) {
        description.text("LastEvaluatedShardId", &arn.shard_name(last.from_ms));
    }
    description.end();
    body.end();
    out
}

fn write_shard(out: &mut Vec<u8>, arn: &StreamArn, shard: &Shard) {
    let mut object = Object::new(out);
    object.text("ShardId", &arn.shard_name(shard.from_ms));
    let mut range = Object::new(object.member("SequenceNumberRange"));
    let start = SequenceNumber(sequence_at(shard.from_ms));
    range.text("StartingSequenceNumber", &start.to_string());
    if let Some(closed_ms) = shard.closed_ms {
        let end = SequenceNumber(sequence_at(closed_ms + 1) - 1);
        range.text("EndingSequenceNumber", &end.to_string());
    }
    range.end();
    if let Some(parent_ms) = shard.parent_ms {
        object.text("ParentShardId", &arn.shard_name(parent_ms));
    }
    object.end();
}

/// The body for `GetShardIterator`.
#[must_use]
pub fn iterator(iterator: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Object::new(&mut out);
    body.text("ShardIterator", iterator);
    body.end();
    out
}

/// What all records of an answer have in common.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The region that answers.
    pub region: &'a str,
    /// The stream's name.
    pub arn: &'a StreamArn,
    /// What it shows.
    pub view: StreamView,
    /// The table's key.
    pub schema: &'a Schema,
}

/// A record, with the name of the region that wrote the version and the version's own.
#[derive(Clone, Debug)]
pub struct ShownRecord {
    /// What changed.
    pub record: Record,
    /// The region that wrote it.
    pub origin: String,
    /// The version's stamp, as text.
    pub stamp: String,
}

/// The body for `GetRecords`; `next` unless there will be no more records in the shard.
#[must_use]
pub fn records(shown: &Shown<'_>, records: &[ShownRecord], next: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Object::new(&mut out);
    let mut list = Array::new(body.member("Records"));
    for record in records {
        write_record(list.element(), shown, record);
    }
    list.end();
    if let Some(next) = next {
        body.text("NextShardIterator", next);
    }
    body.end();
    out
}

/// What a view shows of a record: the image after, the image before.
#[must_use]
pub fn images(view: StreamView, record: &Record) -> [Option<&Attributes>; 2] {
    let (after, before) = (record.after.as_ref(), record.before.as_ref());
    match view {
        StreamView::KeysOnly => [None, None],
        StreamView::NewImage => [after, None],
        StreamView::OldImage => [None, before],
        StreamView::NewAndOldImages => [after, before],
    }
}

fn write_record(out: &mut Vec<u8>, shown: &Shown<'_>, it: &ShownRecord) {
    let record = &it.record;
    let keys = shown.schema.attributes_of(&record.key.primary);
    let [new, old] = images(shown.view, record);
    let sequence = SequenceNumber(record.sequence).to_string();
    let mut object = Object::new(out);
    let id = blake3::hash(format!("{}/{sequence}", shown.arn.text).as_bytes());
    object.text("eventID", &HEXLOWER.encode(&id.as_bytes()[..16]));
    let name = match (&record.before, &record.after) {
        (None, _) => "INSERT",
        (Some(_), Some(_)) => "MODIFY",
        (Some(_), None) => "REMOVE",
    };
    object.text("eventName", name);
    object.text("eventVersion", "1.1");
    object.text("eventSource", "aws:dynamodb");
    object.text("awsRegion", shown.region);
    let mut change = Object::new(object.member("dynamodb"));
    let seconds = moment_of(record.sequence) / 1000;
    change.value("ApproximateCreationDateTime", &seconds);
    write_attributes(change.member("Keys"), &keys);
    for (member, image) in [("NewImage", new), ("OldImage", old)] {
        if let Some(image) = image {
            write_attributes(change.member(member), image);
        }
    }
    change.text("SequenceNumber", &sequence);
    let bytes = item_size(&keys) + [new, old].into_iter().flatten().map(item_size).sum::<usize>();
    change.value("SizeBytes", &bytes);
    change.text("StreamViewType", shown.view.as_str());
    change.end();
    if record.expired {
        let mut identity = Object::new(object.member("userIdentity"));
        identity.text("Type", "Service");
        identity.text("PrincipalId", "dynamodb.amazonaws.com");
        identity.end();
    }
    let mut extra = Object::new(object.member("pangea"));
    extra.text("region", &it.origin);
    extra.text("stamp", &it.stamp);
    extra.end();
    object.end();
}
