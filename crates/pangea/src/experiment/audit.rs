//! Reads every acknowledged write back, in every region.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pangea_core::experiment::{Fate, Seen, fate};
use pangea_core::merge::VersionVector;
use pangea_core::time::Stamp;
use serde::Serialize;

use super::store::{self, Error};
use super::workload::{HOT_KEYS, Written};
use crate::http_client::Client;

/// Reads of the audit are patient: nothing is measured by them.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A region's addresses.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its name.
    pub(super) name: String,
    /// DynamoDB API.
    pub(super) dynamodb: SocketAddr,
    /// Admin API.
    pub(super) admin: SocketAddr,
}

impl Place {
    pub(super) fn store(&self) -> Client {
        Client::new(self.dynamodb, TIMEOUT)
    }

    pub(super) fn admin(&self) -> Client {
        Client::new(self.admin, TIMEOUT)
    }
}

/// Acknowledged writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    /// Identities of orders.
    pub(super) orders: Vec<String>,
    /// Versions by hot key.
    pub(super) hot: BTreeMap<usize, Vec<Stamp>>,
}

impl Acknowledged {
    pub(super) fn collect<'a>(written: impl Iterator<Item = &'a Written>) -> Self {
        let mut all = Self::default();
        for write in written {
            match write {
                Written::Order(id) => all.orders.push(id.clone()),
                Written::Hot(key, stamp) => all.hot.entry(*key).or_default().push(*stamp),
            }
        }
        all
    }

    pub(super) fn len(&self) -> usize {
        self.orders.len() + self.hot.values().map(Vec::len).sum::<usize>()
    }
}

/// Where the acknowledged writes are, as one region tells.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RegionAudit {
    /// The region.
    pub(super) region: String,
    /// Readable as written.
    pub(super) present: u64,
    /// Replaced by a write that had seen them.
    pub(super) overwritten: u64,
    /// Lost a conflict; the ledger has them.
    pub(super) in_ledger: u64,
    /// None of these.
    pub(super) lost: u64,
    /// The first few of those.
    pub(super) examples: Vec<String>,
}

impl RegionAudit {
    fn count(&mut self, fate: Fate, what: impl FnOnce() -> String) {
        match fate {
            Fate::Present => self.present += 1,
            Fate::Overwritten => self.overwritten += 1,
            Fate::InLedger => self.in_ledger += 1,
            Fate::Lost => {
                self.lost += 1;
                if self.examples.len() < 5 {
                    self.examples.push(what());
                }
            }
        }
    }
}

/// Audits one region, whose ledger must by now hold every conflict.
pub(super) async fn region(place: &Place, all: &Acknowledged) -> Result<RegionAudit, Error> {
    let mut audit = RegionAudit { region: place.name.clone(), ..RegionAudit::default() };
    let present = store::orders_present(&mut place.store(), &all.orders).await?;
    for id in &all.orders {
        let found = if present.contains(id) { Fate::Present } else { Fate::Lost };
        audit.count(found, || format!("order {id}"));
    }
    let mut admin = place.admin();
    let losers = store::hot_losers(&mut admin).await?;
    for key in 0..HOT_KEYS {
        let current = store::hot_version(&mut admin, key).await?;
        let name = store::hot_name(key);
        let of_key = losers.iter().filter(|(loser, _)| *loser == name);
        let of_key: Vec<Seen> = of_key.map(|(_, seen)| seen.clone()).collect();
        for stamp in all.hot.get(&key).into_iter().flatten() {
            let found = fate(*stamp, current.as_ref(), &of_key);
            audit.count(found, || format!("{name} version {stamp}"));
        }
    }
    Ok(audit)
}

/// Waits until every region has applied everything that any region has.
pub(super) async fn converge(places: &[Place], patience: Duration) -> Result<Duration, Error> {
    let began = Instant::now();
    loop {
        let mut vectors = Vec::new();
        for place in places {
            vectors.push(store::applied(&mut place.admin()).await?);
        }
        if vectors.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > patience {
            return Err(Error::TooSlow("the regions did not converge", patience));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The writes of `suspects` that none of the `survivors` has.
pub(super) async fn unreplicated(
    survivors: &[Place],
    suspects: &Acknowledged,
) -> Result<Acknowledged, Error> {
    let mut orders: BTreeSet<String> = suspects.orders.iter().cloned().collect();
    let mut seen = VersionVector::default();
    for place in survivors {
        let asked: Vec<String> = orders.iter().cloned().collect();
        for id in store::orders_present(&mut place.store(), &asked).await? {
            orders.remove(&id);
        }
        seen.join(&store::applied(&mut place.admin()).await?);
    }
    let mut missing = Acknowledged { orders: orders.into_iter().collect(), hot: BTreeMap::new() };
    for (key, stamps) in &suspects.hot {
        let unseen: Vec<Stamp> =
            stamps.iter().copied().filter(|stamp| !seen.covers(*stamp)).collect();
        missing.hot.insert(*key, unseen);
    }
    Ok(missing)
}

/// Waits until every one of `places` has all of `missing`.
pub(super) async fn arrival(
    places: &[Place],
    missing: &Acknowledged,
    patience: Duration,
) -> Result<Duration, Error> {
    let began = Instant::now();
    loop {
        let mut left = 0;
        for place in places {
            let alone = std::slice::from_ref(place);
            left += unreplicated(alone, missing).await?.len();
        }
        if left == 0 {
            return Ok(began.elapsed());
        }
        if began.elapsed() > patience {
            return Err(Error::TooSlow("unreplicated writes did not arrive", patience));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
