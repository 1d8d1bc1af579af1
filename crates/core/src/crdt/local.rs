//! What a local write does to one place.
//!
//! A local write to a place first drops what the place holds but does not show: the writer has seen
//! it lose, and the conflict ledger has it. Otherwise what is hidden could reappear when what hides
//! it goes. What a write replaces or removes is what its region sees, nothing else.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

#[cfg(feature = "planted-bugs")]
use super::Bug;
use super::Options;
use super::counter::{self, Tally};
use super::dots::{Dots, Floor};
use super::place::{Appended, Element, Mixed, Place, Places, Register, Shape, elements_of};
use super::shown::number_of;
use super::sum::Sum;
use crate::expr::Step;
use crate::id::Origin;
use crate::item::{AttributeValue, KeyValue, Number};
use crate::time::{Hlc, Stamp};

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) stamp: Stamp,
    pub(super) remove_wins: bool,
    /// Whether maps merge deeply.
    pub(super) deep: bool,
    #[cfg(feature = "planted-bugs")]
    pub(super) bug: Option<Bug>,
}

/// What happens at one place.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// The place shows this value instead.
    Assign(AttributeValue),
    /// A number is added, so that the place shows this one.
    Count {
        after: Number,
        /// What was there before, if it was not there and is not to be counted.
        initial: Option<Number>,
    },
    /// Elements of a set are added.
    AddElements(&'a AttributeValue),
    /// Elements of a set are taken away.
    DeleteElements(&'a AttributeValue),
    /// Elements are appended to a list.
    Append(Vec<AttributeValue>),
    /// The place shows nothing.
    Remove,
}

impl Pen {
    pub(super) fn new(stamp: Stamp, options: &Options) -> Self {
        Self {
            stamp,
            remove_wins: options.remove_wins,
            deep: options.deep_maps,
            #[cfg(feature = "planted-bugs")]
            bug: options.bug,
        }
    }

    /// The removal that this write leaves, where removals win.
    pub(super) fn removal(self) -> Option<Stamp> {
        self.remove_wins.then_some(self.stamp)
    }

    fn cut(self, tallies: &mut Vec<Tally>, which: impl Fn(&Tally) -> bool) {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(Bug::TallyDroppedOnRemove) {
            tallies.retain(|tally| !which(tally));
        }
        counter::cut(tallies, self.stamp.origin, which);
    }

    fn bases(self, tallies: &[Tally]) -> Vec<counter::Base> {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(Bug::SetWithoutBase) {
            return Vec::new();
        }
        counter::bases(tallies)
    }

    #[cfg(feature = "planted-bugs")]
    fn keeps_dots(self) -> bool {
        self.bug == Some(Bug::ReAddWithoutDot)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the pen")]
    fn keeps_dots(self) -> bool {
        false
    }
}

/// A value at a place where nothing was known; `None` for an empty set, which is no value.
pub(super) fn written(pen: Pen, value: AttributeValue) -> Option<Place> {
    match value {
        AttributeValue::M(_) if pen.deep => {
            let mut mixed = Box::<Mixed>::default();
            mixed.write(pen, value);
            mixed.tidy()
        }
        AttributeValue::Ss(set) if set.is_empty() => None,
        AttributeValue::Ns(set) if set.is_empty() => None,
        AttributeValue::Bs(set) if set.is_empty() => None,
        value => Some(Place::Plain(pen.stamp, value)),
    }
}

/// Changes the place `name` of `places`, or the one that `names` lead to below it, where `floor` is
/// that of `places`. What stands on the way there shows a map. Whether anything was added: a
/// removal inside a map that nobody wrote writes the map.
pub(super) fn edit(
    places: &mut Places,
    name: &str,
    names: &[Step],
    change: Change<'_>,
    floor: Floor,
    pen: Pen,
) -> bool {
    let Some(place) = places.get_mut(name) else {
        let mut place = None;
        let added = edit_place(&mut place, names, change, floor, pen);
        if let Some(place) = place {
            places.insert(String::from(name), place);
        }
        return added;
    };
    let mut taken = Some(take(place));
    let added = edit_place(&mut taken, names, change, floor, pen);
    match taken {
        Some(left) => *place = left,
        None => _ = places.remove(name),
    }
    added
}

/// Changes a place, or the one that `names` lead to below it. Whether anything was added.
fn edit_place(
    place: &mut Option<Place>,
    names: &[Step],
    change: Change<'_>,
    floor: Floor,
    pen: Pen,
) -> bool {
    if let Some((Step::Name(next), rest)) = names.split_first() {
        let mut mixed = place.take().map(Place::into_mixed).unwrap_or_default();
        let entered = mixed.enter(floor, pen);
        let floor = floor.and(mixed.removed);
        let added = edit(&mut mixed.members, next, rest, change, floor, pen);
        *place = mixed.tidy();
        return added || entered;
    }
    let adds = !matches!(change, Change::Remove | Change::DeleteElements(_));
    match change {
        Change::Assign(value) if !matches!(place, Some(Place::Mixed(_))) => {
            *place = written(pen, value);
        }
        change => {
            let mut mixed = place.take().map(Place::into_mixed).unwrap_or_default();
            mixed.change(change, floor, pen);
            *place = mixed.tidy();
        }
    }
    adds
}

/// Takes a place to be put back.
fn take(place: &mut Place) -> Place {
    let nothing = Stamp { hlc: Hlc::ZERO, origin: Origin::from_bits(0) };
    core::mem::replace(place, Place::Plain(nothing, AttributeValue::Null))
}

/// Changes what is at a place, or nothing, and puts it back if anything is left.
fn modify(places: &mut Places, name: String, change: impl FnOnce(&mut Mixed)) {
    let mut mixed = places.remove(&name).map(Place::into_mixed).unwrap_or_default();
    change(&mut mixed);
    if let Some(left) = mixed.tidy() {
        places.insert(name, left);
    }
}

/// Removes everything that is seen at the places; what must be remembered stays.
pub(super) fn clear(places: &mut Places, floor: Floor, pen: Pen) {
    places.retain(|_, place| {
        if matches!(place, Place::Plain(..)) {
            return false;
        }
        let mut mixed = take(place).into_mixed();
        mixed.clear(floor, pen);
        mixed.tidy().is_some_and(|left| {
            *place = left;
            true
        })
    });
}

impl Mixed {
    /// `floor` is that of the places around.
    fn change(&mut self, change: Change<'_>, floor: Floor, pen: Pen) {
        self.collapse(floor.and(self.removed), pen);
        match change {
            Change::Assign(value) => self.assign(pen, value),
            Change::Count { after, initial } => self.count(after, initial, floor, pen),
            Change::AddElements(set) => {
                for element in elements_of(set.clone()).unwrap_or_default() {
                    let element = self.elements.entry(element).or_default();
                    if element.dots.is_empty() || !pen.keeps_dots() {
                        element.dots = Dots::from(pen.stamp);
                    }
                }
            }
            Change::DeleteElements(set) => {
                for element in elements_of(set.clone()).unwrap_or_default() {
                    self.delete_element(element, pen);
                }
            }
            Change::Append(values) => {
                let dot = pen.stamp;
                let appended = values.into_iter().zip(0..);
                self.appended.extend(appended.map(|(value, position)| Appended {
                    dot,
                    position,
                    value,
                }));
            }
            Change::Remove => {
                self.clear(floor.and(pen.removal()), pen);
                self.removed = self.removed.max(pen.removal());
            }
        }
    }

    /// Drops everything that is not shown.
    fn collapse(&mut self, floor: Floor, pen: Pen) {
        let shape = self.shown(floor).map(|shown| shown.shape);
        let register = shape.and_then(|shape| self.register(shape, floor)).map(|it| it.dot);
        self.registers.retain(|it| Some(it.dot) == register);
        let counts = shape == Some(Shape::Number);
        if self.tallies.iter().any(|tally| !counts || !tally.reaches(floor)) {
            pen.cut(&mut self.tallies, |tally| !counts || !tally.reaches(floor));
        }
        self.elements.retain(|key, element| {
            if shape == Some(Shape::of_element(key)) {
                element.dots.rise(floor.and(element.removed));
            } else {
                element.dots = Dots::NONE;
            }
            !element.dots.is_empty() || element.removed.is_some()
        });
        self.appended.retain(|it| shape == Some(Shape::List) && floor.shows(it.dot));
        if shape == Some(Shape::Map) {
            self.map.rise(floor);
        } else {
            self.map = Dots::NONE;
            clear(&mut self.members, Floor::default(), pen);
        }
    }

    /// Makes ready for a change below: the place shows a map, and is one without members, too.
    /// Whether it had to be written for that.
    fn enter(&mut self, floor: Floor, pen: Pen) -> bool {
        self.collapse(floor.and(self.removed), pen);
        self.expand(|_| true);
        let writes = self.map.is_empty();
        if writes {
            self.map = Dots::from(pen.stamp);
        }
        writes
    }

    /// Takes the map of each register that `which` names apart: as if its write had been one to a
    /// map that merges deeply.
    pub(super) fn expand(&mut self, which: impl Fn(Stamp) -> bool) {
        let is_map = |it: &Register| matches!(it.value, AttributeValue::M(_)) && which(it.dot);
        while let Some(at) = self.registers.iter().position(is_map) {
            let Register { dot, value, .. } = self.registers.remove(at);
            let AttributeValue::M(map) = value else { continue };
            self.map.insert(dot);
            for (name, value) in map {
                modify(&mut self.members, name, |member| member.insert(dot, value));
            }
        }
    }

    /// A value beside what is there: how its write would be seen by who has not seen the rest.
    fn insert(&mut self, dot: Stamp, value: AttributeValue) {
        match elements_of(value) {
            Ok(elements) => {
                for element in elements {
                    self.elements.entry(element).or_default().dots.insert(dot);
                }
            }
            Err(value) => {
                let at = self.registers.partition_point(|it| it.dot < dot);
                self.registers.insert(at, Register { dot, value, bases: Vec::new() });
            }
        }
    }

    /// Drops everything that is seen. Removals and what was seen of tallies are remembered, as far
    /// as `floor` does not say it already.
    fn clear(&mut self, floor: Floor, pen: Pen) {
        self.registers.clear();
        pen.cut(&mut self.tallies, |_| true);
        self.elements.retain(|_, element| {
            element.dots = Dots::NONE;
            floor.adds(element.removed)
        });
        self.appended.clear();
        self.map = Dots::NONE;
        self.removed = self.removed.filter(|removed| floor.adds(Some(*removed)));
        clear(&mut self.members, floor.and(self.removed), pen);
    }

    /// Sets a value. A number keeps the tallies, and notes what it has seen of them.
    fn assign(&mut self, pen: Pen, value: AttributeValue) {
        let tallies = match number_of(&value) {
            Some(_) => core::mem::take(&mut self.tallies),
            None => Vec::new(),
        };
        self.clear(Floor::default(), pen);
        let bases = pen.bases(&tallies);
        if number_of(&value).is_some() {
            self.tallies = tallies;
            self.registers.push(Register { dot: pen.stamp, value, bases });
        } else {
            self.write(pen, value);
        }
    }

    /// Writes a value where nothing is shown.
    pub(super) fn write(&mut self, pen: Pen, value: AttributeValue) {
        let AttributeValue::M(map) = value else { return self.insert(pen.stamp, value) };
        if !pen.deep {
            return self.insert(pen.stamp, AttributeValue::M(map));
        }
        self.map = Dots::from(pen.stamp);
        for (name, value) in map {
            put(&mut self.members, name, value, pen);
        }
    }

    fn count(&mut self, after: Number, initial: Option<Number>, floor: Floor, pen: Pen) {
        if let Some(initial) = initial {
            self.assign(pen, AttributeValue::N(initial));
        }
        // The difference to the exact total, which is not what was shown if that had to be rounded.
        let before = self.total(floor.and(self.removed));
        counter::add(&mut self.tallies, pen.stamp, Sum::from(after).minus(&before));
    }

    fn delete_element(&mut self, key: KeyValue, pen: Pen) {
        match pen.removal() {
            None => {
                if let Some(element) = self.elements.get_mut(&key) {
                    element.dots = Dots::NONE;
                    if element.removed.is_none() {
                        self.elements.remove(&key);
                    }
                }
            }
            Some(removed) => {
                let element = Element { dots: Dots::NONE, removed: Some(removed) };
                self.elements.insert(key, element);
            }
        }
    }
}

/// Writes a value at a place where nothing is shown, though something may be remembered.
#[expect(clippy::map_entry, reason = "a place that is there is changed as a whole")]
pub(super) fn put(places: &mut Places, name: String, value: AttributeValue, pen: Pen) {
    if places.contains_key(&name) {
        modify(places, name, |place| place.write(pen, value));
    } else if let Some(place) = written(pen, value) {
        places.insert(name, place);
    }
}
