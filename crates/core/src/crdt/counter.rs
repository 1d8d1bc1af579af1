//! Counters: one running sum for each origin.
//!
//! A tally is written by its origin alone, so of two copies the newer one has all that the older
//! one has, and sums of different origins never mix. A removal does not drop the tallies it saw,
//! because their origins may be counting on meanwhile; it notes how far it saw. What a tally counts
//! for is what came after that. Once the origin itself has seen that all of its tally is removed,
//! it drops it and would begin a new one, and its version vector tells the others.

use alloc::vec::Vec;

#[cfg(feature = "planted-bugs")]
use super::Bug;
use super::dots::{Floor, Sides, paired};
use super::sum::Sum;
use crate::id::Origin;
use crate::time::{Hlc, Stamp};

/// What one origin has added to a counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Who adds.
    pub origin: Origin,
    /// The first addition: a tally that begins later replaces all of an earlier one.
    pub start: Hlc,
    /// The newest addition.
    pub newest: Hlc,
    /// All additions since the start.
    pub sum: Sum,
    /// How much of it was removed.
    pub cut: Cut,
}

/// How much of a tally some removal has seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Nothing.
    None,
    /// Everything up to this addition, and what that had come to.
    Part(Hlc, Sum),
    /// All of it.
    All,
}

/// What a `SET` of a number had seen of a tally, and therefore replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    /// Whose tally.
    pub origin: Origin,
    /// Its newest addition then.
    pub at: Hlc,
    /// What it had come to.
    pub sum: Sum,
}

impl Tally {
    /// Whether additions are left that no removal has seen.
    pub(super) fn is_alive(&self) -> bool {
        self.cut != Cut::All
    }

    /// The dot of the newest addition.
    pub(super) fn dot(&self) -> Stamp {
        Stamp { hlc: self.newest, origin: self.origin }
    }

    /// Whether the tally is alive, and newer than what hides it.
    pub(super) fn reaches(&self, floor: Floor) -> bool {
        self.is_alive() && floor.shows(self.dot())
    }

    /// Additions that neither a removal nor the `SET` with these bases has seen; `None` if all were
    /// seen. A base that a removal has overtaken is not among them.
    pub(super) fn unseen(&self, bases: &[Base]) -> Option<Sum> {
        let base = bases.binary_search_by_key(&self.origin, |base| base.origin);
        let base = base.ok().map(|at| &bases[at]);
        match (base, &self.cut) {
            (_, Cut::All) => None,
            (Some(base), _) if base.at == self.newest => None,
            (Some(base), _) => Some(self.sum.minus(&base.sum)),
            (None, Cut::Part(_, sum)) => Some(self.sum.minus(sum)),
            (None, Cut::None) => Some(self.sum.clone()),
        }
    }

    /// Up to where removals have seen it.
    fn cut_at(&self) -> Option<Hlc> {
        match self.cut {
            Cut::None => None,
            Cut::Part(at, _) => Some(at),
            Cut::All => Some(self.newest),
        }
    }

    /// Whether a base of the tally says more than the removals.
    fn is_based(&self, base: &Base) -> bool {
        base.at >= self.start && Some(base.at) > self.cut_at()
    }

    fn join(&self, other: &Self) -> Self {
        if self.start != other.start {
            return if self.start > other.start { self.clone() } else { other.clone() };
        }
        let (new, old) = if self.newest >= other.newest { (self, other) } else { (other, self) };
        let cut = match (&new.cut, &old.cut) {
            (Cut::All, _) => Cut::All,
            (_, Cut::All) if old.newest == new.newest => Cut::All,
            _ if new.cut_at() >= old.cut_at() => new.cut.clone(),
            (_, Cut::All) => Cut::Part(old.newest, old.sum.clone()),
            (_, cut) => cut.clone(),
        };
        Self { cut, ..new.clone() }
    }
}

/// The tally that a base is of, if the base says more about it than removals do.
pub(super) fn based<'a>(tallies: &'a [Tally], base: &Base) -> Option<&'a Tally> {
    let at = tallies.binary_search_by_key(&base.origin, |tally| tally.origin).ok()?;
    tallies.get(at).filter(|tally| tally.is_based(base))
}

/// Adds `amount` to the tally of the stamp's origin.
pub(super) fn add(tallies: &mut Vec<Tally>, stamp: Stamp, amount: Sum) {
    let (origin, newest) = (stamp.origin, stamp.hlc);
    let fresh = |sum| Tally { origin, start: newest, newest, sum, cut: Cut::None };
    match tallies.binary_search_by_key(&origin, |tally| tally.origin) {
        Ok(at) if tallies[at].is_alive() => {
            tallies[at].sum = tallies[at].sum.plus(&amount);
            tallies[at].newest = newest;
        }
        Ok(at) => tallies[at] = fresh(amount),
        Err(at) => tallies.insert(at, fresh(amount)),
    }
}

/// Removes what `me` sees of the tallies that `which` names. What is left to keep of its own is
/// nothing: nobody else will ever count on.
pub(super) fn cut(tallies: &mut Vec<Tally>, me: Origin, which: impl Fn(&Tally) -> bool) {
    for tally in tallies.iter_mut() {
        if which(tally) {
            tally.cut = Cut::All;
        }
    }
    tallies.retain(|tally| tally.is_alive() || tally.origin != me);
}

/// What a `SET` by someone who sees these tallies replaces.
pub(super) fn bases(tallies: &[Tally]) -> Vec<Base> {
    let alive = tallies.iter().filter(|tally| tally.is_alive());
    alive
        .map(|tally| Base { origin: tally.origin, at: tally.newest, sum: tally.sum.clone() })
        .collect()
}

pub(super) fn join(a: &[Tally], b: &[Tally], sides: Sides<'_>) -> Vec<Tally> {
    let kept = paired(a, b, |tally| tally.origin).filter_map(|pair| match pair {
        (Some(a), Some(b)) => Some(join_two(a, b, sides)),
        (a, b) => {
            // The origin has dropped it, and whoever has seen so much of the origin knows.
            sides.keep(a.map(Tally::dot), b.map(Tally::dot))?;
            a.or(b).cloned()
        }
    });
    kept.collect()
}

#[cfg(not(feature = "planted-bugs"))]
fn join_two(a: &Tally, b: &Tally, _: Sides<'_>) -> Tally {
    a.join(b)
}

#[cfg(feature = "planted-bugs")]
fn join_two(a: &Tally, b: &Tally, sides: Sides<'_>) -> Tally {
    let mut joined = a.join(b);
    if sides.bug == Some(Bug::AdditiveMerge) && a.newest != b.newest {
        joined.sum = a.sum.plus(&b.sum);
    }
    joined
}
