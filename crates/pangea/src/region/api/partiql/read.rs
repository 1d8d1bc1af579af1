//! Pages of a `SELECT`.

use data_encoding::BASE64URL_NOPAD;
use pangea_codec::dynamo::capacity::{Consumed, fetched_units, read_units};
use pangea_codec::dynamo::request::{ExecuteStatement, Indexed};
use pangea_codec::dynamo::{ApiError, attributes_to_json, decode_attributes, response};
use pangea_core::catalog::TableEntry;
use pangea_core::expr::{IndexRange, KeyRange};
use pangea_core::index::{Index, IndexEntry, Projected};
use pangea_core::item::{Attributes, item_size};
use pangea_core::partiql::{Output, Read, Select, Statement};
use pangea_core::table::{Page, Schema};

use super::super::hints::Hints;
use super::super::items::consumed;
use super::super::tables::early;
use super::super::{serving, store_fault};
use crate::region::Region;
use crate::storage::StoreView;

/// Where a page ended: in which of the ranges, and behind which key, if within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    range: usize,
    after: Option<Attributes>,
}

/// What a page has so far.
struct Found {
    items: Vec<Attributes>,
    /// Items read, and their bytes as they are projected.
    scanned: usize,
    bytes: usize,
    /// Bytes, in full read units, of whole items behind an index that does not have all of them.
    fetched: usize,
}

pub(super) fn page(
    region: &Region,
    request: &ExecuteStatement,
    hints: &Hints,
) -> Result<Vec<u8>, ApiError> {
    let Statement::Select(select) = &request.statement else {
        return Err(ApiError::validation("not a SELECT"));
    };
    let catalog = region.catalog();
    let table = &select.target.table;
    let entry = serving(region, &catalog, table);
    check_refusal(entry.as_deref().ok(), select)?;
    let entry = entry?;
    let index = check_index(entry, select)?;
    if index.is_some_and(|index| !index.local && request.consistent) {
        let text = "Strongly consistent read is not supported on Global Secondary Indexes";
        return Err(ApiError::validation(text));
    }
    let read = match index {
        Some(index) => select.resolve(&schema_of(index))?,
        None => select.resolve(&entry.schema)?,
    };
    let whole = match index {
        Some(index) => is_whole(entry, index, &read.output)?,
        None => false,
    };
    if let Some(index) = index.filter(|_| read.is_query) {
        Indexed::check_filter(index, &entry.schema, read.filter.as_ref())?;
    }
    let print = fingerprint(request);
    let start = request.next_token.as_ref().map(|token| place_of(token, &print));
    let start = start.transpose()?.unwrap_or_default();
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    let mut reader = Reader { region, entry, view, request, read: &read, whole };
    let (found, next) = match index {
        Some(index) => reader.index(index, start)?,
        None => reader.table(start)?,
    };
    hints.session.saw(&reader.view.rests_on());
    let fetched = fetched_units(found.fetched, request.consistent);
    let mut told: Consumed = consumed(table, fetched, request.capacity);
    let units = read_units(found.bytes, request.consistent);
    match index {
        Some(index) => told.add(&index.name, index.local, units),
        None => told.units += units,
    }
    let output = |item: Attributes| read.output.apply(item);
    let items: Vec<Attributes> = found.items.into_iter().map(output).collect();
    let token = next.as_ref().map(|place| token_of(place, &print));
    let last = next.as_ref().and_then(|place| place.after.as_ref());
    let next = token.as_deref().map(|token| (token, last));
    Ok(response::statement(&items, next, Some(&told)))
}

/// Refuses a statement for what it wants, whether or not its table is there.
pub(super) fn check_refusal(entry: Option<&TableEntry>, select: &Select) -> Result<(), ApiError> {
    let Some(text) = select.refusal() else { return Ok(()) };
    let index = select.target.index.as_ref();
    if let Some(index) = entry.zip(index).and_then(|(entry, name)| entry.index(name)) {
        check_attributes(index)?;
    }
    Err(ApiError::validation(text))
}

/// The index that a statement names: one that PartiQL reads.
pub(super) fn check_index<'t>(
    entry: &'t TableEntry,
    select: &Select,
) -> Result<Option<&'t Index>, ApiError> {
    let Some(name) = &select.target.index else { return Ok(None) };
    let Some(index) = entry.index(name) else {
        let text = "The table does not have the specified index";
        return Err(ApiError::validation(text));
    };
    if index.vector.is_some() {
        let text = "Scan operation not supported on this index type";
        return Err(ApiError::validation(text));
    }
    check_attributes(index)?;
    Ok(Some(index))
}

/// Keys of an index of which a part is several attributes are beyond PartiQL.
fn check_attributes(index: &Index) -> Result<(), ApiError> {
    if index.partition.len() <= 1 && index.sort.len() <= 1 {
        return Ok(());
    }
    Err(ApiError::validation(
        "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or \
         multi-attribute RANGE keys.",
    ))
}

/// The key of an index of single attributes.
fn schema_of(index: &Index) -> Schema {
    let partition = index.partition.first().cloned().expect("an index has a partition key");
    Schema { partition, sort: index.sort.first().cloned() }
}

/// Whether items are read whole from the table, because the index does not have what is wanted.
fn is_whole(entry: &TableEntry, index: &Index, output: &Output) -> Result<bool, ApiError> {
    let Some(roots) = output.roots() else { return Ok(false) };
    let shows = |name: &str| match &index.projected {
        Projected::All => true,
        Projected::Keys => false,
        Projected::Include(names) => names.iter().any(|it| it == name),
    };
    let is_key = |name: &str| {
        entry.schema.key_names().any(|key| key == name)
            || index.attributes().any(|key| key.name == name)
    };
    let hidden: Vec<&str> =
        roots.into_iter().filter(|name| !shows(name) && !is_key(name)).collect();
    if hidden.is_empty() || index.local {
        return Ok(!hidden.is_empty());
    }
    Err(ApiError::validation(format!(
        "One or more parameter values were invalid: Global secondary index {} does not project [{}]",
        index.name,
        hidden.join(", ")
    )))
}

struct Reader<'r> {
    region: &'r Region,
    entry: &'r TableEntry,
    view: StoreView,
    request: &'r ExecuteStatement,
    read: &'r Read,
    whole: bool,
}

impl Reader<'_> {
    fn empty(&self) -> Found {
        Found { items: Vec::new(), scanned: 0, bytes: 0, fetched: 0 }
    }

    /// A page that takes what is still wanted.
    fn part(&self, found: &Found) -> Page {
        let limit = [self.request.limit, self.read.page_items].into_iter().flatten().min();
        let limit = limit.map(|limit| limit.saturating_sub(found.scanned));
        Page::continued(self.read.filter.clone(), limit, (found.bytes, found.fetched))
    }

    /// The ranges that are left to read: everything is one.
    fn ranges(&self) -> Vec<Option<&KeyRange>> {
        match &self.read.ranges {
            Some(ranges) => ranges.iter().map(Some).collect(),
            None => vec![None],
        }
    }

    fn table(&mut self, start: Place) -> Result<(Found, Option<Place>), ApiError> {
        let (region, entry) = (self.region, self.entry);
        let fault = |fault| store_fault(region, fault);
        let of = (entry.id, &entry.settings.policy);
        let (mut found, reverse) = (self.empty(), !self.read.forward);
        let ranges = self.ranges();
        for (at, range) in ranges.iter().enumerate().skip(start.range) {
            let after = start.after.as_ref().filter(|_| at == start.range);
            let after = after.map(|key| entry.schema.exact_key(key)).transpose()?;
            let mut page = self.part(&found);
            let push = |key: &_, row: &_, bytes| page.push(key, row, bytes);
            match range {
                Some(range) => {
                    self.view.query(of, range, reverse, after.as_ref(), push).map_err(fault)?;
                }
                None => self.view.scan(of, None, after.as_ref(), push).map_err(fault)?,
            }
            let result = page.finish();
            found.scanned += result.scanned_count;
            found.bytes = result.scanned_bytes;
            found.items.extend(result.items);
            if let Some(last) = result.last_evaluated {
                let after = Some(entry.schema.attributes_of(&last));
                return Ok((found, Some(Place { range: at, after })));
            }
        }
        Ok((found, None))
    }

    /// As [`Reader::table`], of an index.
    fn index(&mut self, index: &Index, start: Place) -> Result<(Found, Option<Place>), ApiError> {
        let (region, entry, whole) = (self.region, self.entry, self.whole);
        let fault = |fault| store_fault(region, fault);
        let is_ready = self.view.is_index_ready(entry.id, index.id).map_err(fault)?;
        if !is_ready || early(region, index).is_some() {
            let text = "Cannot read from backfilling global secondary index";
            return Err(ApiError::validation(format!("{text}: {}", index.name)));
        }
        let (mut found, reverse) = (self.empty(), !self.read.forward);
        let ranges = self.ranges();
        for (at, range) in ranges.iter().enumerate().skip(start.range) {
            let after = start.after.as_ref().filter(|_| at == start.range);
            let after = after.map(|key| entry_of(entry, index, key)).transpose()?;
            let mut page = self.part(&found);
            let mut last = None;
            let push = |key: &_, item: &Attributes| {
                let shown = index.project(&entry.schema, item.clone());
                let bytes = item_size(&shown);
                let flow = if whole {
                    page.push_fetched(key, item, bytes, item_size(item))
                } else {
                    page.push(key, &shown, bytes)
                };
                if flow.is_break() {
                    last = Some(key_of(entry, index, item));
                }
                flow
            };
            match range {
                Some(range) => {
                    let range = IndexRange {
                        partition: vec![range.partition.clone()],
                        exact: Vec::new(),
                        sort: range.sort.clone(),
                    };
                    let of = (entry, index);
                    self.view.query_index(of, &range, reverse, after.as_ref(), push)
                }
                None => self.view.scan_index((entry, index), None, after.as_ref(), push),
            }
            .map_err(fault)?;
            let result = page.finish();
            found.scanned += result.scanned_count;
            found.bytes = result.scanned_bytes;
            found.fetched = result.fetched_bytes;
            found.items.extend(result.items);
            if last.is_some() {
                return Ok((found, Some(Place { range: at, after: last })));
            }
        }
        Ok((found, None))
    }
}

/// The key of an item in table and index.
fn key_of(entry: &TableEntry, index: &Index, item: &Attributes) -> Attributes {
    let mut key = item.clone();
    key.retain(|name, _| {
        entry.schema.key_names().any(|key| key == name)
            || index.attributes().any(|key| key.name == *name)
    });
    key
}

fn entry_of(entry: &TableEntry, index: &Index, key: &Attributes) -> Result<IndexEntry, ApiError> {
    let mut own = key.clone();
    own.retain(|name, _| entry.schema.key_names().any(|key| key == name));
    let primary = entry.schema.exact_key(&own)?;
    let key = index.key_of(key).ok_or_else(invalid_token)?;
    Ok(IndexEntry { table: entry.id, index: index.id, key, primary })
}

fn invalid_token() -> ApiError {
    ApiError::validation("Invalid NextToken")
}

/// What a token holds of its request: another one does not go on there.
fn fingerprint(request: &ExecuteStatement) -> String {
    let hash = blake3::hash(format!("{:?}", request.statement).as_bytes());
    hash.to_hex()[..16].to_string()
}

fn token_of(place: &Place, print: &str) -> String {
    let key = place.after.as_ref().map(attributes_to_json).unwrap_or_default();
    let text = [format!("{print} {} ", place.range).into_bytes(), key].concat();
    BASE64URL_NOPAD.encode(&text)
}

fn place_of(token: &str, print: &str) -> Result<Place, ApiError> {
    let parse = || {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(3, ' ');
        let of = parts.next()?.to_owned();
        let range = parts.next()?.parse().ok()?;
        let key = parts.next()?;
        let after =
            if key.is_empty() { None } else { Some(decode_attributes(key.as_bytes()).ok()?) };
        Some((of, Place { range, after }))
    };
    match parse() {
        Some((of, place)) if of == print => Ok(place),
        Some(_) => Err(ApiError::validation("NextToken does not match request")),
        None => Err(invalid_token()),
    }
}
