//! A write that was acknowledged to be in more regions than one is in more regions than one.
//!
//! Source: the levels of durability, data-plane.md 4.3 ("RPO 0 without linearizability"). At the
//! instant of the answer: as many other regions as the level says have the write on disk, as it
//! was, in the past of another version, or in their ledger. At rest: whichever one region is lost
//! with its disk, another has it.

use pangea_core::durability::Level;

use super::{Checked, Invariant, demand};
use crate::oracle::{Oracle, Site, VersionId};

const BROKEN: Invariant = Invariant::Durability;

/// A client is answered that the version has this level, of a table that so many regions hold.
/// `had` says which regions had it on disks that were lost since.
pub(crate) fn answered(
    oracle: &Oracle,
    sites: &[Site],
    id: VersionId,
    (level, holders): (Level, usize),
    had: impl Fn(usize) -> bool,
) -> Checked {
    let key = &oracle.items[oracle.versions[id].key].key;
    // The region itself may have left the table since, when all others had its writes.
    let others = sites.iter().enumerate().filter(|(at, _)| *at != oracle.versions[id].region);
    // What rotted since, it had, and repair will bring it back.
    let rotten = |site: &Site| site.disk.durable.rotten.contains_key(key);
    let have =
        others.filter(|(at, site)| has(oracle, site, id) || rotten(site) || had(*at)).count();
    let enough = match level {
        Level::Local => true,
        Level::PlusOne => have >= 1,
        Level::Majority => 2 * (have + 1) > holders,
        Level::All => have + 1 >= holders,
    };
    demand(BROKEN, enough, || {
        let (stamp, level) = (oracle.versions[id].version().stamp, level.as_str());
        format!("{stamp} is said to be {level} durable in {holders} regions: {have} others have it")
    })
}

/// Everything is at rest.
pub(crate) fn at_rest(oracle: &Oracle, sites: &[Site], acked: &[VersionId]) -> Checked {
    for &id in acked {
        let issued = &oracle.versions[id];
        let (key, place) = (&oracle.items[issued.key].key, issued.version().origins.place);
        let held = |site: &&Site| {
            let may = site.catalog.may_receive(site.slot, key.table, &key.primary, place);
            may && site.is_whole(key.table)
        };
        // Of a table that one region holds by now there is nothing to survive, nor of an item that
        // rotted in all.
        if oracle.given_up.contains(&issued.key) || sites.iter().filter(held).count() < 2 {
            continue;
        }
        let have = sites.iter().filter(|site| has(oracle, site, id)).count();
        demand(BROKEN, have >= 2, || {
            let stamp = issued.version().stamp;
            format!("{stamp} would not survive the loss of one region: {have} have it")
        })?;
    }
    Ok(())
}

/// Whether the region would still have the version if every other disk were lost.
pub(crate) fn has(oracle: &Oracle, site: &Site, id: VersionId) -> bool {
    let issued = &oracle.versions[id];
    let key = &oracle.items[issued.key].key;
    // What rots on a disk was on it.
    let rotten = site.disk.durable.rotten.contains_key(key);
    let absorbed = rotten || site.disk.durable.absorbed(key).has(issued.nth);
    absorbed || site.ledgered.get(&issued.key).is_some_and(|kept| kept.has(issued.nth))
}
