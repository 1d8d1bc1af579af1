//! What a state is made of, and which combinations occur.

use alloc::sync::Arc;

use super::counter::{self, Cut, Tally};
use super::dots::{Dots, Floor};
use super::place::{Form, Mixed, Place, Places, Register};
use crate::item::{AttributeValue, Attributes};
use crate::time::Stamp;

/// What a state is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parts {
    /// The key attributes; empty if and only if `exists` is. They never change, so copies share
    /// them.
    pub key: Arc<Attributes>,
    /// The writes that made the item exist.
    pub exists: Dots,
    /// The newest removal of the item, where removals win.
    pub removed: Option<Stamp>,
    /// The attributes.
    pub places: Places,
    /// The merge groups: maps of their attributes.
    pub groups: Places,
}

impl Parts {
    /// Whether the parts are in the form that every state is in.
    pub(super) fn are_canonical(&self) -> bool {
        let floor = Floor(self.removed);
        self.key.is_empty() == self.exists.is_empty()
            && are_canonical(&self.places, floor)
            && are_canonical(&self.groups, floor)
    }
}

fn are_canonical(places: &Places, floor: Floor) -> bool {
    places.values().all(|place| match place {
        Place::Plain(_, AttributeValue::Ss(set)) => !set.is_empty(),
        Place::Plain(_, AttributeValue::Ns(set)) => !set.is_empty(),
        Place::Plain(_, AttributeValue::Bs(set)) => !set.is_empty(),
        Place::Plain(..) => true,
        Place::Mixed(mixed) => mixed.is_canonical(floor),
    })
}

impl Mixed {
    fn is_canonical(&self, floor: Floor) -> bool {
        let inner = floor.and(self.removed);
        self.form() == Form::Mixed
            && (self.removed.is_none() || floor.adds(self.removed))
            && self.registers.is_sorted_by(|one, two| one.dot < two.dot)
            && self.registers.iter().all(|register| self.is_sound(register))
            && self.tallies.is_sorted_by(|one, two| one.origin < two.origin)
            && self.tallies.iter().all(Tally::is_sound)
            && self.elements.values().all(|element| match element.removed {
                None => !element.dots.is_empty(),
                removed => inner.adds(removed),
            })
            && self
                .appended
                .is_sorted_by(|one, two| (one.dot, one.position) < (two.dot, two.position))
            && are_canonical(&self.members, inner)
    }

    fn is_sound(&self, register: &Register) -> bool {
        let bases = &register.bases;
        let based = bases.iter().all(|base| {
            counter::based(&self.tallies, base).is_some_and(|tally| {
                base.at < tally.newest || (base.at == tally.newest && base.sum == tally.sum)
            })
        });
        match register.value {
            AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_) => false,
            AttributeValue::N(_) => based && bases.is_sorted_by(|one, two| one.origin < two.origin),
            _ => bases.is_empty(),
        }
    }
}

impl Tally {
    fn is_sound(&self) -> bool {
        let cut = match self.cut {
            Cut::None | Cut::All => true,
            Cut::Part(at, _) => self.start <= at && at < self.newest,
        };
        cut && self.start <= self.newest
    }
}
