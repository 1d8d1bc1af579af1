//! The rules, one by one; `tests/crdt` has them all at once.

mod losing;
mod merging;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Loser, LoserKind, Options, State};
use crate::expr::{Placeholders, Update, UpdateError};
use crate::id::{Origin, RegionSlot};
use crate::item::{AttributeValue, Attributes, Number};
use crate::merge::VersionVector;
use crate::time::{Hlc, Stamp};

fn n(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).expect("a number of the test's own"))
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn ss(texts: &[&str]) -> AttributeValue {
    AttributeValue::Ss(texts.iter().map(ToString::to_string).collect())
}

fn l(values: &[AttributeValue]) -> AttributeValue {
    AttributeValue::L(values.to_vec())
}

fn m<const N: usize>(entries: [(&str, AttributeValue); N]) -> AttributeValue {
    AttributeValue::M(attributes(entries))
}

fn attributes<const N: usize>(entries: [(&str, AttributeValue); N]) -> Attributes {
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn key() -> Attributes {
    attributes([("id", s("k"))])
}

/// The item of the key and these attributes.
fn item<const N: usize>(entries: [(&str, AttributeValue); N]) -> Option<Attributes> {
    let mut item = key();
    item.extend(attributes(entries));
    Some(item)
}

fn stamp(ms: u64, slot: u8) -> Stamp {
    let origin = Origin::new(RegionSlot::new(slot).expect("few regions"), 1);
    Stamp { hlc: Hlc::from_parts(ms, 0), origin }
}

/// An update's text, with `:` before each of the values, that are numbered from 0.
fn parsed(text: &str, values: &[AttributeValue]) -> Update {
    let values: BTreeMap<String, AttributeValue> =
        values.iter().zip(0..).map(|(it, at)| (alloc::format!(":{at}"), it.clone())).collect();
    let values = (!values.is_empty()).then_some(values);
    let mut placeholders = Placeholders::new(None, values).expect("right placeholders");
    Update::parse(text, &mut placeholders).expect("a right update")
}

/// One region's copy of an item.
#[derive(Clone)]
struct Region {
    slot: u8,
    state: State,
    seen: VersionVector,
    options: Options,
}

impl Region {
    fn new(slot: u8, options: &Options) -> Self {
        let (state, seen) = (State::default(), VersionVector::default());
        Self { slot, state, seen, options: options.clone() }
    }

    /// Two regions of a table.
    fn pair(options: &Options) -> (Self, Self) {
        (Self::new(0, options), Self::new(1, options))
    }

    fn stamp(&mut self, ms: u64) -> Stamp {
        let stamp = stamp(ms, self.slot);
        assert!(stamp.hlc > self.seen.newest(), "a stamp exceeds what was seen");
        self.seen.record(stamp);
        stamp
    }

    fn put(&mut self, ms: u64, attributes: Option<Attributes>) {
        let stamp = self.stamp(ms);
        let attributes = attributes.expect("an item");
        self.state.put(stamp, &["id"], &attributes, &self.options);
    }

    fn delete(&mut self, ms: u64) {
        let stamp = self.stamp(ms);
        self.state.delete(stamp, &self.options);
    }

    fn attempt(
        &mut self,
        ms: u64,
        text: &str,
        values: &[AttributeValue],
    ) -> Result<(), UpdateError> {
        let stamp = self.stamp(ms);
        self.state.update(stamp, &key(), &parsed(text, values), &self.options)
    }

    fn update(&mut self, ms: u64, text: &str, values: &[AttributeValue]) {
        self.attempt(ms, text, values).expect("a right update");
    }

    fn hear(&mut self, other: &Self) {
        self.state = State::join((&self.state, &self.seen), (&other.state, &other.seen));
        self.seen.join(&other.seen);
    }

    fn losers(&self) -> Vec<(String, LoserKind, Stamp, Stamp)> {
        let lost = self.state.losers().into_iter();
        lost.map(|Loser { path, kind, loser, winner, .. }| (path, kind, loser, winner)).collect()
    }
}

/// Both hear of each other, and know the same.
fn meet(a: &mut Region, b: &mut Region) {
    let before = a.clone();
    a.hear(b);
    b.hear(&before);
    assert_eq!(a.state, b.state);
}
