//! How regions carry their rows to each other.

use pangea_core::limits::RELAY_AFTER_MS;

use super::super::file;
use super::super::replication::{Compression, Replication};
use super::{Checker, DAY_MS};
use crate::peer::link::STREAMS_MAX;

/// The longest cycle of anti-entropy.
const MONTH_S: u64 = 31 * 24 * 60 * 60;

const COMPRESSIONS: [(&str, Compression); 2] =
    [("off", Compression::Off), ("zstd", Compression::Zstd)];

impl Checker<'_> {
    pub(super) fn replication(&mut self, written: &file::Replication) -> Replication {
        let most = u64::from(STREAMS_MAX);
        let streams = self.number(written.streams.as_ref(), 4, 1..=most);
        let compression = self.one_of(&written.compression, &COMPRESSIONS, "compression");
        let cold_after_s = self.number(written.cold_after_s.as_ref(), 600, 0..=DAY_MS);
        let relay_after = written.relay_after_ms.as_ref();
        let relay_after_ms = self.number(relay_after, RELAY_AFTER_MS, 0..=DAY_MS);
        let repair_cycle_s = self.number(written.repair_cycle_s.as_ref(), 86_400, 0..=MONTH_S);
        let level = self.number(written.compression_level.as_ref(), 1, 1..=19);
        Replication {
            streams: u8::try_from(streams).unwrap_or(STREAMS_MAX),
            compression: compression.unwrap_or(Compression::Zstd),
            compression_level: i32::try_from(level).unwrap_or(1),
            cold_after_s,
            relay_after_ms,
            repair_cycle_s,
        }
    }
}
