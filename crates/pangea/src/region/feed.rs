//! The region's side of its links: where feeds read, and how the writer asks.

use std::sync::Arc;

use pangea_core::id::RegionSlot;
use pangea_core::replica::{Progress, Request};
use pangea_core::time::Now;
use tokio::sync::watch;

use super::repair::Suspicion;
use super::writer::Peers;
use crate::clock::Clock;
use crate::peer::link::{FeedSource, Links};
use crate::storage::{Store, StoreView};

/// Feeds read durable snapshots of the store.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) store: Arc<Store>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) clock: Clock,
    pub(super) suspicion: Suspicion,
}

impl FeedSource for Source {
    type View = StoreView;

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    fn view(&self) -> anyhow::Result<StoreView> {
        Ok(self.store.snapshot()?)
    }

    fn check(&self, view: &StoreView) -> anyhow::Result<()> {
        Ok(view.check().inspect_err(|fault| self.suspicion.of(fault))?)
    }
}

/// The writer asks over the links.
pub(super) struct Asker(pub(super) Links);

impl Peers for Asker {
    fn ask(&self, to: RegionSlot, request: Request) {
        // The node asks again when nothing comes.
        let _ = self.0.ask(to, request);
    }
}
