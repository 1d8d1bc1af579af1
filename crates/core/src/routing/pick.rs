//! Where the accelerator sends a new connection.

use alloc::string::String;
use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

use super::config::Endpoint;
use super::rank::{Distance, Ranked, RoutingSnapshot, Tier};
use crate::health::State;
use crate::id::RegionSlot;

/// A choice for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Who serves.
    pub region: RegionSlot,
    /// Where to connect.
    pub addr: SocketAddr,
    /// Where the client is near.
    pub near: RegionSlot,
    /// How good the region is.
    pub tier: Tier,
    /// Round trip from `near` to `region`, ms; `u32::MAX` if not known.
    pub rtt_ms: u32,
    /// How often the region had gone down when this was picked.
    pub falls: u64,
}

impl RoutingSnapshot {
    /// The nearest region that is up, of those not yet tried; all down: the nearest of them.
    ///
    /// Global Accelerator stops after three endpoint groups and then fails open; here every region
    /// is tried once. Equal distances are decided by `dice`.
    #[must_use]
    pub fn pick(
        &self,
        listener: &str,
        client: IpAddr,
        tried: &[RegionSlot],
        dice: u64,
    ) -> Option<Pick> {
        let endpoints = self.tables.listeners.get(listener)?;
        let (near, _) = self.near(client);
        let of = |region: RegionSlot| endpoints.iter().filter(move |e| e.region == region);
        let usable = |r: &&Ranked| !tried.contains(&r.region) && of(r.region).next().is_some();
        let best = self.order(near).iter().find(usable)?;
        let level = |r: &&Ranked| (r.tier, r.rtt_ms) == (best.tier, best.rtt_ms);
        let group = || self.order(near).iter().filter(usable).filter(level);
        let equals = || group().flat_map(|r| of(r.region));
        let nth = usize::try_from(dice % equals().count().max(1) as u64).unwrap_or_default();
        let Endpoint { region, addr } = *equals().nth(nth)?;
        let falls = self.falls(region);
        Some(Pick { region, addr, near, tier: best.tier, rtt_ms: best.rtt_ms, falls })
    }

    /// Whether a live connection of `pick` should be reset: its region went down since, probes say
    /// so too, and the listener has another region that is up.
    ///
    /// One connection that failed is not enough: it may be an overload, which resetting everyone
    /// would make worse.
    #[must_use]
    pub fn should_leave(&self, listener: &str, pick: &Pick) -> bool {
        let fell = self.falls(pick.region) > pick.falls;
        let dead = fell && self.state(pick.region) == State::Unhealthy;
        dead && self.tables.listeners.get(listener).is_some_and(|endpoints| {
            endpoints.iter().any(|e| e.region != pick.region && self.tier(e.region).is_usable())
        })
    }

    /// Whether there is a listener of this name.
    #[must_use]
    pub fn has_listener(&self, listener: &str) -> bool {
        self.tables.listeners.contains_key(listener)
    }

    /// Why `pick` gave what it gave: one line, then the candidates.
    #[must_use]
    pub fn explain_pick(&self, listener: &str, client: IpAddr, pick: Option<&Pick>) -> String {
        let Some(pick) = pick else {
            return alloc::format!("{listener}: no endpoint is left to try");
        };
        let (near, found) = self.near(client);
        let source = if found.near.is_some() { "by its network" } else { "by default" };
        let mut text = alloc::format!(
            "{listener}: {client} is near {} {source}; {} is {}, {}; generation {}",
            self.region_name(near),
            self.region_name(pick.region),
            pick.tier,
            Distance(pick.rtt_ms),
            self.generation(),
        );
        let endpoints = self.tables.listeners.get(listener).map_or(&[][..], |e| e.as_slice());
        let _ =
            text.write_str(&self.explain_order(near, |r| endpoints.iter().any(|e| e.region == r)));
        text
    }
}
