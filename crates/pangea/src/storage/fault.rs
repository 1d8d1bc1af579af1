//! What goes wrong in a store, and where.

use std::fmt;

use pangea_codec::disk::RowError;

use super::Space;

/// A key of a space: what a condition or a damaged row is named by, and found again with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The space.
    pub space: Space,
    /// The raw key.
    pub key: Vec<u8>,
}

impl Place {
    /// The place of `key` in `space`.
    #[must_use]
    pub fn new(space: Space, key: &[u8]) -> Self {
        Self { space, key: key.to_vec() }
    }
}

impl fmt::Display for Place {
    /// Names in the meta space are text; other keys are shown in hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.space {
            Space::Meta => write!(f, "meta/{}", self.key.escape_ascii()),
            Space::Items | Space::Changelog => {
                let space = if self.space == Space::Items { "items" } else { "changelog" };
                write!(f, "{space}/")?;
                self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// Why the store did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Too little room on the disk: nothing was written; try again when there is room.
    #[error("the disk is full: {available} bytes are left, {reserve} are kept in reserve")]
    DiskFull {
        /// Bytes left.
        available: u64,
        /// Bytes that no write may touch.
        reserve: u64,
    },
    /// The engine refuses commits since an earlier fault: nothing was written. Reads go on.
    #[error("the store is read-only since: {0}")]
    ReadOnly(String),
    /// A commit failed: it may or may not be durable. Reads go on from the last durable state.
    #[error("the store failed to write: {0}")]
    Write(String),
    /// A read failed.
    #[error("the store failed to read: {0}")]
    Read(String),
    /// A row is damaged; the other rows are not.
    #[error("damaged row {place}: {error}")]
    Corrupt {
        /// Which one: enough to fetch it from a peer and write it again.
        place: Place,
        /// How it is damaged.
        error: RowError,
    },
    /// A file is damaged: which rows it lacks is not known, so it is not believed at all.
    #[error("damaged file {file}: {why}")]
    Damaged {
        /// Which one.
        file: String,
        /// How it is damaged, and what to do.
        why: String,
    },
}

impl Fault {
    /// Whether it is certain that the commit left no trace.
    #[must_use]
    pub const fn nothing_written(&self) -> bool {
        // Reads come before the commit: where one fails, there is none.
        !matches!(self, Self::Write(_))
    }

    /// Whether the same commit may succeed later in this process.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// Whether something cannot be read that was once written: peers may have it.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Damaged { .. } | Self::Read(_) => true,
            Self::DiskFull { .. } | Self::ReadOnly(_) | Self::Write(_) => false,
        }
    }

    /// The same for those who can do nothing about it, and to whom places on the disk are nothing:
    /// these are in the log.
    #[must_use]
    pub fn for_clients(&self) -> String {
        match self {
            Self::Corrupt { .. } | Self::Damaged { .. } => {
                let text = "what this request, or one that was decided with it, reads is damaged on \
                            this region's disk, and is being healed from the other regions: try \
                            again in a moment, or ask another region";
                text.to_string()
            }
            other => other.to_string(),
        }
    }
}
