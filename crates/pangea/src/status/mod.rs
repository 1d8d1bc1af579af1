//! The state of a running topology as everyone sees it: edge, command line, live table.
//!
//! [`Status`] is the public JSON of `GET /v1/status` on the edge's operator address and of
//! `pangea status --output json`. [`RegionReport`] is what a region says of itself on
//! `GET /v1/status` of its admin address. Readers accept what is missing or new: the processes of
//! a topology need not be of one version.

mod fetch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Region, Topology};
pub use fetch::{FetchError, answers, fetch, report};

/// Where the edge and the regions answer with their status.
pub const PATH: &str = "/v1/status";

/// The whole topology.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Name of the cluster.
    pub cluster: String,
    /// In the order of the topology.
    pub regions: Vec<RegionStatus>,
    /// One per direction.
    pub links: Vec<LinkStatus>,
    /// The edge process.
    pub edge: EdgeStatus,
    /// The newest generation of the membership that a region has told of.
    pub generation: u32,
}

/// One region.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegionStatus {
    /// Its name.
    pub name: String,
    /// Its slot in version stamps.
    pub id: u8,
    /// What it does.
    pub state: RegionState,
    /// Whether traffic is sent to it.
    pub healthy: bool,
    /// What the regions have decided about it: `ACTIVE`, `SUSPENDED`, `EVICTED` …; empty before any
    /// of them has answered.
    pub membership: String,
    /// Why it is not `ACTIVE` or not healthy.
    pub reason: Option<String>,
    /// Its process, if it runs on this machine.
    pub pid: Option<u32>,
    /// URL of the DynamoDB API.
    pub dynamodb: String,
    /// URL of the admin API.
    pub admin: String,
    /// Address of the replication listener.
    pub peer: String,
    /// The applications in it.
    pub services: Vec<ServiceStatus>,
    /// Which life of the region this is.
    pub incarnation: u64,
    /// Writes acknowledged since the process started.
    pub writes: u64,
    /// Entries in its conflict ledger.
    pub conflicts: u64,
    /// What waits for which region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Items that the region deleted since the process started because they had expired.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Deletes that a region cannot collect yet, because another has not said that it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// The region that is waited for.
    pub region: String,
    /// Age of the oldest of the deletes.
    pub seconds: u64,
    /// Tables that have such deletes.
    pub tables: u64,
}

/// What a region does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RegionState {
    /// It serves.
    Active,
    /// It does not serve yet.
    #[default]
    Starting,
    /// There is no process, or none that answers.
    Dead,
    /// It serves, but something in it is wrong.
    Degraded,
}

impl RegionState {
    /// The word in the JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Starting => "STARTING",
            Self::Dead => "DEAD",
            Self::Degraded => "DEGRADED",
        }
    }
}

/// One application's process in one region.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// URL that it serves at.
    pub endpoint: String,
    /// Whether its health probe is answered.
    pub healthy: bool,
    /// Its process, if `up` runs it.
    pub pid: Option<u32>,
    /// Why it is not healthy, as far as `up` knows: not installed, building, how it died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Replication in one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkStatus {
    /// The region that wrote.
    pub from: String,
    /// The region that receives.
    pub to: String,
    /// Whether it flows.
    pub state: LinkState,
    /// How far the receiver is behind, in ms; none before the first heartbeat.
    pub lag_ms: Option<f64>,
    /// The sender's stamps are from the future: how long they will still not be applied, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_ms: Option<u64>,
    /// Round trip that the topology declares, in ms.
    pub rtt_ms: u64,
    /// Versions that the sender knows to be waiting.
    pub backlog: u64,
    /// The sender's wall clock minus the receiver's, in ms; none if it was not heard lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// How wrong that may be, in ms: half a round trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_error_ms: Option<u64>,
}

/// Whether a link flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LinkState {
    /// Heartbeats arrive.
    Up,
    /// They do not.
    #[default]
    Down,
    /// It was cut on purpose.
    Cut,
}

impl LinkState {
    /// The word in tables, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
            Self::Cut => "CUT",
        }
    }
}

/// The edge process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeStatus {
    /// Its process; none when it does not run.
    pub pid: Option<u32>,
    /// URL of the AWS control APIs.
    pub control: String,
    /// Address of the DNS server.
    pub dns: String,
    /// URL of the accelerator.
    pub accelerator: String,
    /// URL of the operator API.
    pub operator: String,
    /// Generation of the routing snapshot that answers.
    pub generation: u64,
    /// The region that a new connection goes to; none if nobody is healthy.
    pub accelerator_serves: Option<String>,
    /// The region in the answer to the edge's own network, by record.
    pub dns_answers: BTreeMap<String, Option<String>>,
    /// Why it does not run or answer, as far as `up` knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a region says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegionReport {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: RegionState,
    /// Why it is not `ACTIVE`.
    pub reason: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// Which life of the region this is.
    pub incarnation: u64,
    /// The generation of the membership that it knows.
    pub generation: u32,
    /// What the regions have decided about each of them, as far as it knows.
    pub members: BTreeMap<String, String>,
    /// Writes acknowledged since the process started.
    pub writes: u64,
    /// Entries in its conflict ledger.
    pub conflicts: u64,
    /// What it receives: `to` is this region.
    pub links: Vec<LinkStatus>,
    /// The applications in it, as its own health probe finds them.
    pub services: Vec<ServiceStatus>,
    /// What waits for which region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Items that the region deleted since the process started because they had expired.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired: u64,
}

impl Status {
    /// What is known of `topology` before anything answers: addresses, nothing running.
    #[must_use]
    pub fn unknown(topology: &Topology) -> Self {
        let edge = &topology.edge;
        let answers = topology.records.iter().map(|record| (record.name.clone(), None));
        Self {
            cluster: topology.cluster.clone(),
            regions: topology.regions.iter().map(|r| RegionStatus::unknown(topology, r)).collect(),
            links: links(topology),
            edge: EdgeStatus {
                control: format!("http://{}", edge.control),
                dns: edge.dns.to_string(),
                accelerator: format!("http://{}", edge.accelerator),
                operator: format!("http://{}", edge.operator),
                dns_answers: answers.collect(),
                ..EdgeStatus::default()
            },
            generation: 0,
        }
    }

    /// The region called `name`.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&RegionStatus> {
        self.regions.iter().find(|region| region.name == name)
    }

    /// Replication from one region to another.
    #[must_use]
    pub fn link(&self, from: &str, to: &str) -> Option<&LinkStatus> {
        self.links.iter().find(|link| link.from == from && link.to == to)
    }

    /// How far a region's wall clock is ahead of most others', in ms, and how wrong that may be, as
    /// far as it hears them.
    #[must_use]
    pub fn clock_ahead_ms(&self, region: &str) -> Option<(i64, u64)> {
        let heard = self.links.iter().filter(|link| link.to == region);
        let offset = |link: &LinkStatus| {
            Some((link.clock_offset_ms?.saturating_neg(), link.clock_error_ms.unwrap_or_default()))
        };
        let mut ahead: Vec<(i64, u64)> = heard.filter_map(offset).collect();
        // It counts itself: else one fast clock of three would look like two slow ones.
        if ahead.len() > 1 {
            let error_ms = ahead.iter().map(|it| it.1).min().unwrap_or_default();
            ahead.push((0, error_ms));
        }
        ahead.sort_unstable();
        ahead.get(ahead.len().saturating_sub(1) / 2).copied()
    }

    /// Whether everything runs and is healthy.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.edge.pid.is_some()
            && self.edge.reason.is_none()
            && self.regions.iter().all(RegionStatus::well)
    }

    /// Takes in what a region says of itself, as when no edge is there to ask.
    pub fn absorb(&mut self, report: RegionReport) {
        if report.generation >= self.generation {
            self.generation = report.generation;
            for region in &mut self.regions {
                let told = report.members.get(&region.name);
                region.membership = told.cloned().unwrap_or_default();
            }
        }
        if let Some(region) = self.regions.iter_mut().find(|region| region.name == report.name) {
            region.state = report.state;
            region.reason = report.reason;
            region.pid = report.pid.or(region.pid);
            region.incarnation = report.incarnation;
            region.writes = report.writes;
            region.conflicts = report.conflicts;
            region.waiting = report.waiting;
            region.expired = report.expired;
            region.healthy = report.state == RegionState::Active;
            for service in report.services {
                let known = region.services.iter_mut().find(|known| known.name == service.name);
                if let Some(known) = known {
                    known.healthy = service.healthy;
                    known.reason = service.reason;
                }
            }
        }
        for link in report.links {
            let known = self.links.iter_mut().find(|l| l.from == link.from && l.to == link.to);
            if let Some(known) = known {
                *known = link;
            }
        }
    }
}

fn links(topology: &Topology) -> Vec<LinkStatus> {
    let regions = || topology.regions.iter().map(|region| region.name.as_str());
    let pairs = regions().flat_map(|from| regions().map(move |to| (from, to)));
    let link = |(from, to): (&str, &str)| LinkStatus {
        from: from.to_owned(),
        to: to.to_owned(),
        rtt_ms: topology.rtt_ms(from, to),
        ..LinkStatus::default()
    };
    pairs.filter(|(from, to)| from != to).map(link).collect()
}

impl RegionStatus {
    fn unknown(topology: &Topology, region: &Region) -> Self {
        let here = |service: &crate::config::Service| {
            let endpoint = service.endpoint.get(&region.name)?;
            let endpoint = format!("http://{endpoint}");
            Some(ServiceStatus { name: service.name.clone(), endpoint, ..ServiceStatus::default() })
        };
        Self {
            name: region.name.clone(),
            id: region.id.get(),
            dynamodb: format!("http://{}", region.dynamodb),
            admin: format!("http://{}", region.admin),
            peer: region.peer.to_string(),
            services: topology.services.iter().filter_map(here).collect(),
            ..Self::default()
        }
    }

    /// Whether it serves and all in it is healthy, or the regions have decided to do without it.
    #[must_use]
    pub fn well(&self) -> bool {
        self.is_gone()
            || self.state == RegionState::Active
                && self.healthy
                && self.services.iter().all(|service| service.healthy)
    }

    /// Whether the regions have decided to do without it.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.membership.as_str(), "EVICTED" | "REMOVED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_new_is_no_error() {
        let status: Status = serde_json::from_str(
            r#"{"cluster":"p","regions":[{"name":"a","state":"DEAD","tomorrow":1}],"links":[]}"#,
        )
        .expect("readers are lenient");
        assert_eq!(status.regions[0].state, RegionState::Dead);
        assert!(!status.healthy());
    }

    #[test]
    fn one_fast_clock_of_three_makes_no_slow_ones() {
        let topology = crate::config::builtin().expect("the embedded document is valid");
        let mut status = Status::unknown(&topology);
        for link in &mut status.links {
            let ahead = |region: &str| if region == "us-east-1" { 2500 } else { 0 };
            link.clock_offset_ms = Some(ahead(&link.from) - ahead(&link.to));
            link.clock_error_ms = Some(1);
        }
        let ahead =
            ["us-east-1", "eu-west-1", "ap-northeast-1"].map(|it| status.clock_ahead_ms(it));
        assert_eq!(ahead, [Some((2500, 1)), Some((0, 1)), Some((0, 1))]);
    }

    #[test]
    fn the_json_has_the_words_of_the_contract() {
        let topology = crate::config::builtin().expect("the embedded document is valid");
        let json = serde_json::to_value(Status::unknown(&topology)).expect("plain data");
        assert_eq!(json["regions"][0]["dynamodb"], "http://127.0.0.1:8101");
        assert_eq!(json["regions"][0]["state"], "STARTING");
        assert_eq!(json["links"][0]["state"], "DOWN");
        assert_eq!(json["links"][0]["rtt_ms"], 70);
        assert_eq!(json["edge"]["dns"], "127.0.0.1:5300");
        assert_eq!(json["edge"]["control"], "http://127.0.0.1:8100");
        assert_eq!(json["links"].as_array().map(Vec::len), Some(6));
    }
}
