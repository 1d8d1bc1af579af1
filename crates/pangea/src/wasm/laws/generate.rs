//! Versions to check the laws on: few names and few values, so that versions meet often.
//!
//! Three concurrent versions mostly have a common ancestor, so they are made by changing one: what
//! is equal in all three matters as much as what differs.

use std::collections::{BTreeMap, BTreeSet};

use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{AttributeValue, Attributes, Number};
use pangea_core::time::{Hlc, Stamp};

use super::Version;
use crate::wasm::declared::{Declaration, Kind};

/// The key attribute of every generated item.
const KEY: &str = "id";
/// Attributes that no module can know. They come beside the declared ones.
const UNKNOWN: [&str; 4] = ["a", "b", "n", "tags"];
/// September 2025, in milliseconds: an ordinary time.
const BEGIN_MS: u64 = 1_757_000_000_000;
/// Maps and lists inside each other.
const DEPTH_MAX: usize = 3;

const STRINGS: [&str; 8] = ["", "a", "b", "ab", "9", "10", "é😀", "\"\\\n\u{1}</"];
const NUMBERS: [&str; 12] = [
    "1.5",
    "-1.5",
    "0.1",
    "-0.25",
    "100",
    "1000000000000000000",
    "18446744073709551616",
    "1e-130",
    "-1e-130",
    "9.9999999999999999999999999999999999999e125",
    "-9.9999999999999999999999999999999999999e125",
    "12345678901234567890123456789012345678",
];

/// The key attributes of every generated item.
pub(super) fn key() -> Attributes {
    BTreeMap::from([(KEY.to_owned(), AttributeValue::S("k".to_owned()))])
}

/// A deterministic generator (splitmix64; Steele et al., OOPSLA 2014), the same on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// In `0..bound`, which must not be zero.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Makes triples of concurrent versions of one item.
pub(crate) struct Generator {
    dice: Dice,
    attributes: Vec<Declaration>,
}

impl Generator {
    pub(crate) fn new(seed: u64, declared: &[Declaration]) -> Self {
        let unknown = UNKNOWN.iter().map(|name| Declaration { name: (*name).into(), kind: None });
        let mut attributes: Vec<Declaration> = declared.to_vec();
        attributes.extend(unknown);
        attributes.retain(|attribute| attribute.name != KEY);
        Self { dice: Dice(seed), attributes }
    }

    /// Three versions with stamps of their own, in any order.
    pub(crate) fn triple(&mut self) -> [Version; 3] {
        let ancestor = self.attributes(&key(), 60);
        let mut stamps = BTreeSet::new();
        [(); 3].map(|()| {
            let mut stamp = self.stamp();
            while !stamps.insert(stamp) {
                stamp = self.stamp();
            }
            let item = match self.dice.below(8) {
                0 => None,
                // Written without having seen the ancestor.
                1 => Some(self.attributes(&key(), 40)),
                2 => Some(ancestor.clone()),
                _ => Some(self.changed(&ancestor)),
            };
            Version { stamp, item }
        })
    }

    fn stamp(&mut self) -> Stamp {
        let ms = BEGIN_MS + self.dice.next() % 3;
        let counter = self.dice.pick(&[0, 1, 65_535]);
        let slot = RegionSlot::new(self.dice.pick(&[0, 1, 2])).expect("there are more regions");
        let origin = Origin::new(slot, self.dice.pick(&[0, 1]));
        Stamp { hlc: Hlc::from_parts(ms, counter), origin }
    }

    /// `base` and so many percent of the attributes.
    fn attributes(&mut self, base: &Attributes, percent: usize) -> Attributes {
        let mut item = base.clone();
        for index in 0..self.attributes.len() {
            if self.dice.percent(percent) {
                let (name, value) = self.attribute(index);
                item.insert(name, value);
            }
        }
        item
    }

    /// `ancestor` after a write or several.
    fn changed(&mut self, ancestor: &Attributes) -> Attributes {
        let mut item = ancestor.clone();
        for _ in 0..=self.dice.below(3) {
            let index = self.dice.below(self.attributes.len());
            let (name, value) = self.attribute(index);
            if self.dice.percent(25) {
                item.remove(&name);
            } else {
                item.insert(name, value);
            }
        }
        item
    }

    fn attribute(&mut self, index: usize) -> (String, AttributeValue) {
        let Declaration { name, kind } = self.attributes[index].clone();
        let kind = kind.filter(|_| !self.dice.percent(10)).unwrap_or_else(|| self.kind());
        (name, self.value(kind, 1))
    }

    fn kind(&mut self) -> Kind {
        self.dice.pick(&Kind::ALL).0
    }

    fn value(&mut self, kind: Kind, depth: usize) -> AttributeValue {
        match kind {
            Kind::S => AttributeValue::S(self.dice.pick(&STRINGS).to_owned()),
            Kind::N => AttributeValue::N(self.number()),
            Kind::B => AttributeValue::B(self.binary()),
            Kind::Bool => AttributeValue::Bool(self.dice.percent(50)),
            Kind::Null => AttributeValue::Null,
            Kind::Ss => AttributeValue::Ss(self.set(|it| {
                // An empty string is no member of a set (DynamoDB).
                it.dice.pick(&STRINGS[1..]).to_owned()
            })),
            Kind::Ns => AttributeValue::Ns(self.set(Self::number)),
            Kind::Bs => AttributeValue::Bs(self.set(Self::binary)),
            Kind::L => {
                let count = self.dice.below(4);
                AttributeValue::L((0..count).map(|_| self.inner(depth)).collect())
            }
            Kind::M => {
                let mut map = Attributes::new();
                for _ in 0..self.dice.below(4) {
                    map.insert(self.dice.pick(&["a", "b", "n", "sku-1"]).into(), self.inner(depth));
                }
                AttributeValue::M(map)
            }
        }
    }

    /// A value inside a list or a map: mostly a number, because those are what merges compute on.
    fn inner(&mut self, depth: usize) -> AttributeValue {
        let kind = if self.dice.percent(50) { Kind::N } else { self.kind() };
        if depth >= DEPTH_MAX && matches!(kind, Kind::L | Kind::M) {
            return AttributeValue::Null;
        }
        self.value(kind, depth + 1)
    }

    fn number(&mut self) -> Number {
        if self.dice.percent(70) {
            let small = self.dice.below(16);
            return Number::from(i64::try_from(small).expect("it is small") - 3);
        }
        Number::parse(self.dice.pick(&NUMBERS)).expect("they are all numbers")
    }

    fn binary(&mut self) -> Vec<u8> {
        let count = self.dice.below(3);
        (0..count).map(|_| self.dice.pick(&[0, 1, 255])).collect()
    }

    /// One to four members.
    fn set<T: Ord>(&mut self, mut member: impl FnMut(&mut Self) -> T) -> BTreeSet<T> {
        let count = 1 + self.dice.below(4);
        (0..count).map(|_| member(self)).collect()
    }
}
