//! Scans that go on past damage, for those who repair.

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use pangea_codec::disk::{self, RowError, key};
use pangea_core::id::TableId;
use pangea_core::item::ItemKey;
use pangea_core::merge::Stored;

use super::{EngineOptions, Fault, Place, Space, StoreView};

/// What a scan does where it meets damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// It ends with the fault.
    Stop,
    /// It says so and goes on behind it.
    GoOn,
}

/// A row as it lies on the disk.
#[derive(Clone, Debug)]
pub struct ScannedRow {
    /// Its raw key in [`Space::Items`].
    pub row_key: Vec<u8>,
    /// What it says, or how it is damaged.
    pub row: Result<(ItemKey, Stored), RowError>,
}

/// A range of raw row keys.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A stretch of a table's rows.
#[derive(Clone, Debug, Default)]
pub struct ScannedRows {
    /// The rows, in the order of their keys.
    pub rows: Vec<ScannedRow>,
    /// Ranges of row keys that the engine cannot read at all: rows may be there that are not in
    /// [`Self::rows`]. An end is open where the table ends.
    pub unreadable: Vec<KeyRange>,
    /// Where to go on; `None` at the table's end.
    pub next: Option<Bound<Vec<u8>>>,
}

/// What a whole store has.
#[derive(Clone, Debug, Default)]
pub struct Scrubbed {
    /// Rows that were read, by space in the order of [`Space::ALL`].
    pub rows: [u64; 3],
    /// What is damaged: rows by their keys, and what could not be read.
    pub damage: Vec<Fault>,
}

/// Reads every row of the store in `directory`, which no process may have open.
///
/// # Errors
///
/// [`Fault::Damaged`] if it cannot be opened for its damage, [`Fault::Read`] if it cannot be read.
pub fn scrub(directory: &Path, engine: EngineOptions) -> Result<Scrubbed, Fault> {
    let engine = engine.open(directory)?;
    StoreView::new(engine.view()?).scrub()
}

impl StoreView {
    /// Reads every row there is.
    fn scrub(&self) -> Result<Scrubbed, Fault> {
        let mut found = Scrubbed::default();
        for space in Space::ALL {
            let all = (Bound::Unbounded, Bound::Unbounded);
            let scanned = self.view.scan(space, all, false, &mut |key, row| {
                found.rows[space as usize] += 1;
                let error = (space == Space::Items).then(|| disk::decode_at(key, row).err());
                found.damage.extend(
                    error
                        .flatten()
                        .map(|error| Fault::Corrupt { place: Place::new(space, key), error }),
                );
                ControlFlow::Continue(())
            });
            match scanned {
                Ok(()) => {}
                Err(fault @ Fault::Damaged { .. }) => found.damage.push(fault),
                Err(fault) => return Err(fault),
            }
        }
        Ok(found)
    }

    /// Up to `limit` rows of a table from a bound of raw row keys, tombstones included; of a row
    /// that is damaged it tells the key. `from` is unbounded for the table's beginning.
    ///
    /// # Errors
    ///
    /// [`Fault::Read`]; [`Fault::Corrupt`] and [`Fault::Damaged`] if the scan is to stop there.
    pub fn scan_rows(
        &self,
        table: TableId,
        from: Bound<&[u8]>,
        limit: usize,
        on_damage: OnDamage,
    ) -> Result<ScannedRows, Fault> {
        let prefix = key::table(table);
        let end = key::after_prefix(&prefix);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut lower = match from {
            Bound::Unbounded => Bound::Included(prefix.clone()),
            bound => bound.map(<[u8]>::to_vec),
        };
        let mut found = ScannedRows::default();
        loop {
            let fault = match self.collect(&lower, upper, limit, &mut found) {
                Ok(()) => break,
                Err(fault) => fault,
            };
            if on_damage == OnDamage::Stop || !matches!(fault, Fault::Damaged { .. }) {
                return Err(fault);
            }
            tracing::error!(%fault, "scanning on behind it");
            if let Some(last) = found.rows.last() {
                lower = Bound::Excluded(last.row_key.clone());
            }
            let Some(next) = self.first_readable(&prefix, &lower, upper)? else {
                found.unreadable.push((lower, Bound::Unbounded));
                return Ok(found);
            };
            found.unreadable.push((lower, Bound::Excluded(next.clone())));
            lower = Bound::Included(next);
        }
        let damaged = found.rows.iter().find_map(|row| Some((row, row.row.as_ref().err()?)));
        if let (OnDamage::Stop, Some((row, error))) = (on_damage, damaged) {
            let place = Place::new(Space::Items, &row.row_key);
            return Err(Fault::Corrupt { place, error: error.clone() });
        }
        if found.rows.len() >= limit {
            found.next = found.rows.last().map(|row| Bound::Excluded(row.row_key.clone()));
        }
        Ok(found)
    }

    /// Adds rows within bounds until there are `limit`.
    fn collect(
        &self,
        lower: &Bound<Vec<u8>>,
        upper: Bound<&[u8]>,
        limit: usize,
        found: &mut ScannedRows,
    ) -> Result<(), Fault> {
        let bounds = (lower.as_ref().map(Vec::as_slice), upper);
        self.view.scan(Space::Items, bounds, false, &mut |row_key, row| {
            if found.rows.len() < limit {
                let row = disk::decode_at(row_key, row);
                found.rows.push(ScannedRow { row_key: row_key.to_vec(), row });
            }
            let go_on = found.rows.len() < limit;
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    /// The first partition behind `lower` from which the engine can read again.
    ///
    /// What cannot be read is a block of unknown extent. The hash in a row key says nothing about
    /// its neighbours, so the far end is searched for: by doubling the distance, then by halving.
    fn first_readable(
        &self,
        prefix: &[u8],
        lower: &Bound<Vec<u8>>,
        upper: Bound<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let start = match lower {
            Bound::Included(row_key) | Bound::Excluded(row_key) => hash_in(prefix, row_key),
            Bound::Unbounded => 0,
        };
        let at = |hash: u128| [prefix, &hash.to_be_bytes()].concat();
        let is_readable = |hash: u128| {
            let bounds = (Bound::Included(at(hash)), upper);
            let bounds = (bounds.0.as_ref().map(Vec::as_slice), bounds.1);
            let mut first = |_: &[u8], _: &[u8]| ControlFlow::Break(());
            match self.view.scan(Space::Items, bounds, false, &mut first) {
                Ok(()) => Ok(true),
                Err(Fault::Damaged { .. }) => Ok(false),
                Err(fault) => Err(fault),
            }
        };
        let (mut bad, mut good) = (start, None);
        for distance in (0..u128::BITS).map(|bit| 1_u128 << bit) {
            let Some(hash) = start.checked_add(distance) else { break };
            if is_readable(hash)? {
                good = Some(hash);
                break;
            }
            bad = hash;
        }
        let Some(mut good) = good else { return Ok(None) };
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            *(if is_readable(middle)? { &mut good } else { &mut bad }) = middle;
        }
        Ok(Some(at(good)))
    }
}

/// The hash that stands behind the table in a row key.
fn hash_in(prefix: &[u8], row_key: &[u8]) -> u128 {
    let behind = row_key.strip_prefix(prefix).unwrap_or_default();
    let mut hash = [0; 16];
    let known = behind.len().min(hash.len());
    hash[..known].copy_from_slice(&behind[..known]);
    u128::from_be_bytes(hash)
}

#[cfg(test)]
mod tests;
