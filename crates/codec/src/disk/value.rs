//! Attribute values: a tag, then the value; sets and maps in ascending order.

use pangea_core::item::{AttributeValue, Attributes, KeyValue, Number};
use pangea_core::limits::NESTING_DEPTH_MAX;

use super::Corrupt;
use super::bytes::{Reader, put_bytes, put_varint, put_zigzag};

/// Deepest nesting on disk: an item's, and what a ledger entry wraps around it.
pub const DEPTH_MAX: usize = NESTING_DEPTH_MAX + 8;

/// An item nests deeper than [`DEPTH_MAX`] and cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attributes nest deeper than {DEPTH_MAX} levels")]
pub struct TooDeep;

const S: u8 = 1;
const N: u8 = 2;
const B: u8 = 3;
const FALSE: u8 = 4;
const TRUE: u8 = 5;
const NULL: u8 = 6;
const SS: u8 = 7;
const NS: u8 = 8;
const BS: u8 = 9;
const L: u8 = 10;
const M: u8 = 11;
/// In the place of a sort key's tag: the table has none.
const ABSENT: u8 = 0;

/// Appends attributes: a count, then name and value of each.
///
/// # Errors
///
/// [`TooDeep`]; what was appended by then is of no use.
pub fn encode_attributes(out: &mut Vec<u8>, attributes: &Attributes) -> Result<(), TooDeep> {
    put_map(out, attributes, 0)
}

/// The attributes that `bytes` spell, all of them.
///
/// # Errors
///
/// Anything but what [`encode_attributes`] writes.
pub fn decode_attributes(bytes: &[u8]) -> Result<Attributes, Corrupt> {
    let mut reader = Reader(bytes);
    let attributes = read_attributes(&mut reader)?;
    reader.end()?;
    Ok(attributes)
}

pub(super) fn read_attributes(reader: &mut Reader<'_>) -> Result<Attributes, Corrupt> {
    read_map(reader, 0)
}

pub(super) fn put_key(out: &mut Vec<u8>, key: Option<&KeyValue>) {
    match key {
        None => out.push(ABSENT),
        Some(KeyValue::S(text)) => put_tagged(out, S, text.as_bytes()),
        Some(KeyValue::B(bytes)) => put_tagged(out, B, bytes),
        Some(KeyValue::N(number)) => {
            out.push(N);
            put_number(out, *number);
        }
    }
}

pub(super) fn read_key(reader: &mut Reader<'_>) -> Result<Option<KeyValue>, Corrupt> {
    Ok(Some(match reader.byte()? {
        ABSENT => return Ok(None),
        S => KeyValue::S(reader.text()?.to_owned()),
        N => KeyValue::N(read_number(reader)?),
        B => KeyValue::B(reader.bytes()?.to_vec()),
        _ => return Err(Corrupt("unknown tag of a key")),
    }))
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_bytes(out, bytes);
}

fn put_number(out: &mut Vec<u8>, number: Number) {
    put_zigzag(out, number.exponent().into());
    put_zigzag(out, number.mantissa());
}

fn read_number(reader: &mut Reader<'_>) -> Result<Number, Corrupt> {
    let exponent = i16::try_from(reader.zigzag()?).map_err(|_| Corrupt("number out of range"))?;
    let mantissa = reader.zigzag()?;
    let number = Number::from_parts(mantissa, exponent);
    let number = number.map_err(|_| Corrupt("number out of range"))?;
    if (number.mantissa(), number.exponent()) != (mantissa, exponent) {
        return Err(Corrupt("number is not normalised"));
    }
    Ok(number)
}

fn put_value(out: &mut Vec<u8>, value: &AttributeValue, depth: usize) -> Result<(), TooDeep> {
    match value {
        AttributeValue::S(text) => put_tagged(out, S, text.as_bytes()),
        AttributeValue::N(number) => {
            out.push(N);
            put_number(out, *number);
        }
        AttributeValue::B(bytes) => put_tagged(out, B, bytes),
        AttributeValue::Bool(false) => out.push(FALSE),
        AttributeValue::Bool(true) => out.push(TRUE),
        AttributeValue::Null => out.push(NULL),
        AttributeValue::Ss(set) => {
            put_set(out, SS, set, |out, text| put_bytes(out, text.as_bytes()));
        }
        AttributeValue::Ns(set) => put_set(out, NS, set, |out, number| put_number(out, *number)),
        AttributeValue::Bs(set) => put_set(out, BS, set, |out, bytes| put_bytes(out, bytes)),
        AttributeValue::L(list) => put_list(out, list, depth + 1)?,
        AttributeValue::M(map) => {
            out.push(M);
            put_map(out, map, depth + 1)?;
        }
    }
    Ok(())
}

fn put_set<'a, T: 'a>(
    out: &mut Vec<u8>,
    tag: u8,
    set: impl IntoIterator<Item = &'a T, IntoIter: ExactSizeIterator>,
    put: impl Fn(&mut Vec<u8>, &T),
) {
    let set = set.into_iter();
    out.push(tag);
    put_varint(out, set.len() as u128);
    for value in set {
        put(out, value);
    }
}

fn put_list(out: &mut Vec<u8>, list: &[AttributeValue], depth: usize) -> Result<(), TooDeep> {
    if depth > DEPTH_MAX {
        return Err(TooDeep);
    }
    out.push(L);
    put_varint(out, list.len() as u128);
    list.iter().try_for_each(|value| put_value(out, value, depth))
}

fn put_map(out: &mut Vec<u8>, map: &Attributes, depth: usize) -> Result<(), TooDeep> {
    if depth > DEPTH_MAX {
        return Err(TooDeep);
    }
    put_varint(out, map.len() as u128);
    for (name, value) in map {
        put_bytes(out, name.as_bytes());
        put_value(out, value, depth)?;
    }
    Ok(())
}

fn read_value(reader: &mut Reader<'_>, depth: usize) -> Result<AttributeValue, Corrupt> {
    Ok(match reader.byte()? {
        S => AttributeValue::S(reader.text()?.to_owned()),
        N => AttributeValue::N(read_number(reader)?),
        B => AttributeValue::B(reader.bytes()?.to_vec()),
        FALSE => AttributeValue::Bool(false),
        TRUE => AttributeValue::Bool(true),
        NULL => AttributeValue::Null,
        SS => AttributeValue::Ss(read_set(reader, |reader| Ok(reader.text()?.to_owned()))?),
        NS => AttributeValue::Ns(read_set(reader, read_number)?),
        BS => AttributeValue::Bs(read_set(reader, |reader| Ok(reader.bytes()?.to_vec()))?),
        L => AttributeValue::L(read_list(reader, depth + 1)?),
        M => AttributeValue::M(read_map(reader, depth + 1)?),
        _ => return Err(Corrupt("unknown tag of a value")),
    })
}

/// Members in strictly ascending order, as a set gives them: so a value has one spelling only.
fn read_set<T: Ord, C: FromIterator<T>>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, Corrupt>,
) -> Result<C, Corrupt> {
    let count = reader.count()?;
    let mut members: Vec<T> = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let member = read(reader)?;
        if members.last().is_some_and(|last| *last >= member) {
            return Err(Corrupt("set out of order"));
        }
        members.push(member);
    }
    Ok(members.into_iter().collect())
}

fn read_list(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<AttributeValue>, Corrupt> {
    if depth > DEPTH_MAX {
        return Err(Corrupt("nested too deep"));
    }
    let count = reader.count()?;
    let mut list = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        list.push(read_value(reader, depth)?);
    }
    Ok(list)
}

fn read_map(reader: &mut Reader<'_>, depth: usize) -> Result<Attributes, Corrupt> {
    if depth > DEPTH_MAX {
        return Err(Corrupt("nested too deep"));
    }
    let count = reader.count()?;
    let mut entries: Vec<(String, AttributeValue)> = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let name = reader.text()?;
        if entries.last().is_some_and(|(last, _)| last.as_str() >= name) {
            return Err(Corrupt("map out of order"));
        }
        entries.push((name.to_owned(), read_value(reader, depth)?));
    }
    Ok(entries.into_iter().collect())
}
