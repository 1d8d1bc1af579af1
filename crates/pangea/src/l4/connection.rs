//! One client's connection: find an endpoint, carry the bytes, know why it ended.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pangea_core::routing::{Pick, RoutingSnapshot};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::splice::{End, splice};
use super::{Counters, Shared, reset};
use crate::probe::connect_failure;
use crate::traffic::{Dice, Throttle};

static NO_ENDPOINT: Throttle = Throttle::new();
static LOCAL_FAILURE: Throttle = Throttle::new();

pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) client_ip: IpAddr,
}

/// Counts a connection as active for as long as it lives, however its task ends.
struct Active<'c>(&'c Counters);

impl<'c> Active<'c> {
    fn new(counters: &'c Counters) -> Self {
        counters.active.fetch_add(1, Relaxed);
        Self(counters)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

impl Connection {
    pub(super) async fn run(self, mut client: TcpStream) {
        let counters = &self.shared.counters;
        let _active = Active::new(counters);
        let Some((mut server, pick)) = self.connect().await else {
            counters.failed.fetch_add(1, Relaxed);
            let listener = self.shared.config.listener.as_str();
            NO_ENDPOINT.warn(|| tracing::warn!(listener, "l4: no endpoint could be connected to"));
            reset(&client);
            return;
        };
        // Small messages must not wait for each other; without it they only become slower.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let end = tokio::select! {
            biased;
            end = splice(&mut client, &mut server, self.shared.config.idle, counters) => end,
            () = self.region_fell(&pick) => End::Ejected,
        };
        let ended = match end {
            End::Closed => return,
            End::Broken => &counters.broken,
            End::Idle => &counters.idle,
            End::Ejected => &counters.ejected,
        };
        ended.fetch_add(1, Relaxed);
        reset(&client);
        reset(&server);
    }

    /// A connection to the best endpoint that accepts one; each region is tried once.
    async fn connect(&self) -> Option<(TcpStream, Pick)> {
        let mut dice = Dice::new();
        let mut tried = Vec::new();
        loop {
            // A fresh snapshot each time: it may already know what the last attempt found out.
            let snapshot = Arc::clone(&self.shared.snapshots.borrow());
            let listener = &self.shared.config.listener;
            let pick = snapshot.pick(listener, self.client_ip, &tried, dice.roll())?;
            if !tried.is_empty() {
                self.shared.counters.connect_retries.fetch_add(1, Relaxed);
            }
            tried.push(pick.region);
            match self.attempt(&pick).await {
                Ok(server) => return Some((server, pick)),
                Err(error) => self.report(&pick, &error),
            }
        }
    }

    async fn attempt(&self, pick: &Pick) -> io::Result<TcpStream> {
        timeout(self.shared.config.connect_timeout, TcpStream::connect(pick.addr)).await?
    }

    fn report(&self, pick: &Pick, error: &io::Error) {
        match connect_failure(error) {
            Some(failure) => self.shared.passive.report(pick.region, failure),
            None => LOCAL_FAILURE.warn(|| tracing::warn!(%error, "l4: cannot connect from here")),
        }
    }

    /// Returns once the region of `pick` is dead and another is up; never if that is not wanted.
    async fn region_fell(&self, pick: &Pick) {
        let (config, mut snapshots) = (&self.shared.config, self.shared.snapshots.clone());
        let left = |snapshot: &Arc<RoutingSnapshot>| snapshot.should_leave(&config.listener, pick);
        // An error is a sender that is gone: then nothing will ever change.
        if !config.reset_on_ejection || snapshots.wait_for(left).await.is_err() {
            std::future::pending().await
        }
    }
}
