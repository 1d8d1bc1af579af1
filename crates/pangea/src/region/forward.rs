//! Requests that another region has to answer: the one place where a client waits for one, because
//! its table's settings say that the region here may not do what is asked.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::id::RegionSlot;

use super::Region;
use crate::http::{self, Reply};
use crate::http_client::{Ask, Client};

/// Names the region that sent a request on: one that carries it is not sent on again.
pub(super) const FORWARDED: &str = "x-pangea-forwarded-by";
/// Names the region that answered.
const ANSWERED: &str = "x-pangea-answered-by";
/// A region that does not answer for this long is given up: a round trip around the world and a
/// sync, many times over, and less than the SDKs' own patience.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of the request that go on with it: who asks for what, and what Pangea was told.
const PASSED: [&str; 4] = ["x-amz-target", "content-type", "authorization", "x-amz-date"];

/// Sends a request on to the first of `regions` that can be reached, and gives back its answer.
///
/// # Errors
/// None can be reached: nothing was written. After a connection was made the outcome of a write is
/// unknown where no answer came.
pub(super) async fn to(
    region: &Region,
    regions: &[RegionSlot],
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Reply, ApiError> {
    let mut passed: Vec<(&str, &str)> = vec![(FORWARDED, region.name.as_str())];
    for (name, value) in headers {
        let name = name.as_str();
        if PASSED.contains(&name) || name.starts_with("x-pangea-") {
            passed.extend(value.to_str().ok().map(|value| (name, value)));
        }
    }
    let mut unreachable = Vec::new();
    for slot in regions {
        let Some(known) = region.topology.regions.iter().find(|it| it.id == *slot) else {
            continue;
        };
        let ask = Ask { method: Method::POST, path: "/", headers: &passed, body: body.clone() };
        match Client::new(known.dynamodb, TIMEOUT).ask(ask).await {
            Ok(answer) => {
                let mut reply =
                    http::reply(answer.status, "application/x-amz-json-1.0", answer.body);
                reply.headers_mut().extend(answer.headers.into_iter().filter(|(name, _)| {
                    name.as_ref().is_some_and(|name| name.as_str().starts_with("x-"))
                }));
                if let Ok(name) = HeaderValue::from_str(&known.name) {
                    reply.headers_mut().insert(ANSWERED, name);
                }
                return Ok(reply);
            }
            Err(error @ crate::http_client::Error::Connect(..)) => {
                unreachable.push(format!("{}: {error}", known.name));
            }
            Err(error) => {
                let text = format!(
                    "{} was asked and did not answer: the outcome is unknown: {error}",
                    known.name
                );
                return Err(ApiError::new(ErrorKind::InternalServer, text));
            }
        }
    }
    let text = format!("no region that may do this can be reached: {}", unreachable.join("; "));
    Err(ApiError::new(ErrorKind::InternalServer, text))
}

/// Whether the request was sent on by another region.
pub(super) fn was_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
}
