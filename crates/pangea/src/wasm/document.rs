//! Versions as merge functions read them, and what they write.
//!
//! The input is canonical: the same version has one spelling, because names are sorted, sets are
//! sorted, numbers are plain digits and there is no white space. Whatever order of the two versions
//! a caller has, the module sees what is derived from the versions alone.

use pangea_codec::dynamo::{decode_attributes, write_attributes};
use pangea_core::item::{Attributes, validate};
use pangea_core::time::Stamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error::Trap;
use super::limits::VERSION_JSON_BYTES_MAX;

/// The canonical JSON of a version: `{"deleted":…,"item":{…},"stamp":{…}}`.
pub(super) fn write(stamp: Stamp, item: Option<&Attributes>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(if item.is_none() {
        b"{\"deleted\":true"
    } else {
        b"{\"deleted\":false"
    });
    out.extend_from_slice(b",\"item\":");
    match item {
        Some(attributes) => write_attributes(&mut out, attributes),
        None => out.extend_from_slice(b"{}"),
    }
    let (ms, counter) = (stamp.hlc.wall_ms(), stamp.hlc.to_bits() & 0xffff);
    let (region, incarnation) = (stamp.origin.slot().get(), stamp.origin.incarnation());
    let stamp = format!(
        ",\"stamp\":{{\"counter\":{counter},\"incarnation\":{incarnation},\"ms\":{ms},\"region\":{region}}}}}"
    );
    out.extend_from_slice(stamp.as_bytes());
    out
}

/// What a merge function returns. A `stamp` is allowed, so that an input may be returned as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Output<'a> {
    deleted: bool,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(default, rename = "stamp")]
    _stamp: IgnoredAny,
}

/// The item that an output describes; `None` if it is deleted.
pub(super) fn read(output: &[u8]) -> Result<Option<Attributes>, Trap> {
    if output.len() > VERSION_JSON_BYTES_MAX {
        return Err(Trap::OutputTooLarge { bytes: output.len() });
    }
    let parsed: Output<'_> =
        serde_json::from_slice(output).map_err(|error| Trap::Output(error.to_string()))?;
    if parsed.deleted {
        return Ok(None);
    }
    let Some(item) = parsed.item else {
        return Err(Trap::Output("`item` is missing, and `deleted` is false".to_owned()));
    };
    let item = decode_attributes(item.get().as_bytes())
        .map_err(|error| Trap::Output(format!("`item`: {}", error.message)))?;
    Ok(Some(item))
}

/// Whether a result may be stored as the item with these key attributes.
pub(super) fn accept(key: &Attributes, item: Option<&Attributes>) -> Result<(), Trap> {
    let Some(item) = item else { return Ok(()) };
    for (name, value) in key {
        if item.get(name) != Some(value) {
            return Err(Trap::KeyChanged(name.clone()));
        }
    }
    validate(item).map_err(Trap::Illegal)
}
