//! Capacity units, as `ReturnConsumedCapacity` reports them.

use super::json::Object;

/// Bytes of one read unit (DynamoDB).
const READ_UNIT_BYTES: usize = 4096;
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

/// What one table's part in a request consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumed {
    /// The table's name.
    pub table: String,
    /// Capacity units.
    pub units: f64,
    /// How much to tell.
    pub detail: ReturnCapacity,
}

/// Read units of `bytes` that were read at once: a half of them if eventually consistent.
#[must_use]
pub fn read_units(bytes: usize, consistent: bool) -> f64 {
    units(bytes, READ_UNIT_BYTES) * if consistent { 1.0 } else { 0.5 }
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
    object.value("CapacityUnits", &consumed.units);
    if consumed.detail == ReturnCapacity::Indexes {
        let mut table = Object::new(object.member("Table"));
        table.value("CapacityUnits", &consumed.units);
        table.end();
    }
    object.end();
}
