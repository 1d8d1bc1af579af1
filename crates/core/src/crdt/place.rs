//! What is known at one place of an item: an attribute, or a member of a map that merges deeply.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::counter::{self, Base, Tally};
use super::dots::Dots;
use crate::item::{AttributeValue, KeyValue};
use crate::time::Stamp;

/// Places by name.
pub type Places = BTreeMap<String, Place>;

/// What is known at one place. Canonical: what can be plain is plain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// One write of one value: a register, or a set all of whose elements that write added.
    Plain(Stamp, AttributeValue),
    /// Anything else.
    Mixed(Box<Mixed>),
}

/// Everything that may be at a place at once, because some of it was written concurrently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mixed {
    /// Values that were set, never sets, ascending by dot; more than one only if concurrent.
    pub registers: Vec<Register>,
    /// What was added to a number, ascending by origin.
    pub tallies: Vec<Tally>,
    /// Elements of sets; a set of strings, one of numbers and one of binaries can be here at once.
    pub elements: BTreeMap<KeyValue, Element>,
    /// Elements that were appended to a list, ascending by dot and position.
    pub appended: Vec<Appended>,
    /// The dots of a map that merges deeply; it is there while they or any member are.
    pub map: Dots,
    /// The members of that map.
    pub members: Places,
    /// The newest removal, where removals win.
    pub removed: Option<Stamp>,
}

/// A value that was set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Register {
    /// The write.
    pub dot: Stamp,
    /// Its value.
    pub value: AttributeValue,
    /// Of a number: what it replaces of the tallies, ascending by origin; only what no removal has
    /// overtaken.
    pub bases: Vec<Base>,
}

/// An element of a set. One of the two is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Element {
    /// The writes that added it.
    pub dots: Dots,
    /// The newest removal, where removals win.
    pub removed: Option<Stamp>,
}

/// An element that was appended to a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Appended {
    /// The write.
    pub dot: Stamp,
    /// Its place among what the write appended.
    pub position: u32,
    /// The element.
    pub value: AttributeValue,
}

/// The shape of what a place shows: writes of one shape merge, of different shapes one hides the
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Shape {
    /// A value that merges with nothing.
    Value,
    /// A number: the newest that was set, and what was added.
    Number,
    /// A list: the newest that was set, and what was appended.
    List,
    Strings,
    Numbers,
    Binaries,
    /// A map that merges deeply.
    Map,
}

/// What a place comes to in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Nothing,
    /// One register.
    Register,
    /// Elements of one write.
    Set(Stamp, Shape),
    Mixed,
}

impl Shape {
    pub(super) fn of_register(value: &AttributeValue) -> Self {
        match value {
            AttributeValue::N(_) => Self::Number,
            AttributeValue::L(_) => Self::List,
            _ => Self::Value,
        }
    }

    pub(super) fn of_element(element: &KeyValue) -> Self {
        match element {
            KeyValue::S(_) => Self::Strings,
            KeyValue::N(_) => Self::Numbers,
            KeyValue::B(_) => Self::Binaries,
        }
    }
}

/// Takes a set apart; `Err` gives back what is no set.
pub(super) fn elements_of(value: AttributeValue) -> Result<Vec<KeyValue>, AttributeValue> {
    Ok(match value {
        AttributeValue::Ss(set) => set.into_iter().map(KeyValue::S).collect(),
        AttributeValue::Ns(set) => set.into_iter().map(KeyValue::N).collect(),
        AttributeValue::Bs(set) => set.into_iter().map(KeyValue::B).collect(),
        other => return Err(other),
    })
}

/// The set of the elements of one kind; `None` if there are none.
pub(super) fn set_of<'a>(
    kind: Shape,
    elements: impl Iterator<Item = &'a KeyValue>,
) -> Option<AttributeValue> {
    let mut elements = elements.filter(|element| Shape::of_element(element) == kind).peekable();
    elements.peek()?;
    Some(match kind {
        Shape::Numbers => AttributeValue::Ns(elements.filter_map(number_of).collect()),
        Shape::Binaries => AttributeValue::Bs(elements.filter_map(binary_of).collect()),
        _ => AttributeValue::Ss(elements.filter_map(string_of).collect()),
    })
}

fn string_of(element: &KeyValue) -> Option<String> {
    if let KeyValue::S(text) = element { Some(text.clone()) } else { None }
}

fn number_of(element: &KeyValue) -> Option<crate::item::Number> {
    if let KeyValue::N(number) = element { Some(*number) } else { None }
}

fn binary_of(element: &KeyValue) -> Option<Vec<u8>> {
    if let KeyValue::B(bytes) = element { Some(bytes.clone()) } else { None }
}

impl Place {
    /// Everything apart.
    pub(super) fn into_mixed(self) -> Box<Mixed> {
        let (dot, value) = match self {
            Self::Plain(dot, value) => (dot, value),
            Self::Mixed(mixed) => return mixed,
        };
        let mut mixed = Box::<Mixed>::default();
        match elements_of(value) {
            Ok(elements) => {
                let element = || Element { dots: Dots::from(dot), removed: None };
                mixed.elements = elements.into_iter().map(|it| (it, element())).collect();
            }
            Err(value) => mixed.registers.push(Register { dot, value, bases: Vec::new() }),
        }
        mixed
    }
}

impl Mixed {
    /// The canonical form; `None` if nothing is left.
    pub(super) fn tidy(mut self: Box<Self>) -> Option<Place> {
        let tallies = &self.tallies;
        for register in &mut self.registers {
            register.bases.retain(|base| counter::based(tallies, base).is_some());
        }
        match self.form() {
            Form::Nothing => None,
            Form::Register => {
                self.registers.pop().map(|register| Place::Plain(register.dot, register.value))
            }
            Form::Set(dot, kind) => Some(Place::Plain(dot, set_of(kind, self.elements.keys())?)),
            Form::Mixed => Some(Place::Mixed(self)),
        }
    }

    pub(super) fn form(&self) -> Form {
        let simple = self.tallies.is_empty()
            && self.appended.is_empty()
            && self.map.is_empty()
            && self.members.is_empty()
            && self.removed.is_none();
        match (self.registers.as_slice(), self.elements.is_empty()) {
            ([], true) if simple => Form::Nothing,
            ([_], true) if simple => Form::Register,
            ([], false) if simple => match self.plain_set() {
                Some((dot, kind)) => Form::Set(dot, kind),
                None => Form::Mixed,
            },
            _ => Form::Mixed,
        }
    }

    /// The dot and the kind of the elements, if all have the same.
    fn plain_set(&self) -> Option<(Stamp, Shape)> {
        let (first, element) = self.elements.first_key_value()?;
        let (dot, kind) = (element.dots.only()?, Shape::of_element(first));
        let same = |(key, element): (&KeyValue, &Element)| {
            element.removed.is_none()
                && element.dots.only() == Some(dot)
                && Shape::of_element(key) == kind
        };
        self.elements.iter().all(same).then_some((dot, kind))
    }
}
