//! The seeds that every change runs: fixed, and bounded by their number, not by a clock.

use std::ops::ControlFlow;

use pangea_sim::{Focus, Options, run, run_many};

const SEEDS: u64 = 2_000;
/// What happens only where regions come and go: with that focus.
const OF_THE_LIFECYCLE: [&str; 4] = ["directives", "generations", "disks_lost", "orphans"];
/// The same of what is rarer there.
const RARE: &str = "undone";

#[test]
fn two_thousand_seeds_hold_every_invariant() {
    let summary = run_many(1, SEEDS, &Options::default(), |report| {
        if report.violation.is_some() {
            eprintln!("{report}");
        }
        ControlFlow::Continue(())
    });
    assert!(summary.is_clean(), "{} seeds fail", summary.failed);
    assert_eq!((summary.seeds, summary.lost), (SEEDS, 0));
    // A simulator that breaks nothing proves nothing.
    let counts = summary.counts;
    for (name, figure) in counts.figures() {
        let happens = figure > SEEDS / 10 || OF_THE_LIFECYCLE.contains(&name) || name == RARE;
        assert!(happens, "{name} is only {figure}");
    }
}

#[test]
fn seeds_of_the_lifecycle_hold_every_invariant() {
    let options = Options { focus: Some(Focus::Lifecycle), ..Options::default() };
    let summary = run_many(1, SEEDS, &options, |report| {
        if report.violation.is_some() {
            eprintln!("{report}");
        }
        ControlFlow::Continue(())
    });
    assert!(summary.is_clean(), "{} seeds fail", summary.failed);
    let figures = summary.counts.figures();
    for (name, figure) in figures.iter().filter(|(name, _)| OF_THE_LIFECYCLE.contains(name)) {
        assert!(*figure > SEEDS / 40, "{name} is only {figure}");
    }
    for (name, figure) in figures.iter().filter(|(name, _)| *name == RARE) {
        assert!(*figure > 0, "{name} is only {figure}");
    }
}

#[test]
fn seeds_of_evictions_and_groups_hold_every_invariant() {
    holds(Focus::Evictions);
}

#[test]
fn seeds_of_vectors_hold_every_invariant() {
    holds(Focus::Vectors);
}

fn holds(focus: Focus) {
    let options = Options { focus: Some(focus), ..Options::default() };
    let summary = run_many(1, SEEDS / 4, &options, |report| {
        if report.violation.is_some() {
            eprintln!("{report}");
        }
        ControlFlow::Continue(())
    });
    assert!(summary.is_clean(), "{} seeds fail", summary.failed);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..50 {
        assert_eq!(run(seed, &Options::default()), run(seed, &Options::default()));
    }
    assert_ne!(run(1, &Options::default()).digest, run(2, &Options::default()).digest);
}

#[test]
fn the_number_of_regions_can_be_chosen() {
    for regions in 2..=5 {
        let options = Options { regions: Some(regions), ..Options::default() };
        let report = run(7, &options);
        assert_eq!(report.counts.regions, regions as u64);
        assert_eq!(report.violation, None);
    }
}
