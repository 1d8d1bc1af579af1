//! Invariant 20 of the data plane: anti-entropy finds what rotted, repairs it, and finds nothing
//! else.
//!
//! Source: data-plane.md 2.11 and 3.3, 20. The fingerprints that a region maintains are those of
//! its rows; at rest they are equal wherever all of a table is and may be. A comparison finds
//! nothing, whatever is on its way, except a row that the simulator let rot: that one is named, and
//! as it was in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use pangea_core::fingerprint::{self, Fingerprints};
use pangea_core::id::{RegionSlot, TableId};
use pangea_core::item::ItemKey;
use pangea_core::merge::{Body, Stored};
use pangea_core::repair::{Fate, Report, Wrong};
use pangea_core::replica::Snapshot as _;
use pangea_core::time::Stamp;

use super::{Checked, Invariant, demand};
use crate::disk::Image;
use crate::oracle::Site;

const BROKEN: Invariant = Invariant::Repair;

/// Everything is at rest.
pub(crate) fn at_rest(sites: &[Site]) -> Checked {
    let mut known = Known::new();
    for site in sites {
        let image = &site.disk.durable;
        let (maintained, made) = (&image.fingerprints, recomputed(image, &mut known));
        demand(BROKEN, *maintained == made, || {
            let differs = |(bucket, sum): &(&(TableId, u8), &u128)| made.get(bucket) != Some(sum);
            let differing: Vec<_> = maintained.iter().filter(differs).collect();
            format!("{} maintains {differing:?}, its rows are {made:?}", site.slot)
        })?;
    }
    for entry in sites[0].catalog.tables().filter(|it| it.settings.placement.0.is_empty()) {
        let whole: Vec<&Site> = sites.iter().filter(|site| site.is_whole(entry.id)).collect();
        for pair in whole.windows(2) {
            let same = of_table(pair[0], entry.id).eq(of_table(pair[1], entry.id));
            demand(BROKEN, same, || {
                let (one, other) = (pair[0].slot, pair[1].slot);
                format!("the fingerprints of {} differ in {one} and {other}", entry.id)
            })?;
        }
    }
    Ok(())
}

/// The sums of a table's buckets that have any.
fn of_table(site: &Site, table: TableId) -> impl Iterator<Item = (u8, u128)> {
    let sums = site.disk.durable.fingerprints.range((table, 0)..=(table, u8::MAX));
    sums.map(|(&(_, bucket), &sum)| (bucket, sum))
}

/// Rows of which bucket and sum are known: most are the same in all regions.
type Known<'a> = BTreeMap<&'a ItemKey, (&'a Stored, u8, u128)>;

fn recomputed<'a>(image: &'a Image, known: &mut Known<'a>) -> Fingerprints {
    let mut made = Fingerprints::new();
    for (key, held) in image.rows.iter().filter(|(key, _)| fingerprint::covers(key.table)) {
        let stored = &held.stored;
        let same = known.get(&**key).filter(|(other, ..)| is_same(other, stored));
        let (bucket, of_item) = match same {
            Some(&(_, bucket, sum)) => (bucket, sum),
            None => {
                let (bucket, sum) = (image.bucket(key), fingerprint::of_item(&key.primary, stored));
                known.insert(key, (stored, bucket, sum));
                (bucket, sum)
            }
        };
        let sum = made.entry((key.table, bucket)).or_default();
        *sum = sum.wrapping_add(of_item);
    }
    made.retain(|_, sum| *sum != 0);
    made
}

/// Whether two rows keep the same versions, whose attributes are the same ones in memory.
fn is_same(one: &Stored, other: &Stored) -> bool {
    let pairs = one.versions.iter().zip(&other.versions);
    let mut same = pairs.map(|(one, other)| {
        let shared = match (&one.body, &other.body) {
            (Body::Live(one), Body::Live(other)) => Arc::ptr_eq(one, other),
            (Body::Crdt(one), Body::Crdt(other)) => Arc::ptr_eq(one, other),
            (Body::Tombstone, Body::Tombstone) => true,
            _ => false,
        };
        shared && (one.stamp, one.origins) == (other.stamp, other.origins)
    });
    one.versions.len() == other.versions.len() && same.all(|same| same)
}

/// What is to become of a row that rotted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Another region has it.
    Healed,
    /// It rotted everywhere: these versions are named as lost.
    Lost(Vec<Stamp>),
    /// The same, and another region has named them.
    Gone,
}

impl Expected {
    fn is_met(&self, fate: &Fate) -> bool {
        match (self, fate) {
            (Self::Healed | Self::Gone, Fate::Repaired) | (Self::Gone, Fate::Lost(_)) => true,
            (Self::Lost(versions), Fate::Lost(named)) => versions == named && !named.is_empty(),
            _ => false,
        }
    }
}

/// A run is over: it found just what rotted, if anything did.
pub(crate) fn found(
    slot: RegionSlot,
    report: &Report,
    rotten: Option<(&ItemKey, &Expected)>,
) -> Checked {
    let expected = u64::from(rotten.is_some());
    let count = report.findings.len() as u64 + report.unlisted;
    demand(BROKEN, count == expected, || {
        format!("{slot} finds {:?}, what rotted is {rotten:?}", report.findings)
    })?;
    let (Some(finding), Some((key, expected))) = (report.findings.first(), rotten) else {
        return Ok(());
    };
    // A key that cannot be read may be told by another region that has the row.
    let unknown = *expected != Expected::Healed;
    let named = finding.table == key.table
        && finding.key.as_ref().map_or(unknown, |found| *found == key.primary)
        && matches!(finding.what, Wrong::Damaged(_))
        && expected.is_met(&finding.fate);
    demand(BROKEN, named, || {
        format!("{slot} finds {finding:?}, what rotted is {key:?}, {expected:?}")
    })
}
