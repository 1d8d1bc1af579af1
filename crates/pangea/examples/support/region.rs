//! The regions that a benchmark measures.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::process::{Process, Server, pangea, start_pangea};
use super::{Directory, dynamo, free, option};

/// Connections of the load on one.
pub(crate) const CONNECTIONS: usize = 64;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Up to three regions, in processes of their own when they are started.
pub(crate) struct Cluster {
    program: PathBuf,
    directory: Directory,
    pub(crate) regions: Vec<Region>,
    /// Text of the topology that is not about regions or links.
    settings: String,
}

/// Where a region listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) name: &'static str,
    pub(crate) dynamodb: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Cluster {
    /// Draws addresses; nothing runs yet. `--engine` of the arguments counts, `settings` are tables
    /// of the topology.
    pub(crate) fn new(
        arguments: &[String],
        name: &str,
        regions: usize,
        settings: &str,
    ) -> anyhow::Result<Self> {
        let engine: String = option(arguments, "--engine", "redb".to_owned())?;
        // In front, because `settings` may end inside a table.
        let settings = format!("storage.engine = \"{engine}\"\n{settings}");
        let region = |name| -> anyhow::Result<Region> {
            Ok(Region { name, dynamodb: free()?, admin: free()?, peer: free()? })
        };
        Ok(Self {
            program: pangea(arguments)?,
            directory: Directory::new(name)?,
            regions: NAMES.into_iter().take(regions).map(region).collect::<Result<_, _>>()?,
            settings,
        })
    }

    /// Where all of them keep their data.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The benchmark's own directory.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Says how far they are apart, for those that are started from now on.
    pub(crate) fn place(&self, rtt_ms: u32) -> anyhow::Result<()> {
        let mut text = format!("cluster = \"bench\"\n{}", self.settings);
        for Region { name, dynamodb, admin, peer } in &self.regions {
            text += &format!(
                "[[region]]\nname = \"{name}\"\ndynamodb = \"{dynamodb}\"\nadmin = \"{admin}\"\n\
                 peer = \"{peer}\"\n"
            );
        }
        for (at, one) in self.regions.iter().enumerate() {
            for other in &self.regions[at + 1..] {
                let (one, other) = (one.name, other.name);
                text += &format!("[[link]]\nbetween = [\"{one}\", \"{other}\"]\n");
                text += &format!("rtt_ms = {rtt_ms}\n");
            }
        }
        Ok(std::fs::write(self.directory.path().join("topology.toml"), text)?)
    }

    /// Starts one.
    pub(crate) fn start(&self, at: usize) -> anyhow::Result<Process> {
        let words = ["region", "--name", self.regions[at].name];
        start_pangea(&self.program, self.directory.path(), &words)?
            .listening(self.regions[at].dynamodb)
    }

    /// All, with the table in all. The first makes the certificate authority of all.
    pub(crate) fn start_new(&self, rtt_ms: u32) -> anyhow::Result<Vec<Process>> {
        self.place(rtt_ms)?;
        let all = (0..self.regions.len()).map(|at| self.start(at)).collect::<Result<_, _>>()?;
        let home = self.regions[0].dynamodb;
        dynamo::make(home, dynamo::Table { streamed: true, ..dynamo::TABLE })?;
        for other in &self.regions[1..] {
            dynamo::replicate(home, other.name, other.dynamodb)?;
        }
        Ok(all)
    }
}

/// A region alone.
pub(crate) struct Alone {
    pub(crate) server: Server,
    cluster: Cluster,
}

impl Alone {
    /// Starts one with settings in its topology, and makes a table.
    pub(crate) fn start(
        arguments: &[String],
        name: &str,
        settings: &str,
        table: dynamo::Table,
    ) -> anyhow::Result<Self> {
        let cluster = Cluster::new(arguments, name, 1, settings)?;
        cluster.place(0)?;
        let process = cluster.start(0)?;
        let address = cluster.regions[0].dynamodb;
        dynamo::make(address, table)?;
        Ok(Self { server: Server { process, address }, cluster })
    }

    /// Bytes of its files.
    pub(crate) fn file_bytes(&self) -> anyhow::Result<u64> {
        super::bytes_below(&self.cluster.data())
    }
}
