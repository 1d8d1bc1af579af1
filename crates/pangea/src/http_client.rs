//! One HTTP/1.1 connection at a time, kept alive, with a deadline for each request.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Responses larger than this are refused.
const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// Why there is no response. The request may or may not have been executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the address.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("the connection to {0} broke: {1}")]
    Broken(SocketAddr, String),
    /// The deadline passed.
    #[error("no answer from {0} within {1:?}")]
    TimedOut(SocketAddr, Duration),
}

/// What to send.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// Headers beside `Host` and `Content-Length`.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: Bytes,
}

impl<'a> Ask<'a> {
    /// A GET without headers.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: &[], body: Bytes::new() }
    }

    /// A POST of a body.
    #[must_use]
    pub fn post(path: &'a str, headers: &'a [(&'a str, &'a str)], body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path, headers, body: body.into() }
    }
}

/// A client of one address; connects when first asked, and again after a failure.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    timeout: Duration,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(address: SocketAddr, timeout: Duration) -> Self {
        Self { address, timeout, connection: None }
    }

    /// Where it connects to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request and waits for the whole response. Never retries: the caller knows whether
    /// that is safe.
    ///
    /// # Errors
    /// See [`Error`]; the next request opens a new connection.
    pub async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, Error> {
        let timeout = self.timeout;
        let answered = tokio::time::timeout(timeout, self.exchange(ask)).await;
        let result = answered.unwrap_or(Err(Error::TimedOut(self.address, timeout)));
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    /// Connects, unless a connection is open. Nothing that is asked was sent before.
    ///
    /// # Errors
    /// [`Error::Connect`], or [`Error::TimedOut`] if it takes longer than `within`.
    pub async fn open(&mut self, within: Duration) -> Result<(), Error> {
        let address = self.address;
        let opened = tokio::time::timeout(within, self.connect()).await;
        opened.unwrap_or(Err(Error::TimedOut(address, within))).map(drop)
    }

    /// Whether a connection is open and idle.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.is_closed())
    }

    /// Forgets the connection, as a client does whose resolver gave it another address.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn exchange(&mut self, ask: Ask<'_>) -> Result<Answer, Error> {
        let address = self.address;
        let broken = |error: &dyn std::fmt::Display| Error::Broken(address, error.to_string());
        let request = self.request(ask).map_err(|error| broken(&error))?;
        let connection = self.connect().await?;
        connection.ready().await.map_err(|error| broken(&error))?;
        let response = connection.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
        let body = body.map_err(|error| broken(&error))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn request(&self, ask: Ask<'_>) -> hyper::http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(HOST, self.address.to_string());
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(ask.body))
    }

    async fn connect(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Error> {
        let address = self.address;
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            let stream = TcpStream::connect(address).await;
            let stream = stream.map_err(|error| Error::Connect(address, error))?;
            let _ = stream.set_nodelay(true);
            let opened = handshake(TokioIo::new(stream)).await;
            let (sender, driver) =
                opened.map_err(|error| Error::Broken(address, error.to_string()))?;
            // Ends by itself with the connection.
            tokio::spawn(driver);
            self.connection = Some(sender);
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(Error::Broken(address, "not connected".to_string())),
        }
    }
}
