//! Deep health: whether traffic should come here. 200 if nothing fails, else 503, with each check.
//!
//! A peer that is gone is no reason to leave this region: it serves on its own. Lag counts only on
//! links that are up, and only where the topology sets a bound.

use hyper::StatusCode;
use pangea_core::clock::Verdict;
use serde::Serialize;

use super::Region;
use super::writer::skewed;
use crate::http::{Reply, json};
use crate::status::{LinkState, LinkStatus};

/// Below this the certificate is worth a warning: `up` renews it at the next start.
const CERTIFICATE_WARNING_S: i64 = 7 * 24 * 60 * 60;

/// A writer that has not come round for this long hangs, in a sync most likely, microseconds.
const WRITER_SILENCE_US_MAX: u64 = 3_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    Ok,
    Warn,
    Fail,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    verdict: Standing,
    detail: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    region: String,
    healthy: bool,
    reason: Option<String>,
    checks: Vec<Check>,
}

pub(super) fn answer(region: &Region) -> Reply {
    let report = report(region);
    let status = if report.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &report)
}

/// Why the region is not healthy, if it is not.
pub(super) fn reason(region: &Region) -> Option<String> {
    report(region).reason
}

fn report(region: &Region) -> Report {
    let mut checks = vec![storage(region), membership(region), clock(region)];
    checks.extend([replication(region), certificate(region)]);
    checks.extend(applications(region));
    let failed: Vec<String> = checks
        .iter()
        .filter(|check| check.verdict == Standing::Fail)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    let reason = (!failed.is_empty()).then(|| failed.join("; "));
    Report { region: region.name.clone(), healthy: reason.is_none(), reason, checks }
}

fn check(name: &'static str, verdict: Standing, detail: impl Into<String>) -> Check {
    Check { name, verdict, detail: detail.into() }
}

fn storage(region: &Region) -> Check {
    let observed = region.writer.observed();
    if let Some(why) = &observed.refusing {
        return check("storage", Standing::Fail, why);
    }
    let silent_us = region.clock.now().mono_us.saturating_sub(observed.at_us);
    if silent_us > WRITER_SILENCE_US_MAX {
        let text = format!("the writer has been busy for {} ms", silent_us / 1000);
        return check("storage", Standing::Fail, text);
    }
    match region.store.health() {
        Ok(()) => check("storage", Standing::Ok, "writable"),
        Err(fault) => check("storage", Standing::Fail, fault.to_string()),
    }
}

/// Behind, a region loses races and no more; ahead of one peer, that one may be wrong.
fn clock(region: &Region) -> Check {
    match region.writer.observed().clock {
        Verdict::Good => check("clock", Standing::Ok, "as its peers'"),
        Verdict::Stepped { ms } => {
            let text = format!("stepped by {ms} ms, not confirmed by a peer: not followed");
            check("clock", Standing::Warn, text)
        }
        Verdict::Off { ms, refuses: true, .. } => {
            check("clock", Standing::Fail, format!("writes are refused: {}", skewed(ms)))
        }
        Verdict::Off { ms, sure, .. } if sure && ms > 0 => {
            check("clock", Standing::Fail, format!("{ms} ms ahead of most regions'"))
        }
        Verdict::Off { ms, .. } => {
            check("clock", Standing::Warn, format!("{ms} ms ahead of its peers'"))
        }
    }
}

/// Whether the regions have decided that this one serves, and its log is whole.
fn membership(region: &Region) -> Check {
    match region.writer.observed().closed {
        None => check("membership", Standing::Ok, super::members::state(region)),
        Some(closed) => check("membership", Standing::Fail, super::members::why(closed)),
    }
}

fn replication(region: &Region) -> Check {
    let links = links(region);
    let up: Vec<&LinkStatus> = links.iter().filter(|link| link.state == LinkState::Up).collect();
    let worst = up.iter().filter_map(|link| link.lag_ms).fold(0.0, f64::max);
    let detail = format!("{} of {} links up, lag {worst:.0} ms", up.len(), links.len());
    let bound = region.topology.health.lag_ms_max;
    #[expect(clippy::cast_precision_loss, reason = "a bound of milliseconds")]
    let over = bound.is_some_and(|bound| worst > bound as f64);
    let verdict = match (over, up.len() == links.len()) {
        (true, _) => Standing::Fail,
        (false, false) => Standing::Warn,
        (false, true) => Standing::Ok,
    };
    check("replication", verdict, detail)
}

fn certificate(region: &Region) -> Check {
    match region.certificate_left_s() {
        None => check("certificate", Standing::Fail, "unreadable"),
        Some(left) if left <= 0 => check("certificate", Standing::Fail, "expired"),
        Some(left) => {
            let verdict = if left < CERTIFICATE_WARNING_S { Standing::Warn } else { Standing::Ok };
            check("certificate", verdict, format!("{} days left", left / 86_400))
        }
    }
}

fn applications(region: &Region) -> Vec<Check> {
    let latest = region.services.latest();
    let of = |(name, trouble): (&String, &Option<String>)| match trouble {
        None => check("application", Standing::Ok, format!("{name} answers")),
        Some(trouble) => check("application", Standing::Fail, format!("{name}: {trouble}")),
    };
    latest.iter().map(of).collect()
}

/// What this region receives from each peer.
pub(super) fn links(region: &Region) -> Vec<LinkStatus> {
    let observed = region.writer.observed();
    let now_ms = region.clock.now().wall_ms;
    let faults = region.links.faults().list();
    let mut links = Vec::new();
    let catalog = region.catalog();
    for peer in region.links.peers().iter().filter(|it| !catalog.membership().is_gone(it.slot)) {
        let link = observed.links.get(&peer.slot);
        let cut = faults.iter().any(|(slot, it)| *slot == peer.slot && it.inbound.is_some());
        let state = match (cut, link.is_some_and(|link| link.up)) {
            (true, _) => LinkState::Cut,
            (false, true) => LinkState::Up,
            (false, false) => LinkState::Down,
        };
        let visible = link.map(|link| link.visible_ms).filter(|visible| *visible > 0);
        #[expect(clippy::cast_precision_loss, reason = "a lag of milliseconds")]
        let lag_ms = visible.map(|visible| now_ms.saturating_sub(visible) as f64);
        links.push(LinkStatus {
            from: peer.name.clone(),
            to: region.name.clone(),
            state,
            lag_ms,
            held_ms: link.and_then(|link| link.held_until_ms).map(|at| at.saturating_sub(now_ms)),
            rtt_ms: region.topology.rtt_ms(&peer.name, &region.name),
            backlog: 0,
            clock_offset_ms: observed.offsets.get(&peer.slot).map(|offset| offset.ms),
            clock_error_ms: observed.offsets.get(&peer.slot).map(|offset| offset.error_ms),
        });
    }
    links
}
