//! Items: single reads and writes, pages, batches.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use pangea_codec::dynamo::capacity::{Consumed, ReturnCapacity, UnitKind, read_units, write_units};
use pangea_codec::dynamo::request::{
    BatchGetItem, BatchGetTable, BatchWrite, BatchWriteItem, DeleteItem, GetItem, PutItem,
    UpdateItem,
};
use pangea_codec::dynamo::{ApiError, response};
use pangea_core::catalog::{Catalog, NOWHERE, Policy, TableEntry};
use pangea_core::id::{Place, RegionSlot};
use pangea_core::index::{IndexId, check_each};
use pangea_core::item::{Attributes, ItemKey, item_size};
use pangea_core::limits::BATCH_GET_BYTES_MAX;
use pangea_core::merge::Stored;
use pangea_core::node::{Elsewhere, Outcome};
use pangea_core::table::{Action, Refusal, WriteOp};
use pangea_core::time::Stamp;
use pangea_core::view::{apart, view as shown};

use super::collections;
use super::hints::{self, Hints, format_context};
use super::{Trouble, missing, serving, store_fault, write_fault};
use crate::region::durable::{self, Plan};
use crate::region::{Region, pace, reads};
use crate::versions::{STAMP_HEADER, format_stamp};

/// The answer to a read of one item as it stands in its row; `None` if more is asked for.
pub(super) fn get_at_once(
    region: &Region,
    get: &GetItem,
    hints: &Hints,
) -> Result<Option<Vec<u8>>, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &get.table)?;
    let policy = &entry.settings.policy;
    if !hints.read.is_plain() || get.projection.is_some() || policy.keeps_all() {
        return Ok(None);
    }
    let key = ItemKey { table: entry.id, primary: get.primary_key(&entry.schema)? };
    get.check_paths(entry)?;
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let shown = region.pace.read(|| view.show(&key, policy, response::show));
    let shown = shown.map_err(|fault| store_fault(region, fault))?;
    hints.session.saw(&view.rests_on());
    let bytes = shown.as_ref().map_or(0, |shown| shown.bytes);
    // Most requests do not ask what they cost.
    let consumed = (get.capacity != ReturnCapacity::None)
        .then(|| consumed(&get.table, read_units(bytes, get.consistent), get.capacity));
    Ok(Some(response::get_shown(shown, consumed.as_ref())))
}

/// Any read of one item.
pub(super) async fn get(
    region: &Arc<Region>,
    get: &GetItem,
    hints: &Hints,
) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &get.table)?;
    let key = ItemKey { table: entry.id, primary: get.primary_key(&entry.schema)? };
    get.check_paths(entry)?;
    let policy = &entry.settings.policy;
    let (item, siblings) = if hints.read.is_plain() {
        here(region, &key, policy, hints)?
    } else {
        let keys = std::slice::from_ref(&key);
        let of = (&*catalog, entry);
        let (mut items, told) = reads::read(region, of, keys, hints.read, &hints.session).await?;
        hints.tell(told);
        of_policy(policy, items.pop().flatten())
    };
    let bytes = item.as_ref().map_or(0, item_size);
    let item = match &get.projection {
        Some(projection) => item.map(|item| projection.apply(&item)),
        None => item,
    };
    let consumed = consumed(&get.table, read_units(bytes, get.consistent), get.capacity);
    let versions = siblings.as_ref().map(apart).unwrap_or_default();
    let body = if siblings.is_some() && hints.all_siblings {
        let images: Vec<_> = versions.iter().map(|(_, item)| item.as_deref()).collect();
        response::get_siblings(item.as_ref(), &images, Some(&consumed))
    } else {
        response::get_item(item.as_ref(), Some(&consumed))
    };
    let count = versions.len().to_string();
    drop(versions);
    if let Some(stored) = siblings {
        let context = (hints::CONTEXT, format_context(&stored.seen));
        hints.tell(vec![(hints::SIBLINGS, count), context]);
    }
    Ok(body)
}

/// What readers see of an item and, where all versions are kept, the versions.
type Read = (Option<Attributes>, Option<Stored>);

fn here(region: &Region, key: &ItemKey, policy: &Policy, hints: &Hints) -> Result<Read, ApiError> {
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let read = region.pace.read(|| match policy {
        Policy::Siblings => view.get_stored(key).map(|stored| of_policy(policy, stored)),
        _ => view.get_item(key, policy).map(|item| (item, None)),
    });
    let read = read.map_err(|fault| store_fault(region, fault))?;
    hints.session.saw(&view.rests_on());
    Ok(read)
}

fn of_policy(policy: &Policy, stored: Option<Stored>) -> Read {
    let item = stored.as_ref().and_then(|stored| shown(policy, stored));
    (item.map(Cow::into_owned), stored.filter(|_| *policy == Policy::Siblings))
}

pub(super) fn consumed(table: &str, units: f64, detail: ReturnCapacity) -> Consumed {
    let kind = UnitKind::Unnamed;
    let (table, indexes, vectors) = (table.to_string(), Vec::new(), Vec::new());
    Consumed { table, units, indexes, vectors, detail, kind, failed: 0.0 }
}

/// What a write consumed: of the table, and of each index.
pub(super) fn consumed_by_write(
    entry: &TableEntry,
    (table, detail): (&str, ReturnCapacity),
    bytes: usize,
    indexed: &[(IndexId, u32)],
) -> Consumed {
    let mut consumed = consumed(table, write_units(bytes), detail);
    add_indexes(entry, &mut consumed, indexed);
    consumed
}

/// Adds what a write cost indexes.
pub(super) fn add_indexes(entry: &TableEntry, consumed: &mut Consumed, indexed: &[(IndexId, u32)]) {
    for (id, units) in indexed {
        match entry.indexes.iter().find(|index| index.id == *id) {
            Some(index) if index.vector.is_some() => {
                consumed.add_vector(&index.name, f64::from(*units));
            }
            Some(index) => consumed.add(&index.name, index.local, f64::from(*units)),
            None => {}
        }
    }
}

pub(super) async fn put(region: &Region, put: PutItem, hints: &Hints) -> Result<Vec<u8>, Trouble> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &put.table)?;
    let (table, capacity, metrics) = (put.table.clone(), put.capacity, put.collection_metrics);
    let op = Box::new(put.into_op(&entry.schema)?);
    write(region, (&catalog, entry), op, hints, ((&table, capacity), metrics)).await
}

pub(super) async fn update(
    region: &Region,
    update: UpdateItem,
    hints: &Hints,
) -> Result<Vec<u8>, Trouble> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &update.table)?;
    let (table, capacity, metrics) =
        (update.table.clone(), update.capacity, update.collection_metrics);
    let op = Box::new(update.into_op(&entry.schema)?);
    write(region, (&catalog, entry), op, hints, ((&table, capacity), metrics)).await
}

pub(super) async fn delete(
    region: &Region,
    delete: DeleteItem,
    hints: &Hints,
) -> Result<Vec<u8>, Trouble> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &delete.table)?;
    let (table, capacity, metrics) =
        (delete.table.clone(), delete.capacity, delete.collection_metrics);
    let op = Box::new(delete.into_op(&entry.schema)?);
    write(region, (&catalog, entry), op, hints, ((&table, capacity), metrics)).await
}

async fn write(
    region: &Region,
    of: (&Catalog, &TableEntry),
    op: Box<WriteOp>,
    hints: &Hints,
    (told, metrics): ((&str, ReturnCapacity), bool),
) -> Result<Vec<u8>, Trouble> {
    let partition = op.key.partition.clone();
    let (returned, consumed) = written(region, of, op, hints, told).await?;
    let collection = collections::of_item(region, of.1, &partition, metrics)?;
    Ok(response::written(returned.as_ref(), Some(&consumed), collection.as_ref()))
}

/// Does a write, and waits for what it asks for. Returns what it returns and consumed.
pub(super) async fn written(
    region: &Region,
    (catalog, entry): (&Catalog, &TableEntry),
    mut op: Box<WriteOp>,
    hints: &Hints,
    (table, capacity): (&str, ReturnCapacity),
) -> Result<(Option<Attributes>, Consumed), Trouble> {
    let place = durable::place_of(region, entry, (&op.key, Some(&op.action)))?;
    let plan = durable::plan(region, catalog, (entry, place), hints.durability)?;
    op.context.clone_from(&hints.context);
    let key = ItemKey { table: entry.id, primary: op.key.clone() };
    pace::warm(region, &key);
    match region.writer.write(entry.id, op).await.map_err(write_fault)? {
        Outcome::Written { returned, stamp, bytes, indexed, item } => {
            // It goes where it was made: an allocator's thread takes its own memory back for less.
            drop(item);
            region.counts.writes.fetch_add(1, Relaxed);
            let rests_on = match stamp {
                Some(stamp) => {
                    hints.session.wrote(stamp);
                    hints.tell(vec![(STAMP_HEADER, format_stamp(stamp))]);
                    stamp
                }
                None => see(region, [&key], hints)?,
            };
            let plan = plan.at(durable::place_of(region, entry, (&key.primary, None))?);
            hints.tell(plan.settle(region, rests_on).await?);
            Ok((returned, consumed_by_write(entry, (table, capacity), bytes, &indexed)))
        }
        Outcome::Refused(refusal) => {
            see(region, [&key], hints)?;
            Err(ApiError::from(refusal).into())
        }
        Outcome::Elsewhere { regions, why } => {
            Err(Trouble::Elsewhere(regions, why, entry.settings.foreign))
        }
        _ => Err(missing().into()),
    }
}

/// Names the region that has to do the write.
pub(super) fn elsewhere(region: &Region, regions: &[RegionSlot], why: Elsewhere) -> ApiError {
    let names: Vec<String> = regions.iter().map(|slot| region.region_name(*slot)).collect();
    let names = names.join(" or ");
    ApiError::validation(match why {
        Elsewhere::Owned => format!("The item is owned by {names}, which alone writes it"),
        Elsewhere::Placed => format!(
            "The item may not be in {}: its placement allows {names}; write it there",
            region.name
        ),
    })
}

/// Nothing was written, because of what is there: the response rests on that. Returns this region's
/// last write that it rests on.
pub(super) fn see<'k>(
    region: &Region,
    keys: impl IntoIterator<Item = &'k ItemKey>,
    hints: &Hints,
) -> Result<Stamp, ApiError> {
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let mut keys = keys.into_iter();
    let read = region.pace.read(|| keys.try_for_each(|key| view.get_stored(key).map(drop)));
    read.map_err(|fault| store_fault(region, fault))?;
    let seen = view.rests_on();
    hints.session.saw(&seen);
    let origin = region.writer.observed().origin;
    Ok(Stamp { hlc: seen.get(origin), origin })
}

pub(super) async fn batch_get(
    region: &Arc<Region>,
    batch: BatchGetItem,
    hints: &Arc<Hints>,
) -> Result<Vec<u8>, ApiError> {
    if hints.read.is_plain() {
        let (region, hints) = (Arc::clone(region), Arc::clone(hints));
        return super::blocking(move || batch_get_here(&region, &batch, &hints)).await;
    }
    let catalog = region.catalog();
    let (mut found, mut worst) = (Found::default(), Vec::new());
    for (name, table) in &batch.tables {
        let entry = serving(region, &catalog, name)?;
        let keys = item_keys(table, entry)?;
        let of = (&*catalog, entry);
        let (items, told) = reads::read(region, of, &keys, hints.read, &hints.session).await?;
        // What fell short says more.
        worst = if told.len() > worst.len() { told } else { worst };
        let policy = &entry.settings.policy;
        let items = items.into_iter().map(|stored| Ok(of_policy(policy, stored).0));
        found.take(name, table, items)?;
    }
    hints.tell(worst);
    Ok(found.finish(batch.capacity))
}

fn batch_get_here(
    region: &Region,
    batch: &BatchGetItem,
    hints: &Hints,
) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let mut found = Found::default();
    for (name, table) in &batch.tables {
        let entry = serving(region, &catalog, name)?;
        let keys = item_keys(table, entry)?;
        let get = |key: &ItemKey| {
            view.get_item(key, &entry.settings.policy).map_err(|fault| store_fault(region, fault))
        };
        found.take(name, table, keys.iter().map(get))?;
    }
    hints.session.saw(&view.rests_on());
    Ok(found.finish(batch.capacity))
}

fn item_keys(table: &BatchGetTable, entry: &TableEntry) -> Result<Vec<ItemKey>, ApiError> {
    let keys = table.primary_keys(&entry.schema)?.into_iter();
    table.check_paths(entry)?;
    Ok(keys.map(|primary| ItemKey { table: entry.id, primary }).collect())
}

/// The response of a BatchGetItem under construction.
#[derive(Default)]
struct Found {
    responses: BTreeMap<String, Vec<Attributes>>,
    unprocessed: BTreeMap<String, BatchGetTable>,
    units: BTreeMap<String, f64>,
    bytes: usize,
    is_full: bool,
}

impl Found {
    /// Takes a table's items, in the order of its keys, until the response is full.
    fn take(
        &mut self,
        name: &str,
        table: &BatchGetTable,
        items: impl Iterator<Item = Result<Option<Attributes>, ApiError>>,
    ) -> Result<(), ApiError> {
        let (mut found, mut units, mut at) = (Vec::new(), 0.0, 0);
        let mut items = items;
        while at < table.keys.len() && !self.is_full {
            let Some(item) = items.next() else { break };
            let item = item?;
            let bytes = item.as_ref().map_or(0, item_size);
            if self.bytes + bytes > BATCH_GET_BYTES_MAX {
                self.is_full = true;
                break;
            }
            self.bytes += bytes;
            units += read_units(bytes, table.consistent);
            found.extend(item.map(|item| project(table, item)));
            at += 1;
        }
        if at < table.keys.len() {
            let keys = table.keys[at..].to_vec();
            self.unprocessed.insert(name.to_string(), BatchGetTable { keys, ..table.clone() });
        }
        self.responses.insert(name.to_string(), found);
        self.units.insert(name.to_string(), units);
        Ok(())
    }

    fn finish(self, capacity: ReturnCapacity) -> Vec<u8> {
        let units = self.units.iter();
        let all: Vec<Consumed> =
            units.map(|(name, units)| consumed(name, *units, capacity)).collect();
        response::batch_get(&self.responses, &self.unprocessed, &all)
    }
}

fn project(table: &BatchGetTable, item: Attributes) -> Attributes {
    match &table.projection {
        Some(projection) => projection.apply(&item),
        None => item,
    }
}

/// Items of a table that may be in the same regions.
type Of = (String, Place);

/// Every write stands alone, as in DynamoDB; they share a sync because they arrive together.
pub(super) async fn batch_write(
    region: &Arc<Region>,
    batch: BatchWriteItem,
    hints: &Hints,
) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let (mut checked, mut plans) = (Vec::new(), BTreeMap::new());
    for (name, writes) in batch.tables {
        let entry = serving(region, &catalog, &name)?;
        for op in BatchWrite::into_ops(writes, &entry.schema)? {
            // One item that can be in no index keeps the whole batch from being begun.
            if let Action::Put(item) = &op.action {
                check_each(&entry.indexes, |index| index.check(item))?;
            }
            let of = (name.clone(), durable::place_of(region, entry, (&op.key, Some(&op.action)))?);
            // Nor does one that another region writes: a batch is not half refused.
            may_write(region, (&catalog, entry), &op)?;
            if !plans.contains_key(&of) {
                let plan = durable::plan(region, &catalog, (entry, of.1), hints.durability)?;
                plans.insert(of.clone(), plan);
            }
            checked.push((of, entry.id, op));
        }
    }
    let items: Vec<(String, ItemKey)> = checked
        .iter()
        .map(|((name, _), table, op)| {
            (name.clone(), ItemKey { table: *table, primary: op.key.clone() })
        })
        .collect();
    let writes = checked.into_iter().map(|(of, table, op)| async move {
        let key = ItemKey { table, primary: op.key.clone() };
        pace::warm(region, &key);
        (of, key, region.writer.write(table, Box::new(op)).await)
    });
    let mut units: BTreeMap<String, Consumed> = BTreeMap::new();
    let mut newest: BTreeMap<Of, Stamp> = BTreeMap::new();
    for (of, key, outcome) in in_order(writes).await {
        let (stamp, bytes, indexed) = match outcome.map_err(write_fault)? {
            Outcome::Written { stamp: Some(stamp), bytes, indexed, .. } => (stamp, bytes, indexed),
            Outcome::Written { stamp: None, bytes, indexed, .. } => {
                (see(region, [&key], hints)?, bytes, indexed)
            }
            Outcome::Refused(refusal) => return Err(refusal.into()),
            Outcome::Elsewhere { regions, why } => return Err(elsewhere(region, &regions, why)),
            _ => return Err(missing()),
        };
        region.counts.writes.fetch_add(1, Relaxed);
        hints.session.wrote(stamp);
        let sum = units.entry(of.0.clone());
        let sum = sum.or_insert_with(|| consumed(&of.0, 0.0, batch.capacity));
        sum.units += write_units(bytes);
        if let Some(entry) = catalog.get(key.table) {
            add_indexes(entry, sum, &indexed);
        }
        let newest = newest.entry(of).or_insert(stamp);
        *newest = stamp.max(*newest);
    }
    settle(region, plans, &newest, hints).await?;
    let consumed: Vec<Consumed> = units.into_values().collect();
    let collections = collections::of_items(region, &catalog, items, batch.collection_metrics)?;
    Ok(response::batch_write(&BTreeMap::new(), &consumed, &collections))
}

/// Refuses what this region leaves to others to write, and an item that would go elsewhere.
fn may_write(
    region: &Region,
    (catalog, entry): (&Catalog, &TableEntry),
    op: &WriteOp,
) -> Result<(), ApiError> {
    let (settings, key) = (&entry.settings, &op.key);
    if settings.policy == Policy::Owner {
        let owner = settings.ownership.owner(&catalog.directory, key, entry.home);
        if owner != region.slot {
            return Err(elsewhere(region, &[owner], Elsewhere::Owned));
        }
    }
    if settings.placement.0.is_empty() {
        return Ok(());
    }
    let item = ItemKey { table: entry.id, primary: key.clone() };
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let stored = region.pace.read(|| view.get_stored(&item));
    let stored = stored.map_err(|fault| store_fault(region, fault))?;
    let known = stored.as_ref().map(|stored| (stored, shown(&settings.policy, stored)));
    let is_shown = matches!(known, Some((_, Some(_))));
    let known = known.as_ref().map(|(stored, shown)| (*stored, shown.as_deref()));
    let next = match &op.action {
        Action::Put(item) => Some(item),
        Action::Update(_) | Action::Delete | Action::Check => None,
    };
    let refused = |text: &str| ApiError::from(Refusal::Validation(text.into()));
    let place = settings.placement.place_after(key, known, next).map_err(refused)?;
    let allows = |slot| settings.placement.allows(&catalog.directory, place, slot);
    if !allows(region.slot) {
        let regions: Vec<_> = entry.holders().filter(|&slot| allows(slot)).collect();
        return Err(match &regions[..] {
            [] => refused(NOWHERE),
            regions => elsewhere(region, regions, Elsewhere::Placed),
        });
    }
    let hides = |slot| settings.placement.hides(&catalog.directory, key, slot);
    let seeing: Vec<_> = entry.holders().filter(|&slot| !hides(slot)).collect();
    if next.is_some() || is_shown || seeing.is_empty() || !hides(region.slot) {
        return Ok(());
    }
    Err(elsewhere(region, &seeing, Elsewhere::Placed))
}

/// Does all at once. They are begun in their order, so that the writer, and with it a stream, has
/// the writes of a batch in the order of the request (as the service does, recorded in localstack's
/// `test_batch_write_items_streaming`).
async fn in_order<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|it| (Box::pin(it), None)).collect();
    poll_fn(|context| {
        for (future, done) in &mut futures {
            if done.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        match futures.iter().all(|(_, done)| done.is_some()) {
            true => Poll::Ready(futures.drain(..).filter_map(|(_, done)| done).collect()),
            false => Poll::Pending,
        }
    })
    .await
}

/// Waits for what each table asks for; the response says where it fell short, if it did.
async fn settle(
    region: &Region,
    plans: BTreeMap<Of, Plan>,
    newest: &BTreeMap<Of, Stamp>,
    hints: &Hints,
) -> Result<(), ApiError> {
    let mut worst = Vec::new();
    for (of, plan) in plans {
        let Some(stamp) = newest.get(&of) else { continue };
        let told = plan.settle(region, *stamp).await?;
        worst = if told.len() > worst.len() { told } else { worst };
    }
    hints.tell(worst);
    Ok(())
}
