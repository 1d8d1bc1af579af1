//! A table without the regions that are gone: a function of its entry, of what its replicas'
//! regions say, and of the membership, so that everyone who knows all of it sees the same.

use super::{ReplicaSpec, TableEntry};
use crate::membership::Membership;

/// The entry with only those replicas whose regions are not gone and, if its home is, with another
/// of them for home.
///
/// The new home is the holder of the oldest membership, then of the oldest replica, then of the
/// smallest slot: whoever has most likely all of it. It stays among the replicas until it writes
/// the entry anew, and serves by the state of its replica as before; being home means that it alone
/// changes the entry. Where no holder is left, those count that still have rows (`left`): they were
/// leaving, and what they wrote last may be nowhere else. A table that nobody else has keeps its
/// home: its rows are there alone.
pub(super) fn masked(
    entry: &TableEntry,
    membership: &Membership,
    left: impl Iterator<Item = ReplicaSpec>,
) -> TableEntry {
    let mut masked = entry.clone();
    masked.replicas.retain(|replica| !membership.is_gone(replica.slot));
    masked.former.retain(|replica| !membership.is_gone(replica.slot));
    if is_home(entry, membership) || entry.deleted {
        return masked;
    }
    let others = |it: &ReplicaSpec| it.slot != entry.home;
    if !masked.replicas.iter().any(others) {
        masked.replicas.extend(left.filter(others));
    }
    let oldest = masked.replicas.iter().filter(|it| others(it));
    let oldest = oldest.min_by_key(|it| (membership.since(it.slot), it.since, it.slot));
    if let Some(heir) = oldest.map(|replica| replica.slot) {
        masked.home = heir;
        masked.home_since = membership.since(heir);
    }
    masked
}

/// Whether the region that the entry names as its home is there, in the life in which it became so.
fn is_home(entry: &TableEntry, membership: &Membership) -> bool {
    !membership.is_gone(entry.home) && membership.since(entry.home) == entry.home_since
}
