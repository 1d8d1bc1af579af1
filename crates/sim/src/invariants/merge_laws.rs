//! Invariant 4: merge is idempotent, commutative and associative on states actually reached.
//!
//! Source: DESIGN.md, invariant 4; data-plane.md 2.1, 2.12 and 3.3, 5. Some versions of an item are
//! folded in several orders, with repetitions: every order must end in the same state, and in the
//! greatest stamp.

use pangea_core::merge::{Merged, Order, Rule, Stored, Version, merge};

use super::{Checked, Invariant, demand};
use crate::oracle::{Item, Oracle};
use crate::rng::Rng;

const BROKEN: Invariant = Invariant::MergeLaws;
/// Items and orders to try in one run, and versions of an item to fold.
const ITEMS: usize = 3;
const ORDERS: usize = 4;
const VERSIONS: usize = 6;

/// Samples the run's history.
pub(crate) fn hold(oracle: &Oracle, order: Order, rng: &mut Rng) -> Checked {
    let contested: Vec<&Item> = oracle.items.iter().filter(|it| it.versions.len() > 1).collect();
    for _ in 0..ITEMS.min(contested.len()) {
        sample(oracle, contested[rng.index(contested.len())], order, rng)?;
    }
    Ok(())
}

fn sample(oracle: &Oracle, item: &Item, order: Order, rng: &mut Rng) -> Checked {
    let durable = item.versions.iter().map(|&id| &oracle.versions[id]);
    let durable: Vec<_> = durable.filter(|issued| issued.durable).collect();
    if durable.is_empty() {
        return Ok(());
    }
    let drawn: Vec<_> = (0..VERSIONS).map(|_| durable[rng.index(durable.len())]).collect();
    let rule = if rng.chance(500) { Rule::Greatest } else { Rule::Maximal { since: 0 } };
    let greatest = drawn.iter().map(|issued| issued.version().stamp).max();
    let mut first: Option<Stored> = None;
    for _ in 0..ORDERS {
        let mut shuffled: Vec<&Version> = drawn.iter().map(|issued| issued.version()).collect();
        shuffled.extend(drawn.iter().take(2).map(|issued| issued.version()));
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, rng.index(at + 1));
        }
        let merged =
            shuffled.into_iter().fold(None, |state, version| fold(state, version, rule, order));
        let stamp = merged.as_ref().map(|stored| stored.greatest().stamp);
        demand(BROKEN, stamp == greatest, || format!("{stamp:?} shown instead of {greatest:?}"))?;
        let before = first.get_or_insert_with(|| merged.clone().unwrap_or_else(|| unreachable!()));
        demand(BROKEN, Some(&*before) == merged.as_ref(), || {
            format!("two orders of merging end in {before:?} and in {merged:?}")
        })?;
    }
    Ok(())
}

fn fold(state: Option<Stored>, version: &Version, rule: Rule, order: Order) -> Option<Stored> {
    match merge(state.clone(), version.clone(), rule, order) {
        Merged::Known => state,
        Merged::Changed { stored, .. } => Some(stored),
    }
}
