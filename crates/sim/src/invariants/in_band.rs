//! Invariant 3, the other direction: what a region believes that a peer has applied, it knows in
//! band, so that it has all that the peer had written before.
//!
//! Source: data-plane.md 2.7 (collecting tombstones on an acknowledgement beside the rows loses
//! writes: 51 of 40 000 schedules) and 2.10 (relay breaks the argument unless it acknowledges
//! nothing). Checked after every relayed frame, the only one that does not travel behind the
//! sender's own rows.

use pangea_core::node::Node;

use super::{Checked, Invariant, demand};
use crate::oracle::Site;

const BROKEN: Invariant = Invariant::Applied;

/// `region` has taken in a relayed frame of `peer`.
pub(crate) fn believed(sites: &[Site], region: usize, peer: usize, node: &Node) -> Checked {
    let (here, there) = (&sites[region], &sites[peer]);
    let Some(link) = node.links().get(&there.slot) else { return Ok(()) };
    // What an earlier life of the peer had said may still be believed, and rightly was.
    // A region that keeps no rows moves no place on disk, and counts on nobody.
    if !there.former.is_empty() || !there.lost.is_empty() || !node.keeps_rows() {
        return Ok(());
    }
    let received = here.disk.visible.applied_of(there.origin);
    for (&origin, &hlc) in link.applied.iter().filter(|(origin, _)| origin.slot() != there.slot) {
        let mut acks = there.acks.iter();
        let found = acks.find(|(of, applied, _)| *of == origin && *applied >= hlc);
        let written = found.map(|(.., written)| *written);
        demand(BROKEN, written.is_some_and(|written| written <= received), || {
            let (here, there) = (here.slot, there.slot);
            format!(
                "{here} believes that {there} has applied {hlc} of {origin}, which had written \
                 {written:?} before; {here} has {received}"
            )
        })?;
    }
    Ok(())
}
