//! The clients of an experiment: each one writes, records what it was told, and never retries.
//!
//! Two kinds of writes. Orders go through the front door (accelerator or DNS) to the sample
//! application, each under an identity of its own, so that every one of them must be found. Hot
//! keys are written straight at each region's store, so that regions conflict and the audit has
//! overwritten and losing writes to account for.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pangea_core::experiment::Attempt;
use pangea_core::time::Stamp;
use tokio::sync::watch;

use super::dns::Resolver;
use super::store;
use crate::http_client::{Ask, Client};

/// A client gives up on a request after this; generous beside the objectives it measures.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Hot keys: few, so that regions meet on them.
pub(super) const HOT_KEYS: usize = 4;

/// How a client reaches the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    /// A new name lookup whenever the last answer's lifetime is over.
    Dns,
    /// One address for ever.
    Accelerator,
    /// A region's store itself.
    Store,
}

/// What was written, if it was acknowledged.
#[derive(Clone, Debug)]
pub(super) enum Written {
    /// An order of this identity.
    Order(String),
    /// A hot key, as this version.
    Hot(usize, Stamp),
}

/// One recorded request.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// How it went.
    pub(super) path: Path,
    /// When, and whether it was acknowledged.
    pub(super) attempt: Attempt,
    /// The region that answered, if it said so.
    pub(super) served_by: Option<String>,
    /// What is owed to it.
    pub(super) written: Option<Written>,
    /// Why it failed.
    pub(super) error: Option<String>,
}

/// What all clients share.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    /// The experiment's time zero.
    pub(super) began: Instant,
    /// Turns true when clients shall end.
    pub(super) stop: watch::Receiver<bool>,
    /// Every request so far.
    pub(super) records: Arc<Mutex<Vec<Record>>>,
    /// Pause of a client between two requests.
    pub(super) pause: Duration,
}

impl Ground {
    /// Microseconds since the experiment began.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Everything recorded so far.
    pub(super) fn records(&self) -> Vec<Record> {
        self.records.lock().map(|records| records.clone()).unwrap_or_default()
    }

    fn record(&self, path: Path, started_us: u64, told: Told) {
        let succeeded = told.error.is_none();
        let attempt = Attempt { started_us, ended_us: self.now_us(), succeeded };
        let Told { served_by, written, error } = told;
        if let Ok(mut records) = self.records.lock() {
            records.push(Record { path, attempt, served_by, written, error });
        }
    }

    async fn rest(&self) -> bool {
        tokio::time::sleep(self.pause).await;
        !*self.stop.borrow()
    }
}

/// What a client was told.
#[derive(Debug, Default)]
struct Told {
    served_by: Option<String>,
    written: Option<Written>,
    error: Option<String>,
}

impl Told {
    fn error(error: impl std::fmt::Display) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }
}

/// Orders through the accelerator on a kept-alive connection.
pub(super) async fn through_accelerator(ground: Ground, accelerator: SocketAddr) {
    let mut client = Client::new(accelerator, REQUEST_TIMEOUT);
    loop {
        let started_us = ground.now_us();
        let told = order(&mut client).await;
        ground.record(Path::Accelerator, started_us, told);
        if !ground.rest().await {
            return;
        }
    }
}

/// Orders to whatever address the name has, looked up again when the answer's lifetime is over.
pub(super) async fn through_dns(ground: Ground, mut resolver: Resolver, port: u16) {
    let mut client: Option<(IpAddr, Client)> = None;
    loop {
        let started_us = ground.now_us();
        let told = match resolver.address().await {
            Err(error) => Told::error(error),
            Ok(ip) => {
                let stale = client.as_ref().is_none_or(|(known, _)| *known != ip);
                if stale {
                    let fresh = Client::new(SocketAddr::new(ip, port), REQUEST_TIMEOUT);
                    client = Some((ip, fresh));
                }
                match &mut client {
                    Some((_, client)) => order(client).await,
                    None => Told::error("no client"),
                }
            }
        };
        ground.record(Path::Dns, started_us, told);
        if !ground.rest().await {
            return;
        }
    }
}

/// Hot keys straight at one region's store.
pub(super) async fn at_store(ground: Ground, region: String, address: SocketAddr) {
    let mut client = Client::new(address, REQUEST_TIMEOUT);
    for turn in 0_usize.. {
        let key = turn % HOT_KEYS;
        let started_us = ground.now_us();
        let told = match store::put_hot(&mut client, key, &format!("{region} {turn}")).await {
            Err(error) => Told::error(error),
            Ok(stamp) => Told {
                served_by: Some(region.clone()),
                written: Some(Written::Hot(key, stamp)),
                error: None,
            },
        };
        ground.record(Path::Store, started_us, told);
        if !ground.rest().await {
            return;
        }
    }
}

async fn order(client: &mut Client) -> Told {
    let id = uuid_v7();
    let body = serde_json::json!({
        "customer": "experiment",
        "cart": [{"sku": "mug", "qty": 1}],
    });
    let path = format!("/orders/{id}");
    let ask = Ask {
        method: hyper::Method::PUT,
        path: &path,
        headers: &[("content-type", "application/json")],
        body: body.to_string().into(),
    };
    match client.ask(ask).await {
        Err(error) => Told::error(error),
        Ok(answer) => {
            let served_by = answer.headers.get("x-served-by");
            let served_by = served_by.and_then(|name| name.to_str().ok()).map(str::to_string);
            if answer.status.is_success() {
                return Told { served_by, written: Some(Written::Order(id)), error: None };
            }
            let text = String::from_utf8_lossy(&answer.body);
            let error = Some(format!("{} {}", answer.status, text.trim()));
            Told { served_by, written: None, error }
        }
    }
}

/// A fresh UUID of version 7: time first, then randomness (RFC 9562, section 5.7).
fn uuid_v7() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the kernel has randomness");
    let random = random.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    let bits = (ms & 0xffff_ffff_ffff) << 80
        | 0x7 << 76
        | (random >> 68 & 0xfff) << 64
        | 0b10 << 62
        | (random & 0x3fff_ffff_ffff_ffff);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
