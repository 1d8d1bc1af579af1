//! What readers see of an item: a function of the versions that are kept, chosen by the policy.

use alloc::borrow::Cow;

use crate::catalog::Policy;
use crate::item::Attributes;
use crate::merge::Stored;

/// The item's attributes, if readers see it at all.
#[must_use]
pub fn view<'a>(policy: &Policy, stored: &'a Stored) -> Option<Cow<'a, Attributes>> {
    match policy {
        Policy::Lww | Policy::Siblings => stored.greatest().body.attributes().map(Cow::Borrowed),
    }
}
