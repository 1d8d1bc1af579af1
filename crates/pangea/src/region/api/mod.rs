//! The DynamoDB API of one region: reads from local snapshots, writes through the local writer.
//!
//! No request waits on another region.

mod hints;
mod items;
mod tables;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use pangea_codec::dynamo::request::{Operation, Request as Dynamo};
use pangea_codec::dynamo::{ApiError, ErrorKind, decode};
use pangea_core::catalog::{Catalog, Foreign, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::limits::REQUEST_BYTES_MAX;
use pangea_core::node::Elsewhere;
use pangea_core::time::Stamp;
use tokio::sync::Semaphore;

use super::writer::WriteFault;
use super::{Region, forward};
use crate::http::{self, BodyError, Reply};
use crate::storage::Fault;
use crate::versions::{STAMP_HEADER, format_stamp};
use hints::Hints;

/// Long reads at a time: the rest of the blocking threads is for the feeds of peers.
static READS: Semaphore = Semaphore::const_new(32);
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// A response body, the version that a write became, and further headers.
struct Success {
    body: Vec<u8>,
    stamp: Option<Stamp>,
    headers: Vec<(&'static str, String)>,
}

impl From<Vec<u8>> for Success {
    fn from(body: Vec<u8>) -> Self {
        Self { body, stamp: None, headers: Vec::new() }
    }
}

/// Answers one HTTP request on the DynamoDB address.
pub(super) async fn answer(region: Arc<Region>, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/") => {}
        (&Method::GET, "/healthz") => return super::health::answer(&region),
        (&Method::GET, "/") => {
            let text = format!("healthy: dynamodb.{}.pangea\n", region.name);
            return http::reply(StatusCode::OK, "text/plain", text);
        }
        _ => return not_found(),
    }
    let id = region.request_id();
    let result = handle(&region, request).await;
    let mut reply = match result {
        Ok(Answered::Elsewhere(reply)) => reply,
        Ok(Answered::Here(success)) => {
            let mut reply = http::reply(StatusCode::OK, CONTENT_TYPE, success.body);
            if let Some(value) = success.stamp.and_then(stamp_value) {
                reply.headers_mut().insert(STAMP_HEADER, value);
            }
            for (name, value) in success.headers {
                let value = HeaderValue::from_str(&value);
                reply
                    .headers_mut()
                    .extend(value.map(|value| (HeaderName::from_static(name), value)));
            }
            reply
        }
        Err(error) => {
            region.counts.errors.fetch_add(1, Relaxed);
            let status = StatusCode::from_u16(error.status());
            http::reply(status.unwrap_or(StatusCode::BAD_REQUEST), CONTENT_TYPE, error.body())
        }
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        reply.headers_mut().insert("x-amzn-requestid", id);
    }
    reply
}

fn stamp_value(stamp: Stamp) -> Option<HeaderValue> {
    HeaderValue::from_str(&format_stamp(stamp)).ok()
}

fn not_found() -> Reply {
    let error = ApiError::new(ErrorKind::UnknownOperation, "requests are POSTs to /");
    http::reply(StatusCode::NOT_FOUND, CONTENT_TYPE, error.body())
}

/// Who answered.
enum Answered {
    Here(Success),
    /// Another region, to which the request was sent on.
    Elsewhere(Reply),
}

/// Why there is no success here.
enum Trouble {
    Api(ApiError),
    /// One of these regions has to do the write.
    Elsewhere(Vec<RegionSlot>, Elsewhere, Foreign),
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

async fn handle(region: &Arc<Region>, request: Request<Incoming>) -> Result<Answered, ApiError> {
    let target = request.headers().get("x-amz-target");
    let target = target.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = Operation::from_target(target)?;
    let hints = Hints::of(request.headers())?;
    let (head, body) = request.into_parts();
    let body = http::body(body, REQUEST_BYTES_MAX).await.map_err(broken)?;
    region.counts.requests.fetch_add(1, Relaxed);
    match execute(region, decode(operation, &body)?, hints).await {
        Ok(success) => Ok(Answered::Here(success)),
        Err(Trouble::Api(error)) => Err(error),
        Err(Trouble::Elsewhere(regions, why, foreign)) => {
            if foreign == Foreign::Refuse || forward::was_forwarded(&head.headers) {
                return Err(items::elsewhere(region, &regions, why));
            }
            forward::to(region, &regions, &head.headers, body).await.map(Answered::Elsewhere)
        }
    }
}

fn broken(error: BodyError) -> ApiError {
    match error {
        BodyError::TooLarge(_) => ApiError::new(ErrorKind::Validation, error.to_string()),
        BodyError::Broken => ApiError::serialization(error.to_string()),
    }
}

async fn execute(region: &Arc<Region>, request: Dynamo, hints: Hints) -> Result<Success, Trouble> {
    Ok(match request {
        Dynamo::GetItem(get) => items::get(region, &get, &hints)?,
        Dynamo::PutItem(put) => items::put(region, put, hints).await?,
        Dynamo::UpdateItem(update) => items::update(region, update, hints).await?,
        Dynamo::DeleteItem(delete) => items::delete(region, delete, hints).await?,
        Dynamo::Query(query) => {
            let region = Arc::clone(region);
            blocking(move || items::query(&region, &query)).await?
        }
        Dynamo::Scan(scan) => {
            let region = Arc::clone(region);
            blocking(move || items::scan(&region, &scan)).await?
        }
        Dynamo::BatchGetItem(batch) => {
            let region = Arc::clone(region);
            blocking(move || items::batch_get(&region, &batch)).await?
        }
        Dynamo::BatchWriteItem(batch) => items::batch_write(region, batch).await?.into(),
        Dynamo::CreateTable(create) => tables::create(region, create).await?.into(),
        Dynamo::UpdateTable(update) => tables::update(region, update).await?.into(),
        Dynamo::DeleteTable(delete) => tables::delete(region, &delete).await?.into(),
        Dynamo::DescribeTable(describe) => tables::describe(region, &describe)?.into(),
        Dynamo::ListTables(list) => tables::list(region, &list).into(),
    })
}

/// Reads that may touch many rows keep off the threads that serve connections.
async fn blocking(
    read: impl FnOnce() -> Result<Vec<u8>, ApiError> + Send + 'static,
) -> Result<Success, ApiError> {
    let _room = READS.acquire().await.map_err(|_| internal("the region is stopping"))?;
    match tokio::task::spawn_blocking(read).await {
        Ok(body) => body.map(Into::into),
        Err(_) => Err(internal("the read was cancelled")),
    }
}

fn internal(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InternalServer, text)
}

/// A read failed; if for damage, that is looked after.
fn store_fault(region: &Region, fault: Fault) -> ApiError {
    region.repairs.suspicion().of(&fault);
    tracing::error!(error = %fault, "a read failed");
    internal(fault.to_string())
}

fn write_fault(fault: WriteFault) -> ApiError {
    internal(fault.to_string())
}

/// The table that this region serves under `name`.
fn serving<'c>(
    region: &Region,
    catalog: &'c Catalog,
    name: &str,
) -> Result<&'c TableEntry, ApiError> {
    let entry = catalog.find(region.slot, name);
    entry.filter(|entry| catalog.is_serving(entry, region.slot)).ok_or_else(missing)
}

fn missing() -> ApiError {
    ApiError::new(ErrorKind::ResourceNotFound, "Requested resource not found")
}
