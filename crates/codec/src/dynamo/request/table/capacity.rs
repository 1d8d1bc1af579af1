//! Changes of provisioned capacity, of a table or an index.

use pangea_core::item::{AttributeValue, Attributes};

use super::features::Throughput;
use crate::dynamo::table::{long_time_text, options};
use crate::dynamo::{ApiError, ErrorKind};

/// How often capacity may go down in a day without a wait, and how long is to be waited behind
/// each time beyond (DynamoDB).
const DECREASES_MAX: u64 = 4;
const DECREASE_WAIT_MS: u64 = 3_600_000;

/// The options of a new capacity, and when it went up or down.
pub(super) fn options_of(
    before: &Attributes,
    then: Throughput,
    now_ms: u64,
) -> Result<Vec<(&'static str, AttributeValue)>, ApiError> {
    let now = Throughput::of(before);
    let mut changes = vec![
        (options::READ, options::of_number(then.read)),
        (options::WRITE, options::of_number(then.write)),
    ];
    if then.read > now.read || then.write > now.write {
        changes.push((options::INCREASED_MS, options::of_number(now_ms)));
    }
    if then.read < now.read || then.write < now.write {
        let decreases = options::decreases(before, now_ms);
        check_decrease(before, decreases, now_ms)?;
        changes.push((options::DECREASED_MS, options::of_number(now_ms)));
        changes.push((options::DECREASES, options::of_number(decreases + 1)));
    }
    Ok(changes)
}

/// Refuses to let capacity go down too often in a day.
fn check_decrease(before: &Attributes, decreases: u64, now_ms: u64) -> Result<(), ApiError> {
    let last_ms = options::number(before, options::DECREASED_MS).unwrap_or_default();
    let next_ms = last_ms + DECREASE_WAIT_MS;
    if decreases < DECREASES_MAX || now_ms >= next_ms {
        return Ok(());
    }
    let [last, next] = [last_ms, next_ms].map(long_time_text);
    let wait_s = DECREASE_WAIT_MS / 1000;
    Err(ApiError::new(
        ErrorKind::LimitExceeded,
        format!(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a \
             given UTC day. After the first {DECREASES_MAX} decreases, each subsequent decrease in \
             the same UTC day can be performed at most once every {wait_s} seconds. Number of \
             decreases today: {decreases}. Last decrease at {last}. Next decrease can be made at \
             {next}"
        ),
    ))
}

/// The refusal of a capacity that is there already.
pub(super) fn unchanged(what: &str, of: &str, now: Throughput) -> ApiError {
    let Throughput { read, write } = now;
    ApiError::validation(format!(
        "The provisioned throughput for {what} will not change. The requested value equals the \
         current value. Current ReadCapacityUnits provisioned for {of}: {read}. Requested \
         ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for {of}: {write}. \
         Requested WriteCapacityUnits: {write}. Refer to the Amazon DynamoDB Developer Guide for \
         current limits and how to request higher limits."
    ))
}
