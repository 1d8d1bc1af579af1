//! A view: the tables of what is in the log, over a view of the database.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use super::memtable::{Cursors, Memtable};
use super::{Bounds, Fault, See, Space, View, Visit, is_empty};

/// See the module.
#[derive(Debug)]
pub(super) struct Layers {
    /// The newest first.
    tables: [Option<Arc<Memtable>>; 2],
    base: Arc<dyn View>,
    /// The commit after which it shows the rows; the database may have no more than that.
    at: u64,
}

impl Layers {
    /// What is there after the commit `at`, which is the newest.
    pub(super) fn new(
        fresh: &Arc<Memtable>,
        moving: Option<&Arc<Memtable>>,
        base: Arc<dyn View>,
        at: u64,
    ) -> Self {
        // Most views of a region that is only read have nothing over the database.
        let table = |table: &Arc<Memtable>| (!table.is_empty()).then(|| Arc::clone(table));
        Self { tables: [table(fresh), moving.and_then(table)], base, at }
    }

    fn tables(&self) -> impl Iterator<Item = &Memtable> {
        self.tables.iter().flatten().map(AsRef::as_ref)
    }
}

impl View for Layers {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.tables().find_map(|table| table.get(space, key, self.at)) {
            Some(value) => Ok(value.map(|value| value.to_vec())),
            None => self.base.get(space, key),
        }
    }

    fn show(&self, space: Space, key: &[u8], see: &mut See<'_>) -> Result<(), Fault> {
        match self.tables().find_map(|table| table.get(space, key, self.at)) {
            Some(value) => value.iter().for_each(|value| see(value)),
            None => self.base.show(space, key, see)?,
        }
        Ok(())
    }

    fn scan(
        &self,
        space: Space,
        bounds: Bounds<'_>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        if is_empty(bounds) {
            return Ok(());
        }
        let mut over = Cursors::new(self.tables(), (space, bounds), reverse, self.at);
        let mut flow = Continue(());
        self.base.scan(space, bounds, reverse, &mut |key, value| {
            flow = match before(&mut over, key, visit) {
                Continue(false) => visit(key, value),
                Continue(true) => Continue(()),
                Break(()) => Break(()),
            };
            flow
        })?;
        while flow == Continue(()) {
            let Some((key, value)) = over.next_until(None) else { break };
            flow = value.map_or(Continue(()), |value| visit(&key, &value));
        }
        Ok(())
    }
}

/// Visits the rows over the database that come before its row `key`, and the one that hides it;
/// whether there is such a one.
fn before(over: &mut Cursors<'_>, key: &[u8], visit: &mut Visit<'_>) -> ControlFlow<(), bool> {
    while let Some((found, value)) = over.next_until(Some(key)) {
        if let Some(value) = value
            && visit(&found, &value) == Break(())
        {
            return Break(());
        }
        if *found == *key {
            return Continue(true);
        }
    }
    Continue(false)
}
