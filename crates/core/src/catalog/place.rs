//! Where items may be, and which region writes them: rules on keys and attributes.
//!
//! A rule of a table's placement names regions or jurisdictions for the items that it matches; its
//! number, from 1 on, is the [`Place`] that every version of such an item carries, so that whoever
//! sends a row need not look into it. Rules are only ever added at the end: numbers keep their
//! meaning. The first rule that matches holds; an item that none matches may be wherever the table
//! is. A rule of ownership names the one region that writes the partition keys that it matches; the
//! home region writes the others.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::function::Functions;
use crate::id::{Place, RegionSlot};
use crate::item::{AttributeValue, Attributes, KeyValue, PrimaryKey};
use crate::merge::Stored;

/// Why an item is refused that the rules leave no region for.
pub const NOWHERE: &str = "no region that holds the table may have this item";

/// The regions of the topology, as rules name them, and who runs merge functions in this one.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    regions: BTreeMap<RegionSlot, Known>,
    pub(super) functions: Option<Arc<dyn Functions>>,
}

/// Two that know the same regions are the same.
impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        self.regions == other.regions
    }
}

impl Eq for Directory {}

/// A region's name and jurisdiction.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: String,
    jurisdiction: Option<String>,
}

impl Directory {
    /// From slots, names and jurisdictions.
    pub fn new(regions: impl IntoIterator<Item = (RegionSlot, String, Option<String>)>) -> Self {
        let known = |(slot, name, jurisdiction)| (slot, Known { name, jurisdiction });
        Self { regions: regions.into_iter().map(known).collect(), functions: None }
    }

    /// The same, with somebody who runs merge functions.
    #[must_use]
    pub fn with_functions(self, functions: Arc<dyn Functions>) -> Self {
        Self { functions: Some(functions), ..self }
    }

    /// The region of this name.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<RegionSlot> {
        self.regions.iter().find(|(_, known)| known.name == name).map(|(slot, _)| *slot)
    }

    /// Whether a region has this name, or is of this jurisdiction.
    #[must_use]
    pub fn is(&self, slot: RegionSlot, word: &str) -> bool {
        let known = self.regions.get(&slot);
        known.is_some_and(|it| it.name == word || it.jurisdiction.as_deref() == Some(word))
    }

    /// Whether any region has this name or jurisdiction.
    #[must_use]
    pub fn knows(&self, word: &str) -> bool {
        self.regions.keys().any(|&slot| self.is(slot, word))
    }
}

/// What a placement rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The partition key begins so.
    Prefix(String),
    /// An attribute is this text.
    Attribute(String, String),
}

/// Where the items that match may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which items.
    pub matches: Match,
    /// Names of regions and jurisdictions.
    pub regions: Vec<String>,
}

impl Rule {
    fn names(&self, directory: &Directory, slot: RegionSlot) -> bool {
        self.regions.iter().any(|word| directory.is(slot, word))
    }
}

/// A table's rules in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement(pub Vec<Rule>);

impl Placement {
    /// `eu-=EU us-=us-east-1+us-west-2 @residency:EU=EU`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rule = |word: &str| {
            let (matches, regions) = word.rsplit_once('=')?;
            let matches = match matches.strip_prefix('@') {
                None => Match::Prefix(matches.to_string()),
                Some(attribute) => {
                    let (name, value) = attribute.split_once(':')?;
                    Match::Attribute(name.to_string(), value.to_string())
                }
            };
            let regions: Vec<String> = regions.split('+').map(ToString::to_string).collect();
            (!regions.iter().any(String::is_empty)).then_some(Rule { matches, regions })
        };
        let rules: Option<Vec<Rule>> = text.split_ascii_whitespace().map(rule).collect();
        rules.filter(|rules| rules.len() < usize::from(u8::MAX)).map(Self)
    }

    /// The rule that holds for an item; its attributes decide only where a rule asks for one.
    #[must_use]
    pub fn place(&self, key: &PrimaryKey, attributes: &Attributes) -> Place {
        let matches = |rule: &Rule| match &rule.matches {
            Match::Prefix(prefix) => begins_with(&key.partition, prefix),
            Match::Attribute(name, value) => {
                attributes.get(name) == Some(&AttributeValue::S(value.clone()))
            }
        };
        let at = self.0.iter().position(matches);
        at.and_then(|at| u8::try_from(at + 1).ok()).map_or(Place::ANYWHERE, Place)
    }

    /// The rule of the item that a write leaves as `next`, given what is kept of it and shown.
    ///
    /// # Errors
    /// The item would go elsewhere: its copies would stay where they are, and so they would if it
    /// came back before its deletion is everywhere, because what follows it is not sent there.
    pub fn place_after(
        &self,
        key: &PrimaryKey,
        known: Option<(&Stored, Option<&Attributes>)>,
        next: Option<&Attributes>,
    ) -> Result<Place, &'static str> {
        let nothing = Attributes::new();
        let before = known.map(|(stored, shown)| match stored.greatest().origins.place {
            // A table that was given rules after it had rows keeps those where they are.
            Place::ANYWHERE => self.place(key, shown.unwrap_or(&nothing)),
            place => place,
        });
        let place = match (next, known) {
            (None, Some((stored, _))) => stored.greatest().origins.place,
            (next, _) => self.place(key, next.unwrap_or(&nothing)),
        };
        let moves = next.is_some() && before.is_some_and(|before| before != place);
        match known {
            Some((_, None)) if moves => {
                Err("the item was deleted, and may only come back under another placement rule \
                     once every region has acknowledged the deletion: try again in a moment")
            }
            Some(_) if moves => {
                Err("the attribute that decides where an item may be cannot change: delete the \
                     item and create it again")
            }
            _ => Ok(place),
        }
    }

    /// Whether items of `place` may be in a region. A place that no rule has is forbidden: its rule
    /// has not been heard of yet.
    #[must_use]
    pub fn allows(&self, directory: &Directory, place: Place, slot: RegionSlot) -> bool {
        let Some(at) = usize::from(place.0).checked_sub(1) else { return true };
        self.0.get(at).is_some_and(|rule| rule.names(directory, slot))
    }

    /// Whether a region cannot tell an item that is not there from one that it may not have: a rule
    /// goes by an attribute, and is not met by the region.
    #[must_use]
    pub fn hides(&self, directory: &Directory, key: &PrimaryKey, slot: RegionSlot) -> bool {
        self.by_attribute(key).any(|rule| !rule.names(directory, slot))
    }

    /// Whether versions of the item that `from` has may be hidden so from `to`.
    #[must_use]
    pub fn hides_between(
        &self,
        directory: &Directory,
        key: &PrimaryKey,
        (from, to): (RegionSlot, RegionSlot),
    ) -> bool {
        let hidden = |rule: &Rule| rule.names(directory, from) && !rule.names(directory, to);
        self.by_attribute(key).any(hidden)
    }

    /// The rules that go by an attribute and may hold for the item.
    fn by_attribute(&self, key: &PrimaryKey) -> impl Iterator<Item = &Rule> {
        // The first rule that matches holds: what is behind one that goes by the key is of others.
        let decided = |rule: &&Rule| match &rule.matches {
            Match::Prefix(prefix) => !begins_with(&key.partition, prefix),
            Match::Attribute(..) => true,
        };
        let rules = self.0.iter().take_while(decided);
        rules.filter(|rule| matches!(rule.matches, Match::Attribute(..)))
    }

    /// Whether region `from` may have everything that `to` may have.
    #[must_use]
    pub fn reaches(&self, directory: &Directory, from: RegionSlot, to: RegionSlot) -> bool {
        self.0.iter().all(|rule| rule.names(directory, from) || !rule.names(directory, to))
    }

    /// Whether both regions of `pair` may have items that `home` may not have.
    #[must_use]
    pub fn share_beside(
        &self,
        directory: &Directory,
        pair: (RegionSlot, RegionSlot),
        home: RegionSlot,
    ) -> bool {
        let shared = |rule: &Rule| rule.names(directory, pair.0) && rule.names(directory, pair.1);
        self.0.iter().any(|rule| shared(rule) && !rule.names(directory, home))
    }

    /// Whether every rule keeps its number in `next`.
    #[must_use]
    pub fn is_extended_by(&self, next: &Self) -> bool {
        next.0.starts_with(&self.0)
    }
}

/// Which region writes which partition keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership(pub Vec<(String, String)>);

impl Ownership {
    /// `eu-=eu-west-1 us-=us-east-1`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rule = |word: &str| {
            let (prefix, region) = word.rsplit_once('=')?;
            (!region.is_empty()).then(|| (prefix.to_string(), region.to_string()))
        };
        text.split_ascii_whitespace().map(rule).collect::<Option<_>>().map(Self)
    }

    /// The region that writes the item; the home region if no rule matches.
    #[must_use]
    pub fn owner(&self, directory: &Directory, key: &PrimaryKey, home: RegionSlot) -> RegionSlot {
        let rule = self.0.iter().find(|(prefix, _)| begins_with(&key.partition, prefix));
        rule.and_then(|(_, region)| directory.slot(region)).unwrap_or(home)
    }
}

fn begins_with(key: &KeyValue, prefix: &str) -> bool {
    match key {
        KeyValue::S(text) => text.starts_with(prefix),
        KeyValue::N(number) => number.to_string().starts_with(prefix),
        KeyValue::B(bytes) => bytes.starts_with(prefix.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_by_an_attribute_is_hidden_from_who_may_not_have_it() {
        let rules = Placement::parse("us-=us @residency:EU=eu").expect("well formed");
        let of = |slot, name: &str| (RegionSlot::new(slot).expect("small"), name.to_string(), None);
        let regions = Directory::new([of(0, "us"), of(1, "eu")]);
        let key = |text: &str| PrimaryKey { partition: KeyValue::S(text.to_string()), sort: None };
        let hides = |text: &str, slot| {
            rules.hides(&regions, &key(text), RegionSlot::new(slot).expect("small"))
        };
        assert!(hides("anybody", 0) && !hides("anybody", 1));
        assert!(!hides("us-1", 0), "its key decides");
        let between = |text: &str, from, to| {
            let pair = [from, to].map(|slot| RegionSlot::new(slot).expect("small"));
            rules.hides_between(&regions, &key(text), (pair[0], pair[1]))
        };
        assert!(between("anybody", 1, 0) && !between("anybody", 0, 1) && !between("us-1", 1, 0));
    }

    fn directory() -> Directory {
        let slot = |index| RegionSlot::new(index).expect("small slot");
        let region = |index, name: &str, jurisdiction: &str| {
            (slot(index), name.to_string(), Some(jurisdiction.to_string()))
        };
        Directory::new([
            region(0, "us-east-1", "US"),
            region(1, "eu-west-1", "EU"),
            region(2, "eu-central-1", "EU"),
        ])
    }

    fn key(text: &str) -> PrimaryKey {
        PrimaryKey { partition: KeyValue::S(text.to_string()), sort: None }
    }

    #[test]
    fn the_first_rule_that_matches_holds_and_no_rule_restricts_nothing() {
        let rules = Placement::parse("eu-=EU us-=us-east-1 @home:EU=EU").expect("well formed");
        let home = [("home".to_string(), AttributeValue::S("EU".to_string()))].into();
        let nothing = Attributes::new();
        assert_eq!(rules.place(&key("eu-1"), &nothing), Place(1));
        assert_eq!(rules.place(&key("us-1"), &home), Place(2));
        assert_eq!(rules.place(&key("x"), &home), Place(3));
        assert_eq!(rules.place(&key("x"), &nothing), Place::ANYWHERE);
        let allowed = |place| {
            let slots = (0..3).filter_map(RegionSlot::new);
            slots.filter(|slot| rules.allows(&directory(), place, *slot)).count()
        };
        assert_eq!([0, 1, 2, 3, 4].map(|at| allowed(Place(at))), [3, 2, 1, 2, 0]);
    }

    #[test]
    fn garbage_is_no_rule() {
        for text in ["eu-", "=", "@a=EU", "eu-=EU+", "eu-="] {
            assert_eq!(Placement::parse(text), None, "{text}");
        }
        assert_eq!(Ownership::parse("eu-="), None);
    }

    #[test]
    fn the_home_region_owns_what_no_rule_names() {
        let rules = Ownership::parse("eu-=eu-west-1 x=nowhere").expect("well formed");
        let home = RegionSlot::new(0).expect("a slot");
        let owner = |text| rules.owner(&directory(), &key(text), home).get();
        assert_eq!([owner("eu-7"), owner("other"), owner("x1")], [1, 0, 0]);
    }
}
