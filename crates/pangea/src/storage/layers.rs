//! The tables of what is in the log, over a database: as they change, and as a view shows them.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use super::memtable::{Cursors, Key, Memtable, Value};
use super::{Bounds, Fault, See, Space, View, Visit, is_empty};

/// What an engine with a log has beside its database, and what readers see of both.
///
/// Whoever changes it holds a lock, and must drop what it gives back after that: the end of a view
/// may be work.
#[derive(Debug)]
pub(super) struct Stack {
    /// Rows of the log's file that commits go to.
    fresh: Arc<Memtable>,
    /// Rows of its other file, while they are moved into the database.
    moving: Option<Arc<Memtable>>,
    /// The database without them; `None` if it cannot be read.
    base: Option<Arc<dyn View>>,
    /// The number of the newest commit that readers see.
    shown: u64,
    /// What readers share until the next commit.
    view: Option<Arc<Layers>>,
}

/// Views that nobody may need any more.
pub(super) type Before = (Option<Arc<dyn View>>, Option<Arc<Layers>>);

impl Stack {
    /// Over a database, after the commit `shown`.
    pub(super) fn new(fresh: Memtable, base: Arc<dyn View>, shown: u64) -> Self {
        Self { fresh: Arc::new(fresh), moving: None, base: Some(base), shown, view: None }
    }

    /// The table that commits are added to.
    pub(super) const fn fresh(&self) -> &Arc<Memtable> {
        &self.fresh
    }

    /// The number of the newest commit that readers see.
    pub(super) const fn shown(&self) -> u64 {
        self.shown
    }

    /// What readers see, if that was asked for since it has changed.
    pub(super) const fn view(&self) -> Option<&Arc<Layers>> {
        self.view.as_ref()
    }

    /// What readers see; `None` if the database cannot be read.
    pub(super) fn current(&mut self) -> Option<Arc<Layers>> {
        if self.view.is_none() {
            let base = Arc::clone(self.base.as_ref()?);
            let view = Layers::new(&self.fresh, self.moving.as_ref(), base, self.shown);
            self.view = Some(Arc::new(view));
        }
        self.view.clone()
    }

    /// The commit is durable, and its rows are in a table or below.
    pub(super) fn show(&mut self, number: u64) -> Before {
        self.shown = number;
        (None, self.view.take())
    }

    /// The table so far is to be moved: commits go to a new one.
    pub(super) fn turn(&mut self) -> Arc<Memtable> {
        let table = std::mem::take(&mut self.fresh);
        self.moving = Some(Arc::clone(&table));
        table
    }

    /// The table that was to be moved is in the database.
    pub(super) fn moved(&mut self, base: Arc<dyn View>) -> Before {
        self.moving = None;
        self.rebase(base)
    }

    /// Everything up to a commit is in the database, which is what readers see then.
    pub(super) fn clear(&mut self, shown: u64) {
        (self.fresh, self.moving, self.shown) = (Arc::default(), None, shown);
    }

    /// Goes on over what the database has now.
    pub(super) fn rebase(&mut self, base: Arc<dyn View>) -> Before {
        (self.base.replace(base), self.view.take())
    }

    /// The database cannot be read any more.
    pub(super) fn unbase(&mut self) -> Before {
        (self.base.take(), self.view.take())
    }
}

/// A view.
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
    fn new(
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

    /// What the tables have of a row; `None` if it is as it is in the database.
    fn find(&self, space: Space, key: &[u8]) -> Option<Value> {
        let mut tables = self.tables().peekable();
        tables.peek()?;
        let key = Key::of(key);
        tables.find_map(|table| table.get(space, &key, self.at))
    }
}

impl View for Layers {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.find(space, key) {
            Some(value) => Ok(value.map(|value| value.bytes().to_vec())),
            None => self.base.get(space, key),
        }
    }

    fn show(&self, space: Space, key: &[u8], see: &mut See<'_>) -> Result<(), Fault> {
        match self.find(space, key) {
            Some(value) => value.iter().for_each(|value| see(value.bytes())),
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
            flow = value.map_or(Continue(()), |value| visit(key.bytes(), value.bytes()));
        }
        Ok(())
    }
}

/// Visits the rows over the database that come before its row `key`, and the one that hides it;
/// whether there is such a one.
fn before(over: &mut Cursors<'_>, key: &[u8], visit: &mut Visit<'_>) -> ControlFlow<(), bool> {
    while let Some((found, value)) = over.next_until(Some(key)) {
        if let Some(value) = value
            && visit(found.bytes(), value.bytes()) == Break(())
        {
            return Break(());
        }
        if found.bytes() == key {
            return Continue(true);
        }
    }
    Continue(false)
}

#[cfg(test)]
mod tests;
