//! Resource policies: kept, shown, and without effect.

use pangea_codec::dynamo::request::Resource;
use pangea_codec::dynamo::table::{options, stream_label};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::TableEntry;
use serde_json::{Value, json};

use super::{set_options, table};
use crate::region::Region;
use crate::region::api::Trouble;

/// What a request expects where it expects that there is no policy.
const NO_POLICY: &str = "NO_POLICY";

/// How a policy with a version begins, behind the brace.
const VERSION: &str = "\"Version\"";

/// Where the policy of a table or its stream is kept, and its revision.
const fn names(resource: &Resource) -> (&'static str, &'static str) {
    if resource.is_stream {
        (options::STREAM_POLICY, options::STREAM_POLICY_REVISION)
    } else {
        (options::POLICY, options::POLICY_REVISION)
    }
}

pub(super) async fn set(
    region: &Region,
    resource: &Resource,
    policy: Option<String>,
    expected: Option<&str>,
) -> Result<Value, Trouble> {
    check_arn(region, resource)?;
    let entry = table(region, &resource.table)?;
    check_stream(region, &entry, resource)?;
    let (text_name, revision_name) = names(resource);
    let revision = options::text(&entry.options, revision_name);
    check(&entry, revision, expected)?;
    if options::text(&entry.options, text_name) == policy.as_deref() {
        return Ok(revision.map_or_else(|| json!({}), |it| json!({ "RevisionId": it })));
    }
    let before = revision.map(str::to_owned);
    let revision = policy.as_ref().map(|_| next_revision(region, before.as_deref()));
    let changes = options::Changes::from([
        (text_name.to_owned(), policy.as_deref().map(options::of_text)),
        (revision_name.to_owned(), revision.as_deref().map(options::of_text)),
    ]);
    set_options(region, &entry.name, changes).await?;
    Ok(json!({ "RevisionId": revision.or(before) }))
}

/// Refuses the ARN of a stream that the table has not, or not any more.
fn check_stream(region: &Region, entry: &TableEntry, resource: &Resource) -> Result<(), ApiError> {
    let Some((_, label)) = resource.arn.split_once("/stream/") else { return Ok(()) };
    let streams = entry.streams(region.clock.now().wall_ms);
    if streams.iter().any(|stream| stream_label(stream.since_ms) == label) {
        return Ok(());
    }
    let text = format!(
        "Requested resource not found: Stream: {label} not found for Table: {}",
        entry.name
    );
    Err(ApiError::new(ErrorKind::ResourceNotFound, text))
}

/// Refuses the ARN of another partition, or of a region that there is not. One of another region
/// may be a request's that was sent on.
fn check_arn(region: &Region, resource: &Resource) -> Result<(), ApiError> {
    let mut parts = resource.arn.split(':').skip(1);
    let (partition, named) = (parts.next(), parts.nth(1));
    if partition == Some("aws") && named.is_some_and(|named| region.slot_of(named).is_some()) {
        return Ok(());
    }
    let text = format!(
        "One or more parameter values were invalid: Invalid resource Arn: {}",
        resource.arn
    );
    Err(ApiError::validation(text))
}

/// Revisions are times, as the service's are, and never repeat.
fn next_revision(region: &Region, before: Option<&str>) -> String {
    let before: u64 = before.and_then(|text| text.parse().ok()).unwrap_or_default();
    region.clock.now().wall_ms.max(before + 1).to_string()
}

fn check(
    entry: &TableEntry,
    revision: Option<&str>,
    expected: Option<&str>,
) -> Result<(), ApiError> {
    let name = &entry.name;
    let why = match (expected, revision) {
        (None, _) => return Ok(()),
        (Some(NO_POLICY), None) => return Ok(()),
        (Some(expected), Some(revision)) if expected == revision => return Ok(()),
        (Some(NO_POLICY), Some(revision)) => format!(
            "Requested policy update expecting none to be present for table {name}, but a policy \
             exists with revision id {revision}."
        ),
        (Some(expected), Some(revision)) => format!(
            "Requested update for policy with revision id {expected}, but the policy associated to \
             target table {name} has revision id {revision}."
        ),
        (Some(expected), None) => format!(
            "Requested update for policy with revision id {expected}, but no policy is associated \
             to target table {name}."
        ),
    };
    Err(missing(&why))
}

fn missing(what: &str) -> ApiError {
    let text = format!("Resource-based policy not found for the provided ResourceArn: {what}");
    ApiError::new(ErrorKind::PolicyNotFound, text)
}

pub(super) fn get(region: &Region, resource: &Resource) -> Result<Value, Trouble> {
    check_arn(region, resource)?;
    let entry = table(region, &resource.table)?;
    check_stream(region, &entry, resource)?;
    let (text, revision) = names(resource);
    let text = options::text(&entry.options, text).ok_or_else(|| missing(&resource.arn))?;
    let revision = options::text(&entry.options, revision).unwrap_or_default();
    Ok(json!({ "Policy": shown(text), "RevisionId": revision }))
}

/// The policy as it is shown: one without a version is of the first, which it is not told apart
/// from otherwise (measured on the service by the ACK project's users, October 2026).
fn shown(policy: &str) -> String {
    match policy.strip_prefix('{') {
        Some(rest) if !rest.starts_with(VERSION) => format!("{{{VERSION}:\"2008-10-17\",{rest}"),
        _ => policy.to_owned(),
    }
}
