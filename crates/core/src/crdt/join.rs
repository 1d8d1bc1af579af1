//! Joining what two regions know of a place.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::cmp::Ordering;

use super::counter;
use super::dots::{Floor, Sides, paired};
use super::place::{Element, Mixed, Place, Places, Register};
use crate::item::{AttributeValue, KeyValue};
use crate::time::Stamp;

pub(super) fn places(a: &Places, b: &Places, floor: Floor, sides: Sides<'_>) -> Places {
    let mut joined = Places::new();
    both(a, b, |name: &String, a, b| {
        if let Some(place) = place(a, b, floor, sides) {
            joined.insert(name.clone(), place);
        }
    });
    joined
}

/// Two maps side by side.
fn both<K: Ord, V>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
    mut each: impl FnMut(&K, Option<&V>, Option<&V>),
) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some(one), Some(two)) => one.0.cmp(two.0),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        if let Some((key, _)) = left.or(right) {
            each(key, left.map(|it| it.1), right.map(|it| it.1));
        }
    }
}

fn place(a: Option<&Place>, b: Option<&Place>, floor: Floor, sides: Sides<'_>) -> Option<Place> {
    match (a, b) {
        (Some(Place::Plain(dot, _)), None) => {
            sides.keep(Some(*dot), None)?;
            return a.cloned();
        }
        (None, Some(Place::Plain(dot, _))) => {
            sides.keep(None, Some(*dot))?;
            return b.cloned();
        }
        (Some(Place::Plain(one, value)), Some(Place::Plain(two, other)))
            if is_register(value) && is_register(other) =>
        {
            if one == two {
                return a.cloned();
            }
            match (sides.keep(Some(*one), None), sides.keep(None, Some(*two))) {
                (Some(_), None) => return a.cloned(),
                (None, Some(_)) => return b.cloned(),
                (None, None) => return None,
                (Some(_), Some(_)) => {}
            }
        }
        _ => {}
    }
    let (mut a, mut b) = (taken_apart(a), taken_apart(b));
    meet(&mut a, &b);
    meet(&mut b, &a);
    mixed(&a, &b, floor, sides).tidy()
}

fn is_register(value: &AttributeValue) -> bool {
    !matches!(value, AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_))
}

fn taken_apart(place: Option<&Place>) -> Cow<'_, Mixed> {
    match place {
        None => Cow::Owned(Mixed::default()),
        Some(Place::Mixed(mixed)) => Cow::Borrowed(mixed),
        Some(plain) => Cow::Owned(*plain.clone().into_mixed()),
    }
}

/// A map that was written as a register, but which the other side has written into deeply, is taken
/// apart here, too: else each side would think that the other one has removed what it has.
fn meet(one: &mut Cow<'_, Mixed>, other: &Mixed) {
    let dots = other.map.as_slice();
    let met = |it: &Register| {
        matches!(it.value, AttributeValue::M(_)) && dots.binary_search(&it.dot).is_ok()
    };
    if !dots.is_empty() && one.registers.iter().any(met) {
        one.to_mut().expand(|dot| dots.binary_search(&dot).is_ok());
    }
}

fn mixed(a: &Mixed, b: &Mixed, floor: Floor, sides: Sides<'_>) -> Box<Mixed> {
    let removed = a.removed.max(b.removed).filter(|removed| floor.adds(Some(*removed)));
    let floor = floor.and(removed);
    let dots = |a: Option<Stamp>, b: Option<Stamp>| sides.keep(a, b).is_some();
    let registers = paired(&a.registers, &b.registers, |it| it.dot)
        .filter(|(a, b)| dots(a.map(|it| it.dot), b.map(|it| it.dot)))
        .filter_map(|(a, b)| a.or(b).cloned());
    let appended = paired(&a.appended, &b.appended, |it| (it.dot, it.position))
        .filter(|(a, b)| dots(a.map(|it| it.dot), b.map(|it| it.dot)))
        .filter_map(|(a, b)| a.or(b).cloned());
    Box::new(Mixed {
        registers: registers.collect(),
        tallies: counter::join(&a.tallies, &b.tallies, sides),
        elements: elements(&a.elements, &b.elements, floor, sides),
        appended: appended.collect(),
        map: a.map.join(&b.map, sides),
        members: places(&a.members, &b.members, floor, sides),
        removed,
    })
}

fn elements(
    a: &BTreeMap<KeyValue, Element>,
    b: &BTreeMap<KeyValue, Element>,
    floor: Floor,
    sides: Sides<'_>,
) -> BTreeMap<KeyValue, Element> {
    let mut joined = BTreeMap::new();
    let none = Element::default();
    both(a, b, |key, a, b| {
        let (a, b) = (a.unwrap_or(&none), b.unwrap_or(&none));
        let removed = a.removed.max(b.removed).filter(|removed| floor.adds(Some(*removed)));
        let element = Element { dots: a.dots.join(&b.dots, sides), removed };
        if element != none {
            joined.insert(key.clone(), element);
        }
    });
    joined
}
