//! Backups in the meta space: `backup/head/` and an identity with what is known of the backup,
//! `backup/items/`, the identity and a number with some of its items.

use pangea_core::item::Attributes;

use super::{MARKER, RowError, checked, sealed};
use crate::binary::{Reader, Writer};

/// What the name of every head begins with.
pub const HEADS: &[u8] = b"backup/head/";
/// What the name of every chunk of items begins with.
const ITEMS: &[u8] = b"backup/items/";

/// The name of a backup's head.
#[must_use]
pub fn head(id: &str) -> Vec<u8> {
    [HEADS, id.as_bytes()].concat()
}

/// The identity, by the name of a head.
#[must_use]
pub fn id_of(name: &[u8]) -> Option<String> {
    String::from_utf8(name.strip_prefix(HEADS)?.to_vec()).ok()
}

/// What the names of a backup's chunks begin with.
#[must_use]
pub fn chunks(id: &str) -> Vec<u8> {
    [ITEMS, id.as_bytes(), b"/"].concat()
}

/// The name of a chunk.
#[must_use]
pub fn chunk(id: &str, number: u64) -> Vec<u8> {
    let mut name = chunks(id);
    name.extend_from_slice(&number.to_be_bytes());
    name
}

/// The value of a head or of a chunk: items behind their number.
#[must_use]
pub fn encode(items: &[Attributes]) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.length(items.len());
    items.iter().for_each(|item| writer.attributes(item));
    sealed(writer)
}

/// The inverse of [`encode`].
///
/// # Errors
/// See [`RowError`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Attributes>, RowError> {
    let mut reader = Reader::new(checked(bytes)?.1);
    let count = reader.length()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(reader.attributes()?);
    }
    reader.finish()?;
    Ok(items)
}
