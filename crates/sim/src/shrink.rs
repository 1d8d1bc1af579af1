//! Shrinking: the least of a failing schedule that still fails in the same way.
//!
//! A seed decides everything, so nothing can be taken out of a schedule but by saying so: a
//! [`Trim`] names client operations and faults that are drawn and then not done, and traits of the
//! seed's world that are put back to harmless. What is left is what the failure needs. The search
//! is delta debugging (Zeller and Hildebrandt, IEEE TSE 28(2), 2002): ever smaller parts are left
//! out for as long as the run still breaks the same invariant.

use std::collections::BTreeSet;
use std::fmt;

use crate::invariants::Invariant;
use crate::options::{NetFaults, Options, Swarm};
use crate::report::{Report, run};
use crate::rng::Rng;

/// Runs of one search: bounds it to seconds.
const RUNS_MAX: usize = 3000;

/// A trait of a seed's world that can be put back to harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knob {
    /// Messages are lost.
    Loss,
    /// Messages come twice.
    Duplication,
    /// Messages overtake each other.
    Reordering,
    /// Messages of dead connections arrive.
    Late,
    /// Frames occupy their link.
    Bandwidth,
    /// Delays of the network vary.
    Jitter,
    /// Clocks are wrong from the start.
    Skew,
    /// Syncs take time.
    Sync,
    /// Timers come late.
    Timers,
    /// The first table has rows from the start.
    Bulk,
    /// Several regions write one key at one instant.
    Bursts,
    /// Deletes are collected, and cold rows shortened.
    Collection,
    /// Clients pause.
    Pauses,
    /// Clients carry sessions.
    Sessions,
    /// Writes wait for other regions.
    Wide,
    /// Anti-entropy runs.
    Repairs,
    /// A row rots.
    Rot,
    /// Items expire.
    Ttl,
}

impl Knob {
    /// Every one with its word on the command line.
    pub const ALL: [(&'static str, Self); 18] = [
        ("loss", Self::Loss),
        ("duplication", Self::Duplication),
        ("reordering", Self::Reordering),
        ("late", Self::Late),
        ("bandwidth", Self::Bandwidth),
        ("jitter", Self::Jitter),
        ("skew", Self::Skew),
        ("sync", Self::Sync),
        ("timers", Self::Timers),
        ("bulk", Self::Bulk),
        ("bursts", Self::Bursts),
        ("collection", Self::Collection),
        ("pauses", Self::Pauses),
        ("sessions", Self::Sessions),
        ("wide", Self::Wide),
        ("repairs", Self::Repairs),
        ("rot", Self::Rot),
        ("ttl", Self::Ttl),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, knob)| *knob == self).map_or("", |(word, _)| word)
    }

    fn turn_off(self, swarm: &mut Swarm) {
        let net = &mut swarm.net;
        match self {
            Self::Loss => net.loss = 0,
            Self::Duplication => net.duplication = 0,
            Self::Reordering => net.reordering = 0,
            Self::Late => net.late = 0,
            Self::Bandwidth => net.send_us = 0,
            Self::Jitter => net.delay_us = NetFaults::NONE.delay_us,
            Self::Skew => swarm.skew_us = 0,
            Self::Sync => swarm.sync_us = 0,
            Self::Timers => swarm.timer_late_us = 0,
            Self::Bulk => swarm.bulk = 0,
            Self::Bursts => swarm.burst = 0,
            Self::Collection => swarm.collect = None,
            Self::Pauses => swarm.pause = 0,
            Self::Sessions => swarm.sessions = 0,
            Self::Wide => swarm.wide = 0,
            Self::Repairs => swarm.repair_gap_us = None,
            Self::Rot => swarm.rots = false,
            Self::Ttl => swarm.ttl = None,
        }
    }
}

/// What a schedule is left without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trim {
    /// Client operations that are not done, by their place in the schedule.
    pub operations: BTreeSet<u64>,
    /// Faults that do not happen, by their place in the schedule.
    pub faults: BTreeSet<u64>,
    /// What is put back to harmless.
    pub without: BTreeSet<Knob>,
}

impl Trim {
    /// A part of a schedule of so many operations and faults, without few or many of them and of
    /// the knobs: for each seed another by its number, and the same for equal numbers.
    #[must_use]
    pub fn part((seed, nth): (u64, u64), (operations, faults): (u64, u64)) -> Self {
        let mut rng = Rng::new(seed).fork(&format!("part {nth}"));
        let rates = [0; 3].map(|_| rng.pick(&[0, 50, 150, 400]));
        let mut part = Self::default();
        part.operations.extend((0..operations).filter(|_| rng.chance(rates[0])));
        part.faults.extend((0..faults).filter(|_| rng.chance(rates[1])));
        let knobs = Knob::ALL.iter().map(|(_, knob)| *knob);
        part.without.extend(knobs.filter(|_| rng.chance(rates[2])));
        part
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn apply(&self, swarm: &mut Swarm) {
        self.without.iter().for_each(|knob| knob.turn_off(swarm));
    }
}

impl fmt::Display for Trim {
    /// The options of the command line that leave the same out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if !self.operations.is_empty() {
            words.push(format!("--skip-operations {}", spans(&self.operations)));
        }
        if !self.faults.is_empty() {
            words.push(format!("--skip-faults {}", spans(&self.faults)));
        }
        if !self.without.is_empty() {
            let knobs: Vec<&str> = self.without.iter().map(|knob| knob.as_str()).collect();
            words.push(format!("--without {}", knobs.join(",")));
        }
        f.write_str(&words.join(" "))
    }
}

/// `0-3,7`: the inverse is [`parse_spans`].
fn spans(numbers: &BTreeSet<u64>) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match spans.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => spans.push((number, number)),
        }
    }
    let text = |(start, end): &(u64, u64)| match start == end {
        true => start.to_string(),
        false => format!("{start}-{end}"),
    };
    spans.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Numbers and spans of them with commas between; `None` for anything else.
#[must_use]
pub fn parse_spans(text: &str) -> Option<BTreeSet<u64>> {
    let mut numbers = BTreeSet::new();
    for span in text.split(',').filter(|span| !span.is_empty()) {
        let (start, end) = span.split_once('-').unwrap_or((span, span));
        let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
        if end < start || end - start > 100_000 {
            return None;
        }
        numbers.extend(start..=end);
    }
    Some(numbers)
}

/// The least that still fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The failing run of what is left.
    pub report: Report,
    /// What was left out.
    pub trim: Trim,
    /// Client operations and faults of the whole schedule, and of what is left.
    pub operations: (u64, u64),
    /// See `operations`.
    pub faults: (u64, u64),
    /// Runs that the search took.
    pub runs: usize,
}

/// Shrinks a failing seed; `None` if it does not fail.
#[must_use]
pub fn shrink(seed: u64, options: &Options) -> Option<Shrunk> {
    let report = run(seed, options);
    let invariant = report.violation.as_ref()?.invariant;
    let whole = (report.counts.operations, report.counts.faults);
    let mut search = Search { seed, options: options.clone(), invariant, report, runs: 0 };
    search.leave_out(whole.0, |trim| &mut trim.operations);
    search.leave_out(whole.1, |trim| &mut trim.faults);
    for (_, knob) in Knob::ALL {
        let mut trim = search.options.trim.clone();
        trim.without.insert(knob);
        search.try_out(trim);
    }
    // With less around them, more of the operations are not needed.
    search.leave_out(whole.0, |trim| &mut trim.operations);
    let Search { options, report, runs, .. } = search;
    let left = |all: u64, without: &BTreeSet<u64>| all - without.range(..all).count() as u64;
    Some(Shrunk {
        operations: (whole.0, left(whole.0, &options.trim.operations)),
        faults: (whole.1, left(whole.1, &options.trim.faults)),
        trim: options.trim,
        report,
        runs,
    })
}

struct Search {
    seed: u64,
    /// With the best trim so far.
    options: Options,
    invariant: Invariant,
    report: Report,
    runs: usize,
}

impl Search {
    /// Takes the trim if the run still breaks the same invariant.
    fn try_out(&mut self, trim: Trim) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let options = Options { trim, ..self.options.clone() };
        let report = run(self.seed, &options);
        let same = report.violation.as_ref().is_some_and(|it| it.invariant == self.invariant);
        if same {
            (self.options, self.report) = (options, report);
        }
        same
    }

    /// Leaves out parts of `0..count`: halves first, then ever smaller ones.
    fn leave_out(&mut self, count: u64, of: impl Fn(&mut Trim) -> &mut BTreeSet<u64>) {
        let mut size = count.max(1);
        loop {
            let mut found = false;
            for start in (0..count).step_by(usize::try_from(size).unwrap_or(usize::MAX)) {
                let mut trim = self.options.trim.clone();
                let before = of(&mut trim).len();
                of(&mut trim).extend(start..(start + size).min(count));
                if of(&mut trim).len() > before {
                    found |= self.try_out(trim);
                }
            }
            match (size, found) {
                (1, false) => return,
                (1, true) => {}
                _ => size = size.div_ceil(2),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_trip() {
        for text in ["", "3", "0-3,7", "1,3,5-900"] {
            let numbers = parse_spans(text).expect("well formed");
            assert_eq!(spans(&numbers), text);
        }
        for text in ["x", "1-", "-1", "1-2-3", "0-99999999"] {
            assert_eq!(parse_spans(text), None, "{text}");
        }
    }

    #[test]
    fn parts_are_the_same_for_equal_numbers() {
        let part = |nth| Trim::part((7, nth), (200, 40));
        assert_eq!(part(1), part(1));
        let parts: Vec<Trim> = (0..20).map(part).collect();
        assert!(parts.iter().skip(1).any(|it| *it != parts[0]));
        assert!(parts.iter().all(|it| it.operations.len() < 200 && it.faults.len() < 40));
    }
}
