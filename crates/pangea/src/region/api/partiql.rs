//! PartiQL: statements become the reads and writes that other operations are.
//!
//! A write goes the way of `PutItem` and its like, a transaction that of `TransactWriteItems`:
//! owners, placement, sessions and durability are theirs. A `SELECT` reads pages as `Query` does.

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pangea_codec::dynamo::capacity::{Consumed, ReturnCapacity, UnitKind, read_units, write_units};
use pangea_codec::dynamo::request::{
    BatchExecuteStatement, BatchStatement, ExecuteStatement, ExecuteTransaction, StatementAnswer,
    duplicate,
};
use pangea_codec::dynamo::{ApiError, CancellationReason, ErrorKind, cancelled, response};
use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::item::{Attributes, ItemKey, PrimaryKey, item_size};
use pangea_core::limits::TRANSACTION_BYTES_MAX;
use pangea_core::partiql::{self, EXISTS_ELSEWHERE, Select, Statement};
use pangea_core::table::{Action, Schema, WriteOp};
use tokio::task::JoinSet;

use super::hints::Hints;
use super::items::{consumed, elsewhere, written};
use super::transact::{self, Writes};
use super::{Trouble, blocking, internal, serving, store_fault};
use crate::region::Region;

/// What is told of a key of another type than the table's.
const MISMATCH: &str = "The provided key element does not match the schema";
/// How the refusal ends of an update of a key attribute.
const OF_THE_KEY: &str = "This attribute is part of the key";
/// `SELECT` in a batch or a transaction names one item, and nothing else.
const NEEDS_KEY: &str = "must specify the primary key in the where clause.";

pub(super) async fn execute(
    region: &Arc<Region>,
    request: ExecuteStatement,
    hints: &Arc<Hints>,
) -> Result<Vec<u8>, Trouble> {
    match &request.statement {
        Statement::Select(_) => {
            let (region, hints) = (Arc::clone(region), Arc::clone(hints));
            Ok(blocking(move || read::page(&region, &request, &hints)).await?)
        }
        Statement::Exists(_) => Err(ApiError::validation(EXISTS_ELSEWHERE).into()),
        statement => {
            let on_failure = request.return_on_condition_failure;
            let (returned, consumed) =
                write(region, (statement, on_failure), hints, request.capacity).await?;
            let items: Vec<Attributes> = returned.into_iter().collect();
            Ok(response::statement(&items, None, Some(&consumed)))
        }
    }
}

/// One statement that changes an item. Returns what it asks to be returned.
async fn write(
    region: &Region,
    (statement, on_failure): (&Statement, bool),
    hints: &Hints,
    capacity: ReturnCapacity,
) -> Result<(Option<Attributes>, Consumed), Trouble> {
    let catalog = region.catalog();
    let table = &statement.target().table;
    let entry = serving(region, &catalog, table)?;
    let mut op = Box::new(statement.write(&entry.schema).map_err(ApiError::from)?);
    op.return_on_condition_failure = on_failure;
    match written(region, (&catalog, entry), op, hints, (table, capacity)).await {
        Err(Trouble::Api(error)) if statement.is_insert() => Err(duplicate(error).into()),
        other => other,
    }
}

pub(super) async fn batch(
    region: &Arc<Region>,
    request: BatchExecuteStatement,
    hints: &Arc<Hints>,
) -> Result<Vec<u8>, ApiError> {
    distinct(region, &request)?;
    let capacity = request.capacity;
    let mut doing = JoinSet::new();
    let count = request.statements.len();
    for (at, statement) in request.statements.into_iter().enumerate() {
        let (region, hints) = (Arc::clone(region), Arc::clone(hints));
        doing.spawn(async move { (at, one(&region, statement, &hints, capacity).await) });
    }
    let mut answers: Vec<Option<StatementAnswer>> = (0..count).map(|_| None).collect();
    let mut sums: BTreeMap<String, Consumed> = BTreeMap::new();
    let mut failed: BTreeMap<String, f64> = BTreeMap::new();
    while let Some(done) = doing.join_next().await {
        let (at, (answer, consumed)) = done.map_err(|_| internal("a statement was cancelled"))?;
        answers[at] = Some(answer);
        match consumed {
            Some(Spent::Done(consumed)) => match sums.get_mut(&consumed.table) {
                Some(sum) => sum.join(consumed),
                None => drop(sums.insert(consumed.table.clone(), consumed)),
            },
            Some(Spent::Failed(table, units)) => *failed.entry(table).or_default() += units,
            None => {}
        }
    }
    // A table of which nothing was done is not told of.
    for (table, units) in failed {
        sums.entry(table).and_modify(|sum| sum.failed = units);
    }
    let answers: Vec<StatementAnswer> = answers.into_iter().flatten().collect();
    let consumed: Vec<Consumed> = sums.into_values().collect();
    Ok(response::batch_statements(&answers, &consumed))
}

/// Refuses two statements of one item. Those that name none are refused on their own.
fn distinct(region: &Region, request: &BatchExecuteStatement) -> Result<(), ApiError> {
    let catalog = region.catalog();
    let mut seen = BTreeSet::new();
    for statement in request.statements.iter().filter_map(|it| it.statement.as_ref().ok()) {
        let Ok(entry) = serving(region, &catalog, &statement.target().table) else { continue };
        let key = match statement {
            Statement::Select(select) => select.key(&entry.schema).ok().flatten(),
            other => other.write(&entry.schema).ok().map(|op| op.key),
        };
        if key.is_some_and(|key| !seen.insert((entry.id, key))) {
            return Err(ApiError::validation("Provided list of item keys contains duplicates"));
        }
    }
    Ok(())
}

/// What a statement of a batch consumed.
enum Spent {
    Done(Consumed),
    /// Of a table, so many units, for nothing.
    Failed(String, f64),
}

/// One statement of a batch, and what it consumed.
async fn one(
    region: &Region,
    statement: BatchStatement,
    hints: &Hints,
    capacity: ReturnCapacity,
) -> (StatementAnswer, Option<Spent>) {
    let BatchStatement { statement, consistent, return_on_condition_failure } = statement;
    let parsed = match statement {
        Ok(parsed) => parsed,
        Err(error) => return (StatementAnswer { table: None, result: Err(error) }, None),
    };
    let result = match &parsed {
        Statement::Select(select) => get(region, select, hints, (consistent, capacity)),
        Statement::Exists(_) => Err(ApiError::validation(EXISTS_ELSEWHERE)),
        statement => {
            let statement = (statement, return_on_condition_failure);
            write(region, statement, hints, capacity).await.map_err(|trouble| match trouble {
                Trouble::Api(error) | Trouble::Home(_, error) => error,
                Trouble::Replica(_) => internal("a statement deletes no replica"),
                Trouble::Elsewhere(regions, why, _) => elsewhere(region, &regions, why),
            })
        }
    };
    let (result, consumed) = match result {
        Ok((item, consumed)) => (Ok(item), Some(Spent::Done(consumed))),
        Err(error) => {
            let spent = attempted(region, &parsed, &error);
            (Err(error), spent)
        }
    };
    let table = parsed.target().table.clone();
    // A statement that was refused before it was tried does not name its table.
    let is_tried = result.as_ref().err().is_none_or(|error| {
        StatementAnswer::code(error) != "ValidationError" || error.message.ends_with(OF_THE_KEY)
    });
    (StatementAnswer { table: is_tried.then_some(table), result }, consumed)
}

/// What a write costs that was tried and not done: as much as one of the larger of the item that
/// is there and the item that it brought (measured on the service by dynoxide's authors).
fn attempted(region: &Region, statement: &Statement, error: &ApiError) -> Option<Spent> {
    if !matches!(error.kind, ErrorKind::ConditionalCheckFailed | ErrorKind::DuplicateItem) {
        return None;
    }
    let catalog = region.catalog();
    let table = &statement.target().table;
    let entry = serving(region, &catalog, table).ok()?;
    let op = statement.write(&entry.schema).ok()?;
    let brought = match &op.action {
        Action::Put(item) => item_size(item),
        _ => 0,
    };
    let key = ItemKey { table: entry.id, primary: op.key };
    let view = region.store.snapshot().ok()?;
    let stored = region.pace.read(|| view.get_item(&key, &entry.settings.policy)).ok()?;
    let bytes = stored.as_ref().map_or(0, item_size).max(brought);
    Some(Spent::Failed(table.clone(), write_units(bytes)))
}

/// The one item that a `SELECT` of a batch names.
fn get(
    region: &Region,
    select: &Select,
    hints: &Hints,
    (consistent, capacity): (bool, ReturnCapacity),
) -> Result<(Option<Attributes>, Consumed), ApiError> {
    let catalog = region.catalog();
    let table = &select.target.table;
    let entry = serving(region, &catalog, table);
    read::check_refusal(entry.as_deref().ok(), select)?;
    let entry = entry?;
    read::check_index(entry, select)?;
    let key = key_of(entry, select, "BatchExecuteStatement")?;
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let key = ItemKey { table: entry.id, primary: key };
    let item = region.pace.read(|| view.get_item(&key, &entry.settings.policy));
    let item = item.map_err(|fault| store_fault(region, fault))?;
    hints.session.saw(&view.rests_on());
    let units = read_units(item.as_ref().map_or(0, item_size), consistent);
    let item = item.map(|item| select.output().apply(item));
    Ok((item, consumed(table, units, capacity)))
}

fn key_of(entry: &TableEntry, select: &Select, within: &str) -> Result<PrimaryKey, ApiError> {
    // An index names no item, of whatever type what is said of its keys is.
    let key = match &select.target.index {
        Some(_) => None,
        None => select.key(&entry.schema)?,
    };
    let text = || format!("Select statements within {within} {NEEDS_KEY}");
    key.ok_or_else(|| ApiError::validation(text()))
}

pub(super) async fn transaction(
    region: &Arc<Region>,
    request: ExecuteTransaction,
    hints: &Arc<Hints>,
) -> Result<Vec<u8>, Trouble> {
    if request.is_read() {
        let (region, hints) = (Arc::clone(region), Arc::clone(hints));
        return Ok(blocking(move || get_all(&region, &request, &hints)).await?);
    }
    let catalog = region.catalog();
    // What it wants to be told makes no other request of it.
    let digest = *blake3::hash(format!("{:?}", request.statements).as_bytes()).as_bytes();
    let (mut names, mut ops) = (Vec::new(), Vec::new());
    // Every statement that keeps the transaction from being tried is a reason.
    let mut reasons: Vec<Option<CancellationReason>> = vec![None; request.statements.len()];
    for (at, (statement, on_failure)) in request.statements.iter().enumerate() {
        let entry = match serving(region, &catalog, &statement.target().table) {
            Ok(entry) => entry,
            Err(error) => {
                reasons[at] = Some(error.into());
                continue;
            }
        };
        match statement.write(&entry.schema) {
            Ok(op) => {
                ops.push((entry.id, WriteOp { return_on_condition_failure: *on_failure, ..op }))
            }
            Err(error) => reasons[at] = Some(untimely(at, statement, &entry.schema, error)?),
        }
        names.push(statement.target().table.clone());
    }
    if reasons.iter().any(Option::is_some) {
        return Err(cancelled(reasons).into());
    }
    once_each(ops.iter().map(|(table, op)| (*table, &op.key)))?;
    let token = request.token.clone().map(|token| (token, digest));
    let writes = Writes { names, ops, token, capacity: request.capacity };
    match transact::commit(region, &catalog, writes, hints).await {
        Ok(consumed) => Ok(response::transact_get(&[], &consumed)),
        Err(Trouble::Api(error)) => Err(named(error, &request).into()),
        Err(other) => Err(other),
    }
}

/// Why a statement keeps its transaction from being tried: what is wrong with its key cancels it,
/// and whatever else is wrong refuses the request.
fn untimely(
    at: usize,
    statement: &Statement,
    schema: &Schema,
    error: partiql::Error,
) -> Result<CancellationReason, ApiError> {
    let refused = match (&error, statement.put_refusal(schema)) {
        (partiql::Error::KeyType(_) | partiql::Error::KeyKind(..), Some(text)) => text,
        (partiql::Error::KeyType(_), None) => MISMATCH.to_owned(),
        _ => return Err(ExecuteTransaction::refused(at, &error.into())),
    };
    Ok(ApiError::validation(refused).into())
}

/// An `INSERT` that failed its condition says why in words of its own.
fn named(mut error: ApiError, request: &ExecuteTransaction) -> ApiError {
    for (reason, (statement, _)) in error.reasons.iter_mut().zip(&request.statements) {
        if statement.is_insert() && reason.code == "ConditionalCheckFailed" {
            let failed = ApiError::new(ErrorKind::ConditionalCheckFailed, String::new());
            let failed = ApiError { item: reason.item.take(), ..failed };
            *reason = CancellationReason::from(duplicate(failed));
        }
    }
    if error.reasons.is_empty() {
        return error;
    }
    cancelled(error.reasons.into_iter().map(Some))
}

fn once_each<'k, T: Ord>(keys: impl Iterator<Item = (T, &'k PrimaryKey)>) -> Result<(), ApiError> {
    let (mut seen, mut keys) = (BTreeSet::new(), keys);
    if keys.all(|key| seen.insert(key)) {
        return Ok(());
    }
    let text = "Transaction request cannot include multiple operations on one item";
    Err(ApiError::validation(text))
}

/// From one snapshot, as `TransactGetItems`.
fn get_all(
    region: &Region,
    request: &ExecuteTransaction,
    hints: &Hints,
) -> Result<Vec<u8>, ApiError> {
    let catalog: Arc<Catalog> = region.catalog();
    let mut keys = Vec::with_capacity(request.statements.len());
    let mut reasons: Vec<Option<CancellationReason>> = vec![None; request.statements.len()];
    for (at, (statement, _)) in request.statements.iter().enumerate() {
        let Statement::Select(select) = statement else { continue };
        let entry = match serving(region, &catalog, &select.target.table) {
            Ok(entry) => entry,
            Err(error) => {
                reasons[at] = Some(error.into());
                continue;
            }
        };
        if let Err(error @ partiql::Error::KeyType(_)) = select.key(&entry.schema) {
            reasons[at] = Some(untimely(at, statement, &entry.schema, error)?);
            continue;
        }
        let key = key_of(entry, select, "ExecuteTransaction");
        let key = key.map_err(|error| ExecuteTransaction::refused(at, &error))?;
        keys.push((entry, select, key));
    }
    if reasons.iter().any(Option::is_some) {
        return Err(cancelled(reasons));
    }
    once_each(keys.iter().map(|(entry, _, key)| (entry.id, key)))?;
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let (mut items, mut units, mut total) = (Vec::new(), BTreeMap::<&str, f64>::new(), 0);
    for (entry, select, primary) in keys {
        let key = ItemKey { table: entry.id, primary };
        let item = region.pace.read(|| view.get_item(&key, &entry.settings.policy));
        let item = item.map_err(|fault| store_fault(region, fault))?;
        let bytes = item.as_ref().map_or(0, item_size);
        total += bytes;
        if total > TRANSACTION_BYTES_MAX {
            let text = "The aggregate size of the items in the transaction cannot exceed 4 MB";
            return Err(ApiError::validation(text));
        }
        *units.entry(&select.target.table).or_default() += 2.0 * read_units(bytes, true);
        items.push(item.map(|item| select.output().apply(item)));
    }
    hints.session.saw(&view.rests_on());
    let of = |(name, units)| Consumed {
        kind: UnitKind::Read,
        ..consumed(name, units, request.capacity)
    };
    let consumed: Vec<Consumed> = units.into_iter().map(of).collect();
    Ok(response::transact_get(&items, &consumed))
}
