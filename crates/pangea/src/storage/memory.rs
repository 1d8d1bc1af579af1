//! Rows in memory, for tests: the same promises as an engine on disk, and faults on demand.
//!
//! The "disk" is what a commit publishes at its end; a failed commit leaves it as it was. Its IO
//! calls are a write for each row of a commit, a sync at its end, and a read for each row read.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{
    Bounds, CLOSED, Capabilities, Change, Condition, Engine, Fault, Outcome, Space, View, Visit,
    assert_well_formed, first_refused, is_empty,
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// See the module. Clones are handles on the same rows.
#[derive(Clone, Debug)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    plan: Arc<Mutex<Plan>>,
    capabilities: Capabilities,
}

#[derive(Debug, Default)]
struct State {
    disk: Arc<Disk>,
    poisoned: Option<String>,
}

/// Which calls fail, and why.
#[derive(Debug, Default)]
struct Plan {
    /// Calls so far.
    calls: u64,
    /// Numbers of the calls that fail.
    failing: Range<u64>,
    /// Writes and syncs left before one fails.
    writes_left: Option<u64>,
    full: bool,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    spaces: [Rows; 3],
}

#[derive(Debug)]
struct MemoryView {
    disk: Arc<Disk>,
    plan: Arc<Mutex<Plan>>,
}

impl Default for Memory {
    fn default() -> Self {
        let capabilities = Capabilities { whole_node_batches: true, ordered_feed: true };
        Self { state: Arc::default(), plan: Arc::default(), capabilities }
    }
}

impl Memory {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty engine that is atomic inside a partition alone, as distributed ones are.
    #[must_use]
    pub fn partitioned() -> Self {
        let capabilities = Capabilities { whole_node_batches: false, ordered_feed: true };
        Self { capabilities, ..Self::default() }
    }

    /// Lets `ios` more writes and syncs succeed, and the next fail; `None` lets all succeed.
    pub fn fail_after(&self, ios: Option<u64>) {
        self.plan().writes_left = ios;
    }

    /// Lets the calls of these numbers fail, counted from the engine's first.
    pub fn fail_calls(&self, failing: Range<u64>) {
        self.plan().failing = failing;
    }

    /// Calls so far, failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// Lets the disk have no room, or have some again.
    pub fn set_full(&self, full: bool) {
        self.plan().full = full;
    }

    /// What a process that begins anew finds: the rows of every commit that returned `Ok`.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let state = State { disk: Arc::clone(&self.state().disk), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), plan: Arc::default(), ..self.clone() }
    }

    /// Changes a row behind the engine's back; `false` if there is no such row.
    pub fn corrupt(&self, space: Space, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state();
        let row = Arc::make_mut(&mut state.disk).spaces[space as usize].get_mut(key);
        row.map(change).is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("no holder panics")
    }
}

impl State {
    fn check(&self, plan: &Plan) -> Result<(), Fault> {
        match &self.poisoned {
            Some(why) => Err(Fault::ReadOnly(why.clone())),
            None if plan.full => Err(Fault::DiskFull { available: 0, reserve: 1 }),
            None => Ok(()),
        }
    }
}

impl Plan {
    /// Whether a call succeeds.
    fn call(&mut self) -> bool {
        self.calls += 1;
        !self.failing.contains(&(self.calls - 1))
    }

    fn write(&mut self) -> Result<(), Fault> {
        let left = self.writes_left;
        self.writes_left = left.map(|left| left.saturating_sub(1));
        if self.call() && left != Some(0) { Ok(()) } else { Err(Fault::Write("injected".into())) }
    }

    fn read(&mut self) -> Result<(), Fault> {
        if self.call() { Ok(()) } else { Err(Fault::Read("injected".into())) }
    }
}

impl Engine for Memory {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        let (disk, plan) = (Arc::clone(&self.state().disk), Arc::clone(&self.plan));
        Ok(Arc::new(MemoryView { disk, plan }))
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        assert_well_formed(conditions, changes, self.capabilities);
        let (mut state, mut plan) = (self.state(), self.plan());
        state.check(&plan)?;
        let refused = first_refused(conditions, |place| {
            plan.read()?;
            Ok(state.disk.spaces[place.space as usize].get(&place.key).cloned())
        })?;
        if let Some(place) = refused {
            return Ok(Outcome::Refused(place));
        }
        let mut disk = Arc::clone(&state.disk);
        let next = Arc::make_mut(&mut disk);
        let written = changes.iter().try_for_each(|(space, key, value)| {
            let rows = &mut next.spaces[*space as usize];
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
            plan.write()
        });
        if let Err(fault) = written.and_then(|()| plan.write()) {
            state.poisoned = Some("injected".to_owned());
            return Err(fault);
        }
        state.disk = disk;
        Ok(Outcome::Committed)
    }

    fn health(&self) -> Result<(), Fault> {
        let state = self.state();
        state.check(&self.plan())
    }

    fn close(&self) {
        self.state().poisoned.get_or_insert_with(|| CLOSED.to_owned());
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}

impl View for MemoryView {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.plan.lock().expect("no holder panics").read()?;
        Ok(self.disk.spaces[space as usize].get(key).cloned())
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
        let mut rows = self.disk.spaces[space as usize].range::<[u8], Bounds<'_>>(bounds);
        while let Some((key, value)) = if reverse { rows.next_back() } else { rows.next() } {
            // Not held while the visitor is called: it may read, too.
            self.plan.lock().expect("no holder panics").read()?;
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
