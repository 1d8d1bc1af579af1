//! What is not shown although it was written concurrently with what is.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::counter::Tally;
use super::dots::{Dots, Floor};
use super::place::{Mixed, Place, Places, Register, Shape, set_of};
use super::shown::{Shown, number_of};
use super::sum::Sum;
use super::{Loser, LoserKind};
use crate::item::{AttributeValue, Attributes, KeyValue, Number};
use crate::time::Stamp;

/// A write, and the removal that hides it, if one does.
type Key = (Stamp, Option<Stamp>);

/// What each write has at a place that does not show it, and whether it set all of the place.
type Lost = BTreeMap<Key, (AttributeValue, bool)>;

/// Adds the losers of all places below `path`.
pub(super) fn losers(places: &Places, path: &str, floor: Floor, out: &mut Vec<Loser>) {
    for (name, place) in places {
        let path = if path.is_empty() { name.clone() } else { [path, ".", name].concat() };
        match place {
            Place::Plain(dot, value) if !floor.shows(*dot) => {
                let lost = Lost::from([((*dot, floor.0), (value.clone(), true))]);
                report(&path, lost, None, out);
            }
            Place::Plain(..) => {}
            Place::Mixed(mixed) => mixed.losers(&path, floor, out),
        }
    }
}

/// Everything that a place holds, by write; for a place that is hidden by another.
pub(super) fn all(place: &Place, floor: Floor) -> BTreeMap<Stamp, AttributeValue> {
    let mut lost = Lost::new();
    match place {
        Place::Plain(dot, value) => add(&mut lost, *dot, floor, value.clone(), true),
        Place::Mixed(mixed) => mixed.gather(floor.and(mixed.removed), None, &mut lost),
    }
    let shown = lost.into_iter().filter(|((_, hidden_by), _)| hidden_by.is_none());
    shown.map(|((stamp, _), (value, _))| (stamp, value)).collect()
}

/// What is shown where something is lost.
struct Winner {
    shown: Shown,
    /// The register that is part of it.
    register: Option<Stamp>,
    value: AttributeValue,
}

fn report(path: &str, lost: Lost, winner: Option<&Winner>, out: &mut Vec<Loser>) {
    for ((loser, hidden_by), (value, is_register)) in lost {
        let (kind, winner, winning) = match (hidden_by, winner) {
            (Some(removal), _) => (LoserKind::Removed, removal, AttributeValue::Null),
            (None, Some(it)) if is_register => {
                (LoserKind::Register, it.register.unwrap_or(it.shown.stamp), it.value.clone())
            }
            (None, Some(it)) => (LoserKind::HiddenSubtree, it.shown.stamp, it.value.clone()),
            // Where nothing is shown, everything is hidden by a removal.
            (None, None) => continue,
        };
        out.push(Loser { path: path.to_string(), loser, winner, value, winning, kind });
    }
}

impl Mixed {
    fn losers(&self, path: &str, floor: Floor, out: &mut Vec<Loser>) {
        let floor = floor.and(self.removed);
        let shown = self.shown(floor);
        let mut lost = Lost::new();
        self.gather(floor, shown.map(|shown| shown.shape), &mut lost);
        if let Some(shown) = shown {
            let register = self.register(shown.shape, floor).map(|it| it.dot);
            let overflows = shown.shape == Shape::Number && !self.total(floor).round().exact;
            if !lost.is_empty() || overflows {
                let value = self.value_as(shown.shape, floor).unwrap_or(AttributeValue::Null);
                let winner = Winner { shown, register, value };
                report(path, lost, Some(&winner), out);
                out.extend(overflows.then(|| self.overflow(path, floor, winner)));
            }
            if shown.shape == Shape::Map {
                losers(&self.members, path, floor, out);
            }
        } else {
            report(path, lost, None, out);
        }
    }

    /// The newest of the parts of a total that is not shown exactly, as losing to the next newest.
    fn overflow(&self, path: &str, floor: Floor, winner: Winner) -> Loser {
        let register = self.register(Shape::Number, floor);
        let mut parts: Vec<(Stamp, Sum)> = counted(&self.tallies, register, floor).collect();
        parts.extend(register.map(|it| (it.dot, set_sum(it))));
        parts.sort_by_key(|(stamp, _)| *stamp);
        let (loser, sum) = parts.pop().unwrap_or((winner.shown.stamp, Sum::ZERO));
        let beaten_by = parts.last().map_or(loser, |(stamp, _)| *stamp);
        let value = AttributeValue::N(sum.round().number);
        let (path, winning) = (path.to_string(), winner.value);
        Loser { path, loser, winner: beaten_by, value, winning, kind: LoserKind::Overflow }
    }

    /// What the place holds and does not show, where `shown` is the shape that it shows.
    fn gather(&self, floor: Floor, shown: Option<Shape>, lost: &mut Lost) {
        for register in &self.registers {
            let shape = Shape::of_register(&register.value);
            let current = self.register(shape, floor).map(|it| it.dot);
            if shown != Some(shape) || current != Some(register.dot) {
                add(lost, register.dot, floor, register.value.clone(), true);
            }
        }
        let register = self.register(Shape::Number, floor);
        for (stamp, sum) in counted(&self.tallies, register, Floor::default()) {
            if shown != Some(Shape::Number) || !floor.shows(stamp) {
                add(lost, stamp, floor, AttributeValue::N(sum.round().number), false);
            }
        }
        for (key, element) in &self.elements {
            let floor = floor.and(element.removed);
            if shown != Some(Shape::of_element(key)) || !element.dots.reach(floor) {
                add_element(lost, key, &element.dots, floor);
            }
        }
        for it in &self.appended {
            if shown != Some(Shape::List) || !floor.shows(it.dot) {
                let value = AttributeValue::L(Vec::from([it.value.clone()]));
                add(lost, it.dot, floor, value, false);
            }
        }
        if shown != Some(Shape::Map) {
            self.gather_map(floor, lost);
        }
    }

    fn gather_map(&self, floor: Floor, lost: &mut Lost) {
        for dot in self.map.as_slice() {
            add(lost, *dot, floor, AttributeValue::M(Attributes::new()), false);
        }
        for (name, place) in &self.members {
            let mut below = Lost::new();
            match place {
                Place::Plain(dot, value) => add(&mut below, *dot, floor, value.clone(), false),
                Place::Mixed(mixed) => mixed.gather(floor.and(mixed.removed), None, &mut below),
            }
            for ((stamp, hidden_by), (value, _)) in below {
                let value = AttributeValue::M(Attributes::from([(name.clone(), value)]));
                merge(lost, (stamp, hidden_by), value, false);
            }
        }
    }
}

/// The tallies that count beside the register, where `floor` does not hide them, and for how much.
fn counted<'a>(
    tallies: &'a [Tally],
    register: Option<&'a Register>,
    floor: Floor,
) -> impl Iterator<Item = (Stamp, Sum)> + 'a {
    let bases = register.map_or(&[][..], |it| &it.bases);
    let shown = tallies.iter().filter(move |tally| tally.reaches(floor));
    shown.filter_map(|tally| Some((tally.dot(), tally.unseen(bases)?)))
}

fn set_sum(register: &Register) -> Sum {
    Sum::from(number_of(&register.value).unwrap_or(Number::ZERO))
}

fn add_element(lost: &mut Lost, key: &KeyValue, dots: &Dots, floor: Floor) {
    for dot in dots.as_slice() {
        let kind = Shape::of_element(key);
        if let Some(value) = set_of(kind, core::iter::once(key)) {
            add(lost, *dot, floor, value, false);
        }
    }
}

fn add(lost: &mut Lost, dot: Stamp, floor: Floor, value: AttributeValue, is_register: bool) {
    let hidden_by = floor.0.filter(|_| !floor.shows(dot));
    merge(lost, (dot, hidden_by), value, is_register);
}

/// What one write has at one place is one value.
fn merge(lost: &mut Lost, key: Key, value: AttributeValue, is_register: bool) {
    let merged = match lost.remove(&key) {
        None => (value, is_register),
        Some((before, was)) => (united(before, value), was || is_register),
    };
    lost.insert(key, merged);
}

fn united(one: AttributeValue, two: AttributeValue) -> AttributeValue {
    use AttributeValue::{Bs, L, M, N, Ns, Ss};
    match (one, two) {
        (N(a), N(b)) => N(Sum::from(a).plus(&Sum::from(b)).round().number),
        (Ss(a), Ss(b)) => Ss(extended(a, b)),
        (Ns(a), Ns(b)) => Ns(extended(a, b)),
        (Bs(a), Bs(b)) => Bs(extended(a, b)),
        (L(a), L(b)) => L(extended(a, b)),
        (M(mut a), M(b)) => {
            for (name, value) in b {
                let value = match a.remove(&name) {
                    Some(before) => united(before, value),
                    None => value,
                };
                a.insert(name, value);
            }
            M(a)
        }
        (one, _) => one,
    }
}

fn extended<T: IntoIterator + Extend<T::Item>>(mut one: T, two: T) -> T {
    one.extend(two);
    one
}
