//! One supervised process as a machine: what follows from its death, and when.
//!
//! Nothing here starts or signals anything; `supervisor` does what the state says.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::protocol::{ProcessInfo, ProcessState};
use super::spec::{Role, Spec};

/// How long a process may take to stop before it is killed.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// What is said of one that took longer.
pub(crate) const OVERDUE: &str = "it did not stop within 5 s";
/// Wait before the first restart; doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest wait before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A process that lived this long starts its next backoff from the beginning.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// The last line of its log, if it failed by itself.
    pub(super) last_words: Option<String>,
}

impl Ending {
    pub(super) fn of(status: ExitStatus) -> Self {
        Self { code: status.code(), signal: status.signal(), last_words: None }
    }

    pub(super) fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exited with status {code}")?,
            (None, Some(signal)) => write!(f, "killed by {}", signal_name(signal))?,
            (None, None) => f.write_str("ended")?,
        }
        match &self.last_words {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}

fn signal_name(signal: i32) -> String {
    let known = rustix::process::Signal::from_named_raw(signal);
    known.map_or_else(
        || format!("signal {signal}"),
        |name| match name {
            rustix::process::Signal::KILL => "SIGKILL".to_owned(),
            rustix::process::Signal::TERM => "SIGTERM".to_owned(),
            rustix::process::Signal::INT => "SIGINT".to_owned(),
            rustix::process::Signal::ABORT => "SIGABRT".to_owned(),
            rustix::process::Signal::SEGV => "SIGSEGV".to_owned(),
            _ => format!("signal {signal}"),
        },
    )
}

/// What a process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For its build, or its region.
    Waiting,
    /// It cannot run here.
    Unavailable(String),
    Running {
        pid: u32,
    },
    /// Told to end; killed if it has not by then.
    Stopping {
        pid: u32,
        kill_at: Instant,
    },
    /// Started again by its policy.
    Restarting {
        at: Instant,
    },
    Dead,
    /// A build that did its work.
    Done,
}

/// A process and its history.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) spec: Spec,
    pub(super) state: State,
    pub(super) since: Instant,
    /// Counts its lives, so that news of an earlier one is told apart.
    pub(super) life: u64,
    ending: Option<Ending>,
    /// Kept down by request, whatever its policy.
    held: bool,
    restarts: u32,
    failures_in_row: u32,
}

impl Process {
    pub(super) fn new(spec: Spec, now: Instant) -> Self {
        Self {
            spec,
            state: State::Waiting,
            since: now,
            life: 0,
            ending: None,
            held: false,
            restarts: 0,
            failures_in_row: 0,
        }
    }

    pub(super) fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.since = now;
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match self.state {
            State::Running { pid } | State::Stopping { pid, .. } => Some(pid),
            _ => None,
        }
    }

    pub(super) fn started(&mut self, pid: u32, now: Instant) {
        self.held = false;
        self.enter(State::Running { pid }, now);
    }

    /// It could not be started at all.
    pub(super) fn not_started(&mut self, why: String, now: Instant) {
        self.ending = Some(Ending { code: None, signal: None, last_words: Some(why) });
        self.enter(State::Dead, now);
    }

    /// It shall end by `kill_at`, and not come back by itself.
    pub(super) fn stopping(&mut self, kill_at: Instant, now: Instant) {
        self.held = true;
        match self.state {
            State::Running { pid } => self.enter(State::Stopping { pid, kill_at }, now),
            State::Stopping { pid, kill_at: earlier } => {
                self.state = State::Stopping { pid, kill_at: earlier.min(kill_at) };
            }
            State::Restarting { .. } => self.enter(State::Dead, now),
            State::Waiting | State::Unavailable(_) | State::Dead | State::Done => {}
        }
    }

    /// It ended: whether it comes back, and when, is its policy's decision.
    pub(super) fn ended(&mut self, ending: Ending, now: Instant) {
        let success = ending.success();
        let lived = now.duration_since(self.since);
        let overdue = matches!(self.state, State::Stopping { .. }) && lived >= STOP_TIMEOUT;
        self.ending = Some(match ending.signal {
            Some(_) if overdue => Ending { last_words: Some(OVERDUE.to_owned()), ..ending },
            _ => ending,
        });
        if matches!(self.spec.role, Role::Build { .. }) && success {
            return self.enter(State::Done, now);
        }
        if self.held || !self.spec.restart.applies(success) {
            return self.enter(State::Dead, now);
        }
        self.failures_in_row = if lived >= STABLE_AFTER { 0 } else { self.failures_in_row };
        let doubled = BACKOFF_FIRST.saturating_mul(1 << self.failures_in_row.min(16));
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        self.restarts = self.restarts.saturating_add(1);
        self.enter(State::Restarting { at: now + doubled.min(BACKOFF_MAX) }, now);
    }

    /// The process as the control socket shows it.
    pub(super) fn info(&self, now: Instant) -> ProcessInfo {
        let (region, service) = match &self.spec.role {
            Role::Region { region } => (Some(region.clone()), None),
            Role::Edge => (None, None),
            Role::Build { service } => (None, Some(service.clone())),
            Role::Service { service, region } => (Some(region.clone()), Some(service.clone())),
        };
        ProcessInfo {
            process: self.spec.role.name(),
            region,
            service,
            state: self.public_state(),
            pid: self.pid(),
            for_ms: u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX),
            restarts: self.restarts,
            reason: self.reason(),
            log: self.spec.log.clone(),
        }
    }

    fn public_state(&self) -> ProcessState {
        match self.state {
            State::Waiting => ProcessState::Waiting,
            State::Unavailable(_) => ProcessState::Unavailable,
            State::Running { .. } => ProcessState::Running,
            State::Stopping { .. } => ProcessState::Stopping,
            State::Restarting { .. } => ProcessState::Restarting,
            State::Dead => ProcessState::Dead,
            State::Done => ProcessState::Done,
        }
    }

    fn reason(&self) -> Option<String> {
        match &self.state {
            State::Unavailable(why) => Some(why.clone()),
            State::Dead | State::Restarting { .. } => self.ending.as_ref().map(ToString::to_string),
            State::Waiting | State::Running { .. } | State::Stopping { .. } | State::Done => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Restart;

    fn process(restart: Restart, now: Instant) -> Process {
        let spec = Spec {
            role: Role::Edge,
            argv: Vec::new(),
            directory: None,
            env: Vec::new(),
            restart,
            log: "edge.log".into(),
        };
        let mut process = Process::new(spec, now);
        process.started(7, now);
        process
    }

    fn ending(code: i32) -> Ending {
        Ending { code: Some(code), signal: None, last_words: None }
    }

    #[test]
    fn the_policy_decides_who_comes_back() {
        let now = Instant::now();
        for (restart, code, back) in [
            (Restart::Never, 1, false),
            (Restart::OnFailure, 1, true),
            (Restart::OnFailure, 0, false),
            (Restart::Always, 0, true),
        ] {
            let mut process = process(restart, now);
            process.ended(ending(code), now);
            let came = matches!(process.state, State::Restarting { .. });
            assert_eq!(came, back, "{restart} after status {code}");
        }
    }

    #[test]
    fn who_was_told_to_stop_stays_down() {
        let now = Instant::now();
        let mut process = process(Restart::Always, now);
        process.stopping(now, now);
        process.ended(ending(1), now);
        assert_eq!(process.state, State::Dead);
        process.started(8, now);
        process.ended(ending(1), now);
        assert!(matches!(process.state, State::Restarting { .. }), "until it is started again");
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_starts_over_after_a_long_life() {
        let mut now = Instant::now();
        let mut process = process(Restart::OnFailure, now);
        let mut waits = Vec::new();
        for _ in 0..8 {
            process.ended(ending(1), now);
            let State::Restarting { at } = process.state else { panic!("it comes back") };
            waits.push(at.duration_since(now).as_millis());
            now = at;
            process.started(9, now);
        }
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        process.ended(ending(1), now + STABLE_AFTER);
        let State::Restarting { at } = process.state else { panic!("it comes back") };
        assert_eq!(at.duration_since(now + STABLE_AFTER), BACKOFF_FIRST);
    }

    #[test]
    fn a_death_is_told_in_words() {
        let killed = Ending { code: None, signal: Some(9), last_words: None };
        assert_eq!(killed.to_string(), "killed by SIGKILL");
        let words = Some("error: disk full".to_owned());
        let failed = Ending { code: Some(2), signal: None, last_words: words };
        assert_eq!(failed.to_string(), "exited with status 2: error: disk full");
    }
}
