//! Which engine a region's directory is opened with.

use std::path::Path;

use super::{Engine, Fault, redb};

/// The engines that keep rows on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A copy-on-write B-tree in pure Rust: the steadiest tail, and the default.
    #[default]
    Redb,
    /// A log-structured merge tree for regions that mostly write; needs the feature `rocksdb`.
    RocksDb,
}

/// What a deployment says of its regions' engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Which one.
    pub kind: EngineKind,
    /// Memory for pages, bytes.
    pub cache_bytes: usize,
    /// Bytes of redb's write-ahead log between two checkpoints.
    pub log_bytes: u64,
    /// Whether a file that was closed in order is compared with its checksums when it is opened.
    pub verify: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let redb::Options { cache_bytes, log_bytes, verify, .. } = redb::Options::default();
        Self { kind: EngineKind::default(), cache_bytes, log_bytes, verify }
    }
}

impl EngineKind {
    /// Every engine with its name in the topology file.
    pub const ALL: [(&'static str, Self); 2] = [("redb", Self::Redb), ("rocksdb", Self::RocksDb)];

    /// Whether this binary has it.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Redb => true,
            Self::RocksDb => cfg!(feature = "rocksdb"),
        }
    }

    /// The name that its data has in a region's directory.
    const fn data(self) -> &'static str {
        match self {
            Self::Redb => redb::FILE_NAME,
            Self::RocksDb => "rocksdb",
        }
    }
}

impl EngineOptions {
    /// Opens the engine in `directory`, making it if it is not there.
    ///
    /// # Errors
    ///
    /// [`Fault::Damaged`]; [`Fault::Read`] if the directory cannot be read, has the data of another
    /// engine, or this binary was built without the engine.
    pub(super) fn open(self, directory: &Path) -> Result<Box<dyn Engine>, Fault> {
        for (name, other) in EngineKind::ALL {
            if other != self.kind && directory.join(other.data()).exists() {
                return Err(Fault::Read(format!(
                    "{} has the data of the engine `{name}`: set storage.engine = \"{name}\"",
                    directory.display()
                )));
            }
        }
        match self.kind {
            EngineKind::Redb => {
                let Self { cache_bytes, log_bytes, verify, .. } = self;
                // Who does not want the file to be read at each start does not want it after a
                // crash either.
                let quick_repair = !verify;
                let known = redb::Options::default();
                let options =
                    redb::Options { cache_bytes, log_bytes, verify, quick_repair, ..known };
                Ok(Box::new(redb::Redb::open_directory(directory, options)?))
            }
            EngineKind::RocksDb => self.open_rocksdb(directory),
        }
    }

    #[cfg(feature = "rocksdb")]
    fn open_rocksdb(self, directory: &Path) -> Result<Box<dyn Engine>, Fault> {
        use super::rocksdb::{Options, RocksDb};
        let options = Options { cache_bytes: self.cache_bytes, ..Options::default() };
        Ok(Box::new(RocksDb::open_directory(directory, options)?))
    }

    #[cfg(not(feature = "rocksdb"))]
    fn open_rocksdb(self, directory: &Path) -> Result<Box<dyn Engine>, Fault> {
        let text = format!("{}: {NOT_BUILT_IN}", directory.display());
        Err(Fault::Read(text))
    }
}

/// What to do about an engine that this binary lacks.
#[cfg(not(feature = "rocksdb"))]
const NOT_BUILT_IN: &str = "this binary was built without RocksDB: build it with `cargo \
                                       build --release -p pangea --features rocksdb`, or set \
                                       storage.engine = \"redb\"";
