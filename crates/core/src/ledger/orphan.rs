//! Orphaned writes: a region that was given up comes back, and has writes that no other region has.
//!
//! They are not shown any more, because the others went on without them; the entry is where they
//! are kept. So it is with changes of tables, of which the entry is about the table's row of the
//! catalog. In the place of the winner's stamp stands when it was exported: there is no winner.

use alloc::borrow::Cow;
use alloc::string::ToString;

use super::{Severity, entry, key};
use crate::catalog::Policy;
use crate::id::TableId;
use crate::item::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
use crate::merge::{Body, Conflict, Stored, Version};
use crate::time::Stamp;
use crate::view::view;

/// In an entry's `class`: the write was not lost to another, but with its region.
pub const ORPHANED: &str = "orphaned";

/// In an entry: the name of the table, which perhaps nobody else knows any more.
pub const TABLE_NAME: &str = "table_name";

/// In a row that waits to be an entry, or not: it is in doubt whether others have the write.
/// Without it, none has.
pub const DOUBT: &str = "doubt";

/// The ledger's row key of an orphaned write of `item`, exported at `at`.
#[must_use]
pub fn orphan_key(item: &ItemKey, orphan: Stamp, at: Stamp) -> ItemKey {
    key(item, orphan, at)
}

/// The attributes of the entry: the write, as its region showed it.
#[must_use]
pub fn orphan_entry(item: &ItemKey, orphan: &Version, policy: &Policy) -> Attributes {
    let alone = Stored::single(orphan.clone());
    let shown = view(policy, &alone).map(Cow::into_owned);
    let body = shown.map_or(Body::Tombstone, Body::live);
    let loser = Version { body, ..orphan.clone() };
    let conflict = Conflict { winner: loser.clone(), loser };
    let mut entry = entry(item, &conflict, policy);
    entry.remove("winner");
    entry.insert("class".to_string(), AttributeValue::S(ORPHANED.to_string()));
    entry
}

/// The attributes of the entry for a change of a table that was lost with its region: the item of
/// the entry is the table's row of the catalog, as it was there.
#[must_use]
pub fn change_orphan(row: &ItemKey, lost: &Version) -> Attributes {
    about_table(orphan_entry(row, lost, &Policy::Lww), lost)
}

/// The same where others have changed the table meanwhile, and both have met.
#[must_use]
pub fn change_conflict(row: &ItemKey, conflict: &Conflict) -> Attributes {
    about_table(entry(row, conflict, &Policy::Lww), &conflict.loser)
}

/// Whoever asked for the change was told that the table is so.
fn about_table(mut entry: Attributes, lost: &Version) -> Attributes {
    let row = lost.body.attributes();
    if let Some(name) = row.and_then(|row| row.get("name")) {
        entry.insert(TABLE_NAME.to_string(), name.clone());
    }
    entry.insert("severity".to_string(), AttributeValue::S(Severity::High.as_str().to_string()));
    entry
}

/// Whether a row of the ledger is about a table itself, and not about an item of one.
#[must_use]
pub fn is_about_table(row: &PrimaryKey) -> bool {
    super::table_of(row) == Some(TableId::CATALOG)
}

/// The item of an entry; `None` if the row is none of the ledger's.
#[must_use]
pub fn item_of(row: &PrimaryKey, entry: &Attributes) -> Option<ItemKey> {
    let Some(AttributeValue::L(parts)) = entry.get("key") else { return None };
    let mut parts = parts.iter().map(|part| match part {
        AttributeValue::S(text) => Some(KeyValue::S(text.clone())),
        AttributeValue::N(number) => Some(KeyValue::N(*number)),
        AttributeValue::B(bytes) => Some(KeyValue::B(bytes.clone())),
        _ => None,
    });
    let (partition, sort) = (parts.next()??, parts.next());
    let sort = match sort {
        Some(sort) => Some(sort?),
        None => None,
    };
    Some(ItemKey { table: super::table_of(row)?, primary: PrimaryKey { partition, sort } })
}

/// Whether an entry is about an orphaned write.
#[must_use]
pub fn is_orphan(entry: &Attributes) -> bool {
    entry.get("class") == Some(&AttributeValue::S(ORPHANED.to_string()))
}
