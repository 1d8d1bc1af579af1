//! Every IO call fails in its turn.

use std::fmt;
use std::ops::Range;

use super::{Script, check_recovered, read_all};
use crate::storage::{Engine, Fault};

/// A disk whose calls can be made to fail, and an engine on it.
pub trait FailingDisk: Sized {
    /// The engine.
    type Engine: Engine;

    /// An empty disk.
    fn new() -> Self;

    /// Opens the engine on it.
    ///
    /// # Errors
    ///
    /// See the engine.
    fn open(&self) -> Result<Self::Engine, Fault>;

    /// IO calls so far, failed ones included.
    fn calls(&self) -> u64;

    /// Lets the calls of these numbers fail, from 0; an empty range lets all succeed.
    fn fail(&self, calls: Range<u64>);

    /// What is on the disk if the power is cut now.
    #[must_use]
    fn cut(&self, seed: u64) -> Self;
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// Calls that failed, each in a run of its own.
    pub calls: u64,
    /// Runs in which the engine reported a fault.
    pub reported: u64,
    /// Runs whose commit in flight was found whole afterwards.
    pub kept: u64,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, reported, kept } = self;
        let quiet = calls - reported;
        write!(
            f,
            "{calls} IO calls failed in turn, 0 lost ({reported} reported, {quiet} without \
             consequence, {kept} commits in flight kept)"
        )
    }
}

/// Runs the script once for each of its IO calls, which fails; all that follow, too, if the disk is
/// `gone` then.
///
/// # Panics
///
/// Something acknowledged is lost, a commit is there in part, a read is wrong, or a disk that is
/// sound again does not open.
pub fn fail_each_call<D: FailingDisk>(script: &Script, gone: bool) -> Failed {
    let mut failed = Failed::default();
    for call in 0.. {
        let disk = D::new();
        disk.fail(call..if gone { u64::MAX } else { call + 1 });
        let run = run(&disk, script);
        if disk.calls() <= call {
            return failed;
        }
        failed.calls += 1;
        failed.reported += u64::from(run.faults > 0);
        for seed in 0..2 {
            let cut = disk.cut(seed ^ call);
            cut.fail(0..0);
            let engine = cut.open().unwrap_or_else(|fault| panic!("call {call}: {fault}"));
            check_recovered(&engine, script, run.acknowledged, &format!("call {call}, cut"));
        }
        disk.fail(0..0);
        let engine = disk.open().unwrap_or_else(|fault| panic!("call {call}: {fault}"));
        let why = format!("call {call}, begun anew");
        let found = check_recovered(&engine, script, run.acknowledged, &why);
        assert!(found == run.acknowledged || run.in_flight, "{why}: a commit nobody made");
        failed.kept += u64::from(found > run.acknowledged);
    }
    unreachable!("the loop ends with the calls of the script");
}

#[derive(Debug, Default)]
struct Run {
    acknowledged: usize,
    /// A commit failed and may be there all the same.
    in_flight: bool,
    faults: u32,
}

/// Two lives of an engine, half of the commits in each, reads after every one.
fn run<D: FailingDisk>(disk: &D, script: &Script) -> Run {
    let mut run = Run::default();
    for life in 0..2 {
        let engine = match disk.open() {
            Ok(engine) => engine,
            Err(_) => {
                run.faults += 1;
                return run;
            }
        };
        let half = script.commits.len() / 2;
        let commits = if life == 0 { &script.commits[..half] } else { &script.commits[half..] };
        for changes in commits {
            match engine.commit(changes) {
                Ok(()) => {
                    assert!(!run.in_flight, "a commit after one whose outcome is unknown");
                    run.acknowledged += 1;
                }
                Err(fault) => {
                    run.faults += 1;
                    run.in_flight |= !fault.nothing_written();
                    // What follows rests on it: a writer begins anew.
                    check_reads(&engine, script, &mut run);
                    assert!(engine.commit(changes).is_err(), "a failed engine goes on");
                    return run;
                }
            }
            check_reads(&engine, script, &mut run);
        }
    }
    run
}

/// Reads fail, or tell what was acknowledged. They may tell a commit whose outcome is unknown, if
/// it is durable: what was read must not be lost either.
fn check_reads(engine: &impl Engine, script: &Script, run: &mut Run) {
    match read_all(engine) {
        Ok(rows) if rows == script.states[run.acknowledged] => {}
        Ok(rows) if run.in_flight && script.states.get(run.acknowledged + 1) == Some(&rows) => {
            run.acknowledged += 1;
        }
        Ok(rows) => {
            let at = script.states.iter().position(|state| *state == rows);
            panic!("acknowledged {}, read state {at:?}: {run:?}", run.acknowledged);
        }
        Err(_) => run.faults += 1,
    }
}
