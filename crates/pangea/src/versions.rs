//! Versions as JSON and headers spell them.

use data_encoding::HEXLOWER;
use pangea_core::experiment::Seen;
use pangea_core::ledger::{read_stamp, stamp_bytes};
use pangea_core::merge::{Version, VersionVector};
use pangea_core::time::Stamp;
use serde::{Deserialize, Serialize};

/// The response header that names the version a write became. Clients may ignore it.
pub const STAMP_HEADER: &str = "x-pangea-version";

/// A version's identity and context, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionReport {
    /// Twenty hexadecimal digits: reading, then origin.
    pub stamp: String,
    /// The slot of the region that wrote it.
    pub region: u8,
    /// The writer's hybrid logical clock, milliseconds since 1970.
    pub written_ms: u64,
    /// Everything the writer had seen of the item, spelled as `stamp` is.
    pub context: Vec<String>,
}

/// An item's versions in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemReport {
    /// The version that readers see, tombstones included; none if the region has no row.
    pub version: Option<VersionReport>,
    /// Every version that the region keeps, that one first: more than one where the table's merge
    /// policy keeps concurrent ones.
    #[serde(default)]
    pub versions: Vec<VersionReport>,
    /// Everything the region has seen of the item.
    pub seen: Vec<String>,
}

impl VersionReport {
    /// From a version.
    #[must_use]
    pub fn of(version: &Version) -> Self {
        Self::from_parts(version.stamp, &version.context)
    }

    /// From a stamp and a context.
    #[must_use]
    pub fn from_parts(stamp: Stamp, context: &VersionVector) -> Self {
        Self {
            stamp: format_stamp(stamp),
            region: stamp.origin.slot().get(),
            written_ms: stamp.hlc.wall_ms(),
            context: format_vector(context),
        }
    }

    /// Back to machine form; `None` if the text is not what [`VersionReport::of`] writes.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        let context: Option<Vec<Stamp>> =
            self.context.iter().map(|text| parse_stamp(text)).collect();
        let entries = context?.into_iter().map(|stamp| (stamp.origin, stamp.hlc));
        Some(Seen {
            stamp: parse_stamp(&self.stamp)?,
            context: VersionVector::from_entries(entries),
        })
    }
}

/// Twenty hexadecimal digits: reading, then origin.
#[must_use]
pub fn format_stamp(stamp: Stamp) -> String {
    HEXLOWER.encode(&stamp_bytes(stamp))
}

/// The inverse of [`format_stamp`]; `None` for anything else.
#[must_use]
pub fn parse_stamp(text: &str) -> Option<Stamp> {
    if text.len() != 20 || !text.is_ascii() {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..20).step_by(2).map(byte).collect();
    read_stamp(&bytes?)
}

/// Every entry of a vector, spelled as stamps.
#[must_use]
pub fn format_vector(vector: &VersionVector) -> Vec<String> {
    vector.iter().map(|(origin, hlc)| format_stamp(Stamp { hlc, origin })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangea_core::id::Origin;
    use pangea_core::time::Hlc;

    #[test]
    fn stamps_round_trip_and_garbage_does_not_parse() {
        let hlc = Hlc::from_parts(1_789_000_000_000, 3);
        let stamp = Stamp { hlc, origin: Origin::from_bits(1025) };
        assert_eq!(parse_stamp(&format_stamp(stamp)), Some(stamp));
        let wrong = ["", "zz", "0123456789abcdef012", "0123456789abcdef012g", "é123456789abcdef01"];
        for text in wrong {
            assert_eq!(parse_stamp(text), None, "{text}");
        }
    }
}
