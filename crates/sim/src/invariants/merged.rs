//! Invariants 7 and 18 of merging tables: what readers see is what the history demands, and
//! counters conserve every addition that nobody had seen when they removed the item.
//!
//! Source: data-plane.md 2.3 to 2.5 and 3.3, 16 and 18. The specification knows the deeds of all
//! durable versions and who had truly seen whom, and nothing of dots, vectors or tallies. A deed is
//! undone by a later one that had seen it: everything by `PutItem` and `DeleteItem`, a register's
//! value by the next one, a set's element by its `DELETE`. What is not undone is there: of register
//! values the greatest stamp, of additions the sum.

use std::collections::BTreeSet;

use pangea_core::catalog::function::Functions as _;
use pangea_core::catalog::{Policy, Settings};
use pangea_core::item::{AttributeValue, Attributes, Number};
use pangea_core::ledger;
use pangea_core::merge::Body;
use pangea_core::view::{joined, view};

use super::{Checked, Invariant, demand, nothing_vanishes};
use crate::deed::Deed;
use crate::function::{Greater, module};
use crate::oracle::{Issued, Item, KeyId, Oracle, Site};
use crate::ttl::ATTRIBUTE;

const BROKEN: Invariant = Invariant::Merged;

/// Everything is at rest: of one item, in one region.
pub(crate) fn at_rest(
    oracle: &Oracle,
    sites: &[Site],
    site: &Site,
    settings: &Settings,
    (id, item): (KeyId, &Item),
) -> Checked {
    if let Policy::Wasm(_) = &settings.policy {
        return resolved(oracle, sites, site, settings, (id, item));
    }
    let Policy::Crdt(_) = &settings.policy else { return Ok(()) };
    let within_reach = oracle.within_reach(sites, id, item);
    let durable: Vec<&Issued> = oracle.named(id, within_reach).collect();
    // A region that comes back writes anew what it alone has: a version whose deed is not its own.
    if sites.iter().any(|site| !site.former.is_empty()) {
        return Ok(());
    }
    // Versions from before the table merged are images, of which the specification knows nothing.
    if durable.iter().any(|issued| issued.version().origins.epoch < settings.since) {
        return Ok(());
    }
    let expected = expected(item, &durable);
    let held = site.disk.durable.rows.get(&item.key);
    let shown = held.and_then(|held| view(&settings.policy, &held.stored));
    let shown = shown.map(std::borrow::Cow::into_owned);
    demand(BROKEN, shown == expected, || {
        let (slot, key) = (site.slot, &item.key.primary);
        format!("{slot} shows {shown:?} of {key:?} instead of {expected:?}")
    })
}

/// Readers see what the merge function makes of all versions that are kept; where it makes nothing
/// of them, the greatest stamp, and the ledger has the others.
fn resolved(
    oracle: &Oracle,
    sites: &[Site],
    site: &Site,
    settings: &Settings,
    (id, item): (KeyId, &Item),
) -> Checked {
    let Some(held) = site.disk.durable.rows.get(&item.key) else { return Ok(()) };
    let stored = &held.stored;
    let items = || stored.versions.iter().map(|it| (it.stamp, it.body.attributes()));
    let live = items().find_map(|(_, item)| item);
    let (Some(live), true) = (live, stored.versions.len() > 1) else { return Ok(()) };
    // States of attributes have no image of their own.
    if stored.versions.iter().any(|version| matches!(version.body, Body::Crdt(_))) {
        return Ok(());
    }
    let inputs: Vec<_> = items().collect();
    let made = Greater.resolve(&module(), live, &inputs);
    let winner = stored.greatest();
    let expected = made.clone().unwrap_or_else(|_| winner.body.attributes().cloned());
    let shown = view(&settings.policy, stored).map(std::borrow::Cow::into_owned);
    demand(BROKEN, shown == expected, || {
        let (slot, key) = (site.slot, &item.key.primary);
        format!("{slot} shows {shown:?} of {key:?} instead of {expected:?}")
    })?;
    // What was kept side by side before the table had the function was recorded as siblings are.
    let lost = stored.versions.iter().filter(|it| made.is_err() && it.stamp != winner.stamp);
    for lost in lost.filter(|lost| lost.origins.epoch == settings.epoch) {
        let nth = oracle.version_of(lost.stamp, id).map(|at| oracle.versions[at].nth);
        let noted = nothing_vanishes::ledgers(sites, id);
        let noted = nth.is_some_and(|nth| noted.has(nth));
        demand(BROKEN, noted, || format!("{} has no result and is in no ledger", lost.stamp))?;
    }
    Ok(())
}

/// Whatever value is hidden in the joined state is in some ledger.
pub(crate) fn losers_are_kept(
    sites: &[Site],
    site: &Site,
    settings: &Settings,
    item: &Item,
) -> Checked {
    let Policy::Crdt(crdt) = &settings.policy else { return Ok(()) };
    let Some(held) = site.disk.durable.rows.get(&item.key) else { return Ok(()) };
    if held.stored.versions.len() < 2 {
        return Ok(());
    }
    for lost in joined(crdt, &held.stored).losers() {
        let key = ledger::attribute_key(&item.key, &lost);
        let kept = sites.iter().any(|site| site.disk.durable.rows.contains_key(&key));
        demand(BROKEN, kept, || format!("{lost:?} of {:?} is in no ledger", item.key.primary))?;
    }
    Ok(())
}

/// Whether a version is undone by a later one whose deed is of a kind.
type Undone<'a> = dyn Fn(&&&Issued, &dyn Fn(&Deed) -> bool) -> bool + 'a;

/// The winning value that was set, and every addition that neither it nor a removal had seen.
fn counter(durable: &[&Issued], undone: &Undone<'_>) -> Option<i64> {
    let whole = |deed: &Deed| matches!(deed, Deed::Put(..) | Deed::Delete);
    let by_reset = |deed: &Deed| whole(deed) || matches!(deed, Deed::Reset(_));
    let resets = durable.iter().filter(|it| matches!(it.deed, Deed::Reset(_)));
    let resets = resets.filter(|issued| !undone(issued, &by_reset));
    let resets = resets.filter(|issued| !is_collapsed(durable, issued));
    let winner = resets.max_by_key(|issued| issued.version().stamp);
    let set = winner.and_then(|winner| match winner.deed {
        Deed::Reset(value) => Some(value),
        _ => None,
    });
    let counts = durable.iter().filter(|issued| {
        let seen = winner.is_some_and(|winner| winner.past().has(issued.nth));
        !seen && !undone(issued, &whole)
    });
    let additions: Vec<i64> = counts
        .filter_map(|issued| match issued.deed {
            Deed::Add(by) => Some(by),
            _ => None,
        })
        .collect();
    if set.is_none() && additions.is_empty() {
        return None;
    }
    Some(set.unwrap_or(0) + additions.iter().sum::<i64>())
}

/// Whether an addition saw the value as one that had lost: a write drops what its place hides.
fn is_collapsed(durable: &[&Issued], lost: &Issued) -> bool {
    let ends = |deed: &Deed| matches!(deed, Deed::Put(..) | Deed::Delete | Deed::Reset(_));
    let additions = durable.iter().filter(|it| matches!(it.deed, Deed::Add(_)));
    let saw = additions.map(|it| it.past()).filter(|past| past.has(lost.nth));
    saw.into_iter().any(|past| {
        let seen = || durable.iter().filter(|it| past.has(it.nth));
        let live = |winner: &Issued| {
            let by = |it: &&&Issued| ends(&it.deed) && it.nth != winner.nth;
            !seen().filter(by).any(|later| later.past().has(winner.nth))
        };
        let greater = |it: &&&Issued| {
            matches!(it.deed, Deed::Reset(_)) && it.version().stamp > lost.version().stamp
        };
        seen().filter(greater).any(|winner| live(winner))
    })
}

/// What readers must see.
fn expected(item: &Item, durable: &[&Issued]) -> Option<Attributes> {
    let undone = |issued: &&&Issued, by: &dyn Fn(&Deed) -> bool| {
        durable
            .iter()
            .any(|later| later.nth != issued.nth && later.past().has(issued.nth) && by(&later.deed))
    };
    let whole = |deed: &Deed| matches!(deed, Deed::Put(..) | Deed::Delete);
    let of_register = |deed: &Deed| whole(deed) || matches!(deed, Deed::Set(_));
    let there = durable.iter().filter(|issued| issued.deed != Deed::Delete);
    // What only takes away keeps nothing alive.
    let adds = |issued: &&&Issued| !matches!(issued.deed, Deed::Leave(_) | Deed::Last);
    if !there.clone().filter(adds).any(|issued| !undone(&issued, &whole)) {
        return None;
    }
    let id = AttributeValue::from(item.key.primary.partition.clone());
    let mut expected = Attributes::from([("id".to_string(), id)]);
    let values = there.clone().filter(|issued| !undone(issued, &of_register));
    let value = values.filter_map(|issued| match &issued.deed {
        Deed::Put(value, _) | Deed::Set(value) => Some((issued.version().stamp, value)),
        _ => None,
    });
    if let Some((_, value)) = value.max_by_key(|(stamp, _)| *stamp) {
        expected.insert("v".to_string(), AttributeValue::S(value.clone()));
    }
    let of_moment = |deed: &Deed| whole(deed) || matches!(deed, Deed::Expire(_) | Deed::Last);
    let moments = there.clone().filter(|issued| !undone(issued, &of_moment));
    let moments = moments.filter_map(|issued| match issued.deed {
        Deed::Put(_, Some(moment)) | Deed::Expire(moment) => Some((issued.version().stamp, moment)),
        _ => None,
    });
    if let Some((_, moment)) = moments.max_by_key(|(stamp, _)| *stamp) {
        expected.insert(ATTRIBUTE.to_string(), AttributeValue::N(Number::from(moment)));
    }
    if let Some(sum) = counter(durable, &undone) {
        expected.insert("c".to_string(), AttributeValue::N(Number::from(sum)));
    }
    let elements: BTreeSet<String> = there
        .filter_map(|issued| match &issued.deed {
            Deed::Join(element) => {
                let by = |deed: &Deed| whole(deed) || *deed == Deed::Leave(element.clone());
                (!undone(&issued, &by)).then(|| element.clone())
            }
            _ => None,
        })
        .collect();
    if !elements.is_empty() {
        expected.insert("s".to_string(), AttributeValue::Ss(elements));
    }
    Some(expected)
}
