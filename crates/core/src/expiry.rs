//! Which items expire, and which region deletes one.
//!
//! Source: data-plane.md 2.16. An item expires when the attribute that its table names is a number
//! of seconds since 1970 that has passed. The region that wrote what readers see deletes it, so
//! that two regions do not do the same work; the others do so when it has had its time, one after
//! the other, so that they do not race each other either. Who takes no writes, because it was given
//! up or suspended or is still copying the table, has no turn. Where each key has one region that
//! writes it, nobody else deletes its items; but for the home of the table, which does so for a
//! region that was given up: whatever that goes on to write is taken by nobody. Whoever deletes
//! waits a little longer than its clock may be ahead of others', so that nobody takes an item away
//! that by a right clock is still there.

use crate::catalog::{Catalog, Policy, TableEntry};
use crate::id::RegionSlot;
use crate::item::{AttributeValue, Attributes, Number, PrimaryKey};
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::membership::RegionState;
use crate::merge::Stored;
use crate::view::view;

/// What expired longer ago than this is taken for something else (DynamoDB: five years), seconds.
const OLDEST_S: u64 = 5 * 365 * 24 * 3600;
/// Digits of a moment that is far beyond any that comes.
const DIGITS_MAX: i32 = 18;

/// When an item expires, in seconds since 1970; `None` if it does not.
#[must_use]
pub fn expires_s(entry: &TableEntry, item: &Attributes) -> Option<u64> {
    let AttributeValue::N(number) = item.get(entry.ttl.as_ref()?)? else { return None };
    whole(*number)
}

/// Whether an item that expires then has expired by now.
#[must_use]
pub const fn has_expired(expires_s: u64, now_ms: u64) -> bool {
    let now_s = now_ms / 1000;
    expires_s <= now_s && expires_s >= now_s.saturating_sub(OLDEST_S)
}

/// Whether region `me` shall delete the item now: it has expired [`CLOCK_SKEW_MS_MAX`] ago, and
/// each region whose turn is before this one's has had `grace_ms` to do so.
#[must_use]
pub fn is_due(
    (catalog, entry): (&Catalog, &TableEntry),
    (key, stored): (&PrimaryKey, &Stored),
    me: RegionSlot,
    now_ms: u64,
    grace_ms: u64,
) -> bool {
    let Some(item) = view(&entry.settings.policy, stored) else { return false };
    let Some(expires_s) = expires_s(entry, &item) else { return false };
    let Some(turn) = turn((catalog, entry), (key, stored), me) else { return false };
    let others_ms = grace_ms.saturating_mul(turn);
    let from_ms = now_ms.saturating_sub(CLOCK_SKEW_MS_MAX).saturating_sub(others_ms);
    has_expired(expires_s, now_ms) && expires_s <= from_ms / 1000
}

/// How many regions may delete the item before `me`: whoever wrote it last, then the holders in
/// their order, but for those that take no writes. `None` if `me` may not.
fn turn(
    (catalog, entry): (&Catalog, &TableEntry),
    (key, stored): (&PrimaryKey, &Stored),
    me: RegionSlot,
) -> Option<u64> {
    if entry.settings.policy == Policy::Owner {
        return (catalog.owner(entry, key) == me).then_some(0);
    }
    let first = stored.greatest().stamp.origin.slot();
    let others = entry.holders().filter(|&slot| slot != first);
    let before = core::iter::once(first).chain(others).take_while(|&slot| slot != me);
    Some(before.filter(|&slot| takes_writes(catalog, entry, slot)).map(|_| 1).sum())
}

fn takes_writes(catalog: &Catalog, entry: &TableEntry, slot: RegionSlot) -> bool {
    let state = catalog.membership().state(slot);
    catalog.is_serving(entry, slot) && state.is_none_or(|state| state == RegionState::Active)
}

/// The number without its fraction, if it is a moment.
fn whole(number: Number) -> Option<u64> {
    let (mantissa, exponent) = (number.mantissa(), i32::from(number.exponent()));
    if mantissa < 0 || exponent > DIGITS_MAX {
        return None;
    }
    let shift = 10_i128.checked_pow(exponent.unsigned_abs());
    let whole = match exponent >= 0 {
        true => mantissa.checked_mul(shift?)?,
        // Smaller than any whole number.
        false => shift.map_or(0, |shift| mantissa / shift),
    };
    u64::try_from(whole).ok()
}

#[cfg(test)]
mod tests;
