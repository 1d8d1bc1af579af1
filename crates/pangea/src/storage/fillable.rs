//! An engine whose disk can be told to be full, for experiments.
//!
//! It stands between the store and any engine and knows nothing of either: while the switch is on,
//! commits are refused before the engine hears of them, exactly as an engine refuses them that has
//! found too little room. Reads go through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::{Capabilities, Change, Condition, Engine, Fault, Outcome, View};

/// Turns a disk full and empty again. Clones turn the same disk.
#[derive(Clone, Debug, Default)]
pub struct DiskSwitch(Arc<AtomicBool>);

impl DiskSwitch {
    /// From now on there is no room, or there is some again.
    pub fn set_full(&self, full: bool) {
        self.0.store(full, SeqCst);
    }

    /// Whether there is no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Fillable<E: ?Sized> {
    disk: DiskSwitch,
    engine: Box<E>,
}

impl<E: Engine + ?Sized> Fillable<E> {
    /// `engine` on the disk that `disk` turns.
    #[must_use]
    pub const fn new(engine: Box<E>, disk: DiskSwitch) -> Self {
        Self { disk, engine }
    }

    fn check(&self, bytes: usize) -> Result<(), Fault> {
        if self.disk.is_full() {
            let reserve = u64::try_from(bytes).unwrap_or(u64::MAX);
            return Err(Fault::DiskFull { available: 0, reserve });
        }
        Ok(())
    }
}

impl<E: Engine + ?Sized> Engine for Fillable<E> {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        self.engine.view()
    }

    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        let bytes = |(_, key, value): &Change| key.len() + value.as_ref().map_or(0, Vec::len);
        self.check(changes.iter().map(bytes).sum())?;
        self.engine.commit_if(conditions, changes)
    }

    fn health(&self) -> Result<(), Fault> {
        self.check(1)?;
        self.engine.health()
    }

    fn close(&self) {
        self.engine.close();
    }

    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::Memory;
    use crate::storage::{Space, conformance};

    fn put(key: &[u8]) -> Change {
        (Space::Items, key.to_vec(), Some(b"v".to_vec()))
    }

    #[test]
    fn a_disk_with_room_conforms() {
        let make = || Fillable::new(Box::new(Memory::new()), DiskSwitch::default());
        conformance::suite(make, |engine| {
            Fillable::new(Box::new(engine.engine.reopen()), DiskSwitch::default())
        });
    }

    #[test]
    fn a_full_disk_takes_nothing_and_gives_everything() {
        let disk = DiskSwitch::default();
        let engine = Fillable::new(Box::new(Memory::new()), disk.clone());
        engine.commit(&[put(b"before")]).expect("there is room");
        disk.set_full(true);
        let refused = engine.commit(&[put(b"during")]).expect_err("there is no room");
        assert!(matches!(refused, Fault::DiskFull { available: 0, reserve: 7 }), "{refused}");
        assert!(refused.nothing_written() && refused.is_passing());
        assert!(engine.health().is_err());
        let get = |key| engine.view().and_then(|view| view.get(Space::Items, key));
        assert_eq!(get(b"before").expect("reads go on"), Some(b"v".to_vec()));
        disk.set_full(false);
        engine.health().expect("there is room");
        engine.commit(&[put(b"during")]).expect("there is room");
        assert!(get(b"during").expect("reads go on").is_some());
    }
}
