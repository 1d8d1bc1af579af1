//! Serving HTTP/1.1 and HTTP/2: accept, limits, timeouts. What is answered is the caller's.
//!
//! A connection's first bytes say which of the two it speaks, or the TLS handshake did. Whatever a
//! client does not do in time ends its connection: shake hands, send a head or a body, take bytes
//! that were sent to it.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::traffic::Throttle;

/// Connections of a listener whose owner has no bound of its own.
pub const CONNECTIONS_MAX: u64 = 10_000;
/// Connections beyond the bound that are told so, at once.
pub(crate) const CROWDED_MAX: usize = 64;
/// One of those that asks nothing for so long ends, so that others are told.
const CROWDED_PATIENCE: Duration = Duration::from_secs(2);
/// A client has this long to send a request's head, also on an idle kept-alive connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// A client has this long for its part of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client has this long to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that takes none of the bytes of an answer for so long is gone.
#[cfg(target_os = "linux")]
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// A request's head, over HTTP/1; four times what DynamoDB takes. What hyper reads of a greater one
/// is thrown away, and it is refused in words all the same ([`Oversized`]).
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The same over HTTP/2, where a greater one is answered by the library, without a body: so it is
/// more than anybody sends by mistake. A connection has one that is not whole, so that this
/// bounds memory as the other does.
const HEAD_2_BYTES_MAX: u32 = 4 * 64 * 1024;
/// Requests under way on one HTTP/2 connection (nginx and Envoy have the same order of magnitude).
const STREAMS_MAX: u32 = 128;
/// An HTTP/2 client that says nothing for this long is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What is read, and thrown away, of a body that is too large: a client that is answered while it
/// still writes may see a broken connection instead of the answer.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Requests under way have this long to be answered when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A lasting failure is logged now and then.
static ACCEPT_FAILED: Throttle = Throttle::new();

/// Headers of most answers.
const HEADERS: usize = 8;

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4); no HTTP/1 method does.
const PREFACE: &[u8; 3] = b"PRI";

/// Marks the requests of a connection that is one too many: it ends with their answer.
#[derive(Clone, Copy, Debug)]
pub struct Crowded;

/// Marks the request that stands for one whose head was too large to be read: whatever it asked,
/// the answer is why it is refused. The connection ends with it.
#[derive(Clone, Copy, Debug)]
pub struct Oversized;

/// A whole response.
pub type Reply = Response<Full<Bytes>>;

/// What answers, behind a pointer: hyper's servers are made of their service's type, and one for
/// each listener was a quarter of the crate's build. It costs a request one allocation.
type Handler =
    Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// Serves a listener, and so many connections at once, until `stop` turns true. Requests of some
/// more connections are [`Crowded`]; others wait in the kernel's queue. Connections end after the
/// request they are serving.
pub async fn serve<H, F>(listener: (TcpListener, u64), stop: watch::Receiver<bool>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    accept(listener, None, stop, Arc::new(move |request| Box::pin(handler(request)))).await;
}

/// The same behind TLS; `tls` offers the protocols `h2` and `http/1.1`.
pub async fn serve_tls<H, F>(
    listener: (TcpListener, u64),
    tls: TlsAcceptor,
    stop: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    accept(listener, Some(tls), stop, Arc::new(move |request| Box::pin(handler(request)))).await;
}

async fn accept(
    (listener, connections): (TcpListener, u64),
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
    handler: Handler,
) {
    let all = u32::try_from(connections).unwrap_or(u32::MAX);
    let room = Arc::new(Semaphore::new(all as usize));
    let crowd = Arc::new(Semaphore::new(CROWDED_MAX));
    let mut stopped = stop.clone();
    loop {
        let (mut permit, mut crowded) = tokio::select! {
            biased;
            permit = Arc::clone(&room).acquire_owned() => (permit, false),
            permit = Arc::clone(&crowd).acquire_owned() => (permit, true),
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end.
                ACCEPT_FAILED.warn(|| tracing::warn!(%error, "cannot accept a connection"));
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // A connection may have ended while this one was waited for.
        if crowded && let Ok(freed) = Arc::clone(&room).try_acquire_owned() {
            (permit, crowded) = (Ok(freed), false);
        }
        let (handler, patience) = if crowded {
            (refusing(&handler), CROWDED_PATIENCE)
        } else {
            (Arc::clone(&handler), HEADER_TIMEOUT)
        };
        let (mut stop, tls) = (stop.clone(), tls.clone());
        tokio::spawn(async move {
            // One that says nothing need not be waited for when the server stops.
            let begun = tokio::select! {
                begun = begin(stream, tls, patience) => begun,
                _ = stop.wait_for(|stop| *stop) => None,
            };
            if let Some((stream, version)) = begun {
                connection(stream, version, stop, (handler, patience)).await;
            }
            drop(permit);
        });
    }
    // Connections end after the request that they are serving.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, room.acquire_many(all)).await;
}

/// Answers the requests of a connection that is one too many.
fn refusing(handler: &Handler) -> Handler {
    let handler = Arc::clone(handler);
    Arc::new(move |mut request| {
        let is_one = request.version() < hyper::Version::HTTP_2;
        request.extensions_mut().insert(Crowded);
        let reply = handler(request);
        Box::pin(async move {
            let mut reply = reply.await;
            if is_one {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            reply
        })
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Waits for the handshake, or for the first bytes. `None`: there is nobody to serve.
async fn begin(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    patience: Duration,
) -> Option<(Carrier, Version)> {
    // Without it, small responses wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from(WRITE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, millis);
    }
    let Some(tls) = tls else {
        let version = tokio::time::timeout(patience, first_bytes(&stream)).await.ok()??;
        return Some((Carrier::Plain(stream), version));
    };
    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await.ok()?;
    let stream = shaken.inspect_err(|error| tracing::debug!(%error, "no TLS handshake")).ok()?;
    let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Some((Carrier::Tls(Box::new(stream)), if two { Version::Two } else { Version::One }))
}

/// Looks at the first bytes without taking them.
async fn first_bytes(stream: &TcpStream) -> Option<Version> {
    let mut first = [0; PREFACE.len()];
    // A client that stops after one letter of it is as good as one that speaks HTTP/1.
    for _ in 0..200 {
        let count = stream.peek(&mut first).await.ok()?;
        match (count, PREFACE.starts_with(&first[..count])) {
            (0, _) => return None,
            (3, true) => return Some(Version::Two),
            (_, false) => break,
            // It is readable, so that there is nothing to wait for but time.
            (_, true) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    Some(Version::One)
}

async fn connection(
    carrier: Carrier,
    version: Version,
    mut stop: watch::Receiver<bool>,
    (handler, patience): (Handler, Duration),
) {
    let idle = Arc::new(Idle::new());
    let (asked, refusing) = (Arc::clone(&idle), Arc::clone(&handler));
    let service = service_fn(move |request| {
        let (busy, reply) = (Busy::of(&asked), handler(request));
        async move {
            let reply = reply.await;
            drop(busy);
            Ok::<_, Infallible>(reply)
        }
    });
    let io = TokioIo::new(Stream::new(carrier, Arc::clone(&idle), version == Version::One));
    let mut over = pin!(idle.over(patience));
    // Clients that reset or send garbage are their own problem: the connection ends.
    match version {
        Version::One => {
            let mut builder = hyper::server::conn::http1::Builder::new();
            // Its timer would be made anew for each request, behind a lock that all share.
            builder.header_read_timeout(None);
            builder.pipeline_flush(true).max_buf_size(HEAD_BYTES_MAX);
            let mut served = builder.serve_connection(io, service);
            let ended = tokio::select! {
                biased;
                ended = &mut served => Some(ended),
                () = &mut over => return,
                _ = stop.wait_for(|stop| *stop) => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    Pin::new(&mut served).graceful_shutdown();
                    (&mut served).await
                }
            };
            let mut stream = served.into_parts().io.into_inner();
            stream.release();
            match ended {
                // An answer that is still owed would be taken for this one's.
                Err(error) if error.is_parse_too_large() && !idle.owes() => {
                    oversized::refuse(&mut stream, &refusing).await;
                }
                _ => drop(stream.shutdown().await),
            }
        }
        Version::Two => {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
            builder.keep_alive_interval(PING_INTERVAL);
            builder.max_header_list_size(HEAD_2_BYTES_MAX);
            let mut served = pin!(builder.serve_connection(io, service));
            tokio::select! {
                biased;
                _ = served.as_mut() => return,
                () = &mut over => served.as_mut().graceful_shutdown(),
                _ = stop.wait_for(|stop| *stop) => served.as_mut().graceful_shutdown(),
            }
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, served).await;
        }
    }
}

mod idle;
mod oversized;
mod stream;

use idle::{Busy, Idle};
pub(crate) use oversized::refusal;
use stream::{Carrier, Stream};

/// Why a request's body could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(usize),
    /// There is too much in memory already.
    #[error("there is no room for the request body")]
    NoRoom,
    /// It did not arrive in time, or the connection broke.
    #[error("the request body did not arrive")]
    Broken,
}

/// The whole body, at most `limit` bytes; of a larger one the rest is read and thrown away.
///
/// # Errors
/// [`BodyError`] if it is larger, slower than 30 s, or breaks off.
pub async fn body(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    bounded(body, limit, |_| true).await
}

/// The same, where `take` is told of every piece of so many bytes before it is kept.
///
/// # Errors
/// See [`body`]; [`BodyError::NoRoom`] if `take` says no.
pub async fn bounded(
    body: Incoming,
    limit: usize,
    take: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    let mut read = pin!(collect(body, limit, take));
    // Most bodies came along with the head: no timer for them.
    let early = poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await;
    if let Poll::Ready(read) = early {
        return read;
    }
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or(Err(BodyError::Broken))
}

async fn collect(
    mut body: Incoming,
    limit: usize,
    mut take: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    let declared = body.size_hint().lower();
    let fits = usize::try_from(declared).is_ok_and(|declared| declared <= limit);
    let mut refused = (!fits).then_some(BodyError::TooLarge(limit));
    let (mut first, mut whole, mut total) = (None::<Bytes>, BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        total += data.len();
        if refused.is_none() && total > limit {
            refused = Some(BodyError::TooLarge(limit));
        }
        if refused.is_none() && !take(data.len()) {
            refused = Some(BodyError::NoRoom);
        }
        match (&refused, &first) {
            (Some(_), _) if total > DRAIN_BYTES_MAX => break,
            (Some(_), _) => {
                first = None;
                whole = BytesMut::new();
            }
            // Most bodies come in one piece, which need not be copied.
            (None, None) if whole.is_empty() => first = Some(data),
            (None, _) => {
                if let Some(first) = first.take() {
                    // A length that is only claimed is not made room for beyond this.
                    let room = usize::try_from(declared).unwrap_or(0).min(1 << 20);
                    whole.reserve(room.max(total));
                    whole.extend_from_slice(&first);
                }
                whole.extend_from_slice(&data);
            }
        }
    }
    match refused {
        Some(refused) => Err(refused),
        None => Ok(first.unwrap_or_else(|| whole.freeze())),
    }
}

/// A response of this status, content type and body.
#[must_use]
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    // Room for what most answers have, so that it does not grow twice.
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The body of a response, which stays where it is.
#[must_use]
pub fn whole(reply: &mut Reply) -> Bytes {
    let mut body = std::mem::take(reply.body_mut());
    let mut context = Context::from_waker(Waker::noop());
    // A body of this kind is ready at once, in one piece.
    let bytes = match Pin::new(&mut body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    };
    *reply.body_mut() = Full::new(bytes.clone());
    bytes
}

/// A JSON response.
#[must_use]
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => reply(status, "application/json", body),
        Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}
