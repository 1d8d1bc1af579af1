//! Names and values of the meta space.

use pangea_core::id::Origin;
use pangea_core::time::Hlc;

use crate::binary::{Reader, Writer};

/// The newest stamp ever issued: 8 bytes.
pub const LAST: &[u8] = b"last";
/// Who the store belongs to: see [`Identity`].
pub const IDENTITY: &[u8] = b"identity";
/// What every place in another origin's feed begins with.
pub const APPLIED: &[u8] = b"applied/";

/// Which region of which cluster a store belongs to, and in which life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the region.
    pub region: String,
    /// The region's slot.
    pub slot: u8,
    /// The region's present life.
    pub incarnation: u16,
}

impl Identity {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(1);
        writer.text(&self.cluster);
        writer.text(&self.region);
        writer.u8(self.slot);
        writer.u16(self.incarnation);
        writer.into_bytes()
    }

    /// The inverse of [`Identity::encode`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8().ok()? != 1 {
            return None;
        }
        let cluster = reader.text().ok()?.to_string();
        let region = reader.text().ok()?.to_string();
        let (slot, incarnation) = (reader.u8().ok()?, reader.u16().ok()?);
        reader.finish().ok()?;
        Some(Self { cluster, region, slot, incarnation })
    }
}

/// The name of the place in `origin`'s feed.
#[must_use]
pub fn applied(origin: Origin) -> Vec<u8> {
    let mut name = APPLIED.to_vec();
    name.extend_from_slice(&origin.to_bits().to_be_bytes());
    name
}

/// The inverse of [`applied`].
#[must_use]
pub fn parse_applied(name: &[u8]) -> Option<Origin> {
    let bits = name.strip_prefix(APPLIED)?.try_into().ok()?;
    Some(Origin::from_bits(u16::from_be_bytes(bits)))
}

/// A reading, as meta values hold it.
#[must_use]
pub fn hlc(value: Hlc) -> Vec<u8> {
    value.to_bits().to_be_bytes().to_vec()
}

/// The inverse of [`hlc`].
#[must_use]
pub fn parse_hlc(bytes: &[u8]) -> Option<Hlc> {
    Some(Hlc::from_bits(u64::from_be_bytes(bytes.try_into().ok()?)))
}
