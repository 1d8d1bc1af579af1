//! From a declared configuration to checked tables.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::config::{
    Data, Endpoint, Link, Listener, Policy, RecordSet, RecordType, Region, RoutingConfig, Soa, Zone,
};
use super::name::{Name, parent};
use super::network::{Network, NetworkTable};
use super::rank::Generation;
use crate::id::RegionSlot;

/// Greatest time to live, s (RFC 2181, 8).
const TTL_S_MAX: u32 = 0x7fff_ffff;
/// Bytes of one character string of a TXT record (RFC 1035, 3.3.14).
const TEXT_BYTES_MAX: usize = 255;
/// Bytes of one record set's values: it must fit a TCP message with its question.
const SET_BYTES_MAX: usize = 32 * 1024;

/// Why a configuration was refused; names the offending part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The new generation is older than the published one.
    #[error("generation {to} is older than the published {from}")]
    GenerationBackwards {
        /// Published.
        from: Generation,
        /// Offered.
        to: Generation,
    },
    /// A region that is not in the list of regions.
    #[error("{place} names region {region}, which is not configured")]
    UnknownRegion {
        /// Who names it.
        place: String,
        /// The name.
        region: RegionSlot,
    },
    /// Two regions at one slot.
    #[error("region {0} is configured twice")]
    DuplicateRegion(RegionSlot),
    /// One network, two near regions.
    #[error("network {0} is near two regions")]
    DuplicateNetwork(super::Cidr),
    /// Two zones of one name.
    #[error("zone {0} is configured twice")]
    DuplicateZone(Name),
    /// A zone without name servers.
    #[error("zone {0} has no name servers")]
    NoNameServers(Name),
    /// A record set outside its zone.
    #[error("record set {name} is not within zone {zone}")]
    OutsideZone {
        /// Its owner.
        name: Name,
        /// The zone that lists it.
        zone: Name,
    },
    /// Two record sets of one name and type.
    #[error("record set {name} {kind} is configured twice")]
    DuplicateSet {
        /// Its owner.
        name: Name,
        /// Its type.
        kind: RecordType,
    },
    /// A CNAME beside other records, or at an apex (RFC 1034, 3.6.2).
    #[error("{0} has a CNAME beside other records")]
    CnameNotAlone(Name),
    /// A record set that cannot be.
    #[error("record set {name} {kind}: {problem}")]
    BadSet {
        /// Its owner.
        name: Name,
        /// Its type.
        kind: RecordType,
        /// What is wrong.
        problem: &'static str,
    },
    /// A listener that cannot be.
    #[error("listener {id}: {problem}")]
    BadListener {
        /// Its name.
        id: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// A checked configuration, ready for look-ups; shared by all snapshots made of it.
#[derive(Debug)]
pub struct Tables {
    pub(crate) config_generation: u64,
    pub(crate) regions: Vec<Region>,
    /// One more than the greatest slot in use.
    pub(crate) region_count: usize,
    /// By near region, by region: ms, or `u32::MAX`.
    pub(crate) rtt_ms: Vec<Vec<u32>>,
    pub(crate) networks: NetworkTable,
    pub(crate) near_default: RegionSlot,
    pub(crate) zones: BTreeMap<Name, ZoneTable>,
    pub(crate) listeners: BTreeMap<String, Vec<Endpoint>>,
}

/// One zone's names.
#[derive(Debug)]
pub(crate) struct ZoneTable {
    pub(crate) soa: Soa,
    /// Every name that exists, including those that only have names below them (RFC 4592, 2.2.2).
    pub(crate) nodes: BTreeMap<Name, Vec<SetTable>>,
}

/// One record set.
#[derive(Debug)]
pub(crate) struct SetTable {
    pub(crate) kind: RecordType,
    pub(crate) ttl_s: u32,
    pub(crate) policy: Policy,
}

/// Checks `config` and makes it ready.
///
/// # Errors
/// [`Refusal`] naming the first thing that is wrong.
pub fn compile(config: &RoutingConfig) -> Result<Arc<Tables>, Refusal> {
    let known = check_regions(config)?;
    check_networks(&known, &config.networks)?;
    known.check(config.near_default, || String::from("near_default"))?;
    let mut zones = BTreeMap::new();
    for zone in &config.zones {
        if zones.insert(zone.name.clone(), compile_zone(&known, zone)?).is_some() {
            return Err(Refusal::DuplicateZone(zone.name.clone()));
        }
    }
    let region_count = known.0.last().map_or(0, |slot| slot.index() + 1);
    Ok(Arc::new(Tables {
        config_generation: config.generation,
        regions: config.regions.clone(),
        region_count,
        rtt_ms: distances(region_count, &config.links),
        networks: NetworkTable::new(&config.networks),
        near_default: config.near_default,
        zones,
        listeners: compile_listeners(&known, &config.listeners)?,
    }))
}

impl Tables {
    pub(crate) fn region(&self, slot: RegionSlot) -> Option<&Region> {
        self.regions.iter().find(|r| r.slot == slot)
    }
}

struct Known(BTreeSet<RegionSlot>);

impl Known {
    fn check(&self, region: RegionSlot, place: impl FnOnce() -> String) -> Result<(), Refusal> {
        if self.0.contains(&region) {
            return Ok(());
        }
        Err(Refusal::UnknownRegion { place: place(), region })
    }
}

fn check_regions(config: &RoutingConfig) -> Result<Known, Refusal> {
    let mut known = Known(BTreeSet::new());
    for region in &config.regions {
        if !known.0.insert(region.slot) {
            return Err(Refusal::DuplicateRegion(region.slot));
        }
    }
    for link in &config.links {
        known.check(link.a, || String::from("a link"))?;
        known.check(link.b, || String::from("a link"))?;
    }
    Ok(known)
}

fn check_networks(known: &Known, networks: &[Network]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for network in networks {
        known.check(network.near, || alloc::format!("network {}", network.cidr))?;
        if !seen.insert(network.cidr) {
            return Err(Refusal::DuplicateNetwork(network.cidr));
        }
    }
    Ok(())
}

fn distances(region_count: usize, links: &[Link]) -> Vec<Vec<u32>> {
    let mut rtt_ms = vec![vec![u32::MAX; region_count]; region_count];
    for (index, row) in rtt_ms.iter_mut().enumerate() {
        row[index] = 0;
    }
    for link in links.iter().filter(|link| link.a != link.b) {
        rtt_ms[link.a.index()][link.b.index()] = link.rtt_ms;
        rtt_ms[link.b.index()][link.a.index()] = link.rtt_ms;
    }
    rtt_ms
}

fn compile_listeners(
    known: &Known,
    listeners: &[Listener],
) -> Result<BTreeMap<String, Vec<Endpoint>>, Refusal> {
    let mut tables = BTreeMap::new();
    for listener in listeners {
        let bad = |problem| Refusal::BadListener { id: listener.id.clone(), problem };
        for endpoint in &listener.endpoints {
            known.check(endpoint.region, || alloc::format!("listener {}", listener.id))?;
        }
        if listener.endpoints.is_empty() {
            return Err(bad("it has no endpoints"));
        }
        if tables.insert(listener.id.clone(), listener.endpoints.clone()).is_some() {
            return Err(bad("it is configured twice"));
        }
    }
    Ok(tables)
}

fn compile_zone(known: &Known, zone: &Zone) -> Result<ZoneTable, Refusal> {
    if zone.name_servers.is_empty() {
        return Err(Refusal::NoNameServers(zone.name.clone()));
    }
    let servers = zone.name_servers.iter().cloned().map(Data::Ns).collect();
    let apex = SetTable {
        kind: RecordType::Ns,
        ttl_s: zone.name_servers_ttl_s.min(TTL_S_MAX),
        policy: Policy::Simple(servers),
    };
    let mut nodes = BTreeMap::from([(zone.name.clone(), vec![apex])]);
    for set in &zone.records {
        check_set(known, set)?;
        insert_set(&mut nodes, zone, set)?;
    }
    Ok(ZoneTable { soa: zone.soa.clone(), nodes })
}

fn insert_set(
    nodes: &mut BTreeMap<Name, Vec<SetTable>>,
    zone: &Zone,
    set: &RecordSet,
) -> Result<(), Refusal> {
    if !super::name::is_within(set.name.as_bytes(), zone.name.as_bytes()) {
        return Err(Refusal::OutsideZone { name: set.name.clone(), zone: zone.name.clone() });
    }
    let sets = nodes.entry(set.name.clone()).or_default();
    if sets.iter().any(|other| other.kind == set.kind) {
        return Err(Refusal::DuplicateSet { name: set.name.clone(), kind: set.kind });
    }
    let has_cname = sets.iter().any(|other| other.kind == RecordType::Cname);
    if has_cname || set.kind == RecordType::Cname && !sets.is_empty() {
        return Err(Refusal::CnameNotAlone(set.name.clone()));
    }
    sets.push(SetTable { kind: set.kind, ttl_s: set.ttl_s, policy: set.policy.clone() });
    let mut above = parent(set.name.as_bytes());
    while let Some(key) = above.filter(|key| key.len() > zone.name.as_bytes().len()) {
        nodes.entry(Name::from_key(key)).or_default();
        above = parent(key);
    }
    Ok(())
}

fn check_set(known: &Known, set: &RecordSet) -> Result<(), Refusal> {
    let bad = |problem| Refusal::BadSet { name: set.name.clone(), kind: set.kind, problem };
    if matches!(set.kind, RecordType::Ns | RecordType::Soa | RecordType::Any | RecordType::Other) {
        return Err(bad("records of this type cannot be configured"));
    }
    if set.ttl_s > TTL_S_MAX {
        return Err(bad("the time to live is more than 2147483647 s"));
    }
    for (region, values) in branches(&set.policy) {
        if let Some(region) = region {
            known.check(region, || alloc::format!("record set {}", set.name))?;
        }
        check_values(set.kind, values).map_err(bad)?;
    }
    check_policy(&set.policy).map_err(bad)
}

fn check_policy(policy: &Policy) -> Result<(), &'static str> {
    match policy {
        Policy::Simple(_) | Policy::Failover { .. } => Ok(()),
        Policy::Weighted(members) if members.is_empty() => Err("it has no members"),
        Policy::Latency(members) if members.is_empty() => Err("it has no members"),
        Policy::Weighted(_) => Ok(()),
        Policy::Latency(members) => {
            let regions: BTreeSet<RegionSlot> = members.iter().map(|m| m.region).collect();
            if regions.len() < members.len() { Err("it names a region twice") } else { Ok(()) }
        }
    }
}

fn branches(policy: &Policy) -> Vec<(Option<RegionSlot>, &[Data])> {
    match policy {
        Policy::Simple(values) => vec![(None, values.as_slice())],
        Policy::Latency(members) => {
            members.iter().map(|m| (Some(m.region), m.values.as_slice())).collect()
        }
        Policy::Weighted(members) => {
            members.iter().map(|m| (m.branch.region, m.branch.values.as_slice())).collect()
        }
        Policy::Failover { primary, secondary } => {
            [primary, secondary].map(|b| (b.region, b.values.as_slice())).to_vec()
        }
    }
}

fn check_values(kind: RecordType, values: &[Data]) -> Result<(), &'static str> {
    if values.is_empty() {
        return Err("it has no values");
    }
    if values.iter().any(|value| value.kind() != kind) {
        return Err("a value is of another type");
    }
    if kind == RecordType::Cname && values.len() > 1 {
        return Err("a CNAME has one value");
    }
    let texts = values.iter().filter_map(|v| if let Data::Txt(t) = v { Some(t) } else { None });
    if texts.clone().any(Vec::is_empty) {
        return Err("a text has no strings");
    }
    if texts.flatten().any(|string| string.len() > TEXT_BYTES_MAX) {
        return Err("a string is longer than 255 bytes");
    }
    if values.iter().map(size).sum::<usize>() > SET_BYTES_MAX {
        return Err("its values are more than 32 KiB");
    }
    Ok(())
}

/// Bytes of a record on the wire, with a compressed owner.
fn size(value: &Data) -> usize {
    12 + match value {
        Data::A(_) => 4,
        Data::Aaaa(_) => 16,
        Data::Txt(strings) => strings.iter().map(|s| 1 + s.len()).sum(),
        Data::Cname(name) | Data::Ns(name) => name.as_bytes().len() + 1,
    }
}
