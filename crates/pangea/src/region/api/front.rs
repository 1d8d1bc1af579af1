//! The front door of the DynamoDB API: all of HTTP that is not an operation.
//!
//! Answers what never reaches an operation (health, preflights, unknown paths, bodies that are no
//! JSON, senders that are refused), in the service's words, and puts on every answer what the
//! service puts there: a request id, a checksum, permissions for browsers. The order in which
//! things are judged is the service's, as dynalite's tests recorded it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, SERVER};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use pangea_codec::cbor::{self, Times};
use pangea_codec::dynamo::request::Operation;
use pangea_codec::dynamo::shape::{self, Shapes};
use pangea_codec::dynamo::{self, ApiError, ErrorKind};
use pangea_codec::sigv4;
use pangea_core::limits::REQUEST_BYTES_MAX;

use super::auth::{self, Caller};
use super::cors::{self, Cors};
use super::encoding::{self, Unreadable};
use super::rare::Rare;
use super::{Call, internal};
use crate::config::Limits;
use crate::guard;
use crate::http::{self, BodyError, Crowded, Oversized, Reply};
use crate::metrics::Scrape;
use crate::region::{Region, health};

const JSON: &str = "application/json";
const AMZ_JSON: &str = "application/x-amz-json-1.0";
const CBOR: &str = "application/cbor";
const AMZ_CBOR: &str = "application/x-amz-cbor-1.1";
/// Of Smithy's RPC v2; what follows is `DynamoDB_20120810/operation/` and the operation.
const SERVICE_PATH: &str = "/service/";
const SERVICES: [&str; 2] = ["DynamoDB_20120810", "DynamoDBStreams_20120810"];
/// Their namespaces in Smithy's model.
const MODELS: [&str; 2] = ["com.amazonaws.dynamodb", "com.amazonaws.dynamodbstreams"];
const PROTOCOL: &str = "smithy-protocol";
const RPC: &str = "rpc-v2-cbor";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const CRC: HeaderName = HeaderName::from_static("x-amz-crc32");
/// What the service answers, in XML, to what is no request of its protocol.
const NO_OPERATION: &str = "<UnknownOperationException/>\n";
/// Names, values and the request line together (DynamoDB).
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// hyper's own bound, over HTTP/1.
const HEADERS_MAX: usize = 100;

/// What is under way, and how much may be.
#[derive(Debug)]
pub(in crate::region) struct Load {
    requests: AtomicUsize,
    body_bytes: AtomicUsize,
    limits: Limits,
    /// Requests that there was no room for.
    throttled: AtomicU64,
}

/// A share of the load, given back when it is dropped.
struct Share<'a> {
    load: &'a Load,
    body_bytes: usize,
}

impl Load {
    pub(in crate::region) const fn new(limits: Limits) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            body_bytes: AtomicUsize::new(0),
            limits,
            throttled: AtomicU64::new(0),
        }
    }

    fn enter(&self) -> Option<Share<'_>> {
        let share = Share { load: self, body_bytes: 0 };
        ((self.requests.fetch_add(1, Relaxed) as u64) < self.limits.requests).then_some(share)
    }

    pub(in crate::region) fn scrape(&self, scrape: &mut Scrape) {
        #[expect(clippy::cast_precision_loss, reason = "bounded counts")]
        let now = |count: &AtomicUsize| [(Vec::new(), count.load(Relaxed) as f64)];
        let help = "Requests under way on the DynamoDB address";
        scrape.gauge("pangea_data_requests_under_way", help, now(&self.requests));
        let help = "Bytes of their bodies";
        scrape.gauge("pangea_data_body_bytes", help, now(&self.body_bytes));
        let help = "Requests answered with ThrottlingException because too much was under way";
        let throttled = [(Vec::new(), self.throttled.load(Relaxed))];
        scrape.counter("pangea_data_throttled", help, throttled);
    }
}

impl Share<'_> {
    /// Whether there is room for so many bytes more.
    fn take(&mut self, bytes: usize) -> bool {
        self.body_bytes += bytes;
        self.load.body_bytes.fetch_add(bytes, Relaxed) + bytes <= self.load.limits.body_bytes()
    }

    /// Whether there is room for a body of so many bytes in place of what was taken.
    fn grow(&mut self, bytes: usize) -> bool {
        self.take(bytes.saturating_sub(self.body_bytes))
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.load.requests.fetch_sub(1, Relaxed);
        self.load.body_bytes.fetch_sub(self.body_bytes, Relaxed);
    }
}

/// Answers one HTTP request on the DynamoDB address.
pub(in crate::region) async fn answer(region: Arc<Region>, request: Request<Incoming>) -> Reply {
    if request.method() == Method::GET && request.uri().path() == "/healthz" {
        return health::answer(&region);
    }
    let rare = Rare::of(request.headers());
    let cors = Cors::of(rare);
    let wanted = rare.accept_encoding.then(|| encoding::wanted(request.headers())).flatten();
    let answered = guard::guarded(Box::pin(route(&region, request, rare))).await;
    let mut reply = answered
        .unwrap_or_else(|panicked| refused(&region, &internal(panicked.to_string()), AMZ_JSON));
    if let Some(wanted) = wanted {
        compress(&mut reply, wanted);
    }
    let crc = crc32fast::hash(&http::whole(&mut reply));
    let headers = reply.headers_mut();
    headers.insert(CRC, HeaderValue::from(crc));
    headers.insert(SERVER, HeaderValue::from_static("Server"));
    cors.answer(headers);
    // What another region answered has the name that it has in that region's log.
    if !headers.contains_key(ID) {
        let id = HeaderValue::from_maybe_shared(Bytes::from(region.request_id()));
        headers.insert(ID, id.expect("base 32 is a header's value"));
    }
    reply
}

fn compress(reply: &mut Reply, wanted: encoding::Encoding) {
    if let Some(body) = encoding::encoded(wanted, &http::whole(reply)) {
        let name = HeaderValue::from_static(wanted.name());
        reply.headers_mut().insert(CONTENT_ENCODING, name);
        *reply.body_mut() = Full::new(body.into());
    }
}

async fn route(region: &Arc<Region>, request: Request<Incoming>, rare: Rare) -> Reply {
    let (head, body) = request.into_parts();
    let pairs = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let line = head.uri.path_and_query().map_or(0, |line| line.as_str().len());
    let oversized = head.extensions.get::<Oversized>().is_some();
    if oversized || line + pairs.sum::<usize>() > HEAD_BYTES_MAX {
        let text = format!(
            "the request's line and headers are larger than {HEAD_BYTES_MAX} bytes, or more than \
             {HEADERS_MAX} headers: send fewer or shorter ones, for example a shorter session token"
        );
        return refused(region, &ApiError::validation(text), AMZ_JSON);
    }
    // Two hosts would let those in front of the region and the region see two requests in one.
    if head.headers.get_all(HOST).into_iter().count() > 1 {
        let text = "the request has more than one Host header: send one";
        return refused(region, &ApiError::validation(text), AMZ_JSON);
    }
    match (&head.method, head.uri.path()) {
        (&Method::POST, "/") => match Media::of(&head.headers) {
            Media::AmzCbor => Box::pin(amz_cbor(region, head, body, rare)).await,
            media => post(region, (head, media, rare), body, Wire::Json).await,
        },
        (&Method::POST, path) if path.starts_with(SERVICE_PATH) && is_rpc(&head.headers) => {
            Box::pin(rpc(region, head, body, rare)).await
        }
        (&Method::GET, "/" | "/ping") => {
            let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
            let host = host.or_else(|| Some(head.uri.authority()?.as_str())).unwrap_or_default();
            http::reply(StatusCode::OK, "text/plain", format!("healthy: {host} "))
        }
        (&Method::OPTIONS, _) if rare.origin => {
            let mut reply = http::reply(StatusCode::OK, "text/plain", "");
            reply.headers_mut().remove(CONTENT_TYPE);
            cors::preflight(&head.headers, reply.headers_mut());
            reply
        }
        _ => not_found(),
    }
}

fn not_found() -> Reply {
    http::reply(StatusCode::NOT_FOUND, "text/xml", NO_OPERATION)
}

pub(super) fn refused(region: &Region, error: &ApiError, content_type: &'static str) -> Reply {
    region.counts.errors.fetch_add(1, Relaxed);
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    http::reply(status, content_type, error.body())
}

/// How the body of a request is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Json,
    Cbor(Times),
}

fn is_rpc(headers: &HeaderMap) -> bool {
    headers.get(PROTOCOL).is_some_and(|protocol| protocol == RPC)
}

/// A request of Smithy's RPC v2, whose path names the operation: the same request in JSON, and its
/// answer in CBOR.
async fn rpc(region: &Arc<Region>, mut head: Parts, body: Incoming, rare: Rare) -> Reply {
    let path = head.uri.path()[SERVICE_PATH.len()..].to_owned();
    let Some((service, operation)) = path.split_once("/operation/") else { return not_found() };
    let Ok(target) = HeaderValue::from_str(&format!("{service}.{operation}")) else {
        return not_found();
    };
    head.headers.insert("x-amz-target", target);
    let media = Media::of(&head.headers);
    let mut reply = post(region, (head, media, rare), body, Wire::Cbor(Times::Seconds)).await;
    let model = MODELS[usize::from(service == SERVICES[1])];
    if reply.status() != StatusCode::OK
        && let Some(body) = dynamo::modelled(&http::whole(&mut reply), model)
    {
        *reply.body_mut() = Full::new(body.into());
    }
    if into_cbor(&mut reply, operation, Times::Seconds, CBOR) {
        reply.headers_mut().insert(PROTOCOL, HeaderValue::from_static(RPC));
    }
    reply
}

/// A request in CBOR as it was before RPC v2: the header names the operation, as with JSON.
async fn amz_cbor(region: &Arc<Region>, head: Parts, body: Incoming, rare: Rare) -> Reply {
    let target = head.headers.get(TARGET).and_then(|value| value.to_str().ok());
    let operation = target.and_then(|target| target.split_once('.')).map(|(_, name)| name);
    let operation = operation.unwrap_or_default().to_owned();
    let head = (head, Media::AmzCbor, rare);
    let mut reply = post(region, head, body, Wire::Cbor(Times::Milliseconds)).await;
    into_cbor(&mut reply, &operation, Times::Milliseconds, AMZ_CBOR);
    reply
}

/// Turns an operation's answer into CBOR; an answer that is no JSON is none of an operation's.
fn into_cbor(reply: &mut Reply, operation: &str, times: Times, content_type: &'static str) -> bool {
    let shape = match reply.status() {
        StatusCode::OK => Shapes::get().response(operation),
        _ => None,
    };
    let Ok(body) = cbor::from_json(&http::whole(reply), shape, times) else { return false };
    *reply.body_mut() = Full::new(body.into());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    true
}

async fn post(
    region: &Arc<Region>,
    (mut head, media, rare): (Parts, Media, Rare),
    body: Incoming,
    wire: Wire,
) -> Reply {
    if head.extensions.get::<Crowded>().is_some() {
        return throttled(region);
    }
    let Some(mut share) = region.load.enter() else { return throttled(region) };
    let empty = body.is_end_stream();
    let body = match http::bounded(body, REQUEST_BYTES_MAX, |bytes| share.take(bytes)).await {
        Ok(body) => body,
        Err(error) => return unread(region, &error),
    };
    let empty = empty || body.is_empty();
    // The answer is of the same type, without its parameters.
    let content_type = match (wire, media) {
        (Wire::Json, Media::AmzJson) | (Wire::Cbor(_), Media::Cbor | Media::AmzCbor) => AMZ_JSON,
        (Wire::Json, Media::Json) => JSON,
        _ if empty => JSON,
        _ => return not_found(),
    };
    match prepare(region, (&head, rare), body, wire) {
        // What was unpacked stays as long as the request is under way.
        Ok((.., body)) if !share.grow(body.len()) => throttled(region),
        Ok((operation, caller, body)) => {
            // The body is whole now, also for a region that it is sent on to.
            if rare.content_sha256 {
                head.headers.remove("x-amz-content-sha256");
            }
            if wire != Wire::Json {
                head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(AMZ_JSON));
            }
            let headers = &head.headers;
            let call = Call { operation, caller, headers, rare, body, content_type };
            super::hinted(region, call).await
        }
        Err(Refused::Error(error)) => refused(region, &error, content_type),
        Err(Refused::TooLarge) => unread(region, &BodyError::TooLarge(REQUEST_BYTES_MAX)),
    }
}

/// The media types of bodies that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    AmzJson,
    Json,
    AmzCbor,
    Cbor,
    Other,
}

impl Media {
    /// What a request says of its body, without parameters.
    fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if value == AMZ_JSON.as_bytes() {
            return Self::AmzJson;
        }
        let name = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let known = [
            (AMZ_JSON, Self::AmzJson),
            (JSON, Self::Json),
            (AMZ_CBOR, Self::AmzCbor),
            (CBOR, Self::Cbor),
        ];
        let found = known.into_iter().find(|(it, _)| name.eq_ignore_ascii_case(it.as_bytes()));
        found.map_or(Self::Other, |(_, media)| media)
    }
}

enum Refused {
    Error(ApiError),
    TooLarge,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

/// Which operation, whose, and the body as it was before it was compressed.
fn prepare<'r>(
    region: &'r Region,
    (head, rare): (&Parts, Rare),
    body: Bytes,
    wire: Wire,
) -> Result<(Operation, Caller<'r>, Bytes), Refused> {
    let target = head.headers.get(TARGET).and_then(|value| value.to_str().ok());
    let target = target.unwrap_or_default();
    // It has no message.
    let unknown = |_| ApiError::new(ErrorKind::UnknownOperation, "");
    let admitted = match Operation::from_target(target) {
        Err(error) if !is_modelled(target) => Err(unknown(error)),
        // One that is not served here is asked for by somebody all the same.
        operation => region
            .auth
            .admit(head, rare, &body)
            .and_then(|caller| operation.map(|operation| (operation, caller)).map_err(unknown)),
    };
    let (operation, caller) = match admitted {
        Ok(admitted) => admitted,
        // A body that is no JSON is refused before anything is looked at.
        Err(_) if wire == Wire::Json && is_broken(&head.headers, &body) => {
            return Err(ApiError::serialization("").into());
        }
        Err(error) => return Err(error.into()),
    };
    let header = |name: &str| auth::header(head, name);
    let chunked = rare.content_sha256.then(|| sigv4::unchunked(&header, &body)).transpose()?;
    let mut body = chunked.flatten().map_or(body, Bytes::from);
    if rare.content_encoding {
        let decoded = encoding::decoded(&head.headers, body, REQUEST_BYTES_MAX);
        body = decoded.map_err(|why| match why {
            Unreadable::TooLarge => Refused::TooLarge,
            // The service's answer to it, too.
            Unreadable::Broken => {
                internal("the body is not of the encoding that it is said to be in").into()
            }
        })?;
    }
    let body = match wire {
        Wire::Json => body,
        Wire::Cbor(_) if body.is_empty() => Bytes::from_static(b"{}"),
        Wire::Cbor(times) => {
            let json = cbor::to_json(&body, times);
            json.map_err(|why| ApiError::serialization(format!("The body is no CBOR: {why}")))?
                .into()
        }
    };
    if body.is_empty() {
        return Err(ApiError::serialization("").into());
    }
    Ok((operation, caller, body))
}

/// Whether the service has the operation.
fn is_modelled(target: &str) -> bool {
    let operation = target.split_once('.').filter(|(service, _)| SERVICES.contains(service));
    operation.is_some_and(|(_, name)| Shapes::get().request(name).is_some())
}

/// Whether the body is there, can be read, and is no JSON.
fn is_broken(headers: &HeaderMap, body: &[u8]) -> bool {
    !body.is_empty() && !headers.contains_key(CONTENT_ENCODING) && !shape::is_json(body)
}

fn throttled(region: &Region) -> Reply {
    region.load.throttled.fetch_add(1, Relaxed);
    let text = "Too many requests or connections are under way in this region; try again later";
    refused(region, &ApiError::new(ErrorKind::Throttling, text), AMZ_JSON)
}

fn unread(region: &Region, error: &BodyError) -> Reply {
    match error {
        BodyError::NoRoom => throttled(region),
        BodyError::Broken => refused(region, &ApiError::serialization(""), AMZ_JSON),
        BodyError::TooLarge(_) => {
            let error = ApiError::validation(error.to_string());
            let mut reply = refused(region, &error, AMZ_JSON);
            *reply.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            reply
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_bounded_and_given_back() {
        let limits = Limits { requests: 8, body_mb: 16, ..Limits::default() };
        let load = Load::new(limits);
        let enter = || load.enter().expect("there is room");
        let mut all: Vec<Share<'_>> = (0..8).map(|_| enter()).collect();
        assert!(load.enter().is_none());
        assert!(all[0].take(16 << 20) && !all[1].take(1));
        all.truncate(1);
        assert!(!enter().take(1) && all[0].grow(16 << 20), "what it holds is no more");
        all.clear();
        assert!(enter().take(16 << 20));
    }
}
