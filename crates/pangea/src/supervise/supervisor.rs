//! Starts, signals and reaps the processes of a topology.
//!
//! One value, driven by one loop (`super::drive`): no lock, no shared state. Every process leads a
//! process group of its own, so that the terminal's Ctrl-C reaches `up` alone and an end reaches
//! whatever the process has started.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use super::child;
use super::preflight::Unavailable;
use super::process::{Ending, Process, STOP_TIMEOUT, State};
use super::protocol::{ProcessInfo, ProcessState, Reply, Request};
use super::spec::{Role, Spec};

/// A service starts without its region after this long: it may have its own idea of ready.
const REGION_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes at the end of a log in which its last line is looked for.
const LAST_WORDS_BYTES: i64 = 4096;
/// Characters of a log's last line that are shown.
const LAST_WORDS_CHARS: usize = 160;

/// News of a process's end.
#[derive(Debug)]
pub(super) struct Exit {
    index: usize,
    life: u64,
    ending: Ending,
}

/// Who waits for a process to be gone.
type Waiter = (usize, oneshot::Sender<Reply>);

/// What a service that waits does next.
enum Turn {
    Start,
    Wait,
    Never(String),
}

#[derive(Debug)]
pub(super) struct Supervisor {
    program: PathBuf,
    processes: Vec<Process>,
    exits: mpsc::Sender<Exit>,
    waiters: Vec<Waiter>,
    begun: Instant,
    stopping: bool,
}

impl Supervisor {
    pub(super) fn new(
        program: &Path,
        specs: Vec<Spec>,
        unavailable: &Unavailable,
        exits: mpsc::Sender<Exit>,
    ) -> Self {
        let now = Instant::now();
        let mut processes: Vec<Process> =
            specs.into_iter().map(|spec| Process::new(spec, now)).collect();
        for process in &mut processes {
            let reason = match &process.spec.role {
                Role::Build { service } | Role::Service { service, .. } => unavailable.get(service),
                Role::Region { .. } | Role::Edge => None,
            };
            if let Some(reason) = reason {
                process.enter(State::Unavailable(format!("not installed: {reason}")), now);
            }
        }
        Self {
            program: program.to_owned(),
            processes,
            exits,
            waiters: Vec::new(),
            begun: now,
            stopping: false,
        }
    }

    pub(super) fn infos(&self) -> Vec<ProcessInfo> {
        let now = Instant::now();
        self.processes.iter().map(|process| process.info(now)).collect()
    }

    pub(super) fn running(&self) -> bool {
        self.processes.iter().any(|process| process.pid().is_some())
    }

    /// Regions, edge and builds: all that waits for nothing.
    pub(super) fn start_first(&mut self) {
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            let first = !matches!(process.spec.role, Role::Service { .. });
            if first && process.state == State::Waiting {
                self.start(index);
            }
        }
    }

    /// What time brings: restarts, kills of those that do not stop, services whose build is done
    /// and whose region is up.
    pub(super) fn tick(&mut self, region_is_up: impl Fn(&str) -> bool) {
        let now = Instant::now();
        for index in 0..self.processes.len() {
            match self.processes[index].state.clone() {
                State::Restarting { at } if at <= now => self.start(index),
                State::Stopping { pid, kill_at } if kill_at <= now => {
                    signal_group(pid, Signal::KILL);
                }
                State::Waiting => match self.service_turn(index, &region_is_up) {
                    Turn::Start => self.start(index),
                    Turn::Wait => {}
                    Turn::Never(why) => {
                        self.processes[index].enter(State::Unavailable(why), now);
                    }
                },
                _ => {}
            }
        }
    }

    /// Whether it is the turn of a service that waits.
    fn service_turn(&self, index: usize, region_is_up: &impl Fn(&str) -> bool) -> Turn {
        let Role::Service { service, region } = &self.processes[index].spec.role else {
            return Turn::Wait;
        };
        let is_build =
            |p: &&Process| matches!(&p.spec.role, Role::Build { service: s } if s == service);
        let since = match self.processes.iter().find(is_build) {
            Some(build) if build.state == State::Done => build.since,
            Some(build) if build.state == State::Dead => {
                return Turn::Never(format!("the build failed: see {}", build.spec.log.display()));
            }
            Some(_) => return Turn::Wait,
            None => self.begun,
        };
        if region_is_up(region) || since.elapsed() > REGION_TIMEOUT {
            return Turn::Start;
        }
        Turn::Wait
    }

    /// Stops everything: in order at first, at once when asked again.
    pub(super) fn stop_all(&mut self) {
        let now = Instant::now();
        let (signal, patience) = match self.stopping {
            false => (Signal::TERM, STOP_TIMEOUT),
            true => (Signal::KILL, Duration::ZERO),
        };
        self.stopping = true;
        for process in &mut self.processes {
            if let Some(pid) = process.pid() {
                signal_group(pid, signal);
            }
            process.stopping(now + patience, now);
            if process.state == State::Waiting {
                process.enter(State::Dead, now);
            }
        }
    }

    /// Takes news of an end; the process's name and what became of it, unless it is old news.
    pub(super) fn on_exit(&mut self, exit: Exit) {
        let process = &mut self.processes[exit.index];
        if process.life != exit.life {
            return;
        }
        if let Some(pid) = process.pid() {
            signal_group(pid, Signal::KILL);
        }
        process.ended(exit.ending, Instant::now());
        let info = process.info(Instant::now());
        let (gone, others) =
            self.waiters.drain(..).partition(|(index, _): &Waiter| *index == exit.index);
        self.waiters = others;
        let gone: Vec<Waiter> = gone;
        for (_, reply) in gone {
            drop(reply.send(Reply { error: None, processes: vec![info.clone()] }));
        }
    }

    /// Does what the control socket was asked, and answers now or when it is done.
    pub(super) fn on_request(&mut self, request: Request, reply: oneshot::Sender<Reply>) {
        let outcome = match &request {
            Request::List {} => Ok(Some(self.infos())),
            Request::Start { process } => self.find(process).and_then(|i| self.start_again(i)),
            Request::Stop { process } => {
                self.find(process).and_then(|i| self.end(i, Signal::TERM, STOP_TIMEOUT))
            }
            Request::Kill { process } => {
                self.find(process).and_then(|i| self.end(i, Signal::KILL, Duration::ZERO))
            }
        };
        let answer = match (outcome, &request) {
            (Ok(Some(processes)), _) => Reply { error: None, processes },
            (Err(error), _) => Reply { error: Some(error), processes: Vec::new() },
            (Ok(None), Request::Stop { process } | Request::Kill { process }) => {
                if let Ok(index) = self.find(process) {
                    self.waiters.push((index, reply));
                }
                return;
            }
            (Ok(None), _) => Reply::default(),
        };
        drop(reply.send(answer));
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        let found = self.processes.iter().position(|process| process.spec.role.name() == name);
        found.ok_or_else(|| {
            let names: Vec<String> =
                self.processes.iter().map(|p| format!("`{}`", p.spec.role.name())).collect();
            format!("there is no process `{name}`: the processes are {}", names.join(", "))
        })
    }

    fn start_again(&mut self, index: usize) -> Result<Option<Vec<ProcessInfo>>, String> {
        let name = self.processes[index].spec.role.name();
        if self.stopping {
            return Err("everything is being stopped".to_owned());
        }
        if let Some(pid) = self.processes[index].pid() {
            return Err(format!("`{name}` runs already (pid {pid})"));
        }
        if let State::Unavailable(why) = &self.processes[index].state {
            return Err(format!("`{name}` cannot run: {why}"));
        }
        self.start(index);
        let info = self.processes[index].info(Instant::now());
        match info.state {
            ProcessState::Running => Ok(Some(vec![info])),
            _ => Err(format!("`{name}` did not start: {}", info.reason.unwrap_or_default())),
        }
    }

    /// None: it is on its way, the answer comes when it is gone.
    fn end(
        &mut self,
        index: usize,
        signal: Signal,
        patience: Duration,
    ) -> Result<Option<Vec<ProcessInfo>>, String> {
        let now = Instant::now();
        let process = &mut self.processes[index];
        let pid = process.pid();
        if pid.is_none() && !matches!(process.state, State::Restarting { .. }) {
            return Err(format!("`{}` does not run", process.spec.role.name()));
        }
        process.stopping(now + patience, now);
        let Some(pid) = pid else { return Ok(Some(vec![process.info(now)])) };
        signal_group(pid, signal);
        Ok(None)
    }

    fn start(&mut self, index: usize) {
        let now = Instant::now();
        let process = &mut self.processes[index];
        process.life += 1;
        match spawn(&self.program, &process.spec) {
            Ok((pid, mut child)) => {
                process.started(pid, now);
                let (exits, life, log) =
                    (self.exits.clone(), process.life, process.spec.log.clone());
                tokio::spawn(async move {
                    let ending = match child.wait().await {
                        Ok(status) => with_last_words(Ending::of(status), &log),
                        Err(_) => Ending { code: None, signal: None, last_words: None },
                    };
                    drop(exits.send(Exit { index, life, ending }).await);
                });
            }
            Err(error) => process.not_started(format!("cannot be started: {error}"), now),
        }
    }
}

fn spawn(program: &Path, spec: &Spec) -> io::Result<(u32, tokio::process::Child)> {
    let log = OpenOptions::new().create(true).append(true).open(&spec.log)?;
    let mut command = Command::new(program);
    command
        .arg(child::COMMAND)
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--")
        .args(&spec.argv)
        .envs(spec.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &spec.directory {
        command.current_dir(directory);
    }
    let child = command.spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("it ended at once"))?;
    Ok((pid, child))
}

/// A group that is gone already needs no signal.
fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// A process that failed by itself has mostly said why at the end of its log.
fn with_last_words(mut ending: Ending, log: &Path) -> Ending {
    if ending.code.is_some_and(|code| code != 0) {
        ending.last_words = last_line(log);
    }
    ending
}

fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = i64::try_from(file.metadata().ok()?.len()).ok()?;
    file.seek(SeekFrom::End(-length.min(LAST_WORDS_BYTES))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let line = end.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(LAST_WORDS_CHARS).collect())
}
