//! Clients at a region's store: every kind of write on keys that regions meet on and on keys of
//! their own, and reads.
//!
//! A writer goes round eight turns. *Hot* keys are few, so that regions conflict: put, updated,
//! put under a condition on what was read, deleted. *Cold* keys are made once, changed once, and
//! some deleted. A *claim* is a key that everyone tries to be the first to put at the same moment:
//! one region gives it to one client, two regions that do not hear each other to two. *Rows* are
//! what an experiment had put before.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::dynamo::{self, Error};
use super::load::{Ground, Kind, Path, Told, Write, Written};
use crate::http_client::Client;

/// Hot keys of one run.
const HOT_KEYS: usize = 4;
/// How long everyone tries for the same claim, microseconds.
const CLAIM_US: u64 = 300_000;
/// Turns of a round.
const TURNS: usize = 8;

/// Where a client works.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) region: String,
    pub(super) address: SocketAddr,
    pub(super) table: Arc<str>,
    /// Names the run: its keys are its own.
    pub(super) run: Arc<str>,
    /// Which of the region's clients this is.
    pub(super) client: usize,
    /// How many rows there were before.
    pub(super) rows: usize,
}

/// The name of a row that was there before.
pub(super) fn row_key(run: &str, row: usize) -> String {
    format!("{run}-row-{row:05}")
}

/// What a claim's key ends with is its number.
pub(super) fn is_claim(run: &str, key: &str) -> bool {
    key.strip_prefix(run).is_some_and(|rest| rest.starts_with("-claim-"))
}

struct Writer {
    ground: Ground,
    site: Site,
    store: Client,
    turn: usize,
}

/// Writes until it is told to stop.
pub(super) async fn writer(ground: Ground, site: Site) {
    let store = Client::new(site.address, ground.timeout);
    let mut writer = Writer { ground, site, store, turn: 0 };
    loop {
        writer.round().await;
        writer.turn += 1;
        if !writer.ground.rest().await {
            return;
        }
    }
}

/// Reads until it is told to stop.
pub(super) async fn reader(ground: Ground, site: Site) {
    let mut store = Client::new(site.address, ground.timeout);
    for turn in 0.. {
        let key = format!("{}-hot-{}", site.run, turn % HOT_KEYS);
        let request = async {
            match dynamo::get(&mut store, &site.table, &key).await {
                Ok(_) => Told { served_by: Some(site.region.clone()), ..Told::default() },
                Err(error) => Told::error(error),
            }
        };
        ground.request(Path::Read, Some(&site.region), request).await;
        if !ground.rest().await {
            return;
        }
    }
}

impl Writer {
    async fn round(&mut self) {
        let (round, run) = (self.turn / TURNS, Arc::clone(&self.site.run));
        let (region, client) = (self.site.region.clone(), self.site.client);
        let cold = |round: usize| format!("{run}-cold-{region}-{client}-{round}");
        let hot = format!("{run}-hot-{}", (self.turn + client) % HOT_KEYS);
        match self.turn % TURNS {
            0 => self.write(hot, Kind::Put, None).await,
            1 => self.write(cold(round), Kind::Conditional, None).await,
            2 => self.write(hot, Kind::Update, None).await,
            3 => {
                let number = self.ground.now_us() / CLAIM_US;
                self.write(format!("{run}-claim-{number}"), Kind::Conditional, None).await;
            }
            4 if round % 2 == 0 => self.write(cold(round), Kind::Update, None).await,
            4 if self.site.rows > 0 => {
                // Any of them, in an order that clients do not share.
                let row = (round * 7919 + client * 31 + region.len()) % self.site.rows;
                self.write(row_key(&run, row), Kind::Update, None).await;
            }
            5 => self.compare_and_put(hot).await,
            6 if round % 3 == 2 => self.write(cold(round - 1), Kind::Delete, None).await,
            7 if round % 3 == 2 => self.write(hot, Kind::Delete, None).await,
            _ => self.write(hot, Kind::Put, None).await,
        }
    }

    /// Reads, and puts if nothing has changed since.
    async fn compare_and_put(&mut self, key: String) {
        match dynamo::get(&mut self.store, &self.site.table, &key).await {
            Ok(seen) => {
                let condition = seen.map_or_else(absent, |value| {
                    json!({
                        "ConditionExpression": "v = :seen",
                        "ExpressionAttributeValues": {":seen": {"S": value}},
                    })
                });
                self.write(key, Kind::Conditional, Some(condition)).await;
            }
            Err(error) => {
                let request = async { Told::error(error) };
                self.ground.request(Path::Read, Some(&self.site.region), request).await;
            }
        }
    }

    async fn write(&mut self, key: String, kind: Kind, condition: Option<Value>) {
        let Self { ground, site, store, turn } = self;
        let value = format!("{}.{}.{turn}", site.region, site.client);
        let condition = condition.unwrap_or_else(|| match kind {
            Kind::Conditional => absent(),
            Kind::Put | Kind::Update | Kind::Delete => json!({}),
        });
        let request = async {
            let wrote = dynamo::write(store, &site.table, &key, kind, &value, condition).await;
            let unanswered = kind == Kind::Delete && wrote.as_ref().is_err_and(is_in_doubt);
            let perhaps_deleted = unanswered.then(|| (Arc::clone(&site.table), key.clone()));
            let write = |stamp| {
                let (table, value) = (Arc::clone(&site.table), Some(value));
                Write { table, key, kind, stamp, value: value.filter(|_| kind != Kind::Delete) }
            };
            let told = told(&site.region, wrote.map(|stamp| stamp.map(write)));
            Told { perhaps_deleted, ..told }
        };
        ground.request(Path::Store, Some(&site.region), request).await;
    }
}

/// What a client was told of a write at a store.
pub(super) fn told(region: &str, wrote: Result<Option<Write>, Error>) -> Told {
    let served_by = Some(region.to_string());
    match wrote {
        Ok(Some(write)) => {
            Told { served_by, written: Some(Written::Version(write)), ..Told::default() }
        }
        // Nothing was there to delete, or the condition did not hold: nothing is owed.
        Ok(None) => Told { served_by, ..Told::default() },
        Err(error) if is_condition(&error) => Told { served_by, ..Told::default() },
        Err(error) => Told::error(error),
    }
}

fn absent() -> Value {
    json!({"ConditionExpression": "attribute_not_exists(k)"})
}

/// Whether what was asked may have been done all the same.
fn is_in_doubt(error: &Error) -> bool {
    !matches!(error, Error::Refused { status, .. } if *status < 500)
}

fn is_condition(error: &Error) -> bool {
    matches!(error, Error::Refused { body, .. } if body.contains("ConditionalCheckFailed"))
}
