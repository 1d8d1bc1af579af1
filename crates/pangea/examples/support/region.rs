//! The region that a benchmark measures, alone and filled.

use std::net::SocketAddr;

use super::load::{self, Kind};
use super::process::{Process, pangea, start_pangea, wait_for};
use super::{Directory, dynamo, free};

/// Connections of the load on it.
pub(crate) const CONNECTIONS: usize = 64;

/// A server and where it listens.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// Starts a region whose table has this merge policy, and fills the table.
pub(crate) fn start(
    arguments: &[String],
    directory: &Directory,
    policy: &str,
) -> anyhow::Result<Server> {
    let address = free()?;
    let topology = format!(
        "cluster = \"bench\"\n[[region]]\nname = \"a\"\ndynamodb = \"{address}\"\n\
         admin = \"{}\"\npeer = \"{}\"\n",
        free()?,
        free()?
    );
    std::fs::write(directory.path().join("topology.toml"), topology)?;
    let program = pangea(arguments)?;
    let process = start_pangea(&program, directory.path(), &["region", "--name", "a"])?;
    wait_for(address)?;
    dynamo::make_merging_table(address, &[], policy)?;
    load::run(Kind::Fill, address, CONNECTIONS, 1.0)?;
    Ok(Server { process, address })
}
