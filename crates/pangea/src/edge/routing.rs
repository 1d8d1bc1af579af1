//! The topology as routing sees it.

use std::net::IpAddr;

use anyhow::Context as _;
use pangea_core::id::RegionSlot;
use pangea_core::routing::{
    Cidr, Data, Endpoint, Link, Listener, Name, Network, Policy, RecordSet, RecordType, Region,
    RegionRecords, RoutingConfig, RoutingControl, Soa, Zone,
};

use crate::config::{self, Topology};

/// Routing's view of `topology`: its first configuration, generation 1.
pub(super) fn config(topology: &Topology) -> anyhow::Result<RoutingConfig> {
    let regions = topology.regions.iter().map(|region| Region {
        slot: region.id,
        name: region.name.clone(),
        control: RoutingControl::On,
    });
    let mut links = Vec::new();
    for link in &topology.links {
        let [a, b] = &link.between;
        let rtt_ms = u32::try_from(link.rtt_ms).unwrap_or(u32::MAX);
        links.push(Link { a: slot(topology, a)?, b: slot(topology, b)?, rtt_ms });
    }
    let mut networks = Vec::new();
    for network in &topology.networks {
        let (address, prefix) = (network.cidr.address(), network.cidr.prefix());
        let cidr = Cidr::new(address, prefix).context("a network of the topology")?;
        networks.push(Network { cidr, near: slot(topology, &network.near)? });
    }
    Ok(RoutingConfig {
        generation: 1,
        regions: regions.collect(),
        links,
        networks,
        near_default: slot(topology, &topology.edge.near)?,
        zones: topology.zones.iter().map(|it| zone(topology, it)).collect::<Result<_, _>>()?,
        listeners: topology.accelerated().map(|it| listener(topology, it)).into_iter().collect(),
    })
}

fn slot(topology: &Topology, name: &str) -> anyhow::Result<RegionSlot> {
    topology.region(name).map(|region| region.id).with_context(|| format!("no region `{name}`"))
}

fn zone(topology: &Topology, zone: &config::Zone) -> anyhow::Result<Zone> {
    let under = |label: &str| Name::parse(&format!("{label}.{}", zone.name));
    let name_server = under("ns")?;
    let in_zone = |record: &&config::Record| {
        record.name == zone.name || record.name.ends_with(&format!(".{}", zone.name))
    };
    let mut records = Vec::new();
    for record in topology.records.iter().filter(in_zone) {
        records.extend(record_sets(topology, record)?);
    }
    let edge = value(topology.edge.dns.ip());
    records.push(RecordSet {
        name: name_server.clone(),
        kind: edge.kind(),
        ttl_s: zone.ttl_s,
        policy: Policy::Simple(vec![edge]),
    });
    Ok(Zone {
        name: Name::parse(&zone.name)?,
        soa: Soa::new(name_server.clone(), under("hostmaster")?),
        name_servers: vec![name_server],
        name_servers_ttl_s: zone.ttl_s,
        records,
    })
}

/// One record set for each family of addresses that the service has.
fn record_sets(topology: &Topology, record: &config::Record) -> anyhow::Result<Vec<RecordSet>> {
    let service = topology.service(&record.service);
    let service = service.with_context(|| format!("no service `{}`", record.service))?;
    let mut sets = Vec::new();
    for kind in [RecordType::A, RecordType::Aaaa] {
        let mut branches = Vec::new();
        for (region, endpoint) in &service.endpoint {
            let value = value(endpoint.ip());
            if value.kind() == kind {
                let region = slot(topology, region)?;
                branches.push(RegionRecords { region, values: vec![value] });
            }
        }
        if !branches.is_empty() {
            let policy = match record.routing {
                config::Routing::Latency => Policy::Latency(branches),
            };
            let name = Name::parse(&record.name)?;
            sets.push(RecordSet { name, kind, ttl_s: record.ttl_s, policy });
        }
    }
    Ok(sets)
}

fn value(address: IpAddr) -> Data {
    match address {
        IpAddr::V4(address) => Data::A(address),
        IpAddr::V6(address) => Data::Aaaa(address),
    }
}

fn listener(topology: &Topology, service: &config::Service) -> Listener {
    let endpoint = |region: &config::Region| {
        let addr = *service.endpoint.get(&region.name)?;
        Some(Endpoint { region: region.id, addr })
    };
    let endpoints = topology.regions.iter().filter_map(endpoint).collect();
    Listener { id: service.name.clone(), endpoints }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_topology_compiles_to_routing() {
        let topology = config::builtin().expect("the embedded document is valid");
        let routing = config(&topology).expect("it names only what exists");
        assert_eq!(routing.regions.len(), 3);
        assert_eq!(routing.listeners[0].endpoints.len(), 3);
        pangea_core::routing::compile(&routing).expect("it is a whole configuration");
    }
}
