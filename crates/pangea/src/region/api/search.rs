//! `SearchVectors`: the nearest of all items of a partition of an index of vectors.
//!
//! Exact: every vector of the partition is read, and compared. What is kept meanwhile is as many
//! keys as are asked for; only their items are read whole, from the same snapshot. Where the answer
//! says how many bytes were searched, all are.

use std::ops::ControlFlow;

use pangea_codec::dynamo::capacity::ReturnCapacity;
use pangea_codec::dynamo::request::{SearchVectors, Searched};
use pangea_codec::dynamo::{ApiError, response};
use pangea_core::catalog::TableEntry;
use pangea_core::expr::{IndexRange, SortRange};
use pangea_core::index::{Nearest, REQUEST_BYTES_MIN};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, Number, PrimaryKey};

use super::hints::Hints;
use super::tables::phase;
use super::{serving, store_fault};
use crate::region::Region;
use crate::storage::StoreView;

pub(super) fn search(
    region: &Region,
    search: &SearchVectors,
    hints: &Hints,
) -> Result<Vec<u8>, ApiError> {
    let catalog = region.catalog();
    let entry = serving(region, &catalog, &search.table)?;
    let searched = search.resolve(entry)?;
    let view = region.store.snapshot().map_err(|fault| store_fault(region, fault))?;
    if phase(region, &view, entry, searched.index).is_some() {
        let text = format!("Cannot search backfilling vector index: {}", search.index);
        return Err(ApiError::validation(text));
    }
    let key = searched.key(search)?;
    let mut nearest = Nearest::new(search.vector.clone(), searched.vector.distance, search.count);
    let counts = search.capacity != ReturnCapacity::None;
    let mut bytes = 0;
    let met = if counts {
        let range =
            IndexRange { partition: key.partition, exact: Vec::new(), sort: SortRange::All };
        view.query_index((entry, searched.index), &range, false, None, |primary, item| {
            let projected = searched.index.project(&entry.schema, item.clone());
            bytes += searched.vector.entry_bytes(&projected);
            if searched.has(search, item)
                && let Some(vector) = searched.vector.of(item)
            {
                nearest.meet(&vector, || primary.clone());
            }
            ControlFlow::Continue(())
        })
    } else {
        let of = (entry, searched.index, searched.vector);
        view.query_vectors(of, &key.partition, |primary, attributes, vector| {
            if searched.has(search, attributes) {
                nearest.meet(vector, || primary.clone());
            }
        })
    };
    met.map_err(|fault| store_fault(region, fault))?;
    let mut found = Vec::new();
    for (score, primary) in nearest.finish() {
        let Some(item) = read(region, &view, entry, primary)? else { continue };
        found.push((score, searched.shown(search, projected(&searched, entry, item))));
    }
    hints.session.saw(&view.rests_on());
    #[expect(clippy::cast_precision_loss, reason = "it is told, and nothing rests on it")]
    let bytes = counts.then(|| bytes.max(REQUEST_BYTES_MIN) as f64);
    Ok(response::searched(&found, &searched.vector.attribute, bytes))
}

fn read(
    region: &Region,
    view: &StoreView,
    entry: &TableEntry,
    primary: PrimaryKey,
) -> Result<Option<Attributes>, ApiError> {
    let item = view.get_item(&ItemKey { table: entry.id, primary }, &entry.settings.policy);
    item.map_err(|fault| store_fault(region, fault))
}

/// What the index has of an item: the vector in numbers of 32 bits.
fn projected(searched: &Searched<'_>, entry: &TableEntry, item: Attributes) -> Attributes {
    let vector = searched.vector.of(&item);
    let mut item = searched.index.project(&entry.schema, item);
    if let (Some(vector), Some(place)) = (vector, item.get_mut(&searched.vector.attribute)) {
        let number = |number: f32| Number::parse(&number.to_string()).unwrap_or(Number::ZERO);
        *place =
            AttributeValue::L(vector.into_iter().map(|it| AttributeValue::N(number(it))).collect());
    }
    item
}
