//! How change streams are cut, and how long they are kept.

use pangea_core::journal::{Keep, SHARD_MS, STREAM_KEPT_MS};
use serde::Serialize;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Streams {
    /// How long a shard takes records, in seconds. It tells the names of shards: readers that
    /// remember them begin anew when it is changed. Default: 14,400.
    pub shard_s: u64,
    /// How long a record can be read, in seconds. Default: 86,400, as the service has it.
    pub kept_s: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Self { shard_s: SHARD_MS / 1000, kept_s: STREAM_KEPT_MS / 1000 }
    }
}

impl Streams {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How long a record can be read, in milliseconds.
    #[must_use]
    pub const fn kept_ms(&self) -> u64 {
        self.kept_s.saturating_mul(1000)
    }

    /// As the node wants it.
    #[must_use]
    pub fn keep(&self) -> Keep {
        Keep { streamed_ms: self.kept_ms(), ..Keep::default() }
    }
}
