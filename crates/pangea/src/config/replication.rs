//! How regions carry their rows to each other.

use serde::Serialize;

use crate::peer::link;

/// How regions carry their rows to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Replication {
    /// Connections that a link deals its frames out to, beside one for requests and pings.
    /// Default: 4.
    pub streams: u8,
    /// How frames are compressed. Default: zstd.
    pub compression: Compression,
    /// Level of the compression, 1 to 19. Default: 1, because a region has more use for its CPU
    /// than for the last tenth of bandwidth.
    pub compression_level: i32,
    /// An item that nobody has written for this long, in s, keeps its stamp alone of what its
    /// writer had seen, once every region has it. Default: 600.
    pub cold_after_s: u64,
    /// How long a region must have been out of reach before others are asked for its rows, in ms.
    /// Default: 1000, the time after which a link is dead.
    pub relay_after_ms: u64,
    /// Every row is verified, and compared with other regions, once in this time, in s; 0 for never
    /// of its own accord. Default: 86400.
    pub repair_cycle_s: u64,
}

impl From<Replication> for link::Options {
    fn from(replication: Replication) -> Self {
        let level = match replication.compression {
            Compression::Off => None,
            Compression::Zstd => Some(replication.compression_level),
        };
        Self { streams: replication.streams, compression: level }
    }
}

/// How frames between regions are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    Off,
    /// Zstandard.
    Zstd,
}
