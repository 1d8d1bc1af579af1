//! Exports and imports, of which there are none: nothing here writes to or reads from S3.

use pangea_codec::dynamo::request::Resource;
use pangea_codec::dynamo::{ApiError, ErrorKind};

use crate::region::Region;

pub(super) fn export(region: &Region, resource: &Resource) -> ApiError {
    let catalog = region.catalog();
    match catalog.find(region.slot, &resource.table) {
        None => {
            let text = format!("Table not found: {}", resource.arn);
            ApiError::new(ErrorKind::TableNotFound, text)
        }
        Some(entry) if !entry.history => ApiError::new(
            ErrorKind::PointInTimeRecoveryUnavailable,
            format!("Point in time recovery is not enabled for table '{}'", entry.name),
        ),
        Some(_) => ApiError::validation("Invalid Request: S3 is not reached from this region"),
    }
}

pub(super) fn import(region: &Region, table: &str) -> ApiError {
    match region.catalog().find(region.slot, table) {
        Some(_) => {
            ApiError::new(ErrorKind::ResourceInUse, format!("Table already exists: {table}"))
        }
        None => ApiError::validation("Invalid Request: S3 is not reached from this region"),
    }
}

pub(super) fn exported(arn: &str) -> ApiError {
    unknown(arn, "/export/", "Export", ErrorKind::ExportNotFound)
}

pub(super) fn imported(arn: &str) -> ApiError {
    unknown(arn, "/import/", "Import", ErrorKind::ImportNotFound)
}

fn unknown(arn: &str, part: &str, what: &str, kind: ErrorKind) -> ApiError {
    if arn.starts_with("arn:") && arn.contains(part) {
        ApiError::new(kind, format!("{what} not found: {arn}"))
    } else {
        ApiError::validation(format!("Invalid {what} ARN"))
    }
}
