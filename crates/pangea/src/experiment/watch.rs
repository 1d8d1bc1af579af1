//! Looks at the regions while an experiment goes on: what they say of their links.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::load::Ground;
use super::place::Place;
use crate::status::LinkStatus;

/// How often each region is asked.
const INTERVAL: Duration = Duration::from_millis(50);

/// What a region said of a link, and when.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Microseconds since the experiment began.
    pub(super) at_us: u64,
    pub(super) link: LinkStatus,
}

/// A watch that goes on until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    _tasks: JoinSet<()>,
}

/// Begins to look.
pub(super) fn start(ground: &Ground, places: &[Place]) -> Watch {
    let (samples, mut tasks) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
    for place in places {
        let (ground, place, samples) = (ground.clone(), place.clone(), Arc::clone(&samples));
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                let Ok(report) = place.report().await else { continue };
                let at_us = ground.now_us();
                let seen = report.links.into_iter().map(|link| Sample { at_us, link });
                samples.lock().unwrap_or_else(PoisonError::into_inner).extend(seen);
            }
        });
    }
    Watch { samples, _tasks: tasks }
}

impl Watch {
    /// What was seen in a stretch of time.
    pub(super) fn between(&self, from_us: u64, to_us: u64) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let within = samples.iter().filter(|it| it.at_us >= from_us && it.at_us <= to_us);
        within.cloned().collect()
    }
}

/// The greatest lag, ms; none if none was measured.
pub(super) fn lag_ms_max<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Option<u64> {
    let lags = samples.into_iter().filter_map(|sample| sample.link.lag_ms);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a lag of milliseconds, saturating"
    )]
    let whole = |lag: f64| lag.ceil() as u64;
    lags.map(whole).max()
}
