//! The power is cut at every IO call.

use std::fmt;

use super::{FailingDisk, Script, read_all};
use crate::storage::Engine;

/// A disk that remembers every call, so that it can be had as it was at any of them.
pub trait RecordedDisk: FailingDisk {
    /// What is on the disk if the power is cut right before call `at`, synced writes and any of
    /// the others.
    #[must_use]
    fn cut_at(&self, at: u64, seed: u64) -> Self;
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// IO calls before which the power was cut.
    pub calls: u64,
    /// Disks that were opened afterwards.
    pub disks: u64,
    /// Those that had the commit in flight, whole.
    pub kept: u64,
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, disks, kept } = self;
        write!(
            f,
            "power cut at {calls} IO calls, {disks} disks opened after it, 0 lost ({kept} commits \
             in flight kept)"
        )
    }
}

/// Runs the script, and opens the disk as it would be after a cut at each call, `seeds` ways each;
/// cuts that one while it recovers, too.
///
/// # Panics
///
/// Something acknowledged is lost, a commit is there in part, or a disk does not open.
pub fn cut_power<D: RecordedDisk>(script: &Script, seeds: u64) -> Cuts {
    let disk = D::new();
    let engine = disk.open().expect("an empty disk opens");
    let mut acknowledged_at = Vec::new();
    for changes in &script.commits {
        engine.commit(changes).expect("no fault yet");
        acknowledged_at.push(disk.calls());
    }
    drop(engine);
    let mut cuts = Cuts::default();
    for at in 0..=disk.calls() {
        cuts.calls += 1;
        let acknowledged = acknowledged_at.partition_point(|&end| end <= at);
        for seed in 0..seeds {
            cuts.disks += 1;
            let why = format!("cut at call {at}, seed {seed}");
            let cut = disk.cut_at(at, seed);
            let engine = cut.open().unwrap_or_else(|fault| panic!("{why}: {fault}"));
            let found = check_recovered(&engine, script, acknowledged, &why);
            cuts.kept += u64::from(found > acknowledged);
            let again = cut.cut(seed);
            let engine = again.open().unwrap_or_else(|fault| panic!("{why}, again: {fault}"));
            let still = check_recovered(&engine, script, found, &why);
            assert_eq!(still, found, "{why}: recovery changed what is there");
            if let Some(next) = script.commits.get(found) {
                engine.commit(next).expect("a recovered disk takes commits");
                check_recovered(&engine, script, found + 1, &why);
            }
        }
    }
    cuts
}

/// How many commits of the script a recovered engine has: those `acknowledged`, or one more.
///
/// # Panics
///
/// It has others, or one in part.
pub fn check_recovered(
    engine: &impl Engine,
    script: &Script,
    acknowledged: usize,
    why: &str,
) -> usize {
    let rows = read_all(engine).unwrap_or_else(|fault| panic!("{why}: {fault}"));
    if script.states.get(acknowledged + 1) == Some(&rows) {
        return acknowledged + 1;
    }
    if script.states[acknowledged] != rows {
        let at = script.states.iter().position(|state| *state == rows);
        panic!("{why}: acknowledged {acknowledged}, found state {at:?}");
    }
    acknowledged
}
