//! Game days against a running topology.
//!
//! Clients write at every store (and, where the experiment is about it, through the front door),
//! faults are injected while they do, and when all is over every acknowledged write is looked for
//! in every region, and the regions are compared with each other. The clock of all figures is the
//! clients' own.
//!
//! [`EXPERIMENTS`] lists them. Each is a module that says what happens when; what they have in
//! common is in `trial`. Always true: a fault ends with the experiment that injected it, however
//! that ends, unless its process is killed.

mod audit;
mod bootstrap;
mod disk_full;
mod dns;
mod dynamo;
mod front;
mod links;
mod load;
mod place;
mod region_loss;
mod report;
mod skew;
mod slow_link;
mod trial;
mod view;
mod watch;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Topology;
use trial::Trial;

pub use report::{ObjectiveReport, Report, TimelineEvent};

/// An experiment that can be run.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it does, in a line.
    pub does: &'static str,
    /// What it is judged by, in the order of its report.
    pub objectives: &'static [&'static str],
}

/// All of them.
pub const EXPERIMENTS: [Experiment; 9] = [
    region_loss::EXPERIMENT,
    links::CUT,
    links::ONE_WAY,
    links::ONE,
    links::SPLITS,
    slow_link::EXPERIMENT,
    skew::EXPERIMENT,
    bootstrap::EXPERIMENT,
    disk_full::EXPERIMENT,
];

/// A client at a store gives up after this: a busy machine is slow, not wrong, and a write that
/// was given up says nothing.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client of the front door gives up after this; generous beside the objectives it measures.
const FRONT_TIMEOUT: Duration = Duration::from_secs(1);

/// How an experiment is run; what one does not need it ignores.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which.
    pub name: String,
    /// The deployment, as `up` runs it.
    pub topology: Topology,
    /// Where `up` keeps its data and control socket.
    pub data_dir: PathBuf,
    /// The region that it is about; none for the experiment's own choice.
    pub region: Option<String>,
    /// The other end, where one link is meant; none for the next region.
    pub peer: Option<String>,
    /// Clients of each path; none for the experiment's own choice.
    pub clients: Option<usize>,
    /// Pause of a client between two requests.
    pub pause: Duration,
    /// Load before the fault.
    pub before: Duration,
    /// How long the fault, or each of several, lasts.
    pub during: Duration,
    /// Load after the fault.
    pub after: Duration,
    /// How far a clock is set off beyond what is tolerated.
    pub offset: Duration,
    /// What a slow link adds, one way.
    pub delay: Duration,
    /// What a slow link carries, bytes a second.
    pub bytes_per_s: u64,
    /// Rows of a table that a new replica copies.
    pub rows: usize,
    /// How often each end of such a copy is killed.
    pub kills: usize,
    /// Bounds in place of the topology's, by objective; the last of a name counts.
    pub objectives: Vec<(String, u64)>,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topology or its state does not allow the experiment.
    #[error("{0}")]
    Unfit(String),
    /// A process could not be killed or started.
    #[error(transparent)]
    Supervisor(#[from] crate::supervise::client::Error),
    /// A fault could not be injected.
    #[error(transparent)]
    Inject(#[from] crate::inject::Error),
    /// A region could not be asked.
    #[error("{0}")]
    Region(String),
    /// It was told to stop.
    #[error("interrupted: every fault was ended, nothing was judged")]
    Interrupted,
}

impl From<dynamo::Error> for Error {
    fn from(error: dynamo::Error) -> Self {
        Self::Region(error.to_string())
    }
}

/// Runs an experiment; `say` is told of events as they happen.
///
/// # Errors
/// See [`Error`]; a missed objective is no error but a verdict.
pub async fn run(options: Options, say: &dyn Fn(&TimelineEvent)) -> Result<Report, Error> {
    let experiment = check(&options)?;
    dynamo::use_key_of(&options.topology).map_err(|error| {
        Error::Unfit(format!("cannot read the secret of a credential: {error}"))
    })?;
    let front = experiment.name == region_loss::EXPERIMENT.name;
    if front {
        region_loss::expect_front(&options).await?;
    }
    let timeout = if front { FRONT_TIMEOUT } else { STORE_TIMEOUT };
    let mut trial = Box::pin(Trial::prepare(&options, say, timeout)).await?;
    let outcome = tokio::select! {
        outcome = Box::pin(execute(experiment, &mut trial)) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    };
    trial.undo().await;
    outcome
}

/// The experiment that is meant, if its objectives are.
fn check(options: &Options) -> Result<&'static Experiment, Error> {
    const ALL: &[Experiment] = &EXPERIMENTS;
    let Some(experiment) = ALL.iter().find(|known| known.name == options.name) else {
        let names: Vec<&str> = ALL.iter().map(|known| known.name).collect();
        let text = format!("no experiment `{}`; there are {}", options.name, names.join(", "));
        return Err(Error::Unfit(text));
    };
    let known = |name: &String| experiment.objectives.contains(&name.as_str());
    match options.objectives.iter().find(|(name, _)| !known(name)) {
        None => Ok(experiment),
        Some((name, _)) => Err(Error::Unfit(format!(
            "{} has no objective `{name}`; it has {}",
            experiment.name,
            experiment.objectives.join(", ")
        ))),
    }
}

async fn execute(experiment: &Experiment, trial: &mut Trial<'_>) -> Result<Report, Error> {
    let (settled, findings) = match experiment.name {
        "region-loss" => Box::pin(region_loss::run(trial)).await?,
        "slow-link" => Box::pin(slow_link::run(trial)).await?,
        "skew" => Box::pin(skew::run(trial)).await?,
        "kill-during-bootstrap" => Box::pin(bootstrap::run(trial)).await?,
        "disk-full" => Box::pin(disk_full::run(trial)).await?,
        _ => Box::pin(links::run(trial, experiment.name)).await?,
    };
    trial.report(experiment, settled, findings)
}
