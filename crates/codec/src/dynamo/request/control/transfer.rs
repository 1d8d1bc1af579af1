//! Transfers from and to S3: exports, imports and bulk writes.

use serde_json::{Map, Value};

use super::decode::ARN_BYTES;
use super::{Control, resource_of};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, CreateTable, Members};

/// Transfers of one page of a list (DynamoDB).
const PAGE_MAX: usize = 25;
/// Those of a page of bulk operations, where a request does not say (DynamoDB).
const BULK_PAGE: usize = 10;

/// What is moved, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// A table's past to S3.
    Export,
    /// From S3 into a new table.
    Import,
    /// From S3 into a table.
    Bulk,
}

impl TransferKind {
    /// What stands before the identity of such a transfer in its ARN.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Import => "import",
            Self::Bulk => "bulk-operation",
        }
    }
}

/// A transfer that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Of which kind.
    pub kind: TransferKind,
    /// The table's name.
    pub table: String,
    /// The request, as a description repeats it.
    pub asked: Map<String, Value>,
}

/// One of the words of a member; `member` is as the wire has it.
fn word(
    body: &mut Members,
    constraints: &mut Constraints,
    (member, path): (&str, &str),
    allowed: &[&str],
) -> Result<Option<String>, ApiError> {
    let text = body.text(member)?;
    Ok(constraints.one_of(text, allowed, path))
}

/// A bucket's name: alphanumeric at both ends.
fn bucket(body: &mut Members, constraints: &mut Constraints, path: &str) -> Result<(), ApiError> {
    let name = constraints.required(body.text("S3Bucket")?, path);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let ends = [name.bytes().next(), name.bytes().last()];
    let is_name = name.len() > 1
        && name.bytes().all(fits)
        && ends.into_iter().flatten().all(|byte| byte.is_ascii_alphanumeric());
    if !name.is_empty() && !is_name {
        let constraint = r"satisfy regular expression pattern: ^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$";
        constraints.violated(format_args!("'{name}'"), path, constraint);
    }
    Ok(())
}

pub(super) fn export(body: &mut Members) -> Result<Control, ApiError> {
    let asked = body.to_json();
    let mut constraints = Constraints::default();
    let arn = constraints.required(body.text("TableArn")?, "tableArn");
    bucket(body, &mut constraints, "s3Bucket")?;
    for (member, path, allowed) in [
        ("S3SseAlgorithm", "s3SseAlgorithm", ["AES256", "KMS"]),
        ("ExportFormat", "exportFormat", ["DYNAMODB_JSON", "ION"]),
        ("ExportType", "exportType", ["FULL_EXPORT", "INCREMENTAL_EXPORT"]),
    ] {
        word(body, &mut constraints, (member, path), &allowed)?;
    }
    constraints.finish()?;
    let table = exported(&arn)?;
    check_export(&asked)?;
    Ok(Control::Transfer(Transfer { kind: TransferKind::Export, table, asked }))
}

/// The name of the table of an export. The words are the service's (measured by the ACK project's
/// users, October 2026), as are those of [`check_export`] and [`check_import`].
fn exported(arn: &str) -> Result<String, ApiError> {
    if arn.is_empty() {
        return Err(ApiError::validation("Invalid TableArn: Invalid Table ARN"));
    }
    if !arn.starts_with("arn:") {
        return Err(ApiError::validation(
            "One or more parameter values were invalid: tableArn is not a valid ARN",
        ));
    }
    match resource_of(arn) {
        Ok(resource) if !resource.is_stream => Ok(resource.table),
        _ => Err(refused("Table ARN is invalid.")),
    }
}

fn refused(why: &str) -> ApiError {
    ApiError::validation(format!("Invalid Request: {why}"))
}

/// Refuses members of an export that do not go together.
fn check_export(asked: &Map<String, Value>) -> Result<(), ApiError> {
    let text = |name: &str| asked.get(name).and_then(Value::as_str);
    let increment = asked.get("IncrementalExportSpecification").and_then(Value::as_object);
    let why = match (text("ExportType"), increment) {
        (None, Some(_)) => {
            "Export Type expected to be Incremental Export when incremental export specification \
             is provided"
        }
        (Some("FULL_EXPORT"), Some(_)) => {
            "When Export Type is Full Export , Incremental Export Specification should not be \
             provided"
        }
        (Some("INCREMENTAL_EXPORT"), None) => {
            "Incremental Export Specification expected when export type is set as Incremental \
             Export"
        }
        (_, Some(increment)) if !increment.contains_key("ExportFromTime") => {
            "ExportFromTime must be provided in IncrementalExportSpecification"
        }
        _ if text("S3SseKmsKeyId").is_some() && text("S3SseAlgorithm") != Some("KMS") => {
            "KMS Key Id is not supported for this encryption type"
        }
        _ => return Ok(()),
    };
    Err(refused(why))
}

/// Refuses options of another format than that of an import.
fn check_import(asked: &Map<String, Value>, format: &str) -> Result<(), ApiError> {
    let options = asked.get("InputFormatOptions").and_then(|options| options.get("Csv"));
    if format == "CSV" || options.is_none_or(Value::is_null) {
        return Ok(());
    }
    Err(refused(&format!("Unsupported InputFormatOptions for the given input format: {format}.")))
}

pub(super) fn import(body: &mut Members) -> Result<Control, ApiError> {
    let asked = body.to_json();
    let mut constraints = Constraints::default();
    match body.object("S3BucketSource")? {
        Some(mut source) => bucket(&mut source, &mut constraints, "s3BucketSource.s3Bucket")?,
        None => constraints.violated("null", "s3BucketSource", "not be null"),
    }
    let formats = ["DYNAMODB_JSON", "ION", "CSV"];
    let format = word(body, &mut constraints, ("InputFormat", "inputFormat"), &formats)?;
    let format = constraints.required(format, "inputFormat");
    let compressions = ["ZSTD", "NONE", "GZIP"];
    let member = ("InputCompressionType", "inputCompressionType");
    word(body, &mut constraints, member, &compressions)?;
    let given = body.object("TableCreationParameters")?;
    let given = constraints.required(given, "tableCreationParameters");
    constraints.finish()?;
    let mut given = given.at("tableCreationParameters.".to_owned());
    let table = CreateTable::decode(&mut given)?.table;
    check_import(&asked, &format)?;
    Ok(Control::Transfer(Transfer { kind: TransferKind::Import, table, asked }))
}

pub(super) fn bulk(body: &mut Members) -> Result<Control, ApiError> {
    let asked = body.to_json();
    let mut constraints = Constraints::default();
    match body.object("InputS3Configuration")? {
        Some(mut input) => {
            bucket(&mut input, &mut constraints, "inputS3Configuration.s3Bucket")?;
            let path = "inputS3Configuration.inputFormat";
            let formats = ["DYNAMODB_JSON", "ION"];
            let format = word(&mut input, &mut constraints, ("InputFormat", path), &formats)?;
            let _format = constraints.required(format, path);
        }
        None => constraints.violated("null", "inputS3Configuration", "not be null"),
    }
    if !body.has("OutputS3Configuration") {
        constraints.violated("null", "outputS3Configuration", "not be null");
    }
    let table = constraints.table_name(body)?;
    let units = body.integer("MaxWriteRequestUnits")?;
    constraints.at_least(units, 1024, "maxWriteRequestUnits");
    let member = ("PerformanceTier", "performanceTier");
    word(body, &mut constraints, member, &["STANDARD", "ACCELERATED"])?;
    constraints.finish()?;
    Ok(Control::Transfer(Transfer { kind: TransferKind::Bulk, table, asked }))
}

pub(super) fn described(kind: TransferKind, body: &mut Members) -> Result<Control, ApiError> {
    Ok(Control::Transferred(kind, arn(kind, body)?))
}

/// The ARN of a transfer.
pub(super) fn arn(kind: TransferKind, body: &mut Members) -> Result<String, ApiError> {
    let (member, path) = match kind {
        TransferKind::Export => ("ExportArn", "exportArn"),
        TransferKind::Import => ("ImportArn", "importArn"),
        TransferKind::Bulk => ("BulkOperationArn", "bulkOperationArn"),
    };
    let mut constraints = Constraints::default();
    let arn = body.text(member)?;
    if let Some(arn) = &arn {
        constraints.length(arn, ARN_BYTES, path);
    }
    let arn = constraints.required(arn, path);
    constraints.finish()?;
    Ok(arn)
}

pub(super) fn list(kind: TransferKind, body: &mut Members) -> Result<Control, ApiError> {
    let (member, path, page) = match kind {
        TransferKind::Export => ("MaxResults", "maxResults", PAGE_MAX),
        TransferKind::Import => ("PageSize", "pageSize", PAGE_MAX),
        TransferKind::Bulk => ("MaxResults", "maxResults", BULK_PAGE),
    };
    let mut constraints = Constraints::default();
    let limit = constraints.at_least(body.integer(member)?, 1, path);
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or_default());
    if let Some(limit) = limit.filter(|limit| *limit > PAGE_MAX) {
        let constraint = format!("have value less than or equal to {PAGE_MAX}");
        constraints.violated(format_args!("'{limit}'"), path, &constraint);
    }
    constraints.finish()?;
    let table = body.text("TableArn")?.map(|arn| resource_of(&arn)).transpose()?;
    let table = table.map(|resource| resource.table);
    let skip = match body.text("NextToken")? {
        None => 0,
        Some(token) => usize::from_str_radix(&token, 16)
            .map_err(|_| refused(&format!("Provided nextToken is invalid: {token}")))?,
    };
    Ok(Control::ListTransfers { kind, table, limit: limit.unwrap_or(page), skip })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{check_export, check_import, exported};

    fn why(asked: &Value) -> Result<(), String> {
        check_export(asked.as_object().expect("an object")).map_err(|error| error.message)
    }

    #[test]
    fn an_export_is_of_one_kind() {
        let from = json!({ "ExportFromTime": 1.0 });
        for (asked, word) in [
            (json!({ "IncrementalExportSpecification": from }), "expected to be Incremental"),
            (
                json!({ "ExportType": "FULL_EXPORT", "IncrementalExportSpecification": from }),
                "should not be provided",
            ),
            (json!({ "ExportType": "INCREMENTAL_EXPORT" }), "Specification expected when"),
            (
                json!({ "ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": {} }),
                "ExportFromTime must be provided",
            ),
            (json!({ "S3SseKmsKeyId": "key" }), "KMS Key Id is not supported"),
            (json!({ "S3SseKmsKeyId": "key", "S3SseAlgorithm": "AES256" }), "KMS Key Id is not"),
        ] {
            let why = why(&asked).expect_err("refused");
            assert!(why.starts_with("Invalid Request: ") && why.contains(word), "{why}");
        }
        let increment =
            json!({ "ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": from });
        assert_eq!(why(&increment), Ok(()));
        assert_eq!(why(&json!({ "S3SseKmsKeyId": "key", "S3SseAlgorithm": "KMS" })), Ok(()));
    }

    #[test]
    fn an_export_is_of_a_table() {
        let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/music";
        assert_eq!(exported(arn).expect("right"), "music");
        let bare = exported("music").expect_err("refused").message;
        assert!(bare.ends_with("tableArn is not a valid ARN"), "{bare}");
        let none = exported("").expect_err("refused").message;
        assert_eq!(none, "Invalid TableArn: Invalid Table ARN");
        let index = exported(&format!("{arn}/index/by-artist")).expect_err("refused").message;
        assert_eq!(index, "Invalid Request: Table ARN is invalid.");
    }

    #[test]
    fn only_csv_has_options_of_csv() {
        let asked = json!({ "InputFormatOptions": { "Csv": { "Delimiter": "," } } });
        let asked = asked.as_object().expect("an object");
        let why = check_import(asked, "ION").expect_err("refused").message;
        assert!(why.ends_with("for the given input format: ION."), "{why}");
        assert!(check_import(asked, "CSV").is_ok());
    }
}
