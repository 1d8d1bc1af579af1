//! HTTP around the API: connections, bodies, and what every response carries.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::api::{self, App};
use crate::store::StoreError;

const MAX_BODY: usize = 64 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than the store's own deadline, so that what is under way can end.
const DRAIN: Duration = Duration::from_secs(6);
const RETRY_AFTER: &str = "1";
/// The page is one file and talks to this server only.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

pub(crate) type Reply = Response<Full<Bytes>>;

/// A request that is not answered as asked.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    error: &'static str,
    message: String,
    header: Option<(header::HeaderName, &'static str)>,
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into(), header: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn not_allowed(allow: &'static str) -> Self {
        let message = format!("this path takes {allow}");
        let header = Some((header::ALLOW, allow));
        Self { header, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message) }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let header = Some((header::RETRY_AFTER, RETRY_AFTER));
        Self { header, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message) }
    }

    fn too_large() -> Self {
        let message = format!("a body may have {MAX_BODY} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    fn reply(self) -> Reply {
        let body = json!({ "error": self.error, "message": self.message });
        let mut reply = json_reply(self.status, &body);
        if let Some((name, value)) = self.header {
            reply.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        reply
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error.to_string())
    }
}

pub(crate) fn json_reply(status: StatusCode, body: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(body).expect("the shop's answers are plain JSON");
    reply(status, "application/json", body)
}

pub(crate) fn page(html: String) -> Reply {
    let mut reply = reply(StatusCode::OK, "text/html; charset=utf-8", html.into_bytes());
    let policy = HeaderValue::from_static(PAGE_POLICY);
    reply.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    reply
}

fn reply(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // Which region answers is the point; a cached answer would tell of an earlier one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Reads a JSON body within the limits of size and time.
pub(crate) async fn read_json<T: DeserializeOwned>(
    request: Request<Incoming>,
) -> Result<T, Problem> {
    let body = request.into_body();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Problem::too_large());
    }
    let body = match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Problem::too_large());
        }
        Ok(Err(error)) => return Err(Problem::invalid(format!("the body broke off: {error}"))),
        Err(_) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            return Err(Problem::new(status, "body_timeout", "the body did not arrive in time"));
        }
    };
    serde_json::from_slice(&body).map_err(|error| Problem::invalid(format!("JSON: {error}")))
}

async fn handle(app: Arc<App>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    // Boxed: an SDK call's future is large, and a connection keeps room for one while it idles.
    let answer = Box::pin(api::dispatch(&app, request)).await;
    let mut reply = answer.unwrap_or_else(Problem::reply);
    reply.headers_mut().insert("x-served-by", app.region_header.clone());
    Ok(reply)
}

/// Serves until `stop`, then lets the requests under way end.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    let drain = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connection(stream, &app, &drain),
                // Out of descriptors, mostly: the ones in use must end first.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    let _ = timeout(DRAIN, drain.shutdown()).await;
}

fn connection(stream: TcpStream, app: &Arc<App>, drain: &GracefulShutdown) {
    let _ = stream.set_nodelay(true);
    let app = Arc::clone(app);
    let service = service_fn(move |request| handle(Arc::clone(&app), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that breaks is its client's affair.
    tokio::spawn(drain.watch(served));
}
