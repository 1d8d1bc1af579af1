//! What to run for a topology: one [`Spec`] per process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::{self, CommonArgs};
use crate::config::{Region, Restart, Service, Topology};

/// Name of the directory of logs in the data directory.
pub(super) const LOGS: &str = "logs";

/// What a process is in the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Region { region: String },
    Edge,
    Build { service: String },
    Service { service: String, region: String },
}

impl Role {
    /// The name by which people and the control socket call the process.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Region { region } => format!("region {region}"),
            Self::Edge => "edge".to_owned(),
            Self::Build { service } => format!("build {service}"),
            Self::Service { service, region } => format!("service {service} {region}"),
        }
    }
}

/// How to run one process.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) role: Role,
    /// Program and arguments.
    pub(super) argv: Vec<OsString>,
    /// Working directory; that of `up` if none.
    pub(super) directory: Option<PathBuf>,
    pub(super) env: Vec<(String, String)>,
    pub(super) restart: Restart,
    /// File that its output is appended to.
    pub(super) log: PathBuf,
}

/// The specs of all processes of a topology, in the order in which people list them.
pub(super) fn of(
    topology: &Topology,
    program: &Path,
    data_dir: &Path,
    log_filter: &str,
) -> Vec<Spec> {
    let file = cli::context::topology_path(data_dir);
    let common = CommonArgs { topology: &file, data_dir, log: log_filter };
    let own = |role: Role, arguments: Vec<OsString>, restart: Restart| Spec {
        argv: std::iter::once(program.as_os_str().to_owned()).chain(arguments).collect(),
        directory: None,
        env: Vec::new(),
        restart,
        log: log(data_dir, &role),
        role,
    };
    let mut specs = Vec::new();
    for region in &topology.regions {
        let role = Role::Region { region: region.name.clone() };
        specs.push(own(role, cli::region_argv(&region.name, &common), region.restart));
    }
    specs.push(own(Role::Edge, cli::edge_argv(&common), topology.edge.restart));
    for service in topology.services.iter().filter(|service| !service.command.is_empty()) {
        specs.extend(build(service, data_dir));
        let here = topology.regions.iter().filter(|r| service.endpoint.contains_key(&r.name));
        specs.extend(here.map(|region| process(topology, service, region, data_dir)));
    }
    specs
}

fn build(service: &Service, data_dir: &Path) -> Option<Spec> {
    if service.build.is_empty() {
        return None;
    }
    let directory = service.directory.display().to_string();
    let role = Role::Build { service: service.name.clone() };
    let words = service.build.iter().map(|word| word.replace("{directory}", &directory).into());
    Some(Spec {
        argv: words.collect(),
        directory: Some(service.directory.clone()),
        env: Vec::new(),
        restart: Restart::Never,
        log: log(data_dir, &role),
        role,
    })
}

fn process(topology: &Topology, service: &Service, region: &Region, data_dir: &Path) -> Spec {
    let role = Role::Service { service: service.name.clone(), region: region.name.clone() };
    let expand =
        |(key, value): (&String, &String)| (key.clone(), service.expand(value, topology, region));
    Spec {
        argv: service.argv(topology, region).into_iter().map(OsString::from).collect(),
        directory: Some(service.directory.clone()),
        env: service.env.iter().map(expand).collect(),
        restart: service.restart,
        log: log(data_dir, &role),
        role,
    }
}

fn log(data_dir: &Path, role: &Role) -> PathBuf {
    data_dir.join(LOGS).join(format!("{}.log", role.name().replace(' ', "-")))
}
