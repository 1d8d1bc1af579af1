//! The screen of `up`: a table redrawn in place on a terminal, one line per change elsewhere.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::line::{Align, Grid, Line, Tone};
use super::paper::Paper;
use super::{View, spoken, table, transitions};
use crate::config::Topology;
use crate::status::RegionState;

/// The table is redrawn at most this often: faster is not readable.
const REDRAW: Duration = Duration::from_millis(200);
/// Width where none is known: a pipe has no edge.
const UNBOUNDED: usize = 10_000;

/// Width of stdout, and whether it takes colours.
pub(super) fn capabilities() -> (usize, bool) {
    let terminal = std::io::stdout().is_terminal();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    (size().0, terminal && !no_colour && !dumb)
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => (usize::from(size.ws_col), usize::from(size.ws_row.max(1))),
        _ => (UNBOUNDED, UNBOUNDED),
    }
}

/// What `up` shows of itself.
#[derive(Debug)]
pub(crate) struct Screen {
    data_dir: PathBuf,
    dns_name: Option<String>,
    service_path: bool,
    /// Access keys that the DynamoDB API knows.
    keys: usize,
    terminal: bool,
    begun: Instant,
    drawn_at: Option<Instant>,
    /// The lines on the screen now, and the width they were made for.
    drawn: Vec<String>,
    width: usize,
    told: Option<View>,
    ready_told: bool,
    paper: Paper,
}

impl Screen {
    /// A screen for `topology`, whose data is in `data_dir`.
    pub(crate) fn new(data_dir: PathBuf, topology: &Topology) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            data_dir,
            dns_name: topology.records.first().map(|record| record.name.clone()),
            service_path: topology.accelerated().is_some(),
            keys: topology.credentials.len(),
            terminal: std::io::stdout().is_terminal() && !dumb,
            begun: Instant::now(),
            drawn_at: None,
            drawn: Vec::new(),
            width: size().0,
            told: None,
            ready_told: false,
            paper: Paper::new(),
        }
    }

    /// The terminal has another size: what is drawn may be wrapped.
    pub(crate) fn resized(&mut self) {
        if self.terminal && size().0 != self.width && self.paper.put("\x1b[2J\x1b[H".to_owned()) {
            self.drawn.clear();
            self.width = size().0;
        }
        self.drawn_at = None;
    }

    /// Shows a view; cheap when called too often.
    pub(crate) fn show(&mut self, view: View) {
        if self.terminal {
            if self.drawn_at.is_none_or(|at| at.elapsed() >= REDRAW) {
                self.draw(&view);
            }
        } else {
            self.tell(view);
        }
    }

    /// Takes the table away: everything has stopped. Who did not stop in order is named.
    pub(crate) fn finish(&mut self, view: &View) {
        let data = self.data_dir.display();
        let kept = format!("stopped after {}; data stays in {data}", self.age());
        if self.terminal {
            self.replace(Vec::new());
            for process in &view.processes {
                if let Some(reason) = process.reason.as_ref().filter(|it| table::overdue(it)) {
                    self.line(&format!("{}: {reason}", process.process));
                }
            }
            self.line(&kept);
        } else {
            self.tell(view.clone());
            self.say(&kept);
        }
        self.paper.close();
    }

    fn line(&self, text: &str) {
        self.paper.put(format!("{text}\n"));
    }

    fn age(&self) -> String {
        spoken(self.begun.elapsed())
    }

    fn say(&self, text: &str) {
        self.line(&format!("[{:7.1}s] {text}", self.begun.elapsed().as_secs_f64()));
    }

    fn tell(&mut self, view: View) {
        for line in transitions::between(self.told.as_ref(), &view) {
            self.say(&line);
        }
        if !self.ready_told && ready(&view) {
            self.ready_told = true;
            self.say("ready");
            for line in self.hints(&view) {
                self.say(&line.paint(UNBOUNDED, false));
            }
        }
        self.told = Some(view);
    }

    fn draw(&mut self, view: &View) {
        let (width, colour) = capabilities();
        let (_, rows) = size();
        let mut lines = vec![self.header(view), Line::default()];
        lines.extend(table::body(view));
        let hints = self.hints(view);
        // The line below the table is the cursor's.
        if lines.len() + hints.len() + 2 <= rows && !view.stopping {
            lines.push(Line::default());
            lines.extend(hints);
        }
        lines.truncate(rows.saturating_sub(1).max(1));
        let painted: Vec<String> = lines.iter().map(|line| line.paint(width, colour)).collect();
        self.drawn_at = Some(Instant::now());
        if painted == self.drawn {
            return;
        }
        self.replace(painted);
    }

    /// Puts `painted` where the lines drawn last are.
    fn replace(&mut self, painted: Vec<String>) {
        let up = match self.drawn.len() {
            0 => String::new(),
            n => format!("\x1b[{n}A\r"),
        };
        let body: String = painted.iter().map(|line| format!("{line}\x1b[K\r\n")).collect();
        // What is left out is drawn again later, over what is there now.
        if self.paper.put(format!("\x1b[?2026h{up}{body}\x1b[J\x1b[?2026l")) {
            self.drawn = painted;
        }
    }

    fn header(&self, view: &View) -> Line {
        let (tone, phase) = match (view.stopping, ready(view)) {
            (true, _) => (Tone::Warn, "stopping (Ctrl-C again kills)"),
            (_, true) => (Tone::Good, "up"),
            (_, false) if view.status.regions.iter().any(|r| r.state == RegionState::Dead) => {
                (Tone::Bad, "degraded")
            }
            (_, false) if self.begun.elapsed() < Duration::from_secs(10) => {
                (Tone::Warn, "starting")
            }
            (_, false) => (Tone::Warn, "not all up"),
        };
        Line::of(Tone::Bold, view.status.cluster.clone())
            .and(Tone::Plain, "  ")
            .and(tone, phase)
            .and(Tone::Dim, format!("  {}  data {}", self.age(), self.data_dir.display()))
    }

    fn hints(&self, view: &View) -> Vec<Line> {
        let edge = &view.status.edge;
        let mut grid = Grid::new(&[Align::Left]);
        let mut hint = |command: String, what: &str| {
            let command = (Tone::Plain, format!("  {command}"));
            grid.row(vec![command], Some((Tone::Dim, what.to_owned())));
        };
        if self.service_path {
            hint(format!("curl {}/", edge.accelerator), "nearest healthy region answers");
        }
        if let Some((name, (ip, port))) = self.dns_name.as_ref().zip(edge.dns.rsplit_once(':')) {
            hint(format!("dig @{ip} -p {port} +short {name}"), "its address");
        }
        let own = own_data_dir(&self.data_dir);
        let regions = &view.status.regions;
        if let Some(dead) = regions.iter().find(|region| region.state == RegionState::Dead) {
            let command = format!("pangea process start \"region {}\"{own}", dead.name);
            hint(command, "bring it back");
        } else if let Some((region, pid)) = regions.iter().find_map(|r| Some((r, r.pid?))) {
            hint(format!("kill -9 {pid}"), &format!("lose {}", region.name));
        }
        hint(format!("pangea experiment run region-loss{own}"), "lose a region, and measure");
        let mut lines = vec![Line::of(Tone::Dim, "TRY")];
        lines.extend(grid.lines(&[]));
        let checked = match self.keys {
            0 => "any credentials are taken, and no signature is checked".to_owned(),
            1 => "signatures are checked; 1 access key is known".to_owned(),
            keys => format!("signatures are checked; {keys} access keys are known"),
        };
        lines.push(Line::of(Tone::Dim, format!("  DynamoDB: {checked}")));
        let logs = self.data_dir.join("logs");
        let end = format!("Ctrl-C stops everything; logs are in {}", logs.display());
        lines.push(Line::of(Tone::Dim, format!("  {end}")));
        lines
    }
}

/// What a command needs to find this `up`.
fn own_data_dir(data_dir: &Path) -> String {
    let default = Path::new(crate::cli::DATA_DIR);
    if data_dir == default { String::new() } else { format!(" --data-dir {}", data_dir.display()) }
}

/// Whether everything that can run here runs and is well.
fn ready(view: &View) -> bool {
    use crate::supervise::client::ProcessState;
    let settled = view.processes.iter().all(|process| {
        matches!(
            process.state,
            ProcessState::Running | ProcessState::Done | ProcessState::Unavailable
        ) && (process.state != ProcessState::Running || !process.process.starts_with("build "))
    });
    let here = |service: &str, region: &str| {
        view.processes.iter().any(|process| {
            process.service.as_deref() == Some(service)
                && process.region.as_deref() == Some(region)
                && process.state == ProcessState::Running
        })
    };
    let well = view.status.regions.iter().all(|region| {
        region.state == RegionState::Active
            && region.services.iter().all(|s| s.healthy || !here(&s.name, &region.name))
    });
    settled && well && view.status.edge.pid.is_some()
}
