//! Invariant 6: acknowledged ⊆ causal past ∪ current ∪ ledger, and the ledger holds only truly
//! concurrent pairs.
//!
//! Source: DESIGN.md, promise 1 and invariant 6; data-plane.md 2.12 and 3.3, 17. At every commit of
//! an item: whatever the region's state has absorbed is in the past of the version that it shows,
//! or in its ledger, in the same batch. At rest: the same for every durable version, over all
//! regions, and of a table of which nobody tells any more: in a ledger. A version that a later
//! write had knowingly overwritten counts as kept where that write is kept.

use pangea_core::id::TableId;
use pangea_core::item::{AttributeValue, Attributes, ItemKey};
use pangea_core::ledger;
use pangea_core::merge::{Body, Stored};
use pangea_core::time::Stamp;

use super::{Broken, Checked, Invariant, changes, demand};
use crate::bits::Bits;
use crate::oracle::{Issued, KeyId, Oracle, Site};

const BROKEN: Invariant = Invariant::NothingVanishes;

/// A batch has changed an item.
pub(crate) fn committed(oracle: &Oracle, sites: &[Site], region: usize, key: &ItemKey) -> Checked {
    let Some(held) = sites[region].disk.durable.rows.get(key) else { return Ok(()) };
    let Some(id) = oracle.key_id(key) else { return Ok(()) };
    let shown = pasts(oracle, id, &held.stored);
    let own = sites[region].ledgered.get(&id).copied().unwrap_or_default();
    let own = own.union(sites[region].orphaned.get(&id).copied().unwrap_or_default());
    let absorbed = sites[region].disk.durable.absorbed(key);
    // What one region had forgotten may still come from another, in whatever order.
    let inherited = sites[region].disk.durable.inherited.get(key).copied().unwrap_or_default();
    let mut missing = absorbed.without(shown).without(own).without(inherited);
    let forgetful = |site: &Site| site.dropped || !site.disk.durable.collected.is_empty();
    if !missing.is_empty() && sites.iter().any(forgetful) {
        // A region that came back after dropping its rows has forgotten what it had seen, and its
        // vector still covers it: then another region's ledger has the pair. What was collected
        // covers versions, too, that lost before they were sent.
        missing = missing.without(ledgers(sites, id));
    }
    demand(BROKEN, missing.is_empty(), || {
        let gone: Vec<String> = stamps(oracle, id, missing);
        let slot = sites[region].slot;
        format!("{slot} shows {} and forgot {gone:?}", held.stored.greatest().stamp)
    })
}

/// What a row of the ledger keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) key: KeyId,
    pub(crate) bits: Bits,
    /// A write that was lost with its region, not to another.
    pub(crate) orphan: bool,
}

/// A row of the ledger is committed; returns what it keeps of which item.
pub(crate) fn ledger_row(oracle: &Oracle, key: &ItemKey, stored: &Stored) -> Checked<Vec<Kept>> {
    let empty = Attributes::new();
    let row = stored.greatest().body.attributes().unwrap_or(&empty);
    let pairs = ledger::pairs(&key.primary, row);
    demand(BROKEN, !pairs.is_empty(), || format!("ledger entry {key:?} names no pair"))?;
    let orphan = ledger::is_orphan(row);
    if ledger::is_about_table(&key.primary) {
        return changes::ledger_row(oracle, key).map(|()| Vec::new());
    }
    let mut kept = Vec::new();
    for (loser, winner) in pairs {
        let issued = match orphan {
            true => orphaned(oracle, key, loser)?,
            false => concurrent_pair(oracle, key, loser, winner)?,
        };
        // A merge of attributes keeps the value that is hidden, the rest is shown.
        let merging = matches!(issued.version().body, Body::Crdt(_));
        if !ledger::is_shared(&key.primary) && !row.contains_key("path") && !merging {
            let image = loser_image(row);
            demand(BROKEN, image == issued.version().body.attributes(), || {
                format!("{loser} lost to {winner}: image differs")
            })?;
        }
        kept.push(Kept { key: issued.key, bits: issued.past(), orphan });
    }
    Ok(kept)
}

/// A write that was lost with its region; it was durable there.
fn orphaned<'o>(oracle: &'o Oracle, row: &ItemKey, orphan: Stamp) -> Checked<&'o Issued> {
    let names = |id: &KeyId| {
        let key = ledger::key(&oracle.items[*id].key, orphan, orphan).primary;
        key.partition == row.primary.partition
    };
    let unknown = || Broken::new(BROKEN, format!("{orphan} is orphaned: no known version"));
    let id = oracle.versions_of(orphan).map(|id| oracle.versions[id].key).find(names);
    let id = id.ok_or_else(unknown)?;
    let lost = &oracle.versions[oracle.version_of(orphan, id).ok_or_else(unknown)?];
    demand(BROKEN, lost.durable, || format!("{orphan} is orphaned, and was never durable"))?;
    Ok(lost)
}

/// The loser of a pair that a row names; the two were truly concurrent.
fn concurrent_pair<'o>(
    oracle: &'o Oracle,
    row: &ItemKey,
    loser: Stamp,
    winner: Stamp,
) -> Checked<&'o Issued> {
    let pair = || format!("{loser} lost to {winner}");
    let unknown = || Broken::new(BROKEN, format!("{}: no known pair", pair()));
    // Of transactions that met, the items that both wrote.
    let partition = |id: &KeyId| ledger::key(&oracle.items[*id].key, loser, winner).primary;
    let names = |id: &KeyId| partition(id).partition == row.primary.partition;
    let id = oracle.versions_of(loser).map(|id| oracle.versions[id].key).find(names);
    let id = id.ok_or_else(unknown)?;
    let lost = &oracle.versions[oracle.version_of(loser, id).ok_or_else(unknown)?];
    let won = &oracle.versions[oracle.version_of(winner, id).ok_or_else(unknown)?];
    demand(BROKEN, lost.durable && won.durable, || format!("{}: not durable", pair()))?;
    let ordered = won.past().has(lost.nth) || lost.past().has(won.nth);
    demand(BROKEN, !ordered, || format!("{}, and one had seen the other", pair()))?;
    demand(BROKEN, loser < winner, || format!("{}, and is newer", pair()))?;
    Ok(lost)
}

fn loser_image(entry: &Attributes) -> Option<&Attributes> {
    let AttributeValue::M(side) = entry.get("loser")? else { return None };
    let AttributeValue::M(image) = side.get("image")? else { return None };
    Some(image)
}

/// Everything is at rest: no durable version of a living table is gone.
pub(crate) fn at_rest(oracle: &Oracle, sites: &[Site]) -> Checked {
    for (id, item) in oracle.items.iter().enumerate() {
        let table = item.key.table;
        let mut alive = sites.iter().filter(|site| !site.gone);
        let entry = alive.next().and_then(|site| site.catalog.get(table));
        if oracle.deleted.contains(&table) || oracle.given_up.contains(&id) {
            // With the table, if only where the region was given up before it told so; or it has
            // rotted everywhere, and was named.
            continue;
        }
        // What a dead region had shown nobody is on its own disk, and what waits for it to answer
        // is where it was.
        let waits = sites.iter().any(|site| site.gone);
        let kept = match entry {
            Some(_) => kept_of(oracle, sites, (id, &item.key), waits),
            None if waits => continue,
            // Those who knew the table have lost their disks, or came back and have no rows of it:
            // nobody will be told who could have them, but what they alone had is shown.
            None => ledgers(sites, id),
        };
        let mut gone = oracle.durable(item).without(kept).without(oracle.buried(sites, id));
        for &lost in item.versions.iter().filter(|version| oracle.perished.contains(version)) {
            // It was on a disk that is lost, and nowhere else.
            gone = gone.without(Bits::default().with(oracle.versions[lost].nth));
        }
        demand(BROKEN, gone.is_empty(), || {
            format!("{:?} are nowhere: {:?}", stamps(oracle, id, gone), item.key.primary)
        })?;
    }
    Ok(())
}

/// What is kept of an item by anyone who has all of its table.
fn kept_of(oracle: &Oracle, sites: &[Site], (id, key): (KeyId, &ItemKey), waits: bool) -> Bits {
    let whole = sites.iter().filter(|site| site.is_whole(key.table) || waits);
    let kept = whole.fold(ledgers(sites, id), |kept, site| {
        let image = &site.disk.durable;
        kept.union(match image.rows.get(key) {
            Some(held) => pasts(oracle, id, &held.stored),
            // Knowingly deleted; that it should be is for convergence to say.
            None => image.absorbed(key),
        })
    });
    // Where a table cannot be copied again, it is not known yet whether others have it.
    sites.iter().fold(kept, |kept, site| kept.union(aside(oracle, site, id)))
}

pub(super) fn ledgers(sites: &[Site], key: KeyId) -> Bits {
    ledgers_of(sites, usize::MAX, key)
}

/// The same but for one region's.
pub(crate) fn ledgers_of(sites: &[Site], except: usize, key: KeyId) -> Bits {
    let sites = sites.iter().enumerate().filter(|(at, _)| *at != except);
    let kept = sites.flat_map(|(_, site)| [site.ledgered.get(&key), site.orphaned.get(&key)]);
    let kept = kept.flatten();
    kept.fold(Bits::default(), |all, &bits| all.union(bits))
}

/// What a region has set aside of an item, until it knows whether others have it.
pub(crate) fn aside(oracle: &Oracle, site: &Site, key: KeyId) -> Bits {
    let rows = site.disk.durable.table(TableId::ASIDE);
    let stamps = rows.filter_map(|(key, _)| ledger::stamps_of(&key.primary));
    let ids = stamps.filter_map(|(stamp, _)| oracle.version_of(stamp, key));
    ids.fold(Bits::default(), |all, id| all.union(oracle.versions[id].past()))
}

/// Everything that the versions which are kept had seen, and they themselves.
fn pasts(oracle: &Oracle, key: KeyId, stored: &Stored) -> Bits {
    let ids = stored.stamps().filter_map(|stamp| oracle.version_of(stamp, key));
    ids.fold(Bits::default(), |all, id| all.union(oracle.versions[id].past()))
}

fn stamps(oracle: &Oracle, key: KeyId, bits: Bits) -> Vec<String> {
    oracle.named(key, bits).map(|issued| issued.version().stamp.to_string()).collect()
}
