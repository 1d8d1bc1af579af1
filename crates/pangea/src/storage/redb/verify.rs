//! Whether a file is what was written, before it is believed.
//!
//! redb's pages carry checksums, each in the page above it, but redb compares them only when it
//! repairs a file after a crash. So a file that was closed in order is opened here as if it were
//! not, through an overlay, so that nothing that redb repairs on the way reaches it.
//!
//! Damage that is inside the values of item rows does no harm to other rows: every item row has a
//! checksum of its own, and whoever reads it is told. Such a file is opened. A file with any other
//! damage is refused: a damaged branch can hide rows, and nothing would tell.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use pangea_codec::disk::{self, RowError};
use redb::{Database, DatabaseError, ReadableTableMetadata as _, StorageError};

use super::commits::table_of;
use super::opening::{damaged, open_overlay};
use super::view::RedbView;
use super::{Medium, Options};
use crate::guard;
use crate::storage::{Fault, Place, Space, View};

/// Bytes of the file's header: flags, and two slots that name the state after a commit.
const HEADER_BYTES: usize = 320;
const FLAGS: usize = 9;
/// The second slot has the state.
const SECOND_SLOT: u8 = 1;
/// The file was not closed in order: redb compares every page with its checksum, unless
const UNCLEAN: u8 = 2;
/// the newest commit is known to be whole.
const TWO_PHASE: u8 = 4;
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
/// What the operator is told.
const COMPARING: &str = "comparing the file with its checksums";
/// Places in a slot: the number of its transaction, and the checksums of its two trees.
const TRANSACTION: usize = 104;
const CHECKSUMS: [usize; 2] = [16, 48];

/// Compares every page of a file with its checksum, unless redb does when it opens it in earnest.
///
/// # Errors
///
/// [`Fault::Damaged`].
pub(super) fn verify(medium: &dyn Medium, options: Options) -> Result<(), Fault> {
    let Ok(file) = medium.open_read_only() else { return Ok(()) };
    let mut header = [0; HEADER_BYTES];
    let known =
        file.len().is_ok_and(|len| len >= HEADER_BYTES as u64) && file.read(0, &mut header).is_ok();
    drop(file);
    if !known || header[FLAGS] & (UNCLEAN | TWO_PHASE) == UNCLEAN {
        return Ok(());
    }
    let file = medium.name();
    let state = usize::from(header[FLAGS] & SECOND_SLOT);
    if header[FLAGS] & UNCLEAN == 0 && state != newest(&header) {
        return Err(damaged(&file, "its flags name another state than the newest"));
    }
    forget_the_other(&mut header, state);
    let mut doubted = header;
    doubted[FLAGS] = header[FLAGS] & !TWO_PHASE | UNCLEAN;
    let why = match open_overlay(medium, Some((0, &doubted)), (options, COMPARING)) {
        Err(DatabaseError::Storage(StorageError::Corrupted(why))) => why,
        // Whatever else is wrong, opening it in earnest says so.
        Ok(_) | Err(_) => return Ok(()),
    };
    // Said first: what follows walks damaged pages, and redb panics on some.
    tracing::error!(file, why, "damaged file: looking for its damaged rows");
    let walked = guard::contained(|| {
        let database = open_overlay(medium, Some((0, &header)), (options, COMPARING));
        damaged_rows(&database.map_err(|error| Fault::Read(error.to_string()))?, &file)
    });
    match walked {
        Ok(Ok(rows)) if !rows.is_empty() => {
            for fault in rows {
                tracing::error!(%fault, "to be fetched from a peer");
            }
            Ok(())
        }
        _ => Err(damaged(&file, &why)),
    }
}

/// The slot with the greater number.
fn newest(header: &[u8; HEADER_BYTES]) -> usize {
    let number = |slot: usize| {
        let bytes = header[slot + TRANSACTION..][..8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    usize::from(number(SLOTS[0]) < number(SLOTS[1]))
}

/// Leaves redb nothing to fall back to: one state in both slots, in one of them as if damaged.
fn forget_the_other(header: &mut [u8; HEADER_BYTES], state: usize) {
    let (from, to) = (SLOTS[state], SLOTS[1 - state]);
    header.copy_within(from..from + SLOT_BYTES, to);
    for checksum in CHECKSUMS {
        header[to + checksum] ^= 1;
    }
}

/// The item rows that are damaged, where nothing else is.
///
/// # Errors
///
/// Something else is.
fn damaged_rows(database: &Database, file: &str) -> Result<Vec<Fault>, Fault> {
    let read = |error: &dyn std::fmt::Display| Fault::Read(error.to_string());
    let transaction = redb::ReadableDatabase::begin_read(database).map_err(|e| read(&e))?;
    let mut counts = BTreeMap::new();
    for space in Space::ALL {
        let count = transaction.open_table(table_of(space)).ok().map(|table| table.len());
        counts.insert(space, count.transpose().map_err(|e| read(&e))?.unwrap_or(0));
    }
    let view = RedbView::new(transaction, Arc::default(), file.into());
    let mut damaged = Vec::new();
    for (space, count) in counts {
        walk(&view, space, count, &mut damaged)?;
    }
    Ok(damaged)
}

/// Visits every row of a space both ways: in order, and by its key.
fn walk(view: &RedbView, space: Space, count: u64, out: &mut Vec<Fault>) -> Result<(), Fault> {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let mut misplaced = None;
    view.scan(space, all, false, &mut |key, row| {
        rows.push(key.to_vec());
        let place = || Place::new(space, key);
        match disk::decode_at(key, row).err().filter(|_| space == Space::Items) {
            None => {}
            // The key is damaged: whoever asks for the right one would be told that it is not.
            Some(RowError::Misplaced) => misplaced = Some(place()),
            Some(error) => out.push(Fault::Corrupt { place: place(), error }),
        }
        ControlFlow::Continue(())
    })?;
    if let Some(place) = misplaced {
        return Err(Fault::Read(format!("{place} has the row of another key")));
    }
    let ascends = rows.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascends || rows.len() as u64 != count {
        return Err(Fault::Read(format!("{space:?} is not in order or lacks rows")));
    }
    for key in rows {
        if view.get(space, &key)?.is_none() {
            return Err(Fault::Read(format!("{} is not to be found", Place::new(space, &key))));
        }
    }
    Ok(())
}
