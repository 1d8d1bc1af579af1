//! The traffic driver: one task owns the health machine and publishes routing snapshots.
//!
//! Evidence comes in (probe results, failed connections from the accelerator), the machine decides,
//! and each change becomes a new snapshot in one watch channel that the name server and the
//! accelerator both read: they act on the same decision.
//!
//! Always true: published generations never go backwards (invariant 11); when this task or the
//! control plane is gone, readers keep the last snapshot.

mod driver;
mod util;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pangea_core::health::{self, Change, Failure, View};
use pangea_core::id::RegionSlot;
use pangea_core::routing::{self, Refusal, RoutingConfig, RoutingSnapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::probe;
use driver::{Command, Driver};
pub use util::{Dice, Throttle};

/// The routing snapshot that serves now.
///
/// A watch channel rather than a lock around an `Arc`: readers learn of a change by one atomic load
/// and can also wait for it; the writer never waits for readers.
pub type Snapshots = watch::Receiver<Arc<RoutingSnapshot>>;

/// Signals that may wait for the driver: far more than one tick's worth. When it is full, further
/// ones say nothing new and are dropped.
const PASSIVE_QUEUE: usize = 1024;
/// Configurations that may wait for the driver.
const COMMAND_QUEUE: usize = 4;
/// Entries of the log by default: a day of a flapping region at its 30 s hold is 5760.
const LOG_ENTRIES_MAX: usize = 8192;

/// What the traffic plane needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Regions, zones, listeners.
    pub routing: RoutingConfig,
    /// Who is probed, and where.
    pub targets: BTreeMap<RegionSlot, probe::Url>,
    /// Thresholds and intervals.
    pub health: health::Config,
    /// Entries kept in the log of changes.
    pub log_entries_max: usize,
}

impl Config {
    /// The defaults for `routing` and `targets`.
    #[must_use]
    pub fn new(routing: RoutingConfig, targets: BTreeMap<RegionSlot, probe::Url>) -> Self {
        let health = health::Config::default();
        Self { routing, targets, health, log_entries_max: LOG_ENTRIES_MAX }
    }
}

/// One line of the log of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEntry {
    /// A region changed its state.
    Health(Change),
    /// A configuration took effect.
    Configured {
        /// When, ms since 1970.
        wall_ms: u64,
        /// Its generation.
        generation: u64,
    },
}

/// Why a new configuration did not take effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigureError {
    /// It is wrong, or older than the one in effect.
    #[error("the configuration is refused")]
    Refused(#[from] Refusal),
    /// Another configuration of this generation is in effect.
    #[error("generation {0} is already taken by another configuration")]
    GenerationTaken(u64),
    /// The traffic plane is stopping.
    #[error("the traffic plane is stopping")]
    Stopped,
}

/// Where the accelerator reports connections that could not be made.
#[derive(Clone, Debug)]
pub struct PassiveSender {
    queue: mpsc::Sender<Passive>,
    dropped: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug)]
struct Passive {
    target: RegionSlot,
    failure: Failure,
}

impl PassiveSender {
    /// Reports at once and never waits.
    pub fn report(&self, target: RegionSlot, failure: Failure) {
        if self.queue.try_send(Passive { target, failure }).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Reports that found the queue full, or nobody there.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// A running traffic plane; it stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    snapshots: Snapshots,
    passive: PassiveSender,
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    _task: Arc<AbortOnDrop>,
}

/// What the driver shows to the operator.
#[derive(Debug, Default)]
struct Shared {
    view: Mutex<View>,
    log: Mutex<VecDeque<LogEntry>>,
    reports: Mutex<BTreeMap<RegionSlot, probe::Report>>,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the driver on the current tokio runtime; the first snapshot is ready on return.
///
/// # Errors
/// [`Refusal`] if the configuration is wrong.
pub fn start(config: Config) -> Result<Handle, Refusal> {
    let tables = routing::compile(&config.routing)?;
    let first = Arc::new(tables.snapshot(&View::default(), None)?);
    let (publish, snapshots) = watch::channel(first);
    let (passive_queue, passives) = mpsc::channel(PASSIVE_QUEUE);
    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let shared = Arc::new(Shared::default());
    let driver = Driver::new(config, publish, Arc::clone(&shared));
    let task = tokio::spawn(driver.run(passives, command_queue)).abort_handle();
    let passive = PassiveSender { queue: passive_queue, dropped: Arc::default() };
    Ok(Handle { snapshots, passive, commands, shared, _task: Arc::new(AbortOnDrop(task)) })
}

impl Handle {
    /// A receiver of snapshots, for a name server or an accelerator.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// The snapshot that serves now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<RoutingSnapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Where to report failed connections.
    #[must_use]
    pub fn passive(&self) -> PassiveSender {
        self.passive.clone()
    }

    /// The health of all targets, with run lengths; at least as new as [`Handle::snapshot`].
    #[must_use]
    pub fn health(&self) -> View {
        lock(&self.shared.view).clone()
    }

    /// The latest changes, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        lock(&self.shared.log).iter().cloned().collect()
    }

    /// The latest probe of each target.
    #[must_use]
    pub fn reports(&self) -> BTreeMap<RegionSlot, probe::Report> {
        lock(&self.shared.reports).clone()
    }

    /// Puts a newer configuration into effect; the same one again changes nothing.
    ///
    /// # Errors
    /// [`ConfigureError`]; then the old one stays in effect.
    pub async fn configure(
        &self,
        routing: RoutingConfig,
        targets: BTreeMap<RegionSlot, probe::Url>,
    ) -> Result<(), ConfigureError> {
        let (done, reply) = oneshot::channel();
        let command = Command { routing, targets, done };
        self.commands.send(command).await.map_err(|_| ConfigureError::Stopped)?;
        reply.await.map_err(|_| ConfigureError::Stopped)?
    }
}

/// A poisoned lock holds whole values here: each is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
