//! Items as CRDTs: concurrent writes of several regions to one item merge attribute by attribute.
//!
//! A [`State`] is everything that a region knows of an item: each live element (a value that was
//! set, an element of a set, an addition to a number) with the dot of the write it came from. A
//! write has one stamp, and that is the dot of everything that it adds. A row holds the whole state
//! that its writer saw, beside the version vector of what its writer had seen; a region shows the
//! join of the rows of which none has seen another.
//!
//! *Joining* keeps a dot iff both sides have it, or one has it and the other has not seen it: what
//! was seen and is gone was removed. So a removal or a replacement takes away what its region saw,
//! and nothing that was written concurrently. Source: Bieniusa et al., An Optimized Conflict-free
//! Replicated Set (2012); for counters, Weidner and Almeida, An Oblivious Observed-Reset Embeddable
//! Replicated Counter (PaPoC 2022).
//!
//! *What merges*: `ADD` to a number, and elements of sets however they came there (a `SET` of a set
//! is a removal of what was seen and an addition of its elements). By option, members of maps and
//! appending to lists. Anything else is a register: the greatest stamp is shown, the others are
//! [losers](State::losers) until their place is written again. Where values of different shapes
//! meet (a map and a number, say), the one that was written last is shown and hides the others.
//!
//! *Local writes* behave as in a table without merging: [`State::update`] shows afterwards exactly
//! what [`expr::Update::apply`](crate::expr::Update::apply) makes of what was shown before.
//!
//! Deliberately absent: time, tables, the rows themselves, and the version vectors, which are the
//! caller's. Two rules are the caller's, too: a stamp exceeds everything that its writer has seen
//! of the item, and the vector beside a state covers what the state has joined, not more and not
//! less.

mod counter;
mod dots;
mod groups;
mod join;
mod local;
mod lost;
mod parts;
mod place;
mod shown;
mod sum;
mod update;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use counter::{Base, Cut, Tally};
pub use dots::Dots;
pub use parts::Parts;
pub use place::{Appended, Element, Mixed, Place, Places, Register};
pub use sum::{Rounded, Sum};

use crate::item::{self, AttributeValue, Attributes, ItemError};
use crate::limits::ITEM_BYTES_MAX;
use crate::merge::VersionVector;
use crate::time::Stamp;
use dots::{Floor, Sides};
use local::Pen;

/// How writes to the items of a table merge. A change of options applies to later writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether removals, too, are ordered by stamp: what is written concurrently with a removal is
    /// then shown only if its stamp is greater. Else it is always shown.
    ///
    /// Additions of one region to a counter, as far as nobody else has replaced or removed them,
    /// stand or fall together, by the newest of them.
    pub remove_wins: bool,
    /// Whether maps merge member by member. Else an attribute is the unit.
    pub deep_maps: bool,
    /// Whether `SET l = list_append(l, :x)` adds elements that merge, ordered by stamp.
    pub list_append: bool,
    /// Whether `SET a = a + :n`, `SET a = a - :n` and the same with `if_not_exists(a, :initial)`
    /// for the `a` on the right add to a number as `ADD` does. Else they replace it.
    pub recognise_add: bool,
    /// Attributes that are one register together, so that what holds among them is never torn: a
    /// write to one of them is a write to all. An attribute belongs to the first group that names
    /// it.
    pub groups: Vec<Vec<String>>,
    /// A bug to plant, for the tests to find.
    #[cfg(feature = "planted-bugs")]
    pub bug: Option<Bug>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            remove_wins: false,
            deep_maps: false,
            list_append: false,
            recognise_add: true,
            groups: Vec::new(),
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }
}

/// Bugs that the tests must catch. They exist in no shipped build.
#[cfg(feature = "planted-bugs")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A removal drops the tallies that it sees, instead of noting how far it saw.
    TallyDroppedOnRemove,
    /// A `SET` of a number does not note what it replaces of the tallies.
    SetWithoutBase,
    /// Two copies of a tally are added up. In [`State::join_with`].
    AdditiveMerge,
    /// Adding an element that is there keeps its old dots.
    ReAddWithoutDot,
    /// A row's vector covers more than its state has joined. Planted by whoever makes the vector.
    VectorAhead,
}

#[cfg(feature = "planted-bugs")]
impl Bug {
    /// Those that a table's options can plant.
    pub const ALL: [Self; 4] = [
        Self::TallyDroppedOnRemove,
        Self::SetWithoutBase,
        Self::AdditiveMerge,
        Self::ReAddWithoutDot,
    ];
}

/// Everything that a region knows of an item. The default knows of nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State(Parts);

/// A write that is not shown although what is shown had not seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loser {
    /// Where: attribute and members, with points between; the names of a merge group with commas.
    /// Empty for the existence of an item of nothing but its key.
    pub path: String,
    /// The write that is not shown.
    pub loser: Stamp,
    /// The write that is shown instead, or that removed it.
    pub winner: Stamp,
    /// What the losing write has there. Of additions to a number: all of its region's that count.
    pub value: AttributeValue,
    /// What is shown there; `Null` where a removal won.
    pub winning: AttributeValue,
    /// Why it is not shown.
    pub kind: LoserKind,
}

/// Why a write is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoserKind {
    /// It set a value, and something else was written later.
    Register,
    /// It added to something that a later write of another shape hides.
    HiddenSubtree,
    /// The total is no DynamoDB number: it is shown rounded to 38 digits or to the greatest number.
    Overflow,
    /// A concurrent removal has a greater stamp, and removals win.
    Removed,
}

impl State {
    /// How a version that was written before its table merged is read: everything is of its stamp.
    #[must_use]
    pub fn from_image(stamp: Stamp, key_names: &[&str], image: &Attributes) -> Self {
        let mut state = Self::default();
        state.put(stamp, key_names, image, &Options::default());
        state
    }

    /// Replaces what is seen of the item. `stamp` exceeds everything seen; sets are not empty.
    pub fn put(
        &mut self,
        stamp: Stamp,
        key_names: &[&str],
        attributes: &Attributes,
        options: &Options,
    ) {
        let pen = Pen::new(stamp, options);
        self.clear(pen);
        let (mut grouped, mut key) = (Vec::new(), Attributes::new());
        let mut fresh = Vec::with_capacity(attributes.len());
        for (name, value) in attributes {
            if key_names.contains(&name.as_str()) {
                key.insert(name.clone(), value.clone());
            } else if let Some(group) = groups::of(options, name) {
                grouped.push((group, name, value));
            } else if self.0.places.contains_key(name) {
                local::put(&mut self.0.places, name.clone(), value.clone(), pen);
            } else if let Some(place) = local::written(pen, value.clone()) {
                fresh.push((name.clone(), place));
            }
        }
        if self.0.places.is_empty() {
            self.0.places = fresh.into_iter().collect();
        } else {
            self.0.places.extend(fresh);
        }
        self.put_groups(grouped, pen);
        self.0.exists = Dots::from(stamp);
        self.0.key = Arc::new(key);
    }

    /// Removes what is seen of the item. `stamp` exceeds everything seen.
    pub fn delete(&mut self, stamp: Stamp, options: &Options) {
        self.clear(Pen::new(stamp, options));
    }

    /// What both sides know together, each with the vector of what it had seen.
    ///
    /// Idempotent, commutative and associative on states that were reached by writes and joins.
    #[must_use]
    pub fn join(a: (&Self, &VersionVector), b: (&Self, &VersionVector)) -> Self {
        let sides = Sides {
            a: a.1,
            b: b.1,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        };
        a.0.joined(b.0, sides)
    }

    /// [`State::join`] with a bug planted.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn join_with(
        a: (&Self, &VersionVector),
        b: (&Self, &VersionVector),
        bug: Option<Bug>,
    ) -> Self {
        a.0.joined(b.0, Sides { a: a.1, b: b.1, bug })
    }

    /// Whether the item exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.exists.reach(self.floor())
    }

    /// The item as it is shown; `None` if it does not exist.
    #[must_use]
    pub fn view(&self) -> Option<Attributes> {
        if !self.exists() {
            return None;
        }
        let mut shown = Vec::with_capacity(self.0.places.len() + self.0.key.len());
        for (name, place) in &self.0.places {
            if let Some(value) = place.value(self.floor()) {
                shown.push((name.clone(), value));
            }
        }
        if self.0.groups.is_empty() {
            shown.extend(self.0.key.iter().map(|(name, value)| (name.clone(), value.clone())));
            return Some(shown.into_iter().collect());
        }
        let mut view: Attributes = shown.into_iter().collect();
        self.show_groups(&mut view);
        view.extend(self.0.key.iter().map(|(name, value)| (name.clone(), value.clone())));
        Some(view)
    }

    /// How large the item that is shown is: as [`item::item_size`] of the view, in which copies of
    /// most values are spared. What does not exist has no size.
    #[must_use]
    pub fn size(&self) -> usize {
        if !self.0.groups.is_empty() {
            return self.view().map_or(0, |view| item::item_size(&view));
        }
        if !self.exists() {
            return 0;
        }
        let shown = self.0.places.iter().filter_map(|(name, place)| {
            let value = place.shown_value(self.floor())?;
            Some(name.len() + item::value_size(&value))
        });
        item::item_size(&self.0.key) + shown.sum::<usize>()
    }

    /// Whether the item that is shown may be stored: as [`item::validate`] of the view, in which
    /// copies of most values are spared. What does not exist may.
    ///
    /// # Errors
    ///
    /// [`ItemError`], whose `Display` is DynamoDB's message.
    pub fn validate(&self) -> Result<(), ItemError> {
        if !self.0.groups.is_empty() {
            return self.view().map_or(Ok(()), |view| item::validate(&view));
        }
        if !self.exists() {
            return Ok(());
        }
        let mut bytes = item::item_size(&self.0.key);
        for (name, place) in &self.0.places {
            if let Some(value) = place.shown_value(self.floor()) {
                item::validate_value(&value)?;
                bytes += name.len() + item::value_size(&value);
            }
        }
        if bytes > ITEM_BYTES_MAX { Err(ItemError::TooLarge) } else { Ok(()) }
    }

    /// What is not shown although it was written concurrently with what is, by path and stamp. The
    /// same in every region that knows the same. Each losing write is named once for each place.
    #[must_use]
    pub fn losers(&self) -> Vec<Loser> {
        let mut losers = Vec::new();
        lost::losers(&self.0.places, "", self.floor(), &mut losers);
        lost::losers(&self.0.groups, "", self.floor(), &mut losers);
        self.group_losers(&mut losers);
        self.lost_existence(&mut losers);
        losers.sort_by(|a, b| (&a.path, a.loser, a.winner).cmp(&(&b.path, b.loser, b.winner)));
        losers
    }

    /// What the state is made of; for codecs.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0
    }

    /// The inverse of [`State::parts`]; `None` for parts that no state has.
    #[must_use]
    pub fn from_parts(parts: Parts) -> Option<Self> {
        parts.are_canonical().then_some(Self(parts))
    }

    fn floor(&self) -> Floor {
        Floor(self.0.removed)
    }

    /// Removes everything that is seen.
    fn clear(&mut self, pen: Pen) {
        self.0.removed = self.0.removed.max(pen.removal());
        let floor = self.floor();
        local::clear(&mut self.0.places, floor, pen);
        local::clear(&mut self.0.groups, floor, pen);
        self.0.exists = Dots::NONE;
        if !self.0.key.is_empty() {
            self.0.key = Arc::default();
        }
    }

    fn joined(&self, other: &Self, sides: Sides<'_>) -> Self {
        let (a, b) = (&self.0, &other.0);
        let removed = a.removed.max(b.removed);
        let floor = Floor(removed);
        let exists = a.exists.join(&b.exists, sides);
        let key = if exists.is_empty() {
            Arc::default()
        } else if a.key.is_empty() {
            Arc::clone(&b.key)
        } else {
            Arc::clone(&a.key)
        };
        let places = join::places(&a.places, &b.places, floor, sides);
        let groups = join::places(&a.groups, &b.groups, floor, sides);
        Self(Parts { key, exists, removed, places, groups })
    }

    /// Writes that made the item exist, of which nothing else is reported.
    fn lost_existence(&self, losers: &mut Vec<Loser>) {
        let Some(winner) = self.0.removed.filter(|_| !self.exists()) else { return };
        for dot in self.0.exists.as_slice() {
            if losers.iter().all(|it| it.loser != *dot) {
                losers.push(Loser {
                    path: String::new(),
                    loser: *dot,
                    winner,
                    value: AttributeValue::M(Attributes::clone(&self.0.key)),
                    winning: AttributeValue::Null,
                    kind: LoserKind::Removed,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
