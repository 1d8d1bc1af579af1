//! What a run, or many of them, came to; the timeline of one that failed.

use std::fmt;

use crate::invariants::{Broken, Invariant};
use crate::options::Options;
use crate::shrink::Trim;
use crate::world::{World, words};

/// Lines of a timeline that are kept: the last ones tell why.
const TIMELINE_MAX: usize = 120;
/// Failing seeds that a summary keeps whole.
const FAILURES_MAX: usize = 100;

/// Declares [`Counts`]: fields in the order of output.
macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What happened, in numbers.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counts {
            /// Every figure with its name, in the order of output.
            #[must_use]
            pub fn figures(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }

            fn add(&mut self, other: &Self) {
                let rest_ms = self.rest_ms.max(other.rest_ms);
                $(self.$name += other.$name;)+
                self.rest_ms = rest_ms;
            }
        }
    };
}

counts! {
    /// Regions of the world.
    regions,
    /// Events of the schedule.
    events,
    /// Writes that clients asked for.
    writes,
    /// Transactions that clients asked for.
    transactions,
    /// Writes that were acknowledged.
    acked,
    /// Requests of clients that carry a session.
    session_requests,
    /// Reads among them that were answered.
    session_reads,
    /// Those that were answered as stale.
    session_stale,
    /// Requests that went on to another region.
    session_forwards,
    /// Requests that failed because their region was behind.
    session_failures,
    /// Writes that were acknowledged to be in more regions than one.
    wide_acked,
    /// What clients did or would have done, one or more writes at one instant each.
    operations,
    /// Faults that happened or would have.
    faults,
    /// Catalog changes that clients asked for.
    changes,
    /// Requests that were refused.
    refused,
    /// Versions that became durable.
    versions,
    /// Concurrent pairs that regions met, each region counted.
    conflicts,
    /// Ledger entries of the first region at the end.
    ledger,
    /// Processes that died.
    crashes,
    /// Batches that died with them before they were durable.
    batches_lost,
    /// Links or regions that were cut off.
    splits,
    /// Wall clocks that were stepped.
    clock_steps,
    /// Clocks of peers that were heard.
    heartbeats,
    /// Changes of what a region thinks of its clock.
    verdicts,
    /// Streams that were held for their clock.
    holds,
    /// Frames that did not follow on what was applied.
    gaps,
    /// Directives that operators gave, and those that were decided.
    directives,
    /// See `directives`.
    generations,
    /// Disks that were lost with all that was on them.
    disks_lost,
    /// Entries of writes that were lost with their region, each region counted.
    orphans,
    /// Entries of changes of tables that came to nothing, each region counted.
    undone,
    /// Frames of one region's rows that another passed on.
    relayed,
    /// Messages sent, lost and repeated.
    messages,
    /// See `messages`.
    messages_lost,
    /// See `messages`.
    messages_repeated,
    /// Tombstones that were collected, each region counted.
    tombstones,
    /// Rows that forgot what they had seen, each region counted.
    shortened,
    /// Runs of anti-entropy that began, what they compared, and rotten rows that were repaired.
    repairs,
    /// See `repairs`.
    compared,
    /// See `repairs`.
    healed,
    /// Looks of regions for items that have expired, and those that they deleted.
    passes,
    /// See `passes`.
    expired,
    /// Simulated time, ms.
    simulated_ms,
    /// Simulated time from healing to rest, ms; in a summary, the longest.
    rest_ms,
}

/// One line of a timeline.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at_us: u64,
    pub(crate) region: usize,
    pub(crate) text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, us) = (self.at_us / 1000, self.at_us % 1000);
        write!(f, "{ms:>6}.{us:03} ms  r{}  {}", self.region, self.text)
    }
}

/// An invariant that a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// When, simulated milliseconds.
    pub at_ms: u64,
    /// What is wrong.
    pub text: String,
    /// The last things that happened before: who did what at which simulated millisecond.
    pub timeline: Vec<String>,
}

/// What one seed came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Of all events and final states: equal seeds give equal digests.
    pub digest: u64,
    /// What happened, in numbers.
    pub counts: Counts,
    /// What the schedule was left without.
    pub trim: Trim,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
}

impl Report {
    /// Acknowledged writes that are lost: none, unless the run broke an invariant about them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let about_them = [Invariant::NothingVanishes, Invariant::DurableAck, Invariant::Durability];
        let broken = self.violation.as_ref().map(|violation| violation.invariant);
        u64::from(broken.is_some_and(|invariant| about_them.contains(&invariant)))
    }

    /// The command that shows this run again.
    #[must_use]
    pub fn reproduce(&self) -> String {
        format!("pangea sim --seed {} {}", self.seed, self.trim).trim_end().to_string()
    }
}

impl fmt::Display for Report {
    /// For people: the timeline of a failing seed, or one line of a passing one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(violation) = &self.violation else {
            let (counts, seed) = (&self.counts, self.seed);
            let Counts { events, acked, crashes, .. } = counts;
            return write!(f, "seed {seed}: {events} events, {acked} acked, {crashes} crashes, ok");
        };
        for line in &violation.timeline {
            writeln!(f, "{line}")?;
        }
        let Violation { invariant, at_ms, text, .. } = violation;
        writeln!(f, "seed {} breaks {invariant} at {at_ms} ms: {text}", self.seed)?;
        write!(f, "reproduce: {}", self.reproduce())
    }
}

/// What many seeds came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The first seed.
    pub first_seed: u64,
    /// Seeds that ran.
    pub seeds: u64,
    /// Seeds that broke an invariant.
    pub failed: u64,
    /// Seeds that lost an acknowledged write.
    pub lost: u64,
    /// Sums over all seeds, but the longest of `rest_ms`.
    pub counts: Counts,
    /// Of all the seeds' digests.
    pub digest: u64,
    /// The first of the failing seeds.
    pub failures: Vec<Report>,
}

impl Summary {
    /// Whether every seed held every invariant.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed == 0
    }
}

/// Runs one seed; a failing one is run again for its timeline.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Report {
    let mut world = World::new(seed, options, false);
    let broken = world.run().err();
    let violation = broken.map(|broken| explain(seed, options, &broken));
    let trim = options.trim.clone();
    Report { seed, digest: world.digest(), counts: world.counts, trim, violation }
}

/// All that happens in a run, a line each; of one that fails up to there.
#[must_use]
pub fn timeline(seed: u64, options: &Options) -> Vec<String> {
    let mut world = World::new(seed, options, true);
    let broken = world.run().err();
    let lines = world.take_timeline();
    lines.iter().map(Line::to_string).chain(broken.as_ref().map(words)).collect()
}

fn explain(seed: u64, options: &Options, broken: &Broken) -> Violation {
    let mut world = World::new(seed, options, true);
    let again = world.run().err();
    let same = again.is_some_and(|again| again.text == broken.text);
    assert!(same, "a seed that fails must fail again in the same way");
    let lines = world.take_timeline();
    let skipped = lines.len().saturating_sub(options.timeline_max.unwrap_or(TIMELINE_MAX));
    let mut timeline: Vec<String> = lines[skipped..].iter().map(Line::to_string).collect();
    timeline.push(words(broken));
    Violation {
        invariant: broken.invariant,
        at_ms: world.now_us() / 1000,
        text: broken.text.clone(),
        timeline,
    }
}

/// Runs `seeds` seeds from `first_seed` on; `progress` sees every report and may stop.
pub fn run_many(
    first_seed: u64,
    seeds: u64,
    options: &Options,
    mut progress: impl FnMut(&Report) -> std::ops::ControlFlow<()>,
) -> Summary {
    let mut summary = Summary { first_seed, ..Summary::default() };
    let mut digest = crate::digest::Digest::default();
    for seed in (0..seeds).map(|nth| first_seed.wrapping_add(nth)) {
        let report = run(seed, options);
        summary.seeds += 1;
        summary.lost += report.lost();
        summary.counts.add(&report.counts);
        digest.add(report.digest);
        let stop = progress(&report).is_break();
        if report.violation.is_some() {
            summary.failed += 1;
            if summary.failures.len() < FAILURES_MAX {
                summary.failures.push(report);
            }
        }
        if stop {
            break;
        }
    }
    summary.digest = digest.value();
    summary
}
