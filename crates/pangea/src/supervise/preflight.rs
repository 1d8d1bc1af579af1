//! Everything that can be known before anything starts: ports, programs.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::holder::{self, Transport};
use crate::config::{Service, Topology};

/// How often an address that seems taken is tried again, and how long to wait before each.
const PROBES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(60);

/// Services that cannot run here, each with the reason; the rest of the topology can.
pub(super) type Unavailable = BTreeMap<String, String>;

/// Checks what `topology` needs of this machine.
///
/// # Errors
/// A port is taken or the program of a service that is not optional is missing; every problem
/// is named.
pub(super) fn check(topology: &Topology) -> anyhow::Result<Unavailable> {
    let mut problems = Vec::new();
    let mut unavailable = Unavailable::new();
    for service in topology.services.iter().filter(|service| !service.command.is_empty()) {
        let Err(reason) = runnable(service) else { continue };
        if service.optional {
            unavailable.insert(service.name.clone(), reason);
        } else {
            problems.push(format!("service `{}`: {reason}", service.name));
        }
    }
    for (address, transport, key) in listeners(topology, &unavailable) {
        if let Err(error) = bindable(address, transport) {
            problems.push(explain(address, transport, &key, &error));
        }
    }
    if problems.is_empty() {
        return Ok(unavailable);
    }
    anyhow::bail!("nothing was started\n  {}", problems.join("\n  "))
}

/// Every address that a process of the topology will listen on, and the key that sets it.
fn listeners(
    topology: &Topology,
    unavailable: &Unavailable,
) -> Vec<(SocketAddr, Transport, String)> {
    let mut listeners = Vec::new();
    for region in &topology.regions {
        let keys = [("dynamodb", region.dynamodb), ("admin", region.admin), ("peer", region.peer)];
        for (key, address) in keys {
            let key = format!("`{key}` of region `{}`", region.name);
            listeners.push((address, Transport::Tcp, key));
        }
    }
    let edge = &topology.edge;
    let keys = [
        ("control", edge.control, Transport::Tcp),
        ("dns", edge.dns, Transport::Udp),
        ("dns", edge.dns, Transport::Tcp),
        ("accelerator", edge.accelerator, Transport::Tcp),
        ("operator", edge.operator, Transport::Tcp),
    ];
    listeners
        .extend(keys.map(|(key, at, transport)| (at, transport, format!("`{key}` of [edge]"))));
    let started = topology
        .services
        .iter()
        .filter(|s| !s.command.is_empty() && !unavailable.contains_key(&s.name));
    for service in started {
        for (region, address) in &service.endpoint {
            let key = format!("`{region}` in [service.endpoint] of service `{}`", service.name);
            listeners.push((*address, Transport::Tcp, key));
        }
    }
    listeners
}

/// Whether the address can be listened on.
///
/// A listener outlives its owner for a moment where a child of the owner was between fork and exec,
/// so an address counts as taken only if it stays so.
fn bindable(address: SocketAddr, transport: Transport) -> io::Result<()> {
    let bind = || match transport {
        Transport::Tcp => TcpListener::bind(address).map(drop),
        Transport::Udp => UdpSocket::bind(address).map(drop),
    };
    for _ in 0..PROBES {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    bind()
}

fn explain(address: SocketAddr, transport: Transport, key: &str, error: &io::Error) -> String {
    let set = format!("set by {key} in the topology");
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let by = holder::of(transport, address.port());
            let by = by.map_or_else(|| "another program".to_owned(), |holder| holder.to_string());
            format!("{transport} {address} ({set}) is taken by {by}: stop it, or set another port")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{transport} {address} ({set}) is not an address of this machine: set one")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{transport} {address} ({set}) needs privileges: set a port above 1023")
        }
        _ => format!("{transport} {address} ({set}) cannot be listened on: {error}"),
    }
}

/// Whether the programs of `service` are there; else why not, and what to do.
fn runnable(service: &Service) -> Result<(), String> {
    let directory = &service.directory;
    if !directory.is_dir() {
        let shown = directory.display();
        return Err(format!("no directory {shown}: run from its checkout, or set `directory`"));
    }
    let (key, argv) = match service.build.is_empty() {
        true => ("command", &service.command),
        false => ("build", &service.build),
    };
    let program = argv[0].replace("{directory}", &directory.display().to_string());
    if found(&program, directory) {
        return Ok(());
    }
    Err(format!("no program `{program}`: install it, or set `{key}`"))
}

/// Whether `program` is a file (relative to `directory`), or in PATH if it is a bare name.
fn found(program: &str, directory: &Path) -> bool {
    if program.contains('/') {
        return directory.join(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|part| part.join(program).is_file())
}
