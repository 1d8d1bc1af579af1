//! What every command knows: where the topology and its data are, how to print.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Global, Output};
use crate::config::{self, Topology};

/// Name of the effective topology in the data directory, left there by `up`.
const TOPOLOGY_FILE: &str = "topology.toml";

/// The global options, as commands use them.
#[derive(Clone, Debug)]
pub struct Context {
    /// The file named with `-f`.
    pub file: Option<PathBuf>,
    /// The topology's data directory.
    pub data_dir: PathBuf,
    /// How to print results.
    pub output: Output,
}

impl Context {
    pub(super) fn new(global: &Global) -> Self {
        let Global { topology, data_dir, output, log: _ } = global.clone();
        Self { file: topology, data_dir, output }
    }

    /// The file named with `-f`, else the built-in topology.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
    pub fn chosen_topology(&self) -> anyhow::Result<Topology> {
        Ok(match &self.file {
            Some(file) => config::load(file)?,
            None => config::builtin()?,
        })
    }

    /// The file named with `-f`, else what runs (or last ran) in the data directory, else the
    /// built-in topology.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
    pub fn topology(&self) -> anyhow::Result<Topology> {
        let left_by_up = topology_path(&self.data_dir);
        if self.file.is_none() && left_by_up.exists() {
            return config::load(&left_by_up).context("the topology that `up` left is unreadable");
        }
        self.chosen_topology()
    }
}

/// Where `up` leaves the effective topology.
pub(crate) fn topology_path(data_dir: &Path) -> PathBuf {
    data_dir.join(TOPOLOGY_FILE)
}
