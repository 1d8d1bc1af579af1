//! Transfers from and to S3. Nothing here reaches S3, so each of them ends as on the service where
//! there is no such bucket.
//!
//! In memory, and of this region alone: a restart forgets them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use pangea_codec::dynamo::request::{Transfer, TransferKind};
use pangea_codec::dynamo::table::{ACCOUNT, table_arn};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::TableEntry;
use serde_json::{Map, Value, json};

use super::{period, seconds};
use crate::region::Region;
use crate::region::api::{missing, tables::table_uuid};

/// Transfers that are remembered; the oldest go first.
const TRANSFERS_MAX: usize = 1000;
/// Bytes of requests that are remembered: those of a few thousand ordinary ones, and less than one
/// body may have.
const ASKED_BYTES_MAX: usize = 4 << 20;
/// Why they all fail, in the words of the service (verified against it by moto's
/// `test_export_to_missing_s3_bucket` and `test_import_from_missing_s3_table`).
const FAILURE: (&str, &str) = ("S3NoSuchBucket", "The specified bucket does not exist");
/// What a list tells of an export beside its name and its status.
const EXPORT_TYPE: &str = "ExportType";
/// Digits of the token of a page: those of an import have 112 at least (the service's model).
const TOKEN_DIGITS: usize = 112;

/// Those that were asked for, the newest first.
#[derive(Debug, Default)]
pub(in crate::region) struct Transfers(Mutex<VecDeque<Known>>);

#[derive(Debug)]
struct Known {
    transfer: Transfer,
    arn: String,
    /// Of its description.
    bytes: usize,
    /// As a client is told of it.
    shown: Map<String, Value>,
}

impl Transfers {
    fn known(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn begin(region: &Region, transfer: Transfer) -> Result<Value, ApiError> {
    let catalog = region.catalog();
    let entry = catalog.find(region.slot, &transfer.table);
    let refused = match (transfer.kind, entry) {
        (TransferKind::Export, None) => {
            let arn = transfer.asked.get("TableArn").and_then(Value::as_str).unwrap_or_default();
            Some(ApiError::new(ErrorKind::TableNotFound, format!("Table not found: {arn}")))
        }
        (TransferKind::Export, Some(entry)) if !entry.history => Some(ApiError::new(
            ErrorKind::PointInTimeRecoveryUnavailable,
            format!("Point in time recovery is not enabled for table '{}'", entry.name),
        )),
        (TransferKind::Import, Some(entry)) => Some(ApiError::new(
            ErrorKind::ResourceInUse,
            format!("Table already exists: {}", entry.name),
        )),
        (TransferKind::Bulk, None) => Some(missing()),
        _ => None,
    };
    if let Some(error) = refused {
        return Err(error);
    }
    let mut known = region.transfers.known();
    let token = transfer.asked.get("ClientToken");
    let same = known.iter().find(|it| {
        it.transfer.kind == transfer.kind
            && token.is_some()
            && it.transfer.asked.get("ClientToken") == token
    });
    if let Some(same) = same {
        // An import looks at the table alone (measured on the service in October 2026).
        let is_same = match transfer.kind {
            TransferKind::Import => same.transfer.table == transfer.table,
            TransferKind::Export | TransferKind::Bulk => same.transfer.asked == transfer.asked,
        };
        return match is_same {
            true => Ok(wrapped(transfer.kind, same.shown.clone())),
            false => Err(conflict(transfer.kind)),
        };
    }
    let now_ms = region.clock.now().wall_ms;
    if let (TransferKind::Export, Some(entry)) = (transfer.kind, entry) {
        period::check(&transfer.asked, entry, now_ms)?;
    }
    let arn = arn_of(region, &transfer, now_ms, known.len());
    let mut shown = described(&transfer, entry, (region, &arn), now_ms);
    let begun = wrapped(transfer.kind, shown.clone());
    end(transfer.kind, &mut shown, now_ms);
    let bytes = begun.to_string().len();
    known.push_front(Known { transfer, arn, bytes, shown });
    forget(&mut known);
    Ok(begun)
}

/// Forgets the oldest ones that there is no room for.
fn forget(known: &mut VecDeque<Known>) {
    let mut bytes = 0;
    let fits = |it: &&Known| {
        bytes += it.bytes;
        bytes <= ASKED_BYTES_MAX
    };
    let kept = known.iter().take(TRANSFERS_MAX).take_while(fits).count();
    known.truncate(kept);
}

fn arn_of(region: &Region, transfer: &Transfer, now_ms: u64, count: usize) -> String {
    let table = table_arn(&region.name, &transfer.table);
    let digest = blake3::hash(format!("{table} {now_ms} {count} {:?}", transfer.asked).as_bytes());
    let id = HEXLOWER.encode(&digest.as_bytes()[..4]);
    format!("{table}/{}/{now_ms:014}-{id}", transfer.kind.path())
}

/// The name of the member that names the kind, and of that which tells its state.
const fn names(kind: TransferKind) -> (&'static str, &'static str) {
    match kind {
        TransferKind::Export => ("ExportArn", "ExportStatus"),
        TransferKind::Import => ("ImportArn", "ImportStatus"),
        TransferKind::Bulk => ("BulkOperationArn", "BulkOperationStatus"),
    }
}

/// The description of one that was just begun.
fn described(
    transfer: &Transfer,
    entry: Option<&TableEntry>,
    (region, arn): (&Region, &str),
    now_ms: u64,
) -> Map<String, Value> {
    let mut shown = transfer.asked.clone();
    let mut say = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    let (name, status) = names(transfer.kind);
    say(name, json!(arn));
    say(status, json!("IN_PROGRESS"));
    say("StartTime", seconds(now_ms));
    let id = entry.map(table_uuid);
    match transfer.kind {
        TransferKind::Export => {
            say("TableArn", json!(table_arn(&region.name, &transfer.table)));
            say("TableId", json!(id));
        }
        TransferKind::Import => {
            say("TableArn", json!(table_arn(&region.name, &transfer.table)));
            let group =
                format!("arn:aws:logs:{}:{ACCOUNT}:log-group:/aws-dynamodb/imports:*", region.name);
            say("CloudWatchLogGroupArn", json!(group));
            for count in ["ErrorCount", "ProcessedSizeBytes"] {
                say(count, json!(0));
            }
        }
        TransferKind::Bulk => {
            say("TableDetails", json!([{ "TableName": transfer.table, "TableId": id }]));
            shown.remove("TableName");
        }
    }
    let defaults: &[(&str, Value)] = match transfer.kind {
        TransferKind::Export => &[
            ("ExportTime", seconds(now_ms)),
            ("S3SseAlgorithm", json!("AES256")),
            ("ExportFormat", json!("DYNAMODB_JSON")),
        ],
        TransferKind::Import => &[("InputCompressionType", json!("NONE"))],
        TransferKind::Bulk => &[("PerformanceTier", json!("STANDARD"))],
    };
    for (name, value) in defaults {
        shown.entry(*name).or_insert_with(|| value.clone());
    }
    shown
}

/// Has it failed.
fn end(kind: TransferKind, shown: &mut Map<String, Value>, now_ms: u64) {
    let (code, message) = FAILURE;
    for (name, value) in [
        (names(kind).1, json!("FAILED")),
        ("EndTime", seconds(now_ms)),
        ("FailureCode", json!(code)),
        ("FailureMessage", json!(message)),
    ] {
        shown.insert(name.to_owned(), value);
    }
}

fn wrapped(kind: TransferKind, shown: Map<String, Value>) -> Value {
    let member = match kind {
        TransferKind::Export => "ExportDescription",
        TransferKind::Import => "ImportTableDescription",
        TransferKind::Bulk => "BulkOperationDescription",
    };
    json!({ member: shown })
}

/// The token belongs to another request.
fn conflict(kind: TransferKind) -> ApiError {
    let text =
        |what| format!("{what} conflict: Duplicate request detected with conflicting parameters");
    match kind {
        TransferKind::Export => ApiError::new(ErrorKind::ExportConflict, text("Export")),
        TransferKind::Import => ApiError::new(ErrorKind::ImportConflict, text("Import")),
        TransferKind::Bulk => ApiError::new(
            ErrorKind::IdempotentParameterMismatch,
            "The request uses the same client token as a previous, but non-identical request.",
        ),
    }
}

pub(super) fn describe(region: &Region, kind: TransferKind, arn: &str) -> Result<Value, ApiError> {
    let known = region.transfers.known();
    if let Some(found) = known.iter().find(|it| it.transfer.kind == kind && it.arn == arn) {
        return Ok(wrapped(kind, found.shown.clone()));
    }
    let (what, error) = match kind {
        TransferKind::Export => ("Export", ErrorKind::ExportNotFound),
        TransferKind::Import => ("Import", ErrorKind::ImportNotFound),
        TransferKind::Bulk => ("Bulk operation", ErrorKind::ResourceNotFound),
    };
    let part = format!("/{}/", kind.path());
    // Nobody outside knows the form of the newest of these ARNs.
    if arn.starts_with("arn:") && (arn.contains(&part) || kind == TransferKind::Bulk) {
        // Of an export the service says so twice (measured on it in October 2026).
        let text = match kind {
            TransferKind::Export if arn.split(':').nth(3) != Some(region.name.as_str()) => {
                "Export not found: Invalid export arn".to_owned()
            }
            TransferKind::Export => format!("Export not found: Export not found: {arn}"),
            TransferKind::Import | TransferKind::Bulk => format!("{what} not found: {arn}"),
        };
        Err(ApiError::new(error, text))
    } else {
        Err(ApiError::validation(format!("Invalid {what} ARN")))
    }
}

/// `CancelBulkOperation`: it is over already, and stays as it ended.
pub(super) fn cancel(region: &Region, arn: &str) -> Result<Value, ApiError> {
    let kind = TransferKind::Bulk;
    let described = describe(region, kind, arn)?;
    let shown = &described["BulkOperationDescription"];
    let (name, status) = names(kind);
    Ok(json!({ name: shown[name], status: shown[status] }))
}

pub(super) fn list(
    region: &Region,
    kind: TransferKind,
    table: Option<&str>,
    (limit, skip): (usize, usize),
) -> Value {
    let (name, status) = names(kind);
    let (member, told): (_, &[&str]) = match kind {
        TransferKind::Export => ("ExportSummaries", &[EXPORT_TYPE]),
        TransferKind::Import => (
            "ImportSummaryList",
            &["TableArn", "S3BucketSource", "CloudWatchLogGroupArn", "InputFormat"],
        ),
        TransferKind::Bulk => ("BulkOperationsSummaryList", &[]),
    };
    let times: &[&str] = if kind == TransferKind::Export { &[] } else { &["StartTime", "EndTime"] };
    let known = region.transfers.known();
    let mut wanted = known
        .iter()
        .filter(|it| {
            it.transfer.kind == kind && table.is_none_or(|it_is| it.transfer.table == it_is)
        })
        .skip(skip);
    let summary = |known: &Known| -> Value {
        let names = [name, status].into_iter().chain(told.iter().chain(times).copied());
        let value = |name: &str| match (known.shown.get(name), name) {
            // Lists tell the type that was not asked for, descriptions do not (measured by the ACK
            // project's users).
            (None, EXPORT_TYPE) => Some(json!("FULL_EXPORT")),
            (value, _) => value.cloned(),
        };
        let told = names.filter_map(|name| Some((name.to_owned(), value(name)?)));
        Value::Object(told.collect())
    };
    let page: Vec<Value> = wanted.by_ref().take(limit).map(summary).collect();
    let mut body = json!({ member: page });
    if wanted.next().is_some() {
        body["NextToken"] = json!(format!("{:0TOKEN_DIGITS$x}", skip + limit));
    }
    body
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use pangea_codec::dynamo::request::{Transfer, TransferKind};
    use serde_json::Map;

    use super::{ASKED_BYTES_MAX, Known, TRANSFERS_MAX, forget};

    fn known(bytes: usize) -> Known {
        let (kind, asked) = (TransferKind::Import, Map::new());
        let transfer = Transfer { kind, table: "music".to_owned(), asked };
        Known { transfer, arn: String::new(), bytes, shown: Map::new() }
    }

    #[test]
    fn the_oldest_are_forgotten_by_number_and_by_size() {
        let mut many: VecDeque<Known> = (0..TRANSFERS_MAX + 2).map(|_| known(100)).collect();
        forget(&mut many);
        assert_eq!(many.len(), TRANSFERS_MAX);
        let sizes = [100, ASKED_BYTES_MAX - 100, 1, 1];
        let mut large: VecDeque<Known> = sizes.into_iter().map(known).collect();
        forget(&mut large);
        assert_eq!(large.iter().map(|it| it.bytes).collect::<Vec<_>>(), sizes[..2]);
        let mut huge = VecDeque::from([known(ASKED_BYTES_MAX + 1), known(1)]);
        forget(&mut huge);
        assert!(huge.is_empty());
    }
}
