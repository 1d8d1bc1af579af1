//! What readers see of an item: a function of the versions that are kept, chosen by the policy.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::catalog::function::Function;
use crate::catalog::{Crdt, Policy};
use crate::crdt::State;
use crate::item::Attributes;
use crate::merge::{Body, Stored, Version, VersionVector};
use crate::time::Stamp;

/// The item's attributes, if readers see it at all.
#[must_use]
pub fn view<'a>(policy: &Policy, stored: &'a Stored) -> Option<Cow<'a, Attributes>> {
    match policy {
        Policy::Lww | Policy::Owner => shown(stored.greatest()),
        Policy::Siblings if stored.versions.len() == 1 => shown(stored.greatest()),
        Policy::Siblings => apart(stored).into_iter().next().and_then(|(_, item)| item),
        Policy::Wasm(_) if stored.versions.len() == 1 => shown(stored.greatest()),
        Policy::Wasm(function) => match resolved(function, stored) {
            Ok(item) => item.map(Cow::Owned),
            // What the ledger has of the others was written when they met.
            Err(_) => apart(stored).into_iter().next().and_then(|(_, item)| item),
        },
        Policy::Crdt(crdt) => match (&stored.greatest().body, stored.versions.len()) {
            (Body::Live(attributes), 1) => Some(Cow::Borrowed(attributes)),
            (_, 1) => state_of(crdt, stored.greatest()).view().map(Cow::Owned),
            _ => joined(crdt, stored).view().map(Cow::Owned),
        },
    }
}

/// What one version shows alone.
pub(crate) fn shown(version: &Version) -> Option<Cow<'_, Attributes>> {
    match &version.body {
        Body::Live(attributes) => Some(Cow::Borrowed(attributes)),
        Body::Tombstone => None,
        Body::Crdt(state) => state.view().map(Cow::Owned),
    }
}

/// The versions that are kept beside each other, the greatest stamp first; `None` is a deletion.
///
/// Those that were written to merge, before the table kept versions apart, are one, under the
/// greatest of their stamps: none of them alone shows what their readers saw.
#[must_use]
pub fn apart(stored: &Stored) -> Vec<(Stamp, Option<Cow<'_, Attributes>>)> {
    let mut merged = merging(stored).map(|state| state.view().map(Cow::Owned));
    let several = merged.is_some();
    let versions = stored.versions.iter().filter_map(|version| {
        let item = if several && merges(version) { merged.take()? } else { shown(version) };
        Some((version.stamp, item))
    });
    versions.collect()
}

/// What the versions know together that were written to merge, if there are several of them.
pub(crate) fn merging(stored: &Stored) -> Option<State> {
    let mut versions = stored.versions.iter().filter_map(|version| match &version.body {
        Body::Crdt(state) => Some((&**state, &version.context)),
        Body::Live(_) | Body::Tombstone => None,
    });
    let (first, context) = versions.next()?;
    let (mut state, mut seen) = (None, context.clone());
    for (other, context) in versions {
        state = Some(State::join((state.as_ref().unwrap_or(first), &seen), (other, context)));
        seen.join(context);
    }
    state
}

/// Whether the version was written to merge.
pub(crate) fn merges(version: &Version) -> bool {
    matches!(version.body, Body::Crdt(_))
}

/// What a merge function makes of the versions that are kept.
///
/// # Errors
/// Why it makes nothing of them: the same in every region.
pub(crate) fn resolved(function: &Function, stored: &Stored) -> Result<Option<Attributes>, String> {
    let items = apart(stored);
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
