//! Turns away what a damaged row would fail, so that nothing else fails with it.
//!
//! A node that was shown a row as missing because it cannot be read has decided on it, so a read
//! that fails fails its whole group, and the node begins anew. Whoever asks for such a row again
//! and again would keep everybody from writing, and the peers that could heal it from being heard.
//! So for a while after such a read, what commands are about is read before the node hears of them.
//! State: until when.

use pangea_core::id::TableId;
use pangea_core::item::{ItemKey, PrimaryKey};

use super::Command;
use crate::storage::{Fault, StoreView};

/// For so long after the last damage that was met, microseconds: some rounds of healing.
const CAREFUL_US: u64 = 10_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Careful {
    until_us: u64,
}

impl Careful {
    /// Whether commands are to be looked at first.
    pub(super) const fn is_on(&self, now_us: u64) -> bool {
        now_us < self.until_us
    }

    /// Damage was met.
    pub(super) const fn met(&mut self, now_us: u64) {
        self.until_us = now_us + CAREFUL_US;
    }
}

/// Reads the rows that a command is about.
///
/// # Errors
/// The first fault of reading them.
pub(super) fn sound(view: &StoreView, command: &Command) -> Result<(), Fault> {
    let read = |table: TableId, primary: &PrimaryKey| {
        view.get_stored(&ItemKey { table, primary: primary.clone() }).map(drop)
    };
    match command {
        Command::Write { table, op, .. } => read(*table, &op.key),
        Command::Transact { ops, .. } => {
            ops.iter().try_for_each(|(table, op)| read(*table, &op.key))
        }
        Command::Expire { expire, .. } => {
            expire.keys.iter().try_for_each(|key| read(expire.table, key))
        }
        Command::Resolve { resolution, .. } => view.get_stored(&resolution.item).map(drop),
        Command::Frame { frame, .. } => {
            frame.rows().iter().try_for_each(|row| view.get_stored(&row.key).map(drop))
        }
        // These are about no rows, or about rows that they put right.
        Command::Heal { .. }
        | Command::Define { .. }
        | Command::Govern { .. }
        | Command::Link { .. }
        | Command::Heartbeat { .. }
        | Command::Close { .. } => Ok(()),
    }
}
