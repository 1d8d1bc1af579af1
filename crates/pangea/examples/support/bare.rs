//! A bare hyper server: what HTTP alone costs on this machine.
//!
//! The same runtime, the same HTTP/1 settings, and requests read to their end as a region reads
//! them; then one ready body for all.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::free;
use super::process::{Process, Server};

/// Starts one that answers with `bytes` bytes, as another process of this program.
pub(crate) fn server(bytes: usize) -> anyhow::Result<Server> {
    let address = free()?;
    Ok(Server { process: start(address, bytes)?, address })
}

/// The same, at an address.
pub(crate) fn start(address: SocketAddr, bytes: usize) -> anyhow::Result<Process> {
    let program = std::env::current_exe()?;
    let arguments = ["bare".to_owned(), address.to_string(), bytes.to_string()];
    Process::start(&program, &arguments, None)?.listening(address)
}

/// The process's main.
pub(crate) fn child(arguments: &[String]) -> anyhow::Result<()> {
    let [address, bytes] = arguments else { anyhow::bail!("bare ADDRESS BYTES") };
    let address: SocketAddr = address.parse()?;
    let body = Bytes::from(vec![b'x'; bytes.parse().context("how many bytes")?]);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection(stream, body.clone()));
        }
    })
}

async fn connection(stream: TcpStream, body: Bytes) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let body = body.clone();
        async move {
            // A request that breaks off is answered to nobody.
            let _ = request.into_body().collect().await;
            let mut response = Response::new(Full::new(body));
            let kind = HeaderValue::from_static("application/x-amz-json-1.0");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).pipeline_flush(true);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
