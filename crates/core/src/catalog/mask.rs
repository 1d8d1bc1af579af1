//! A table without the regions that are gone: a function of its entry, of what its replicas'
//! regions say, and of the membership, so that everyone who knows all of it sees the same.

use alloc::vec::Vec;

use super::{Directory, ReplicaSpec, TableEntry};
use crate::id::{Place, RegionSlot};
use crate::membership::Membership;

/// The entry with only those replicas whose regions are not gone and, if its home is, with another
/// of them for home.
///
/// The new home is the holder of the oldest membership, then of the oldest replica, then of the
/// smallest slot: whoever has most likely all of it. It stays among the replicas until it writes
/// the entry anew, and serves by the state of its replica as before; being home means that it alone
/// changes the entry. Where no holder is left, those count that still have rows (`left`): they were
/// leaving, and what they wrote last may be nowhere else; so does each of them where placement
/// keeps some items from all holders that are whole. A table that nobody else has keeps its home:
/// its rows are there alone.
pub(super) fn masked(
    entry: &TableEntry,
    membership: &Membership,
    directory: &Directory,
    left: impl Iterator<Item = ReplicaSpec>,
    is_whole: impl Fn(&TableEntry, RegionSlot) -> bool,
) -> TableEntry {
    let mut masked = entry.clone();
    masked.replicas.retain(|replica| !membership.is_gone(replica.slot));
    masked.former.retain(|replica| !membership.is_gone(replica.slot));
    if entry.deleted {
        return masked;
    }
    let left: Vec<ReplicaSpec> = left.collect();
    if !is_home(entry, membership) {
        let others = |it: &ReplicaSpec| it.slot != entry.home;
        if !masked.replicas.iter().any(others) {
            masked.replicas.extend(left.iter().filter(|it| others(it)));
        }
        let oldest = masked.replicas.iter().filter(|it| others(it));
        let oldest = oldest.min_by_key(|it| (membership.since(it.slot), it.since, it.slot));
        if let Some(heir) = oldest.map(|replica| replica.slot) {
            masked.home = heir;
            masked.home_since = membership.since(heir);
        }
    }
    let whole: Vec<RegionSlot> = masked.holders().filter(|&it| is_whole(&masked, it)).collect();
    let needed = |it: &ReplicaSpec| is_needed(&masked, &whole, directory, it.slot);
    let needed: Vec<ReplicaSpec> = left.into_iter().filter(needed).collect();
    masked.replicas.extend(needed);
    masked
}

/// Whether the region that the entry names as its home is there, in the life in which it became so.
fn is_home(entry: &TableEntry, membership: &Membership) -> bool {
    !membership.is_gone(entry.home) && membership.since(entry.home) == entry.home_since
}

/// Whether items of the table may be in that region, and in no holder that has all of them: one
/// that comes back has yet to copy them.
fn is_needed(
    entry: &TableEntry,
    whole: &[RegionSlot],
    directory: &Directory,
    slot: RegionSlot,
) -> bool {
    let placement = &entry.settings.placement;
    let mut places = (1..=placement.0.len()).filter_map(|at| u8::try_from(at).ok()).map(Place);
    !entry.is_held_by(slot)
        && places.any(|place| {
            let mut holders = whole.iter().copied();
            placement.allows(directory, place, slot)
                && !holders.any(|it| placement.allows(directory, place, it))
        })
}
