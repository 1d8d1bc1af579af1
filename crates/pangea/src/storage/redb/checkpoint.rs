//! Checkpoints: what is in the log is moved into the database, and the log begins anew.

use std::sync::{Arc, RwLock};

use redb::Database;

use super::ahead::Ahead;
use super::commits::checkpoint;
use super::{Options, Redb, State};
use crate::storage::checkpoint::Checkpoint;
use crate::storage::directory::Acknowledged;
use crate::storage::memtable::Memtable;
use crate::storage::wal::Wal;
use crate::storage::{Change, Fault};

/// What whoever commits has to itself.
#[derive(Debug)]
pub(super) struct Committing {
    pub(super) acknowledged: Acknowledged,
    /// `None` if nothing can be written.
    pub(super) log: Option<Wal>,
    /// Bytes that the next checkpoint may write, of what was committed since the last one.
    pub(super) owed: u64,
    /// The last checkpoint, if it may not be over, and the bytes that it may write.
    pub(super) under_way: Option<(Checkpoint, u64)>,
}

impl Committing {
    /// Bytes that checkpoints may still write.
    fn owed(&self) -> u64 {
        self.owed + self.under_way.as_ref().map_or(0, |(_, owed)| *owed)
    }
}

/// What a checkpoint moves, and where.
struct Work {
    database: Arc<Database>,
    table: Arc<Memtable>,
    /// The number of the newest commit in the table, and the log's salt.
    marks: (u64, u64),
    options: Options,
    ahead: Option<Arc<Ahead>>,
    state: Arc<RwLock<State>>,
}

impl Work {
    fn run(&self) -> Result<(), redb::Error> {
        let ahead = self.ahead.as_deref();
        checkpoint(&self.database, &self.table, &[], self.marks, self.options, ahead)?;
        let mut state = self.state.write().expect("no holder panics");
        let base = state.base(&self.database)?;
        let before = state.stack.moved(base);
        drop(state);
        drop(before);
        Ok(())
    }
}

impl Redb {
    /// Makes room for a commit that may write so much, past the log or not: in the log, and on the
    /// disk.
    pub(super) fn prepare(
        &self,
        committing: &mut Committing,
        work: u64,
        through: bool,
    ) -> Result<(), Fault> {
        if through || committing.under_way.as_ref().is_some_and(|(it, _)| it.is_over()) {
            self.finish(committing)?;
        }
        let is_long = |log: &Wal| log.bytes() >= self.options.log_bytes;
        // One that goes past the log takes with it what the log has.
        if !through && committing.log.as_ref().is_some_and(is_long) {
            self.begin(committing)?;
        }
        // What is owed need not be so much: where room is short that is found out.
        if committing.owed() > 0 && self.check_room(committing.owed() + work).is_err() {
            self.begin(committing)?;
            self.finish(committing)?;
        }
        self.check_room(committing.owed() + work)
    }

    /// Waits for the checkpoint under way.
    fn finish(&self, committing: &mut Committing) -> Result<(), Fault> {
        let Some((checkpoint, _)) = committing.under_way.take() else { return Ok(()) };
        checkpoint.finish().map_err(|error| {
            tracing::error!(%error, "a checkpoint failed: serving reads only");
            self.poison(committing, error.clone(), true);
            Fault::ReadOnly(error)
        })
    }

    /// Begins to move what the log has into the database.
    ///
    /// The log's other file has what the checkpoint before made durable, so commits may go there.
    fn begin(&self, committing: &mut Committing) -> Result<(), Fault> {
        self.finish(committing)?;
        let available = self.available();
        if available < committing.owed {
            // Somebody else has filled the disk. The log has everything until there is room.
            let reserve = self.options.reserve_bytes + committing.owed;
            return Err(Fault::DiskFull { available, reserve });
        }
        let Some(log) = &mut committing.log else { return Ok(()) };
        let mut state = self.state();
        let Some(database) = state.database.clone() else { return Ok(()) };
        let table = state.stack.turn();
        drop(state);
        let work = Work {
            database,
            table,
            marks: (committing.acknowledged.number(), log.salt()),
            options: self.options,
            ahead: self.ahead.clone(),
            state: Arc::clone(&self.state),
        };
        log.turn();
        let owed = std::mem::take(&mut committing.owed);
        let work = move || work.run().map_err(|error| error.to_string());
        let begun = Checkpoint::begin(self.options.checkpoint_in_background, work);
        committing.under_way = Some((begun, owed));
        Ok(())
    }

    /// Writes a commit that is too long for the log into the database, behind all before it: no
    /// checkpoint is under way.
    pub(super) fn write_through(
        &self,
        committing: &mut Committing,
        database: &Arc<Database>,
        changes: &[Change],
    ) -> Result<(), redb::Error> {
        let Some(log) = &mut committing.log else { return Ok(()) };
        let number = committing.acknowledged.next();
        let table = Arc::clone(self.state.read().expect("no holder panics").stack.fresh());
        let marks = (number, log.salt());
        checkpoint(database, &table, changes, marks, self.options, self.ahead.as_deref())?;
        log.turn();
        committing.owed = 0;
        let mut state = self.state();
        let base = state.base(database)?;
        state.stack.clear(number);
        let before = state.stack.rebase(base);
        drop(state);
        drop(before);
        Ok(())
    }

    /// Moves everything into the database, at an orderly end.
    pub(super) fn move_all(&self, committing: &mut Committing) {
        let has_rows = committing.log.as_ref().is_some_and(|log| log.bytes() > 0);
        let moved = if has_rows { self.begin(committing) } else { Ok(()) };
        if let Err(error) = moved.and_then(|()| self.finish(committing)) {
            tracing::warn!(%error, "no checkpoint at the end: the next start reads the log");
        }
    }
}
