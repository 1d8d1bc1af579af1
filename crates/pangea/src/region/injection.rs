//! Faults that experiments inject into this process: links, wall clock, disk, handlers.
//!
//! State: whether any is allowed, the switches, and a clock on its way to an offset. Nothing here
//! decides anything: links, clock and store obey on their own, and ask none of this.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::body::Incoming;
use pangea_core::id::RegionSlot;
use serde_json::json;
use tokio::time::sleep;

use super::Region;
use super::admin::item_key;
use crate::clock::Clock;
use crate::http::{self, Reply, json as json_reply};
use crate::inject::{self, Fault, Report};
use crate::peer::wan::{self, NotAPeer};
use crate::storage::DiskSwitch;

/// Largest request body: a fault is a few words.
const BODY_BYTES_MAX: usize = 4096;
/// A clock that slews moves this often.
const SLEW_INTERVAL: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Injection {
    allowed: bool,
    disk: DiskSwitch,
    /// How often the clock was set: a slew that is not the last one ends.
    settings: Arc<Mutex<u64>>,
    /// Requests that are still to panic.
    panics: AtomicU64,
}

impl Injection {
    pub(super) fn new(allowed: bool, disk: DiskSwitch) -> Self {
        Self { allowed, disk, settings: Arc::default(), panics: AtomicU64::new(0) }
    }

    /// Called by every request of the DynamoDB API.
    ///
    /// # Panics
    /// If this was asked for.
    pub(super) fn meet(&self) {
        // Of requests at the same time, one may be spared that should have panicked: no matter.
        let left = self.panics.load(Relaxed);
        assert!(left == 0 || self.panics.swap(left - 1, Relaxed) == 0, "an injected fault");
    }

    fn set_clock(&self, clock: &Clock, offset_ms: i64, slew_ms_per_s: Option<u64>) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        *settings += 1;
        let Some(rate) = slew_ms_per_s else { return clock.set_offset_ms(offset_ms) };
        let (began, from_ms, mine) = (Instant::now(), clock.offset_ms(), *settings);
        let (clock, settings) = (clock.clone(), Arc::clone(&self.settings));
        tokio::spawn(async move {
            loop {
                sleep(SLEW_INTERVAL).await;
                let settings = settings.lock().unwrap_or_else(PoisonError::into_inner);
                let now_ms = slewed(from_ms, offset_ms, rate, began.elapsed());
                if *settings != mine || clock.offset_ms() == offset_ms {
                    return;
                }
                clock.set_offset_ms(now_ms);
            }
        });
    }
}

/// Where a clock is that moves to an offset by so much a second.
fn slewed(from_ms: i64, to_ms: i64, ms_per_s: u64, since: Duration) -> i64 {
    let moved = since.as_millis().saturating_mul(u128::from(ms_per_s)) / 1000;
    let way = to_ms.abs_diff(from_ms);
    let moved = u64::try_from(moved).unwrap_or(u64::MAX).min(way);
    if to_ms < from_ms {
        from_ms.saturating_sub_unsigned(moved)
    } else {
        from_ms.saturating_add_unsigned(moved)
    }
}

/// Answers `GET /v1/faults`.
pub(super) fn list(region: &Region) -> Reply {
    json_reply(StatusCode::OK, &report(region))
}

/// Answers `POST /v1/faults`.
pub(super) async fn answer(region: &Region, body: Incoming) -> Reply {
    if !region.injection.allowed {
        let text = "this region injects no faults: set `allow = true` under `[faults]` in the \
                    topology and start the region again";
        return problem(StatusCode::FORBIDDEN, text);
    }
    let Ok(body) = http::body(body, BODY_BYTES_MAX).await else {
        return problem(StatusCode::BAD_REQUEST, "no body, or too large a one");
    };
    let asked: Fault = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match execute(region, &asked) {
        Ok(()) => {
            let fault = serde_json::to_string(&asked).unwrap_or_default();
            tracing::warn!(fault, "injected fault");
            list(region)
        }
        Err(Refusal::Unknown(text)) => problem(StatusCode::NOT_FOUND, &text),
        Err(Refusal::Wrong(text)) => problem(StatusCode::BAD_REQUEST, &text),
    }
}

fn problem(status: StatusCode, text: &str) -> Reply {
    json_reply(status, &json!({"error": text}))
}

enum Refusal {
    /// There is no such region.
    Unknown(String),
    /// The request is wrong.
    Wrong(String),
}

impl From<NotAPeer> for Refusal {
    fn from(error: NotAPeer) -> Self {
        Self::Wrong(error.to_string())
    }
}

fn execute(region: &Region, asked: &Fault) -> Result<(), Refusal> {
    asked.check().map_err(Refusal::Wrong)?;
    let links = region.links.faults();
    match asked {
        Fault::Cut { peer, direction, blackhole } => {
            let direction = match direction {
                inject::Direction::In => wan::Direction::In,
                inject::Direction::Out => wan::Direction::Out,
                inject::Direction::Both => wan::Direction::Both,
            };
            let cut = if *blackhole { wan::Cut::Blackhole } else { wan::Cut::Refuse };
            links.cut(slot(region, peer)?, direction, cut)?;
        }
        Fault::Heal { peer } => links.heal(slot(region, peer)?)?,
        Fault::Delay { peer, delay_ms } => {
            links.delay(slot(region, peer)?, Duration::from_millis(*delay_ms))?;
        }
        Fault::Limit { peer, bytes_per_s } => links.limit(slot(region, peer)?, *bytes_per_s)?,
        Fault::Clock { offset_ms, slew_ms_per_s } => {
            region.injection.set_clock(&region.clock, *offset_ms, *slew_ms_per_s);
        }
        Fault::Disk { full } => region.injection.disk.set_full(*full),
        Fault::Panic { requests } => region.injection.panics.store(*requests, Relaxed),
        Fault::Rot { table, partition, sort, gone } => {
            let key = item_key(region, table, partition, sort.as_deref());
            let found = region.store.rot(&key.map_err(Refusal::Wrong)?, *gone);
            if !found.map_err(|fault| Refusal::Wrong(fault.to_string()))? {
                return Err(Refusal::Unknown(format!("`{table}` has no such item here")));
            }
        }
    }
    Ok(())
}

fn slot(region: &Region, name: &str) -> Result<RegionSlot, Refusal> {
    let peer = region.topology.region(name).map(|peer| peer.id);
    peer.ok_or_else(|| Refusal::Unknown(format!("no region `{name}` in the topology")))
}

fn report(region: &Region) -> Report {
    let cut = |cut| match cut {
        wan::Cut::Refuse => inject::Cut::Refuse,
        wan::Cut::Blackhole => inject::Cut::Blackhole,
    };
    let link = |(peer, condition): (RegionSlot, wan::Condition)| inject::Link {
        peer: region.region_name(peer),
        delay_ms: u64::try_from(condition.delay.as_millis()).unwrap_or(u64::MAX),
        bytes_per_s: condition.bytes_per_s,
        inbound: condition.inbound.map(cut),
        outbound: condition.outbound.map(cut),
    };
    Report {
        allowed: region.injection.allowed,
        links: region.links.faults().list().into_iter().map(link).collect(),
        clock_offset_ms: region.clock.offset_ms(),
        disk_full: region.injection.disk.is_full(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slew_is_steady_and_ends_at_its_offset() {
        let at = |ms| slewed(100, -900, 500, Duration::from_millis(ms));
        assert_eq!([at(0), at(100), at(1999), at(2000), at(900_000)], [100, 50, -899, -900, -900]);
        assert_eq!(slewed(-5, 5, 1, Duration::from_secs(3)), -2);
        assert_eq!(slewed(i64::MIN, i64::MAX, u64::MAX, Duration::from_secs(9)), i64::MAX);
    }

    #[tokio::test]
    async fn a_step_ends_the_slew_before_it() {
        let (clock, injection) = (Clock::new(0), Injection::new(true, DiskSwitch::default()));
        injection.set_clock(&clock, 60_000, Some(100_000));
        while clock.offset_ms() == 0 {
            sleep(SLEW_INTERVAL).await;
        }
        injection.set_clock(&clock, -7, None);
        sleep(SLEW_INTERVAL * 20).await;
        assert_eq!(clock.offset_ms(), -7);
        injection.set_clock(&clock, 1000, Some(1_000_000));
        while clock.offset_ms() != 1000 {
            sleep(SLEW_INTERVAL).await;
        }
    }
}
