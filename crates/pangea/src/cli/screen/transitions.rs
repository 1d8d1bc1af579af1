//! What changed between two views, in plain lines: for logs, pipes and CI.

use super::View;
use crate::status::{RegionState, Status};
use crate::supervise::client::{ProcessInfo, ProcessState};

/// One line for each change.
pub(super) fn between(before: Option<&View>, now: &View) -> Vec<String> {
    let mut lines = Vec::new();
    for process in &now.processes {
        let earlier = before.and_then(|view| same(view, process));
        let changed = earlier.is_none_or(|e| (e.state, e.pid) != (process.state, process.pid));
        if changed {
            lines.extend(process_line(process, now.stopping));
        }
    }
    if !now.stopping {
        lines.extend(status_lines(before.map(|view| &view.status), &now.status));
    }
    lines
}

fn same<'a>(view: &'a View, process: &ProcessInfo) -> Option<&'a ProcessInfo> {
    view.processes.iter().find(|earlier| earlier.process == process.process)
}

/// A region's death is told by its status, unless that is not told any more.
fn process_line(process: &ProcessInfo, stopping: bool) -> Option<String> {
    let of_region = process.region.is_some() && process.service.is_none();
    if process.state == ProcessState::Dead && of_region && !stopping {
        return None;
    }
    let name = &process.process;
    let pid = process.pid.unwrap_or(0);
    let reason = process.reason.as_deref().unwrap_or("stopped");
    Some(match process.state {
        ProcessState::Waiting => return None,
        ProcessState::Unavailable => format!("{name}: {reason}"),
        ProcessState::Running => format!("{name}: started, pid {pid}"),
        ProcessState::Stopping => format!("{name}: stopping, pid {pid}"),
        ProcessState::Restarting => format!("{name}: {reason}; will be started again"),
        ProcessState::Dead => format!("{name}: {reason}"),
        ProcessState::Done => format!("{name}: done"),
    })
}

fn status_lines(before: Option<&Status>, now: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    for region in &now.regions {
        let earlier = before.and_then(|status| status.region(&region.name));
        let was = earlier.map(|earlier| (earlier.state, earlier.healthy)).unwrap_or_default();
        if was != (region.state, region.healthy) {
            let reason = region.reason.as_ref().filter(|_| !region.healthy);
            let remark = match (region.state, region.healthy) {
                (RegionState::Active, true) => format!(" at {}", region.dynamodb),
                (RegionState::Active, false) => ", not healthy".to_owned(),
                _ => String::new(),
            };
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let state = region.state.as_str();
            lines.push(format!("region {}: {state}{remark}{reason}", region.name));
        }
        for service in &region.services {
            let known = earlier.and_then(|e| e.services.iter().find(|s| s.name == service.name));
            if known.is_some_and(|known| known.healthy) != service.healthy {
                let health = if service.healthy { "healthy" } else { "not healthy" };
                let (name, at) = (&service.name, &service.endpoint);
                lines.push(format!("service {name} {}: {health} at {at}", region.name));
            }
        }
    }
    lines.extend(answer_lines(before, now));
    lines
}

fn answer_lines(before: Option<&Status>, now: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let nobody = || "nobody".to_owned();
    let edge = &now.edge;
    let was = before.and_then(|status| status.edge.accelerator_serves.as_ref());
    if was != edge.accelerator_serves.as_ref() {
        let to = edge.accelerator_serves.clone().unwrap_or_else(nobody);
        lines.push(format!("accelerator {} → {to}", edge.accelerator));
    }
    for (name, answer) in &edge.dns_answers {
        let was = before.and_then(|status| status.edge.dns_answers.get(name)).cloned().flatten();
        if was != *answer {
            lines.push(format!("dns {name} → {}", answer.clone().unwrap_or_else(nobody)));
        }
    }
    lines
}
