//! Rows in memory, for tests: the same promises as an engine on disk, and faults on demand.
//!
//! The "disk" is what a commit publishes at its end; a failed commit leaves it as it was.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{
    Bounds, Capabilities, Change, Engine, Fault, Space, View, Visit, assert_sorted, is_empty,
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// See the module. Clones are handles on the same rows.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    disk: Arc<Disk>,
    /// Writes and syncs left before one fails.
    ios_left: Option<u64>,
    full: bool,
    poisoned: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    spaces: [Rows; 3],
}

impl Memory {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `ios` more writes and syncs succeed, and the next fail; `None` lets all succeed.
    ///
    /// A commit is one write per row and a sync.
    pub fn fail_after(&self, ios: Option<u64>) {
        self.lock().ios_left = ios;
    }

    /// Lets the disk have no room, or have some again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// What a process that begins anew finds: the rows of every commit that returned `Ok`.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let disk = Arc::clone(&self.lock().disk);
        Self { state: Arc::new(Mutex::new(State { disk, ..State::default() })) }
    }

    /// Changes a row behind the engine's back; `false` if there is no such row.
    pub fn corrupt(&self, space: Space, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.lock();
        let row = Arc::make_mut(&mut state.disk).spaces[space as usize].get_mut(key);
        row.map(change).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    fn check(&self) -> Result<(), Fault> {
        match &self.poisoned {
            Some(why) => Err(Fault::ReadOnly(why.clone())),
            None if self.full => Err(Fault::DiskFull { available: 0, reserve: 1 }),
            None => Ok(()),
        }
    }

    fn io(&mut self) -> Result<(), Fault> {
        match &mut self.ios_left {
            None => Ok(()),
            Some(0) => {
                self.poisoned = Some("injected".to_owned());
                Err(Fault::Write("injected".to_owned()))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Engine for Memory {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        Ok(Arc::clone(&self.lock().disk) as Arc<dyn View>)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), Fault> {
        assert_sorted(changes);
        let mut state = self.lock();
        state.check()?;
        let mut disk = Arc::clone(&state.disk);
        let next = Arc::make_mut(&mut disk);
        for (space, key, value) in changes {
            state.io()?;
            let rows = &mut next.spaces[*space as usize];
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        state.io()?;
        state.disk = disk;
        Ok(())
    }

    fn health(&self) -> Result<(), Fault> {
        self.lock().check()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { whole_node_batches: true, ordered_feed: true }
    }
}

impl View for Disk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.spaces[space as usize].get(key).cloned())
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
        let mut rows = self.spaces[space as usize].range::<[u8], Bounds<'_>>(bounds);
        while let Some((key, value)) = if reverse { rows.next_back() } else { rows.next() } {
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
