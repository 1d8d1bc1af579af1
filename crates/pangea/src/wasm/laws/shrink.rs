//! Makes a counterexample smaller, as long as the same law is broken in the same way.

use std::collections::BTreeSet;

use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{AttributeValue, Attributes, Number};
use pangea_core::time::{Hlc, Stamp};

use super::{Counterexample, Runner, Version, generate};
use crate::wasm::limits::SHRINK_ATTEMPTS_MAX;

/// The smallest counterexample that greedy steps lead to from `breach`.
pub(super) fn shrink(runner: &mut Runner<'_>, breach: Counterexample) -> Counterexample {
    let mut best = breach;
    let mut attempts = SHRINK_ATTEMPTS_MAX;
    while let Some(smaller) = step(runner, &best, &mut attempts) {
        best = smaller;
    }
    best
}

/// The first smaller version of the inputs that breaks the same law.
fn step(
    runner: &mut Runner<'_>,
    best: &Counterexample,
    attempts: &mut u32,
) -> Option<Counterexample> {
    let code = |breach: &Counterexample| breach.trap.as_ref().map(super::Trap::code);
    for candidate in candidates(&best.versions) {
        *attempts = attempts.checked_sub(1)?;
        let found = runner.test(best.law, &candidate).ok()?;
        if let Some(found) = found
            && found.law == best.law
            && code(&found) == code(best)
        {
            return Some(found);
        }
    }
    None
}

/// Inputs that are a little smaller, the greatest steps first.
fn candidates(versions: &[Version]) -> Vec<Vec<Version>> {
    let mut all = Vec::new();
    let names: BTreeSet<&String> = versions
        .iter()
        .filter_map(|version| version.item.as_ref())
        .flat_map(|i| i.keys())
        .collect();
    let key = generate::key();
    for name in names.into_iter().filter(|name| !key.contains_key(*name)) {
        let mut without = versions.to_vec();
        for item in without.iter_mut().filter_map(|version| version.item.as_mut()) {
            item.remove(name);
        }
        all.push(without);
    }
    for (index, version) in versions.iter().enumerate() {
        let Some(item) = &version.item else { continue };
        let smaller =
            maps(item).into_iter().filter(|map| key.keys().all(|k| map.get(k) == key.get(k)));
        for item in smaller {
            let mut changed = versions.to_vec();
            changed[index].item = Some(item);
            all.push(changed);
        }
    }
    let plain = plain_stamps(versions);
    if plain != versions {
        all.push(plain);
    }
    all
}

/// The same order of stamps with the plainest readings.
fn plain_stamps(versions: &[Version]) -> Vec<Version> {
    let order: BTreeSet<Stamp> = versions.iter().map(|version| version.stamp).collect();
    let slot = RegionSlot::new(0).expect("there is a first region");
    let plain = |stamp: Stamp| {
        let rank = order.iter().filter(|other| **other < stamp).count() as u64;
        Stamp { hlc: Hlc::from_parts(rank + 1, 0), origin: Origin::new(slot, 0) }
    };
    let versions = versions.iter();
    versions.map(|it| Version { stamp: plain(it.stamp), item: it.item.clone() }).collect()
}

/// Maps with one member less, or with one simpler member.
fn maps(map: &Attributes) -> Vec<Attributes> {
    let mut all = Vec::new();
    for name in map.keys() {
        let mut without = map.clone();
        without.remove(name);
        all.push(without);
    }
    for (name, value) in map {
        for simpler in values(value) {
            let mut changed = map.clone();
            changed.insert(name.clone(), simpler);
            all.push(changed);
        }
    }
    all
}

/// Simpler values; none if it is as simple as can be.
fn values(value: &AttributeValue) -> Vec<AttributeValue> {
    match value {
        AttributeValue::Null => Vec::new(),
        AttributeValue::Bool(yes) => {
            yes.then_some(AttributeValue::Bool(false)).into_iter().collect()
        }
        AttributeValue::S(text) => {
            let simpler = ["", "a", "b"].iter().take_while(|simpler| **simpler != text);
            simpler.map(|simpler| AttributeValue::S((*simpler).to_owned())).collect()
        }
        AttributeValue::N(number) => {
            let simpler = [0, 1, 2].map(Number::from).into_iter();
            simpler.take_while(|simpler| simpler != number).map(AttributeValue::N).collect()
        }
        AttributeValue::B(bytes) if bytes.is_empty() => Vec::new(),
        AttributeValue::B(bytes) => vec![AttributeValue::B(bytes[1..].to_vec())],
        AttributeValue::Ss(set) => subsets(set).into_iter().map(AttributeValue::Ss).collect(),
        AttributeValue::Ns(set) => subsets(set).into_iter().map(AttributeValue::Ns).collect(),
        AttributeValue::Bs(set) => subsets(set).into_iter().map(AttributeValue::Bs).collect(),
        AttributeValue::L(list) => lists(list).into_iter().map(AttributeValue::L).collect(),
        AttributeValue::M(map) => maps(map).into_iter().map(AttributeValue::M).collect(),
    }
}

/// The set without one of its members, unless it has but one.
fn subsets<T: Ord + Clone>(set: &BTreeSet<T>) -> Vec<BTreeSet<T>> {
    if set.len() < 2 {
        return Vec::new();
    }
    let without = |member: &T| set.iter().filter(|other| *other != member).cloned().collect();
    set.iter().map(without).collect()
}

fn lists(list: &[AttributeValue]) -> Vec<Vec<AttributeValue>> {
    let mut all = Vec::new();
    for index in 0..list.len() {
        let mut without = list.to_vec();
        without.remove(index);
        all.push(without);
    }
    for (index, value) in list.iter().enumerate() {
        for simpler in values(value) {
            let mut changed = list.to_vec();
            changed[index] = simpler;
            all.push(changed);
        }
    }
    all
}
