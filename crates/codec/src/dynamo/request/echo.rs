//! Parts of requests as DynamoDB's messages show them: in the manner of Java, mostly.

use pangea_core::item::{AttributeValue, Attributes, item_size};

use super::BatchWrite;
use crate::dynamo::attributes_to_json;

/// Bytes of items that are shown: a message is many times as long as what it shows.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// The tables of a `BatchWriteItem`, without the braces around them.
pub(super) fn tables(tables: &[(String, Vec<BatchWrite>)]) -> String {
    let sizes = tables.iter().flat_map(|(_, writes)| writes).map(|write| match write {
        BatchWrite::Put(attributes) | BatchWrite::Delete(attributes) => item_size(attributes),
    });
    if sizes.sum::<usize>() > SHOWN_BYTES_MAX {
        return "...".to_owned();
    }
    let tables = tables.iter().map(|(name, writes)| {
        let writes: Vec<String> = writes.iter().map(write).collect();
        format!("{name}=[{}]", writes.join(", "))
    });
    tables.collect::<Vec<_>>().join(", ")
}

/// A key as JSON.
pub(super) fn json(key: &Attributes) -> String {
    if item_size(key) > SHOWN_BYTES_MAX {
        return "...".to_owned();
    }
    String::from_utf8_lossy(&attributes_to_json(key)).into_owned()
}

fn write(write: &BatchWrite) -> String {
    match write {
        BatchWrite::Put(item) => format!(
            "WriteRequest(putRequest=PutRequest(item={}, workloadProfileName=null), \
             deleteRequest=null)",
            map(item)
        ),
        BatchWrite::Delete(key) => {
            format!("WriteRequest(putRequest=null, deleteRequest=DeleteRequest(key={}))", map(key))
        }
    }
}

fn map(item: &Attributes) -> String {
    let members: Vec<String> =
        item.iter().map(|(name, one)| format!("{name}={}", value(one))).collect();
    format!("{{{}}}", members.join(", "))
}

/// One value: each of its possible types, also those that the service keeps to itself; all but one
/// are null (measured on the service by the Parity Suite).
fn value(value: &AttributeValue) -> String {
    const FIELDS: [(&str, &str); 16] = [
        ("S", "s"),
        ("N", "n"),
        ("B", "b"),
        ("INT", "iNT"),
        ("DECIMAL", "dECIMAL"),
        ("DOUBLE", "dOUBLE"),
        ("SS", "sS"),
        ("NS", "nS"),
        ("BS", "bS"),
        ("INTSET", "iNTSET"),
        ("DECIMALSET", "dECIMALSET"),
        ("DOUBLESET", "dOUBLESET"),
        ("M", "m"),
        ("L", "l"),
        ("NULL", "nULL"),
        ("BOOL", "bOOL"),
    ];
    let kind = value.type_name();
    let fields = FIELDS.iter().map(|(name, field)| match *name == kind {
        true => format!("{field}={}", shown(value)),
        false => format!("{field}=null"),
    });
    format!("AttributeValue({})", fields.collect::<Vec<_>>().join(", "))
}

fn shown(one: &AttributeValue) -> String {
    let list = |values: Vec<String>| format!("[{}]", values.join(", "));
    match one {
        AttributeValue::S(text) => text.clone(),
        AttributeValue::N(number) => number.to_string(),
        AttributeValue::B(bytes) => buffer(bytes),
        AttributeValue::Bool(yes) => yes.to_string(),
        AttributeValue::Null => "true".to_owned(),
        AttributeValue::Ss(set) => list(set.iter().cloned().collect()),
        AttributeValue::Ns(set) => list(set.iter().map(ToString::to_string).collect()),
        AttributeValue::Bs(set) => list(set.iter().map(|bytes| buffer(bytes)).collect()),
        AttributeValue::L(values) => list(values.iter().map(value).collect()),
        AttributeValue::M(members) => map(members),
    }
}

fn buffer(bytes: &[u8]) -> String {
    let count = bytes.len();
    format!("java.nio.HeapByteBuffer[pos=0 lim={count} cap={count}]")
}
