//! How the topology is, from whoever answers: the edge, else the regions and services themselves.

use std::time::Duration;

use tokio::sync::watch;

use super::protocol::{ProcessInfo, ProcessState};
use crate::config::Topology;
use crate::status::{self, RegionState, Status};

/// How often `up` looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// A process that does not answer is starting, not dead, for this long, in ms.
const STARTING_MS: u64 = 10_000;

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// The topology's state, as far as it is known.
    pub(crate) status: Status,
    /// Whether anything answered at all.
    pub(crate) anyone: bool,
}

/// Looks again and again; ends when nobody reads any more.
pub(super) fn start(topology: Topology) -> watch::Receiver<Observed> {
    let unknown = Observed { status: Status::unknown(&topology), anyone: false };
    let (publish, observed) = watch::channel(unknown);
    tokio::spawn(async move {
        while !publish.is_closed() {
            let seen = once(&topology).await;
            publish.send_replace(seen);
            tokio::time::sleep(INTERVAL).await;
        }
    });
    observed
}

/// Looks once.
pub(crate) async fn once(topology: &Topology) -> Observed {
    if let Ok(status) = status::fetch(topology.edge.operator).await {
        return Observed { status, anyone: true };
    }
    let mut status = Status::unknown(topology);
    let mut anyone = false;
    let timeout = Duration::from_millis(topology.health.timeout_ms);
    for (index, region) in topology.regions.iter().enumerate() {
        match status::report(region.admin).await {
            Ok(report) => {
                anyone = true;
                status.absorb(report);
            }
            Err(error) => {
                status.regions[index].state = RegionState::Dead;
                status.regions[index].reason = Some(error.to_string());
            }
        }
        for known in &mut status.regions[index].services {
            let Some(service) = topology.service(&known.name) else { continue };
            let Some(endpoint) = service.endpoint.get(&region.name) else { continue };
            known.healthy = status::answers(*endpoint, &service.health_path, timeout).await;
        }
    }
    Observed { status, anyone }
}

/// Adds what `up` knows of its processes: who is gone has no pid, and a reason that says why.
pub(crate) fn overlay(status: &mut Status, processes: &[ProcessInfo]) {
    for process in processes {
        match (&process.region, &process.service) {
            (Some(region), None) => overlay_region(status, region, process),
            (Some(region), Some(service)) => overlay_service(status, region, service, process),
            (None, Some(_)) => {}
            (None, None) => {
                // Only the edge itself says this before `up` does.
                let silent = status.edge.pid.is_none() && process.for_ms >= STARTING_MS;
                status.edge.pid = process.pid;
                status.edge.reason =
                    why(process).or_else(|| silent.then(|| "it does not answer".to_owned()));
                if process.pid.is_none() {
                    status.edge.accelerator_serves = None;
                    status.edge.dns_answers.values_mut().for_each(|answer| *answer = None);
                }
            }
        }
    }
}

fn overlay_region(status: &mut Status, name: &str, process: &ProcessInfo) {
    let Some(region) = status.regions.iter_mut().find(|region| region.name == name) else { return };
    // Who reports it may not have noticed yet that it ended, and another process is there by now.
    let told_by_another = region.pid.is_some_and(|told| Some(told) != process.pid);
    region.pid = process.pid;
    if process.pid.is_none() {
        region.healthy = false;
        region.state = RegionState::Dead;
        region.reason = why(process).or_else(|| region.reason.take());
    } else if region.state == RegionState::Dead || told_by_another {
        region.healthy = false;
        let starting = process.for_ms < STARTING_MS;
        region.state = if starting { RegionState::Starting } else { RegionState::Dead };
        region.reason = if starting { None } else { Some("it does not answer".to_owned()) };
    }
    let down = region.state == RegionState::Dead;
    for link in status.links.iter_mut().filter(|link| link.from == name || link.to == name) {
        if down && link.state == status::LinkState::Up {
            link.state = status::LinkState::Down;
        }
    }
}

fn overlay_service(status: &mut Status, region: &str, service: &str, process: &ProcessInfo) {
    let region = status.regions.iter_mut().find(|known| known.name == region);
    let Some(region) = region else { return };
    let Some(known) = region.services.iter_mut().find(|known| known.name == service) else {
        return;
    };
    known.pid = process.pid;
    if process.pid.is_none() {
        known.healthy = false;
    }
    known.reason = why(process).or_else(|| known.reason.take());
}

/// Why a process does not run, in the words of the table.
fn why(process: &ProcessInfo) -> Option<String> {
    let reason = || process.reason.clone().unwrap_or_else(|| "it does not run".to_owned());
    match process.state {
        ProcessState::Running | ProcessState::Done => None,
        ProcessState::Waiting => Some("waiting".to_owned()),
        ProcessState::Stopping => Some("stopping".to_owned()),
        ProcessState::Restarting => Some(format!("{}; will be started again", reason())),
        ProcessState::Unavailable | ProcessState::Dead => Some(reason()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(topology: &Topology, pid: Option<u32>) -> ProcessInfo {
        let name = topology.regions[0].name.clone();
        ProcessInfo {
            process: format!("region {name}"),
            region: Some(name),
            service: None,
            state: if pid.is_some() { ProcessState::Running } else { ProcessState::Dead },
            pid,
            for_ms: 0,
            restarts: 0,
            reason: None,
            log: std::path::PathBuf::new(),
        }
    }

    #[test]
    fn an_edge_that_runs_and_does_not_answer_is_not_well() {
        let topology = crate::config::builtin().expect("the embedded document is valid");
        let edge = |for_ms| ProcessInfo {
            process: "edge".to_owned(),
            region: None,
            for_ms,
            ..process(&topology, Some(9))
        };
        let reason = |told: Option<u32>, for_ms| {
            let mut status = Status::unknown(&topology);
            status.edge.pid = told;
            overlay(&mut status, &[edge(for_ms)]);
            assert_eq!(status.edge.pid, Some(9));
            status.edge.reason
        };
        assert_eq!(reason(Some(9), STARTING_MS), None);
        assert_eq!(reason(None, STARTING_MS - 1), None);
        assert_eq!(reason(None, STARTING_MS).as_deref(), Some("it does not answer"));
    }

    #[test]
    fn what_a_process_said_that_is_gone_says_nothing_of_the_one_that_came_after() {
        let topology = crate::config::builtin().expect("the embedded document is valid");
        let mut status = Status::unknown(&topology);
        let region = &mut status.regions[0];
        (region.state, region.pid, region.healthy) = (RegionState::Active, Some(7), true);
        overlay(&mut status, &[process(&topology, Some(7))]);
        assert_eq!(status.regions[0].state, RegionState::Active);
        overlay(&mut status, &[process(&topology, Some(8))]);
        let region = &status.regions[0];
        assert_eq!((region.state, region.healthy), (RegionState::Starting, false));
        assert_eq!(region.pid, Some(8));
        status.regions[0].state = RegionState::Active;
        overlay(&mut status, &[process(&topology, None)]);
        assert_eq!(status.regions[0].state, RegionState::Dead);
    }
}
