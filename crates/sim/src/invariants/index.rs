//! Invariant 9, as far as it exists: the changelog index is an exact function of the rows, at every
//! commit, in the same batch.
//!
//! Source: DESIGN.md, invariant 9 and "the changelog is an index"; data-plane.md 3.3, 10. A changed
//! row has its entries, and there are as many entries as all rows shall have: by induction they are
//! the same. So it is with the index of tombstones.
//!
//! Secondary indexes are functions of what readers see: a changed item has the entries that it
//! shall have and no others, at every commit, and at rest so has every item, of indexes that there
//! are. Only what an unreadable row was indexed under cannot be told, and stays: readers look at
//! items.

use std::rc::Rc;

use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::index::{Fill, IndexEntry};
use pangea_core::item::ItemKey;
use pangea_core::view::view;

use super::{Checked, Invariant, because, demand};
use crate::disk::{Image, Write};
use crate::oracle::Site;

const BROKEN: Invariant = Invariant::Index;

/// A batch was committed to `image`.
pub(crate) fn committed(image: &Image, write: &Write) -> Checked {
    for (key, held) in &write.items {
        let Some(held) = held else { continue };
        for stamp in image.entries_of(held) {
            let entry = (stamp.origin, stamp.hlc, Rc::clone(key));
            let named = image.changelog.contains(&entry);
            demand(BROKEN, named, || format!("{stamp} is not in the index"))?;
        }
        for stamp in held.stored.buried() {
            let entry = (key.table, stamp.origin, stamp.hlc, Rc::clone(key));
            let named = image.tombstones.contains(&entry);
            demand(BROKEN, named, || format!("the tombstone {stamp} is not in the index"))?;
        }
    }
    // Until it is repaired, rot shows just here.
    if !image.rotten.is_empty() {
        return Ok(());
    }
    let (buried, entries) = (image.buried, image.tombstones.len());
    demand(BROKEN, buried == entries, || format!("{buried} tombstones, {entries} entries"))?;
    if image.reborn {
        // Entries of the life before go with its rows.
        return Ok(());
    }
    let (wanted, entries) = (image.entries, image.changelog.len());
    demand(BROKEN, wanted == entries, || format!("{entries} entries instead of {wanted}"))
}

/// A batch was committed to `image`, and `catalog` is what the region then goes by.
pub(crate) fn derived(catalog: &Catalog, image: &Image, write: &Write) -> Checked {
    for (key, held) in &write.items {
        let Some(entry) = catalog.get(key.table).filter(|entry| !entry.indexes.is_empty()) else {
            continue;
        };
        let mut wanted = match held {
            Some(_) => entries_of(entry, image, key),
            None => Vec::new(),
        };
        let is_wanted = |it: &&IndexEntry| entry.indexes.iter().any(|index| index.id == it.index);
        let of_item = image.index.iter().filter(|it| it.table == key.table);
        let of_item = of_item.filter(|it| it.primary == key.primary).filter(is_wanted);
        let found: Vec<&IndexEntry> = of_item.collect();
        // One that is being filled may lack an item until it is; it never has a wrong entry.
        wanted.retain(|it| {
            image.fills.get(&(it.table, it.index)) == Some(&Fill::Ready) || found.contains(&it)
        });
        let scarred = || image.scarred.contains(key) && wanted.iter().all(|it| found.contains(&it));
        let right = found.iter().copied().eq(&wanted);
        demand(BROKEN, right || scarred(), || {
            format!("secondary indexes have {found:?} of {key:?}, instead of {wanted:?}")
        })?;
    }
    Ok(())
}

/// What of the region's indexes is still to be filled or emptied.
pub(crate) fn unrest(site: &Site, told: bool) -> Option<String> {
    let (fills, held) = (&site.disk.durable.fills, site.catalog.held_by(site.slot));
    let wanted = held.flat_map(|it| it.indexes.iter().map(move |index| (it.id, index.id)));
    let wanted: Vec<_> = wanted.collect();
    if let Some(index) = wanted.iter().find(|index| fills.get(*index) != Some(&Fill::Ready)) {
        return because(told, || format!("{} has not filled {index:?}", site.slot));
    }
    let left = fills.keys().find(|index| !wanted.contains(*index))?;
    because(told, || format!("{} has not emptied {left:?}", site.slot))
}

/// Everything is at rest.
pub(crate) fn at_rest(site: &Site) -> Checked {
    let image = &site.disk.durable;
    let mut wanted = Vec::new();
    for entry in site.catalog.held_by(site.slot) {
        for (key, _) in image.table(entry.id) {
            wanted.extend(entries_of(entry, image, key));
        }
    }
    wanted.sort_unstable();
    let is_told = |entry: &&IndexEntry| {
        let key = || ItemKey { table: entry.table, primary: entry.primary.clone() };
        image.scarred.is_empty()
            || wanted.binary_search(entry).is_ok()
            || !image.scarred.contains(&key())
    };
    let found: Vec<&IndexEntry> = image.index.iter().filter(is_told).collect();
    demand(BROKEN, found.iter().copied().eq(&wanted), || {
        let missing = wanted.iter().find(|it| found.binary_search(it).is_err());
        let more = found.iter().find(|it| wanted.binary_search(it).is_err());
        format!("secondary indexes of {} lack {missing:?} and have {more:?}", site.slot)
    })
}

/// The entries that an item shall have, in their order.
fn entries_of(entry: &TableEntry, image: &Image, key: &ItemKey) -> Vec<IndexEntry> {
    let held = image.rows.get(key);
    let Some(item) = held.and_then(|held| view(&entry.settings.policy, &held.stored)) else {
        return Vec::new();
    };
    let entries = entry.indexes.iter().filter_map(|index| {
        let (table, index, at) = (entry.id, index.id, index.key_of(&item)?);
        Some(IndexEntry { table, index, key: at, primary: key.primary.clone() })
    });
    let mut entries: Vec<IndexEntry> = entries.collect();
    entries.sort_unstable();
    entries
}
