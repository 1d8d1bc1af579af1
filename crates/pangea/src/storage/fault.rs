//! What can go wrong with storage, and what it says of the disk.

use std::error::Error;
use std::sync::Arc;

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not before an operator has done something.
    Never,
    /// The same question, on a new view or after a while.
    Same,
    /// Another region may have it.
    Elsewhere,
}

/// Why storage did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// This commit failed; whether it is on disk is unknown until the directory is opened again.
    #[error("a commit failed; its outcome is unknown")]
    Commit {
        /// What failed.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// An earlier commit failed: no other is taken.
    #[error("commits are refused since one failed: {cause}")]
    Poisoned {
        /// How it failed.
        cause: String,
    },
    /// The directory could not be opened for writing.
    #[error("the data directory is read-only: {cause}")]
    ReadOnly {
        /// Why not.
        cause: String,
    },
    /// Less room than is kept in reserve; refused before anything was written.
    #[error("the disk is full: {free_bytes} bytes free, {needed_bytes} needed with the reserve")]
    DiskFull {
        /// What is free.
        free_bytes: u64,
        /// What must be, for this commit.
        needed_bytes: u64,
    },
    /// A row's bytes are not what was written.
    #[error("row {row} is corrupt: {reason}")]
    Corrupt {
        /// The row's space and key, in hexadecimal.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A row that cannot be stored; nothing was written.
    #[error("row {row} cannot be stored: {reason}")]
    Unstorable {
        /// The row's space and key, in hexadecimal.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine was reopened since the view was made.
    #[error("the view is stale: the engine was reopened after a failure")]
    Stale,
    /// Rows could not be read.
    #[error("storage could not be read")]
    Read {
        /// What failed.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The directory could not be opened.
    #[error("the data directory could not be opened")]
    Open {
        /// What failed.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The directory is in use by another process.
    #[error("the data directory {0} is in use by another process")]
    InUse(String),
    /// The directory belongs to somebody else.
    #[error("the data directory belongs to {found}, not to {wanted}")]
    Foreign {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// The directory has a layout that this build does not know.
    #[error("the data directory has layout {found}; this build knows layout {known}")]
    Layout {
        /// Its layout.
        found: u16,
        /// What this build writes.
        known: u16,
    },
}

impl Fault {
    /// Whether the disk is as it was: true of everything but a commit that failed on its way.
    #[must_use]
    pub fn nothing_written(&self) -> bool {
        !matches!(self, Self::Commit { .. })
    }

    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::DiskFull { .. } | Self::Stale => Retry::Same,
            Self::Poisoned { .. }
            | Self::ReadOnly { .. }
            | Self::Corrupt { .. }
            | Self::Read { .. } => Retry::Elsewhere,
            Self::Commit { .. }
            | Self::Unstorable { .. }
            | Self::Open { .. }
            | Self::InUse(_)
            | Self::Foreign { .. }
            | Self::Layout { .. } => Retry::Never,
        }
    }
}

/// A row's name in faults and logs.
pub(super) fn name_row(space: super::Space, key: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut name = format!("{space:?}/").to_lowercase();
    for byte in key {
        write!(name, "{byte:02x}").expect("a string takes all");
    }
    name
}
