//! The loop of `up`: one event at a time into the supervisor, its state onto the screen.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::observe::{self, Observed};
use super::preflight::Unavailable;
use super::spec::Spec;
use super::supervisor::{Exit, Supervisor};
use super::{control, socket};
use crate::cli::screen::{Screen, View};
use crate::config::Topology;
use crate::process;
use crate::status::{RegionState, RegionStatus};

/// The resolution of restarts, kills and the screen.
const TICK: Duration = Duration::from_millis(100);
/// Events that wait for the loop: more processes than a topology has.
const QUEUE: usize = 256;

/// Everything that was checked, ready to be started.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topology: Topology,
    pub(super) data_dir: PathBuf,
    /// The data directory as the user wrote it.
    pub(super) shown: PathBuf,
    pub(super) program: PathBuf,
    pub(super) specs: Vec<Spec>,
    pub(super) unavailable: Unavailable,
}

/// What reaches the loop from outside.
struct Inputs {
    exits: mpsc::Receiver<Exit>,
    asked: mpsc::Receiver<control::Asked>,
    observed: watch::Receiver<Observed>,
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    resize: Signal,
}

pub(super) async fn run(plan: Plan) -> anyhow::Result<ExitCode> {
    let (exit_sender, exits) = mpsc::channel(QUEUE);
    let (ask_sender, asked) = mpsc::channel(QUEUE);
    let mut inputs = Inputs {
        exits,
        asked,
        observed: observe::start(plan.topology.clone()),
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hangup: process::hangup()?,
        resize: signal(SignalKind::window_change())?,
    };
    control::serve(&plan.data_dir, ask_sender)?;
    let mut supervisor = Supervisor::new(&plan.program, plan.specs, &plan.unavailable, exit_sender);
    let mut screen = Screen::new(plan.shown, &plan.topology);
    supervisor.start_first();
    let outcome = follow(&mut supervisor, &mut inputs, &mut screen).await;
    socket::remove(&plan.data_dir);
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn follow(
    supervisor: &mut Supervisor,
    inputs: &mut Inputs,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            Some(exit) = inputs.exits.recv() => supervisor.on_exit(exit),
            Some((request, reply)) = inputs.asked.recv() => supervisor.on_request(request, reply),
            _ = tick.tick() => {
                let status = &inputs.observed.borrow().status;
                supervisor.tick(|name| status.region(name).is_some_and(serves));
            }
            _ = inputs.resize.recv() => screen.resized(),
            () = told_to_stop(
                inputs.interrupt.recv(),
                inputs.terminate.recv(),
                process::hung_up(&mut inputs.hangup),
            ) => {
                stopping = true;
                supervisor.stop_all();
            }
        }
        let processes = supervisor.infos();
        let mut status = inputs.observed.borrow().status.clone();
        observe::overlay(&mut status, &processes);
        let view = View { status, processes, stopping };
        if stopping && !supervisor.running() {
            screen.finish(&view);
            return Ok(());
        }
        screen.show(view);
    }
}

/// A region whose services are not up yet is degraded, but serves them.
fn serves(region: &RegionStatus) -> bool {
    matches!(region.state, RegionState::Active | RegionState::Degraded)
}

async fn told_to_stop(
    interrupt: impl Future<Output = Option<()>>,
    terminate: impl Future<Output = Option<()>>,
    hangup: impl Future<Output = ()>,
) {
    tokio::select! {
        _ = interrupt => {}
        _ = terminate => {}
        () = hangup => {}
    }
}
