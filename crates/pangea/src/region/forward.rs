//! One request on to another region, and its answer back.
//!
//! State: idle connections by region. A request is forwarded once: what was forwarded says so in a
//! header and is answered where it arrives, whatever it needs. It goes through the same wide area
//! as the links: at the simulated distance, and not over one that is cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use pangea_core::id::RegionSlot;
use tokio::time::{sleep, timeout};

use super::Region;
use super::api::auth::SEAL;
use crate::http::{self, Reply};
use crate::http_client::{Answer, Ask, Client};
use crate::metrics::Scrape;
use crate::peer::wan::{Condition, Cut};

/// Names the region that sent a request on: one that carries it is not sent on again.
const FORWARDED: &str = "x-pangea-forwarded-by";
/// Names the region that answered.
const ANSWERED: &str = "x-pangea-answered-by";

/// A region that does not take a connection within this and a round trip is not reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A region that does not answer within this is given up, beside what the request says it may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections to one region: as many requests as are usually forwarded at once.
const IDLE_MAX: usize = 32;

/// Which of a region's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// That of its DynamoDB API.
    Dynamo,
    /// That of its admin API.
    Admin,
}

/// What to ask another region.
#[derive(Clone, Debug)]
pub(super) struct Request {
    door: Door,
    path: &'static str,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// How long the other region may take to answer, its distance aside.
    within: Duration,
}

impl Request {
    /// A client's request to the DynamoDB API, as it came; it may take `longer` than others.
    pub(super) fn of_client(headers: &HeaderMap, body: Bytes, longer: Duration) -> Self {
        let travels = |name: &str| {
            let named = ["x-amz", "x-pangea-", "amz-sdk-"].iter().any(|it| name.starts_with(it));
            named || ["authorization", "content-type", "user-agent"].contains(&name)
        };
        let headers = headers.iter().filter(|(name, _)| travels(name.as_str()));
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_string(), value.to_str().ok()?.to_string()))
        };
        let headers = headers.filter_map(text).collect();
        let within = ANSWER_TIMEOUT + longer;
        Self { door: Door::Dynamo, path: "/", headers, body, within }
    }

    /// Another request, for the same client: `target` names its operation.
    pub(super) fn for_client(headers: &HeaderMap, target: &'static str, body: Bytes) -> Self {
        let mut headers = headers.clone();
        headers.insert("x-amz-target", HeaderValue::from_static(target));
        Self::of_client(&headers, body, Duration::ZERO)
    }

    /// A request between regions.
    pub(super) fn to_admin(path: &'static str, body: Bytes, within: Duration) -> Self {
        Self { door: Door::Admin, path, headers: Vec::new(), body, within }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nothing was sent: another region may be asked, or none.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// The request was sent and may have been executed.
    #[error("asked and not answered, so that the outcome is unknown: {0}")]
    Unknown(String),
}

/// Whether the request was sent on by another region.
pub(super) fn was_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
}

/// Asks the first of `regions` that is reached. One that was asked and did not answer ends the
/// search, unless the request may be `repeated`.
///
/// # Errors
/// [`Error::Unreachable`] if none was asked, or none that answered; else [`Error::Unknown`].
pub(super) async fn first(
    region: &Region,
    regions: &[RegionSlot],
    request: &Request,
    repeated: bool,
) -> Result<Reply, Error> {
    let mut why = Vec::new();
    for &slot in regions {
        match to(region, slot, request).await {
            Ok(reply) => return Ok(reply),
            Err(Error::Unknown(text)) if !repeated => return Err(Error::Unknown(text)),
            Err(Error::Unknown(text) | Error::Unreachable(text)) => why.push(text),
        }
    }
    Err(Error::Unreachable(why.join("; ")))
}

/// Asks the region at `to`, and waits for its whole answer.
///
/// # Errors
/// See [`Error`]; a refusal of the other region is an answer.
pub(super) async fn to(region: &Region, to: RegionSlot, request: &Request) -> Result<Reply, Error> {
    let answer = ask(region, to, request).await?;
    let mut reply = http::reply(answer.status, "", answer.body);
    reply.headers_mut().remove(CONTENT_TYPE);
    let travels = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-") || name == "content-type"
    };
    let headers = answer.headers.iter().filter(|(name, _)| travels(name));
    reply.headers_mut().extend(headers.map(|(name, value)| (name.clone(), value.clone())));
    if let Ok(name) = HeaderValue::from_str(&region.region_name(to)) {
        reply.headers_mut().insert(ANSWERED, name);
    }
    Ok(reply)
}

/// The same as bytes, for what regions ask each other.
///
/// # Errors
/// See [`Error`]; an answer that is not 200 is one of [`Error::Unknown`].
pub(super) async fn bytes(
    region: &Region,
    to: RegionSlot,
    request: &Request,
) -> Result<Bytes, Error> {
    let answer = ask(region, to, request).await?;
    if answer.status == StatusCode::OK {
        return Ok(answer.body);
    }
    let why: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
    Err(Error::Unknown(format!("{}: {why}", region.region_name(to))))
}

async fn ask(region: &Region, to: RegionSlot, request: &Request) -> Result<Answer, Error> {
    let asked = through(region, to, request).await;
    let end = match &asked {
        Ok(_) => &region.forwards.answered,
        Err(Error::Unreachable(_)) => &region.forwards.unreachable,
        Err(Error::Unknown(_)) => &region.forwards.unknown,
    };
    end.fetch_add(1, Relaxed);
    if let Err(error) = &asked {
        tracing::debug!(%error, "a request was not forwarded");
    }
    asked
}

async fn through(region: &Region, to: RegionSlot, request: &Request) -> Result<Answer, Error> {
    let name = region.region_name(to);
    let unreachable = |why: String| Error::Unreachable(format!("{name}: {why}"));
    let unknown = |why: String| Error::Unknown(format!("{name}: {why}"));
    let known = region.topology.regions.iter().find(|it| it.id == to);
    let known = known.ok_or_else(|| unreachable("it is not in the topology".to_string()))?;
    let address = match request.door {
        Door::Dynamo => known.dynamodb,
        Door::Admin => known.admin,
    };
    let condition = condition(region, to);
    let distance = 2 * condition.delay;
    passable(condition).await.map_err(unreachable)?;
    let mut client = region.forwards.take(address);
    client.open(CONNECT_TIMEOUT).await.map_err(|error| unreachable(error.to_string()))?;
    sleep(condition.delay).await;
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.push((FORWARDED, &region.name));
    let body = request.body.clone();
    let target = headers.iter().find(|(name, _)| *name == "x-amz-target").map(|(_, value)| *value);
    // The sender was judged here, and its signature is for this region's address.
    let seal = region.auth.seal(target.unwrap_or_default(), &body);
    headers.push((SEAL, &seal));
    let ask = Ask { method: Method::POST, path: request.path, headers: &headers, body };
    let asked = timeout(request.within + distance, client.ask(ask)).await;
    let answer = asked.map_err(|_| unknown(format!("nothing came for {:?}", request.within)))?;
    let answer = answer.map_err(|error| unknown(error.to_string()))?;
    region.forwards.give(address, client);
    sleep(condition.delay).await;
    // A split swallows the answer as well.
    passable(self::condition(region, to)).await.map_err(unknown)?;
    Ok(answer)
}

fn condition(region: &Region, to: RegionSlot) -> Condition {
    let conditions = region.links.faults().list();
    let of_region = conditions.into_iter().find(|(slot, _)| *slot == to);
    of_region.map(|(_, condition)| condition).unwrap_or_default()
}

/// A request and its answer need both directions.
async fn passable(condition: Condition) -> Result<(), String> {
    match condition.inbound.or(condition.outbound) {
        None => Ok(()),
        Some(Cut::Refuse) => Err("the link is cut by an injected fault".to_string()),
        Some(Cut::Blackhole) => {
            sleep(CONNECT_TIMEOUT).await;
            Err(format!("nothing came for {CONNECT_TIMEOUT:?}"))
        }
    }
}

/// Connections that wait for the next request, and counts.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    idle: Mutex<BTreeMap<SocketAddr, Vec<Client>>>,
    answered: AtomicU64,
    unreachable: AtomicU64,
    unknown: AtomicU64,
}

impl Forwards {
    fn take(&self, address: SocketAddr) -> Client {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.entry(address).or_default();
        while let Some(client) = idle.pop() {
            if client.is_open() {
                return client;
            }
        }
        Client::new(address, Duration::MAX)
    }

    fn give(&self, address: SocketAddr, client: Client) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.entry(address).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(client);
        }
    }

    /// Adds the counts to a scrape.
    pub(super) fn scrape(&self, scrape: &mut Scrape) {
        let ends = [
            ("answered", &self.answered),
            ("unreachable", &self.unreachable),
            ("unknown", &self.unknown),
        ];
        let ends = ends.map(|(end, count)| (vec![("end", end.to_string())], count.load(Relaxed)));
        let help = "Requests that went on to another region, by how that ended";
        scrape.counter("pangea_forward_requests", help, ends);
    }
}
