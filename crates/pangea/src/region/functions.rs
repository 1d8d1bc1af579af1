//! Merge functions of this region: those that the topology declares, and who runs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use pangea_core::catalog::function::{Functions as Runs, Module};

use crate::config::Topology;
use crate::metrics::Scrape;
use crate::wasm::{ModuleError, Modules};

/// See the module.
#[derive(Debug)]
pub(super) struct Functions {
    modules: Arc<Modules>,
    declared: BTreeMap<String, Arc<Module>>,
}

impl Functions {
    /// Reads and checks the modules that the topology names.
    ///
    /// # Errors
    /// A file cannot be read, or is no merge function: a table would get none when it is made.
    pub(super) fn load(topology: &Topology) -> anyhow::Result<Self> {
        let mut declared = BTreeMap::new();
        for table in &topology.tables {
            let Some(path) = &table.module else { continue };
            let of = || format!("the merge function {} of table `{}`", path.display(), table.name);
            let bytes = std::fs::read(path).with_context(of)?;
            Modules::check(&bytes).with_context(of)?;
            declared.insert(table.name.clone(), Modules::module(&bytes));
        }
        Ok(Self { modules: Arc::default(), declared })
    }

    /// Who runs them.
    pub(super) fn runner(&self) -> Arc<dyn Runs> {
        Arc::clone(&self.modules) as Arc<dyn Runs>
    }

    /// What the topology declares for a table of this name.
    pub(super) fn declared(&self, table: &str) -> Option<Arc<Module>> {
        self.declared.get(table).cloned()
    }

    /// What they did.
    pub(super) fn scrape(&self, scrape: &mut Scrape) {
        let counts = self.modules.counts();
        let plain = |value: u64| [(Vec::new(), value)];
        let help = "Items that a merge function resolved, each time that they were looked at";
        scrape.counter("pangea_merge_functions_resolved", help, plain(counts.resolved));
        let help = "Those that it had no result for: last writer wins, and the ledger has the rest";
        scrape.counter("pangea_merge_functions_trapped", help, plain(counts.trapped));
    }
}

/// A module that was brought: whether it is a merge function takes up to seconds.
pub(super) async fn checked(bytes: Vec<u8>) -> Result<Arc<Module>, ModuleError> {
    let check = tokio::task::spawn_blocking(move || {
        Modules::check(&bytes)?;
        Ok(Modules::module(&bytes))
    });
    check.await.expect("checks do not panic, and nobody aborts them")
}
