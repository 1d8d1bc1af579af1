//! Transactions: several items of one region, all or none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use pangea_codec::dynamo::capacity::{Consumed, ReturnCapacity, UnitKind, read_units, write_units};
use pangea_codec::dynamo::request::{TransactGetItems, TransactWriteItems};
use pangea_codec::dynamo::{ApiError, ErrorKind, cancelled, response};
use pangea_core::catalog::{Catalog, Foreign};
use pangea_core::id::{Place, TableId};
use pangea_core::index::IndexUnits;
use pangea_core::item::{ItemKey, item_size};
use pangea_core::limits::TRANSACTION_BYTES_MAX;
use pangea_core::node::Outcome;
use pangea_core::table::{Action, Schema, WriteOp};
use pangea_core::time::Stamp;

use super::collections;
use super::hints::Hints;
use super::items::{add_indexes, consumed, see};
use super::{Trouble, internal, missing, serving, store_fault, write_fault};
use crate::region::durable::{self, Plan, Told};
use crate::region::tokens::{Begun, Digest};
use crate::region::{Region, pace};
use crate::versions::{STAMP_HEADER, format_stamp};

/// Units of an item in a transaction, for one of the same item alone (DynamoDB).
const UNITS_FACTOR: f64 = 2.0;

pub(super) type Ops = Vec<(TableId, WriteOp)>;

/// An item of a transaction, after its operation was handed over.
struct Part {
    table: String,
    key: ItemKey,
    /// What is to be waited for; `None` of a check, which writes nothing.
    plan: Option<Plan>,
}

pub(super) async fn write(
    region: &Arc<Region>,
    request: TransactWriteItems,
    hints: &Hints,
) -> Result<Vec<u8>, Trouble> {
    let catalog = region.catalog();
    let (token, capacity) = (request.token.clone(), request.capacity);
    let metrics = request.collection_metrics;
    // What it wants to be told makes no other request of it.
    let digest = *blake3::hash(format!("{:?}", request.writes).as_bytes()).as_bytes();
    let names: Vec<String> = request.writes.iter().map(|it| it.table().to_string()).collect();
    let ops = request.into_ops(|name| schema(region, &catalog, name))?;
    let token = token.map(|token| (token, digest));
    let written = names.iter().zip(&ops).filter(|(_, (_, op))| op.action != Action::Check);
    let item = |(name, (table, op)): (&String, &(TableId, WriteOp))| {
        (name.clone(), ItemKey { table: *table, primary: op.key.clone() })
    };
    let items: Vec<(String, ItemKey)> = written.map(item).collect();
    let writes = Writes { names, ops, token, capacity };
    let consumed = commit(region, &catalog, writes, hints).await?;
    let collections = collections::of_items(region, &catalog, items, metrics)?;
    Ok(response::transact_write(&consumed, &collections))
}

/// What a transaction writes.
pub(super) struct Writes {
    /// The tables' names, one for each of the operations.
    pub(super) names: Vec<String>,
    pub(super) ops: Ops,
    /// The request's token, and what tells it from another request of the same token.
    pub(super) token: Option<(String, Digest)>,
    pub(super) capacity: ReturnCapacity,
}

/// Does a transaction, and waits for what it asks for. Returns what it consumed.
pub(super) async fn commit(
    region: &Arc<Region>,
    catalog: &Catalog,
    writes: Writes,
    hints: &Hints,
) -> Result<Vec<Consumed>, Trouble> {
    let Writes { names, ops, token, capacity } = writes;
    let known =
        |(token, digest): &(String, Digest)| region.tokens.knows(token, *digest, Instant::now());
    let asked = hints.durability;
    let asked = if token.as_ref().is_some_and(known) { asked.again() } else { asked };
    let parts = parts(region, catalog, (names, &ops), asked)?;
    parts.iter().for_each(|part| pace::warm(region, &part.key));
    let (outcome, again) = once(region, token, ops).await?;
    match outcome {
        Outcome::Transacted { stamp, bytes, indexed } => {
            if !again {
                let written = parts.iter().filter(|part| part.plan.is_some()).count();
                region.counts.writes.fetch_add(written as u64, Relaxed);
            }
            let consumed = if again {
                units_again(&parts, &bytes, capacity)
            } else {
                units(catalog, &parts, (&bytes, &indexed), capacity)
            };
            let rests_on = rests_on(region, &parts, stamp, hints)?;
            hints.tell(settle(region, catalog, parts, rests_on).await?);
            Ok(consumed)
        }
        Outcome::Cancelled(reasons) => {
            see(region, parts.iter().map(|part| &part.key), hints)?;
            let reason = |refusal| ApiError::from(refusal).into();
            Err(cancelled(reasons.into_iter().map(|refusal| refusal.map(reason))).into())
        }
        Outcome::Refused(refusal) => {
            see(region, parts.iter().map(|part| &part.key), hints)?;
            Err(ApiError::from(refusal).into())
        }
        Outcome::Elsewhere { regions, why } => {
            Err(Trouble::Elsewhere(regions, why, foreign(catalog, &parts)))
        }
        _ => Err(missing().into()),
    }
}

fn schema<'c>(
    region: &Region,
    catalog: &'c Catalog,
    name: &str,
) -> Result<(TableId, &'c Schema), ApiError> {
    serving(region, catalog, name).map(|entry| (entry.id, &entry.schema))
}

/// # Errors
/// Too few regions are reached for what one of the writes asks for.
fn parts(
    region: &Region,
    catalog: &Catalog,
    (names, ops): (Vec<String>, &Ops),
    asked: durable::Asked,
) -> Result<Vec<Part>, ApiError> {
    let part = |(name, (table, op)): (String, &(TableId, WriteOp))| {
        let key = ItemKey { table: *table, primary: op.key.clone() };
        let plan = if op.action == Action::Check {
            None
        } else {
            let entry = catalog.get(*table).ok_or_else(missing)?;
            let place = durable::place_of(region, entry, (&op.key, Some(&op.action)))?;
            Some(durable::plan(region, catalog, (entry, place), asked)?)
        };
        Ok(Part { table: name, key, plan })
    };
    names.into_iter().zip(ops).map(part).collect()
}

/// Hands the operations to the writer, unless the request's token says that this was done. Returns
/// whether it was.
async fn once(
    region: &Arc<Region>,
    token: Option<(String, Digest)>,
    ops: Ops,
) -> Result<(Outcome, bool), ApiError> {
    let Some((token, digest)) = token else {
        let outcome = region.writer.transact(ops).await.map_err(write_fault)?;
        return Ok((outcome, false));
    };
    let ticket = match region.tokens.begin(token, digest, Instant::now()) {
        Begun::First(ticket) => ticket,
        Begun::Again(outcome) => return Ok((outcome, true)),
        Begun::InProgress => {
            let text = "The transaction with the given request token is already in progress.";
            return Err(ApiError::new(ErrorKind::TransactionInProgress, text));
        }
        Begun::Mismatch => {
            let text = "The request uses the same client token as a previous, but non-identical \
                        request.";
            return Err(ApiError::new(ErrorKind::IdempotentParameterMismatch, text));
        }
    };
    let region = Arc::clone(region);
    // A task of its own: a client that does not wait any longer will ask again by its token.
    let done = tokio::spawn(async move {
        let outcome = region.writer.transact(ops).await;
        let kept = outcome.as_ref().ok().filter(|it| matches!(it, Outcome::Transacted { .. }));
        region.tokens.finish(&ticket, kept.cloned());
        outcome
    });
    let outcome = done.await.map_err(|_| internal("the region is stopping"))?;
    Ok((outcome.map_err(write_fault)?, false))
}

/// The version that was written, or this region's last that the response rests on.
fn rests_on(
    region: &Region,
    parts: &[Part],
    stamp: Option<Stamp>,
    hints: &Hints,
) -> Result<Stamp, ApiError> {
    let Some(stamp) = stamp else {
        return see(region, parts.iter().map(|part| &part.key), hints);
    };
    let mut checked = parts.iter().filter(|part| part.plan.is_none()).peekable();
    if checked.peek().is_some() {
        see(region, checked.map(|part| &part.key), hints)?;
    }
    hints.session.wrote(stamp);
    hints.tell(vec![(STAMP_HEADER, format_stamp(stamp))]);
    Ok(stamp)
}

/// Waits for what each table asks for; says where it fell short, if it did.
async fn settle(
    region: &Region,
    catalog: &Catalog,
    parts: Vec<Part>,
    stamp: Stamp,
) -> Result<Told, ApiError> {
    let mut plans: BTreeMap<(TableId, Place), Plan> = BTreeMap::new();
    for Part { key, plan, .. } in parts {
        let Some(plan) = plan else { continue };
        let entry = catalog.get(key.table).ok_or_else(missing)?;
        let place = durable::place_of(region, entry, (&key.primary, None))?;
        plans.entry((key.table, place)).or_insert_with(|| plan.at(place));
    }
    let mut worst = Told::new();
    for plan in plans.into_values() {
        let told = plan.settle(region, stamp).await?;
        worst = if told.len() > worst.len() { told } else { worst };
    }
    Ok(worst)
}

/// A transaction is sent on where every table says so of a write.
fn foreign(catalog: &Catalog, parts: &[Part]) -> Foreign {
    let mut entries = parts.iter().filter_map(|part| catalog.get(part.key.table));
    let refuses = entries.any(|entry| entry.settings.foreign == Foreign::Refuse);
    if refuses { Foreign::Refuse } else { Foreign::Forward }
}

/// Refuses a transaction that another region would have to do a part of.
pub(super) fn parted(region: &Region, error: &ApiError) -> ApiError {
    let (name, why) = (&region.name, &error.message);
    ApiError::validation(format!(
        "Not all items of the transaction can be written in {name}, and no transaction spans \
         regions: {why}"
    ))
}

fn units(
    catalog: &Catalog,
    parts: &[Part],
    (bytes, indexed): (&[usize], &[IndexUnits]),
    capacity: ReturnCapacity,
) -> Vec<Consumed> {
    let mut units: BTreeMap<&str, Consumed> = BTreeMap::new();
    for ((part, bytes), indexed) in parts.iter().zip(bytes).zip(indexed) {
        let sum = units.entry(&part.table).or_insert_with(|| Consumed {
            kind: UnitKind::Write,
            ..consumed(&part.table, 0.0, capacity)
        });
        sum.units += UNITS_FACTOR * write_units(*bytes);
        if let Some(entry) = catalog.get(part.key.table) {
            add_indexes(entry, sum, indexed);
        }
    }
    units.into_values().collect()
}

/// What it costs to be told again that a transaction was done: the items are read.
fn units_again(parts: &[Part], bytes: &[usize], capacity: ReturnCapacity) -> Vec<Consumed> {
    let mut units: BTreeMap<&str, f64> = BTreeMap::new();
    for (part, bytes) in parts.iter().zip(bytes) {
        *units.entry(&part.table).or_default() += UNITS_FACTOR * read_units(*bytes, true);
    }
    read(units, capacity)
}

/// Read units, by table.
fn read(units: BTreeMap<&str, f64>, capacity: ReturnCapacity) -> Vec<Consumed> {
    let of = |(name, units)| Consumed { kind: UnitKind::Read, ..consumed(name, units, capacity) };
    units.into_iter().map(of).collect()
}

/// From one snapshot, which has all of a transaction or nothing of it, whatever region wrote it.
pub(super) fn get(
    region: &Region,
    request: &TransactGetItems,
    hints: &Hints,
) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let keys = request.primary_keys(|name| schema(region, &catalog, name))?;
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let (mut items, mut units, mut total) = (Vec::new(), BTreeMap::<&str, f64>::new(), 0);
    for (get, (table, primary)) in request.gets.iter().zip(keys) {
        let entry = catalog.get(table).ok_or_else(missing)?;
        get.check_paths(entry)?;
        let policy = &entry.settings.policy;
        let key = ItemKey { table, primary };
        let item = region.pace.read(|| view.get_item(&key, policy));
        let item = item.map_err(|fault| store_fault(region, fault))?;
        let bytes = item.as_ref().map_or(0, item_size);
        total += bytes;
        if total > TRANSACTION_BYTES_MAX {
            let text = "The aggregate size of the items in the transaction cannot exceed 4 MB";
            return Err(ApiError::validation(text));
        }
        *units.entry(&get.table).or_default() += UNITS_FACTOR * read_units(bytes, true);
        items.push(match &get.projection {
            // An item of which nothing is wanted that it has is not told of.
            Some(projection) => {
                item.map(|item| projection.apply(&item)).filter(|item| !item.is_empty())
            }
            None => item,
        });
    }
    hints.session.saw(&view.rests_on());
    Ok(response::transact_get(&items, &read(units, request.capacity)))
}
