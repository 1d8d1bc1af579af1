//! Response bodies.

use std::collections::BTreeMap;

use pangea_core::item::{Attributes, PrimaryKey, item_size};
use pangea_core::table::{PageResult, Schema};

use super::attribute::{write_attributes, write_narrow, write_read};
use super::capacity::{Consumed, ReturnCapacity, write_consumed, write_vector_bytes};
use super::json::{Array, Object};
use super::request::{BatchGetTable, BatchWrite, StatementAnswer};
use super::table::{TableView, write_table_description};
use crate::binary::DecodeError;
use crate::disk::Image;

/// The body for `GetItem`.
#[must_use]
pub fn get_item(item: Option<&Attributes>, consumed: Option<&Consumed>) -> Vec<u8> {
    one("Item", item, consumed)
}

/// The body for `GetItem` up to what was consumed.
#[derive(Debug)]
pub struct Shown {
    /// `{"Item":{…}`
    body: Vec<u8>,
    /// The item's size.
    pub bytes: usize,
}

/// Begins the body for `GetItem` with what readers see of the item; `room` bytes are about what it
/// takes.
///
/// # Errors
/// The row does not hold what its checksum says.
pub fn show(image: Image<'_>, room: usize) -> Result<Shown, DecodeError> {
    // A row has no quotes and no names of types.
    let mut body = Vec::with_capacity(room + room / 4 + 64);
    body.extend_from_slice(b"{\"Item\":");
    let bytes = match image {
        Image::Row(mut reader) => {
            let bytes = write_read(&mut body, &mut reader)?;
            reader.finish()?;
            bytes
        }
        Image::Item(item) => {
            write_attributes(&mut body, &item);
            item_size(&item)
        }
    };
    Ok(Shown { body, bytes })
}

/// The body for `GetItem`; as of [`get_item`].
#[must_use]
pub fn get_shown(shown: Option<Shown>, consumed: Option<&Consumed>) -> Vec<u8> {
    let Some(Shown { mut body, .. }) = shown else { return get_item(None, consumed) };
    let mut object = Object::resume(&mut body);
    total(&mut object, consumed);
    object.end();
    body
}

/// The body for `GetItem` where all concurrent versions are asked for: the item as plain readers
/// see it, and `Siblings`, which AWS clients ignore: `{"Item": …}`, or `{}` for a deletion.
#[must_use]
pub fn get_siblings(
    item: Option<&Attributes>,
    siblings: &[Option<&Attributes>],
    consumed: Option<&Consumed>,
) -> Vec<u8> {
    body(|body| {
        if let Some(item) = item {
            write_attributes(body.member("Item"), item);
        }
        let mut list = Array::new(body.member("Siblings"));
        for sibling in siblings {
            let mut object = Object::new(list.element());
            if let Some(image) = sibling {
                write_attributes(object.member("Item"), image);
            }
            object.end();
        }
        list.end();
        total(body, consumed);
    })
}

/// Of an item collection, the items of one partition of a table with local indexes: its partition
/// key, and between which two sizes in GB it is (DynamoDB `ItemCollectionMetrics`).
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionMetrics {
    /// The partition key by name.
    pub key: Attributes,
    /// From, and to.
    pub size_gb: (u64, u64),
}

/// The body for `PutItem`, `UpdateItem` and `DeleteItem`.
#[must_use]
pub fn written(
    returned: Option<&Attributes>,
    consumed: Option<&Consumed>,
    collection: Option<&CollectionMetrics>,
) -> Vec<u8> {
    let bytes = returned.map_or(0, body_bytes);
    sized_body(bytes, |body| {
        if let Some(returned) = returned {
            write_attributes(body.member("Attributes"), returned);
        }
        total(body, consumed);
        if let Some(collection) = collection {
            write_collection(body.member("ItemCollectionMetrics"), collection);
        }
    })
}

fn write_collection(out: &mut Vec<u8>, collection: &CollectionMetrics) {
    let mut object = Object::new(out);
    write_attributes(object.member("ItemCollectionKey"), &collection.key);
    object.value("SizeEstimateRangeGB", &[collection.size_gb.0, collection.size_gb.1]);
    object.end();
}

/// By table; no member without any.
fn write_collections(
    body: &mut Object<'_>,
    collections: &BTreeMap<String, Vec<CollectionMetrics>>,
) {
    if collections.is_empty() {
        return;
    }
    let mut tables = Object::new(body.member("ItemCollectionMetrics"));
    for (table, collections) in collections {
        let mut list = Array::new(tables.member(table));
        collections.iter().for_each(|it| write_collection(list.element(), it));
        list.end();
    }
    tables.end();
}

/// The body for `Query` and `Scan`, with the key to go on behind; `Items` is left out where only
/// the count was wanted.
#[must_use]
pub fn page(
    result: &PageResult,
    last: Option<&Attributes>,
    count_only: bool,
    consumed: Option<&Consumed>,
) -> Vec<u8> {
    body(|body| {
        if !count_only {
            write_items(body.member("Items"), &result.items);
        }
        body.value("Count", &result.count);
        body.value("ScannedCount", &result.scanned_count);
        if let Some(last) = last {
            write_attributes(body.member("LastEvaluatedKey"), last);
        }
        total(body, consumed);
    })
}

/// The body for `BatchGetItem`: items found and keys not processed, each by table.
#[must_use]
pub fn batch_get(
    responses: &BTreeMap<String, Vec<Attributes>>,
    unprocessed: &BTreeMap<String, BatchGetTable>,
    consumed: &[Consumed],
) -> Vec<u8> {
    body(|body| {
        let mut tables = Object::new(body.member("Responses"));
        for (name, items) in responses {
            write_items(tables.member(name), items);
        }
        tables.end();
        let mut tables = Object::new(body.member("UnprocessedKeys"));
        for (name, table) in unprocessed {
            write_unprocessed_keys(tables.member(name), table);
        }
        tables.end();
        totals(body, consumed);
    })
}

/// The body for `BatchWriteItem`: the writes not processed, by table.
#[must_use]
pub fn batch_write(
    unprocessed: &BTreeMap<String, Vec<BatchWrite>>,
    consumed: &[Consumed],
    collections: &BTreeMap<String, Vec<CollectionMetrics>>,
) -> Vec<u8> {
    body(|body| {
        let mut tables = Object::new(body.member("UnprocessedItems"));
        for (name, writes) in unprocessed {
            let mut list = Array::new(tables.member(name));
            for write in writes {
                write_batch_write(list.element(), write);
            }
            list.end();
        }
        tables.end();
        totals(body, consumed);
        write_collections(body, collections);
    })
}

/// The body for `TransactWriteItems`.
#[must_use]
pub fn transact_write(
    consumed: &[Consumed],
    collections: &BTreeMap<String, Vec<CollectionMetrics>>,
) -> Vec<u8> {
    body(|body| {
        totals(body, consumed);
        write_collections(body, collections);
    })
}

/// The body for `TransactGetItems`: what was found for each item asked for, in order.
#[must_use]
pub fn transact_get(items: &[Option<Attributes>], consumed: &[Consumed]) -> Vec<u8> {
    body(|body| {
        let mut list = Array::new(body.member("Responses"));
        for item in items {
            let mut object = Object::new(list.element());
            if let Some(item) = item {
                write_attributes(object.member("Item"), item);
            }
            object.end();
        }
        list.end();
        totals(body, consumed);
    })
}

/// The body for `ExecuteStatement`; `next` where a `SELECT` goes on, and behind which item.
#[must_use]
pub fn statement(
    items: &[Attributes],
    next: Option<(&str, Option<&Attributes>)>,
    consumed: Option<&Consumed>,
) -> Vec<u8> {
    body(|body| {
        write_items(body.member("Items"), items);
        if let Some((token, last)) = next {
            body.text("NextToken", token);
            if let Some(key) = last {
                write_attributes(body.member("LastEvaluatedKey"), key);
            }
        }
        total(body, consumed);
    })
}

/// The body for `BatchExecuteStatement`: what became of each statement, in order.
#[must_use]
pub fn batch_statements(answers: &[StatementAnswer], consumed: &[Consumed]) -> Vec<u8> {
    body(|body| {
        let mut list = Array::new(body.member("Responses"));
        for answer in answers {
            let mut object = Object::new(list.element());
            match &answer.result {
                Ok(Some(item)) => write_attributes(object.member("Item"), item),
                Ok(None) => {}
                Err(error) => {
                    let mut inner = Object::new(object.member("Error"));
                    inner.text("Code", &StatementAnswer::code(error));
                    inner.text("Message", &error.message);
                    if let Some(item) = &error.item {
                        write_attributes(inner.member("Item"), item);
                    }
                    inner.end();
                }
            }
            if let Some(table) = &answer.table {
                object.text("TableName", table);
            }
            object.end();
        }
        list.end();
        totals(body, consumed);
    })
}

/// The body for `SearchVectors`: what was found with its scores, the nearest first, and the bytes
/// that were searched, if that is to be told. The numbers of the attribute `vector` are told as the
/// index has them, in 32 bits.
#[must_use]
pub fn searched(found: &[(f64, Attributes)], vector: &str, bytes: Option<f64>) -> Vec<u8> {
    let sizes = found.iter().map(|(_, item)| body_bytes(item));
    sized_body(sizes.sum::<usize>(), |body| {
        let mut list = Array::new(body.member("SearchResults"));
        for (score, item) in found {
            let mut object = Object::new(list.element());
            write_narrow(object.member("Item"), item, vector);
            object.value("Score", score);
            object.end();
        }
        list.end();
        if let Some(bytes) = bytes {
            let out = body.member("ConsumedCapacity");
            write_vector_bytes(out, "VectorSearchRequestBytes", bytes);
        }
    })
}

/// The body for `DescribeTable` (`Table`) and for what changes tables (`TableDescription`).
#[must_use]
pub fn table(member: &str, view: &TableView<'_>) -> Vec<u8> {
    body(|body| write_table_description(body.member(member), view))
}

/// The body for `ListTables`; `last` where there are more.
#[must_use]
pub fn list_tables(names: &[String], last: Option<&str>) -> Vec<u8> {
    body(|body| {
        body.value("TableNames", names);
        if let Some(last) = last {
            body.text("LastEvaluatedTableName", last);
        }
    })
}

/// The key attributes of an item as DynamoDB JSON.
#[must_use]
pub fn key_to_json(schema: &Schema, key: &PrimaryKey) -> Vec<u8> {
    super::attributes_to_json(&schema.attributes_of(key))
}

fn body(fill: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    sized_body(0, fill)
}

/// A body of about `bytes` bytes: a vector that grows from nothing is copied ten times for 1 KB.
fn sized_body(bytes: usize, fill: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    let mut object = Object::new(&mut out);
    fill(&mut object);
    object.end();
    out
}

fn one(member: &str, item: Option<&Attributes>, consumed: Option<&Consumed>) -> Vec<u8> {
    sized_body(item.map_or(0, body_bytes), |body| {
        if let Some(item) = item {
            write_attributes(body.member(member), item);
        }
        total(body, consumed);
    })
}

/// About as long as an item is in a body: ten bytes of quotes, colons and type to each attribute.
fn body_bytes(item: &Attributes) -> usize {
    item_size(item) + 16 * item.len() + 64
}

fn total(body: &mut Object<'_>, consumed: Option<&Consumed>) {
    if let Some(consumed) = consumed.filter(|consumed| consumed.detail != ReturnCapacity::None) {
        write_consumed(body.member("ConsumedCapacity"), consumed);
    }
}

fn totals(body: &mut Object<'_>, consumed: &[Consumed]) {
    if consumed.iter().all(|consumed| consumed.detail == ReturnCapacity::None) {
        return;
    }
    let mut list = Array::new(body.member("ConsumedCapacity"));
    for consumed in consumed {
        write_consumed(list.element(), consumed);
    }
    list.end();
}

fn write_items(out: &mut Vec<u8>, items: &[Attributes]) {
    let mut list = Array::new(out);
    for item in items {
        write_attributes(list.element(), item);
    }
    list.end();
}

fn write_unprocessed_keys(out: &mut Vec<u8>, table: &BatchGetTable) {
    let mut object = Object::new(out);
    write_items(object.member("Keys"), &table.keys);
    if table.consistent {
        object.value("ConsistentRead", &true);
    }
    if let Some(names) = &table.attributes_to_get {
        object.value("AttributesToGet", names);
    }
    if let Some(text) = &table.projection_text {
        object.text("ProjectionExpression", text);
    }
    if let Some(names) = &table.names {
        object.value("ExpressionAttributeNames", names);
    }
    object.end();
}

fn write_batch_write(out: &mut Vec<u8>, write: &BatchWrite) {
    let (request, member, attributes) = match write {
        BatchWrite::Put(item) => ("PutRequest", "Item", item),
        BatchWrite::Delete(key) => ("DeleteRequest", "Key", key),
    };
    let mut object = Object::new(out);
    let mut inner = Object::new(object.member(request));
    write_attributes(inner.member(member), attributes);
    inner.end();
    object.end();
}
