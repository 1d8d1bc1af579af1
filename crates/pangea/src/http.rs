//! Serving HTTP/1.1: accept, limits, timeouts. What is answered is the caller's.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections of one listener; the next one waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 10_000;
/// A client has this long to send a request's head, also on an idle kept-alive connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// A client has this long to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests under way have this long to be answered when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A whole response.
pub type Reply = Response<Full<Bytes>>;

/// Serves `listener` until `stop` turns true; connections end after the request they are serving.
pub async fn serve<H, F>(listener: TcpListener, stop: watch::Receiver<bool>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let handler = Arc::new(handler);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stopped = stop.clone();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (handler, stop) = (Arc::clone(&handler), stop.clone());
        tokio::spawn(async move {
            connection(stream, stop, handler).await;
            drop(permit);
        });
    }
    // Connections end after the request that they are serving.
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, room.acquire_many(all)).await;
}

async fn connection<H, F>(stream: TcpStream, mut stop: watch::Receiver<bool>, handler: Arc<H>)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // Without it, small responses wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let reply = handler(request);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).pipeline_flush(true);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Clients that reset or send garbage are their own problem: the connection ends.
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// Why a request's body could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(usize),
    /// It did not arrive in time, or the connection broke.
    #[error("the request body did not arrive")]
    Broken,
}

/// The whole body, at most `limit` bytes.
///
/// # Errors
/// [`BodyError`] if it is larger, slower than 30 s, or breaks off.
pub async fn body(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(limit)),
        Ok(Err(_)) | Err(_) => Err(BodyError::Broken),
    }
}

/// A response of this status, content type and body.
#[must_use]
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A JSON response.
#[must_use]
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => reply(status, "application/json", body),
        Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}
