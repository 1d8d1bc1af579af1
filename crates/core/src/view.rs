//! What readers see of an item: a function of the versions that are kept, chosen by the policy.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::catalog::function::Function;
use crate::catalog::{Crdt, Policy};
use crate::crdt::State;
use crate::item::Attributes;
use crate::merge::{Body, Stored, Version, VersionVector};

/// The item's attributes, if readers see it at all.
#[must_use]
pub fn view<'a>(policy: &Policy, stored: &'a Stored) -> Option<Cow<'a, Attributes>> {
    match policy {
        Policy::Lww | Policy::Siblings | Policy::Owner => shown(stored.greatest()),
        Policy::Wasm(_) if stored.versions.len() == 1 => shown(stored.greatest()),
        Policy::Wasm(function) => match resolved(function, stored) {
            Ok(item) => item.map(Cow::Owned),
            // What the ledger has of the others was written when they met.
            Err(_) => shown(stored.greatest()),
        },
        Policy::Crdt(crdt) => match (&stored.greatest().body, stored.versions.len()) {
            (Body::Live(attributes), 1) => Some(Cow::Borrowed(attributes)),
            (_, 1) => state_of(crdt, stored.greatest()).view().map(Cow::Owned),
            _ => joined(crdt, stored).view().map(Cow::Owned),
        },
    }
}

/// What one version shows alone.
fn shown(version: &Version) -> Option<Cow<'_, Attributes>> {
    match &version.body {
        Body::Live(attributes) => Some(Cow::Borrowed(attributes)),
        Body::Tombstone => None,
        Body::Crdt(state) => state.view().map(Cow::Owned),
    }
}

/// What a merge function makes of the versions that are kept.
///
/// # Errors
/// Why it makes nothing of them: the same in every region.
pub(crate) fn resolved(function: &Function, stored: &Stored) -> Result<Option<Attributes>, String> {
    let items: Vec<_> = stored.versions.iter().map(|it| (it.stamp, shown(it))).collect();
    let inputs: Vec<_> = items.iter().map(|(stamp, item)| (*stamp, item.as_deref())).collect();
    function.resolve(&inputs)
}

/// What the versions that are kept know together. A version from before the table merged counts as
/// if everything in it had been written by its stamp.
#[must_use]
pub fn joined(crdt: &Crdt, stored: &Stored) -> State {
    let mut versions = stored.versions.iter();
    let Some(first) = versions.next() else { return State::default() };
    let (mut state, mut seen) = (state_of(crdt, first).into_owned(), first.context.clone());
    for version in versions {
        let other = state_of(crdt, version);
        state = join(crdt, (&state, &seen), (&other, &version.context));
        seen.join(&version.context);
    }
    state
}

type Side<'a> = (&'a State, &'a VersionVector);

#[cfg(not(feature = "planted-bugs"))]
fn join(_: &Crdt, a: Side<'_>, b: Side<'_>) -> State {
    State::join(a, b)
}

#[cfg(feature = "planted-bugs")]
fn join(crdt: &Crdt, a: Side<'_>, b: Side<'_>) -> State {
    State::join_with(a, b, crdt.options.bug)
}

fn state_of<'a>(crdt: &Crdt, version: &'a Version) -> Cow<'a, State> {
    match &version.body {
        Body::Crdt(state) => Cow::Borrowed(state),
        Body::Tombstone => Cow::Owned(State::default()),
        Body::Live(image) => Cow::Owned(State::from_image(version.stamp, &crdt.keys(), image)),
    }
}
