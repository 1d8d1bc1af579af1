//! Requests whose head is larger than what is kept of one.
//!
//! hyper answers them with a status and nothing else, and with our settings not even that: it
//! flushes nothing while bytes are left unread, and here there are. So its connection is left, and
//! a new one on the same stream is given a request that stands for the one that was not read. Who
//! answers requests answers this one, and what every answer has, this one has.

use std::convert::Infallible;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, copy, join, sink};

use super::stream::Stream;
use super::{Handler, Oversized, Reply, reply};

/// What stands for the request.
const STAND_IN: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: oversized\r\nConnection: close\r\n\r\n";
/// What is read, and thrown away, behind the answer: a client that still writes when the connection
/// ends may see that it broke instead of the answer.
const DRAIN_BYTES_MAX: u64 = 1024 * 1024;
/// And for how long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers, and ends the connection.
pub(super) async fn refuse(stream: &mut Stream, handler: &Handler) {
    let service = service_fn(|mut request| {
        request.extensions_mut().insert(Oversized);
        let reply = handler(request);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let io = TokioIo::new(join(STAND_IN, &mut *stream));
    let mut builder = hyper::server::conn::http1::Builder::new();
    // What stands for the request ends at once; its connection does not.
    builder.half_close(true).header_read_timeout(None);
    if builder.serve_connection(io, service).await.is_ok() {
        let rest = async { copy(&mut stream.take(DRAIN_BYTES_MAX), &mut sink()).await };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
    }
}

/// The answer of whoever has no words of its own for it, if the request is such a one.
pub(crate) fn refusal<B>(request: &hyper::Request<B>) -> Option<Reply> {
    request.extensions().get::<Oversized>()?;
    let status = hyper::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Some(reply(status, "text/plain", "the request's head is too large\n"))
}
