//! The DynamoDB API of one region: reads from local snapshots, writes through the local writer.
//!
//! No request waits on another region, unless it asks for more than this one has.

pub(super) mod auth;
pub(super) mod backups;
mod collections;
mod control;
mod cors;
mod encoding;
pub(super) mod front;
mod hints;
mod items;
mod pages;
mod partiql;
mod rare;
pub(super) mod restore;
mod search;
mod streams;
mod tables;
mod transact;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use pangea_codec::dynamo::request::{Operation, Request as Dynamo};
use pangea_codec::dynamo::{ApiError, Arns, ErrorKind, decode};
use pangea_core::catalog::{Catalog, Foreign, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::node::Elsewhere;
use pangea_core::time::Stamp;
use tokio::sync::Semaphore;

use super::session::{self, Gate, Way};
use super::writer::WriteFault;
use super::{Region, forward, reads};
use crate::guard;
use crate::http::{self, Reply};
use crate::storage::Fault;
use auth::Caller;
pub(super) use control::Transfers;
use hints::Hints;
use rare::Rare;

/// Long reads at a time: the rest of the blocking threads is for the feeds of peers.
static READS: Semaphore = Semaphore::const_new(32);

/// A request that is to be done, and for whom.
struct Call<'a> {
    operation: Operation,
    caller: Caller<'a>,
    headers: &'a HeaderMap,
    rare: Rare,
    /// JSON.
    body: Bytes,
    /// Of the answer.
    content_type: &'static str,
}

async fn hinted(region: &Arc<Region>, call: Call<'_>) -> Reply {
    let content_type = call.content_type;
    let hints = match Hints::of(region, call.headers, call.rare) {
        Ok(hints) => Arc::new(hints),
        Err(error) => return front::refused(region, &error, content_type),
    };
    let mut reply = match handle(region, call, &hints).await {
        Ok(Handled::Here(body)) => http::reply(StatusCode::OK, content_type, body),
        // It has said all there is to say.
        Ok(Handled::Elsewhere(reply)) => return reply,
        Err(error) => front::refused(region, &error, content_type),
    };
    hints.answer(region, reply.headers_mut());
    reply
}

/// The body of a response, or a whole response.
enum Handled {
    Here(Vec<u8>),
    Elsewhere(Reply),
}

async fn handle(
    region: &Arc<Region>,
    call: Call<'_>,
    hints: &Arc<Hints>,
) -> Result<Handled, ApiError> {
    let Call { operation, caller, headers, body, .. } = call;
    region.counts.requests.fetch_add(1, Relaxed);
    region.injection.meet();
    let asked = decode(operation, &body)?;
    caller.may(operation.name(), || asked.tables())?;
    if is_of_a_table(&asked) {
        tables::check_arn(region, operation.name(), &body)?;
    }
    let by_key = matches!(asked, Dynamo::GetItem(_) | Dynamo::BatchGetItem(_));
    if hints.read.is_wide() && !by_key {
        let text = format!("{} is for GetItem and BatchGetItem", reads::READ);
        return Err(ApiError::validation(text));
    }
    // A read of several regions looks where its session has been; what a region keeps for itself is
    // nothing that sessions have seen.
    let for_itself = matches!(asked, Dynamo::Streams(_) | Dynamo::Backup(_));
    if !hints.read.is_wide()
        && !hints.session.is_new()
        && !for_itself
        && let Some(reply) = Box::pin(admit(region, headers, &body, &asked, hints)).await?
    {
        return Ok(Handled::Elsewhere(reply));
    }
    if let Some(body) = at_once(region, &asked, hints)? {
        return Ok(Handled::Here(body));
    }
    let longer = hints.durability.patience();
    let spans = matches!(asked, Dynamo::TransactWriteItems(_) | Dynamo::ExecuteTransaction(_));
    let arns = if asked.is_told_of_tables() { Arns::of(&body) } else { Arns::default() };
    match Box::pin(execute(region, asked, hints)).await {
        Ok(body) => Ok(Handled::Here(arns.in_answer(body))),
        Err(Trouble::Api(error)) => Err(error),
        Err(Trouble::Home(_, error)) if hints.forwarded => Err(error),
        Err(Trouble::Replica(entry)) => Box::pin(tables::leave(region, &entry, headers)).await,
        Err(Trouble::Home(home, _)) => {
            let onward = forward::Request::of_client(headers, body, longer);
            let answered = Box::pin(forward::first(region, &[home], &onward, false)).await;
            let none = |error| internal(format!("the home region of the table was {error}"));
            answered.map(Handled::Elsewhere).map_err(none)
        }
        Err(Trouble::Elsewhere(regions, why, foreign)) => {
            if foreign == Foreign::Refuse || hints.forwarded {
                let error = items::elsewhere(region, &regions, why);
                return Err(if spans { transact::parted(region, &error) } else { error });
            }
            let onward = forward::Request::of_client(headers, body, longer);
            let answered = Box::pin(forward::first(region, &regions, &onward, false)).await;
            let none = |error: forward::Error| {
                internal(format!("the region that may do this was {error}"))
            };
            answered.map(Handled::Elsewhere).map_err(none)
        }
    }
}

/// Whether it is about a table rather than what is in it: nothing that is asked often.
const fn is_of_a_table(asked: &Dynamo) -> bool {
    matches!(
        asked,
        Dynamo::Control(_)
            | Dynamo::Backup(_)
            | Dynamo::DescribeTable(_)
            | Dynamo::UpdateTable(_)
            | Dynamo::DeleteTable(_)
    )
}

/// Why there is no success here.
enum Trouble {
    Api(ApiError),
    /// This region, the table's home, has to change it.
    Home(RegionSlot, ApiError),
    /// The table whose replica here is to be deleted, by the table's home.
    Replica(Box<TableEntry>),
    /// One of these regions has to do the write.
    Elsewhere(Vec<RegionSlot>, Elsewhere, Foreign),
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// Holds a request until this region has seen what its session has. `None` if it is to be answered
/// here, else another region's answer.
async fn admit(
    region: &Region,
    headers: &HeaderMap,
    body: &Bytes,
    asked: &Dynamo,
    hints: &Hints,
) -> Result<Option<Reply>, ApiError> {
    let tables = asked.tables();
    let mut gate = Gate::new(region, &hints.session, &tables, hints.forwarded);
    loop {
        match gate.way().await? {
            Way::Here(stale) => {
                hints.tell(stale.map(|missing| (session::STALE, missing)).into_iter().collect());
                return Ok(None);
            }
            Way::Forward(regions) => {
                let longer = hints.durability.patience();
                let onward = forward::Request::of_client(headers, body.clone(), longer);
                match forward::first(region, &regions, &onward, asked.is_read()).await {
                    Ok(reply) => {
                        gate.forwarded();
                        return Ok(Some(reply));
                    }
                    Err(forward::Error::Unreachable(_)) => gate.unreachable(),
                    Err(error @ forward::Error::Unknown(_)) => {
                        return Err(internal(format!("the region that may do this was {error}")));
                    }
                }
            }
        }
    }
}

/// Whether the region serves anything.
fn serves(region: &Region) -> Result<(), ApiError> {
    served(region, &region.catalog())
}

/// See [`serves`], of the regions that `catalog` names.
fn served(region: &Region, catalog: &Catalog) -> Result<(), ApiError> {
    super::members::unserved(region, catalog).map_or(Ok(()), |why| Err(internal(why)))
}

/// The answer, where nothing is waited for: most reads of one item.
fn at_once(region: &Region, request: &Dynamo, hints: &Hints) -> Result<Option<Vec<u8>>, ApiError> {
    let Dynamo::GetItem(get) = request else { return Ok(None) };
    serves(region)?;
    items::get_at_once(region, get, hints)
}

/// The answer of every operation. Those that are rare are kept beside the future, which is moved
/// for each request.
async fn execute(
    region: &Arc<Region>,
    request: Dynamo,
    hints: &Arc<Hints>,
) -> Result<Vec<u8>, Trouble> {
    serves(region)?;
    Ok(match request {
        Dynamo::GetItem(get) => items::get(region, &get, hints).await?,
        Dynamo::PutItem(put) => items::put(region, put, hints).await?,
        Dynamo::UpdateItem(update) => items::update(region, update, hints).await?,
        Dynamo::DeleteItem(delete) => items::delete(region, delete, hints).await?,
        Dynamo::Query(query) => {
            let (region, hints) = (Arc::clone(region), Arc::clone(hints));
            blocking(move || pages::query(&region, &query, &hints)).await?
        }
        Dynamo::Scan(scan) => {
            let (region, hints) = (Arc::clone(region), Arc::clone(hints));
            blocking(move || pages::scan(&region, &scan, &hints)).await?
        }
        Dynamo::SearchVectors(search) => {
            let (region, hints) = (Arc::clone(region), Arc::clone(hints));
            blocking(move || search::search(&region, &search, &hints)).await?
        }
        Dynamo::BatchGetItem(batch) => Box::pin(items::batch_get(region, batch, hints)).await?,
        Dynamo::BatchWriteItem(batch) => Box::pin(items::batch_write(region, batch, hints)).await?,
        Dynamo::TransactGetItems(get) => {
            let (region, hints) = (Arc::clone(region), Arc::clone(hints));
            blocking(move || transact::get(&region, &get, &hints)).await?
        }
        Dynamo::TransactWriteItems(write) => {
            Box::pin(transact::write(region, write, hints)).await?
        }
        Dynamo::ExecuteStatement(execute) => {
            Box::pin(partiql::execute(region, execute, hints)).await?
        }
        Dynamo::BatchExecuteStatement(batch) => {
            Box::pin(partiql::batch(region, batch, hints)).await?
        }
        Dynamo::ExecuteTransaction(transaction) => {
            Box::pin(partiql::transaction(region, transaction, hints)).await?
        }
        Dynamo::CreateTable(create) => {
            defined(region, hints, Box::pin(tables::create(region, create)).await)?
        }
        Dynamo::UpdateTable(update) => {
            defined(region, hints, Box::pin(tables::update(region, update)).await)?
        }
        Dynamo::DeleteTable(delete) => {
            defined(region, hints, Box::pin(tables::delete(region, &delete)).await)?
        }
        Dynamo::DescribeTable(describe) => tables::describe(region, &describe)?,
        Dynamo::ListTables(list) => tables::list(region, &list),
        Dynamo::Streams(request) => Box::pin(streams::answer(region, request)).await?,
        Dynamo::Backup(request) if request.is_read() => {
            Box::pin(backups::answer(region, request)).await?
        }
        Dynamo::Backup(request) => {
            defined(region, hints, Box::pin(backups::answer(region, request)).await)?
        }
        Dynamo::Control(asked) if asked.is_read() => {
            Box::pin(control::answer(region, asked)).await?
        }
        Dynamo::Control(asked) => {
            defined(region, hints, Box::pin(control::answer(region, asked)).await)?
        }
    })
}

/// A change of the catalog is among what the region had closed when it answered.
fn defined(
    region: &Region,
    hints: &Hints,
    body: Result<Vec<u8>, Trouble>,
) -> Result<Vec<u8>, Trouble> {
    let origin = region.writer.observed().origin;
    let closed = region.writer.progress().borrow().closed;
    hints.session.wrote(Stamp { hlc: closed, origin });
    body
}

/// Reads that may touch many rows keep off the threads that serve connections.
async fn blocking(
    read: impl FnOnce() -> Result<Vec<u8>, ApiError> + Send + 'static,
) -> Result<Vec<u8>, ApiError> {
    let _room = READS.acquire().await.map_err(|_| internal("the region is stopping"))?;
    match tokio::task::spawn_blocking(move || guard::caught(read)).await {
        Ok(Ok(body)) => body,
        Ok(Err(panicked)) => Err(internal(panicked.to_string())),
        Err(_) => Err(internal("the read was cancelled")),
    }
}

fn internal(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InternalServer, text)
}

/// A read failed; if for damage, that is looked after.
pub(super) fn store_fault(region: &Region, fault: Fault) -> ApiError {
    region.repairs.suspicion().of(&fault);
    tracing::error!(error = %fault, "a read failed");
    internal(fault.for_clients())
}

fn write_fault(fault: WriteFault) -> ApiError {
    internal(fault.to_string())
}

/// The table that this region serves under `name`.
fn serving<'c>(
    region: &Region,
    catalog: &'c Catalog,
    name: &str,
) -> Result<&'c TableEntry, ApiError> {
    let Some(entry) = catalog.find(region.slot, name) else {
        return Err(gone(region, catalog));
    };
    if catalog.is_behind(entry, region.slot) {
        let text = format!(
            "{} is catching up: more was written elsewhere to tables of groups than it can show \
             whole at once; try again, or ask another region",
            region.name
        );
        return Err(ApiError::new(ErrorKind::ServiceUnavailable, text));
    }
    // What is being restored is being made: nobody reads or writes it.
    let serves = |entry: &&TableEntry| {
        catalog.is_serving(entry, region.slot) && !tables::is_restoring(entry)
    };
    Some(entry).filter(serves).ok_or_else(|| gone(region, catalog))
}

/// No such table: or the regions decided since the request came in that this one serves none.
fn gone(region: &Region, catalog: &Catalog) -> ApiError {
    served(region, catalog).err().unwrap_or_else(missing)
}

fn missing() -> ApiError {
    ApiError::new(ErrorKind::ResourceNotFound, "Requested resource not found")
}
