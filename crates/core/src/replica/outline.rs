//! What an item is to a write that takes the place of all of it.

use alloc::sync::Arc;

use crate::catalog::Policy;
use crate::fingerprint;
use crate::item::{PrimaryKey, item_size};
use crate::merge::{Body, Stored};
use crate::view::view;

/// An item without its attributes: all that a write has to know that replaces it unseen. A store
/// can have it of a row without making a tree of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What is known of the item; the attributes of its versions are left out.
    pub stored: Stored,
    /// The size of the item that is shown where the greatest stamp wins; zero if none is.
    pub bytes: usize,
    /// What the item's row adds to the fingerprint of its bucket.
    pub fingerprint: u128,
}

impl Outline {
    /// That of an item that is there as a whole.
    #[must_use]
    pub fn of(key: &PrimaryKey, mut stored: Stored) -> Self {
        let bytes = view(&Policy::Lww, &stored).map_or(0, |item| item_size(&item));
        let fingerprint = fingerprint::of_item(key, &stored);
        for version in &mut stored.versions {
            if matches!(version.body, Body::Live(_)) {
                version.body = Body::Live(Arc::default());
            }
        }
        Self { stored, bytes, fingerprint }
    }
}
