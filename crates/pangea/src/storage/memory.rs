//! Rows in memory, for tests: the same promises as an engine on disk, and faults on demand.
//!
//! The "disk" is what a commit publishes at its end; a failed commit leaves it as it was.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{
    Capabilities, Engine, Fault, Health, KeyRange, Op, Space, View, Visit, assert_sorted,
    is_empty_range,
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
    fn io(&mut self) -> Result<(), Fault> {
        match &mut self.ios_left {
            None => Ok(()),
            Some(0) => {
                let source = io::Error::other("injected");
                self.poisoned = Some(source.to_string());
                Err(Fault::Commit { source: Arc::new(source) })
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

    fn commit(&self, ops: &[Op]) -> Result<(), Fault> {
        assert_sorted(ops);
        let mut state = self.lock();
        if let Some(cause) = state.poisoned.clone() {
            return Err(Fault::Poisoned { cause });
        }
        if state.full {
            return Err(Fault::DiskFull { free_bytes: 0, needed_bytes: 1 });
        }
        let mut disk = Arc::clone(&state.disk);
        let next = Arc::make_mut(&mut disk);
        for op in ops {
            state.io()?;
            let rows = &mut next.spaces[op.space as usize];
            match &op.value {
                Some(value) => rows.insert(op.key.clone(), value.clone()),
                None => rows.remove(&op.key),
            };
        }
        state.io()?;
        state.disk = disk;
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { node_batches: true, global_order: true, durable: false }
    }

    fn health(&self) -> Health {
        self.lock().poisoned.clone().map_or(Health::Writable, Health::ReadOnly)
    }
}

impl View for Disk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.spaces[space as usize].get(key).cloned())
    }

    fn scan(
        &self,
        space: Space,
        range: KeyRange<'_>,
        reverse: bool,
        visit: Visit<'_>,
    ) -> Result<(), Fault> {
        if is_empty_range(range) {
            return Ok(());
        }
        let mut rows =
            self.spaces[space as usize].range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>(range);
        while let Some((key, value)) = if reverse { rows.next_back() } else { rows.next() } {
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
