//! Change streams: read from this region's journal alone.
//!
//! A shard is a span of time, one is open at a time, and none is closed before it is certain that
//! no more records come into it: a reader that has seen the end of one goes on to its child and
//! never looks back.

use std::ops::ControlFlow;
use std::sync::Arc;

use pangea_codec::dynamo::ApiError;
use pangea_codec::dynamo::request::{
    DescribeStream, GetRecords, GetShardIterator, IteratorStart, ListStreams, StreamsRequest,
};
use pangea_codec::dynamo::streams::{
    self, Position, SequenceNumber, Shown, ShownRecord, StreamArn,
};
use pangea_codec::dynamo::table::stream_label;
use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::item::item_size;
use pangea_core::journal::{Record, Shard, Stream, moment_of, sequence_at};

use super::store_fault;
use crate::region::Region;
use crate::storage::{Fault, StoreView};
use crate::versions::format_stamp;

/// A shard whose time is over this long takes no more records, ms: while the process lives none of
/// before comes, and after a restart the clock is not further back than this. A later record of the
/// region shows it at once.
const GRACE_MS: u64 = 60_000;
/// What the moment that a client reads off its clock may be rounded up by, ms.
const ROUNDED_MS: u64 = 1;
/// Records that one answer looks at, its own among those of other streams.
const LOOKED_AT_MAX: usize = 20_000;

/// A stream of a table that this region holds, or held.
struct Known<'c> {
    entry: &'c TableEntry,
    stream: Stream,
    arn: StreamArn,
}

/// A state of the store.
struct Look {
    view: StoreView,
    /// No record of before this moment will come that the state does not have, ms since 1970: by
    /// the writer's time, which need not be that of the wall clock.
    until_ms: u64,
}

/// Answers a request of the API of change streams.
pub(super) async fn answer(
    region: &Arc<Region>,
    request: StreamsRequest,
) -> Result<Vec<u8>, ApiError> {
    let region = Arc::clone(region);
    super::blocking(move || match request {
        StreamsRequest::ListStreams(list) => Ok(list_streams(&region, &list)),
        StreamsRequest::DescribeStream(describe) => describe_stream(&region, &describe),
        StreamsRequest::GetShardIterator(get) => shard_iterator(&region, &get),
        StreamsRequest::GetRecords(get) => records(&region, &get),
    })
    .await
}

fn list_streams(region: &Region, list: &ListStreams) -> Vec<u8> {
    let catalog = region.catalog();
    let mut found: Vec<StreamArn> =
        known(region, &catalog).into_iter().map(|known| known.arn).collect();
    found.retain(|arn| list.table.as_ref().is_none_or(|table| *table == arn.table));
    found.sort_unstable();
    if let Some(start) = &list.start {
        let place = |arn: &StreamArn| (arn.table.clone(), arn.label.clone());
        found.retain(|arn| place(arn) > place(start));
    }
    let more = found.len() > list.limit;
    found.truncate(list.limit);
    streams::list(&found, more)
}

fn describe_stream(region: &Region, describe: &DescribeStream) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let known = find(region, &catalog, &describe.stream)?;
    let look = look(region)?;
    let name = |shard: &Shard| known.arn.shard_name(shard.from_ms);
    let wanted = |shard: &Shard| {
        let parent = shard.parent_ms.map(|from_ms| known.arn.shard_name(from_ms));
        let behind = describe.start.as_ref().is_none_or(|start| name(shard) > *start);
        behind && describe.children_of.as_ref().is_none_or(|of| parent.as_ref() == Some(of))
    };
    let mut shards = shards(region, &known.stream, &look)?.filter(wanted);
    let page: Vec<Shard> = shards.by_ref().take(describe.limit).collect();
    let more = shards.next().is_some();
    Ok(streams::describe(&known.arn, &known.stream, &known.entry.schema, &page, more))
}

fn shard_iterator(region: &Region, get: &GetShardIterator) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let known = find(region, &catalog, &get.stream)?;
    let look = look(region)?;
    let mut shards = shards(region, &known.stream, &look)?;
    let shard = shards.find(|shard| known.arn.shard_name(shard.from_ms) == get.shard);
    let shard = shard.ok_or_else(StreamArn::missing_shard)?;
    let (from, until) = shard.sequences(&known.stream);
    let now_ms = region.clock.now().wall_ms;
    let next = match get.start {
        IteratorStart::TrimHorizon => from,
        IteratorStart::Latest if shard.closed_ms.is_some() => until,
        IteratorStart::Latest => {
            let newest = newest(&known, &look.view, (from, until));
            newest.map_err(|fault| store_fault(region, fault))?.map_or(from, |newest| newest + 1)
        }
        IteratorStart::At(sequence) => placed(region, sequence, (from, until), &look)?,
        IteratorStart::After(sequence) => placed(region, sequence, (from, until), &look)? + 1,
        IteratorStart::Time(ms) if ms > now_ms + ROUNDED_MS => return Err(streams::future()),
        IteratorStart::Time(ms) => sequence_at(ms).clamp(from, until),
    };
    // What is before all that is kept is the oldest that is left (API Reference, `Timestamp`).
    let next = if next < kept_from(region, &look) { from } else { next };
    let (table, since_ms) = (known.entry.id, known.stream.since_ms);
    let position = Position { table, since_ms, from_ms: shard.from_ms, next, made_ms: now_ms };
    let iterator = position.to_iterator(&known.arn.text, region.sessions.key());
    Ok(streams::iterator(&iterator))
}

/// The first sequence that is still kept.
fn kept_from(region: &Region, look: &Look) -> u64 {
    sequence_at(look.until_ms.saturating_sub(region.topology.streams.kept_ms()))
}

/// The sequence, if it is one of the shard and still kept.
fn placed(
    region: &Region,
    SequenceNumber(sequence): SequenceNumber,
    (from, until): (u64, u64),
    look: &Look,
) -> Result<u64, ApiError> {
    if sequence < from || sequence >= until {
        return Err(ApiError::validation("Invalid SequenceNumber for the shard"));
    }
    // A shard's own beginning stands for the oldest record that is left.
    if sequence != from && sequence < kept_from(region, look) {
        return Err(streams::trimmed());
    }
    Ok(sequence)
}

fn newest(
    known: &Known<'_>,
    view: &StoreView,
    sequences: (u64, u64),
) -> Result<Option<u64>, Fault> {
    let mut newest = None;
    view.journal_back(known.entry.id, sequences, |record| {
        newest = Some(record.sequence);
        ControlFlow::Break(())
    })?;
    Ok(newest)
}

fn records(region: &Region, get: &GetRecords) -> Result<Vec<u8>, ApiError> {
    let (arn, position) = Position::of_iterator(&get.iterator, region.sessions.key())?;
    let now_ms = region.clock.now().wall_ms;
    if now_ms > position.made_ms.saturating_add(streams::ITERATOR_MS) {
        return Err(streams::expired());
    }
    let catalog = region.catalog();
    let known = find(region, &catalog, &arn)?;
    // What the catalog ends is behind the last record, so the records are read after it.
    let look = look(region)?;
    let mut shards = shards(region, &known.stream, &look)?;
    let shard = shards.find(|shard| shard.from_ms == position.from_ms);
    let shard = shard.ok_or_else(streams::trimmed)?;
    let (from, until) = shard.sequences(&known.stream);
    let kept = kept_from(region, &look);
    if position.next > from && position.next < kept {
        return Err(streams::trimmed());
    }
    let start = position.next.max(from).max(kept);
    let page = page(&known, &look.view, (start, until), get.limit);
    let page = page.map_err(|fault| store_fault(region, fault))?;
    let over = page.whole && shard.closed_ms.is_some();
    let next = Position { next: page.next, made_ms: now_ms, ..position };
    let next = (!over).then(|| next.to_iterator(&known.arn.text, region.sessions.key()));
    let (schema, view) = (&known.entry.schema, known.stream.view);
    let shown = Shown { region: &region.name, arn: &known.arn, view, schema };
    let named = |record: Record| ShownRecord {
        origin: region.region_name(record.stamp.origin.slot()),
        stamp: format_stamp(record.stamp),
        record,
    };
    let records: Vec<ShownRecord> = page.records.into_iter().map(named).collect();
    Ok(streams::records(&shown, &records, next.as_deref()))
}

struct Page {
    records: Vec<Record>,
    /// Where the next page begins.
    next: u64,
    /// Nothing behind it was left out.
    whole: bool,
}

fn page(
    known: &Known<'_>,
    view: &StoreView,
    (start, until): (u64, u64),
    limit: usize,
) -> Result<Page, Fault> {
    let mut page = Page { records: Vec::new(), next: start, whole: true };
    let (mut bytes, mut looked_at) = (0, 0);
    view.journal(known.entry.id, (start, until), |record| {
        let full = page.records.len() >= limit || looked_at >= LOOKED_AT_MAX;
        let size = streams::images(known.stream.view, &record).into_iter().flatten();
        bytes += size.map(item_size).sum::<usize>();
        if full || (bytes > streams::RECORDS_BYTES_MAX && !page.records.is_empty()) {
            page.whole = false;
            return ControlFlow::Break(());
        }
        looked_at += 1;
        page.next = record.sequence + 1;
        if record.stream_ms == known.stream.since_ms {
            page.records.push(record);
        }
        ControlFlow::Continue(())
    })?;
    Ok(page)
}

/// Every stream that may be read here.
fn known<'c>(region: &Region, catalog: &'c Catalog) -> Vec<Known<'c>> {
    let now_ms = region.clock.now().wall_ms;
    let slot = region.slot;
    let here = |entry: &&TableEntry| {
        if entry.deleted { entry.home == slot } else { catalog.is_serving(entry, slot) }
    };
    let streams = catalog.tables().filter(here).flat_map(|entry| {
        entry.streams(now_ms).into_iter().map(move |stream| {
            let arn = StreamArn::new(&region.name, &entry.name, stream_label(stream.since_ms));
            Known { entry, stream, arn }
        })
    });
    streams.collect()
}

fn find<'c>(region: &Region, catalog: &'c Catalog, arn: &StreamArn) -> Result<Known<'c>, ApiError> {
    let mut known = known(region, catalog).into_iter();
    known.find(|known| known.arn == *arn).ok_or_else(|| arn.missing())
}

fn shards(
    region: &Region,
    stream: &Stream,
    look: &Look,
) -> Result<impl Iterator<Item = Shard> + use<>, ApiError> {
    let journaled = look.view.journaled().map_err(|fault| store_fault(region, fault))?;
    let reached_ms = moment_of(journaled).max(look.until_ms.saturating_sub(GRACE_MS));
    let span_ms = region.topology.streams.shard_s.saturating_mul(1000);
    let kept_ms = region.topology.streams.kept_ms();
    Ok(stream.shards(span_ms, reached_ms, look.until_ms.saturating_sub(kept_ms)))
}

/// The moment is read first, so that the state has all that is told to be durable by it.
fn look(region: &Region) -> Result<Look, ApiError> {
    let until_ms = region.writer.observed().journal_ms;
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    Ok(Look { view, until_ms })
}
