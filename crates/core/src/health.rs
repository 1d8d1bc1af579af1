//! Health of each target region: one truth for the DNS answers and for the accelerator.
//!
//! Two kinds of evidence meet here. *Active* evidence is the result of a probe that this machine
//! asked for; *passive* evidence is a real connection that was refused, reset or lost while it was
//! being made. Passive evidence ejects at once (Envoy's `consecutive_local_origin_failure = 1`);
//! active evidence needs [`Config::failure_threshold`] failures in a row. Probes that fail after an
//! ejection confirm it: `Ejected` becomes `Unhealthy`, and only then is the region believed dead
//! rather than overloaded.
//!
//! State: per target a [`State`], two run lengths, the probe in flight, and how often it flapped.
//! Always true:
//! * every change of state bumps the generation by one, and the generation never falls;
//! * a target that left `Healthy` returns only after its hold has passed *and*
//!   [`Config::recovery_threshold`] probes in a row succeeded; the hold doubles each time the
//!   target falls again before it stayed healthy for [`Config::stable_us`], up to
//!   [`Config::hold_max_us`];
//! * at most one probe per target is in flight, and a result that comes after its timeout is
//!   ignored.
//!
//! `Unknown` (no result yet) is usable only where no `Healthy` target is. Route 53 starts new
//! checks as healthy; PowerDNS users were bitten by answers given before any check had run
//! (PowerDNS #12557). This is the middle: a fresh edge still answers, but prefers what it has seen.
//!
//! Not decided here: which region serves whom, and what happens when all are unhealthy (fail open).
//! Both are routing's ([`crate::routing`]).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use crate::id::RegionSlot;
use crate::time::Now;

/// Thresholds and intervals of the health machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// From one probe of a target to the next, fixed cadence, µs.
    pub interval_us: u64,
    /// A probe without a result for this long has failed, µs.
    pub timeout_us: u64,
    /// Failed probes in a row that make a target unhealthy; at least 1.
    pub failure_threshold: u32,
    /// Successful probes in a row that make a target healthy again; at least 1.
    pub recovery_threshold: u32,
    /// Least time away after the first fall, µs.
    pub hold_base_us: u64,
    /// Least time away after many falls, µs.
    pub hold_max_us: u64,
    /// A target that stayed healthy this long has its falls forgotten, µs.
    pub stable_us: u64,
}

impl Default for Config {
    /// Detects a black hole in 0.2 to 0.3 s: `N·I + T` with N = 2, I = T = 100 ms.
    ///
    /// The hold's cap is the 30 s after which Global Accelerator returns traffic.
    fn default() -> Self {
        Self {
            interval_us: 100_000,
            timeout_us: 100_000,
            failure_threshold: 2,
            recovery_threshold: 3,
            hold_base_us: 1_000_000,
            hold_max_us: 30_000_000,
            stable_us: 60_000_000,
        }
    }
}

/// What is believed of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum State {
    /// No evidence yet.
    #[default]
    Unknown,
    /// Probes succeed.
    Healthy,
    /// Probes failed [`Config::failure_threshold`] times in a row.
    Unhealthy,
    /// A real connection failed; probes have not confirmed it.
    Ejected,
}

impl State {
    /// Whether traffic leaves this target as long as any other is left.
    #[must_use]
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Unhealthy | Self::Ejected)
    }

    /// The word for logs and the operator API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a probe or a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// Nothing came in time.
    Timeout,
    /// There was no way there: no route, no address, no local port.
    Unreachable,
    /// An HTTP status outside 200–399 (Route 53's rule).
    Status(u16),
    /// The answer was not HTTP, or broke off.
    Malformed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timed out"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Malformed => f.write_str("malformed answer"),
        }
    }
}

/// Why a target changed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first probe succeeded.
    FirstProbeOk,
    /// The hold passed and this many probes in a row succeeded.
    Recovered {
        /// Successes in a row.
        oks: u32,
    },
    /// This many probes in a row failed, the last one so.
    ProbesFailed {
        /// Failures in a row.
        failures: u32,
        /// The last failure.
        last: Failure,
    },
    /// A real connection failed so.
    Passive(Failure),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstProbeOk => f.write_str("first probe succeeded"),
            Self::Recovered { oks } => write!(f, "{oks} probes in a row succeeded"),
            Self::ProbesFailed { failures, last } => {
                write!(f, "{failures} probes in a row failed, last: {last}")
            }
            Self::Passive(failure) => write!(f, "connection {failure}"),
        }
    }
}

/// One probe of one target, so that a late result finds nobody waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// What the machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed; see [`Health::deadline`].
    Tick,
    /// A probe ended.
    ProbeDone {
        /// Which probe, as [`Effect::Probe`] named it.
        probe: ProbeId,
        /// Who was probed.
        target: RegionSlot,
        /// How it ended.
        outcome: Result<(), Failure>,
    },
    /// A real connection to `target` failed while it was being made. Nothing if `target` is not
    /// watched: without probes it could not come back.
    Passive {
        /// Who was being connected to.
        target: RegionSlot,
        /// How it failed.
        failure: Failure,
    },
    /// Probe this target from now on, at once; nothing if it is already probed.
    Watch(RegionSlot),
    /// Forget this target.
    Unwatch(RegionSlot),
}

/// What the driver must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Probe `target` and report with [`Event::ProbeDone`].
    Probe {
        /// Names this probe.
        probe: ProbeId,
        /// Who to probe.
        target: RegionSlot,
    },
    /// A target changed state.
    Changed(Change),
}

/// One change of one target's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The view's generation after this change.
    pub generation: u64,
    /// When, wall clock, ms since 1970.
    pub wall_ms: u64,
    /// Whose state.
    pub target: RegionSlot,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

/// What one target looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// What is believed.
    pub state: State,
    /// Since when, wall clock, ms since 1970; 0 if it never changed.
    pub since_wall_ms: u64,
    /// How often it ever went down; lets a holder of an old view see that it fell in between.
    pub falls: u64,
    /// Failed probes in a row.
    pub failures: u32,
    /// Successful probes in a row.
    pub oks: u32,
    /// How the last failure looked.
    pub last_failure: Option<Failure>,
}

/// The state of all targets at one generation.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct View {
    /// Number of changes so far in this life of the process.
    pub generation: u64,
    /// Every watched target.
    pub targets: BTreeMap<RegionSlot, TargetView>,
}

impl View {
    /// What is believed of `target`; `Unknown` if it is not watched.
    #[must_use]
    pub fn state(&self, target: RegionSlot) -> State {
        self.targets.get(&target).map_or(State::Unknown, |t| t.state)
    }

    /// How often `target` went down.
    #[must_use]
    pub fn falls(&self, target: RegionSlot) -> u64 {
        self.targets.get(&target).map_or(0, |t| t.falls)
    }
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    probe: ProbeId,
    expires_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    view: TargetView,
    in_flight: Option<InFlight>,
    due_us: u64,
    /// Falls not yet forgotten: the exponent of the next hold, plus one.
    strikes: u32,
    healthy_since_us: u64,
    hold_until_us: u64,
}

/// The health machine.
#[derive(Clone, Debug)]
pub struct Health {
    config: Config,
    targets: BTreeMap<RegionSlot, Target>,
    generation: u64,
    probe_next: u64,
}

impl Health {
    /// A machine that watches nothing yet.
    ///
    /// Zero thresholds and a zero interval count as one.
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        config.interval_us = config.interval_us.max(1);
        config.timeout_us = config.timeout_us.max(1);
        config.failure_threshold = config.failure_threshold.max(1);
        config.recovery_threshold = config.recovery_threshold.max(1);
        Self { config, targets: BTreeMap::new(), generation: 0, probe_next: 0 }
    }

    /// Takes one event; appends what is to be done.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Tick => {}
            Event::ProbeDone { probe, target, outcome } => {
                self.probe_done(now, probe, target, outcome, effects);
            }
            Event::Passive { target, failure } => self.passive(now, target, failure, effects),
            Event::Watch(target) => self.watch(now, target),
            Event::Unwatch(target) => self.unwatch(target),
        }
        self.expire(now, effects);
        self.schedule(now, effects);
    }

    /// When the machine wants a [`Event::Tick`], monotonic µs; `None` if nothing is watched.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.targets.values().map(|t| t.in_flight.map_or(t.due_us, |p| p.expires_us)).min()
    }

    /// The state of all targets now.
    #[must_use]
    pub fn view(&self) -> View {
        let targets = self.targets.iter().map(|(slot, t)| (*slot, t.view)).collect();
        View { generation: self.generation, targets }
    }

    /// Number of changes so far.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    fn watch(&mut self, now: Now, target: RegionSlot) {
        self.targets.entry(target).or_insert(Target {
            view: TargetView {
                state: State::Unknown,
                since_wall_ms: 0,
                falls: 0,
                failures: 0,
                oks: 0,
                last_failure: None,
            },
            in_flight: None,
            due_us: now.mono_us,
            strikes: 0,
            healthy_since_us: 0,
            hold_until_us: 0,
        });
    }

    fn unwatch(&mut self, target: RegionSlot) {
        if self.targets.remove(&target).is_some() {
            self.generation += 1;
        }
    }

    fn probe_done(
        &mut self,
        now: Now,
        probe: ProbeId,
        slot: RegionSlot,
        outcome: Result<(), Failure>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(target) = self.targets.get_mut(&slot) else { return };
        let in_time = |p: InFlight| p.probe == probe && now.mono_us < p.expires_us;
        if !target.in_flight.is_some_and(in_time) {
            return;
        }
        target.in_flight = None;
        match outcome {
            Ok(()) => self.ok(now, slot, effects),
            Err(failure) => self.failed(now, slot, failure, effects),
        }
    }

    fn ok(&mut self, now: Now, slot: RegionSlot, effects: &mut Vec<Effect>) {
        let needed = self.config.recovery_threshold;
        let Some(target) = self.targets.get_mut(&slot) else { return };
        target.view.failures = 0;
        target.view.oks = target.view.oks.saturating_add(1);
        let oks = target.view.oks;
        let rested = now.mono_us >= target.hold_until_us;
        match target.view.state {
            State::Unknown => self.change(now, slot, State::Healthy, Reason::FirstProbeOk, effects),
            State::Unhealthy | State::Ejected if rested && oks >= needed => {
                self.change(now, slot, State::Healthy, Reason::Recovered { oks }, effects);
            }
            State::Healthy | State::Unhealthy | State::Ejected => {}
        }
    }

    fn failed(&mut self, now: Now, slot: RegionSlot, last: Failure, effects: &mut Vec<Effect>) {
        let threshold = self.config.failure_threshold;
        let Some(target) = self.targets.get_mut(&slot) else { return };
        target.view.oks = 0;
        target.view.failures = target.view.failures.saturating_add(1);
        target.view.last_failure = Some(last);
        let failures = target.view.failures;
        if target.view.state != State::Unhealthy && failures >= threshold {
            let reason = Reason::ProbesFailed { failures, last };
            self.change(now, slot, State::Unhealthy, reason, effects);
        }
    }

    fn passive(&mut self, now: Now, slot: RegionSlot, failure: Failure, effects: &mut Vec<Effect>) {
        let Some(target) = self.targets.get_mut(&slot) else { return };
        target.view.oks = 0;
        target.view.last_failure = Some(failure);
        if !target.view.state.is_down() {
            self.change(now, slot, State::Ejected, Reason::Passive(failure), effects);
        }
    }

    fn change(
        &mut self,
        now: Now,
        slot: RegionSlot,
        to: State,
        reason: Reason,
        effects: &mut Vec<Effect>,
    ) {
        let config = self.config;
        let Some(target) = self.targets.get_mut(&slot) else { return };
        let from = target.view.state;
        assert_ne!(from, to, "a change changes something");
        match (from.is_down(), to.is_down()) {
            (false, true) => target.fall(now, &config),
            (_, false) => target.healthy_since_us = now.mono_us,
            // Probes confirm an ejection: it is one fall, not two.
            (true, true) => {}
        }
        target.view.state = to;
        target.view.since_wall_ms = now.wall_ms;
        self.generation += 1;
        let (generation, wall_ms) = (self.generation, now.wall_ms);
        let change = Change { generation, wall_ms, target: slot, from, to, reason };
        effects.push(Effect::Changed(change));
    }

    fn expire(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let expired = |t: &Target| t.in_flight.is_some_and(|p| p.expires_us <= now.mono_us);
        let late: Vec<RegionSlot> =
            self.targets.iter().filter(|(_, t)| expired(t)).map(|(slot, _)| *slot).collect();
        for slot in late {
            if let Some(target) = self.targets.get_mut(&slot) {
                target.in_flight = None;
            }
            self.failed(now, slot, Failure::Timeout, effects);
        }
    }

    fn schedule(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for (slot, target) in &mut self.targets {
            if target.in_flight.is_some() || target.due_us > now.mono_us {
                continue;
            }
            let probe = ProbeId(self.probe_next);
            self.probe_next += 1;
            let expires_us = now.mono_us + self.config.timeout_us;
            target.in_flight = Some(InFlight { probe, expires_us });
            // Fixed cadence; after a stall the missed probes are not made up for.
            target.due_us = (target.due_us + self.config.interval_us)
                .max(now.mono_us + self.config.interval_us / 2);
            effects.push(Effect::Probe { probe, target: *slot });
        }
    }
}

impl Target {
    /// Goes down: the hold doubles with each fall that followed too soon on the last recovery.
    fn fall(&mut self, now: Now, config: &Config) {
        let stable = now.mono_us.saturating_sub(self.healthy_since_us) >= config.stable_us;
        self.strikes = if stable { 1 } else { self.strikes.saturating_add(1) };
        let doublings = (self.strikes - 1).min(32);
        let hold = config.hold_base_us.saturating_mul(1 << doublings).min(config.hold_max_us);
        self.hold_until_us = now.mono_us.saturating_add(hold);
        self.view.oks = 0;
        self.view.falls += 1;
    }
}

#[cfg(test)]
mod tests;
