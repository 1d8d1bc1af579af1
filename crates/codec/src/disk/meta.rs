//! Meta records: who the directory belongs to and what its region has issued and applied.
//!
//! Each is a name and a sealed value; the marker of a value is that of its type.

use pangea_core::id::{Origin, RegionSlot};
use pangea_core::time::Hlc;

use super::{Corrupt, seal, unseal, unsealed};

/// The version of the directory's layout, a number.
pub const FORMAT: &[u8] = b"format";
/// The layout that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The newest stamp ever issued, a reading.
pub const LAST: &[u8] = b"last";
/// The life that the region lives, a number.
pub const INCARNATION: &[u8] = b"incarnation";
/// The cluster's identity, a text.
pub const CLUSTER: &[u8] = b"cluster";
/// The region's slot and name, an owner.
pub const REGION: &[u8] = b"region";
/// What the names of all places in other origins' feeds start with.
pub const APPLIED_PREFIX: &[u8] = b"applied/";

const READING: u8 = 0x21;
const NUMBER: u8 = 0x22;
const TEXT: u8 = 0x23;
const OWNER: u8 = 0x24;

/// The name of the place in an origin's feed; its value is a reading.
#[must_use]
pub fn applied_key(origin: Origin) -> Vec<u8> {
    [APPLIED_PREFIX, &origin.to_bits().to_be_bytes()].concat()
}

/// The origin of a place's name.
///
/// # Errors
///
/// The name is not one that [`applied_key`] makes.
pub fn read_applied_key(key: &[u8]) -> Result<Origin, Corrupt> {
    let bits = key.strip_prefix(APPLIED_PREFIX).and_then(|bits| bits.try_into().ok());
    let bits = bits.ok_or(Corrupt("not the name of a place in a feed"))?;
    Ok(Origin::from_bits(u16::from_be_bytes(bits)))
}

/// A reading.
#[must_use]
pub fn encode_reading(hlc: Hlc) -> Vec<u8> {
    sealed(READING, &hlc.to_bits().to_be_bytes())
}

/// A reading.
///
/// # Errors
///
/// Anything but what [`encode_reading`] writes.
pub fn decode_reading(value: &[u8]) -> Result<Hlc, Corrupt> {
    let bits = unseal(READING, value)?.try_into().map_err(|_| Corrupt("wrong length"))?;
    Ok(Hlc::from_bits(u64::from_be_bytes(bits)))
}

/// A number.
#[must_use]
pub fn encode_number(number: u16) -> Vec<u8> {
    sealed(NUMBER, &number.to_be_bytes())
}

/// A number.
///
/// # Errors
///
/// Anything but what [`encode_number`] writes.
pub fn decode_number(value: &[u8]) -> Result<u16, Corrupt> {
    let bits = unseal(NUMBER, value)?.try_into().map_err(|_| Corrupt("wrong length"))?;
    Ok(u16::from_be_bytes(bits))
}

/// A text.
#[must_use]
pub fn encode_text(text: &str) -> Vec<u8> {
    sealed(TEXT, text.as_bytes())
}

/// A text.
///
/// # Errors
///
/// Anything but what [`encode_text`] writes.
pub fn decode_text(value: &[u8]) -> Result<String, Corrupt> {
    text(unseal(TEXT, value)?)
}

/// A region: its slot, then its name.
#[must_use]
pub fn encode_region(slot: RegionSlot, name: &str) -> Vec<u8> {
    sealed(OWNER, &[&[slot.get()], name.as_bytes()].concat())
}

/// A region: its slot, then its name.
///
/// # Errors
///
/// Anything but what [`encode_region`] writes.
pub fn decode_region(value: &[u8]) -> Result<(RegionSlot, String), Corrupt> {
    let (&slot, name) = unseal(OWNER, value)?.split_first().ok_or(Corrupt("truncated"))?;
    let slot = RegionSlot::new(slot).ok_or(Corrupt("slot out of range"))?;
    Ok((slot, text(name)?))
}

fn sealed(marker: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = unsealed(marker, payload.len());
    out.extend_from_slice(payload);
    seal(out)
}

fn text(bytes: &[u8]) -> Result<String, Corrupt> {
    let text = core::str::from_utf8(bytes).map_err(|_| Corrupt("text is not UTF-8"))?;
    Ok(text.to_owned())
}
