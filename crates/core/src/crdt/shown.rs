//! What a place shows.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::dots::Floor;
use super::place::{Appended, Mixed, Place, Places, Register, Shape, set_of};
use super::sum::Sum;
use crate::item::{AttributeValue, Attributes, Number};
use crate::time::Stamp;

/// Which of the shapes at a place is shown: the one that was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) shape: Shape,
    /// The newest of the writes behind it.
    pub(super) stamp: Stamp,
}

impl Place {
    /// The value that the place shows, if any.
    pub(super) fn value(&self, floor: Floor) -> Option<AttributeValue> {
        self.shown_value(floor).map(Cow::into_owned)
    }

    /// The value that the place shows, if any; as it is here, where it is one.
    pub(super) fn shown_value(&self, floor: Floor) -> Option<Cow<'_, AttributeValue>> {
        match self {
            Self::Plain(dot, value) => floor.shows(*dot).then_some(Cow::Borrowed(value)),
            Self::Mixed(mixed) => {
                let floor = floor.and(mixed.removed);
                let shown = mixed.shown(floor)?;
                mixed.value_as(shown.shape, floor).map(Cow::Owned)
            }
        }
    }

    /// The newest write behind the value that the place shows, if any.
    pub(super) fn stamp(&self, floor: Floor) -> Option<Stamp> {
        match self {
            Self::Plain(dot, _) => floor.shows(*dot).then_some(*dot),
            Self::Mixed(mixed) => {
                let floor = floor.and(mixed.removed);
                mixed.shown(floor).map(|shown| shown.stamp)
            }
        }
    }
}

/// What the places show, by name.
pub(super) fn values(places: &Places, floor: Floor) -> Attributes {
    let shown = places.iter().filter_map(|(name, place)| Some((name.clone(), place.value(floor)?)));
    shown.collect()
}

impl Mixed {
    /// What is shown, where `floor` is the place's own; `None` if nothing is.
    pub(super) fn shown(&self, floor: Floor) -> Option<Shown> {
        let mut newest: Option<(Stamp, Shape)> = None;
        let mut note = |stamp: Stamp, shape: Shape| {
            if floor.shows(stamp) {
                newest = newest.max(Some((stamp, shape)));
            }
        };
        for it in &self.registers {
            note(it.dot, Shape::of_register(&it.value));
        }
        for tally in self.tallies.iter().filter(|tally| tally.is_alive()) {
            note(tally.dot(), Shape::Number);
        }
        for (key, element) in &self.elements {
            if let Some(dot) = element.dots.newest()
                && floor.and(element.removed).shows(dot)
            {
                note(dot, Shape::of_element(key));
            }
        }
        if let Some(appended) = self.appended.last() {
            note(appended.dot, Shape::List);
        }
        if let Some(dot) = self.map.newest() {
            note(dot, Shape::Map);
        }
        for place in self.members.values() {
            if let Some(stamp) = place.stamp(floor) {
                note(stamp, Shape::Map);
            }
        }
        newest.map(|(stamp, shape)| Shown { shape, stamp })
    }

    /// The value in one of the shapes.
    pub(super) fn value_as(&self, shape: Shape, floor: Floor) -> Option<AttributeValue> {
        match shape {
            Shape::Value => self.register(shape, floor).map(|it| it.value.clone()),
            Shape::Number => Some(AttributeValue::N(self.total(floor).round().number)),
            Shape::List => Some(AttributeValue::L(self.list(floor))),
            Shape::Strings | Shape::Numbers | Shape::Binaries => {
                let shown =
                    self.elements.iter().filter(|(_, it)| it.dots.reach(floor.and(it.removed)));
                set_of(shape, shown.map(|(key, _)| key))
            }
            Shape::Map => Some(AttributeValue::M(values(&self.members, floor))),
        }
    }

    /// The newest register of a shape: the only one of them that is shown.
    pub(super) fn register(&self, shape: Shape, floor: Floor) -> Option<&Register> {
        let mut newest = self.registers.iter().rev();
        newest.find(|it| Shape::of_register(&it.value) == shape && floor.shows(it.dot))
    }

    /// The exact number: what was set last, and every addition that it had not seen.
    pub(super) fn total(&self, floor: Floor) -> Sum {
        let register = self.register(Shape::Number, floor);
        let bases = register.map_or(&[][..], |it| &it.bases);
        let set = register.and_then(|it| number_of(&it.value)).unwrap_or(Number::ZERO);
        let shown = self.tallies.iter().filter(|tally| tally.reaches(floor));
        let added = shown.filter_map(|tally| tally.unseen(bases));
        added.fold(Sum::from(set), |total, sum| total.plus(&sum))
    }

    fn list(&self, floor: Floor) -> Vec<AttributeValue> {
        let mut list = match self.register(Shape::List, floor).map(|it| &it.value) {
            Some(AttributeValue::L(list)) => list.clone(),
            _ => Vec::new(),
        };
        let shown = self.appended.iter().filter(|it| floor.shows(it.dot));
        list.extend(shown.map(|Appended { value, .. }| value.clone()));
        list
    }
}

pub(super) fn number_of(value: &AttributeValue) -> Option<Number> {
    if let AttributeValue::N(number) = value { Some(*number) } else { None }
}
