//! What a place shows.

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
        match self {
            Self::Plain(dot, value) => floor.shows(*dot).then(|| value.clone()),
            Self::Mixed(mixed) => {
                let floor = floor.and(mixed.removed);
                let shown = mixed.shown(floor)?;
                mixed.value_as(shown.shape, floor)
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
        let registers = self.registers.iter().map(|it| (Shape::of_register(&it.value), it.dot));
        let tallies = self.tallies.iter().filter(|it| it.is_alive());
        let tallies = tallies.map(|it| (Shape::Number, it.dot()));
        let appended = self.appended.last().map(|it| (Shape::List, it.dot));
        let elements = self.elements.iter().filter_map(|(key, element)| {
            element.dots.reach(floor.and(element.removed)).then_some(())?;
            Some((Shape::of_element(key), element.dots.newest()?))
        });
        let own = self.map.newest().map(|dot| (Shape::Map, dot));
        let members = self.members.values().filter_map(|place| place.stamp(floor));
        let members = members.map(|stamp| (Shape::Map, stamp));
        let all = registers.chain(tallies).chain(appended).chain(elements).chain(own);
        let shown = all.chain(members).filter(|(_, stamp)| floor.shows(*stamp));
        let (shape, stamp) = shown.max_by_key(|(shape, stamp)| (*stamp, *shape))?;
        Some(Shown { shape, stamp })
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
