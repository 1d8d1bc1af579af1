//! Names and values of the meta space; values are sealed as rows are, because a node begins with
//! them: a damaged stamp taken at its word would be issued again.

use pangea_core::id::{Origin, TableId};
use pangea_core::index::{Fill, IndexId};
use pangea_core::merge::VersionVector;
use pangea_core::time::Hlc;

use super::{MARKER, RowError, checked, sealed};
use crate::binary::{Reader, Writer};

/// The newest stamp ever issued: a reading.
pub const LAST: &[u8] = b"last";
/// Who the store belongs to: see [`Identity`].
pub const IDENTITY: &[u8] = b"identity";
/// There while a new life of the region has its past to put in order; the value counts lives.
pub const REBORN: &[u8] = b"reborn";
/// What every place in another origin's feed begins with.
pub const APPLIED: &[u8] = b"applied/";

/// What every vector of a table's collected items begins with.
pub const COLLECTED: &[u8] = b"collected/";

/// What every fingerprint of a bucket begins with.
pub const FINGERPRINT: &[u8] = b"fingerprint/";
/// Bytes of a fingerprint.
const SUM_BYTES: usize = 16;
/// What the fingerprints of the store mean: see [`fingerprints`].
pub const FINGERPRINTS: &[u8] = b"fingerprints";

/// What every note on an index begins with.
pub const FILL: &[u8] = b"fill/";
/// The place of the newest record of the journal.
pub const JOURNALED: &[u8] = b"journaled";
/// What every record of the journal begins with.
pub const JOURNAL: &[u8] = b"journal/";

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
        let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
        writer.text(&self.cluster);
        writer.text(&self.region);
        writer.u8(self.slot);
        writer.u16(self.incarnation);
        sealed(writer)
    }

    /// The inverse of [`Identity::encode`].
    ///
    /// # Errors
    /// See [`RowError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut reader = Reader::new(checked(bytes)?.1);
        let cluster = reader.text()?.to_string();
        let region = reader.text()?.to_string();
        let (slot, incarnation) = (reader.u8()?, reader.u16()?);
        reader.finish()?;
        Ok(Self { cluster, region, slot, incarnation })
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
///
/// # Errors
/// The name is none of a place.
pub fn parse_applied(name: &[u8]) -> Result<Origin, RowError> {
    let mut reader = Reader::new(name.strip_prefix(APPLIED).unwrap_or_default());
    let bits = reader.u16()?;
    reader.finish()?;
    Ok(Origin::from_bits(bits))
}

/// The name of what was collected of `table`.
#[must_use]
pub fn collected(table: TableId) -> Vec<u8> {
    let mut name = COLLECTED.to_vec();
    name.extend_from_slice(&super::key::table(table));
    name
}

/// The inverse of [`collected`].
///
/// # Errors
/// The name is none of a collected vector.
pub fn parse_collected(name: &[u8]) -> Result<TableId, RowError> {
    let mut reader = Reader::new(name.strip_prefix(COLLECTED).unwrap_or_default());
    let table = reader.stamp().map(TableId)?;
    reader.finish()?;
    Ok(table)
}

/// The name of the fingerprint of a table's bucket.
#[must_use]
pub fn fingerprint(table: TableId, bucket: u8) -> Vec<u8> {
    let mut name = FINGERPRINT.to_vec();
    name.extend_from_slice(&super::key::table(table));
    name.push(bucket);
    name
}

/// The inverse of [`fingerprint`].
///
/// # Errors
/// The name is none of a fingerprint.
pub fn parse_fingerprint(name: &[u8]) -> Result<(TableId, u8), RowError> {
    let mut reader = Reader::new(name.strip_prefix(FINGERPRINT).unwrap_or_default());
    let bucket = (reader.stamp().map(TableId)?, reader.u8()?);
    reader.finish()?;
    Ok(bucket)
}

/// The name of the note on how far an index is.
#[must_use]
pub fn fill(table: TableId, index: IndexId) -> Vec<u8> {
    let mut name = FILL.to_vec();
    name.extend_from_slice(&super::key::table(table));
    name.extend_from_slice(&index.0.to_be_bytes());
    name
}

/// The inverse of [`fill`].
///
/// # Errors
/// The name is none of such a note.
pub fn parse_fill(name: &[u8]) -> Result<(TableId, IndexId), RowError> {
    let mut reader = Reader::new(name.strip_prefix(FILL).unwrap_or_default());
    let table = reader.stamp().map(TableId)?;
    let index = [reader.u16()?, reader.u16()?];
    reader.finish()?;
    Ok((table, IndexId(u32::from(index[0]) << 16 | u32::from(index[1]))))
}

/// How far an index is, as meta values hold it.
#[must_use]
pub fn fill_state(fill: Fill) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.u8(u8::from(fill == Fill::Ready));
    sealed(writer)
}

/// The inverse of [`fill_state`].
///
/// # Errors
/// See [`RowError`].
pub fn parse_fill_state(bytes: &[u8]) -> Result<Fill, RowError> {
    let mut reader = Reader::new(checked(bytes)?.1);
    let fill = if reader.u8()? == 1 { Fill::Ready } else { Fill::Filling };
    reader.finish()?;
    Ok(fill)
}

/// The name of a record of the journal.
#[must_use]
pub fn record(table: TableId, sequence: u64) -> Vec<u8> {
    let mut name = records(table);
    name.extend_from_slice(&sequence.to_be_bytes());
    name
}

/// The sequence of a record, by its name.
#[must_use]
pub fn sequence_of(name: &[u8]) -> Option<u64> {
    name.last_chunk().map(|sequence| u64::from_be_bytes(*sequence))
}

/// What the names of a table's records begin with.
#[must_use]
pub fn records(table: TableId) -> Vec<u8> {
    let mut name = JOURNAL.to_vec();
    name.extend_from_slice(&super::key::table(table));
    name
}

/// A sum, as meta values hold it.
#[must_use]
pub fn sum(value: u128) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.raw(&value.to_be_bytes());
    sealed(writer)
}

/// The inverse of [`sum`].
///
/// # Errors
/// See [`RowError`].
pub fn parse_sum(bytes: &[u8]) -> Result<u128, RowError> {
    let mut reader = Reader::new(checked(bytes)?.1);
    let mut value = [0; SUM_BYTES];
    value.copy_from_slice(reader.raw(SUM_BYTES)?);
    reader.finish()?;
    Ok(u128::from_be_bytes(value))
}

/// What is noted of fingerprints of a format: a store with another note, or none, makes its own
/// anew.
#[must_use]
pub fn fingerprints(format: u8) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.u8(format);
    sealed(writer)
}

/// A version vector, as meta values hold it.
#[must_use]
pub fn vector(value: &VersionVector) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.version_vector(value);
    sealed(writer)
}

/// The inverse of [`vector`].
///
/// # Errors
/// See [`RowError`].
pub fn parse_vector(bytes: &[u8]) -> Result<VersionVector, RowError> {
    let mut reader = Reader::new(checked(bytes)?.1);
    let value = reader.version_vector()?;
    reader.finish()?;
    Ok(value)
}

/// A reading, as meta values hold it.
#[must_use]
pub fn hlc(value: Hlc) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.u64(value.to_bits());
    sealed(writer)
}

/// The inverse of [`hlc`].
///
/// # Errors
/// See [`RowError`].
pub fn parse_hlc(bytes: &[u8]) -> Result<Hlc, RowError> {
    let mut reader = Reader::new(checked(bytes)?.1);
    let bits = reader.u64()?;
    reader.finish()?;
    Ok(Hlc::from_bits(bits))
}

/// How many commits a store has acknowledged, as its note and its engine hold it.
#[must_use]
pub fn commits(count: u64) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.u64(count);
    sealed(writer)
}

/// The inverse of [`commits`].
///
/// # Errors
/// See [`RowError`].
pub fn parse_commits(bytes: &[u8]) -> Result<u64, RowError> {
    let mut reader = Reader::new(checked(bytes)?.1);
    let count = reader.u64()?;
    reader.finish()?;
    Ok(count)
}
