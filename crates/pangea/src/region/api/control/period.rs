//! Which moment, or which period, an export is of.

use pangea_codec::dynamo::table::second_text;
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::catalog::TableEntry;
use serde_json::{Map, Value};

/// The shortest period of an incremental export (DynamoDB).
const PERIOD_MS: u64 = 15 * 60 * 1000;

/// Refuses an export of what is not over yet, or was before there is anything of it. The words are
/// the service's (measured by the ACK project's users, October 2026).
pub(super) fn check(
    asked: &Map<String, Value>,
    entry: &TableEntry,
    now_ms: u64,
) -> Result<(), ApiError> {
    let since_ms = entry.history_since_ms().unwrap_or(entry.created_ms);
    let why = match asked.get("IncrementalExportSpecification").and_then(Value::as_object) {
        None => moment(asked, "ExportTime").and_then(|at_ms| check_moment(at_ms, since_ms, now_ms)),
        Some(asked) => {
            let from_ms = moment(asked, "ExportFromTime").unwrap_or(now_ms);
            check_period((from_ms, moment(asked, "ExportToTime")), entry.created_ms, now_ms)
        }
    };
    why.map_or(Ok(()), |why| Err(ApiError::new(ErrorKind::InvalidExportTime, why)))
}

fn check_moment(at_ms: u64, since_ms: u64, now_ms: u64) -> Option<String> {
    // Clients may leave out what is less than a second.
    let is_invalid = at_ms > now_ms || at_ms / 1000 < since_ms / 1000;
    is_invalid.then(|| "Export Time is invalid".to_owned())
}

fn check_period(
    (from_ms, to_ms): (u64, Option<u64>),
    created_ms: u64,
    now_ms: u64,
) -> Option<String> {
    if from_ms / 1000 < created_ms / 1000 {
        return Some(format!(
            "Incremental export period from time cannot be less than the table creation time : {}",
            second_text(from_ms)
        ));
    }
    if let Some(to_ms) = to_ms.filter(|to_ms| *to_ms > now_ms) {
        return Some(format!(
            "Incremental export period to time cannot be greater than the current time : {}",
            second_text(to_ms)
        ));
    }
    let is_short = to_ms.unwrap_or(now_ms).saturating_sub(from_ms) < PERIOD_MS;
    is_short.then(|| {
        "Difference between export period from time and export period to time is less than 15 \
         minutes"
            .to_owned()
    })
}

/// A moment as DynamoDB's JSON has it, in milliseconds since 1970.
fn moment(asked: &Map<String, Value>, name: &str) -> Option<u64> {
    let seconds = asked.get(name)?.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a moment out of range becomes the first or the last that there is"
    )]
    Some((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check_moment, check_period, moment};

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    #[test]
    fn a_moment_is_within_what_is_kept() {
        let (since, now) = (DAY_MS + 700, 2 * DAY_MS);
        for at in [DAY_MS - 1, now + 1] {
            assert_eq!(check_moment(at, since, now).as_deref(), Some("Export Time is invalid"));
        }
        // The beginning without its milliseconds, too.
        for at in [DAY_MS, DAY_MS + 700, now] {
            assert_eq!(check_moment(at, since, now), None, "{at}");
        }
    }

    #[test]
    fn a_period_begins_with_the_table_and_is_over() {
        let (created, now) = (DAY_MS, 2 * DAY_MS);
        let why = |from, to| check_period((from, to), created, now).unwrap_or_default();
        assert!(why(DAY_MS - 1000, None).contains("table creation time : 1970-01-01T23:59:59"));
        assert!(why(DAY_MS, Some(now + 1000)).contains("current time : 1970-01-03T00:00:01"));
        assert!(why(now - 14 * 60_000, None).ends_with("less than 15 minutes"));
        assert!(why(now - 60_000, Some(now - 120_000)).ends_with("less than 15 minutes"));
        assert_eq!(why(DAY_MS, None), "");
        assert_eq!(why(DAY_MS, Some(DAY_MS + 15 * 60_000)), "");
    }

    #[test]
    fn moments_are_seconds_with_a_fraction() {
        let asked = json!({ "At": 1.5, "Before": -7, "Text": "1" });
        let asked = asked.as_object().expect("an object");
        assert_eq!(moment(asked, "At"), Some(1500));
        assert_eq!(moment(asked, "Before"), Some(0));
        assert_eq!(moment(asked, "Text"), None);
    }
}
