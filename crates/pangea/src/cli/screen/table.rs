//! The table: regions, services, lag of each link, who answers.

use std::time::Duration;

use pangea_core::limits::CLOCK_SKEW_MS_MAX;

use super::line::{Align, Grid, Line, Tone, Word};
use super::{View, spoken};
use crate::cli::out;
use crate::status::{LinkState, RegionState, RegionStatus, ServiceStatus};
use crate::supervise::client::{ProcessInfo, ProcessState};

/// Regions up to which lag is shown as a matrix; beyond, it would be wider than a terminal.
const MATRIX_REGIONS_MAX: usize = 8;

/// Prints the table to stdout, as `pangea status` does.
pub(crate) fn print(view: &View) {
    let (width, colour) = super::live::capabilities();
    for line in body(view) {
        out::line(&line.paint(width, colour));
    }
}

/// Prints processes to stdout, as `pangea process list` does.
pub(crate) fn print_processes(processes: &[ProcessInfo]) {
    let (width, colour) = super::live::capabilities();
    let columns = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Right];
    let mut grid = Grid::new(&columns);
    grid.head(&["PROCESS", "STATE", "PID", "FOR", "RESTARTS"]);
    for process in processes {
        let tone = match process.state {
            ProcessState::Running | ProcessState::Done => Tone::Good,
            ProcessState::Dead | ProcessState::Restarting => Tone::Bad,
            ProcessState::Waiting | ProcessState::Stopping => Tone::Warn,
            ProcessState::Unavailable => Tone::Dim,
        };
        let cells = vec![
            (Tone::Plain, process.process.clone()),
            (tone, process.state.as_str().to_owned()),
            pid(process.pid),
            (Tone::Plain, spoken(Duration::from_millis(process.for_ms))),
            (Tone::Plain, process.restarts.to_string()),
        ];
        grid.row(cells, process.reason.clone().map(|reason| (Tone::Dim, reason)));
    }
    for line in grid.lines(&[]) {
        out::line(&line.paint(width, colour));
    }
}

/// All lines but the header and the hints.
pub(super) fn body(view: &View) -> Vec<Line> {
    let first = view.status.regions.iter().map(|region| region.name.chars().count());
    let first = first.chain([14]).max().unwrap_or(0);
    let mut lines = regions(view, first);
    let mut names: Vec<&str> = Vec::new();
    for service in view.status.regions.iter().flat_map(|region| &region.services) {
        if !names.contains(&service.name.as_str()) {
            names.push(&service.name);
        }
    }
    for name in names {
        lines.push(Line::default());
        lines.extend(service(view, name, first));
    }
    if view.status.regions.len() > 1 {
        lines.push(Line::default());
        lines.extend(lag(view, first));
    }
    lines.push(Line::default());
    lines.extend(edge(view, first));
    let notes = super::notes::lines(view);
    if !notes.is_empty() {
        lines.push(Line::default());
        lines.extend(notes);
    }
    lines
}

fn pid(pid: Option<u32>) -> Word {
    pid.map_or_else(|| (Tone::Dim, "–".to_owned()), |pid| (Tone::Plain, pid.to_string()))
}

fn regions(view: &View, first: usize) -> Vec<Line> {
    let mut grid = Grid::new(&[
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Left,
        Align::Right,
        Align::Right,
    ]);
    grid.head(&["REGION", "STATE", "PID", "DYNAMODB", "WRITES", "CONFLICTS"]);
    for region in &view.status.regions {
        let process = view.processes.iter().find(|p| is_region(p, &region.name));
        let stopped = view.stopping.then(|| process.and_then(ended_by_us)).flatten();
        let remark = region_remark(region, process).filter(|_| stopped.is_none());
        let mut row = vec![(Tone::Plain, region.name.clone())];
        row.push(stopped.unwrap_or_else(|| region_state(region)));
        row.push(pid(region.pid));
        // A remark takes the place of what matters less: the line must fit a terminal of 80.
        if region.state != RegionState::Dead {
            row.push((Tone::Plain, region.dynamodb.clone()));
            if remark.is_none() {
                row.push((Tone::Plain, region.writes.to_string()));
                row.push((Tone::Plain, region.conflicts.to_string()));
            }
        }
        grid.row(row, remark);
    }
    grid.lines(&[first, STATE_WIDTH, PID_WIDTH])
}

/// The widest state, so that columns do not move when states change.
const STATE_WIDTH: usize = 12; // "✕ restarting"
/// Linux gives out process ids of up to 7 digits.
const PID_WIDTH: usize = 7;

/// How a process is shown that ended because everything is being stopped.
fn ended_by_us(process: &ProcessInfo) -> Option<Word> {
    let overdue = process.reason.as_deref().is_some_and(overdue);
    (process.state == ProcessState::Dead && !overdue).then(|| (Tone::Dim, "○ stopped".to_owned()))
}

/// Whether a reason says that a process had to be killed.
pub(super) fn overdue(reason: &str) -> bool {
    reason.contains(crate::supervise::OVERDUE)
}

fn is_region(process: &ProcessInfo, name: &str) -> bool {
    process.service.is_none() && process.region.as_deref() == Some(name)
}

fn region_state(region: &RegionStatus) -> Word {
    if !matches!(region.membership.as_str(), "" | "ACTIVE") {
        let tone = if region.is_gone() { Tone::Dim } else { Tone::Warn };
        return (tone, format!("◌ {}", region.membership));
    }
    match (region.state, region.healthy) {
        (RegionState::Active, true) => (Tone::Good, "● ACTIVE".to_owned()),
        (RegionState::Active, false) => (Tone::Warn, "◐ ACTIVE".to_owned()),
        (RegionState::Starting, _) => (Tone::Warn, "◌ STARTING".to_owned()),
        (RegionState::Degraded, _) => (Tone::Warn, "◐ DEGRADED".to_owned()),
        (RegionState::Dead, _) => (Tone::Bad, "✕ DEAD".to_owned()),
    }
}

/// Why a region is not as it should be, and for how long.
fn region_remark(region: &RegionStatus, process: Option<&ProcessInfo>) -> Option<Word> {
    let well = region.healthy && region.state == RegionState::Active;
    let reason = region.reason.as_ref().filter(|_| !well)?;
    let ago = process
        .filter(|process| process.pid.is_none())
        .map(|process| format!(" {} ago", spoken(Duration::from_millis(process.for_ms))));
    Some((Tone::Dim, format!("{reason}{}", ago.unwrap_or_default())))
}

fn service(view: &View, name: &str, first: usize) -> Vec<Line> {
    let title = format!("SERVICE {name}");
    let build = view.processes.iter().find(|p| p.process == format!("build {name}"));
    if let Some(line) = build.and_then(|build| building(&title, build, first)) {
        return vec![line];
    }
    let unavailable = view
        .processes
        .iter()
        .find(|p| p.service.as_deref() == Some(name) && p.state == ProcessState::Unavailable);
    if let Some(process) = unavailable {
        let reason = process.reason.clone().unwrap_or_default();
        return vec![titled(&title, first).and(Tone::Warn, reason)];
    }
    let mut grid = Grid::new(&[Align::Left, Align::Left, Align::Right, Align::Left]);
    grid.head(&[&title, "STATE", "PID", "ENDPOINT"]);
    for region in &view.status.regions {
        let Some(service) = region.services.iter().find(|s| s.name == name) else { continue };
        let process = view.processes.iter().find(|p| is_service(p, name, &region.name));
        let mut row = vec![(Tone::Plain, region.name.clone())];
        let stopped = view.stopping.then(|| process.and_then(ended_by_us)).flatten();
        let reason = service.reason.as_ref().filter(|_| !service.healthy && stopped.is_none());
        row.push(stopped.unwrap_or_else(|| service_state(service, process)));
        row.push(pid(service.pid));
        if reason.is_none() {
            row.push((Tone::Plain, service.endpoint.clone()));
        }
        grid.row(row, reason.map(|reason| (Tone::Dim, reason.clone())));
    }
    grid.lines(&[first, STATE_WIDTH, PID_WIDTH])
}

fn titled(title: &str, first: usize) -> Line {
    Line::of(Tone::Dim, format!("{title:first$}  "))
}

fn is_service(process: &ProcessInfo, service: &str, region: &str) -> bool {
    process.service.as_deref() == Some(service) && process.region.as_deref() == Some(region)
}

/// The one line of a service that is being built, or could not be.
fn building(title: &str, build: &ProcessInfo, first: usize) -> Option<Line> {
    let log = build.log.display();
    let since = spoken(Duration::from_millis(build.for_ms));
    let line = titled(title, first);
    match build.state {
        ProcessState::Running => Some(
            line.and(Tone::Warn, format!("◌ building {since}")).and(Tone::Dim, format!("  {log}")),
        ),
        ProcessState::Dead => {
            let reason = build.reason.clone().unwrap_or_default();
            let failed = format!("✕ build {reason}");
            Some(line.and(Tone::Bad, failed).and(Tone::Dim, format!("  {log}")))
        }
        ProcessState::Waiting
        | ProcessState::Unavailable
        | ProcessState::Stopping
        | ProcessState::Restarting
        | ProcessState::Done => None,
    }
}

/// A service that its process has just left or entered is not yet judged by its health.
fn service_state(service: &ServiceStatus, process: Option<&ProcessInfo>) -> Word {
    match process.map(|process| (process.state, process.for_ms)) {
        _ if service.healthy => (Tone::Good, "● healthy".to_owned()),
        Some((ProcessState::Dead, _)) => (Tone::Bad, "✕ dead".to_owned()),
        Some((ProcessState::Restarting, _)) => (Tone::Bad, "✕ restarting".to_owned()),
        Some((ProcessState::Waiting, _)) => (Tone::Dim, "◌ waiting".to_owned()),
        Some((ProcessState::Stopping, _)) => (Tone::Dim, "◌ stopping".to_owned()),
        Some((ProcessState::Running, ms)) if ms < 5_000 => (Tone::Warn, "◌ starting".to_owned()),
        Some(_) | None => (Tone::Bad, "✕ unhealthy".to_owned()),
    }
}

fn lag(view: &View, first: usize) -> Vec<Line> {
    let regions: Vec<&str> = view.status.regions.iter().map(|r| r.name.as_str()).collect();
    if regions.len() > MATRIX_REGIONS_MAX {
        return lag_worst(view, first);
    }
    let mut aligns = vec![Align::Left];
    aligns.resize(regions.len() + 1, Align::Right);
    let mut grid = Grid::new(&aligns);
    let mut head = vec!["LAG ms, from"];
    head.extend(&regions);
    grid.head(&head);
    for to in &regions {
        let mut row = vec![(Tone::Plain, format!("to {to}"))];
        row.extend(regions.iter().map(|from| lag_cell(view, from, to)));
        grid.row(row, None);
    }
    let mut row = vec![(Tone::Dim, "clock ahead ms".to_owned())];
    row.extend(regions.iter().map(|region| clock_cell(view, region)));
    grid.row(row, None);
    grid.lines(&[first])
}

fn clock_cell(view: &View, region: &str) -> Word {
    let Some((ms, error_ms)) = view.status.clock_ahead_ms(region) else {
        return (Tone::Dim, "·".to_owned());
    };
    let off = ms.unsigned_abs() > CLOCK_SKEW_MS_MAX.saturating_add(error_ms);
    (if off { Tone::Bad } else { Tone::Dim }, format!("{ms} ±{error_ms}"))
}

fn lag_cell(view: &View, from: &str, to: &str) -> Word {
    let Some(link) = view.status.link(from, to) else { return (Tone::Dim, "·".to_owned()) };
    match (link.state, link.lag_ms) {
        (LinkState::Up, Some(lag)) if link.backlog > 0 => {
            (Tone::Warn, format!("{lag:.1} ({} waiting)", link.backlog))
        }
        (LinkState::Up, Some(lag)) => (Tone::Plain, format!("{lag:.1}")),
        (LinkState::Up, None) => (Tone::Dim, "up".to_owned()),
        (LinkState::Cut, _) => (Tone::Bad, "cut".to_owned()),
        (LinkState::Down, _) => (Tone::Dim, "down".to_owned()),
    }
}

/// With many regions: how many links flow, and the one that is furthest behind.
fn lag_worst(view: &View, first: usize) -> Vec<Line> {
    let links = &view.status.links;
    let up = links.iter().filter(|link| link.state == LinkState::Up).count();
    let worst = links
        .iter()
        .filter(|link| link.lag_ms.is_some())
        .max_by(|a, b| a.lag_ms.unwrap_or(0.0).total_cmp(&b.lag_ms.unwrap_or(0.0)));
    let worst = worst.map(|link| {
        format!(", worst {:.1} ms from {} to {}", link.lag_ms.unwrap_or(0.0), link.from, link.to)
    });
    let text = format!("{up} of {} links up{}", links.len(), worst.unwrap_or_default());
    vec![titled("LINKS", first).and(Tone::Plain, text)]
}

fn edge(view: &View, first: usize) -> Vec<Line> {
    let edge = &view.status.edge;
    let mut grid = Grid::new(&[Align::Left, Align::Left]);
    let process = view.processes.iter().find(|process| process.process == "edge");
    let stopped = view.stopping.then(|| process.and_then(ended_by_us)).flatten();
    let state = stopped.unwrap_or_else(|| match (edge.pid, &edge.reason) {
        (Some(pid), None) => (Tone::Good, format!("● up, pid {pid}")),
        (Some(pid), Some(reason)) => (Tone::Bad, format!("✕ {reason}, pid {pid}")),
        (None, Some(reason)) => (Tone::Bad, format!("✕ {reason}")),
        (None, None) => (Tone::Dim, "◌ not up".to_owned()),
    });
    grid.row(vec![(Tone::Dim, "EDGE".to_owned())], Some(state));
    let mut row = |name: &str, address: &str, remark: Option<Word>| {
        grid.row(vec![(Tone::Plain, name.to_owned()), (Tone::Plain, address.to_owned())], remark);
    };
    let accelerator = answer(edge.accelerator_serves.as_deref());
    row("accelerator", &edge.accelerator, Some(accelerator));
    let answers = edge.dns_answers.iter().map(|(record, region)| {
        let (tone, to) = answer(region.as_deref());
        Some((tone, format!("{to}  {record}")))
    });
    let answers = if edge.dns_answers.is_empty() { vec![None] } else { answers.collect() };
    for (index, answer) in answers.into_iter().enumerate() {
        let (name, address) = if index == 0 { ("dns", edge.dns.as_str()) } else { ("", "") };
        row(name, address, answer);
    }
    row("control", &edge.control, None);
    row("operator", &edge.operator, None);
    grid.lines(&[first])
}

fn answer(region: Option<&str>) -> Word {
    match region {
        Some(region) => (Tone::Good, format!("→ {region}")),
        None => (Tone::Dim, "→ nobody".to_owned()),
    }
}
