//! Dots, and which of them a join keeps.

use alloc::vec::Vec;
use core::slice;

#[cfg(feature = "planted-bugs")]
use super::Bug;
use crate::merge::VersionVector;
use crate::time::Stamp;

/// A set of dots, ascending; almost always one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dots(Repr);

/// Canonical: `Many` holds two at least.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Repr {
    #[default]
    None,
    One(Stamp),
    Many(Vec<Stamp>),
}

impl From<Stamp> for Dots {
    fn from(dot: Stamp) -> Self {
        Self(Repr::One(dot))
    }
}

impl Dots {
    /// No dot.
    pub const NONE: Self = Self(Repr::None);

    /// From dots in ascending order, each once; `None` if they are not.
    #[must_use]
    pub fn from_ascending(dots: Vec<Stamp>) -> Option<Self> {
        dots.is_sorted_by(|one, two| one < two).then(|| Self::from_sorted(dots))
    }

    /// The dots, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[Stamp] {
        match &self.0 {
            Repr::None => &[],
            Repr::One(dot) => slice::from_ref(dot),
            Repr::Many(dots) => dots,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::None)
    }

    pub(super) fn newest(&self) -> Option<Stamp> {
        self.as_slice().last().copied()
    }

    pub(super) fn only(&self) -> Option<Stamp> {
        match self.0 {
            Repr::One(dot) => Some(dot),
            Repr::None | Repr::Many(_) => None,
        }
    }

    pub(super) fn insert(&mut self, dot: Stamp) {
        let mut dots = self.as_slice().to_vec();
        if let Err(at) = dots.binary_search(&dot) {
            dots.insert(at, dot);
            *self = Self::from_sorted(dots);
        }
    }

    /// Whether a dot is there that no removal at `floor` hides.
    pub(super) fn reach(&self, floor: Floor) -> bool {
        self.newest().is_some_and(|dot| floor.shows(dot))
    }

    /// Drops what is hidden by a removal.
    pub(super) fn rise(&mut self, floor: Floor) {
        if self.as_slice().first().is_some_and(|dot| !floor.shows(*dot)) {
            let shown = self.as_slice().iter().copied().filter(|dot| floor.shows(*dot));
            *self = Self::from_sorted(shown.collect());
        }
    }

    pub(super) fn join(&self, other: &Self, sides: Sides<'_>) -> Self {
        match (&self.0, &other.0) {
            (Repr::None, Repr::None) => Self::NONE,
            (Repr::One(a), Repr::One(b)) if a == b => self.clone(),
            _ => Self::from_sorted(
                paired(self.as_slice(), other.as_slice(), |dot| *dot)
                    .filter_map(|(a, b)| sides.keep(a.copied(), b.copied()))
                    .collect(),
            ),
        }
    }

    fn from_sorted(dots: Vec<Stamp>) -> Self {
        Self(match dots.as_slice() {
            [] => Repr::None,
            [dot] => Repr::One(*dot),
            _ => Repr::Many(dots),
        })
    }
}

/// The newest removal above a place, where removals win: what is older is hidden. The removing
/// write's own dots are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Floor(pub(super) Option<Stamp>);

impl Floor {
    pub(super) fn shows(self, dot: Stamp) -> bool {
        self.0.is_none_or(|removed| dot >= removed)
    }

    /// The floor of a place below.
    pub(super) fn and(self, removed: Option<Stamp>) -> Self {
        Self(self.0.max(removed))
    }

    /// Whether a removal at a place says more than the floor above it.
    pub(super) fn adds(self, removed: Option<Stamp>) -> bool {
        removed > self.0
    }
}

/// What the two sides of a join had seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides<'a> {
    pub(super) a: &'a VersionVector,
    pub(super) b: &'a VersionVector,
    #[cfg(feature = "planted-bugs")]
    pub(super) bug: Option<Bug>,
}

impl Sides<'_> {
    /// The dot, if it is on both sides, or on one and the other has not seen it.
    pub(super) fn keep(self, a: Option<Stamp>, b: Option<Stamp>) -> Option<Stamp> {
        match (a, b) {
            (Some(dot), None) => (!self.b.covers(dot)).then_some(dot),
            (None, Some(dot)) => (!self.a.covers(dot)).then_some(dot),
            (both, _) => both,
        }
    }
}

/// Two ascending lists side by side: what has equal keys, together.
pub(super) fn paired<'a, T, K: Ord>(
    a: &'a [T],
    b: &'a [T],
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = (Option<&'a T>, Option<&'a T>)> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    core::iter::from_fn(move || {
        let order = match (a.peek(), b.peek()) {
            (Some(one), Some(two)) => key(one).cmp(&key(two)),
            (Some(_), None) => core::cmp::Ordering::Less,
            (None, Some(_)) => core::cmp::Ordering::Greater,
            (None, None) => return None,
        };
        Some((
            if order.is_le() { a.next() } else { None },
            if order.is_ge() { b.next() } else { None },
        ))
    })
}
