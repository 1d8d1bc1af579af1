//! The control socket's language: one JSON line asks, one JSON line answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Name of the socket in the data directory.
pub(super) const SOCKET: &str = "up.sock";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Tell about every process.
    List {},
    /// Start a process that does not run; answered when it has been started.
    Start {
        /// Its name, as listed.
        process: String,
    },
    /// Stop a process in order (SIGTERM, after 5 s SIGKILL) and keep it down, whatever its
    /// restart policy; answered when it is gone.
    Stop {
        /// Its name, as listed.
        process: String,
    },
    /// Kill a process (SIGKILL) and keep it down, whatever its restart policy; answered when it
    /// is gone.
    Kill {
        /// Its name, as listed.
        process: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Why it was refused; none if it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// All processes for `list`, else the one that was meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessInfo>,
}

/// One process of the topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// Its name: `region us-east-1`, `edge`, `build shop`, `service shop us-east-1`.
    pub process: String,
    /// The region it is in, if any.
    pub region: Option<String>,
    /// The service it belongs to, if any.
    pub service: Option<String>,
    /// What it does.
    pub state: ProcessState,
    /// Its id while it runs.
    pub pid: Option<u32>,
    /// For how long it has been in its state, in ms.
    pub for_ms: u64,
    /// How often it was started again by its restart policy.
    pub restarts: u32,
    /// Why it does not run.
    pub reason: Option<String>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProcessState {
    /// It waits for its build.
    Waiting,
    /// It cannot run here.
    Unavailable,
    /// It runs.
    Running,
    /// It was told to stop.
    Stopping,
    /// It died and will be started again.
    Restarting,
    /// It died, or was stopped, and stays so.
    Dead,
    /// It was a build and did its work.
    Done,
}

impl ProcessState {
    /// The word in tables, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Unavailable => "UNAVAILABLE",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Restarting => "RESTARTING",
            Self::Dead => "DEAD",
            Self::Done => "DONE",
        }
    }
}
