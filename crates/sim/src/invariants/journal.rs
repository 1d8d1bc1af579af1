//! Records of the journal: whatever readers of a region see change has one, in the batch of the
//! change, with what they saw before and see after; sequences grow, and none is of a
//! time that readers were told to be over.
//!
//! Source: data-plane.md 2.15. What a replica that does not serve copies or drops has no readers.
//! Both images are held against the rows themselves, so that a record's image before is what the
//! record of the item before it left, unless the replica was copied anew between them.

use std::borrow::Cow;
use std::rc::Rc;

use pangea_core::catalog::TableEntry;
use pangea_core::item::{Attributes, ItemKey};
use pangea_core::journal::{Record, moment_of};
use pangea_core::merge::Stored;
use pangea_core::view::view;

use super::{Checked, Invariant, demand, expiry};
use crate::disk::{Held, Image, Write};
use crate::oracle::{Oracle, Site};

const BROKEN: Invariant = Invariant::Journal;

/// What a batch is about to change.
pub(crate) struct Before {
    rows: Vec<Option<Rc<Held>>>,
    journaled: u64,
}

/// Before the batch is committed to `image`.
pub(crate) fn before(image: &Image, write: &Write) -> Before {
    let user = |key: &ItemKey| !key.table.is_system();
    let row = |key: &Rc<ItemKey>| image.rows.get(key).filter(|_| user(key)).map(Rc::clone);
    let rows = write.items.iter().map(|(key, _)| row(key));
    Before { rows: rows.collect(), journaled: image.journaled }
}

/// After it was.
pub(crate) fn committed(oracle: &Oracle, site: &Site, write: &Write, before: &Before) -> Checked {
    let mut newest = before.journaled;
    for record in &write.journal {
        let grows = record.sequence > newest;
        demand(BROKEN, grows, || format!("record {} behind {newest}", record.sequence))?;
        newest = record.sequence;
    }
    let mut left = write.journal.len();
    for ((key, held), row) in write.items.iter().zip(&before.rows) {
        let mut records = write.journal.iter().filter(|record| record.key == **key);
        let record = records.next();
        left -= usize::from(record.is_some());
        demand(BROKEN, records.next().is_none(), || format!("two records of {key:?}"))?;
        let entry = site.catalog.get(key.table).filter(|entry| entry.is_journaled());
        let entry = entry.filter(|entry| site.catalog.is_serving(entry, site.slot));
        // Until it is repaired, rot is a change that nobody made.
        let (Some(entry), false) = (entry, site.disk.durable.rotten.contains_key(key)) else {
            continue;
        };
        let stored = held.as_ref().map(|held| &held.stored);
        let was = shown(entry, row.as_ref().map(|held| &held.stored));
        let is = shown(entry, stored);
        let changed = stored.is_some() && was != is;
        let images = record.map(|record| (record.before.as_ref(), record.after.as_ref()));
        let right = images == changed.then_some((was.as_deref(), is.as_deref()));
        demand(BROKEN, right, || format!("{key:?}: {was:?} became {is:?}, told {images:?}"))?;
        if let Some(record) = record {
            expiry::told(oracle, row.as_deref(), held.as_deref(), record)?;
        }
    }
    demand(BROKEN, left == 0, || format!("{left} records of items that the batch does not have"))
}

/// Records of a node that had said that none of before `told_ms` would come any more.
pub(crate) fn after(told_ms: u64, records: &[Record]) -> Checked {
    for record in records {
        let moment = moment_of(record.sequence);
        demand(BROKEN, moment >= told_ms, || format!("a record of {moment} ms, after {told_ms}"))?;
    }
    Ok(())
}

fn shown<'a>(entry: &TableEntry, stored: Option<&'a Stored>) -> Option<Cow<'a, Attributes>> {
    view(&entry.settings.policy, stored?)
}
