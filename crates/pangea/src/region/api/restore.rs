//! Restores: a new table, filled with what a backup has or with what a table had at a moment.
//!
//! The past of a table is what it is now, but for the items that changed since: of those it is what
//! the first record behind the moment says that they were before.
//!
//! A restore is noted with its table until it is whole, so that a process that begins again goes on
//! with it; items that are there already stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use pangea_codec::dynamo::backup::BackupArn;
use pangea_codec::dynamo::request::{
    Encryption, Overrides, RestoreTableFromBackup, RestoreTableToPointInTime, Throughput,
    fit_capacity, foreign, keep,
};
use pangea_codec::dynamo::table::{TableStatus, options, second_text, table_arn};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::{PLACEMENT, TableEntry};
use pangea_core::id::TableId;
use pangea_core::index::Index;
use pangea_core::item::{AttributeValue, Attributes, ItemKey, PrimaryKey, item_size};
use pangea_core::journal::{HISTORY_KEPT_MS, moment_of, sequence_at};
use pangea_core::node::{Change, NewTable, Outcome, TableUpdate};
use pangea_core::table::{Action, WriteOp};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};

use super::tables::{Said, describe_entry};
use super::{Trouble, backups, internal, tables};
use crate::region::Region;
use crate::storage::{Fault, StoreView};

const DAY_MS: u64 = 24 * 3_600_000;
/// Items that are written at once, and their bytes, about.
const PIECE_ITEMS: usize = 256;
const PIECE_BYTES: usize = 1024 * 1024;
/// How long a restore that was broken off waits before it goes on: twice as long each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Where the items come from.
#[derive(Clone, Debug)]
enum Source {
    Backup(BackupArn),
    Past { table: TableId, at_ms: u64 },
}

type Piece = Vec<(PrimaryKey, Attributes)>;

/// `RestoreTableFromBackup`.
pub(super) async fn from_backup(
    region: &Arc<Region>,
    restore: RestoreTableFromBackup,
) -> Result<Vec<u8>, Trouble> {
    let (here, arn) = (Arc::clone(region), restore.backup.clone());
    let found = spawn_blocking(move || backups::find(&here, &arn)).await;
    let view = found.map_err(|_| internal("the region is stopping"))??;
    backups::whole(&view)?;
    // That the target is there is told before.
    if region.catalog().find(region.slot, &restore.target).is_none() {
        backups::idle(region, &view.arn, "another table")?;
    }
    let restored = BTreeMap::from([
        ("backup".to_string(), AttributeValue::S(view.arn.text.clone())),
        ("table".to_string(), AttributeValue::S(table_arn(&region.name, &view.entry.name))),
        ("at_ms".to_string(), options::of_number(view.made_ms)),
    ]);
    let source = Source::Backup(view.arn);
    begin(region, restore.target, &view.entry, restore.overrides, restored, source).await
}

/// `RestoreTableToPointInTime`.
pub(super) async fn to_moment(
    region: &Arc<Region>,
    restore: RestoreTableToPointInTime,
) -> Result<Vec<u8>, Trouble> {
    let catalog = region.catalog();
    let entry = super::serving(region, &catalog, &restore.source);
    let entry = entry.map_err(|_| backups::no_table(&restore.source))?.clone();
    let now_ms = latest_ms(region).map_err(|fault| super::store_fault(region, fault))?;
    let since_ms = entry.history_since_ms().ok_or_else(|| {
        let text = format!("Point in time recovery is not enabled for table '{}'", entry.name);
        ApiError::new(ErrorKind::PointInTimeRecoveryUnavailable, text)
    })?;
    let days = options::number(&entry.options, options::HISTORY_DAYS);
    let kept_ms = days.map_or(HISTORY_KEPT_MS, |days| days * DAY_MS).min(HISTORY_KEPT_MS);
    let earliest_ms = since_ms.max(now_ms.saturating_sub(kept_ms));
    let at_ms = restore.at_ms.unwrap_or(now_ms);
    // Clients may know the ends of the window to the second alone.
    if at_ms / 1000 < earliest_ms / 1000 || at_ms > now_ms {
        let [at, earliest, latest] = [at_ms, earliest_ms, now_ms].map(second_text);
        let text = format!(
            "RestoreDateTime '{at}' must be within EarliestRestorableDateTime '{earliest}' and \
             LatestRestorableDateTime '{latest}'"
        );
        return Err(ApiError::new(ErrorKind::InvalidRestoreTime, text).into());
    }
    let restored = BTreeMap::from([
        ("table".to_string(), AttributeValue::S(table_arn(&region.name, &entry.name))),
        ("at_ms".to_string(), options::of_number(at_ms)),
    ]);
    let source = Source::Past { table: entry.id, at_ms };
    begin(region, restore.target, &entry, restore.overrides, restored, source).await
}

/// The last moment that there is of every table: now, or that of the newest record, because the
/// writer need not go by what the wall clock shows.
pub(super) fn latest_ms(region: &Region) -> Result<u64, Fault> {
    let journaled = region.store.snapshot()?.journaled()?;
    Ok(region.clock.now().wall_ms.max(moment_of(journaled)))
}

async fn begin(
    region: &Arc<Region>,
    target: String,
    like: &TableEntry,
    overrides: Overrides,
    restored: Attributes,
    source: Source,
) -> Result<Vec<u8>, Trouble> {
    if let Some(there) = region.catalog().find(region.slot, &target) {
        return Err(taken(there).into());
    }
    let new = new_table(&target, like, &overrides, restored)?;
    let entry = tables::define(region, &target, Change::Create(new)).await?;
    let said = Said { table: Some(TableStatus::Creating), ..Said::default() };
    let body = describe_entry(region, &region.catalog(), &entry, "TableDescription", said);
    tokio::spawn(run(Arc::clone(region), entry, source));
    Ok(body)
}

/// Why a table cannot be restored under the name of another.
fn taken(there: &TableEntry) -> ApiError {
    let name = &there.name;
    if !tables::is_restoring(there) {
        let text = format!("Table already exists: {name}");
        return ApiError::new(ErrorKind::TableAlreadyExists, text);
    }
    let of = backup_of(there).map_or_else(String::new, |arn| format!(" from backup: {arn}"));
    ApiError::new(ErrorKind::TableInUse, format!("Table: {name} is already being restored{of}"))
}

/// The ARN of the backup that a table is being restored from.
pub(super) fn backup_of(entry: &TableEntry) -> Option<&str> {
    let restored = options::map(&entry.options, options::RESTORED);
    restored.filter(|_| tables::is_restoring(entry)).and_then(|it| options::text(it, "backup"))
}

/// What a restored table has of its source: neither its stream, nor its expiry, nor its tags.
fn new_table(
    target: &str,
    like: &TableEntry,
    overrides: &Overrides,
    restored: Attributes,
) -> Result<NewTable, ApiError> {
    let mut indexes = like.indexes.clone();
    // They are there with the table.
    indexes.iter_mut().for_each(|index| drop(index.options.remove(options::SINCE_MS)));
    let on_demand = overrides.on_demand(like.on_demand)?;
    keep(&mut indexes, overrides.local.as_deref(), |index| index.local, on_demand)?;
    keep(&mut indexes, overrides.global.as_deref(), Index::is_global, on_demand)?;
    if let Some(wanted) = &overrides.vectors {
        let known = |name: &&String| like.index(name).is_some_and(|index| index.vector.is_some());
        if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
            return Err(foreign(unknown));
        }
        indexes.retain(|index| index.vector.is_none() || wanted.contains(&index.name));
    }
    if !on_demand && indexes.iter().any(|index| index.vector.is_some()) {
        return Err(ApiError::validation(
            "One or more parameter values were invalid: Tables with vector indexes must be in \
             PAY_PER_REQUEST mode",
        ));
    }
    let mut shown = shown(like, overrides, on_demand);
    fit_capacity(&mut indexes, (!on_demand).then(|| Throughput::of(&shown)));
    shown.insert(options::RESTORED.to_string(), AttributeValue::M(restored));
    shown.insert(options::RESTORING.to_string(), AttributeValue::Bool(true));
    Ok(NewTable {
        name: target.to_string(),
        schema: like.schema.clone(),
        stream: None,
        on_demand,
        deletion_protection: false,
        // What may not be everywhere may not be so either because it was restored.
        tags: like.tags.iter().filter(|(tag, _)| *tag == PLACEMENT).map(owned).collect(),
        module: None,
        indexes,
        options: shown,
    })
}

fn owned((tag, value): (&String, &String)) -> (String, String) {
    (tag.clone(), value.clone())
}

/// What is only shown of a restored table: its class it has not from its source, but the limits of
/// a table that is paid for by request (measured on the service by the ACK project's users).
fn shown(like: &TableEntry, overrides: &Overrides, on_demand: bool) -> Attributes {
    let units = if on_demand {
        [options::MAX_READ, options::MAX_WRITE]
    } else {
        [options::READ, options::WRITE]
    };
    let kept = [options::SSE_KEY, units[0], units[1]];
    let mut shown: Attributes = like.options.clone();
    shown.retain(|name, _| kept.contains(&name.as_str()));
    let (read, write) = overrides.throughput.unzip();
    let limits = overrides.limits.filter(|_| on_demand).unwrap_or_default();
    let given = [
        (options::READ, read),
        (options::WRITE, write),
        (options::MAX_READ, limits.read),
        (options::MAX_WRITE, limits.write),
    ];
    for (name, units) in given {
        if let Some(units) = units.and_then(|units| u64::try_from(units).ok()) {
            shown.insert(name.to_string(), options::of_number(units));
        }
    }
    match &overrides.encryption {
        None => {}
        Some(Encryption::Default) => drop(shown.remove(options::SSE_KEY)),
        Some(Encryption::Kms(key)) => {
            shown.insert(options::SSE_KEY.to_string(), options::of_text(key));
        }
    }
    shown
}

/// Goes on with what an earlier process has begun.
pub(in crate::region) async fn resume(region: Arc<Region>) {
    let here = Arc::clone(&region);
    if let Ok(Err(fault)) = spawn_blocking(move || backups::tidy(&here)).await {
        tracing::warn!(%fault, "backups that were not ended cannot be removed");
    }
    let catalog = region.catalog();
    for entry in catalog.held_by(region.slot).filter(|entry| entry.home == region.slot) {
        if !options::flag(&entry.options, options::RESTORING) {
            continue;
        }
        let source = options::map(&entry.options, options::RESTORED).and_then(|restored| {
            if let Some(backup) = options::text(restored, "backup") {
                return BackupArn::parse(backup).ok().map(Source::Backup);
            }
            let arn = options::text(restored, "table")?;
            let name = arn.rsplit_once('/')?.1;
            let table = catalog.find(region.slot, name)?.id;
            Some(Source::Past { table, at_ms: options::number(restored, "at_ms")? })
        });
        if let Some(source) = source {
            tokio::spawn(run(Arc::clone(&region), entry.clone(), source));
        }
    }
}

/// Restores a table, however often that is broken off: by a full disk, or while the region takes no
/// writes. What is there already is not written again.
async fn run(region: Arc<Region>, entry: TableEntry, source: Source) {
    let mut pause = RETRY_FIRST;
    loop {
        match fill(&region, &entry, source.clone()).await {
            Ok(items) => return whole(&region, &entry, items).await,
            Err(error) => {
                if let Broken::Store(fault) = &error {
                    region.repairs.suspicion().of(fault);
                }
                tracing::error!(
                    %error, table = entry.name, again_in = ?pause, "a restore broke off"
                );
            }
        }
        tokio::time::sleep(pause).await;
        if region.catalog().get(entry.id).is_none_or(|entry| entry.deleted) {
            return;
        }
        pause = (2 * pause).min(RETRY_MAX);
    }
}

/// Notes that all items are there.
async fn whole(region: &Region, entry: &TableEntry, items: usize) {
    let name = entry.name.clone();
    let done = BTreeMap::from([(options::RESTORING.to_string(), None)]);
    let update = TableUpdate { name: name.clone(), options: done, ..Default::default() };
    // Else the next process begins with it once more, and finds nothing to do.
    if tables::define(region, &name, Change::Update(update)).await.is_err() {
        tracing::warn!(table = name, "a restore is whole and not noted to be");
    }
    tracing::info!(table = name, items, "restored");
}

/// Why a restore broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] Fault),
    #[error("an item was not written: {0}")]
    Write(String),
    #[error("the region is stopping")]
    Stopping,
}

/// How many items were written.
async fn fill(region: &Arc<Region>, entry: &TableEntry, source: Source) -> Result<usize, Broken> {
    let (send, mut pieces) = mpsc::channel(2);
    let (here, into) = (Arc::clone(region), entry.clone());
    let reading = spawn_blocking(move || read(&here, &into, &source, &send));
    let mut items = 0;
    while let Some(piece) = pieces.recv().await {
        items += piece.len();
        write(region, entry, piece).await?;
    }
    reading.await.map_err(|_| Broken::Stopping)??;
    Ok(items)
}

async fn write(region: &Arc<Region>, entry: &TableEntry, piece: Piece) -> Result<(), Broken> {
    let mut writes = JoinSet::new();
    let view = region.store.snapshot()?;
    for (key, item) in piece {
        let (region, table) = (Arc::clone(region), entry.id);
        // An earlier process restored it: clients do not write yet.
        if view.get_stored(&ItemKey { table, primary: key.clone() })?.is_some() {
            continue;
        }
        let op = WriteOp { restores: true, ..WriteOp::new(key, Action::Put(item)) };
        writes.spawn(async move { region.writer.write(table, Box::new(op)).await });
    }
    while let Some(written) = writes.join_next().await {
        let why = match written {
            Ok(Ok(Outcome::Written { .. })) => continue,
            Ok(Ok(Outcome::Refused(refusal))) => refusal.to_string(),
            Ok(Ok(_)) => "the region does not write the table's items".to_owned(),
            Ok(Err(fault)) => fault.to_string(),
            Err(error) => error.to_string(),
        };
        return Err(Broken::Write(why));
    }
    Ok(())
}

/// Sends what is to be written, in pieces.
fn read(
    region: &Region,
    into: &TableEntry,
    source: &Source,
    send: &mpsc::Sender<Piece>,
) -> Result<(), Fault> {
    let view = region.store.snapshot()?;
    let mut pieces = Pieces { send, piece: Vec::new(), bytes: 0 };
    match source {
        Source::Backup(arn) => {
            let mut number = 0;
            while let Some(items) = view.backup_items(&arn.id, number)? {
                for item in items {
                    if let Ok(key) = into.schema.key_of(&item) {
                        pieces.push(key, item)?;
                    }
                }
                number += 1;
            }
        }
        Source::Past { table, at_ms } => {
            let catalog = region.catalog();
            let from = catalog.get(*table).filter(|entry| !entry.deleted);
            let gone = || Fault::Read("the table whose past it is was deleted".to_string());
            past(&view, from.ok_or_else(gone)?, *at_ms, &mut pieces)?;
        }
    }
    pieces.flush()
}

/// The items of a table as they were at a moment.
fn past(
    view: &StoreView,
    from: &TableEntry,
    at_ms: u64,
    pieces: &mut Pieces<'_>,
) -> Result<(), Fault> {
    let (mut changed, mut failed) = (BTreeSet::new(), None);
    let note = |pushed: Result<(), Fault>, failed: &mut Option<Fault>| {
        *failed = pushed.err();
        if failed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    view.journal(from.id, (sequence_at(at_ms + 1), u64::MAX), |record| {
        let key = record.key.primary;
        if !changed.insert(key.clone()) {
            return ControlFlow::Continue(());
        }
        let Some(before) = record.before else { return ControlFlow::Continue(()) };
        note(pieces.push(key, before), &mut failed)
    })?;
    failed.take().map_or(Ok(()), Err)?;
    view.scan((from.id, &from.settings.policy), None, None, |key, item, _| {
        if changed.contains(key) {
            return ControlFlow::Continue(());
        }
        note(pieces.push(key.clone(), item.clone()), &mut failed)
    })?;
    failed.map_or(Ok(()), Err)
}

struct Pieces<'a> {
    send: &'a mpsc::Sender<Piece>,
    piece: Piece,
    bytes: usize,
}

impl Pieces<'_> {
    fn push(&mut self, key: PrimaryKey, item: Attributes) -> Result<(), Fault> {
        self.bytes += item_size(&item);
        self.piece.push((key, item));
        let full = self.piece.len() >= PIECE_ITEMS || self.bytes >= PIECE_BYTES;
        if full { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.bytes = 0;
        let piece = std::mem::take(&mut self.piece);
        let sent = piece.is_empty() || self.send.blocking_send(piece).is_ok();
        if sent { Ok(()) } else { Err(Fault::Read("the region is stopping".to_string())) }
    }
}
