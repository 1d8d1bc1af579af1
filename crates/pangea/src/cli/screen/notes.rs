//! Lines below the table: what an operator should know and no cell has room for.

use std::time::Duration;

use super::line::{Line, Tone};
use super::{View, spoken};

/// Nothing, if there is nothing to say.
pub(super) fn lines(view: &View) -> Vec<Line> {
    view.status.regions.iter().filter_map(|region| waiting(&region.name, region)).collect()
}

fn waiting(name: &str, region: &crate::status::RegionStatus) -> Option<Line> {
    let waiting = region.waiting.as_ref()?;
    let since = spoken(Duration::from_secs(waiting.seconds));
    let tables = if waiting.tables == 1 { "table" } else { "tables" };
    let text = format!(
        "{name}: deletes of {} {tables} wait for {} to acknowledge them, the oldest for {since}",
        waiting.tables, waiting.region
    );
    Some(Line::of(Tone::Warn, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{RegionStatus, Status, Waiting};

    #[test]
    fn a_region_that_blocks_is_named() {
        let mut status = Status::default();
        let waiting = Waiting { region: "b".to_owned(), seconds: 75, tables: 2 };
        status.regions.push(RegionStatus { name: "a".to_owned(), ..RegionStatus::default() });
        let view = |status: &Status| View {
            status: status.clone(),
            processes: Vec::new(),
            stopping: false,
        };
        assert!(lines(&view(&status)).is_empty());
        status.regions[0].waiting = Some(waiting);
        let painted: Vec<String> =
            lines(&view(&status)).iter().map(|line| line.paint(200, false)).collect();
        let expected =
            "a: deletes of 2 tables wait for b to acknowledge them, the oldest for 1m15s";
        assert_eq!(painted, [expected]);
    }
}
