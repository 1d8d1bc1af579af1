//! Invariant 10: a restricted item's bytes never reach a region that its placement forbids.
//!
//! Source: DESIGN.md, invariant 10; data-plane.md 2.19 and 3.3, 14. Taint search: clients mark keys
//! and values of restricted items, and every message between regions is searched for the mark,
//! whatever table its rows are of. The search knows nothing of rules, places and filters.

use pangea_core::item::{AttributeValue, Attributes, KeyValue, PrimaryKey};
use pangea_core::repair::{Answer, Told};
use pangea_core::replica::Row;

use super::{Checked, Invariant, demand};

const BROKEN: Invariant = Invariant::Residency;
/// What keys and values of restricted items begin with.
pub(crate) const MARK: &str = "restricted-";
/// The regions that may have them: the first so many.
pub(crate) const ALLOWED: usize = 2;

/// Rows leave for a region.
pub(crate) fn sent(rows: &[Row], to: usize) -> Checked {
    if to < ALLOWED {
        return Ok(());
    }
    for row in rows {
        let attributes = row.version.body.attributes();
        let tainted = key(&row.key.primary)
            || attributes.is_some_and(|attributes| attributes.values().any(value))
            || state(&row.version.body);
        demand(BROKEN, !tainted, || format!("{:?} is sent to r{to}", row.key))?;
    }
    Ok(())
}

/// An answer of anti-entropy leaves for a region.
pub(crate) fn compared(answer: &Answer, to: usize) -> Checked {
    if to < ALLOWED {
        return Ok(());
    }
    let tainted = match &answer.told {
        Told::Nothing | Told::Fingerprints(_) | Told::Damage(_) => false,
        Told::Versions { items, next } => {
            items.iter().any(|item| key(&item.key)) || next.as_ref().is_some_and(key)
        }
        Told::Rows(rows) => {
            let mut versions = rows.iter().flatten().flat_map(|kept| &kept.versions);
            versions.any(|version| {
                let attributes = version.body.attributes();
                let marked = |attributes: &Attributes| attributes.values().any(value);
                attributes.is_some_and(marked) || state(&version.body)
            })
        }
    };
    demand(BROKEN, !tainted, || format!("{answer:?} is sent to r{to}"))
}

/// Whether an item is restricted.
pub(crate) fn is_marked(key: &PrimaryKey) -> bool {
    self::key(key)
}

fn key(key: &PrimaryKey) -> bool {
    part(&key.partition) || key.sort.as_ref().is_some_and(part)
}

fn part(key: &KeyValue) -> bool {
    match key {
        KeyValue::S(text) => text.contains(MARK),
        KeyValue::N(_) => false,
        // Keys of the ledger have the item's key inside.
        KeyValue::B(bytes) => bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes()),
    }
}

fn value(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::S(text) => text.contains(MARK),
        AttributeValue::Ss(texts) => texts.iter().any(|text| text.contains(MARK)),
        AttributeValue::L(values) => values.iter().any(self::value),
        AttributeValue::M(members) => members.values().any(self::value),
        _ => false,
    }
}

fn state(body: &pangea_core::merge::Body) -> bool {
    let pangea_core::merge::Body::Crdt(state) = body else { return false };
    state.view().is_some_and(|view| view.values().any(value))
}
