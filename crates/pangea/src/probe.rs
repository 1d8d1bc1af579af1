//! One health probe: an HTTP/1.1 GET on a new connection.
//!
//! A new connection each time, because accepting connections is part of what is asked. It passes by
//! Route 53's rule: a status of 200–399 in time. The certificate side of HTTPS is not here yet.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, Uri, header};
use hyper_util::rt::TokioIo;
use pangea_core::health::Failure;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes of a body that are read; the rest is left.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Where a probe goes: `http://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no probe URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL with a host.
    #[error("not a URL of the form http://host:port/path")]
    Syntax,
    /// Another scheme than `http`.
    #[error("only http can be probed")]
    Scheme,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::Syntax)?;
        if uri.scheme_str() != Some("http") {
            return Err(UrlError::Scheme);
        }
        let host = uri.host().filter(|h| !h.is_empty()).ok_or(UrlError::Syntax)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), path })
    }
}

impl Url {
    /// The Host header: with the port unless it is 80 (Route 53's rule).
    fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

/// How long a probe may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start to a connection.
    pub connect: Duration,
    /// From the start to the end of the body.
    pub total: Duration,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Passed, or how it failed.
    pub outcome: Result<(), Failure>,
    /// From the start to the end.
    pub took: Duration,
    /// The body, if it is whole JSON of at most 64 KiB.
    pub body: Option<serde_json::Value>,
}

/// Probes `url` once; never longer than `timeouts.total`.
pub async fn probe(url: &Url, timeouts: Timeouts) -> Report {
    let start = Instant::now();
    let found = match timeout(timeouts.total, attempt(url, timeouts.connect)).await {
        Ok(found) => found,
        Err(_) => Err(Failure::Timeout),
    };
    let took = start.elapsed();
    match found {
        Ok((status, body)) => {
            let passed = (200..400).contains(&status);
            let outcome = if passed { Ok(()) } else { Err(Failure::Status(status)) };
            Report { outcome, took, body: serde_json::from_slice(&body).ok() }
        }
        Err(failure) => Report { outcome: Err(failure), took, body: None },
    }
}

/// How a failed connection attempt looks from here; `None` if it says nothing about the other
/// side: our descriptors, ports or memory ran out.
#[must_use]
pub fn connect_failure(error: &io::Error) -> Option<Failure> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Failure::Refused),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Some(Failure::Reset),
        io::ErrorKind::TimedOut => Some(Failure::Timeout),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some(Failure::Unreachable)
        }
        _ => None,
    }
}

async fn attempt(url: &Url, connect: Duration) -> Result<(u16, Vec<u8>), Failure> {
    let stream = timeout(connect, TcpStream::connect((url.host.as_str(), url.port)))
        .await
        .map_err(|_| Failure::Timeout)?
        .map_err(|error| connect_failure(&error).unwrap_or(Failure::Unreachable))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Malformed)?;
    let _connection = AbortOnDrop(tokio::spawn(async move {
        // Its errors reach the request, which reports them.
        let _ = connection.await;
    }));
    let response = sender.send_request(request(url)).await.map_err(|e| http_failure(&e))?;
    let status = response.status().as_u16();
    Ok((status, read_body(response).await?))
}

fn request(url: &Url) -> Request<Full<Bytes>> {
    Request::get(url.path.as_str())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, "pangea-health-check")
        .header(header::CONNECTION, "close")
        .body(Full::default())
        .expect("path and authority come from a parsed URL")
}

async fn read_body(mut response: Response<Incoming>) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|error| http_failure(&error))?;
        if let Some(data) = frame.data_ref() {
            body.extend_from_slice(data);
        }
        if body.len() > BODY_BYTES_MAX {
            return Ok(Vec::new());
        }
    }
    Ok(body)
}

fn http_failure(error: &hyper::Error) -> Failure {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io.and_then(connect_failure).unwrap_or(Failure::Malformed)
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, expected) in [
            ("http://127.0.0.1:8000/health", Ok("http://127.0.0.1:8000/health")),
            ("http://example.com", Ok("http://example.com/")),
            ("http://[::1]:81/x?y=z", Ok("http://[::1]:81/x?y=z")),
            ("https://example.com/", Err(UrlError::Scheme)),
            ("/health", Err(UrlError::Scheme)),
            ("http://", Err(UrlError::Syntax)),
        ] {
            let parsed = text.parse::<Url>().map(|url| url.to_string());
            assert_eq!(parsed, expected.map(str::to_owned), "{text}");
        }
    }
}
