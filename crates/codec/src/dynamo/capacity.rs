//! Capacity units, as `ReturnConsumedCapacity` reports them.

use pangea_core::limits::READ_UNIT_BYTES;

use super::json::Object;

/// Bytes of one write unit (DynamoDB).
const WRITE_UNIT_BYTES: usize = 1024;

/// What a request wants to be told of the capacity it consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnCapacity {
    /// Nothing.
    #[default]
    None,
    /// The sum.
    Total,
    /// The sum, and the share of the table and of each index.
    Indexes,
}

impl ReturnCapacity {
    /// Their names, in the order in which DynamoDB prints them.
    pub(super) const NAMES: [&'static str; 3] = ["INDEXES", "TOTAL", "NONE"];
}

/// What a response says of units beside how many there are (measured on the service by dynoxide's
/// authors: transactions alone name the kind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnitKind {
    /// Nothing.
    #[default]
    Unnamed,
    /// That they are read units.
    Read,
    /// That they are write units.
    Write,
}

impl UnitKind {
    fn write(self, object: &mut Object<'_>, units: f64) {
        match self {
            Self::Unnamed => {}
            Self::Read => object.value("ReadCapacityUnits", &units),
            Self::Write => object.value("WriteCapacityUnits", &units),
        }
        object.value("CapacityUnits", &units);
    }
}

/// What one table's part in a request consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumed {
    /// The table's name.
    pub table: String,
    /// Capacity units, those of indexes included.
    pub units: f64,
    /// The share of each index.
    pub indexes: Vec<IndexUnits>,
    /// How much to tell.
    pub detail: ReturnCapacity,
    /// Whether to tell of which kind the units are.
    pub kind: UnitKind,
    /// Bytes that each index of vectors wrote: no part of the sum.
    pub vectors: Vec<VectorBytes>,
    /// Units of statements that failed: they are part of the sum, and of no share.
    pub failed: f64,
}

/// What an index's part in a request consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexUnits {
    /// The index's name.
    pub index: String,
    /// Whether it is a local one.
    pub local: bool,
    /// Capacity units.
    pub units: f64,
}

/// What a write cost an index of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorBytes {
    /// The index's name.
    pub index: String,
    /// How many.
    pub bytes: f64,
}

impl Consumed {
    /// Adds what another request consumed of the same table.
    pub fn join(&mut self, other: Self) {
        let own: f64 = other.indexes.iter().map(|it| it.units).sum();
        self.units += other.units - own;
        other.indexes.iter().for_each(|it| self.add(&it.index, it.local, it.units));
        other.vectors.iter().for_each(|it| self.add_vector(&it.index, it.bytes));
    }

    /// Adds what an index consumed.
    pub fn add(&mut self, index: &str, local: bool, units: f64) {
        self.units += units;
        match self.indexes.iter_mut().find(|it| it.index == index && it.local == local) {
            Some(known) => known.units += units,
            None => self.indexes.push(IndexUnits { index: index.to_string(), local, units }),
        }
    }
}

impl Consumed {
    /// Adds what a write cost an index of vectors.
    pub fn add_vector(&mut self, index: &str, bytes: f64) {
        match self.vectors.iter_mut().find(|it| it.index == index) {
            Some(known) => known.bytes += bytes,
            None => self.vectors.push(VectorBytes { index: index.to_string(), bytes }),
        }
    }
}

/// Read units of `bytes` that were read at once: a half of them if eventually consistent.
#[must_use]
pub fn read_units(bytes: usize, consistent: bool) -> f64 {
    units(bytes, READ_UNIT_BYTES) * if consistent { 1.0 } else { 0.5 }
}

/// Read units of whole items that were fetched from the table, of `bytes` in full units: none where
/// the index had all that was wanted.
#[must_use]
pub fn fetched_units(bytes: usize, consistent: bool) -> f64 {
    if bytes == 0 { 0.0 } else { read_units(bytes, consistent) }
}

/// Write units of an item of `bytes`: the larger of the item before and after.
#[must_use]
pub fn write_units(bytes: usize) -> f64 {
    units(bytes, WRITE_UNIT_BYTES)
}

fn units(bytes: usize, unit: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(unit).max(1)).unwrap_or(u32::MAX))
}

/// Writes a `ConsumedCapacity` object.
pub(super) fn write_consumed(out: &mut Vec<u8>, consumed: &Consumed) {
    let mut object = Object::new(out);
    object.text("TableName", &consumed.table);
    consumed.kind.write(&mut object, consumed.units + consumed.failed);
    if consumed.detail == ReturnCapacity::Indexes {
        let mut table = Object::new(object.member("Table"));
        let indexes: f64 = consumed.indexes.iter().map(|it| it.units).sum();
        consumed.kind.write(&mut table, consumed.units - indexes);
        table.end();
        write_indexes(&mut object, "LocalSecondaryIndexes", consumed, true);
        write_indexes(&mut object, "GlobalSecondaryIndexes", consumed, false);
        write_vectors(&mut object, consumed);
    }
    object.end();
}

/// What searching an index of vectors, or writing to it, took: bytes alone, and of no table
/// (measured on the service by the Parity Suite).
pub(super) fn write_vector_bytes(out: &mut Vec<u8>, member: &str, bytes: f64) {
    let mut object = Object::new(out);
    object.value(member, &bytes);
    object.end();
}

fn write_vectors(object: &mut Object<'_>, consumed: &Consumed) {
    if consumed.vectors.is_empty() {
        return;
    }
    let mut map = Object::new(object.member("VectorIndexes"));
    for VectorBytes { index, bytes } in &consumed.vectors {
        write_vector_bytes(map.member(index), "VectorWriteRequestBytes", *bytes);
    }
    map.end();
}

/// An index that consumed nothing is not told of, and without any there is no member.
fn write_indexes(object: &mut Object<'_>, member: &str, consumed: &Consumed, local: bool) {
    let mut indexes = consumed.indexes.iter().filter(|it| it.local == local).peekable();
    if indexes.peek().is_none() {
        return;
    }
    let mut map = Object::new(object.member(member));
    for index in indexes {
        let mut entry = Object::new(map.member(&index.index));
        consumed.kind.write(&mut entry, index.units);
        entry.end();
    }
    map.end();
}
