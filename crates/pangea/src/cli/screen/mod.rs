//! How a running topology looks in the terminal: the live table of `up`, the table of `status`.

mod line;
mod live;
mod notes;
mod paper;
mod table;
mod transitions;

use std::time::Duration;

pub(crate) use live::Screen;
pub(crate) use table::{print, print_processes};

use crate::status::Status;
use crate::supervise::client::ProcessInfo;

/// What is known at one instant.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The topology, with what `up` knows laid over it.
    pub(crate) status: Status,
    /// The processes of `up`; empty if none was asked.
    pub(crate) processes: Vec<ProcessInfo>,
    /// Whether it is stopping.
    pub(crate) stopping: bool,
}

/// A duration as people say it: `8s`, `1m02s`, `3h07m`.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let all = [8, 62, 3 * 3600 + 7 * 60].map(|s| spoken(Duration::from_secs(s)));
        assert_eq!(all, ["8s", "1m02s", "3h07m"]);
    }
}
