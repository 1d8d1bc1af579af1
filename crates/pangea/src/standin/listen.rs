//! A tiny HTTP listener for the stand-ins of region and edge.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The body for a path; none is a 404.
#[derive(Clone)]
pub(crate) struct Answer(Arc<Body>);

type Body = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Answer {
    pub(crate) fn new(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }
}

/// Listens on `address` from now on.
pub(crate) async fn serve(address: SocketAddr, answer: Answer) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let found = (answer.0)(request.uri().path());
                    let status =
                        if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
                    let mut response = Response::new(found.unwrap_or_default());
                    *response.status_mut() = status;
                    async move { Ok::<_, Infallible>(response) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    Ok(())
}
