//! Asking the processes of a topology how they are.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::StatusCode;
use serde::de::DeserializeOwned;

use super::{PATH, RegionReport, Status};
use crate::http_client::{self, Ask, Client};

/// How long a status may take: the processes answer from memory, on this machine or a near one.
const TIMEOUT: Duration = Duration::from_millis(1000);

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] http_client::Error),
    /// An answer, but not the one wanted.
    #[error("{0} answers with HTTP status {1}")]
    Refused(SocketAddr, StatusCode),
    /// Not the JSON wanted.
    #[error("{0} answers with other JSON: {1}")]
    Json(SocketAddr, serde_json::Error),
}

/// The status of the whole topology, as the edge at `operator` sees it.
///
/// # Errors
/// It does not answer, or not with a status.
pub async fn fetch(operator: SocketAddr) -> Result<Status, FetchError> {
    get(operator).await
}

/// What the region at `admin` says of itself.
///
/// # Errors
/// It does not answer, or not with a report.
pub async fn report(admin: SocketAddr) -> Result<RegionReport, FetchError> {
    get(admin).await
}

/// Whether a GET of `path` at `address` is answered with a status of 200 to 399.
pub async fn answers(address: SocketAddr, path: &str, timeout: Duration) -> bool {
    let answer = Client::new(address, timeout).ask(Ask::get(path)).await;
    answer.is_ok_and(|it| it.status.is_success() || it.status.is_redirection())
}

async fn get<T: DeserializeOwned>(address: SocketAddr) -> Result<T, FetchError> {
    let answer = Client::new(address, TIMEOUT).ask(Ask::get(PATH)).await?;
    match answer.status {
        StatusCode::OK => {
            serde_json::from_slice(&answer.body).map_err(|error| FetchError::Json(address, error))
        }
        status => Err(FetchError::Refused(address, status)),
    }
}
