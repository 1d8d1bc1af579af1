//! A region as an experiment asks it: what its admin API says of versions, conflicts and progress.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use pangea_core::experiment::Seen;
use pangea_core::merge::VersionVector;
use pangea_core::time::Stamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::dynamo::Error;
use crate::conflicts::ConflictPage;
use crate::http_client::{Ask, Client};
use crate::inject::{self, Fault};
use crate::query::encode;
use crate::status::{self, RegionReport};
use crate::versions::{VersionReport, parse_stamp};

/// Reads of the audit are patient: nothing is measured by them.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Connections that ask one region for items.
const ASKERS: usize = 4;

/// A region's addresses.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its name.
    pub(super) name: String,
    /// Its slot in version stamps.
    pub(super) slot: u8,
    /// DynamoDB API.
    pub(super) dynamodb: SocketAddr,
    /// Admin API.
    pub(super) admin: SocketAddr,
}

/// A conflict of an item whose key is one text.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) table: String,
    pub(super) key: String,
    pub(super) severity: String,
    /// The loser; of several that share the entry the last, with what all of them had seen.
    pub(super) loser: Seen,
    pub(super) winner: Seen,
    /// All losers, where several share the entry.
    pub(super) sharing: Vec<Stamp>,
    /// Whether one attribute lost, not the item.
    pub(super) attribute: bool,
}

impl Entry {
    /// Every loser.
    pub(super) fn losers(&self) -> Vec<Seen> {
        let of = |stamp: &Stamp| {
            let context = VersionVector::from_entries([(stamp.origin, stamp.hlc)]);
            Seen { stamp: *stamp, context }
        };
        let others = self.sharing.iter().filter(|stamp| **stamp != self.loser.stamp).map(of);
        others.chain([self.loser.clone()]).collect()
    }
}

/// What a region keeps of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The versions, tombstones included; none if there is no row.
    pub(super) versions: Vec<Seen>,
    /// Everything that the region has seen of the item; without a row, of what it has collected.
    pub(super) seen: VersionVector,
}

/// What `GET /v1/item` says, as far as an audit needs it: one version, or all that are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item {
    version: Option<VersionReport>,
    versions: Vec<VersionReport>,
    seen: Vec<String>,
}

impl From<&crate::config::Region> for Place {
    fn from(region: &crate::config::Region) -> Self {
        Self {
            name: region.name.clone(),
            slot: region.id.get(),
            dynamodb: region.dynamodb,
            admin: region.admin,
        }
    }
}

impl Place {
    /// A client of its store.
    pub(super) fn store(&self) -> Client {
        Client::new(self.dynamodb, TIMEOUT)
    }

    /// What it says of itself.
    pub(super) async fn report(&self) -> Result<RegionReport, Error> {
        get(&mut self.client(), "status", status::PATH).await
    }

    /// What it has applied of each origin, itself included.
    pub(super) async fn applied(&self) -> Result<VersionVector, Error> {
        let stamps: Vec<String> = get(&mut self.client(), "vector", "/v1/vector").await?;
        let stamps = stamps.iter().filter_map(|text| parse_stamp(text));
        Ok(VersionVector::from_entries(stamps.map(|stamp| (stamp.origin, stamp.hlc))))
    }

    /// Does something to it.
    pub(super) async fn inject(&self, fault: &Fault) -> Result<(), inject::Error> {
        inject::tell(&self.name, self.admin, fault).await.map(drop)
    }

    /// The versions that it keeps of each of these items, tombstones included.
    pub(super) async fn kept(
        &self,
        items: Vec<(String, String)>,
    ) -> Result<BTreeMap<(String, String), Kept>, Error> {
        let mut asking = JoinSet::new();
        let share = items.len().div_ceil(ASKERS).max(1);
        for share in items.chunks(share) {
            let (mut client, share) = (self.client(), share.to_vec());
            asking.spawn(async move {
                let mut kept = Vec::new();
                for item in share {
                    let path =
                        format!("/v1/item?table={}&partition={}", encode(&item.0), encode(&item.1));
                    let report: Item = get(&mut client, "item", &path).await?;
                    kept.push((item, report.kept()));
                }
                Ok::<_, Error>(kept)
            });
        }
        let mut kept = BTreeMap::new();
        while let Some(asked) = asking.join_next().await {
            let asked = asked.map_err(|error| Error::Unreadable("item", error.to_string()))?;
            kept.extend(asked?);
        }
        Ok(kept)
    }

    /// The tables that it holds, by name, as the admin API describes them.
    pub(super) async fn tables(&self) -> Result<BTreeMap<String, Value>, Error> {
        let tables: Vec<Value> = get(&mut self.client(), "tables", "/v1/tables").await?;
        let name = |table: &Value| table["name"].as_str().unwrap_or_default().to_string();
        Ok(tables.into_iter().map(|table| (name(&table), table)).collect())
    }

    /// Chooses the merge policy of a table whose home it is.
    pub(super) async fn set_policy(&self, table: &str, policy: &str) -> Result<(), Error> {
        let body = json!({"table": table, "tags": {"pangea:merge": policy}}).to_string();
        let ask = Ask::post("/v1/tables", &[("content-type", "application/json")], body);
        let answer = self.client().ask(ask).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        Err(Error::Refused { action: "tables", status: answer.status.as_u16(), body })
    }

    /// All conflicts of a table, from its ledger.
    pub(super) async fn conflicts(&self, table: &str) -> Result<Vec<Entry>, Error> {
        let (mut client, mut entries, mut after) = (self.client(), Vec::new(), String::new());
        loop {
            let path = format!("/v1/conflicts?table={}&limit=500&after={after}", encode(table));
            let page: ConflictPage = get(&mut client, "conflicts", &path).await?;
            for entry in page.conflicts {
                let key = entry.key.first().and_then(|part| part["S"].as_str()).map(str::to_string);
                let (loser, winner) = (entry.loser.version.seen(), entry.winner.version.seen());
                if let (Some(key), Some(loser), Some(winner)) = (key, loser, winner) {
                    let (id, table, severity) = (entry.id, entry.table, entry.severity);
                    let pairs = entry.pairs.iter();
                    let sharing = pairs.filter_map(|[loser, _]| parse_stamp(loser)).collect();
                    let attribute = entry.path.is_some();
                    entries.push(Entry {
                        id,
                        table,
                        key,
                        severity,
                        loser,
                        winner,
                        sharing,
                        attribute,
                    });
                }
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(entries),
            }
        }
    }

    fn client(&self) -> Client {
        Client::new(self.admin, TIMEOUT)
    }
}

impl Item {
    fn kept(self) -> Kept {
        let all = if self.versions.is_empty() {
            self.version.into_iter().collect()
        } else {
            self.versions
        };
        let stamps = self.seen.iter().filter_map(|text| parse_stamp(text));
        Kept {
            versions: all.iter().filter_map(VersionReport::seen).collect(),
            seen: VersionVector::from_entries(stamps.map(|stamp| (stamp.origin, stamp.hlc))),
        }
    }
}

async fn get<T: DeserializeOwned>(
    client: &mut Client,
    what: &'static str,
    path: &str,
) -> Result<T, Error> {
    let answer = client.ask(Ask::get(path)).await?;
    if !answer.status.is_success() {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Error::Refused { action: what, status: answer.status.as_u16(), body });
    }
    serde_json::from_slice(&answer.body).map_err(|error| Error::Unreadable(what, error.to_string()))
}
