//! Transcripts of the health machine: one line per event, `time_ms event`.

use alloc::format;
use alloc::string::String;
use std::vec;

use super::*;

const MS: u64 = 1000;

fn slot(n: u8) -> RegionSlot {
    RegionSlot::new(n).expect("small slot")
}

fn at(ms: u64) -> Now {
    Now { wall_ms: 1_000_000 + ms, mono_us: ms * MS }
}

/// Drives one target whose probes are answered as the world says.
struct Bench {
    health: Health,
    ms: u64,
    log: Vec<String>,
    probes: usize,
}

impl Bench {
    fn new(config: Config) -> Self {
        let mut bench = Self { health: Health::new(config), ms: 0, log: vec![], probes: 0 };
        bench.feed(Event::Watch(slot(0)), Some(Ok(())));
        bench
    }

    /// Handles an event; every probe that it starts ends at once as `answer`, or never if `None`.
    fn feed(&mut self, event: Event, answer: Option<Result<(), Failure>>) {
        let mut effects = Vec::new();
        self.health.handle(at(self.ms), event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Probe { probe, target } => {
                    self.probes += 1;
                    if let Some(outcome) = answer {
                        self.feed(Event::ProbeDone { probe, target, outcome }, None);
                    }
                }
                Effect::Changed(c) => {
                    assert_eq!(c.generation, self.health.generation(), "changes count up");
                    self.log.push(format!("{} {}>{}: {}", self.ms, c.from, c.to, c.reason));
                }
            }
        }
    }

    /// Runs until `ms`; ticks exactly at the machine's deadlines.
    fn run(&mut self, until_ms: u64, answer: Option<Result<(), Failure>>) {
        while let Some(due) = self.health.deadline() {
            let due_ms = due.div_ceil(MS);
            if due_ms > until_ms {
                break;
            }
            self.ms = self.ms.max(due_ms);
            self.feed(Event::Tick, answer);
        }
        self.ms = until_ms;
    }

    fn passive(&mut self, failure: Failure) {
        self.feed(Event::Passive { target: slot(0), failure }, None);
    }

    fn state(&self) -> State {
        self.health.view().state(slot(0))
    }
}

#[test]
fn the_first_success_makes_healthy_and_failures_need_the_threshold() {
    let mut bench = Bench::new(Config::default());
    bench.run(950, Some(Ok(())));
    bench.run(1050, Some(Err(Failure::Status(503))));
    assert_eq!(bench.state(), State::Healthy, "one failure is not enough");
    bench.run(1150, Some(Err(Failure::Refused)));
    assert_eq!(
        bench.log,
        [
            "0 unknown>healthy: first probe succeeded",
            "1100 healthy>unhealthy: 2 probes in a row failed, last: refused",
        ]
    );
}

#[test]
fn one_failure_between_successes_changes_nothing() {
    let mut bench = Bench::new(Config::default());
    for round in 0..10 {
        bench.run(round * 200 + 150, Some(Ok(())));
        bench.run(round * 200 + 250, Some(Err(Failure::Timeout)));
    }
    assert_eq!(bench.log.len(), 1, "{:?}", bench.log);
}

#[test]
fn a_black_hole_is_seen_within_n_intervals_and_a_timeout() {
    let mut bench = Bench::new(Config::default());
    bench.run(1000, Some(Ok(())));
    bench.run(1300, None);
    assert_eq!(bench.log[1], "1300 healthy>unhealthy: 2 probes in a row failed, last: timed out");
}

#[test]
fn a_passive_refusal_ejects_at_once_and_recovery_needs_hold_and_successes() {
    let mut bench = Bench::new(Config::default());
    bench.run(550, Some(Ok(())));
    bench.passive(Failure::Refused);
    assert_eq!(bench.state(), State::Ejected);
    bench.run(1500, Some(Ok(())));
    assert_eq!(bench.state(), State::Ejected, "the hold of 1 s has not passed");
    bench.run(2000, Some(Ok(())));
    let log: Vec<&str> = bench.log.iter().map(String::as_str).collect();
    assert_eq!(
        log,
        [
            "0 unknown>healthy: first probe succeeded",
            "550 healthy>ejected: connection refused",
            "1600 ejected>healthy: 11 probes in a row succeeded",
        ]
    );
}

#[test]
fn failing_probes_confirm_an_ejection_as_one_fall() {
    let mut bench = Bench::new(Config::default());
    bench.run(550, Some(Ok(())));
    bench.passive(Failure::Timeout);
    bench.run(750, Some(Err(Failure::Refused)));
    bench.run(1550, Some(Ok(())));
    assert_eq!(bench.state(), State::Unhealthy);
    bench.run(1650, Some(Ok(())));
    assert_eq!(
        bench.log[1..],
        [
            "550 healthy>ejected: connection timed out",
            "700 ejected>unhealthy: 2 probes in a row failed, last: refused",
            "1600 unhealthy>healthy: 9 probes in a row succeeded",
        ]
    );
    assert_eq!(bench.health.view().falls(slot(0)), 1);
}

#[test]
fn a_failure_during_recovery_starts_the_count_again() {
    let config = Config { hold_base_us: 0, hold_max_us: 0, ..Config::default() };
    let mut bench = Bench::new(config);
    bench.run(50, Some(Ok(())));
    bench.passive(Failure::Reset);
    bench.run(250, Some(Ok(())));
    bench.run(350, Some(Err(Failure::Malformed)));
    bench.run(550, Some(Ok(())));
    assert_eq!(bench.state(), State::Ejected, "two successes after the failure");
    bench.run(650, Some(Ok(())));
    assert_eq!(bench.state(), State::Healthy);
}

#[test]
fn the_hold_doubles_up_to_its_cap_and_is_forgotten_after_a_stable_time() {
    let config = Config { hold_max_us: 3_000 * MS, stable_us: 10_000 * MS, ..Config::default() };
    let mut bench = Bench::new(config);
    let mut away = Vec::new();
    for stable_ms in [50, 50, 50, 50, 20_050] {
        let until = bench.ms + stable_ms;
        bench.run(until, Some(Ok(())));
        assert_eq!(bench.state(), State::Healthy);
        bench.passive(Failure::Refused);
        let start = bench.ms;
        while bench.state() != State::Healthy {
            let next = bench.ms + 50;
            bench.run(next, Some(Ok(())));
        }
        away.push((bench.ms - start) / 1000);
    }
    assert_eq!(away, [1, 2, 3, 3, 1]);
    assert_eq!(bench.health.view().falls(slot(0)), 5);
}

#[test]
fn late_results_and_unknown_targets_are_ignored() {
    let mut bench = Bench::new(Config::default());
    bench.run(50, Some(Ok(())));
    let before = bench.health.view();
    let outcome = Err(Failure::Refused);
    bench.feed(Event::ProbeDone { probe: ProbeId(0), target: slot(0), outcome }, None);
    bench.feed(Event::ProbeDone { probe: ProbeId(99), target: slot(9), outcome }, None);
    bench.feed(Event::Passive { target: slot(9), failure: Failure::Refused }, None);
    assert_eq!(bench.health.view(), before);
}

#[test]
fn probes_keep_their_cadence_and_never_overlap() {
    let mut bench = Bench::new(Config::default());
    bench.run(999, Some(Ok(())));
    assert_eq!(bench.probes, 10);
    let slow = Config { timeout_us: 250 * MS, ..Config::default() };
    let mut bench = Bench::new(slow);
    bench.probes = 0;
    bench.run(1049, None);
    assert_eq!(bench.probes, 4, "one at 100 ms, then as each times out after 250 ms");
}

#[test]
fn a_stall_is_not_made_up_for() {
    let mut bench = Bench::new(Config::default());
    bench.ms = 10_000;
    bench.feed(Event::Tick, Some(Ok(())));
    bench.feed(Event::Tick, Some(Ok(())));
    assert_eq!(bench.probes, 2, "one at the start, one after the stall");
}

#[test]
fn unwatching_forgets_and_bumps_the_generation() {
    let mut bench = Bench::new(Config::default());
    let before = bench.health.generation();
    bench.feed(Event::Unwatch(slot(0)), None);
    assert_eq!(bench.health.generation(), before + 1);
    assert_eq!(bench.health.deadline(), None);
    assert_eq!(bench.state(), State::Unknown);
}
